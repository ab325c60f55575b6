/* xrayfs: which Linux it is
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * os-release(5) first; then the older files, each with its own form.
 */
#include <ctype.h>
#include <elf.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "inspect/image_priv.h"
#include "inspect/windows.h"

void
os_free (struct os *os)
{
  fact_free (&os->id);
  fact_free (&os->name);
  fact_free (&os->version);
  fact_free (&os->variant);
  fact_free (&os->arch);
  fact_free (&os->hostname);
  fact_free (&os->init);
  fact_free (&os->packages_format);
  fact_free (&os->conflicts);
  fact_free (&os->edition);
  fact_free (&os->build);
  fact_free (&os->service_pack);
  fact_free (&os->ubr);
  fact_free (&os->system_root);
  fact_free (&os->control_set);
  fact_free (&os->drive_letter);
  fact_free (&os->hibernated);
  fact_free (&os->connections);
  for (size_t i = 0; i < os->n_services; i++) {
    fact_free (&os->services[i].start);
    fact_free (&os->services[i].start_override);
    fact_free (&os->services[i].image_path);
    fact_free (&os->services[i].type);
  }
  free (os->services);
  free (os->services_unknown);
  *os = (struct os){ 0 };
}

/* Takes VALUE (which may be NULL: absent, an empty line). */
static int
set_taken (struct fact *f, char *value, const char *path, struct err *e)
{
  CLEANUP_FREE unused_arg char *mine = value;

  fact_evidence (f, "%s: %s", path, value ? value : "says nothing of it");
  return fact_set (f, e, "%s", value ? value : "");
}

/* --- identity -------------------------------------------------------- */

/* *RET: 1 if the file settled it. */
static int
from_os_release (const struct vfs *v, struct os *os, int *ret, struct err *e)
{
  static const char *const paths[] = { "/etc/os-release",
                                       "/usr/lib/os-release" };
  CLEANUP_BUF struct buf text = { 0 };
  const char *path = NULL, *t;
  char *name, *version, *variant;

  *ret = 0;
  for (size_t i = 0; i < 2 && *ret == 0; i++) {
    path = paths[i];
    *ret = guest_text (v, path, &text, e);
    if (*ret == -1)
      return -1;
  }
  if (*ret == 0)
    return 0;
  t = buf_str (&text);
  name = shell_value (t, "PRETTY_NAME");
  version = shell_value (t, "VERSION_ID");
  variant = shell_value (t, "VARIANT_ID");
  if (set_taken (&os->id, shell_value (t, "ID"), path, e) == -1 ||
      set_taken (&os->name, name ? name : shell_value (t, "NAME"), path, e) ==
          -1 ||
      set_taken (&os->version, version, path, e) == -1 ||
      set_taken (&os->variant, variant, path, e) == -1)
    return -1;
  return 0;
}

/* os-release's ID of the distribution whose release file begins with LINE;
 * NULL: none that is known here. */
static const char *
id_of_release_line (const char *line)
{
  static const struct {
    const char *word, *id;
  } ids[] = { { "Red Hat", "rhel" },
              { "CentOS", "centos" },
              { "Fedora", "fedora" },
              { "Scientific", "scientific" },
              { "Oracle", "ol" },
              { "SUSE Linux E", "sles" },
              { "openSUSE", "opensuse" },
              { "Amazon", "amzn" },
              { "Rocky", "rocky" },
              { "AlmaLinux", "almalinux" },
              { "Tencent", "tencentos" }, /* TencentOS, Tencent tlinux */
              { "OpenCloudOS", "opencloudos" },
              { "Kylin", "kylin" },
              { "openEuler", "openEuler" },
              { "Anolis", "anolis" },
              { "UnionTech", "uos" } };

  for (size_t i = 0; i < ARRAY_SIZE (ids); i++)
    if (!strncasecmp (line, ids[i].word, strlen (ids[i].word)))
      return ids[i].id;
  return NULL;
}

/* The first number of LINE, "V10" where it is written so; and, of SUSE's
 * "PATCHLEVEL = 4" in REST, a second one, as its os-release has it later. */
static int
version_of_release_line (struct fact *f, const char *line, const char *rest,
                         struct err *e)
{
  const char *number = line + strcspn (line, "0123456789");
  const char *patch = strstr (rest, "\nPATCHLEVEL = ");
  int len;

  if (number > line + 1 && number[-1] == 'V' && number[-2] == ' ')
    number--;
  len = (int) ((*number == 'V') +
               strspn (number + (*number == 'V'), "0123456789."));
  if (patch)
    patch += strlen ("\nPATCHLEVEL = ");
  if (!patch || *patch == '0' || !isdigit ((unsigned char) *patch))
    return fact_set (f, e, "%.*s", len, number);
  return fact_set (f, e, "%.*s.%.*s", len, number,
                   (int) strspn (patch, "0123456789"), patch);
}

/* "CentOS release 6.10 (Final)" */
static int
from_release_line (struct os *os, const char *path, const char *text,
                   struct err *e)
{
  CLEANUP_FREE char *line = strndup (text, strcspn (text, "\n"));
  const char *id;

  if (!line)
    return err_set (e, ENOMEM, "out of memory");
  id = id_of_release_line (line);
  fact_evidence (&os->id, "%s: %s", path, line);
  if ((id ? fact_set (&os->id, e, "%s", id)
          : fact_unknown (&os->id, e, "%s: '%s' names none that is known",
                          path, line)) == -1 ||
      fact_set (&os->name, e, "%s", line) == -1 ||
      version_of_release_line (&os->version, line, text, e) == -1)
    return -1;
  return fact_set (&os->variant, e, "%s", "");
}

static int
from_lsb_release (const struct vfs *v, struct os *os, int *ret, struct err *e)
{
  const char *path = "/etc/lsb-release";
  CLEANUP_BUF struct buf text = { 0 };
  const char *t;
  char *id;

  *ret = guest_text (v, path, &text, e);
  if (*ret <= 0)
    return *ret;
  t = buf_str (&text);
  id = shell_value (t, "DISTRIB_ID");
  if (!id) {
    *ret = 0; /* Red Hat's says only LSB_VERSION */
    return 0;
  }
  for (char *p = id; *p; p++)
    *p = (char) tolower ((unsigned char) *p);
  if (set_taken (&os->id, id, path, e) == -1 ||
      set_taken (&os->name, shell_value (t, "DISTRIB_DESCRIPTION"), path,
                 e) == -1 ||
      set_taken (&os->version, shell_value (t, "DISTRIB_RELEASE"), path, e) ==
          -1)
    return -1;
  return fact_set (&os->variant, e, "%s", "");
}

static int
from_release_files (const struct vfs *v, struct os *os, int *ret,
                    struct err *e)
{
  /* Those that are built from another's packages keep its file besides their
   * own: their own comes first. */
  static const char *const paths[] = {
    "/etc/oracle-release",      "/etc/tlinux-release",
    "/etc/tencentos-release",   "/etc/kylin-release",
    "/etc/openEuler-release",   "/etc/anolis-release",
    "/etc/opencloudos-release", "/etc/centos-release",
    "/etc/redhat-release",      "/etc/fedora-release",
    "/etc/SuSE-release",        "/etc/system-release"
  };
  CLEANUP_BUF struct buf text = { 0 };

  for (size_t i = 0; i < ARRAY_SIZE (paths); i++) {
    *ret = guest_text (v, paths[i], &text, e);
    if (*ret == -1)
      return -1;
    if (*ret == 1 && text.len)
      return from_release_line (os, paths[i], text.data, e);
  }
  *ret = guest_text (v, "/etc/debian_version", &text, e);
  if (*ret <= 0)
    return *ret;
  if (text.data)
    text.data[strcspn (text.data, "\n")] = '\0';
  fact_evidence (&os->id, "/etc/debian_version: %s", buf_str (&text));
  if (fact_set (&os->id, e, "debian") == -1 ||
      fact_set (&os->name, e, "Debian GNU/Linux %s", buf_str (&text)) == -1 ||
      fact_set (&os->version, e, "%s", buf_str (&text)) == -1)
    return -1;
  return fact_set (&os->variant, e, "%s", "");
}

static int
identify (const struct vfs *v, struct os *os, struct err *e)
{
  int found;

  if (from_os_release (v, os, &found, e) == -1)
    return -1;
  if (found == 0 && from_lsb_release (v, os, &found, e) == -1)
    return -1;
  if (found == 0 && from_release_files (v, os, &found, e) == -1)
    return -1;
  if (found)
    return 0;
  if (fact_unknown (&os->id, e, "no os-release and no other release file") ==
          -1 ||
      fact_unknown (&os->name, e, "%s", os->id.reason) == -1 ||
      fact_unknown (&os->version, e, "%s", os->id.reason) == -1)
    return -1;
  return fact_set (&os->variant, e, "%s", "");
}

/* --- architecture ---------------------------------------------------- */

static const char *
elf_machine (const unsigned char *p, size_t len)
{
  bool le, wide;

  if (len < 20 || memcmp (p, ELFMAG, SELFMAG))
    return NULL;
  le = p[EI_DATA] == ELFDATA2LSB;
  wide = p[EI_CLASS] == ELFCLASS64;
  switch (le ? load_le16 (p + 18) : load_be16 (p + 18)) {
  case EM_X86_64:
    return "x86_64";
  case EM_386:
    return "i386";
  case EM_AARCH64:
    return "aarch64";
  case EM_ARM:
    return "arm";
  case EM_PPC64:
    return le ? "ppc64le" : "ppc64";
  case EM_S390:
    return "s390x";
  case EM_RISCV:
    return wide ? "riscv64" : "riscv32";
  case 258: /* EM_LOONGARCH */
    return "loongarch64";
  default:
    return "";
  }
}

/* The machine of the programs: a 32-bit system that a 64-bit kernel runs is
 * i386. */
static int
detect_arch (const struct vfs *v, struct os *os, struct err *e)
{
  static const char *const paths[] = { "/sbin/init", "/bin/sh", "/bin/bash",
                                       "/bin/busybox", "/bin/ls" };
  unsigned char head[64];
  struct fs_stat st;
  struct vfs_node n;
  const char *arch;
  size_t got;

  for (size_t i = 0; i < ARRAY_SIZE (paths); i++) {
    if (vfs_walk (v, paths[i], 0, &n, e) == -1 ||
        fs_stat (vfs_fs (v, n), n.ino, &st, e) == -1 || !S_ISREG (st.mode) ||
        fs_pread (vfs_fs (v, n), n.ino, st.size, head, sizeof head, 0, &got,
                  e) == -1) {
      if (e->code && !err_is_absent (e))
        return fact_could_not_look (&os->arch, e);
      err_clear (e);
      continue;
    }
    arch = elf_machine (head, got);
    if (!arch)
      continue; /* a script */
    fact_evidence (&os->arch, "%s: ELF for %s", paths[i],
                   *arch ? arch : "a machine without a name here");
    if (*arch)
      return fact_set (&os->arch, e, "%s", arch);
  }
  return fact_unknown (&os->arch, e,
                       "neither /sbin/init nor /bin/sh is an ELF program");
}

/* --- the rest -------------------------------------------------------- */

static int
detect_hostname (const struct vfs *v, struct os *os, struct err *e)
{
  static const struct {
    const char *path, *key;
  } sources[] = { { "/etc/hostname", NULL },
                  { "/etc/HOSTNAME", NULL },
                  { "/etc/sysconfig/network", "HOSTNAME" },
                  { "/etc/conf.d/hostname", "hostname" } };
  CLEANUP_BUF struct buf text = { 0 };

  for (size_t i = 0; i < ARRAY_SIZE (sources); i++) {
    CLEANUP_FREE char *value = NULL;
    int r = guest_text (v, sources[i].path, &text, e);
    if (r == -1)
      return fact_could_not_look (&os->hostname, e);
    if (r == 0 || !text.data)
      continue;
    if (sources[i].key)
      value = shell_value (text.data, sources[i].key);
    else
      for (char *p = text.data; *p; p += strcspn (p, "\n"), p += *p == '\n')
        if (*p != '#' && *p != '\n') {
          value = strndup (p, strcspn (p, " \t\r\n"));
          break;
        }
    if (value && *value) {
      fact_evidence (&os->hostname, "%s: %s", sources[i].path, value);
      return fact_set (&os->hostname, e, "%s", value);
    }
  }
  return fact_set (&os->hostname, e, "%s", "");
}

static int
detect_init (const struct vfs *v, struct os *os, struct err *e)
{
  static const struct {
    const char *path, *name;
  } inits[] = { { "/lib/systemd/systemd", "systemd" },
                { "/usr/lib/systemd/systemd", "systemd" },
                { "/sbin/openrc-init", "openrc" },
                { "/sbin/openrc", "openrc" },
                { "/sbin/initctl", "upstart" },
                { "/etc/inittab", "sysvinit" } };
  struct vfs_node n;
  CLEANUP_BUF struct buf path = { 0 };

  if (vfs_walk_from (v, "/", "/sbin/init", 0, &n, &path, e) == -1) {
    if (!err_is_absent (e))
      return fact_could_not_look (&os->init, e);
    err_clear (e);
    return fact_set (&os->init, e, "%s", "");
  }
  fact_evidence (&os->init, "/sbin/init: leads to %s", buf_str (&path));
  if (strstr (buf_str (&path), "systemd"))
    return fact_set (&os->init, e, "systemd");
  for (size_t i = 2; i < ARRAY_SIZE (inits); i++) {
    int r = vfs_exists (v, inits[i].path, e);
    if (r == -1)
      return fact_could_not_look (&os->init, e);
    if (r == 1)
      return fact_set (&os->init, e, "%s", inits[i].name);
  }
  return fact_unknown (&os->init, e, "/sbin/init is of no known kind");
}

/* The first of PATHS that is there decides. */
static int
detect_packages_format (const struct vfs *v, struct os *os, struct err *e)
{
  static const struct {
    const char *path, *name;
  } formats[] = { { "/var/lib/dpkg/status", "deb" },
                  { "/var/lib/rpm", "rpm" },
                  { "/usr/lib/sysimage/rpm", "rpm" },
                  { "/lib/apk/db/installed", "apk" },
                  { "/usr/lib/apk/db/installed", "apk" },
                  { "/var/lib/pacman/local", "pacman" } };

  for (size_t i = 0; i < ARRAY_SIZE (formats); i++) {
    int r = vfs_exists (v, formats[i].path, e);
    if (r == -1)
      return fact_could_not_look (&os->packages_format, e);
    if (r == 0)
      continue;
    fact_evidence (&os->packages_format, "%s: there", formats[i].path);
    return fact_set (&os->packages_format, e, "%s", formats[i].name);
  }
  return fact_set (&os->packages_format, e, "%s", "");
}

static int
detect_conflicts (const struct vfs *v, struct os *os, struct err *e)
{
  static const struct {
    const char *path, *name;
  } tools[] = { { "/usr/bin/vmtoolsd", "VMware Tools" },
                { "/usr/sbin/vmtoolsd", "VMware Tools" },
                { "/etc/vmware-tools/installer", "VMware Tools" },
                { "/usr/sbin/xe-daemon", "Xen tools" },
                { "/usr/sbin/xe-linux-distribution", "Xen tools" },
                { "/usr/sbin/VBoxService", "VirtualBox additions" },
                { "/opt/VBoxGuestAdditions", "VirtualBox additions" } };
  CLEANUP_BUF struct buf found = { 0 };

  for (size_t i = 0; i < ARRAY_SIZE (tools); i++) {
    int r = vfs_exists (v, tools[i].path, e);
    if (r == -1)
      return fact_could_not_look (&os->conflicts, e);
    if (r == 0)
      continue;
    fact_evidence (&os->conflicts, "%s: there", tools[i].path);
    if (!strstr (buf_str (&found), tools[i].name))
      buf_printf (&found, "%s%s", found.len ? "\n" : "", tools[i].name);
  }
  return fact_set (&os->conflicts, e, "%s", buf_str (&found));
}

/* Those of Windows, "" for any other system, or unknown. */
static int
set_windows_facts (struct os *os, const char *why, struct err *e)
{
  struct fact *facts[] = { &os->edition,      &os->build,
                           &os->service_pack, &os->ubr,
                           &os->system_root,  &os->control_set,
                           &os->drive_letter, &os->hibernated,
                           &os->connections };

  for (size_t i = 0; i < ARRAY_SIZE (facts); i++)
    if ((why ? fact_unknown (facts[i], e, "%s", why)
             : fact_set (facts[i], e, "%s", "")) == -1)
      return -1;
  return 0;
}

static int
all_unknown (struct os *os, const char *why, struct err *e)
{
  struct fact *facts[] = {
    &os->id,       &os->name, &os->version,         &os->variant,  &os->arch,
    &os->hostname, &os->init, &os->packages_format, &os->conflicts
  };

  if (set_windows_facts (os, why, e) == -1)
    return -1;
  if (why && !(os->services_unknown = strdup (why)))
    return err_set (e, ENOMEM, "out of memory");
  for (size_t i = 0; i < ARRAY_SIZE (facts); i++)
    if ((why ? fact_unknown (facts[i], e, "%s", why)
             : fact_set (facts[i], e, "%s", "")) == -1)
      return -1;
  return 0;
}

int
os_compute (void *arg, struct err *e)
{
  struct image *img = arg;
  const struct guest *g = image_guest (img, e);
  struct os *os = &img->os;
  const struct vfs *v;

  if (!g)
    return -1;
  os_free (os);
  if (!g->root) /* no system: nothing to say; or we could not look */
    return all_unknown (os, g->family.value ? NULL : g->family.reason, e);
  v = &g->vfs;
  if (guest_is_windows (g))
    return os_windows_compute (g, os, e);
  if (set_windows_facts (os, NULL, e) == -1)
    return -1;
  if (identify (v, os, e) == -1) {
    if (fact_could_not_look (&os->id, e) == -1)
      return -1;
    if (fact_unknown (&os->name, e, "%s", os->id.reason) == -1 ||
        fact_unknown (&os->version, e, "%s", os->id.reason) == -1 ||
        fact_unknown (&os->variant, e, "%s", os->id.reason) == -1)
      return -1;
  }
  if (detect_arch (v, os, e) == -1 || detect_hostname (v, os, e) == -1 ||
      detect_init (v, os, e) == -1 ||
      detect_packages_format (v, os, e) == -1 ||
      detect_conflicts (v, os, e) == -1)
    return -1;
  return 0;
}
