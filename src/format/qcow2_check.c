/* xrayfs: qcow2: damage
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What qemu-img check looks at: every reference that the tables hold is
 * counted, and compared with the reference counts of the file.  References
 * beyond the end of the file that the counts confirm say that the file is cut
 * off; others are damage of their own.
 *
 * Memory: two bytes for each cluster of the file, up to a limit.  Work: the
 * budget of the walk.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "format/qcow2_check.h"

/* "L1 table entry", "Standard Cluster Descriptor", "Host cluster
 * management". */
#define L1_RESERVED     UINT64_C (0x7f000000000001ff)
#define L2_RESERVED     UINT64_C (0x3f000000000001fe)
#define REFCOUNT_MASK   UINT64_C (0xfffffffffffffe00)
#define ALL_SUBCLUSTERS UINT64_C (0xffffffff)
#define MAX_L1_BYTES    (32 * MiB) /* as in qemu */

/* Of the counters: 128 Mi clusters, 8 TiB of 64 KiB. */
#define MAX_COUNTER_BYTES (256 * MiB)

/* --- counting -------------------------------------------------------- */

/* The file that holds the tables must reach END. */
static void
reach (struct qcow2_check *k, uint64_t end)
{
  k->known_end = MAX (k->known_end, end);
  block_check_reach (k->c, k->b->below, end);
}

/* Something at OFF lies behind the end of the file.  Does its reference count
 * say that it was there?  In a dirty image the counts say nothing. */
static int
was_there (struct qcow2_check *k, uint64_t off, bool *ret, struct err *e)
{
  uint64_t count = 0;
  enum qcow2_known known;

  if (qcow2_refcount (&k->refcounts, off >> k->q->cluster_bits, &count,
                      &known, e) == -1)
    return -1;
  *ret = k->dirty || known == QCOW2_REFCOUNT_BEYOND || count > 0;
  return 0;
}

static int
add_beyond (struct qcow2_check *k, uint64_t off, uint64_t len,
            const char *what, struct err *e)
{
  bool there = false;

  if (off <= QCOW2_OFFSET_MASK && was_there (k, off, &there, e) == -1)
    return -1;
  /* The length is the image's word, too. */
  if (there && len > 1 && was_there (k, off + len - 1, &there, e) == -1)
    return -1;
  if (!there) {
    block_check_error (
        k->c, "%s%s at 0x%" PRIx64 " lies beyond the end of the file",
        k->where, what, off);
    return 0;
  }
  k->n_beyond++;
  reach (k, off + len);
  return 0;
}

static void
count_cluster (struct qcow2_check *k, uint64_t cluster, uint16_t kind)
{
  uint16_t *counter = &k->counters[cluster], n = *counter & COUNTER_MAX;
  unsigned bits = 1u << k->q->refcount_order;

  *counter |= kind;
  k->n_clusters = MAX (k->n_clusters, cluster + 1);
  if (bits < COUNTER_BITS && n == (1u << bits) - 1)
    block_check_error (k->c,
                       "%scluster at 0x%" PRIx64
                       " is referenced more often than its count of %u bits"
                       " can say",
                       k->where, cluster << k->q->cluster_bits, bits);
  else if (n < COUNTER_MAX)
    ++*counter;
}

/* The last cluster may be short, but not missing. */
static bool
is_beyond (const struct qcow2_check *k, uint64_t off, uint64_t len)
{
  return !range_within (off, len, k->file_len + k->q->cluster_size - 1);
}

static void
count_clusters (struct qcow2_check *k, uint64_t off, uint64_t len,
                uint16_t kind)
{
  uint64_t first = off >> k->q->cluster_bits;
  uint64_t last = (off + len - 1) >> k->q->cluster_bits;

  for (uint64_t i = first; k->counters && i <= last; i++)
    count_cluster (k, i, kind);
}

int
qcow2_check_table (struct qcow2_check *k, uint64_t off, uint64_t len,
                   const char *what, struct err *e)
{
  if (len == 0)
    return 0;
  if (is_beyond (k, off, len))
    return add_beyond (k, off, len, what, e);
  /* Large tables can lie on top of each other. */
  if (!qcow2_walk_spend (&k->walk, len))
    return 0;
  reach (k, off + len);
  count_clusters (k, off, len, COUNTER_TABLE);
  return 0;
}

/* Data of LEN bytes, of which NEEDED are wanted. */
static int
count_data (struct qcow2_check *k, uint64_t off, uint64_t len,
            uint64_t needed, const char *what, struct err *e)
{
  if (is_beyond (k, off, len))
    return add_beyond (k, off, needed, what, e);
  count_clusters (k, off, len, COUNTER_DATA);
  return 0;
}

/* --- entries of tables ----------------------------------------------- */

/* The copied flag says that the count is exactly one.  In a dirty image the
 * counts may be behind: harmless, whoever opens it for writing repairs. */
static int
check_copied (struct qcow2_check *k, uint64_t entry, const char *what,
              struct err *e)
{
  uint64_t off = entry & QCOW2_OFFSET_MASK, count;
  bool copied = entry & QCOW2_COPIED;
  enum qcow2_known known;

  if (!k->active)
    return 0;
  if (qcow2_refcount (&k->refcounts, off >> k->q->cluster_bits, &count,
                      &known, e) == -1)
    return -1;
  if (known == QCOW2_REFCOUNT_KNOWN && copied != (count == 1))
    (k->dirty ? block_check_note : block_check_error) (
        k->c,
        "%s at 0x%" PRIx64 ": copied flag is %d and the reference count is"
        " %" PRIu64,
        what, off, copied, count);
  return 0;
}

/* 1: do not walk the L2 table. */
static int
check_l1_entry (struct qcow2_walk *w, uint64_t index, uint64_t entry,
                struct err *e)
{
  struct qcow2_check *k = w->arg;
  uint64_t off = entry & QCOW2_OFFSET_MASK;

  if (k->active && index % 64 == 0)
    block_check_progress (k->c, index, k->q->l1_size);
  if (entry & L1_RESERVED)
    block_check_error (k->c,
                       "%sL1 entry %" PRIu64 " has reserved bits set:"
                       " 0x%" PRIx64,
                       k->where, index, entry);
  if (!off) {
    if (entry & QCOW2_COPIED)
      block_check_error (k->c,
                         "%sL1 entry %" PRIu64 " has a copied flag and no"
                         " table",
                         k->where, index);
    return 1;
  }
  if (qcow2_check_table (k, off, k->q->cluster_size, "L2 table", e) == -1)
    return -1;
  if (off & (k->q->cluster_size - 1))
    block_check_error (k->c,
                       "%sL2 table offset 0x%" PRIx64 " is not aligned"
                       " (L1 index %" PRIu64 ")",
                       k->where, off, index);
  if (check_copied (k, entry, "L2 table", e) == -1)
    return -1;
  return !range_within (off, k->q->cluster_size, k->b->below->size);
}

/* A finding about entry X. */
static void
bad_entry (struct qcow2_check *k, const struct qcow2_entry *x,
           const char *what)
{
  block_check_error (k->c,
                     "%s%s: 0x%" PRIx64 " (entry %" PRIu64
                     " of the L2 table at 0x%" PRIx64 ")",
                     k->where, what, x->value, x->index, x->l2);
}

static int
check_compressed (struct qcow2_check *k, const struct qcow2_entry *x,
                  struct err *e)
{
  uint64_t off, len, last;

  if (x->value & QCOW2_COPIED)
    bad_entry (k, x, "compressed cluster with a copied flag");
  if (k->q->incompatible & QCOW2_DATA_FILE) {
    bad_entry (k, x, "compressed cluster with a data file");
    return 0;
  }
  if (x->bitmap) {
    bad_entry (k, x, "compressed cluster with a subcluster bitmap");
    return 0;
  }
  qcow2_compressed_range (k->q, x->value, &off, &len);
  last = (off + len - 1) & ~UINT64_C (511);
  /* The last sector is counted in full; where even its start is missing,
   * the compressed data are not complete. */
  if (range_within (off, len, k->file_len + k->q->cluster_size - 1) &&
      last >= k->b->below->size)
    reach (k, last + 1);
  return count_data (k, off, len, last + 1 - off, "compressed cluster", e);
}

/* How many bytes of the cluster are wanted: those of the guest's disk, and
 * of subclusters that are there. */
static uint64_t
bytes_needed (const struct qcow2_check *k, const struct qcow2_entry *x)
{
  const struct qcow2 *q = k->q;
  uint64_t n = q->cluster_size, there = x->bitmap & ALL_SUBCLUSTERS;

  if (q->extended)
    n = there ? (64 - (uint64_t) __builtin_clzll (there)) * q->unit : 0;
  else if (x->value & QCOW2_ZERO)
    n = 0;
  /* The disk of a snapshot may have been larger. */
  if (k->active)
    n = MIN (n, k->b->size - MIN (k->b->size, x->guest));
  return n;
}

/* A data cluster at OFF, which is aligned, of a file that may be short. */
static void
see_data_end (struct qcow2_check *k, const struct qcow2_entry *x,
              uint64_t off)
{
  uint64_t end = off + bytes_needed (k, x);

  if (off < k->q->data->size)
    k->data_end = MAX (k->data_end, end);
  else if (k->q->data != k->b->below)
    block_check_reach (k->c, k->q->data, end);
}

static void
check_subclusters (struct qcow2_check *k, const struct qcow2_entry *x)
{
  if (x->bitmap >> 32 & x->bitmap)
    bad_entry (k, x, "subclusters that are zero and there");
}

static int
check_data (struct qcow2_check *k, const struct qcow2_entry *x, struct err *e)
{
  uint64_t off = x->value & QCOW2_OFFSET_MASK;
  bool external = k->q->incompatible & QCOW2_DATA_FILE;

  check_subclusters (k, x);
  if (off & (k->q->cluster_size - 1))
    bad_entry (k, x, "cluster offset is not aligned");
  else if (external && off != x->guest)
    bad_entry (k, x, "cluster is not at the guest's offset");
  else
    see_data_end (k, x, off);
  if (external) {
    if (k->active && !(x->value & QCOW2_COPIED))
      bad_entry (k, x, "cluster of the data file without a copied flag");
    return 0;
  }
  if (count_data (k, off, k->q->cluster_size, bytes_needed (k, x), "cluster",
                  e) == -1)
    return -1;
  return check_copied (k, x->value, "cluster", e);
}

static int
check_l2_entry (struct qcow2_walk *w, const struct qcow2_entry *x,
                struct err *e)
{
  struct qcow2_check *k = w->arg;
  bool zero = (x->value & QCOW2_ZERO) && !k->q->extended;

  if (x->value & QCOW2_COMPRESSED)
    return check_compressed (k, x, e);
  if (x->value & L2_RESERVED)
    bad_entry (k, x, "reserved bits are set");
  if (zero && k->q->version < 3)
    bad_entry (k, x, "version 2 has no zero cluster");
  if (x->value & QCOW2_OFFSET_MASK)
    return check_data (k, x, e);
  /* Only a data file can have a cluster at 0. */
  if ((k->q->incompatible & QCOW2_DATA_FILE) && !zero &&
      (x->value & QCOW2_COPIED))
    return check_data (k, x, e);
  if (x->bitmap & ALL_SUBCLUSTERS)
    bad_entry (k, x, "subclusters are there and no cluster");
  return 0;
}

/* --- L1 tables ------------------------------------------------------- */

static int
check_l1 (struct qcow2_check *k, uint64_t off, uint32_t n, struct err *e)
{
  if (qcow2_check_table (k, off, (uint64_t) n * 8, "L1 table", e) == -1)
    return -1;
  if (!range_within (off, (uint64_t) n * 8, k->b->below->size))
    return 0;
  return qcow2_walk_l1 (&k->walk, off, n, e);
}

static int
check_snapshot (void *arg, uint32_t i, const struct qcow2_snapshot *s,
                struct err *e)
{
  struct qcow2_check *k = arg;
  int r;

  if (k->walk.out_of_budget)
    return 0;
  snprintf (k->where, sizeof k->where, "snapshot %" PRIu32 ": ", i);
  /* "Snapshots": the sizes are needed from version 3 on. */
  if (k->q->version >= 3 && s->extra_len < 16)
    block_check_error (k->c, "%sits entry is incomplete", k->where);
  if (s->l1_offset & (k->q->cluster_size - 1)) {
    block_check_error (k->c, "%sL1 table offset 0x%" PRIx64 " is not aligned",
                       k->where, s->l1_offset);
    r = 0;
  } else if (s->l1_size > MAX_L1_BYTES / 8) {
    block_check_error (k->c, "%sL1 table of %" PRIu32 " entries is too large",
                       k->where, s->l1_size);
    r = 0;
  } else
    r = check_l1 (k, s->l1_offset, s->l1_size, e);
  k->where[0] = '\0';
  return r;
}

static int
check_snapshots (struct qcow2_check *k, struct err *e)
{
  struct err why = { 0 };
  uint64_t end;

  if ((k->q->incompatible & QCOW2_DATA_FILE) && k->q->nb_snapshots)
    block_check_error (k->c, "snapshots in an image with a data file");
  if (qcow2_each_snapshot (k->b, check_snapshot, k, &end, &why) == 0)
    return qcow2_check_table (k, k->q->snapshots_offset,
                              end - k->q->snapshots_offset, "snapshot table",
                              e);
  /* What may pass, and what lies in this host, is no finding. */
  if (err_is_transient (&why) || k->b->env->read_failed) {
    *e = why;
    return -1;
  }
  k->incomplete = "the snapshot table is damaged";
  block_check_error (k->c, "snapshot table: %s", why.msg);
  return 0;
}

/* --- reference counts ------------------------------------------------ */

static int
check_refcount_block (struct qcow2_check *k, uint64_t i, uint64_t entry,
                      struct err *e)
{
  uint64_t off = entry & REFCOUNT_MASK, cluster = off >> k->q->cluster_bits;
  unsigned n;

  if (entry & ~REFCOUNT_MASK) {
    block_check_error (k->c,
                       "refcount table entry %" PRIu64
                       " has reserved bits set: 0x%" PRIx64,
                       i, entry);
    return 0;
  }
  if (off & (k->q->cluster_size - 1)) {
    block_check_error (
        k->c, "refcount block %" PRIu64 " at 0x%" PRIx64 " is not aligned", i,
        off);
    return 0;
  }
  if (off >= k->file_len)
    return add_beyond (k, off, k->q->cluster_size, "refcount block", e);
  if (qcow2_check_table (k, off, k->q->cluster_size, "refcount block", e) ==
      -1)
    return -1;
  n = k->counters ? k->counters[cluster] & COUNTER_MAX : 1;
  if (n != 1)
    block_check_error (k->c,
                       "refcount block %" PRIu64 " at 0x%" PRIx64
                       " is referenced %u times",
                       i, off, n);
  return 0;
}

static int
check_refcount_blocks (struct qcow2_check *k, struct err *e)
{
  uint64_t entry = 0, n = qcow2_refcount_entries (k->q);
  enum qcow2_known known;

  if (qcow2_check_table (k, k->q->refcount_offset, n * 8, "refcount table",
                         e) == -1)
    return -1;
  for (uint64_t i = 0; i < n; i++) {
    if (qcow2_refcount_entry (&k->refcounts, i, &entry, &known, e) == -1)
      return -1;
    if (known == QCOW2_REFCOUNT_BEYOND)
      return 0; /* said by the count of the table */
    if (entry && check_refcount_block (k, i, entry, e) == -1)
      return -1;
  }
  return 0;
}

/* Clusters with the same finding, one after another. */
struct run {
  uint64_t first, n, count;
  unsigned references;
  enum qcow2_known known;
};

static void
report_run (struct qcow2_check *k, const struct run *r)
{
  bool leaked = r->known == QCOW2_REFCOUNT_KNOWN && r->count > r->references;
  char counted[40] = "cannot be read", clusters[64];

  if (r->n == 0)
    return;
  if (r->known == QCOW2_REFCOUNT_KNOWN)
    snprintf (counted, sizeof counted, "is %" PRIu64, r->count);
  snprintf (clusters, sizeof clusters,
            r->n == 1 ? "cluster at 0x%" PRIx64
                      : "clusters from 0x%" PRIx64 " to 0x%" PRIx64,
            r->first << k->q->cluster_bits,
            (r->first + r->n - 1) << k->q->cluster_bits);
  /* A dirty image may have counts that are behind, and that is all. */
  (leaked || k->dirty ? block_check_notes : block_check_errors) (
      k->c, r->n, "%s: reference count %s, references are %u%s", clusters,
      counted, r->references, leaked ? " (leaked)" : "");
}

static bool
is_wrong (const struct run *r)
{
  if (r->known != QCOW2_REFCOUNT_KNOWN)
    return r->references > 0;
  /* The counter stays at its end. */
  return r->references == COUNTER_MAX ? r->count < COUNTER_MAX
                                      : r->count != r->references;
}

static void
add_to_run (struct qcow2_check *k, struct run *run, const struct run *next)
{
  if (run->n && next->first == run->first + run->n &&
      next->count == run->count && next->references == run->references &&
      next->known == run->known) {
    run->n++;
    return;
  }
  report_run (k, run);
  *run = *next;
}

static int
compare_refcounts (struct qcow2_check *k, struct err *e)
{
  struct run run = { 0 }, next;
  uint16_t counter;

  for (uint64_t i = 0; i < k->n_clusters; i++) {
    counter = k->counters[i];
    next = (struct run){ .first = i,
                         .n = 1,
                         .references = counter & COUNTER_MAX };
    if (k->b->env->cancelled)
      return err_set (e, ECANCELED, "cancelled");
    if (qcow2_refcount (&k->refcounts, i, &next.count, &next.known, e) == -1)
      return -1;
    if (is_wrong (&next))
      add_to_run (k, &run, &next);
    else if ((counter & COUNTER_TABLE) && (counter & COUNTER_DATA))
      block_check_error (k->c, "cluster at 0x%" PRIx64 " is a table and data",
                         i << k->q->cluster_bits);
  }
  report_run (k, &run);
  return 0;
}

/* Where tables are lost, what they named is not known: the counts tell how
 * far the file went.  In steps of what one block of counts covers. */
#define MAX_COUNTS_BEYOND (UINT64_C (16) << 20)

static int
find_lost_end (struct qcow2_check *k, struct err *e)
{
  uint64_t covers = qcow2_refcount_covers (k->q), n_entries, entry, last = 0;
  uint64_t cluster = k->n_clusters, count, budget = MAX_COUNTS_BEYOND;
  enum qcow2_known known;

  n_entries = qcow2_refcount_entries (k->q);
  while (cluster / covers < n_entries && budget > 0) {
    if (qcow2_refcount_entry (&k->refcounts, cluster / covers, &entry, &known,
                              e) == -1)
      return -1;
    if (known != QCOW2_REFCOUNT_KNOWN)
      break;
    if (!entry) {
      cluster += covers - cluster % covers;
      continue;
    }
    if (qcow2_refcount (&k->refcounts, cluster, &count, &known, e) == -1)
      return -1;
    if (known == QCOW2_REFCOUNT_KNOWN && count > 0)
      last = cluster;
    cluster++;
    budget--;
  }
  if (last << k->q->cluster_bits >= k->known_end)
    reach (k, (last + 1) << k->q->cluster_bits);
  return 0;
}

/* --- all of it ------------------------------------------------------- */

static int
check_crypto (struct qcow2_check *k, struct err *e)
{
  const struct qcow2 *q = k->q;

  if (q->crypto_len > INT64_MAX || q->crypto_offset > INT64_MAX ||
      (q->crypto_offset & (q->cluster_size - 1))) {
    block_check_error (k->c, "encryption header at 0x%" PRIx64,
                       q->crypto_offset);
    return 0;
  }
  return qcow2_check_table (k, q->crypto_offset, q->crypto_len,
                            "encryption header", e);
}

/* Is what lies in the last cluster, which the file has not in full, lost? */
static int
check_data_end (struct qcow2_check *k, struct err *e)
{
  bool is_short = true;

  if (k->data_end > k->q->data->size &&
      qcow2_has_short_tail (k->b, &is_short, e) == -1)
    return -1;
  if (!is_short)
    block_check_reach (k->c, k->q->data, k->data_end);
  return 0;
}

static void
check_flags (struct qcow2_check *k)
{
  if (k->q->incompatible & QCOW2_DIRTY)
    block_check_note (k->c, "the image was not closed: its reference counts"
                            " may be behind");
  if (k->q->incompatible & QCOW2_CORRUPT)
    block_check_error (k->c, "the image is marked as corrupt");
}

static int
check_references (struct qcow2_check *k, struct err *e)
{
  const struct qcow2 *q = k->q;

  if (qcow2_check_table (k, 0, q->cluster_size, "header", e) == -1)
    return -1;
  k->active = true;
  if (check_l1 (k, q->l1_offset, q->l1_size, e) == -1)
    return -1;
  k->active = false;
  if (check_snapshots (k, e) == -1 || check_crypto (k, e) == -1 ||
      qcow2_check_bitmaps (k, e) == -1 || check_refcount_blocks (k, e) == -1)
    return -1;
  if (k->n_beyond)
    block_check_errors (k->c, k->n_beyond,
                        "%" PRIu64 " clusters or tables lie beyond the end of"
                        " the file",
                        k->n_beyond);
  if (k->n_beyond && !k->dirty && find_lost_end (k, e) == -1)
    return -1;
  return check_data_end (k, e);
}

static int
check_all (struct qcow2_check *k, struct err *e)
{
  check_flags (k);
  if (check_references (k, e) == -1)
    return -1;
  if (k->walk.out_of_budget)
    k->incomplete = "tables are named too often to follow them all";
  if (!k->counters)
    k->incomplete = "the file has too many clusters";
  if (!k->incomplete)
    return compare_refcounts (k, e);
  block_check_note (k->c, "reference counts were not compared: %s",
                    k->incomplete);
  return 0;
}

/* One more than the file has: an offset that is not aligned. */
static int
make_counters (struct qcow2_check *k, struct err *e)
{
  uint64_t n = div_up (k->file_len, k->q->cluster_size);

  k->n_clusters = n;
  if (n >= MAX_COUNTER_BYTES / sizeof *k->counters)
    return 0;
  k->counters = calloc (n + 1, sizeof *k->counters);
  return k->counters ? 0 : err_set (e, ENOMEM, "out of memory");
}

int
qcow2_check (struct block *b, struct block_check *c, struct err *e)
{
  struct qcow2_check k = { .b = b, .q = b->priv, .c = c };
  int r;

  if (block_missing_reason (k.q->data))
    block_check_error (c, "data file '%s': %s", k.q->data_file,
                       block_missing_reason (k.q->data));
  k.dirty = k.q->incompatible & QCOW2_DIRTY;
  k.walk.arg = &k;
  k.walk.l1_entry = check_l1_entry;
  k.walk.l2_entry = check_l2_entry;
  /* Whole sectors, as in qemu. */
  k.file_len = round_up (MIN (b->below->size, INT64_MAX), 512);
  r = make_counters (&k, e);
  if (r == 0)
    r = qcow2_walk_init (&k.walk, b, e);
  if (r == 0)
    r = qcow2_refcounts_init (&k.refcounts, b, e);
  if (r == 0)
    r = check_all (&k, e);
  qcow2_walk_free (&k.walk);
  qcow2_refcounts_free (&k.refcounts);
  free (k.counters);
  return r;
}
