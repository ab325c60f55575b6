/* xrayfs: mounting, and the processes that see to the end of it
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 *   launcher   what the user started; waits until the tree can be read, and
 *              leaves with the status.  With -f there is none.
 *   guardian   opens the image, mounts, unmounts.  Never parses.
 *   server     its child: parses and serves (server.c).  Has no power.
 *   watcher    its other child: does nothing, until the guardian ends.
 *
 * The guardian sees the end of the server and of the watcher; the watcher
 * sees the end of the guardian; whoever sees something unmounts and takes the
 * others along.  So each of the three can be killed without leaving a mount
 * or a process, and nobody goes on waiting for an answer of a dead server:
 * the connection ends with the last of them.
 *
 * The watcher is forked before mounting, so that there is no moment at which
 * a mount exists and nobody would notice the guardian's end.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "front/channel.h"
#include "front/front.h"
#include "front/mountpoint.h"
#include "front/options.h"
#include "front/server.h"
#include "front/signals.h"
#include "front/source.h"

/* How long the server may take to end (it gives up by itself before), and
 * then to be killed. */
#define END_MS  5000
#define KILL_MS 1000

struct guardian {
  struct options *o;
  struct source source;
  char *mountpoint;          /* absolute */
  struct fuse_session *fuse; /* to mount with; never runs */
  int launcher;              /* pipe for the status; -1 with -f */
  int signals;
  pid_t server, watcher; /* 0: ended */
  int to_server, to_watcher;
  long before;          /* number of the topmost mount there before ours */
  struct mounted mount; /* ours */
  int device;           /* /dev/fuse of it, to see whether it lives */
};

/* --- the watcher ----------------------------------------------------- */

/* The server dies with the guardian (PR_SET_PDEATHSIG) and, if not, reads the
 * end of its channel; killing it here too costs nothing.  A pidfd, since the
 * number may be somebody else's by then. */
static void
take_down (const struct guardian *g, struct mounted mount, int fuse,
           int server)
{
  if (server != -1)
    syscall (SYS_pidfd_send_signal, server, SIGKILL, NULL, 0);
  if (mount.id == NO_MOUNT) /* it ended while it was mounting, or before */
    mount = mountpoint_await (g->mountpoint, g->before, 500);
  mountpoint_unmount (&mount, fuse);
}

static int
watcher_main (const struct guardian *g, int channel, int server)
{
  int signals = signals_open ();
  struct pollfd fds[] = { { .fd = channel, .events = POLLIN },
                          { .fd = signals, .events = POLLIN } };
  struct mounted mount = { .id = NO_MOUNT };
  CLEANUP_CLOSE int fuse = -1;
  struct message m;

  for (;;) {
    if (poll (fds, ARRAY_SIZE (fds), -1) == -1)
      continue;
    if (fds[1].revents && signals_read (signals))
      channel_send (channel, &(struct message){ .kind = MESSAGE_STOP }, -1);
    if (!fds[0].revents)
      continue;
    channel_receive (channel, &m, fuse == -1 ? &fuse : NULL);
    if (m.kind == MESSAGE_MOUNTED)
      mount = m.mount;
    else if (m.kind == MESSAGE_DONE)
      return MOUNT_OK;
    else if (m.kind == MESSAGE_GONE)
      break;
  }
  take_down (g, mount, fuse, server);
  return MOUNT_NOT_MOUNTED;
}

/* --- starting the two ------------------------------------------------ */

static void
to_null (int from, int to)
{
  int null = open ("/dev/null", O_RDWR | O_CLOEXEC);

  for (int fd = from; null != -1 && fd <= to; fd++)
    dup2 (null, fd);
  if (null > 2)
    close (null);
}

/* Frees what a child inherited and does not use, for the leak checkers. */
static void
free_guardian (struct guardian *g)
{
  if (g->fuse)
    fuse_session_destroy (g->fuse);
  source_free (&g->source);
  free (g->mountpoint);
}

static int
start_server (struct guardian *g)
{
  int ends[2], keep[3 + BLOCK_MAX_FOLLOW], status;
  pid_t self = getpid ();

  if (channel_pair (ends) == -1)
    return -1;
  g->server = fork ();
  if (g->server == 0) {
    keep[0] = ends[1];
    keep[1] = g->source.image.fd;
    keep[2] = g->source.image.dir_fd;
    for (size_t i = 0; i < g->source.image.n_follow; i++)
      keep[3 + i] = g->source.image.follow[i].fd;
    channel_close_others (keep, 3 + g->source.image.n_follow);
    status = server_main (ends[1], self, &g->source, g->o);
    free_guardian (g);
    options_free (g->o);
    exit (status);
  }
  close (ends[1]);
  g->to_server = ends[0];
  return g->server == -1 ? -1 : 0;
}

static int
start_watcher (struct guardian *g)
{
  int server = (int) syscall (SYS_pidfd_open, g->server, 0);
  int ends[2], keep[2], status;

  if (channel_pair (ends) == -1)
    return -1;
  g->watcher = fork ();
  if (g->watcher == 0) {
    source_close (&g->source);
    keep[0] = ends[1];
    keep[1] = server;
    channel_close_others (keep, ARRAY_SIZE (keep));
    to_null (0, 2);
    status = watcher_main (g, ends[1], server);
    free_guardian (g);
    options_free (g->o);
    exit (status);
  }
  close (ends[1]);
  cleanup_close (&server);
  g->to_watcher = ends[0];
  return g->watcher == -1 ? -1 : 0;
}

/* --- the guardian ---------------------------------------------------- */

/* Waits for the server's next word; a signal or its end is one, too. */
static void
await_server (struct guardian *g, struct message *ret)
{
  struct pollfd fds[] = { { .fd = g->to_server, .events = POLLIN },
                          { .fd = g->signals, .events = POLLIN } };
  int sig = 0;

  for (;;) {
    if (poll (fds, ARRAY_SIZE (fds), -1) == -1)
      continue;
    if (fds[0].revents) {
      channel_receive (g->to_server, ret, NULL);
      return;
    }
    if (fds[1].revents)
      sig = signals_read (g->signals);
    if (sig) {
      *ret = (struct message){ .kind = MESSAGE_STOP };
      return;
    }
  }
}

/* Says what came instead of what was waited for; returns the status. */
static int
not_ready (const struct guardian *g, const struct message *m)
{
  const char *image = g->o->image;

  switch (m->kind) {
  case MESSAGE_FAILED:
    say ("%s: %s", image, m->text);
    return m->status;
  case MESSAGE_STOP:
    say ("%s: interrupted before it was mounted", image);
    return MOUNT_NOT_MOUNTED;
  default:
    say ("%s: the process that reads the image has crashed", image);
    return MOUNT_NOT_MOUNTED;
  }
}

/* libfuse prints, and so does fusermount3 on its behalf; and fusermount3 may
 * stay (auto_unmount).  So it gets no terminal, and what was printed comes
 * back in RET. */
static int
mount_quietly (struct guardian *g, char *ret, size_t size)
{
  CLEANUP_CLOSE int null = open ("/dev/null", O_RDWR | O_CLOEXEC);
  CLEANUP_CLOSE int file = memfd_create ("messages", MFD_CLOEXEC);
  int saved[3], r;
  ssize_t n;

  for (int fd = 0; fd <= 2; fd++) {
    saved[fd] = fcntl (fd, F_DUPFD_CLOEXEC, 3);
    dup2 (fd == 2 && file != -1 ? file : null, fd);
  }
  r = fuse_session_mount (g->fuse, g->mountpoint);
  n = file == -1 ? 0 : pread (file, ret, size - 1, 0);
  ret[n > 0 ? n : 0] = '\0';
  for (int fd = 0; fd <= 2; fd++) {
    dup2 (saved[fd], fd);
    cleanup_close (&saved[fd]);
  }
  return r;
}

/* Gives up the session and its copy of the device.  libfuse frees its copy of
 * the mount point only when it unmounts, which it leaves alone when polling
 * the device says that the connection has ended; as the end of a pipe without
 * a reader does. */
static void
forget_device (struct guardian *g)
{
  int ends[2];

  if (pipe2 (ends, O_CLOEXEC) == 0) {
    dup3 (ends[1], fuse_session_fd (g->fuse), O_CLOEXEC);
    close (ends[0]);
    close (ends[1]);
    fuse_session_unmount (g->fuse);
  }
  fuse_session_destroy (g->fuse);
  g->fuse = NULL;
}

/* Mounts, tells the watcher, and hands the device to the server. */
static int
do_mount (struct guardian *g)
{
  struct message m = { .kind = MESSAGE_MOUNTED };
  char text[512];

  if (mount_quietly (g, text, sizeof text) == -1) {
    say ("%s: %s", g->o->mountpoint,
         options_plain (text, "cannot be mounted on"));
    return MOUNT_NOT_MOUNTED;
  }
  g->mount = m.mount = mountpoint_await (g->mountpoint, g->before, 0);
  g->device = fcntl (fuse_session_fd (g->fuse), F_DUPFD_CLOEXEC, 3);
  channel_send (g->to_watcher, &m, g->device);
  channel_send (g->to_server, &m, g->device);
  forget_device (g);
  await_server (g, &m);
  if (m.kind != MESSAGE_READY)
    return not_ready (g, &m);
  if (g->o->readahead)
    mountpoint_read_ahead (&g->mount, g->o->readahead);
  return MOUNT_OK;
}

/* From the open image to a tree that can be read. */
static int
bring_up (struct guardian *g)
{
  struct message m;

  if (start_server (g) == -1 || start_watcher (g) == -1) {
    say ("cannot start a process: %s", strerror (errno));
    return MOUNT_NOT_MOUNTED;
  }
  source_close (&g->source); /* the server has them */
  await_server (g, &m);
  return m.kind == MESSAGE_OPENED ? do_mount (g) : not_ready (g, &m);
}

/* Returns when somebody asks for the end, or one of the two has ended. */
static void
watch_over (struct guardian *g)
{
  struct pollfd fds[] = { { .fd = g->to_server, .events = POLLIN },
                          { .fd = g->to_watcher, .events = POLLIN },
                          { .fd = g->signals, .events = POLLIN } };

  while (poll (fds, ARRAY_SIZE (fds), -1) <= 0)
    continue;
}

/* Reads what the server still says, until its end.  false: not within MS. */
static bool
await_end (struct guardian *g, int ms)
{
  struct pollfd word = { .fd = g->to_server, .events = POLLIN };
  struct message m;

  while (poll (&word, 1, ms) > 0) {
    channel_receive (g->to_server, &m, NULL);
    if (m.kind == MESSAGE_GONE)
      return true;
  }
  return false;
}

/* Gives the server END_MS to end, then kills it.  One that a read holds fast
 * in the kernel even then is left behind: it ends with the read.  false: it
 * was not asked to end the way it did. */
static bool
end_server (struct guardian *g)
{
  bool before = g->mount.id == NO_MOUNT; /* may be anywhere, holds nothing */
  int status;

  if (g->server <= 0)
    return true;
  channel_send (g->to_server, &(struct message){ .kind = MESSAGE_STOP }, -1);
  if (before || !await_end (g, END_MS)) {
    kill (g->server, SIGKILL);
    if (await_end (g, KILL_MS))
      waitpid (g->server, NULL, 0);
    return true;
  }
  return waitpid (g->server, &status, 0) == -1 || !WIFSIGNALED (status);
}

static void
end_watcher (struct guardian *g)
{
  if (g->watcher <= 0)
    return;
  channel_send (g->to_watcher, &(struct message){ .kind = MESSAGE_DONE }, -1);
  waitpid (g->watcher, NULL, 0);
}

/* Returns the status to leave with. */
static int
bring_down (struct guardian *g, int status)
{
  mountpoint_unmount (&g->mount, g->device);
  cleanup_close (&g->device); /* what waits for the server waits no more */
  g->device = -1;
  if (!end_server (g) && status == MOUNT_OK) {
    say ("%s: the process that reads the image was killed or has crashed",
         g->o->image);
    status = MOUNT_NOT_MOUNTED;
  }
  end_watcher (g);
  return status;
}

/* In the background.  Success is told as soon as the tree can be read,
 * anything else last.  false: nobody listens any more (the launcher was
 * killed), so the mount is not wanted. */
static bool
tell_launcher (struct guardian *g, int status)
{
  unsigned char byte = (unsigned char) status;

  if (g->launcher == -1)
    return true;
  if (status == MOUNT_OK)
    to_null (0, 2);
  if (write (g->launcher, &byte, 1) != 1)
    return false;
  close (g->launcher);
  g->launcher = -1;
  return true;
}

static int
guard (struct guardian *g)
{
  int status;

  g->signals = signals_open ();
  g->before = mountpoint_top (g->mountpoint).id;
  if (chdir ("/") == -1) {
    say ("/: %s", strerror (errno));
    return MOUNT_NOT_MOUNTED;
  }
  status = bring_up (g);
  if (status == MOUNT_OK && tell_launcher (g, MOUNT_OK))
    watch_over (g);
  status = bring_down (g, status);
  (void) tell_launcher (g, status);
  return status;
}

/* --- the launcher ---------------------------------------------------- */

/* Waits for the guardian's status, passing signals on to it. */
static int
launch (int status_pipe, pid_t guardian)
{
  int signals = signals_open (), sig;
  struct pollfd fds[] = { { .fd = status_pipe, .events = POLLIN },
                          { .fd = signals, .events = POLLIN } };
  unsigned char status;

  for (;;) {
    if (poll (fds, ARRAY_SIZE (fds), -1) == -1)
      continue;
    if (fds[0].revents)
      break;
    sig = signals_read (signals);
    if (sig)
      kill (guardian, sig);
  }
  if (read (status_pipe, &status, 1) == 1)
    return status;
  say ("ended unexpectedly");
  return MOUNT_NOT_MOUNTED;
}

/* Runs the guardian: here, or in a session of its own, so that a terminal's
 * signals do not reach it. */
static int
run_guardian (struct guardian *g)
{
  int status_pipe[2], status;
  pid_t pid;

  g->launcher = -1;
  if (g->o->foreground)
    return guard (g);
  if (pipe2 (status_pipe, O_CLOEXEC) == -1 || (pid = fork ()) == -1) {
    say ("cannot start a process: %s", strerror (errno));
    return MOUNT_NOT_MOUNTED;
  }
  if (pid == 0) {
    close (status_pipe[0]);
    g->launcher = status_pipe[1];
    setsid ();
    return guard (g);
  }
  close (status_pipe[1]);
  status = launch (status_pipe[0], pid);
  close (status_pipe[0]);
  return status;
}

/* --- before ---------------------------------------------------------- */

/* fuse_session_new is what knows FUSE's options, and which are unknown. */
static int
prepare_options (struct guardian *g)
{
  static const struct fuse_lowlevel_ops none = { 0 };
  struct err e = { 0 };

  if (source_name (g->o->image, &g->source, &e) == -1 ||
      options_complete (g->o, g->source.full_path, &e) == -1) {
    say ("%s", e.msg);
    return MOUNT_BAD_ARGUMENTS;
  }
  options_capture ();
  g->fuse = fuse_session_new (&g->o->mount_args, &none, sizeof none, NULL);
  if (!g->fuse)
    say ("%s", options_captured ("FUSE does not take these options"));
  else
    options_captured ("");
  return g->fuse ? MOUNT_OK : MOUNT_BAD_ARGUMENTS;
}

/* Arguments, mount point, image: in the order of the exit statuses. */
static int
prepare (struct guardian *g)
{
  struct options *o = g->o;
  struct err e = { 0 };
  int status = prepare_options (g);

  if (status != MOUNT_OK)
    return status;
  if (mountpoint_check (o->mountpoint, o->nonempty, &g->mountpoint, &e) ==
      -1) {
    say ("%s: %s", o->mountpoint, e.msg);
    return MOUNT_BAD_MOUNTPOINT;
  }
  if (source_open (&g->source, &o->follow, &e) == -1) {
    say ("%s: %s", o->image, e.msg);
    return MOUNT_BAD_IMAGE;
  }
  if ((o->allow_other || o->allow_root) &&
      mountpoint_check_others (&e) == -1) {
    say ("%s: %s", o->mountpoint, e.msg);
    return MOUNT_NOT_MOUNTED;
  }
  return MOUNT_OK;
}

static int
mount_image (struct options *o)
{
  struct guardian g = { .o = o,
                        .source = SOURCE_INIT,
                        .launcher = -1,
                        .signals = -1,
                        .to_server = -1,
                        .to_watcher = -1,
                        .before = NO_MOUNT,
                        .mount.id = NO_MOUNT,
                        .device = -1 };
  int status = prepare (&g);

  if (status == MOUNT_OK)
    status = run_guardian (&g);
  cleanup_close (&g.signals);
  cleanup_close (&g.to_server);
  cleanup_close (&g.to_watcher);
  free_guardian (&g);
  return status;
}

static int
show_version (void)
{
  printf ("xrayfs %s\nFUSE library version %s\n", front_version (),
          fuse_pkgversion ());
  return MOUNT_OK;
}

int
mount_main (int argc, char **argv)
{
  CLEANUP_OPTIONS struct options o = { 0 };
  struct err e = { 0 };

  if (options_parse (argc, argv, &o, &e) == -1) {
    say ("%s", e.msg);
    return MOUNT_BAD_ARGUMENTS;
  }
  if (o.help || o.version) {
    if (o.help)
      options_help ();
    return o.help ? MOUNT_OK : show_version ();
  }
  signals_block ();
  return mount_image (&o);
}
