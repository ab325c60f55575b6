/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "front/mountpoint.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- before mounting ------------------------------------------------- */

static int
is_empty (const char *path, struct err *e)
{
  struct dirent *d;
  int entries = 0;
  DIR *dir = opendir (path);
  char why[96];

  if (!dir)
    return err_set (e, errno, "%s", strerror_r (errno, why, sizeof why));
  while (entries <= 2 && (d = readdir (dir)))
    entries++; /* "." and ".." */
  closedir (dir);
  return entries <= 2 ? 0
                      : err_set (e, ENOTEMPTY,
                                 "is not empty"
                                 " (-o nonempty mounts over it)");
}

static int
stat_mountpoint (const char *path, struct err *e)
{
  char why[96];
  struct stat st;

  if (stat (path, &st) == 0)
    return S_ISDIR (st.st_mode) ? 0
                                : err_set (e, ENOTDIR, "is not a directory");
  if (errno == ENOTCONN)
    return err_set (e, errno,
                    "a dead FUSE mount is there"
                    " (fusermount3 -u removes it)");
  return err_set (e, errno, "%s", strerror_r (errno, why, sizeof why));
}

int
mountpoint_check (const char *given, bool nonempty, char **ret, struct err *e)
{
  CLEANUP_FREE char *path = NULL;
  char why[96];

  if (stat_mountpoint (given, e) == -1)
    return -1;
  path = realpath (given, NULL);
  if (!path)
    return err_set (e, errno, "%s", strerror_r (errno, why, sizeof why));
  if (geteuid () != 0 && access (path, W_OK) == -1)
    return err_set (e, errno,
                    "not writable, which mounting as an ordinary user needs");
  if (!nonempty && is_empty (path, e) == -1)
    return -1;
  *ret = steal_ptr (&path);
  return 0;
}

int
mountpoint_check_others (struct err *e)
{
  CLEANUP_FCLOSE FILE *f = NULL;
  char line[512];

  if (geteuid () == 0)
    return 0;
  f = fopen ("/etc/fuse.conf", "re");
  while (f && fgets (line, sizeof line, f)) {
    line[strcspn (line, " \t\n")] = '\0';
    if (!strcmp (line, "user_allow_other"))
      return 0;
  }
  if (!f && errno != ENOENT)
    return 0; /* fusermount3 can read it, and will decide */
  return err_set (e, EPERM,
                  "allow_other and allow_root are for root, unless"
                  " /etc/fuse.conf has a line user_allow_other");
}

/* --- the mount table ------------------------------------------------- */

struct mount {
  struct mounted what;
  long parent;
  char *path;
  bool fuse;
};

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void
unescape (char *s)
{
  char *to = s;

  for (; *s; s++)
    if (s[0] == '\\' && s[1] && s[2] && s[3]) {
      *to++ = (char) ((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
      s += 3;
    } else {
      *to++ = *s;
    }
  *to = '\0';
}

/* "36 35 98:0 /root /mountpoint options... - type source ..." */
static bool
parse_mount (char *line, struct mount *ret)
{
  char *type = strstr (line, " - "), *save = NULL, *path;
  struct mount m = { 0 };

  if (!type || sscanf (line, "%ld %ld %31s", &m.what.id, &m.parent,
                       m.what.device) != 3)
    return false;
  m.fuse = !strncmp (type + 3, "fuse", 4);
  path = strtok_r (line, " ", &save);
  for (int field = 0; path && field < 4; field++)
    path = strtok_r (NULL, " ", &save);
  if (!path)
    return false;
  unescape (path);
  m.path = path;
  *ret = m;
  return true;
}

/* Calls FN for each mount, in the order of mounting at each place. */
static void
each_mount (void (*fn) (void *arg, const struct mount *m), void *arg)
{
  CLEANUP_FCLOSE FILE *f = fopen ("/proc/self/mountinfo", "re");
  CLEANUP_FREE char *line = NULL;
  size_t size = 0;
  struct mount m;

  while (f && getline (&line, &size, f) > 0)
    if (parse_mount (line, &m))
      fn (arg, &m);
}

struct top {
  const char *path;
  struct mounted found;
};

static void
see_top (void *arg, const struct mount *m)
{
  struct top *t = arg;

  if (!strcmp (m->path, t->path))
    t->found = m->fuse ? m->what : (struct mounted){ .id = NO_MOUNT };
}

struct mounted
mountpoint_top (const char *path)
{
  struct top t = { path, { .id = NO_MOUNT } };

  each_mount (see_top, &t);
  return t.found;
}

struct mounted
mountpoint_await (const char *path, long before, int ms)
{
  CLEANUP_CLOSE int fd = open ("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
  struct pollfd changed = { .fd = fd, .events = POLLPRI };
  struct mounted m = mountpoint_top (path);

  if ((m.id == NO_MOUNT || m.id == before) && poll (&changed, 1, ms) > 0)
    m = mountpoint_top (path);
  if (m.id == before)
    m.id = NO_MOUNT;
  return m;
}

/* The answer to FUSE's INIT can only lower it; the entry in sysfs, which can
 * raise it, is root's. */
void
mountpoint_read_ahead (const struct mounted *m, int kb)
{
  CLEANUP_CLOSE int fd = -1;
  char path[80];

  if (m->id == NO_MOUNT)
    return;
  snprintf (path, sizeof path, "/sys/class/bdi/%s/read_ahead_kb", m->device);
  fd = open (path, O_WRONLY | O_CLOEXEC);
  if (fd != -1)
    (void) !dprintf (fd, "%d\n", kb);
}

/* --- unmounting ------------------------------------------------------ */

struct find {
  const struct mounted *what;
  char *path; /* where it is; NULL: not found */
  bool covered;
};

static void
see_find (void *arg, const struct mount *m)
{
  struct find *f = arg;

  if (m->fuse && m->what.id == f->what->id &&
      !strcmp (m->what.device, f->what->device)) {
    free (f->path);
    f->path = strdup (m->path);
  } else if (f->path && m->parent == f->what->id &&
             !strcmp (m->path, f->path)) {
    f->covered = true;
  }
}

/* As libfuse asks: the device of a connection that has ended, by unmounting
 * or by force, polls as an error. */
static bool
is_connected (int fuse)
{
  struct pollfd p = { .fd = fuse };

  return fuse != -1 && poll (&p, 1, 0) == 0;
}

/* A request to a connection that has ended fails at once. */
static bool
is_dead (const char *path)
{
  struct statx stx;

  return statx (AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS,
                &stx) == -1 &&
         (errno == ENOTCONN || errno == ECONNABORTED);
}

/* fusermount3 is what may unmount for an ordinary user. */
static void
run_fusermount (const char *path)
{
  const char *const argv[] = { "fusermount3", "-u", "-q", "-z",
                               "--",          path, NULL };
  pid_t pid = fork ();

  if (pid == 0) {
    execv ("/usr/bin/fusermount3", (char **) argv);
    execvp ("fusermount3", (char **) argv);
    _exit (127);
  }
  while (pid > 0 && waitpid (pid, NULL, 0) == -1 && errno == EINTR)
    continue;
}

void
mountpoint_unmount (const struct mounted *m, int fuse)
{
  struct find f = { .what = m };

  if (m->id == NO_MOUNT)
    return;
  each_mount (see_find, &f);
  if (f.path && !f.covered && (is_connected (fuse) || is_dead (f.path)) &&
      umount2 (f.path, MNT_DETACH | UMOUNT_NOFOLLOW) == -1)
    run_fusermount (f.path);
  free (f.path);
}
