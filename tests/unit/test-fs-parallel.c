/* Reads of file data run in parallel: what is mapped, and what a driver reads
 * without the lock; what it reads under the lock gives way after a piece.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <pthread.h>
#include <unistd.h>

#include "base/bytes.h"
#include "fs/fs.h"
#include "test.h"

#define SIZE (2 * MiB)

/* Two reads meet here.  Where one waits for the other to end, they never do,
 * and the alarm ends the test. */
static pthread_barrier_t meeting;
static _Atomic unsigned inside, calls;

/* --- a block whose reads meet ---------------------------------------- */

static int
disk_pread (struct block *b unused_arg, void *buf, size_t len,
            uint64_t off unused_arg, struct err *e unused_arg)
{
  pthread_barrier_wait (&meeting);
  memset (buf, 'd', len);
  return 0;
}

static const struct block_ops disk_ops = { .name = "disk",
                                           .pread = disk_pread };

/* --- drivers: all their files have SIZE bytes ------------------------ */

static int
mount (struct fs *fs, struct err *e unused_arg)
{
  fs->root = 1;
  return 0;
}

static int
mapped_map (struct fs *fs, uint64_t ino unused_arg, uint64_t off,
            uint64_t len, struct extent *ret, struct err *e unused_arg)
{
  CHECK (inside++ == 0);
  *ret = extent_data (len, fs->block, off);
  inside--;
  return 0;
}

static int
unlocked_pread (struct fs *fs, uint64_t ino unused_arg, void *buf, size_t len,
                uint64_t off unused_arg, struct err *e)
{
  CHECK (fs_lock (fs, e) == 0);
  CHECK (inside++ == 0);
  inside--;
  fs_unlock (fs);
  pthread_barrier_wait (&meeting);
  memset (buf, 'u', len);
  return 0;
}

static int
locked_pread (struct fs *fs, uint64_t ino unused_arg, void *buf, size_t len,
              uint64_t off unused_arg, struct err *e)
{
  CHECK (inside++ == 0);
  CHECK (len <= 256 * KiB);
  CHECK (fs_lock (fs, e) == -1 && e->code == EDEADLK);
  calls++;
  memset (buf, 'l', len);
  inside--;
  return 0;
}

#define TYPES(name)                                                          \
  (const char *const[])                                                      \
  {                                                                          \
    name, NULL                                                               \
  }
static const struct fs_ops mapped = { .name = "mapped",
                                      .types = TYPES ("mapped"),
                                      .mount = mount,
                                      .map = mapped_map };
static const struct fs_ops unlocked = { .name = "unlocked",
                                        .types = TYPES ("unlocked"),
                                        .mount = mount,
                                        .pread = unlocked_pread,
                                        .pread_unlocked = true };
static const struct fs_ops locked = { .name = "locked",
                                      .types = TYPES ("locked"),
                                      .mount = mount,
                                      .pread = locked_pread };
const struct fs_ops *const fs_drivers[] = { &mapped, &unlocked, &locked,
                                            NULL };
const struct block_ops *const block_formats[] = { NULL };

/* --- two readers ----------------------------------------------------- */

static void *
read_whole (void *arg)
{
  struct fs *fs = arg;
  char *buf = malloc (SIZE);
  struct err e = { 0 };
  size_t got = 0;

  CHECK (buf);
  CHECK_OK (fs_pread (fs, 2, SIZE, buf, SIZE, 0, &got, &e));
  CHECK (got == SIZE);
  CHECK (buf[0] == *fs->ops->name || fs->ops->map);
  CHECK (!memcmp (buf, buf + 1, SIZE - 1));
  free (buf);
  return NULL;
}

static void
check_two (struct block *disk, const char *type)
{
  struct err e = { 0 };
  pthread_t other;
  struct fs *fs;

  CHECK_OK (fs_mount (disk, type, &fs, &e));
  CHECK (pthread_create (&other, NULL, read_whole, fs) == 0);
  read_whole (fs);
  pthread_join (other, NULL);
  fs_unmount (fs);
}

int
main (void)
{
  struct block_env env = { 0 };
  struct err e = { 0 };
  struct block *disk = block_new (&env, &disk_ops, &e);

  CHECK (disk);
  disk->size = SIZE;
  alarm (60);
  pthread_barrier_init (&meeting, NULL, 2);
  check_two (disk, "mapped");
  check_two (disk, "unlocked");
  check_two (disk, "locked");
  CHECK (calls == 2 * (SIZE / (256 * KiB)));
  pthread_barrier_destroy (&meeting);
  block_close (disk);
  return 0;
}
