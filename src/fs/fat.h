/* xrayfs: FAT and exFAT: what the two drivers share
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Own readers, after Microsoft's "FAT: General Overview of On-Disk Format"
 * (version 1.03, called FATGEN in the comments) and "exFAT file system
 * specification" (called EXFAT; the comments name its sections).
 *
 * Both have a table with a word for each cluster that says which one follows
 * (the FAT), directories that are files of 32-byte slots, and no inodes: what
 * is known of a file stands in its directory.  So an inode number is the
 * place of a slot, in units of 32 bytes from the start of the partition, and
 * an inode is read again from there without any other knowledge.  The drivers
 * differ in their boot sectors and in how slots make an entry; chains,
 * inodes, lookup and reading are here once.
 *
 * Locking: everything is called with the filesystem's lock held.
 */
#ifndef XRAYFS_FS_FAT_H
#define XRAYFS_FS_FAT_H

#include "fs/fs.h"

#define FAT_SLOT     32 /* bytes */
#define FAT_ROOT_INO 1  /* within the boot sector, where no slot can be */

/* Clusters are numbered from here on: the first two words of the table have
 * another meaning. */
#define FAT_FIRST 2

/* Inodes kept with their places; each less than 2 KiB. */
#define FAT_NODES 32
/* Directories whose names are kept sorted. */
#define FAT_INDEXES 4

/* What a name can have at most, as UTF-8: 20 slots of 13 units (FATGEN, Long
 * File Name Implementation), each of at most 3 bytes; exFAT: 255 units. */
#define FAT_MAX_NAME 1024

/* Where a file's clusters are.  Zero, but for what fat_chain_init sets. */
#define FAT_MARKS 64
struct fat_chain {
  uint32_t first;
  uint64_t wanted;   /* clusters that the size asks for; UINT64_MAX: until the
                      * chain ends */
  bool contiguous;   /* without the table (EXFAT, 6.3.4.2 NoFatChain) */
  bool walked;       /* the rest is known: */
  uint64_t count;    /* clusters that can be relied on */
  struct err broken; /* code != 0: why there are no more */
  /* The cluster of each STRIDE-th one, so that none is far from a mark. */
  uint32_t marks[FAT_MARKS];
  uint64_t stride;
  /* The clusters found last, which lie together. */
  uint64_t run_at;
  uint32_t run_first, run_count;
};

/* What is known of a file. */
struct fat_file {
  uint64_t ino;
  bool is_dir, read_only, contiguous;
  uint32_t cluster;
  uint64_t size;  /* bytes; of a FAT's directory 0: its chain tells */
  uint64_t valid; /* what lies beyond was never written and reads as zeros */
  struct timespec atime, mtime, ctime;
};

/* An entry of a directory. */
struct fat_entry {
  struct fat_file file;
  uint64_t pos;            /* of its first slot in the directory, in bytes */
  char name[FAT_MAX_NAME]; /* UTF-8, NUL at the end */
  size_t len;
  char alias[40]; /* the short name of a file with a long one, or "" */
};

struct fat_node {
  struct fat_file file;
  uint64_t used; /* when, for LRU; 0: unused */
  struct fat_chain chain;
  uint32_t nlink; /* of a directory; 0: not counted yet */
};

/* A directory being read. */
struct fat_dir {
  struct fat *f;
  struct fat_node *n;
  uint64_t pos;      /* of the next slot */
  unsigned dots;     /* FAT: "." and ".." met so far */
  struct err damage; /* code != 0: an entry that was left out, and why */
  unsigned char chunk[4096];
  uint64_t chunk_pos, chunk_at; /* in the directory; in the partition */
  size_t chunk_len;
};

/* The names of a directory by their hashes. */
struct fat_index {
  uint64_t ino, used;
  struct fat_key *keys;
  size_t n;
  struct err damage; /* code != 0: there may be more names */
};

struct fat {
  struct block *block;
  const void *cache_owner;

  unsigned char boot[512]; /* of the boot sector, as it is */
  uint32_t sector_size;
  unsigned cluster_log;
  uint32_t clusters;  /* numbered from FAT_FIRST on */
  uint64_t size;      /* bytes that the filesystem claims */
  unsigned bits;      /* of a word of the table: 12, 16, 32 */
  uint64_t fat_at;    /* byte offset of the table in use */
  uint64_t data_at;   /* of cluster FAT_FIRST */
  uint64_t root_at;   /* FAT12, FAT16: of the root directory */
  uint32_t root_size; /* bytes, of that; 0: it has a chain */
  uint32_t root_cluster;
  uint64_t max_dir; /* bytes that a directory can have */

  /* 1: the next entry of D; 0: there is none; -1.  An entry that is damaged
   * is left out and noted in D. */
  int (*next) (struct fat_dir *d, struct fat_entry *ret, struct err *e);
  /* The file whose entry (its slot with the attributes) is at byte AT. */
  int (*at) (struct fat *f, uint64_t at, struct fat_file *ret, struct err *e);
  /* FAT: is that a directory?  *RET is why not, or NULL. */
  int (*check_dir) (struct fat_dir *d, const char **ret, struct err *e);

  /* Which word of UTF-16 is which in capitals.  exFAT: NULL until a name is
   * looked up, since all else can be seen without its table. */
  const uint16_t *upcase;
  int (*load_upcase) (struct fat *f, struct err *e);

  uint64_t free_clusters; /* UINT64_MAX: not counted yet */
  struct exfat *exfat;    /* what only exFAT has */

  uint64_t clock;
  struct fat_node nodes[FAT_NODES];
  struct fat_index indexes[FAT_INDEXES];
  /* The part of the table read last. */
  unsigned char words[4096];
  uint64_t words_at;
  size_t n_words; /* bytes; 0: none */
};

static inline uint32_t
fat_cluster_size (const struct fat *f)
{
  return UINT32_C (1) << f->cluster_log;
}

/* Byte offset of a cluster that there is. */
static inline uint64_t
fat_cluster_at (const struct fat *f, uint32_t cluster)
{
  return f->data_at + ((uint64_t) (cluster - FAT_FIRST) << f->cluster_log);
}

static inline bool
fat_has_cluster (const struct fat *f, uint32_t cluster)
{
  return cluster >= FAT_FIRST && cluster - FAT_FIRST < f->clusters;
}

/* --- fat_chain.c ----------------------------------------------------- */

/* LEN bytes of metadata at OFF, through the cache. */
int fat_read (struct fat *f, uint64_t off, void *buf, size_t len,
              struct err *e) must_check;

/* The word of CLUSTER, which there is, in the table.  Special values are
 * FAT_FREE and above. */
#define FAT_FREE  (UINT64_C (1) << 32)
#define FAT_BAD   (FAT_FREE + 1)
#define FAT_END   (FAT_FREE + 2)
#define FAT_WRONG (FAT_FREE + 3)
int fat_word (struct fat *f, uint32_t cluster, uint64_t *ret,
              struct err *e) must_check;

void fat_chain_init (struct fat_chain *c, uint32_t first, uint64_t wanted,
                     bool contiguous);

/* Follows all of C, once.  That it is broken is no error here. */
int fat_chain_walk (struct fat *f, struct fat_chain *c,
                    struct err *e) must_check;

/* Where number INDEX is, and how many there lie together. */
int fat_chain_map (struct fat *f, struct fat_chain *c, uint64_t index,
                   uint32_t *ret_cluster, uint32_t *ret_count,
                   struct err *e) must_check;

/* How many words of the table, of all clusters, are zero: counted once. */
int fat_count_free (struct fat *f, uint64_t *ret, struct err *e) must_check;

/* --- fat_node.c ------------------------------------------------------ */

/* Inode INO, valid until the next call but FAT_NODES. */
int fat_node_get (struct fat *f, uint64_t ino, struct fat_node **ret,
                  struct err *e) must_check;

int fat_stat (struct fs *fs, uint64_t ino, struct fs_stat *ret,
              struct err *e);
int fat_map (struct fs *fs, uint64_t ino, uint64_t off, uint64_t len,
             struct extent *ret, struct err *e);
int fat_readlink (struct fs *fs, uint64_t ino, struct buf *ret,
                  struct err *e);

/* Where byte POS of N is, and how many there lie together. */
int fat_node_place (struct fat *f, struct fat_node *n, uint64_t pos,
                    uint64_t *ret_at, uint64_t *ret_len,
                    struct err *e) must_check;

/* Could a slot of a directory be at byte AT? */
int fat_check_slot (const struct fat *f, uint64_t at,
                    struct err *e) must_check;

/* Sets what both drivers have in common, once the boot sector was read. */
void fat_mount_common (struct fs *fs);
void fat_unmount (struct fs *fs);

/* --- fat_lookup.c ---------------------------------------------------- */

/* The slot at byte POS of the directory, and where that is: 1; 0: the
 * directory ends before. */
int fat_dir_slot (struct fat_dir *d, uint64_t pos, const unsigned char **ret,
                  uint64_t *ret_at, struct err *e) must_check;

/* Counts what a directory's nlink is: its subdirectories and their like. */
int fat_count_links (struct fat *f, struct fat_node *n,
                     struct err *e) must_check;

int fat_readdir (struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *arg,
                 struct err *e);
int fat_lookup (struct fs *fs, uint64_t dir, const char *name, size_t len,
                uint64_t *ret, struct err *e);

/* --- fat_name.c ------------------------------------------------------ */

/* A short name as Linux shows it with code page 437 (FATGEN, FAT Directory
 * Structure), NUL at the end.  SLOT has the 11 bytes and the flags of Windows
 * NT that say what was in lower case. */
void fat_short_name (const unsigned char *slot, char *ret, size_t size);

/* The LEN bytes of UTF-16 at FROM, up to a NUL, into RET of FAT_MAX_NAME
 * bytes; returns its length. */
size_t fat_long_name (const void *from, size_t len, char *ret);

/* The same for all names that differ in case only. */
uint32_t fat_name_hash (const struct fat *f, const char *name, size_t len);
bool fat_name_equal (const struct fat *f, const char *a, size_t a_len,
                     const char *b, size_t b_len);

/* What capitals are where a filesystem does not tell. */
const uint16_t *fat_default_upcase (void);

/* DATE and TIME as DOS stores them (FATGEN, Date and Time Formats), without
 * a time zone, and units of 10 ms.  They are taken for UTC. */
struct timespec fat_time (unsigned date, unsigned time, unsigned cs);

#endif
