/* xrayfs: ls
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <dirent.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "front/cli.h"

/* A hostile filesystem may have directories that contain themselves. */
#define MAX_DEPTH 512

struct ls {
  struct tree *tree;
  const char *image; /* for messages */
  bool recursive, long_form;
  bool terminal;
  struct timespec mtime; /* of xrayfs's own entries */
  int status;
};

/* The directories that lead here. */
struct above {
  const struct above *up;
  node_id id;
  unsigned depth;
};

static void
complain (struct ls *ls, const char *path, const struct err *e)
{
  fflush (stdout);
  say ("%s: %s: %s", ls->image, path, e->msg);
  ls->status = CLI_NOT_THERE;
}

/* Names from a guest go to a terminal without control characters, and to
 * anything else as they are: as ls(1). */
static void
put_text (const struct ls *ls, const char *s)
{
  CLEANUP_BUF struct buf b = { 0 };

  if (!ls->terminal) {
    fputs (s, stdout);
    return;
  }
  buf_add_line_text (&b, s, strlen (s));
  fputs (buf_str (&b), stdout);
}

static char
type_letter (mode_t mode)
{
  static const char letters[] = "?pc?d?b?-?l?s???";

  return letters[(mode & S_IFMT) >> 12];
}

static void
mode_text (mode_t mode, char ret[11])
{
  static const char bits[] = "rwxrwxrwx";

  ret[0] = type_letter (mode);
  for (int i = 0; i < 9; i++)
    ret[1 + i] = mode & (0400u >> i) ? bits[i] : '-';
  if (mode & S_ISUID)
    ret[3] = mode & S_IXUSR ? 's' : 'S';
  if (mode & S_ISGID)
    ret[6] = mode & S_IXGRP ? 's' : 'S';
  if (mode & S_ISVTX)
    ret[9] = mode & S_IXOTH ? 't' : 'T';
  ret[10] = '\0';
}

static void
time_text (const struct timespec *t, char *ret, size_t size)
{
  struct tm tm;

  if (!gmtime_r (&t->tv_sec, &tm) ||
      strftime (ret, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
    snprintf (ret, size, "%" PRIdMAX, (intmax_t) t->tv_sec);
}

static void
put_attributes (const struct ls *ls, const struct node_attr *a)
{
  char mode[11], when[64];

  mode_text (a->mode, mode);
  time_text (a->own ? &ls->mtime : &a->mtime, when, sizeof when);
  printf ("%s %3" PRIu32 " %5" PRIu32 " %5" PRIu32 " %12" PRIu64 " %s ", mode,
          a->nlink, a->own ? (uint32_t) getuid () : a->uid,
          a->own ? (uint32_t) getgid () : a->gid, a->size, when);
}

static void
put_target (struct ls *ls, const char *name, const struct node_attr *a)
{
  CLEANUP_BUF struct buf target = { 0 };
  struct err e = { 0 };

  if (!S_ISLNK (a->mode))
    return;
  if (tree_readlink (ls->tree, a->id, &target, &e) == -1) {
    complain (ls, name, &e);
    return;
  }
  fputs (" -> ", stdout);
  put_text (ls, buf_str (&target));
}

static void
put_entry (struct ls *ls, const char *name, node_id id)
{
  struct node_attr a;
  struct err e = { 0 };

  if (!ls->long_form) {
    put_text (ls, name);
    putchar ('\n');
    return;
  }
  if (tree_getattr (ls->tree, id, &a, &e) == -1) {
    complain (ls, name, &e);
    return;
  }
  put_attributes (ls, &a);
  put_text (ls, name);
  put_target (ls, name, &a);
  putchar ('\n');
}

static bool
is_directory (struct ls *ls, const struct name *n)
{
  struct node_attr a;
  struct err e;

  if (n->type != DT_UNKNOWN)
    return n->type == DT_DIR;
  return tree_getattr (ls->tree, n->id, &a, &e) == 0 && S_ISDIR (a.mode);
}

static bool
may_enter (struct ls *ls, const struct above *up, node_id id,
           const char *path)
{
  struct err e = { .code = ELOOP, .msg = "the directory contains itself" };

  for (const struct above *a = up; a; a = a->up)
    if (a->id == id || a->depth >= MAX_DEPTH) {
      complain (ls, path, &e);
      return false;
    }
  return true;
}

static void list_directory (struct ls *ls, const char *path, node_id id,
                            const struct above *up);

static void
descend (struct ls *ls, const char *path, const struct name_vec *names,
         const struct above *here)
{
  for (size_t i = 0; i < names->len && !ferror (stdout); i++) {
    CLEANUP_FREE char *below = NULL;
    const struct name *n = &names->items[i];

    if (!is_directory (ls, n))
      continue;
    if (asprintf (&below, "%s/%s", path, n->name) == -1)
      below = NULL;
    if (!below || !may_enter (ls, here, n->id, below))
      continue;
    putchar ('\n');
    list_directory (ls, below, n->id, here);
  }
}

static void
list_directory (struct ls *ls, const char *path, node_id id,
                const struct above *up)
{
  CLEANUP_LIST struct name_vec names = { 0 };
  struct above here = { up, id, up ? up->depth + 1 : 0 };
  struct err e = { 0 };

  if (ls->recursive) {
    put_text (ls, path);
    puts (":");
  }
  if (cli_list (ls->tree, id, &names, &e) == -1) {
    complain (ls, path, &e);
    return;
  }
  for (size_t i = 0; i < names.len && !ferror (stdout); i++)
    put_entry (ls, names.items[i].name, names.items[i].id);
  if (ls->recursive)
    descend (ls, path, &names, &here);
}

static void
list_path (struct ls *ls, const char *path)
{
  CLEANUP_FREE char *shown = strdup (path);
  struct node_attr a;
  struct err e = { 0 };

  if (!shown || tree_walk (ls->tree, path, &a, &e) == -1) {
    complain (ls, path, &e);
    return;
  }
  for (size_t n = strlen (shown); n > 1 && shown[n - 1] == '/'; n--)
    shown[n - 1] = '\0';
  if (S_ISDIR (a.mode))
    list_directory (ls, *shown ? shown : ".", a.id, NULL);
  else
    put_entry (ls, shown, a.id);
}

int
cli_ls (int argc, char **argv)
{
  static const struct option none[] = { { 0 } };
  CLEANUP_OPENED struct opened o = OPENED_INIT;
  struct ls ls = { .terminal = isatty (STDOUT_FILENO) };
  struct follow follow = { .n = 0 };
  struct stat st;
  int c;

  opterr = 0;
  while ((c = getopt_long (argc, argv, "lR1o:", none, NULL)) != -1) {
    if (c == '?')
      return cli_usage (argv[0], "unknown option, or one without its value");
    if (c == 'o' && cli_option (argv[0], optarg, &follow) == -1)
      return CLI_BAD_USAGE;
    ls.long_form |= c == 'l';
    ls.recursive |= c == 'R';
  }
  if (argc - optind < 1 || argc - optind > 2)
    return cli_usage (argv[0], "takes IMAGE [PATH]");
  if (cli_open_or_say (argv[optind], &follow, &o) == -1)
    return CLI_BAD_USAGE;
  ls.tree = o.tree;
  ls.image = argv[optind];
  if (stat (ls.image, &st) == 0)
    ls.mtime = st.st_mtim;
  list_path (&ls, argc - optind == 2 ? argv[optind + 1] : ".");
  return cli_finish (argv[0], ls.status);
}
