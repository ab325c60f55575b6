/* xrayfs: which volume is the guest's root
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every volume is looked at.  Of several systems it is the one that the boot
 * loader starts: each system's own loader configuration is asked for the
 * root= of its default entry.
 */
#include <dirent.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "inspect/guest_priv.h"
#include "inspect/windows.h"

/* More systems than that are listed, and not asked what they start. */
#define MAX_ASKED 16

/* What guest_compose fills. */
static void
forget_composed (struct guest *g)
{
  vfs_free (&g->vfs);
  mount_lines_free (&g->lines);
  buf_free (&g->fstab);
  buf_free (&g->notes);
  free (g->deployment);
  g->deployment = NULL;
  g->fstab = g->notes = (struct buf){ 0 };
}

void
guest_free (struct guest *g)
{
  forget_composed (g);
  fact_free (&g->family);
  buf_free (&g->others);
  buf_free (&g->unread);
  *g = (struct guest){ 0 };
}

/* --- is it a root filesystem? ---------------------------------------- */

/* A directory that may be a system's "/". */
struct root {
  struct volume *volume;
  struct fs *fs;
  uint64_t ino;
  char *subvolume; /* where it lies from the top; NULL: what a mount without
                      options shows */
  bool windows;    /* a system of that kind; it has no fstab */
};
DEFINE_VEC (root_vec, struct root)

static void
cleanup_roots (struct root_vec *v)
{
  for (size_t i = 0; i < v->len; i++)
    free (v->items[i].subvolume);
  free (v->items);
}
#define CLEANUP_ROOTS __attribute__ ((cleanup (cleanup_roots)))

/* "partition 2", "partition 2: subvolume '@'" */
static void
describe (const struct root *r, char *to, size_t size)
{
  if (r->subvolume)
    snprintf (to, size, "%s: %s '%.100s'", r->volume->label,
              r->fs->ops->subvolume ? "subvolume" : "directory",
              r->subvolume);
  else
    snprintf (to, size, "%s", r->volume->label);
}

/* A Linux root has /etc, programs, and something that says which system it
 * is or how it starts.  A boot, home or data partition lacks one of them. */
static const char *const programs[] = { "/bin", "/usr/bin", "/usr" };
static const char *const identities[] = {
  "/etc/os-release",     "/usr/lib/os-release", "/etc/lsb-release",
  "/etc/redhat-release", "/etc/debian_version", "/etc/SuSE-release",
  "/etc/fstab",          "/sbin/init",          "/etc/inittab",
  "/etc/alpine-release", "/etc/system-release", "/etc/arch-release"
};

/* Is one of PATHS there?  Links are not followed: they may lead into
 * another filesystem that is not composed in yet. */
static int
one_of (const struct vfs *v, const char *const *paths, size_t n,
        const char **ret, struct err *e)
{
  struct vfs_node node;

  for (size_t i = 0; i < n; i++) {
    if (vfs_walk (v, paths[i], VFS_NOFOLLOW, &node, e) == 0) {
      *ret = paths[i];
      return 1;
    }
    if (!err_is_absent (e) && e->code != ELOOP)
      return -1;
    err_clear (e);
  }
  return 0;
}

static int
is_root (struct guest *g, const struct root *root, struct err *e)
{
  CLEANUP_FREE struct vfs *v = malloc (sizeof *v);
  const char *program, *identity, *etc;
  static const char *const etc_dir[] = { "/etc" };
  char where[200];
  int r;

  if (!v)
    return err_set (e, ENOMEM, "out of memory");
  describe (root, where, sizeof where);
  vfs_init_at (v, root->fs, root->ino);
  if ((r = one_of (v, etc_dir, 1, &etc, e)) != 1 ||
      (r = one_of (v, programs, ARRAY_SIZE (programs), &program, e)) != 1 ||
      (r = one_of (v, identities, ARRAY_SIZE (identities), &identity, e)) !=
          1) {
    if (r == 0)
      fact_evidence (&g->family, "%s: no root filesystem of a Linux system",
                     where);
    return r;
  }
  fact_evidence (&g->family, "%s: root of a Linux system: /etc, %s and %s",
                 where, program, identity);
  return 1;
}

/* --- subvolumes ------------------------------------------------------ */

/* Adds R's directory at PATH to TO if it is a root and not there yet. */
static int
add_if_root (struct guest *g, const struct root *r, const char *path,
             struct root_vec *to, struct err *e)
{
  struct root found = *r;
  int is;

  if (path && directory_at (r->fs, path, &found.ino, e) == -1) {
    if (!err_is_absent (e) && e->code != ELOOP)
      return -1;
    err_clear (e);
    return 0;
  }
  for (size_t i = 0; i < to->len; i++)
    if (to->items[i].ino == found.ino)
      return 0;
  found.subvolume = path ? strdup (path) : NULL;
  if (path && !found.subvolume)
    return err_set (e, ENOMEM, "out of memory");
  is = is_root (g, &found, e);
  if (is == 1 && root_vec_push (to, found) == -1)
    is = err_set (e, ENOMEM, "out of memory");
  if (is != 1)
    free (found.subvolume);
  return is == -1 ? -1 : 0;
}

/* Does R's own fstab mount R on "/"?  A snapshot has the fstab of what it
 * was taken of, which names that. */
static int
is_confirmed (struct image *img, const struct root *r, struct err *e)
{
  CLEANUP_MOUNT_LINES struct mount_line_vec lines = { 0 };
  const struct devices d = { img, r->volume, &lines };
  CLEANUP_FREE struct vfs *v = malloc (sizeof *v);
  CLEANUP_BUF struct buf text = { 0 };
  struct volume *volume;
  uint64_t ino;

  if (!v)
    return err_set (e, ENOMEM, "out of memory");
  vfs_init_at (v, r->fs, r->ino);
  if (guest_text (v, "/etc/fstab", &text, e) == -1 ||
      (text.data && fstab_parse (text.data, &lines, e) == -1))
    return -1;
  for (size_t i = lines.len; i-- > 0;) {
    if (strcmp (lines.items[i].point, "/") != 0)
      continue;
    if (device_volume (&d, lines.items[i].device, &volume, e) == -1)
      return -1;
    if (mounted_root (r->fs, lines.items[i].options, &ino, e) == -1) {
      if (!err_is_absent (e))
        return -1;
      err_clear (e);
      return 0;
    }
    return volume == r->volume && ino == r->ino;
  }
  return 0;
}

/* Of V's roots the one whose fstab says so, else the first. */
static int
choose_confirmed (struct image *img, const struct root_vec *v, size_t *ret,
                  struct err *e)
{
  int r;

  *ret = 0;
  for (size_t i = 0; i < v->len; i++) {
    r = is_confirmed (img, &v->items[i], e);
    if (r == -1)
      return -1;
    if (r == 1) {
      *ret = i;
      return 0;
    }
  }
  return 0;
}

static int
add_top_level (struct guest *g, const struct root *r, struct root_vec *to,
               struct err *e)
{
  CLEANUP_NAMES struct names n = { .prefix = "", .suffix = "" };
  CLEANUP_FREE struct vfs *v = malloc (sizeof *v);

  if (!v)
    return err_set (e, ENOMEM, "out of memory");
  vfs_init (v, r->fs);
  if (names_in (v, "/", &n, e) == -1)
    return -1;
  for (size_t i = 0; i < n.list.len; i++)
    if (add_if_root (g, r, n.list.items[i], to, e) == -1)
      return -1;
  return 0;
}

/* ostree's systems (Fedora CoreOS, Silverblue) lie in
 * /ostree/deploy/OS/deploy/COMMIT.NUMBER (ostree.c). */
static const char *const deployments[] = {
  "/ostree/deploy", "/root/ostree/deploy" /* in Fedora's Btrfs subvolume */
};

static int
add_deployments_of (struct guest *g, const struct root *r,
                    const struct vfs *v, const char *top, const char *os,
                    struct root_vec *to, struct err *e)
{
  CLEANUP_NAMES struct names n = { .prefix = "", .suffix = "" };
  CLEANUP_BUF struct buf dir = { 0 };

  buf_printf (&dir, "%s/%s/deploy", top, os);
  if (buf_check (&dir, e) == -1 || names_in (v, dir.data, &n, e) == -1)
    return -1;
  for (size_t i = 0; i < n.list.len; i++) {
    CLEANUP_BUF struct buf path = { 0 };
    buf_printf (&path, "%s/%s", dir.data, n.list.items[i]);
    /* COMMIT.NUMBER.origin is a file beside it. */
    if (buf_check (&path, e) == -1 ||
        (!strstr (path.data, ".origin") &&
         add_if_root (g, r, path.data, to, e) == -1))
      return -1;
  }
  return 0;
}

static int
add_deployments (struct guest *g, const struct root *r, struct root_vec *to,
                 struct err *e)
{
  CLEANUP_FREE struct vfs *v = malloc (sizeof *v);

  if (!v)
    return err_set (e, ENOMEM, "out of memory");
  vfs_init (v, r->fs);
  for (size_t k = 0; k < ARRAY_SIZE (deployments); k++) {
    CLEANUP_NAMES struct names n = { .prefix = "", .suffix = "" };
    if (names_in (v, deployments[k], &n, e) == -1)
      return -1;
    for (size_t i = 0; i < n.list.len; i++)
      if (add_deployments_of (g, r, v, deployments[k], n.list.items[i], to,
                              e) == -1)
        return -1;
  }
  return 0;
}

static int loader_cmdline (struct image *img, struct guest *g,
                           const struct root *r, struct fact *ret,
                           struct err *e);
static char *cmdline_value (const char *cmdline, const char *prefix);

/* Of several deployments the one that the loader's entry names.  The others
 * are older states of the same system. */
static int
choose_deployment (struct image *img, struct guest *g,
                   const struct root_vec *v, size_t *ret, struct err *e)
{
  __attribute__ ((cleanup (fact_free))) struct fact cmdline = { 0 };
  CLEANUP_FREE char *link = NULL;
  const struct root *first = &v->items[0];
  uint64_t ino;

  if (loader_cmdline (img, g, first, &cmdline, e) == -1)
    return err_in (e, "which deployment of ostree starts");
  link = cmdline.value ? cmdline_value (cmdline.value, "ostree=") : NULL;
  if (link &&
      ostree_target (first->fs, first->subvolume, link, &ino, e) == 0) {
    for (size_t i = 0; i < v->len; i++)
      if (v->items[i].ino == ino) {
        *ret = i;
        fact_evidence (&g->family, "%zu deployments; %s is taken: ostree=%s",
                       v->len, v->items[i].subvolume, link);
        return 0;
      }
  } else if (link && !err_is_absent (e))
    return -1;
  err_clear (e);
  return err_set (e, ENOTSUP,
                  "%zu deployments of ostree, and which of them starts is"
                  " not known: %s",
                  v->len,
                  link             ? "the loader's entry names none of them"
                  : cmdline.reason ? cmdline.reason
                                   : "the loader's entry names none");
}

static bool
is_deployment (const struct root *r)
{
  return r->subvolume && strstr (r->subvolume, "/ostree/deploy/");
}

/* The root in R's filesystem, if there is one: in the default subvolume, in
 * one of the names that distributions give, or in any at the top; or a
 * deployment.  1: *R is it; 0; -1. */
static int
find_root (struct image *img, struct guest *g, struct root *r, struct err *e)
{
  static const char *const names[] = { "@",     "root", "@rootfs",
                                       "@root", "ROOT", "rootfs" };
  CLEANUP_ROOTS struct root_vec found = { 0 };
  size_t chosen = 0;

  r->ino = r->fs->default_root;
  if (add_if_root (g, r, NULL, &found, e) == -1)
    return -1;
  for (size_t i = 0; r->fs->ops->subvolume && i < ARRAY_SIZE (names); i++)
    if (add_if_root (g, r, names[i], &found, e) == -1)
      return -1;
  if (!found.len && r->fs->ops->subvolume &&
      add_top_level (g, r, &found, e) == -1)
    return -1;
  if (!found.len && add_deployments (g, r, &found, e) == -1)
    return -1;
  if (!found.len)
    return 0;
  if (found.len > 1 &&
      (is_deployment (&found.items[0])
           ? choose_deployment (img, g, &found, &chosen, e)
           : choose_confirmed (img, &found, &chosen, e)) == -1)
    return -1;
  *r = found.items[chosen];
  found.items[chosen].subvolume = NULL;
  return 1;
}

/* --- looking at the volumes ------------------------------------------ */

struct search {
  struct image *image;
  struct guest *guest;
  struct root_vec roots;
  bool in_doubt; /* a volume before the root could not be read, though its
                    kind is one that is: it may be the one that boots */
};

static int
could_not_look (struct search *s, struct err *e)
{
  struct guest *g = s->guest;

  if (err_is_transient (e))
    return -1;
  if (e->code != ENOTSUP && !s->roots.len)
    s->in_doubt = true;
  fact_evidence (&g->family, "%s", e->msg);
  buf_printf (&g->unread, "%s%s", g->unread.len ? "; " : "", e->msg);
  err_clear (e);
  return 0;
}

/* An ISO image besides a partition table is an installer, or what is left of
 * one on a disk that was installed on since: a system boots from the
 * partitions. */
static bool
is_iso_besides_table (struct volume *vol)
{
  const struct partition_table *t = vol->image->table;

  return t->n_partitions > 1 && t->whole && !strcmp (t->whole, "iso9660") &&
         vol->partition && vol->partition->number == 0;
}

/* A snapshot of a logical volume has its UUID, and is no other system. */
static bool
is_snapshot (const struct search *s, struct volume *vol)
{
  const struct superblock *a = vol->superblock, *b;

  for (size_t i = 0; i < s->roots.len && !volume_partition (vol); i++) {
    b = s->roots.items[i].volume->superblock;
    if (a && b && a->uuid && b->uuid && !strcmp (a->uuid, b->uuid))
      return true;
  }
  return false;
}

static int
look_at (struct search *s, struct volume *vol, struct err *e)
{
  struct root root = { .volume = vol };
  int r;

  if (is_iso_besides_table (vol))
    return 0;
  if (!volume_readable (vol, e))
    return could_not_look (s, e);
  root.fs = volume_fs (vol, e);
  if (!root.fs) {
    err_clear (e); /* nothing there to look into */
    return 0;
  }
  r = find_root (s->image, s->guest, &root, e);
  if (r == 0) {
    r = windows_is_root (s->guest, vol, root.fs, e);
    root.windows = r == 1;
    root.ino = root.fs->root;
  }
  if (r == -1) {
    err_in (e, "%s", vol->label);
    return could_not_look (s, e);
  }
  if (r == 1 && is_snapshot (s, vol)) {
    fact_evidence (&s->guest->family, "%s: a snapshot or copy", vol->label);
    free (root.subvolume);
    return 0;
  }
  if (r == 1 && root_vec_push (&s->roots, root) == -1) {
    free (root.subvolume);
    return err_set (e, ENOMEM, "out of memory");
  }
  return 0;
}

/* --- what the boot loader starts ------------------------------------- */

static int
compose_root (struct search *s, const struct root *r, struct err *e)
{
  struct guest *g = s->guest;

  forget_composed (g);
  g->root = r->volume;
  vfs_init_at (&g->vfs, r->fs, r->ino);
  if (is_deployment (r) && !(g->deployment = strdup (r->subvolume)))
    return err_set (e, ENOMEM, "out of memory");
  return r->windows ? 0 : guest_compose (s->image, g, e);
}

/* What the loader of R starts its kernel with; R does not stay composed. */
static int
loader_cmdline (struct image *img, struct guest *g, const struct root *r,
                struct fact *ret, struct err *e)
{
  struct search s = { .image = img, .guest = g };
  int status = compose_root (&s, r, e);

  if (status == 0)
    status = boot_cmdline (&g->vfs, ret, e);
  forget_composed (g);
  g->root = NULL;
  return status;
}

/* A word of the command line, without its name. */
static char *
cmdline_value (const char *cmdline, const char *prefix)
{
  const char *word = cmdline_word (cmdline, prefix);

  if (!word)
    return NULL;
  word += strlen (prefix);
  return strndup (word, strcspn (word, " \t"));
}

/* Makes R, of those that were found, what CMDLINE mounts of it.  A subvolume
 * that is no root is not believed. */
static int
use_rootflags (struct search *s, struct root *r, const char *cmdline,
               struct err *e)
{
  CLEANUP_FREE char *flags = cmdline_value (cmdline, "rootflags=");
  struct root other = *r;
  int is;

  if (!flags || !r->fs->ops->subvolume ||
      (!mount_option (flags, "subvol", NULL, NULL) &&
       !mount_option (flags, "subvolid", NULL, NULL)))
    return 0;
  other.subvolume = flags;
  if (mounted_root (r->fs, flags, &other.ino, e) == -1)
    is = err_is_absent (e) ? 0 : -1;
  else
    is = other.ino == r->ino ? 0 : is_root (s->guest, &other, e);
  if (is == -1)
    return -1;
  err_clear (e);
  if (is == 0)
    return 0;
  free (r->subvolume);
  r->subvolume = steal_ptr (&flags);
  r->ino = other.ino;
  return 0;
}

/* The system that the loader of number I, which is composed, starts: its
 * number, or -1 if that cannot be told.  Errors: could not look. */
static int
ask_loader (struct search *s, size_t i, int *ret, struct err *e)
{
  const struct devices d = { s->image, s->roots.items[i].volume,
                             &s->guest->lines };
  __attribute__ ((cleanup (fact_free))) struct fact cmdline = { 0 };
  CLEANUP_FREE char *spec = NULL;
  struct volume *volume;

  *ret = -1;
  if (s->roots.items[i].windows)
    return 0;
  if (boot_cmdline (&s->guest->vfs, &cmdline, e) == -1)
    return -1;
  spec = cmdline.value ? cmdline_value (cmdline.value, "root=") : NULL;
  if (!spec)
    return 0;
  if (device_volume (&d, spec, &volume, e) == -1)
    return -1;
  for (size_t k = 0; volume && k < s->roots.len; k++)
    if (s->roots.items[k].volume == volume) {
      *ret = (int) k;
      fact_evidence (&s->guest->family,
                     "%s: its boot loader starts root=%s, which is %s",
                     s->roots.items[i].volume->label, spec, volume->label);
      return use_rootflags (s, &s->roots.items[k], cmdline.value, e);
    }
  fact_evidence (&s->guest->family,
                 "%s: its boot loader starts root=%s, which is none of the"
                 " systems here",
                 s->roots.items[i].volume->label, spec);
  return 0;
}

/* Is /boot of the system that is composed on the partition marked active? */
static bool
is_active (const struct search *s)
{
  const struct image *img = s->image;
  struct err e = { 0 };
  struct vfs_node n;

  if (strcmp (img->table->type, "dos") != 0 ||
      vfs_walk (&s->guest->vfs, "/boot", 0, &n, &e) == -1)
    return false; /* a hint, not a finding */
  for (size_t i = 0; i < img->n_volumes; i++)
    if (img->volumes[i]->fs == vfs_fs (&s->guest->vfs, n) &&
        volume_partition (img->volumes[i]))
      return volume_partition (img->volumes[i])->bootable;
  return false;
}

/* What each of several systems starts. */
struct answers {
  int starts[MAX_ASKED];
  bool active[MAX_ASKED];
  size_t n;
  struct err lost; /* code != 0: why one could not be asked, which may have
                      said something else than the others */
};

static int
ask (struct search *s, size_t i, struct answers *a, struct err *e)
{
  if (compose_root (s, &s->roots.items[i], e) == -1)
    return -1;
  a->active[i] = is_active (s);
  return ask_loader (s, i, &a->starts[i], e);
}

static int
ask_all (struct search *s, struct answers *a, struct err *e)
{
  a->n = MIN (s->roots.len, MAX_ASKED);
  for (size_t i = 0; i < a->n; i++) {
    a->starts[i] = -1;
    if (ask (s, i, a, e) == 0)
      continue;
    if (err_is_transient (e))
      return -1;
    err_in (e, "%s", s->roots.items[i].volume->label);
    fact_evidence (&s->guest->family, "%s", e->msg);
    a->lost = *e;
    err_clear (e);
  }
  return 0;
}

/* The one that all loaders start, or those alone that the master boot record
 * can start; -1: they do not agree. */
static int
agreed (const struct answers *a, bool active_alone)
{
  int found = -1;

  for (size_t i = 0; i < a->n; i++) {
    if (a->starts[i] == -1 || (active_alone && !a->active[i]))
      continue;
    if (found != -1 && found != a->starts[i])
      return -1;
    found = a->starts[i];
  }
  return found;
}

/* No loader says: a system on the active partition. */
static int
only_active (const struct answers *a)
{
  int found = -1;

  for (size_t i = 0; i < a->n; i++) {
    if (!a->active[i])
      continue;
    if (found != -1)
      return -1;
    found = (int) i;
  }
  return found;
}

static size_t
decide (struct search *s, const struct answers *a)
{
  struct fact *f = &s->guest->family;
  int found = agreed (a, false);
  const char *why = "the boot loader starts it";

  if (found == -1) {
    found = agreed (a, true);
    why = "the boot loader of the active partition starts it";
  }
  if (found == -1) {
    found = only_active (a);
    why = "it is on the active partition";
  }
  if (found == -1) {
    found = 0;
    why = "which of them starts cannot be told, and it is the first";
  }
  fact_evidence (f, "%zu systems; %s is taken: %s", s->roots.len,
                 s->roots.items[found].volume->label, why);
  return (size_t) found;
}

/* Of several Windows, the one that their boot manager starts: its number, or
 * -1.  Where there is a Linux too, its loader starts first. */
static int
ask_boot_manager (struct search *s, int *ret, struct err *e)
{
  struct volume *volume;

  *ret = -1;
  for (size_t i = 0; i < s->roots.len; i++)
    if (!s->roots.items[i].windows)
      return 0;
  if (boot_windows_default (s->image, &volume, e) == -1)
    return -1;
  for (size_t i = 0; volume && i < s->roots.len; i++)
    if (s->roots.items[i].volume == volume)
      *ret = (int) i;
  if (*ret != -1)
    fact_evidence (&s->guest->family,
                   "%zu systems; %s is taken: the boot configuration data"
                   " starts it",
                   s->roots.len, volume->label);
  return 0;
}

/* One system has no choice, but its loader may name another subvolume.  If
 * that cannot be read its fstab must do. */
static int
choose_single (struct search *s, struct err *e)
{
  struct root *r = &s->roots.items[0];
  uint64_t ino = r->ino;
  int starts;

  if (compose_root (s, r, e) == -1)
    return -1;
  if (ask_loader (s, 0, &starts, e) == -1) {
    if (err_is_transient (e))
      return -1;
    err_clear (e);
  }
  return ino == r->ino ? 0 : compose_root (s, r, e);
}

/* Composes the system that starts; without G->root it could not be told. */
static int
choose (struct search *s, bool *ret_windows, struct err *e)
{
  struct answers a = { 0 };
  struct guest *g = s->guest;
  size_t chosen;
  int windows;

  *ret_windows = s->roots.items[0].windows;
  if (s->roots.len == 1)
    return choose_single (s, e);
  if (ask_all (s, &a, e) == -1)
    return -1;
  if (a.lost.code) {
    forget_composed (g);
    g->root = NULL;
    return fact_unknown (&g->family, e,
                         "which of %zu systems starts cannot be told: %s",
                         s->roots.len, a.lost.msg);
  }
  if (ask_boot_manager (s, &windows, e) == -1)
    return -1;
  chosen = windows == -1 ? decide (s, &a) : (size_t) windows;
  *ret_windows = s->roots.items[chosen].windows;
  for (size_t i = 0; i < s->roots.len; i++)
    if (i != chosen)
      buf_printf (&g->others, "%s %s\n",
                  s->roots.items[i].windows ? "windows" : "linux",
                  s->roots.items[i].volume->name);
  return compose_root (s, &s->roots.items[chosen], e);
}

static void
cleanup_search (struct search *s)
{
  cleanup_roots (&s->roots);
}

int
guest_compute (void *arg, struct err *e)
{
  struct image *img = arg;
  struct guest *g = &img->guest;
  struct volume *const *volumes;
  bool windows = false;
  size_t n;
  __attribute__ ((cleanup (cleanup_search))) struct search s = { .image = img,
                                                                 .guest = g };

  guest_free (g);
  if (image_volumes (img, &volumes, &n, e) == -1)
    return -1;
  for (size_t i = 0; i < n; i++)
    if (look_at (&s, volumes[i], e) == -1)
      return -1;
  if (!s.roots.len || s.in_doubt) {
    if (g->unread.len)
      return fact_unknown (&g->family, e, "%s", g->unread.data);
    return fact_set (&g->family, e, "none");
  }
  if (choose (&s, &windows, e) == -1 || buf_check (&g->unread, e) == -1 ||
      buf_check (&g->others, e) == -1)
    return -1;
  if (!g->root)
    return 0;
  return fact_set (&g->family, e, windows ? "windows" : "linux");
}
