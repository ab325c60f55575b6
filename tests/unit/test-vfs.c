/* Path walking: links, loops, "..", the root's edge, and mounts.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <sys/stat.h>

#include "fs/vfs.h"
#include "test.h"

/* A driver of two small trees made of rows: name, parent, type, target. */
struct row {
  uint64_t ino, parent;
  const char *name;
  mode_t mode;
  const char *text; /* of a link or a file */
};

static const struct row guest[] = {
  { 1, 0, "", S_IFDIR, NULL },
  { 2, 1, "etc", S_IFDIR, NULL },
  { 3, 2, "passwd", S_IFREG, "root:x:0" },
  { 4, 1, "usr", S_IFDIR, NULL },
  { 5, 4, "lib", S_IFDIR, NULL },
  { 6, 1, "lib", S_IFLNK, "usr/lib" },
  { 7, 5, "os-release", S_IFREG, "ID=x\n" },
  { 8, 2, "os-release", S_IFLNK, "../usr/lib/os-release" },
  { 9, 2, "abs", S_IFLNK, "/lib/../../../usr/lib/os-release" },
  { 10, 1, "loop", S_IFLNK, "loop" },
  { 11, 1, "a", S_IFLNK, "b/x" },
  { 12, 1, "b", S_IFLNK, "a/y" },
  { 13, 1, "dangling", S_IFLNK, "nowhere" },
  { 14, 1, "empty", S_IFLNK, "" },
  { 15, 1, "boot", S_IFDIR, NULL },
  { 16, 1, "tofile", S_IFLNK, "etc/passwd/" },
  { 17, 15, "hidden", S_IFREG, "under the mount" },
  { 18, 1, "sl/ash", S_IFREG, "slash" },
  { 19, 1, "..", S_IFREG, "dots" },
  { 20, 1, "100%2f", S_IFREG, "literal" },
  { 21, 1, "self", S_IFLNK, "." },
  { 0, 0, NULL, 0, NULL },
};

static const struct row boot[] = {
  { 1, 0, "", S_IFDIR, NULL },
  { 2, 1, "grub", S_IFDIR, NULL },
  { 3, 2, "cfg", S_IFREG, "menu" },
  { 4, 2, "up", S_IFLNK, "../../etc/passwd" },
  { 5, 1, "root", S_IFLNK, "/etc" },
  { 6, 1, "efi", S_IFDIR, NULL },
  { 0, 0, NULL, 0, NULL },
};

static const struct row *
row_of (struct fs *fs, uint64_t ino)
{
  const struct row *r = fs->priv;

  while (r->name && r->ino != ino)
    r++;
  CHECK (r->name);
  return r;
}

static int
rows_lookup (struct fs *fs, uint64_t dir, const char *name, size_t len,
             uint64_t *ret, struct err *e)
{
  for (const struct row *r = fs->priv; r->name; r++)
    if (r->parent == dir && strlen (r->name) == len &&
        !memcmp (r->name, name, len)) {
      *ret = r->ino;
      return 0;
    }
  return err_set (e, ENOENT, "no such file or directory");
}

static int
rows_stat (struct fs *fs, uint64_t ino, struct fs_stat *ret,
           struct err *e unused_arg)
{
  const struct row *r = row_of (fs, ino);

  *ret = (struct fs_stat){ .ino = ino, .mode = r->mode };
  ret->size = r->text ? strlen (r->text) : 0;
  return 0;
}

static int
rows_readdir (struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *arg,
              struct err *e unused_arg)
{
  for (const struct row *r = fs->priv; r->name; r++)
    if (r->parent == dir && fn (arg, r->name, strlen (r->name), r->ino, 0))
      break;
  return 0;
}

static int
rows_readlink (struct fs *fs, uint64_t ino, struct buf *ret,
               struct err *e unused_arg)
{
  buf_puts (ret, row_of (fs, ino)->text);
  return 0;
}

static int
rows_pread (struct fs *fs, uint64_t ino, void *buf, size_t len, uint64_t off,
            struct err *e unused_arg)
{
  memcpy (buf, row_of (fs, ino)->text + off, len);
  return 0;
}

static int
guest_mount (struct fs *fs, struct err *e unused_arg)
{
  fs->priv = (void *) guest;
  fs->root = 1;
  return 0;
}

static int
boot_mount (struct fs *fs, struct err *e unused_arg)
{
  fs->priv = (void *) boot;
  fs->root = 1;
  return 0;
}

#define ROWS_OPS(n)                                                          \
  {                                                                          \
    .name = #n, .types = (const char *const[]){ #n, NULL },                  \
    .mount = n##_mount, .lookup = rows_lookup, .stat = rows_stat,            \
    .readdir = rows_readdir, .readlink = rows_readlink, .pread = rows_pread, \
  }
static const struct fs_ops guest_ops = ROWS_OPS (guest);
static const struct fs_ops boot_ops = ROWS_OPS (boot);
const struct fs_ops *const fs_drivers[] = { &guest_ops, &boot_ops, NULL };
const struct block_ops *const block_formats[] = { NULL };

static struct vfs v;

/* Where does PATH lead, from DIR: a canonical path, or an errno value. */
static void
leads (const char *dir, const char *path, unsigned flags, int code,
       const char *want)
{
  CLEANUP_BUF struct buf got = { 0 };
  struct vfs_node n;
  struct err e = { 0 };
  int r = vfs_walk_from (&v, dir, path, flags, &n, &got, &e);

  if ((r == -1 ? e.code : 0) != code)
    fprintf (stderr, "%s: code %d: %s\n", path, e.code, e.msg);
  CHECK ((r == -1 ? e.code : 0) == code);
  if (r == 0)
    CHECK_STR (buf_str (&got), want);
}

static void
reads (const char *path, const char *want)
{
  CLEANUP_BUF struct buf got = { 0 };
  struct err e = { 0 };

  CHECK_OK (vfs_read (&v, path, 100, &got, &e));
  CHECK_STR (buf_str (&got), want);
}

static void
test_paths (void)
{
  leads (NULL, "/", 0, 0, "/");
  leads (NULL, "", 0, 0, "/");
  leads (NULL, "///etc//./passwd", 0, 0, "/etc/passwd");
  leads (NULL, "/etc/../etc/", 0, 0, "/etc");
  leads (NULL, "/../../etc/passwd", 0, 0, "/etc/passwd");
  leads (NULL, "/etc/passwd/", 0, ENOTDIR, NULL);
  leads (NULL, "/etc/passwd/..", 0, ENOTDIR, NULL);
  leads (NULL, "/etc/passwd/x", 0, ENOTDIR, NULL);
  leads (NULL, "/etc/nothing", 0, ENOENT, NULL);
  leads (NULL, "/nothing/..", 0, ENOENT, NULL);
}

static void
test_links (void)
{
  leads (NULL, "/etc/os-release", 0, 0, "/usr/lib/os-release");
  leads (NULL, "/etc/os-release", VFS_NOFOLLOW, 0, "/etc/os-release");
  leads (NULL, "/lib/os-release", VFS_NOFOLLOW, 0, "/usr/lib/os-release");
  leads (NULL, "/lib/", VFS_NOFOLLOW, 0, "/usr/lib");
  leads (NULL, "/etc/abs", 0, 0, "/usr/lib/os-release");
  leads (NULL, "/self/self/self/etc", 0, 0, "/etc");
  leads (NULL, "/loop", 0, ELOOP, NULL);
  leads (NULL, "/loop", VFS_NOFOLLOW, 0, "/loop");
  leads (NULL, "/a", 0, ELOOP, NULL);
  leads (NULL, "/dangling", 0, ENOENT, NULL);
  leads (NULL, "/empty", 0, ENOENT, NULL);
  leads (NULL, "/tofile", 0, ENOTDIR, NULL);
  leads ("/etc", "../usr/lib", 0, 0, "/usr/lib");
  leads ("/lib", "..", 0, 0, "/usr");
  leads ("/etc", "/usr", 0, 0, "/usr");
  leads ("/etc/passwd", "x", 0, ENOTDIR, NULL);
}

static int
count (void *arg, const char *name, size_t len, uint64_t ino unused_arg,
       unsigned type unused_arg)
{
  CHECK (!memchr (name, '/', len) && strcmp (name, ".."));
  ++*(unsigned *) arg;
  return 0;
}

static void
test_names (void)
{
  struct err e = { 0 };
  unsigned n = 0;

  reads ("/sl%2fash", "slash");
  reads ("/%2e%2e", "dots");
  reads ("/100%2f", "literal");
  leads (NULL, "/%2e", 0, ENOENT, NULL);
  CHECK_OK (vfs_list (&v, "/", count, &n, &e));
  CHECK (n == 14);
  CHECK (vfs_list (&v, "/nothing", count, &n, &e) == -1);
  CHECK (e.code == ENOENT);
}

static void
test_at_path (void)
{
  CLEANUP_BUF struct buf b = { 0 };
  struct err e = { 0 };
  struct fs_stat st;

  CHECK (vfs_exists (&v, "/etc/passwd", &e) == 1);
  CHECK (vfs_exists (&v, "/etc/passwd/x", &e) == 0);
  CHECK (vfs_exists (&v, "/dangling", &e) == 0);
  CHECK (vfs_exists (&v, "/loop", &e) == -1);
  CHECK_OK (vfs_stat (&v, "/lib", VFS_NOFOLLOW, &st, &e));
  CHECK (S_ISLNK (st.mode));
  reads ("/etc/os-release", "ID=x\n");
  CHECK (vfs_read (&v, "/etc/passwd", 7, &b, &e) == -1 && e.code == EFBIG);
  CHECK (vfs_read (&v, "/etc", 7, &b, &e) == -1 && e.code == EISDIR);
}

static void
test_mounts (struct fs *other)
{
  struct err e = { 0 };

  reads ("/boot/hidden", "under the mount");
  CHECK_OK (vfs_mount (&v, "/boot", other, other->root, &e));
  CHECK (v.mounts[1].depth == 1 && v.mounts[1].parent == 0);
  leads (NULL, "/boot/hidden", 0, ENOENT, NULL);
  reads ("/boot/grub/cfg", "menu");
  reads ("/boot/grub/up", "root:x:0");
  leads (NULL, "/boot/root/passwd", 0, 0, "/etc/passwd");
  leads (NULL, "/boot/..", 0, 0, "/");
  leads (NULL, "/boot/grub/../../lib", 0, 0, "/usr/lib");
  CHECK_OK (vfs_mount (&v, "/boot/efi", other, other->root, &e));
  CHECK (v.mounts[2].depth == 2 && v.mounts[2].parent == 1);
  leads (NULL, "/boot/efi/efi", 0, 0, "/boot/efi/efi");
  leads (NULL, "/boot/efi/..", 0, 0, "/boot");
  /* Over a mount: the last one is seen. */
  CHECK_OK (
      vfs_mount (&v, "/boot", vfs_fs (&v, (struct vfs_node){ 0, 0 }), 2, &e));
  reads ("/boot/passwd", "root:x:0");
  CHECK (vfs_mount (&v, "/etc/passwd", other, 1, &e) == -1);
  CHECK (e.code == ENOTDIR);
  CHECK (vfs_mount (&v, "/nothing", other, 1, &e) == -1);
  while (v.n_mounts < VFS_MAX_MOUNTS)
    CHECK_OK (vfs_mount (&v, "/usr", other, 1, &e));
  CHECK (vfs_mount (&v, "/usr", other, 1, &e) == -1 && e.code == ENOSPC);
}

/* A bind mount shows a part of a tree once more; with what is mounted below
 * it by then, if that is asked for. */
static void
test_binds (struct fs *root, struct fs *other)
{
  struct err e = { 0 };
  struct vfs_node n;

  vfs_init (&v, root);
  CHECK_OK (vfs_mount (&v, "/boot", other, other->root, &e));
  CHECK_OK (vfs_mount_blind (&v, "/boot/efi", "no FAT", &e));
  CHECK_OK (vfs_bind (&v, "/boot", "/etc", false, &e));
  reads ("/etc/grub/cfg", "menu");
  leads (NULL, "/etc/..", 0, 0, "/");
  leads (NULL, "/etc/grub/..", 0, 0, "/etc");
  leads (NULL, "/etc/efi/x", 0, ENOENT, NULL);
  CHECK_OK (vfs_bind (&v, "/boot", "/usr/lib", true, &e));
  leads (NULL, "/lib/efi/x", 0, EIO, NULL);
  reads ("/lib/grub/cfg", "menu");
  CHECK_STR (v.mounts[v.n_mounts - 1].path, "/usr/lib/efi");
  CHECK (v.mounts[v.n_mounts - 1].depth == 3);
  /* Itself, and what was mounted since. */
  CHECK_OK (vfs_bind (&v, "/", "/boot/grub", true, &e));
  leads (NULL, "/boot/grub/boot/grub", 0, 0, "/boot/grub/boot/grub");
  leads (NULL, "/boot/grub/boot/efi/x", 0, EIO, NULL);
  CHECK (vfs_bind (&v, "/boot/efi", "/usr", false, &e) == -1);
  CHECK (e.code == EIO);
  CHECK (vfs_bind (&v, "/nothing", "/usr", false, &e) == -1);
  CHECK (e.code == ENOENT);
  CHECK (vfs_bind (&v, "/self", "/sl%2fash", false, &e) == -1);
  CHECK (e.code == ENOTDIR);
  CHECK (vfs_bind (&v, "/sl%2fash", "/usr", false, &e) == -1);
  CHECK (e.code == EINVAL);
  CHECK_OK (vfs_bind (&v, "/sl%2fash", "/100%2f", false, &e));
  reads ("/100%2f", "slash");
  n = vfs_cross (&v, (struct vfs_node){ 0, 15 });
  CHECK (n.mount == 1 && n.ino == other->root);
  vfs_free (&v);
}

static void
resolves (const char *dir, const char *path, const char *want)
{
  CLEANUP_BUF struct buf got = { 0 };
  struct err e = { 0 };

  CHECK_OK (vfs_resolve (&v, dir, path, &got, &e));
  CHECK_STR (buf_str (&got), want);
}

static void
test_resolve (struct fs *root)
{
  vfs_init (&v, root);
  resolves ("/etc", "../lib/os-release", "/usr/lib/os-release");
  resolves ("/", "..", "/");
  resolves ("/etc", "nothing/../passwd", "/etc/nothing");
  resolves ("/etc", "../lib/nothing/x", "/usr/lib/nothing");
  resolves ("/etc", "passwd/../../etc", "/etc/passwd/.");
  resolves ("/", "loop/x", "/loop");
  vfs_free (&v);
}

int
main (void)
{
  struct block_env env = { .dir_fd = -1 };
  CLEANUP_BLOCK struct block *b = NULL;
  struct fs *root, *other;
  struct err e = { 0 };

  CHECK_OK (block_mem_open (&env, "", 0, &b, &e));
  CHECK_OK (fs_mount (b, "guest", &root, &e));
  CHECK_OK (fs_mount (b, "boot", &other, &e));
  CHECK (fs_mount (b, "vmfs", &other, &e) == -1 && e.code == ENOTSUP);
  vfs_init (&v, root);
  test_paths ();
  test_links ();
  test_names ();
  test_at_path ();
  test_mounts (other);
  vfs_free (&v);
  test_binds (root, other);
  test_resolve (root);
  fs_unmount (root);
  fs_unmount (other);
  return 0;
}
