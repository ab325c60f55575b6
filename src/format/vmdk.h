/* xrayfs: VMDK, shared by its files: vmdk.c opens, maps and reads,
 * vmdk_sparse_open.c and vmdk_sparse.c know the three kinds of sparse extent,
 * vmdk_descriptor.c the text, vmdk_check.c what is damaged or not to be
 * trusted
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_FORMAT_VMDK_H
#define XRAYFS_FORMAT_VMDK_H

#include "base/vec.h"
#include "block/block.h"

#define VMDK_HOSTED_MAGIC   0x564d444b /* "KDMV" */
#define VMDK_COWD_MAGIC     0x44574f43 /* "COWD" */
#define VMDK_SESPARSE_MAGIC UINT64_C (0xcafebabe)

#define VMDK_SECTOR UINT64_C (512)
#define VMDK_NO_CID UINT32_MAX /* parentCID: there is no parent */

/* --- the descriptor -------------------------------------------------- */

#define VMDK_MAX_DESCRIPTOR ((1 << 20) - 1) /* as in qemu, OpenStack */

/* Split disks have extents of 2 GiB, and 2 TiB at most. */
#define VMDK_MAX_EXTENTS 2048

/* "Extent description": ACCESS SECTORS TYPE "NAME" OFFSET. */
struct vmdk_line {
  unsigned number; /* of the line, from 1 */
  bool no_access;
  uint64_t sectors;
  char *type;      /* FLAT, SPARSE, ZERO, ... */
  char *name;      /* NULL: ZERO */
  uint64_t offset; /* in sectors; flat extents only */
};
DEFINE_VEC (vmdk_lines, struct vmdk_line)

struct vmdk_descriptor {
  char *version, *create_type, *parent_name, *encryption;
  bool has_cid, has_parent_cid, tracks_changes;
  uint32_t cid, parent_cid;
  struct vmdk_lines lines;
};

/* Parses TEXT, which ends at the first NUL.  RET is zero and is to be freed,
 * also after a failure. */
int vmdk_descriptor_parse (const char *text, struct vmdk_descriptor *ret,
                           struct err *e) must_check nonnull (1, 2, 3);
void vmdk_descriptor_free (struct vmdk_descriptor *d) nonnull (1);

/* What OpenStack's inspector refuses in TEXT. */
void vmdk_descriptor_safety (const char *text, struct buf *reasons)
    nonnull (1, 2);

/* --- sparse extents -------------------------------------------------- */

enum vmdk_kind {
  VMDK_FLAT,
  VMDK_ZERO,
  VMDK_NO_ACCESS, /* NOACCESS: the disk has it, and nobody may read it */
  VMDK_MISSING,   /* a sparse extent whose file is not there */
  VMDK_HOSTED,    /* "KDMV" */
  VMDK_COWD,
  VMDK_SESPARSE
};

/* Hosted sparse extents: flags of the header. */
#define VMDK_NEWLINES      (UINT32_C (1) << 0)
#define VMDK_REDUNDANT     (UINT32_C (1) << 1)
#define VMDK_ZERO_GRAINS   (UINT32_C (1) << 2)
#define VMDK_COMPRESSED    (UINT32_C (1) << 16)
#define VMDK_MARKERS       (UINT32_C (1) << 17)
#define VMDK_AT_END        UINT64_MAX /* gdOffset: a footer says where */
#define VMDK_HEADER_BYTES  512
#define VMDK_FOOTER_BYTES  1536 /* marker, footer, end-of-stream marker */
#define VMDK_MARKER_EOS    0    /* types of markers */
#define VMDK_MARKER_FOOTER 3

#define VMDK_COWD_HEADER_BYTES 2048

/* A part of the disk.  Offsets and lengths are in bytes.  Constant after
 * open. */
struct vmdk_extent {
  enum vmdk_kind kind;
  uint64_t start, size;
  struct block *file; /* borrowed; NULL: no bytes behind it */
  const char *name;   /* as the descriptor has it; NULL: `below` */
  uint64_t offset;    /* VMDK_FLAT */
  uint64_t declared;  /* size, as the descriptor has it; 0: it does not */

  /* The kinds with tables: a directory of tables of grains. */
  uint32_t version, flags;
  bool compressed, unclean, has_footer;
  uint64_t grain;
  uint32_t table_entries;     /* of a grain table */
  unsigned entry_size;        /* of table and directory */
  uint64_t directory;         /* grain directory */
  uint64_t redundant;         /* its copy; 0: none */
  uint64_t directory_entries; /* as many as the size takes */
  uint64_t tables, grains;    /* seSparse: where those areas start */
  uint64_t descriptor, descriptor_size; /* embedded; 0: none */
  const void *directory_owner, *table_owner, *grain_owner; /* in the cache */
};

/* The guest bytes that a grain table describes. */
static inline uint64_t
vmdk_coverage (const struct vmdk_extent *x)
{
  return x->grain * x->table_entries;
}

static inline uint64_t
vmdk_table_bytes (const struct vmdk_extent *x)
{
  return (uint64_t) x->table_entries * x->entry_size;
}

/* An entry of a grain table. */
struct vmdk_grain {
  enum extent_kind kind;
  uint64_t host; /* where it lies, or its marker; data and compressed */
};

/* Reads the header of X->file, whose magic says which kind it is.  Sets what
 * belongs to kinds with tables, and size: 0 for a header that is only the
 * wrapping of a descriptor. */
int vmdk_sparse_open (struct vmdk_extent *x, struct err *e) must_check
    nonnull (1, 2);

/* As block_ops.map and .pread, OFF in the extent.  EXTENT_UNALLOCATED: see
 * the parent. */
int vmdk_sparse_map (const struct vmdk_extent *x, uint64_t off, uint64_t len,
                     struct extent *ret, struct err *e) must_check
    nonnull (1, 4, 5);
int vmdk_sparse_read (const struct vmdk_extent *x, void *buf, size_t len,
                      uint64_t off, struct err *e) must_check
    nonnull (1, 2, 5);

/* For the check: entry I of the directory at DIRECTORY; *RET is the offset of
 * a table, 0: none. */
int vmdk_directory_entry (const struct vmdk_extent *x, uint64_t directory,
                          uint64_t i, uint64_t *ret, struct err *e) must_check
    nonnull (1, 4, 5);

/* What entry I of TABLE (little-endian, as it lies there) says; INDEX is the
 * grain's number, for messages. */
int vmdk_classify (const struct vmdk_extent *x, const void *table, uint64_t i,
                   uint64_t index, struct vmdk_grain *ret,
                   struct err *e) must_check nonnull (1, 2, 5, 6);

/* The marker in front of the compressed grain number INDEX at HOST: *RET_LEN
 * bytes of deflate data follow at *RET_AT. */
int vmdk_read_marker (const struct vmdk_extent *x, uint64_t host,
                      uint64_t index, uint64_t *ret_at, uint32_t *ret_len,
                      struct err *e) must_check nonnull (1, 4, 5, 6);

/* --- the image ------------------------------------------------------- */

DEFINE_VEC (vmdk_extents, struct vmdk_extent)

/* A file that the descriptor names, opened once. */
struct vmdk_file {
  const char *name; /* of descriptor.lines */
  struct block *block;
};
DEFINE_VEC (vmdk_files, struct vmdk_file)

struct vmdk {
  bool embedded; /* the disk lies in `below`, with its descriptor */
  uint64_t text_offset, text_size; /* of the descriptor in `below` */
  struct vmdk_descriptor descriptor;
  struct vmdk_extents extents;
  struct vmdk_files files;
  struct block *parent; /* or NULL */
  char *parent_why;     /* why what the parent has cannot be shown */
};

/* The text of the descriptor of B, to be freed. */
int vmdk_read_descriptor (struct block *b, char **ret,
                          struct err *e) must_check nonnull (1, 2, 3);

/* block_ops.check, .safety */
int vmdk_check (struct block *b, struct block_check *c,
                struct err *e) must_check nonnull (1, 2, 3);
int vmdk_safety (struct block *b, struct buf *reasons,
                 struct err *e) must_check nonnull (1, 2, 3);

#endif
