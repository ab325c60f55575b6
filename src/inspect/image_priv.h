/* xrayfs: what the files of inspect/ share of an image
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_INSPECT_IMAGE_PRIV_H
#define XRAYFS_INSPECT_IMAGE_PRIV_H

#include "inspect/image.h"

struct volume {
  struct image *image;
  char *name;  /* "partitions/1", "volumes/vg-lv" */
  char *label; /* "partition 1": the noun of messages */
  unsigned index;
  const struct partition *partition; /* one of these two is NULL */
  const struct logical *logical;
  struct block *block; /* of a partition: owned; else the set's */
  struct lazy superblock_cell, fs_cell, info_cell, role_cell;
  struct superblock *superblock;
  struct fs *fs;
  struct fs_info info;
  char hidden[128]; /* of info: why what it holds cannot be seen, or "" */
  struct fact role;
};

DEFINE_VEC (text_vec, char *)

struct image {
  struct block_env env;
  char *path, *dir_path;
  struct block *file, *disk;
  struct lazy_registry running;

  struct lazy info_cell, allocation_cell, integrity_cell, qcow2_size_cell,
      contents_cell, safety_cell, table_cell, volumes_cell,
      volume_integrity_cell, guest_cell, os_cell, boot_cell, cloud_init_cell,
      cloud_init_package_cell, obstacles_cell, packages_cell, natives_cell,
      network_cell;
  struct block_info info;
  struct allocation allocation;
  struct integrity integrity;
  uint64_t qcow2_size;
  struct fact contents, safety;
  struct partition_table *table;
  struct volume **partitions; /* table_cell */
  size_t n_partitions;
  struct volume **volumes; /* volumes_cell: the partitions, and the others */
  size_t n_volumes;
  struct logical_set logical;
  struct member *members; /* what the logical volumes lie on */
  size_t n_members;
  struct err volumes_missing; /* code != 0: why some may not be listed */
  /* One per volume. */
  struct volume_integrity {
    struct lazy cell;
    struct volume *volume;
    struct integrity integrity;
  } * volume_integrity;
  size_t n_volume_integrity;
  struct guest guest;
  struct os os;
  struct boot boot;
  struct cloud_init cloud_init;
  struct fact cloud_init_package;
  struct obstacles obstacles;
  struct fact packages;
  struct natives {
    struct fact *items; /* one per kernel of boot */
    size_t n;
  } natives;
  struct network network;

  /* One per kernel of boot, made when boot was computed. */
  struct kernel_virtio {
    struct lazy cell;
    struct image *image;
    size_t kernel;
    struct virtio virtio;
  } * virtio;
  struct kernel_virtio default_virtio;

  pthread_mutex_t problems_lock;
  struct text_vec problems;
};

/* The computations, each in the file of its name; ARG is the image (or, for
 * virtio, the struct kernel_virtio). */
int allocation_compute (void *arg, struct err *e);
int integrity_compute (void *arg, struct err *e);
int qcow2_size_compute (void *arg, struct err *e);
int contents_compute (void *arg, struct err *e);
int safety_compute (void *arg, struct err *e);
int layout_compute (void *arg, struct err *e);
int logical_compute (void *arg, struct err *e);
int guest_compute (void *arg, struct err *e);
int os_compute (void *arg, struct err *e);
int boot_compute (void *arg, struct err *e);
int virtio_compute (void *arg, struct err *e);
int cloud_init_compute (void *arg, struct err *e);
int cloud_init_package_compute (void *arg, struct err *e);
int obstacles_compute (void *arg, struct err *e);
int packages_compute (void *arg, struct err *e);
int natives_compute (void *arg, struct err *e);
int network_compute (void *arg, struct err *e);

void layout_free (struct image *img);
void logical_free (struct image *img);
void guest_free (struct guest *g);
void integrity_free (struct image *img);
void os_free (struct os *os);
void boot_free (struct boot *b);
void virtio_free (struct virtio *v);
void cloud_init_free (struct cloud_init *c);
void natives_free (struct natives *n);
void obstacles_free (struct obstacles *o);
void network_free (struct network *n);

/* The command line of the default entry of the boot loader in V, which need
 * not be that of image_guest; as boot->cmdline, and neither known nor unknown
 * where there is none.  Errors: could not look. */
int boot_cmdline (const struct vfs *v, struct fact *ret,
                  struct err *e) must_check;

/* --- volumes ---------------------------------------------------------- */

/* With its cells; the caller gives it name, label and block. */
struct volume *volume_new (struct image *img, unsigned index, struct err *e);
void volume_free (struct volume *v); /* NULL is fine */

/* What V says of itself as a part of logical volumes; NULL: it is none. */
const struct member *volume_member (struct volume *v, struct err *e);

/* --- helpers for reading the guest ----------------------------------- */

#define TEXT_FILE_MAX ((size_t) 4 << 20)

/* Reads a text file.  1: read into RET; 0: it is not there; -1: could not
 * look. */
int guest_text (const struct vfs *v, const char *path, struct buf *ret,
                struct err *e) must_check;

/* 1: *RET is the file at PATH, to be read in place; 0: it is not there; -1:
 * could not look, or it is not a regular file (EIO). */
int guest_open (const struct vfs *v, const char *path, struct vfs_file *ret,
                struct err *e) must_check;

/* The value of KEY in TEXT of KEY=VALUE lines as os-release and /etc/default
 * have them (quotes and backslashes taken away); NULL: not there.  The last
 * one counts.  The caller frees. */
char *shell_value (const char *text, const char *key);

/* Calls FN for each line of TEXT, which it cuts at newlines (and changes).
 * Non-zero stops. */
int each_line (char *text, int (*fn) (void *arg, char *line), void *arg);

/* libyaml takes time by the square of open brackets and of anchors: 0 where
 * TEXT has no more of them than people write; else -1 and EFBIG. */
int yaml_is_bounded (const char *text, struct err *e) must_check;

/* Splits LINE at blanks into at most MAX words; returns their number. */
size_t split_words (char *line, char **words, size_t max);

/* The word of a kernel command line that begins with PREFIX ("root="), up to
 * the line's end; the last one counts.  NULL: there is none. */
const char *cmdline_word (const char *cmdline, const char *prefix);

/* The names in a directory that begin with PREFIX and end with SUFFIX,
 * sorted as strcmp does; none if the directory is not there.  Collected
 * first: the filesystem may not be asked from within its own listing. */
struct names {
  const char *prefix, *suffix;
  struct text_vec list;
  bool failed, too_many;
};
int names_in (const struct vfs *v, const char *dir, struct names *n,
              struct err *e) must_check;
void names_free (struct names *n);
#define CLEANUP_NAMES __attribute__ ((cleanup (names_free)))

/* Compares versions as `sort -V` does: numbers by value. */
#define version_compare strverscmp

#endif
