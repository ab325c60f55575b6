/* xrayfs: NTFS: files compressed by the Windows Overlay Filter
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * "compact /exe" and CompactOS.  The unnamed stream is a hole of the file's
 * size; the stream WofCompressedData has a table of where each chunk ends,
 * and the chunks, each compressed by itself, or as it is where it would not
 * become smaller.  libwim decompresses.
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include <wimlib.h>

#include "base/library.h"
#include "fs/ntfs.h"

#define WIM_FUNCTIONS(F)                                                     \
  F (wimlib, create_decompressor)                                            \
  F (wimlib, decompress)                                                     \
  F (wimlib, free_decompressor)
LIBRARY (wim, LIBWIM, WIM_FUNCTIONS);

#define HEADER        8
#define EXTERNAL      8 /* WOF_EXTERNAL_INFO: version, provider */
#define PROVIDER_WIM  1
#define PROVIDER_FILE 2

/* FILE_PROVIDER_EXTERNAL_INFO_V1: by number. */
static const struct {
  enum wimlib_compression_type type;
  uint32_t chunk;
} algorithms[] = {
  { WIMLIB_COMPRESSION_TYPE_XPRESS, 4096 },
  { WIMLIB_COMPRESSION_TYPE_LZX, 32768 },
  { WIMLIB_COMPRESSION_TYPE_XPRESS, 8192 },
  { WIMLIB_COMPRESSION_TYPE_XPRESS, 16384 },
};

struct nt_wof {
  ntfs_attr *stream;
  struct wimlib_decompressor *codec;
  uint32_t chunk;
  uint64_t size, n_chunks; /* of the file */
  unsigned entry;          /* bytes of one in the table */
  char *in, *out;          /* of a chunk each */
  uint64_t have;           /* OUT is this chunk; n_chunks: none */
};

static const ntfschar stream_name[] = {
  const_cpu_to_le16 ('W'), const_cpu_to_le16 ('o'), const_cpu_to_le16 ('f'),
  const_cpu_to_le16 ('C'), const_cpu_to_le16 ('o'), const_cpu_to_le16 ('m'),
  const_cpu_to_le16 ('p'), const_cpu_to_le16 ('r'), const_cpu_to_le16 ('e'),
  const_cpu_to_le16 ('s'), const_cpu_to_le16 ('s'), const_cpu_to_le16 ('e'),
  const_cpu_to_le16 ('d'), const_cpu_to_le16 ('D'), const_cpu_to_le16 ('a'),
  const_cpu_to_le16 ('t'), const_cpu_to_le16 ('a'),
};

void
nt_wof_free (struct nt_wof *w)
{
  if (!w)
    return;
  if (w->stream)
    ntfs_attr_close (w->stream);
  if (w->codec)
    wim.free_decompressor (w->codec);
  free (w->in);
  free (w->out);
  free (w);
}

/* --- opening ----------------------------------------------------------- */

static int
choose_algorithm (const struct nt_node *n, unsigned *ret, struct err *e)
{
  const char *p = n->reparse + HEADER;
  uint32_t provider;

  if (n->reparse_len < HEADER + EXTERNAL || load_le32 (p) != 1)
    return err_set (e, ENOTSUP, "WOF: version is not known");
  provider = load_le32 (p + 4);
  if (provider == PROVIDER_WIM)
    return err_set (e, ENOTSUP, "WOF: contents are kept in a WIM file");
  if (provider != PROVIDER_FILE || n->reparse_len < HEADER + EXTERNAL + 8 ||
      load_le32 (p + EXTERNAL) != 1 ||
      load_le32 (p + EXTERNAL + 4) >= ARRAY_SIZE (algorithms))
    return err_set (e, ENOTSUP, "WOF: compression is not known");
  *ret = load_le32 (p + EXTERNAL + 4);
  return 0;
}

static int
open_codec (struct nt_wof *w, unsigned algorithm, struct err *e)
{
  if (library_load (&wim_library, e) == -1)
    return err_in (e, "WOF");
  w->chunk = algorithms[algorithm].chunk;
  w->in = malloc (w->chunk);
  w->out = malloc (w->chunk);
  if (!w->in || !w->out ||
      wim.create_decompressor (algorithms[algorithm].type, w->chunk,
                               &w->codec) != 0)
    return err_set (e, ENOMEM, "out of memory");
  return 0;
}

static int
open_stream (struct nt *nt, struct nt_node *n, struct nt_wof *w,
             struct err *e)
{
  int r = nt_attr_open (nt, n, AT_DATA, stream_name, ARRAY_SIZE (stream_name),
                        &w->stream, e);

  if (r == 0)
    return err_set (e, EIO, "WOF: compressed contents are missing");
  if (r == -1)
    return -1;
  w->size = n->data ? (uint64_t) n->data->data_size : 0;
  w->n_chunks = div_up (w->size, w->chunk);
  w->entry = w->size > UINT32_MAX ? 8 : 4;
  w->have = w->n_chunks;
  if (w->n_chunks &&
      w->n_chunks - 1 > (uint64_t) w->stream->data_size / w->entry)
    return err_set (e, EIO, "WOF: table is cut off");
  return 0;
}

static int
open_wof (struct nt *nt, struct nt_node *n, struct err *e)
{
  unsigned algorithm = 0;

  if (choose_algorithm (n, &algorithm, e) == -1)
    return -1;
  nt_wof_free (n->wof);
  n->wof = calloc (1, sizeof *n->wof);
  if (!n->wof)
    return err_set (e, ENOMEM, "out of memory");
  if (open_codec (n->wof, algorithm, e) == 0 &&
      open_stream (nt, n, n->wof, e) == 0)
    return 0;
  nt_wof_free (steal_ptr (&n->wof));
  return -1;
}

/* --- reading ------------------------------------------------------------ */

/* Where chunk NUMBER begins: the first has no entry.  Behind the last is the
 * end. */
static int
chunk_start (struct nt *nt, struct nt_wof *w, uint64_t number, uint64_t *ret,
             struct err *e)
{
  uint64_t table = (w->n_chunks - 1) * w->entry;
  uint64_t size = (uint64_t) w->stream->data_size - table;
  char b[8] = { 0 };

  *ret = number ? size : 0;
  if (number == 0 || number == w->n_chunks)
    return 0;
  if (nt_attr_read (nt, w->stream, b, w->entry, (number - 1) * w->entry,
                    "WOF: table", e) == -1)
    return -1;
  *ret = w->entry == 8 ? load_le64 (b) : load_le32 (b);
  return *ret <= size ? 0 : err_set (e, EIO, "WOF: chunk is cut off");
}

static int
decompress (struct nt_wof *w, size_t in_len, size_t out_len, struct err *e)
{
  if (in_len == out_len)
    memcpy (w->out, w->in, out_len);
  else if (wim.decompress (w->in, in_len, w->out, out_len, w->codec) != 0)
    return err_set (e, EIO, "WOF: compressed data are damaged");
  return 0;
}

static int
read_chunk (struct nt *nt, struct nt_wof *w, uint64_t number, struct err *e)
{
  uint64_t table = (w->n_chunks - 1) * w->entry, start, end;
  size_t len = (size_t) MIN (w->chunk, w->size - number * w->chunk);

  if (w->have == number)
    return 0;
  if (chunk_start (nt, w, number, &start, e) == -1 ||
      chunk_start (nt, w, number + 1, &end, e) == -1)
    return -1;
  if (end <= start || end - start > len)
    return err_set (e, EIO, "WOF: impossible chunk");
  w->have = w->n_chunks;
  if (nt_attr_read (nt, w->stream, w->in, end - start, table + start,
                    "WOF: chunk", e) == -1 ||
      decompress (w, end - start, len, e) == -1)
    return -1;
  w->have = number;
  return 0;
}

int
nt_wof_read (struct nt *nt, struct nt_node *n, void *buf, size_t len,
             uint64_t off, struct err *e)
{
  char *to = buf;
  size_t skip, here;

  if (!n->wof && open_wof (nt, n, e) == -1)
    return -1;
  if (!range_within (off, len, n->wof->size))
    return err_set (e, EIO, "WOF: read beyond the end");
  for (; len > 0; len -= here, to += here, off += here) {
    skip = off % n->wof->chunk;
    here = MIN (len, n->wof->chunk - skip);
    if (read_chunk (nt, n->wof, off / n->wof->chunk, e) == -1)
      return err_in (e, "at %" PRIu64, off);
    memcpy (to, n->wof->out + skip, here);
  }
  return 0;
}
