/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What parses has no power (no_new_privs; the sandbox goes in the same
 * place), so it can neither mount nor unmount: it is handed the FUSE device,
 * and whatever ends it, the guardian or the watcher unmounts.
 *
 * Threads: the main thread runs libfuse's loop; the control thread listens to
 * the guardian; eval.h and prefetch.h have their own.
 */
#include "front/server.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "front/channel.h"
#include "front/front.h"
#include "front/fuse.h"
#include "front/signals.h"

/* How long an end may take once it was asked for: threads that wait for a
 * disk or a server that does not answer are left to the end of the process.
 */
#define END_MS 3000

struct control {
  int channel, signals;
  int left; /* eventfd: the main thread has left the loop */
  pthread_t main;
  struct fuse_session *session;
  struct image *image;
};

/* --- start ----------------------------------------------------------- */

static int
drop_power (int guardian, struct err *e)
{
  if (prctl (PR_SET_PDEATHSIG, SIGKILL) == -1 ||
      prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
    return err_sys (e, errno, "prctl");
  if (getppid () != guardian) /* it ended before PDEATHSIG was set */
    return err_set (e, ESRCH, "the parent process has ended");
  return 0;
}

static struct timespec
image_time (const struct source *source)
{
  struct stat st = { 0 };

  (void) fstat (source->image.fd, &st); /* then 1970 it is */
  return st.st_mtim;
}

static int
open_tree (struct served *fs, struct source *source, struct err *e)
{
  fs->mtime = image_time (source);
  if (image_open (&source->image, &fs->image, NULL, e) == -1) {
    source->image.fd = source->image.dir_fd = -1;
    return -1;
  }
  source->image.fd = source->image.dir_fd = -1;
  if (tree_new (fs->image, &fs->tree, e) == -1)
    return -1;
  fs->eval = eval_new ();
  fs->prefetch = prefetch_new (0);
  return fs->eval && fs->prefetch ? 0 : err_set (e, ENOMEM, "out of memory");
}

static int
tell_failure (int channel, int status, const char *text)
{
  struct message m = { .kind = MESSAGE_FAILED, .status = status };

  snprintf (m.text, sizeof m.text, "%s", text);
  channel_send (channel, &m, -1);
  return status;
}

/* From do_init: the kernel has asked, and is answered next. */
static void
tell_ready (struct served *fs)
{
  channel_send (fs->channel, &(struct message){ .kind = MESSAGE_READY }, -1);
}

/* Not in the foreground: whoever started us may wait for the end of our
 * output, and there is nothing more to say on it. */
static void
leave_terminal (void)
{
  int null = open ("/dev/null", O_RDWR | O_CLOEXEC);

  for (int fd = 0; null != -1 && fd <= 2; fd++)
    dup2 (null, fd);
  if (null > 2)
    close (null);
}

/* --- the session ----------------------------------------------------- */

static int
session_args (struct fuse_args *args, const struct options *o)
{
  char max_read[32];

  snprintf (max_read, sizeof max_read, "-omax_read=%u", o->max_read);
  if (fuse_opt_add_arg (args, "xrayfs") == -1 ||
      (o->debug && fuse_opt_add_arg (args, "-odebug") == -1) ||
      (o->allow_root && fuse_opt_add_arg (args, "-oallow_root") == -1) ||
      (o->max_read && fuse_opt_add_arg (args, max_read) == -1))
    return -1;
  return 0;
}

/* A session on a mount that exists: libfuse takes "/dev/fd/N" for that.  FD
 * belongs to the session afterwards. */
static struct fuse_session *
new_session (struct served *fs, int fd)
{
  struct fuse_args args = FUSE_ARGS_INIT (0, NULL);
  struct fuse_session *se = NULL;
  char device[32];

  snprintf (device, sizeof device, "/dev/fd/%d", fd);
  if (session_args (&args, fs->options) == 0)
    se = fuse_session_new (&args, &fuse_ops, sizeof fuse_ops, fs);
  fuse_opt_free_args (&args);
  if (se && fuse_session_mount (se, device) == -1) {
    fuse_session_destroy (se);
    se = NULL;
  }
  return se;
}

static int
run_loop (struct fuse_session *se, const struct options *o)
{
  struct fuse_loop_config *config;
  int r;

  if (o->single_threaded)
    return fuse_session_loop (se);
  config = fuse_loop_cfg_create ();
  if (!config)
    return -ENOMEM;
  fuse_loop_cfg_set_clone_fd (config, (unsigned) o->clone_fd);
  fuse_loop_cfg_set_max_threads (config, o->max_threads);
  if (o->max_idle_threads >= 0)
    fuse_loop_cfg_set_idle_threads (config, (unsigned) o->max_idle_threads);
  r = fuse_session_loop_mt (se, config);
  fuse_loop_cfg_destroy (config);
  return r;
}

/* --- the control thread ---------------------------------------------- */

/* Passes signals on to the guardian, who knows what they mean.  Returns when
 * it asks for the end, has ended, or the main thread is through. */
static void
await_end (struct control *c)
{
  struct pollfd fds[] = { { .fd = c->channel, .events = POLLIN },
                          { .fd = c->signals, .events = POLLIN },
                          { .fd = c->left, .events = POLLIN } };

  for (;;) {
    if (poll (fds, ARRAY_SIZE (fds), -1) == -1)
      continue;
    if (fds[0].revents || fds[2].revents)
      return;
    if (fds[1].revents && signals_read (c->signals))
      channel_send (c->channel, &(struct message){ .kind = MESSAGE_STOP },
                    -1);
  }
}

/* fuse_session_exit sets a flag that libfuse's loop looks at when its wait is
 * interrupted; a signal that comes just before it waits would be lost, so
 * there is more than one. */
static void *
control_thread (void *arg)
{
  struct control *c = arg;
  struct pollfd left = { .fd = c->left, .events = POLLIN };

  await_end (c);
  image_cancel (c->image);
  fuse_session_exit (c->session);
  for (int ms = 0; ms < END_MS; ms += 20) {
    if (poll (&left, 1, 0) > 0)
      return NULL;
    pthread_kill (c->main, SIGUSR1);
    if (poll (&left, 1, 20) > 0)
      return NULL;
  }
  _exit (MOUNT_OK); /* a request is stuck in the kernel */
}

static void
on_wake (int signal unused_arg)
{
}

static int
start_control (struct control *c, pthread_t *ret)
{
  struct sigaction wake = { .sa_handler = on_wake };

  sigaction (SIGUSR1, &wake, NULL);
  c->main = pthread_self ();
  c->left = eventfd (0, EFD_CLOEXEC);
  c->signals = signals_open ();
  if (c->left == -1 || c->signals == -1)
    return -1;
  return pthread_create (ret, NULL, control_thread, c) == 0 ? 0 : -1;
}

/* Runs the loop until it ends, however it does. */
static int
serve (struct served *fs, struct fuse_session *se)
{
  struct control c = { .channel = fs->channel,
                       .left = -1,
                       .signals = -1,
                       .session = se,
                       .image = fs->image };
  pthread_t thread;
  int r = -1;

  if (start_control (&c, &thread) == 0) {
    r = run_loop (se, fs->options);
    /* The loop has cleared it: without it libfuse complains of each reply
     * that comes too late. */
    fuse_session_exit (se);
    eventfd_write (c.left, 1);
    pthread_join (thread, NULL);
  }
  cleanup_close (&c.left);
  cleanup_close (&c.signals);
  return r < 0 ? MOUNT_NOT_MOUNTED : MOUNT_OK;
}

/* --- the whole ------------------------------------------------------- */

static int
serve_mount (struct served *fs)
{
  struct fuse_session *se;
  struct message m;
  int fd, status;

  channel_receive (fs->channel, &m, &fd);
  if (m.kind != MESSAGE_MOUNTED || fd == -1)
    return MOUNT_NOT_MOUNTED; /* the guardian has said why */
  se = new_session (fs, fd);
  if (!se) {
    close (fd);
    return tell_failure (fs->channel, MOUNT_NOT_MOUNTED,
                         "cannot start the FUSE session");
  }
  fs->session = se;
  if (!fs->options->foreground)
    leave_terminal ();
  status = serve (fs, se);
  image_cancel (fs->image);
  if (!eval_stop (fs->eval, END_MS) ||
      !prefetch_stop (fs->prefetch, END_MS / 3))
    _exit (status); /* its threads may still use all of this */
  fuse_session_destroy (se);
  return status;
}

int
server_main (int channel, int guardian, struct source *source,
             const struct options *o)
{
  struct served fs = { .options = o,
                       .ready = tell_ready,
                       .channel = channel };
  struct err e = { 0 };
  int status;

  handles_init (&fs.handles);
  buffers_init (&fs.buffers);
  if (drop_power (guardian, &e) == -1) {
    status = tell_failure (channel, MOUNT_NOT_MOUNTED, e.msg);
  } else if (open_tree (&fs, source, &e) == -1) {
    status = tell_failure (channel, MOUNT_BAD_IMAGE, e.msg);
  } else {
    channel_send (channel, &(struct message){ .kind = MESSAGE_OPENED }, -1);
    status = serve_mount (&fs);
  }
  if (fs.eval && eval_stop (fs.eval, 0))
    eval_free (fs.eval);
  handles_destroy (&fs.handles);
  if (fs.prefetch && prefetch_stop (fs.prefetch, 0))
    prefetch_free (fs.prefetch);
  buffers_destroy (&fs.buffers);
  tree_free (fs.tree);
  image_close (fs.image);
  return status;
}
