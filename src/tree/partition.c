/* xrayfs: partitions/N/ and volumes/NAME/
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>

#include "tree/node.h"

struct volume *
node_volume (const struct node *n, struct err *e)
{
  return image_volume (node_image (n), n->index, e);
}

/* --- from the partition table ---------------------------------------- */

#define SHOW_PARTITION(function, expression)                                 \
  static int function (struct node *n, struct finding *f, struct err *e)     \
  {                                                                          \
    struct volume *v = node_volume (n, e);                                   \
    const struct partition *p = v ? volume_partition (v) : NULL;             \
    return p ? expression : -1;                                              \
  }
SHOW_PARTITION (show_start, show_number (f, p->start))
SHOW_PARTITION (show_size, show_number (f, p->size))
SHOW_PARTITION (show_type, show_text (f, p->type))
SHOW_PARTITION (show_type_name, show_text (f, p->type_name))
SHOW_PARTITION (show_bootable, show_yes_no (f, p->bootable))
SHOW_PARTITION (show_uuid, show_text (f, p->uuid))
SHOW_PARTITION (show_name, show_text (f, p->name))

static int
show_flags (struct node *n, struct finding *f, struct err *e)
{
  struct volume *v = node_volume (n, e);
  const struct partition *p = v ? volume_partition (v) : NULL;

  if (!p)
    return -1;
  if (p->number == 0)
    return show_text (f, NULL);
  buf_printf (&f->text, "0x%" PRIx64 "\n", p->flags);
  return 0;
}

/* --- from the metadata of logical volumes ----------------------------- */

#define SHOW_LOGICAL(function, expression)                                   \
  static int function (struct node *n, struct finding *f, struct err *e)     \
  {                                                                          \
    struct volume *v = node_volume (n, e);                                   \
    const struct logical *l = v ? volume_logical (v) : NULL;                 \
    return l ? expression : -1;                                              \
  }
SHOW_LOGICAL (show_volume_size, show_number (f, l->size))
SHOW_LOGICAL (show_segments, show_lines (f, buf_str (&l->segments)))

/* --- from the superblock --------------------------------------------- */

static const struct superblock *
node_superblock (struct node *n, struct err *e)
{
  struct volume *v = node_volume (n, e);

  return v ? volume_superblock (v, e) : NULL;
}

#define SHOW_SUPERBLOCK(function, member)                                    \
  static int function (struct node *n, struct finding *f, struct err *e)     \
  {                                                                          \
    const struct superblock *s = node_superblock (n, e);                     \
    return s ? show_text (f, s->member) : -1;                                \
  }
SHOW_SUPERBLOCK (show_fs_uuid, uuid)
SHOW_SUPERBLOCK (show_fs_version, version)

/* Bytes of the UTF-8 character at S, or 0 where there is none. */
static size_t
utf8_length (const unsigned char *s)
{
  size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;

  if (n > 1 && (s[0] < 0xc2 || s[0] > 0xf4))
    return 0;
  for (size_t i = 1; i < n; i++)
    if ((s[i] & 0xc0) != 0x80)
      return 0;
  return n;
}

/* A label of an old code page is no text: blkid shows such bytes as "M-x". */
static int
show_label (struct node *n, struct finding *f, struct err *e)
{
  const struct superblock *s = node_superblock (n, e);
  size_t len;

  if (!s)
    return -1;
  for (const char *p = s->label ? s->label : ""; *p; p += len ? len : 1) {
    unsigned char low = *p & 0x7f;
    len = utf8_length ((const unsigned char *) p);
    if (len)
      buf_add_line_text (&f->text, p, len);
    else if (low < 0x20 || low == 0x7f)
      buf_printf (&f->text, "M-^%c", low ^ 0x40);
    else
      buf_printf (&f->text, "M-%c", low);
  }
  return show_text (f, NULL);
}

static int
show_filesystem (struct node *n, struct finding *f, struct err *e)
{
  const struct superblock *s = node_superblock (n, e);

  if (!s)
    return -1;
  if (s->ambivalent)
    return err_set (e, ENOTSUP, "%s", s->ambivalent);
  return show_text (f, s->type);
}

/* --- from the filesystem itself -------------------------------------- */

/* 1: *RET; 0: there is no filesystem to ask (an absent value). */
static int
node_fs_info (struct node *n, const struct fs_info **ret, struct err *e)
{
  struct volume *v = node_volume (n, e);
  const struct partition *p = v ? volume_partition (v) : NULL;
  const struct superblock *s = v ? volume_superblock (v, e) : NULL;

  if (!s)
    return -1;
  if (!strcmp (s->type, "none") || (p && p->extended))
    return 0;
  *ret = volume_fs_info (v, e);
  return *ret ? 1 : -1;
}

/* A number that is not known is absent where it has no meaning (what is used
 * of swap), unless what it counts is hidden. */
static int
show_known (struct node *n, struct finding *f, uint64_t number, struct err *e)
{
  struct volume *v = node_volume (n, e);
  const struct superblock *s = v ? volume_superblock (v, e) : NULL;

  if (number != UINT64_MAX)
    return show_number (f, number);
  if (!s)
    return -1;
  if (fs_driver (s->type))
    return err_set (e, ENOTSUP, "the filesystem does not say");
  return volume_readable (v, e) ? show_text (f, NULL) : -1;
}

#define SHOW_FS(function, expression)                                        \
  static int function (struct node *n, struct finding *f, struct err *e)     \
  {                                                                          \
    const struct fs_info *i;                                                 \
    int r = node_fs_info (n, &i, e);                                         \
    return r == -1 ? -1 : r == 0 ? show_text (f, NULL) : expression;         \
  }
SHOW_FS (show_fs_size, show_known (n, f, i->size, e))
SHOW_FS (show_fs_used, show_known (n, f, i->used, e))
SHOW_FS (show_fs_free, show_known (n, f, i->free, e))
SHOW_FS (show_fs_features, show_text (f, buf_str (&i->features)))
SHOW_FS (show_fs_state, show_text (f, i->state))

static int
show_role (struct node *n, struct finding *f, struct err *e)
{
  struct volume *v = node_volume (n, e);
  const struct fact *role = v ? volume_role (v, e) : NULL;

  return role ? show_fact (f, role, e) : -1;
}

static const struct node_def partition_rows[] = {
  NUMBER_ROW ("start", show_start, "first byte of the partition"),
  NUMBER_ROW ("size", show_size, "bytes of the partition"),
  TEXT_ROW ("type", show_type, "MBR byte as 0x83, or the GPT GUID"),
  TEXT_ROW ("type_name", show_type_name, "common name of the type"),
  TEXT_ROW ("bootable", show_bootable,
            "MBR active flag, or GPT legacy-boot bit"),
  TEXT_ROW ("uuid", show_uuid, "PARTUUID"),
  TEXT_ROW ("name", show_name, "GPT name"),
  TEXT_ROW ("flags", show_flags, "raw attributes, hexadecimal"),
  END_ROWS,
};

/* Of partitions and logical volumes. */
static const struct node_def common_rows[] = {
  TEXT_ROW ("filesystem", show_filesystem,
            "libblkid's TYPE (ext4, xfs, LVM2_member, ...), or none"),
  TEXT_ROW ("label", show_label, "label of the filesystem"),
  TEXT_ROW ("fs_uuid", show_fs_uuid, "UUID of the filesystem"),
  TEXT_ROW ("fs_version", show_fs_version, "version of the filesystem"),
  NUMBER_ROW ("fs_size", show_fs_size, "bytes of the filesystem"),
  NUMBER_ROW ("fs_used", show_fs_used, "bytes in use"),
  NUMBER_ROW ("fs_free", show_fs_free, "bytes free"),
  TEXT_ROW ("fs_features", show_fs_features, "feature words"),
  TEXT_ROW ("fs_state", show_fs_state,
            "clean, dirty, needs-recovery or errors"),
  TEXT_ROW ("role", show_role,
            "root, boot, esp, bios-boot, swap, home, var, lvm, recovery,"
            " data or unknown"),
  { .name = "raw",
    .type = NODE_BYTES,
    .not_reported = true,
    .help = "the partition's bytes" },
  { .name = "files",
    .type = NODE_GUEST,
    .not_reported = true,
    .help = "its files, read-only: modes, owners, times, links, xattrs and"
            " holes as they are" },
  END_ROWS,
};

static int
list_common_rows (struct node *n, struct err *e)
{
  for (const struct node_def *d = common_rows; d->name; d++)
    if (node_add (n, d->name, d, n->index, e) == -1)
      return -1;
  return 0;
}

#define VOLUME_DIR(n, rows, ...)                                             \
  {                                                                          \
    .name = n, .type = NODE_DIR, .children = rows, .list = list_common_rows, \
    .below = common_rows, .help = __VA_ARGS__                                \
  }

const struct node_def partition_dirs[] = {
  VOLUME_DIR ("<N>", partition_rows, "one partition"),
  END_ROWS,
};

int
list_partitions (struct node *n, struct err *e)
{
  struct volume *const *v;
  size_t count;

  if (image_partitions (node_image (n), &v, &count, e) == -1)
    return -1;
  for (size_t i = 0; i < count; i++)
    if (node_add (n, strrchr (volume_name (v[i]), '/') + 1, partition_dirs, i,
                  e) == -1)
      return -1;
  return 0;
}

static const struct node_def volume_rows[] = {
  NUMBER_ROW ("size", show_volume_size, "bytes of the volume"),
  LIST_ROW ("segments", show_segments,
            "where its bytes lie, a segment a line: start and length in the"
            " volume, type (linear, striped, raid1, md-raid1, ...), bytes of"
            " a stripe (0: there are none), and the places, each as"
            " partitions/N:OFFSET, or [NAME]:OFFSET in a hidden volume, or"
            " missing:UUID:OFFSET; all in bytes"),
  END_ROWS,
};

const struct node_def volume_dirs[] = {
  VOLUME_DIR ("<VG-LV>", volume_rows, "one logical volume or md array"),
  END_ROWS,
};

/* What was found is shown.  Where that may not be all, since something could
 * not be read or nothing at all was understood, there is no list. */
int
list_volumes (struct node *n, struct err *e)
{
  struct volume *const *v;
  struct err why = { 0 };
  size_t count, shown = 0;

  if (image_volumes (node_image (n), &v, &count, e) == -1)
    return -1;
  if (image_volumes_missing (node_image (n), &why) && why.code == EIO) {
    *e = why;
    return -1;
  }
  for (size_t i = 0; i < count; i++) {
    if (!volume_logical (v[i]))
      continue;
    if (node_add (n, volume_logical (v[i])->name, volume_dirs, i, e) == -1)
      return -1;
    shown++;
  }
  if (shown || !why.code)
    return 0;
  *e = why;
  return -1;
}
