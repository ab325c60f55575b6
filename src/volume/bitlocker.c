/* xrayfs: BitLocker: what it says without a key
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From the documentation of libbde, "BitLocker Drive Encryption (BDE)
 * format".  All numbers are little-endian.  The volume header says where the
 * three copies of the metadata lie; each begins with a block header of 64
 * bytes, a header of 48 with the method of encryption, and entries.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "volume/volume.h"

#define COPIES       3
#define BLOCK_HEADER 64
#define HEADER       48
#define MAX_METADATA (64 * KiB) /* those of Windows take less than 64 KiB */
#define ENCRYPTED    4          /* state: neither before nor after */
#define ENTRY_KEY    2          /* type of entry: a volume master key */

struct volume_header {
  uint64_t places[COPIES];
  const char *kind;
};

static int
load_volume_header (struct volume_header *v, const unsigned char *h,
                    struct err *e)
{
  static const struct {
    const char *magic, *kind;
    size_t at;
  } kinds[] = {
    { "\xeb\x52\x90-FVE-FS-", "vista", 0 },
    { "\xeb\x58\x90-FVE-FS-", "windows7", 176 },
    { "\xeb\x58\x90MSWIN4.1", "to-go", 440 },
  };

  for (size_t i = 0; i < ARRAY_SIZE (kinds); i++) {
    if (memcmp (h, kinds[i].magic, 11))
      continue;
    v->kind = kinds[i].kind;
    for (size_t k = 0; k < COPIES && kinds[i].at; k++)
      v->places[k] = load_le64 (h + kinds[i].at + 8 * k);
    /* Vista names one place, in clusters. */
    if (!kinds[i].at)
      v->places[0] = MIN (load_le64 (h + 56), (uint64_t) 1 << 40) *
                     load_le16 (h + 11) * h[13];
    return 0;
  }
  return err_set (e, EINVAL, "no BitLocker header is where one was seen");
}

/* --- metadata -------------------------------------------------------- */

/* As cryptsetup names them, with the bits of all keys. */
static const char *
method_name (uint32_t method)
{
  static const struct {
    uint32_t method;
    const char *name;
  } methods[] = {
    { 0x8000, "aes-cbc-elephant 256-bit" }, /* AES-128, and the diffuser's */
    { 0x8001, "aes-cbc-elephant 512-bit" },
    { 0x8002, "aes-cbc-eboiv 128-bit" },
    { 0x8003, "aes-cbc-eboiv 256-bit" },
    { 0x8004, "aes-xts-plain64 256-bit" }, /* two keys of AES-128 */
    { 0x8005, "aes-xts-plain64 512-bit" },
  };

  for (size_t i = 0; i < ARRAY_SIZE (methods); i++)
    if (methods[i].method == (method & 0xffff))
      return methods[i].name;
  return NULL;
}

static const char *
protector_name (uint16_t type)
{
  switch (type) {
  case 0x0000:
    return "clear-key"; /* protection is suspended */
  case 0x0100:
    return "tpm";
  case 0x0200:
    return "startup-key";
  case 0x0500:
    return "tpm-pin";
  case 0x0800:
    return "recovery-password";
  case 0x2000:
    return "password";
  default:
    return "other";
  }
}

/* Entries: 0 size, 2 type, 4 kind of value, 6 version; a key's data: 0 GUID,
 * 16 time, 26 what protects it. */
static void
add_protectors (struct buf *out, const unsigned char *p, size_t len)
{
  uint16_t size;

  for (; len >= 8; p += size, len -= size) {
    size = load_le16 (p);
    if (size < 8 || size > len)
      return;
    if (load_le16 (p + 2) == ENTRY_KEY && size >= 8 + 28)
      buf_printf (out, " protector=%s",
                  protector_name (load_le16 (p + 8 + 26)));
  }
}

/* BLOCK is the block header, H the header behind it; LEN bytes from H on. */
static void
describe (struct container_info *ret, const unsigned char *block,
          const unsigned char *h, size_t len)
{
  uint32_t method = load_le32 (h + 36);
  const char *name = method_name (method);
  size_t size = MIN (load_le32 (h), len);

  ret->size = load_le64 (block + 16);
  if (name)
    buf_puts (&ret->features, name);
  else
    buf_printf (&ret->features, "method=0x%" PRIx32, method);
  if (size > HEADER)
    add_protectors (&ret->features, h + HEADER, size - HEADER);
  snprintf (ret->state, sizeof ret->state, "%s",
            load_le16 (block + 12) == ENCRYPTED ? "clean" : "dirty");
  if (name)
    snprintf (ret->hidden, sizeof ret->hidden,
              "encrypted with BitLocker (%.*s, %s key)",
              (int) strcspn (name, " "), name, strchr (name, ' ') + 1);
  else
    snprintf (ret->hidden, sizeof ret->hidden,
              "encrypted with BitLocker (method 0x%" PRIx32 ")", method);
}

static int
read_copy (struct block *b, uint64_t off, struct container_info *ret,
           struct err *e)
{
  CLEANUP_FREE unsigned char *m = NULL;
  size_t len;

  if (off == 0 || !range_within (off, BLOCK_HEADER + HEADER, b->size))
    return err_set (e, EINVAL, "the BitLocker metadata lie outside");
  len = MIN (MAX_METADATA, b->size - off);
  m = malloc (len);
  if (!m)
    return err_set (e, ENOMEM, "out of memory");
  if (block_pread (b, m, len, off, e) == -1)
    return -1;
  if (memcmp (m, "-FVE-FS-", 8) || load_le32 (m + BLOCK_HEADER + 8) != HEADER)
    return err_set (e, EINVAL,
                    "the BitLocker metadata at 0x%" PRIx64 " are damaged",
                    off);
  describe (ret, m, m + BLOCK_HEADER, len - BLOCK_HEADER);
  return 0;
}

static int
bitlocker_info (struct block *b, struct container_info *ret, struct err *e)
{
  struct container_info c = { .size = UINT64_MAX };
  struct volume_header v = { .kind = NULL };
  unsigned char h[512];

  if (b->size < sizeof h)
    return err_set (e, EINVAL, "the BitLocker header is cut off");
  if (block_pread (b, h, sizeof h, 0, e) == -1)
    return err_in (e, "BitLocker");
  if (load_volume_header (&v, h, e) == -1)
    return -1;
  for (size_t i = 0; i < COPIES; i++) {
    err_clear (e);
    if (i && !v.places[i])
      break;
    if (read_copy (b, v.places[i], &c, e) == 0) {
      *ret = c;
      return 0;
    }
    if (e->code == EIO || err_is_transient (e))
      break;
  }
  return e->code ? err_in (e, "BitLocker")
                 : err_set (e, EINVAL, "the BitLocker metadata are damaged");
}

const struct container_ops bitlocker_container = { "BitLocker",
                                                   bitlocker_info };
