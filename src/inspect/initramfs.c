/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <archive.h>
#include <archive_entry.h>
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/library.h"
#include "inspect/initramfs_priv.h"
#include "inspect/lzop.h"
#include "inspect/stream_end.h"

#define ARCHIVE_FUNCTIONS(F)                                                 \
  F (archive, entry_filetype)                                                \
  F (archive, entry_pathname)                                                \
  F (archive, entry_size)                                                    \
  F (archive, entry_symlink)                                                 \
  F (archive, error_string)                                                  \
  F (archive, filter_bytes)                                                  \
  F (archive, read_data)                                                     \
  F (archive, read_free)                                                     \
  F (archive, read_header_position)                                          \
  F (archive, read_new)                                                      \
  F (archive, read_next_header)                                              \
  F (archive, read_open)                                                     \
  F (archive, read_support_filter_bzip2)                                     \
  F (archive, read_support_filter_gzip)                                      \
  F (archive, read_support_filter_lz4)                                       \
  F (archive, read_support_filter_lzma)                                      \
  F (archive, read_support_filter_xz)                                        \
  F (archive, read_support_filter_zstd)                                      \
  F (archive, read_support_format_cpio)                                      \
  F (archive, read_support_format_raw)                                       \
  F (archive, set_error)
LIBRARY (la, LIBARCHIVE, ARCHIVE_FUNCTIONS);

#define CHUNK (256 * KiB)
/* Limits as those in initramfs_priv.h. */
#define MAX_UNPACKED (8 * GiB)
#define MAX_SEGMENTS 64
#define MAX_FILE     (4 * GiB) /* a loader has to find memory for it */

/* The cpio trailer: a 110-byte header and the name "TRAILER!!!" with its
 * NUL, filled up to a multiple of 4. */
#define TRAILER_SIZE 124

static void
free_names (struct name_vec *v)
{
  for (size_t i = 0; i < v->len; i++)
    free (v->items[i]);
  free (v->items);
}

void
initramfs_free (struct initramfs *i)
{
  free_names (&i->modules);
  free_names (&i->elsewhere);
  free_names (&i->inserted);
  buf_free (&i->modprobe);
  buf_free (&i->modules_dep);
  buf_free (&i->forced);
  buf_free (&i->builtin);
  buf_free (&i->layout);
  *i = (struct initramfs){ 0 };
}

/* --- one cpio archive ------------------------------------------------ */

struct reader {
  const struct initramfs_source *source;
  struct content content;
  struct initramfs *out;
  struct err *err;
  uint64_t unpacked;
  struct stream stream; /* of the same source, to find ends in */
};

static int
archive_error (struct archive *a, struct err *e, const char *what)
{
  /* Our own reader's error came first, if there was one. */
  if (e->code)
    return err_in (e, "%s", what);
  return err_set (e, EIO, "%s: %s", what,
                  la.error_string (a) ? la.error_string (a) : "damaged");
}

struct archive_file {
  struct archive *archive;
  size_t size;
};

static int
read_archive_file (void *arg, void *buf, struct err *e)
{
  const struct archive_file *f = arg;
  la_ssize_t n = la.read_data (f->archive, buf, f->size);

  if (n < 0)
    return archive_error (f->archive, e, "cpio");
  return (size_t) n == f->size
             ? 0
             : err_set (e, EIO, "cpio: a file ends before its size");
}

/* dracut: the filesystem in which all the rest is. */
static bool
is_inner_image (const char *name)
{
  static const char *const names[] = { "squash-root.img", "squashfs-root.img",
                                       "erofs-root.img", "squash/root.img" };

  while (!strncmp (name, "./", 2) || *name == '/')
    name += *name == '/' ? 1 : 2;
  for (size_t i = 0; i < ARRAY_SIZE (names); i++)
    if (!strcmp (name, names[i]))
      return true;
  return false;
}

static int
take_inner_image (struct reader *r, const struct initramfs_file *f)
{
  CLEANUP_FREE char *data = NULL;

  if (f->size > INITRAMFS_MAX_IMAGE) {
    err_set (&r->out->hidden, EFBIG, "%s is larger than %d bytes", f->name,
             INITRAMFS_MAX_IMAGE);
    return 0;
  }
  data = malloc (f->size + 1);
  if (!data)
    return err_set (r->err, ENOMEM, "out of memory");
  if (f->read (f->arg, data, r->err) == -1)
    return -1;
  return image_take (&r->content, f->name, data, f->size, r->err);
}

static int
take_entry (struct reader *r, struct archive *a, struct archive_entry *entry)
{
  int64_t size = la.entry_size (entry);
  bool regular = la.entry_filetype (entry) == AE_IFREG;
  struct archive_file data = { a, size > 0 ? (size_t) size : 0 };
  struct initramfs_file f = { .name = la.entry_pathname (entry),
                              .target = la.entry_symlink (entry),
                              .regular = regular,
                              .size = data.size,
                              .read = read_archive_file,
                              .arg = &data };

  if (!f.name)
    return 0;
  if (content_take (&r->content, &f, r->err) == -1)
    return -1;
  return regular && f.size && is_inner_image (f.name)
             ? take_inner_image (r, &f)
             : 0;
}

/* Headers as they pass by: libarchive makes room for a name or a link of any
 * length that a header claims, and looks for a header where there is none. */
#define HEADER_SIZE 110
#define TRAILER     "TRAILER!!!" /* with its NUL */
#define MAX_NAME    (64 * KiB)

struct check {
  char header[HEADER_SIZE];
  unsigned have; /* bytes of it */
  uint64_t rest; /* bytes of name, data and padding to come */
  char name[sizeof TRAILER];
  unsigned name_have, name_size;
  bool done; /* the trailer has passed */
};

/* Field number I of a header, hexadecimal. */
static uint32_t
header_field (const struct check *c, unsigned i)
{
  char digits[9];

  memcpy (digits, c->header + 6 + i * 8, 8);
  digits[8] = '\0';
  return (uint32_t) strtoul (digits, NULL, 16);
}

static int
check_header (struct check *c, struct err *e)
{
  uint32_t mode = header_field (c, 1), size = header_field (c, 6);
  uint32_t name_size = header_field (c, 11);

  if (memcmp (c->header, "070701", 6) && memcmp (c->header, "070702", 6))
    return err_set (e, EIO, "cpio: no header where one has to be");
  /* libarchive would look for the next one instead. */
  for (size_t i = 6; i < HEADER_SIZE; i++)
    if (!isxdigit ((unsigned char) c->header[i]))
      return err_set (e, EIO, "cpio: damaged header");
  if (name_size == 0 || name_size > MAX_NAME)
    return err_set (e, EIO, "cpio: a name of %" PRIu32 " bytes", name_size);
  if ((mode & AE_IFMT) == AE_IFLNK && size > MAX_NAME)
    return err_set (e, EIO, "cpio: a link of %" PRIu32 " bytes", size);
  c->name_have = 0;
  c->name_size = name_size;
  c->rest = round_up (HEADER_SIZE + (uint64_t) name_size, 4) - HEADER_SIZE +
            round_up (size, 4);
  return 0;
}

static int
check_bytes (struct check *c, const char *p, size_t n, struct err *e)
{
  for (size_t len; n && !c->done; p += len, n -= len) {
    if (c->have < HEADER_SIZE) {
      len = MIN (HEADER_SIZE - c->have, n);
      memcpy (c->header + c->have, p, len);
      c->have += (unsigned) len;
      if (c->have == HEADER_SIZE && check_header (c, e) == -1)
        return -1;
      continue;
    }
    len = 1;
    if (c->name_have < MIN (c->name_size, sizeof c->name))
      c->name[c->name_have++] = *p;
    else
      len = MIN (c->rest, n);
    c->rest -= len;
    if (c->rest)
      continue;
    c->have = 0;
    c->done = c->name_size == sizeof c->name &&
              !memcmp (c->name, TRAILER, sizeof c->name);
  }
  return 0;
}

/* Bytes that a cpio is read from: the file itself, or what a decompressor
 * delivers.  OFFSET counts them from the start of this archive; the last
 * piece is kept, so that the next archive can start inside it. */
struct feed {
  struct reader *r;
  struct archive *inner; /* a decompressor, */
  struct lzop *lzop;     /* or this one; NULL both: the file */
  uint64_t file_off;     /* of the next read from the file */
  char *chunk;
  size_t have;      /* bytes in the piece last delivered */
  const char *data; /* that piece */
  size_t pending;   /* bytes at its end that were not used: give them first */
  uint64_t delivered;
  struct check check;
};

static la_ssize_t
feed_more (struct feed *f)
{
  const struct initramfs_source *s = f->r->source;
  la_ssize_t n;
  size_t got;

  if (f->lzop && s->progress)
    s->progress (s->arg, f->lzop->off, s->size);
  if (f->inner || f->lzop) {
    n = f->lzop ? lzop_next (f->lzop, f->chunk)
                : la.read_data (f->inner, f->chunk, CHUNK);
    if (n < 0)
      return f->lzop ? -1
                     : archive_error (f->inner, f->r->err, "decompression");
    if ((f->r->unpacked += (uint64_t) n) > MAX_UNPACKED)
      return err_set (f->r->err, EFBIG,
                      "unpacks to more than %" PRIu64 " bytes",
                      (uint64_t) MAX_UNPACKED);
    return n;
  }
  if (s->pread (s->arg, f->chunk, CHUNK, f->file_off, &got, f->r->err) == -1)
    return -1;
  f->file_off += got;
  return (la_ssize_t) got;
}

static la_ssize_t
feed_read (struct archive *a, void *arg, const void **ret)
{
  struct feed *f = arg;
  la_ssize_t n;

  if (f->pending) {
    f->data += f->have - f->pending;
    f->have = f->pending;
    f->pending = 0;
    n = (la_ssize_t) f->have;
  } else {
    n = feed_more (f);
    if (n < 0) {
      la.set_error (a, EIO, "%s", f->r->err->msg);
      return ARCHIVE_FATAL;
    }
    f->data = f->chunk;
    f->have = (size_t) n;
  }
  if (check_bytes (&f->check, f->data, (size_t) n, f->r->err) == -1) {
    la.set_error (a, EIO, "%s", f->r->err->msg);
    return ARCHIVE_FATAL;
  }
  *ret = f->data;
  f->delivered += (uint64_t) n;
  return n;
}

static int
read_entries (struct reader *r, struct archive *a, size_t *ret_n)
{
  struct archive_entry *entry;
  int status;

  while ((status = la.read_next_header (a, &entry)) == ARCHIVE_OK ||
         status == ARCHIVE_WARN) {
    if (++r->out->entries > INITRAMFS_MAX_ENTRIES)
      return err_set (r->err, EFBIG, "more than %d entries",
                      INITRAMFS_MAX_ENTRIES);
    ++*ret_n;
    if (take_entry (r, a, entry) == -1)
      return -1;
  }
  return status == ARCHIVE_EOF ? 0 : archive_error (a, r->err, "cpio");
}

static void
cleanup_archive (struct archive **a)
{
  if (*a)
    la.read_free (*a);
}
#define CLEANUP_ARCHIVE __attribute__ ((cleanup (cleanup_archive)))

/* Reads one archive from the feed, which then stands behind its trailer.
 * *RET_LENGTH: its bytes; *RET_N: its entries. */
static int
read_cpio (struct feed *f, uint64_t *ret_length, size_t *ret_n)
{
  CLEANUP_ARCHIVE struct archive *a = la.read_new ();
  uint64_t end;

  f->delivered = 0;
  f->check = (struct check){ .done = false };
  if (!a || la.read_support_format_cpio (a) != ARCHIVE_OK)
    return err_set (f->r->err, ENOMEM, "out of memory");
  if (la.read_open (a, f, NULL, feed_read, NULL) != ARCHIVE_OK)
    return archive_error (a, f->r->err, "cpio");
  if (read_entries (f->r, a, ret_n) == -1)
    return -1;
  end = (uint64_t) la.read_header_position (a) + TRAILER_SIZE;
  /* libarchive asks only for what it needs, so the trailer's end lies in
   * the piece last delivered, or the archive has none. */
  if (end > f->delivered || f->delivered - end > f->have)
    end = f->delivered;
  f->pending = (size_t) (f->delivered - end);
  *ret_length = end;
  return 0;
}

/* The next byte that is not padding: zeros may stand between archives.
 * Returns 1 if there is one, 0 at the end. */
static int
skip_padding (struct feed *f)
{
  for (;;) {
    const char *p = f->data + f->have - f->pending;
    size_t zeros = 0;

    while (zeros < f->pending && p[zeros] == 0)
      zeros++;
    f->pending -= zeros;
    if (f->pending)
      return 1;
    la_ssize_t n = feed_more (f);
    if (n <= 0)
      return (int) n;
    f->data = f->chunk;
    f->have = f->pending = (size_t) n;
  }
}

/* --- segments -------------------------------------------------------- */

static const struct compression {
  const char *name, *magic;
  unsigned len;
  int (**support) (struct archive *); /* NULL: not libarchive's */
  /* NULL: libarchive finds the end. */
  int (*end) (struct stream *r, uint64_t off, uint64_t *ret);
} compressions[] = {
  { "gzip", "\x1f\x8b", 2, &la.read_support_filter_gzip, NULL },
  { "xz",
    "\xfd"
    "7zXZ\0",
    6, &la.read_support_filter_xz, stream_xz_end },
  { "zstd", "\x28\xb5\x2f\xfd", 4, &la.read_support_filter_zstd,
    stream_zstd_end },
  { "bzip2", "BZh", 3, &la.read_support_filter_bzip2, NULL },
  { "lzma", "\x5d\0\0", 3, &la.read_support_filter_lzma, NULL },
  { "lz4", "\x02\x21\x4c\x18", 4, &la.read_support_filter_lz4,
    stream_lz4_legacy_end },
  { "lz4", "\x04\x22\x4d\x18", 4, &la.read_support_filter_lz4,
    stream_lz4_frame_end },
  /* libarchive would start a program: lzop.h instead */
  { "lzo", "\x89LZO", 4, NULL, stream_lzo_end },
};

static const struct compression *
compression_of (const char *p, size_t len)
{
  for (size_t i = 0; i < ARRAY_SIZE (compressions); i++)
    if (len >= compressions[i].len &&
        !memcmp (p, compressions[i].magic, compressions[i].len))
      return &compressions[i];
  return NULL;
}

static bool
is_cpio (const char *p, size_t len)
{
  return len >= 6 && (!memcmp (p, "070701", 6) || !memcmp (p, "070702", 6));
}

struct compressed_source {
  struct reader *r;
  uint64_t off, end;
  char *chunk;
};

static la_ssize_t
compressed_read (struct archive *a, void *arg, const void **ret)
{
  struct compressed_source *c = arg;
  const struct initramfs_source *s = c->r->source;
  size_t got;

  if (s->pread (s->arg, c->chunk, MIN (CHUNK, c->end - c->off), c->off, &got,
                c->r->err) == -1) {
    la.set_error (a, EIO, "%s", c->r->err->msg);
    return ARCHIVE_FATAL;
  }
  c->off += got;
  if (s->progress)
    s->progress (s->arg, c->off, s->size);
  *ret = c->chunk;
  return (la_ssize_t) got;
}

static int
open_decompressor (struct archive *a, const struct compression *c,
                   struct compressed_source *src)
{
  struct archive_entry *entry;

  if ((*c->support) (a) != ARCHIVE_OK ||
      la.read_support_format_raw (a) != ARCHIVE_OK ||
      la.read_open (a, src, NULL, compressed_read, NULL) != ARCHIVE_OK ||
      la.read_next_header (a, &entry) != ARCHIVE_OK)
    return archive_error (a, src->r->err, c->name);
  return 0;
}

static void
cleanup_lzop (struct lzop *l)
{
  lzop_close (l);
}

/* What F delivers, up to its end, is the image NAME. */
static int
read_image (struct reader *r, struct feed *f, const char *name)
{
  CLEANUP_BUF struct buf whole = { 0 };
  la_ssize_t n = (la_ssize_t) f->pending;

  do {
    if (whole.len + (size_t) n > INITRAMFS_MAX_IMAGE)
      return err_set (r->err, EFBIG, "an image of more than %d bytes",
                      INITRAMFS_MAX_IMAGE);
    buf_add (&whole, f->data, (size_t) n);
    if (buf_check (&whole, r->err) == -1)
      return -1;
    f->data = f->chunk;
  } while ((n = feed_more (f)) > 0);
  f->pending = f->have = 0;
  return n < 0
             ? -1
             : image_take (&r->content, name, whole.data, whole.len, r->err);
}

/* All that F delivers: one cpio or several; or an image, if nothing was
 * before it. */
static int
read_unpacked (struct reader *r, struct feed *f, const char *name,
               size_t *ret_n, const char **ret_what)
{
  la_ssize_t n = feed_more (f);
  uint64_t length;
  int more;

  if (n < 0)
    return -1;
  f->data = f->chunk;
  f->have = f->pending = (size_t) n;
  if (r->out->entries == 0 && !is_cpio (f->data, f->have) &&
      image_type (f->data, f->have)) {
    if (read_image (r, f, "initrd") == -1)
      return -1;
    *ret_n = MAX (r->out->entries, 1);
    *ret_what = "an image";
    return 0;
  }
  while ((more = skip_padding (f)) == 1) {
    if (f->pending >= 6 &&
        !is_cpio (f->data + f->have - f->pending, f->pending))
      return err_set (r->err, EINVAL, "no cpio archive in %s", name);
    if (read_cpio (f, &length, ret_n) == -1)
      return err_in (r->err, "%s", name);
  }
  return more;
}

/* A compressed segment at OFF. */
static int
read_compressed (struct reader *r, const struct compression *c, uint64_t off,
                 uint64_t *ret_length)
{
  CLEANUP_ARCHIVE struct archive *inner = la.read_new ();
  CLEANUP_FREE char *in = malloc (CHUNK), *out = malloc (CHUNK);
  __attribute__ ((cleanup (cleanup_lzop))) struct lzop lzop = { 0 };
  struct compressed_source src = { r, off, r->source->size, in };
  struct feed f = { .r = r, .chunk = out };
  const char *what = "cpio";
  size_t n = 0;

  if (!inner || !in || !out)
    return err_set (r->err, ENOMEM, "out of memory");
  if (c->end && c->end (&r->stream, off, &src.end) == -1)
    return err_in (r->err, "%s", c->name);
  if (c->support)
    f.inner = inner;
  else
    f.lzop = &lzop;
  if ((c->support ? open_decompressor (inner, c, &src)
                  : lzop_open (&lzop, &r->stream, off)) == -1 ||
      read_unpacked (r, &f, c->name, &n, &what) == -1)
    return -1;
  if (n == 0)
    return err_set (r->err, EINVAL, "no cpio archive in %s", c->name);
  *ret_length =
      c->end ? src.end - off : (uint64_t) la.filter_bytes (inner, -1);
  buf_printf (&r->out->layout,
              "at %" PRIu64 ": %s in %s, %" PRIu64 " bytes, %zu entries\n",
              off, what, c->name, *ret_length, n);
  return 0;
}

static int
read_plain (struct reader *r, uint64_t off, uint64_t *ret_length)
{
  CLEANUP_FREE char *chunk = malloc (CHUNK);
  struct feed f = { .r = r, .file_off = off, .chunk = chunk, .data = chunk };
  size_t n = 0;

  if (!chunk)
    return err_set (r->err, ENOMEM, "out of memory");
  if (read_cpio (&f, ret_length, &n) == -1)
    return -1;
  buf_printf (&r->out->layout,
              "at %" PRIu64 ": cpio, %" PRIu64 " bytes, %zu entries\n", off,
              *ret_length, n);
  return 0;
}

/* The file itself is an image: 1; 0: it is not; -1. */
static int
take_bare_image (struct reader *r)
{
  CLEANUP_FREE char *chunk = malloc (CHUNK);
  struct feed f = { .r = r, .chunk = chunk, .data = chunk };
  la_ssize_t n;

  if (!chunk)
    return err_set (r->err, ENOMEM, "out of memory");
  n = feed_more (&f);
  if (n < 0)
    return -1;
  f.have = f.pending = (size_t) n;
  if (is_cpio (chunk, f.have) || compression_of (chunk, f.have) ||
      !image_type (chunk, f.have))
    return 0;
  return read_image (r, &f, "initrd") == -1 ? -1 : 1;
}

/* Moves *OFF over padding; false at the end of the file.  HEAD gets the
 * first bytes that are there. */
static int
next_segment (struct reader *r, uint64_t *off, char *head, size_t *ret_len)
{
  const struct initramfs_source *s = r->source;
  CLEANUP_FREE char *chunk = malloc (CHUNK);
  size_t got, i;

  if (!chunk)
    return err_set (r->err, ENOMEM, "out of memory");
  while (*off < s->size) {
    if (s->pread (s->arg, chunk, CHUNK, *off, &got, r->err) == -1)
      return -1;
    for (i = 0; i < got && chunk[i] == 0; i++)
      ;
    *off += i;
    if (got == 0)
      break;
    if (i == got)
      continue;
    if (i > got - MIN (16, got) && i > 0)
      continue; /* read again from there, to have the whole magic */
    *ret_len = MIN (16, got - i);
    memcpy (head, chunk + i, *ret_len);
    return 1;
  }
  return 0;
}

static int
read_segment (struct reader *r, uint64_t *off, const char *head, size_t len)
{
  const struct compression *c = compression_of (head, len);
  uint64_t length = 0;
  int status;

  if (is_cpio (head, len))
    status = read_plain (r, *off, &length);
  else if (c)
    status = read_compressed (r, c, *off, &length);
  else
    return err_set (r->err, EINVAL,
                    "at %" PRIu64 ": neither a cpio archive nor a"
                    " compression that is known",
                    *off);
  /* libarchive takes a read that failed behind a stream for its end. */
  if (status == -1 || r->err->code)
    return err_in (r->err, "at %" PRIu64, *off);
  if (length == 0 || length > r->source->size - *off)
    length = r->source->size - *off;
  *off += length;
  return 0;
}

static int
read_segments (struct reader *r)
{
  uint64_t off = 0;
  char head[16];
  size_t len = 0;
  int status = take_bare_image (r);

  if (status != 0)
    return MIN (status, 0);
  for (unsigned i = 0;; i++) {
    status = next_segment (r, &off, head, &len);
    if (status != 1)
      return status;
    if (i == MAX_SEGMENTS)
      return err_set (r->err, EFBIG, "more than %d archives", MAX_SEGMENTS);
    if (read_segment (r, &off, head, len) == -1)
      return -1;
  }
}

static int
read_all (struct reader *r)
{
  if (read_segments (r) == -1 || content_finish (&r->content, r->err) == -1)
    return -1;
  if (r->out->entries == 0 && !r->out->hidden.code)
    return err_set (r->err, EINVAL, "no cpio archive");
  return buf_check (&r->out->layout, r->err);
}

int
initramfs_read (const struct initramfs_source *source, const char *version,
                void (*fn) (void *, const char *), void *arg,
                struct initramfs *ret, struct err *e)
{
  struct initramfs out = { 0 };
  struct reader r = {
    .source = source,
    .content = { .version = version, .fn = fn, .fn_arg = arg, .out = &out },
    .out = &out,
    .err = e,
    .stream = { source, e, 0 }
  };
  int status;

  err_clear (e);
  if (library_load (&la_library, e) == -1)
    return -1;
  if (source->size == 0)
    return err_set (e, EINVAL, "the file is empty");
  if (source->size > MAX_FILE)
    return err_set (e, EFBIG, "more than %" PRIu64 " bytes long",
                    (uint64_t) MAX_FILE);
  status = read_all (&r);
  content_free (&r.content);
  if (status == -1) {
    initramfs_free (&out);
    return -1;
  }
  *ret = out;
  return 0;
}
