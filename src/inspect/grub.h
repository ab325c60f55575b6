/* xrayfs: what GRUB would start
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pure text: the GRUB manual's configuration (sections "Simple
 * configuration", "menuentry", "The GRUB environment block") as
 * grub-mkconfig writes it, and the Boot Loader Specification's type 1
 * entries.  The script is followed as far as its variables and files are
 * known (grub_vars.h); what depends on others is not claimed.
 */
#ifndef XRAYFS_INSPECT_GRUB_H
#define XRAYFS_INSPECT_GRUB_H

#include "base/buf.h"
#include "inspect/grub_vars.h"

struct boot_entry {
  char *title, *id;
  char *linux_path;  /* as written, relative to GRUB's root */
  char *initrd_path; /* all of them, separated by blanks; NULL: none */
  char *options;     /* the kernel command line */
  bool second_try;   /* with initrd_path when it failed without */
  bool conditional;  /* options are those of one of several branches */
  /* Of the Boot Loader Specification alone. */
  char *version, *machine_id, *sort_key;
  bool unified; /* type 2: a unified kernel image */
};
void boot_entry_free (struct boot_entry *b);

/* The value of KEY in a GRUB environment block; NULL: not set.  The caller
 * frees. */
char *grub_env (const char *block, const char *key);

/* Entries that come from the Boot Loader Specification's files (blscfg). */
struct grub_bls {
  bool there;
  char *key; /* of the default among them, to be freed: an id, a title, or a
                number from their first; NULL: the text does not tell */
  bool first, last; /* the menu has no other entries before them; after */
};

/* The entry of grub.cfg TEXT (which is changed) that starts by default.
 * VARS, whose env and files are set, has the variables afterwards, also if
 * this fails; the caller frees them.  RET_BLS->there: the default is among the
 * files of blscfg, or may be.
 * Returns 1: *RET is filled; 0: there is none, or the text does not tell, or,
 * if RET->title is set, it starts no Linux by itself; -1: out of memory, or a
 * failure of files->read. */
int grub_default (char *text, struct grub_vars *vars, struct boot_entry *ret,
                  struct grub_bls *ret_bls, struct err *e) must_check;

/* Puts the values of variables into B's paths and options; what has one that
 * is not known stays as it is written. */
void grub_expand_entry (struct grub_vars *vars, struct boot_entry *b);

/* One file of loader/entries.  VARS: of GRUB, or NULL: for a loader without
 * variables.  -1: out of memory. */
int bls_entry (char *text, const char *id, struct grub_vars *vars,
               struct boot_entry *ret, struct err *e) must_check;

#endif
