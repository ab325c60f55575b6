/* Prints a canonical listing of a whole tree, for comparing what a driver
 * reads with what the kernel does.
 *   fs-walk [-l] [-t TYPE] IMAGE [OFFSET SIZE]   through src/fs
 *   fs-walk --posix DIR                          through the kernel
 *   fs-walk --cat PATH IMAGE [OFFSET SIZE]       a file's bytes
 *   fs-walk --info IMAGE [OFFSET SIZE]           fs_info as key=value
 *   fs-walk --check IMAGE [OFFSET SIZE]          fs_check: ok, or findings
 * -l also looks every name up.  One line per file, fields separated by
 * spaces; bytes that are not printable are \xNN.  Files beyond 64 MiB are
 * summed over their data only.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/vec.h"
#include "block/cache.h"
#include "fs/vfs.h"

#define WHOLE     (64 * MiB) /* up to here holes are read, not skipped */
#define CHUNK     (1 * MiB)
#define MAX_DEPTH 2000
#define MAX_FILES 10000000

/* One file to be listed.  PARENT leads to the root: loops are found there. */
struct file {
  struct file *parent;
  char *name;
  uint64_t ino;
  unsigned type, depth, users;
};
DEFINE_VEC (file_vec, struct file *)
DEFINE_VEC (text_vec, char *)

/* Where the tree comes from. */
struct source {
  struct fs *fs; /* NULL: the kernel */
  int root_fd;
  bool lookups;
};

static bool failed;
static char chunk[CHUNK];

static void
die (const char *what)
{
  fprintf (stderr, "fs-walk: %s\n", what);
  exit (2);
}

static void *
check_ptr (void *p)
{
  if (!p)
    die ("out of memory");
  return p;
}

static void
print_escaped (const char *s, size_t len)
{
  for (size_t i = 0; i < len; i++) {
    unsigned char c = s[i];

    if (c > 0x20 && c < 0x7f && c != '\\')
      putchar (c);
    else
      printf ("\\x%02x", c);
  }
}

static void
print_path (const struct file *f)
{
  const struct file *chain[MAX_DEPTH + 2];
  unsigned n = 0;

  for (; f->parent; f = f->parent)
    chain[n++] = f;
  if (n == 0)
    putchar ('/');
  while (n-- > 0) {
    putchar ('/');
    print_escaped (chain[n]->name, strlen (chain[n]->name));
  }
}

/* An error is a line of its own, so that the walk goes on. */
static void
print_error (const char *what, const struct err *e)
{
  failed = true;
  printf (" %s-error:%d:", what, e->code);
  print_escaped (e->msg, strlen (e->msg));
}

static struct file *
file_new (struct file *parent, const char *name, size_t len, uint64_t ino,
          unsigned type)
{
  struct file *f = check_ptr (calloc (1, sizeof *f));

  f->parent = parent;
  f->name = check_ptr (strndup (name, len));
  f->ino = ino;
  f->type = type;
  f->users = 1;
  if (parent) {
    f->depth = parent->depth + 1;
    parent->users++;
  }
  return f;
}

static void
file_release (struct file *f)
{
  struct file *parent;

  for (; f && --f->users == 0; f = parent) {
    parent = f->parent;
    free (f->name);
    free (f);
  }
}

/* --- the kernel ------------------------------------------------------ */

/* A descriptor of F's directory, one component at a time: paths may be
 * longer than PATH_MAX. */
static int
open_file (const struct source *s, const struct file *f, int flags)
{
  const struct file *chain[MAX_DEPTH + 2];
  int fd = dup (s->root_fd), next;
  unsigned n = 0;

  for (; f->parent; f = f->parent)
    chain[n++] = f;
  while (n-- > 0 && fd != -1) {
    next = openat (fd, chain[n]->name,
                   n ? O_PATH | O_NOFOLLOW : flags | O_NOFOLLOW);
    close (fd);
    fd = next;
  }
  return fd;
}

static int
posix_stat (const struct source *s, const struct file *f, struct fs_stat *ret,
            struct err *e)
{
  CLEANUP_CLOSE int fd = open_file (s, f, O_PATH);
  struct stat st;

  if (fd == -1 || fstatat (fd, "", &st, AT_EMPTY_PATH) == -1)
    return err_sys (e, errno, "stat");
  *ret = (struct fs_stat){
    .ino = st.st_ino,
    .mode = st.st_mode,
    .nlink = st.st_nlink,
    .uid = st.st_uid,
    .gid = st.st_gid,
    .size = st.st_size,
    .blocks = st.st_blocks,
    .rdev = st.st_rdev,
    .atime = st.st_atim,
    .mtime = st.st_mtim,
    .ctime = st.st_ctim,
  };
  return 0;
}

static int
posix_readdir (const struct source *s, struct file *f, fs_dirent_fn fn,
               void *arg, struct err *e)
{
  int fd = open_file (s, f, O_RDONLY | O_DIRECTORY);
  DIR *dir = fd == -1 ? NULL : fdopendir (fd);
  struct dirent *d;

  /* The root's descriptor is shared, with its position. */
  if (dir)
    rewinddir (dir);
  while (dir && (errno = 0, d = readdir (dir)))
    if (strcmp (d->d_name, ".") && strcmp (d->d_name, ".."))
      fn (arg, d->d_name, strlen (d->d_name), d->d_ino, d->d_type);
  if (errno)
    err_sys (e, errno, "readdir");
  if (dir)
    closedir (dir);
  return e->code ? -1 : 0;
}

static int
posix_readlink (const struct source *s, const struct file *f, struct buf *ret,
                struct err *e)
{
  CLEANUP_CLOSE int fd = open_file (s, f, O_PATH);
  ssize_t n;

  n = fd == -1 ? -1 : readlinkat (fd, "", chunk, sizeof chunk);
  if (n == -1)
    return err_sys (e, errno, "readlink");
  buf_add (ret, chunk, n);
  return 0;
}

/* Through the directory's descriptor: there is no call that takes one of a
 * symbolic link. */
static int
posix_xattrs (const struct source *s, const struct file *f, fs_xattr_fn fn,
              void *arg, struct err *e)
{
  CLEANUP_CLOSE int fd = open_file (s, f->parent ? f->parent : f, O_PATH);
  static char names[65536], value[65536];
  char path[1200]; /* names have up to 1020 bytes */
  ssize_t n, len;

  snprintf (path, sizeof path, "/proc/self/fd/%d/%s", fd,
            f->parent ? f->name : ".");
  n = llistxattr (path, names, sizeof names);
  if (n == -1)
    return errno == ENOTSUP ? 0 : err_sys (e, errno, "listxattr");
  for (char *p = names; p < names + n; p += strlen (p) + 1) {
    len = lgetxattr (path, p, value, sizeof value);
    if (len == -1)
      return err_sys (e, errno, "getxattr %s", p);
    fn (arg, p, value, len);
  }
  return 0;
}

/* The next data at or after OFF; false: none. */
static bool
posix_data (int fd, uint64_t off, uint64_t *ret_start, uint64_t *ret_end)
{
  off_t start = lseek (fd, off, SEEK_DATA);
  off_t end = start == -1 ? -1 : lseek (fd, start, SEEK_HOLE);

  *ret_start = start;
  *ret_end = end;
  return end != -1;
}

/* --- src/fs ---------------------------------------------------------- */

static bool
is_hole (const struct extent *x)
{
  return x->kind == EXTENT_ZERO || x->kind == EXTENT_UNALLOCATED;
}

/* 1: found, 0: none, -1. */
static int
fs_data (struct fs *fs, uint64_t ino, uint64_t size, uint64_t off,
         uint64_t *ret_start, uint64_t *ret_end, struct err *e)
{
  struct extent x;
  bool found = false;

  for (; off < size; off += x.length) {
    if (fs_map (fs, ino, size, off, size - off, &x, e) == -1)
      return -1;
    if (is_hole (&x) && found)
      break;
    if (!is_hole (&x) && !found) {
      found = true;
      *ret_start = off;
    }
  }
  *ret_end = off;
  return found;
}

/* --- either ---------------------------------------------------------- */

static int
file_data (const struct source *s, const struct file *f, int fd,
           uint64_t size, uint64_t off, uint64_t *ret_start,
           uint64_t *ret_end, struct err *e)
{
  if (s->fs)
    return fs_data (s->fs, f->ino, size, off, ret_start, ret_end, e);
  return posix_data (fd, off, ret_start, ret_end);
}

static int
file_read (const struct source *s, const struct file *f, int fd,
           uint64_t size, uint64_t off, size_t len, struct err *e)
{
  size_t got;
  ssize_t n;

  if (s->fs) {
    if (fs_pread (s->fs, f->ino, size, chunk, len, off, &got, e) == -1)
      return -1;
    return got == len ? 0 : err_set (e, EIO, "short read");
  }
  n = pread (fd, chunk, len, off);
  if (n == -1)
    return err_sys (e, errno, "read");
  return (size_t) n == len ? 0 : err_set (e, EIO, "short read");
}

static int
sum_range (const struct source *s, const struct file *f, int fd,
           uint64_t size, uint64_t from, uint64_t to, uLong *crc,
           struct err *e)
{
  size_t n;

  for (; from < to; from += n) {
    n = MIN (to - from, sizeof chunk);
    if (file_read (s, f, fd, size, from, n, e) == -1)
      return -1;
    *crc = crc32 (*crc, (unsigned char *) chunk, n);
  }
  return 0;
}

static int
print_contents (const struct source *s, const struct file *f, uint64_t size,
                struct err *e)
{
  CLEANUP_CLOSE int fd = s->fs ? -1 : open_file (s, f, O_RDONLY);
  uint64_t start = 0, end = 0;
  uLong crc = 0;
  int r;

  if (!s->fs && fd == -1)
    return err_sys (e, errno, "open");
  printf (" data=");
  for (uint64_t off = 0; off < size; off = end) {
    r = file_data (s, f, fd, size, off, &start, &end, e);
    if (r <= 0) {
      if (r == -1)
        return -1;
      break;
    }
    printf ("%" PRIu64 "-%" PRIu64 ",", start, end);
    if (size > WHOLE && sum_range (s, f, fd, size, start, end, &crc, e) == -1)
      return -1;
  }
  if (size <= WHOLE && sum_range (s, f, fd, size, 0, size, &crc, e) == -1)
    return -1;
  printf (" crc=%08lx", crc);
  return 0;
}

static int
keep_xattr (void *arg, const char *name, const void *value, size_t len)
{
  struct buf b = { 0 };

  buf_printf (&b, " %s=", name);
  for (size_t i = 0; i < len; i++)
    buf_printf (&b, "%02x", ((const unsigned char *) value)[i]);
  if (b.failed || text_vec_push (arg, b.data) == -1)
    die ("out of memory");
  return 0;
}

static int
compare_texts (const void *a, const void *b)
{
  return strcmp (*(char **) a, *(char **) b);
}

static int
print_xattrs (const struct source *s, const struct file *f, struct err *e)
{
  struct text_vec v = { 0 };
  int r = s->fs ? fs_xattrs (s->fs, f->ino, keep_xattr, &v, e)
                : posix_xattrs (s, f, keep_xattr, &v, e);

  if (v.len)
    qsort (v.items, v.len, sizeof *v.items, compare_texts);
  for (size_t i = 0; i < v.len; i++) {
    fputs (v.items[i], stdout);
    free (v.items[i]);
  }
  free (v.items);
  return r;
}

static void
print_time (const char *name, const struct timespec *t)
{
  printf (" %s=%lld.%09ld", name, (long long) t->tv_sec, t->tv_nsec);
}

static void
print_stat (const struct fs_stat *st)
{
  printf (" mode=%06o nlink=%u uid=%u gid=%u size=%" PRIu64 " blocks=%" PRIu64
          " ino=%" PRIu64,
          st->mode, st->nlink, st->uid, st->gid,
          S_ISDIR (st->mode) ? 0 : st->size, st->blocks, st->ino);
  if (S_ISCHR (st->mode) || S_ISBLK (st->mode))
    printf (" rdev=%u:%u", major (st->rdev), minor (st->rdev));
  print_time ("mtime", &st->mtime);
  print_time ("atime", &st->atime);
  print_time ("ctime", &st->ctime);
}

static int
print_target (const struct source *s, const struct file *f, struct err *e)
{
  CLEANUP_BUF struct buf b = { 0 };
  int r = s->fs ? fs_readlink (s->fs, f->ino, &b, e)
                : posix_readlink (s, f, &b, e);

  if (r == 0) {
    printf (" -> ");
    print_escaped (buf_str (&b), b.len);
  }
  return r;
}

static void
check_lookup (const struct source *s, const struct file *f)
{
  struct err e = { 0 };
  uint64_t ino = 0;

  if (!s->fs || !s->lookups || !f->parent)
    return;
  if (fs_lookup (s->fs, f->parent->ino, f->name, strlen (f->name), &ino,
                 &e) == -1)
    print_error ("lookup", &e);
  else if (ino != f->ino) {
    printf (" lookup-gives=%" PRIu64, ino);
    failed = true;
  }
}

/* Prints the line of F; *RET_DIR: it is a directory. */
static void
print_file (const struct source *s, struct file *f, bool *ret_dir)
{
  struct fs_stat st = { 0 };
  struct err e = { 0 };
  unsigned type = f->type;
  int r =
      s->fs ? fs_stat (s->fs, f->ino, &st, &e) : posix_stat (s, f, &st, &e);

  *ret_dir = false;
  print_path (f);
  if (r == -1) {
    print_error ("stat", &e);
    putchar ('\n');
    return;
  }
  print_stat (&st);
  if (type != DT_UNKNOWN && type != IFTODT (st.mode))
    printf (" type=%u", type);
  f->type = st.mode;
  *ret_dir = S_ISDIR (st.mode);
  if (S_ISLNK (st.mode) && print_target (s, f, &e) == -1)
    print_error ("readlink", &e);
  err_clear (&e);
  if (S_ISREG (st.mode) && print_contents (s, f, st.size, &e) == -1)
    print_error ("read", &e);
  err_clear (&e);
  if (print_xattrs (s, f, &e) == -1)
    print_error ("xattr", &e);
  check_lookup (s, f);
  putchar ('\n');
}

struct reading {
  struct file *dir;
  struct file_vec *to;
};

static int
keep_entry (void *arg, const char *name, size_t len, uint64_t ino,
            unsigned type)
{
  struct reading *r = arg;

  if (file_vec_push (r->to, file_new (r->dir, name, len, ino, type)) == -1)
    die ("out of memory");
  return r->to->len > MAX_FILES;
}

/* Last name first: the list is a stack. */
static int
compare_files (const void *a, const void *b)
{
  return strcmp ((*(struct file **) b)->name, (*(struct file **) a)->name);
}

static void
add_entries (const struct source *s, struct file *dir, struct file_vec *to)
{
  struct reading reading = { dir, to };
  struct err e = { 0 };
  size_t before = to->len;
  int r;

  for (struct file *f = dir->parent; f; f = f->parent)
    if (f->ino == dir->ino || dir->depth > MAX_DEPTH) {
      print_path (dir);
      puts (" loop");
      return;
    }
  r = s->fs ? fs_readdir (s->fs, dir->ino, keep_entry, &reading, &e)
            : posix_readdir (s, dir, keep_entry, &reading, &e);
  if (r == -1) {
    print_path (dir);
    print_error ("readdir", &e);
    putchar ('\n');
  }
  if (to->len > before)
    qsort (to->items + before, to->len - before, sizeof *to->items,
           compare_files);
}

static void
walk (const struct source *s)
{
  struct file_vec todo = { 0 };
  bool is_dir;

  if (file_vec_push (&todo, file_new (NULL, "", 0, s->fs ? s->fs->root : 0,
                                      DT_UNKNOWN)) == -1)
    die ("out of memory");
  for (size_t n = 0; todo.len > 0 && n < MAX_FILES; n++) {
    struct file *f = todo.items[--todo.len];

    print_file (s, f, &is_dir);
    if (is_dir)
      add_entries (s, f, &todo);
    file_release (f);
  }
  while (todo.len > 0)
    file_release (todo.items[--todo.len]);
  free (todo.items);
}

static int
cat (struct fs *fs, const char *path, struct err *e)
{
  struct vfs *v = check_ptr (malloc (sizeof *v));
  struct vfs_node n;
  struct fs_stat st;
  size_t got;
  int r;

  vfs_init (v, fs);
  r = vfs_walk (v, path, 0, &n, e);
  free (v);
  if (r == -1 || fs_stat (fs, n.ino, &st, e) == -1)
    return -1;
  for (uint64_t off = 0; off < st.size; off += got) {
    /* In small pieces, so that what comes before an error is seen. */
    if (fs_pread (fs, n.ino, st.size, chunk, 4096, off, &got, e) == -1)
      return -1;
    fwrite (chunk, 1, got, stdout);
  }
  return 0;
}

static int
show_info (struct fs *fs, struct err *e)
{
  struct fs_info i;

  if (fs_info (fs, &i, e) == -1)
    return -1;
  printf ("size=%" PRIu64 "\nused=%" PRIu64 "\nfree=%" PRIu64
          "\ninodes=%" PRIu64 "\ninodes_free=%" PRIu64
          "\nblock_size=%u\nstate=%s\nfeatures=%s\n",
          i.size, i.used, i.free, i.inodes, i.inodes_free, i.block_size,
          i.state, buf_str (&i.features));
  fs_info_free (&i);
  return 0;
}

struct options {
  const char *type, *posix, *cat;
  bool info, check, lookups;
};

static int
show_check (struct fs *fs, struct err *e)
{
  struct block_check c = { 0 };
  int r = fs_check (fs, &c, e);

  if (r == 0)
    fputs (c.findings.len ? buf_str (&c.findings) : "ok\n", stdout);
  failed = c.errors > 0;
  block_check_free (&c);
  return r;
}

static int
run (struct block *b, const struct options *o, struct err *e)
{
  struct source s = { .lookups = o->lookups };
  int r = 0;

  if (fs_mount (b, o->type, &s.fs, e) == -1)
    return -1;
  if (o->check)
    r = show_check (s.fs, e);
  else if (o->cat)
    r = cat (s.fs, o->cat, e);
  else if (o->info)
    r = show_info (s.fs, e);
  else
    walk (&s);
  fs_unmount (s.fs);
  return r;
}

static int
open_image (struct block_env *env, char **args, struct block **ret,
            struct err *e)
{
  int fd = open (args[0], O_RDONLY | O_CLOEXEC);
  struct block *file;

  if (fd == -1)
    return err_sys (e, errno, "%s", args[0]);
  if (block_file_open (env, fd, args[0], &file, e) == -1)
    return -1;
  return block_format_open (file, NULL, ret, e);
}

static int
run_image (char **args, int n, const struct options *o)
{
  struct block_env env = { .dir_fd = -1, .cache = cache_new (16 * MiB) };
  struct block *image = NULL, *part = NULL;
  struct err e = { 0 };
  int r = open_image (&env, args, &image, &e);

  if (r == 0 && n == 3)
    r = block_slice_open (image, strtoull (args[1], NULL, 0),
                          strtoull (args[2], NULL, 0), &part, &e);
  if (r == 0)
    r = run (part ? part : image, o, &e);
  if (r == -1)
    printf ("error:%d: %s\n", e.code, e.msg);
  block_close (part);
  block_close (image);
  cache_free (env.cache);
  return r == -1 ? 3 : failed;
}

static int
run_posix (const char *dir)
{
  struct source s = { .root_fd = open (dir, O_RDONLY | O_DIRECTORY) };

  if (s.root_fd == -1)
    die (dir);
  walk (&s);
  close (s.root_fd);
  return failed;
}

int
main (int argc, char **argv)
{
  static const struct option longs[] = {
    { "posix", required_argument, NULL, 'p' },
    { "cat", required_argument, NULL, 'c' },
    { "info", no_argument, NULL, 'i' },
    { "check", no_argument, NULL, 'k' },
    { NULL, 0, NULL, 0 },
  };
  struct options o = { .type = "ext4" };
  int c;

  while ((c = getopt_long (argc, argv, "lt:", longs, NULL)) != -1)
    switch (c) {
    case 'p':
      return run_posix (optarg);
    case 'c':
      o.cat = optarg;
      break;
    case 'i':
      o.info = true;
      break;
    case 'k':
      o.check = true;
      break;
    case 'l':
      o.lookups = true;
      break;
    case 't':
      o.type = optarg;
      break;
    default:
      return 2;
    }
  if (argc - optind != 1 && argc - optind != 3)
    die ("usage: fs-walk [-l] IMAGE [OFFSET SIZE] | --posix DIR");
  return run_image (argv + optind, argc - optind, &o);
}
