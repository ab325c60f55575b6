/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "front/signals.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static sigset_t
ending (void)
{
  sigset_t set;

  sigemptyset (&set);
  sigaddset (&set, SIGINT);
  sigaddset (&set, SIGTERM);
  sigaddset (&set, SIGHUP);
  sigaddset (&set, SIGQUIT);
  return set;
}

void
signals_block (void)
{
  sigset_t set = ending ();

  sigprocmask (SIG_BLOCK, &set, NULL);
  signal (SIGPIPE, SIG_IGN);
  signal (SIGCHLD, SIG_DFL); /* who started us may have had it ignored, and
                                then nobody can be waited for */
}

int
signals_open (void)
{
  sigset_t set = ending ();

  return signalfd (-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int
signals_read (int fd)
{
  struct signalfd_siginfo info;

  return read (fd, &info, sizeof info) == sizeof info ? (int) info.ssi_signo
                                                      : 0;
}
