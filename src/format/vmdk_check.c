/* xrayfs: VMDK: damage, and reasons not to trust an image
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * qemu-img check looks for table entries behind the end of the file.  Here
 * also: grains and tables that overlap, the redundant tables, the footer, the
 * markers of compressed grains, the newline check and the parent's CID.
 */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "block/table.h"
#include "format/vmdk.h"

/* One bit per unit of the file, taken or not.  Units are sectors, or larger
 * where the file is, so that the map has 32 MiB at most; then a range takes
 * the units that lie within it, and small overlaps go unseen. */
#define MAX_UNITS (UINT64_C (1) << 28)

struct scan {
  const struct vmdk_extent *x;
  struct block_check *c;
  const char *name; /* of the extent, with a blank behind it; or "" */
  unsigned char *taken;
  unsigned unit_bits;
};

/* Marks [off, off + len), as far as the file has it.  Was any of it taken? */
static bool
take (struct scan *s, uint64_t off, uint64_t len)
{
  uint64_t unit = UINT64_C (1) << s->unit_bits, i, end;
  bool was = false;

  if (off >= s->x->file->size)
    return false;
  end = (off + MIN (len, s->x->file->size - off)) >> s->unit_bits;
  for (i = div_up (off, unit); i < end; i++) {
    was |= s->taken[i / 8] >> (i % 8) & 1;
    s->taken[i / 8] |= (unsigned char) (1 << (i % 8));
  }
  return was;
}

static int
scan_new (struct scan *s, struct err *e)
{
  s->unit_bits = 9;
  while (s->x->file->size >> s->unit_bits > MAX_UNITS)
    s->unit_bits++;
  s->taken = calloc ((s->x->file->size >> s->unit_bits) / 8 + 1, 1);
  return s->taken ? 0 : err_set (e, ENOMEM, "out of memory");
}

/* --- grains ---------------------------------------------------------- */

static bool
is_cancelled (const struct scan *s, struct err *e)
{
  if (!s->x->file->env->cancelled)
    return false;
  err_set (e, ECANCELED, "cancelled");
  return true;
}

/* What could not be looked at is no damage: -1.  What the image is to blame
 * for is a finding. */
static int
blame (struct scan *s, const struct err *why, struct err *e)
{
  if (err_is_transient (why) || s->x->file->env->read_failed) {
    *e = *why;
    return -1;
  }
  block_check_error (s->c, "%s%s", s->name, why->msg);
  return 0;
}

/* *RET_LEN: what the grain takes in the file, with its marker; 0: nobody can
 * say. */
static int
grain_bytes (struct scan *s, const struct vmdk_grain *g, uint64_t index,
             uint64_t *ret_len, struct err *e)
{
  const struct vmdk_extent *x = s->x;
  uint64_t at = 0;
  uint32_t len = 0;
  struct err why = { 0 };

  *ret_len = MIN (x->grain, x->size - index * x->grain);
  if (g->kind != EXTENT_COMPRESSED)
    return 0;
  *ret_len = 0;
  if (!range_within (g->host, VMDK_SECTOR, x->file->size)) {
    block_check_reach (s->c, x->file, g->host + VMDK_SECTOR);
    return 0;
  }
  if (vmdk_read_marker (x, g->host, index, &at, &len, &why) == -1)
    return blame (s, &why, e);
  if (x->flags & VMDK_MARKERS)
    *ret_len = at + len - g->host;
  return 0;
}

static int
check_grain (struct scan *s, const struct vmdk_grain *g, uint64_t index,
             struct err *e)
{
  uint64_t len = 0;

  if (g->kind != EXTENT_DATA && g->kind != EXTENT_COMPRESSED)
    return 0;
  if (grain_bytes (s, g, index, &len, e) == -1)
    return -1;
  if (len == 0)
    return 0;
  block_check_reach (s->c, s->x->file, g->host + len);
  /* Compressed data are filled up to a sector. */
  if (take (s, g->host, round_up (len, VMDK_SECTOR)))
    block_check_error (s->c,
                       "%sgrain %" PRIu64 " at 0x%" PRIx64
                       " overlaps another grain or a table",
                       s->name, index, g->host);
  return 0;
}

/* --- tables ---------------------------------------------------------- */

/* Table number I of the directory, pinned in RET; nothing pinned: it is not
 * there, which has been said. */
static int
check_place (struct scan *s, uint64_t i, uint64_t at, struct pin *ret,
             struct err *e)
{
  const struct vmdk_extent *x = s->x;
  uint64_t size = vmdk_table_bytes (x);

  if (!range_within (at, size, x->file->size)) {
    block_check_reach (s->c, x->file, at + size);
    return 0;
  }
  if (take (s, at, round_up (size, VMDK_SECTOR))) {
    block_check_error (s->c,
                       "%sgrain table %" PRIu64 " at 0x%" PRIx64
                       " overlaps another one or the header",
                       s->name, i, at);
    return 0;
  }
  return table_get (x->file, x->table_owner, at, size, ret, e);
}

/* The entries of a table that lie within the disk. */
static uint64_t
entries_used (const struct vmdk_extent *x, uint64_t i)
{
  uint64_t grains = div_up (x->size, x->grain);

  return MIN (x->table_entries, grains - i * x->table_entries);
}

static int
check_entries (struct scan *s, uint64_t i, const struct pin *pin,
               struct err *e)
{
  const struct vmdk_extent *x = s->x;
  uint64_t first = i * x->table_entries;
  struct vmdk_grain g;
  struct err why = { 0 };

  for (uint64_t k = 0; k < entries_used (x, i); k++) {
    if (vmdk_classify (x, pin->entry->data, k, first + k, &g, &why) == -1)
      block_check_error (s->c, "%s%s", s->name, why.msg);
    else if (check_grain (s, &g, first + k, e) == -1)
      return -1;
  }
  return 0;
}

/* "Redundant" copies: the same entries in another place. */
static int
check_copy (struct scan *s, uint64_t i, uint64_t at, const struct pin *pin,
            struct err *e)
{
  const struct vmdk_extent *x = s->x;
  CLEANUP_PIN struct pin copy = { 0 };
  uint64_t copy_at, size = vmdk_table_bytes (x);
  size_t used = entries_used (x, i) * x->entry_size;

  if (vmdk_directory_entry (x, x->redundant, i, &copy_at, e) == -1)
    return -1;
  if (copy_at == at)
    return 0; /* shared: no copy, and no harm */
  if (copy_at == 0 || at == 0) {
    block_check_note (s->c,
                      "%sthe redundant grain directory differs at entry"
                      " %" PRIu64,
                      s->name, i);
    return 0;
  }
  if (!range_within (copy_at, size, x->file->size)) {
    block_check_note (s->c,
                      "%sthe copy of grain table %" PRIu64
                      " lies beyond the end of the file",
                      s->name, i);
    return 0;
  }
  if (!pin->entry)
    return 0;
  if (table_get (x->file, x->table_owner, copy_at, size, &copy, e) == -1)
    return -1;
  take (s, copy_at, round_up (size, VMDK_SECTOR));
  if (memcmp (pin->entry->data, copy.entry->data, used))
    block_check_note (s->c,
                      "%sgrain table %" PRIu64 " and its copy at 0x%" PRIx64
                      " differ",
                      s->name, i, copy_at);
  return 0;
}

static int
check_table (struct scan *s, uint64_t i, bool has_copy, struct err *e)
{
  CLEANUP_PIN struct pin pin = { 0 };
  struct err why = { 0 };
  uint64_t at = 0;

  if (vmdk_directory_entry (s->x, s->x->directory, i, &at, &why) == -1)
    return blame (s, &why, e);
  if (at && check_place (s, i, at, &pin, e) == -1)
    return -1;
  if (has_copy && check_copy (s, i, at, &pin, e) == -1)
    return -1;
  return pin.entry ? check_entries (s, i, &pin, e) : 0;
}

/* Is there a redundant directory to compare with? */
static bool
has_copy (struct scan *s)
{
  const struct vmdk_extent *x = s->x;

  if (x->redundant == 0)
    return false;
  if (range_within (x->redundant, x->directory_entries * x->entry_size,
                    x->file->size))
    return true;
  block_check_note (s->c,
                    "%sthe redundant grain directory lies beyond the end of"
                    " the file",
                    s->name);
  return false;
}

static int
check_tables (struct scan *s, struct err *e)
{
  const struct vmdk_extent *x = s->x;
  uint64_t bytes = x->directory_entries * x->entry_size;
  bool copy = has_copy (s);

  take (s, 0, VMDK_SECTOR);
  take (s, x->descriptor, x->descriptor_size);
  take (s, x->directory, round_up (bytes, VMDK_SECTOR));
  if (copy)
    take (s, x->redundant, round_up (bytes, VMDK_SECTOR));
  for (uint64_t i = 0; i < x->directory_entries; i++) {
    if (is_cancelled (s, e))
      return -1;
    if (i % 256 == 0)
      block_check_progress (s->c, i, x->directory_entries);
    if (check_table (s, i, copy, e) == -1)
      return -1;
  }
  return 0;
}

/* --- headers --------------------------------------------------------- */

/* The fields of SparseExtentHeader that a footer has to repeat. */
static const struct {
  const char *name;
  unsigned offset, width;
} footer_fields[] = {
  { "version", 4, 4 },      { "flags", 8, 4 },
  { "capacity", 12, 8 },    { "grain size", 20, 8 },
  { "descriptor", 28, 16 }, { "entries of a grain table", 44, 4 },
  { "compression", 77, 2 },
};

static int
check_footer (struct scan *s, const unsigned char *h, struct err *e)
{
  const struct vmdk_extent *x = s->x;
  unsigned char f[VMDK_HEADER_BYTES];

  if (block_pread (x->file, f, sizeof f,
                   x->file->size - VMDK_FOOTER_BYTES + VMDK_SECTOR, e) == -1)
    return err_in (e, "footer");
  for (size_t i = 0; i < ARRAY_SIZE (footer_fields); i++)
    if (memcmp (h + footer_fields[i].offset, f + footer_fields[i].offset,
                footer_fields[i].width))
      block_check_error (s->c, "%sheader and footer disagree on the %s",
                         s->name, footer_fields[i].name);
  return 0;
}

/* "singleEndLineChar" and its like: a transfer as text changes them, and
 * whatever looks like them in the data. */
static void
check_newlines (struct scan *s, const unsigned char *h)
{
  if (!(s->x->flags & VMDK_NEWLINES) || !memcmp (h + 73, "\n \r\n", 4))
    return;
  if (is_zero (h + 73, 4))
    block_check_note (s->c, "%sthe header's newline test is not filled in",
                      s->name);
  else
    block_check_error (s->c,
                       "%sthe header's newline test fails: the file was"
                       " transferred as text",
                       s->name);
}

static int
check_header (struct scan *s, struct err *e)
{
  const struct vmdk_extent *x = s->x;
  unsigned char h[VMDK_HEADER_BYTES];

  if (x->unclean)
    block_check_note (s->c, "%sthe disk was not closed properly", s->name);
  if (x->declared && x->declared < x->size)
    block_check_note (s->c,
                      "%sthe descriptor says %" PRIu64 " bytes and the header"
                      " %" PRIu64,
                      s->name, x->declared, x->size);
  if (x->declared > x->size)
    block_check_error (s->c,
                       "%sthe descriptor says %" PRIu64 " bytes and the"
                       " header %" PRIu64,
                       s->name, x->declared, x->size);
  if (x->kind != VMDK_HOSTED)
    return 0;
  if (block_pread (x->file, h, sizeof h, 0, e) == -1)
    return err_in (e, "header");
  check_newlines (s, h);
  return x->has_footer ? check_footer (s, h, e) : 0;
}

static int
check_sparse (struct scan *s, struct err *e)
{
  if (scan_new (s, e) == -1 || check_header (s, e) == -1)
    return -1;
  return check_tables (s, e);
}

static int
check_extent (const struct vmdk_extent *x, struct block_check *c,
              struct err *e)
{
  CLEANUP_FREE char *name = NULL;
  struct scan s = { .x = x, .c = c };
  int r;

  if (x->kind == VMDK_FLAT)
    block_check_reach (c, x->file, x->offset + x->size);
  if (x->kind < VMDK_HOSTED)
    return 0;
  if (asprintf (&name, x->name ? "extent '%s': " : "%s",
                x->name ? x->name : "") == -1) {
    name = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  s.name = name;
  r = check_sparse (&s, e);
  free (s.taken);
  return r;
}

int
vmdk_check (struct block *b, struct block_check *c, struct err *e)
{
  const struct vmdk *v = b->priv;

  if (v->parent_why)
    block_check_error (c, "%s", v->parent_why);
  for (size_t i = 0; i < v->extents.len; i++)
    if (check_extent (&v->extents.items[i], c, e) == -1)
      return -1;
  return 0;
}

/* --- safety ---------------------------------------------------------- */

/* OpenStack, format_inspector.py, VMDKInspector.check_footer. */
static int
footer_safety (const struct vmdk_extent *x, struct buf *reasons,
               struct err *e)
{
  unsigned char h[VMDK_HEADER_BYTES], f[VMDK_FOOTER_BYTES];
  const unsigned char *eos = f + 1024;

  if (block_pread (x->file, h, sizeof h, 0, e) == -1 ||
      block_pread (x->file, f, sizeof f, x->file->size - sizeof f, e) == -1)
    return err_in (e, "footer");
  if (memcmp (h, f + 512, 8) || memcmp (h + 28, f + 512 + 28, 16))
    buf_puts (reasons, "header and footer differ\n");
  if (!is_zero (f + 16, 496) || !is_zero (eos, 512))
    buf_puts (reasons, "the markers around the footer are not empty\n");
  return 0;
}

static bool
is_sole_file (const char *type)
{
  return type && (!strcasecmp (type, "monolithicSparse") ||
                  !strcasecmp (type, "streamOptimized"));
}

int
vmdk_safety (struct block *b, struct buf *reasons, struct err *e)
{
  const struct vmdk *v = b->priv;
  CLEANUP_FREE char *text = NULL;

  if (!v->embedded || !is_sole_file (v->descriptor.create_type)) {
    buf_puts (reasons, "only monolithicSparse and streamOptimized are"
                       " trusted, and this is '");
    if (v->descriptor.create_type)
      buf_add_line_text (reasons, v->descriptor.create_type,
                         strnlen (v->descriptor.create_type, 64));
    buf_puts (reasons, "'\n");
  }
  if (v->embedded && v->text_offset != VMDK_SECTOR)
    buf_puts (reasons, "the descriptor is not in the second sector\n");
  if (vmdk_read_descriptor (b, &text, e) == -1)
    return -1;
  vmdk_descriptor_safety (text, reasons);
  if (v->embedded && v->extents.items[0].has_footer)
    return footer_safety (&v->extents.items[0], reasons, e);
  return 0;
}
