/* xrayfs: what types of partitions are called
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libblkid gives the number or the GUID; these are the names that people
 * know.  A type that is not listed has none.
 */
#include <string.h>

#include "base/bytes.h"
#include "volume/partitions_priv.h"
#include "volume/volume.h"

static const char *const mbr_names[256] = {
  [0x00] = "Empty",
  [0x01] = "FAT12",
  [0x02] = "XENIX root",
  [0x03] = "XENIX usr",
  [0x04] = "FAT16 (below 32 MiB)",
  [0x05] = "Extended",
  [0x06] = "FAT16",
  [0x07] = "NTFS, exFAT or HPFS",
  [0x08] = "AIX",
  [0x09] = "AIX bootable",
  [0x0a] = "OS/2 boot manager",
  [0x0b] = "FAT32",
  [0x0c] = "FAT32 (LBA)",
  [0x0e] = "FAT16 (LBA)",
  [0x0f] = "Extended (LBA)",
  [0x10] = "OPUS",
  [0x11] = "Hidden FAT12",
  [0x12] = "Compaq diagnostics",
  [0x14] = "Hidden FAT16 (below 32 MiB)",
  [0x16] = "Hidden FAT16",
  [0x17] = "Hidden NTFS or HPFS",
  [0x1b] = "Hidden FAT32",
  [0x1c] = "Hidden FAT32 (LBA)",
  [0x1e] = "Hidden FAT16 (LBA)",
  [0x27] = "Windows recovery",
  [0x35] = "OS/2 JFS or LVM",
  [0x39] = "Plan 9",
  [0x3c] = "PartitionMagic recovery",
  [0x41] = "PPC PReP boot",
  [0x42] = "Windows dynamic disk",
  [0x4d] = "QNX4.x",
  [0x4e] = "QNX4.x, second part",
  [0x4f] = "QNX4.x, third part",
  [0x63] = "GNU HURD or System V",
  [0x64] = "NetWare 286",
  [0x65] = "NetWare 386",
  [0x80] = "Old MINIX",
  [0x81] = "MINIX",
  [0x82] = "Linux swap or Solaris",
  [0x83] = "Linux",
  [0x84] = "Hibernation",
  [0x85] = "Linux extended",
  [0x86] = "NTFS volume set",
  [0x87] = "NTFS volume set",
  [0x88] = "Linux plain text",
  [0x8e] = "Linux LVM",
  [0x93] = "Amoeba",
  [0x9f] = "BSD/OS",
  [0xa0] = "Laptop hibernation",
  [0xa5] = "FreeBSD",
  [0xa6] = "OpenBSD",
  [0xa8] = "Darwin UFS",
  [0xa9] = "NetBSD",
  [0xab] = "Darwin boot",
  [0xaf] = "HFS or HFS+",
  [0xb7] = "BSDI",
  [0xb8] = "BSDI swap",
  [0xbe] = "Solaris boot",
  [0xbf] = "Solaris",
  [0xda] = "Data without a file system",
  [0xde] = "Dell utility",
  [0xea] = "Linux extended boot",
  [0xeb] = "BeOS",
  [0xee] = "GPT protective",
  [0xef] = "EFI System",
  [0xf2] = "DOS secondary",
  [0xfb] = "VMware VMFS",
  [0xfc] = "VMware VMKCORE",
  [0xfd] = "Linux RAID",
};

static const struct {
  const char *guid, *name;
} gpt_names[] = {
  { "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "EFI System" },
  { "21686148-6449-6e6f-744e-656564454649", "BIOS boot" },
  { "024dee41-33e7-11d3-9d69-0008c781f39f", "MBR partition scheme" },
  { "0fc63daf-8483-4772-8e79-3d69d8477de4", "Linux filesystem" },
  { "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "Linux swap" },
  { "e6d6d379-f507-44c2-a23c-238f2a3df928", "Linux LVM" },
  { "a19d880f-05fc-4d3b-a006-743f0f84911e", "Linux RAID" },
  { "933ac7e1-2eb4-4f13-b844-0e14e2aef915", "Linux home" },
  { "3b8f8425-20e0-4f3b-907f-1a25a76f98e8", "Linux server data" },
  { "8da63339-0007-60c0-c436-083ac8230908", "Linux reserved" },
  { "bc13c2ff-59e6-4262-a352-b275fd6f7172", "Linux extended boot" },
  { "4d21b016-b534-45c2-a9fb-5c16e091fd2d", "Linux variable data" },
  { "7ec6f557-3bc5-4aca-b293-16ef5df639d1", "Linux temporary data" },
  { "ca7d7ccb-63ed-4c53-861c-1742536059cc", "Linux LUKS" },
  { "7ffec5c9-2d00-49b7-8941-3ea10a5586b7", "Linux dm-crypt" },
  { "44479540-f297-41b2-9af7-d131d5f0458a", "Linux root (x86)" },
  { "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "Linux root (x86-64)" },
  { "69dad710-2ce4-4e3c-b16c-21a1d49abed3", "Linux root (ARM)" },
  { "b921b045-1df0-41c3-af44-4c6f280d3fae", "Linux root (ARM-64)" },
  { "72ec70a6-cf74-40e6-bd49-4bda08e8f224", "Linux root (RISC-V 64)" },
  { "8484680c-9521-48c6-9c11-b0720656f69e", "Linux /usr (x86-64)" },
  { "b0e01050-ee5f-4390-949a-9101b17104e9", "Linux /usr (ARM-64)" },
  { "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5", "Linux root verity (x86-64)" },
  { "df3300ce-d69f-4c92-978c-9bfb0f38d820", "Linux root verity (ARM-64)" },
  { "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", "Microsoft basic data" },
  { "e3c9e316-0b5c-4db8-817d-f92df00215ae", "Microsoft reserved" },
  { "de94bba4-06d1-4d40-a16a-bfd50179d6ac", "Windows recovery" },
  { "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3", "Windows LDM metadata" },
  { "af9b60a0-1431-4f62-bc68-3311714a69ad", "Windows LDM data" },
  { "e75caf8f-f680-4cee-afa3-b001e56efc2d", "Windows Storage Spaces" },
  { "48465300-0000-11aa-aa11-00306543ecac", "Apple HFS or HFS+" },
  { "7c3457ef-0000-11aa-aa11-00306543ecac", "Apple APFS" },
  { "426f6f74-0000-11aa-aa11-00306543ecac", "Apple boot" },
  { "83bd6b9d-7f41-11dc-be0b-001560b84f0f", "FreeBSD boot" },
  { "516e7cb4-6ecf-11d6-8ff8-00022d09712b", "FreeBSD data" },
  { "516e7cb5-6ecf-11d6-8ff8-00022d09712b", "FreeBSD swap" },
  { "516e7cb6-6ecf-11d6-8ff8-00022d09712b", "FreeBSD UFS" },
  { "516e7cba-6ecf-11d6-8ff8-00022d09712b", "FreeBSD ZFS" },
  { "6a898cc3-1dd2-11b2-99a6-080020736631", "Solaris /usr or Apple ZFS" },
  { "824cc7a0-36a8-11e3-890a-952519ad3f61", "OpenBSD data" },
  { "fe3a2a5d-4f32-41a7-b725-accc3285a309", "ChromeOS kernel" },
  { "3cb8e202-3b7e-47dd-8a3c-7ff2a13cfcec", "ChromeOS root" },
  { "5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6", "CoreOS /usr" },
  { "c95dc21a-df0e-4340-8d7b-26cbfa9a03e0", "CoreOS OEM" },
  { "3884dd41-8582-4404-b9a8-e9b84f2df50e", "CoreOS root" },
  { "9e1a2d38-c612-4316-aa26-8b49521e5a8b", "PPC PReP boot" },
  { "aa31e02a-400f-11db-9590-000c2911d1b8", "VMware VMFS" },
  { "9d275380-40ad-11db-bf97-000c2911d1b8", "VMware VMKCORE" },
};

const char *
mbr_type_name (uint8_t type)
{
  return mbr_names[type];
}

const char *
gpt_type_name (const char *guid)
{
  for (size_t i = 0; i < ARRAY_SIZE (gpt_names); i++)
    if (!strcmp (gpt_names[i].guid, guid))
      return gpt_names[i].name;
  return NULL;
}

bool
partition_is_esp (const struct partition *p)
{
  return p->type &&
         (!strcmp (p->type, "0xef") ||
          !strcasecmp (p->type, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"));
}
