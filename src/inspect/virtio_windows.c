/* xrayfs: would a Windows find a virtio disk and a virtio network card?
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The disk must be there before Plug and Play runs: the service starts at
 * boot (Start 0, and nothing overrides it), its file is there and for this
 * machine, and the registry binds the device to it: the critical device
 * database before Windows 8, the driver database since.  The card may be
 * found later, so its driver need only be installed, or lie in the driver
 * store, from which Plug and Play takes it.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "inspect/virtio_windows.h"

static const struct driver drivers[VIRTIO_N] = {
  [VIRTIO_BLK] = { { "viostor", "virtio_blk", "vrtioblk" },
                   "viostor",
                   "1001",
                   "0002" },
  [VIRTIO_SCSI] = { { "vioscsi" }, "vioscsi", "1004", "0008" },
  [VIRTIO_NET] = { { "netkvm" }, "netkvm", NULL, NULL },
  [VIRTIO_CONSOLE] = { { "VirtioSerial", "vioser" }, "vioser", NULL, NULL },
  [VIRTIO_BALLOON] = { { "BALLOON" }, "balloon", NULL, NULL },
  [VIRTIO_RNG] = { { "viorng", "VirtRng" }, "viorng", NULL, NULL },
};

enum answer
finder_say (struct finder *d, enum answer a, const char *fmt, ...)
{
  va_list ap;

  va_start (ap, fmt);
  vsnprintf (d->why, sizeof d->why, fmt, ap);
  va_end (ap);
  fact_evidence (d->f, "%s", d->why);
  return a;
}

int
finder_could_not_tell (struct finder *d, enum answer *ret, struct err *e)
{
  if (err_is_transient (e))
    return -1;
  *ret = finder_say (d, MAYBE, "%s", e->msg);
  err_clear (e);
  return 0;
}

/* --- the file -------------------------------------------------------- */

static int
judge_file (struct finder *d, const char *path, enum answer *ret,
            struct err *e)
{
  const struct windows *w = d->w;
  const char *machine;

  if (windows_machine (w->v, path, &machine, e) == -1) {
    if (!err_is_absent (e) && e->code != EINVAL)
      return finder_could_not_tell (d, ret, e);
    *ret = finder_say (d, NO, "%s", e->msg);
    err_clear (e);
    return 0;
  }
  if (!*w->arch)
    *ret = finder_say (d, MAYBE,
                       "%s: whether it is for this Windows is not known:"
                       " %s",
                       path, w->arch_why.msg);
  else if (strcmp (machine, w->arch))
    *ret = finder_say (d, NO, "%s is for %s, and Windows for %s", path,
                       *machine ? machine : "another machine", w->arch);
  else
    *ret = finder_say (d, YES, "%s: there, for %s", path, machine);
  return 0;
}

/* Without an ImagePath it is the file of the service's name. */
static int
find_file (struct finder *d, const char *service, hive_key key,
           enum answer *ret, struct err *e)
{
  CLEANUP_BUF struct buf image = { 0 };
  CLEANUP_FREE char *path = NULL;

  if (hive_text (d->w->system.hive, key, "ImagePath", &image, e) == -1) {
    if (!err_is_absent (e))
      return finder_could_not_tell (d, ret, e);
    err_clear (e);
  }
  if (!image.len)
    buf_printf (&image, "System32\\drivers\\%s.sys", service);
  if (buf_check (&image, e) == -1)
    return -1;
  fact_evidence (d->f, "Services\\%s: ImagePath is '%s'", service,
                 buf_str (&image));
  path = windows_path (d->w->dir, buf_str (&image));
  if (!path) {
    *ret = finder_say (d, MAYBE, "where '%s' lies is not known",
                       buf_str (&image));
    return 0;
  }
  return judge_file (d, path, ret, e);
}

/* --- start ----------------------------------------------------------- */

struct override {
  struct finder *d;
  const char *service;
  enum answer starts;
};

/* Profile 0 is the only one since Windows 8. */
static int
take_override (void *arg, const char *name, size_t len unused_arg,
               const struct hive_value *v, struct err *e)
{
  struct override *o = arg;
  CLEANUP_BUF struct buf text = { 0 };

  if (hive_value_text (v, &text, e) == -1)
    return -1;
  if (!strcmp (buf_str (&text), "0") || o->starts == NO)
    return 0;
  if (!strcmp (name, "0"))
    o->starts =
        finder_say (o->d, NO,
                    "%s\\Services\\%s\\StartOverride: %s is %s, which takes"
                    " away the start at boot",
                    o->d->w->set_name, o->service, name, buf_str (&text));
  else
    o->starts =
        finder_say (o->d, MAYBE,
                    "%s\\Services\\%s\\StartOverride: %s is %s: whether"
                    " that hardware profile is the one in use is not known",
                    o->d->w->set_name, o->service, name, buf_str (&text));
  return 0;
}

static int
starts_at_boot (struct finder *d, const char *service, hive_key key,
                enum answer *ret, struct err *e)
{
  struct override o = { d, service, YES };
  uint64_t start = 0, type = 0;
  const char *set = d->w->set_name;
  hive_key sub;
  int r;

  r = hive_maybe_number (d->w->system.hive, key, "Start", &start, e);
  if (r == 1)
    r = hive_maybe_number (d->w->system.hive, key, "Type", &type, e);
  if (r == -1) {
    err_in (e, "SYSTEM");
    return finder_could_not_tell (d, ret, e);
  }
  *ret = NO;
  if (r == 0)
    finder_say (d, NO, "%s\\Services\\%s has no Start or no Type", set,
                service);
  else if (start != 0)
    finder_say (d, NO, "%s\\Services\\%s: Start is %" PRIu64 ", not 0", set,
                service, start);
  else if (type != 1)
    finder_say (d, NO, "%s\\Services\\%s: Type is %" PRIu64 ", not 1", set,
                service, type);
  else
    *ret = finder_say (d, YES, "%s\\Services\\%s: Start is 0, Type is 1", set,
                       service);
  if (*ret == NO)
    return 0;
  if (hive_find (d->w->system.hive, key, "StartOverride", &sub, e) == 0) {
    if (hive_each_value (d->w->system.hive, sub, take_override, &o, e) == -1)
      return finder_could_not_tell (d, ret, e);
    *ret = o.starts;
    return 0;
  }
  if (!err_is_absent (e))
    return finder_could_not_tell (d, ret, e);
  err_clear (e);
  return 0;
}

/* --- the driver store ------------------------------------------------ */

struct store {
  const char *file;
  struct text_vec dirs;
  bool failed, too_many;
};
#define MAX_STORE_DIRS 64 /* versions of one package */

/* "netkvm.inf_amd64_neutral_0123456789abcdef" */
static int
take_store_dir (void *arg, const char *name, size_t len,
                uint64_t ino unused_arg, unsigned type unused_arg)
{
  struct store *s = arg;
  size_t n = strlen (s->file);
  char *copy;

  if (len < n + 5 || strncasecmp (name, s->file, n) ||
      strncasecmp (name + n, ".inf_", 5))
    return 0;
  if (s->dirs.len >= MAX_STORE_DIRS) {
    s->too_many = true;
    return 1;
  }
  copy = strndup (name, len);
  if (!copy || text_vec_push (&s->dirs, copy) == -1) {
    free (copy);
    s->failed = true;
    return 1;
  }
  return 0;
}

static void
cleanup_store (struct store *s)
{
  for (size_t i = 0; i < s->dirs.len; i++)
    free (s->dirs.items[i]);
  free (s->dirs.items);
}

/* Is there a package for this machine that Plug and Play could install? */
static int
look_into_store (struct finder *d, enum answer *ret, struct err *e)
{
  __attribute__ ((
      cleanup (cleanup_store))) struct store s = { .file = d->driver->file };
  CLEANUP_BUF struct buf path = { 0 };
  enum answer one;

  buf_printf (&path, "%s/System32/DriverStore/FileRepository", d->w->dir);
  if (buf_check (&path, e) == -1)
    return -1;
  *ret = NO;
  if (vfs_list (d->w->v, buf_str (&path), take_store_dir, &s, e) == -1) {
    if (!err_is_absent (e))
      return finder_could_not_tell (d, ret, e);
    err_clear (e);
  }
  if (s.failed)
    return err_set (e, ENOMEM, "out of memory");
  for (size_t i = 0; i < s.dirs.len && *ret != YES; i++) {
    CLEANUP_BUF struct buf file = { 0 };
    buf_printf (&file, "%s/%s/%s.sys", buf_str (&path), s.dirs.items[i],
                s.file);
    if (buf_check (&file, e) == -1 ||
        judge_file (d, buf_str (&file), &one, e) == -1)
      return -1;
    if (one != NO)
      *ret = one;
  }
  if (*ret == NO && s.too_many)
    *ret = finder_say (d, MAYBE, "%s: too many packages of %s",
                       buf_str (&path), s.file);
  return 0;
}

/* --- one driver ------------------------------------------------------ */

static int
set_state (struct finder *d, const char *value, struct err *e)
{
  if (*d->why && fact_reason (d->f, e, "%s", d->why) == -1)
    return -1;
  return fact_set (d->f, e, "%s", value);
}

/* A service that is there.  Its file decides whether there is a driver at
 * all; the rest, whether it would start at boot. */
static int
judge_service (struct finder *d, const char *service, hive_key key,
               struct err *e)
{
  enum answer a = NO;
  uint64_t start = 0;
  int r;

  if (find_file (d, service, key, &a, e) == -1)
    return -1;
  if (a != YES)
    return a == MAYBE ? fact_unknown (d->f, e, "%s", d->why)
                      : set_state (d, "missing", e);
  d->why[0] = '\0';
  if (!d->driver->root_device) {
    r = hive_maybe_number (d->w->system.hive, key, "Start", &start, e);
    if (r == -1)
      return fact_could_not_look (d->f, e);
    if (r == 1 && start == 4)
      finder_say (d, NO, "%s\\Services\\%s: Start is 4: it is disabled",
                  d->w->set_name, service);
    return set_state (d, "installed", e);
  }
  if (starts_at_boot (d, service, key, &a, e) == -1 ||
      (a == YES && finder_is_bound (d, service, &a, e) == -1))
    return -1;
  if (a == MAYBE)
    return fact_unknown (d->f, e, "%s", d->why);
  if (a == YES)
    d->why[0] = '\0';
  return set_state (d, a == YES ? "boot" : "installed", e);
}

/* Without a service a package in the store is what is left. */
static int
judge_store (struct finder *d, struct err *e)
{
  enum answer a;

  if (look_into_store (d, &a, e) == -1)
    return -1;
  if (a == MAYBE)
    return fact_unknown (d->f, e, "%s", d->why);
  if (a == YES && d->driver->root_device)
    finder_say (d, NO,
                "%s is in the driver store alone, and no service starts it at"
                " boot",
                d->driver->file);
  else
    d->why[0] = '\0';
  return set_state (d, a == YES ? "installed" : "missing", e);
}

static int
strength (const struct fact *f)
{
  return fact_is (f, "boot")        ? 3
         : !fact_known (f)          ? 2
         : fact_is (f, "installed") ? 1
                                    : 0;
}

/* Keeps the better of two states of a driver that has two names. */
static void
keep_better (struct fact *best, struct fact *f, bool *have)
{
  buf_add (&best->evidence, buf_str (&f->evidence), f->evidence.len);
  if (!*have || strength (f) > strength (best)) {
    char *value = best->value, *reason = best->reason;
    best->value = f->value;
    best->reason = f->reason;
    f->value = value;
    f->reason = reason;
  }
  *have = true;
  fact_free (f);
}

static int
find_driver (struct finder *d, struct fact *best, struct err *e)
{
  bool have = false;
  hive_key key;
  int r = 0;

  for (const char *const *name = d->driver->services; *name && r == 0;
       name++) {
    CLEANUP_FREE char *path = NULL;
    struct fact f = { 0 };
    if (asprintf (&path, "Services\\%s", *name) == -1) {
      path = NULL;
      return err_set (e, ENOMEM, "out of memory");
    }
    d->f = &f;
    d->why[0] = '\0';
    if (windows_find (d->w, path, &key, e) == 0)
      r = judge_service (d, *name, key, e);
    else if (err_is_absent (e)) {
      err_clear (e);
      fact_evidence (best, "%s\\%s: not there", d->w->set_name, path);
      continue;
    } else
      r = fact_could_not_look (&f, e);
    keep_better (best, &f, &have);
  }
  d->f = best;
  d->why[0] = '\0';
  /* No service, or one whose file is gone: Plug and Play may install it. */
  if (r == 0 &&
      (!have || (fact_is (best, "missing") && !d->driver->root_device))) {
    struct fact store = { 0 };
    d->f = &store;
    r = judge_store (d, e);
    if (!have || !fact_is (&store, "missing"))
      keep_better (best, &store, &have);
    else
      fact_free (&store);
  }
  return r;
}

/* --- the answer ------------------------------------------------------ */

static int
no (struct virtio *v, const char *what, const struct fact *f, struct err *e)
{
  if (fact_reason (&v->has, e, "%s%s%s", what, f->reason ? ": " : "",
                   f->reason ? f->reason : "") == -1)
    return -1;
  return fact_set (&v->has, e, "no");
}

static int
judge (struct virtio *v, struct err *e)
{
  const struct fact *blk = &v->drivers[VIRTIO_BLK],
                    *net = &v->drivers[VIRTIO_NET];

  buf_add (&v->has.evidence, buf_str (&blk->evidence), blk->evidence.len);
  buf_add (&v->has.evidence, buf_str (&net->evidence), net->evidence.len);
  if (fact_is (blk, "missing"))
    return no (v, "there is no virtio disk driver (viostor)", blk, e);
  if (fact_is (blk, "installed"))
    return no (v, "the virtio disk driver would not start at boot", blk, e);
  if (fact_is (net, "missing"))
    return no (v, "there is no virtio network driver (netkvm)", net, e);
  if (fact_is (net, "installed") && net->reason)
    return no (v, "the virtio network driver would not start", net, e);
  if (!fact_known (blk) || !fact_known (net))
    return fact_unknown (&v->has, e, "%s",
                         fact_known (blk) ? net->reason : blk->reason);
  return fact_set (&v->has, e, "yes");
}

/* Since Windows 8 devices are bound by the driver database.  Where SOFTWARE
 * does not say which Windows it is, the one with that database is. */
static int
which_binding (struct windows *w, bool *ret, struct err *e)
{
  CLEANUP_WINDOWS_HIVE struct windows_hive software = { 0 };
  struct hive *h = w->system.hive;
  char path[64];
  unsigned version;
  hive_key key;

  snprintf (path, sizeof path, "%s/System32/config/SOFTWARE", w->dir);
  if (windows_hive_open (w->v, path, &software, e) == 0 &&
      windows_version (software.hive, &version, e) == 0) {
    *ret = version >= WINDOWS_8;
    return 0;
  }
  if (err_is_transient (e))
    return -1;
  err_clear (e);
  *ret = hive_find (h, hive_root (h), "DriverDatabase", &key, e) == 0;
  if (*ret || err_is_absent (e)) {
    err_clear (e);
    return 0;
  }
  return -1;
}

static int
all_unknown (struct virtio *v, struct err *why)
{
  struct err none = { 0 };

  if (err_is_transient (why))
    return -1;
  for (size_t i = 0; i < VIRTIO_N; i++)
    if ((drivers[i].file
             ? fact_unknown (&v->drivers[i], &none, "%s", why->msg)
             : fact_set (&v->drivers[i], &none, "%s", "")) == -1) {
      *why = none;
      return -1;
    }
  return fact_could_not_look (&v->has, why);
}

int
virtio_windows_compute (const struct guest *g, struct virtio *v,
                        struct err *e)
{
  CLEANUP_WINDOWS struct windows w = { 0 };
  struct finder d = { .w = &w };

  if (windows_open (&g->vfs, &w, e) == -1 ||
      which_binding (&w, &d.by_driver_database, e) == -1)
    return all_unknown (v, e);
  for (size_t i = 0; i < VIRTIO_N; i++) {
    d.driver = &drivers[i];
    /* The bus is part of each driver on Windows: pci, ring, core. */
    if ((drivers[i].file ? find_driver (&d, &v->drivers[i], e)
                         : fact_set (&v->drivers[i], e, "%s", "")) == -1)
      return -1;
  }
  return judge (v, e);
}
