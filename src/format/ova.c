/* xrayfs: OVA: the disk in an archive
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * DMTF DSP0243, Open Virtualization Format, 5.3: a tar archive with an OVF
 * descriptor and the files that it names.  The disk is read where it lies,
 * through a window of the archive.  Of several disks it is the first.
 *
 * POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header";
 * GNU tar's long names and sizes in base 256.
 */
#include "format/ova.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "block/block.h"

#define TAR_BLOCK   512
#define MAX_MEMBERS 1000 /* a virtual machine has a handful */
#define MAX_NAME    4096
#define MAX_PAX     (64 * KiB)
#define MAX_OVF     (1 * MiB)

struct ova {
  struct block *disk;
  char *member;          /* its name */
  uint64_t offset, size; /* in the archive */
  unsigned count;        /* of disks in the OVF */
};

/* --- the archive ----------------------------------------------------- */

struct member {
  char *name; /* owned */
  uint64_t offset, size;
  bool regular;
};

static void
cleanup_member (struct member *m)
{
  free (m->name);
}
#define CLEANUP_MEMBER __attribute__ ((cleanup (cleanup_member)))

/* The way through the archive: zero, but for BELOW. */
struct walk {
  struct block *below;
  uint64_t next; /* where the next header is */
  unsigned seen;
  char *name; /* of the next member, from an extension */
  uint64_t size;
  bool has_size;
  bool damaged; /* it ended at something that is no header */
};

static void
cleanup_walk (struct walk *w)
{
  free (w->name);
}
#define CLEANUP_WALK __attribute__ ((cleanup (cleanup_walk)))

/* An octal number, or one in base 256. */
static bool
parse_number (const unsigned char *field, unsigned len, uint64_t *ret)
{
  uint64_t v = 0;
  unsigned i = 0;

  if (field[0] == 0x80) {
    for (i = 1; i < len; i++)
      if (__builtin_mul_overflow (v, 256, &v) ||
          __builtin_add_overflow (v, field[i], &v))
        return false;
    *ret = v;
    return v <= INT64_MAX;
  }
  while (i < len && field[i] == ' ')
    i++;
  for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
    v = v * 8 + (field[i] - '0'); /* 12 digits at most */
  *ret = v;
  return i == len || field[i] == 0 || field[i] == ' ';
}

/* The sum of all bytes, with the sum itself as blanks; old programs took the
 * bytes as signed. */
static bool
has_checksum (const unsigned char *h)
{
  uint64_t want;
  int64_t plain = 0, with_sign = 0;

  if (!parse_number (h + 148, 8, &want) || want == 0)
    return false;
  for (unsigned i = 0; i < TAR_BLOCK; i++) {
    unsigned char c = i >= 148 && i < 156 ? ' ' : h[i];

    plain += c;
    with_sign += (signed char) c;
  }
  return (int64_t) want == plain || (int64_t) want == with_sign;
}

/* "ustar": a prefix may stand before the name. */
static char *
header_name (const unsigned char *h)
{
  const char *name = (const char *) h, *prefix = name + 345;
  bool ustar = !memcmp (h + 257, "ustar", 6); /* with its NUL */
  char *out;

  if (!ustar || !*prefix)
    return strndup (name, 100);
  if (asprintf (&out, "%.155s/%.100s", prefix, name) == -1)
    return NULL;
  return out;
}

/* The SIZE bytes of an extension header at OFF, as a string. */
static int
read_extension (struct walk *w, uint64_t off, uint64_t size, char **ret,
                struct err *e)
{
  CLEANUP_FREE char *text = calloc (1, size + 1);

  if (!text)
    return err_set (e, ENOMEM, "out of memory");
  if (block_pread (w->below, text, size, off, e) == -1)
    return -1;
  *ret = steal_ptr (&text);
  return 0;
}

/* One record of a pax header: "LENGTH KEY=VALUE\n". */
static int
take_record (struct walk *w, const char *record, size_t len, struct err *e)
{
  const char *value = memchr (record, '=', len);
  char *end, *name;
  uint64_t size;

  if (!value)
    return 0;
  len -= (size_t) (value + 1 - record);
  if (!strncmp (record, "path=", 5) && len < MAX_NAME) {
    name = strndup (value + 1, len);
    if (!name)
      return err_set (e, ENOMEM, "out of memory");
    free (w->name);
    w->name = name;
  } else if (!strncmp (record, "size=", 5)) {
    errno = 0;
    size = strtoull (value + 1, &end, 10);
    w->has_size = !errno && end == value + 1 + len;
    w->size = size;
  }
  return 0;
}

static int
take_records (struct walk *w, char *text, uint64_t size, struct err *e)
{
  char *record, *stop = text + size;
  unsigned long len;

  while (text < stop) {
    len = strtoul (text, &record, 10);
    if (record == text || *record != ' ' || len > (size_t) (stop - text) ||
        text + len < record + 2)
      return 0; /* damaged: the header's own values count */
    if (take_record (w, record + 1, (size_t) (text + len - 1 - record - 1),
                     e) == -1)
      return -1;
    text += len;
  }
  return 0;
}

/* A header that says something of the next one. */
static int
take_extension (struct walk *w, char type, uint64_t off, uint64_t size,
                struct err *e)
{
  CLEANUP_FREE char *text = NULL;

  if (type == 'L' && size < MAX_NAME) {
    if (read_extension (w, off, size, &text, e) == -1)
      return -1;
    free (w->name);
    w->name = steal_ptr (&text);
  } else if (type == 'x' && size <= MAX_PAX) {
    if (read_extension (w, off, size, &text, e) == -1)
      return -1;
    return take_records (w, text, size, e);
  }
  return 0;
}

/* The header at W->next: 1, 0: there is none, -1. */
static int
read_member_header (struct walk *w, unsigned char *h, uint64_t *ret_size,
                    struct err *e)
{
  if (w->seen >= MAX_MEMBERS ||
      !range_within (w->next, TAR_BLOCK, w->below->size))
    return 0;
  if (block_pread (w->below, h, TAR_BLOCK, w->next, e) == -1)
    return -1;
  if (is_zero (h, TAR_BLOCK))
    return 0;
  w->seen++;
  w->damaged = !has_checksum (h) || !parse_number (h + 124, 12, ret_size);
  return !w->damaged;
}

/* 1: *RET is the next member; 0: there is none; -1. */
static int
next_member (struct walk *w, struct member *ret, struct err *e)
{
  unsigned char h[TAR_BLOCK];
  uint64_t size = 0, data;
  char type;
  int r;

  while ((r = read_member_header (w, h, &size, e)) == 1) {
    type = (char) h[156];
    data = w->next + TAR_BLOCK;
    if (w->has_size && type != 'x' && type != 'L' && type != 'K')
      size = w->size;
    if (size > INT64_MAX - TAR_BLOCK - data) {
      w->damaged = true;
      return 0;
    }
    w->next = data + round_up (size, TAR_BLOCK);
    if (type == 'x' || type == 'L') {
      /* Cut off: there is no member behind it. */
      if (range_within (data, size, w->below->size) &&
          take_extension (w, type, data, size, e) == -1)
        return -1;
      continue;
    }
    if (type == 'g' || type == 'K')
      continue;
    free (ret->name);
    ret->name = w->name ? steal_ptr (&w->name) : header_name (h);
    ret->offset = data;
    ret->size = size;
    ret->regular = type == '0' || type == 0 || type == '7';
    w->has_size = false;
    return ret->name ? 1 : err_set (e, ENOMEM, "out of memory");
  }
  return r;
}

/* --- choosing the disk ----------------------------------------------- */

static bool
has_ending (const char *name, const char *ending)
{
  size_t n = strlen (name), k = strlen (ending);

  return n > k && !strcasecmp (name + n - k, ending);
}

static bool
is_ovf (const struct member *m, const void *arg unused_arg)
{
  return has_ending (m->name, ".ovf");
}

static bool
is_disk (const struct member *m, const void *arg unused_arg)
{
  static const char *const endings[] = { ".vmdk",  ".vhd", ".vhdx",
                                         ".qcow2", ".img", ".raw" };

  for (size_t i = 0; i < ARRAY_SIZE (endings); i++)
    if (has_ending (m->name, endings[i]))
      return true;
  return false;
}

static bool
is_named (const struct member *m, const void *name)
{
  const char *own = m->name;

  if (!strncmp (own, "./", 2))
    own += 2;
  return !strcmp (own, name);
}

/* The first regular member that MATCHES: 1, 0: none, -1. */
static int
find_member (struct block *below,
             bool (*matches) (const struct member *m, const void *arg),
             const void *arg, struct member *ret, struct err *e)
{
  CLEANUP_WALK struct walk w = { .below = below };
  int r;

  while ((r = next_member (&w, ret, e)) == 1)
    if (ret->regular && matches (ret, arg))
      return 1;
  return r;
}

static int
ova_bid (struct block *below, struct err *e)
{
  CLEANUP_MEMBER struct member ovf = { 0 };
  int r = find_member (below, is_ovf, NULL, &ovf, e);

  /* Magic and checksum of a header, and a name. */
  return r == 1 ? 64 : r;
}

static int
read_ovf (struct block *b, struct ovf_disk *ret, struct err *e)
{
  CLEANUP_MEMBER struct member ovf = { 0 };
  CLEANUP_FREE char *text = NULL;
  int r = find_member (b->below, is_ovf, NULL, &ovf, e);

  if (r != 1)
    return r ? -1 : err_set (e, EINVAL, "the archive has no OVF");
  if (ovf.size > MAX_OVF)
    return err_set (e, EFBIG, "OVF of %" PRIu64 " bytes is too large",
                    ovf.size);
  text = malloc (ovf.size + 1);
  if (!text)
    return err_set (e, ENOMEM, "out of memory");
  if (block_pread (b->below, text, ovf.size, ovf.offset, e) == -1 ||
      ovf_parse (text, ovf.size, ret, e) == -1)
    return err_in (e, "'%s'", ovf.name);
  return 0;
}

static int
check_plain (const struct ovf_disk *d, struct err *e)
{
  if (d->in_chunks)
    return err_set (e, ENOTSUP, "disk '%s' is split, which is not supported",
                    d->href);
  if (d->compression && *d->compression &&
      strcasecmp (d->compression, "identity"))
    return err_set (e, ENOTSUP,
                    "disk '%s' is compressed (%s), which is not supported",
                    d->href, d->compression);
  return 0;
}

static int
choose_disk (struct block *b, struct member *ret, struct err *e)
{
  struct ova *o = b->priv;
  struct ovf_disk d = { 0 };
  int r = read_ovf (b, &d, e);

  o->count = d.count;
  if (r == 0 && d.href) {
    r = check_plain (&d, e);
    if (r == 0)
      r = find_member (b->below, is_named, d.href, ret, e);
    if (r == 0)
      r = err_set (e, EIO, "disk '%s' is not in the archive", d.href);
  } else if (r == 0) {
    r = find_member (b->below, is_disk, NULL, ret, e);
    if (r == 0)
      r = err_set (e, EINVAL, "the archive has no disk");
  }
  ovf_disk_free (&d);
  return r == 1 ? 0 : -1;
}

/* --- opening --------------------------------------------------------- */

/* Some call it disk.vmdk all the same. */
static int
check_gzip (struct block *window, const char *name, struct err *e)
{
  unsigned char magic[2];

  if (window->size < 2)
    return 0;
  if (block_pread (window, magic, 2, 0, e) == -1)
    return -1;
  if (magic[0] == 0x1f && magic[1] == 0x8b)
    return err_set (e, ENOTSUP,
                    "disk '%s' is compressed (gzip), which is not supported",
                    name);
  return 0;
}

static int
open_window (struct block *b, struct block **ret, struct err *e)
{
  const struct ova *o = b->priv;
  CLEANUP_BLOCK struct block *window = NULL;

  if (block_slice_open (b->below, o->offset, o->size, &window, e) == -1)
    return -1;
  window->depth = b->depth;
  window->sealed = true;
  window->path = strdup (o->member);
  if (!window->path)
    return err_set (e, ENOMEM, "out of memory");
  *ret = steal_ptr (&window);
  return 0;
}

/* What is missing of the disk explains whatever else is wrong with it. */
static int
open_disk (struct block *b, struct err *e)
{
  struct ova *o = b->priv;
  CLEANUP_BLOCK struct block *window = NULL;
  uint64_t end = o->offset + o->size;

  if (open_window (b, &window, e) == 0 &&
      check_gzip (window, o->member, e) == 0 &&
      block_format_open (steal_ptr (&window), NULL, &o->disk, e) == 0) {
    b->size = o->disk->size;
    return 0;
  }
  if (end > b->below->size && !err_is_transient (e))
    return err_in (e, "'%s', of which %" PRIu64 " bytes are cut off",
                   o->member, end - b->below->size);
  return err_in (e, "'%s'", o->member);
}

static int
ova_open (struct block *b, struct err *e)
{
  CLEANUP_MEMBER struct member m = { 0 };
  struct ova *o = b->priv = calloc (1, sizeof *o);

  if (!o)
    return err_set (e, ENOMEM, "out of memory");
  if (b->sealed)
    return err_set (e, ENOTSUP, "an OVA within an OVA is not supported");
  if (choose_disk (b, &m, e) == -1)
    return -1;
  o->member = steal_ptr (&m.name);
  o->offset = m.offset;
  o->size = m.size;
  return open_disk (b, e);
}

/* --- the rest is the disk's ------------------------------------------ */

static int
ova_map (struct block *b, uint64_t off, uint64_t len, struct extent *ret,
         struct err *e unused_arg)
{
  *ret = extent_data (len, ((struct ova *) b->priv)->disk, off);
  ret->transparent = true;
  return 0;
}

/* "vmdk streamOptimized" */
static int
put_subformat (const char *format, char **subformat, struct err *e)
{
  char *text;

  if (asprintf (&text, "%s%s%s", format, *subformat ? " " : "",
                *subformat ? *subformat : "") == -1)
    return err_set (e, ENOMEM, "out of memory");
  free (*subformat);
  *subformat = text;
  return 0;
}

static int
ova_info (struct block *b, struct block_info *ret, struct err *e)
{
  const struct ova *o = b->priv;
  struct block_info i;

  if (block_info (o->disk, &i, e) == -1)
    return -1;
  *ret = i;
  buf_add_line_text (&ret->extent_files, o->member, strlen (o->member));
  buf_puts (&ret->extent_files, "\n");
  if (o->count > 1) {
    ret->has_features = true;
    buf_printf (&ret->features, "disk 1 of %u\n", o->count);
  }
  return put_subformat (o->disk->ops->name, &ret->subformat, e);
}

/* All members must be there, also those that are not shown. */
static int
check_archive (struct block *b, struct block_check *c, struct err *e)
{
  CLEANUP_WALK struct walk w = { .below = b->below };
  CLEANUP_MEMBER struct member m = { 0 };
  int r;

  while ((r = next_member (&w, &m, e)) == 1)
    block_check_reach (c, b->below, m.offset + m.size);
  if (r == 0 && w.damaged)
    block_check_error (c,
                       "the archive is damaged after '%s', before 0x%" PRIx64,
                       m.name ? m.name : "", w.next);
  return r;
}

static int
ova_check (struct block *b, struct block_check *c, struct err *e)
{
  struct block *disk = ((struct ova *) b->priv)->disk;

  if (check_archive (b, c, e) == -1)
    return -1;
  block_check_missing (c, disk);
  if (disk->ops->check && disk->ops->check (disk, c, e) == -1)
    return err_in (e, "%s", disk->ops->name);
  return 0;
}

static int
ova_safety (struct block *b, struct buf *reasons, struct err *e)
{
  return block_safety (((struct ova *) b->priv)->disk, reasons, e);
}

static void
ova_close (struct block *b)
{
  struct ova *o = b->priv;

  if (!o)
    return;
  block_close (o->disk);
  free (o->member);
  free (o);
}

extern const struct block_ops ova_ops;
const struct block_ops ova_ops = {
  .name = "ova",
  .bid = ova_bid,
  .open = ova_open,
  .map = ova_map,
  .info = ova_info,
  .check = ova_check,
  .safety = ova_safety,
  .close = ova_close,
};
