/* Prints what initramfs_read finds in a file, for comparing with lsinitramfs.
 *   initramfs-list FILE                    the names, one a line
 *   initramfs-list --modules VERSION FILE  the modules of that kernel
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "inspect/initramfs.h"

static int
read_file (void *arg, void *buf, size_t len, uint64_t off, size_t *ret,
           struct err *e)
{
  ssize_t n = pread (fileno (arg), buf, len, (off_t) off);

  if (n < 0)
    return err_sys (e, errno, "read");
  *ret = (size_t) n;
  return 0;
}

static void
print_name (void *arg, const char *name)
{
  if (arg)
    puts (name);
}

int
main (int argc, char **argv)
{
  bool modules = argc == 4 && !strcmp (argv[1], "--modules");
  CLEANUP_FCLOSE FILE *fp = fopen (argv[argc - 1], "re");
  struct initramfs_source source = { .pread = read_file, .arg = fp };
  struct initramfs i;
  struct err e = { 0 };
  struct stat st;

  if ((argc != 2 && !modules) || !fp || fstat (fileno (fp), &st) == -1) {
    fprintf (stderr, "usage: initramfs-list [--modules VERSION] FILE\n");
    return 2;
  }
  source.size = (uint64_t) st.st_size;
  if (initramfs_read (&source, modules ? argv[2] : "", print_name,
                      modules ? NULL : stdout, &i, &e) == -1) {
    fprintf (stderr, "initramfs-list: %s\n", e.msg);
    return 1;
  }
  for (size_t k = 0; modules && k < i.modules.len; k++)
    puts (i.modules.items[k]);
  initramfs_free (&i);
  return 0;
}
