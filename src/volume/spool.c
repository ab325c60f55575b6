/* xrayfs: a file descriptor for libblkid
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Two kinds of windows.  The fixed ones are where probers look for a magic
 * number: the list below says which.  The others depend on numbers in a
 * superblock (a label in a FAT's root directory, the first records of an
 * NTFS's $MFT, ...): a follower per such format walks the same way as the
 * prober of util-linux 2.38, libblkid/src/superblocks/<name>.c, and whatever
 * it looks at is copied.  A follower may copy too much, never too little, so
 * it checks less than the prober does.
 */
#include "volume/spool.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"

/* No prober needs more than this at once for an image that somebody made;
 * libblkid itself would allocate up to 4 GiB because a superblock says so. */
#define MAX_RUN (1 * MiB)

/* One read, which may be one request to a server. */
#define MAX_READ (1 * MiB)

struct window {
  uint64_t off, len;
  const char *why;
};

/* From the start.  Sizes are generous: other releases of libblkid look at
 * neighbouring places. */
static const struct window head_windows[] = {
  /* Nearly every magic number lies in the first 68 KiB.  Beyond: ISO 9660 and
   * UDF descriptors up to 288 KiB, the XFS log (searched in 256 KiB), UFS at
   * 256 KiB, the ZFS labels L0 and L1 (512 KiB), UDF anchors at block 256 or
   * 512, second LUKS2 headers at the powers of two up to 512 KiB. */
  { 0, 576 * KiB, "the first 576 KiB" },
  /* VMFS volume, LUKS2, UDF anchors with blocks of 2048 and 4096 */
  { 1 * MiB, 8 * KiB, "1 MiB" },
  /* VMFS file system, LUKS2, UDF anchor, bcachefs (since 2.39) */
  { 2 * MiB, 64 * KiB, "2 MiB" },
  /* LUKS2's last second header */
  { 4 * MiB, 8 * KiB, "4 MiB" },
};

/* The last sectors: RAID of every maker (Promise up to 3087 sectors before
 * the end, DDF 257, md 64 to 128 KiB, Highpoint, Intel, ...), DRBD, nilfs2's
 * second superblock, ZFS labels L2 and L3 (the last 768 KiB), bcachefs
 * (1 MiB), the backup GPT. */
#define TAIL (2 * MiB)

static int
spool_write (int fd, const char *buf, size_t len, uint64_t off, struct err *e)
{
  ssize_t n;

  while (len > 0) {
    n = pwrite (fd, buf, len, (off_t) off);
    if (n == -1 && errno == EINTR)
      continue;
    if (n <= 0)
      return err_sys (e, n ? errno : ENOSPC, "memory for a probe");
    buf += n;
    off += (uint64_t) n;
    len -= (size_t) n;
  }
  return 0;
}

int
spool_look (int fd, struct block *block, uint64_t off, void *buf, size_t len,
            struct err *e)
{
  if (!range_within (off, len, block->size))
    return 0;
  if (block_pread (block, buf, len, off, e) == -1 ||
      spool_write (fd, buf, len, off, e) == -1)
    return -1;
  return 1;
}

/* Zeros are there already: a memfd's holes take no memory. */
static int
spool_write_data (int fd, const char *buf, size_t len, uint64_t off,
                  struct err *e)
{
  size_t n;

  for (; len > 0; buf += n, off += n, len -= n) {
    n = MIN (len, 64 * KiB);
    if (!is_zero (buf, n) && spool_write (fd, buf, n, off, e) == -1)
      return -1;
  }
  return 0;
}

int
spool_add (int fd, struct block *block, uint64_t off, uint64_t len,
           struct err *e)
{
  CLEANUP_FREE char *buf = NULL;
  uint64_t n;

  if (off >= block->size || len == 0)
    return 0;
  len = MIN (len, block->size - off);
  buf = malloc (MIN (len, MAX_READ));
  if (!buf)
    return err_set (e, ENOMEM, "out of memory");
  for (; len > 0; off += n, len -= n) {
    n = MIN (len, MAX_READ);
    if (block_pread (block, buf, n, off, e) == -1 ||
        spool_write_data (fd, buf, n, off, e) == -1)
      return -1;
  }
  return 0;
}

/* --- what superblocks refer to --------------------------------------- */

struct spool {
  int fd;
  struct block *block;
  unsigned char head[2048]; /* zeros beyond the end */
};

static int
look (struct spool *s, uint64_t off, void *buf, size_t len, struct err *e)
{
  return spool_look (s->fd, s->block, off, buf, len, e);
}

static int
copy (struct spool *s, uint64_t off, uint64_t len, struct err *e)
{
  return spool_add (s->fd, s->block, off, len, e);
}

/* A run whose length the image chooses.  One that does not lie within is not
 * read by libblkid either. */
static int
copy_run (struct spool *s, uint64_t off, uint64_t len, struct err *e)
{
  if (!range_within (off, len, s->block->size))
    return 0;
  if (len > MAX_RUN)
    return err_set (e, EINVAL,
                    "%" PRIu64 " bytes at 0x%" PRIx64
                    " are more than anyone would store there",
                    len, off);
  return copy (s, off, len, e);
}

/* vfat.c: the label lies in the root directory, which FAT32 keeps in a chain
 * of clusters (followed 100 times); the fsinfo sector is checked. */
struct fat {
  uint32_t sector, cluster, reserved, fat_sectors, root_entries;
  uint32_t root_cluster, entries;
  bool is_32;
};

static bool
fat_parse (const unsigned char *b, struct fat *f)
{
  uint32_t length16 = load_le16 (b + 22), length32 = load_le32 (b + 36);

  *f = (struct fat){
    .sector = load_le16 (b + 11),
    .cluster = b[13],
    .reserved = load_le16 (b + 14),
    .fat_sectors = (length16 ? length16 : length32) * b[16],
    .root_entries = load_le16 (b + 17),
    .root_cluster = load_le32 (b + 44),
    .is_32 = !length16,
  };
  f->entries = (uint32_t) ((uint64_t) length32 * f->sector / 4);
  return f->sector >= 512 && f->sector <= 4096 && is_power_of_2 (f->sector) &&
         is_power_of_2 (f->cluster) && f->reserved && b[16] &&
         (length16 || length32);
}

static int
fat32_chain (struct spool *s, const struct fat *f, struct err *e)
{
  uint32_t data = f->reserved + f->fat_sectors, next = f->root_cluster, at;
  unsigned char entry[4];
  int got;

  for (int i = 0; i < 100 && next && next < f->entries; i++) {
    at = data + (next - 2) * f->cluster; /* wraps as in libblkid */
    if (copy (s, (uint64_t) at * f->sector, f->cluster * f->sector, e) == -1)
      return err_in (e, "root directory");
    got = look (s, (uint64_t) f->reserved * f->sector + (uint64_t) next * 4,
                entry, sizeof entry, e);
    if (got != 1)
      return got == 0 ? 0 : err_in (e, "file allocation table");
    next = load_le32 (entry) & 0x0fffffff;
  }
  return 0;
}

static int
follow_fat (struct spool *s, struct err *e)
{
  struct fat f;

  if (!fat_parse (s->head, &f))
    return 0;
  if (!f.is_32)
    return copy (s, (f.reserved + f.fat_sectors) * f.sector,
                 f.root_entries * 32, e);
  if (copy (s, (uint64_t) load_le16 (s->head + 48) * f.sector, 512, e) == -1)
    return err_in (e, "fsinfo sector");
  return fat32_chain (s, &f, e);
}

/* ntfs.c: records 0 and 3 ($Volume: the label) of the $MFT. */
static int
follow_ntfs (struct spool *s, struct err *e)
{
  const unsigned char *b = s->head;
  uint64_t sector = load_le16 (b + 11), per_cluster = b[13], record, at;
  int8_t per_record = (int8_t) b[64];

  if (memcmp (b + 3, "NTFS    ", 8) || sector < 256 || sector > 4096)
    return 0;
  if (per_cluster >= 240 && per_cluster <= 249)
    per_cluster = 1u << (256 - per_cluster);
  if (per_record < -31 || per_record == 0)
    return 0;
  record = per_record > 0 ? (uint64_t) per_record * per_cluster * sector
                          : 1u << -per_record;
  at = load_le64 (b + 48) * sector * per_cluster;
  if (copy_run (s, at, record, e) == -1)
    return err_in (e, "first $MFT record");
  if (copy_run (s, at + 3 * record, record, e) == -1)
    return err_in (e, "$MFT record 3");
  return 0;
}

/* exfat.c: the label is an entry of the root directory, the first of at most
 * 10000 that is one. */
struct exfat {
  unsigned block_bits, cluster_bits;
  uint64_t fat, heap; /* in blocks */
};

static uint64_t
exfat_offset (const struct exfat *x, uint32_t cluster)
{
  uint64_t block = x->heap + ((uint64_t) (cluster - 2)
                              << (x->cluster_bits - x->block_bits));

  return block << x->block_bits;
}

static int
exfat_directory (struct spool *s, const struct exfat *x, uint32_t cluster,
                 struct err *e)
{
  uint64_t off = exfat_offset (x, cluster);
  unsigned char entry[32], next[4];
  int got;

  for (int i = 0; i < 10000; i++) {
    got = look (s, off, entry, sizeof entry, e);
    if (got != 1 || entry[0] == 0x00 || entry[0] == 0x83)
      return got == -1 ? err_in (e, "root directory") : 0;
    off += sizeof entry;
    if (off & ((1u << x->cluster_bits) - 1))
      continue;
    got = look (s, (x->fat << x->block_bits) + (uint64_t) cluster * 4, next,
                sizeof next, e);
    if (got != 1)
      return got == -1 ? err_in (e, "file allocation table") : 0;
    cluster = load_le32 (next);
    if (cluster < 2 || cluster > 0xffffff6)
      return 0;
    off = exfat_offset (x, cluster);
  }
  return 0;
}

static int
follow_exfat (struct spool *s, struct err *e)
{
  const unsigned char *b = s->head;
  struct exfat x = { b[108], b[108] + b[109], load_le32 (b + 80),
                     load_le32 (b + 88) };

  if (memcmp (b + 3, "EXFAT   ", 8))
    return 0;
  /* libblkid shifts by these numbers and does not look before. */
  if (x.cluster_bits > 31)
    return err_set (e, EINVAL, "sectors of 2^%u, clusters of 2^%u bytes",
                    x.block_bits, x.cluster_bits);
  return exfat_directory (s, &x, load_le32 (b + 96), e);
}

/* hfs.c: the label is the first key of the catalog's first leaf.  An HFS+
 * volume may lie within an HFS one. */
struct hfsplus {
  uint32_t off; /* of the volume; 32 bits as in libblkid */
  uint32_t block_size;
  unsigned char header[512];
};

/* Where in the catalog file the byte at OFF lies: its extents stand in the
 * volume header. */
static bool
hfsplus_locate (const struct hfsplus *h, uint32_t block, uint64_t *ret)
{
  const unsigned char *x = h->header + 288;

  for (int i = 0; i < 8; i++, x += 8) {
    if (block < load_be32 (x + 4)) {
      *ret = ((uint64_t) load_be32 (x) + block) * h->block_size;
      return true;
    }
    block -= load_be32 (x + 4);
  }
  return false;
}

static int
hfsplus_catalog (struct spool *s, const struct hfsplus *h, struct err *e)
{
  uint64_t at = (uint64_t) load_be32 (h->header + 288) * h->block_size;
  unsigned char node[0x2000];
  uint32_t node_size;
  int got = look (s, h->off + at, node, sizeof node, e);

  if (got != 1)
    return got;
  node_size = load_be16 (node + 32);
  if (!hfsplus_locate (h, load_be32 (node + 24) * node_size / h->block_size,
                       &at))
    return 0;
  return copy (s, h->off + at, node_size, e);
}

static int
follow_hfsplus (struct spool *s, struct err *e)
{
  const unsigned char *b = s->head + 1024;
  struct hfsplus h = { 0 };
  int got;

  if (!memcmp (b, "BD", 2) && b[124] == 'H')
    h.off =
        load_be16 (b + 28) * 512u + load_be16 (b + 126) * load_be32 (b + 20);
  else if (b[0] != 'H' || (b[1] != '+' && b[1] != 'X'))
    return 0;
  got = look (s, (uint64_t) h.off + 1024, h.header, sizeof h.header, e);
  if (got != 1)
    return got;
  h.block_size = load_be32 (h.header + 40);
  if (h.block_size == 0 || hfsplus_catalog (s, &h, e) == 0)
    return 0;
  return err_in (e, "catalog");
}

/* udf.c: an anchor leads to the list of descriptors, which hold the label,
 * and one of those to the integrity descriptor, which holds the version. */
static int
udf_integrity (struct spool *s, uint64_t at, struct err *e)
{
  unsigned char d[512];
  int got = look (s, at, d, sizeof d, e);

  if (got != 1)
    return got;
  return copy (s, at + 80 + 8 * (uint64_t) load_le32 (d + 72), 64, e);
}

static int
udf_descriptors (struct spool *s, const unsigned char *anchor, uint32_t bs,
                 struct err *e)
{
  uint32_t count = load_le32 (anchor + 16) / bs;
  uint32_t loc = load_le32 (anchor + 20), tag;
  unsigned char d[512];
  int got;

  /* 1024 descriptors: real lists have 6 in 16 or 32 blocks. */
  for (uint32_t i = 0; i < MIN (count, 1024); i++) {
    got = look (s, (uint64_t) (loc + i) * bs, d, sizeof d, e);
    if (got != 1)
      return got;
    tag = load_le16 (d);
    if (tag == 0 || tag == 8 || load_le32 (d + 12) != loc + i)
      return 0;
    if (tag == 6 && load_le32 (d + 268) && /* logical volume */
        udf_integrity (s, (uint64_t) load_le32 (d + 436) * bs, e) == -1)
      return -1;
  }
  return 0;
}

static int
udf_anchor (struct spool *s, uint32_t block, uint32_t bs, struct err *e)
{
  unsigned char a[512];
  int got = look (s, (uint64_t) block * bs, a, sizeof a, e);

  if (got != 1)
    return got;
  if (load_le16 (a) != 2 || load_le32 (a + 12) != block)
    return 0;
  return udf_descriptors (s, a, bs, e);
}

static int
follow_udf (struct spool *s, struct err *e)
{
  for (uint32_t bs = 512; bs <= 4096; bs *= 2)
    if (udf_anchor (s, 256, bs, e) == -1 || udf_anchor (s, 512, bs, e) == -1)
      return -1;
  return 0;
}

/* bitlocker.c: the version stands in the FVE metadata. */
static int
follow_bitlocker (struct spool *s, struct err *e)
{
  const unsigned char *b = s->head;

  if (!memcmp (b, "\xeb\x58\x90-FVE-FS-", 11) &&
      copy (s, load_le64 (b + 176), 4 * KiB, e) == -1)
    return -1;
  if (!memcmp (b, "\xeb\x58\x90MSWIN4.1", 11) &&
      copy (s, load_le64 (b + 440), 4 * KiB, e) == -1)
    return -1;
  return 0;
}

/* ddf_raid.c: the header at the end must agree with the primary one. */
static int
follow_ddf (struct spool *s, struct err *e)
{
  static const uint64_t before_end[] = { 1, 257 };
  uint64_t sectors = s->block->size / 512;
  unsigned char h[512];

  for (size_t i = 0; i < ARRAY_SIZE (before_end); i++) {
    if (sectors < before_end[i])
      return 0;
    if (look (s, (sectors - before_end[i]) * 512, h, sizeof h, e) == -1)
      return -1;
    if (load_le32 (h) == 0xde11de11 &&
        copy (s, load_le64 (h + 96) << 9, 512, e) == -1)
      return -1;
    if (load_be32 (h) == 0xde11de11 &&
        copy (s, load_be64 (h + 96) << 9, 512, e) == -1)
      return -1;
  }
  return 0;
}

/* befs.c: the root directory's inode must be there, and its attribute
 * be:volume_id is the UUID: in the inode's small data, or behind a B+tree. */
#define BEFS_INODE 0x3bbe0ad9

struct befs {
  bool le;
  uint32_t block_shift, ag_shift;
};

static uint32_t
befs32 (const struct befs *x, const unsigned char *p)
{
  return x->le ? load_le32 (p) : load_be32 (p);
}

static uint16_t
befs16 (const struct befs *x, const unsigned char *p)
{
  return x->le ? load_le16 (p) : load_be16 (p);
}

static uint64_t
befs_offset (const struct befs *x, const unsigned char *run)
{
  uint64_t group = befs32 (x, run), start = befs16 (x, run + 4);

  return (group << x->ag_shift << x->block_shift) + (start << x->block_shift);
}

static int
befs_copy_run (struct spool *s, const struct befs *x,
               const unsigned char *run, struct err *e)
{
  return copy_run (s, befs_offset (x, run),
                   (uint64_t) befs16 (x, run + 6) << x->block_shift, e);
}

/* Every inode that a B+tree node might lead to: all values of the node that
 * lie within the file system.  A volume has a handful of attributes. */
static int
befs_values (struct spool *s, const struct befs *x, const unsigned char *node,
             struct err *e)
{
  uint32_t keys = befs16 (x, node + 24), bytes = befs16 (x, node + 26);
  uint32_t values = ((28 + bytes + 7) & ~7u) + keys * 2;
  unsigned char inode[256];
  uint64_t v;

  for (uint32_t i = 0; i < keys && values + i * 8 + 8 <= 1024; i++) {
    v = x->le ? load_le64 (node + values + i * 8)
              : load_be64 (node + values + i * 8);
    if (v >= s->block->size >> x->block_shift)
      continue;
    if (look (s, v << x->block_shift, inode, sizeof inode, e) == -1 ||
        copy (s, v << x->block_shift, 1u << x->block_shift, e) == -1)
      return -1;
    if (befs32 (x, inode) == BEFS_INODE && befs16 (x, inode + 72 + 6) == 1 &&
        befs_copy_run (s, x, inode + 72, e) == -1)
      return -1;
  }
  return 0;
}

static int
befs_tree (struct spool *s, const struct befs *x, const unsigned char *run,
           struct err *e)
{
  uint64_t at = befs_offset (x, run);
  uint64_t len = (uint64_t) befs16 (x, run + 6) << x->block_shift;
  unsigned char node[1024];
  int got;

  if (befs_copy_run (s, x, run, e) == -1)
    return -1;
  /* 64 nodes hold more attributes than any volume has. */
  for (uint64_t i = 0; i < MIN (len, 64 * KiB); i += sizeof node) {
    got = look (s, at + i, node, sizeof node, e);
    if (got != 1)
      return got;
    if (befs_values (s, x, node, e) == -1)
      return -1;
  }
  return 0;
}

/* Reads an inode's head and copies the inode.  1, 0: none there, or -1. */
static int
befs_inode (struct spool *s, const struct befs *x, const unsigned char *run,
            unsigned char inode[256], struct err *e)
{
  int got = look (s, befs_offset (x, run), inode, 256, e);

  if (got != 1)
    return got;
  if (befs32 (x, inode) != BEFS_INODE)
    return 0;
  return befs_copy_run (s, x, run, e) == -1 ? -1 : 1;
}

static int
befs_attributes (struct spool *s, const struct befs *x,
                 const unsigned char *root, struct err *e)
{
  unsigned char inode[256], attributes[256];
  int got = befs_inode (s, x, root, inode, e);

  if (got != 1 || is_zero (inode + 52, 8))
    return got == -1 ? -1 : 0;
  got = befs_inode (s, x, inode + 52, attributes, e);
  if (got != 1)
    return got;
  for (int i = 0; i < 12; i++)
    if (befs16 (x, attributes + 72 + i * 8 + 6) &&
        befs_tree (s, x, attributes + 72 + i * 8, e) == -1)
      return -1;
  /* Nobody has so many attributes, but libblkid would read these runs. */
  if (befs_copy_run (s, x, attributes + 176, e) == -1)
    return -1;
  return befs_copy_run (s, x, attributes + 192, e);
}

static int
follow_befs (struct spool *s, struct err *e)
{
  const unsigned char *b;
  struct befs x;

  for (unsigned off = 0; off <= 512; off += 512) {
    b = s->head + off;
    if (load_le32 (b + 32) != 0x42465331 && load_be32 (b + 32) != 0x42465331)
      continue;
    x.le = load_le32 (b + 32) == 0x42465331;
    x.block_shift = befs32 (&x, b + 44);
    x.ag_shift = befs32 (&x, b + 76);
    if (x.block_shift < 10 || x.block_shift > 13)
      continue; /* libblkid refuses it too */
    if (x.ag_shift > 32)
      return err_set (e, EINVAL, "allocation groups of 2^%" PRIu32 " blocks",
                      x.ag_shift);
    if (befs_attributes (s, &x, b + 116, e) == -1)
      return -1;
  }
  return 0;
}

static const struct {
  const char *name;
  int (*follow) (struct spool *s, struct err *e);
} followers[] = {
  { "FAT", follow_fat },      { "NTFS", follow_ntfs },
  { "exFAT", follow_exfat },  { "HFS+", follow_hfsplus },
  { "UDF", follow_udf },      { "BitLocker", follow_bitlocker },
  { "DDF RAID", follow_ddf }, { "BeFS", follow_befs },
};

/* --- the whole ------------------------------------------------------- */

static int
copy_fixed (struct spool *s, struct err *e)
{
  uint64_t size = s->block->size;
  const struct window *w;

  for (size_t i = 0; i < ARRAY_SIZE (head_windows); i++) {
    w = &head_windows[i];
    if (copy (s, w->off, w->len, e) == -1)
      return err_in (e, "%s", w->why);
  }
  /* Probers count from the end in sectors and in larger units, so the
   * window begins at a page. */
  if (copy (s, size > TAIL ? (size - TAIL) & ~(uint64_t) 4095 : 0,
            TAIL + 4096, e) == -1)
    return err_in (e, "the last 2 MiB");
  return 0;
}

static int
spool_fill (struct spool *s, struct err *e)
{
  if (copy_fixed (s, e) == -1)
    return -1;
  if (pread (s->fd, s->head, sizeof s->head, 0) == -1)
    return err_sys (e, errno, "memory for a probe");
  for (size_t i = 0; i < ARRAY_SIZE (followers); i++)
    if (followers[i].follow (s, e) == -1)
      return err_in (e, "%s", followers[i].name);
  return 0;
}

int
spool_open (struct block *block, struct err *e)
{
  CLEANUP_CLOSE int fd = memfd_create ("xrayfs-probe", MFD_CLOEXEC);
  struct spool s = { .block = block };

  if (fd == -1)
    return err_sys (e, errno, "memory for a probe");
  if (block->size > INT64_MAX)
    return err_set (e, EFBIG, "%" PRIu64 " bytes are too many", block->size);
  if (ftruncate (fd, (off_t) block->size) == -1)
    return err_sys (e, errno, "memory for a probe");
  s.fd = fd;
  if (spool_fill (&s, e) == -1)
    return -1;
  return steal_fd (&fd);
}
