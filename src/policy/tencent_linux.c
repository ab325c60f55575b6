/* xrayfs: Tencent Cloud CVM: what is advised for guests, mostly Linux, 2019
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Products 213/4945 (overview of image import), 213/12587 (cloud-init),
 * 213/12849 (forced import) and 213/17814 (preparing Linux images).  A
 * warning never decides a verdict.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "policy/finding.h"
#include "policy/remedy.h"
#include "policy/tencent.h"

int
warn_distribution (struct image *img, struct finding_of_rule *f,
                   struct err *e)
{
  static const char *const listed[] = { "centos", "ubuntu",   "debian",
                                        "coreos", "opensuse", "sles",
                                        "suse" };
  const struct os *os;

  os = image_os (img, e);
  if (!os)
    return -1;
  buf_puts (&f->value, os->id.value ? os->id.value : "unknown");
  if (!fact_known (&os->id))
    return finding_unknown (f, os->id.reason);
  for (size_t i = 0; i < ARRAY_SIZE (listed); i++)
    if (!strncmp (os->id.value, listed[i], strlen (listed[i])))
      return finding_ok (f);
  return finding_fail (
      f,
      "The distribution '%s' is not among those that are listed"
      " (CentOS, Ubuntu, Debian, CoreOS, openSUSE, SUSE).",
      os->id.value);
}

int
warn_native_kernel (struct image *img, struct finding_of_rule *f,
                    struct err *e)
{
  const struct boot *b;
  const struct fact *native;
  int r;

  b = image_boot (img, e);
  if (!b)
    return -1;
  if (!b->chosen) {
    buf_puts (&f->value, "unknown");
    return finding_unknown (f, b->default_kernel.reason);
  }
  native = image_kernel_native (img, (size_t) (b->chosen - b->kernels), e);
  if (!native)
    return -1;
  if ((r = finding_by_fact (f, native, "yes")) != 1)
    return r;
  if (remedy_add (img, "kernel", NULL, &f->remedy, e) == -1)
    return -1;
  return finding_fail (
      f,
      "The kernel %s is not of the distribution's own packages;"
      " a modified kernel may fail to import.",
      b->chosen->version);
}

/* 1: cloud-init is installed, and F is still to be judged. */
static int
by_installed (const struct cloud_init *c, struct finding_of_rule *f)
{
  if (fact_is (&c->installed, "yes"))
    return 1;
  if (fact_known (&c->installed))
    return finding_na (f, "cloud-init is not installed");
  buf_puts (&f->value, "unknown");
  return finding_unknown (f, c->installed.reason);
}

/* What undoes what disabled_by says. */
static int
enable_cloud_init (struct image *img, const struct cloud_init *c,
                   struct finding_of_rule *f, struct err *e)
{
  const char *by = c->disabled_by.value;
  bool one_process = c->version.value && *c->version.value &&
                     strverscmp (c->version.value, "24.3") >= 0;
  const struct {
    const char *by, *topic, *arg;
  } cures[] = {
    { "ds-identify: policy disabled on the kernel", "no-kernel-arg",
      "ci.di.policy=disabled" },
    { "/etc/cloud/cloud-init.disabled", "cloud-init-marker", NULL },
    { "cloud-init=disabled", "no-kernel-arg", "cloud-init=disabled" },
    { "ds-identify: policy", "cloud-init-policy", NULL },
    { "no start-up",
      one_process ? "cloud-init-enable-24.3" : "cloud-init-enable", NULL },
  };
  const char *masked = strstr (by, " (masked)"), *unit;
  CLEANUP_FREE char *name = NULL;

  for (size_t i = 0; i < ARRAY_SIZE (cures); i++)
    if (!strncmp (by, cures[i].by, strlen (cures[i].by)))
      return remedy_add (img, cures[i].topic, cures[i].arg, &f->remedy, e);
  if (!masked || !(unit = memrchr (by, '/', (size_t) (masked - by))))
    return 0;
  name = strndup (unit + 1, (size_t) (masked - unit - 1));
  if (!name)
    return err_set (e, ENOMEM, "out of memory");
  return strchr (name, '.') /* a generator is no unit */
             ? remedy_add (img, "unmask", name, &f->remedy, e)
             : 0;
}

int
warn_cloud_init_off (struct image *img, struct finding_of_rule *f,
                     struct err *e)
{
  const struct cloud_init *c;
  int r;

  c = image_cloud_init (img, e);
  if (!c)
    return -1;
  if ((r = by_installed (c, f)) != 1)
    return r;
  if (c->cdrom_late) {
    buf_puts (&f->value, "unknown");
    return remedy_add (img, "datasource", NULL, &f->remedy, e) == -1
               ? -1
               : finding_fail (f,
                               "cloud-init would not start from a CD-ROM:"
                               " %s.",
                               c->enabled.reason);
  }
  if ((r = finding_by_fact (f, &c->enabled, "yes")) != 1)
    return r;
  if (fact_is (&c->flavour, "cloud-init") &&
      enable_cloud_init (img, c, f, e) == -1)
    return -1;
  return finding_fail (f, "%s is installed and would not run: %s.",
                       c->flavour.value ? c->flavour.value : "cloud-init",
                       c->disabled_by.value ? c->disabled_by.value
                                            : "disabled");
}

/* Data for NoCloud that lies in the guest. */
#define SEEDS "/var/lib/cloud/seed/"

int
warn_datasource (struct image *img, struct finding_of_rule *f, struct err *e)
{
  const struct cloud_init *c;
  int r;

  c = image_cloud_init (img, e);
  if (!c)
    return -1;
  if ((r = by_installed (c, f)) != 1)
    return r;
  if (!fact_known (&c->datasources)) {
    buf_puts (&f->value, "unknown");
    return finding_unknown (f, c->datasources.reason);
  }
  buf_puts (&f->value, c->datasources.value);
  if (c->datasources.reason
          ? false
          : !*c->datasources.value ||
                strcasestr (c->datasources.value, "ConfigDrive"))
    return finding_ok (f);
  if (fact_is (&c->flavour, "cloud-init") &&
      remedy_add (img,
                  c->datasources.reason && !strncmp (c->datasources.reason,
                                                     SEEDS, strlen (SEEDS))
                      ? "first-boot"
                      : "datasource",
                  NULL, &f->remedy, e) == -1)
    return -1;
  return finding_fail (f,
                       "%s does not have ConfigDrive among its data sources,"
                       " which is what the provider serves%s%s.",
                       c->flavour.value ? c->flavour.value : "cloud-init",
                       c->datasources.reason ? ": " : "",
                       c->datasources.reason ? c->datasources.reason : "");
}

/* --- obstacles ------------------------------------------------------- */

/* 1: it is in the way, and F is to say so. */
static int
obstacle (struct image *img, enum obstacle which, struct finding_of_rule *f,
          const struct fact **ret, struct err *e)
{
  const struct obstacles *o = image_obstacles (img, e);

  if (!o)
    return -1;
  *ret = &o->facts[which];
  return finding_by_fact (f, *ret, "no");
}

/* The steps of TOPIC, if any, and TEXT, with what the fact says. */
#define DEFINE_OBSTACLE(function, which, topic, text)                        \
  int function (struct image *img, struct finding_of_rule *f, struct err *e) \
  {                                                                          \
    const struct fact *fact;                                                 \
    int r = obstacle (img, which, f, &fact, e);                              \
    if (r != 1)                                                              \
      return r;                                                              \
    if (remedy_add (img, topic, NULL, &f->remedy, e) == -1)                  \
      return -1;                                                             \
    return finding_fail (f, "%s%s%s.", text, fact->reason ? ": " : "",       \
                         fact->reason ? fact->reason : "");                  \
  }

DEFINE_OBSTACLE (warn_shadow, OBSTACLE_SHADOW, "shadow",
                 "/etc/shadow does not have its normal owner and"
                 " permissions")
DEFINE_OBSTACLE (warn_has_run, OBSTACLE_HAS_RUN, "first-boot",
                 "cloud-init has run before: remove /var/lib/cloud, so that"
                 " it runs again")
DEFINE_OBSTACLE (warn_ssh, OBSTACLE_NO_SSH, "ssh",
                 "The guest would not be reached by SSH")
DEFINE_OBSTACLE (warn_room, OBSTACLE_ROOT_FULL, "room",
                 "The root filesystem is nearly full")
DEFINE_OBSTACLE (warn_relabel, OBSTACLE_RELABEL, "relabel",
                 "SELinux would relabel all files at the first boot"
                 " (/.autorelabel), which takes long, and start again")
DEFINE_OBSTACLE (warn_grub_core, OBSTACLE_NO_GRUB_CORE, "boot-code",
                 "The first sector of the disk loads GRUB from where it is"
                 " not")

int
warn_console (struct image *img, struct finding_of_rule *f, struct err *e)
{
  const struct fact *fact;
  int r = obstacle (img, OBSTACLE_CONSOLE, f, &fact, e);

  if (r != 1)
    return r;
  if (remedy_add (img, "kernel-arg", "console=tty0 console=ttyS0,115200",
                  &f->remedy, e) == -1)
    return -1;
  return finding_fail (f, "The kernel's messages go to neither ttyS0 nor"
                          " tty0: the provider's console shows nothing.");
}

/* GRUB's own first sector does not look for one. */
int
warn_active (struct image *img, struct finding_of_rule *f, struct err *e)
{
  const struct boot *b = image_boot (img, e);
  const struct fact *fact;
  int r = b ? obstacle (img, OBSTACLE_NO_ACTIVE, f, &fact, e) : -1;
  const struct guest *g = r == 1 ? image_guest (img, e) : NULL;
  const struct partition *p;
  char number[16];

  if (r != 1)
    return r;
  if (!g)
    return -1;
  if (!fact_known (&b->bootloader))
    return finding_unknown (f, b->bootloader.reason);
  if (!strncmp (b->bootloader.value, "grub", 4) || !b->boot_code)
    return finding_ok (f);
  if ((p = volume_partition (g->root)) && p->number) {
    snprintf (number, sizeof number, "%u", p->number);
    if (remedy_add (img, "active", number, &f->remedy, e) == -1)
      return -1;
  }
  return finding_fail (f, "No partition of the MBR is active: a boot sector"
                          " that looks for one starts none.");
}

#define DEFINE_NAMES(function, which, text)                                  \
  int function (struct image *img, struct finding_of_rule *f, struct err *e) \
  {                                                                          \
    const struct fact *fact;                                                 \
    int r = obstacle (img, which, f, &fact, e);                              \
    if (r != 1)                                                              \
      return r;                                                              \
    if (remedy_add_uuids (img, &f->remedy, e) == -1)                         \
      return -1;                                                             \
    return finding_fail (f, "%s", text);                                     \
  }
DEFINE_NAMES (warn_device_names, OBSTACLE_DEVICE_NAMES,
              "The root filesystem or /etc/fstab is named by device"
              " (/dev/sdX), which becomes /dev/vda: use UUID=.")
DEFINE_NAMES (warn_disk_ids, OBSTACLE_DISK_IDS,
              "The root filesystem or /etc/fstab is named by where the disk"
              " is attached or by its serial number (by-path, by-id), which"
              " will change: use UUID=.")

int
warn_other_disks (struct image *img, struct finding_of_rule *f, struct err *e)
{
  const struct fact *fact;
  int r = obstacle (img, OBSTACLE_OTHER_DISKS, f, &fact, e);

  if (r != 1)
    return r;
  if (remedy_add_missing_disks (img, &f->remedy, e) == -1)
    return -1;
  return finding_fail (f, "/etc/fstab mounts a device that is not in the"
                          " image, without nofail: the guest may stop at"
                          " boot.");
}

/* --- the network ----------------------------------------------------- */

static int
fix_dhcp (struct image *img, const struct network *n unused_arg,
          struct finding_of_rule *f, struct err *e)
{
  return remedy_add (img, "dhcp", NULL, &f->remedy, e);
}

/* udev's rules for the old card, or names by place. */
static int
fix_eth0 (struct image *img, const struct network *n,
          struct finding_of_rule *f, struct err *e)
{
  return n->eth0.reason && !strncmp (n->eth0.reason, "70-", 3)
             ? remedy_add (img, "net-rules", NULL, &f->remedy, e)
             : remedy_add (img, "kernel-arg", "net.ifnames=0", &f->remedy, e);
}

#define DEFINE_NETWORK(function, member, wanted, text, fix)                  \
  int function (struct image *img, struct finding_of_rule *f, struct err *e) \
  {                                                                          \
    const struct network *n = image_network (img, e);                        \
    int r;                                                                   \
                                                                             \
    if (!n)                                                                  \
      return -1;                                                             \
    if ((r = finding_by_fact (f, &n->member, wanted)) != 1)                  \
      return r;                                                              \
    if (fix (img, n, f, e) == -1)                                            \
      return -1;                                                             \
    return finding_fail (f, "%s%s%s", text, n->member.reason ? ": " : ".",   \
                         n->member.reason ? n->member.reason : "");          \
  }

DEFINE_NETWORK (warn_dhcp, dhcp, "yes",
                "The guest would not ask for its address by DHCP", fix_dhcp)
DEFINE_NETWORK (warn_eth0, eth0, "yes",
                "The network card would not be called eth0, as the"
                " provider's pages have it",
                fix_eth0)
DEFINE_NETWORK (warn_ipv6, ipv6, "no",
                "The network configuration counts on IPv6, which is not"
                " offered",
                fix_dhcp)

int
warn_conflicts (struct image *img, struct finding_of_rule *f, struct err *e)
{
  const struct os *os;
  int r;

  os = image_os (img, e);
  if (!os)
    return -1;
  if ((r = finding_by_fact (f, &os->conflicts, "")) != 1)
    return r;
  if (strstr (os->conflicts.value, "VMware Tools") &&
      remedy_add (img, "VMware Tools", NULL, &f->remedy, e) == -1)
    return -1;
  return finding_fail (
      f,
      "Tools of another virtualisation are installed (%s): remove"
      " them.",
      os->conflicts.value);
}
