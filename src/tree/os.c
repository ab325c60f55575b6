/* xrayfs: os/, virtio/, cloud_init_info/
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "tree/node.h"

/* --- os/ ------------------------------------------------------------- */

static int
show_family (struct node *n, struct finding *f, struct err *e)
{
  const struct guest *g = image_guest (node_image (n), e);

  return g ? show_fact (f, &g->family, e) : -1;
}

#define SHOW_OS(function, member, show)                                      \
  static int function (struct node *n, struct finding *f, struct err *e)     \
  {                                                                          \
    const struct os *os = image_os (node_image (n), e);                      \
    return os ? show (f, &os->member, e) : -1;                               \
  }
SHOW_OS (show_id, id, show_fact)
SHOW_OS (show_name, name, show_fact)
SHOW_OS (show_version, version, show_fact)
SHOW_OS (show_variant, variant, show_fact)
SHOW_OS (show_arch, arch, show_fact)
SHOW_OS (show_hostname, hostname, show_fact)
SHOW_OS (show_init, init, show_fact)
SHOW_OS (show_packages_format, packages_format, show_fact)
SHOW_OS (show_conflicts, conflicts, show_fact_lines)
SHOW_OS (show_edition, edition, show_fact)
SHOW_OS (show_build, build, show_fact)
SHOW_OS (show_service_pack, service_pack, show_fact)
SHOW_OS (show_ubr, ubr, show_fact)
SHOW_OS (show_system_root, system_root, show_fact)
SHOW_OS (show_control_set, control_set, show_fact)
SHOW_OS (show_drive_letter, drive_letter, show_fact)
SHOW_OS (show_hibernated, hibernated, show_fact)
SHOW_OS (show_connections, connections, show_fact_lines)

static int
show_packages (struct node *n, struct finding *f, struct err *e)
{
  const struct fact *p = image_packages (node_image (n), e);

  return p ? show_fact_lines (f, p, e) : -1;
}

#define SHOW_NETWORK(function, member, show)                                 \
  static int function (struct node *n, struct finding *f, struct err *e)     \
  {                                                                          \
    const struct network *w = image_network (node_image (n), e);             \
    return w ? show (f, &w->member, e) : -1;                                 \
  }
SHOW_NETWORK (show_interfaces, interfaces, show_fact_lines)
SHOW_NETWORK (show_dhcp, dhcp, show_fact)
SHOW_NETWORK (show_eth0, eth0, show_fact)
SHOW_NETWORK (show_ipv6, ipv6, show_fact)

static const struct node_def network_rows[] = {
  LIST_ROW ("interfaces", show_interfaces,
            "configured cards: name, method (dhcp, static, ipv6, none; off:"
            " not started at boot), file; tab-separated"),
  TEXT_ROW ("dhcp", show_dhcp,
            "would the instance's card get its address by DHCP: yes or no"),
  TEXT_ROW ("eth0", show_eth0, "would that card be called eth0: yes or no"),
  TEXT_ROW ("ipv6", show_ipv6,
            "does the configuration count on IPv6: yes or no"),
  LIST_ROW ("connections", show_connections,
            "names of Windows's connections to network cards"),
  END_ROWS,
};

static int
show_root_filesystem (struct node *n, struct finding *f, struct err *e)
{
  const struct guest *g = image_guest (node_image (n), e);

  if (!g)
    return -1;
  if (!g->root && !g->family.value)
    return show_fact (f, &g->family, e); /* unknown, with its reason */
  buf_add (&f->evidence, buf_str (&g->family.evidence),
           g->family.evidence.len);
  return show_text (f, g->root ? volume_name (g->root) : NULL);
}

/* A device that was not found may be on a volume that could not be probed. */
static int
check_unresolved (struct image *img, const char *fstab, struct err *e)
{
  struct volume *const *v;
  bool unresolved = false;
  size_t n;

  for (const char *p = fstab; *p; p += strcspn (p, "\n"), p += *p == '\n')
    unresolved = unresolved || !strncmp (p, "UUID=", 5) ||
                 !strncmp (p, "LABEL=", 6) || !strncmp (p, "/dev/disk/", 10);
  if (!unresolved)
    return 0;
  if (image_volumes (img, &v, &n, e) == -1)
    return -1;
  for (size_t i = 0; i < n; i++)
    if (!volume_superblock (v[i], e))
      return -1;
  return 0;
}

static int
show_fstab (struct node *n, struct finding *f, struct err *e)
{
  const struct guest *g = image_guest (node_image (n), e);

  if (!g)
    return -1;
  if (!g->root && !g->family.value)
    return show_fact (f, &g->family, e);
  buf_add (&f->evidence, buf_str (&g->notes), g->notes.len);
  if (check_unresolved (node_image (n), buf_str (&g->fstab), e) == -1)
    return -1;
  return show_lines (f, buf_str (&g->fstab));
}

static int
show_others (struct node *n, struct finding *f, struct err *e)
{
  const struct guest *g = image_guest (node_image (n), e);

  if (!g)
    return -1;
  if (!g->root && !g->family.value)
    return show_fact (f, &g->family, e);
  if (g->unread.len)
    return err_set (e, ENOTSUP, "%s", buf_str (&g->unread));
  return show_lines (f, buf_str (&g->others));
}

#define SHOW_BOOT(function, member)                                          \
  static int function (struct node *n, struct finding *f, struct err *e)     \
  {                                                                          \
    const struct boot *b = image_boot (node_image (n), e);                   \
    return b ? show_fact (f, &b->member, e) : -1;                            \
  }
SHOW_BOOT (show_firmware, firmware)
SHOW_BOOT (show_bootloader, bootloader)
SHOW_BOOT (show_default_kernel, default_kernel)
SHOW_BOOT (show_cmdline, cmdline)

/* --- os/kernels/<version>/ ------------------------------------------- */

static const struct kernel *
node_kernel (struct node *n, struct err *e)
{
  const struct boot *b = image_boot (node_image (n), e);

  return b && n->index < b->n_kernels ? &b->kernels[n->index] : NULL;
}

#define SHOW_KERNEL(function, member)                                        \
  static int function (struct node *n, struct finding *f, struct err *e)     \
  {                                                                          \
    const struct kernel *k = node_kernel (n, e);                             \
    return k ? show_text (f, k->member) : -1;                                \
  }
SHOW_KERNEL (show_kernel_image, image)
SHOW_KERNEL (show_kernel_config, config)
SHOW_KERNEL (show_kernel_initramfs, initramfs)
SHOW_KERNEL (show_kernel_modules, modules)

static int
show_kernel_native (struct node *n, struct finding *f, struct err *e)
{
  const struct fact *native =
      image_kernel_native (node_image (n), n->index, e);

  return native ? show_fact (f, native, e) : -1;
}

static int
show_kernel_driver (struct node *n, struct finding *f, struct err *e,
                    enum virtio_driver driver)
{
  const struct virtio *v = image_kernel_virtio (node_image (n), n->index, e);

  return v ? show_fact (f, &v->drivers[driver], e) : -1;
}

static int
show_kernel_virtio_blk (struct node *n, struct finding *f, struct err *e)
{
  return show_kernel_driver (n, f, e, VIRTIO_BLK);
}

static int
show_kernel_virtio_net (struct node *n, struct finding *f, struct err *e)
{
  return show_kernel_driver (n, f, e, VIRTIO_NET);
}

static const struct node_def kernel_rows[] = {
  TEXT_ROW ("image", show_kernel_image, "path of the kernel"),
  TEXT_ROW ("config", show_kernel_config, "path of its configuration"),
  TEXT_ROW ("initramfs", show_kernel_initramfs, "path of its initramfs"),
  TEXT_ROW ("modules", show_kernel_modules, "directory of its modules"),
  TEXT_ROW ("native", show_kernel_native,
            "is it the distribution's own: yes, no or unknown"),
  TEXT_ROW ("virtio_blk", show_kernel_virtio_blk, "as virtio/blk"),
  TEXT_ROW ("virtio_net", show_kernel_virtio_net, "as virtio/net"),
  END_ROWS,
};

static const struct node_def kernel_dirs[] = {
  DIR_ROW ("<version>", kernel_rows, "one kernel"),
  END_ROWS,
};

static int
list_kernels (struct node *n, struct err *e)
{
  const struct boot *b = image_boot (node_image (n), e);

  if (!b)
    return -1;
  if (b->kernels_unknown)
    return err_set (e, EIO, "%s", b->kernels_unknown);
  for (size_t i = 0; i < b->n_kernels; i++)
    if (node_add (n, b->kernels[i].version, kernel_dirs, i, e) == -1)
      return -1;
  return 0;
}

/* --- os/services/<driver>/ ------------------------------------------- */

#define SHOW_SERVICE(function, member)                                       \
  static int function (struct node *n, struct finding *f, struct err *e)     \
  {                                                                          \
    const struct os *os = image_os (node_image (n), e);                      \
    return os && n->index < os->n_services                                   \
               ? show_fact (f, &os->services[n->index].member, e)            \
               : -1;                                                         \
  }
SHOW_SERVICE (show_service_start, start)
SHOW_SERVICE (show_service_override, start_override)
SHOW_SERVICE (show_service_image, image_path)
SHOW_SERVICE (show_service_type, type)

static const struct node_def service_rows[] = {
  TEXT_ROW ("start", show_service_start,
            "0: at boot, 1: system, 2: automatic, 3: on demand, 4: disabled"),
  TEXT_ROW ("start_override", show_service_override,
            "what its StartOverride key says of hardware profile 0"),
  TEXT_ROW ("image_path", show_service_image, "its program, as registered"),
  TEXT_ROW ("type", show_service_type, "1: driver, 16: program of its own"),
  END_ROWS,
};

static const struct node_def service_dirs[] = {
  DIR_ROW ("<driver>", service_rows, "one driver or service"),
  END_ROWS,
};

static int
list_services (struct node *n, struct err *e)
{
  const struct os *os = image_os (node_image (n), e);

  if (!os)
    return -1;
  if (os->services_unknown)
    return err_set (e, EIO, "%s", os->services_unknown);
  for (size_t i = 0; i < os->n_services; i++)
    if (node_add (n, os->services[i].name, service_dirs, i, e) == -1)
      return -1;
  return 0;
}

/* --- os/obstacles/ --------------------------------------------------- */

static const struct node_def obstacle_rows[OBSTACLE_N + 1];

/* The row's place in the table is the obstacle. */
static int
show_obstacle (struct node *n, struct finding *f, struct err *e)
{
  const struct obstacles *o = image_obstacles (node_image (n), e);

  return o ? show_fact (f, &o->facts[n->def - obstacle_rows], e) : -1;
}

static const struct node_def obstacle_rows[OBSTACLE_N + 1] = {
  [OBSTACLE_DEVICE_NAMES] =
      TEXT_ROW ("device_names", show_obstacle,
                "yes: root= or fstab names a disk as /dev/sdX"),
  [OBSTACLE_DISK_IDS] =
      TEXT_ROW ("disk_ids", show_obstacle,
                "yes: root= or fstab names a disk by-path or by-id"),
  [OBSTACLE_OTHER_DISKS] =
      TEXT_ROW ("other_disks", show_obstacle,
                "yes: fstab waits for a device that is not in the image"),
  [OBSTACLE_SHADOW] =
      TEXT_ROW ("shadow", show_obstacle,
                "yes: /etc/shadow has not its normal owner and mode"),
  [OBSTACLE_HAS_RUN] =
      TEXT_ROW ("cloud_init_has_run", show_obstacle,
                "yes: cloud-init ran here, for another instance"),
  [OBSTACLE_NO_SSH] =
      TEXT_ROW ("no_ssh", show_obstacle,
                "yes: no SSH server is installed and started at boot"),
  [OBSTACLE_ROOT_FULL] =
      TEXT_ROW ("root_full", show_obstacle,
                "yes: less than 5 % of the root filesystem's bytes or inodes"
                " are free"),
  [OBSTACLE_RELABEL] =
      TEXT_ROW ("selinux_relabel", show_obstacle,
                "yes: SELinux would relabel all files, and start again"),
  [OBSTACLE_NO_BOOT_CODE] =
      TEXT_ROW ("no_boot_code", show_obstacle,
                "yes: the first sector holds no code for a BIOS"),
  [OBSTACLE_NO_ACTIVE] =
      TEXT_ROW ("no_active_partition", show_obstacle,
                "yes: none of the MBR's partitions is active, which GRUB does"
                " not ask for"),
  [OBSTACLE_NO_GRUB_CORE] = TEXT_ROW (
      "no_grub_core", show_obstacle,
      "yes: the first sector's GRUB loads sectors that are empty, or"
      " beyond the end of the disk"),
  [OBSTACLE_CONSOLE] =
      TEXT_ROW ("console", show_obstacle,
                "yes: the kernel's consoles are neither ttyS0 nor tty0"),
  END_ROWS,
};

const struct node_def os_rows[] = {
  TEXT_ROW ("family", show_family, "linux, windows, none or unknown"),
  TEXT_ROW ("id", show_id, "os-release ID"),
  TEXT_ROW ("name", show_name, "name for people"),
  TEXT_ROW ("version", show_version, "version of the distribution"),
  TEXT_ROW ("variant", show_variant,
            "variant; Windows: Server, Server Core or Client"),
  TEXT_ROW ("arch", show_arch, "of its programs: x86_64, i386, aarch64, ..."),
  TEXT_ROW ("hostname", show_hostname, "host name"),
  TEXT_ROW ("root_filesystem", show_root_filesystem,
            "where the root filesystem is: partitions/2"),
  TEXT_ROW ("firmware", show_firmware,
            "what the disk can boot with: bios, uefi, both or none"),
  TEXT_ROW ("bootloader", show_bootloader, "grub2, extlinux, ..."),
  TEXT_ROW ("default_kernel", show_default_kernel,
            "version of the kernel that starts by default"),
  COMPUTED_ROW ("kernels", list_kernels, kernel_dirs,
                "one directory per kernel"),
  TEXT_ROW ("cmdline", show_cmdline, "kernel command line of the default"),
  LIST_ROW ("fstab", show_fstab, "fstab, devices resolved, one a line"),
  TEXT_ROW ("init", show_init, "systemd, upstart, sysvinit or openrc"),
  TEXT_ROW ("packages_format", show_packages_format, "deb, rpm, apk, pacman"),
  LIST_ROW ("packages", show_packages,
            "installed packages: name, version, architecture; tab-separated"),
  DIR_ROW ("network", network_rows, "network configuration"),
  DIR_ROW ("obstacles", obstacle_rows,
           "what may keep a Linux guest from starting in the cloud"),
  TEXT_ROW ("edition", show_edition, "Windows: ServerStandard, ..."),
  TEXT_ROW ("build", show_build, "Windows: number of the build"),
  TEXT_ROW ("service_pack", show_service_pack,
            "Windows: name of the service pack"),
  TEXT_ROW ("ubr", show_ubr, "Windows: revision of the build"),
  TEXT_ROW ("system_root", show_system_root,
            "Windows: its directory, as a path below root/"),
  TEXT_ROW ("control_set", show_control_set, "Windows: ControlSet001, ..."),
  TEXT_ROW ("drive_letter", show_drive_letter,
            "Windows: the letter that it gives its own volume, as C:"),
  TEXT_ROW ("hibernated", show_hibernated,
            "Windows: does hiberfil.sys hold a saved system: yes or no"),
  COMPUTED_ROW ("services", list_services, service_dirs,
                "Windows: the drivers and services that matter to a move"),
  LIST_ROW ("conflicts", show_conflicts,
            "tools of other virtualisations that were found"),
  LIST_ROW ("others", show_others, "further operating systems, one a line"),
  END_ROWS,
};

/* --- virtio/ --------------------------------------------------------- */

int
show_has_virtio (struct node *n, struct finding *f, struct err *e)
{
  const struct virtio *v = image_virtio (node_image (n), e);

  return v ? show_fact (f, &v->has, e) : -1;
}

/* The row's place in the table is the driver. */
static int
show_driver (struct node *n, struct finding *f, struct err *e)
{
  const struct virtio *v = image_virtio (node_image (n), e);

  return v ? show_fact (f, &v->drivers[n->def - virtio_rows], e) : -1;
}

const struct node_def virtio_rows[] = {
  [VIRTIO_BLK] = TEXT_ROW ("blk", show_driver, "virtio_blk"),
  [VIRTIO_SCSI] = TEXT_ROW ("scsi", show_driver, "virtio_scsi"),
  [VIRTIO_NET] = TEXT_ROW ("net", show_driver, "virtio_net"),
  [VIRTIO_PCI] = TEXT_ROW ("pci", show_driver, "virtio_pci"),
  [VIRTIO_RING] = TEXT_ROW ("ring", show_driver, "virtio_ring"),
  [VIRTIO_CORE] = TEXT_ROW ("core", show_driver, "virtio"),
  [VIRTIO_CONSOLE] = TEXT_ROW ("console", show_driver, "virtio_console"),
  [VIRTIO_BALLOON] = TEXT_ROW ("balloon", show_driver, "virtio_balloon"),
  [VIRTIO_RNG] = TEXT_ROW ("rng", show_driver, "virtio_rng"),
  END_ROWS,
};

/* --- cloud_init_info/ ------------------------------------------------ */

int
show_cloud_init (struct node *n, struct finding *f, struct err *e)
{
  const struct cloud_init *c = image_cloud_init (node_image (n), e);

  return c ? show_fact (f, &c->would_run, e) : -1;
}

#define SHOW_CLOUD(function, member, show)                                   \
  static int function (struct node *n, struct finding *f, struct err *e)     \
  {                                                                          \
    const struct cloud_init *c = image_cloud_init (node_image (n), e);       \
    return c ? show (f, &c->member, e) : -1;                                 \
  }
SHOW_CLOUD (show_installed, installed, show_fact)
SHOW_CLOUD (show_flavour, flavour, show_fact)
SHOW_CLOUD (show_cloud_version, version, show_fact)
SHOW_CLOUD (show_enabled, enabled, show_fact)
SHOW_CLOUD (show_disabled_by, disabled_by, show_fact)
SHOW_CLOUD (show_datasources, datasources, show_fact_lines)
SHOW_CLOUD (show_config_files, config_files, show_fact_lines)
SHOW_CLOUD (show_forced_import, forced_import, show_fact)

static int
show_installed_as (struct node *n, struct finding *f, struct err *e)
{
  const struct fact *as = image_cloud_init_package (node_image (n), e);

  return as ? show_fact (f, as, e) : -1;
}

const struct node_def cloud_init_rows[] = {
  TEXT_ROW ("installed", show_installed,
            "yes, no or unknown: program, Python package and configuration"),
  TEXT_ROW ("flavour", show_flavour, "cloud-init, cloudbase-init or none"),
  TEXT_ROW ("version", show_cloud_version, "version of cloud-init"),
  TEXT_ROW ("installed_as", show_installed_as, "package or source"),
  TEXT_ROW ("enabled", show_enabled, "would it be started: yes or no"),
  TEXT_ROW ("disabled_by", show_disabled_by, "what keeps it from running"),
  LIST_ROW ("datasources", show_datasources,
            "the data sources that are tried; none: all"),
  LIST_ROW ("config_files", show_config_files,
            "the configuration files, in the order they are read"),
  TEXT_ROW ("forced_import", show_forced_import,
            "does a start-up script read the settings that a forced import"
            " leaves (qcloud_action/os.conf): yes or no"),
  END_ROWS,
};
