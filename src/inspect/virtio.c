/* xrayfs: would the guest find its disk and its network card?
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For one kernel, each driver is looked for where that kernel would find it
 * at boot: built in (modules.builtin; the configuration where that file is
 * missing), in the initramfs, or as a module on the root filesystem.  The
 * disk's drivers, and all that they depend on, must be built in or in the
 * initramfs; the network card's may lie on the root filesystem.
 *
 * virt-v2v and virt-inspector ask only whether a module file exists under
 * /lib/modules: that guest may well not boot.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "inspect/blacklist.h"
#include "inspect/image_priv.h"
#include "inspect/initramfs.h"
#include "inspect/pe.h"
#include "inspect/windows.h"

const char *const virtio_driver_names[VIRTIO_N] = {
  "blk", "scsi", "net", "pci", "ring", "core", "console", "balloon", "rng"
};

/* A machine offers transitional devices, or modern ones. */
#define PCI_SUBSYSTEM "sv00001AF4sd00000000bc01sc00i00"
#define PCI_MODALIASES                                                       \
  "pci:v00001AF4d00001000" PCI_SUBSYSTEM                                     \
  " pci:v00001AF4d00001001" PCI_SUBSYSTEM                                    \
  " pci:v00001AF4d00001041" PCI_SUBSYSTEM                                    \
  " pci:v00001AF4d00001042" PCI_SUBSYSTEM
#define MODALIAS(n) "virtio:d0000000" n "v00001AF4"

/* Where it is built in, its initcall starts it (System.map); the ring has
 * nothing to start. */
static const struct driver {
  struct blacklist_module module;
  const char *option;
} drivers[VIRTIO_N] = {
  [VIRTIO_BLK] = { { "virtio_blk", MODALIAS ("2"), "virtio_blk_init", true },
                   "CONFIG_VIRTIO_BLK" },
  [VIRTIO_SCSI] = { { "virtio_scsi", MODALIAS ("8"), "virtio_scsi_init",
                      true },
                    "CONFIG_SCSI_VIRTIO" },
  [VIRTIO_NET] = { { "virtio_net", MODALIAS ("1"), "virtio_net_driver_init",
                     false },
                   "CONFIG_VIRTIO_NET" },
  [VIRTIO_PCI] = { { "virtio_pci", PCI_MODALIASES, "virtio_pci_driver_init",
                     false },
                   "CONFIG_VIRTIO_PCI" },
  [VIRTIO_RING] = { { "virtio_ring", NULL, NULL, false }, "CONFIG_VIRTIO" },
  [VIRTIO_CORE] = { { "virtio", NULL, "virtio_init", false },
                    "CONFIG_VIRTIO" },
  [VIRTIO_CONSOLE] = { { "virtio_console", MODALIAS ("3"),
                         "virtio_console_init", true },
                       "CONFIG_VIRTIO_CONSOLE" },
  [VIRTIO_BALLOON] = { { "virtio_balloon", MODALIAS ("5"),
                         "virtio_balloon_driver_init", false },
                       "CONFIG_VIRTIO_BALLOON" },
  [VIRTIO_RNG] = { { "virtio_rng", MODALIAS ("4"), "virtio_rng_driver_init",
                     false },
                   "CONFIG_HW_RANDOM_VIRTIO" },
};

/* Not of virtio: what a configuration drive may need to be seen. */
static const struct driver cdrom = {
  { "sr_mod", "scsi:t-0x05", "init_sr", true }, "CONFIG_BLK_DEV_SR"
};

void
virtio_free (struct virtio *v)
{
  fact_free (&v->has);
  fact_free (&v->cdrom);
  for (size_t i = 0; i < VIRTIO_N; i++)
    fact_free (&v->drivers[i]);
}

/* --- what is known of a kernel --------------------------------------- */

/* One source: read (its text), absent, or not readable (why). */
struct source {
  char *path; /* for messages */
  struct buf text;
  enum { ABSENT, READ, UNREADABLE } state;
  struct err why;
};

struct sources {
  struct source builtin, config, dep;
  struct source modprobe; /* /etc/modprobe.d of the root filesystem */
  struct initramfs initramfs;
  enum { NO_INITRAMFS, HAVE_INITRAMFS, BAD_INITRAMFS } initramfs_state;
  struct err initramfs_why;
  char *initramfs_path;
  const char *cmdline;
  const char *cmdline_unknown; /* why it is not known, or NULL */
  const char *version;
  const struct vfs *v;
  const char
      *modules; /* the directory; not NULL where modules.dep was read */
};

static void
source_free (struct source *s)
{
  free (s->path);
  buf_free (&s->text);
}

static void
cleanup_sources (struct sources *s)
{
  source_free (&s->builtin);
  source_free (&s->config);
  source_free (&s->dep);
  source_free (&s->modprobe);
  initramfs_free (&s->initramfs);
  free (s->initramfs_path);
}

static int
read_source (const struct vfs *v, struct source *s, const char *dir,
             const char *name, struct err *e)
{
  int r;

  if (!dir)
    return 0;
  if (asprintf (&s->path, "%s%s", dir, name) == -1) {
    s->path = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  r = guest_text (v, s->path, &s->text, e);
  if (r == -1 && err_is_transient (e))
    return -1;
  s->state = r == 1 ? READ : r == 0 ? ABSENT : UNREADABLE;
  if (r == -1) {
    s->why = *e;
    err_clear (e);
  }
  return 0;
}

static int
read_modprobe (const struct vfs *v, struct source *s, struct err *e)
{
  s->state = READ;
  if (blacklist_read_root (v, &s->text, e) == 0)
    return 0;
  if (err_is_transient (e))
    return -1;
  s->state = UNREADABLE;
  s->why = *e;
  err_clear (e);
  return 0;
}

/* --- the initramfs --------------------------------------------------- */

/* A file, or the section of a unified kernel image that is the initramfs. */
struct guest_file {
  struct vfs_file file;
  uint64_t start, size;
};

static int
guest_file_pread (const struct guest_file *f, void *buf, size_t len,
                  uint64_t off, size_t *ret, struct err *e)
{
  return fs_pread (f->file.fs, f->file.ino, f->file.size, buf, len,
                   f->start + off, ret, e);
}

static int
open_initramfs (const struct vfs *v, const char *path, struct guest_file *f,
                struct err *e)
{
  struct pe_section section;
  int r = vfs_open (v, path, &f->file, e);

  if (r != 1)
    return r == -1 ? -1 : err_set (e, EINVAL, "is not a regular file");
  f->start = 0;
  f->size = f->file.size;
  r = pe_find_section (&f->file, ".initrd", &section, e);
  if (r == 1) {
    f->start = section.offset;
    f->size = section.size;
  }
  return MIN (r, 0);
}

/* The loader puts several files one after another into memory, each at a
 * multiple of 4 bytes: one stream, zeros between them. */
#define MAX_INITRAMFS 16
struct joined {
  struct guest_file files[MAX_INITRAMFS];
  size_t n;
  struct lazy *cell;
};

static uint64_t
padded_size (const struct guest_file *f)
{
  return round_up (f->size, 4);
}

static int
joined_pread (void *arg, void *buf, size_t len, uint64_t off, size_t *ret,
              struct err *e)
{
  struct joined *j = arg;
  size_t i = 0, done = 0, n, got;

  while (i < j->n && off >= padded_size (&j->files[i]))
    off -= padded_size (&j->files[i++]);
  for (; i < j->n && done < len; i++, off = 0) {
    const struct guest_file *f = &j->files[i];
    n = off < f->size ? MIN (len - done, f->size - off) : 0;
    if (n && guest_file_pread (f, (char *) buf + done, n, off, &got, e) == -1)
      return -1;
    if (n && got != n)
      return err_set (e, EIO, "a file ends before its size");
    done += n;
    off += n;
    n = MIN (len - done, padded_size (f) - off);
    memset ((char *) buf + done, 0, n);
    done += n;
  }
  *ret = done;
  return 0;
}

static void
joined_progress (void *arg, uint64_t done, uint64_t total)
{
  struct joined *j = arg;

  lazy_progress (j->cell, done, total);
}

static int
open_joined (const struct vfs *v, char *paths, struct joined *j,
             uint64_t *ret_size, struct err *e)
{
  char *path, *save = NULL;

  *ret_size = 0;
  for (path = strtok_r (paths, " ", &save); path;
       path = strtok_r (NULL, " ", &save)) {
    struct guest_file *f = &j->files[j->n];
    if (j->n == MAX_INITRAMFS)
      return err_set (e, EFBIG, "more than %d files", MAX_INITRAMFS);
    if (open_initramfs (v, path, f, e) == -1)
      return -1;
    if (f->size > INT64_MAX / MAX_INITRAMFS)
      return err_set (e, EFBIG, "%s is too large", path);
    *ret_size += padded_size (f);
    j->n++;
  }
  return 0;
}

static int
read_initramfs (const struct vfs *v, const char *initramfs, struct lazy *cell,
                struct sources *s, struct err *e)
{
  struct joined j = { .cell = cell };
  struct initramfs_source src = { joined_pread, &j, 0, joined_progress };
  CLEANUP_FREE char *paths = NULL;
  int r;

  if (!initramfs)
    return 0;
  s->initramfs_path = strdup (initramfs);
  paths = strdup (initramfs);
  if (!s->initramfs_path || !paths)
    return err_set (e, ENOMEM, "out of memory");
  r = open_joined (v, paths, &j, &src.size, e);
  if (r == 0)
    r = initramfs_read (&src, s->version, NULL, NULL, &s->initramfs, e);
  if (r == 0) {
    s->initramfs_state = HAVE_INITRAMFS;
    return 0;
  }
  if (err_is_transient (e))
    return -1;
  s->initramfs_state = BAD_INITRAMFS;
  s->initramfs_why = *e;
  err_clear (e);
  return 0;
}

static int
initramfs_not_known (struct sources *s, const struct kernel *k,
                     const char *why, struct err *e)
{
  s->initramfs_path = strdup (k->initramfs ? k->initramfs : "initramfs");
  if (!s->initramfs_path)
    return err_set (e, ENOMEM, "out of memory");
  s->initramfs_state = BAD_INITRAMFS;
  err_set (&s->initramfs_why, EIO, "%s", why);
  return 0;
}

static int
gather (const struct vfs *v, const struct boot *b, const struct kernel *k,
        struct lazy *cell, struct sources *s, struct err *e)
{
  bool chosen = b->chosen == k;
  const char *initramfs = chosen && b->by_entry ? b->initramfs : k->initramfs;

  s->version = k->version;
  s->v = v;
  s->modules = k->modules;
  s->cmdline = chosen && b->cmdline.value ? b->cmdline.value : "";
  s->cmdline_unknown = chosen && !b->cmdline.value ? b->cmdline.reason : NULL;
  if (read_source (v, &s->builtin, k->modules, "/modules.builtin", e) == -1 ||
      read_source (v, &s->dep, k->modules, "/modules.dep", e) == -1 ||
      read_source (v, &s->config, k->config, "", e) == -1 ||
      read_modprobe (v, &s->modprobe, e) == -1)
    return -1;
  return chosen && b->initramfs_unknown
             ? initramfs_not_known (s, k, b->initramfs_unknown, e)
             : read_initramfs (v, initramfs, cell, s, e);
}

/* --- where a module is ----------------------------------------------- */

/* Does the text name MODULE as the first file of a line?  For modules.builtin
 * ("kernel/drivers/virtio/virtio.ko") and modules.dep ("...ko: ...").
 * *RET_LINE: that line. */
static bool
lists_module (const char *text, const char *module, const char **ret_line)
{
  char name[128];

  for (const char *p = text; *p; p += strcspn (p, "\n"), p += *p == '\n') {
    if (!module_name (p, strcspn (p, ":\n \t"), name, sizeof name) ||
        strcmp (name, module))
      continue;
    if (ret_line)
      *ret_line = p;
    return true;
  }
  return false;
}

/* 'y', 'm', 'n' (the file is there and does not set it). */
static char
config_value (const char *text, const char *option)
{
  size_t len = strlen (option);

  for (const char *p = text; *p; p += strcspn (p, "\n"), p += *p == '\n')
    if (!strncmp (p, option, len) && p[len] == '=')
      return p[len + 1] == 'y' || p[len + 1] == 'm' ? p[len + 1] : 'n';
  return 'n';
}

/* --- one driver ------------------------------------------------------ */

/* Built in?  1, 0, or -1: cannot tell. */
static int
is_builtin (const struct sources *s, const char *module, const char *option,
            struct fact *f)
{
  const struct source *list = &s->builtin;
  char value;

  if (list->state == READ) {
    bool there = lists_module (buf_str (&list->text), module, NULL);
    fact_evidence (f, "%s: %s %s", list->path, module,
                   there ? "is built in" : "is not built in");
    return there;
  }
  if (list->state == UNREADABLE) {
    fact_evidence (f, "%s: %s", list->path, list->why.msg);
    return -1;
  }
  /* Kernels before 2.6.33 have no modules.builtin; nor have images from
   * which it was taken away. */
  if (s->initramfs_state == HAVE_INITRAMFS && s->initramfs.builtin.len &&
      lists_module (buf_str (&s->initramfs.builtin), module, NULL)) {
    fact_evidence (f, "%s: modules.builtin: %s is built in",
                   s->initramfs_path, module);
    return 1;
  }
  if (s->config.state != READ || !option) {
    fact_evidence (f, "%s: %s", s->config.path ? s->config.path : "config",
                   s->config.state == UNREADABLE ? s->config.why.msg
                                                 : "is not there");
    return -1;
  }
  value = config_value (buf_str (&s->config.text), option);
  fact_evidence (f, "%s: %s=%c", s->config.path, option, value);
  return value == 'y';
}

static bool
is_listed (const struct sources *s, const char *module, const char **ret_line)
{
  return s->dep.state == READ &&
         lists_module (buf_str (&s->dep.text), module, ret_line);
}

/* Is the file there that LINE of modules.dep names?  modules.dep may outlive
 * it.  Old ones name it from the root.  1, 0, -1. */
static int
module_file_exists (const struct sources *s, const char *line, struct err *e)
{
  CLEANUP_FREE char *path = NULL;
  int len = (int) strcspn (line, ":\n");

  if (asprintf (&path, "%s%s%.*s", *line == '/' ? "" : s->modules,
                *line == '/' ? "" : "/", len, line) == -1) {
    path = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  return vfs_exists (s->v, path, e);
}

/* Of F's driver.  0: *RET; 1: F is unknown; -1. */
static int
judge_blacklist (struct fact *f, const struct sources *s,
                 const struct blacklist *b, const char *where,
                 const char *module, bool *ret, struct err *e)
{
  if (b->not_known)
    return fact_unknown (f, e, "%s: what '%s' does to it is not known", where,
                         b->found) == -1
               ? -1
               : 1;
  *ret = b->found[0] != '\0';
  if (!*ret && s->cmdline_unknown)
    return fact_unknown (f, e,
                         "the kernel command line, which may keep it"
                         " from being loaded, is not known: %s",
                         s->cmdline_unknown) == -1
               ? -1
               : 1;
  if (*ret) {
    fact_evidence (f, "%s: '%s' keeps %s from being loaded", where, b->found,
                   module);
    return fact_reason (f, e, "%s: '%s' keeps it from being loaded", where,
                        b->found);
  }
  return 0;
}

/* What dracut makes of the command line in the initramfs lies in /run, and
 * stays; old ones, without systemd, wrote it to /etc, which does not. */
static int
blocked_on_root (struct fact *f, const struct sources *s,
                 const struct blacklist_module *m, bool *ret, struct err *e)
{
  const struct initramfs *i = &s->initramfs;
  struct blacklist_place place = { .modprobe = buf_str (&s->modprobe.text),
                                   .cmdline = s->cmdline,
                                   .version = s->version,
                                   .dracut = !i->dracut   ? NO_DRACUT
                                             : i->systemd ? DRACUT
                                                          : MAYBE_DRACUT };
  struct blacklist b;

  if (blacklist_find (&place, m, &b, e) == -1)
    return -1;
  return judge_blacklist (f, s, &b, "root filesystem", m->name, ret, e);
}

static int
blocked_in_initramfs (struct fact *f, const struct sources *s,
                      const struct blacklist_module *m, bool *ret,
                      struct err *e)
{
  const struct initramfs *i = &s->initramfs;
  struct blacklist_place place = { .modprobe = buf_str (&i->modprobe),
                                   .cmdline = s->cmdline,
                                   .version = s->version,
                                   .initramfs_tools = i->takes_blacklist,
                                   .forced = buf_str (&i->forced),
                                   .mkinitfs = i->mkinitfs,
                                   .dracut = i->dracut ? DRACUT : NO_DRACUT,
                                   .inserted =
                                       initramfs_inserts (i, m->name) };
  struct blacklist b;

  if (blacklist_find (&place, m, &b, e) == -1)
    return -1;
  return judge_blacklist (f, s, &b, s->initramfs_path, m->name, ret, e);
}

static int
module_state (struct fact *f, const struct sources *s,
              const struct blacklist_module *m, struct err *e)
{
  const char *line, *module = m->name;
  bool blocked;
  int r;

  if (s->dep.state == UNREADABLE)
    return fact_unknown (f, e, "%s: %s", s->dep.path, s->dep.why.msg);
  if (!is_listed (s, module, &line)) {
    fact_evidence (f, "%s: %s is not listed",
                   s->dep.path ? s->dep.path : "/lib/modules", module);
    return fact_set (f, e, "missing");
  }
  r = module_file_exists (s, line, e);
  if (r == -1)
    return fact_could_not_look (f, e);
  fact_evidence (f, "%s: %s is listed, its file is %s", s->dep.path, module,
                 r ? "there" : "not there");
  if (r == 0)
    return fact_set (f, e, "missing");
  if (s->modprobe.state == UNREADABLE)
    return fact_unknown (f, e, "modprobe.d: %s", s->modprobe.why.msg);
  r = blocked_on_root (f, s, m, &blocked, e);
  if (r != 0)
    return r < 0 ? -1 : 0;
  return fact_set (f, e, blocked ? "missing" : "module");
}

/* Built in: but the command line may keep it from being started. */
static int
builtin_state (struct fact *f, const struct sources *s,
               const struct driver *d, struct err *e)
{
  struct blacklist_place place = { .cmdline = s->cmdline,
                                   .version = s->version };
  struct blacklist b;

  blacklist_builtin (&place, &d->module, &b);
  if (!b.found[0])
    return fact_set (f, e, "builtin");
  if (b.not_known)
    return fact_unknown (f, e, "what '%s' does to it is not known", b.found);
  if (fact_reason (f, e, "'%s' keeps it from being started", b.found) == -1)
    return -1;
  return fact_set (f, e, "missing");
}

/* In the initramfs.  1: F is not decided, since something blocks it. */
static int
initramfs_state (struct fact *f, const struct sources *s,
                 const struct blacklist_module *m, struct err *e)
{
  const struct initramfs *i = &s->initramfs;
  const struct err *why = i->hidden.code ? &i->hidden : &i->modprobe_why;
  bool blocked;
  int r;

  fact_evidence (f, "%s: %s is in it", s->initramfs_path, m->name);
  r = blocked_in_initramfs (f, s, m, &blocked, e);
  if (r != 0)
    return MIN (r, 0);
  if (blocked)
    return 1;
  if (why->code)
    return fact_unknown (f, e,
                         "%s: what may keep it from being loaded is not"
                         " known: %s",
                         s->initramfs_path, why->msg);
  if (i->modules_dep.len && !initramfs_inserts (i, m->name) &&
      !lists_module (buf_str (&i->modules_dep), m->name, NULL))
    return fact_unknown (f, e,
                         "%s: its modules.dep does not list %s, so whether"
                         " that is loaded is not known",
                         s->initramfs_path, m->name);
  return fact_set (f, e, "initramfs");
}

/* Not seen in the initramfs.  1: it is not there; else F is unknown. */
static int
initramfs_lacks (struct fact *f, const struct sources *s, const char *module,
                 struct err *e)
{
  const struct initramfs *i = &s->initramfs;

  fact_evidence (f, "%s: %s is not in it (%zu modules)", s->initramfs_path,
                 module, i->modules.len);
  if (i->hidden.code)
    return fact_unknown (f, e, "%s: %s", s->initramfs_path, i->hidden.msg);
  if (initramfs_may_have (i, module))
    return fact_unknown (f, e,
                         "%s: %s is in it, and whether its init loads it is"
                         " not known",
                         s->initramfs_path, module);
  return 1;
}

/* Sets F to builtin, initramfs, module, missing, or unknown. */
static int
find_driver (struct fact *f, const struct sources *s, const struct driver *d,
             struct err *e)
{
  const char *module = d->module.name;
  int builtin = is_builtin (s, module, d->option, f), r = 1;

  if (builtin == 1)
    return builtin_state (f, s, d, e);
  if (s->initramfs_state == HAVE_INITRAMFS)
    r = initramfs_has (&s->initramfs, module)
            ? initramfs_state (f, s, &d->module, e)
            : initramfs_lacks (f, s, module, e);
  else if (s->initramfs_state == BAD_INITRAMFS &&
           s->initramfs_why.code != ENOENT)
    return fact_unknown (f, e, "%s: %s", s->initramfs_path,
                         s->initramfs_why.msg);
  if (r != 1)
    return r;
  if (builtin == -1)
    return fact_unknown (f, e,
                         "cannot tell whether %s is built into kernel"
                         " %s: neither modules.builtin nor a configuration"
                         " could be read",
                         module, s->version);
  return module_state (f, s, &d->module, e);
}

/* --- all that a driver depends on ------------------------------------ */

/* The closure of a virtio driver has about ten; each is looked for in several
 * texts. */
#define MAX_DEPENDENCIES 64

/* Is every module that LINE of modules.dep names built in or in the
 * initramfs?  1, 0 (WHICH says what is not), or -1: cannot tell.  depmod
 * writes the whole closure on each line. */
static int
line_at_boot (const struct sources *s, const char *line, struct fact *has,
              char *which, size_t size)
{
  unsigned looks = 0;
  char name[128];
  size_t n;

  for (const char *p = line + strcspn (line, ":\n"); *p && *p != '\n';
       p += n) {
    int builtin;

    p += strspn (p, ": \t");
    n = strcspn (p, " \t\n");
    if (!n || !module_name (p, n, name, sizeof name) ||
        initramfs_has (&s->initramfs, name))
      continue;
    builtin =
        ++looks > MAX_DEPENDENCIES ? -1 : is_builtin (s, name, NULL, has);
    if (builtin != 1) {
      snprintf (which, size, "%s", name);
      return builtin;
    }
  }
  return 1;
}

/* The same for MODULE.  The initramfs's own modules.dep is what counts; but
 * depmod leaves out what it does not find there, which the whole tree's
 * knows. */
static int
dependencies_at_boot (const struct sources *s, const char *module,
                      struct fact *has, char *which, size_t size)
{
  const char *texts[] = { buf_str (&s->initramfs.modules_dep),
                          buf_str (&s->dep.text) },
             *line;
  bool found = false;
  int r = 1;

  for (size_t i = 0; r == 1 && i < ARRAY_SIZE (texts); i++)
    if (lists_module (texts[i], module, &line)) {
      found = true;
      r = line_at_boot (s, line, has, which, size);
    }
  if (r == 1 && s->dep.state == UNREADABLE)
    return -1;
  return found ? r : -1;
}

/* --- the answer ------------------------------------------------------ */

static const enum virtio_driver disk_drivers[] = { VIRTIO_BLK, VIRTIO_PCI,
                                                   VIRTIO_RING, VIRTIO_CORE };

static bool
is_at_boot (const struct fact *f)
{
  return fact_is (f, "builtin") || fact_is (f, "initramfs");
}

/* An initramfs that is part of the kernel's image; distributions' have none.
 */
static bool
has_own_initramfs (const struct sources *s)
{
  static const char key[] = "CONFIG_INITRAMFS_SOURCE=\"";
  const char *at = s->config.state == READ
                       ? strstr (buf_str (&s->config.text), key)
                       : NULL;

  return at && at[sizeof key - 1] != '"';
}

/* The weakest of the drivers decides: a no is certain, whatever is unknown
 * besides. */
static int
judge (struct virtio *v, const struct sources *s, struct err *e)
{
  const struct fact *unknown = NULL, *net = &v->drivers[VIRTIO_NET];
  const char *unknown_name = "";
  char which[128] = "";

  for (size_t i = 0; i < ARRAY_SIZE (disk_drivers); i++) {
    enum virtio_driver d = disk_drivers[i];
    const struct fact *f = &v->drivers[d];
    fact_evidence (&v->has, "%s: %s", drivers[d].module.name,
                   f->value ? f->value : "unknown");
    if (!fact_known (f) && !unknown) {
      unknown = f;
      unknown_name = drivers[d].module.name;
    }
    if (fact_known (f) && !is_at_boot (f)) {
      if (has_own_initramfs (s))
        return fact_unknown (&v->has, e,
                             "kernel %s has an initramfs in it"
                             " (CONFIG_INITRAMFS_SOURCE), which is not read",
                             s->version);
      if (fact_reason (&v->has, e,
                       "kernel %s: %s is neither built in nor %s%s%s",
                       s->version, drivers[d].module.name,
                       s->initramfs_path ? "in " : "in an initramfs",
                       s->initramfs_path ? s->initramfs_path : "",
                       f->reason ? ", or may not be loaded" : "") == -1)
        return -1;
      return fact_set (&v->has, e, "no");
    }
  }
  fact_evidence (&v->has, "virtio_net: %s",
                 net->value ? net->value : "unknown");
  if (fact_is (net, "missing")) {
    if (fact_reason (&v->has, e, "kernel %s has no virtio_net", s->version) ==
        -1)
      return -1;
    return fact_set (&v->has, e, "no");
  }
  if (!unknown && !fact_known (net)) {
    unknown = net;
    unknown_name = "virtio_net";
  }
  if (unknown)
    return fact_unknown (&v->has, e, "%s: %s", unknown_name,
                         unknown->reason ? unknown->reason : "");
  for (size_t i = 0; i < 2; i++) {
    enum virtio_driver d = disk_drivers[i];
    int r;
    if (!fact_is (&v->drivers[d], "initramfs"))
      continue;
    r = dependencies_at_boot (s, drivers[d].module.name, &v->has, which,
                              sizeof which);
    if (r == 1)
      continue;
    if (r == 0 && fact_reason (&v->has, e,
                               "kernel %s: %s needs %s, which is neither"
                               " built in nor in %s",
                               s->version, drivers[d].module.name, which,
                               s->initramfs_path) == 0)
      return fact_set (&v->has, e, "no");
    return fact_unknown (&v->has, e,
                         "what %s needs is not known: modules.dep"
                         " could not be read",
                         drivers[d].module.name);
  }
  return fact_set (&v->has, e, "yes");
}

static int
all_unknown (struct virtio *v, const char *why, struct err *e)
{
  for (size_t i = 0; i < VIRTIO_N; i++)
    if (fact_unknown (&v->drivers[i], e, "%s", why) == -1)
      return -1;
  return fact_unknown (&v->has, e, "%s", why);
}

static int
compute (struct kernel_virtio *kv, const struct vfs *v, const struct boot *b,
         const struct kernel *k, struct err *e)
{
  __attribute__ ((cleanup (cleanup_sources))) struct sources s = { 0 };
  struct virtio *out = &kv->virtio;

  if (gather (v, b, k, &kv->cell, &s, e) == -1)
    return -1;
  fact_evidence (&out->has, "kernel %s: image %s, initramfs %s", k->version,
                 k->image ? k->image : "none",
                 s.initramfs_path ? s.initramfs_path : "none");
  if (s.initramfs_state == HAVE_INITRAMFS)
    buf_puts (&out->has.evidence, buf_str (&s.initramfs.layout));
  if (s.initramfs_state == BAD_INITRAMFS)
    fact_evidence (&out->has, "%s: %s", s.initramfs_path,
                   s.initramfs_why.msg);
  for (size_t i = 0; i < VIRTIO_N; i++)
    if (find_driver (&out->drivers[i], &s, &drivers[i], e) == -1)
      return -1;
  if (find_driver (&out->cdrom, &s, &cdrom, e) == -1)
    return -1;
  return judge (out, &s, e);
}

int
virtio_compute (void *arg, struct err *e)
{
  struct kernel_virtio *kv = arg;
  struct image *img = kv->image;
  const struct guest *g = image_guest (img, e);
  const struct boot *b = g ? image_boot (img, e) : NULL;
  const struct kernel *k;

  if (!b)
    return -1;
  virtio_free (&kv->virtio);
  if (!g->root)
    return all_unknown (&kv->virtio,
                        g->family.value ? "there is no operating system"
                                        : g->family.reason,
                        e);
  if (guest_is_windows (g))
    return virtio_windows_compute (g, &kv->virtio, e);
  k = kv->kernel == SIZE_MAX ? b->chosen : &b->kernels[kv->kernel];
  if (!k)
    return all_unknown (&kv->virtio,
                        b->default_kernel.reason ? b->default_kernel.reason
                                                 : "no kernel was found",
                        e);
  return compute (kv, &g->vfs, b, k, e);
}

int
image_dracut_omits (struct image *img, const char *driver, struct buf *to,
                    struct err *e)
{
  static const char dir[] = "/etc/dracut.conf.d";
  CLEANUP_NAMES struct names names = { .prefix = "", .suffix = ".conf" };
  const struct guest *g = image_guest (img, e);

  if (!g || (g->root && names_in (&g->vfs, dir, &names, e) == -1))
    return -1;
  for (size_t i = 0; i < names.list.len; i++) {
    CLEANUP_BUF struct buf text = { 0 };
    CLEANUP_FREE char *path = NULL;
    const char *line;
    if (strchr (names.list.items[i], '\n'))
      continue;
    if (asprintf (&path, "%s/%s", dir, names.list.items[i]) == -1) {
      path = NULL;
      return err_set (e, ENOMEM, "out of memory");
    }
    if (guest_text (&g->vfs, path, &text, e) == -1)
      return -1;
    line = strstr (buf_str (&text), "omit_drivers");
    if (line && strstr (line, driver))
      buf_printf (to, "%s\n", path);
  }
  return buf_check (to, e);
}
