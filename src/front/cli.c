/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "front/cli.h"

#include <getopt.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"

/* Large enough to hide the cost of a call, small enough for a cache. */
#define CAT_BYTES (MiB)

/* --- opening --------------------------------------------------------- */

int
cli_option (const char *command, char *text, struct follow *ret)
{
  char *word, *left = text;
  struct err e = { 0 };

  while ((word = strsep (&left, ","))) {
    if (strncmp (word, "follow=", 7)) {
      cli_usage (command, "-o takes follow=DIR");
      return -1;
    }
    if (follow_add (ret, word + 7, &e) == -1) {
      cli_usage (command, e.msg);
      return -1;
    }
  }
  return 0;
}

int
cli_open (const char *path, const struct follow *follow, struct opened *ret,
          bool *ret_damaged, struct err *e)
{
  CLEANUP_OPENED struct opened o = OPENED_INIT;
  int r;

  *ret_damaged = false;
  if (source_name (path, &o.source, e) == -1 ||
      source_open (&o.source, follow, e) == -1)
    return -1;
  r = image_open (&o.source.image, &o.image, ret_damaged, e);
  o.source.image.fd = o.source.image.dir_fd = -1; /* taken over */
  if (r == -1 || tree_new (o.image, &o.tree, e) == -1)
    return -1;
  *ret = o;
  o = (struct opened) OPENED_INIT;
  return 0;
}

int
cli_open_or_say (const char *path, const struct follow *follow,
                 struct opened *ret)
{
  struct err e = { 0 };
  bool damaged;

  if (cli_open (path, follow, ret, &damaged, &e) == 0)
    return 0;
  say ("%s: %s", path, e.msg);
  return -1;
}

void
cli_close (struct opened *o)
{
  tree_free (o->tree);
  image_close (o->image);
  source_free (&o->source);
}

/* --- listing --------------------------------------------------------- */

static int
add_name (void *arg, const char *name, size_t len, node_id id, unsigned type)
{
  struct name_vec *v = arg;
  char *copy = strndup (name, len);

  if (copy && name_vec_push (v, (struct name){ copy, id, type }) == 0)
    return 0;
  free (copy);
  return 1;
}

static int
compare_names (const void *a, const void *b)
{
  return strcmp (((const struct name *) a)->name,
                 ((const struct name *) b)->name);
}

struct count {
  struct name_vec *v;
  bool failed;
};

static int
add_or_fail (void *arg, const char *name, size_t len, node_id id,
             unsigned type)
{
  struct count *c = arg;

  c->failed = add_name (c->v, name, len, id, type) != 0;
  return c->failed;
}

int
cli_list (struct tree *t, node_id dir, struct name_vec *ret, struct err *e)
{
  CLEANUP_LIST struct name_vec v = { 0 };
  struct count c = { &v, false };

  if (tree_readdir (t, dir, add_or_fail, &c, e) == -1)
    return -1;
  if (c.failed)
    return err_set (e, ENOMEM, "out of memory");
  if (v.len)
    qsort (v.items, v.len, sizeof *v.items, compare_names);
  *ret = v;
  v = (struct name_vec){ 0 };
  return 0;
}

void
cli_list_free (struct name_vec *v)
{
  for (size_t i = 0; i < v->len; i++)
    free (v->items[i].name);
  free (v->items);
  *v = (struct name_vec){ 0 };
}

/* --- the end --------------------------------------------------------- */

int
cli_finish (const char *command, int status)
{
  errno = 0;
  if (fflush (stdout) == 0 && !ferror (stdout))
    return status;
  if (errno != EPIPE)
    say ("%s: standard output: %s", command,
         errno ? strerror (errno) : "cannot be written");
  return MAX (status, CLI_NOT_THERE);
}

int
cli_usage (const char *command, const char *what)
{
  say ("%s: %s (see xrayfs -h)", command, what);
  return CLI_BAD_USAGE;
}

/* --- cat ------------------------------------------------------------- */

int
cli_read (struct tree *t, const char *path, struct buf *ret, struct err *e)
{
  struct node_attr a;

  buf_reset (ret);
  if (tree_walk (t, path, &a, e) == -1)
    return -1;
  if (!a.finding)
    return err_set (e, EINVAL, "is not a finding");
  return tree_read_finding (t, a.id, ret, e);
}

static int
cat_finding (struct tree *t, node_id id, struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };

  if (tree_read_finding (t, id, &text, e) == -1)
    return -1;
  fwrite (buf_str (&text), 1, text.len, stdout);
  return 0;
}

static int
copy_stream (struct stream *s, struct err *e)
{
  CLEANUP_FREE char *data = malloc (CAT_BYTES);
  uint64_t off = 0;
  size_t n;

  if (!data)
    return err_set (e, ENOMEM, "out of memory");
  do {
    if (stream_read (s, data, CAT_BYTES, off, &n, e) == -1)
      return -1;
    off += n;
  } while (n > 0 && fwrite (data, 1, n, stdout) == n);
  return 0;
}

/* Compressed data are decoded ahead, on all processors. */
static int
cat_raw (struct tree *t, const struct node_attr *a, struct err *e)
{
  struct prefetch *p = prefetch_new (0);
  struct stream_source source = tree_stream (t, a->id);
  struct stream *s = p ? stream_open (p, &source, a->size, e) : NULL;
  int r;

  r = s ? copy_stream (s, e) : err_set (e, ENOMEM, "out of memory");
  stream_close (s);
  while (p && !prefetch_stop (p, 1000))
    continue;
  prefetch_free (p);
  return r;
}

static int
cat_symlink (struct tree *t, node_id id, struct err *e)
{
  CLEANUP_BUF struct buf target = { 0 };

  if (tree_readlink (t, id, &target, e) == -1)
    return -1;
  return err_set (e, ELOOP,
                  "is a symbolic link to '%s', which is not"
                  " followed inside the guest",
                  buf_str (&target));
}

static int
cat_path (struct tree *t, const char *path, struct err *e)
{
  struct node_attr a;

  if (tree_walk (t, path, &a, e) == -1)
    return -1;
  if (a.finding)
    return cat_finding (t, a.id, e);
  if (S_ISREG (a.mode))
    return cat_raw (t, &a, e);
  if (S_ISLNK (a.mode))
    return cat_symlink (t, a.id, e);
  if (S_ISDIR (a.mode))
    return err_set (e, EISDIR, "is a directory");
  return err_set (e, EINVAL, "has no content");
}

int
cli_common_options (int argc, char **argv, struct follow *ret)
{
  static const struct option none[] = { { 0 } };
  int c;

  opterr = 0;
  while ((c = getopt_long (argc, argv, "+o:", none, NULL)) != -1) {
    if (c != 'o') {
      cli_usage (argv[0], "unknown option, or one without its value");
      return -1;
    }
    if (cli_option (argv[0], optarg, ret) == -1)
      return -1;
  }
  return 0;
}

int
cli_cat (int argc, char **argv)
{
  CLEANUP_OPENED struct opened o = OPENED_INIT;
  struct follow follow = { .n = 0 };
  int first, status = CLI_OK;
  struct err e = { 0 };

  if (cli_common_options (argc, argv, &follow) == -1)
    return CLI_BAD_USAGE;
  first = optind;
  if (argc - first < 2)
    return cli_usage (argv[0], "takes IMAGE PATH...");
  if (cli_open_or_say (argv[first], &follow, &o) == -1)
    return CLI_BAD_USAGE;
  for (int i = first + 1; i < argc && !ferror (stdout); i++)
    if (cat_path (o.tree, argv[i], &e) == -1) {
      fflush (stdout);
      say ("%s: %s: %s", argv[first], argv[i], e.msg);
      status = CLI_NOT_THERE;
    }
  return cli_finish (argv[0], status);
}

/* --- report ---------------------------------------------------------- */

static const char *
report_path (const char *format)
{
  if (!strcmp (format, "text"))
    return "report.txt";
  if (!strcmp (format, "json"))
    return "report.json";
  return NULL;
}

static int
report_format (const char *format, const char **ret)
{
  *ret = report_path (format);
  if (*ret)
    return 0;
  say ("report: --format %s: %s", format,
       strcmp (format, "html") ? "is not a format (text, json)"
                               : "is not available in this version");
  return -1;
}

static int
report_options (int argc, char **argv, const char **ret,
                struct follow *follow)
{
  static const struct option options[] = {
    { "format", required_argument, NULL, 'f' }, { 0 }
  };
  int c;

  opterr = 0;
  *ret = report_path ("text");
  while ((c = getopt_long (argc, argv, "o:", options, NULL)) != -1) {
    if (c == '?')
      cli_usage (argv[0], "unknown option, or one without its value");
    if (c == '?' || (c == 'f' && report_format (optarg, ret) == -1) ||
        (c == 'o' && cli_option (argv[0], optarg, follow) == -1))
      return -1;
  }
  return 0;
}

int
cli_report (int argc, char **argv)
{
  CLEANUP_OPENED struct opened o = OPENED_INIT;
  int status = CLI_OK;
  struct follow follow = { .n = 0 };
  struct err e = { 0 };
  const char *path;

  if (report_options (argc, argv, &path, &follow) == -1)
    return CLI_BAD_USAGE;
  if (argc - optind != 1)
    return cli_usage (argv[0], "takes one IMAGE");
  if (cli_open_or_say (argv[optind], &follow, &o) == -1)
    return CLI_BAD_USAGE;
  if (cat_path (o.tree, path, &e) == -1) {
    say ("%s: %s: %s", argv[optind], path, e.msg);
    status = CLI_NOT_THERE;
  }
  return cli_finish (argv[0], status);
}
