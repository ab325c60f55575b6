/* fstab, mount units, options, and the names of devices.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "inspect/fstab.h"

#include "test.h"

static void
device (const char *spec, enum device_kind kind, const char *name,
        unsigned partition)
{
  struct device_name d;

  device_parse (spec, &d);
  if (d.kind != kind)
    fprintf (stderr, "%s: kind %d\n", spec, d.kind);
  CHECK (d.kind == kind);
  if (kind != DEVICE_NONE)
    CHECK_STR (d.name, name);
  if (kind == DEVICE_DISK)
    CHECK (d.partition == partition);
}

static void
test_devices (void)
{
  char longer[400] = "LABEL=";

  device ("UUID=AB-12", DEVICE_UUID, "AB-12", 0);
  device ("UUID=\"AB\"", DEVICE_UUID, "AB", 0);
  device ("LABEL='a b'", DEVICE_LABEL, "a b", 0);
  device ("LABEL=\"", DEVICE_LABEL, "\"", 0);
  device ("LABEL=", DEVICE_NONE, NULL, 0);
  device ("/dev/disk/by-label/a\\x20b\\x2fc", DEVICE_LABEL, "a b/c", 0);
  device ("/dev/disk/by-partlabel/x", DEVICE_PARTLABEL, "x", 0);
  device ("/dev/sda1", DEVICE_DISK, "sda", 1);
  device ("/dev/sdaa12", DEVICE_DISK, "sdaa", 12);
  device ("/dev/xvda", DEVICE_DISK, "xvda", 0);
  device ("/dev/nvme0n1p3", DEVICE_DISK, "nvme0n1", 3);
  device ("/dev/nvme0n1", DEVICE_DISK, "nvme0n1", 0);
  device ("/dev/cciss/c0d0p2", DEVICE_DISK, "cciss/c0d0", 2);
  device ("/dev/disk/by-id/scsi-a-part1-b-part2", DEVICE_DISK,
          "by-id/scsi-a-part1-b", 2);
  device ("ID=ata-x", DEVICE_DISK, "by-id/ata-x", 0);
  device ("/dev/disk/by-path/pci-0-part5", DEVICE_DISK, "by-path/pci-0", 5);
  device ("/dev/mapper/a-b", DEVICE_MAPPED, "/dev/mapper/a-b", 0);
  device ("/dev/a/b", DEVICE_MAPPED, "/dev/a/b", 0);
  device ("/dev/md127", DEVICE_MAPPED, "/dev/md127", 0);
  device ("/dev/md/home", DEVICE_MAPPED, "/dev/md/home", 0);
  device ("ID=dm-name-a-b", DEVICE_MAPPED, "/dev/disk/by-id/dm-name-a-b", 0);
  device ("/dev/cdrom", DEVICE_REMOVABLE, "cdrom", 0);
  device ("/dev/dvdrw1", DEVICE_REMOVABLE, "dvdrw1", 0);
  device ("/dev/sda1x", DEVICE_DISK, "sda1x", 0);
  device ("/dev/shm", DEVICE_NONE, NULL, 0);
  device ("proc", DEVICE_NONE, NULL, 0);
  device ("/swapfile", DEVICE_NONE, NULL, 0);
  device ("", DEVICE_NONE, NULL, 0);
  memset (longer + 6, 'x', 300);
  device (longer, DEVICE_NONE, NULL, 0);
  CHECK (device_same_class ("sda", "nvme0n1"));
  CHECK (device_same_class ("by-id/a", "by-id/b"));
  CHECK (!device_same_class ("by-id/a", "by-path/a"));
  CHECK (!device_same_class ("sda", "by-path/a"));
  CHECK (device_is_first_disk ("sda") && !device_is_first_disk ("sdb"));
}

static void
option (const char *options, const char *name, bool there, const char *value)
{
  const char *v = NULL;
  size_t len = 0;

  CHECK (mount_option (options, name, &v, &len) == there);
  CHECK (!v == !value);
  if (v)
    CHECK (len == strlen (value) && !strncmp (v, value, len));
}

static void
test_options (void)
{
  option ("rw,bind", "bind", true, NULL);
  option ("rw,rbind", "bind", false, NULL);
  option ("x-bind=1,bindfs", "bind", false, NULL);
  option ("subvol=@,subvol=/a b", "subvol", true, "/a b");
  option ("subvolid=5", "subvol", false, NULL);
  option ("context=\"a,subvol=x\",ro", "subvol", false, NULL);
  option ("context=\"a,subvol=x", "ro", false, NULL);
  option ("subvol=", "subvol", true, "");
  option (",,ro,", "ro", true, NULL);
  option ("", "ro", false, NULL);
}

static enum mount_kind
kind (const char *text)
{
  CLEANUP_MOUNT_LINES struct mount_line_vec v = { 0 };
  char *copy = strdup (text);
  struct err e = { 0 };

  CHECK (copy);
  CHECK_OK (fstab_parse (copy, &v, &e));
  free (copy);
  CHECK (v.len == 1);
  return v.items[0].kind;
}

static void
test_kinds (void)
{
  CHECK (kind ("/dev/sda1 / ext4") == MOUNT_DEVICE);
  CHECK (kind ("/dev/sda1 /a auto") == MOUNT_DEVICE);
  CHECK (kind ("LABEL=x /a iso9660") == MOUNT_DEVICE);
  CHECK (kind ("/dev/sr0 /a auto") == MOUNT_REMOVABLE);
  CHECK (kind ("/x.iso /a iso9660 loop") == MOUNT_REMOVABLE);
  CHECK (kind ("/dev/sda2 none swap sw") == MOUNT_SWAP);
  CHECK (kind ("/swapfile none swap sw") == MOUNT_NOTHING);
  CHECK (kind ("tmpfs /tmp tmpfs") == MOUNT_NOTHING);
  CHECK (kind ("/a /b none bind") == MOUNT_BIND);
  CHECK (kind ("/a /b ext4 ro,rbind") == MOUNT_BIND);
  CHECK (kind ("a:/b /c nfs") == MOUNT_ELSEWHERE);
  CHECK (kind ("overlay /c overlay lowerdir=/a") == MOUNT_ELSEWHERE);
  CHECK (kind ("/dev/sda1 none ext4") == MOUNT_NOTHING);
}

static void
test_lines (void)
{
  CLEANUP_MOUNT_LINES struct mount_line_vec v = { 0 };
  char text[] = "# x\n\n /dev/sda1\t//a//b/ ext4\r\nshort line\n"
                "LABEL=a\\040b /c\\011d xfs ro 1 2 3\n#/dev/sdb1 /x y z\n";
  char unit[] = "[Mount]\nWhat=/x\nWhere=/a%%/\nOptions=a\nOptions=\n";
  char none[] = "What=/x\n[Mount]\nWhere=/a\n";
  struct err e = { 0 };

  CHECK_OK (fstab_parse (text, &v, &e));
  CHECK (v.len == 2);
  CHECK_STR (v.items[0].point, "/a/b");
  CHECK_STR (v.items[0].options, "defaults");
  CHECK_STR (v.items[0].numbers, "0 0");
  CHECK_STR (v.items[1].device, "LABEL=a b");
  CHECK_STR (v.items[1].point, "/c\td");
  CHECK_STR (v.items[1].numbers, "1 2");
  CHECK (mount_unit_parse (none, &v, &e) == 0);
  CHECK (mount_unit_parse (unit, &v, &e) == 1 && v.len == 3);
  CHECK_STR (v.items[2].point, "/a%");
  CHECK_STR (v.items[2].options, "defaults");
  CHECK_STR (v.items[2].type, "auto");
}

int
main (void)
{
  test_devices ();
  test_options ();
  test_kinds ();
  test_lines ();
  return 0;
}
