/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/remedy.h"

#include <ctype.h>
#include <string.h>

#include "base/bytes.h"

/* Who takes which commands. */
enum {
  DEBIAN = 1,  /* and Ubuntu, and whatever has dpkg */
  RH6 = 2,     /* yum, Upstart or SysV, GRUB legacy */
  RH7 = 4,     /* yum, systemd */
  RH8 = 8,     /* dnf: also Fedora */
  SUSE11 = 16, /* SysV, mkinitrd */
  SUSE = 32,   /* zypper, systemd, dracut */
  ARCH = 64,
  ALPINE = 128,
  NETPLAN = 256,    /* Ubuntu since 18.04, beside DEBIAN */
  IFUPDOWN = 512,   /* the others of DEBIAN, beside it */
  DEB_UNITS = 1024, /* of DEBIAN, beside it: with systemd */
  DEB_RC = 2048,    /* ... and with Upstart or System V init */
  DEB_TOOLS = 4096, /* of DEBIAN, beside it: with initramfs-tools */
  DEB_DRACUT = 8192 /* ... and with dracut */
};
#define RH      (RH7 | RH8)
#define YUM     (RH6 | RH7)
#define ANY     0xff
#define SYSTEMD (DEB_UNITS | RH | SUSE | ARCH)
#define GRUBBY  (RH6 | RH)

/* '@' is the argument, '%' the version of the kernel that starts. */
static const struct step {
  const char *topic;
  unsigned kinds;
  const char *commands;
} steps[] = {
  /* --- the kernel and its initramfs --- */
  { "virtio", DEB_TOOLS,
    "printf 'virtio_pci\\nvirtio_blk\\nvirtio_net\\n' >>"
    " /etc/initramfs-tools/modules\n"
    "update-initramfs -u -k %" },
  { "dracut-omits", DEB_DRACUT | GRUBBY | SUSE,
    "sed -i '/^omit_drivers/s/virtio[a-z_]*//g' '@'" },
  { "virtio", DEB_DRACUT | GRUBBY | SUSE,
    "echo 'add_drivers+=\" virtio_pci virtio_blk virtio_net \"' >"
    " /etc/dracut.conf.d/virtio.conf" },
  { "virtio", DEB_DRACUT, "dracut -f /boot/initrd.img-% %" },
  { "virtio", RH6, "dracut -f /boot/initramfs-%.img %" },
  { "virtio", RH | SUSE, "dracut -f --kver %" },
  { "virtio", SUSE11,
    "sed -i 's/^INITRD_MODULES=\"/&virtio_pci virtio_blk virtio_net /'"
    " /etc/sysconfig/kernel\n"
    "mkinitrd" },
  { "virtio", ARCH,
    "sed -i 's/^MODULES=(/&virtio_pci virtio_blk virtio_net /'"
    " /etc/mkinitcpio.conf\n"
    "mkinitcpio -P" },
  { "virtio", ALPINE,
    "sed -i 's/^features=\"/&virtio /' /etc/mkinitfs/mkinitfs.conf\n"
    "mkinitfs %" },
  { "not-blocked", ANY,
    "sed -i -E 's/^[[:space:]]*(blacklist|install)[[:space:]]+@/#&/'"
    " /etc/modprobe.d/*.conf" },
  { "same-kernel", DEBIAN, "apt-get install --reinstall linux-image-%" },
  { "same-kernel", YUM, "yum reinstall kernel-%" },
  { "same-kernel", RH8, "dnf reinstall kernel-core-%" },
  { "same-kernel", SUSE | SUSE11, "zypper install --force kernel-default" },
  { "same-kernel", ARCH, "pacman -S linux" },
  { "same-kernel", ALPINE, "apk fix linux-virt linux-lts" },
  { "kernel", NETPLAN, "apt-get install linux-image-generic" },
  { "kernel", IFUPDOWN, "apt-get install linux-image-amd64" },
  { "kernel", YUM, "yum install kernel" },
  { "kernel", RH8, "dnf install kernel" },
  { "kernel", SUSE | SUSE11, "zypper install kernel-default" },
  { "kernel", ARCH, "pacman -S linux" },
  { "kernel", ALPINE, "apk add linux-virt" },

  /* --- cloud-init --- */
  { "cloud-init", DEBIAN, "apt-get install cloud-init" },
  { "cloud-init", RH6,
    "yum install epel-release\n"
    "yum install cloud-init" },
  { "cloud-init", RH7, "yum install cloud-init" },
  { "cloud-init", RH8, "dnf install cloud-init" },
  { "cloud-init", SUSE | SUSE11, "zypper install cloud-init" },
  { "cloud-init", ARCH, "pacman -S cloud-init" },
  { "cloud-init", ALPINE,
    "apk add cloud-init\n"
    "setup-cloud-init" },
  { "cloud-init-enable", SYSTEMD,
    "systemctl enable cloud-init-local.service cloud-init.service"
    " cloud-config.service cloud-final.service" },
  { "cloud-init-enable-24.3", SYSTEMD,
    "systemctl enable cloud-init-local.service cloud-init-main.service"
    " cloud-init-network.service cloud-config.service cloud-final.service" },
  { "cloud-init-enable", DEB_RC,
    "rm -f /etc/init/cloud-init.override\n"
    "for s in cloud-init-local cloud-init cloud-config cloud-final; do"
    " update-rc.d $s defaults; done" },
  { "cloud-init-enable", RH6 | SUSE11,
    "for s in cloud-init-local cloud-init cloud-config cloud-final; do"
    " chkconfig $s on; done" },
  { "cloud-init-enable", ALPINE, "setup-cloud-init" },
  { "cloud-init-marker", ANY, "rm -f /etc/cloud/cloud-init.disabled" },
  { "cloud-init-policy", ANY, "rm -f /etc/cloud/ds-identify.cfg" },
  { "unmask", SYSTEMD, "systemctl unmask @" },
  { "datasource", ANY,
    "echo 'datasource_list: [ ConfigDrive, None ]' >"
    " /etc/cloud/cloud.cfg.d/zz_datasource.cfg" },
  { "first-boot", ANY, "rm -rf /var/lib/cloud" },

  /* --- the kernel's command line --- */
  { "kernel-arg", GRUBBY, "grubby --update-kernel=ALL --args='@'" },
  { "kernel-arg", DEBIAN,
    "sed -i 's|^GRUB_CMDLINE_LINUX=\"|&@ |' /etc/default/grub\n"
    "update-grub" },
  { "kernel-arg", SUSE,
    "sed -i 's|^GRUB_CMDLINE_LINUX=\"|&@ |' /etc/default/grub\n"
    "grub2-mkconfig -o /boot/grub2/grub.cfg" },
  { "kernel-arg", ARCH,
    "sed -i 's|^GRUB_CMDLINE_LINUX=\"|&@ |' /etc/default/grub\n"
    "grub-mkconfig -o /boot/grub/grub.cfg" },
  { "kernel-arg", SUSE11,
    "sed -i '/^ *kernel /s|$| @|' /boot/grub/menu.lst" },
  { "kernel-arg", ALPINE,
    "sed -i 's|^default_kernel_opts=\"|&@ |' /etc/update-extlinux.conf\n"
    "update-extlinux" },
  { "no-kernel-arg", GRUBBY, "grubby --update-kernel=ALL --remove-args='@'" },
  { "no-kernel-arg", DEBIAN,
    "sed -i '/^GRUB_CMDLINE/s| *@||' /etc/default/grub\n"
    "update-grub" },
  { "no-kernel-arg", SUSE,
    "sed -i '/^GRUB_CMDLINE/s| *@||' /etc/default/grub\n"
    "grub2-mkconfig -o /boot/grub2/grub.cfg" },
  { "no-kernel-arg", ARCH,
    "sed -i '/^GRUB_CMDLINE/s| *@||' /etc/default/grub\n"
    "grub-mkconfig -o /boot/grub/grub.cfg" },
  { "no-kernel-arg", SUSE11,
    "sed -i '/^ *kernel /s| *@||' /boot/grub/menu.lst" },
  { "no-kernel-arg", ALPINE,
    "sed -i '/^default_kernel_opts/s| *@||' /etc/update-extlinux.conf\n"
    "update-extlinux" },
  { "root-uuid", GRUBBY, "grubby --update-kernel=ALL --args='root=UUID=@'" },
  { "root-uuid", DEBIAN,
    "sed -i 's/^GRUB_DISABLE_LINUX_UUID=/#&/' /etc/default/grub\n"
    "update-grub" },
  { "root-uuid", SUSE,
    "sed -i 's/^GRUB_DISABLE_LINUX_UUID=/#&/' /etc/default/grub\n"
    "grub2-mkconfig -o /boot/grub2/grub.cfg" },
  { "root-uuid", ARCH,
    "sed -i 's/^GRUB_DISABLE_LINUX_UUID=/#&/' /etc/default/grub\n"
    "grub-mkconfig -o /boot/grub/grub.cfg" },
  { "root-uuid", SUSE11,
    "sed -i '/^ *kernel /s|root=[^ ]*|root=UUID=@|' /boot/grub/menu.lst" },
  { "root-uuid", ALPINE,
    "sed -i 's|^root=.*|root=UUID=@|' /etc/update-extlinux.conf\n"
    "update-extlinux" },

  /* --- what is started, and from where --- */
  { "ssh", DEBIAN, "apt-get install openssh-server" },
  { "ssh", DEB_UNITS, "systemctl enable ssh.service" },
  { "ssh", DEB_RC,
    "rm -f /etc/init/ssh.override\n"
    "update-rc.d ssh defaults" },
  { "ssh", RH6,
    "yum install openssh-server\n"
    "chkconfig sshd on" },
  { "ssh", RH7, "yum install openssh-server" },
  { "ssh", RH8, "dnf install openssh-server" },
  { "ssh", SUSE, "zypper install openssh" },
  { "ssh", SUSE11,
    "zypper install openssh\n"
    "chkconfig sshd on" },
  { "ssh", ARCH, "pacman -S openssh" },
  { "ssh", RH | SUSE | ARCH, "systemctl enable sshd.service" },
  { "ssh", ALPINE,
    "apk add openssh\n"
    "rc-update add sshd default" },
  { "boot-code", DEBIAN | RH6 | SUSE11, "grub-install /dev/sda" },
  { "boot-code", RH | SUSE, "grub2-install /dev/sda" },
  { "boot-code", ARCH, "grub-install --target=i386-pc /dev/sda" },
  { "boot-code", ALPINE,
    "dd if=/usr/share/syslinux/mbr.bin of=/dev/sda bs=440 count=1\n"
    "extlinux --install /boot" },
  { "bios", DEBIAN, "apt-get install grub-pc" },
  { "bios", RH7, "yum install grub2-pc" },
  { "bios", RH8, "dnf install grub2-pc" },
  { "bios", SUSE, "zypper install grub2-i386-pc" },
  { "active", ANY, "sfdisk --activate /dev/sda @" },
  { "shadow", DEBIAN | SUSE | SUSE11 | ALPINE,
    "chown root:shadow /etc/shadow\n"
    "chmod 640 /etc/shadow" },
  { "shadow", GRUBBY,
    "chown root:root /etc/shadow\n"
    "chmod 000 /etc/shadow" },
  { "shadow", ARCH,
    "chown root:root /etc/shadow\n"
    "chmod 600 /etc/shadow" },
  { "relabel", ANY,
    "fixfiles -F restore\n"
    "rm -f /.autorelabel" },

  /* --- room --- */
  { "room", DEBIAN, "apt-get clean" },
  { "room", YUM, "yum clean all" },
  { "room", RH8, "dnf clean all" },
  { "room", SUSE | SUSE11, "zypper clean --all" },
  { "room", ARCH, "pacman -Scc" },
  { "room", ALPINE, "apk cache clean" },
  { "room", SYSTEMD, "journalctl --vacuum-size=50M" },

  /* --- the network --- */
  { "dhcp", NETPLAN,
    "printf 'network:\\n  version: 2\\n  ethernets:\\n    eth0:\\n"
    "      dhcp4: true\\n' > /etc/netplan/99-eth0.yaml\n"
    "chmod 600 /etc/netplan/99-eth0.yaml" },
  { "dhcp", IFUPDOWN | ALPINE,
    "printf 'auto lo\\niface lo inet loopback\\nauto eth0\\n"
    "iface eth0 inet dhcp\\n' > /etc/network/interfaces" },
  { "dhcp", YUM,
    "printf 'DEVICE=eth0\\nTYPE=Ethernet\\nBOOTPROTO=dhcp\\nONBOOT=yes\\n' >"
    " /etc/sysconfig/network-scripts/ifcfg-eth0" },
  { "dhcp", RH8,
    "rm -f /etc/sysconfig/network-scripts/ifcfg-eth0\n"
    "printf '[connection]\\nid=eth0\\ntype=ethernet\\n"
    "interface-name=eth0\\n[ipv4]\\nmethod=auto\\n' >"
    " /etc/NetworkManager/system-connections/eth0.nmconnection\n"
    "chmod 600 /etc/NetworkManager/system-connections/eth0.nmconnection" },
  { "dhcp", SUSE | SUSE11,
    "printf 'BOOTPROTO=dhcp\\nSTARTMODE=auto\\n' >"
    " /etc/sysconfig/network/ifcfg-eth0" },
  { "dhcp", ARCH,
    "printf '[Match]\\nName=eth0\\n[Network]\\nDHCP=yes\\n' >"
    " /etc/systemd/network/20-eth0.network\n"
    "systemctl enable systemd-networkd.service" },
  { "net-rules", ANY, "rm -f /etc/udev/rules.d/70-persistent-net.rules" },

  /* --- tools of other machines --- */
  { "VMware Tools", DEBIAN, "apt-get purge open-vm-tools" },
  { "VMware Tools", YUM, "yum remove open-vm-tools" },
  { "VMware Tools", RH8, "dnf remove open-vm-tools" },
  { "VMware Tools", SUSE | SUSE11, "zypper remove open-vm-tools" },
  { "VMware Tools", ARCH, "pacman -R open-vm-tools" },
  { "VMware Tools", ALPINE, "apk del open-vm-tools" },
};

/* --- which distribution ---------------------------------------------- */

static bool
begins_with (const struct fact *f, const char *text)
{
  return f->value && !strncmp (f->value, text, strlen (text));
}

static unsigned
kind_of_rpm (const struct os *os)
{
  unsigned version = os->version.value
                         ? (unsigned) strtoul (os->version.value, NULL, 10)
                         : 0;

  if (begins_with (&os->id, "sle") ||
      (os->id.value && strstr (os->id.value, "suse")))
    return version && version <= 11 ? SUSE11 : SUSE;
  if (fact_is (&os->id, "fedora"))
    return RH8;
  if (fact_is (&os->id, "amzn")) /* 2, 2023, and the first: 2018.03 */
    return version == 2 ? RH7 : version >= 2022 ? RH8 : RH6;
  return version >= 8 ? RH8 : version == 7 || !version ? RH7 : RH6;
}

/* What cannot be looked at for a remedy is no reason against the verdict. */
static int
could_not_look (struct err *e)
{
  if (err_is_transient (e))
    return -1;
  err_clear (e);
  return 0;
}

/* Which program makes the initramfs of a Debian. */
static int
kind_of_initramfs (struct image *img, unsigned *ret, struct err *e)
{
  const struct guest *g = image_guest (img, e);
  int tools = g ? vfs_exists (&g->vfs, "/usr/sbin/update-initramfs", e) : -1;
  int dracut = tools == 0 ? vfs_exists (&g->vfs, "/usr/bin/dracut", e) : 0;

  *ret = dracut == 1 ? DEB_DRACUT : DEB_TOOLS;
  return tools == -1 || dracut == -1 ? could_not_look (e) : 0;
}

/* 0: not known. */
static unsigned
kind_of (const struct os *os)
{
  static const struct {
    const char *format;
    unsigned kind;
  } formats[] = { { "pacman", ARCH }, { "apk", ALPINE } };

  if (fact_is (&os->packages_format, "deb")) {
    unsigned version = os->version.value
                           ? (unsigned) strtoul (os->version.value, NULL, 10)
                           : 0;
    return DEBIAN |
           (fact_is (&os->id, "ubuntu") && version >= 18 ? NETPLAN
                                                         : IFUPDOWN) |
           (fact_is (&os->init, "upstart") || fact_is (&os->init, "sysvinit")
                ? DEB_RC
                : DEB_UNITS);
  }
  if (fact_is (&os->packages_format, "rpm"))
    return kind_of_rpm (os);
  for (size_t i = 0; i < ARRAY_SIZE (formats); i++)
    if (fact_is (&os->packages_format, formats[i].format))
      return formats[i].kind;
  return 0;
}

/* --- the text -------------------------------------------------------- */

/* May it stand in a command, within ' ' or without, and in sed's s|||? */
static bool
is_literal (const char *s)
{
  for (; *s; s++)
    if (!isalnum ((unsigned char) *s) && !strchr ("/_.:=+,- ", *s))
      return false;
  return true;
}

static void
add_step (const char *commands, const char *arg, const char *kernel,
          struct buf *to)
{
  for (const char *p = commands; *p; p++)
    if (*p == '@')
      buf_puts (to, arg ? arg : "");
    else if (*p == '%')
      buf_puts (to, kernel);
    else
      buf_add (to, p, 1);
  buf_puts (to, "\n");
}

int
remedy_add (struct image *img, const char *topic, const char *arg,
            struct buf *to, struct err *e)
{
  const struct os *os = image_os (img, e);
  const struct boot *b = os ? image_boot (img, e) : NULL;
  const char *kernel = "$(uname -r)";
  unsigned kind;

  if (!b)
    return -1;
  kind = kind_of (os);
  if (kind & DEBIAN) {
    unsigned maker;
    if (kind_of_initramfs (img, &maker, e) == -1)
      return -1;
    kind |= maker;
  }
  if (b->default_kernel.value && *b->default_kernel.value &&
      is_literal (b->default_kernel.value) &&
      !strchr (b->default_kernel.value, ' '))
    kernel = b->default_kernel.value;
  if (arg && !is_literal (arg))
    return 0;
  for (size_t i = 0; i < ARRAY_SIZE (steps); i++)
    if (!strcmp (steps[i].topic, topic) &&
        ((steps[i].kinds & kind) || steps[i].kinds == ANY))
      add_step (steps[i].commands, arg, kernel, to);
  return 0;
}

/* --- virtio ---------------------------------------------------------- */

/* dracut leaves out what omit_drivers names, whatever is added. */
static int
add_dracut_omits (struct image *img, struct buf *to, struct err *e)
{
  CLEANUP_BUF struct buf files = { 0 };
  char *path, *save = NULL;

  if (image_dracut_omits (img, "virtio", &files, e) == -1)
    return could_not_look (e);
  for (path = files.len ? strtok_r (files.data, "\n", &save) : NULL; path;
       path = strtok_r (NULL, "\n", &save))
    if (remedy_add (img, "dracut-omits", path, to, e) == -1)
      return -1;
  return 0;
}

/* What a blacklist says of DRIVER: 1: something to be undone first; 2: that
 * is all; 0: nothing; -1. */
static int
add_unblocking (struct image *img, const struct fact *driver,
                const char *module, struct buf *to, struct err *e)
{
  static const char by[] = "' keeps it from being ";
  static const char cmdline[] = " on the command line";
  const char *end = driver->reason ? strstr (driver->reason, by) : NULL;
  const char *start = end ? memchr (driver->reason, '\'',
                                    (size_t) (end - driver->reason))
                          : NULL;
  CLEANUP_FREE char *what =
      start ? strndup (start + 1, (size_t) (end - start - 1)) : NULL;
  CLEANUP_FREE char *pattern = NULL;
  char *word_end;

  if (!start)
    return 0;
  pattern = strdup (module);
  if (!what || !pattern)
    return err_set (e, ENOMEM, "out of memory");
  word_end = strstr (what, cmdline);
  if (word_end) {
    *word_end = '\0';
    return remedy_add (img, "no-kernel-arg", what, to, e) == -1 ? -1 : 2;
  }
  for (char *p = pattern; *p; p++)
    if (*p == '_')
      *p = '.';
  return remedy_add (img, "not-blocked", pattern, to, e) == -1 ? -1 : 1;
}

/* The kernel's own package again, if it has one; else the distribution's. */
static int
add_kernel (struct image *img, struct buf *to, struct err *e)
{
  const struct boot *b = image_boot (img, e);
  const struct fact *native =
      b && b->chosen
          ? image_kernel_native (img, (size_t) (b->chosen - b->kernels), e)
          : NULL;

  if (!b || (b->chosen && !native))
    return -1;
  return remedy_add (img,
                     native && fact_is (native, "yes") ? "same-kernel"
                                                       : "kernel",
                     NULL, to, e);
}

int
remedy_add_virtio (struct image *img, struct buf *to, struct err *e)
{
  static const struct {
    enum virtio_driver driver;
    const char *module;
  } needed[] = { { VIRTIO_BLK, "virtio_blk" },
                 { VIRTIO_PCI, "virtio_pci" },
                 { VIRTIO_RING, "virtio_ring" },
                 { VIRTIO_CORE, "virtio" },
                 { VIRTIO_NET, "virtio_net" } };
  const struct virtio *v = image_virtio (img, e);
  bool missing = false, rebuild = true;

  if (!v)
    return -1;
  for (size_t i = 0; i < ARRAY_SIZE (needed); i++) {
    const struct fact *f = &v->drivers[needed[i].driver];
    int r = fact_is (f, "missing")
                ? add_unblocking (img, f, needed[i].module, to, e)
                : 1;
    if (r == -1)
      return -1;
    missing = missing || r == 0;
    if (r == 2)
      rebuild = false;
  }
  /* A driver that the kernel lacks is in no initramfs. */
  if (missing && add_kernel (img, to, e) == -1)
    return -1;
  if (!rebuild && !missing)
    return 0;
  return add_dracut_omits (img, to, e) == -1
             ? -1
             : remedy_add (img, "virtio", NULL, to, e);
}

/* --- fstab ----------------------------------------------------------- */

static bool
is_by_device (const char *device)
{
  static const char *const stable[] = { "/dev/mapper/", "/dev/disk/by-uuid/",
                                        "/dev/disk/by-label/",
                                        "/dev/disk/by-id/dm-",
                                        "/dev/disk/by-id/md-" };

  if (strncmp (device, "/dev/", 5))
    return false;
  for (size_t i = 0; i < ARRAY_SIZE (stable); i++)
    if (!strncmp (device, stable[i], strlen (stable[i])))
      return false;
  return true;
}

/* "" where it is not known. */
static const char *
uuid_of (struct volume *v, struct err *e)
{
  const struct superblock *sb = v ? volume_superblock (v, e) : NULL;

  if (v && !sb)
    return NULL;
  return sb && sb->uuid && is_literal (sb->uuid) ? sb->uuid : "";
}

int
remedy_add_uuids (struct image *img, struct buf *to, struct err *e)
{
  const struct guest *g = image_guest (img, e);
  const struct boot *b = g ? image_boot (img, e) : NULL;
  const char *uuid, *root;

  if (!b)
    return -1;
  for (size_t i = 0; i < g->lines.len; i++) {
    const struct mount_line *m = &g->lines.items[i];
    if ((m->kind != MOUNT_DEVICE && m->kind != MOUNT_SWAP) ||
        !is_by_device (m->device) || !is_literal (m->device))
      continue;
    if (!(uuid = uuid_of (m->volume, e)))
      return -1;
    if (*uuid)
      buf_printf (to, "sed -i 's|^%s[[:space:]]|UUID=%s |' /etc/fstab\n",
                  m->device, uuid);
  }
  root = b->cmdline.value ? strstr (b->cmdline.value, "root=/dev/") : NULL;
  if (!root || !is_by_device (root + 5) || !g->root)
    return 0;
  if (!(uuid = uuid_of (g->root, e)))
    return -1;
  return *uuid ? remedy_add (img, "root-uuid", uuid, to, e) : 0;
}

int
remedy_add_missing_disks (struct image *img, struct buf *to, struct err *e)
{
  const struct guest *g = image_guest (img, e);

  if (!g)
    return -1;
  for (size_t i = 0; i < g->lines.len; i++) {
    const struct mount_line *m = &g->lines.items[i];
    if ((m->kind == MOUNT_DEVICE || m->kind == MOUNT_SWAP) && !m->volume &&
        !mount_is_optional (m) && is_literal (m->device))
      buf_printf (to, "sed -i 's|^%s[[:space:]]|#&|' /etc/fstab\n",
                  m->device);
  }
  return 0;
}
