/* xrayfs: the logical volumes and md arrays of an image
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Arrays first, since a physical volume may lie on one.  What lies within a
 * logical volume (a physical volume, a member, a partition table) is not put
 * together: no guest's root is found there, and such a volume says so.
 */
#include <string.h>

#include "inspect/image_priv.h"

#define PHYSICAL_VOLUME "LVM2_member"
#define ARRAY_MEMBER    "linux_raid_member"

void
logical_free (struct image *img)
{
  for (size_t i = img->n_partitions; i < img->n_volumes; i++)
    volume_free (img->volumes[i]);
  free (img->volumes);
  img->volumes = NULL;
  img->n_volumes = 0;
  logical_set_free (&img->logical);
  for (size_t i = 0; i < img->n_members; i++)
    member_free (&img->members[i]);
  free (img->members);
  img->members = NULL;
  img->n_members = 0;
  err_clear (&img->volumes_missing);
}

/* Some volumes may not be listed, because of WHY.  What could not be read
 * counts more than what is damaged. */
static void
may_be_missing (struct image *img, const struct err *why)
{
  struct err *first = &img->volumes_missing;

  if (!first->code || (first->code != EIO && why->code == EIO))
    *first = *why;
}

/* --- members --------------------------------------------------------- */

static bool
is_extended (const struct volume *v)
{
  return v->partition && v->partition->extended;
}

/* The volumes so far whose superblock is of TYPE, as members behind those
 * that there are. */
static int
collect (struct image *img, const char *type, struct err *e)
{
  const struct superblock *sb;
  struct err why = { 0 };

  for (size_t i = 0; i < img->n_volumes; i++) {
    struct volume *v = img->volumes[i];
    if (is_extended (v))
      continue;
    sb = volume_superblock (v, &why);
    if (!sb && err_is_transient (&why)) {
      *e = why;
      return -1;
    }
    /* Where a member is missing, no read failed: it is said already. */
    if (!sb && v->logical && v->logical->incomplete)
      why.code = ENOTSUP;
    if (!sb)
      may_be_missing (img, &why);
    else if (!strcmp (sb->type, type))
      img->members[img->n_members++] = (struct member){ .block = v->block,
                                                        .name = v->name,
                                                        .label = v->label,
                                                        .size = UINT64_MAX,
                                                        .used = UINT64_MAX,
                                                        .free = UINT64_MAX };
    err_clear (&why);
  }
  return 0;
}

static int
add_volume (struct image *img, const struct logical *l, struct err *e)
{
  struct volume *v = volume_new (img, (unsigned) img->n_volumes, e);

  if (!v)
    return -1;
  v->logical = l;
  v->block = l->block;
  img->volumes[img->n_volumes++] = v;
  if (asprintf (&v->name, "volumes/%s", l->name) == -1)
    v->name = NULL;
  if (asprintf (&v->label, "volume %s", l->name) == -1)
    v->label = NULL;
  return v->name && v->label ? 0 : err_set (e, ENOMEM, "out of memory");
}

static int
add_volumes (struct image *img, size_t from, struct err *e)
{
  const struct logical_vec *set = &img->logical.volumes;
  size_t n = img->n_volumes + (set->len - from) + 1;
  struct volume **all = reallocarray (img->volumes, n, sizeof (*all));

  if (!all)
    return err_set (e, ENOMEM, "out of memory");
  img->volumes = all;
  for (size_t i = from; i < set->len; i++)
    if (add_volume (img, set->items[i], e) == -1)
      return -1;
  return 0;
}

/* The members of TYPE, put together by ASSEMBLE. */
static int
assemble (struct image *img, const char *type,
          int (*assembler) (struct logical_set *, struct member *, size_t,
                            struct err *),
          struct err *e)
{
  size_t first = img->n_members, before = img->logical.volumes.len;
  struct member *all = reallocarray (img->members, first + img->n_volumes + 1,
                                     sizeof *img->members);

  if (!all)
    return err_set (e, ENOMEM, "out of memory");
  img->members = all;
  if (collect (img, type, e) == -1)
    return -1;
  if (img->n_members == first)
    return 0;
  if (assembler (&img->logical, img->members + first, img->n_members - first,
                 e) == -1)
    return -1;
  for (size_t i = first; i < img->n_members; i++)
    if (img->members[i].err.code)
      may_be_missing (img, &img->members[i].err);
  return add_volumes (img, before, e);
}

/* Each line of the notes is a problem of `volumes`. */
static int
tell_notes (struct image *img, struct err *e)
{
  struct buf *notes = &img->logical.notes;

  if (buf_check (notes, e) == -1)
    return -1;
  for (char *p = notes->data, *end; p && *p; p = end + 1) {
    end = strchr (p, '\n');
    *end = '\0';
    image_problem (img, "volumes", p);
    *end = '\n';
  }
  return 0;
}

int
logical_compute (void *arg, struct err *e)
{
  struct image *img = arg;
  struct volume *const *partitions;
  size_t n;

  if (image_partitions (img, &partitions, &n, e) == -1)
    return -1;
  logical_free (img); /* of an attempt that memory or time cut short */
  img->volumes = calloc (n + 1, sizeof *img->volumes);
  if (!img->volumes)
    return err_set (e, ENOMEM, "out of memory");
  for (size_t i = 0; i < n; i++)
    img->volumes[img->n_volumes++] = partitions[i];
  if (assemble (img, ARRAY_MEMBER, md_assemble, e) == -1 ||
      assemble (img, PHYSICAL_VOLUME, lvm2_assemble, e) == -1)
    return -1;
  if (img->volumes_missing.code)
    image_problem (img, "volumes", img->volumes_missing.msg);
  return tell_notes (img, e);
}

/* --- questions ------------------------------------------------------- */

bool
image_volumes_missing (struct image *img, struct err *why)
{
  struct volume *const *v;
  size_t n;

  if (image_volumes (img, &v, &n, why) == -1)
    return true;
  if (!img->volumes_missing.code)
    return false;
  *why = img->volumes_missing;
  return true;
}

const struct member *
volume_member (struct volume *v, struct err *e)
{
  struct image *img = v->image;
  struct volume *const *all;
  size_t n;

  if (image_volumes (img, &all, &n, e) == -1)
    return NULL;
  for (size_t i = 0; i < img->n_members; i++)
    if (img->members[i].block == v->block)
      return &img->members[i];
  err_set (e, ENOTSUP,
           "%s: what lies within a logical volume is not put together",
           v->label);
  return NULL;
}

/* --- names of devices ------------------------------------------------ */

static const char *
behind (const char *path, const char *prefix)
{
  size_t len = strlen (prefix);

  return strncmp (path, prefix, len) ? NULL : path + len;
}

static bool
is_array (const struct logical *l, const char *path)
{
  const char *name;
  char minor[16];

  if (l->lv)
    return false;
  if ((name = behind (path, "/dev/disk/by-id/md-uuid-")))
    return !strcasecmp (name, l->uuid);
  if ((name = behind (path, "/dev/md/")))
    return l->array && !strcmp (name, l->array);
  snprintf (minor, sizeof minor, "/dev/md%d", l->minor);
  return l->minor >= 0 && !strcmp (path, minor);
}

/* VG/LV */
static bool
is_pair (const struct logical *l, const char *name)
{
  size_t len = strlen (l->vg);

  return !strncmp (name, l->vg, len) && name[len] == '/' &&
         !strcmp (name + len + 1, l->lv);
}

/* What follows ID, without its hyphens, at P; or NULL. */
static const char *
behind_id (const char *p, const char *id)
{
  for (; *id; id++)
    if (*id != '-' && *p++ != *id)
      return NULL;
  return p;
}

/* dm-uuid-LVM-, the group's and the volume's: so writes curtin. */
static bool
is_dm_uuid (const struct logical *l, const char *name)
{
  if (!*l->vg_uuid || !*l->uuid)
    return false;
  name = behind_id (name, l->vg_uuid);
  name = name ? behind_id (name, l->uuid) : NULL;
  return name && !*name;
}

static bool
is_lv (const struct logical *l, const char *path)
{
  const char *name;

  if (!l->lv)
    return false;
  if ((name = behind (path, "/dev/disk/by-id/dm-uuid-LVM-")))
    return is_dm_uuid (l, name);
  if ((name = behind (path, "/dev/mapper/")) ||
      (name = behind (path, "/dev/disk/by-id/dm-name-")))
    return !strcmp (name, l->name);
  name = behind (path, "/dev/");
  return is_pair (l, name ? name : path);
}

struct volume *
image_volume_by_device (struct image *img, const char *path)
{
  struct volume *const *v;
  struct err e = { 0 };
  size_t n;

  if (image_volumes (img, &v, &n, &e) == -1)
    return NULL;
  for (size_t i = 0; i < n; i++) {
    const struct logical *l = v[i]->logical;
    if (l && (is_lv (l, path) || is_array (l, path)))
      return v[i];
  }
  return NULL;
}
