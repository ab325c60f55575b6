/* xrayfs: systems that ostree deploys
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fedora CoreOS and Silverblue, RHEL CoreOS, Fedora IoT.  The filesystem
 * holds /ostree/deploy/OS/deploy/COMMIT.NUMBER, each a whole system, and
 * /ostree/deploy/OS/var, which they share.  The loader's entry names one by
 * ostree=/ostree/boot.N/OS/CHECKSUM/NUMBER, a link to it.  It starts with the
 * whole filesystem on /sysroot, and on /boot the partition with the kernels,
 * which no fstab has to name (ostree-prepare-root(1)).
 */
#include <string.h>

#include "inspect/guest_priv.h"

#define DEPLOY "/ostree/deploy/"

/* "/root/ostree/deploy/fedora/deploy/X.0" -> "/root", in a buffer. */
static void
top_of (const char *deployment, struct buf *ret)
{
  const char *at = strstr (deployment, DEPLOY);

  buf_add (ret, deployment, at ? (size_t) (at - deployment) : 0);
}

int
ostree_target (struct fs *fs, const char *deployment, const char *link,
               uint64_t *ret, struct err *e)
{
  CLEANUP_BUF struct buf path = { 0 };

  top_of (deployment, &path);
  buf_puts (&path, link);
  return buf_check (&path, e) == -1
             ? -1
             : directory_at (fs, buf_str (&path), ret, e);
}

/* --- what is mounted ------------------------------------------------- */

static bool
is_mounted (const struct vfs *v, const char *point)
{
  for (unsigned i = 0; i < v->n_mounts; i++)
    if (v->mounts[i].path && !strcmp (v->mounts[i].path, point))
      return true;
  return false;
}

/* What cannot be mounted is said; where it would hide something it may not
 * look absent. */
static int
mount_directory (struct guest *g, const char *point, struct fs *fs,
                 const char *dir, struct err *e)
{
  uint64_t ino;

  if (is_mounted (&g->vfs, point))
    return 0;
  if (directory_at (fs, dir, &ino, e) == 0 &&
      vfs_mount (&g->vfs, point, fs, ino, e) == 0)
    return 0;
  if (err_is_transient (e))
    return -1;
  if (!err_is_absent (e))
    guest_note (g, point, e->msg);
  err_clear (e);
  return 0;
}

/* Does FS hold the loader's entries and the kernels?  1, 0, -1. */
static int
is_boot (struct fs *fs, const char *top, struct err *e)
{
  CLEANUP_FREE struct vfs *v = malloc (sizeof *v);
  char path[300];
  int r;

  if (!v)
    return err_set (e, ENOMEM, "out of memory");
  vfs_init (v, fs);
  snprintf (path, sizeof path, "%s/loader/entries", top);
  r = vfs_exists (v, path, e);
  if (r != 1)
    return r;
  snprintf (path, sizeof path, "%s/ostree", top);
  return vfs_exists (v, path, e);
}

static bool
is_called_boot (struct volume *v)
{
  struct err e = { 0 };
  const struct superblock *s = volume_superblock (v, &e);

  return s && s->label && !strcmp (s->label, "boot");
}

/* Of those that may be it, the one with the label that GRUB looks for. */
struct candidates {
  struct volume *found, *labelled;
  size_t n, n_labelled;
};

static int
consider (struct candidates *c, struct volume *v, struct err *e)
{
  struct fs *fs = volume_readable (v, e) ? volume_fs (v, e) : NULL;
  int r = fs ? is_boot (fs, "", e) : -1;

  if (r == -1 && err_is_transient (e))
    return -1;
  err_clear (e);
  if (r != 1)
    return 0;
  c->found = v;
  c->n++;
  if (is_called_boot (v)) {
    c->labelled = v;
    c->n_labelled++;
  }
  return 0;
}

static int
mount_boot (struct image *img, struct guest *g, struct fs *fs,
            const char *top, struct err *e)
{
  struct candidates c = { 0 };
  CLEANUP_BUF struct buf dir = { 0 };
  struct volume *v;
  struct fs *boot;

  if (is_mounted (&g->vfs, "/boot"))
    return 0;
  for (size_t i = 0; i < img->n_volumes; i++)
    if (img->volumes[i] != g->root && consider (&c, img->volumes[i], e) == -1)
      return -1;
  v = c.n == 1 ? c.found : c.n_labelled == 1 ? c.labelled : NULL;
  if (c.n > 1 && !v) {
    static const char why[] = "which of several boot partitions is its own"
                              " is not known";
    guest_note (g, "/boot", why);
    return vfs_mount_blind (&g->vfs, "/boot", why, e);
  }
  if (v) {
    boot = volume_fs (v, e);
    return boot ? mount_directory (g, "/boot", boot, "/", e) : -1;
  }
  buf_printf (&dir, "%s/boot", top);
  if (buf_check (&dir, e) == -1)
    return -1;
  return mount_directory (g, "/boot", fs, buf_str (&dir), e);
}

static int
mount_var (struct guest *g, struct fs *fs, struct err *e)
{
  CLEANUP_BUF struct buf dir = { 0 };
  const char *os = strstr (g->deployment, DEPLOY) + strlen (DEPLOY);
  size_t len = (size_t) (os - g->deployment) + strcspn (os, "/");

  buf_add (&dir, g->deployment, len);
  buf_puts (&dir, "/var");
  return buf_check (&dir, e) == -1
             ? -1
             : mount_directory (g, "/var", fs, buf_str (&dir), e);
}

int
ostree_compose (struct image *img, struct guest *g, struct err *e)
{
  CLEANUP_BUF struct buf top = { 0 };
  struct fs *fs = vfs_fs (&g->vfs, vfs_root (&g->vfs));

  if (!g->deployment || !strstr (g->deployment, DEPLOY))
    return 0;
  top_of (g->deployment, &top);
  if (top.failed)
    return buf_check (&top, e);
  if (mount_boot (img, g, fs, buf_str (&top), e) == -1 ||
      mount_var (g, fs, e) == -1)
    return -1;
  return mount_directory (g, "/sysroot", fs, top.len ? buf_str (&top) : "/",
                          e);
}
