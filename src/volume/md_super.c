/* xrayfs: superblocks of Linux's md
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * include/uapi/linux/raid/md_p.h.  Version 1 is little-endian and lies at the
 * member's start (1.1), 4 KiB behind it (1.2), or at least 8 KiB before its
 * end (1.0); version 0.90 is in the byte order of the machine that wrote it,
 * at a multiple of 64 KiB, 64 to 128 KiB before the end.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "volume/md.h"

#define MAGIC       0xa92b4efc
#define SECTOR      UINT64_C (512)
#define MAX_DEVICES 1920 /* dev_roles of version 1 fill 4 KiB with them */

/* feature_map of version 1 */
#define HAS_BITMAP     1u
#define HAS_RECOVERY   2u
#define HAS_RESHAPE    4u
#define IS_REPLACEMENT 16u
#define KNOWN_FEATURES 0x1fffu

/* dev_roles of version 1 */
#define ROLE_SPARE   0xffff
#define ROLE_FAULTY  0xfffe
#define ROLE_JOURNAL 0xfffd

/* --- version 1 ------------------------------------------------------- */

static uint32_t
checksum1 (const unsigned char *sb, size_t len)
{
  uint64_t sum = 0;
  size_t i;

  for (i = 0; i + 4 <= len; i += 4)
    sum += i == 216 ? 0 : load_le32 (sb + i);
  if (i < len)
    sum += load_le16 (sb + i);
  return (uint32_t) sum + (uint32_t) (sum >> 32);
}

static void
load_role1 (struct md_super *s, const unsigned char *sb, uint32_t features)
{
  uint32_t role = load_le16 (sb + 256 + 2 * s->device);

  s->role = role;
  if (role == ROLE_FAULTY)
    s->duty = MD_FAULTY;
  else if (role == ROLE_JOURNAL)
    s->duty = MD_JOURNAL;
  else if (role >= s->raid_disks)
    s->duty = MD_SPARE;
  else if ((features & IS_REPLACEMENT) ||
           ((features & HAS_RECOVERY) && load_le64 (sb + 152) != UINT64_MAX))
    s->duty = MD_RECOVERING;
  else
    s->duty = MD_ACTIVE;
}

/* Sectors to bytes; a number that makes no sense is one that cannot be. */
static uint64_t
bytes (uint64_t sectors)
{
  return sectors > INT64_MAX / 64 / SECTOR ? INT64_MAX / 64
                                           : sectors * SECTOR;
}

static int
load1 (struct md_super *s, const unsigned char *sb, unsigned minor,
       struct err *e)
{
  uint32_t features = load_le32 (sb + 8), max = load_le32 (sb + 220);

  if (max > MAX_DEVICES ||
      load_le32 (sb + 216) != checksum1 (sb, 256 + 2 * (size_t) max))
    return err_set (e, EINVAL, "the checksum of the md superblock is wrong");
  s->minor = minor;
  s->device = load_le32 (sb + 160);
  s->raid_disks = load_le32 (sb + 92);
  if (s->device >= max)
    return err_set (e, EINVAL, "the md superblock has no device %" PRIu32,
                    s->device);
  if (features & ~KNOWN_FEATURES)
    return err_set (e, ENOTSUP,
                    "the md superblock has unknown features (0x%" PRIx32 ")",
                    features & ~KNOWN_FEATURES);
  snprintf (s->uuid, sizeof s->uuid, "%08x:%08x:%08x:%08x",
            load_be32 (sb + 16), load_be32 (sb + 20), load_be32 (sb + 24),
            load_be32 (sb + 28));
  memcpy (s->name, sb + 32, 32);
  s->md_minor = -1;
  s->level = (int) load_le32 (sb + 72);
  s->layout = load_le32 (sb + 76);
  s->size = bytes (load_le64 (sb + 80));
  s->chunk = bytes (load_le32 (sb + 88));
  s->data = bytes (load_le64 (sb + 128));
  s->data_size = bytes (load_le64 (sb + 136));
  s->events = load_le64 (sb + 200);
  s->clean = load_le64 (sb + 208) == UINT64_MAX;
  s->bitmap = features & HAS_BITMAP;
  s->reshape = features & HAS_RESHAPE;
  load_role1 (s, sb, features);
  return 0;
}

/* Where version 1.MINOR has it, or UINT64_MAX. */
static uint64_t
place1 (uint64_t size, unsigned minor)
{
  uint64_t sectors = size / SECTOR;

  if (minor == 0)
    return sectors < 24 ? UINT64_MAX
                        : ((sectors - 16) & ~UINT64_C (7)) * SECTOR;
  return minor == 1 ? 0 : 8 * SECTOR;
}

/* --- version 0.90 ---------------------------------------------------- */

#define WORDS 1024

static void
load_role0 (struct md_super *s, uint32_t state)
{
  enum { FAULTY = 1, ACTIVE = 2, SYNC = 4 };

  if (state & FAULTY)
    s->duty = MD_FAULTY;
  else if ((state & (ACTIVE | SYNC)) == (ACTIVE | SYNC))
    s->duty = MD_ACTIVE;
  else
    s->duty = s->role < s->raid_disks ? MD_RECOVERING : MD_SPARE;
}

static int
load0 (struct md_super *s, const unsigned char *sb, bool big, uint64_t place,
       struct err *e)
{
  uint32_t w[WORDS];
  uint64_t sum = 0;

  for (size_t i = 0; i < WORDS; i++) {
    w[i] = big ? load_be32 (sb + 4 * i) : load_le32 (sb + 4 * i);
    sum += i == 38 ? 0 : w[i];
  }
  if (w[38] != (uint32_t) ((uint32_t) sum + (uint32_t) (sum >> 32)))
    return err_set (e, EINVAL, "the checksum of the md superblock is wrong");
  s->minor = 90;
  snprintf (s->uuid, sizeof s->uuid, "%08x:%08x:%08x:%08x", w[5], w[13],
            w[14], w[15]);
  s->md_minor = (int) w[11];
  s->level = (int) w[7];
  s->layout = w[64];
  s->raid_disks = w[10];
  s->size = w[8] * KiB;
  s->chunk = w[65];
  s->data_size = place;
  s->events = (uint64_t) w[big ? 39 : 40] << 32 | w[big ? 40 : 39];
  s->clean = w[33] & 1;
  s->bitmap = w[33] & 0x100;
  s->reshape = w[2] == 91;
  s->device = w[992];
  s->role = w[995];
  load_role0 (s, w[996]);
  return 0;
}

/* --- both ------------------------------------------------------------ */

/* 1: RET filled; 0: none there. */
static int
try_at (struct block *b, uint64_t off, unsigned minor, struct md_super *ret,
        struct err *e)
{
  unsigned char sb[4 * WORDS];
  uint32_t wanted = minor == 90 ? 0 : 1;
  bool big;

  if (off == UINT64_MAX || !range_within (off, sizeof sb, b->size))
    return 0;
  if (block_pread (b, sb, sizeof sb, off, e) == -1)
    return -1;
  big = minor == 90 && load_be32 (sb) == MAGIC;
  if ((!big && load_le32 (sb) != MAGIC) ||
      (big ? load_be32 (sb + 4) : load_le32 (sb + 4)) != wanted)
    return 0;
  /* The start of one version may be the place of another. */
  if (minor != 90 && bytes (load_le64 (sb + 144)) != off)
    return 0;
  return (minor == 90 ? load0 (ret, sb, big, off, e)
                      : load1 (ret, sb, minor, e)) == -1
             ? -1
             : 1;
}

/* In the order in which libblkid looks, 0.90 last. */
int
md_super_read (struct block *b, struct md_super *ret, struct err *e)
{
  static const unsigned minors[] = { 0, 1, 2, 90 };
  uint64_t old = b->size & ~(64 * KiB - 1), off;
  struct md_super s;
  int r;

  for (size_t i = 0; i < ARRAY_SIZE (minors); i++) {
    s = (struct md_super){ 0 };
    if (minors[i] == 90)
      off = old < 64 * KiB ? UINT64_MAX : old - 64 * KiB;
    else
      off = place1 (b->size, minors[i]);
    r = try_at (b, off, minors[i], &s, e);
    if (r == -1)
      return -1;
    if (r == 1) {
      *ret = s;
      return 0;
    }
  }
  return err_set (e, EINVAL, "there is no md superblock where one was seen");
}

void
md_level_name (int level, char *to, size_t size)
{
  if (level == -1)
    snprintf (to, size, "linear");
  else
    snprintf (to, size, "raid%d", level);
}
