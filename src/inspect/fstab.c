/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/fstab.h"

#include <ctype.h>
#include <string.h>

#include "inspect/image_priv.h"

static void
mount_line_free (struct mount_line *m)
{
  free (m->device);
  free (m->point);
  free (m->type);
  free (m->options);
  free (m->numbers);
}

void
mount_lines_free (struct mount_line_vec *v)
{
  for (size_t i = 0; i < v->len; i++)
    mount_line_free (&v->items[i]);
  free (v->items);
  *v = (struct mount_line_vec){ 0 };
}

static bool
is_octal (char c)
{
  return c >= '0' && c <= '7';
}

/* \040 and friends, fstab(5); a new string. */
static char *
decode_octal (const char *s)
{
  char *ret = strdup (s), *to = ret;

  for (; ret && *s; s++) {
    if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && is_octal (s[2]) &&
        is_octal (s[3])) {
      *to++ = (char) ((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
      s += 3;
    } else
      *to++ = *s;
  }
  if (ret)
    *to = '\0';
  return ret;
}

/* "//boot///efi/" is "/boot/efi"; what is no path stays as it is. */
static void
simplify_path (char *s)
{
  char *to = s;

  if (!s || *s != '/')
    return;
  for (const char *from = s; *from; from++)
    if (*from != '/' || (from[1] && from[1] != '/'))
      *to++ = *from;
  if (to == s)
    *to++ = '/';
  *to = '\0';
}

/* --- options --------------------------------------------------------- */

/* The length of the option at P: up to a comma that is not in quotes, which
 * SELinux contexts have. */
static size_t
option_len (const char *p)
{
  bool quoted = false;
  size_t n = 0;

  for (; p[n] && (quoted || p[n] != ','); n++)
    quoted ^= p[n] == '"';
  return n;
}

bool
mount_option (const char *options, const char *name, const char **ret_value,
              size_t *ret_len)
{
  size_t len = strlen (name), n;
  const char *found = NULL;

  for (const char *p = options; *p; p += n + (p[n] == ',')) {
    n = option_len (p);
    if (n < len || strncmp (p, name, len) || (n > len && p[len] != '='))
      continue;
    found = p;
    if (ret_value) {
      *ret_value = n > len ? p + len + 1 : NULL;
      *ret_len = n > len ? n - len - 1 : 0;
    }
  }
  return found;
}

bool
mount_is_optional (const struct mount_line *m)
{
  return mount_option (m->options, "nofail", NULL, NULL) ||
         mount_option (m->options, "noauto", NULL, NULL);
}

/* --- what is mounted ------------------------------------------------- */

static bool
is_one_of (const char *s, const char *const *list)
{
  for (; *list; list++)
    if (!strcmp (s, *list))
      return true;
  return false;
}

static bool
is_bind (const struct mount_line *m)
{
  return mount_option (m->options, "bind", NULL, NULL) ||
         mount_option (m->options, "rbind", NULL, NULL);
}

/* Filesystems that a kernel makes up. */
static const char *const made_up[] = {
  "proc",       "sysfs",      "tmpfs",      "ramfs",    "devpts",
  "devtmpfs",   "cgroup",     "cgroup2",    "debugfs",  "tracefs",
  "securityfs", "configfs",   "fusectl",    "pstore",   "efivarfs",
  "bpf",        "hugetlbfs",  "mqueue",     "nfsd",     "binfmt_misc",
  "selinuxfs",  "rpc_pipefs", "usbfs",      "usbdevfs", "autofs",
  "ignore",     "functionfs", "openpromfs", "none",     NULL
};

static const char *const optical[] = { "iso9660", "udf", "udf,iso9660",
                                       "iso9660,udf", NULL };

static enum mount_kind
kind_of (const struct mount_line *m)
{
  struct device_name d;

  device_parse (m->device, &d);
  if (!strcmp (m->type, "swap"))
    return d.kind == DEVICE_NONE ? MOUNT_NOTHING : MOUNT_SWAP;
  if (m->point[0] != '/')
    return MOUNT_NOTHING;
  if (is_bind (m))
    return MOUNT_BIND;
  if (is_one_of (m->type, made_up))
    return MOUNT_NOTHING;
  if (d.kind == DEVICE_REMOVABLE)
    return MOUNT_REMOVABLE;
  if (d.kind == DEVICE_NONE)
    return is_one_of (m->type, optical) ? MOUNT_REMOVABLE : MOUNT_ELSEWHERE;
  return MOUNT_DEVICE;
}

/* M's texts were made; it is given away. */
static int
add_line (struct mount_line_vec *to, struct mount_line *m, struct err *e)
{
  int r = 0;

  simplify_path (m->point);
  if (!m->device || !m->point || !m->type || !m->options || !m->numbers)
    r = err_set (e, ENOMEM, "out of memory");
  else if (to->len >= FSTAB_MAX_LINES)
    r = err_set (e, EFBIG, "more than %d mounts", FSTAB_MAX_LINES);
  else {
    m->kind = kind_of (m);
    if (mount_line_vec_push (to, *m) == -1)
      r = err_set (e, ENOMEM, "out of memory");
  }
  if (r == -1)
    mount_line_free (m);
  return r;
}

/* --- fstab ----------------------------------------------------------- */

struct parser {
  struct mount_line_vec *to;
  struct err *err;
};

static int
fstab_line (void *arg, char *line)
{
  struct parser *p = arg;
  char *w[6] = { 0 };
  struct mount_line m = { 0 };

  if (split_words (line, w, 6) < 3 || w[0][0] == '#')
    return 0;
  m.device = decode_octal (w[0]);
  m.point = decode_octal (w[1]);
  m.type = decode_octal (w[2]);
  m.options = decode_octal (w[3] ? w[3] : "defaults");
  if (asprintf (&m.numbers, "%s %s", w[4] ? w[4] : "0", w[5] ? w[5] : "0") ==
      -1)
    m.numbers = NULL;
  return add_line (p->to, &m, p->err);
}

int
fstab_parse (char *text, struct mount_line_vec *ret, struct err *e)
{
  struct parser p = { ret, e };

  return each_line (text, fstab_line, &p);
}

/* --- mount units ----------------------------------------------------- */

struct unit {
  bool in_mount;
  const char *what, *where, *type, *options;
};

static char *
trim (char *s)
{
  size_t len;

  s += strspn (s, " \t\r");
  for (len = strlen (s); len && strchr (" \t\r", s[len - 1]); len--)
    s[len - 1] = '\0';
  return s;
}

/* An empty value takes back the ones before it, systemd.syntax(7). */
static int
unit_line (void *arg, char *line)
{
  struct unit *u = arg;
  const struct {
    const char *key;
    const char **to;
  } keys[] = { { "What", &u->what },
               { "Where", &u->where },
               { "Type", &u->type },
               { "Options", &u->options } };
  char *value;

  line = trim (line);
  if (*line == '[')
    u->in_mount = !strcmp (line, "[Mount]");
  value = strchr (line, '=');
  if (!u->in_mount || !value || *line == '#' || *line == ';')
    return 0;
  *value++ = '\0';
  line = trim (line);
  value = trim (value);
  for (size_t i = 0; i < ARRAY_SIZE (keys); i++)
    if (!strcmp (line, keys[i].key))
      *keys[i].to = *value ? value : NULL;
  return 0;
}

/* "%%" is "%"; other specifiers depend on the machine: such a text is none.
 */
static char *
expand_specifiers (const char *s)
{
  char *ret = strdup (s), *to = ret;

  for (; ret && *s; s++) {
    if (*s == '%' && *++s != '%') {
      free (ret);
      return NULL;
    }
    *to++ = *s;
  }
  if (ret)
    *to = '\0';
  return ret;
}

int
mount_unit_parse (char *text, struct mount_line_vec *ret, struct err *e)
{
  struct unit u = { 0 };
  struct mount_line m = { 0 };

  each_line (text, unit_line, &u);
  if (!u.what || !u.where)
    return 0;
  m.device = expand_specifiers (u.what);
  m.point = expand_specifiers (u.where);
  if (!m.device || !m.point) {
    mount_line_free (&m);
    return 0;
  }
  m.type = strdup (u.type ? u.type : "auto");
  m.options = strdup (u.options ? u.options : "defaults");
  m.numbers = strdup ("0 0");
  return add_line (ret, &m, e) == -1 ? -1 : 1;
}

/* --- names of devices ------------------------------------------------ */

static const struct {
  const char *prefix;
  enum device_kind kind;
  bool escaped; /* as udev makes names of labels: \x20 */
} prefixes[] = {
  { "UUID=", DEVICE_UUID, false },
  { "LABEL=", DEVICE_LABEL, false },
  { "PARTUUID=", DEVICE_PARTUUID, false },
  { "PARTLABEL=", DEVICE_PARTLABEL, false },
  { "/dev/disk/by-uuid/", DEVICE_UUID, true },
  { "/dev/disk/by-label/", DEVICE_LABEL, true },
  { "/dev/disk/by-partuuid/", DEVICE_PARTUUID, true },
  { "/dev/disk/by-partlabel/", DEVICE_PARTLABEL, true },
};

static bool
put_name (struct device_name *d, const char *s, size_t len)
{
  if (len == 0 || len >= sizeof d->name)
    return false;
  memcpy (d->name, s, len);
  d->name[len] = '\0';
  return true;
}

static int
hex_digit (char c)
{
  if (isdigit ((unsigned char) c))
    return c - '0';
  c = (char) tolower ((unsigned char) c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void
decode_hex (char *s)
{
  char *to = s;

  for (; *s; s++) {
    if (s[0] == '\\' && s[1] == 'x' && hex_digit (s[2]) >= 0 &&
        hex_digit (s[3]) >= 0) {
      *to++ = (char) (hex_digit (s[2]) << 4 | hex_digit (s[3]));
      s += 3;
    } else
      *to++ = *s;
  }
  *to = '\0';
}

/* Quotes as in UUID="..." are allowed by fstab(5). */
static bool
parse_tag (const char *spec, struct device_name *d)
{
  for (size_t i = 0; i < ARRAY_SIZE (prefixes); i++) {
    size_t skip = strlen (prefixes[i].prefix), len;
    const char *name = spec + skip;

    if (strncmp (spec, prefixes[i].prefix, skip) != 0)
      continue;
    len = strlen (name);
    if (!prefixes[i].escaped && len >= 2 && strchr ("\"'", name[0]) &&
        name[len - 1] == name[0]) {
      name++;
      len -= 2;
    }
    d->kind = put_name (d, name, len) ? prefixes[i].kind : DEVICE_NONE;
    if (prefixes[i].escaped)
      decode_hex (d->name);
    return true;
  }
  return false;
}

/* Digits up to the end of S, or -1. */
static long
number (const char *s)
{
  if (!*s || s[strspn (s, "0123456789")] || strlen (s) > 5)
    return -1;
  return strtol (s, NULL, 10);
}

/* Disks that number their partitions behind a letter: sda1. */
static const char *const lettered[] = { "sd",  "hd",   "vd", "xvd",
                                        "ubd", "dasd", NULL };
/* Those that end with a digit, with a p between: nvme0n1p1. */
static const char *const numbered[] = { "nvme", "mmcblk",  "nbd",
                                        "loop", "cciss/c", "ida/c",
                                        "rd/c", "pmem",    NULL };

static bool
has_prefix (const char *s, const char *const *list, size_t *ret_len)
{
  for (; *list; list++)
    if (!strncmp (s, *list, strlen (*list))) {
      *ret_len = strlen (*list);
      return true;
    }
  return false;
}

/* sda1, xvda, nvme0n1p2, mmcblk0p1 */
static bool
parse_plain (const char *name, struct device_name *d)
{
  size_t len = 0, disk;
  const char *p;
  long n = 0;

  if (has_prefix (name, lettered, &len)) {
    disk = len + strspn (name + len, "abcdefghijklmnopqrstuvwxyz");
    if (disk == len)
      return false;
    if (name[disk])
      n = number (name + disk);
  } else if (has_prefix (name, numbered, &len)) {
    if (!isdigit ((unsigned char) name[len]))
      return false;
    p = strrchr (name + len, 'p');
    n = p ? number (p + 1) : 0;
    disk = p ? (size_t) (p - name) : strlen (name);
  } else
    return false;
  if (n < 0 || !put_name (d, name, disk))
    return false;
  d->kind = DEVICE_DISK;
  d->partition = (unsigned) n;
  return true;
}

/* by-id/ata-QEMU_HARDDISK-part1 */
static bool
parse_by (const char *name, struct device_name *d)
{
  static const char part[] = "-part";
  const char *at = NULL;
  long n = 0;

  for (const char *p = name; (p = strstr (p, part)); p++)
    at = p;
  if (at && (n = number (at + strlen (part))) < 0)
    at = NULL;
  if (!put_name (d, name, at ? (size_t) (at - name) : strlen (name)))
    return false;
  d->kind = DEVICE_DISK;
  d->partition = at ? (unsigned) n : 0;
  return true;
}

/* NAME, below /dev, is that of a logical volume (mapper/VG-LV, VG/LV) or of
 * an array (md0, md/NAME). */
static bool
is_mapped (const char *name)
{
  const char *slash = strchr (name, '/');

  if (!strncmp (name, "disk/by-id/dm-", 14) ||
      !strncmp (name, "disk/by-id/md-", 14) ||
      (!strncmp (name, "md", 2) && isdigit ((unsigned char) name[2])))
    return true;
  return slash && slash != name && slash[1] && !strchr (slash + 1, '/');
}

static bool
is_removable (const char *name)
{
  static const char *const names[] = { "sr",  "scd",   "cdrom",  "cdrw",
                                       "dvd", "dvdrw", "dvdram", "floppy",
                                       "fd",  "pcd" };

  for (size_t i = 0; i < ARRAY_SIZE (names); i++) {
    size_t len = strlen (names[i]);
    if (!strncmp (name, names[i], len) &&
        !name[len + strspn (name + len, "0123456789u")])
      return true;
  }
  return false;
}

/* PATH begins with /dev/. */
static bool
parse_dev (const char *path, struct device_name *d)
{
  /* Not what a kernel makes itself. */
  static const char *const others[] = { "shm",  "pts",  "mqueue", "hugepages",
                                        "fuse", "null", NULL };
  const char *name = path + 5;

  if (is_one_of (name, others))
    return false;
  if (is_removable (name)) {
    d->kind = DEVICE_REMOVABLE;
    return put_name (d, name, strlen (name));
  }
  if (parse_plain (name, d))
    return true;
  if (is_mapped (name)) {
    d->kind = DEVICE_MAPPED;
    return put_name (d, path, strlen (path));
  }
  if (!strncmp (name, "disk/by-id/", 11) ||
      !strncmp (name, "disk/by-path/", 13))
    return parse_by (name + 5, d);
  /* A device all the same, of which no more is known. */
  d->kind = DEVICE_DISK;
  return put_name (d, name, strlen (name));
}

void
device_parse (const char *spec, struct device_name *ret)
{
  struct device_name d = { .kind = DEVICE_NONE };
  char by_id[sizeof d.name];

  if (!strncmp (spec, "ID=", 3)) {
    snprintf (by_id, sizeof by_id, "/dev/disk/by-id/%s", spec + 3);
    spec = by_id;
  }
  if (!parse_tag (spec, &d) &&
      (strncmp (spec, "/dev/", 5) != 0 || !parse_dev (spec, &d)))
    d.kind = DEVICE_NONE;
  *ret = d;
}

static size_t
class_len (const char *disk)
{
  const char *slash = !strncmp (disk, "by-", 3) ? strchr (disk, '/') : NULL;

  return slash ? (size_t) (slash - disk) : 0;
}

bool
device_same_class (const char *a, const char *b)
{
  size_t n = class_len (a);

  return n == class_len (b) && !strncmp (a, b, n);
}

bool
device_is_first_disk (const char *disk)
{
  static const char *const names[] = { "sda",      "hda",     "vda",
                                       "xvda",     "nvme0n1", "mmcblk0",
                                       "dasda",    "ubda",    "cciss/c0d0",
                                       "ida/c0d0", NULL };

  return is_one_of (disk, names);
}
