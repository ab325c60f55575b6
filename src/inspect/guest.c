/* xrayfs: which volume is the guest's root, and its tree composed by fstab
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "inspect/image_priv.h"
#include "inspect/windows.h"

void
guest_free (struct guest *g)
{
  vfs_free (&g->vfs);
  fact_free (&g->family);
  buf_free (&g->fstab);
  buf_free (&g->notes);
  buf_free (&g->others);
  buf_free (&g->unread);
  *g = (struct guest){ 0 };
}

/* --- is it a root filesystem? ---------------------------------------- */

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
is_root (struct guest *g, struct volume *vol, struct fs *fs, struct err *e)
{
  CLEANUP_FREE struct vfs *v = malloc (sizeof *v);
  const char *program, *identity, *etc;
  static const char *const etc_dir[] = { "/etc" };
  int r;

  if (!v)
    return err_set (e, ENOMEM, "out of memory");
  vfs_init (v, fs);
  if ((r = one_of (v, etc_dir, 1, &etc, e)) != 1 ||
      (r = one_of (v, programs, ARRAY_SIZE (programs), &program, e)) != 1 ||
      (r = one_of (v, identities, ARRAY_SIZE (identities), &identity, e)) !=
          1) {
    if (r == 0)
      fact_evidence (&g->family, "%s: no root filesystem of a Linux system",
                     vol->label);
    return r;
  }
  fact_evidence (&g->family, "%s: root of a Linux system: /etc, %s and %s",
                 vol->label, program, identity);
  return 1;
}

/* --- devices in fstab ------------------------------------------------ */

static bool
same (const char *a, const char *b)
{
  return a && b && !strcasecmp (a, b);
}

/* Partition number of a plain device name of the first disk, or -1.
 * sda1 hda1 vda1 xvda1 nvme0n1p1 mmcblk0p1 */
static long
device_partition (const char *name)
{
  static const char *const disks[] = { "sda",  "hda",      "vda",
                                       "xvda", "nvme0n1p", "mmcblk0p" };
  size_t len;
  char *end;
  long n;

  for (size_t i = 0; i < ARRAY_SIZE (disks); i++) {
    len = strlen (disks[i]);
    if (strncmp (name, disks[i], len) || !isdigit ((unsigned char) name[len]))
      continue;
    n = strtol (name + len, &end, 10);
    if (!*end)
      return n;
  }
  return -1;
}

enum tag { BY_UUID, BY_LABEL, BY_PARTUUID, BY_PARTLABEL, BY_DEVICE };

/* Splits a fstab device into what it is named by and the name. */
static enum tag
parse_spec (const char *spec, const char **ret)
{
  static const struct {
    const char *prefix;
    enum tag tag;
  } prefixes[] = {
    { "UUID=", BY_UUID },
    { "LABEL=", BY_LABEL },
    { "PARTUUID=", BY_PARTUUID },
    { "PARTLABEL=", BY_PARTLABEL },
    { "/dev/disk/by-uuid/", BY_UUID },
    { "/dev/disk/by-label/", BY_LABEL },
    { "/dev/disk/by-partuuid/", BY_PARTUUID },
    { "/dev/disk/by-partlabel/", BY_PARTLABEL },
    { "/dev/", BY_DEVICE },
  };

  for (size_t i = 0; i < ARRAY_SIZE (prefixes); i++) {
    size_t len = strlen (prefixes[i].prefix);
    if (!strncmp (spec, prefixes[i].prefix, len)) {
      *ret = spec + len;
      return prefixes[i].tag;
    }
  }
  *ret = spec;
  return BY_DEVICE;
}

static bool
volume_matches (struct volume *v, enum tag tag, const char *name,
                struct err *e)
{
  const struct superblock *sb;

  switch (tag) {
  case BY_PARTUUID:
    return same (v->partition->uuid, name);
  case BY_PARTLABEL:
    return v->partition->name && !strcmp (v->partition->name, name);
  case BY_DEVICE:
    return v->partition->number > 0 &&
           device_partition (name) == (long) v->partition->number;
  default:
    sb = volume_superblock (v, e);
    if (!sb) {
      err_clear (e); /* that volume says for itself what is wrong with it */
      return false;
    }
    return tag == BY_UUID ? same (sb->uuid, name)
                          : sb->label && !strcmp (sb->label, name);
  }
}

/* Quotes as in UUID="..." are allowed by fstab(5). */
static struct volume *
find_volume (struct image *img, const char *spec, struct err *e)
{
  const char *name;
  enum tag tag = parse_spec (spec, &name);
  char plain[256];
  size_t len = strlen (name);

  if (len >= 2 && name[0] == '"' && name[len - 1] == '"') {
    name++;
    len -= 2;
  }
  snprintf (plain, sizeof plain, "%.*s", (int) MIN (len, 255), name);
  for (size_t i = 0; i < img->n_volumes; i++)
    if (volume_matches (img->volumes[i], tag, plain, e))
      return img->volumes[i];
  return NULL;
}

/* --- fstab ----------------------------------------------------------- */

/* \040 and friends, fstab(5). */
static void
decode_octal (char *s)
{
  char *to = s;

  for (; *s; s++) {
    if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' &&
        s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
      *to++ = (char) ((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
      s += 3;
    } else
      *to++ = *s;
  }
  *to = '\0';
}

struct mount_line {
  char *line; /* the others point into it */
  char *device, *point, *type;
  const char *options, *dump, *pass;
};
DEFINE_VEC (mount_vec, struct mount_line)

struct fstab {
  struct image *image;
  struct guest *guest;
  struct mount_vec mounts;
  struct err *err;
};

static void
cleanup_fstab (struct fstab *f)
{
  for (size_t i = 0; i < f->mounts.len; i++)
    free (f->mounts.items[i].line);
  free (f->mounts.items);
}

static int
parse_line (void *arg, char *line)
{
  struct fstab *f = arg;
  struct mount_line m = { 0 };
  char *words[6] = { 0 };

  m.line = strdup (line);
  if (!m.line)
    return err_set (f->err, ENOMEM, "out of memory");
  if (split_words (m.line, words, 6) < 3 || words[0][0] == '#') {
    free (m.line);
    return 0;
  }
  m.device = words[0];
  m.point = words[1];
  m.type = words[2];
  m.options = words[3] ? words[3] : "defaults";
  m.dump = words[4] ? words[4] : "0";
  m.pass = words[5] ? words[5] : "0";
  decode_octal (m.device);
  decode_octal (m.point);
  if (mount_vec_push (&f->mounts, m) == -1) {
    free (m.line);
    return err_set (f->err, ENOMEM, "out of memory");
  }
  return 0;
}

static void
add_resolved (struct buf *to, const struct mount_line *m,
              const struct volume *vol)
{
  const char *words[] = { vol ? vol->name : m->device,
                          m->point,
                          m->type,
                          m->options,
                          m->dump,
                          m->pass };

  for (size_t i = 0; i < ARRAY_SIZE (words); i++) {
    if (i)
      buf_puts (to, " ");
    buf_add_line_text (to, words[i], strlen (words[i]));
  }
  buf_puts (to, "\n");
}

/* Does the guest mount there what an image could hold? */
static bool
is_disk_mount (const struct mount_line *m)
{
  static const char *const others[] = {
    "swap",       "proc",        "sysfs",    "tmpfs",     "devpts",
    "devtmpfs",   "cgroup",      "cgroup2",  "debugfs",   "securityfs",
    "nfs",        "nfs4",        "cifs",     "smb3",      "iso9660",
    "udf",        "udf,iso9660", "auto",     "none",      "overlay",
    "fuse",       "9p",          "virtiofs", "hugetlbfs", "mqueue",
    "binfmt_misc"
  };

  for (size_t i = 0; i < ARRAY_SIZE (others); i++)
    if (!strcmp (m->type, others[i]))
      return false;
  return m->point[0] == '/' && m->point[1] != '\0' &&
         !strstr (m->options, "bind");
}

static int
note (struct guest *g, const char *point, const char *why)
{
  buf_printf (&g->notes, "fstab: ");
  buf_add_line_text (&g->notes, point, strlen (point));
  buf_puts (&g->notes, ": ");
  buf_add_line_text (&g->notes, why, strlen (why));
  buf_puts (&g->notes, "\n");
  return 0;
}

/* What lies below POINT is not known: it must not look absent. */
static int
mount_blind (struct fstab *f, const char *point, const char *why)
{
  struct err e = { 0 };

  note (f->guest, point, why);
  if (vfs_mount_blind (&f->guest->vfs, point, why, &e) == 0 ||
      err_is_absent (&e))
    return 0;
  if (err_is_transient (&e)) {
    *f->err = e;
    return -1;
  }
  return note (f->guest, point, e.msg);
}

static int
compose (struct fstab *f, const struct mount_line *m, struct volume *vol)
{
  struct err *e = f->err, why;
  struct fs *fs;

  if (!vol &&
      (strstr (m->options, "nofail") || strstr (m->options, "noauto")))
    return note (f->guest, m->point, "its device is not in the image");
  if (!vol) {
    snprintf (why.msg, sizeof why.msg, "%.200s is not among the volumes read",
              m->device);
    return mount_blind (f, m->point, why.msg);
  }
  fs = volume_readable (vol, e) ? volume_fs (vol, e) : NULL;
  if (fs && vfs_mount (&f->guest->vfs, m->point, fs, fs->root, e) == 0)
    return 0;
  if (err_is_transient (e))
    return -1;
  why = *e;
  err_clear (e);
  return fs ? note (f->guest, m->point, why.msg)
            : mount_blind (f, m->point, why.msg);
}

static int
by_point (const void *a, const void *b)
{
  return strcmp (((const struct mount_line *) a)->point,
                 ((const struct mount_line *) b)->point);
}

/* /boot comes before /boot/efi, however fstab has them. */
static int
compose_all (struct fstab *f)
{
  struct volume *vol;

  if (f->mounts.len)
    qsort (f->mounts.items, f->mounts.len, sizeof *f->mounts.items, by_point);
  for (size_t i = 0; i < f->mounts.len; i++) {
    const struct mount_line *m = &f->mounts.items[i];
    if (!is_disk_mount (m))
      continue;
    vol = find_volume (f->image, m->device, f->err);
    if (vol != f->guest->root && compose (f, m, vol) == -1)
      return -1;
  }
  return 0;
}

static int
apply_fstab (struct image *img, struct guest *g, struct err *e)
{
  __attribute__ ((cleanup (cleanup_fstab))) struct fstab f = { .image = img,
                                                               .guest = g,
                                                               .err = e };
  CLEANUP_BUF struct buf text = { 0 };
  int r = guest_text (&g->vfs, "/etc/fstab", &text, e);

  /* Without it nothing is known of what lies on other filesystems, and all
   * that is not found might be there. */
  if (r == -1)
    return -1;
  if (r == 0 || !text.data)
    return 0;
  if (each_line (text.data, parse_line, &f))
    return -1;
  for (size_t i = 0; i < f.mounts.len; i++)
    add_resolved (&g->fstab, &f.mounts.items[i],
                  find_volume (img, f.mounts.items[i].device, e));
  return compose_all (&f);
}

/* --- the choice ------------------------------------------------------ */

struct search {
  struct volume *root;
  bool is_windows;
  bool in_doubt; /* a volume before the root could not be read, though its
                    kind is one that is: it may be the one that boots */
};

static int
could_not_look (struct guest *g, struct search *s, struct err *e)
{
  if (err_is_transient (e))
    return -1;
  if (e->code != ENOTSUP && !s->root)
    s->in_doubt = true;
  fact_evidence (&g->family, "%s", e->msg);
  buf_printf (&g->unread, "%s%s", g->unread.len ? "; " : "", e->msg);
  err_clear (e);
  return 0;
}

static int
look_at (struct guest *g, struct search *s, struct volume *vol, struct err *e)
{
  struct fs *fs;
  bool windows = false;
  int r;

  if (!volume_readable (vol, e))
    return could_not_look (g, s, e);
  fs = volume_fs (vol, e);
  if (!fs) {
    err_clear (e); /* nothing there to look into */
    return 0;
  }
  r = is_root (g, vol, fs, e);
  if (r == 0) {
    r = windows_is_root (g, vol, fs, e);
    windows = r == 1;
  }
  if (r == -1) {
    err_in (e, "%s", vol->label);
    return could_not_look (g, s, e);
  }
  if (r == 1 && !s->root) {
    s->root = vol;
    s->is_windows = windows;
  } else if (r == 1)
    buf_printf (&g->others, "%s %s\n", windows ? "windows" : "linux",
                vol->name);
  return 0;
}

int
guest_compute (void *arg, struct err *e)
{
  struct image *img = arg;
  struct guest *g = &img->guest;
  struct search s = { 0 };

  guest_free (g);
  if (!image_table (img, e))
    return -1;
  for (size_t i = 0; i < img->n_volumes; i++)
    if (look_at (g, &s, img->volumes[i], e) == -1)
      return -1;
  if (!s.root || s.in_doubt) {
    if (g->unread.len)
      return fact_unknown (&g->family, e, "%s", g->unread.data);
    return fact_set (&g->family, e, "none");
  }
  vfs_init (&g->vfs, s.root->fs);
  g->root = s.root;
  if (s.is_windows)
    return fact_set (&g->family, e, "windows");
  if (apply_fstab (img, g, e) == -1 || buf_check (&g->unread, e) == -1 ||
      buf_check (&g->notes, e) == -1 || buf_check (&g->fstab, e) == -1)
    return -1;
  return fact_set (&g->family, e, "linux");
}
