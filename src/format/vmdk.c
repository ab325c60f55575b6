/* xrayfs: VMDK: opening, mapping and reading
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Specification: VMware, Virtual Disk Format 5.0; sections are cited by name.
 * A disk is a row of extents, which a descriptor names: a text file, or a
 * text within the one sparse extent that is the whole disk.
 *
 * As qemu 7.2 does it, but for this: nothing beyond the end of a file is
 * zero; ZERO, RDONLY and NOACCESS extents count (qemu drops them, and moves
 * what follows); where an extent ends within a grain the next one begins
 * (qemu reads the grain to its end); a disk that has a parent and does not
 * name it is not filled with zeros.
 */
#include "format/vmdk.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"

extern const struct block_ops vmdk_ops;

/* --- bidding --------------------------------------------------------- */

#define FIRST_LINE "# Disk DescriptorFile"
#define BID_BYTES  2048

/* As in qemu: comments, lines of blanks, and then a version. */
static bool
is_versioned_text (const char *s)
{
  for (;;)
    if (*s == '#') {
      s += strcspn (s, "\n");
      if (!*s++)
        return false;
    } else if (*s == ' ') {
      s += strspn (s, " ");
      s += *s == '\r';
      if (*s++ != '\n')
        return false;
    } else
      break;
  if (strncmp (s, "version=", 8) || s[8] < '1' || s[8] > '3')
    return false;
  return s[9] == '\n' || (s[9] == '\r' && s[10] == '\n');
}

static int
vmdk_bid (struct block *below, struct err *e)
{
  char h[BID_BYTES + 1] = { 0 };
  uint32_t version;

  if (below->size < 4)
    return 0;
  if (block_pread (below, h, MIN (below->size, BID_BYTES), 0, e) == -1)
    return -1;
  version = load_le32 (h + 4);
  /* A version that nobody knows and a header that is cut off are ours to
   * refuse: shown as raw they would mislead. */
  if (load_le32 (h) == VMDK_HOSTED_MAGIC)
    return version >= 1 && version <= 3 ? 64 : 32;
  if (load_le32 (h) == VMDK_COWD_MAGIC)
    return version == 1 ? 64 : 32;
  if (load_le64 (h) == VMDK_SESPARSE_MAGIC)
    return 64;
  if (!strncasecmp (h, FIRST_LINE, sizeof FIRST_LINE - 1))
    return 8 * (sizeof FIRST_LINE - 1);
  return is_versioned_text (h) ? 8 * sizeof "version=1" : 0;
}

/* --- extents --------------------------------------------------------- */

static int
add_extent (struct block *b, struct vmdk_extent *x, struct err *e)
{
  struct vmdk *v = b->priv;

  x->start = b->size;
  if (x->size > INT64_MAX - b->size)
    return err_set (e, EFBIG, "the extents make a disk that is too large");
  if (vmdk_extents_push (&v->extents, *x) == -1)
    return err_set (e, ENOMEM, "out of memory");
  b->size += x->size;
  return 0;
}

/* The file NAME, which several extents may share. */
static int
get_file (struct block *b, const char *name, struct block **ret,
          struct err *e)
{
  struct vmdk *v = b->priv;
  struct block *file;

  for (size_t i = 0; i < v->files.len; i++)
    if (!strcmp (v->files.items[i].name, name)) {
      *ret = v->files.items[i].block;
      return 0;
    }
  /* Size 0: it is never read, and does not count in the size of the files. */
  if (block_reference_or_missing (b, name, "file", 0, &file, e) == -1)
    return -1;
  if (vmdk_files_push (&v->files, (struct vmdk_file){ name, file }) == -1) {
    block_close (file);
    return err_set (e, ENOMEM, "out of memory");
  }
  *ret = file;
  return 0;
}

static int
open_sparse (struct vmdk_extent *x, struct err *e)
{
  if (vmdk_sparse_open (x, e) == -1)
    return -1;
  if (x->size == 0)
    return err_set (e, EINVAL, "header: the capacity is 0");
  return 0;
}

/* Flat extents are called so, or VMFS; the other types have headers that
 * tell them apart. */
static int
kind_of_line (const struct vmdk_line *line, enum vmdk_kind *ret,
              struct err *e)
{
  static const struct {
    const char *type;
    enum vmdk_kind kind;
  } types[] = {
    { "FLAT", VMDK_FLAT },       { "VMFS", VMDK_FLAT },
    { "ZERO", VMDK_ZERO },       { "SPARSE", VMDK_HOSTED },
    { "VMFSSPARSE", VMDK_COWD }, { "SESPARSE", VMDK_SESPARSE },
  };

  for (size_t i = 0; i < ARRAY_SIZE (types); i++)
    if (!strcasecmp (line->type, types[i].type)) {
      *ret = types[i].kind;
      return 0;
    }
  return err_set (e, ENOTSUP,
                  "descriptor line %u: extents of type '%s' are not"
                  " supported",
                  line->number, line->type);
}

static int
open_line (struct block *b, const struct vmdk_line *line, struct err *e)
{
  struct vmdk_extent x = { .name = line->name,
                           .size = line->sectors * VMDK_SECTOR,
                           .declared = line->sectors * VMDK_SECTOR };

  if (kind_of_line (line, &x.kind, e) == -1)
    return -1;
  if (line->sectors == 0)
    return 0;
  if (line->no_access) {
    x.kind = VMDK_NO_ACCESS;
    return add_extent (b, &x, e);
  }
  if (x.kind == VMDK_ZERO)
    return add_extent (b, &x, e);
  if (line->offset > INT64_MAX / VMDK_SECTOR - line->sectors)
    return err_set (e, EINVAL, "descriptor line %u: the extent's offset",
                    line->number);
  x.offset = line->offset * VMDK_SECTOR;
  if (get_file (b, line->name, &x.file, e) == -1)
    return err_in (e, "extent '%s'", line->name);
  if (block_missing_reason (x.file))
    x.kind = VMDK_MISSING;
  else if (x.kind != VMDK_FLAT && open_sparse (&x, e) == -1)
    return err_in (e, "extent '%s'", line->name);
  return add_extent (b, &x, e);
}

/* "createType". */
static int
check_create_type (const char *type, struct err *e)
{
  static const char *const known[] = {
    "monolithicFlat",   "twoGbMaxExtentFlat", "twoGbMaxExtentSparse",
    "2GbMaxExtentFlat", "2GbMaxExtentSparse", "vmfs",
    "vmfsSparse",       "seSparse",           "custom",
    "monolithicSparse", "streamOptimized",
  };
  static const char *const devices[] = {
    "fullDevice",       "partitionedDevice", "vmfsRaw",
    "vmfsRDM",          "vmfsRDMP",          "vmfsPassthroughRawDeviceMap",
    "vmfsRawDeviceMap",
  };

  for (size_t i = 0; i < ARRAY_SIZE (known); i++)
    if (!strcasecmp (type, known[i]))
      return 0;
  for (size_t i = 0; i < ARRAY_SIZE (devices); i++)
    if (!strcasecmp (type, devices[i]))
      return err_set (e, ENOTSUP, "createType '%s': the disk is a device",
                      devices[i]);
  return err_set (e, ENOTSUP, "createType '%s' is not known", type);
}

static int
open_lines (struct block *b, struct err *e)
{
  const struct vmdk *v = b->priv;
  const struct vmdk_descriptor *d = &v->descriptor;

  if (!d->create_type && d->encryption)
    return err_set (e, ENOTSUP, "the descriptor is encrypted (%s)",
                    d->encryption);
  if (!d->create_type)
    return err_set (e, EINVAL, "the descriptor has no createType");
  if (check_create_type (d->create_type, e) == -1)
    return -1;
  for (size_t i = 0; i < d->lines.len; i++)
    if (open_line (b, &d->lines.items[i], e) == -1)
      return -1;
  if (v->extents.len == 0)
    return err_set (e, EINVAL, "the descriptor names no extent");
  return 0;
}

/* --- opening --------------------------------------------------------- */

int
vmdk_read_descriptor (struct block *b, char **ret, struct err *e)
{
  const struct vmdk *v = b->priv;
  CLEANUP_FREE char *text = NULL;

  if (v->text_size > VMDK_MAX_DESCRIPTOR)
    return err_set (e, EFBIG, "descriptor of %" PRIu64 " bytes is too large",
                    v->text_size);
  if (!range_within (v->text_offset, v->text_size, b->below->size))
    return err_set (e, EINVAL, "the descriptor is cut off");
  text = calloc (1, v->text_size + 1);
  if (!text)
    return err_set (e, ENOMEM, "out of memory");
  if (block_pread (b->below, text, v->text_size, v->text_offset, e) == -1)
    return err_in (e, "descriptor");
  *ret = steal_ptr (&text);
  return 0;
}

static int
parse_descriptor (struct block *b, struct err *e)
{
  struct vmdk *v = b->priv;
  CLEANUP_FREE char *text = NULL;

  if (vmdk_read_descriptor (b, &text, e) == -1)
    return -1;
  return vmdk_descriptor_parse (text, &v->descriptor, e);
}

/* Alone, an extent does not say what the rest of the disk is, nor what shows
 * through where it has nothing. */
static int
only_an_extent (struct err *e)
{
  return err_set (e, ENOTSUP,
                  "the file is one extent of a disk, without the descriptor"
                  " that names it");
}

/* A hosted sparse extent with the descriptor in it. */
static int
open_embedded (struct block *b, struct err *e)
{
  struct vmdk *v = b->priv;
  struct vmdk_extent x = { .file = b->below };

  if (vmdk_sparse_open (&x, e) == -1)
    return -1;
  if (x.descriptor == 0 || x.descriptor_size == 0)
    return only_an_extent (e);
  v->text_offset = x.descriptor;
  v->text_size = x.descriptor_size;
  if (parse_descriptor (b, e) == -1)
    return -1;
  if (x.size == 0)
    return open_lines (b, e);
  v->embedded = true;
  /* It names one extent, under whatever name the file had then. */
  if (v->descriptor.lines.len == 1)
    x.declared = v->descriptor.lines.items[0].sectors * VMDK_SECTOR;
  return add_extent (b, &x, e);
}

static int
open_text (struct block *b, struct err *e)
{
  struct vmdk *v = b->priv;

  v->text_size = b->below->size;
  if (parse_descriptor (b, e) == -1)
    return -1;
  return open_lines (b, e);
}

/* "parentCID": the content that the parent had when this disk was made from
 * it. */
static int
check_parent (struct vmdk *v, struct err *e)
{
  const struct vmdk_descriptor *d = &v->descriptor, *parent;
  int r = 0;

  if (!v->parent) {
    /* Some writers have 0 for none. */
    if (d->has_parent_cid && d->parent_cid != VMDK_NO_CID && d->parent_cid)
      r = asprintf (&v->parent_why,
                    "the disk has a parent (CID %08" PRIx32
                    ") that the descriptor does not name",
                    d->parent_cid);
  } else if (!d->has_parent_cid)
    r = asprintf (&v->parent_why, "the descriptor has no parentCID");
  else if (!block_missing_reason (v->parent)) {
    parent = &((struct vmdk *) v->parent->priv)->descriptor;
    if (parent->cid != d->parent_cid)
      r = asprintf (&v->parent_why,
                    "parent '%s' was changed: its CID is %08" PRIx32
                    ", and %08" PRIx32 " is expected",
                    d->parent_name, parent->cid, d->parent_cid);
  }
  if (r == -1) {
    v->parent_why = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  return 0;
}

static int
open_parent (struct block *b, struct err *e)
{
  struct vmdk *v = b->priv;
  const char *name = v->descriptor.parent_name;

  if (name && *name &&
      block_reference_or_missing (b, name, "vmdk", b->size, &v->parent, e) ==
          -1)
    return err_in (e, "parent '%s'", name);
  return check_parent (v, e);
}

static int
open_by_magic (struct block *b, struct err *e)
{
  unsigned char magic[8] = { 0 };
  int bits = vmdk_bid (b->below, e); /* who names the format has not bid */

  if (bits <= 0)
    return bits ? -1 : err_set (e, EINVAL, "not a VMDK image");
  if (block_pread (b->below, magic, MIN (b->below->size, sizeof magic), 0,
                   e) == -1)
    return err_in (e, "header");
  if (load_le32 (magic) == VMDK_HOSTED_MAGIC)
    return open_embedded (b, e);
  if (load_le32 (magic) == VMDK_COWD_MAGIC ||
      load_le64 (magic) == VMDK_SESPARSE_MAGIC)
    return only_an_extent (e);
  return open_text (b, e);
}

static int
vmdk_open (struct block *b, struct err *e)
{
  b->priv = calloc (1, sizeof (struct vmdk));
  if (!b->priv)
    return err_set (e, ENOMEM, "out of memory");
  if (open_by_magic (b, e) == -1)
    return -1;
  return open_parent (b, e);
}

/* --- mapping and reading --------------------------------------------- */

/* The extent that has OFF, which lies within the disk. */
static const struct vmdk_extent *
find_extent (const struct vmdk *v, uint64_t off)
{
  size_t low = 0, high = v->extents.len, mid;

  while (high - low > 1) {
    mid = low + (high - low) / 2;
    if (v->extents.items[mid].start <= off)
      low = mid;
    else
      high = mid;
  }
  return &v->extents.items[low];
}

static int
map_parent (const struct vmdk *v, uint64_t off, uint64_t len,
            struct extent *ret, struct err *e)
{
  if (v->parent_why)
    return err_set (e, EIO, "%s", v->parent_why);
  if (v->parent && off < v->parent->size)
    *ret = extent_data (MIN (len, v->parent->size - off), v->parent, off);
  else
    *ret = extent_of (EXTENT_UNALLOCATED, len);
  return 0;
}

static int
map_flat (const struct vmdk_extent *x, uint64_t off, uint64_t len,
          struct extent *ret, struct err *e)
{
  uint64_t host = x->offset + off;

  if (host >= x->file->size)
    return err_set (e, EIO,
                    "0x%" PRIx64 " lies beyond the end of extent '%s'"
                    " (0x%" PRIx64 ")",
                    host, x->name, x->file->size);
  *ret = extent_data (MIN (len, x->file->size - host), x->file, host);
  ret->transparent = true;
  return 0;
}

static int
map_extent (const struct vmdk_extent *x, uint64_t off, uint64_t len,
            struct extent *ret, struct err *e)
{
  switch (x->kind) {
  case VMDK_FLAT:
    return map_flat (x, off, len, ret, e);
  case VMDK_ZERO:
    *ret = extent_of (EXTENT_ZERO, len);
    return 0;
  case VMDK_NO_ACCESS:
    return err_set (e, EIO, "extent at 0x%" PRIx64 " is NOACCESS", x->start);
  case VMDK_MISSING:
    return err_set (e, EIO, "extent '%s': %s", x->name,
                    block_missing_reason (x->file));
  case VMDK_HOSTED:
  case VMDK_COWD:
  case VMDK_SESPARSE:
  default:
    if (vmdk_sparse_map (x, off, len, ret, e) == -1)
      return x->name ? err_in (e, "extent '%s'", x->name) : -1;
    return 0;
  }
}

static int
check_plain (const struct vmdk *v, struct err *e)
{
  if (v->descriptor.encryption)
    return err_set (e, EIO, "data are encrypted (%s)",
                    v->descriptor.encryption);
  return 0;
}

static int
vmdk_map (struct block *b, uint64_t off, uint64_t len, struct extent *ret,
          struct err *e)
{
  const struct vmdk *v = b->priv;
  const struct vmdk_extent *x = find_extent (v, off);
  struct extent found;

  if (check_plain (v, e) == -1)
    return -1;
  len = MIN (len, x->start + x->size - off);
  if (map_extent (x, off - x->start, len, &found, e) == -1)
    return -1;
  if (found.kind == EXTENT_UNALLOCATED)
    return map_parent (v, off, found.length, ret, e);
  *ret = found;
  return 0;
}

static int
vmdk_pread (struct block *b, void *buf, size_t len, uint64_t off,
            struct err *e)
{
  const struct vmdk *v = b->priv;
  const struct vmdk_extent *x = find_extent (v, off);

  /* map gave it, so that it lies within one extent. */
  if (!x->compressed || !range_within (off - x->start, len, x->size))
    return err_set (e, EIO, "no compressed grain at 0x%" PRIx64, off);
  if (vmdk_sparse_read (x, buf, len, off - x->start, e) == -1)
    return x->name ? err_in (e, "extent '%s'", x->name) : -1;
  return 0;
}

/* --- what it says of itself ------------------------------------------ */

static bool
has_tables (const struct vmdk_extent *x)
{
  return x->kind >= VMDK_HOSTED;
}

/* As in qemu: where all extents have the same. */
static uint64_t
common_grain (const struct vmdk *v)
{
  const struct vmdk_extent *first = v->extents.items, *x;

  for (size_t i = 0; i < v->extents.len; i++) {
    x = &v->extents.items[i];
    if (!has_tables (x) || x->grain != first->grain ||
        x->compressed != first->compressed)
      return BLOCK_NONE;
  }
  return first->grain;
}

static int
put_text (const char *text, char **ret, struct err *e)
{
  if (text && !(*ret = strdup (text)))
    return err_set (e, ENOMEM, "out of memory");
  return 0;
}

/* Of the first extent that has a header, or of the descriptor. */
static int
put_version (const struct vmdk *v, char **ret, struct err *e)
{
  const struct vmdk_extent *x = v->extents.items;
  char text[16];

  if (!has_tables (x))
    return put_text (v->descriptor.version, ret, e);
  snprintf (text, sizeof text, "%" PRIu32, x->version);
  return put_text (x->kind == VMDK_SESPARSE ? "2.1" : text, ret, e);
}

static void
add_feature (struct buf *features, bool has, const char *name)
{
  if (has)
    buf_printf (features, "%s\n", name);
}

static void
put_extents (const struct vmdk *v, struct block_info *ret, bool *compressed)
{
  uint32_t flags = 0;
  bool footer = false;

  for (size_t i = 0; i < v->extents.len; i++) {
    const struct vmdk_extent *x = &v->extents.items[i];

    *compressed |= x->compressed;
    footer |= x->has_footer;
    ret->dirty |= x->unclean;
    flags |= x->kind == VMDK_HOSTED ? x->flags : 0;
  }
  for (size_t i = 0; i < v->files.len; i++) {
    const char *name = v->files.items[i].name;

    buf_add_line_text (&ret->extent_files, name, strlen (name));
    buf_puts (&ret->extent_files, "\n");
  }
  add_feature (&ret->features, flags & VMDK_REDUNDANT, "redundant tables");
  add_feature (&ret->features, flags & VMDK_ZERO_GRAINS, "zeroed grains");
  add_feature (&ret->features, flags & VMDK_MARKERS, "markers");
  add_feature (&ret->features, footer, "footer");
  add_feature (&ret->features, v->descriptor.tracks_changes,
               "changed block tracking");
}

static int
vmdk_info (struct block *b, struct block_info *ret, struct err *e)
{
  const struct vmdk *v = b->priv;
  const struct vmdk_descriptor *d = &v->descriptor;
  const char *subformat = d->create_type;
  bool compressed = false;

  put_extents (v, ret, &compressed);
  if (v->embedded) /* as in qemu: by what is there */
    subformat = compressed ? "streamOptimized" : "monolithicSparse";
  ret->cluster_size = common_grain (v);
  ret->has_backing = ret->has_features = ret->has_encryption = true;
  if (put_text (subformat, &ret->subformat, e) == -1 ||
      put_version (v, &ret->version, e) == -1 ||
      put_text (compressed ? "deflate" : NULL, &ret->compression, e) == -1 ||
      put_text (d->encryption, &ret->encrypted, e) == -1)
    return -1;
  if (!v->parent)
    return 0;
  if (put_text (d->parent_name, &ret->backing_file, e) == -1)
    return -1;
  return put_text ("vmdk", &ret->backing_format, e);
}

/* The descriptor's file counts too. */
static struct block *
vmdk_storage (struct block *b, size_t i)
{
  const struct vmdk *v = b->priv;

  if (i == 0)
    return b->below;
  return i - 1 < v->files.len ? v->files.items[i - 1].block : NULL;
}

static struct block *
vmdk_backing (struct block *b)
{
  return ((struct vmdk *) b->priv)->parent;
}

static void
vmdk_close (struct block *b)
{
  struct vmdk *v = b->priv;

  if (!v)
    return;
  block_close (v->parent);
  for (size_t i = 0; i < v->files.len; i++)
    block_close (v->files.items[i].block);
  free (v->files.items);
  free (v->extents.items);
  free (v->parent_why);
  vmdk_descriptor_free (&v->descriptor);
  free (v);
}

const struct block_ops vmdk_ops = {
  .name = "vmdk",
  .bid = vmdk_bid,
  .open = vmdk_open,
  .pread = vmdk_pread,
  .map = vmdk_map,
  .info = vmdk_info,
  .storage = vmdk_storage,
  .backing = vmdk_backing,
  .check = vmdk_check,
  .safety = vmdk_safety,
  .close = vmdk_close,
};
