/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "front/channel.h"

#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int
channel_pair (int fds[2])
{
  return socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds);
}

union control {
  char bytes[CMSG_SPACE (sizeof (int))];
  struct cmsghdr align;
};

int
channel_send (int channel, const struct message *m, int fd_to_send)
{
  struct iovec iov = { (void *) m, sizeof *m };
  union control control = { { 0 } };
  struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
  struct cmsghdr *c;
  ssize_t n;

  if (fd_to_send != -1) {
    msg.msg_control = control.bytes;
    msg.msg_controllen = sizeof control.bytes;
    c = CMSG_FIRSTHDR (&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN (sizeof (int));
    memcpy (CMSG_DATA (c), &fd_to_send, sizeof (int));
  }
  do
    n = sendmsg (channel, &msg, MSG_NOSIGNAL);
  while (n == -1 && errno == EINTR);
  return n == -1 ? -1 : 0;
}

static int
received_fd (struct msghdr *msg)
{
  struct cmsghdr *c = CMSG_FIRSTHDR (msg);
  int fd = -1;

  if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
    memcpy (&fd, CMSG_DATA (c), sizeof fd);
  return fd;
}

void
channel_receive (int channel, struct message *ret, int *ret_fd)
{
  struct message m = { 0 };
  struct iovec iov = { &m, sizeof m };
  union control control;
  struct msghdr msg = { .msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = ret_fd ? control.bytes : NULL,
                        .msg_controllen = ret_fd ? sizeof control : 0 };
  ssize_t n;

  do
    n = recvmsg (channel, &msg, MSG_CMSG_CLOEXEC);
  while (n == -1 && errno == EINTR);
  if (n != sizeof m)
    m = (struct message){ .kind = MESSAGE_GONE };
  m.text[sizeof m.text - 1] = '\0';
  if (ret_fd)
    *ret_fd = n > 0 ? received_fd (&msg) : -1;
  *ret = m;
}

static int
compare_fds (const void *a, const void *b)
{
  return *(const int *) a - *(const int *) b;
}

void
channel_close_others (const int *keep, size_t n)
{
  int sorted[16];
  unsigned from = STDERR_FILENO + 1;

  n = MIN (n, ARRAY_SIZE (sorted));
  memcpy (sorted, keep, n * sizeof *keep);
  qsort (sorted, n, sizeof *sorted, compare_fds);
  for (size_t i = 0; i < n; i++) {
    if (sorted[i] < (int) from)
      continue;
    if (sorted[i] > (int) from)
      close_range (from, (unsigned) sorted[i] - 1, 0);
    from = (unsigned) sorted[i] + 1;
  }
  close_range (from, UINT_MAX, 0);
}
