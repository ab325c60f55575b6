/* xrayfs: partition tables and superblocks, as libblkid sees them
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libblkid decides; this file gives it what it wants to read and adds what it
 * does not say.  Three differences from `blkid -p`:
 * - A GPT with sectors of 4096 bytes is found: an image does not tell the
 *   sector size of the disk that it comes from.
 * - Where RAID metadata or two superblocks on the bare disk make blkid
 *   silent about a table that has partitions, the table is shown, since every
 *   kernel will show its partitions; `whole` tells of the other.
 * - A GPT entry array of more than 4 MiB is an error (the kernel refuses it,
 *   libblkid would allocate 4 GiB).
 *
 * Locking: none; each call has its own probe and its own memfd.
 */
#include <blkid/blkid.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/vec.h"
#include "volume/spool.h"
#include "volume/volume.h"

#define SECTOR         512u
#define GPT_MAX_ARRAY  (4 * MiB)
#define GPT_ENTRY_SIZE 128u
#define EBR_MAX        1024 /* links followed; 256 partitions are shown */

static void
cleanup_probe (blkid_probe *pr)
{
  if (*pr)
    blkid_free_probe (*pr);
}
#define CLEANUP_PROBE __attribute__ ((cleanup (cleanup_probe)))

static void
cleanup_table (struct partition_table **t)
{
  partition_table_free (*t);
}

static void
cleanup_superblock (struct superblock **s)
{
  superblock_free (*s);
}

static int
no_memory (struct err *e)
{
  return err_set (e, ENOMEM, "out of memory");
}

/* --- names of types ------------------------------------------------------ */

static const char *const mbr_names[256] = {
  [0x00] = "Empty",
  [0x01] = "FAT12",
  [0x02] = "XENIX root",
  [0x03] = "XENIX usr",
  [0x04] = "FAT16 (below 32 MiB)",
  [0x05] = "Extended",
  [0x06] = "FAT16",
  [0x07] = "NTFS, exFAT or HPFS",
  [0x08] = "AIX",
  [0x09] = "AIX bootable",
  [0x0a] = "OS/2 boot manager",
  [0x0b] = "FAT32",
  [0x0c] = "FAT32 (LBA)",
  [0x0e] = "FAT16 (LBA)",
  [0x0f] = "Extended (LBA)",
  [0x10] = "OPUS",
  [0x11] = "Hidden FAT12",
  [0x12] = "Compaq diagnostics",
  [0x14] = "Hidden FAT16 (below 32 MiB)",
  [0x16] = "Hidden FAT16",
  [0x17] = "Hidden NTFS or HPFS",
  [0x1b] = "Hidden FAT32",
  [0x1c] = "Hidden FAT32 (LBA)",
  [0x1e] = "Hidden FAT16 (LBA)",
  [0x27] = "Windows recovery",
  [0x35] = "OS/2 JFS or LVM",
  [0x39] = "Plan 9",
  [0x3c] = "PartitionMagic recovery",
  [0x41] = "PPC PReP boot",
  [0x42] = "Windows dynamic disk",
  [0x4d] = "QNX4.x",
  [0x4e] = "QNX4.x, second part",
  [0x4f] = "QNX4.x, third part",
  [0x63] = "GNU HURD or System V",
  [0x64] = "NetWare 286",
  [0x65] = "NetWare 386",
  [0x80] = "Old MINIX",
  [0x81] = "MINIX",
  [0x82] = "Linux swap or Solaris",
  [0x83] = "Linux",
  [0x84] = "Hibernation",
  [0x85] = "Linux extended",
  [0x86] = "NTFS volume set",
  [0x87] = "NTFS volume set",
  [0x88] = "Linux plain text",
  [0x8e] = "Linux LVM",
  [0x93] = "Amoeba",
  [0x9f] = "BSD/OS",
  [0xa0] = "Laptop hibernation",
  [0xa5] = "FreeBSD",
  [0xa6] = "OpenBSD",
  [0xa8] = "Darwin UFS",
  [0xa9] = "NetBSD",
  [0xab] = "Darwin boot",
  [0xaf] = "HFS or HFS+",
  [0xb7] = "BSDI",
  [0xb8] = "BSDI swap",
  [0xbe] = "Solaris boot",
  [0xbf] = "Solaris",
  [0xda] = "Data without a file system",
  [0xde] = "Dell utility",
  [0xea] = "Linux extended boot",
  [0xeb] = "BeOS",
  [0xee] = "GPT protective",
  [0xef] = "EFI System",
  [0xf2] = "DOS secondary",
  [0xfb] = "VMware VMFS",
  [0xfc] = "VMware VMKCORE",
  [0xfd] = "Linux RAID",
};

static const struct {
  const char *guid, *name;
} gpt_names[] = {
  { "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "EFI System" },
  { "21686148-6449-6e6f-744e-656564454649", "BIOS boot" },
  { "024dee41-33e7-11d3-9d69-0008c781f39f", "MBR partition scheme" },
  { "0fc63daf-8483-4772-8e79-3d69d8477de4", "Linux filesystem" },
  { "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "Linux swap" },
  { "e6d6d379-f507-44c2-a23c-238f2a3df928", "Linux LVM" },
  { "a19d880f-05fc-4d3b-a006-743f0f84911e", "Linux RAID" },
  { "933ac7e1-2eb4-4f13-b844-0e14e2aef915", "Linux home" },
  { "3b8f8425-20e0-4f3b-907f-1a25a76f98e8", "Linux server data" },
  { "8da63339-0007-60c0-c436-083ac8230908", "Linux reserved" },
  { "bc13c2ff-59e6-4262-a352-b275fd6f7172", "Linux extended boot" },
  { "4d21b016-b534-45c2-a9fb-5c16e091fd2d", "Linux variable data" },
  { "7ec6f557-3bc5-4aca-b293-16ef5df639d1", "Linux temporary data" },
  { "ca7d7ccb-63ed-4c53-861c-1742536059cc", "Linux LUKS" },
  { "7ffec5c9-2d00-49b7-8941-3ea10a5586b7", "Linux dm-crypt" },
  { "44479540-f297-41b2-9af7-d131d5f0458a", "Linux root (x86)" },
  { "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "Linux root (x86-64)" },
  { "69dad710-2ce4-4e3c-b16c-21a1d49abed3", "Linux root (ARM)" },
  { "b921b045-1df0-41c3-af44-4c6f280d3fae", "Linux root (ARM-64)" },
  { "72ec70a6-cf74-40e6-bd49-4bda08e8f224", "Linux root (RISC-V 64)" },
  { "8484680c-9521-48c6-9c11-b0720656f69e", "Linux /usr (x86-64)" },
  { "b0e01050-ee5f-4390-949a-9101b17104e9", "Linux /usr (ARM-64)" },
  { "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5",
    "Linux root verity (x86-64)" },
  { "df3300ce-d69f-4c92-978c-9bfb0f38d820",
    "Linux root verity (ARM-64)" },
  { "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", "Microsoft basic data" },
  { "e3c9e316-0b5c-4db8-817d-f92df00215ae", "Microsoft reserved" },
  { "de94bba4-06d1-4d40-a16a-bfd50179d6ac", "Windows recovery" },
  { "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3", "Windows LDM metadata" },
  { "af9b60a0-1431-4f62-bc68-3311714a69ad", "Windows LDM data" },
  { "e75caf8f-f680-4cee-afa3-b001e56efc2d", "Windows Storage Spaces" },
  { "48465300-0000-11aa-aa11-00306543ecac", "Apple HFS or HFS+" },
  { "7c3457ef-0000-11aa-aa11-00306543ecac", "Apple APFS" },
  { "426f6f74-0000-11aa-aa11-00306543ecac", "Apple boot" },
  { "83bd6b9d-7f41-11dc-be0b-001560b84f0f", "FreeBSD boot" },
  { "516e7cb4-6ecf-11d6-8ff8-00022d09712b", "FreeBSD data" },
  { "516e7cb5-6ecf-11d6-8ff8-00022d09712b", "FreeBSD swap" },
  { "516e7cb6-6ecf-11d6-8ff8-00022d09712b", "FreeBSD UFS" },
  { "516e7cba-6ecf-11d6-8ff8-00022d09712b", "FreeBSD ZFS" },
  { "6a898cc3-1dd2-11b2-99a6-080020736631", "Solaris /usr or Apple ZFS" },
  { "824cc7a0-36a8-11e3-890a-952519ad3f61", "OpenBSD data" },
  { "fe3a2a5d-4f32-41a7-b725-accc3285a309", "ChromeOS kernel" },
  { "3cb8e202-3b7e-47dd-8a3c-7ff2a13cfcec", "ChromeOS root" },
  { "5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6", "CoreOS /usr" },
  { "c95dc21a-df0e-4340-8d7b-26cbfa9a03e0", "CoreOS OEM" },
  { "3884dd41-8582-4404-b9a8-e9b84f2df50e", "CoreOS root" },
  { "9e1a2d38-c612-4316-aa26-8b49521e5a8b", "PPC PReP boot" },
  { "aa31e02a-400f-11db-9590-000c2911d1b8", "VMware VMFS" },
  { "9d275380-40ad-11db-bf97-000c2911d1b8", "VMware VMKCORE" },
};

static const char *
gpt_type_name (const char *guid)
{
  for (size_t i = 0; i < ARRAY_SIZE (gpt_names); i++)
    if (!strcmp (gpt_names[i].guid, guid))
      return gpt_names[i].name;
  return NULL;
}

/* --- what tables refer to ------------------------------------------------ */

/* A GPT header, checked as libblkid's gpt.c checks it. */
struct gpt {
  uint64_t lba, alternate, first, last, entries_lba;
  uint32_t n, entries_crc;
  unsigned char guid[16];
  bool signature, valid; /* valid: header and entries */
};

struct gpt_pair {
  uint64_t last_lba;
  struct gpt primary, backup;
};

/* What was met on the way to the tables. */
struct scout {
  int fd;
  struct block *disk;
  unsigned char mbr[SECTOR];
  struct gpt_pair gpt512, gpt4096;
  struct buf ebr_notes; /* of interest for `dos` only */
};

static void
cleanup_scout (struct scout *s)
{
  buf_free (&s->ebr_notes);
}

static int
look (struct scout *s, uint64_t off, void *buf, size_t len, struct err *e)
{
  return spool_look (s->fd, s->disk, off, buf, len, e);
}

static bool
gpt_header_parse (unsigned char *h, unsigned sector, uint64_t lba,
                  uint64_t last_lba, struct gpt *g)
{
  uint32_t size = load_le32 (h + 12), crc = load_le32 (h + 16);

  g->signature = !memcmp (h, "EFI PART", 8);
  if (!g->signature || size < 92 || size > sector)
    return false;
  memset (h + 16, 0, 4);
  if (crc32 (0, h, size) != crc || load_le64 (h + 24) != lba)
    return false;
  g->lba = lba;
  g->alternate = load_le64 (h + 32);
  g->first = load_le64 (h + 40);
  g->last = load_le64 (h + 48);
  memcpy (g->guid, h + 56, sizeof g->guid);
  g->entries_lba = load_le64 (h + 72);
  g->n = load_le32 (h + 80);
  g->entries_crc = load_le32 (h + 88);
  return g->last >= g->first && g->last <= last_lba &&
         !(g->first < lba && lba < g->last) && g->n > 0 &&
         load_le32 (h + 84) == GPT_ENTRY_SIZE;
}

static int
gpt_entries_check (struct scout *s, unsigned sector, struct gpt *g,
                   struct err *e)
{
  CLEANUP_FREE unsigned char *array = NULL;
  uint64_t len = (uint64_t) g->n * GPT_ENTRY_SIZE;
  int got;

  if (len > GPT_MAX_ARRAY)
    return err_set (e, EINVAL, "%" PRIu32 " entries are more than 4 MiB",
                    g->n);
  array = malloc (len);
  if (!array)
    return no_memory (e);
  /* The multiplication wraps as in libblkid. */
  got = look (s, g->entries_lba * sector, array, len, e);
  if (got == 1)
    g->valid = crc32 (0, array, (uInt) len) == g->entries_crc;
  return got == -1 ? -1 : 0;
}

static int
gpt_scout (struct scout *s, unsigned sector, uint64_t lba, uint64_t last_lba,
           struct gpt *g, struct err *e)
{
  unsigned char h[4096];
  int got = look (s, lba * sector, h, sector, e);

  if (got == 1 && gpt_header_parse (h, sector, lba, last_lba, g) &&
      gpt_entries_check (s, sector, g, e) == -1)
    got = -1;
  return got == -1 ? err_in (e, "GPT at LBA %" PRIu64, lba) : 0;
}

static int
gpt_scout_pair (struct scout *s, unsigned sector, struct gpt_pair *p,
                struct err *e)
{
  if (s->disk->size < 2 * sector)
    return 0;
  p->last_lba = s->disk->size / sector - 1;
  if (gpt_scout (s, sector, 1, p->last_lba, &p->primary, e) == -1)
    return -1;
  return gpt_scout (s, sector, p->last_lba, p->last_lba, &p->backup, e);
}

struct mbr_entry {
  uint8_t active, type;
  uint32_t start, size; /* sectors of 512 bytes */
};

static struct mbr_entry
mbr_entry (const unsigned char *sector, unsigned i)
{
  const unsigned char *p = sector + 446 + 16 * i;

  return (struct mbr_entry){ p[0], p[4], load_le32 (p + 8),
                             load_le32 (p + 12) };
}

static bool
mbr_signature (const unsigned char *sector)
{
  return sector[510] == 0x55 && sector[511] == 0xaa;
}

static bool
is_extended (uint8_t type)
{
  return type == 0x05 || type == 0x0f || type == 0x85;
}

/* The next link of a chain of extended boot records; 0: the last.  Sums wrap
 * at 32 bits, as libblkid's do. */
static uint32_t
ebr_next (const unsigned char *ebr, uint32_t first)
{
  struct mbr_entry p;

  if (!mbr_signature (ebr))
    return 0;
  for (unsigned i = 0; i < 4; i++) {
    p = mbr_entry (ebr, i);
    if (p.size && is_extended (p.type) && p.start)
      return first + p.start;
  }
  return 0;
}

static bool
seen (const uint32_t *list, unsigned n, uint32_t v)
{
  for (unsigned i = 0; i < n; i++)
    if (list[i] == v)
      return true;
  return false;
}

static int
ebr_scout (struct scout *s, uint32_t first, struct err *e)
{
  uint32_t visited[EBR_MAX], at = first;
  unsigned char ebr[SECTOR];
  int got;

  for (unsigned n = 0; at; n++) {
    if (seen (visited, n, at)) {
      buf_printf (&s->ebr_notes, "the chain of logical partitions leads back"
                  " to sector %" PRIu32 "\n", at);
      return 0;
    }
    if (n == EBR_MAX) {
      buf_printf (&s->ebr_notes, "the chain of logical partitions has more"
                  " than %d links\n", EBR_MAX);
      return 0;
    }
    visited[n] = at;
    got = look (s, (uint64_t) at * SECTOR, ebr, sizeof ebr, e);
    if (got == -1)
      return err_in (e, "extended boot record");
    if (got == 0 || !mbr_signature (ebr))
      buf_printf (&s->ebr_notes, "the chain of logical partitions breaks at"
                  " sector %" PRIu32 "\n", at);
    at = got ? ebr_next (ebr, first) : 0;
  }
  return 0;
}

/* Logical partitions, and the tables within partitions of BSD, Solaris,
 * UnixWare and Minix: at most 29 sectors from their start. */
static int
dos_scout (struct scout *s, struct err *e)
{
  struct mbr_entry p;

  for (unsigned i = 0; i < 4; i++)
    if (mbr_entry (s->mbr, i).active & 0x7f)
      return 0; /* not a table: libblkid refuses it too */
  if (!mbr_signature (s->mbr))
    return 0;
  for (unsigned i = 0; i < 4; i++) {
    p = mbr_entry (s->mbr, i);
    if (!p.size || p.type == 0xee)
      continue;
    if (is_extended (p.type) && ebr_scout (s, p.start, e) == -1)
      return -1;
    if (!is_extended (p.type) && p.type > 0x0f &&
        spool_add (s->fd, s->disk, (uint64_t) p.start * SECTOR, 16 * KiB,
                   e) == -1)
      return err_in (e, "start of partition %u", i + 1);
  }
  return 0;
}

/* Blocks of up to 64 KiB, a map of at most 256 of them. */
static int
mac_scout (struct scout *s, struct err *e)
{
  uint32_t block = load_be16 (s->mbr + 2), count = 1;
  unsigned char map[SECTOR];
  int got;

  if (memcmp (s->mbr, "ER", 2) || block < SECTOR)
    return 0;
  for (uint32_t i = 1; i <= MIN (count, 256); i++) {
    got = look (s, (uint64_t) i * block, map, sizeof map, e);
    if (got != 1 || (memcmp (map, "PM", 2) && memcmp (map, "TS", 2)))
      return got == -1 ? err_in (e, "Apple partition map") : 0;
    if (i == 1)
      count = load_be32 (map + 4);
  }
  return 0;
}

/* The chain of a partition "XGM" (extended), followed 100 times. */
static int
atari_chain (struct scout *s, uint32_t first, struct err *e)
{
  uint32_t at = first;
  unsigned char root[SECTOR], *part;
  int got;

  for (int n = 0; n < 100; n++) {
    got = look (s, (uint64_t) at * SECTOR, root, sizeof root, e);
    if (got != 1)
      return got;
    for (part = root + 0x1c6; part < root + 0x1c6 + 48; part += 12)
      if ((part[0] & 1) && !memcmp (part + 1, "XGM", 3))
        break;
    if (part >= root + 0x1c6 + 48)
      return 0;
    at = first + load_be32 (part + 4);
  }
  return 0;
}

static int
atari_scout (struct scout *s, struct err *e)
{
  const unsigned char *part = s->mbr + 0x1c6;

  for (int i = 0; i < 4; i++, part += 12)
    if ((part[0] & 1) && !memcmp (part + 1, "XGM", 3) &&
        atari_chain (s, load_be32 (part + 4), e) == -1)
      return err_in (e, "Atari extended partition");
  return 0;
}

static int
scout (struct scout *s, struct err *e)
{
  if (look (s, 0, s->mbr, sizeof s->mbr, e) == -1 ||
      gpt_scout_pair (s, 512, &s->gpt512, e) == -1 ||
      gpt_scout_pair (s, 4096, &s->gpt4096, e) == -1 ||
      dos_scout (s, e) == -1 || mac_scout (s, e) == -1 ||
      atari_scout (s, e) == -1)
    return -1;
  return 0;
}

/* --- asking libblkid ----------------------------------------------------- */

enum { SUPERBLOCKS = 1, PARTITIONS = 2 };

/* blkid_new_probe sets libblkid up when it is first called, without a lock
 * of its own. */
static void
set_up (void)
{
  blkid_init_debug (0);
}

static int
probe_new (int fd, uint64_t size, unsigned sector, int what, blkid_probe *ret,
           struct err *e)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  CLEANUP_PROBE blkid_probe pr = NULL;

  pthread_once (&once, set_up);
  pr = blkid_new_probe ();
  if (!pr)
    return no_memory (e);
  if (blkid_probe_set_device (pr, fd, 0, (blkid_loff_t) size) != 0 ||
      blkid_probe_set_sectorsize (pr, sector) != 0)
    return err_set (e, EIO, "libblkid does not take the disk");
  blkid_probe_enable_superblocks (pr, !!(what & SUPERBLOCKS));
  blkid_probe_set_superblocks_flags (
      pr, BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID | BLKID_SUBLKS_TYPE |
              BLKID_SUBLKS_SECTYPE | BLKID_SUBLKS_USAGE |
              BLKID_SUBLKS_VERSION);
  blkid_probe_enable_partitions (pr, !!(what & PARTITIONS));
  blkid_probe_set_partitions_flags (pr, BLKID_PARTS_ENTRY_DETAILS);
  *ret = steal_ptr (&pr);
  return 0;
}

/* 0 found, 1 nothing, 2 ambivalent, -1 error. */
static int
probe_run (blkid_probe pr, struct err *e)
{
  int rc = blkid_do_safeprobe (pr);

  if (rc == -2)
    return 2;
  if (rc >= 0)
    return rc;
  return err_set (e, rc == -ENOMEM ? ENOMEM : EIO,
                  "libblkid gives up (%d)", rc);
}

static int
probe_value (blkid_probe pr, const char *name, char **ret, struct err *e)
{
  const char *data;
  size_t len;

  if (blkid_probe_lookup_value (pr, name, &data, &len) == -1)
    return 0;
  *ret = strndup (data, len);
  return *ret ? 0 : no_memory (e);
}

/* The sentence for more than one type. */
static int
ambivalent_types (int fd, uint64_t size, char **ret, struct err *e)
{
  CLEANUP_PROBE blkid_probe pr = NULL;
  CLEANUP_BUF struct buf b = { 0 };
  const char *type;

  if (probe_new (fd, size, SECTOR, SUPERBLOCKS, &pr, e) == -1)
    return -1;
  while (blkid_do_probe (pr) == 0)
    if (!blkid_probe_lookup_value (pr, "TYPE", &type, NULL))
      buf_printf (&b, "%s%s", b.len ? ", " : "more than one type is there: ",
                  type);
  if (buf_check (&b, e) == -1)
    return -1;
  *ret = strdup (buf_str (&b));
  return *ret ? 0 : no_memory (e);
}

static int
superblock_fill (struct superblock *s, blkid_probe pr, struct err *e)
{
  if (probe_value (pr, "TYPE", &s->type, e) == -1 ||
      probe_value (pr, "USAGE", &s->usage, e) == -1 ||
      probe_value (pr, "LABEL", &s->label, e) == -1 ||
      probe_value (pr, "UUID", &s->uuid, e) == -1 ||
      probe_value (pr, "VERSION", &s->version, e) == -1)
    return -1;
  if (!s->type && !(s->type = strdup ("none")))
    return no_memory (e);
  return 0;
}

static int
superblock_ambivalent (struct superblock *s, int fd, uint64_t size,
                       struct err *e)
{
  s->type = strdup ("ambivalent");
  if (!s->type)
    return no_memory (e);
  return ambivalent_types (fd, size, &s->ambivalent, e);
}

/* WHAT as in probe_new; RET_PTTYPE (may stay NULL) if partitions are asked
 * for. */
static int
superblock_ask (int fd, uint64_t size, int what, struct superblock **ret,
                char **ret_pttype, struct err *e)
{
  __attribute__ ((cleanup (cleanup_superblock))) struct superblock *s = NULL;
  CLEANUP_PROBE blkid_probe pr = NULL;
  int rc;

  s = calloc (1, sizeof *s);
  if (!s)
    return no_memory (e);
  if (probe_new (fd, size, SECTOR, what, &pr, e) == -1)
    return -1;
  rc = probe_run (pr, e);
  if (rc == -1 ||
      (rc == 2 ? superblock_ambivalent (s, fd, size, e)
               : superblock_fill (s, pr, e)) == -1)
    return -1;
  if (ret_pttype && probe_value (pr, "PTTYPE", ret_pttype, e) == -1)
    return -1;
  *ret = steal_ptr (&s);
  return 0;
}

static int
superblock_none (struct superblock **ret, struct err *e)
{
  *ret = calloc (1, sizeof **ret);
  if (*ret && ((*ret)->type = strdup ("none")))
    return 0;
  free (*ret);
  *ret = NULL;
  return no_memory (e);
}

int
superblock_probe (struct block *block, struct superblock **ret,
                  struct err *e)
{
  __attribute__ ((cleanup (cleanup_scout))) struct scout s = {
    .disk = block,
  };
  CLEANUP_CLOSE int fd = -1;

  if (block->size == 0)
    return superblock_none (ret, e);
  fd = spool_open (block, e);
  if (fd == -1)
    return -1;
  /* ZFS and md probers ignore what lies within a partition. */
  s.fd = fd;
  if (scout (&s, e) == -1)
    return -1;
  /* With partitions, as blkid does: a table that was written over the start
   * of a physical volume ends it. */
  return superblock_ask (fd, block->size, SUPERBLOCKS | PARTITIONS, ret,
                         NULL, e);
}

void
superblock_free (struct superblock *s)
{
  if (!s)
    return;
  free (s->type);
  free (s->usage);
  free (s->label);
  free (s->uuid);
  free (s->version);
  free (s->ambivalent);
  free (s);
}

/* --- the table ------------------------------------------------------------ */

DEFINE_VEC (partition_vec, struct partition)

static int
copy_text (const char *text, char **ret, struct err *e)
{
  CLEANUP_BUF struct buf b = { 0 };

  if (!text)
    return 0;
  buf_add_line_text (&b, text, strlen (text));
  if (buf_check (&b, e) == -1)
    return -1;
  *ret = strdup (buf_str (&b));
  return *ret ? 0 : no_memory (e);
}

static int
partition_type (struct partition *p, blkid_partition par, bool dos,
                struct err *e)
{
  const char *word = blkid_partition_get_type_string (par);
  int type = blkid_partition_get_type (par);
  char hex[16];

  snprintf (hex, sizeof hex, "0x%x", (unsigned) type);
  if (copy_text (word ? word : hex, &p->type, e) == -1)
    return -1;
  return copy_text (word  ? gpt_type_name (word)
                    : dos ? mbr_names[type & 0xff]
                          : NULL,
                    &p->type_name, e);
}

static int
partition_fill (struct partition *p, blkid_partition par, uint64_t disk_size,
                struct err *e)
{
  blkid_parttable table = blkid_partition_get_table (par);
  const char *kind = table ? blkid_parttable_get_type (table) : "";
  bool dos = !strcmp (kind, "dos"), gpt = !strcmp (kind, "gpt");

  p->number = (unsigned) blkid_partition_get_partno (par);
  p->start = (uint64_t) blkid_partition_get_start (par) * SECTOR;
  p->size = (uint64_t) blkid_partition_get_size (par) * SECTOR;
  p->flags = blkid_partition_get_flags (par);
  p->bootable = (dos && p->flags == 0x80) || (gpt && (p->flags & 4));
  p->extended = dos && blkid_partition_is_extended (par);
  p->nested = table && blkid_parttable_get_parent (table);
  p->beyond_end = !range_within (p->start, p->size, disk_size);
  if (partition_type (p, par, dos, e) == -1 ||
      copy_text (blkid_partition_get_uuid (par), &p->uuid, e) == -1 ||
      copy_text (blkid_partition_get_name (par), &p->name, e) == -1)
    return -1;
  return 0;
}

static int
by_number (const void *a, const void *b)
{
  const struct partition *p = a, *q = b;

  return p->number < q->number ? -1 : p->number > q->number;
}

static void
partition_reset (struct partition *p)
{
  free (p->type);
  free (p->type_name);
  free (p->uuid);
  free (p->name);
}

static int
table_add (struct partition_table *t, struct partition *p, struct err *e)
{
  struct partition_vec v = { t->partitions, t->n_partitions,
                             t->n_partitions };

  if (partition_vec_push (&v, *p) == -1) {
    partition_reset (p);
    return no_memory (e);
  }
  t->partitions = v.items;
  t->n_partitions = v.len;
  return 0;
}

static int
table_add_all (struct partition_table *t, blkid_partlist list,
               uint64_t disk_size, struct err *e)
{
  int n = blkid_partlist_numof_partitions (list);
  struct partition p;

  if (n > VOLUME_MAX_PARTITIONS)
    buf_printf (&t->notes, "%d partitions: the first %d are shown\n", n,
                VOLUME_MAX_PARTITIONS);
  for (int i = 0; i < MIN (n, VOLUME_MAX_PARTITIONS); i++) {
    p = (struct partition){ 0 };
    if (partition_fill (&p, blkid_partlist_get_partition (list, i),
                        disk_size, e) == -1) {
      partition_reset (&p);
      return -1;
    }
    if (table_add (t, &p, e) == -1)
      return -1;
  }
  if (t->n_partitions)
    qsort (t->partitions, t->n_partitions, sizeof *t->partitions, by_number);
  return 0;
}

/* A partition that holds a table of its own (BSD) and reaches beyond the end
 * makes libblkid refuse the whole table, which no kernel does: let the disk
 * seem long enough. */
static int
grow_for_dos (struct scout *s, uint64_t *size, struct err *e)
{
  struct mbr_entry p;
  uint64_t end = *size;

  for (unsigned i = 0; i < 4; i++) {
    p = mbr_entry (s->mbr, i);
    end = MAX (end, ((uint64_t) p.start + p.size) * SECTOR);
  }
  if (ftruncate (s->fd, (off_t) end) == -1)
    return err_sys (e, errno, "memory for a probe");
  *size = end;
  return 0;
}

/* Fills T with the table found with this sector size: type (if any), id and
 * partitions. */
static int
table_fill (struct partition_table *t, struct scout *s, unsigned sector,
            struct err *e)
{
  CLEANUP_PROBE blkid_probe pr = NULL;
  uint64_t size = s->disk->size;
  blkid_partlist list;
  blkid_parttable table;

  if (t->type && !strcmp (t->type, "dos") &&
      grow_for_dos (s, &size, e) == -1)
    return -1;
  if (probe_new (s->fd, size, sector, PARTITIONS, &pr, e) == -1)
    return -1;
  list = blkid_probe_get_partitions (pr);
  if (!list)
    return err_set (e, EIO, "libblkid gives no list of partitions");
  table = blkid_partlist_get_table (list);
  t->sector_size = sector;
  if (table && copy_text (blkid_parttable_get_id (table), &t->id, e) == -1)
    return -1;
  return table_add_all (t, list, s->disk->size, e);
}

static int
table_type (int fd, uint64_t size, unsigned sector, char **ret,
            struct err *e)
{
  CLEANUP_PROBE blkid_probe pr = NULL;

  if (probe_new (fd, size, sector, PARTITIONS, &pr, e) == -1 ||
      probe_run (pr, e) == -1)
    return -1;
  return probe_value (pr, "PTTYPE", ret, e);
}

/* Is there a GPT with sectors of 4096 bytes, and none with 512 whose primary
 * header stands?  Sets the type then. */
static int
try_gpt4096 (struct partition_table *t, struct scout *s, struct err *e)
{
  CLEANUP_FREE char *type = NULL;

  if (s->gpt512.primary.signature ||
      !(s->gpt4096.primary.valid ||
        (s->gpt4096.backup.valid && !s->gpt512.backup.valid)))
    return 0;
  if (table_type (s->fd, s->disk->size, 4096, &type, e) == -1)
    return -1;
  if (type && !strcmp (type, "gpt"))
    t->type = steal_ptr (&type);
  return 0;
}

/* blkid is silent about the table: is there one with partitions? */
static int
try_silenced (struct partition_table *t, struct scout *s, struct err *e)
{
  if (table_type (s->fd, s->disk->size, SECTOR, &t->type, e) == -1)
    return -1;
  if (!t->type)
    return 0;
  if (table_fill (t, s, SECTOR, e) == -1)
    return -1;
  if (t->n_partitions)
    return 0;
  free (t->type);
  free (t->id);
  t->type = t->id = NULL;
  return 0;
}

/* A filesystem without a table. */
static int
add_whole (struct partition_table *t, uint64_t size, struct err *e)
{
  struct partition p = { .size = size, .type = strdup ("none") };

  return p.type ? table_add (t, &p, e) : no_memory (e);
}

static int
table_decide (struct partition_table *t, struct scout *s, struct err *e)
{
  __attribute__ ((cleanup (cleanup_superblock))) struct superblock *whole
      = NULL;

  if (superblock_ask (s->fd, s->disk->size, SUPERBLOCKS | PARTITIONS, &whole,
                      &t->type, e) == -1)
    return -1;
  if (strcmp (whole->type, "none"))
    t->whole = steal_ptr (&whole->type);
  if (t->type)
    return table_fill (t, s, SECTOR, e);
  if (whole->ambivalent || (whole->usage && !strcmp (whole->usage, "raid")))
    return try_silenced (t, s, e);
  return 0;
}

static int
table_find (struct partition_table *t, struct scout *s, struct err *e)
{
  const char *word;

  if (try_gpt4096 (t, s, e) == -1 ||
      (t->type ? table_fill (t, s, 4096, e) : table_decide (t, s, e)) == -1)
    return -1;
  if (t->whole && !t->n_partitions &&
      add_whole (t, s->disk->size, e) == -1)
    return -1;
  if (t->type)
    return 0;
  word = t->whole ? "none" : "unpartitioned";
  t->type = strdup (word);
  return t->type ? 0 : no_memory (e);
}

/* --- what is odd ---------------------------------------------------------- */

static void
note_beyond_end (struct partition_table *t)
{
  const struct partition *p;

  for (size_t i = 0; i < t->n_partitions; i++) {
    p = &t->partitions[i];
    if (p->beyond_end)
      buf_printf (&t->notes, "partition %u reaches beyond the end of the"
                  " disk (%" PRIu64 " bytes at %" PRIu64 ")\n", p->number,
                  p->size, p->start);
  }
}

static bool
overlap (const struct partition *p, const struct partition *q)
{
  return p->size && q->size && p->start < q->start + q->size &&
         q->start < p->start + p->size;
}

/* Only where partitions exclude each other: an extended partition holds its
 * logical ones, and a BSD slice may be all of its parent. */
static void
note_overlap (struct partition_table *t)
{
  const struct partition *p, *q;

  for (size_t i = 0; i < t->n_partitions; i++) {
    p = &t->partitions[i];
    for (size_t j = 0; j < i; j++) {
      q = &t->partitions[j];
      if (p->extended || q->extended || p->nested || q->nested ||
          !overlap (p, q))
        continue;
      buf_printf (&t->notes, "partitions %u and %u overlap\n", q->number,
                  p->number);
      break; /* one a partition: a hostile table has thousands */
    }
  }
}

static void
note_pmbr (struct partition_table *t, const struct scout *s, uint64_t sectors)
{
  uint64_t want = MIN (sectors - 1, UINT32_MAX);
  unsigned others = 0;
  struct mbr_entry p;

  for (unsigned i = 0; i < 4; i++) {
    p = mbr_entry (s->mbr, i);
    others += p.type != 0xee && p.type != 0 && p.size;
  }
  if (others) {
    buf_printf (&t->notes, "hybrid MBR: %u partition%s of the GPT in the MBR"
                " too\n", others, others == 1 ? "" : "s");
    return;
  }
  for (unsigned i = 0; i < 4; i++) {
    p = mbr_entry (s->mbr, i);
    if (p.type == 0xee && p.size != want && p.size != UINT32_MAX)
      buf_printf (&t->notes, "protective MBR covers %" PRIu32 " sectors of"
                  " %" PRIu64 "\n", p.size, want);
  }
}

static void
note_gpt_copies (struct partition_table *t, const struct gpt_pair *p)
{
  const struct gpt *a = &p->primary, *b = &p->backup;

  if (!a->valid)
    buf_printf (&t->notes, "primary GPT is %s: the backup at the end of the"
                " disk is used\n", a->signature ? "damaged" : "missing");
  else if (a->alternate != p->last_lba)
    buf_printf (&t->notes, "backup GPT is said to be at LBA %" PRIu64
                ", the disk ends at LBA %" PRIu64 "\n", a->alternate,
                p->last_lba);
  if (!b->valid)
    buf_printf (&t->notes, "backup GPT at the end of the disk is %s\n",
                b->signature ? "damaged" : "missing");
  else if (a->valid && (memcmp (a->guid, b->guid, 16) || a->n != b->n ||
                        a->entries_crc != b->entries_crc))
    buf_puts (&t->notes, "backup GPT differs from the primary\n");
}

/* libblkid skips them, and so do kernels. */
static int
note_gpt_outside (struct partition_table *t, int fd, unsigned sector,
                  const struct gpt *g, struct err *e)
{
  unsigned char entry[GPT_ENTRY_SIZE];
  uint64_t first, last, at = g->entries_lba * sector;
  unsigned told = 0;

  for (uint32_t i = 0; i < g->n; i++, at += sizeof entry) {
    if (pread (fd, entry, sizeof entry, (off_t) at) != sizeof entry)
      return err_sys (e, errno, "memory for a probe");
    first = load_le64 (entry + 32);
    last = load_le64 (entry + 40);
    if (is_zero (entry, 16) || (first >= g->first && last <= g->last &&
                                first <= last + 1))
      continue;
    if (++told <= 16)
      buf_printf (&t->notes, "entry %" PRIu32 " (LBA %" PRIu64 " to %" PRIu64
                  ") lies outside of the usable range and is ignored\n",
                  i + 1, first, last);
  }
  if (told > 16)
    buf_printf (&t->notes, "%u more entries are ignored\n", told - 16);
  return 0;
}

static int
note_gpt (struct partition_table *t, const struct scout *s, struct err *e)
{
  const struct gpt_pair *p = t->sector_size == 4096 ? &s->gpt4096
                                                    : &s->gpt512;

  note_pmbr (t, s, p->last_lba + 1);
  note_gpt_copies (t, p);
  return note_gpt_outside (t, s->fd, t->sector_size,
                           p->primary.valid ? &p->primary : &p->backup, e);
}

static int
table_notes (struct partition_table *t, const struct scout *s, struct err *e)
{
  bool dos = !strcmp (t->type, "dos"), gpt = !strcmp (t->type, "gpt");

  if (gpt && note_gpt (t, s, e) == -1)
    return -1;
  if (!strcmp (t->type, "PMBR"))
    buf_puts (&t->notes, "protective MBR alone: there is no GPT\n");
  if (dos)
    buf_add (&t->notes, s->ebr_notes.data, s->ebr_notes.len);
  note_beyond_end (t);
  if (dos || gpt)
    note_overlap (t);
  if (t->whole && strcmp (t->type, "none"))
    buf_printf (&t->notes, "%s lies on the bare disk besides the table\n",
                t->whole);
  return buf_check (&t->notes, e);
}

int
partition_table_read (struct block *disk, struct partition_table **ret,
                      struct err *e)
{
  __attribute__ ((cleanup (cleanup_table))) struct partition_table *t = NULL;
  __attribute__ ((cleanup (cleanup_scout))) struct scout s = {
    .disk = disk,
  };
  CLEANUP_CLOSE int fd = -1;

  t = calloc (1, sizeof *t);
  if (!t)
    return no_memory (e);
  t->sector_size = SECTOR;
  if (disk->size) {
    fd = spool_open (disk, e);
    s.fd = fd;
    if (fd == -1 || scout (&s, e) == -1 || table_find (t, &s, e) == -1 ||
        table_notes (t, &s, e) == -1)
      return -1;
  } else if (!(t->type = strdup ("unpartitioned")))
    return no_memory (e);
  *ret = steal_ptr (&t);
  return 0;
}

void
partition_table_free (struct partition_table *t)
{
  if (!t)
    return;
  for (size_t i = 0; i < t->n_partitions; i++)
    partition_reset (&t->partitions[i]);
  free (t->partitions);
  free (t->type);
  free (t->whole);
  free (t->id);
  buf_free (&t->notes);
  free (t);
}
