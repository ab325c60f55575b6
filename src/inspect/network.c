/* xrayfs: would the guest find its network?
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The instance has one virtio card, with an address that no configuration
 * knows, and offers DHCP on what the provider's pages call eth0.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "inspect/network_config.h"
#include "inspect/startup.h"

void
network_free (struct network *n)
{
  fact_free (&n->interfaces);
  fact_free (&n->dhcp);
  fact_free (&n->eth0);
  fact_free (&n->ipv6);
}

/* --- what the card is called ------------------------------------------ */

/* 1: PATH is there and is no link to /dev/null (which masks it). */
static int
is_effective (const struct vfs *v, const char *path, struct err *e)
{
  CLEANUP_BUF struct buf target = { 0 };
  struct vfs_node n;
  struct fs_stat st;

  if (vfs_walk (v, path, VFS_NOFOLLOW, &n, e) == -1) {
    if (!err_is_absent (e))
      return -1;
    err_clear (e);
    return 0;
  }
  if (fs_stat (vfs_fs (v, n), n.ino, &st, e) == -1)
    return -1;
  if (S_ISREG (st.mode))
    return st.size > 0;
  if (!S_ISLNK (st.mode))
    return 0;
  if (fs_readlink (vfs_fs (v, n), n.ino, &target, e) == -1)
    return -1;
  return strcmp (buf_str (&target), "/dev/null") != 0;
}

/* Files in /etc of the same name replace those of the distribution; SUSE's
 * are in /usr/lib alone before the two became one. */
static int
rule_is_on (const struct vfs *v, const char *name, struct err *e)
{
  static const char *const dirs[] = { "/etc/udev/rules.d",
                                      "/lib/udev/rules.d",
                                      "/usr/lib/udev/rules.d" };
  int r = 0;

  for (size_t i = 0; i < ARRAY_SIZE (dirs); i++) {
    CLEANUP_FREE char *path = NULL;
    r = there_printf (v, true, &path, e, "%s/%s", dirs[i], name);
    if (r != 0)
      return r == -1 ? -1 : is_effective (v, path, e);
  }
  return 0;
}

/* Does the .link file TEXT apply to a virtio card of unknown address and
 * place (systemd.link(5))? */
static bool
link_applies (const char *text)
{
  static const char *const others[] = { "MACAddress",   "PermanentMACAddress",
                                        "Path",         "Virtualization",
                                        "Kind",         "Property",
                                        "Host",         "Firmware",
                                        "Credential",   "KernelCommandLine",
                                        "KernelVersion" };
  CLEANUP_FREE char *driver = ini_value (text, "Match", "Driver"),
                    *type = ini_value (text, "Match", "Type"),
                    *name = ini_value (text, "Match", "OriginalName");

  for (size_t i = 0; i < ARRAY_SIZE (others); i++) {
    CLEANUP_FREE char *value = ini_value (text, "Match", others[i]);
    if (value && *value)
      return false;
  }
  return (!driver || strstr (driver, "virtio") || !strcmp (driver, "*")) &&
         (!type || strstr (type, "ether")) &&
         (!name || fnmatch (name, "eth0", 0) == 0);
}

/* What the first .link file that applies does: 1: names it by its place,
 * where net.ifnames allows that; 2: has a name for it, and that is not eth0;
 * 0: eth0. */
static int
name_by_link (const char *path, const char *text, struct fact *f)
{
  static const char *const places[] = { "onboard", "slot", "path", "mac" };
  CLEANUP_FREE char *policy = ini_value (text, "Link", "NamePolicy"),
                    *name = ini_value (text, "Link", "Name");

  fact_evidence (f, "systemd: %s: NamePolicy=%s Name=%s", path,
                 policy ? policy : "", name ? name : "");
  if (name && *name && strcmp (name, "eth0") != 0)
    return 2; /* or its place: never eth0 */
  for (size_t i = 0; policy && i < ARRAY_SIZE (places); i++)
    if (strstr (policy, places[i]))
      return 1;
  /* The distribution's own has one in every release. */
  if (!policy && !name && strncmp (path, "/etc/", 5) != 0 &&
      !strcmp (strrchr (path, '/'), "/99-default.link"))
    return 1;
  return 0;
}

struct links {
  const struct vfs *v;
  struct fact *f;
  int answer; /* of name_by_link; 0: none applies */
};

/* The first that applies ends it. */
static int
take_link (void *arg, const char *path, struct err *e)
{
  struct links *l = arg;
  CLEANUP_BUF struct buf text = { 0 };
  int r = is_effective (l->v, path, e);

  if (r == 1)
    r = guest_text (l->v, path, &text, e);
  if (r != 1 || !link_applies (buf_str (&text)))
    return r == -1 ? -1 : 0;
  l->answer = name_by_link (path, buf_str (&text), l->f);
  return 1;
}

static int
look_at_links (const struct vfs *v, struct fact *f, struct err *e)
{
  static const char lib[] = "/lib/systemd/network";
  struct links l = { v, f, 0 };
  int r = vfs_exists (v, lib, e);

  if (r == -1)
    return -1;
  r = each_layered_file (v, "/etc/systemd/network",
                         r ? lib : "/usr/lib/systemd/network", ".link",
                         take_link, &l, e);
  return r == -1 ? -1 : l.answer;
}

/* 1: names like ens5 are given (systemd since version 197); 2: another,
 * whatever the command line says. */
static int
names_are_predictable (const struct vfs *v, struct fact *f, struct err *e)
{
  static const char *const rules[] = { "80-net-setup-link.rules",
                                       "80-net-name-slot.rules" };
  int r = 0;

  for (size_t i = 0; r == 0 && i < ARRAY_SIZE (rules); i++) {
    r = rule_is_on (v, rules[i], e);
    if (r == 1)
      fact_evidence (f, "udev: %s is in force", rules[i]);
  }
  if (r != 1)
    return r;
  /* CentOS 7 and Debian 8 have the policy, too, under this name. */
  return look_at_links (v, f, e);
}

/* 1: rules of udev's generator give eth0 to a card with an old address, so
 * that a new one becomes eth1. */
static int
eth0_is_taken (const struct vfs *v, struct fact *f, struct err *e)
{
  static const char path[] = "/etc/udev/rules.d/70-persistent-net.rules";
  CLEANUP_BUF struct buf text = { 0 };
  int r = guest_text (v, path, &text, e);

  if (r != 1)
    return r;
  for (char *p = text.data, *end; p && *p; p = end) {
    end = p + strcspn (p, "\n");
    if (*end)
      *end++ = '\0';
    if (*p == '#' || !strstr (p, "NAME=\"eth0\"") || !strstr (p, "address"))
      continue;
    fact_evidence (f, "%s: %s", path, p);
    return 1;
  }
  return 0;
}

/* SUSE's systemd of SLE 12 and 15, and of what is built from them, names
 * cards by their place only where net.ifnames=1 asks for it (SUSE's knowledge
 * base, 000020417). */
static bool
has_classical_names (const struct os *os)
{
  static const struct {
    const char *id, *version;
  } systems[] = { { "sle", "12" },
                  { "sle", "15" },
                  { "opensuse", "42." },
                  { "opensuse-leap", "42." },
                  { "opensuse-leap", "15." } };
  const char *id = os->id.value ? os->id.value : "",
             *version = os->version.value ? os->version.value : "";

  for (size_t i = 0; i < ARRAY_SIZE (systems); i++)
    if ((!strcmp (systems[i].id, "sle")
             ? !strncmp (id, "sle", 3) && strcspn (version, ". ") == 2
             : !strcmp (id, systems[i].id)) &&
        !strncmp (version, systems[i].version, strlen (systems[i].version)))
      return true;
  return false;
}

static int
decide_eth0 (const struct vfs *v, const struct boot *b, const struct os *os,
             struct fact *f, struct err *e)
{
  const bool classical = has_classical_names (os);
  const char *word;
  int r;

  if ((r = eth0_is_taken (v, f, e)) == -1)
    return fact_could_not_look (f, e);
  if (r == 1)
    return fact_reason (f, e,
                        "70-persistent-net.rules keeps eth0 for the card of"
                        " the old machine") == -1
               ? -1
               : fact_set (f, e, "no");
  if ((r = names_are_predictable (v, f, e)) == -1)
    return fact_could_not_look (f, e);
  if (r == 0)
    return fact_set (f, e, "yes");
  if (r == 2)
    return fact_reason (f, e, "a .link file has another name for the card") ==
                   -1
               ? -1
               : fact_set (f, e, "no");
  if (!b->cmdline.value)
    return fact_unknown (f, e, "the kernel command line is not known: %s",
                         b->cmdline.reason ? b->cmdline.reason : "");
  word = cmdline_word (b->cmdline.value, "net.ifnames=");
  fact_evidence (f, "kernel command line: %.*s",
                 word ? (int) strcspn (word, " \t") : 18,
                 word ? word : "no net.ifnames set");
  if (classical)
    fact_evidence (f, "%s %s: names like ens5 only with net.ifnames=1",
                   os->id.value, os->version.value);
  if (word ? word[12] == '0' : classical)
    return fact_set (f, e, "yes");
  if (fact_reason (f, e,
                   "the card gets a name like ens5: net.ifnames=0 is not on"
                   " the kernel command line") == -1)
    return -1;
  return fact_set (f, e, "no");
}

/* --- what is configured ---------------------------------------------- */

static const char *
method (const struct card *c)
{
  return c->dhcp4                 ? "dhcp"
         : c->static4             ? "static"
         : c->auto6 || c->static6 ? "ipv6"
                                  : "none";
}

static int
list_cards (const struct card_vec *cards, struct fact *f, struct err *e)
{
  CLEANUP_BUF struct buf lines = { 0 };

  for (size_t i = 0; i < cards->len; i++) {
    const struct card *c = &cards->items[i];
    buf_puts (&lines, i ? "\n" : "");
    buf_add_line_text (&lines, c->name, strlen (c->name));
    buf_printf (&lines, "\t%s\t", c->started ? method (c) : "off");
    buf_add_line_text (&lines, c->source, strlen (c->source));
    fact_evidence (f, "%s: %s: %s%s%s%s", c->source, c->name, method (c),
                   c->started ? "" : ", not started at boot",
                   c->mac ? ", only for the card " : "",
                   c->mac ? c->mac : "");
  }
  return buf_check (&lines, e) == -1
             ? -1
             : fact_set (f, e, "%s", buf_str (&lines));
}

/* Would the instance's card be configured by C?  Where it is not called
 * eth0, it is not known which name it gets, but a pattern for all such names
 * has it. */
static bool
matches (const struct card *c, const struct fact *eth0)
{
  if (!c->started || c->mac)
    return false;
  if (!fact_is (eth0, "no") && fnmatch (c->name, "eth0", 0) == 0)
    return true;
  return !fact_is (eth0, "yes") && strpbrk (c->name, "*?[") &&
         fnmatch (c->name, "ens5", 0) == 0 &&
         fnmatch (c->name, "enp0s5", 0) == 0;
}

/* 1: NetworkManager would configure a card that it has no profile for. */
static int
manager_takes_all (const struct vfs *v, struct fact *f, struct err *e)
{
  static const char *const enabled[] = {
    "/etc/systemd/system/multi-user.target.wants/NetworkManager.service",
    "/etc/systemd/system/dbus-org.freedesktop.NetworkManager.service"
  };
  CLEANUP_BUF struct buf conf = { 0 };
  struct vfs_node n;
  bool on = false;
  int r;

  for (size_t i = 0; !on && i < ARRAY_SIZE (enabled); i++) {
    if (vfs_walk (v, enabled[i], VFS_NOFOLLOW, &n, e) == 0)
      on = true;
    else if (!err_is_absent (e))
      return -1;
    err_clear (e);
  }
  if (!on)
    return 0;
  /* NetworkManager-config-server of Red Hat. */
  r = vfs_exists (v, "/usr/lib/NetworkManager/conf.d/00-server.conf", e);
  if (r == -1 || guest_text (v, "/etc/NetworkManager/NetworkManager.conf",
                             &conf, e) == -1)
    return -1;
  if (r == 1 || strstr (buf_str (&conf), "\nno-auto-default")) {
    fact_evidence (f, "NetworkManager: no-auto-default");
    return 0;
  }
  fact_evidence (f, "NetworkManager: enabled, takes cards without a profile");
  return 1;
}

/* Without a card's own configuration. */
static int
decide_unconfigured (const struct vfs *v, const struct card_vec *cards,
                     const struct fact *eth0, struct fact *f, struct err *e)
{
  int r = manager_takes_all (v, f, e);

  if (r == -1)
    return fact_could_not_look (f, e);
  if (r == 1)
    return fact_set (f, e, "yes");
  if (cards->len == 0)
    return fact_unknown (f, e,
                         "no configuration of a network card was found");
  if (!fact_known (eth0))
    return fact_unknown (f, e, "it is not known how the card is called: %s",
                         eth0->reason);
  if (fact_reason (f, e,
                   "only %s is configured, and the instance's card is not"
                   " it",
                   cards->items[0].name) == -1)
    return -1;
  return fact_set (f, e, "no");
}

static int
decide_dhcp (const struct vfs *v, const struct cloud_init *c,
             const struct card_vec *cards, const struct fact *eth0,
             struct fact *f, struct err *e)
{
  const struct card *found = NULL;

  if (fact_is (&c->would_run, "yes") && c->network == CLOUD_NETWORK_UNSET) {
    fact_evidence (f, "cloud-init would run, and writes the configuration");
    return fact_set (f, e, "yes");
  }
  if (fact_is (&c->would_run, "yes") && c->network == CLOUD_NETWORK_DISABLED)
    fact_evidence (f, "%s: cloud-init leaves the network alone",
                   c->network_by);
  if (fact_is (&c->would_run, "yes") && c->network == CLOUD_NETWORK_GIVEN &&
      !cards->len)
    return fact_unknown (f, e,
                         "%s tells cloud-init of the network, in a form that"
                         " is not read",
                         c->network_by);
  for (size_t i = 0; i < cards->len; i++)
    if (matches (&cards->items[i], eth0) && (!found || !found->dhcp4))
      found = &cards->items[i];
  if (!found)
    return decide_unconfigured (v, cards, eth0, f, e);
  fact_evidence (f, "%s: %s: %s", found->source, found->name, method (found));
  if (found->dhcp4)
    return fact_set (f, e, "yes");
  if (fact_reason (f, e, "%s: %s is configured as %s", found->source,
                   found->name, method (found)) == -1)
    return -1;
  return fact_set (f, e, "no");
}

/* IPv6 that the guest counts on: addresses, or nothing else. */
static int
decide_ipv6 (const struct card_vec *cards, struct fact *f, struct err *e)
{
  bool needed = false;

  for (size_t i = 0; i < cards->len; i++) {
    const struct card *c = &cards->items[i];
    if (!c->started ||
        !(c->static6 || (c->auto6 && !c->dhcp4 && !c->static4)))
      continue;
    fact_evidence (f, "%s: %s: %s", c->source, c->name,
                   c->static6 ? "a fixed IPv6 address" : "IPv6 alone");
    needed = true;
  }
  return fact_set (f, e, needed ? "yes" : "no");
}

/* --- the answer ------------------------------------------------------ */

static int
all_unknown (struct network *n, const char *why, struct err *e)
{
  struct fact *facts[] = { &n->interfaces, &n->dhcp, &n->eth0, &n->ipv6 };

  for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
    if ((why ? fact_unknown (facts[i], e, "%s", why)
             : fact_set (facts[i], e, "%s", "")) == -1)
      return -1;
  return 0;
}

int
network_decide (const struct vfs *v, const struct boot *b,
                const struct os *os, const struct cloud_init *c,
                struct network *n, struct err *e)
{
  __attribute__ ((
      cleanup (network_config_free))) struct card_vec cards = { 0 };
  bool given;

  if (decide_eth0 (v, b, os, &n->eth0, e) == -1)
    return -1;
  given = fact_is (&c->would_run, "yes") && c->network == CLOUD_NETWORK_GIVEN;
  if ((given ? network_config_add_netplan (v, c->network_by, &cards, e)
             : network_config_read (v, &cards, e)) == -1) {
    if (fact_could_not_look (&n->interfaces, e) == -1 ||
        fact_unknown (&n->ipv6, e, "%s", n->interfaces.reason) == -1)
      return -1;
    return fact_unknown (&n->dhcp, e, "%s", n->interfaces.reason);
  }
  if (list_cards (&cards, &n->interfaces, e) == -1 ||
      decide_dhcp (v, c, &cards, &n->eth0, &n->dhcp, e) == -1)
    return -1;
  return decide_ipv6 (&cards, &n->ipv6, e);
}

int
network_compute (void *arg, struct err *e)
{
  struct image *img = arg;
  struct network *n = &img->network;
  const struct guest *g = image_guest (img, e);
  const struct boot *b = g ? image_boot (img, e) : NULL;
  const struct os *os = b ? image_os (img, e) : NULL;
  const struct cloud_init *c;

  if (!os)
    return -1;
  network_free (n);
  if (!g->root)
    return all_unknown (n, g->family.value ? NULL : g->family.reason, e);
  c = image_cloud_init (img, e);
  return c ? network_decide (&g->vfs, b, os, c, n, e) : -1;
}
