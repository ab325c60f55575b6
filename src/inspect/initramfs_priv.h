/* xrayfs: what the parts of the reader of an initramfs share
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_INSPECT_INITRAMFS_PRIV_H
#define XRAYFS_INSPECT_INITRAMFS_PRIV_H

#include "inspect/initramfs.h"

/* Limits against an image that wants to keep us busy: real initramfs have up
 * to some 20,000 entries and a few hundred MiB. */
#define INITRAMFS_MAX_ENTRIES 500000
#define INITRAMFS_MAX_IMAGE   (256 * 1024 * 1024) /* it is held in memory */

/* A file as it passes by, from whatever holds it. */
struct initramfs_file {
  const char *name;   /* "./" or not */
  const char *target; /* of a symbolic link, or NULL */
  bool regular;
  uint64_t size;
  /* Reads all of its SIZE bytes; called once at most. */
  int (*read) (void *arg, void *buf, struct err *e);
  void *arg;
};

/* A file of modprobe.d: one of the same name and of no lower rank takes its
 * place (modprobe.d(5)). */
struct modprobe_file {
  char *name; /* "blacklist.conf" */
  unsigned rank;
  struct buf text;
};
DEFINE_VEC (modprobe_vec, struct modprobe_file)

/* Collects what counts.  Zero-initialise, and set the first four. */
struct content {
  const char *version;
  void (*fn) (void *arg, const char *name);
  void *fn_arg;
  struct initramfs *out;

  struct modprobe_vec modprobe;
  struct name_vec direct; /* modules outside lib/modules/VERSION */
  struct buf init;        /* the script that the kernel starts */
  bool init_is_linuxrc;   /* of an initrd; /init comes before it */
  bool booster;
  uint64_t texts; /* bytes read of texts */
};

/* Errors: those of F's read, EFBIG. */
int content_take (struct content *c, const struct initramfs_file *f,
                  struct err *e) must_check;
/* When all has passed: fills in what of OUT is not there yet. */
int content_finish (struct content *c, struct err *e) must_check;
void content_free (struct content *c);

/* What is known of an init. */
enum init_kind {
  INIT_PROGRAM,    /* it is no script */
  INIT_SHELL,      /* it may load more than the modules that were named */
  INIT_UNDERSTOOD, /* it loads those, and no others */
  INIT_NO_MEMORY   /* FN failed */
};

/* Calls FN with the path of each module that SCRIPT (which is changed)
 * inserts whatever happens.  -1 from FN stops. */
enum init_kind init_script (char *script,
                            int (*fn) (void *arg, const char *path),
                            void *arg);

/* "squashfs", "erofs", "ext2", or NULL: what begins with LEN bytes at P. */
#define IMAGE_HEAD 2048
const char *image_type (const void *p, size_t len);

/* Takes all files of the filesystem in the LEN bytes at DATA.  What xrayfs
 * cannot read of it is said in OUT->hidden, and is no error.
 * Errors: EIO for a damaged one. */
int image_take (struct content *c, const char *name, const void *data,
                size_t len, struct err *e) must_check;

#endif
