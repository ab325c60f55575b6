/* xrayfs: would a Windows give the service of a virtio disk its device?
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The registry binds it: the critical device database before Windows 8, the
 * driver database since.
 */
#include <string.h>

#include "inspect/virtio_windows.h"

struct binding {
  struct finder *d;
  const char *service;
  char prefix[40]; /* of the keys that stand for the device */
  enum answer found;
  bool there; /* a key of that name, whatever it says */
};

static bool
is_usual_part (const struct binding *b, const char *part, size_t len)
{
  static const char *const usual[] = { "&REV_00", "&CC_0100", "&CC_010000" };
  char subsystem[24];

  snprintf (subsystem, sizeof subsystem, "&SUBSYS_%s1AF4",
            b->d->driver->subsystem);
  if (len == strlen (subsystem) && !strncasecmp (part, subsystem, len))
    return true;
  for (size_t i = 0; i < ARRAY_SIZE (usual); i++)
    if (len == strlen (usual[i]) && !strncasecmp (part, usual[i], len))
      return true;
  return false;
}

/* Does the id NAME stand for the device that hypervisors make?  It is its id,
 * or goes on with its subsystem, revision and class.  With others it stands
 * for a device that a cloud may have, or not. */
static enum answer
fits_device (const struct binding *b, const char *name)
{
  size_t len = strlen (b->prefix), n;

  if (strncasecmp (name, b->prefix, len) || (name[len] && name[len] != '&'))
    return NO;
  for (name += len; *name; name += n) {
    n = 1 + strcspn (name + 1, "&");
    if (!is_usual_part (b, name, n))
      return MAYBE;
  }
  return YES;
}

static enum answer
other_device (struct binding *b, const char *name)
{
  return finder_say (
      b->d, MAYBE,
      "%s is bound to %s: whether the device that a cloud offers is"
      " of that subsystem and revision is not known",
      name, b->service);
}

/* Calls FN for each key below PATH of KEY; one that is not there has none. */
static int
each_below (struct binding *b, hive_key key, const char *path, hive_key_fn fn,
            struct err *e)
{
  struct hive *h = b->d->w->system.hive;

  if (hive_find (h, key, path, &key, e) == 0)
    return hive_each_key (h, key, fn, b, e);
  if (!err_is_absent (e))
    return -1;
  err_clear (e);
  fact_evidence (b->d->f, "%s: not there", path);
  return 0;
}

/* Before Windows 8: CriticalDeviceDatabase\PCI#VEN_1AF4&DEV_1001... */
static int
take_critical_device (void *arg, const char *name, size_t len unused_arg,
                      hive_key key, struct err *e)
{
  CLEANUP_BUF struct buf service = { 0 };
  struct binding *b = arg;
  enum answer fits = fits_device (b, name);

  if (fits == NO)
    return 0;
  if (hive_maybe_text (b->d->w->system.hive, key, "Service", &service, e) ==
      -1)
    return -1;
  fact_evidence (b->d->f, "CriticalDeviceDatabase\\%s: Service is '%s'", name,
                 buf_str (&service));
  if (!strcasecmp (buf_str (&service), b->service) && b->found != YES)
    b->found = fits == YES ? YES : other_device (b, name);
  return 0;
}

static int
note_device (void *arg, const char *name, size_t len unused_arg,
             hive_key key unused_arg, struct err *e unused_arg)
{
  struct binding *b = arg;

  if (fits_device (b, name) != NO) {
    b->there = true;
    fact_evidence (b->d->f, "Enum\\PCI\\%s: there", name);
  }
  return 0;
}

static int
by_critical_devices (struct binding *b, enum answer *ret, struct err *e)
{
  struct finder *d = b->d;
  const char *device = d->driver->root_device;

  snprintf (b->prefix, sizeof b->prefix, "PCI#VEN_1AF4&DEV_%s", device);
  if (each_below (b, d->w->set, "Control\\CriticalDeviceDatabase",
                  take_critical_device, e) == -1)
    return -1;
  *ret = b->found;
  if (b->found != NO)
    return 0;
  /* A device that was there once is known to Windows at its old place, and
   * a new one at another. */
  snprintf (b->prefix, sizeof b->prefix, "VEN_1AF4&DEV_%s", device);
  if (each_below (b, d->w->set, "Enum\\PCI", note_device, e) == -1)
    return -1;
  if (b->there)
    *ret = finder_say (d, MAYBE,
                       "Windows has seen such a device before, and its"
                       " CriticalDeviceDatabase does not name it: whether"
                       " it would find one at another place is not known");
  else
    finder_say (d, NO,
                "%s\\Control\\CriticalDeviceDatabase does not bind PCI device"
                " 1AF4:%s to %s",
                d->w->set_name, device, b->service);
  return 0;
}

/* Windows 8 and later: DriverPackages\<package>\Configurations\*\Service. */
static int
take_configuration (void *arg, const char *name, size_t len unused_arg,
                    hive_key key, struct err *e)
{
  CLEANUP_BUF struct buf service = { 0 };
  struct binding *b = arg;
  int r = hive_maybe_text (b->d->w->system.hive, key, "Service", &service, e);

  if (r != 1)
    return r;
  b->there = true;
  fact_evidence (b->d->f, "Configurations\\%s: Service is '%s'", name,
                 buf_str (&service));
  if (!strcasecmp (buf_str (&service), b->service))
    b->found = YES;
  return 0;
}

/* Does the package of INF start the service?  b->found; MAYBE where the
 * package is there and does not say. */
static int
look_at_inf (struct binding *b, const char *inf, struct err *e)
{
  CLEANUP_BUF struct buf package = { 0 }, path = { 0 };
  struct hive *h = b->d->w->system.hive;
  hive_key root = hive_root (h), key;

  buf_printf (&path, "DriverDatabase\\DriverInfFiles\\%s", inf);
  if (buf_check (&path, e) == -1 ||
      hive_find (h, root, buf_str (&path), &key, e) == -1)
    return -1;
  if (hive_text (h, key, "Active", &package, e) == -1) {
    if (!err_is_absent (e))
      return -1;
    err_clear (e);
    if (hive_text (h, key, "", &package, e) == -1)
      return -1;
  }
  if (package.len) /* the first of several */
    package.data[strcspn (package.data, "\n")] = '\0';
  buf_reset (&path);
  buf_printf (&path, "DriverDatabase\\DriverPackages\\%s",
              buf_str (&package));
  if (buf_check (&path, e) == -1 ||
      hive_find (h, root, buf_str (&path), &key, e) == -1)
    return -1;
  fact_evidence (b->d->f, "%s: there, for %s", buf_str (&path), inf);
  b->there = false;
  if (each_below (b, key, "Configurations", take_configuration, e) == -1)
    return -1;
  if (b->found == NO && !b->there)
    b->found = finder_say (b->d, MAYBE,
                           "driver package %s does not say which"
                           " service it is",
                           buf_str (&package));
  return 0;
}

static int
take_inf (void *arg, const char *name, size_t len unused_arg,
          const struct hive_value *v unused_arg, struct err *e)
{
  struct binding *b = arg;

  if (!*name || b->found == YES)
    return 0;
  if (look_at_inf (b, name, e) == 0)
    return 0;
  if (!err_is_absent (e))
    return -1;
  fact_evidence (b->d->f, "DriverDatabase: %s: %s", name, e->msg);
  err_clear (e);
  return 0;
}

static int
take_device_id (void *arg, const char *name, size_t len unused_arg,
                hive_key key, struct err *e)
{
  struct binding *b = arg;
  enum answer fits = fits_device (b, name), before = b->found;

  if (fits == NO || before == YES)
    return 0;
  fact_evidence (b->d->f, "DriverDatabase\\DeviceIds\\PCI\\%s: there", name);
  b->found = NO;
  if (hive_each_value (b->d->w->system.hive, key, take_inf, b, e) == -1)
    return -1;
  if (b->found == NO)
    b->found = before;
  else if (b->found == YES && fits == MAYBE)
    b->found = other_device (b, name);
  return 0;
}

static int
by_driver_database (struct binding *b, enum answer *ret, struct err *e)
{
  struct finder *d = b->d;
  const char *device = d->driver->root_device;

  snprintf (b->prefix, sizeof b->prefix, "VEN_1AF4&DEV_%s", device);
  if (each_below (b, hive_root (d->w->system.hive),
                  "DriverDatabase\\DeviceIds\\PCI", take_device_id, e) == -1)
    return -1;
  *ret = b->found;
  if (b->found == NO)
    finder_say (d, NO,
                "DriverDatabase does not bind PCI device 1AF4:%s to %s",
                device, b->service);
  return 0;
}

int
finder_is_bound (struct finder *d, const char *service, enum answer *ret,
                 struct err *e)
{
  struct binding b = { .d = d, .service = service };
  int r = d->by_driver_database ? by_driver_database (&b, ret, e)
                                : by_critical_devices (&b, ret, e);

  if (r == 0)
    return 0;
  err_in (e, "SYSTEM");
  return finder_could_not_tell (d, ret, e);
}
