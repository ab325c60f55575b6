/* xrayfs: Tencent Cloud CVM: what is asked of Windows guests, 2019
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Products 213/4945 (overview of image import) and 213/17815 (preparing
 * Windows images).  None of these requirements has an error code.
 */
#include <stdio.h>
#include <string.h>

#include "policy/finding.h"
#include "policy/tencent.h"

/* --- the edition ----------------------------------------------------- */

/* Server 2008 and 2008 R2 are versions 6.0 and 6.1, 2012 and 2012 R2 are 6.2
 * and 6.3; since then only the build tells them apart. */
static bool
is_listed (const struct os *os)
{
  static const char *const versions[] = { "6.0", "6.1", "6.2", "6.3" };

  for (size_t i = 0; i < ARRAY_SIZE (versions); i++)
    if (fact_is (&os->version, versions[i]))
      return true;
  return fact_is (&os->version, "10.0") && fact_is (&os->build, "14393");
}

/* InstallationType ("Server Core"), which Server 2008 does not have; then
 * what the edition and the product are called. */
static bool
is_server (const struct os *os)
{
  if (fact_known (&os->variant) && *os->variant.value)
    return !strncmp (os->variant.value, "Server", 6);
  return (fact_known (&os->edition) &&
          !strncmp (os->edition.value, "Server", 6)) ||
         strstr (os->name.value, "Server");
}

int
judge_windows_edition (struct image *img, struct finding_of_rule *f,
                       struct err *e)
{
  const struct os *os = image_os (img, e);

  if (!os)
    return -1;
  buf_puts (&f->value, os->name.value ? os->name.value : "unknown");
  if (!fact_known (&os->name) || !fact_known (&os->version) ||
      !fact_known (&os->build) || !*os->version.value)
    return finding_unknown (f, os->version.reason ? os->version.reason
                                                  : os->name.reason);
  if (is_server (os) && is_listed (os))
    return finding_ok (f);
  return finding_fail (f,
                       "'%s' (version %s, build %s) is not among the listed"
                       " systems, which are the families Windows Server"
                       " 2008, 2012 and 2016.",
                       os->name.value, os->version.value, os->build.value);
}

/* --- the disk -------------------------------------------------------- */

int
judge_windows_table (struct image *img, struct finding_of_rule *f,
                     struct err *e)
{
  const struct partition_table *t = image_table (img, e);

  if (!t)
    return -1;
  buf_puts (&f->value, t->type);
  if (strcmp (t->type, "gpt"))
    return finding_ok (f); /* none at all has a code of its own */
  buf_puts (&f->remedy, "convert the disk to MBR and the boot files to BIOS,"
                        " or install again on an MBR disk");
  return finding_fail (f, "The partition table is GPT; Windows is imported"
                          " from MBR disks only.");
}

/* What makes a volume one of the Logical Disk Manager. */
static bool
is_dynamic (const struct partition *p)
{
  static const char *const types[] = {
    "0x42", "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3",
    "af9b60a0-1431-4f62-bc68-3311714a69ad"
  };

  for (size_t i = 0; p->type && i < ARRAY_SIZE (types); i++)
    if (!strcasecmp (p->type, types[i]))
      return true;
  return false;
}

int
judge_windows_disk (struct image *img, struct finding_of_rule *f,
                    struct err *e)
{
  const struct partition_table *t = image_table (img, e);

  if (!t)
    return -1;
  for (size_t i = 0; i < t->n_partitions; i++) {
    const struct partition *p = &t->partitions[i];
    if (!is_dynamic (p))
      continue;
    buf_puts (&f->value, "dynamic");
    return finding_fail (f,
                         "Partition %u is of type %s: the disk is a dynamic"
                         " one, and only basic disks are imported.",
                         p->number, p->type);
  }
  buf_puts (&f->value, "basic");
  return finding_ok (f);
}

int
judge_windows_filesystem (struct image *img, struct finding_of_rule *f,
                          struct err *e)
{
  const struct guest *g = image_guest (img, e);
  const struct superblock *sb = g ? volume_superblock (g->root, e) : NULL;

  if (!sb)
    return -1;
  buf_puts (&f->value, sb->type);
  if (!strcmp (sb->type, "ntfs"))
    return finding_ok (f);
  return finding_fail (f, "Windows lies on %s; only NTFS is imported.",
                       sb->type);
}

int
judge_windows_firmware (struct image *img, struct finding_of_rule *f,
                        struct err *e)
{
  const struct boot *b = image_boot (img, e);

  if (!b)
    return -1;
  buf_puts (&f->value, b->firmware.value ? b->firmware.value : "unknown");
  if (!fact_known (&b->firmware))
    return finding_unknown (f, b->firmware.reason);
  if (fact_is (&b->firmware, "bios") || fact_is (&b->firmware, "both"))
    return finding_ok (f);
  if (fact_is (&b->firmware, "uefi"))
    return finding_fail (f, "The disk boots by UEFI only (winload.efi); the"
                            " instance starts by BIOS.");
  buf_puts (&f->remedy, "bootsect /nt60 S: /mbr\nbcdboot C:\\Windows /s S:"
                        " /f BIOS (S: is the active partition)");
  return finding_fail (f, "A BIOS does not start this Windows: it needs boot"
                          " code in the first sector, and on the active"
                          " partition bootmgr and a boot configuration that"
                          " starts winload.exe.");
}

/* --- advice ---------------------------------------------------------- */

int
warn_windows_connection (struct image *img, struct finding_of_rule *f,
                         struct err *e)
{
  static const char *const wanted[] = { "Local Area Connection", "本地连接" };
  const struct os *os = image_os (img, e);
  const char *names;
  size_t n;

  if (!os)
    return -1;
  if (!fact_known (&os->connections)) {
    buf_puts (&f->value, "unknown");
    return finding_unknown (f, os->connections.reason);
  }
  names = os->connections.value;
  buf_puts (&f->value, names);
  for (const char *p = names; *p; p += n + (p[n] == '\n')) {
    n = strcspn (p, "\n");
    for (size_t i = 0; i < ARRAY_SIZE (wanted); i++)
      if (n == strlen (wanted[i]) && !strncmp (p, wanted[i], n))
        return finding_ok (f);
  }
  return finding_fail (f, "No network connection has the name"
                          " 'Local Area Connection' (or '本地连接'), by which"
                          " the provider configures the network.");
}

int
warn_windows_hibernated (struct image *img, struct finding_of_rule *f,
                         struct err *e)
{
  const struct os *os = image_os (img, e);
  int r;

  if (!os)
    return -1;
  if ((r = finding_by_fact (f, &os->hibernated, "no")) != 1)
    return r;
  buf_puts (&f->remedy, "powercfg /h off, and shut down");
  return finding_fail (f, "hiberfil.sys holds a hibernated system (or one"
                          " that was shut down with fast start-up), which"
                          " would resume on other hardware.");
}

int
note_windows_activation (struct image *img unused_arg,
                         struct finding_of_rule *f, struct err *e unused_arg)
{
  buf_puts (&f->value, "the provider does not activate it");
  return finding_ok (f);
}
