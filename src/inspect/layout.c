/* xrayfs: the volumes of an image and the filesystems on them
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "base/bytes.h"
#include "inspect/image_priv.h"

void
volume_free (struct volume *v)
{
  if (!v)
    return;
  fs_unmount (v->fs);
  fs_info_free (&v->info);
  superblock_free (v->superblock);
  fact_free (&v->role);
  if (!v->logical)
    block_close (v->block);
  lazy_destroy (&v->superblock_cell);
  lazy_destroy (&v->fs_cell);
  lazy_destroy (&v->info_cell);
  lazy_destroy (&v->role_cell);
  free (v->name);
  free (v->label);
  free (v);
}

void
layout_free (struct image *img)
{
  for (size_t i = 0; i < img->n_partitions; i++)
    volume_free (img->partitions[i]);
  free (img->partitions);
  partition_table_free (img->table);
  img->partitions = NULL;
  img->n_partitions = 0;
  img->table = NULL;
}

static int
name_partition (struct volume *v)
{
  if (v->partition->number == 0) {
    v->name = strdup ("partitions/whole");
    v->label = strdup ("disk");
    return v->name && v->label ? 0 : -1;
  }
  if (asprintf (&v->name, "partitions/%u", v->partition->number) == -1)
    v->name = NULL;
  if (asprintf (&v->label, "partition %u", v->partition->number) == -1)
    v->label = NULL;
  return v->name && v->label ? 0 : -1;
}

/* A partition that reaches beyond the end of the disk is cut there, as the
 * kernel does. */
static uint64_t
size_on_disk (const struct image *img, const struct partition *p)
{
  uint64_t disk = img->disk->size;

  return p->start >= disk ? 0 : MIN (p->size, disk - p->start);
}

struct volume *
volume_new (struct image *img, unsigned index, struct err *e)
{
  struct volume *v = calloc (1, sizeof *v);

  if (!v) {
    err_set (e, ENOMEM, "out of memory");
    return NULL;
  }
  v->image = img;
  v->index = index;
  lazy_init (&v->superblock_cell, NULL, NULL);
  lazy_init (&v->fs_cell, NULL, NULL);
  lazy_init (&v->info_cell, NULL, NULL);
  lazy_init (&v->role_cell, NULL, NULL);
  return v;
}

static struct volume *
partition_volume_new (struct image *img, unsigned index, struct err *e)
{
  struct volume *v = volume_new (img, index, e);

  if (!v)
    return NULL;
  v->partition = &img->table->partitions[index];
  if (name_partition (v) == -1)
    err_set (e, ENOMEM, "out of memory");
  else if (block_slice_open (img->disk, v->partition->start,
                             size_on_disk (img, v->partition), &v->block,
                             e) == 0)
    return v;
  volume_free (v);
  return NULL;
}

int
layout_compute (void *arg, struct err *e)
{
  struct image *img = arg;
  struct partition_table *table;

  layout_free (img); /* of an attempt that memory or time cut short */
  if (partition_table_read (img->disk, &table, e) == -1)
    return err_in (e, "partition table");
  img->table = table;
  img->partitions = calloc (table->n_partitions + 1, sizeof *img->partitions);
  if (!img->partitions)
    return err_set (e, ENOMEM, "out of memory");
  for (size_t i = 0; i < table->n_partitions; i++) {
    struct volume *v = partition_volume_new (img, (unsigned) i, e);
    if (!v)
      return -1;
    img->partitions[img->n_partitions++] = v;
  }
  return 0;
}

const struct partition_table *
image_table (struct image *img, struct err *e)
{
  return lazy_get (&img->table_cell, layout_compute, img, e) == 0 ? img->table
                                                                  : NULL;
}

int
image_partitions (struct image *img, struct volume *const **ret,
                  size_t *ret_n, struct err *e)
{
  if (!image_table (img, e))
    return -1;
  *ret = img->partitions;
  *ret_n = img->n_partitions;
  return 0;
}

int
image_volumes (struct image *img, struct volume *const **ret, size_t *ret_n,
               struct err *e)
{
  if (lazy_get (&img->volumes_cell, logical_compute, img, e) == -1)
    return -1;
  *ret = img->volumes;
  *ret_n = img->n_volumes;
  return 0;
}

/* A partition does not need the logical volumes, which may take long or
 * fail. */
struct volume *
image_volume (struct image *img, size_t index, struct err *e)
{
  struct volume *const *v;
  size_t n;

  if (image_partitions (img, &v, &n, e) == -1 ||
      (index >= n && image_volumes (img, &v, &n, e) == -1))
    return NULL;
  if (index < n)
    return v[index];
  err_set (e, ENOENT, "no such volume");
  return NULL;
}

bool
image_volumes_ready (struct image *img)
{
  return lazy_ready (&img->table_cell);
}

const char *
volume_name (const struct volume *v)
{
  return v->name;
}

unsigned
volume_index (const struct volume *v)
{
  return v->index;
}

const struct partition *
volume_partition (const struct volume *v)
{
  return v->partition;
}

const struct logical *
volume_logical (const struct volume *v)
{
  return v->logical;
}

struct block *
volume_block (const struct volume *v)
{
  return v->block;
}

/* --- superblock and filesystem --------------------------------------- */

static int
superblock_compute (void *arg, struct err *e)
{
  struct volume *v = arg;

  if (v->logical && v->logical->refusal)
    return err_set (e, v->logical->refusal_code, "%s: %s", v->label,
                    v->logical->refusal);
  if (superblock_probe (v->block, &v->superblock, e) == -1)
    return err_in (e, "%s", v->label);
  return 0;
}

const struct superblock *
volume_superblock (struct volume *v, struct err *e)
{
  return lazy_get (&v->superblock_cell, superblock_compute, v, e) == 0
             ? v->superblock
             : NULL;
}

static bool
volume_is_extended (const struct volume *v)
{
  return v->partition && v->partition->extended;
}

/* What else the image has of the filesystem on volume ARG.  What cannot be
 * read is missing then, and the driver says so. */
static int
each_member (void *arg, fs_member_fn fn, void *to, struct err *e)
{
  struct volume *v = arg, *const * all;
  const struct superblock *sb;
  struct err why = { 0 };
  size_t n;

  if (image_volumes (v->image, &all, &n, e) == -1)
    return -1;
  for (size_t i = 0; i < n; i++) {
    sb = all[i] == v ? NULL : volume_superblock (all[i], &why);
    if (err_is_transient (&why)) {
      *e = why;
      return -1;
    }
    if (sb && !strcmp (sb->type, v->superblock->type) && sb->uuid &&
        v->superblock->uuid && !strcmp (sb->uuid, v->superblock->uuid) &&
        fn (to, all[i]->block, e) == -1)
      return -1;
  }
  return 0;
}

static int
fs_compute (void *arg, struct err *e)
{
  struct volume *v = arg;
  const struct superblock *sb = volume_superblock (v, e);
  const struct fs_members members = { each_member, v };

  if (!sb)
    return -1;
  if (v->logical && sb->table && !strcmp (sb->type, "none"))
    return err_set (e, ENOTSUP,
                    "%s: it has a partition table (%s), which is not read",
                    v->label, sb->table);
  if (volume_is_extended (v) || !strcmp (sb->type, "none"))
    return err_set (e, ENOENT, "%s: no filesystem", v->label);
  if (fs_mount_members (v->block, sb->type, &members, &v->fs, e) == -1)
    return err_in (e, "%s", v->label);
  return 0;
}

struct fs *
volume_fs (struct volume *v, struct err *e)
{
  return lazy_get (&v->fs_cell, fs_compute, v, e) == 0 ? v->fs : NULL;
}

bool
volume_fs_ready (struct volume *v)
{
  return lazy_ready (&v->fs_cell);
}

/* Is V a part of volumes that are listed for themselves? */
static bool
is_part (const struct superblock *sb)
{
  return !strcmp (sb->type, "LVM2_member") ||
         !strcmp (sb->type, "linux_raid_member");
}

static int
part_info (struct volume *v, struct err *e)
{
  const struct member *m = volume_member (v, e);

  if (m && m->err.code && m->size == UINT64_MAX)
    *e = m->err;
  else if (m && m->unread.code)
    *e = m->unread;
  if (!m || e->code)
    return -1;
  v->info = (struct fs_info){ .size = m->size,
                              .used = m->used,
                              .free = m->free,
                              .inodes = UINT64_MAX,
                              .inodes_free = UINT64_MAX };
  memcpy (v->info.state, m->state, sizeof v->info.state);
  buf_puts (&v->info.features, buf_str (&m->features));
  return buf_check (&v->info.features, e);
}

/* Swap, or an encrypted volume. */
static int
container_compute (struct volume *v, const struct container_ops *ops,
                   struct err *e)
{
  struct container_info c;

  if (ops->info (v->block, &c, e) == -1)
    return err_in (e, "%s", v->label);
  v->info = (struct fs_info){ .size = c.size,
                              .used = UINT64_MAX,
                              .free = UINT64_MAX,
                              .inodes = UINT64_MAX,
                              .inodes_free = UINT64_MAX,
                              .features = c.features };
  memcpy (v->info.state, c.state, sizeof v->info.state);
  memcpy (v->hidden, c.hidden, sizeof v->hidden);
  return buf_check (&v->info.features, e);
}

static int
fs_info_compute (void *arg, struct err *e)
{
  struct volume *v = arg;
  const struct superblock *sb = volume_superblock (v, e);
  const struct container_ops *ops = sb ? container_find (sb->type) : NULL;
  struct fs *fs;

  if (!sb)
    return -1;
  fs_info_free (&v->info); /* of an attempt that memory cut short */
  if (is_part (sb))
    return part_info (v, e);
  if (ops)
    return container_compute (v, ops, e);
  fs = volume_fs (v, e);
  if (!fs)
    return -1;
  if (fs_info (fs, &v->info, e) == -1)
    return err_in (e, "%s", v->label);
  return 0;
}

const struct fs_info *
volume_fs_info (struct volume *v, struct err *e)
{
  return lazy_get (&v->info_cell, fs_info_compute, v, e) == 0 ? &v->info
                                                              : NULL;
}

/* Could a file be missing that the log has? */
static bool
is_up_to_date (struct volume *v, const struct fs *fs, struct err *why)
{
  const struct fs_info *i;

  if (!fs->ops->stale_without_log)
    return true;
  i = volume_fs_info (v, why);
  if (!i)
    return false;
  if (!strcmp (i->state, "clean"))
    return true;
  err_set (
      why, ENOTSUP,
      "%s: %s: its log was not replayed (%s), so that what was written last"
      " cannot be seen; mount and unmount it once, or export it again"
      " after a shutdown",
      v->label, fs->ops->name, i->state);
  return false;
}

static bool
part_readable (struct volume *v, struct err *why)
{
  const struct member *m = volume_member (v, why);

  if (m && m->err.code)
    *why = m->err;
  return m && !m->err.code;
}

/* Swap has nothing to look into. */
static bool
container_readable (struct volume *v, const struct superblock *sb,
                    struct err *why)
{
  if (!volume_fs_info (v, why) &&
      (why->code == EIO || err_is_transient (why)))
    return false;
  err_clear (why);
  if (!v->hidden[0] && strcmp (sb->usage ? sb->usage : "", "crypto"))
    return true;
  err_set (why, ENOTSUP, "%s: %s: what it holds cannot be seen", v->label,
           v->hidden[0] ? v->hidden : "encrypted");
  return false;
}

bool
volume_readable (struct volume *v, struct err *why)
{
  const struct superblock *sb = volume_superblock (v, why);
  const struct fs *fs;

  if (!sb)
    return false;
  if (is_part (sb))
    return part_readable (v, why);
  if (container_find (sb->type))
    return container_readable (v, sb, why);
  fs = volume_fs (v, why);
  if (fs)
    return is_up_to_date (v, fs, why);
  if (why->code != ENOENT)
    return false;
  err_clear (why);
  return true;
}

/* --- role ------------------------------------------------------------ */

static const struct {
  const char *type, *role;
} roles_by_type[] = {
  /* MBR */
  { "0xef", "esp" },
  { "0x82", "swap" },
  { "0x8e", "lvm" },
  { "0x27", "recovery" },
  /* GPT: UEFI specification 2.10, table 5.7, and Discoverable Partitions */
  { "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "esp" },
  { "21686148-6449-6e6f-744e-656564454649", "bios-boot" },
  { "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "swap" },
  { "e6d6d379-f507-44c2-a23c-238f2a3df928", "lvm" },
  { "de94bba4-06d1-4d40-a16a-bfd50179d6ac", "recovery" },
  { "bc13c2ff-59e6-4262-a352-b275fd6f7172", "boot" },
  { "933ac7e1-2eb4-4f13-b844-0e14e2aef915", "home" },
  { "4d21b016-b534-45c2-a9fb-5c16e091fd2d", "var" },
};

static const struct {
  const char *type, *role;
} roles_by_filesystem[] = {
  { "swap", "swap" },
  { "swsuspend", "swap" },
  { "LVM2_member", "lvm" },
};

static const struct {
  const char *path, *path2, *role;
} roles_by_content[] = {
  { "/Windows/System32/config/SYSTEM", NULL, "windows" },
  { "/WINNT/System32/config/SYSTEM", NULL, "windows" },
  { "/Boot/BCD", NULL, "windows-boot" },
  { "/Recovery/WindowsRE", NULL, "recovery" },
  { "/etc", "/usr", "root" },          { "/etc", "/bin", "root" },
  { "/grub/grub.cfg", NULL, "boot" },  { "/grub2/grub.cfg", NULL, "boot" },
  { "/grub/menu.lst", NULL, "boot" },  { "/grub/grub.conf", NULL, "boot" },
  { "/loader/entries", NULL, "boot" }, { "/EFI", NULL, "esp" },
  { "/lib/dpkg", "/log", "var" },      { "/lib/rpm", "/log", "var" },
};

static int
role_from_content (struct volume *v, struct fs *fs, struct err *e)
{
  struct vfs *vfs __attribute__ ((cleanup (cleanup_free))) =
      malloc (sizeof *vfs);
  const char *path, *path2;
  int there;

  if (!vfs)
    return err_set (e, ENOMEM, "out of memory");
  vfs_init (vfs, fs);
  vfs->mounts[0].root = fs->default_root;
  for (size_t i = 0; i < ARRAY_SIZE (roles_by_content); i++) {
    path = roles_by_content[i].path;
    path2 = roles_by_content[i].path2;
    there = vfs_exists (vfs, path, e);
    if (there == 1 && path2)
      there = vfs_exists (vfs, path2, e);
    if (there == -1)
      return -1;
    if (there == 0)
      continue;
    fact_evidence (&v->role, "%s: %s is there%s%s", v->label, path,
                   path2 ? ", and " : "", path2 ? path2 : "");
    return fact_set (&v->role, e, "%s", roles_by_content[i].role);
  }
  return fact_set (&v->role, e, "data");
}

static int
role_from_types (struct volume *v, const struct superblock *sb, struct err *e)
{
  const char *type = v->partition ? v->partition->type : NULL;

  for (size_t i = 0; i < ARRAY_SIZE (roles_by_filesystem); i++)
    if (!strcmp (sb->type, roles_by_filesystem[i].type))
      return fact_set (&v->role, e, "%s", roles_by_filesystem[i].role);
  for (size_t i = 0; type && i < ARRAY_SIZE (roles_by_type); i++)
    if (!strcmp (type, roles_by_type[i].type))
      return fact_set (&v->role, e, "%s", roles_by_type[i].role);
  return 0;
}

static int
role_compute (void *arg, struct err *e)
{
  struct volume *v = arg;
  const struct superblock *sb = volume_superblock (v, e);
  struct fs *fs;

  fact_free (&v->role);
  if (!sb)
    return -1;
  fact_evidence (&v->role, "%s: type %s, filesystem %s", v->label,
                 v->partition && v->partition->type ? v->partition->type
                                                    : "none",
                 sb->type);
  if (role_from_types (v, sb, e) == -1)
    return -1;
  if (fact_known (&v->role))
    return 0;
  if (container_find (sb->type) && !volume_readable (v, e))
    return fact_could_not_look (&v->role, e);
  if (is_part (sb))
    return fact_unknown (&v->role, e, "%s is a part of what volumes/ shows",
                         v->label);
  fs = volume_fs (v, e);
  if (fs)
    return role_from_content (v, fs, e) == -1
               ? fact_could_not_look (&v->role, e)
               : 0;
  if (e->code == ENOENT) {
    err_clear (e);
    return fact_unknown (&v->role, e, "%s holds nothing that is recognised",
                         v->label);
  }
  return fact_could_not_look (&v->role, e);
}

const struct fact *
volume_role (struct volume *v, struct err *e)
{
  return lazy_get (&v->role_cell, role_compute, v, e) == 0 ? &v->role : NULL;
}
