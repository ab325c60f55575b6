/* xrayfs: VMDK: headers of sparse extents: hosted ("KDMV"), COWD and seSparse
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * VMware, Virtual Disk Format 5.0: "Hosted Sparse Extents", "ESX Server
 * Sparse Extents".  seSparse has no public specification: as qemu 7.2 reads
 * it.
 */
#include <inttypes.h>

#include "base/bytes.h"
#include "block/table.h"
#include "format/vmdk.h"

#define VOLATILE_MAGIC   UINT64_C (0xcafecafe)
#define SESPARSE_VERSION UINT64_C (0x0000000200000001)

#define COWD_UNCLEAN 1648 /* offset of uncleanShutdown */
#define COWD_ENTRIES 4096 /* of a grain table */

/* As in qemu: a grain of 1 GiB is not a grain, and 32 Mi directory entries
 * are enough for 8 TiB of 512 byte grains. */
#define MAX_GRAIN_SECTORS UINT64_C (0x200000)
#define MAX_DIRECTORY     UINT64_C (0x2000000)
/* A compressed grain is held in memory whole; all writers use 64 KiB. */
#define MAX_COMPRESSED_GRAIN (2 * MiB)

#define DEFLATE 1 /* compressAlgorithm */

/* LEN bytes that a header must have. */
static int
read_head (const struct vmdk_extent *x, void *to, uint64_t off, size_t len,
           const char *what, struct err *e)
{
  if (!range_within (off, len, x->file->size))
    return err_set (e, EINVAL, "%s is cut off", what);
  if (block_pread (x->file, to, len, off, e) == -1)
    return err_in (e, "%s", what);
  return 0;
}

/* SECTORS in bytes, if that can be an offset or a length. */
static int
to_bytes (uint64_t sectors, uint64_t *ret, const char *what, struct err *e)
{
  if (sectors > INT64_MAX / VMDK_SECTOR)
    return err_set (e, EINVAL, "%s of 0x%" PRIx64 " sectors", what, sectors);
  *ret = sectors * VMDK_SECTOR;
  return 0;
}

/* What all kinds need before an entry is looked at: the directory covers the
 * size, and the file holds it. */
static int
check_geometry (struct vmdk_extent *x, struct err *e)
{
  if (x->grain == 0 || x->grain > MAX_GRAIN_SECTORS * VMDK_SECTOR)
    return err_set (e, EINVAL, "grain size of %" PRIu64 " bytes", x->grain);
  if (x->compressed && x->grain > MAX_COMPRESSED_GRAIN)
    return err_set (
        e, ENOTSUP,
        "compressed grains of %" PRIu64 " bytes are not supported", x->grain);
  x->directory_entries = div_up (x->size, vmdk_coverage (x));
  if (x->directory_entries > MAX_DIRECTORY)
    return err_set (e, EFBIG,
                    "grain directory of %" PRIu64 " entries is too large",
                    x->directory_entries);
  if (!range_within (x->directory, x->directory_entries * x->entry_size,
                     x->file->size))
    return err_set (e, EIO,
                    "the grain directory at 0x%" PRIx64
                    " lies beyond the end of the file (0x%" PRIx64 ")",
                    x->directory, x->file->size);
  return 0;
}

/* "Hosted Sparse Extents": SparseExtentHeader H, or its copy in the footer.
 * The geometry is not looked at yet. */
static int
load_hosted (struct vmdk_extent *x, const unsigned char *h,
             uint64_t *ret_overhead, struct err *e)
{
  uint64_t directory = load_le64 (h + 56);

  x->version = load_le32 (h + 4);
  x->flags = load_le32 (h + 8);
  x->table_entries = load_le32 (h + 44);
  x->unclean = h[72] == 1;
  /* The algorithm decides, as in qemu; a flag alone is no answer. */
  x->compressed = load_le16 (h + 77) == DEFLATE;
  if (x->version == 0 || x->version > 3)
    return err_set (e, ENOTSUP, "version %" PRIu32 " is not known",
                    x->version);
  if (load_le16 (h + 77) > DEFLATE)
    return err_set (e, ENOTSUP, "compression algorithm %u is not supported",
                    load_le16 (h + 77));
  if ((x->flags & VMDK_COMPRESSED) && !x->compressed)
    return err_set (e, EINVAL, "compression flag and algorithm disagree");
  if (x->table_entries == 0 || x->table_entries > 512)
    return err_set (e, EINVAL, "grain tables of %" PRIu32 " entries",
                    x->table_entries);
  if (to_bytes (load_le64 (h + 12), &x->size, "capacity", e) == -1 ||
      to_bytes (load_le64 (h + 20), &x->grain, "grain size", e) == -1 ||
      to_bytes (load_le64 (h + 28), &x->descriptor, "descriptor", e) == -1 ||
      to_bytes (load_le64 (h + 36), &x->descriptor_size, "descriptor", e) ==
          -1 ||
      to_bytes (load_le64 (h + 64), ret_overhead, "overhead", e) == -1)
    return -1;
  if ((x->flags & VMDK_REDUNDANT) &&
      to_bytes (load_le64 (h + 48), &x->redundant,
                "redundant grain directory", e) == -1)
    return -1;
  return directory == VMDK_AT_END
             ? 0
             : to_bytes (directory, &x->directory, "grain directory", e);
}

/* "Stream-Optimized": the last three sectors are the footer's marker, the
 * footer, and the end-of-stream marker. */
static int
read_footer (const struct vmdk_extent *x, unsigned char *ret, struct err *e)
{
  unsigned char f[VMDK_FOOTER_BYTES];
  uint64_t end = x->file->size / VMDK_SECTOR * VMDK_SECTOR;
  const unsigned char *eos = f + 1024;

  if (end < sizeof f || end != x->file->size)
    return err_set (e, EIO, "there is no footer: the file is cut off");
  if (read_head (x, f, end - sizeof f, sizeof f, "footer", e) == -1)
    return -1;
  if (load_le32 (f + 512) != VMDK_HOSTED_MAGIC || load_le32 (f + 8) != 0 ||
      load_le32 (f + 12) != VMDK_MARKER_FOOTER || load_le64 (eos) != 0 ||
      load_le32 (eos + 8) != 0 || load_le32 (eos + 12) != VMDK_MARKER_EOS)
    return err_set (e, EIO,
                    "there is no footer at 0x%" PRIx64
                    ": the file is cut off or damaged",
                    end - sizeof f);
  if (load_le64 (f + 512 + 56) == VMDK_AT_END)
    return err_set (e, EINVAL, "the footer names another footer");
  memcpy (ret, f + 512, 512);
  return 0;
}

static int
open_hosted (struct vmdk_extent *x, struct err *e)
{
  unsigned char h[VMDK_HEADER_BYTES], f[VMDK_HEADER_BYTES];
  uint64_t overhead, descriptor, descriptor_size;

  x->kind = VMDK_HOSTED;
  x->entry_size = 4;
  if (read_head (x, h, 0, sizeof h, "header", e) == -1 ||
      load_hosted (x, h, &overhead, e) == -1)
    return err_in (e, "header");
  if (x->size == 0)
    return 0;
  x->has_footer = load_le64 (h + 56) == VMDK_AT_END;
  if (x->has_footer) {
    /* It takes precedence, but for the descriptor, which no reader looks for
     * there. */
    descriptor = x->descriptor;
    descriptor_size = x->descriptor_size;
    if (read_footer (x, f, e) == -1)
      return -1;
    if (load_hosted (x, f, &overhead, e) == -1)
      return err_in (e, "footer");
    if (x->size == 0)
      return err_set (e, EINVAL, "footer: the capacity is 0");
    x->descriptor = descriptor;
    x->descriptor_size = descriptor_size;
  }
  if (overhead > x->file->size)
    return err_set (e, EIO,
                    "the file is cut off: it has %" PRIu64 " bytes, and"
                    " %" PRIu64 " are needed before the first grain",
                    x->file->size, overhead);
  return check_geometry (x, e);
}

/* "ESX Server Sparse Extents": COWDisk_Header. */
static int
open_cowd (struct vmdk_extent *x, struct err *e)
{
  unsigned char h[VMDK_COWD_HEADER_BYTES];

  x->kind = VMDK_COWD;
  if (read_head (x, h, 0, sizeof h, "header", e) == -1)
    return -1;
  x->version = load_le32 (h + 4);
  if (x->version != 1)
    return err_set (e, ENOTSUP, "COWD version %" PRIu32 " is not known",
                    x->version);
  x->flags = load_le32 (h + 8);
  x->size = load_le32 (h + 12) * VMDK_SECTOR;
  x->grain = load_le32 (h + 16) * VMDK_SECTOR;
  x->directory = load_le32 (h + 20) * VMDK_SECTOR;
  x->entry_size = 4;
  x->table_entries = COWD_ENTRIES;
  x->unclean = load_le32 (h + COWD_UNCLEAN) == 1;
  if (check_geometry (x, e) == -1)
    return -1;
  if (x->directory_entries > load_le32 (h + 24))
    return err_set (e, EINVAL,
                    "grain directory of %" PRIu32 " entries is too small:"
                    " %" PRIu64 " are needed",
                    load_le32 (h + 24), x->directory_entries);
  return 0;
}

/* The fields of the constant header of a seSparse extent, in 64 bit words. */
enum {
  SE_MAGIC,
  SE_VERSION,
  SE_CAPACITY,
  SE_GRAIN,
  SE_TABLE,
  SE_FLAGS,
  SE_RESERVED, /* 4 */
  SE_VOLATILE = 10,
  SE_DIRECTORY = 16,
  SE_DIRECTORY_SIZE,
  SE_TABLES,
  SE_GRAINS = 24,
  SE_WORDS = 26
};

static int
check_sesparse (const unsigned char *h, const uint64_t *w, struct err *e)
{
  if (w[SE_VERSION] != SESPARSE_VERSION)
    return err_set (e, ENOTSUP, "seSparse version 0x%" PRIx64 " is not known",
                    w[SE_VERSION]);
  if (w[SE_GRAIN] != 8)
    return err_set (e, ENOTSUP,
                    "seSparse grains of %" PRIu64
                    " sectors are not supported",
                    w[SE_GRAIN]);
  if (w[SE_TABLE] != 64)
    return err_set (e, ENOTSUP,
                    "seSparse grain tables of %" PRIu64
                    " sectors are not supported",
                    w[SE_TABLE]);
  if (w[SE_FLAGS] || !is_zero (w + SE_RESERVED, 4 * sizeof *w) ||
      !is_zero (h + SE_WORDS * 8, VMDK_HEADER_BYTES - SE_WORDS * 8))
    return err_set (e, ENOTSUP, "seSparse header: unknown fields are set");
  return 0;
}

static int
check_volatile (const struct vmdk_extent *x, uint64_t off, struct err *e)
{
  unsigned char h[VMDK_HEADER_BYTES];

  if (read_head (x, h, off, sizeof h, "volatile header", e) == -1)
    return -1;
  if (load_le64 (h) != VOLATILE_MAGIC)
    return err_set (e, EINVAL, "there is no volatile header at 0x%" PRIx64,
                    off);
  /* What the journal holds is newer than the tables. */
  if (load_le64 (h + 24))
    return err_set (e, ENOTSUP,
                    "the journal must be replayed, which is not supported");
  return 0;
}

static int
open_sesparse (struct vmdk_extent *x, struct err *e)
{
  unsigned char h[VMDK_HEADER_BYTES];
  uint64_t w[SE_WORDS], off = 0, n = 0;

  x->kind = VMDK_SESPARSE;
  x->version = 1;
  if (read_head (x, h, 0, sizeof h, "header", e) == -1)
    return -1;
  for (unsigned i = 0; i < SE_WORDS; i++)
    w[i] = load_le64 (h + i * 8);
  if (check_sesparse (h, w, e) == -1 ||
      to_bytes (w[SE_VOLATILE], &off, "volatile header", e) == -1 ||
      check_volatile (x, off, e) == -1 ||
      to_bytes (w[SE_CAPACITY], &x->size, "capacity", e) == -1 ||
      to_bytes (w[SE_DIRECTORY], &x->directory, "grain directory", e) == -1 ||
      to_bytes (w[SE_DIRECTORY_SIZE], &n, "grain directory", e) == -1 ||
      to_bytes (w[SE_TABLES], &x->tables, "grain tables", e) == -1 ||
      to_bytes (w[SE_GRAINS], &x->grains, "grains", e) == -1)
    return -1;
  x->grain = w[SE_GRAIN] * VMDK_SECTOR;
  x->entry_size = 8;
  x->table_entries = (uint32_t) (w[SE_TABLE] * VMDK_SECTOR / 8);
  if (check_geometry (x, e) == -1)
    return -1;
  if (x->directory_entries > n / 8)
    return err_set (e, EINVAL,
                    "grain directory of %" PRIu64 " entries is too small:"
                    " %" PRIu64 " are needed",
                    n / 8, x->directory_entries);
  return 0;
}

int
vmdk_sparse_open (struct vmdk_extent *x, struct err *e)
{
  unsigned char magic[8] = { 0 };

  x->directory_owner = cache_new_owner ();
  x->table_owner = cache_new_owner ();
  x->grain_owner = cache_new_owner ();
  if (read_head (x, magic, 0, 4, "header", e) == -1)
    return -1;
  if (load_le32 (magic) == VMDK_HOSTED_MAGIC)
    return open_hosted (x, e);
  if (load_le32 (magic) == VMDK_COWD_MAGIC)
    return open_cowd (x, e);
  if (read_head (x, magic, 0, 8, "header", e) == -1)
    return -1;
  if (load_le64 (magic) == VMDK_SESPARSE_MAGIC)
    return open_sesparse (x, e);
  return err_set (e, EINVAL, "is not a sparse extent");
}
