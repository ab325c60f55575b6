/* xrayfs: typed facts about one image
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `struct image` owns everything until image_close.  Each fact is computed
 * at most once, when it is first asked for (base/lazy.h), and what is
 * returned is const and lives as long as the image.  All functions may be
 * called from any thread.
 */
#ifndef XRAYFS_INSPECT_IMAGE_H
#define XRAYFS_INSPECT_IMAGE_H

#include "base/lazy.h"
#include "base/vec.h"
#include "block/block.h"
#include "fs/fs.h"
#include "fs/vfs.h"
#include "inspect/fact.h"
#include "inspect/fstab.h"
#include "volume/logical.h"
#include "volume/volume.h"

struct image;

/* What is handed over by whoever has the power to open files. */
struct image_source {
  int fd;           /* the image, open for reading; taken over */
  int dir_fd;       /* its directory, for references; -1: none; taken over */
  const char *path; /* as the user gave it: `source`, messages; copied */
  const char *dir_path; /* absolute path of dir_fd, or NULL; copied */
  /* Where else references may lead; fds taken over, paths copied. */
  struct block_dir follow[BLOCK_MAX_FOLLOW];
  size_t n_follow;
};

/* Opens the container; nothing else is computed.  *RET_DAMAGED (may be NULL)
 * tells a failure that lies in the image's bytes, which an import would meet
 * as well, from one of this host. */
int image_open (struct image_source *source, struct image **ret,
                bool *ret_damaged, struct err *e) must_check;

/* For tests: the same over any transport, which is taken over. */
int image_open_block (struct block *transport, struct block_env *env,
                      const char *path, struct image **ret,
                      struct err *e) must_check;

void image_close (struct image *img); /* NULL is fine */

/* From now on reads fail with ECANCELED: for a quick end. */
void image_cancel (struct image *img);

const char *image_path (const struct image *img);
const char *image_format (const struct image *img); /* "raw", "qcow2" */
struct block *image_disk (const struct image *img); /* the virtual disk */
struct block *image_file (const struct image *img); /* the container's file */
struct lazy_registry *image_running (struct image *img);

/* --- the container --------------------------------------------------- */

const struct block_info *image_info (struct image *img, struct err *e);
int image_usage (struct image *img, uint64_t *ret_length,
                 uint64_t *ret_allocated, struct err *e) must_check;

/* From one pass over the allocation map.  Cost: one map call per extent. */
struct allocation {
  uint64_t allocated;        /* bytes of guest data present */
  uint64_t qcow2_size_bound; /* as `qemu-img measure -O qcow2` */
};
const struct allocation *image_allocation (struct image *img, struct err *e);

/* Damage of the container, or of a filesystem: what was found, one a line;
 * nothing: it is whole. */
struct integrity {
  struct buf findings;
  uint64_t errors; /* of them: data are lost, or may be */
  char first_error[512];
};
const struct integrity *image_integrity (struct image *img, struct err *e);

/* The length of the file that `qemu-img convert -O qcow2` makes of it, exact.
 * Cost: reads all data, on all CPUs; who asks for a limit's sake asks
 * image_allocation first. */
int image_qcow2_size (struct image *img, uint64_t *ret,
                      struct err *e) must_check;
bool image_qcow2_size_ready (struct image *img); /* was it computed? */

/* What lies in the container; the kind ("zip archive") is the reason. */
const struct fact *image_contents (struct image *img, struct err *e);

/* "safe", or the reasons, one a line, not to hand the image to a program that
 * trusts it. */
const struct fact *image_safety (struct image *img, struct err *e);

/* --- volumes: partitions, logical volumes, md arrays ------------------ */

struct volume; /* a partition, the whole disk, a logical volume or an array */

const struct partition_table *image_table (struct image *img, struct err *e);

/* The partitions alone, in the order of the table. */
int image_partitions (struct image *img, struct volume *const **ret,
                      size_t *ret_n, struct err *e) must_check;

/* All volumes: the partitions in the order of the table, and behind them
 * logical volumes and md arrays as far as they were found.  A physical volume
 * that could not be read or understood does not hide the others:
 * image_volumes_missing tells. */
int image_volumes (struct image *img, struct volume *const **ret,
                   size_t *ret_n, struct err *e) must_check;

/* Are there logical volumes or arrays that image_volumes does not list, or
 * may there be?  WHY says which; EIO: something could not be read.  (The
 * partition at fault is not volume_readable, for the same reason.) */
bool image_volumes_missing (struct image *img, struct err *why);

/* Volume number INDEX of image_volumes. */
struct volume *image_volume (struct image *img, size_t index, struct err *e);

/* The logical volume or array that a guest names PATH: /dev/mapper/VG-LV,
 * /dev/VG/LV, VG/LV (rd.lvm.lv=), /dev/disk/by-id/dm-name-VG-LV,
 * /dev/md/NAME, /dev/mdN, /dev/disk/by-id/md-uuid-*.  NULL: it is not among
 * the volumes. */
struct volume *image_volume_by_device (struct image *img, const char *path);

const char *volume_name (const struct volume *v); /* "partitions/1",
                                                   * "volumes/vg-lv" */
unsigned volume_index (const struct volume *v);   /* in image_volumes */
/* NULL for a logical volume or an array. */
const struct partition *volume_partition (const struct volume *v);
/* NULL for a partition. */
const struct logical *volume_logical (const struct volume *v);
struct block *volume_block (const struct volume *v);
const struct superblock *volume_superblock (struct volume *v, struct err *e);
/* Errors: ENOTSUP where there is no driver; ENOENT where there is no
 * filesystem at all. */
struct fs *volume_fs (struct volume *v, struct err *e);
/* Of the filesystem, or of what else a superblock describes (swap, a physical
 * volume, a member of an array, an encrypted volume).  A number that is
 * UINT64_MAX is not known. */
const struct fs_info *volume_fs_info (struct volume *v, struct err *e);
const struct fact *volume_role (struct volume *v, struct err *e);
/* Damage of V's filesystem.  Errors: as volume_fs, but that what cannot be
 * opened for its damage is a finding; ENOTSUP also where damage is not looked
 * for. */
const struct integrity *volume_integrity (struct volume *v, struct err *e);
/* Would this version see a root filesystem if it were in V?  false: V holds
 * something that is not read (NTFS, LUKS ...), WHY says what.  True of a
 * physical volume or a member of an array whose volumes are all listed. */
bool volume_readable (struct volume *v, struct err *why);

/* Are the lookups below V's files/ ready to be served at once? */
bool image_volumes_ready (struct image *img);
bool volume_fs_ready (struct volume *v);

/* --- the guest ------------------------------------------------------- */

/* Which operating system, and its tree.  Of several it is the one that the
 * boot loader starts. */
struct guest {
  struct fact family;          /* linux windows none unknown */
  struct volume *root;         /* NULL: none or unknown */
  struct vfs vfs;              /* valid if root */
  struct mount_line_vec lines; /* fstab, and mount units after it */
  struct buf fstab;            /* resolved, one a line */
  struct buf notes;            /* what could not be composed, one a line */
  struct buf others;           /* further roots, one a line */
  struct buf unread; /* volumes that might hold another, and why not read */
  char *deployment;  /* of ostree: where in its filesystem; or NULL */
};
const struct guest *image_guest (struct image *img, struct err *e);
bool image_guest_ready (struct image *img);

/* A driver or service of Windows that is of interest here, and there. */
struct windows_service {
  const char *name;
  struct fact start, start_override, image_path, type;
};

struct os {
  struct fact id, name, version, variant, arch, hostname, init,
      packages_format, conflicts;
  /* Of Windows; "" for others. */
  struct fact edition, build, service_pack, ubr, system_root, control_set,
      drive_letter, hibernated, connections;
  struct windows_service *services;
  size_t n_services;
  char *services_unknown; /* why they could not be listed, or NULL */
};
const struct os *image_os (struct image *img, struct err *e);

/* The packages, a line each, sorted: name, version, architecture, separated
 * by tabs; "" where the system has no package database. */
const struct fact *image_packages (struct image *img, struct err *e);

struct kernel {
  char *version; /* as uname -r */
  char *suffix;  /* of its image's file name, behind "vmlinuz-"; or NULL */
  char *image, *config, *initramfs, *modules; /* paths; NULL: not there */
};

struct boot {
  struct fact firmware, bootloader, default_kernel, cmdline;
  struct kernel *kernels; /* newest first */
  size_t n_kernels;
  struct kernel *chosen; /* the default kernel, or NULL */
  bool by_entry;         /* the boot loader's entry chose it */
  char *initramfs;       /* by_entry: what it loads, separated by blanks;
                            NULL: nothing */
  char *kernels_unknown; /* why the kernels could not be listed, or NULL */
  char
      *initramfs_unknown; /* why it is not known what chosen loads, or NULL */
  char *boot_code_unknown; /* why the first sector could not be read */
  bool boot_code; /* the first sector holds some: BIOS can start it */
  bool esp;       /* there is an EFI system partition */
};
const struct boot *image_boot (struct image *img, struct err *e);
/* Is kernel number KERNEL of image_boot the distribution's own?  yes no
 * unknown. */
const struct fact *image_kernel_native (struct image *img, size_t kernel,
                                        struct err *e);

enum virtio_driver {
  VIRTIO_BLK,
  VIRTIO_SCSI,
  VIRTIO_NET,
  VIRTIO_PCI,
  VIRTIO_RING,
  VIRTIO_CORE,
  VIRTIO_CONSOLE,
  VIRTIO_BALLOON,
  VIRTIO_RNG,
  VIRTIO_N
};
extern const char *const virtio_driver_names[VIRTIO_N]; /* "blk", ... */

struct virtio {
  struct fact has;               /* yes no unknown */
  struct fact drivers[VIRTIO_N]; /* builtin initramfs module missing ... */
  struct fact cdrom;             /* as they: the driver of CD-ROM drives */
};
/* Adds to TO the files of /etc/dracut.conf.d, a line each, in which
 * omit_drivers stands before the text DRIVER.  Errors: could not look. */
int image_dracut_omits (struct image *img, const char *driver, struct buf *to,
                        struct err *e) must_check;

const struct virtio *image_virtio (struct image *img, struct err *e);
/* For one kernel of image_boot, by its place there. */
const struct virtio *image_kernel_virtio (struct image *img, size_t kernel,
                                          struct err *e);

struct cloud_init {
  struct fact would_run; /* yes no unknown: the finding cloud_init */
  struct fact installed, flavour, version, enabled, disabled_by, datasources,
      config_files;
  bool cdrom_late; /* why enabled is unknown: the driver of CD-ROM drives is
                      loaded behind ds-identify's look at them */
  struct fact installed_as;  /* image_cloud_init_package has it */
  struct fact forced_import; /* does a start-up script read the settings that
                                a forced import leaves? */
  /* What its configuration says of the network. */
  enum {
    CLOUD_NETWORK_UNSET,    /* it writes one for the card that it finds */
    CLOUD_NETWORK_DISABLED, /* it leaves that to the guest */
    CLOUD_NETWORK_GIVEN     /* it writes what NETWORK_BY holds */
  } network;
  char *network_by; /* the file, or NULL */
};
const struct cloud_init *image_cloud_init (struct image *img, struct err *e);
/* installed_as: "package" or "source".  Cost: reads the package database. */
const struct fact *image_cloud_init_package (struct image *img,
                                             struct err *e);

/* How a Linux guest would find its network. */
struct network {
  struct fact interfaces; /* a line each: name, method, file; by tabs */
  struct fact dhcp;       /* would the instance's card ask for an address? */
  struct fact eth0;       /* would it be called eth0? */
  struct fact ipv6;       /* does the configuration count on IPv6? */
};
const struct network *image_network (struct image *img, struct err *e);

/* What may keep a Linux guest from starting, or from being reached, in the
 * cloud: each `yes` (in the way), `no`, or unknown. */
enum obstacle {
  OBSTACLE_DEVICE_NAMES, /* root= or fstab by /dev/sdX */
  OBSTACLE_DISK_IDS,     /* the same by /dev/disk/by-path or by-id */
  OBSTACLE_OTHER_DISKS,  /* devices that are not in the image */
  OBSTACLE_SHADOW,       /* not its normal owner and mode */
  OBSTACLE_HAS_RUN,      /* /var/lib/cloud/instance */
  OBSTACLE_NO_SSH,       /* no SSH server is started */
  OBSTACLE_ROOT_FULL,    /* less than 5 % of bytes or inodes are free */
  OBSTACLE_RELABEL,      /* SELinux: /.autorelabel */
  OBSTACLE_NO_BOOT_CODE, /* in the first sector */
  OBSTACLE_NO_ACTIVE,    /* MBR: no partition is active */
  OBSTACLE_NO_GRUB_CORE, /* what the first sector loads is not there */
  OBSTACLE_CONSOLE,      /* neither ttyS0 nor tty0 */
  OBSTACLE_N
};
struct obstacles {
  struct fact facts[OBSTACLE_N];
};
const struct obstacles *image_obstacles (struct image *img, struct err *e);

/* --- problems -------------------------------------------------------- */

/* Adds "PATH: REASON" to the problems met so far, once. */
void image_problem (struct image *img, const char *path, const char *reason);
void image_problems (struct image *img, struct buf *ret);

#endif
