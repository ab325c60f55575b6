/* xrayfs: NTFS: the volume as a whole: sizes, state, damage
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/ntfs.h"

#define CHUNK        (64 * KiB)
#define MAX_LOG_PAGE (64 * KiB)

/* --- sizes ---------------------------------------------------------------
 */

static uint64_t
count_zeros (const unsigned char *p, uint64_t bits)
{
  uint64_t n = 0, i = 0;
  uint64_t word;

  for (; bits - i >= 64; i += 64) {
    memcpy (&word, p + i / 8, sizeof word);
    n += 64 - (unsigned) __builtin_popcountll (word);
  }
  for (; i < bits; i++)
    n += !(p[i / 8] & 1 << i % 8);
  return n;
}

/* Zeros among the first BITS of NA. */
static int
count_free (struct nt *nt, ntfs_attr *na, uint64_t bits, uint64_t *ret,
            struct err *e)
{
  CLEANUP_FREE unsigned char *buf = malloc (CHUNK);
  uint64_t n, sum = 0;

  if (!buf)
    return err_set (e, ENOMEM, "out of memory");
  bits = MIN (bits, (uint64_t) na->data_size * 8);
  for (uint64_t i = 0; i < bits; i += n) {
    n = MIN (bits - i, CHUNK * 8);
    if (nt_attr_read (nt, na, buf, div_up (n, 8), i / 8, "bitmap", e) == -1)
      return -1;
    sum += count_zeros (buf, n);
  }
  *ret = sum;
  return 0;
}

/* Once: the bitmap of a large volume has megabytes. */
static int
load_free (struct nt *nt, uint64_t records, struct err *e)
{
  if (nt->free_clusters == UINT64_MAX &&
      count_free (nt, nt->vol->lcnbmp_na, (uint64_t) nt->vol->nr_clusters,
                  &nt->free_clusters, e) == -1)
    return err_in (e, "$Bitmap");
  if (nt->free_records == UINT64_MAX &&
      count_free (nt, nt->vol->mftbmp_na, records, &nt->free_records, e) ==
          -1)
    return err_in (e, "$MFT");
  return 0;
}

/* --- the log (layout.h, RESTART_PAGE_HEADER and RESTART_AREA) --------------
 */

struct restart {
  bool valid, clean;
  uint64_t lsn;
};

/* The page at P, of LEN bytes at most.  A log without clients was closed; so
 * was one that says it. */
static struct restart
parse_restart (char *p, size_t len)
{
  struct restart r = { 0 };
  size_t size, area;

  if (memcmp (p, "RSTR", 4) != 0)
    return r;
  size = load_le32 (p + 16);
  if (!is_power_of_2 (size) || size < 512 || size > len ||
      ntfs_mst_post_read_fixup_warn ((NTFS_RECORD *) p, (u32) size, FALSE) ==
          -1)
    return r;
  area = load_le16 (p + 24);
  if (!range_within (area, 16, size))
    return r;
  r.valid = true;
  r.lsn = load_le64 (p + area);
  r.clean =
      load_le16 (p + area + 12) == 0xffff || load_le16 (p + area + 14) & 2;
  return r;
}

/* The second restart page follows the first, whatever its size. */
static bool
log_is_clean (char *p, size_t len)
{
  struct restart best = { 0 }, r;
  char *q = p;

  if (*(unsigned char *) p == 0xff && !memcmp (p, p + 1, len - 1))
    return true; /* just made */
  for (size_t at = 0; at < len; at = at ? 2 * at : 512) {
    q = p + at;
    r = parse_restart (q, len - at);
    if (r.valid && (!best.valid || r.lsn > best.lsn))
      best = r;
  }
  return best.valid && best.clean;
}

static int
read_log (struct nt *nt, struct nt_node *n, bool *ret_clean, struct err *e)
{
  CLEANUP_FREE char *buf = malloc (MAX_LOG_PAGE);
  size_t len;

  if (!buf)
    return err_set (e, ENOMEM, "out of memory");
  len = (size_t) MIN ((uint64_t) n->data->data_size, MAX_LOG_PAGE);
  if (len < 1024)
    return err_set (e, EIO, "$LogFile is cut off");
  if (nt_attr_read (nt, n->data, buf, len, 0, "$LogFile", e) == -1)
    return -1;
  *ret_clean = log_is_clean (buf, len);
  return 0;
}

static int
check_log (struct nt *nt, bool *ret_clean, struct err *e)
{
  struct nt_node *n;

  if (nt_node_get (nt, FILE_LogFile, &n, e) == -1)
    return err_in (e, "$LogFile");
  if (!n->data)
    return err_set (e, EIO, "$LogFile has no contents");
  return read_log (nt, n, ret_clean, e);
}

/* --- hibernation
 * ------------------------------------------------------------ */

/* Windows leaves the file, filled with zeros, after it has woken up. */
static int
is_hibernated (struct nt *nt, bool *ret, struct err *e)
{
  char magic[4];
  struct nt_node *n;
  uint64_t ino;

  *ret = false;
  if (nt_lookup (nt->fs, FILE_root, "hiberfil.sys", 12, &ino, e) == -1) {
    if (e->code != ENOENT)
      return -1;
    err_clear (e);
    return 0;
  }
  if (nt_node_get (nt, ino, &n, e) == -1)
    return -1;
  if (!S_ISREG (n->mode) || !n->data || n->data->data_size < 4)
    return 0;
  if (nt_attr_read (nt, n->data, magic, sizeof magic, 0, "hiberfil.sys", e) ==
      -1)
    return -1;
  *ret = !memcmp (magic, "hibr", 4) || !memcmp (magic, "HIBR", 4);
  return 0;
}

static int
get_state (struct nt *nt, const char **ret, struct err *e)
{
  bool hibernated = false, clean = false;

  if (is_hibernated (nt, &hibernated, e) == -1 ||
      check_log (nt, &clean, e) == -1)
    return -1;
  *ret = hibernated                         ? "hibernated"
         : !clean                           ? "needs-recovery"
         : nt->vol->flags & VOLUME_IS_DIRTY ? "dirty"
                                            : "clean";
  return 0;
}

int
nt_info (struct fs *fs, struct fs_info *ret, struct err *e)
{
  struct nt *nt = nt_of (fs);
  const ntfs_volume *vol = nt->vol;
  const char *state = NULL;
  uint64_t records =
      (uint64_t) vol->mft_na->initialized_size >> vol->mft_record_size_bits;

  if (get_state (nt, &state, e) == -1 || load_free (nt, records, e) == -1)
    return -1;
  ret->size = (uint64_t) vol->nr_clusters << vol->cluster_size_bits;
  ret->free = nt->free_clusters << vol->cluster_size_bits;
  ret->used = ret->size - ret->free;
  ret->inodes = records;
  ret->inodes_free = nt->free_records;
  ret->block_size = vol->cluster_size;
  snprintf (ret->state, sizeof ret->state, "%s", state);
  buf_printf (&ret->features, "ntfs-%u.%u", vol->major_ver, vol->minor_ver);
  return buf_check (&ret->features, e);
}

/* --- damage --------------------------------------------------------------
 */

static void
check_size (struct nt *nt, const uint8_t *boot, struct block_check *c)
{
  uint64_t sector = load_le16 (boot + 11);
  uint64_t end = (load_le64 (boot + 40)) * sector;

  if (end > nt->block->size)
    block_check_error (c,
                       "volume of %" PRIu64 " bytes is cut off: %" PRIu64
                       " bytes are missing",
                       end, end - nt->block->size);
}

/* Behind the last sector of the volume. */
static int
check_backup_boot (struct nt *nt, const uint8_t *boot, struct block_check *c,
                   struct err *e)
{
  uint64_t sector = load_le16 (boot + 11);
  uint64_t at = load_le64 (boot + 40) * sector;
  uint8_t copy[512];

  if (!range_within (at, sizeof copy, nt->block->size)) {
    block_check_note (c, "backup boot sector is not on the partition");
    return 0;
  }
  if (block_pread (nt->block, copy, sizeof copy, at, e) == -1)
    return err_in (e, "backup boot sector");
  if (memcmp (copy, boot, sizeof copy) != 0)
    block_check_note (c, "backup boot sector differs");
  return 0;
}

/* The records that Windows keeps alike: the first four. */
static int
check_mirror (struct nt *nt, struct block_check *c, struct err *e)
{
  size_t size = nt->vol->mft_record_size, len = 4 * size;
  CLEANUP_FREE char *mft = malloc (2 * len);
  char *mirror = mft + len;

  if (!mft)
    return err_set (e, ENOMEM, "out of memory");
  if (nt_attr_read (nt, nt->vol->mft_na, mft, len, 0, "$MFT", e) == -1)
    return -1;
  if (!range_within (nt->mirror, len, nt->block->size)) {
    block_check_note (c, "$MFTMirr lies beyond the end of the partition");
    return 0;
  }
  if (block_pread (nt->block, mirror, len, nt->mirror, e) == -1)
    return err_in (e, "$MFTMirr");
  for (size_t i = 0; i < 4; i++)
    if (memcmp (mft + i * size, mirror + i * size, size) != 0)
      block_check_note (c, "$MFTMirr differs from $MFT in record %zu", i);
  return 0;
}

static int
check_state (struct nt *nt, struct block_check *c, struct err *e)
{
  bool clean = false, hibernated = false;

  if (check_log (nt, &clean, e) == -1 ||
      is_hibernated (nt, &hibernated, e) == -1)
    return -1;
  if (hibernated)
    block_check_note (c, "Windows is hibernated");
  if (!clean)
    block_check_note (c, "$LogFile was not closed, and is not replayed");
  if (nt->vol->flags & VOLUME_IS_DIRTY)
    block_check_note (c, "volume is marked dirty");
  return 0;
}

int
nt_check (struct fs *fs, struct block_check *c, struct err *e)
{
  struct nt *nt = nt_of (fs);
  uint8_t boot[512];

  if (block_pread (nt->block, boot, sizeof boot, 0, e) == -1)
    return err_in (e, "boot sector");
  check_size (nt, boot, c);
  if (check_backup_boot (nt, boot, c, e) == -1 ||
      check_mirror (nt, c, e) == -1)
    return -1;
  return check_state (nt, c, e);
}
