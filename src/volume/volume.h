/* xrayfs: partition tables and superblocks, as libblkid sees them
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_VOLUME_VOLUME_H
#define XRAYFS_VOLUME_VOLUME_H

#include "block/block.h"

/* More partitions than this are not shown: a hostile table cannot make more
 * than libblkid's own limits, this is ours. */
#define VOLUME_MAX_PARTITIONS 256

struct partition {
  unsigned number; /* as in vda1; 0: "whole", a filesystem without a table */
  uint64_t start, size; /* bytes */
  char *type;      /* "0x83", a GPT GUID in lower case, or libblkid's word */
  char *type_name; /* its common name, or NULL */
  char *uuid;      /* PARTUUID, or NULL */
  char *name;      /* GPT name, or NULL */
  uint64_t flags;  /* MBR: 0x80 if active; GPT: the attributes */
  bool bootable;   /* MBR active flag, or GPT legacy-boot bit */
  bool extended;   /* an MBR extended partition: a container */
  bool nested;     /* of a table within another partition: BSD, Solaris */
  bool beyond_end; /* reaches beyond the end of the disk */
};

/* Is P an EFI system partition, by its type? */
bool partition_is_esp (const struct partition *p) nonnull (1);

struct partition_table {
  char *type;  /* "dos", "gpt", "PMBR", ... libblkid's; "none",
                * "unpartitioned" */
  char *whole; /* TYPE of what lies on the bare disk, besides the table if
                * there is one (a hybrid ISO, a RAID member); or NULL */
  char *id;    /* disk identifier, or NULL */
  unsigned sector_size;
  struct partition *partitions; /* in the order of their numbers */
  size_t n_partitions;
  struct buf notes;  /* what was odd, one a line: protective MBR alone, ... */
  struct buf damage; /* of them: what a check of the table complains about */
};

/* Reads the partition table of DISK.  `none` with one partition 0 (whole)
 * when a filesystem, swap, LVM, LUKS ... lies on the bare disk;
 * `unpartitioned` with none when nothing is recognised.  A table without
 * partitions on a disk that holds a filesystem (libblkid takes the boot
 * sector of an exFAT for an empty `dos` one) keeps its type and has the
 * partition 0; so has one on a disk that is encrypted as a whole, whatever
 * partitions the table seems to have, and one on an ISO 9660 image (a
 * hybrid).
 * Errors: EIO if the disk cannot be read where tables and superblocks lie:
 * then nothing is known, not even that there is none. */
int partition_table_read (struct block *disk, struct partition_table **ret,
                          struct err *e) must_check nonnull (1, 2, 3);
void partition_table_free (struct partition_table *t);

/* What a superblock probe found; texts are NULL where libblkid says none. */
struct superblock {
  char *type;  /* libblkid's TYPE; "none" if nothing is recognised;
                * "ambivalent": see below */
  char *usage; /* "filesystem" "raid" "crypto" "other" */
  char *label, *uuid, *version;
  char *table;      /* type of the partition table that lies there, or NULL */
  char *ambivalent; /* a sentence that names the types, when libblkid finds
                     * more than one and blkid answers none: the finding is
                     * `unknown`, and this is the reason.  Else NULL */
};

/* Probes BLOCK (a partition or a bare disk) as `blkid -p` does.  For a
 * partition that reaches beyond the end of its disk, give the part that is
 * there, as the kernel does.
 * Errors: EIO if it cannot be read where superblocks lie. */
int superblock_probe (struct block *block, struct superblock **ret,
                      struct err *e) must_check nonnull (1, 2, 3);
void superblock_free (struct superblock *s);

/* What a superblock that holds no files says of itself: swap, or an encrypted
 * volume.  (Physical volumes and members of arrays: see logical.h.) */
struct container_info {
  uint64_t size;       /* bytes of what it holds; UINT64_MAX: not said */
  char state[24];      /* clean, dirty, hibernated */
  struct buf features; /* words */
  char hidden[128]; /* why what it holds cannot be seen: "encrypted with LUKS2
                     * (aes-xts-plain64, 512-bit key)"; "": nothing is */
};

struct container_ops {
  const char *type; /* libblkid's TYPE */
  int (*info) (struct block *block, struct container_info *ret,
               struct err *e);
};

/* The one for libblkid's TYPE, or NULL. */
const struct container_ops *container_find (const char *type) nonnull (1);
void container_info_free (struct container_info *c) nonnull (1);

extern const struct container_ops luks_container, bitlocker_container,
    swap_container, swsuspend_container;

#endif
