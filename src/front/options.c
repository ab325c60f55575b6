/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "front/options.h"

#include <fuse_opt.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "front/front.h"

/* --- what libfuse says ----------------------------------------------- */

static char captured[512];

static void
capture_log (enum fuse_log_level level unused_arg, const char *fmt,
             va_list ap)
{
  size_t len = strlen (captured);

  vsnprintf (captured + len, sizeof captured - len, fmt, ap);
}

void
options_capture (void)
{
  captured[0] = '\0';
  fuse_set_log_func (capture_log);
}

const char *
options_plain (char *text, const char *what)
{
  static const char *const prefixes[] = { "fuse: ", "fusermount3: ",
                                          "error: " };

  text[strcspn (text, "\n")] = '\0';
  for (size_t i = 0; i < ARRAY_SIZE (prefixes); i++)
    if (!strncmp (text, prefixes[i], strlen (prefixes[i])))
      text += strlen (prefixes[i]);
  return *text ? text : what;
}

const char *
options_captured (const char *what)
{
  fuse_set_log_func (NULL);
  return options_plain (captured, what);
}

/* --- the table ------------------------------------------------------- */

enum {
  KEY_REFUSED_RW,
  KEY_REFUSED_SUID,
  KEY_REFUSED_DEV,
  KEY_UID,
  KEY_GID,
  KEY_FOLLOW,
  KEY_ALLOW_OTHER,
  KEY_FSNAME,
  KEY_SUBTYPE,
  KEY_MAX_READAHEAD,
  KEY_NUMBER
};

/* Measured with 1 GiB in the page cache, in alternating runs: at the kernel's
 * 128 KiB half as fast as at 2 MiB; beyond 4 MiB it gets slower again.  The
 * lower of the two, since a page fault in a mapped file reads as much. */
#define READAHEAD_KB     2048
#define READAHEAD_UNSET  (-1)
#define READAHEAD_MAX_KB (1024 * 1024)

#define FLAG(text, member)                                                   \
  {                                                                          \
    text, offsetof (struct options, member), 1                               \
  }

static const struct fuse_opt table[] = {
  FLAG ("-h", help),
  FLAG ("--help", help),
  FLAG ("-V", version),
  FLAG ("--version", version),
  FLAG ("-f", foreground),
  FLAG ("-s", single_threaded),
  FLAG ("-d", debug),
  FLAG ("--debug", debug),
  FLAG ("debug", debug),
  FLAG ("nonempty", nonempty),
  FLAG ("clone_fd", clone_fd),
  FLAG ("allow_root", allow_root),
  FUSE_OPT_KEY ("allow_other", KEY_ALLOW_OTHER),
  FUSE_OPT_KEY ("rw", KEY_REFUSED_RW),
  FUSE_OPT_KEY ("suid", KEY_REFUSED_SUID),
  FUSE_OPT_KEY ("dev", KEY_REFUSED_DEV),
  FUSE_OPT_KEY ("uid=", KEY_UID),
  FUSE_OPT_KEY ("gid=", KEY_GID),
  FUSE_OPT_KEY ("follow=", KEY_FOLLOW),
  FUSE_OPT_KEY ("fsname=", KEY_FSNAME),
  FUSE_OPT_KEY ("subtype=", KEY_SUBTYPE),
  FUSE_OPT_KEY ("max_read=", KEY_NUMBER),
  FUSE_OPT_KEY ("max_readahead=", KEY_MAX_READAHEAD),
  FUSE_OPT_KEY ("readahead=", KEY_NUMBER),
  FUSE_OPT_KEY ("max_threads=", KEY_NUMBER),
  FUSE_OPT_KEY ("max_idle_threads=", KEY_NUMBER),
  FUSE_OPT_END,
};

/* What fuse_opt_parse gets: it stores flags by their offset in o. */
struct parse {
  struct options o; /* first */
  struct err *e;
};

/* fuse_opt's own %u takes "-1" and "12x". */
static int
parse_number (const char *option, unsigned max, unsigned *ret, struct err *e)
{
  const char *value = strchr (option, '=') + 1;
  unsigned long n;
  char *end;

  errno = 0;
  n = strtoul (value, &end, 10);
  if (*value < '0' || *value > '9' || *end || errno || n > max)
    return err_set (e, EINVAL, "-o %s: not a number from 0 to %u", option,
                    max);
  *ret = (unsigned) n;
  return 0;
}

static int
parse_numbered (struct options *o, const char *arg, struct err *e)
{
  bool readahead = !strncmp (arg, "readahead=", 10);
  unsigned n;

  if (parse_number (arg, readahead ? READAHEAD_MAX_KB : INT_MAX, &n, e) == -1)
    return -1;
  if (readahead) {
    o->readahead = (int) n;
    return 0;
  }
  if (!strncmp (arg, "max_read=", 9)) {
    o->max_read = n;
    return 1; /* libfuse and the kernel want it too */
  }
  if (!strncmp (arg, "max_idle_threads=", 17)) {
    o->max_idle_threads = (int) n;
    return 0;
  }
  if (n == 0)
    return err_set (e, EINVAL, "-o %s: at least one thread is needed", arg);
  o->max_threads = n;
  return 0;
}

static int
parse_follow (struct options *o, const char *arg, struct err *e)
{
  char *dir = strdup (strchr (arg, '=') + 1);

  if (!dir)
    return err_set (e, ENOMEM, "out of memory");
  if (follow_add (&o->follow, dir, e) == 0)
    return 0;
  free (dir);
  return -1;
}

static int
parse_operand (struct options *o, const char *arg, struct err *e)
{
  char **to = !o->image ? &o->image : &o->mountpoint;

  if (*to)
    return err_set (e, EINVAL, "unexpected argument '%s'", arg);
  *to = strdup (arg);
  return *to ? 0 : err_set (e, ENOMEM, "out of memory");
}

/* fuse_opt_proc_t: 1 keeps the argument for libfuse, 0 drops it. */
static int
parse_one (void *data, const char *arg, int key,
           struct fuse_args *out unused_arg)
{
  struct parse *p = data;
  struct options *o = &p->o;

  switch (key) {
  case FUSE_OPT_KEY_NONOPT:
    return parse_operand (o, arg, p->e);
  case KEY_REFUSED_RW:
    return err_set (p->e, EROFS,
                    "-o rw: an image is only ever read; mount it with ro");
  case KEY_REFUSED_SUID:
  case KEY_REFUSED_DEV:
    return err_set (p->e, EPERM, "-o %s: what is in an image is not trusted",
                    arg);
  case KEY_UID:
    return parse_number (arg, UINT_MAX - 1, &o->uid, p->e);
  case KEY_GID:
    return parse_number (arg, UINT_MAX - 1, &o->gid, p->e);
  case KEY_FOLLOW:
    return parse_follow (o, arg, p->e);
  case KEY_NUMBER:
    return parse_numbered (o, arg, p->e);
  case KEY_ALLOW_OTHER:
    o->allow_other = true;
    return 1;
  case KEY_MAX_READAHEAD: /* who wants less than the kernel's gets it */
    if (o->readahead == READAHEAD_UNSET)
      o->readahead = 0;
    return 1;
  case KEY_FSNAME:
    o->fsname_given = true;
    return 1;
  case KEY_SUBTYPE:
    o->subtype_given = true;
    return 1;
  default:
    return 1;
  }
}

/* --- the whole ------------------------------------------------------- */

static int
add_option (struct options *o, const char *text, struct err *e)
{
  CLEANUP_FREE char *list = NULL;

  if (fuse_opt_add_opt_escaped (&list, text) == -1 ||
      fuse_opt_add_arg (&o->mount_args, "-o") == -1 ||
      fuse_opt_add_arg (&o->mount_args, list) == -1)
    return err_set (e, ENOMEM, "out of memory");
  return 0;
}

/* allow_other without default_permissions would make a guest's /etc/shadow
 * public: the kernel has to check the modes. */
static int
add_defaults (struct options *o, struct err *e)
{
  static const char *const always[] = { "ro", "nosuid", "nodev" };

  for (size_t i = 0; i < ARRAY_SIZE (always); i++)
    if (add_option (o, always[i], e) == -1)
      return -1;
  if (o->allow_other && add_option (o, "default_permissions", e) == -1)
    return -1;
  if (o->allow_root && add_option (o, "allow_root", e) == -1)
    return -1;
  return 0;
}

static int
check (const struct options *o, struct err *e)
{
  if (o->help || o->version)
    return 0;
  if (!o->image)
    return err_set (e, EINVAL,
                    "no image given"
                    " (xrayfs [options] IMAGE MOUNTPOINT; see xrayfs -h)");
  if (!o->mountpoint)
    return err_set (e, EINVAL,
                    "no mount point given"
                    " (xrayfs [options] IMAGE MOUNTPOINT; see xrayfs -h)");
  if (o->allow_other && o->allow_root)
    return err_set (e, EINVAL, "allow_other and allow_root exclude another");
  return 0;
}

static int
parse_all (struct parse *p)
{
  struct options *o = &p->o;

  options_capture ();
  /* Ours first: libfuse's drops what it knows. */
  if (fuse_opt_parse (&o->mount_args, p, table, parse_one) == -1 ||
      !(o->connection = fuse_parse_conn_info_opts (&o->mount_args))) {
    const char *why = options_captured ("bad arguments");
    return p->e->code ? -1 : err_set (p->e, EINVAL, "%s", why);
  }
  options_captured ("");
  o->foreground |= o->debug;
  if (o->readahead == READAHEAD_UNSET)
    o->readahead = READAHEAD_KB;
  return 0;
}

int
options_parse (int argc, char **argv, struct options *ret, struct err *e)
{
  struct fuse_args given = FUSE_ARGS_INIT (argc, argv);
  struct parse p = { .e = e };

  p.o.mount_args = given;
  p.o.max_idle_threads = -1;
  p.o.max_threads = 10;
  p.o.readahead = READAHEAD_UNSET;
  p.o.uid = getuid ();
  p.o.gid = getgid ();
  err_clear (e);
  if (parse_all (&p) == -1 || check (&p.o, e) == -1 ||
      add_defaults (&p.o, e) == -1) {
    options_free (&p.o);
    return -1;
  }
  *ret = p.o;
  return 0;
}

int
options_complete (struct options *o, const char *full_path, struct err *e)
{
  CLEANUP_FREE char *fsname = NULL;

  if (asprintf (&fsname, "fsname=%s", full_path) == -1) {
    fsname = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  if (!o->fsname_given && add_option (o, fsname, e) == -1)
    return -1;
  if (!o->subtype_given && add_option (o, "subtype=xrayfs", e) == -1)
    return -1;
  return 0;
}

void
options_free (struct options *o)
{
  free (o->image);
  free (o->mountpoint);
  for (size_t i = 0; i < o->follow.n; i++)
    free ((char *) o->follow.dirs[i]);
  free (o->connection);
  fuse_opt_free_args (&o->mount_args);
  *o = (struct options){ 0 };
}

void
options_help (void)
{
  printf (
      "Usage: xrayfs [options] IMAGE MOUNTPOINT\n"
      "       xrayfs ls [-lR] IMAGE [PATH]\n"
      "       xrayfs cat IMAGE PATH...\n"
      "       xrayfs check [--policy NAME] [--json] IMAGE...\n"
      "       xrayfs report [--format text|json] IMAGE\n"
      "       xrayfs export IMAGE DIR\n"
      "       xrayfs policies\n"
      "\n"
      "Shows what is inside a disk image, as files: each finding is one"
      " file.\n"
      "fusermount3 -u MOUNTPOINT ends a mount.\n"
      "\n"
      "Every command takes -o follow=DIR: a directory, besides the image's\n"
      "own, where its backing files, extents and parents may lie.\n"
      "\n"
      "Options of mounting:\n"
      "    -h   --help            print help\n"
      "    -V   --version         print version\n"
      "    -f                     stay in the foreground\n"
      "    -d   -o debug          debug output of FUSE (implies -f)\n"
      "    -s                     read requests with one thread only\n"
      "    -o uid=N, gid=N        owner of xrayfs's own files\n"
      "    -o nonempty            mount over a directory that is not empty\n"
      "    -o allow_other         allow access by all users, as far as the\n"
      "                           modes of the files do\n"
      "    -o allow_root          allow access by root\n"
      "    -o auto_unmount        a further process unmounts should all of\n"
      "                           xrayfs be killed at once\n"
      "    -o clone_fd            one FUSE device per thread\n"
      "    -o max_threads=N       threads that read requests (10)\n"
      "    -o max_idle_threads=N  idle ones among them (all)\n"
      "    -o max_read=N          largest read request, in bytes\n"
      "    -o readahead=N         what the kernel reads ahead, in KiB, "
      "where\n"
      "                           we may say so, which is root's (2048;\n"
      "                           0: as it is)\n"
      "    -o fsname=, subtype=, noexec, noatime, context=, ...\n"
      "                           as for every FUSE filesystem\n");
}
