/* xrayfs: may the image be handed to a program that trusts it
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The rules are those of OpenStack's format inspector (oslo.utils,
 * oslo_utils/imageutils/format_inspector.py), which Glance, Nova and Cinder
 * ask before qemu sees an image.  The block layer has those of the container
 * formats; here are ISO 9660 and the MBR, which count as formats of the file
 * there, and what only the file as a whole can tell.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "inspect/image_priv.h"

#define MBR_SIZE   512
#define ISO_HEADER UINT64_C (32768)

/* The formats that the file is valid as; the first is the container's. */
struct formats {
  const char *first;
  struct buf *reasons;
};

static void
add_format (struct formats *f, const char *name)
{
  if (f->first)
    buf_printf (f->reasons, "the file is valid as %s and as %s\n", f->first,
                name);
  else
    f->first = name;
}

/* --- the MBR --------------------------------------------------------- */

/* The boot sector of a FAT filesystem has the MBR's signature: two FATs on a
 * fixed disk. */
static bool
is_mbr (const unsigned char *p)
{
  return load_le16 (p + 510) == 0xaa55 && !(p[0x10] == 2 && p[0x15] == 0xf8);
}

/* UEFI specification 2.10, table 5.4: the protective entry starts at sector
 * 1, CHS 0/0/2. */
static void
check_protective (const unsigned char *entry, struct buf *reasons)
{
  if (memcmp (entry + 1, "\0\2\0", 3))
    buf_puts (reasons, "the protective MBR's entry starts at a wrong CHS\n");
  if (load_le32 (entry + 8) != 1)
    buf_printf (reasons,
                "the protective MBR's entry starts at sector %" PRIu32
                ", not 1\n",
                load_le32 (entry + 8));
}

static void
check_mbr (const unsigned char *mbr, struct buf *reasons)
{
  unsigned used = 0; /* a bit for each entry */
  bool gpt = false;

  for (unsigned i = 0; i < 4; i++) {
    const unsigned char *entry = mbr + 446 + 16 * i;

    if (entry[0] != 0 && entry[0] != 0x80)
      buf_printf (reasons, "MBR entry %u has the boot flag 0x%02x\n", i + 1,
                  entry[0]);
    if (entry[4] != 0)
      used |= 1u << i;
    if (entry[4] == 0xee) {
      gpt = true;
      check_protective (entry, reasons);
    }
  }
  if (gpt && used != 1)
    buf_puts (reasons, "the MBR has partitions besides the protective one\n");
  if (!used)
    buf_puts (reasons, "the MBR defines no partitions\n");
}

/* --- the file -------------------------------------------------------- */

static int
look_at_iso (struct image *img, struct formats *f, struct err *e)
{
  char id[6];

  /* A file that does not hold the whole descriptor is none. */
  if (!range_within (ISO_HEADER, 2048, img->file->size))
    return 0;
  if (block_pread (img->file, id, sizeof id, ISO_HEADER, e) == -1)
    return -1;
  if (!memcmp (id + 1, "CD001", 5) || !memcmp (id + 1, "NSR02", 5) ||
      !memcmp (id + 1, "NSR03", 5))
    add_format (f, "iso");
  return 0;
}

/* Version 1 is a container of its own here. */
static void
look_at_luks (const unsigned char *p, struct formats *f)
{
  if (memcmp (p, "LUKS\xba\xbe", 6) || load_be16 (p + 6) == 1)
    return;
  add_format (f, "luks");
  buf_printf (f->reasons, "LUKS version %u is not supported\n",
              load_be16 (p + 6));
}

static int
look_at_start (struct image *img, struct formats *f, struct err *e)
{
  unsigned char p[MBR_SIZE];

  if (img->file->size < sizeof p)
    return 0;
  if (block_pread (img->file, p, sizeof p, 0, e) == -1)
    return -1;
  look_at_luks (p, f);
  if (!is_mbr (p))
    return 0;
  add_format (f, "gpt");
  check_mbr (p, f->reasons);
  return 0;
}

static int
look (struct image *img, struct buf *reasons, struct err *e)
{
  const char *format = img->disk->ops->name;
  struct formats f = { strcmp (format, "raw") ? format : NULL, reasons };

  if (block_safety (img->disk, reasons, e) == -1 ||
      look_at_iso (img, &f, e) == -1 || look_at_start (img, &f, e) == -1)
    return -1;
  return buf_check (reasons, e);
}

int
safety_compute (void *arg, struct err *e)
{
  CLEANUP_BUF struct buf reasons = { 0 };
  struct image *img = arg;
  struct fact *s = &img->safety;

  fact_free (s);
  if (look (img, &reasons, e) == -1)
    return fact_could_not_look (s, e);
  fact_evidence (s, "by the rules of OpenStack's format inspector");
  return fact_set (s, e, "%s", reasons.len ? buf_str (&reasons) : "safe");
}
