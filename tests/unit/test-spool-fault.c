/* Every read that fails once gives an error or the same answer, never a
 * different table or superblock: a false "nothing recognised" is the fault
 * to be afraid of.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <zlib.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "test.h"
#include "volume/spool.h"
#include "volume/volume.h"

#define DISK (8 * MiB)

static unsigned char *disk;

static void
put32 (uint64_t off, uint32_t v)
{
  v = htole32 (v);
  memcpy (disk + off, &v, sizeof v);
}

static void
put64 (uint64_t off, uint64_t v)
{
  v = htole64 (v);
  memcpy (disk + off, &v, sizeof v);
}

static void
mbr_partition (uint64_t sector, int i, uint8_t type, uint32_t start,
               uint32_t size)
{
  uint64_t at = sector * 512 + 446 + (uint64_t) i * 16;

  disk[at + 4] = type;
  put32 (at + 8, start);
  put32 (at + 12, size);
  memcpy (disk + sector * 512 + 510, "\x55\xaa", 2);
}

/* A logical partition and a table within a partition (BSD). */
static void
make_dos (void)
{
  mbr_partition (0, 0, 0x83, 2048, 1024);
  mbr_partition (0, 1, 0x05, 4096, 8192);
  mbr_partition (0, 2, 0xa5, 3072, 1000);
  mbr_partition (4096, 0, 0x83, 8, 100);
  mbr_partition (4096, 1, 0x05, 1000, 7000);
  mbr_partition (5096, 0, 0x82, 8, 100);
}

static void
gpt_header (uint64_t lba, uint64_t other, uint64_t entries)
{
  uint64_t at = lba * 512;

  memcpy (disk + at, "EFI PART\0\0\1\0", 12);
  put32 (at + 12, 92);
  put64 (at + 24, lba);
  put64 (at + 32, other);
  put64 (at + 40, 34);
  put64 (at + 48, DISK / 512 - 34);
  disk[at + 56] = 7;
  put64 (at + 72, entries);
  put32 (at + 80, 128);
  put32 (at + 84, 128);
  put32 (at + 88, (uint32_t) crc32 (0, disk + entries * 512, 16384));
  put32 (at + 16, 0);
  put32 (at + 16, (uint32_t) crc32 (0, disk + at, 92));
}

static void
make_gpt (void)
{
  uint64_t last = DISK / 512 - 1;

  mbr_partition (0, 0, 0xee, 1, (uint32_t) last);
  memset (disk + 1024, 0x11, 32);
  put64 (1024 + 32, 2048);
  put64 (1024 + 40, 4095);
  memcpy (disk + (last - 32) * 512, disk + 1024, 16384);
  gpt_header (1, last, 2);
  gpt_header (last, 1, last - 32);
}

/* The backup alone, with its entries far from both ends. */
static void
make_backup_gpt (void)
{
  make_gpt ();
  memcpy (disk + 4 * MiB + 512 * KiB, disk + 1024, 16384);
  gpt_header (DISK / 512 - 1, 1, (4 * MiB + 512 * KiB) / 512);
  memset (disk + 512, 0, 512);
}

/* FAT32 whose label lies in the root directory's second cluster. */
static void
make_fat32 (void)
{
  memcpy (disk, "\xeb\x58\x90mkfs.fat", 11);
  disk[12] = 2;  /* 512 bytes a sector */
  disk[13] = 1;  /* one a cluster */
  disk[14] = 32; /* reserved */
  disk[16] = 2;  /* FATs */
  disk[21] = 0xf8;
  put32 (32, DISK / 512);
  put32 (36, 128);
  put32 (44, 5000);
  memcpy (disk + 82, "FAT32   \x55\xaa", 8);
  memcpy (disk + 510, "\x55\xaa", 2);
  put32 (32 * 512, 0x0ffffff8);
  put32 (32 * 512 + 5000 * 4, 6000);
  put32 (32 * 512 + 6000 * 4, 0x0fffffff);
  for (int i = 0; i < 16; i++)
    memcpy (disk + (32 + 256 + 4998) * 512 + i * 32, "DELETED TXT ", 12);
  memcpy (disk + (32 + 256 + 5998) * 512, "FAR LABEL  \x08", 12);
}

/* NTFS with the $MFT in the middle. */
static void
make_ntfs (void)
{
  uint64_t mft = 3 * MiB, record = mft + 3 * 1024;

  memcpy (disk, "\xeb\x52\x90NTFS    ", 11);
  disk[12] = 2;
  disk[13] = 8;
  disk[21] = 0xf8;
  put64 (40, DISK / 512 - 1);
  put64 (48, mft / 4096);
  put64 (56, 2);
  disk[64] = 0xf6;
  put64 (72, 0x1122334455667788);
  memcpy (disk + mft, "FILE", 4);
  memcpy (disk + record, "FILE", 4);
  disk[record + 20] = 56;
  put32 (record + 28, 1024);
  put32 (record + 56, 0x60);
  put32 (record + 60, 32);
  put32 (record + 72, 6);
  put32 (record + 76, 24);
  memcpy (disk + record + 80, "f\0a\0r", 6);
  put32 (record + 88, 0xffffffff);
}

/* The last sector is all that tells of it. */
static void
make_raid (void)
{
  uint64_t at = DISK - 64 * KiB;

  put32 (at, 0xa92b4efc);
  put32 (at + 8, 90);
  put32 (at + 20, 0x01020304);
}

static void
make_nothing (void)
{
}

/* All that a caller sees, as text. */
static void
say (struct buf *out, const char *s)
{
  buf_printf (out, "%s;", s ? s : "-");
}

static int
answer_table (struct block *b, struct buf *out, struct err *e)
{
  struct partition_table *t;
  const struct partition *p;

  if (partition_table_read (b, &t, e) == -1)
    return -1;
  say (out, t->type);
  say (out, t->id);
  say (out, t->whole);
  for (size_t i = 0; i < t->n_partitions; i++) {
    p = &t->partitions[i];
    buf_printf (out, "%u %" PRIu64 " %" PRIu64 " %d;", p->number, p->start,
                p->size, p->beyond_end);
    say (out, p->type);
    say (out, p->uuid);
    say (out, p->name);
  }
  say (out, buf_str (&t->notes));
  partition_table_free (t);
  return 0;
}

static int
answer_superblock (struct block *b, struct buf *out, struct err *e)
{
  struct superblock *s;

  if (superblock_probe (b, &s, e) == -1)
    return -1;
  say (out, s->type);
  say (out, s->label);
  say (out, s->uuid);
  say (out, s->version);
  say (out, s->ambivalent);
  superblock_free (s);
  return 0;
}

typedef int answer_fn (struct block *, struct buf *, struct err *);

static int
ask (answer_fn *fn, uint64_t nth, uint64_t *ret_count, struct buf *out,
     struct err *e)
{
  struct block_env env = { .dir_fd = -1 };
  CLEANUP_BLOCK struct block *b = NULL;
  struct block *mem;
  _Atomic uint64_t count = 0;
  int rc;

  CHECK (block_mem_open (&env, disk, DISK, &mem, e) == 0);
  CHECK (block_fault_open (mem, nth, &count, &b, e) == 0);
  rc = fn (b, out, e);
  *ret_count = count;
  return rc;
}

static void
sweep (const char *name, answer_fn *fn, const char *want)
{
  CLEANUP_BUF struct buf good = { 0 };
  uint64_t reads, n;
  struct err e = { 0 };

  CHECK_OK (ask (fn, UINT64_MAX, &reads, &good, &e));
  if (!strstr (buf_str (&good), want)) {
    fprintf (stderr, "%s: '%s' has no '%s'\n", name, buf_str (&good), want);
    exit (1);
  }
  CHECK (reads > 10);
  for (uint64_t i = 0; i < reads; i++) {
    CLEANUP_BUF struct buf got = { 0 };
    struct err f = { 0 };

    if (ask (fn, i, &n, &got, &f) == -1) {
      CHECK (f.code == EIO && strstr (f.msg, "injected fault"));
      continue;
    }
    CHECK_STR (buf_str (&got), buf_str (&good));
  }
  printf ("%s: %" PRIu64 " reads\n", name, reads);
}

static const struct {
  const char *name;
  void (*make) (void);
  const char *table, *superblock;
} cases[] = {
  { "dos", make_dos, "6 2613248 51200", "none" },
  { "gpt", make_gpt, "gpt;00000007-", "none" },
  { "backup gpt", make_backup_gpt, "primary GPT is missing", "none" },
  { "fat32", make_fat32, "none;-;vfat;0 0 ", "vfat;FAR LABEL" },
  { "ntfs", make_ntfs, "none;-;ntfs;0 0 ", "ntfs;far;1122334455667788" },
  { "md", make_raid, "none;-;linux_raid_member",
    "linux_raid_member;-;01020304-0000" },
  { "nothing", make_nothing, "unpartitioned", "none" },
};

int
main (void)
{
  disk = malloc (DISK);
  CHECK (disk);
  for (size_t i = 0; i < ARRAY_SIZE (cases); i++) {
    memset (disk, 0, DISK);
    cases[i].make ();
    sweep (cases[i].name, answer_table, cases[i].table);
    sweep (cases[i].name, answer_superblock, cases[i].superblock);
  }
  free (disk);
  return 0;
}
