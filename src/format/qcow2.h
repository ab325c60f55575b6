/* xrayfs: qcow2, shared by its files: qcow2.c maps and reads, qcow2_open.c
 * checks the header, qcow2_info.c has the rest of it, qcow2_prealloc.c looks
 * for clusters without data
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_FORMAT_QCOW2_H
#define XRAYFS_FORMAT_QCOW2_H

#include "base/lazy.h"
#include "block/block.h"

/* qcow2.txt, "Header": incompatible_features. */
#define QCOW2_DIRTY            (UINT64_C (1) << 0)
#define QCOW2_CORRUPT          (UINT64_C (1) << 1)
#define QCOW2_DATA_FILE        (UINT64_C (1) << 2)
#define QCOW2_COMPRESSION_TYPE (UINT64_C (1) << 3)
#define QCOW2_EXTENDED_L2      (UINT64_C (1) << 4)
#define QCOW2_KNOWN            (UINT64_C (0x1f))
/* compatible_features, autoclear_features. */
#define QCOW2_LAZY_REFCOUNTS (UINT64_C (1) << 0)
#define QCOW2_BITMAPS        (UINT64_C (1) << 0)
#define QCOW2_DATA_FILE_RAW  (UINT64_C (1) << 1)

/* "Cluster mapping": L1 and L2 entries. */
#define QCOW2_OFFSET_MASK UINT64_C (0x00fffffffffffe00) /* bits 9 to 55 */
#define QCOW2_COPIED      (UINT64_C (1) << 63)
#define QCOW2_COMPRESSED  (UINT64_C (1) << 62)
#define QCOW2_ZERO        (UINT64_C (1) << 0)

#define QCOW2_PIECE    (UINT64_C (64) << 10) /* of a table, in the cache */
#define QCOW2_MAX_NAME 1023                  /* of a backing or data file */
#define QCOW2_CONTEXTS 16                    /* as many as read at once */

enum qcow2_crypt { QCOW2_CRYPT_NONE, QCOW2_CRYPT_AES, QCOW2_CRYPT_LUKS };
enum qcow2_compression { QCOW2_ZLIB, QCOW2_ZSTD };

/* An open image: the header, checked, and what it refers to.  Constant after
 * open, but for the contexts. */
struct qcow2 {
  uint32_t version, header_length;
  unsigned cluster_bits;
  uint64_t cluster_size;
  uint64_t size; /* as the header has it */
  uint64_t backing_offset;
  uint32_t backing_len;
  uint32_t crypt, l1_size, refcount_clusters, refcount_order, nb_snapshots;
  uint64_t l1_offset, refcount_offset, snapshots_offset;
  uint64_t incompatible, compatible, autoclear;
  uint8_t compression;

  /* From the header extensions; NULL: not there. */
  char *backing_file, *backing_format, *data_file;
  char unknown_feature[47];           /* the name of the lowest unknown bit */
  uint64_t crypto_offset, crypto_len; /* the LUKS header; 0: none */
  struct qcow2_bitmaps {
    uint32_t n, reserved;
    uint64_t dir_size, dir_offset;
  } bitmaps; /* zeros: no extension */

  bool preallocated;     /* more clusters given out than have data */
  bool extended;         /* L2 entries of 16 bytes, with subclusters */
  unsigned entry_size;   /* of an L2 table, in bytes */
  unsigned l2_bits;      /* an L2 table has 1 << l2_bits entries */
  uint64_t unit;         /* what is allocated at once: a (sub)cluster */
  uint64_t slice;        /* bytes of an L2 table that are read at once */
  struct block *data;    /* holds the clusters: below, or the data file */
  struct block *backing; /* or NULL */
  const void *l1_owner, *l2_owner, *cluster_owner; /* in the cache */

  struct lazy tail; /* may the last data cluster be short? */
  bool short_tail;  /* the answer */
  /* Of zstd, for the next cluster; NULL: none.  All else is constant. */
  _Atomic (void *) contexts[QCOW2_CONTEXTS];
};

/* How many bits of a guest offset one L2 table covers. */
static inline unsigned
l1_shift (const struct qcow2 *q)
{
  return q->cluster_bits + q->l2_bits;
}

/* block_ops.bid, .open */
int qcow2_bid (struct block *below, struct err *e) nonnull (1, 2);
int qcow2_open (struct block *b, struct err *e) must_check nonnull (1, 2);

/* Bit number of the lowest unknown incompatible feature; -1: none. */
int qcow2_unknown_bit (const struct qcow2 *q) nonnull (1);

/* Walks the header extensions between the header and the backing file's
 * name.  Fills the strings of b->priv. */
int qcow2_read_extensions (struct block *b, struct err *e) must_check
    nonnull (1, 2);

/* Do its holes have to be asked of the file (extent.transparent)?  For
 * open. */
bool qcow2_is_preallocated (struct block *b) nonnull (1);
/* A snapshot's entry in the table. */
struct qcow2_snapshot {
  uint64_t l1_offset, disk_size, vm_state_size;
  uint32_t l1_size, seconds, extra_len;
  uint16_t id_len, name_len;
  uint64_t id_offset; /* the name follows it */
};

/* Calls FN for each snapshot, with its number; -1 of FN ends it.  *RET_END
 * is where the table ends. */
int qcow2_each_snapshot (struct block *b,
                         int (*fn) (void *arg, uint32_t i,
                                    const struct qcow2_snapshot *s,
                                    struct err *e),
                         void *arg, uint64_t *ret_end,
                         struct err *e) must_check nonnull (1, 2, 4, 5);

/* --- walking the tables, in qcow2_walk.c ----------------------------- */

/* An entry of an L2 table. */
struct qcow2_entry {
  uint64_t value, bitmap; /* BITMAP: 0 without extended L2 entries */
  uint64_t guest;         /* what it maps */
  uint64_t l2, index;     /* where it stands */
};

/* A walk over L1 tables and what they refer to: zero-initialise, set B and
 * the callbacks.  Tables are read in order, in pieces, and not cached. */
struct qcow2_walk {
  struct block *b;
  void *arg;
  /* L1_ENTRY is not called for zeros; it gives 1 to pass over the L2 table
   * of the entry (one that the file does not hold, for example). */
  int (*l1_entry) (struct qcow2_walk *w, uint64_t index, uint64_t entry,
                   struct err *e);
  int (*l2_entry) (struct qcow2_walk *w, const struct qcow2_entry *x,
                   struct err *e);
  /* Bytes of tables that may still be read.  An image can name one table
   * any number of times, so this bounds the work by the file's size. */
  uint64_t budget;
  bool out_of_budget; /* not everything was seen */
  bool stop;          /* a callback has seen enough */
  unsigned char *l1, *l2;
};

int qcow2_walk_init (struct qcow2_walk *w, struct block *b,
                     struct err *e) must_check nonnull (1, 2, 3);
void qcow2_walk_free (struct qcow2_walk *w) nonnull (1);
/* Takes LEN bytes from the budget: may they be read? */
bool qcow2_walk_spend (struct qcow2_walk *w, uint64_t len) nonnull (1);
/* The L1 table of N entries at OFF, which lies within the file. */
int qcow2_walk_l1 (struct qcow2_walk *w, uint64_t off, uint32_t n,
                   struct err *e) must_check nonnull (1, 4);

/* The bytes of the file that a compressed cluster may take. */
static inline void
qcow2_compressed_range (const struct qcow2 *q, uint64_t entry,
                        uint64_t *ret_off, uint64_t *ret_len)
{
  unsigned x = 62 - (q->cluster_bits - 8);
  uint64_t sectors =
      (entry >> x & ((UINT64_C (1) << (q->cluster_bits - 8)) - 1)) + 1;

  *ret_off = entry & ((UINT64_C (1) << x) - 1);
  *ret_len = sectors * 512 - *ret_off % 512;
}

/* --- reference counts, in qcow2_refcount.c --------------------------- */

/* A reader of the counts in the file, one block at a time: zero-initialise.
 * Not for several threads. */
struct qcow2_refcounts {
  struct block *b;
  uint64_t table_at, block_at; /* offset of what is in memory, + 1 */
  unsigned char *table, *block;
};

enum qcow2_known {
  QCOW2_REFCOUNT_KNOWN,
  QCOW2_REFCOUNT_BEYOND, /* the file ends before the count */
  QCOW2_REFCOUNT_BAD     /* the refcount table's entry is damaged */
};

int qcow2_refcounts_init (struct qcow2_refcounts *r, struct block *b,
                          struct err *e) must_check nonnull (1, 2, 3);
void qcow2_refcounts_free (struct qcow2_refcounts *r) nonnull (1);
/* Entries of the refcount table; clusters that a block of counts covers. */
uint64_t qcow2_refcount_entries (const struct qcow2 *q) nonnull (1);
uint64_t qcow2_refcount_covers (const struct qcow2 *q) nonnull (1);
/* Entry I of the refcount table. */
int qcow2_refcount_entry (struct qcow2_refcounts *r, uint64_t i,
                          uint64_t *ret, enum qcow2_known *ret_known,
                          struct err *e) must_check nonnull (1, 3, 4, 5);
/* The count of CLUSTER; beyond the table it is 0. */
int qcow2_refcount (struct qcow2_refcounts *r, uint64_t cluster,
                    uint64_t *ret, enum qcow2_known *ret_known,
                    struct err *e) must_check nonnull (1, 3, 4, 5);

/* --- the end of the file, in qcow2_tail.c ---------------------------- */

/* May the data cluster that the end of the file cuts be a short one, whose
 * rest is zeros?  *RET: yes.  Else the file is cut off. */
int qcow2_has_short_tail (struct block *b, bool *ret,
                          struct err *e) must_check nonnull (1, 2, 3);

/* block_ops.check */
int qcow2_check (struct block *b, struct block_check *c,
                 struct err *e) must_check nonnull (1, 2, 3);

/* block_ops.safety */
int qcow2_safety (struct block *b, struct buf *reasons,
                  struct err *e) must_check nonnull (1, 2, 3);

/* block_ops.info */
int qcow2_info (struct block *b, struct block_info *ret,
                struct err *e) must_check nonnull (1, 2, 3);

#endif
