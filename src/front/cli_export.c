/* xrayfs: export
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every finding as a plain file.  What is written lies below DIR whatever the
 * image says: each directory is made and entered by descriptor, nothing that
 * exists is opened for writing, and no link is followed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "front/cli.h"

struct export
{
  struct tree *tree;
  const char *image;
  int status;
};

static void
complain (struct export *x, const char *path, const char *what)
{
  say ("%s: %s: %s", x->image, path, what);
  x->status = CLI_NOT_THERE;
}

/* The tree promises such names; here it is relied on. */
static bool
is_plain_name (const char *name)
{
  return *name && !strchr (name, '/') && strcmp (name, ".") &&
         strcmp (name, "..");
}

static int
write_all (int fd, const char *data, size_t len)
{
  ssize_t n;

  while (len > 0) {
    n = write (fd, data, len);
    if (n == -1 && errno == EINTR)
      continue;
    if (n == -1)
      return -1;
    data += n;
    len -= (size_t) n;
  }
  return 0;
}

static void
export_finding (struct export *x, int dir, const char *name, const char *path,
                node_id id)
{
  CLEANUP_BUF struct buf text = { 0 };
  CLEANUP_CLOSE int fd = -1;
  struct err e = { 0 };

  if (tree_read_finding (x->tree, id, &text, &e) == -1) {
    complain (x, path, e.msg);
    return;
  }
  fd = openat (dir, name,
               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (fd == -1 || write_all (fd, buf_str (&text), text.len) == -1)
    complain (x, path, strerror (errno));
}

/* import/default and the like; a guest's own links are not exported. */
static void
export_link (struct export *x, int dir, const char *name, const char *path,
             node_id id)
{
  CLEANUP_BUF struct buf target = { 0 };
  struct err e = { 0 };

  if (tree_readlink (x->tree, id, &target, &e) == -1)
    complain (x, path, e.msg);
  else if (symlinkat (buf_str (&target), dir, name) == -1)
    complain (x, path, strerror (errno));
}

static void export_entries (struct export *x, int dir, const char *path,
                            node_id id);

static void
export_directory (struct export *x, int dir, const char *name,
                  const char *path, node_id id)
{
  CLEANUP_CLOSE int below = -1;

  if (mkdirat (dir, name, 0777) == 0)
    below =
        openat (dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (below == -1)
    complain (x, path, strerror (errno));
  else
    export_entries (x, below, path, id);
}

/* The guest's files are not findings; neither is the directory that holds
 * them (files/, root/), which is its filesystem's root directory. */
static bool
is_guest (const char *name, const struct node_attr *a)
{
  return !a->own || (S_ISDIR (a->mode) &&
                     (!strcmp (name, "files") || !strcmp (name, "root")));
}

static void
export_entry (struct export *x, int dir, const char *up, const struct name *n)
{
  CLEANUP_FREE char *path = NULL;
  struct node_attr a;
  struct err e = { 0 };

  if (asprintf (&path, "%s%s%s", up, *up ? "/" : "", n->name) == -1) {
    path = NULL;
    complain (x, n->name, "out of memory");
  } else if (tree_getattr (x->tree, n->id, &a, &e) == -1) {
    complain (x, path, e.msg);
  } else if (is_guest (n->name, &a) || !tree_is_exported (x->tree, n->id)) {
    return;
  } else if (!is_plain_name (n->name)) {
    complain (x, path, "is not a file name");
  } else if (a.finding) {
    export_finding (x, dir, n->name, path, n->id);
  } else if (S_ISLNK (a.mode)) {
    export_link (x, dir, n->name, path, n->id);
  } else if (S_ISDIR (a.mode)) {
    export_directory (x, dir, n->name, path, n->id);
  }
}

static void
export_entries (struct export *x, int dir, const char *path, node_id id)
{
  CLEANUP_LIST struct name_vec names = { 0 };
  struct err e = { 0 };

  if (cli_list (x->tree, id, &names, &e) == -1) {
    complain (x, *path ? path : "/", e.msg);
    return;
  }
  for (size_t i = 0; i < names.len; i++)
    export_entry (x, dir, path, &names.items[i]);
}

static bool
is_empty (int dir)
{
  struct dirent *d;
  int fd = dup (dir), entries = 0;
  DIR *open_dir = fd == -1 ? NULL : fdopendir (fd);

  if (!open_dir) {
    cleanup_close (&fd);
    return false;
  }
  while (entries <= 2 && (d = readdir (open_dir)))
    entries++; /* "." and ".." */
  closedir (open_dir);
  return entries <= 2;
}

/* Makes DIR if it is not there.  -1 after saying what is wrong. */
static int
open_target (const char *path)
{
  CLEANUP_CLOSE int dir = -1;

  if (mkdir (path, 0777) == -1 && errno != EEXIST) {
    say ("export: %s: %s", path, strerror (errno));
    return -1;
  }
  dir = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir == -1) {
    say ("export: %s: %s", path, strerror (errno));
    return -1;
  }
  if (!is_empty (dir)) {
    say ("export: %s: is not empty", path);
    return -1;
  }
  return steal_fd (&dir);
}

int
cli_export (int argc, char **argv)
{
  CLEANUP_OPENED struct opened o = OPENED_INIT;
  CLEANUP_CLOSE int dir = -1;
  struct follow follow = { .n = 0 };
  struct export x = { 0 };

  if (cli_common_options (argc, argv, &follow) == -1)
    return CLI_BAD_USAGE;
  if (argc - optind != 2)
    return cli_usage (argv[0], "takes IMAGE DIR");
  if (cli_open_or_say (argv[optind], &follow, &o) == -1)
    return CLI_BAD_USAGE;
  dir = open_target (argv[optind + 1]);
  if (dir == -1)
    return CLI_BAD_USAGE;
  x.tree = o.tree;
  x.image = argv[optind];
  export_entries (&x, dir, "", NODE_ROOT);
  return x.status;
}
