/* xrayfs: integrity/
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "tree/node.h"

static int
show_findings (struct finding *f, const struct buf *findings)
{
  return show_lines (f, findings->len ? buf_str (findings) : "ok\n");
}

static int
show_image (struct node *n, struct finding *f, struct err *e)
{
  const struct integrity *i = image_integrity (node_image (n), e);

  if (!i)
    return -1;
  buf_puts (&f->evidence, "the container's headers and tables\n");
  return show_findings (f, &i->findings);
}

static int
show_table (struct node *n, struct finding *f, struct err *e)
{
  const struct partition_table *t = image_table (node_image (n), e);

  if (!t)
    return -1;
  buf_printf (&f->evidence, "disk: partition table: %s, %u-byte sectors\n",
              t->type, t->sector_size);
  buf_add (&f->evidence, buf_str (&t->notes), t->notes.len);
  return show_findings (f, &t->damage);
}

static int
show_volume (struct node *n, struct finding *f, struct err *e)
{
  struct volume *v = node_volume (n, e);
  const struct integrity *i = v ? volume_integrity (v, e) : NULL;

  if (!i)
    return -1;
  buf_printf (&f->evidence,
              "%s: what describes the filesystem as a whole; not each"
              " file\n",
              volume_name (v));
  return show_findings (f, &i->findings);
}

const struct node_def integrity_rows[] = {
  LIST_ROW ("image", show_image,
            "damage of the container: ok, or findings, one a line"),
  LIST_ROW ("partition_table", show_table,
            "damage of the partition table: ok, or findings, one a line: a"
            " backup that differs, overlaps, partitions beyond the end"),
  END_ROWS,
};

const struct node_def integrity_volume_rows[] = {
  LIST_ROW ("partition-<N>", show_volume,
            "damage of a partition's filesystem: ok, or findings, one a"
            " line: checksums, copies of the superblock, error flags, a"
            " log that was not replayed, a size beyond the partition"),
  LIST_ROW ("volume-<VG-LV>", show_volume,
            "the same of a logical volume or array"),
  END_ROWS,
};

/* What holds no filesystem has no file, nor has a volume of a kind that is
 * not read (a thin one).  1, 0; -1: nobody knows. */
static int
has_filesystem (struct volume *v, struct err *e)
{
  const struct superblock *sb = volume_superblock (v, e);

  if (!sb && e->code == ENOTSUP) {
    err_clear (e);
    return 0;
  }
  if (!sb)
    return -1;
  if (volume_partition (v) && volume_partition (v)->extended)
    return 0;
  return sb->ambivalent || (sb->usage && !strcmp (sb->usage, "filesystem"));
}

static int
add_volume (struct node *n, struct volume *v, struct err *e)
{
  const struct node_def *row = &integrity_volume_rows[!volume_partition (v)];
  CLEANUP_FREE char *name = NULL;

  if (asprintf (&name, "%.*s%s", (int) strcspn (row->name, "<"), row->name,
                strrchr (volume_name (v), '/') + 1) == -1) {
    name = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  return node_add (n, name, row, volume_index (v), e);
}

/* All that are known, before it is said that there may be others. */
int
list_integrity (struct node *n, struct err *e)
{
  struct volume *const *v;
  struct err first = { 0 };
  size_t count;
  int has;

  if (image_volumes (node_image (n), &v, &count, e) == -1)
    return -1;
  for (size_t i = 0; i < count; i++) {
    has = has_filesystem (v[i], e);
    if (has == -1 && err_is_transient (e))
      return -1;
    if (has == -1 && !first.code)
      first = *e;
    err_clear (e);
    if (has == 1 && add_volume (n, v[i], e) == -1)
      return -1;
  }
  if (!first.code && image_volumes_missing (node_image (n), e) &&
      e->code == EIO)
    first = *e;
  err_clear (e);
  *e = first;
  return first.code ? -1 : 0;
}
