/* xrayfs: prints a hive by our reader.  Usage:
 *   hive-get FILE [LOG...]             all keys and values, a line each
 *   hive-get -v KEY NAME FILE [LOG...] one value, as text
 * A key is "K path", a value "V path<TAB>name<TAB>type<TAB>bytes"; in names
 * what is not printable ASCII, and the backslash, is %XX.
 * A line beginning with "!" says why what the hive says may be old.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inspect/registry.h"

#define MAX_DEPTH 512 /* as in Windows */

static int
file_pread (void *arg, void *buf, size_t len, uint64_t off, struct err *e)
{
  int fd = *(int *) arg;

  return pread (fd, buf, len, (off_t) off) == (ssize_t) len
             ? 0
             : err_set (e, EIO, "short read at %" PRIu64, off);
}

static int
open_file (const char *path, int *fd, struct hive_file *ret)
{
  struct stat st;

  *fd = open (path, O_RDONLY | O_CLOEXEC);
  if (*fd == -1 || fstat (*fd, &st) == -1) {
    perror (path);
    return -1;
  }
  *ret = (struct hive_file){ (uint64_t) st.st_size, file_pread, fd };
  return 0;
}

static void
add_escaped (struct buf *b, const char *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (s[i] > ' ' && s[i] < 0x7f && s[i] != '%' && s[i] != '\\')
      buf_add (b, s + i, 1);
    else
      buf_printf (b, "%%%02x", (unsigned char) s[i]);
}

struct walk {
  struct hive *h;
  struct buf path;
  unsigned depth;
  bool failed;
};

static int
show_value (void *arg, const char *name, size_t len,
            const struct hive_value *v, struct err *e unused_arg)
{
  struct walk *w = arg;
  CLEANUP_BUF struct buf line = { 0 };

  add_escaped (&line, name, len);
  printf ("V %s\t%s\t%" PRIu32 "\t", buf_str (&w->path), buf_str (&line),
          v->type);
  for (size_t i = 0; i < v->data.len; i++)
    printf ("%02x", (unsigned char) v->data.data[i]);
  printf ("\n");
  return 0;
}

static int show_key (void *arg, const char *name, size_t len, hive_key key,
                     struct err *e);

/* What cannot be read is said, and does not end the walk. */
static void
show_below (struct walk *w, hive_key key)
{
  struct err e = { 0 };

  printf ("K %s\n", buf_str (&w->path));
  if (hive_each_value (w->h, key, show_value, w, &e) == -1) {
    fprintf (stderr, "%s: values: %s\n", buf_str (&w->path), e.msg);
    w->failed = true;
    err_clear (&e);
  }
  if (hive_each_key (w->h, key, show_key, w, &e) == -1) {
    fprintf (stderr, "%s: subkeys: %s\n", buf_str (&w->path), e.msg);
    w->failed = true;
  }
}

static int
show_key (void *arg, const char *name, size_t len, hive_key key,
          struct err *e)
{
  struct walk *w = arg;
  size_t before = w->path.len;

  if (w->depth >= MAX_DEPTH)
    return err_set (e, ELOOP, "too deep");
  buf_puts (&w->path, "\\");
  add_escaped (&w->path, name, len);
  w->depth++;
  show_below (w, key);
  w->depth--;
  w->path.len = before;
  w->path.data[before] = '\0';
  return 0;
}

static int
show_one (struct hive *h, const char *path, const char *name, struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };
  hive_key key;

  if (hive_find (h, hive_root (h), path, &key, e) == -1 ||
      hive_text (h, key, name, &text, e) == -1)
    return -1;
  printf ("%s\n", buf_str (&text));
  return 0;
}

int
main (int argc, char **argv)
{
  CLEANUP_HIVE struct hive *h = NULL;
  struct hive_file files[1 + HIVE_MAX_LOGS];
  int fds[1 + HIVE_MAX_LOGS], first = 1, n = 0;
  struct walk w = { 0 };
  struct err e = { 0 };

  if (argc > 4 && !strcmp (argv[1], "-v"))
    first = 4;
  for (int i = first; i < argc && n <= HIVE_MAX_LOGS; i++, n++)
    if (open_file (argv[i], &fds[n], &files[n]) == -1)
      return 2;
  if (n == 0)
    return 2;
  if (hive_open (&files[0], files + 1, (size_t) (n - 1), &h, &e) == -1) {
    fprintf (stderr, "%s\n", e.msg);
    return 1;
  }
  if (hive_stale (h))
    printf ("! %s\n", hive_stale (h));
  if (first == 4) {
    if (show_one (h, argv[2], argv[3], &e) == 0)
      return 0;
    fprintf (stderr, "%s\n", e.msg);
    return err_is_absent (&e) ? 3 : 1;
  }
  w.h = h;
  show_below (&w, hive_root (h));
  buf_free (&w.path);
  return w.failed;
}
