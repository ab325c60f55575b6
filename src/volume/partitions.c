/* xrayfs: partition tables and superblocks, as libblkid sees them
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libblkid decides; this file gives it what it wants to read and adds what it
 * does not say.  Three differences from `blkid -p`:
 * - A GPT with sectors of 4096 bytes is found: an image does not tell the
 *   sector size of the disk that it comes from.
 * - Where RAID metadata or two superblocks on the bare disk make blkid
 *   silent about a table that has partitions, the table is shown, since every
 *   kernel will show its partitions; `whole` tells of the other.
 * - A GPT entry array of more than 4 MiB is an error (the kernel refuses it,
 *   libblkid would allocate 4 GiB).
 *
 * Locking: none; each call has its own probe and its own memfd.
 */
#include <blkid/blkid.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/vec.h"
#include "volume/partitions_priv.h"
#include "volume/spool.h"
#include "volume/volume.h"

static void
cleanup_probe (blkid_probe *pr)
{
  if (*pr)
    blkid_free_probe (*pr);
}
#define CLEANUP_PROBE __attribute__ ((cleanup (cleanup_probe)))

static void
cleanup_table (struct partition_table **t)
{
  partition_table_free (*t);
}

static void
cleanup_superblock (struct superblock **s)
{
  superblock_free (*s);
}

static int
no_memory (struct err *e)
{
  return err_set (e, ENOMEM, "out of memory");
}

/* --- asking libblkid ------------------------------------------------- */

enum { SUPERBLOCKS = 1, PARTITIONS = 2 };

/* libblkid does not look at 1024 bytes or less, and there are filesystems
 * (squashfs) that need no more: behind the end it sees zeros. */
enum { TOO_SMALL = 1024, LARGE_ENOUGH = 4096 };

/* blkid_new_probe sets libblkid up when it is first called, without a lock
 * of its own. */
static void
set_up (void)
{
  blkid_init_debug (0);
}

static int
probe_new (int fd, uint64_t size, unsigned sector, int what, blkid_probe *ret,
           struct err *e)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  CLEANUP_PROBE blkid_probe pr = NULL;

  pthread_once (&once, set_up);
  if (size <= TOO_SMALL) {
    if (ftruncate (fd, LARGE_ENOUGH) == -1)
      return err_sys (e, errno, "memory for a probe");
    size = LARGE_ENOUGH;
  }
  pr = blkid_new_probe ();
  if (!pr)
    return no_memory (e);
  if (blkid_probe_set_device (pr, fd, 0, (blkid_loff_t) size) != 0 ||
      blkid_probe_set_sectorsize (pr, sector) != 0)
    return err_set (e, EIO, "libblkid does not take the disk");
  blkid_probe_enable_superblocks (pr, !!(what & SUPERBLOCKS));
  blkid_probe_set_superblocks_flags (
      pr, BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID | BLKID_SUBLKS_TYPE |
              BLKID_SUBLKS_SECTYPE | BLKID_SUBLKS_USAGE |
              BLKID_SUBLKS_VERSION);
  blkid_probe_enable_partitions (pr, !!(what & PARTITIONS));
  blkid_probe_set_partitions_flags (pr, BLKID_PARTS_ENTRY_DETAILS);
  *ret = steal_ptr (&pr);
  return 0;
}

/* 0 found, 1 nothing, 2 ambivalent, -1 error. */
static int
probe_run (blkid_probe pr, struct err *e)
{
  int rc = blkid_do_safeprobe (pr);

  if (rc == -2)
    return 2;
  if (rc >= 0)
    return rc;
  return err_set (e, rc == -ENOMEM ? ENOMEM : EIO, "libblkid gives up (%d)",
                  rc);
}

static int
probe_value (blkid_probe pr, const char *name, char **ret, struct err *e)
{
  const char *data;
  size_t len;

  if (blkid_probe_lookup_value (pr, name, &data, &len) == -1)
    return 0;
  *ret = strndup (data, len);
  return *ret ? 0 : no_memory (e);
}

/* The sentence for more than one type. */
static int
ambivalent_types (int fd, uint64_t size, char **ret, struct err *e)
{
  CLEANUP_PROBE blkid_probe pr = NULL;
  CLEANUP_BUF struct buf b = { 0 };
  const char *type;

  if (probe_new (fd, size, SECTOR, SUPERBLOCKS, &pr, e) == -1)
    return -1;
  while (blkid_do_probe (pr) == 0)
    if (!blkid_probe_lookup_value (pr, "TYPE", &type, NULL))
      buf_printf (&b, "%s%s",
                  b.len ? ", " : "more than one type is there: ", type);
  if (buf_check (&b, e) == -1)
    return -1;
  *ret = strdup (buf_str (&b));
  return *ret ? 0 : no_memory (e);
}

static int
superblock_fill (struct superblock *s, blkid_probe pr, struct err *e)
{
  if (probe_value (pr, "TYPE", &s->type, e) == -1 ||
      probe_value (pr, "USAGE", &s->usage, e) == -1 ||
      probe_value (pr, "LABEL", &s->label, e) == -1 ||
      probe_value (pr, "UUID", &s->uuid, e) == -1 ||
      probe_value (pr, "VERSION", &s->version, e) == -1)
    return -1;
  if (!s->type && !(s->type = strdup ("none")))
    return no_memory (e);
  return 0;
}

static int
superblock_ambivalent (struct superblock *s, int fd, uint64_t size,
                       struct err *e)
{
  s->type = strdup ("ambivalent");
  if (!s->type)
    return no_memory (e);
  return ambivalent_types (fd, size, &s->ambivalent, e);
}

/* WHAT as in probe_new; RET_PTTYPE (may stay NULL) if partitions are asked
 * for. */
static int
superblock_ask (int fd, uint64_t size, int what, struct superblock **ret,
                char **ret_pttype, struct err *e)
{
  __attribute__ ((cleanup (cleanup_superblock))) struct superblock *s = NULL;
  CLEANUP_PROBE blkid_probe pr = NULL;
  int rc;

  s = calloc (1, sizeof *s);
  if (!s)
    return no_memory (e);
  if (probe_new (fd, size, SECTOR, what, &pr, e) == -1)
    return -1;
  rc = probe_run (pr, e);
  if (rc == -1 || (rc == 2 ? superblock_ambivalent (s, fd, size, e)
                           : superblock_fill (s, pr, e)) == -1)
    return -1;
  if (ret_pttype && probe_value (pr, "PTTYPE", ret_pttype, e) == -1)
    return -1;
  *ret = steal_ptr (&s);
  return 0;
}

static int
superblock_none (struct superblock **ret, struct err *e)
{
  *ret = calloc (1, sizeof **ret);
  if (*ret && ((*ret)->type = strdup ("none")))
    return 0;
  free (*ret);
  *ret = NULL;
  return no_memory (e);
}

int
superblock_probe (struct block *block, struct superblock **ret, struct err *e)
{
  __attribute__ ((cleanup (table_scout_free))) struct scout s = {
    .disk = block,
  };
  CLEANUP_FREE char *table = NULL;
  CLEANUP_CLOSE int fd = -1;

  if (block->size == 0)
    return superblock_none (ret, e);
  fd = spool_open (block, e);
  if (fd == -1)
    return -1;
  /* ZFS and md probers ignore what lies within a partition. */
  s.fd = fd;
  if (table_scout (&s, e) == -1)
    return -1;
  /* With partitions, as blkid does: a table that was written over the start
   * of a physical volume ends it. */
  if (superblock_ask (fd, block->size, SUPERBLOCKS | PARTITIONS, ret, &table,
                      e) == -1)
    return -1;
  (*ret)->table = steal_ptr (&table);
  return 0;
}

void
superblock_free (struct superblock *s)
{
  if (!s)
    return;
  free (s->type);
  free (s->usage);
  free (s->label);
  free (s->uuid);
  free (s->version);
  free (s->table);
  free (s->ambivalent);
  free (s);
}

/* --- the table ------------------------------------------------------- */

DEFINE_VEC (partition_vec, struct partition)

static int
copy_text (const char *text, char **ret, struct err *e)
{
  CLEANUP_BUF struct buf b = { 0 };

  if (!text)
    return 0;
  buf_add_line_text (&b, text, strlen (text));
  if (buf_check (&b, e) == -1)
    return -1;
  *ret = strdup (buf_str (&b));
  return *ret ? 0 : no_memory (e);
}

static int
partition_type (struct partition *p, blkid_partition par, bool dos,
                struct err *e)
{
  const char *word = blkid_partition_get_type_string (par);
  int type = blkid_partition_get_type (par);
  char hex[16];

  snprintf (hex, sizeof hex, "0x%x", (unsigned) type);
  if (copy_text (word ? word : hex, &p->type, e) == -1)
    return -1;
  return copy_text (word  ? gpt_type_name (word)
                    : dos ? mbr_type_name (type & 0xff)
                          : NULL,
                    &p->type_name, e);
}

static int
partition_fill (struct partition *p, blkid_partition par, uint64_t disk_size,
                struct err *e)
{
  blkid_parttable table = blkid_partition_get_table (par);
  const char *kind = table ? blkid_parttable_get_type (table) : "";
  bool dos = !strcmp (kind, "dos"), gpt = !strcmp (kind, "gpt");

  p->number = (unsigned) blkid_partition_get_partno (par);
  p->start = (uint64_t) blkid_partition_get_start (par) * SECTOR;
  p->size = (uint64_t) blkid_partition_get_size (par) * SECTOR;
  p->flags = blkid_partition_get_flags (par);
  p->bootable = (dos && p->flags == 0x80) || (gpt && (p->flags & 4));
  p->extended = dos && blkid_partition_is_extended (par);
  p->nested = table && blkid_parttable_get_parent (table);
  p->beyond_end = !range_within (p->start, p->size, disk_size);
  if (partition_type (p, par, dos, e) == -1 ||
      copy_text (blkid_partition_get_uuid (par), &p->uuid, e) == -1 ||
      copy_text (blkid_partition_get_name (par), &p->name, e) == -1)
    return -1;
  return 0;
}

static int
by_number (const void *a, const void *b)
{
  const struct partition *p = a, *q = b;

  return p->number < q->number ? -1 : p->number > q->number;
}

static void
partition_reset (struct partition *p)
{
  free (p->type);
  free (p->type_name);
  free (p->uuid);
  free (p->name);
}

static int
table_add (struct partition_table *t, struct partition *p, struct err *e)
{
  struct partition_vec v = { t->partitions, t->n_partitions,
                             t->n_partitions };

  if (partition_vec_push (&v, *p) == -1) {
    partition_reset (p);
    return no_memory (e);
  }
  t->partitions = v.items;
  t->n_partitions = v.len;
  return 0;
}

static int
table_add_all (struct partition_table *t, blkid_partlist list,
               uint64_t disk_size, struct err *e)
{
  int n = blkid_partlist_numof_partitions (list);
  struct partition p;

  if (n > VOLUME_MAX_PARTITIONS)
    buf_printf (&t->notes, "%d partitions: the first %d are shown\n", n,
                VOLUME_MAX_PARTITIONS);
  for (int i = 0; i < MIN (n, VOLUME_MAX_PARTITIONS); i++) {
    p = (struct partition){ 0 };
    if (partition_fill (&p, blkid_partlist_get_partition (list, i), disk_size,
                        e) == -1) {
      partition_reset (&p);
      return -1;
    }
    if (table_add (t, &p, e) == -1)
      return -1;
  }
  if (t->n_partitions)
    qsort (t->partitions, t->n_partitions, sizeof *t->partitions, by_number);
  return 0;
}

/* A partition that holds a table of its own (BSD) and reaches beyond the end
 * makes libblkid refuse the whole table, which no kernel does: let the disk
 * seem long enough. */
static int
grow_for_dos (struct scout *s, uint64_t *size, struct err *e)
{
  struct mbr_entry p;
  uint64_t end = *size;

  for (unsigned i = 0; i < 4; i++) {
    p = mbr_entry (s->mbr, i);
    end = MAX (end, ((uint64_t) p.start + p.size) * SECTOR);
  }
  if (ftruncate (s->fd, (off_t) end) == -1)
    return err_sys (e, errno, "memory for a probe");
  *size = end;
  return 0;
}

/* Fills T with the table found with this sector size: type (if any), id and
 * partitions. */
static int
table_fill (struct partition_table *t, struct scout *s, unsigned sector,
            struct err *e)
{
  CLEANUP_PROBE blkid_probe pr = NULL;
  uint64_t size = s->disk->size;
  blkid_partlist list;
  blkid_parttable table;

  if (t->type && !strcmp (t->type, "dos") && grow_for_dos (s, &size, e) == -1)
    return -1;
  if (probe_new (s->fd, size, sector, PARTITIONS, &pr, e) == -1)
    return -1;
  list = blkid_probe_get_partitions (pr);
  if (!list)
    return err_set (e, EIO, "libblkid gives no list of partitions");
  table = blkid_partlist_get_table (list);
  t->sector_size = sector;
  if (table && copy_text (blkid_parttable_get_id (table), &t->id, e) == -1)
    return -1;
  return table_add_all (t, list, s->disk->size, e);
}

static int
table_type (int fd, uint64_t size, unsigned sector, char **ret, struct err *e)
{
  CLEANUP_PROBE blkid_probe pr = NULL;

  if (probe_new (fd, size, sector, PARTITIONS, &pr, e) == -1 ||
      probe_run (pr, e) == -1)
    return -1;
  return probe_value (pr, "PTTYPE", ret, e);
}

/* Is there a GPT with sectors of 4096 bytes, and none with 512 whose primary
 * header stands?  Sets the type then. */
static int
try_gpt4096 (struct partition_table *t, struct scout *s, struct err *e)
{
  CLEANUP_FREE char *type = NULL;

  if (s->gpt512.primary.signature ||
      !(s->gpt4096.primary.valid ||
        (s->gpt4096.backup.valid && !s->gpt512.backup.valid)))
    return 0;
  if (table_type (s->fd, s->disk->size, 4096, &type, e) == -1)
    return -1;
  if (type && !strcmp (type, "gpt"))
    t->type = steal_ptr (&type);
  return 0;
}

/* blkid is silent about the table: is there one with partitions? */
static int
try_silenced (struct partition_table *t, struct scout *s, struct err *e)
{
  if (table_type (s->fd, s->disk->size, SECTOR, &t->type, e) == -1)
    return -1;
  if (!t->type)
    return 0;
  if (table_fill (t, s, SECTOR, e) == -1)
    return -1;
  if (t->n_partitions)
    return 0;
  free (t->type);
  free (t->id);
  t->type = t->id = NULL;
  return 0;
}

/* A filesystem without a table. */
static int
add_whole (struct partition_table *t, uint64_t size, struct err *e)
{
  struct partition p = { .size = size, .type = strdup ("none") };

  if (!p.type)
    return no_memory (e);
  if (table_add (t, &p, e) == -1)
    return -1;
  qsort (t->partitions, t->n_partitions, sizeof *t->partitions, by_number);
  return 0;
}

/* What is encrypted as a whole may look like a table (the places of
 * BitLocker's metadata lie where a table has its entries): it is there
 * besides what the table shows. */
static bool
is_encrypted (const char *type)
{
  return !strcmp (type, "BitLocker") || !strcmp (type, "crypto_LUKS");
}

static int
table_decide (struct partition_table *t, struct scout *s, struct err *e)
{
  __attribute__ ((cleanup (cleanup_superblock))) struct superblock *whole =
      NULL;

  if (superblock_ask (s->fd, s->disk->size, SUPERBLOCKS | PARTITIONS, &whole,
                      &t->type, e) == -1)
    return -1;
  if (strcmp (whole->type, "none"))
    t->whole = steal_ptr (&whole->type);
  if (t->type)
    return table_fill (t, s, SECTOR, e);
  if (whole->ambivalent || (whole->usage && !strcmp (whole->usage, "raid")))
    return try_silenced (t, s, e);
  return 0;
}

/* A hybrid ISO image has a table whose partitions need not show all of it. */
static bool
is_whole_shown (const struct partition_table *t)
{
  return t->whole && (!t->n_partitions || is_encrypted (t->whole) ||
                      !strcmp (t->whole, "iso9660"));
}

static int
table_find (struct partition_table *t, struct scout *s, struct err *e)
{
  const char *word;

  if (try_gpt4096 (t, s, e) == -1 ||
      (t->type ? table_fill (t, s, 4096, e) : table_decide (t, s, e)) == -1)
    return -1;
  if (is_whole_shown (t) && add_whole (t, s->disk->size, e) == -1)
    return -1;
  if (t->type)
    return 0;
  word = t->whole ? "none" : "unpartitioned";
  t->type = strdup (word);
  return t->type ? 0 : no_memory (e);
}

int
partition_table_read (struct block *disk, struct partition_table **ret,
                      struct err *e)
{
  __attribute__ ((cleanup (cleanup_table))) struct partition_table *t = NULL;
  __attribute__ ((cleanup (table_scout_free))) struct scout s = {
    .disk = disk,
  };
  CLEANUP_CLOSE int fd = -1;

  t = calloc (1, sizeof *t);
  if (!t)
    return no_memory (e);
  t->sector_size = SECTOR;
  if (disk->size) {
    fd = spool_open (disk, e);
    s.fd = fd;
    if (fd == -1 || table_scout (&s, e) == -1 ||
        table_find (t, &s, e) == -1 || table_notes (t, &s, e) == -1)
      return -1;
  } else if (!(t->type = strdup ("unpartitioned")))
    return no_memory (e);
  *ret = steal_ptr (&t);
  return 0;
}

void
partition_table_free (struct partition_table *t)
{
  if (!t)
    return;
  for (size_t i = 0; i < t->n_partitions; i++)
    partition_reset (&t->partitions[i]);
  free (t->partitions);
  free (t->type);
  free (t->whole);
  free (t->id);
  buf_free (&t->notes);
  buf_free (&t->damage);
  free (t);
}
