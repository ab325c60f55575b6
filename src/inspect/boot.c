/* xrayfs: kernels, and which of them starts
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "base/bytes.h"
#include "inspect/boot_priv.h"
#include "inspect/windows.h"

static void
free_kernels (struct boot *b)
{
  for (size_t i = 0; i < b->n_kernels; i++)
    kernel_free (&b->kernels[i]);
  free (b->kernels);
  b->kernels = NULL;
  b->n_kernels = 0;
}

void
boot_free (struct boot *b)
{
  free_kernels (b);
  free (b->kernels_unknown);
  free (b->initramfs);
  free (b->initramfs_unknown);
  free (b->boot_code_unknown);
  fact_free (&b->firmware);
  fact_free (&b->bootloader);
  fact_free (&b->default_kernel);
  fact_free (&b->cmdline);
  *b = (struct boot){ 0 };
}

/* --- the default kernel ---------------------------------------------- */

/* No entry was found: with one kernel there is nothing to choose. */
static int
choose_without_loader (struct boot *b, struct err *e)
{
  struct kernel *newest = NULL;
  size_t bootable = 0;

  for (size_t i = 0; i < b->n_kernels; i++)
    if (b->kernels[i].image) {
      bootable++;
      newest = newest ? newest : &b->kernels[i];
    }
  if (!newest)
    return fact_unknown (&b->default_kernel, e,
                         "no kernel image in /boot or /lib/modules");
  if (bootable == 1)
    return boot_choose (b, newest, "the only kernel there is", e);
  if (fact_known (&b->bootloader))
    return fact_unknown (&b->default_kernel, e,
                         "%zu kernels, and %s's configuration names none of"
                         " them as default",
                         bootable, b->bootloader.value);
  return boot_choose (b, newest,
                      "no boot loader configuration: the newest kernel", e);
}

/* The loader's configuration is not read, or names no entry: what the chosen
 * kernel is started with is not known. */
static int
loader_not_read (struct boot *b, const char *why, struct err *e)
{
  free (b->initramfs_unknown);
  if (asprintf (&b->initramfs_unknown,
                "%s, so it is not known which initramfs"
                " is loaded",
                why) == -1) {
    b->initramfs_unknown = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  return fact_unknown (&b->cmdline, e, "%s", why);
}

/* Nothing settled the default kernel. */
static int
fall_back (struct boot *b, struct err *e)
{
  char why[160];

  if (fact_known (&b->bootloader) && *b->bootloader.value)
    snprintf (why, sizeof why,
              "the configuration of %s is not read or names no default entry",
              b->bootloader.value);
  else if (b->esp)
    snprintf (
        why, sizeof why,
        "the boot loader's configuration lies on the"
        " EFI system partition, which the guest's fstab does not mount");
  else
    return choose_without_loader (b, e);
  return loader_not_read (b, why, e) == -1 ? -1
                                           : choose_without_loader (b, e);
}

/* --- firmware -------------------------------------------------------- */

static const struct {
  const char *text, *name;
} boot_codes[] = { { "GRUB", "grub2" },
                   { "SYSLINUX", "syslinux" },
                   { "EXTLINUX", "extlinux" },
                   { "LILO", "lilo" },
                   { "Missing operating system", "windows" } };

static int
no_first_sector (struct boot *b, struct err *e)
{
  if (fact_could_not_look (&b->firmware, e) == -1)
    return -1;
  b->boot_code_unknown = strdup (b->firmware.reason);
  if (!b->boot_code_unknown)
    return err_set (e, ENOMEM, "out of memory");
  if (fact_known (&b->bootloader) || b->bootloader.reason)
    return 0;
  return fact_unknown (&b->bootloader, e, "%s", b->firmware.reason);
}

/* What a disk can boot with: BIOS needs code in the first sector; UEFI an
 * EFI system partition with a loader, which lies in a FAT. */
static int
detect_firmware (struct image *img, struct boot *b, struct err *e)
{
  const struct partition_table *t = image_table (img, e);
  unsigned char mbr[512];
  bool code, esp = false;

  if (!t)
    return -1;
  if (img->disk->size < sizeof mbr)
    return fact_set (&b->firmware, e, "none");
  for (size_t i = 0; i < t->n_partitions; i++)
    esp = esp || partition_is_esp (&t->partitions[i]);
  b->esp = esp;
  if (block_pread (img->disk, mbr, sizeof mbr, 0, e) == -1)
    return no_first_sector (b, e);
  code = !is_zero (mbr, 440) && mbr[510] == 0x55 && mbr[511] == 0xaa;
  fact_evidence (&b->firmware, "disk: boot code in the first sector: %s",
                 code ? "yes" : "no");
  fact_evidence (&b->firmware, "partition table: EFI system partition: %s",
                 esp ? "yes" : "no");
  for (size_t i = 0;
       code && !fact_known (&b->bootloader) && i < ARRAY_SIZE (boot_codes);
       i++)
    if (memmem (mbr, 440, boot_codes[i].text, strlen (boot_codes[i].text))) {
      fact_evidence (&b->bootloader, "disk: first sector says '%s'",
                     boot_codes[i].text);
      if (fact_set (&b->bootloader, e, "%s", boot_codes[i].name) == -1)
        return -1;
    }
  b->boot_code = code;
  if (esp)
    return boot_esp_firmware (img, b, e);
  return fact_set (&b->firmware, e, code ? "bios" : "none");
}

/* Facts that nothing set. */
static int
settle (struct fact *f, const struct guest *g, struct err *e)
{
  if (f->value || f->reason)
    return 0;
  if (g->family.value)
    return fact_set (f, e, "%s", "");
  return fact_unknown (f, e, "%s", g->family.reason);
}

static int
make_virtio_cells (struct image *img, struct err *e)
{
  img->virtio = calloc (img->boot.n_kernels + 1, sizeof *img->virtio);
  if (!img->virtio)
    return err_set (e, ENOMEM, "out of memory");
  for (size_t i = 0; i < img->boot.n_kernels; i++) {
    lazy_init (&img->virtio[i].cell, "os/kernels", &img->running);
    img->virtio[i].image = img;
    img->virtio[i].kernel = i;
  }
  return 0;
}

/* Half a list would say that the others are not there. */
static int
no_kernels (struct boot *b, struct err *e)
{
  free_kernels (b);
  if (boot_no_answer (b, e) == -1)
    return -1;
  b->kernels_unknown = strdup (b->default_kernel.reason);
  return b->kernels_unknown ? 1 : err_set (e, ENOMEM, "out of memory");
}

int
boot_compute (void *arg, struct err *e)
{
  struct image *img = arg;
  const struct guest *g = image_guest (img, e);
  struct boot *b = &img->boot;
  int settled = 1;

  if (!g)
    return -1;
  boot_free (b);
  if (guest_is_windows (g)) {
    settled = 1;
  } else if (g->root) {
    settled = kernels_list (&g->vfs, b, e) == -1
                  ? no_kernels (b, e)
                  : boot_loader_read (b, &g->vfs, e);
    if (settled == -1)
      return -1;
  } else if (!g->family.value &&
             !(b->kernels_unknown = strdup (g->family.reason)))
    return err_set (e, ENOMEM, "out of memory");
  if (detect_firmware (img, b, e) == -1 ||
      (guest_is_windows (g) && !b->boot_code_unknown &&
       boot_windows_compute (img, b, e) == -1) ||
      (!settled && fall_back (b, e) == -1) ||
      settle (&b->default_kernel, g, e) || settle (&b->cmdline, g, e) ||
      settle (&b->bootloader, g, e))
    return -1;
  return make_virtio_cells (img, e);
}
