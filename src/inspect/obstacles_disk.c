/* xrayfs: does the first sector of the disk lead to a boot loader?
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * GRUB's boot.img knows where the disk has the first sector of its core, and
 * that sector (diskboot.img) where the rest of it is: pointers that an image
 * of another size, or one made of partitions alone, leaves dangling.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "inspect/obstacles.h"

/* Of GRUB's BIOS code: 512 bytes, whatever the disk's sectors are. */
#define SECTOR 512
/* boot.h: GRUB_BOOT_MACHINE_KERNEL_SECTOR; stage1.h: STAGE1_STAGE2_SECTOR. */
#define BOOT_KERNEL_SECTOR   0x5c
#define STAGE1_STAGE2_SECTOR 0x44
/* boot.h: block lists grow down from the end of the sector: start (64 bits),
 * length in sectors and segment (16 bits each); a length of 0 ends them. */
#define BLOCKLIST_FIRST 0x1f4
#define BLOCKLIST_SIZE  12
#define BLOCKLIST_LAST  0x100 /* diskboot.img's code is below */

struct pointer {
  uint64_t sector;
  bool grub2;
};

/* Which GRUB's first stage MBR is, by its jump over the BIOS parameter block,
 * and where its second is. */
static bool
read_first_stage (const unsigned char *mbr, struct pointer *ret)
{
  bool jump =
      mbr[0] == 0xeb && mbr[2] == 0x90 && memmem (mbr, 440, "GRUB", 4);

  if (!jump || (mbr[1] != 0x63 && mbr[1] != 0x48))
    return false;
  ret->grub2 = mbr[1] == 0x63;
  ret->sector = ret->grub2 ? load_le64 (mbr + BOOT_KERNEL_SECTOR)
                           : load_le32 (mbr + STAGE1_STAGE2_SECTOR);
  return true;
}

/* Does the list in SECTOR0 lie within N sectors? */
static bool
lists_are_inside (const unsigned char *sector0, uint64_t n, struct fact *f)
{
  for (size_t at = BLOCKLIST_FIRST; at >= BLOCKLIST_LAST;
       at -= BLOCKLIST_SIZE) {
    uint64_t start = load_le64 (sector0 + at);
    uint64_t len = load_le16 (sector0 + at + 8);
    if (len == 0)
      return true;
    fact_evidence (f, "GRUB: core, sectors %" PRIu64 " to %" PRIu64, start,
                   start + len - 1);
    if (start >= n || len > n - start)
      return false;
  }
  return true;
}

static int
look_at_core (struct image *img, const struct pointer *p, struct fact *f,
              struct err *e)
{
  unsigned char first[SECTOR];
  uint64_t n = img->disk->size / SECTOR;

  fact_evidence (f,
                 "disk: first sector: GRUB, which loads sector %" PRIu64
                 " of %" PRIu64,
                 p->sector, n);
  if (p->sector == 0)
    return fact_unknown (f, e,
                         "the first sector does not say where GRUB's"
                         " core is");
  if (p->sector >= n)
    return fact_reason (f, e,
                        "it lies at sector %" PRIu64
                        ", beyond the end of the disk",
                        p->sector) == -1
               ? -1
               : fact_set (f, e, "yes");
  if (block_pread (img->disk, first, sizeof first, p->sector * SECTOR, e) ==
      -1)
    return fact_could_not_look (f, e);
  if (is_zero (first, sizeof first))
    return fact_reason (f, e, "sector %" PRIu64 " is empty", p->sector) == -1
               ? -1
               : fact_set (f, e, "yes");
  if (p->grub2 && !lists_are_inside (first, n, f))
    return fact_reason (f, e,
                        "its block list leads beyond the end of the"
                        " disk") == -1
               ? -1
               : fact_set (f, e, "yes");
  return fact_set (f, e, "no");
}

/* The MBR's alone: what a GPT's protective entry says is not asked by GRUB,
 * nor is its own legacy bit. */
static int
look_at_active (const struct partition_table *t, struct fact *f,
                struct err *e)
{
  bool dos = !strcmp (t->type, "dos"), active = false;

  for (size_t i = 0; i < t->n_partitions; i++)
    active = active || t->partitions[i].bootable;
  fact_evidence (f, "partition table: %s, active partition: %s", t->type,
                 active ? "yes" : "no");
  return fact_set (f, e, dos && !active ? "yes" : "no");
}

int
obstacles_look_at_disk (struct image *img, const struct boot *b,
                        struct obstacles *o, struct err *e)
{
  struct fact *code = &o->facts[OBSTACLE_NO_BOOT_CODE],
              *core = &o->facts[OBSTACLE_NO_GRUB_CORE];
  const struct partition_table *t = image_table (img, e);
  unsigned char mbr[SECTOR];
  struct pointer p;

  if (!t)
    return -1;
  if (look_at_active (t, &o->facts[OBSTACLE_NO_ACTIVE], e) == -1)
    return -1;
  if (b->boot_code_unknown)
    return fact_unknown (code, e, "%s", b->boot_code_unknown) == -1
               ? -1
               : fact_unknown (core, e, "%s", b->boot_code_unknown);
  fact_evidence (code, "disk: boot code in the first sector: %s",
                 b->boot_code ? "yes" : "no");
  if (fact_set (code, e, b->boot_code ? "no" : "yes") == -1)
    return -1;
  if (!b->boot_code)
    return fact_set (core, e, "no"); /* nothing loads it */
  if (block_pread (img->disk, mbr, sizeof mbr, 0, e) == -1)
    return fact_could_not_look (core, e);
  if (read_first_stage (mbr, &p))
    return look_at_core (img, &p, core, e);
  fact_evidence (core, "disk: first sector: it is not GRUB's");
  return fact_set (core, e, "no");
}
