/* xrayfs: damage: of the container, the partition table, the filesystems
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>

#include "inspect/image_priv.h"

/* Takes over what C found. */
static int
keep (struct integrity *to, struct block_check *c, struct err *e)
{
  int r;

  if (c->n_lines > BLOCK_MAX_FINDINGS)
    buf_printf (&c->findings, "%" PRIu64 " findings in all\n",
                c->errors + c->notes);
  r = buf_check (&c->findings, e);
  if (r == 0) {
    to->findings = c->findings;
    to->errors = c->errors;
    memcpy (to->first_error, c->first_error, sizeof c->first_error);
    c->findings = (struct buf){ 0 };
  }
  block_check_free (c);
  return r;
}

/* --- the container --------------------------------------------------- */

static void
show_progress (void *arg, uint64_t done, uint64_t total)
{
  struct image *img = arg;

  lazy_progress (&img->integrity_cell, done, total);
}

int
integrity_compute (void *arg, struct err *e)
{
  struct image *img = arg;
  struct block_check c = { .progress = show_progress, .progress_arg = img };

  if (block_check (img->disk, &c, e) == -1) {
    block_check_free (&c);
    return -1;
  }
  c.n_lines = 0; /* block_check has counted */
  return keep (&img->integrity, &c, e);
}

/* --- filesystems ----------------------------------------------------- */

/* What a partition has that the disk does not. */
static void
check_reach (const struct volume *v, struct block_check *c)
{
  const struct partition *p = volume_partition (v);

  if (p && p->beyond_end)
    block_check_error (c,
                       "the partition reaches beyond the end of the disk:"
                       " %" PRIu64 " of its %" PRIu64 " bytes are there",
                       v->block->size, p->size);
}

/* A superblock that is refused is damage, if it is the image's bytes that
 * refuse it. */
static int
check_volume (struct volume *v, struct block_check *c, struct err *e)
{
  struct fs *fs;

  check_reach (v, c);
  fs = volume_fs (v, e);
  if (fs)
    return fs_check (fs, c, e) == -1 ? err_in (e, "%s", v->label) : 0;
  if ((e->code != EIO && e->code != EINVAL) || v->block->env->read_failed)
    return -1;
  block_check_error (c, "it cannot be opened: %s", e->msg);
  err_clear (e);
  return 0;
}

static int
volume_compute (void *arg, struct err *e)
{
  struct volume_integrity *i = arg;
  struct block_check c = { 0 };

  if (check_volume (i->volume, &c, e) == -1) {
    block_check_free (&c);
    return -1;
  }
  return keep (&i->integrity, &c, e);
}

static int
cells_compute (void *arg, struct err *e)
{
  struct image *img = arg;
  struct volume *const *v;
  size_t n;

  if (image_volumes (img, &v, &n, e) == -1)
    return -1;
  img->volume_integrity = calloc (n + 1, sizeof *img->volume_integrity);
  if (!img->volume_integrity)
    return err_set (e, ENOMEM, "out of memory");
  for (size_t i = 0; i < n; i++) {
    lazy_init (&img->volume_integrity[i].cell, "integrity", &img->running);
    img->volume_integrity[i].volume = v[i];
  }
  img->n_volume_integrity = n;
  return 0;
}

const struct integrity *
volume_integrity (struct volume *v, struct err *e)
{
  struct image *img = v->image;
  struct volume_integrity *i;

  if (lazy_get (&img->volume_integrity_cell, cells_compute, img, e) == -1)
    return NULL;
  i = &img->volume_integrity[volume_index (v)];
  return lazy_get (&i->cell, volume_compute, i, e) == 0 ? &i->integrity
                                                        : NULL;
}

void
integrity_free (struct image *img)
{
  for (size_t i = 0; i < img->n_volume_integrity; i++) {
    lazy_destroy (&img->volume_integrity[i].cell);
    buf_free (&img->volume_integrity[i].integrity.findings);
  }
  free (img->volume_integrity);
  buf_free (&img->integrity.findings);
}
