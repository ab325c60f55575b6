/* xrayfs: LUKS version 1 as a container
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Specification: LUKS On-Disk Format, version 1.2.3, section 2.
 *
 * Nothing is decrypted: the header tells sizes, cipher and key slots, and
 * every read of the data says that they are encrypted.  The header keeps no
 * length of the data: they end where the file ends, filled up to a whole
 * sector, as in qemu.
 *
 * Version 2 is no container for qemu either: it stays a raw disk, and
 * libblkid names what lies on it.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "format/luks.h"

#define SECTOR      UINT64_C (512)
#define SLOTS       208 /* where the key slots start in the header */
#define SLOT_SIZE   48
#define SLOT_ACTIVE 0x00ac71f3
#define SLOT_DEAD   0x0000dead
#define STRIPES     4000 /* the only number that is written, or taken */
/* qemu has no payload and no key before it. */
#define MIN_OFFSET UINT64_C (4096)

static int
luks_bid (struct block *below, struct err *e)
{
  char magic[8];

  if (below->size < sizeof magic)
    return 0;
  if (block_pread (below, magic, sizeof magic, 0, e) == -1)
    return -1;
  return memcmp (magic, "LUKS\xba\xbe\0\1", sizeof magic) ? 0 : 64;
}

/* SIZE bytes with a NUL among them. */
static int
load_string (char *to, const unsigned char *from, size_t size,
             const char *what, struct err *e)
{
  if (!memchr (from, '\0', size))
    return err_set (e, EINVAL, "%s is not terminated", what);
  memcpy (to, from, size);
  return 0;
}

static void
load_slots (struct luks_header *l, const unsigned char *h)
{
  for (size_t i = 0; i < LUKS_SLOTS; i++) {
    const unsigned char *p = h + SLOTS + i * SLOT_SIZE;
    struct luks_slot *s = &l->slots[i];

    s->state = load_be32 (p);
    s->iterations = load_be32 (p + 4);
    s->offset = load_be32 (p + 40) * SECTOR;
    s->stripes = load_be32 (p + 44);
    /* Capped, so that offset + length does not overflow. */
    s->length = MIN (round_up (l->key_bytes * (uint64_t) s->stripes, SECTOR),
                     INT64_MAX / 2);
  }
}

int
luks_header_load (struct luks_header *l, const unsigned char *h,
                  struct err *e)
{
  /* Who names the format has not bid. */
  if (memcmp (h, "LUKS\xba\xbe", 6))
    return err_set (e, EINVAL, "not a LUKS header");
  if (load_be16 (h + 6) != 1)
    return err_set (e, ENOTSUP, "version %u is not read", load_be16 (h + 6));
  l->payload = load_be32 (h + 104) * SECTOR;
  l->key_bytes = load_be32 (h + 108);
  l->iterations = load_be32 (h + 164);
  load_slots (l, h);
  if (load_string (l->cipher, h + 8, 32, "cipher name", e) == -1 ||
      load_string (l->mode, h + 40, 32, "cipher mode", e) == -1 ||
      load_string (l->hash, h + 72, 32, "hash name", e) == -1)
    return -1;
  return load_string (l->uuid, h + 168, 40, "UUID", e);
}

static int
luks_open (struct block *b, struct err *e)
{
  struct luks_header *l = b->priv = calloc (1, sizeof *l);
  unsigned char h[LUKS_HEADER_SIZE];
  uint64_t end;

  if (!l)
    return err_set (e, ENOMEM, "out of memory");
  if (b->below->size < sizeof h)
    return err_set (e, EINVAL, "header is cut off");
  if (block_pread (b->below, h, sizeof h, 0, e) == -1)
    return err_in (e, "header");
  if (luks_header_load (l, h, e) == -1)
    return -1;
  if (b->below->size > INT64_MAX - SECTOR)
    return err_set (e, EFBIG, "the file is too large");
  end = round_up (b->below->size, SECTOR);
  if (l->payload < MIN_OFFSET)
    return err_set (e, EINVAL, "data at 0x%" PRIx64 " overlap the header",
                    l->payload);
  if (l->payload > end)
    return err_set (e, EINVAL,
                    "data at 0x%" PRIx64 " lie beyond the end of the file"
                    " (0x%" PRIx64 ")",
                    l->payload, b->below->size);
  b->size = end - l->payload;
  return 0;
}

static int
luks_map (struct block *b unused_arg, uint64_t off unused_arg,
          uint64_t len unused_arg, struct extent *ret unused_arg,
          struct err *e)
{
  return err_set (e, EIO, "data are encrypted (LUKS)");
}

/* --- info ------------------------------------------------------------ */

static void
add_line (struct buf *out, const char *word, const char *text)
{
  buf_printf (out, "%s ", word);
  buf_add_line_text (out, text, strlen (text));
  buf_puts (out, "\n");
}

unsigned
luks_active_slots (const struct luks_header *l)
{
  unsigned active = 0;

  for (size_t i = 0; i < LUKS_SLOTS; i++)
    active += l->slots[i].state == SLOT_ACTIVE;
  return active;
}

static void
add_features (const struct luks_header *l, struct buf *out)
{
  char cipher[80];

  snprintf (cipher, sizeof cipher, "%s-%s", l->cipher, l->mode);
  add_line (out, "cipher", cipher);
  add_line (out, "hash", l->hash);
  add_line (out, "uuid", l->uuid);
  buf_printf (out, "key-bits %" PRIu64 "\nkey-slots %u\n",
              l->key_bytes * UINT64_C (8), luks_active_slots (l));
}

static int
luks_info (struct block *b, struct block_info *ret, struct err *e)
{
  ret->has_encryption = ret->has_features = true;
  ret->version = strdup ("1");
  ret->encrypted = strdup ("luks");
  if (!ret->version || !ret->encrypted)
    return err_set (e, ENOMEM, "out of memory");
  add_features (b->priv, &ret->features);
  return 0;
}

/* --- check ----------------------------------------------------------- */

static bool
overlap (const struct luks_slot *a, const struct luks_slot *b)
{
  return a->offset < b->offset + b->length &&
         b->offset < a->offset + a->length;
}

/* What qemu refuses in a slot. */
static void
check_slot (struct block *b, const struct luks_slot *s, struct block_check *c,
            size_t i)
{
  const struct luks_header *l = b->priv;

  if (s->state != SLOT_ACTIVE && s->state != SLOT_DEAD)
    block_check_error (c, "key slot %zu: state 0x%08" PRIx32, i, s->state);
  if (s->stripes != STRIPES)
    block_check_error (c, "key slot %zu: %" PRIu32 " stripes", i, s->stripes);
  if (s->state == SLOT_ACTIVE && s->iterations == 0)
    block_check_error (c, "key slot %zu: no iterations", i);
  if (s->offset < MIN_OFFSET)
    block_check_error (c, "key slot %zu: its key overlaps the header", i);
  if (s->offset + s->length > l->payload)
    block_check_error (c, "key slot %zu: its key overlaps the data", i);
  else if (s->state == SLOT_ACTIVE)
    block_check_reach (c, b->below, s->offset + s->length);
}

static int
luks_check (struct block *b, struct block_check *c, struct err *e unused_arg)
{
  const struct luks_header *l = b->priv;

  if (l->iterations == 0)
    block_check_error (c, "the master key has no iterations");
  for (size_t i = 0; i < LUKS_SLOTS; i++) {
    check_slot (b, &l->slots[i], c, i);
    for (size_t k = 0; k < i; k++)
      if (overlap (&l->slots[k], &l->slots[i]))
        block_check_error (c, "key slots %zu and %zu overlap", k, i);
  }
  if (b->size == 0)
    block_check_error (c, "the file ends where the data should start");
  return 0;
}

static void
luks_close (struct block *b)
{
  free (b->priv);
}

const struct block_ops luks_ops = {
  .name = "luks",
  .bid = luks_bid,
  .open = luks_open,
  .map = luks_map,
  .info = luks_info,
  .check = luks_check,
  .close = luks_close,
};
