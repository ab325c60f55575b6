/* xrayfs: an initramfs that is odd, damaged or hostile
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What real tools make is compared in tests/golden/test-initramfs.sh.
 */
#include "inspect/initramfs.h"

#include <glob.h>

#include "base/bytes.h"
#include "test.h"

#define V "6.1.0-1"

/* Bytes in memory, of which read number FAIL (from 0) fails. */
struct memory {
  const char *data;
  size_t len, fail, reads;
  uint64_t bytes;
};

static int
memory_pread (void *arg, void *buf, size_t len, uint64_t off, size_t *ret,
              struct err *e)
{
  struct memory *m = arg;

  if (m->reads++ == m->fail)
    return err_set (e, EIO, "injected");
  *ret = off < m->len ? MIN (len, m->len - off) : 0;
  memcpy (buf, m->data + off, *ret);
  m->bytes += *ret;
  return 0;
}

static int
read_it (struct memory *m, uint64_t size, struct initramfs *ret,
         struct err *e)
{
  struct initramfs_source s = { memory_pread, m, size, NULL };

  *e = (struct err){ 0 };
  return initramfs_read (&s, V, NULL, NULL, ret, e);
}

/* Adds one entry of a newc archive. */
static void
add (struct buf *b, const char *name, const char *text)
{
  size_t len = strlen (text);

  buf_printf (b,
              "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx"
              "%08x",
              1, 0100644, 0, 0, 1, 0, len, 0, 0, 0, 0, strlen (name) + 1, 0);
  buf_add (b, name, strlen (name) + 1);
  while (b->len % 4)
    buf_add (b, "", 1);
  buf_add (b, text, len);
  while (b->len % 4)
    buf_add (b, "", 1);
}

static void
end (struct buf *b)
{
  add (b, "TRAILER!!!", "");
}

static void
test_names (void)
{
  static const struct {
    const char *path, *name;
  } cases[] = { { "kernel/drivers/block/virtio-blk.ko.xz", "virtio_blk" },
                { "virtio_net.ko", "virtio_net" },
                { "a/b.ko.zst", "b" },
                { "a/b.ko.gz", "b" },
                { "a/b.ko.xz.old", NULL },
                { "a/b.koo", NULL },
                { "a/.ko", NULL },
                { "a.ko/b", NULL },
                { "", NULL } };
  char name[16];

  for (size_t i = 0; i < ARRAY_SIZE (cases); i++) {
    bool is = module_name (cases[i].path, strlen (cases[i].path), name,
                           sizeof name);
    CHECK (is == (cases[i].name != NULL));
    if (is)
      CHECK_STR (name, cases[i].name);
  }
  CHECK (
      !module_name ("much-longer-than-it-may-be.ko", 29, name, sizeof name));
}

static void
make_archive (struct buf *b)
{
  add (b, "lib/modules/" V "/kernel/virtio-blk.ko.xz", "x");
  add (b, "./usr/lib/modules/" V "/kernel/a.ko", "x");
  add (b, "lib/modules/" V "0/kernel/other.ko", "x");
  add (b, "lib/modules/6.2/kernel/newer.ko", "x");
  add (b, "lib/modules/" V "/modules.dep", "first");
  add (b, "etc/modprobe.d/a.conf", "blacklist a");
  add (b, "etc/modprobe.d/a.conf.old", "blacklist b");
  end (b);
  for (int i = 0; i < 500; i++)
    buf_add (b, "", 1);
  add (b, "usr/lib/modules/" V "/modules.dep", "second");
  add (b, "usr/lib/modules/" V "/kernel/c.ko", "x");
  end (b);
}

static void
test_contents (void)
{
  CLEANUP_BUF struct buf b = { 0 };
  struct initramfs i;
  struct err e;

  make_archive (&b);
  struct memory m = { b.data, b.len, SIZE_MAX, 0, 0 };
  CHECK_OK (read_it (&m, b.len, &i, &e));
  CHECK (i.entries == 9 && i.modules.len == 3);
  CHECK (initramfs_has (&i, "virtio_blk") && initramfs_has (&i, "a") &&
         initramfs_has (&i, "c"));
  CHECK (!initramfs_has (&i, "other") && !initramfs_has (&i, "newer"));
  CHECK_STR (buf_str (&i.modules_dep), "second\n");
  CHECK_STR (buf_str (&i.modprobe), "blacklist a\n");
  CHECK (!i.hidden.code && i.elsewhere.len == 0);
  initramfs_free (&i);
}

static void
test_squashed (void)
{
  CLEANUP_BUF struct buf b = { 0 };
  struct initramfs i;
  struct err e;

  add (&b, "squashfs-root.img", "x");
  end (&b);
  struct memory m = { b.data, b.len, SIZE_MAX, 0, 0 };
  CHECK_OK (read_it (&m, b.len, &i, &e));
  CHECK (i.hidden.code == ENOTSUP);
  initramfs_free (&i);
}

/* Each read that fails is an error, and never a shorter list. */
static void
test_read_errors (void)
{
  CLEANUP_BUF struct buf b = { 0 };
  struct initramfs i;
  struct err e;

  make_archive (&b);
  for (size_t n = 0;; n++) {
    struct memory m = { b.data, b.len, n, 0, 0 };
    int r = read_it (&m, b.len, &i, &e);
    if (m.reads <= n) {
      CHECK (r == 0 && n > 1);
      initramfs_free (&i);
      return;
    }
    CHECK (r == -1 && e.code == EIO && strstr (e.msg, "injected"));
  }
}

/* Cut off anywhere: an error, but where the first archive ends whole. */
static void
test_cut_off (void)
{
  CLEANUP_BUF struct buf b = { 0 };
  struct initramfs i;
  struct err e;
  unsigned whole = 0;

  make_archive (&b);
  for (size_t len = 1; len < b.len; len++) {
    CLEANUP_FREE char *copy = malloc (len);
    struct memory m = { copy, len, SIZE_MAX, 0, 0 };
    CHECK (copy);
    memcpy (copy, b.data, len);
    if (read_it (&m, len, &i, &e) == -1) {
      CHECK (e.msg[0] && !strchr (e.msg, '\n'));
      continue;
    }
    whole++;
    CHECK (i.entries == 7 || i.entries == 9);
    initramfs_free (&i);
  }
  /* After the first trailer and in the zeros; in the last one's padding. */
  CHECK (whole < 520);
}

/* Sparse files that would keep a reader busy for hours. */
static void
test_hostile (void)
{
  static const struct {
    const char *head;
    size_t len;
  } cases[] = { { "\x28\xb5\x2f\xfd\0\0", 6 },
                { "\xfd"
                  "7zXZ\0\0\0",
                  8 },
                { "\x02\x21\x4c\x18\1\0\0\0", 8 },
                { "\x04\x22\x4d\x18\0\0\0\1\0\0\0", 11 },
                { "\x1f\x8b\x08", 3 },
                { "BZh9", 4 },
                { "\x5d\0\0\1", 4 },
                { "\x89LZO", 4 },
                { "070701", 6 },
                { "07070X", 6 } };
  const size_t size = 64 * MiB;
  char *data = calloc (1, size);
  struct initramfs i;
  struct err e;

  CHECK (data);
  for (size_t k = 0; k < ARRAY_SIZE (cases); k++) {
    struct memory m = { data, size, SIZE_MAX, 0, 0 };
    memset (data, 0, 32);
    memcpy (data, cases[k].head, cases[k].len);
    CHECK (read_it (&m, size, &i, &e) == -1);
    CHECK (e.msg[0] && m.reads < 1000000 && m.bytes < 4 * size);
  }
  struct memory m = { data, size, SIZE_MAX, 0, 0 };
  CHECK (read_it (&m, UINT64_C (1) << 50, &i, &e) == -1 && e.code == EFBIG);
  CHECK (read_it (&m, 0, &i, &e) == -1 && e.code == EINVAL);
  free (data);
}

/* What each tool's initramfs has, and what of it gets loaded. */
static void
test_direct (void)
{
  static const struct {
    const char *init, *extra;
    bool has, may;
  } cases[] = {
    { "#!/bin/nash\n insmod /lib/virtio_blk.ko x=1\n", "a", true, false },
    { "#!/bin/nash\n/sbin/insmod -f /lib/virtio-blk.ko\n", "a", true, false },
    { "#!/bin/nash\n#insmod /lib/virtio_blk.ko\n", "a", false, false },
    { "insmod /lib/virtio_blk.ko\n", "a", false, true },
    { "#!/bin/nash\ninsmod /lib/virtio_net.ko\n", "a", false, false },
    { "#! /sbin/nash --quiet\nnash-mount /x\nmkblkdevs\n", "a", false,
      false },
    { "#!/bin/nash\nwho-knows\n", "a", false, true },
    { "#!/bin/nash\nexec /init2\n", "a", false, true },
    { "#!/bin/sh\necho x\ninsmod /lib/virtio_blk.ko\n", "a", true, true },
    { "#!/bin/sh\nif x\nthen\ninsmod /lib/virtio_blk.ko\nfi\n", "a", false,
      true },
    { "#!/bin/sh\nload () {\ninsmod /lib/virtio_blk.ko\n}\n", "a", false,
      true },
    { "#!/bin/sh\ncat <<E\ninsmod /lib/virtio_blk.ko\nE\n", "a", false,
      true },
    { "#!", "a", false, true },
    { "", "lib/modules/booster.alias", true, false },
  };

  for (size_t k = 0; k < ARRAY_SIZE (cases); k++) {
    CLEANUP_BUF struct buf b = { 0 };
    struct initramfs i;
    struct err e;
    add (&b, "lib/virtio-blk.ko", "x");
    add (&b, "init", cases[k].init);
    add (&b, cases[k].extra, "");
    end (&b);
    struct memory m = { b.data, b.len, SIZE_MAX, 0, 0 };
    CHECK_OK (read_it (&m, b.len, &i, &e));
    CHECK (initramfs_has (&i, "virtio_blk") == cases[k].has);
    CHECK (initramfs_may_have (&i, "virtio_blk") == cases[k].may);
    CHECK (!initramfs_has (&i, "virtio_net"));
    initramfs_free (&i);
  }
}

static void
test_modprobe_order (void)
{
  CLEANUP_BUF struct buf b = { 0 };
  struct initramfs i;
  struct err e;

  add (&b, "etc/modprobe.d/b.conf", "etc b");
  add (&b, "etc/modprobe.d/a.conf", "etc a");
  add (&b, "usr/lib/modprobe.d/b.conf", "lib b");
  add (&b, "usr/lib/modprobe.d/c.conf", "lib c");
  end (&b);
  add (&b, "etc/modprobe.d/a.conf", "second a");
  end (&b);
  struct memory m = { b.data, b.len, SIZE_MAX, 0, 0 };
  CHECK_OK (read_it (&m, b.len, &i, &e));
  CHECK_STR (buf_str (&i.modprobe), "second a\netc b\nlib c\n");
  initramfs_free (&i);
}

/* Every read of each seed of the fuzz target fails once; then each is cut
 * off everywhere.  Never another answer, and never ENOENT. */
static void
sweep (const char *data, size_t len)
{
  struct memory whole = { data, len, SIZE_MAX, 0, 0 };
  struct initramfs i;
  struct err e;

  if (read_it (&whole, len, &i, &e) == -1)
    return;
  initramfs_free (&i);
  for (size_t n = 0; n < whole.reads; n++) {
    struct memory m = { data, len, n, 0, 0 };
    CHECK (read_it (&m, len, &i, &e) == -1 && e.code == EIO &&
           strstr (e.msg, "injected"));
  }
  for (size_t n = 1; n < len; n++) {
    struct memory m = { data, n, SIZE_MAX, 0, 0 };
    if (read_it (&m, n, &i, &e) == 0)
      initramfs_free (&i);
    else
      CHECK (e.msg[0] && !err_is_absent (&e));
  }
}

static void
test_seeds (void)
{
  const char *dir = getenv ("srcdir");
  CLEANUP_FREE char *pattern = NULL;
  glob_t g;

  if (asprintf (&pattern, "%s/fuzz/corpus/cpio/*", dir ? dir : ".") == -1)
    abort ();
  if (glob (pattern, 0, NULL, &g) != 0)
    return;
  for (size_t k = 0; k < g.gl_pathc; k++) {
    CLEANUP_FCLOSE FILE *fp = fopen (g.gl_pathv[k], "re");
    static char data[64 * KiB];
    CHECK (fp);
    sweep (data, fread (data, 1, sizeof data, fp));
  }
  globfree (&g);
}

int
main (void)
{
  test_names ();
  test_contents ();
  test_squashed ();
  test_read_errors ();
  test_cut_off ();
  test_hostile ();
  test_direct ();
  test_modprobe_order ();
  test_seeds ();
  return 0;
}
