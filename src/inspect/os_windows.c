/* xrayfs: which Windows it is
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is installed says SOFTWARE, how it starts says SYSTEM.  A hive that
 * cannot be read makes its findings unknown, and no other.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "inspect/windows.h"

/* --- SOFTWARE -------------------------------------------------------- */

#define WHERE "SOFTWARE\\" WINDOWS_CURRENT_VERSION

static int
set_version (struct os *os, struct hive *h, hive_key key, struct err *e)
{
  struct fact major = { 0 }, minor = { 0 };
  int r;

  if (windows_value (&major, h, key, WHERE, "CurrentMajorVersionNumber", e) ==
          -1 ||
      windows_value (&minor, h, key, WHERE, "CurrentMinorVersionNumber", e) ==
          -1)
    r = -1;
  else if (!fact_known (&major) || !fact_known (&minor))
    r = fact_unknown (&os->version, e, "%s",
                      major.reason ? major.reason : minor.reason);
  else if (*major.value) {
    buf_add (&os->version.evidence, buf_str (&major.evidence),
             major.evidence.len);
    buf_add (&os->version.evidence, buf_str (&minor.evidence),
             minor.evidence.len);
    r = fact_set (&os->version, e, "%s.%s", major.value,
                  *minor.value ? minor.value : "0");
  } else /* before Windows 10 */
    r = windows_value (&os->version, h, key, WHERE, "CurrentVersion", e);
  fact_free (&major);
  fact_free (&minor);
  return r;
}

static int
read_software (struct os *os, struct hive *h, struct err *e)
{
  hive_key key;

  if (hive_find (h, hive_root (h), WINDOWS_CURRENT_VERSION, &key, e) == -1) {
    if (err_is_absent (e))
      e->code = EIO; /* every Windows has it */
    return err_in (e, "SOFTWARE");
  }
  if (windows_value (&os->name, h, key, WHERE, "ProductName", e) == -1 ||
      windows_value (&os->edition, h, key, WHERE, "EditionID", e) == -1 ||
      windows_value (&os->variant, h, key, WHERE, "InstallationType", e) ==
          -1 ||
      windows_value (&os->build, h, key, WHERE, "CurrentBuild", e) == -1 ||
      windows_value (&os->service_pack, h, key, WHERE, "CSDVersion", e) ==
          -1 ||
      windows_value (&os->ubr, h, key, WHERE, "UBR", e) == -1)
    return -1;
  if (fact_is (&os->build, "") &&
      windows_value (&os->build, h, key, WHERE, "CurrentBuildNumber", e) ==
          -1)
    return -1;
  return set_version (os, h, key, e);
}

static int
open_software (const struct vfs *v, struct os *os, struct err *e)
{
  CLEANUP_WINDOWS_HIVE struct windows_hive h = { 0 };
  const char *dir;
  char path[64];
  int r = windows_dir (v, &dir, e);

  if (r != 1)
    return r == -1 ? -1 : err_set (e, EIO, "there is no Windows");
  snprintf (path, sizeof path, "%s/System32/config/SOFTWARE", dir);
  if (windows_hive_open (v, path, &h, e) == -1)
    return -1;
  return read_software (os, h.hive, e);
}

static int
unknown_all (struct fact *const *facts, size_t n, struct err *why)
{
  struct err none = { 0 };

  if (err_is_transient (why))
    return -1;
  for (size_t i = 0; i < n; i++)
    if (!fact_known (facts[i]) && !facts[i]->reason &&
        fact_unknown (facts[i], &none, "%s", why->msg) == -1) {
      *why = none;
      return -1;
    }
  err_clear (why);
  return 0;
}

static int
software_facts (const struct vfs *v, struct os *os, struct err *e)
{
  struct fact *const facts[] = { &os->name,  &os->edition, &os->variant,
                                 &os->build, &os->version, &os->service_pack,
                                 &os->ubr };

  return open_software (v, os, e) == 0
             ? 0
             : unknown_all (facts, ARRAY_SIZE (facts), e);
}

/* --- SYSTEM: names --------------------------------------------------- */

/* Sets F from the first of SOURCES that says something. */
static int
first_value (struct fact *f, struct windows *w,
             const char *const sources[][2], size_t n, struct err *e)
{
  hive_key key;

  for (size_t i = 0; i < n && !(f->value && *f->value); i++) {
    if (windows_find (w, sources[i][0], &key, e) == 0) {
      if (windows_value (f, w->system.hive, key, sources[i][0], sources[i][1],
                         e) == -1)
        return -1;
      if (!fact_known (f))
        return 0;
    } else if (err_is_absent (e))
      err_clear (e);
    else
      return fact_could_not_look (f, e);
  }
  return f->value ? 0 : fact_set (f, e, "%s", "");
}

static int
detect_hostname (struct windows *w, struct os *os, struct err *e)
{
  static const char *const sources[][2] = {
    { "Services\\Tcpip\\Parameters", "Hostname" },
    { "Services\\Tcpip\\Parameters", "NV Hostname" },
    { "Control\\ComputerName\\ComputerName", "ComputerName" },
  };

  return first_value (&os->hostname, w, sources, ARRAY_SIZE (sources), e);
}

/* A letter is that of a partition: its disk's signature and its first byte,
 * or "DMIO:ID:" and its GUID. */
static bool
is_volume (const struct hive_value *v, const struct volume *vol)
{
  const unsigned char *d = (const unsigned char *) v->data.data;
  const struct partition *p = vol->partition;
  const char *id = vol->image->table->id;

  if (v->type != HIVE_BINARY || !p)
    return false;
  if (v->data.len == 12)
    return load_le64 (d + 4) == p->start && id &&
           strtoul (id, NULL, 16) == load_le32 (d);
  return v->data.len == 24 && !memcmp (d, "DMIO:ID:", 8) &&
         windows_is_guid (d + 8, p->uuid);
}

struct letter {
  const struct volume *vol;
  struct fact *f;
};

static int
take_letter (void *arg, const char *name, size_t len,
             const struct hive_value *v, struct err *e)
{
  struct letter *l = arg;

  if (len != 14 || strncasecmp (name, "\\DosDevices\\", 12) != 0 ||
      !is_volume (v, l->vol))
    return 0;
  fact_evidence (l->f, "SYSTEM\\MountedDevices: %s is %s", name + 12,
                 l->vol->name);
  return fact_set (l->f, e, "%s", name + 12);
}

/* "" where no letter is that of the volume, as on a disk whose signature was
 * changed since. */
static int
find_drive_letter (struct windows *w, const struct guest *g, struct os *os,
                   struct err *e)
{
  struct letter l = { g->root, &os->drive_letter };
  struct hive *h = w->system.hive;
  hive_key key;

  if (hive_find (h, hive_root (h), "MountedDevices", &key, e) == -1 ||
      hive_each_value (h, key, take_letter, &l, e) != 0) {
    if (!err_is_absent (e))
      return fact_could_not_look (&os->drive_letter, e);
    err_clear (e);
  }
  return fact_known (&os->drive_letter)
             ? 0
             : fact_set (&os->drive_letter, e, "%s", "");
}

/* --- network connections --------------------------------------------- */

#define NETWORK "Control\\Network\\{4D36E972-E325-11CE-BFC1-08002BE10318}"

struct connections {
  struct windows *w;
  struct fact *f;
  struct buf names;
};

/* Windows's own (tunnels, WAN miniports) are no network cards. */
static bool
is_a_card (const char *name, const char *instance)
{
  static const char *const software[] = { "ROOT\\", "SW\\", "SWD\\" };
  static const char *const tunnels[] = { "isatap", "Teredo", "6TO4" };

  for (size_t i = 0; i < ARRAY_SIZE (software); i++)
    if (!strncasecmp (instance, software[i], strlen (software[i])))
      return false;
  for (size_t i = 0; i < ARRAY_SIZE (tunnels); i++)
    if (!strncasecmp (name, tunnels[i], strlen (tunnels[i])))
      return false;
  return !strchr (name, '*');
}

static int
take_connection (void *arg, const char *name, size_t len unused_arg,
                 hive_key key, struct err *e)
{
  CLEANUP_BUF struct buf label = { 0 }, instance = { 0 };
  struct connections *c = arg;
  struct hive *h = c->w->system.hive;
  bool counts;

  if (hive_find (h, key, "Connection", &key, e) == -1) {
    if (!err_is_absent (e))
      return -1;
    err_clear (e); /* "Descriptions" is no connection */
    return 0;
  }
  if (hive_maybe_text (h, key, "Name", &label, e) == -1 ||
      hive_maybe_text (h, key, "PnpInstanceID", &instance, e) == -1)
    return -1;
  counts = label.len && is_a_card (buf_str (&label), buf_str (&instance));
  fact_evidence (c->f, NETWORK "\\%s\\Connection: '%s', of '%s'%s", name,
                 buf_str (&label), buf_str (&instance),
                 counts ? "" : ": not a card");
  if (!counts)
    return 0;
  if (c->names.len)
    buf_puts (&c->names, "\n");
  buf_add_line_text (&c->names, buf_str (&label), label.len);
  return 0;
}

static int
detect_connections (struct windows *w, struct os *os, struct err *e)
{
  struct connections c = { w, &os->connections, { 0 } };
  hive_key key;
  int r = windows_find (w, NETWORK, &key, e);

  if (r == 0)
    r = hive_each_key (w->system.hive, key, take_connection, &c, e);
  if (r == -1 && err_is_absent (e)) {
    err_clear (e);
    r = 0;
  }
  r = r == -1 ? fact_could_not_look (&os->connections, e)
              : fact_set (&os->connections, e, "%s", buf_str (&c.names));
  buf_free (&c.names);
  return r;
}

/* --- services -------------------------------------------------------- */

/* The virtio drivers, in all their names; what starts cloudbase-init; the
 * tools of other virtualisations. */
static const char *const known_services[] = {
  "viostor",      "vioscsi",        "virtio_blk", "vrtioblk",  "netkvm",
  "BALLOON",      "VirtioSerial",   "viorng",     "VirtRng",   "pvpanic",
  "QEMU-GA",      "cloudbase-init", "VMTools",    "vmci",      "pvscsi",
  "vmxnet3ndis6", "xenbus",         "xenvbd",     "VBoxGuest", "VBoxService"
};

/* What the values below StartOverride say: that of profile 0, which is the
 * usual one, or the first. */
struct override {
  struct fact *f;
  struct buf value;
};

static int
take_override (void *arg, const char *name, size_t len unused_arg,
               const struct hive_value *v, struct err *e)
{
  struct override *o = arg;
  CLEANUP_BUF struct buf text = { 0 };

  if (hive_value_text (v, &text, e) == -1)
    return -1;
  fact_evidence (o->f, "StartOverride: profile %s is %s", name,
                 buf_str (&text));
  if (o->value.len && strcmp (name, "0"))
    return 0;
  buf_reset (&o->value);
  buf_puts (&o->value, buf_str (&text));
  return 0;
}

static int
read_override (struct windows *w, hive_key key, struct fact *f, struct err *e)
{
  struct override o = { f, { 0 } };
  struct hive *h = w->system.hive;
  int r = hive_find (h, key, "StartOverride", &key, e);

  if (r == 0)
    r = hive_each_value (h, key, take_override, &o, e);
  if (r == -1 && err_is_absent (e)) {
    err_clear (e);
    r = 0;
  }
  r = r == -1 ? fact_could_not_look (f, e)
              : fact_set (f, e, "%s", buf_str (&o.value));
  buf_free (&o.value);
  return r;
}

static int
read_service (struct windows *w, const char *name, hive_key key,
              struct windows_service *s, struct err *e)
{
  struct hive *h = w->system.hive;
  CLEANUP_FREE char *where = NULL;

  if (asprintf (&where, "%s\\Services\\%s", w->set_name, name) == -1) {
    where = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  s->name = name;
  if (windows_value (&s->start, h, key, where, "Start", e) == -1 ||
      windows_value (&s->image_path, h, key, where, "ImagePath", e) == -1 ||
      windows_value (&s->type, h, key, where, "Type", e) == -1)
    return -1;
  return read_override (w, key, &s->start_override, e);
}

static int
list_services (struct windows *w, struct os *os, struct err *e)
{
  hive_key services, key;

  os->services = calloc (ARRAY_SIZE (known_services), sizeof *os->services);
  if (!os->services)
    return err_set (e, ENOMEM, "out of memory");
  if (windows_find (w, "Services", &services, e) == -1)
    return -1;
  for (size_t i = 0; i < ARRAY_SIZE (known_services); i++) {
    if (hive_find (w->system.hive, services, known_services[i], &key, e) ==
        0) {
      if (read_service (w, known_services[i], key,
                        &os->services[os->n_services++], e) == -1)
        return -1;
    } else if (err_is_absent (e))
      err_clear (e);
    else
      return -1;
  }
  return 0;
}

static int
services_unknown (struct os *os, struct err *e)
{
  if (err_is_transient (e))
    return -1;
  free (os->services_unknown);
  os->services_unknown = strdup (e->msg);
  if (!os->services_unknown)
    return err_set (e, ENOMEM, "out of memory");
  err_clear (e);
  return 0;
}

static int
detect_services (struct windows *w, struct os *os, struct err *e)
{
  return list_services (w, os, e) == 0 ? 0 : services_unknown (os, e);
}

/* --- conflicts ------------------------------------------------------- */

static int
detect_conflicts (struct os *os, struct err *e)
{
  static const char *const tools[][2] = {
    { "VMTools", "VMware Tools" },
    { "vmci", "VMware Tools" },
    { "xenbus", "Xen tools" },
    { "xenvbd", "Xen tools" },
    { "VBoxGuest", "VirtualBox additions" },
    { "VBoxService", "VirtualBox additions" },
  };
  CLEANUP_BUF struct buf found = { 0 };

  if (os->services_unknown)
    return fact_unknown (&os->conflicts, e, "%s", os->services_unknown);
  for (size_t i = 0; i < ARRAY_SIZE (tools); i++)
    for (size_t k = 0; k < os->n_services; k++) {
      const struct windows_service *s = &os->services[k];
      if (strcmp (s->name, tools[i][0]))
        continue;
      fact_evidence (&os->conflicts, "service %s: Start is %s", s->name,
                     s->start.value ? s->start.value : "unknown");
      if (!strstr (buf_str (&found), tools[i][1]))
        buf_printf (&found, "%s%s", found.len ? "\n" : "", tools[i][1]);
    }
  return fact_set (&os->conflicts, e, "%s", buf_str (&found));
}

/* --- hibernation ----------------------------------------------------- */

/* "hibr" is a saved system, "wake" one that was resumed.  Fast start-up
 * leaves the kernel's part at each shutdown. */
static int
detect_hibernated (const struct vfs *v, struct windows *w, struct os *os,
                   struct err *e)
{
  static const char *const path = "/hiberfil.sys";
  struct fact *f = &os->hibernated;
  char magic[4] = "";
  struct vfs_node n;
  struct fs_stat st;
  uint64_t fast;
  hive_key key;
  size_t got;

  if (w &&
      windows_find (w, "Control\\Session Manager\\Power", &key, e) == 0 &&
      hive_number (w->system.hive, key, "HiberbootEnabled", &fast, e) == 0)
    fact_evidence (f,
                   "Session Manager\\Power: HiberbootEnabled is %" PRIu64
                   " (fast start-up)",
                   fast);
  if (err_is_transient (e))
    return -1;
  err_clear (e);
  if (vfs_walk (v, path, 0, &n, e) == -1) {
    if (!err_is_absent (e))
      return fact_could_not_look (f, e);
    err_clear (e);
    fact_evidence (f, "%s: not there", path);
    return fact_set (f, e, "no");
  }
  if (fs_stat (vfs_fs (v, n), n.ino, &st, e) == -1 ||
      fs_pread (vfs_fs (v, n), n.ino, st.size, magic, sizeof magic, 0, &got,
                e) == -1)
    return fact_could_not_look (f, e);
  fact_evidence (f, "%s: begins with '%.4s'", path, magic);
  return fact_set (
      f, e, got == 4 && !strncasecmp (magic, "hibr", 4) ? "yes" : "no");
}

/* --- all ------------------------------------------------------------- */

static int
from_registry (const struct guest *g, struct windows *w, struct os *os,
               struct err *e)
{
  if (w->current_set == UINT64_MAX || w->current_set > 999) {
    if (fact_unknown (&os->control_set, e, "Select has no Current") == -1)
      return -1;
  } else if (fact_set (&os->control_set, e, "ControlSet%03u",
                       (unsigned) w->current_set) == -1)
    return -1;
  fact_evidence (&os->control_set, "SYSTEM\\Select: the next boot uses %s",
                 w->set_name);
  if (find_drive_letter (w, g, os, e) == -1 ||
      detect_hostname (w, os, e) == -1 ||
      detect_connections (w, os, e) == -1 || detect_services (w, os, e) == -1)
    return -1;
  return detect_conflicts (os, e);
}

static int
system_unknown (struct os *os, struct err *e)
{
  struct fact *const facts[] = { &os->control_set, &os->drive_letter,
                                 &os->hostname, &os->connections,
                                 &os->conflicts };

  if (services_unknown (os, e) == -1)
    return -1;
  err_set (e, EIO, "%s", os->services_unknown);
  return unknown_all (facts, ARRAY_SIZE (facts), e);
}

static int
set_arch (struct os *os, const struct windows *w, struct err *e)
{
  if (!*w->arch)
    return fact_unknown (&os->arch, e, "%s",
                         w->arch_why.code ? w->arch_why.msg
                                          : os->services_unknown);
  fact_evidence (&os->arch, "%s: for %s", w->arch_from, w->arch);
  return fact_set (&os->arch, e, "%s", w->arch);
}

int
os_windows_compute (const struct guest *g, struct os *os, struct err *e)
{
  CLEANUP_WINDOWS struct windows w = { 0 };
  const struct vfs *v = &g->vfs;
  const char *dir = "";
  int r = windows_open (v, &w, e), there;
  bool have_registry = r == 0;

  r = have_registry ? from_registry (g, &w, os, e) : system_unknown (os, e);
  if (r == -1 || (!have_registry && w.dir && windows_arch (&w, e) == -1) ||
      set_arch (os, &w, e) == -1)
    return -1;
  there = windows_dir (v, &dir, e);
  if ((there == -1 ? fact_could_not_look (&os->system_root, e)
                   : fact_set (&os->system_root, e, "%s", dir)) == -1 ||
      fact_set (&os->id, e, "windows") == -1 ||
      fact_set (&os->init, e, "%s", "") == -1 ||
      fact_set (&os->packages_format, e, "%s", "") == -1)
    return -1;
  return software_facts (v, os, e) == -1
             ? -1
             : detect_hibernated (v, have_registry ? &w : NULL, os, e);
}
