/* xrayfs: fuzz target: the small texts of booting
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The first byte says which parser; behind a NUL is a second text, where it
 * takes one: configurations of boot loaders other than GRUB 2, versions,
 * modprobe.d and a command line, the bytes of a module.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "inspect/blacklist.h"
#include "inspect/loaders.h"
#include "inspect/module_info.h"
#include "inspect/versions.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
loader (char which, char *text, const char *more)
{
  struct boot_entry b = { 0 };
  struct err e = { 0 };
  int r = which == 'g'   ? grub_legacy_default (text, more, &b, &e)
          : which == 's' ? syslinux_default (text, &b, &e)
          : which == 'z' ? zipl_default (text, &b, &e)
                         : lilo_default (text, &b, &e);

  if (r == 1 && (!b.linux_path || !b.title))
    abort ();
  if (r == -1 && !e.code)
    abort ();
  boot_entry_free (&b);
}

/* An order says the same both ways. */
static void
versions (const char *a, const char *b)
{
  static int (*const compare[]) (const char *, const char *) = {
    rpm_version_compare, grub_entry_compare, systemd_version_compare
  };

  for (size_t i = 0; i < sizeof compare / sizeof *compare; i++)
    if (compare[i](a, b) != -compare[i](b, a) || compare[i](a, a) != 0)
      abort ();
}

static void
blacklist (const char *modprobe, const char *cmdline)
{
  static const struct blacklist_module modules[] = {
    { "virtio_blk", "virtio:d00000002v00001AF4", "virtio_blk_init", true },
    { "virtio_ring", NULL, NULL, false }
  };
  struct blacklist_place p = { .modprobe = modprobe,
                               .cmdline = cmdline,
                               .version = "6.1",
                               .initramfs_tools = true,
                               .mkinitfs = true,
                               .dracut = MAYBE_DRACUT };
  struct blacklist b;
  struct err e = { 0 };

  for (size_t i = 0; i < 2; i++) {
    if (blacklist_find (&p, &modules[i], &b, &e) == -1)
      abort ();
    if (b.not_known && !b.found[0])
      abort ();
    blacklist_builtin (&p, &modules[i], &b);
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  CLEANUP_FREE char *text = NULL, *more = NULL, *pattern = NULL;
  struct module_info m;
  size_t len;

  if (size < 2)
    return 0;
  text = strndup ((const char *) data + 1, size - 1);
  len = 1 + strlen (text);
  more = len < size ? strndup ((const char *) data + len + 1, size - len - 1)
                    : strdup ("");
  switch (*data) {
  case 'b':
    blacklist (text, more);
    break;
  case 'd':
    pattern = systemd_boot_default (text);
    break;
  case 'm':
    module_info_parse (data + 1, size - 1, &m);
    break;
  case 'v':
    versions (text, more);
    break;
  default:
    loader ((char) *data, text, more);
  }
  return 0;
}
