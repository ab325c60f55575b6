/* xrayfs: the logical volumes of LVM2
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every copy of the metadata tells all of a volume group; the one with the
 * highest number counts, over all physical volumes that are there.  One text
 * is in memory at a time: first all are looked at for group and number, then
 * the newest of each group is read again and its volumes are put together.
 */
#include "volume/lvm2.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"

/* libdevmapper takes no longer names; ours are those of directories. */
#define MAX_MAPPER_NAME 127

/* The newest metadata of a volume group. */
struct group {
  char id[64];
  uint64_t seqno;
  size_t member;
  struct lvm2_copy copy;
};
DEFINE_VEC (group_vec, struct group)

struct assembler {
  struct logical_set *set;
  struct member *members;
  struct lvm2_pv *pvs; /* one a member */
  bool *known;         /* is the member in a group? */
  size_t n;
  struct group_vec groups;
  struct err *err;
};

static void
assembler_free (struct assembler *a)
{
  free (a->pvs);
  free (a->known);
  free (a->groups.items);
}

/* What is wrong with member I, unless something was before. */
static int
blame (struct assembler *a, size_t i, struct err *why)
{
  struct member *m = &a->members[i];

  if (err_is_transient (why)) {
    *a->err = *why;
    return -1;
  }
  err_in (why, "%s", m->label);
  if (!m->err.code)
    m->err = *why;
  err_clear (why);
  return 0;
}

/* --- first: groups and numbers --------------------------------------- */

static int
note_group (struct assembler *a, size_t member, const struct lvm2_copy *copy,
            const struct vg *vg)
{
  struct group g = { .seqno = vg->seqno, .member = member, .copy = *copy };

  snprintf (g.id, sizeof g.id, "%s", vg->id);
  for (size_t i = 0; i < a->groups.len; i++)
    if (!strcmp (a->groups.items[i].id, g.id)) {
      if (g.seqno > a->groups.items[i].seqno)
        a->groups.items[i] = g;
      return 0;
    }
  return group_vec_push (&a->groups, g) == -1
             ? err_set (a->err, ENOMEM, "out of memory")
             : 0;
}

static int
read_vg (struct assembler *a, size_t member, const struct lvm2_copy *copy,
         struct vg *ret, struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };

  if (lvm2_copy_read (a->members[member].block, copy, &text, e) == -1)
    return -1;
  return vg_parse (&text, ret, e);
}

/* A copy that is no good is kept in mind: it counts only where no other
 * tells of the member. */
static int
look_at_copies (struct assembler *a, size_t i)
{
  struct lvm2_pv *pv = &a->pvs[i];
  struct err why = { 0 };
  struct vg vg;
  int r;

  for (size_t k = 0; k < pv->n_copies; k++) {
    if (read_vg (a, i, &pv->copies[k], &vg, &why) == 0) {
      r = note_group (a, i, &pv->copies[k], &vg);
      vg_free (&vg);
      if (r == -1)
        return -1;
      continue;
    }
    if (err_is_transient (&why)) {
      *a->err = why;
      return -1;
    }
    if (!pv->damaged.code || why.code == EIO)
      pv->damaged = why;
    err_clear (&why);
  }
  return 0;
}

/* Clones: the first of a UUID is taken. */
static int
look_for_twin (struct assembler *a, size_t i)
{
  struct err why = { 0 };

  for (size_t k = 0; k < i; k++) {
    if (strcmp (a->pvs[k].uuid, a->pvs[i].uuid))
      continue;
    err_set (&why, ENOTSUP,
             "the same physical volume (UUID %s) as %s, which is the one"
             " that is read",
             a->pvs[i].uuid, a->members[k].label);
    return blame (a, i, &why);
  }
  return 0;
}

static int
look_at_members (struct assembler *a)
{
  struct err why = { 0 };

  for (size_t i = 0; i < a->n; i++) {
    if (lvm2_pv_read (a->members[i].block, &a->pvs[i], &why) == -1) {
      a->pvs[i] = (struct lvm2_pv){ 0 };
      if (blame (a, i, &why) == -1)
        return -1;
      continue;
    }
    if (look_for_twin (a, i) == -1)
      return -1;
    if (!a->members[i].err.code && look_at_copies (a, i) == -1)
      return -1;
  }
  return 0;
}

/* --- then: the volumes of a group ------------------------------------ */

static struct member *
find_member (struct assembler *a, const char *uuid, size_t *ret)
{
  for (size_t i = 0; i < a->n; i++)
    /* The first of clones.  Without a label there is no UUID. */
    if (a->pvs[i].uuid[0] && !strcmp (a->pvs[i].uuid, uuid)) {
      *ret = i;
      return &a->members[i];
    }
  return NULL;
}

static int
find_members (struct assembler *a, struct vg *vg)
{
  size_t at;

  for (size_t i = 0; i < vg->n_pvs; i++) {
    struct vg_pv *pv = &vg->pvs[i];
    pv->member = find_member (a, pv->uuid, &at);
    if (pv->member)
      continue;
    pv->why =
        logical_text (a->set, a->err,
                      "physical volume %.40s is not in the image", pv->uuid);
    if (!pv->why)
      return -1;
    buf_printf (&a->set->notes, "volume group %s: %s\n", vg->name, pv->why);
  }
  return 0;
}

/* A hyphen is doubled, so that the one between the names is told. */
static void
add_mapper_name (struct buf *to, const char *name)
{
  for (; *name; name++)
    buf_add (to,
             *name == '-'   ? "--"
             : *name == '/' ? "_"
                            : name,
             *name == '-' ? 2 : 1);
}

static char *
mapper_name (const struct vg *vg, const struct vg_lv *lv)
{
  CLEANUP_BUF struct buf b = { 0 };

  add_mapper_name (&b, vg->name);
  buf_puts (&b, "-");
  add_mapper_name (&b, lv->name);
  return b.failed ? NULL : steal_ptr (&b.data);
}

static int
name_logical (struct assembler *a, const struct vg *vg,
              const struct vg_lv *lv, struct logical *l)
{
  CLEANUP_FREE char *name = mapper_name (vg, lv);
  const struct text_node *id =
      text_find (vg->text, lv->section, "id", TEXT_STRING);

  l->minor = -1;
  snprintf (l->uuid, sizeof l->uuid, "%s", id ? id->string : "");
  snprintf (l->vg_uuid, sizeof l->vg_uuid, "%s", vg->id);
  l->vg = strdup (vg->name);
  l->lv = strdup (lv->name);
  if (!name || !l->vg || !l->lv)
    return err_set (a->err, ENOMEM, "out of memory");
  if (strlen (name) > MAX_MAPPER_NAME)
    return err_set (a->err, EINVAL, "the name '%.40s...' is too long", name);
  if (logical_has (a->set, name))
    return err_set (a->err, ENOTSUP, "a logical volume '%s' is there before",
                    name);
  l->name = steal_ptr (&name);
  return 0;
}

static int
add_lv (struct assembler *a, struct vg *vg, struct vg_lv *lv)
{
  struct logical *l = logical_add (a->set, a->err);

  if (!l || name_logical (a, vg, lv, l) == -1)
    return -1;
  l->size = lv->block->size;
  l->refusal = assembly_refusal (lv->block, &l->refusal_code);
  l->segments = lv->segments;
  lv->segments = (struct buf){ 0 };
  if (buf_check (&l->segments, a->err) == -1)
    return -1;
  l->incomplete = !lv->whole;
  if (l->incomplete)
    buf_printf (&a->set->notes, "%s: a part of it is not in the image\n",
                l->name);
  return block_slice_open (lv->block, 0, l->size, &l->block, a->err);
}

static int
add_lvs (struct assembler *a, struct vg *vg)
{
  for (size_t i = 0; i < vg->n_lvs; i++)
    if (lv_build (vg, &vg->lvs[i], 0, a->err) == -1)
      return -1;
  for (size_t i = 0; i < vg->n_lvs; i++)
    if (vg->lvs[i].visible && add_lv (a, vg, &vg->lvs[i]) == -1)
      return -1;
  return 0;
}

static int
build_group (struct assembler *a, struct vg *vg)
{
  size_t before = a->set->volumes.len;

  if (vg_load (vg, a->err) == 0 && find_members (a, vg) == 0 &&
      add_lvs (a, vg) == 0)
    return 0;
  logical_cut (a->set, before);
  return err_in (a->err, "volume group %s", vg->name);
}

/* --- what the members say of themselves ------------------------------- */

static void
describe_pv (struct member *m, const struct vg *vg, const struct vg_pv *pv,
             const struct lvm2_pv *on_disk)
{
  const struct text_node *all =
      text_find (vg->text, vg->section, "physical_volumes", TEXT_SECTION);
  const struct text_node *section =
      all ? text_find (vg->text, all, pv->key, TEXT_SECTION) : NULL;
  static const char *const words[] = { "ALLOCATABLE", "EXPORTED", "MISSING" };

  m->size = pv->size;
  m->used = MIN (pv->used, pv->size); /* segments of snapshots may overlap */
  m->free = pv->size - m->used;
  buf_printf (&m->features, "vg=%s", vg->name);
  for (size_t i = 0; section && i < ARRAY_SIZE (words); i++)
    if (text_has_word (vg->text, section, "status", words[i])) {
      buf_puts (&m->features, " ");
      for (const char *c = words[i]; *c; c++)
        buf_printf (&m->features, "%c", *c | 0x20);
    }
  snprintf (m->state, sizeof m->state, "%s",
            on_disk->damaged.code ? "errors" : "clean");
  if (on_disk->damaged.code != EIO)
    return;
  m->unread = on_disk->damaged;
  err_in (&m->unread, "%s", m->label);
}

/* All that the group's members hold is known, or nothing of it, because of
 * what a->err says. */
static int
settle_members (struct assembler *a, const struct vg *vg, bool built)
{
  struct err why = *a->err;
  size_t at;

  if (!built && err_is_transient (&why))
    return -1;
  for (size_t i = 0; i < vg->n_pvs; i++) {
    struct member *m = find_member (a, vg->pvs[i].uuid, &at);
    if (!m)
      continue;
    a->known[at] = true;
    if (built)
      describe_pv (m, vg, &vg->pvs[i], &a->pvs[at]);
    else if (blame (a, at, &why) == -1)
      return -1;
    why = *a->err;
  }
  err_clear (a->err);
  return 0;
}

static int
read_group (struct assembler *a, const struct group *g)
{
  struct vg vg = { 0 };
  struct err why = { 0 };
  bool built;
  int r;

  if (read_vg (a, g->member, &g->copy, &vg, &why) == -1)
    return blame (a, g->member, &why);
  vg.set = a->set;
  vg.env = a->members[g->member].block->env;
  built = build_group (a, &vg) == 0;
  r = settle_members (a, &vg, built);
  /* Where not even the list of physical volumes was understood. */
  if (r == 0 && !built && !a->known[g->member]) {
    err_set (&why, EINVAL, "volume group %.128s is not understood", g->id);
    r = blame (a, g->member, &why);
  }
  vg_free (&vg);
  return r;
}

/* A physical volume that no group names. */
static int
settle_lone (struct assembler *a, size_t i)
{
  struct lvm2_pv *pv = &a->pvs[i];
  struct member *m = &a->members[i];
  struct err why = pv->damaged;

  if (!why.code && pv->n_areas == 0)
    err_set (&why, ENOTSUP,
             "a physical volume of LVM2 whose metadata are on another disk");
  /* Its group was not understood, or is newer on another one. */
  if (!why.code && pv->n_copies > 0)
    err_set (&why, ENOTSUP,
             "a physical volume of LVM2 that its volume group does not name");
  if (why.code)
    return blame (a, i, &why);
  m->size = m->free = pv->device_size;
  m->used = 0;
  snprintf (m->state, sizeof m->state, "clean");
  return 0;
}

int
lvm2_assemble (struct logical_set *set, struct member *members, size_t n,
               struct err *e)
{
  __attribute__ ((cleanup (assembler_free))) struct assembler a = {
    .set = set, .members = members, .n = n, .err = e
  };

  a.pvs = calloc (n, sizeof *a.pvs);
  a.known = calloc (n, sizeof *a.known);
  if (!a.pvs || !a.known)
    return err_set (e, ENOMEM, "out of memory");
  if (look_at_members (&a) == -1)
    return -1;
  for (size_t i = 0; i < a.groups.len; i++)
    if (read_group (&a, &a.groups.items[i]) == -1)
      return -1;
  for (size_t i = 0; i < n; i++)
    if (!a.known[i] && !members[i].err.code && settle_lone (&a, i) == -1)
      return -1;
  return buf_check (&set->notes, e);
}
