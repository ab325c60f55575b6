/* xrayfs: an LVM2 volume group, from its metadata
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "volume/lvm2.h"

/* LVM2's NAME_LEN. */
#define MAX_NAME 128

void
vg_free (struct vg *vg)
{
  for (size_t i = 0; i < vg->n_lvs; i++)
    buf_free (&vg->lvs[i].segments);
  free (vg->pvs);
  free (vg->lvs);
  lvm2_text_free (vg->text);
  *vg = (struct vg){ 0 };
}

/* The one section of the file that is a volume group. */
static const struct text_node *
find_vg (const struct lvm2_text *t)
{
  const struct text_node *n = text_first (t, text_top (t));

  while (n && n->kind != TEXT_SECTION)
    n = text_next (t, n);
  return n;
}

static int
parse_head (struct vg *vg, struct err *e)
{
  vg->section = find_vg (vg->text);
  if (!vg->section)
    return err_set (e, EINVAL, "the metadata have no volume group");
  vg->name = vg->section->key;
  if (strlen (vg->name) >= MAX_NAME)
    return err_set (e, EINVAL, "a name is too long");
  if (text_string (vg->text, vg->section, "id", &vg->id, e) == -1 ||
      text_number (vg->text, vg->section, "seqno", &vg->seqno, e) == -1)
    return -1;
  return 0;
}

int
vg_parse (struct buf *text, struct vg *ret, struct err *e)
{
  struct vg vg = { 0 };

  if (lvm2_text_parse (text, &vg.text, e) == -1)
    return -1;
  if (parse_head (&vg, e) == -1) {
    vg_free (&vg);
    return -1;
  }
  *ret = vg;
  return 0;
}

/* --- physical volumes ------------------------------------------------ */

static int
by_key (const void *a, const void *b)
{
  return strcmp (((const struct vg_pv *) a)->key,
                 ((const struct vg_pv *) b)->key);
}

static int
by_name (const void *a, const void *b)
{
  return strcmp (((const struct vg_lv *) a)->name,
                 ((const struct vg_lv *) b)->name);
}

struct vg_pv *
vg_find_pv (const struct vg *vg, const char *key)
{
  struct vg_pv wanted = { .key = key };

  return vg->n_pvs
             ? bsearch (&wanted, vg->pvs, vg->n_pvs, sizeof wanted, by_key)
             : NULL;
}

struct vg_lv *
vg_find_lv (const struct vg *vg, const char *name)
{
  struct vg_lv wanted = { .name = name };

  return vg->n_lvs
             ? bsearch (&wanted, vg->lvs, vg->n_lvs, sizeof wanted, by_name)
             : NULL;
}

static size_t
count_sections (const struct lvm2_text *t, const struct text_node *of)
{
  size_t n = 0;

  for (const struct text_node *c = of ? text_first (t, of) : NULL; c;
       c = text_next (t, c))
    n += c->kind == TEXT_SECTION;
  return n;
}

static int
load_pv (const struct vg *vg, const struct text_node *section,
         struct vg_pv *pv, struct err *e)
{
  uint64_t start, count;

  pv->key = section->key;
  if (text_string (vg->text, section, "id", &pv->uuid, e) == -1 ||
      text_number (vg->text, section, "pe_start", &start, e) == -1 ||
      text_number (vg->text, section, "pe_count", &count, e) == -1)
    return -1;
  /* Half of what offsets can hold, so that sums do not overflow. */
  if (__builtin_mul_overflow (start, LVM2_SECTOR, &pv->start) ||
      __builtin_mul_overflow (count, vg->extent, &pv->size) ||
      pv->start > INT64_MAX / 4 || pv->size > INT64_MAX / 4)
    return err_set (e, EINVAL, "its extents are impossible");
  return 0;
}

static int
load_pvs (struct vg *vg, struct err *e)
{
  const struct text_node *all =
      text_find (vg->text, vg->section, "physical_volumes", TEXT_SECTION);

  vg->pvs = calloc (count_sections (vg->text, all) + 1, sizeof *vg->pvs);
  if (!vg->pvs)
    return err_set (e, ENOMEM, "out of memory");
  for (const struct text_node *n = all ? text_first (vg->text, all) : NULL; n;
       n = text_next (vg->text, n)) {
    if (n->kind != TEXT_SECTION)
      continue;
    if (load_pv (vg, n, &vg->pvs[vg->n_pvs], e) == -1)
      return err_in (e, "physical volume '%.128s'", n->key);
    vg->n_pvs++;
  }
  if (vg->n_pvs)
    qsort (vg->pvs, vg->n_pvs, sizeof *vg->pvs, by_key);
  return 0;
}

/* --- logical volumes ------------------------------------------------- */

static int
load_lvs (struct vg *vg, struct err *e)
{
  const struct text_node *all =
      text_find (vg->text, vg->section, "logical_volumes", TEXT_SECTION);

  vg->lvs = calloc (count_sections (vg->text, all) + 1, sizeof *vg->lvs);
  if (!vg->lvs)
    return err_set (e, ENOMEM, "out of memory");
  for (const struct text_node *n = all ? text_first (vg->text, all) : NULL; n;
       n = text_next (vg->text, n)) {
    if (n->kind != TEXT_SECTION)
      continue;
    if (strlen (n->key) >= MAX_NAME)
      return err_set (e, EINVAL, "a name is too long");
    vg->lvs[vg->n_lvs++] = (struct vg_lv){
      .name = n->key,
      .section = n,
      .visible = text_has_word (vg->text, n, "status", "VISIBLE"),
    };
  }
  if (vg->n_lvs)
    qsort (vg->lvs, vg->n_lvs, sizeof *vg->lvs, by_name);
  return 0;
}

/* A volume of no use of its own (snapshot0) says that STORE holds what ORIGIN
 * had; the tools show the store by its name in its place. */
static void
mark_snapshot (struct vg *vg, struct vg_lv *holder,
               const struct text_node *segment)
{
  const struct text_node *origin =
      text_find (vg->text, segment, "origin", TEXT_STRING);
  const struct text_node *store =
      text_find (vg->text, segment, "cow_store", TEXT_STRING);
  const struct text_node *merging =
      text_find (vg->text, segment, "merging_store", TEXT_STRING);
  struct vg_lv *lv;

  if (merging && origin && (lv = vg_find_lv (vg, origin->string)))
    lv->merging = true;
  store = store ? store : merging;
  if (!store || !(lv = vg_find_lv (vg, store->string)))
    return;
  lv->snapshot = segment;
  lv->visible = lv->visible || holder->visible;
  holder->visible = false;
}

static void
mark_snapshots (struct vg *vg)
{
  const struct text_node *type;

  for (size_t i = 0; i < vg->n_lvs; i++)
    for (const struct text_node *s =
             text_first (vg->text, vg->lvs[i].section);
         s; s = text_next (vg->text, s)) {
      type = s->kind == TEXT_SECTION
                 ? text_find (vg->text, s, "type", TEXT_STRING)
                 : NULL;
      if (type && !strcmp (type->string, "snapshot"))
        mark_snapshot (vg, &vg->lvs[i], s);
    }
}

int
vg_load (struct vg *vg, struct err *e)
{
  uint64_t sectors;

  if (text_number (vg->text, vg->section, "extent_size", &sectors, e) == -1)
    return -1;
  if (sectors == 0 || sectors > INT64_MAX / LVM2_SECTOR)
    return err_set (e, EINVAL, "extents of %" PRIu64 " sectors", sectors);
  vg->extent = sectors * LVM2_SECTOR;
  if (load_pvs (vg, e) == -1 || load_lvs (vg, e) == -1)
    return -1;
  mark_snapshots (vg);
  return 0;
}
