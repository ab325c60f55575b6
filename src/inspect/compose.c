/* xrayfs: the guest's tree, composed by its fstab
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * In the order in which a guest can do it: a mount waits for those on
 * directories above its own, a bind mount for those that its source lies in.
 * What the guest would mount and cannot be looked into is mounted blind.
 */
#include <string.h>

#include "inspect/guest_priv.h"

void
guest_note (struct guest *g, const char *point, const char *why)
{
  buf_puts (&g->notes, "fstab: ");
  buf_add_line_text (&g->notes, point, strlen (point));
  buf_puts (&g->notes, ": ");
  buf_add_line_text (&g->notes, why, strlen (why));
  buf_puts (&g->notes, "\n");
}

/* --- reading --------------------------------------------------------- */

/* Mount units that are started with the local filesystems, as fstab's lines
 * are.  Those of /etc are stronger than what is made of fstab, and so come
 * after it. */
static int
read_units (struct guest *g, const char *dir, struct err *e)
{
  CLEANUP_NAMES struct names n = { .prefix = "", .suffix = ".mount" };

  if (names_in (&g->vfs, dir, &n, e) == -1)
    return -1;
  for (size_t i = 0; i < n.list.len; i++) {
    CLEANUP_BUF struct buf text = { 0 };
    CLEANUP_FREE char *path = NULL;
    int r;

    if (asprintf (&path, "%s/%s", dir, n.list.items[i]) == -1) {
      path = NULL;
      return err_set (e, ENOMEM, "out of memory");
    }
    r = guest_text (&g->vfs, path, &text, e);
    if (r == -1 && e->code == EINVAL) { /* masked: /dev/null */
      err_clear (e);
      continue;
    }
    if (r == -1 ||
        (text.data && mount_unit_parse (text.data, &g->lines, e) == -1))
      return -1;
  }
  return 0;
}

static int
read_lines (struct guest *g, size_t *ret_fstab, struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };

  mount_lines_free (&g->lines);
  if (guest_text (&g->vfs, "/etc/fstab", &text, e) == -1)
    return -1;
  if (text.data && fstab_parse (text.data, &g->lines, e) == -1)
    return err_in (e, "/etc/fstab");
  *ret_fstab = g->lines.len;
  if (read_units (g, "/etc/systemd/system/local-fs.target.wants", e) == -1)
    return -1;
  return read_units (g, "/etc/systemd/system/local-fs.target.requires", e);
}

/* A line as os/fstab has it, with the volume for the device. */
static void
add_resolved (struct buf *to, const struct mount_line *m)
{
  const char *words[] = { m->volume ? volume_name (m->volume) : m->device,
                          m->point, m->type, m->options, m->numbers };

  for (size_t i = 0; i < ARRAY_SIZE (words); i++) {
    if (i)
      buf_puts (to, " ");
    buf_add_line_text (to, words[i], strlen (words[i]));
  }
  buf_puts (to, "\n");
}

static int
resolve (struct image *img, struct guest *g, size_t n_fstab, struct err *e)
{
  const struct devices d = { img, g->root, &g->lines };

  for (size_t i = 0; i < g->lines.len; i++) {
    struct mount_line *m = &g->lines.items[i];

    if (device_volume (&d, m->device, &m->volume, e) == -1)
      return -1;
    if (i < n_fstab)
      add_resolved (&g->fstab, m);
  }
  return 0;
}

/* --- subvolumes ------------------------------------------------------ */

int
directory_at (struct fs *fs, const char *path, uint64_t *ret, struct err *e)
{
  CLEANUP_FREE struct vfs *v = malloc (sizeof *v);
  struct vfs_node n;

  if (!v)
    return err_set (e, ENOMEM, "out of memory");
  vfs_init (v, fs);
  if (vfs_walk (v, path, 0, &n, e) == -1)
    return -1;
  *ret = n.ino;
  return 0;
}

/* Numbers may be in decimal, octal or hexadecimal, as the kernel's match_u64
 * has them; 0 is the top. */
static int
subvolume_by_id (struct fs *fs, const char *value, size_t len, uint64_t *ret,
                 struct err *e)
{
  char text[24], *end;
  uint64_t id;

  if (len == 0 || len >= sizeof text)
    return err_set (e, ENOENT, "subvolid '%.*s'", (int) MIN (len, 40), value);
  memcpy (text, value, len);
  text[len] = '\0';
  errno = 0;
  id = strtoull (text, &end, 0);
  if (errno || *end || strchr (text, '-'))
    return err_set (e, ENOENT, "subvolid '%s'", text);
  if (id == 0) {
    *ret = fs->root;
    return 0;
  }
  return fs_subvolume (fs, id, ret, e) == -1 ? err_in (e, "subvolid %s", text)
                                             : 0;
}

int
mounted_root (struct fs *fs, const char *options, uint64_t *ret,
              struct err *e)
{
  CLEANUP_FREE char *path = NULL;
  const char *value;
  size_t len;

  *ret = fs->default_root;
  if (!fs->ops->subvolume)
    return 0;
  if (mount_option (options, "subvol", &value, &len) && value) {
    path = strndup (value, len);
    if (!path)
      return err_set (e, ENOMEM, "out of memory");
    return directory_at (fs, path, ret, e) == -1
               ? err_in (e, "subvolume '%s'", path)
               : 0;
  }
  if (mount_option (options, "subvolid", &value, &len) && value)
    return subvolume_by_id (fs, value, len, ret, e);
  return 0;
}

/* --- mounting -------------------------------------------------------- */

/* WHY was said; what cannot pass is a note. */
static int
said (struct guest *g, const char *point, struct err *e)
{
  if (err_is_transient (e))
    return -1;
  guest_note (g, point, e->msg);
  err_clear (e);
  return 0;
}

int
guest_mount_blind (struct guest *g, const char *point, const char *why,
                   struct err *e)
{
  guest_note (g, point, why);
  if (vfs_mount_blind (&g->vfs, point, why, e) == 0)
    return 0;
  if (err_is_absent (e)) {
    err_clear (e);
    return 0;
  }
  return said (g, point, e);
}

static int
mount_device (struct guest *g, const struct mount_line *m, struct err *e)
{
  struct err why;
  struct fs *fs;
  uint64_t root;

  if (!m->volume && mount_is_optional (m)) {
    guest_note (g, m->point, "its device is not in the image");
    return 0;
  }
  if (!m->volume) {
    snprintf (why.msg, sizeof why.msg, "%.200s is not among the volumes read",
              m->device);
    return guest_mount_blind (g, m->point, why.msg, e);
  }
  fs = volume_readable (m->volume, e) ? volume_fs (m->volume, e) : NULL;
  if (fs && mounted_root (fs, m->options, &root, e) == 0) {
    if (vfs_mount (&g->vfs, m->point, fs, root, e) == 0)
      return 0;
    return said (g, m->point, e);
  }
  if (err_is_transient (e))
    return -1;
  if (fs && err_is_absent (e)) /* looked: there is no such subvolume */
    return said (g, m->point, e);
  why = *e;
  err_clear (e);
  return guest_mount_blind (g, m->point, why.msg, e);
}

int
guest_mount (struct guest *g, const char *point, struct volume *volume,
             struct err *e)
{
  char path[16], none[] = "";
  const struct mount_line m = { .kind = MOUNT_DEVICE,
                                .device = none,
                                .point = path,
                                .options = none,
                                .volume = volume };

  snprintf (path, sizeof path, "%s", point);
  return mount_device (g, &m, e);
}

static int
mount_bind (struct guest *g, const struct mount_line *m, struct err *e)
{
  bool recursive = mount_option (m->options, "rbind", NULL, NULL);
  struct err why;

  if (vfs_bind (&g->vfs, m->device, m->point, recursive, e) == 0)
    return 0;
  if (err_is_transient (e))
    return -1;
  if (err_is_absent (e) || e->code == EINVAL || e->code == EBUSY)
    return said (g, m->point, e);
  why = *e;
  err_clear (e);
  return guest_mount_blind (g, m->point, why.msg, e);
}

static int
mount_line (struct guest *g, const struct mount_line *m, struct err *e)
{
  switch (m->kind) {
  case MOUNT_DEVICE:
    return mount_device (g, m, e);
  case MOUNT_BIND:
    return mount_bind (g, m, e);
  case MOUNT_ELSEWHERE:
    if (mount_is_optional (m)) {
      guest_note (g, m->point, "what it shows is not in the image's volumes");
      return 0;
    }
    return guest_mount_blind (g, m->point,
                              "what the guest mounts there (the network, an"
                              " overlay, an image in a file) is not read",
                              e);
  default:
    return 0;
  }
}

/* --- in which order -------------------------------------------------- */

/* Is PATH at or below DIR? */
static bool
lies_in (const char *path, const char *dir)
{
  size_t len = strlen (dir);

  return !strncmp (path, dir, len) && (path[len] == '/' || !path[len]);
}

/* Must B be mounted before A can be? */
static bool
waits_for (const struct mount_line *a, const struct mount_line *b)
{
  if (strcmp (a->point, b->point) == 0)
    return b < a; /* the later one covers the earlier one */
  return lies_in (a->point, b->point) ||
         (a->kind == MOUNT_BIND && lies_in (a->device, b->point));
}

static bool
is_ready (const struct mount_line *const *todo, size_t n, size_t i)
{
  for (size_t k = 0; k < n; k++)
    if (k != i && todo[k] && waits_for (todo[i], todo[k]))
      return false;
  return true;
}

/* Mounts what is TODO, one after another; lines that wait for each other in a
 * circle are taken in their order. */
static int
mount_all (struct guest *g, const struct mount_line **todo, size_t n,
           struct err *e)
{
  size_t first, next;

  for (size_t done = 0; done < n; done++) {
    first = next = n;
    for (size_t i = 0; i < n && next == n; i++) {
      if (!todo[i])
        continue;
      first = MIN (first, i);
      if (is_ready (todo, n, i))
        next = i;
    }
    if (next == n)
      next = first;
    if (mount_line (g, todo[next], e) == -1)
      return -1;
    todo[next] = NULL;
  }
  return 0;
}

static bool
is_mounted (const struct mount_line *m)
{
  return strcmp (m->point, "/") != 0 &&
         (m->kind == MOUNT_DEVICE || m->kind == MOUNT_BIND ||
          m->kind == MOUNT_ELSEWHERE);
}

/* A guest has few mounts: more would be tried in vain, and their order takes
 * time that grows with the cube. */
static int
mount_lines (struct guest *g, struct err *e)
{
  const struct mount_line *todo[VFS_MAX_MOUNTS];
  size_t n = 0;

  for (size_t i = 0; i < g->lines.len; i++) {
    if (!is_mounted (&g->lines.items[i]))
      continue;
    if (n == ARRAY_SIZE (todo))
      return err_set (e, EFBIG, "/etc/fstab: more than %d mounts",
                      VFS_MAX_MOUNTS);
    todo[n++] = &g->lines.items[i];
  }
  return mount_all (g, todo, n, e);
}

/* --- all ------------------------------------------------------------- */

/* The line of "/" may name another volume than the one that was found: this
 * is a copy of a system, or it does not start like this. */
static void
check_root_line (struct guest *g)
{
  const struct mount_line *root = NULL;
  CLEANUP_BUF struct buf why = { 0 };

  for (size_t i = 0; i < g->lines.len; i++)
    if (!strcmp (g->lines.items[i].point, "/") &&
        g->lines.items[i].kind == MOUNT_DEVICE)
      root = &g->lines.items[i];
  if (!root || root->volume == g->root || !strcmp (root->device, "/dev/root"))
    return;
  buf_printf (&why, "its line names %s, which is %s and not this root, %s",
              root->device,
              root->volume ? volume_name (root->volume)
                           : "not among the volumes read",
              volume_name (g->root));
  guest_note (g, "/", buf_str (&why));
}

int
guest_compose (struct image *img, struct guest *g, struct err *e)
{
  size_t n_fstab = 0;

  /* Without it nothing is known of what lies on other filesystems, and all
   * that is not found might be there. */
  if (read_lines (g, &n_fstab, e) == -1 || resolve (img, g, n_fstab, e) == -1)
    return -1;
  check_root_line (g);
  if (mount_lines (g, e) == -1 || guest_compose_coreos (img, g, e) == -1 ||
      ostree_compose (img, g, e) == -1 || buf_check (&g->notes, e) == -1)
    return -1;
  return buf_check (&g->fstab, e);
}
