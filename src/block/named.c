/* xrayfs: formats that this version names and does not read
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A signature at one of a few places, and an open that says so.  A driver
 * that reads the format takes its line away from here.
 */
#include <string.h>

#include "base/bytes.h"
#include "block/block.h"

/* LEN bytes of MAGIC at AT; a negative AT counts from the end. */
struct signature {
  int at;
  unsigned len;
  const char *magic;
};

/* 1, 0, or -1: could not look. */
static int
signature_matches (struct block *below, const struct signature *s,
                   struct err *e)
{
  uint64_t back = s->at < 0 ? (uint64_t) -s->at : below->size;
  uint64_t off;
  char found[32];

  if (back > below->size)
    return 0;
  off = s->at < 0 ? below->size - back : (uint64_t) s->at;
  if (s->len > sizeof found || !range_within (off, s->len, below->size))
    return 0;
  if (block_pread (below, found, s->len, off, e) == -1)
    return -1;
  return !memcmp (found, s->magic, s->len);
}

static int
bid_signatures (struct block *below, const struct signature *s, size_t n,
                struct err *e)
{
  int r = 0;

  for (size_t i = 0; r == 0 && i < n; i++) {
    r = signature_matches (below, &s[i], e);
    if (r == 1)
      return (int) (8 * s[i].len);
  }
  return r;
}

static int
not_read (struct block *b unused_arg, struct err *e)
{
  return err_set (e, ENOTSUP, "this version of xrayfs does not read it");
}

#define AT(at, magic)                                                        \
  {                                                                          \
    at, sizeof (magic) - 1, magic                                            \
  }
#define NAMED(format, ...)                                                   \
  static int format##_bid (struct block *below, struct err *e)               \
  {                                                                          \
    static const struct signature s[] = { __VA_ARGS__ };                     \
    return bid_signatures (below, s, ARRAY_SIZE (s), e);                     \
  }                                                                          \
  extern const struct block_ops format##_ops;                                \
  const struct block_ops format##_ops = {                                    \
    .name = #format,                                                         \
    .bid = format##_bid,                                                     \
    .open = not_read,                                                        \
  }

/* The footer alone for a fixed disk; old Virtual PC left its last byte
 * away. */
NAMED (vhd, AT (0, "conectix"), AT (-512, "conectix"), AT (-511, "conectix"));
NAMED (vhdx, AT (0, "vhdxfile"));
NAMED (vmdk, AT (0, "KDMV"), AT (0, "COWD"), AT (0, "# Disk DescriptorFile"));
NAMED (vdi, AT (0x40, "\x7f\x10\xda\xbe"));
NAMED (dmg, AT (-512, "koly"));
/* Version 1 is a container for qemu; version 2 is a raw disk that libblkid
 * names. */
NAMED (luks, AT (0, "LUKS\xba\xbe\0\1"));
