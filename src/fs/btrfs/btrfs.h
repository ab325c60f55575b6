/* xrayfs: Btrfs: what the driver's files share
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An own reader, after the "On-disk Format" pages of the Btrfs
 * documentation.  Everything is little-endian.
 *
 * Words: a logical address is one in the filesystem's own address space; the
 * chunk tree says which devices have a copy of it, and where.  All else lies
 * in trees of blocks ("nodes", and "leaves" at level 0) of sb.nodesize bytes
 * at logical addresses; an item is found by its key (objectid, type, offset).
 * Each subvolume is a tree of its own, whose inodes are numbered from 256.
 *
 * Locking: everything is called with the filesystem's lock held.
 */
#ifndef XRAYFS_FS_BTRFS_BTRFS_H
#define XRAYFS_FS_BTRFS_BTRFS_H

#include <gcrypt.h>

#include "base/vec.h"
#include "block/cache.h"
#include "fs/fs.h"

#define BTRFS_MAX_LEVEL      8
#define BTRFS_CSUM_SIZE      32
#define BTRFS_UUID_SIZE      16
#define BTRFS_SYS_ARRAY_SIZE 2048
#define BTRFS_HEADER_SIZE    101
#define BTRFS_KEY_SIZE       17
#define BTRFS_SUPER_SIZE     4096
#define BTRFS_SUPER_COPIES   3
/* Linux: BTRFS_MAX_COMPRESSED and BTRFS_MAX_UNCOMPRESSED. */
#define BTRFS_MAX_COMPRESSED (128 * KiB)
/* Subvolumes: memory is bounded; 40 bytes each. */
#define BTRFS_MAX_ROOTS   (1U << 20)
#define BTRFS_MAX_DEVICES 1024

/* Objectids of trees, and of what lies in them. */
enum {
  BTRFS_ROOT_TREE = 1,
  BTRFS_EXTENT_TREE = 2,
  BTRFS_CHUNK_TREE = 3,
  BTRFS_FS_TREE = 5,
  BTRFS_CSUM_TREE = 7,
  BTRFS_BLOCK_GROUP_TREE = 11,
  BTRFS_FIRST_FREE = 256
};
#define BTRFS_LAST_FREE   (UINT64_MAX - 255)
#define BTRFS_EXTENT_CSUM (UINT64_MAX - 9)
#define BTRFS_TREE_LOG    (UINT64_MAX - 5)
#define BTRFS_TREE_RELOC  (UINT64_MAX - 7)

enum btrfs_type {
  BTRFS_INODE_ITEM = 1,
  BTRFS_XATTR_ITEM = 24,
  BTRFS_DIR_ITEM = 84,
  BTRFS_DIR_INDEX = 96,
  BTRFS_EXTENT_DATA = 108,
  BTRFS_CSUM_ITEM = 128,
  BTRFS_ROOT_ITEM = 132,
  BTRFS_ROOT_REF = 156,
  BTRFS_BLOCK_GROUP_ITEM = 192,
  BTRFS_DEV_ITEM = 216,
  BTRFS_CHUNK_ITEM = 228
};

/* Bits of a chunk's type. */
enum {
  BTRFS_DATA = 1,
  BTRFS_SYSTEM = 2,
  BTRFS_METADATA = 4,
  BTRFS_RAID0 = 8,
  BTRFS_RAID1 = 16,
  BTRFS_DUP = 32,
  BTRFS_RAID10 = 64,
  BTRFS_RAID5 = 128,
  BTRFS_RAID6 = 256,
  BTRFS_RAID1C3 = 512,
  BTRFS_RAID1C4 = 1024
};

/* incompat_flags */
enum {
  BTRFS_IN_METADATA_UUID = 1 << 10,
  BTRFS_IN_ZONED = 1 << 12,
  BTRFS_IN_EXTENT_TREE_V2 = 1 << 13,
  BTRFS_IN_RAID_STRIPE_TREE = 1 << 14
};
/* compat_ro_flags */
enum { BTRFS_RO_BLOCK_GROUP_TREE = 1 << 3 };
/* flags of the superblock */
#define BTRFS_SUPER_ERROR    (UINT64_C (1) << 2)
#define BTRFS_SUPER_SEEDING  (UINT64_C (1) << 32)
#define BTRFS_SUPER_METADUMP (UINT64_C (3) << 33)
/* Of the UUID or of the checksums: what metadata bear is mixed. */
#define BTRFS_SUPER_CHANGING                                                 \
  (UINT64_C (3) << 35 | UINT64_C (1) << 39 | UINT64_C (1) << 40)

/* Flags of an inode. */
enum { BTRFS_NODATASUM = 1 };

enum btrfs_compression {
  BTRFS_PLAIN,
  BTRFS_ZLIB,
  BTRFS_LZO,
  BTRFS_ZSTD,
  BTRFS_N_COMPRESSIONS
};

enum btrfs_csum {
  BTRFS_CRC32C,
  BTRFS_XXHASH,
  BTRFS_SHA256,
  BTRFS_BLAKE2,
  BTRFS_N_CSUMS
};

struct btrfs_key {
  uint64_t objectid;
  uint8_t type;
  uint64_t offset;
};

/* A superblock, checked. */
struct btrfs_super {
  unsigned char fsid[BTRFS_UUID_SIZE];
  unsigned char metadata_uuid[BTRFS_UUID_SIZE]; /* that metadata bear */
  uint64_t flags, generation, root, chunk_root, log_root;
  uint64_t total, used, root_dir, n_devices;
  uint64_t chunk_root_generation, compat_ro, incompat;
  uint32_t sectorsize, nodesize, sys_array_size;
  unsigned root_level, chunk_root_level;
  enum btrfs_csum csum;
  uint64_t devid, dev_total;
  unsigned char dev_uuid[BTRFS_UUID_SIZE];
  char sys_array[BTRFS_SYS_ARRAY_SIZE];
};

struct btrfs_device {
  uint64_t id;
  unsigned char uuid[BTRFS_UUID_SIZE];
  unsigned char fsid[BTRFS_UUID_SIZE]; /* another's: a seed device */
  uint64_t total, used;                /* bytes: 0 if not known */
  uint64_t generation;                 /* of its superblock */
  struct block *block;                 /* NULL: it is missing */
};
DEFINE_VEC (btrfs_device_vec, struct btrfs_device)

struct btrfs_stripe {
  uint64_t devid, offset;
};
DEFINE_VEC (btrfs_stripe_vec, struct btrfs_stripe)

struct btrfs_chunk {
  uint64_t start, length, type;
  unsigned n_stripes, sub_stripes;
  size_t first; /* in the list of stripes */
};
DEFINE_VEC (btrfs_chunk_vec, struct btrfs_chunk)

/* Sorted by logical address, without overlaps. */
struct btrfs_map {
  struct btrfs_chunk_vec chunks;
  struct btrfs_stripe_vec stripes;
};

/* Where a tree begins, and what its blocks say of it. */
struct btrfs_tree {
  uint64_t id, root, generation;
  unsigned level;
};

struct btrfs_root {
  struct btrfs_tree tree;
  uint64_t dir;  /* objectid of its root directory */
  uint32_t refs; /* 0: being deleted */
};
DEFINE_VEC (btrfs_root_vec, struct btrfs_root)

struct btrfs {
  struct block *block;
  struct btrfs_super sb;
  gcry_md_hd_t hash; /* SHA-256 and BLAKE2; or NULL */
  const void *block_owner, *data_owner[BTRFS_N_COMPRESSIONS];
  struct btrfs_device_vec devices;
  struct btrfs_map map;
  struct btrfs_tree root_tree, chunk_tree, csum_tree;
  struct btrfs_tree group_tree; /* that has the block groups */
  struct btrfs_root_vec roots;  /* subvolumes, by id: [0] is the top level */
  unsigned ino_bits;            /* of a number: of the inode; then its root */
  void *links;                  /* tsearch: placeholders met */
  size_t n_links;
  char *sector; /* scratch */
};

/* --- super.c --------------------------------------------------------- */

/* Where copy number I lies. */
uint64_t btrfs_super_offset (unsigned i);

/* Copy number I on BLOCK: 1: it is valid; 0: it is not, and E says why; -1:
 * it cannot be read. */
int btrfs_super_copy (struct block *block, unsigned i,
                      struct btrfs_super *ret, struct err *e) must_check;

/* The newest valid copy on BLOCK of the filesystem that the first valid one
 * is of. */
int btrfs_super_read (struct block *block, struct btrfs_super *ret,
                      struct err *e) must_check;

/* --- csum.c ---------------------------------------------------------- */

size_t btrfs_csum_size (enum btrfs_csum type);
const char *btrfs_csum_name (enum btrfs_csum type);
/* Leaves *RET, which is NULL, where none is needed. */
int btrfs_hash_open (enum btrfs_csum type, gcry_md_hd_t *ret,
                     struct err *e) must_check;
void btrfs_hash_close (gcry_md_hd_t hash);
/* Is WANTED the checksum of the LEN bytes at DATA?  HASH: of btrfs_hash_open
 * for this TYPE. */
bool btrfs_csum_ok (enum btrfs_csum type, gcry_md_hd_t hash, const void *data,
                    size_t len, const void *wanted);

/* --- chunk.c --------------------------------------------------------- */

/* Devices: this one, and those of MEMBERS that belong to it. */
int btrfs_add_devices (struct btrfs *b, const struct fs_members *members,
                       struct err *e) must_check;

/* What the superblock says of the chunks of the chunk tree, and then what
 * that says of all. */
int btrfs_read_sys_array (struct btrfs *b, struct err *e) must_check;
int btrfs_read_chunk_tree (struct btrfs *b, struct err *e) must_check;
void btrfs_map_free (struct btrfs_map *m);

/* NULL: there is none. */
const struct btrfs_chunk *btrfs_chunk_at (const struct btrfs *b,
                                          uint64_t logical);
/* How many copies of what it holds a chunk of this TYPE has. */
unsigned btrfs_copies (uint64_t type);
/* How many of its stripes are for parity. */
unsigned btrfs_parity_stripes (uint64_t type);

struct btrfs_place {
  const struct btrfs_device *device;
  uint64_t offset, length;
};
/* Where COPY (from 0) of the byte at LOGICAL lies; on a device that may be
 * missing. */
int btrfs_locate (const struct btrfs *b, uint64_t logical, unsigned copy,
                  struct btrfs_place *ret, struct err *e) must_check;

/* LEN bytes of one copy. */
int btrfs_read_copy (struct btrfs *b, uint64_t logical, unsigned copy,
                     void *buf, size_t len, struct err *e) must_check;

int btrfs_device_missing (const struct btrfs *b, const struct btrfs_device *d,
                          struct err *e);

/* --- tree.c ---------------------------------------------------------- */

struct btrfs_key btrfs_load_key (const char *p);
int btrfs_key_cmp (const struct btrfs_key *a, const struct btrfs_key *b);

/* One copy of a block is read and checked as far as it can be alone. */
int btrfs_read_block (struct btrfs *b, uint64_t logical, unsigned copy,
                      uint64_t generation, char *buf,
                      struct err *e) must_check;

/* A block of a tree, in the cache. */
struct btrfs_block {
  const char *data;
  struct cache_entry *entry;
  char *own;
};
/* How a block is reached, and what it must then say of itself. */
struct btrfs_pointer {
  uint64_t logical, generation;
  unsigned level;
  bool has_key; /* of its first item */
  struct btrfs_key key;
};
int btrfs_block_get (struct btrfs *b, const struct btrfs_tree *t,
                     const struct btrfs_pointer *p, struct btrfs_block *ret,
                     struct err *e) must_check;
void btrfs_block_put (struct btrfs *b, struct btrfs_block *k);
/* Is the block at DATA what P leads to? */
int btrfs_check_reached (const struct btrfs_tree *t,
                         const struct btrfs_pointer *p, const char *data,
                         struct err *e) must_check;
/* Prepends the place. */
int btrfs_in_tree (const struct btrfs_tree *t, uint64_t logical,
                   struct err *e);
unsigned btrfs_block_count (const char *data);
/* Pointer I of a node at LEVEL. */
struct btrfs_pointer btrfs_pointer_at (const char *data, unsigned i,
                                       unsigned level);

/* An item in a leaf.  Zero-initialise with the filesystem and the tree;
 * btrfs_cursor_end when done. */
struct btrfs_cursor {
  struct btrfs *b;
  const struct btrfs_tree *tree;
  struct btrfs_block leaf;
  unsigned n, slot;
  bool has_next;
  struct btrfs_key next; /* first key of the leaf that follows */
  struct btrfs_key key;
  const char *data;
  size_t size;
};
/* The last item up to KEY; the first from KEY on; the one that follows.  1:
 * there is one, 0: there is none, -1. */
int btrfs_find_last (struct btrfs_cursor *c, const struct btrfs_key *key,
                     struct err *e) must_check;
int btrfs_find_first (struct btrfs_cursor *c, const struct btrfs_key *key,
                      struct err *e) must_check;
int btrfs_find (struct btrfs_cursor *c, const struct btrfs_key *key,
                struct err *e) must_check;
int btrfs_next (struct btrfs_cursor *c, struct err *e) must_check;
void btrfs_cursor_end (struct btrfs_cursor *c);
#define BTRFS_CURSOR(name, b, tree)                                          \
  __attribute__ ((cleanup (btrfs_cursor_end))) struct btrfs_cursor name = {  \
    b, tree, { 0 }, 0, 0, false, { 0 }, { 0 }, NULL, 0                       \
  }

/* --- root.c ---------------------------------------------------------- */

/* A file: which inode of which subvolume.  LINK: the placeholder of a
 * subvolume, whose id is in inode. */
struct btrfs_file {
  const struct btrfs_root *root;
  uint64_t inode;
  bool link;
};

/* The trees that are needed, subvolumes, and the default one. */
int btrfs_read_roots (struct btrfs *b, struct err *e) must_check;
/* Reads a ROOT_ITEM. */
int btrfs_parse_root (const struct btrfs_cursor *c, struct btrfs_root *ret,
                      struct err *e) must_check;
/* Is ID that of a subvolume's tree? */
bool btrfs_is_subvolume (uint64_t id);
const struct btrfs_root *btrfs_root_by_id (const struct btrfs *b,
                                           uint64_t id);
int btrfs_default_root (struct btrfs *b, uint64_t *ret,
                        struct err *e) must_check;

/* Numbers for fs.h: EOVERFLOW for what does not fit. */
int btrfs_number (const struct btrfs *b, const struct btrfs_file *f,
                  uint64_t *ret, struct err *e) must_check;
int btrfs_file (const struct btrfs *b, uint64_t ino, struct btrfs_file *ret,
                struct err *e) must_check;

/* What the entry NAME of directory DIR, whose location is a subvolume, leads
 * to. */
int btrfs_cross (struct btrfs *b, const struct btrfs_file *dir, uint64_t id,
                 const char *name, size_t len, struct btrfs_file *ret,
                 struct err *e) must_check;
/* The directory in which a placeholder was met. */
uint64_t btrfs_link_dir (const struct btrfs *b, const struct btrfs_file *f);
void btrfs_links_free (struct btrfs *b);

int btrfs_subvolume (struct fs *fs, uint64_t id, uint64_t *ret,
                     struct err *e);

/* --- inode.c --------------------------------------------------------- */

struct btrfs_inode {
  struct btrfs_file file;
  struct fs_stat st;
  uint64_t flags;
};
int btrfs_inode_get (struct btrfs *b, uint64_t ino, struct btrfs_inode *ret,
                     struct err *e) must_check;

/* --- dir.c, xattr.c -------------------------------------------------- */

uint32_t btrfs_name_hash (const char *name, size_t len);

/* One of the entries that lie one after another in an item. */
struct btrfs_entry {
  struct btrfs_key location;
  unsigned type; /* DT_* */
  const char *name, *data;
  size_t name_len, data_len;
};
/* The entry at *AT, which moves behind it.  1, 0: no more, -1. */
int btrfs_entry_next (const struct btrfs_cursor *c, size_t *at,
                      struct btrfs_entry *ret, struct err *e) must_check;

int btrfs_readdir (struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *arg,
                   struct err *e);
int btrfs_lookup (struct fs *fs, uint64_t dir, const char *name, size_t len,
                  uint64_t *ret, struct err *e);
int btrfs_xattrs (struct fs *fs, uint64_t ino, fs_xattr_fn fn, void *arg,
                  struct err *e);

/* --- extent.c -------------------------------------------------------- */

int btrfs_map (struct fs *fs, uint64_t ino, uint64_t off, uint64_t len,
               struct extent *ret, struct err *e);
int btrfs_pread (struct fs *fs, uint64_t ino, void *buf, size_t len,
                 uint64_t off, struct err *e);
int btrfs_readlink (struct fs *fs, uint64_t ino, struct buf *ret,
                    struct err *e);

/* --- data.c ---------------------------------------------------------- */

/* LEN bytes of data at LOGICAL; VERIFY: against their checksums. */
int btrfs_read_data (struct btrfs *b, uint64_t logical, char *buf, size_t len,
                     bool verify, struct err *e) must_check;

/* --- compress.c ------------------------------------------------------ */

/* Decompresses LEN bytes into SIZE bytes; less than a sector may be missing
 * at the end, where a file ended when it was written, and is zero. */
int btrfs_decompress (const struct btrfs *b, enum btrfs_compression type,
                      const char *from, size_t len, char *to, size_t size,
                      struct err *e) must_check;

/* --- info.c, check.c ------------------------------------------------- */

int btrfs_info (struct fs *fs, struct fs_info *ret, struct err *e);
/* Bytes that block groups of a type in WANTED have, and use. */
int btrfs_group_sums (struct btrfs *b, uint64_t wanted, uint64_t *ret_total,
                      uint64_t *ret_used, struct err *e) must_check;
int btrfs_check (struct fs *fs, struct block_check *c, struct err *e);

#endif
