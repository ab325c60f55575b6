/* xrayfs: Tencent Cloud CVM, image import as documented in 2019
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Error codes and limits: products 213/4945 (overview of image import),
 * 213/9929 (virtio), 213/12587 (cloud-init), 213/17814 (preparing Linux
 * images).  "50 GB" and "500 GB" are not defined closer; qemu-img, which the
 * pages use, prints GiB: fail above 2^30-based, warn above 10^9-based.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "policy/finding.h"
#include "policy/remedy.h"
#include "policy/tencent.h"

#define MAX_VIRTUAL (500 * GiB)
#define MAX_QCOW2   (50 * GiB)
#define GB          UINT64_C (1000000000)
#define WARN_QCOW2  (50 * GB)

/* --- the container --------------------------------------------------- */

static int
judge_url (struct image *img unused_arg, struct finding_of_rule *f,
           struct err *e unused_arg)
{
  return finding_na (f, "a local file has no URL");
}

static int
judge_format (struct image *img, struct finding_of_rule *f,
              struct err *e unused_arg)
{
  static const char *const formats[] = { "raw", "qcow2", "vhd", "vmdk" };
  const char *format = image_format (img);

  buf_puts (&f->value, format);
  for (size_t i = 0; i < ARRAY_SIZE (formats); i++)
    if (!strcmp (format, formats[i]))
      return finding_ok (f);
  buf_printf (&f->remedy, "qemu-img convert -O qcow2 '%s' disk.qcow2",
              image_path (img));
  return finding_fail (f,
                       "The format %s is not among raw, qcow2, vhd and vmdk."
                       " Convert it.",
                       format);
}

static int
judge_virtual_size (struct image *img, struct finding_of_rule *f,
                    struct err *e unused_arg)
{
  uint64_t size = image_disk (img)->size;

  buf_printf (&f->value, "%" PRIu64, size);
  if (size <= MAX_VIRTUAL)
    return finding_ok (f);
  buf_puts (&f->remedy,
            "shrink the last filesystem and its partition, then"
            " qemu-img resize --shrink, or use offline instance migration");
  return finding_fail (f,
                       "The virtual size, %" PRIu64
                       " bytes, is over the limit of"
                       " 500 GB.",
                       size);
}

/* The bound where that is enough, else the exact size, which reads all
 * data. */
static int
qcow2_size (struct image *img, uint64_t *ret, struct err *e)
{
  const struct allocation *a = image_allocation (img, e);

  if (!a)
    return -1;
  if (a->qcow2_size_bound > WARN_QCOW2)
    return image_qcow2_size (img, ret, e);
  *ret = a->qcow2_size_bound;
  return 0;
}

static int
judge_qcow2_size (struct image *img, struct finding_of_rule *f, struct err *e)
{
  uint64_t size = 0;

  if (qcow2_size (img, &size, e) == -1)
    return -1;
  buf_printf (&f->value, "%" PRIu64, size);
  if (size <= MAX_QCOW2)
    return finding_ok (f);
  buf_puts (&f->remedy,
            "delete what is not needed in the guest and run fstrim -av"
            " there, then qemu-img convert -O qcow2; or use offline instance"
            " migration");
  return finding_fail (f,
                       "The size as qcow2, %" PRIu64
                       " bytes, is over the limit of"
                       " 50 GB.",
                       size);
}

static int
warn_qcow2_size (struct image *img, struct finding_of_rule *f, struct err *e)
{
  uint64_t size = 0;

  if (qcow2_size (img, &size, e) == -1)
    return -1;
  buf_printf (&f->value, "%" PRIu64, size);
  if (size <= WARN_QCOW2 || size > MAX_QCOW2)
    return finding_ok (f);
  return finding_fail (
      f, "The size as qcow2 lies between 50 * 10^9 and 50 * 2^30"
         " bytes: it passes only if the provider's GB is a GiB.");
}

static int
warn_virtual_size (struct image *img, struct finding_of_rule *f,
                   struct err *e unused_arg)
{
  uint64_t size = image_disk (img)->size;

  buf_printf (&f->value, "%" PRIu64, size);
  if (size <= 500 * GB || size > MAX_VIRTUAL)
    return finding_ok (f);
  return finding_fail (
      f, "The virtual size lies between 500 * 10^9 and 500 * 2^30"
         " bytes: it passes only if the provider's GB is a GiB.");
}

static void
needs_other_files (struct image *img, struct finding_of_rule *f,
                   const char *which)
{
  buf_puts (&f->value, which);
  buf_printf (&f->remedy, "qemu-img convert -O qcow2 '%s' standalone.qcow2",
              image_path (img));
}

/* What would stop an import that the other codes do not say. */
static int
judge_self_contained (struct image *img, struct finding_of_rule *f,
                      struct err *e)
{
  const struct block_info *i = image_info (img, e);

  if (!i)
    return -1;
  if (i->encrypted) {
    buf_printf (&f->value, "encrypted (%s)", i->encrypted);
    buf_puts (&f->remedy, "qemu-img convert it to an unencrypted qcow2");
    return finding_fail (
        f,
        "The image is encrypted (%s): the provider cannot read"
        " it.",
        i->encrypted);
  }
  if (i->backing_file) {
    needs_other_files (img, f, "backing file");
    return finding_fail (
        f,
        "The image is an overlay: what it does not hold itself"
        " lies in its backing file '%s', which is not uploaded with"
        " it.",
        i->backing_file);
  }
  if (i->extent_files.len) {
    needs_other_files (img, f, "extent files");
    return finding_fail (
        f,
        "The data lie in other files, the first of them '%.*s', which"
        " are not uploaded with it.",
        (int) strcspn (buf_str (&i->extent_files), "\n"),
        buf_str (&i->extent_files));
  }
  if (i->data_file) {
    needs_other_files (img, f, "external data file");
    return finding_fail (f,
                         "The data lie in another file, '%s', which is not"
                         " uploaded with it.",
                         i->data_file);
  }
  buf_puts (&f->value, "yes");
  return finding_ok (f);
}

static int
judge_intact (struct image *img, struct finding_of_rule *f, struct err *e)
{
  const struct block_info *i = image_info (img, e);
  const struct integrity *damage;
  const struct partition_table *t;
  const struct guest *g;
  const struct fs_info *fs;

  if (!i)
    return -1;
  if (i->encrypted)
    return finding_na (f, "an encrypted image cannot be looked into");
  if (i->corrupt) {
    buf_puts (&f->value, "marked as corrupt");
    return finding_fail (
        f, "The image itself says that it is corrupt. Repair it with"
           " qemu-img check -r all, or export it again.");
  }
  damage = image_integrity (img, e);
  if (damage && damage->errors) {
    buf_puts (&f->value, "damaged");
    return finding_fail (
        f,
        "The container is damaged (integrity/image): %s. Export or"
        " upload it again.",
        damage->first_error);
  }
  if (!damage || !image_allocation (img, e)) {
    /* What this host could not read says nothing of the image, nor what is
     * too large or too new for us. */
    if ((e->code != EIO && e->code != EINVAL) ||
        image_disk (img)->env->read_failed)
      return -1;
    buf_puts (&f->value, "damaged");
    finding_fail (f, "The image is damaged: %s. Export or upload it again.",
                  e->msg);
    err_clear (e);
    return 0;
  }
  t = image_table (img, e);
  g = t ? image_guest (img, e) : NULL;
  if (!g)
    return -1;
  fs = g->root ? volume_fs_info (g->root, e) : NULL;
  if (fs && fs->size != UINT64_MAX &&
      fs->size > volume_block (g->root)->size) {
    buf_puts (&f->value, "cut off");
    return finding_fail (
        f,
        "The root filesystem has %" PRIu64 " bytes, of which the"
        " image lacks the last %" PRIu64 ": it is cut off. Export or"
        " upload it again.",
        fs->size, fs->size - volume_block (g->root)->size);
  }
  if (g->root && !fs)
    return -1; /* nobody knows how far it reaches */
  for (size_t k = 0; k < t->n_partitions; k++)
    if (t->partitions[k].beyond_end) {
      buf_puts (&f->value, "cut off?");
      return finding_unknown (
          f, "A partition reaches beyond the end of the disk: the"
             " image may be cut off.");
    }
  buf_puts (&f->value, "no damage met");
  return finding_ok (f);
}

/* --- the disk -------------------------------------------------------- */

static int
judge_partition_table (struct image *img, struct finding_of_rule *f,
                       struct err *e)
{
  const struct partition_table *t = image_table (img, e);
  const struct fact *contents;

  if (!t)
    return -1;
  buf_puts (&f->value, t->type);
  if (strcmp (t->type, "none") && strcmp (t->type, "unpartitioned"))
    return finding_ok (f);
  contents = image_contents (img, e);
  if (!contents)
    return -1;
  buf_puts (&f->remedy, "make the image again, of the whole disk (/dev/sda)"
                        " and not of one partition (/dev/sda1)");
  return finding_fail (
      f,
      "There is no partition table (what is there: %s): the image"
      " is incomplete. Was the start of the disk with its boot record"
      " included?",
      contents->reason ? contents->reason : "data");
}

/* What was uploaded in place of a system disk. */
static const struct {
  const char *contents, *noun, *remedy;
} wrong_files[] = {
  { "installer", "an installation medium",
    "install from it onto a disk, and upload that disk" },
  { "empty", "an empty image", "upload the system disk" },
  { "archive", "an archive",
    "unpack it, and upload the disk image that is in it" },
  { "compressed", "a compressed file",
    "decompress it, and upload the disk image that is in it" },
  { "other", "a wrong file", "upload the system disk" },
};

static int
explain_no_root (struct image *img, struct finding_of_rule *f, struct err *e)
{
  const struct fact *contents = image_contents (img, e), *role;
  struct volume *const *v;
  size_t n;
  bool boot = false, fs = false;

  if (!contents || image_volumes (img, &v, &n, e) == -1)
    return -1;
  for (size_t i = 0; i < ARRAY_SIZE (wrong_files); i++)
    if (fact_is (contents, wrong_files[i].contents)) {
      buf_puts (&f->remedy, wrong_files[i].remedy);
      return finding_fail (f, "There is no root filesystem: this is %s: %s.",
                           wrong_files[i].noun,
                           contents->reason ? contents->reason
                                            : "of no known kind");
    }
  buf_puts (&f->remedy, "upload the system disk");
  for (size_t i = 0; i < n; i++) {
    role = volume_role (v[i], e);
    if (!role)
      return -1;
    boot = boot || fact_is (role, "boot");
    fs = fs || fact_is (role, "data") || fact_is (role, "home") ||
         fact_is (role, "var");
  }
  if (boot)
    return finding_fail (f,
                         "There is no root filesystem: this is the image of a"
                         " boot partition.");
  return finding_fail (f, "There is no root filesystem: this is %s.",
                       fs ? "a data disk" : "a disk without any filesystem");
}

static int
judge_root (struct image *img, struct finding_of_rule *f, struct err *e)
{
  const struct guest *g = image_guest (img, e);
  const struct fact *contents;

  if (!g)
    return -1;
  buf_puts (&f->value, g->root           ? volume_name (g->root)
                       : g->family.value ? "none"
                                         : "unknown");
  if (g->root)
    return finding_ok (f);
  if (g->family.value)
    return explain_no_root (img, f, e);
  /* No system was ever installed on an installation medium, whether or not
   * its filesystem is read. */
  contents = image_contents (img, e);
  if (!contents)
    return -1;
  return fact_is (contents, "installer")
             ? explain_no_root (img, f, e)
             : finding_unknown (f, g->family.reason);
}

static int
warn_gpt (struct image *img, struct finding_of_rule *f, struct err *e)
{
  const struct partition_table *t = image_table (img, e);

  if (!t)
    return -1;
  buf_puts (&f->value, t->type);
  if (strcmp (t->type, "gpt"))
    return finding_ok (f);
  return finding_fail (f,
                       "The partition table is GPT: the pages on preparing an"
                       " image ask for MBR, and later versions refuse GPT.");
}

/* --- the guest ------------------------------------------------------- */

static int
judge_virtio (struct image *img, struct finding_of_rule *f, struct err *e)
{
  const struct virtio *v;
  const struct os *os;
  int r;

  v = image_virtio (img, e);
  os = v ? image_os (img, e) : NULL;
  if (!os)
    return -1;
  if ((r = finding_by_fact (f, &v->has, "yes")) != 1)
    return r;
  if (fact_is (&os->id, "windows")) {
    buf_puts (&f->remedy,
              "in the guest: install virtio-win (viostor and netkvm), and"
              " start it once with a virtio disk attached");
    return finding_fail (f,
                         "Windows would not find its disk or network card:"
                         " %s. Install the virtio drivers.",
                         v->has.reason ? v->has.reason : "no virtio driver");
  }
  if (remedy_add_virtio (img, &f->remedy, e) == -1)
    return -1;
  return finding_fail (
      f,
      "The guest would not find its disk or network card: %s."
      " Rebuild the initramfs with virtio in it.",
      v->has.reason ? v->has.reason : "no virtio driver");
}

static int
judge_cloud_init (struct image *img, struct finding_of_rule *f, struct err *e)
{
  const struct cloud_init *c;
  const struct os *os;
  int r;

  c = image_cloud_init (img, e);
  os = c ? image_os (img, e) : NULL;
  if (!os)
    return -1;
  if ((r = finding_by_fact (f, &c->installed, "yes")) != 1)
    return r;
  if (fact_is (&os->id, "windows")) {
    buf_puts (&f->remedy, "in the guest: install cloudbase-init, with"
                          " ConfigDriveService as its metadata service");
    return finding_fail (f,
                         "cloudbase-init is not installed%s%s. Install it,"
                         " or import with force.",
                         c->installed.reason ? ": " : "",
                         c->installed.reason ? c->installed.reason : "");
  }
  if (remedy_add (img, "cloud-init", NULL, &f->remedy, e) == -1 ||
      remedy_add (img, "cloud-init-enable", NULL, &f->remedy, e) == -1 ||
      remedy_add (img, "datasource", NULL, &f->remedy, e) == -1)
    return -1;
  return finding_fail (
      f,
      "cloud-init is not installed%s%s. Install it, or import with force,"
      " for which %s.",
      c->installed.reason ? ": " : "",
      c->installed.reason ? c->installed.reason : "",
      fact_is (&c->forced_import, "yes")
          ? "a start-up script that reads qcloud_action/os.conf is there"
      : fact_is (&c->forced_import, "no")
          ? "the guest lacks the start-up script that reads"
            " qcloud_action/os.conf"
          : "a start-up script has to read qcloud_action/os.conf");
}

/* UEFI alone is refused; where BIOS finds code to start, it is not alone. */
static int
judge_firmware (struct image *img, struct finding_of_rule *f, struct err *e)
{
  const struct boot *b;

  b = image_boot (img, e);
  if (!b)
    return -1;
  buf_puts (&f->value, b->boot_code_unknown ? "unknown"
                       : b->boot_code       ? "bios"
                       : b->esp             ? "uefi"
                                            : "none");
  if (b->boot_code || !b->esp)
    return finding_ok (f);
  if (b->boot_code_unknown)
    return finding_unknown (f, b->boot_code_unknown);
  if (remedy_add (img, "bios", NULL, &f->remedy, e) == -1 ||
      remedy_add (img, "boot-code", NULL, &f->remedy, e) == -1)
    return -1;
  return finding_fail (f,
                       "The disk boots by UEFI only; the instance starts by"
                       " BIOS.");
}

static int
warn_boot_code (struct image *img, struct finding_of_rule *f, struct err *e)
{
  const struct boot *b;

  b = image_boot (img, e);
  if (!b)
    return -1;
  buf_puts (&f->value, b->boot_code_unknown ? "unknown"
                       : b->boot_code       ? "yes"
                                            : "no");
  if (b->boot_code_unknown)
    return finding_unknown (f, b->boot_code_unknown);
  if (b->boot_code || b->esp)
    return finding_ok (f);
  if (remedy_add (img, "boot-code", NULL, &f->remedy, e) == -1)
    return -1;
  return finding_fail (
      f, "The first sector of the disk holds no boot code: a BIOS"
         " cannot start it.");
}

/* Damage that an import need not meet: where it would, judge_intact says
 * so. */
static int
warn_damage (struct image *img, struct finding_of_rule *f, struct err *e)
{
  const struct guest *g = image_guest (img, e);
  const struct integrity *i =
      g && g->root ? volume_integrity (g->root, e) : NULL;

  if (!g)
    return -1;
  if (!g->root || (!i && e->code == ENOTSUP)) {
    err_clear (e);
    return finding_na (f, "damage of such a filesystem is not looked for");
  }
  if (!i)
    return -1;
  buf_puts (&f->value, i->errors ? "damaged" : "no damage met");
  if (!i->errors)
    return finding_ok (f);
  return finding_fail (
      f,
      "The root filesystem is damaged: %s. Repair it with fsck in the"
      " guest, and export it again.",
      i->first_error);
}

/* --- the table ------------------------------------------------------- */

static const char *const codes[] = { "InvalidUrl",
                                     "InvalidFormatSize",
                                     "VirtioNotInstall",
                                     "PartitionNotPresent",
                                     "CloudInitNotInstalled",
                                     "RootPartitionNotFound",
                                     "InternalError",
                                     NULL };

#define DISK_RULE(name, limit, code, source, judge)                          \
  {                                                                          \
    name, limit, code, source, false, NULL, judge                            \
  }
#define GUEST_RULE(name, limit, code, source, judge)                         \
  {                                                                          \
    name, limit, code, source, true, NULL, judge                             \
  }
#define FAMILY_RULE(family, name, limit, code, source, judge)                \
  {                                                                          \
    name, limit, code, source, true, family, judge                           \
  }
#define LINUX_RULE(...)   FAMILY_RULE ("linux", __VA_ARGS__)
#define WINDOWS_RULE(...) FAMILY_RULE ("windows", __VA_ARGS__)

static const struct rule rules[] = {
  DISK_RULE ("url", "a COS object that can be read", "InvalidUrl", "213/4945",
             judge_url),
  DISK_RULE ("format", "raw, qcow2, vhd or vmdk", "InvalidFormatSize",
             "213/4945", judge_format),
  DISK_RULE ("virtual-size", "at most 536870912000 bytes",
             "InvalidFormatSize", "213/4945", judge_virtual_size),
  DISK_RULE ("qcow2-size", "at most 53687091200 bytes", "InvalidFormatSize",
             "213/4945", judge_qcow2_size),
  GUEST_RULE ("virtio", "virtio_blk and virtio_net at boot",
              "VirtioNotInstall", "213/9929", judge_virtio),
  DISK_RULE ("partition-table", "present", "PartitionNotPresent", "213/4945",
             judge_partition_table),
  GUEST_RULE ("cloud-init", "installed", "CloudInitNotInstalled", "213/12587",
              judge_cloud_init),
  DISK_RULE ("root-filesystem", "present", "RootPartitionNotFound",
             "213/4945", judge_root),
  DISK_RULE ("self-contained", "no other file, no encryption",
             "InternalError", "213/4945", judge_self_contained),
  DISK_RULE ("intact", "can be read", "InternalError", "213/4945",
             judge_intact),
  LINUX_RULE ("boot-firmware", "BIOS", "none", "213/17814", judge_firmware),
  WINDOWS_RULE ("windows-edition", "Server 2008, 2012 or 2016", "none",
                "213/4945", judge_windows_edition),
  WINDOWS_RULE ("windows-partition-table", "MBR", "none", "213/4945",
                judge_windows_table),
  WINDOWS_RULE ("windows-disk", "basic", "none", "213/4945",
                judge_windows_disk),
  WINDOWS_RULE ("windows-filesystem", "NTFS", "none", "213/4945",
                judge_windows_filesystem),
  WINDOWS_RULE ("windows-boot", "BIOS (winload.exe)", "none", "213/17815",
                judge_windows_firmware),
  DISK_RULE ("virtual-size-gb", "at most 500000000000 bytes", NULL,
             "213/4945", warn_virtual_size),
  DISK_RULE ("qcow2-size-gb", "at most 50000000000 bytes", NULL, "213/4945",
             warn_qcow2_size),
  DISK_RULE ("mbr", "MBR", NULL, "213/17814", warn_gpt),
  GUEST_RULE ("boot-code", "in the first sector", NULL, "213/17814",
              warn_boot_code),
  LINUX_RULE ("distribution", "CentOS Ubuntu Debian CoreOS openSUSE SUSE",
              NULL, "213/4945", warn_distribution),
  LINUX_RULE ("native-kernel", "yes", NULL, "213/4945", warn_native_kernel),
  GUEST_RULE ("cloud-init-enabled", "yes", NULL, "213/12587",
              warn_cloud_init_off),
  GUEST_RULE ("cloud-init-datasource", "ConfigDrive", NULL, "213/12587",
              warn_datasource),
  LINUX_RULE ("device-names", "UUID", NULL, "213/17814", warn_device_names),
  LINUX_RULE ("other-disks", "none in fstab", NULL, "213/17814",
              warn_other_disks),
  LINUX_RULE ("shadow", "normal permissions", NULL, "213/17814", warn_shadow),
  LINUX_RULE ("disk-ids", "UUID", NULL, "213/17814", warn_disk_ids),
  LINUX_RULE ("ssh", "started at boot", NULL, "213/17814", warn_ssh),
  LINUX_RULE ("root-space", "5 % of the root filesystem are free", NULL,
              "213/12849", warn_room),
  LINUX_RULE ("selinux-relabel", "not pending", NULL, "213/17814",
              warn_relabel),
  LINUX_RULE ("grub-core", "where the first sector loads it from", NULL,
              "213/17814", warn_grub_core),
  LINUX_RULE ("active-partition", "one, unless GRUB starts", NULL,
              "213/17814", warn_active),
  LINUX_RULE ("console", "ttyS0 or tty0", NULL, "213/17814", warn_console),
  LINUX_RULE ("first-boot", "cloud-init has not run", NULL, "213/12587",
              warn_has_run),
  LINUX_RULE ("network-dhcp", "DHCP", NULL, "213/4945", warn_dhcp),
  LINUX_RULE ("network-eth0", "eth0", NULL, "213/17814", warn_eth0),
  LINUX_RULE ("network-ipv6", "not needed", NULL, "213/4945", warn_ipv6),
  GUEST_RULE ("root-intact", "no damage", NULL, "213/4945", warn_damage),
  WINDOWS_RULE ("windows-connection", "Local Area Connection", NULL,
                "213/17815", warn_windows_connection),
  WINDOWS_RULE ("windows-hibernated", "no", NULL, "213/17815",
                warn_windows_hibernated),
  WINDOWS_RULE ("windows-activation", "a licence of one's own", NULL,
                "213/4945", note_windows_activation),
  GUEST_RULE ("conflicts", "no tools of other hypervisors", NULL, "213/17814",
              warn_conflicts),
  { .name = NULL },
};

const struct policy tencent_policy = {
  .name = "tencent-cvm-2019",
  .provider = "tencent-cvm",
  .document = "Tencent Cloud, Cloud Virtual Machine, overview of image import"
              " (213/4945), international edition, 2019",
  .codes = codes,
  .damaged = "InternalError",
  .rules = rules,
  .qcow2_limit = WARN_QCOW2,
};
