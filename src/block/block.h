/* xrayfs: a readable range of bytes
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The one abstraction of the block layer.  A transport (file, mem), a window
 * (slice), a format (raw, qcow2, ...) and the fault injector of the tests are
 * all a `struct block`; formats stack on what they read from.
 *
 * A driver implements `map` where its bytes lie somewhere else as they are,
 * and `pread` for what has to be computed (compressed clusters) or fetched.
 * Reading, coalescing of neighbours, zero filling, holes and allocation
 * counts are done once, in block.c.
 *
 * Locking: after open a block does not change; pread, map and info may be
 * called from any number of threads.  No lock is held while data moves.
 */
#ifndef XRAYFS_BLOCK_BLOCK_H
#define XRAYFS_BLOCK_BLOCK_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

struct block;
struct block_check;
struct cache;

enum extent_kind {
  EXTENT_DATA,        /* LOWER holds the bytes at OFFSET, as they are */
  EXTENT_ZERO,        /* reads as zeros, and the container says so */
  EXTENT_UNALLOCATED, /* nothing is stored; reads as zeros */
  EXTENT_COMPRESSED   /* stored in another form: read by the driver's pread */
};

struct extent {
  uint64_t length; /* bytes, at least 1 */
  enum extent_kind kind;
  struct block *lower; /* EXTENT_DATA: where; the block itself: a transport */
  uint64_t offset;     /* EXTENT_DATA: byte offset in LOWER */
  bool transparent;    /* EXTENT_DATA: there is no map of this part in the
                          container (a flat extent, a fixed VHD), so the holes
                          of LOWER count as its own */
};

/* LEN bytes that LOWER has at OFF. */
static inline struct extent
extent_data (uint64_t len, struct block *lower, uint64_t off)
{
  return (struct extent){
    .length = len, .kind = EXTENT_DATA, .lower = lower, .offset = off
  };
}

/* LEN bytes of any other kind. */
static inline struct extent
extent_of (enum extent_kind kind, uint64_t len)
{
  return (struct extent){ .length = len, .kind = kind };
}

/* What a container format says of itself: the files of `image/`.  A text
 * that is NULL, or a number that is BLOCK_NONE, has no meaning for the
 * format. */
#define BLOCK_NONE UINT64_MAX
struct block_info {
  char *subformat, *version, *compression, *encrypted, *creator;
  char *backing_file, *backing_format, *data_file;
  struct buf backing_chain; /* one a line; filled by block_info */
  struct buf extent_files;  /* one a line */
  struct buf snapshots;     /* one a line: "id<TAB>name<TAB>..." */
  struct err snapshots_err; /* code != 0: why they are not known, while the
                               rest of this is */
  struct buf features;      /* one a line */
  uint64_t cluster_size;
  bool has_backing, has_snapshots, has_features, has_data_file;
  bool has_encryption; /* the format knows it: `encrypted` NULL is "no" */
  bool dirty, corrupt; /* the image's own flags */
};

struct block_ops {
  const char *name; /* as in `format`: "qcow2", "raw", "file" */

  /* Formats only: qemu has no map of this format, and counts all of it as
   * data. */
  bool unmapped_in_qemu;

  /* Formats only: how many bits of BELOW match this format's signature and
   * header checks; 0: not mine; -1: could not look, which is not "not
   * mine". */
  int (*bid) (struct block *below, struct err *e);

  /* Formats only: b->below is set; sets b->size and b->priv. */
  int (*open) (struct block *b, struct err *e);

  /* Reads LEN bytes at OFF; block.c has checked that they lie within.
   * With `map`, it is called for EXTENT_COMPRESSED only. */
  int (*pread) (struct block *b, void *buf, size_t len, uint64_t off,
                struct err *e);

  /* What lies at OFF: *RET with 1 <= length <= LEN. */
  int (*map) (struct block *b, uint64_t off, uint64_t len, struct extent *ret,
              struct err *e);

  /* Formats only: fills RET, which is zero but for the BLOCK_NONEs. */
  int (*info) (struct block *b, struct block_info *ret, struct err *e);

  /* Formats only.  The blocks that hold this layer's bytes: number I from 0,
   * NULL: no more.  Without it: `below` alone.  They count in file_size and
   * disk_size, as in qemu-img info. */
  struct block *(*storage) (struct block *b, size_t i);

  /* Formats only: the image that shows through where nothing is allocated,
   * or NULL. */
  struct block *(*backing) (struct block *b);

  /* Formats only: looks for damage in this layer, with block_check_error and
   * its like.  -1: could not look, which is no finding. */
  int (*check) (struct block *b, struct block_check *c, struct err *e);

  /* Formats only: what speaks against handing the image to a program that
   * trusts it (FACTS of OpenStack's format inspector), one reason a line.
   * Backing files and several formats at once are block_safety's. */
  int (*safety) (struct block *b, struct buf *reasons, struct err *e);

  void (*close) (struct block *b); /* also after a failed open */
};

/* A directory that references may lead into, besides the image's own. */
struct block_dir {
  int fd;
  char *path; /* absolute, without links */
};
#define BLOCK_MAX_FOLLOW 8

/* What all blocks of one image share.  The image owns it. */
struct block_env {
  int dir_fd;           /* the image's directory, for references; or -1 */
  const char *dir_path; /* its absolute path; NULL: not known */
  struct block_dir follow[BLOCK_MAX_FOLLOW]; /* where else they may lead */
  size_t n_follow;
  struct cache *cache;         /* tables and decompressed clusters */
  _Atomic uint64_t bytes_read; /* from the image's files so far */
  _Atomic bool cancelled;      /* reads fail with ECANCELED from now on */
  _Atomic bool read_failed;    /* the host could not read a file: an error
                                  may be the host's and not the image's */
};

struct block {
  const struct block_ops *ops;
  struct block_env *env;
  struct block *below; /* what a format reads from; owned if owns_below */
  bool owns_below;
  uint64_t size;  /* bytes that can be read */
  char *path;     /* of a file: relative to env->dir_fd, or absolute (in a
                     directory of env->follow); inherited upwards */
  unsigned depth; /* in the chain of backing files */
  bool sealed;    /* a member of an archive: what it refers to would lie in
                     the archive, so that references are refused; inherited
                     upwards */
  struct block *referrer; /* of a file: the image whose reference opened it,
                           * which outlives it; or NULL */
  void *priv;
};

/* Limits of chains: qemu opens longer ones, people do not make them. */
#define BLOCK_MAX_DEPTH 64

/* --- transports and windows ------------------------------------------ */

/* The bytes of an open file or block device.  Takes FD over, also on
 * failure.  PATH (copied) is the name relative to env->dir_fd. */
int block_file_open (struct block_env *env, int fd, const char *path,
                     struct block **ret, struct err *e) must_check
    nonnull (1, 3, 4, 5);

/* Bytes of the host that hold the file: its length, and what is allocated
 * (st_blocks).  B is a file. */
int block_file_usage (struct block *b, uint64_t *ret_length,
                      uint64_t *ret_allocated, struct err *e) must_check
    nonnull (1, 2, 3, 4);

/* The descriptor under a file block, for splice; -1 for any other. */
int block_file_fd (const struct block *b) nonnull (1);

/* Has the file's length or mtime changed since it was opened? */
bool block_file_changed (struct block *b) nonnull (1);

/* LEN bytes in memory.  DATA is borrowed. */
int block_mem_open (struct block_env *env, const void *data, size_t len,
                    struct block **ret, struct err *e) must_check
    nonnull (1, 4, 5);

/* The window [off, off + len) of BELOW, which is borrowed.  A window that
 * reaches beyond the end of BELOW is allowed (a partition of a truncated
 * disk): what lies beyond cannot be read (EIO). */
int block_slice_open (struct block *below, uint64_t off, uint64_t len,
                      struct block **ret, struct err *e) must_check
    nonnull (1, 4, 5);

/* For tests: a view of BELOW (taken over) whose read number NTH (from 0)
 * fails with EIO; NTH of UINT64_MAX: none.  COUNT counts the reads. */
int block_fault_open (struct block *below, uint64_t nth,
                      _Atomic uint64_t *count, struct block **ret,
                      struct err *e) must_check nonnull (1, 4, 5);

/* --- formats --------------------------------------------------------- */

/* Decides the format of BELOW by bidding and opens it.  FORMAT names one
 * instead of bidding (a qcow2's backing format), or is NULL.  BELOW is taken
 * over, also on failure.
 * Errors: ENOTSUP for a format that is known and not read; EINVAL, EIO for a
 * damaged one. */
int block_format_open (struct block *below, const char *format,
                       struct block **ret, struct err *e) must_check
    nonnull (1, 3, 4);

/* Opens the file that the image at BASE refers to as NAME (a backing file, a
 * data file, an extent), which may lie only inside the image's directory or
 * those of env->follow: relative names are relative to the directory of the
 * file that names them.
 * FORMAT as in block_format_open; "raw" is never probed, and "file" gives the
 * bytes of the file without a format (a data file, a flat extent).
 * The caller prepends the noun: err_in (e, "backing file '%s'", name).
 * Errors: EACCES for a reference that leads out, ELOOP for a chain that is
 * too long or leads back to itself, EIO for a file that is not there (never
 * ENOENT: a lost part of the image is not an absent finding), and those of
 * opening. */
int block_reference_open (struct block *base, const char *name,
                          const char *format, struct block **ret,
                          struct err *e) must_check nonnull (1, 2, 4, 5);

/* The image that B, of a format, refers to as NAME and cannot do without (a
 * backing file, an extent).  As block_reference_open; but where that fails
 * for good (it is not there, it leads out, it is damaged), *RET is a block of
 * SIZE bytes that cannot be read, and says why: what B itself has can still
 * be seen, and block_check names what is missing. */
int block_reference_or_missing (struct block *base, const char *name,
                                const char *format, uint64_t size,
                                struct block **ret, struct err *e) must_check
    nonnull (1, 2, 5, 6);

/* Why B, which block_reference_or_missing gave, cannot be read; NULL: it
 * can. */
const char *block_missing_reason (const struct block *b) nonnull (1);

int block_info (struct block *b, struct block_info *ret,
                struct err *e) must_check nonnull (1, 2, 3);

/* The image behind B, or NULL. */
struct block *block_backing (struct block *b) nonnull (1);

/* Lengths of, and bytes allocated for, the files that hold B, without its
 * backing files. */
int block_usage (struct block *b, uint64_t *ret_length,
                 uint64_t *ret_allocated, struct err *e) must_check
    nonnull (1, 2, 3, 4);

/* --- damage ---------------------------------------------------------- */

/* What was found: zero-initialise, or set PROGRESS first. */
#define BLOCK_MAX_FINDINGS 200 /* lines; all findings are counted */
struct block_check {
  struct buf findings; /* one a line */
  unsigned n_lines;    /* of them */
  uint64_t errors;     /* data are lost, or may be */
  char first_error[512];
  uint64_t notes; /* harmless: leaked clusters, a copy that differs */
  void (*progress) (void *arg, uint64_t done, uint64_t total);
  void *progress_arg;
  const char *prefix;        /* of the layer being looked at, or NULL */
  struct block_reach *reach; /* how far the files must reach */
  size_t n_reach;
};

/* Looks at B and the images behind it: structure, files that are missing,
 * and bytes that are missing at the end of a file.
 * Errors: could not look. */
int block_check (struct block *b, struct block_check *c,
                 struct err *e) must_check nonnull (1, 2, 3);
void block_check_free (struct block_check *c);

/* For drivers: a finding, as one phrase. */
void block_check_error (struct block_check *c, const char *fmt, ...)
    printf_like (2, 3);
void block_check_note (struct block_check *c, const char *fmt, ...)
    printf_like (2, 3);
/* N findings of one kind, as one line. */
void block_check_errors (struct block_check *c, uint64_t n, const char *fmt,
                         ...) printf_like (3, 4);
void block_check_notes (struct block_check *c, uint64_t n, const char *fmt,
                        ...) printf_like (3, 4);
/* FILE must be END bytes long for all that B's tables name in it: how much
 * is missing is said once, at the end. */
void block_check_reach (struct block_check *c, struct block *file,
                        uint64_t end) nonnull (1, 2);
/* What B refers to and does not have; block_check does it for each layer. */
void block_check_missing (struct block_check *c, struct block *b)
    nonnull (1, 2);
void block_check_progress (struct block_check *c, uint64_t done,
                           uint64_t total) nonnull (1);

/* Reasons, one a line, not to hand B to a program that trusts it; none: the
 * buffer stays empty. */
int block_safety (struct block *b, struct buf *reasons,
                  struct err *e) must_check nonnull (1, 2, 3);
void block_info_free (struct block_info *i);

/* --- reading --------------------------------------------------------- */

/* Reads exactly LEN bytes.  Beyond the end is EIO, never a short read. */
int block_pread (struct block *b, void *buf, size_t len, uint64_t off,
                 struct err *e) must_check nonnull (1, 5);

/* One level: what lies at OFF. */
int block_map (struct block *b, uint64_t off, uint64_t len,
               struct extent *ret, struct err *e) must_check
    nonnull (1, 4, 5);

/* A run of bytes that lie together below, so that neighbouring extents are
 * read with one read: zero-initialise it, add each EXTENT_DATA with where its
 * bytes go, and flush at the end. */
struct block_run {
  struct block *lower;
  uint64_t offset;
  size_t len;
  char *to;
};
int block_run_add (struct block_run *r, const struct extent *x, char *to,
                   struct err *e) must_check nonnull (1, 2, 3, 4);
int block_run_flush (struct block_run *r, struct err *e) must_check
    nonnull (1, 2);

/* All the way down: EXTENT_DATA names a transport. */
int block_resolve (struct block *b, uint64_t off, uint64_t len,
                   struct extent *ret, struct err *e) must_check
    nonnull (1, 4, 5);

/* As block_resolve, and as qemu's block status has it: what a format has
 * allocated is data, whether or not the file below has a hole there; holes of
 * the host count only where the container keeps no map (raw, flat extents)
 * or was preallocated.  RET_WHO may be NULL. */
struct block_answer {
  const struct block *layer; /* the format whose answer it is; or NULL */
  bool own;                  /* not from a backing file */
};
int block_status (struct block *b, uint64_t off, uint64_t len,
                  struct extent *ret, struct block_answer *ret_who,
                  struct err *e) must_check nonnull (1, 4, 6);

/* SEEK_DATA / SEEK_HOLE over block_status.  Zeros are holes.  *RET is the
 * offset; ENXIO as lseek(2) has it.  Cost: one map call per extent. */
int block_seek (struct block *b, uint64_t off, bool hole, uint64_t *ret,
                struct err *e) must_check nonnull (1, 4, 5);

/* Bytes of guest data present in the container: data and compressed
 * extents. */
int block_allocated (struct block *b, uint64_t *ret, struct err *e) must_check
    nonnull (1, 2, 3);

/* NULL is fine. */
void block_close (struct block *b);

/* For drivers. */
struct block *block_new (struct block_env *env, const struct block_ops *ops,
                         struct err *e) must_check nonnull (1, 2, 3);
int block_unreadable (const struct block *b, uint64_t off, struct err *e)
    nonnull (1, 3);

/* The drivers, generated from Makefile.am. */
extern const struct block_ops *const block_formats[];

static inline void
cleanup_block (struct block **b)
{
  block_close (*b);
}
#define CLEANUP_BLOCK __attribute__ ((cleanup (cleanup_block)))

#endif
