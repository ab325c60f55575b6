/* xrayfs: what an initramfs holds
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One or more cpio archives (newc or crc) one after another, each as it is
 * or compressed; Linux, Documentation/driver-api/early-userspace/
 * buffer-format.rst.  Read as a stream to its end through libarchive, in
 * bounded memory: names are in no order that could be relied on, and a later
 * archive may change what an earlier one says.  A filesystem image inside
 * (dracut's squash modules), or instead, is read, too.
 */
#ifndef XRAYFS_INSPECT_INITRAMFS_H
#define XRAYFS_INSPECT_INITRAMFS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/vec.h"

DEFINE_VEC (name_vec, char *)

struct initramfs {
  struct name_vec
      modules;            /* "virtio_blk", sorted: of the version asked for */
  struct buf modprobe;    /* the modprobe.d files that count, by name */
  struct buf modules_dep; /* modules.dep of that version */
  struct buf forced;  /* conf/modules of initramfs-tools: loaded by name */
  struct buf builtin; /* modules.builtin of that version, if it is there */
  struct buf layout;  /* evidence: one segment a line */
  size_t entries;
  bool takes_blacklist; /* initramfs-tools: blacklist= on the command line */
  bool mkinitfs;        /* Alpine: blacklist= and modules= */
  bool dracut;          /* rd.driver.blacklist= */
  bool systemd;         /* its init is systemd */
  struct name_vec inserted; /* of the modules: by init itself, which neither
                               modprobe.d nor udev has a say in */
  /* Modules outside lib/modules/VERSION: whether they get loaded is not
   * known. */
  struct name_vec elsewhere;
  /* code != 0: why part of it is not known (an image inside that is not
   * read); why a file of modprobe.d is not. */
  struct err hidden, modprobe_why;
};

/* Where the bytes come from: *RET is shorter than LEN only at the end. */
struct initramfs_source {
  int (*pread) (void *arg, void *buf, size_t len, uint64_t off, size_t *ret,
                struct err *e);
  void *arg;
  uint64_t size;
  /* Called now and then with the bytes read so far; may be NULL. */
  void (*progress) (void *arg, uint64_t done, uint64_t total);
};

/* VERSION: whose modules count.  FN, if not NULL, is called with each name
 * (as `lsinitramfs` lists them).
 * Errors: EINVAL for something that is no initramfs, EIO for a damaged one,
 * ENOTSUP for a compression that is not read. */
int initramfs_read (const struct initramfs_source *source,
                    const char *version,
                    void (*fn) (void *arg, const char *name), void *arg,
                    struct initramfs *ret, struct err *e) must_check;
void initramfs_free (struct initramfs *i);

bool initramfs_has (const struct initramfs *i, const char *module);
bool initramfs_may_have (const struct initramfs *i, const char *module);
bool initramfs_inserts (const struct initramfs *i, const char *module);

/* "kernel/drivers/block/virtio-blk.ko.xz" -> "virtio_blk" in TO; false if
 * PATH does not name a module. */
bool module_name (const char *path, size_t len, char *to, size_t size);

#endif
