/* Prints what partition_table_read and superblock_probe say of an image, as
 * key=value; texts are raw.  For the tests.
 *   volume-info [-d] IMAGE      -d: the superblock of the bare disk as well
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "block/cache.h"
#include "volume/volume.h"

static void
text (const char *prefix, const char *key, const char *value)
{
  if (value)
    printf ("%s%s=%s\n", prefix, key, value);
}

static int
show_superblock (struct block *b, const char *prefix)
{
  struct superblock *s;
  struct err e = { 0 };

  if (superblock_probe (b, &s, &e) == -1) {
    printf ("%serror=%s\n", prefix, e.msg);
    return -1;
  }
  text (prefix, "TYPE", s->type);
  text (prefix, "USAGE", s->usage);
  text (prefix, "LABEL", s->label);
  text (prefix, "UUID", s->uuid);
  text (prefix, "VERSION", s->version);
  text (prefix, "ambivalent", s->ambivalent);
  superblock_free (s);
  return 0;
}

static int
show_partition (struct block *disk, const struct partition *p)
{
  CLEANUP_BLOCK struct block *slice = NULL;
  struct err e = { 0 };
  char prefix[32];

  snprintf (prefix, sizeof prefix, "%u.", p->number);
  printf ("%sstart=%" PRIu64 "\n%ssize=%" PRIu64 "\n", prefix, p->start,
          prefix, p->size);
  printf ("%sflags=0x%" PRIx64 "\n%sbootable=%s\n", prefix, p->flags, prefix,
          p->bootable ? "yes" : "no");
  text (prefix, "type", p->type);
  text (prefix, "type_name", p->type_name);
  text (prefix, "uuid", p->uuid);
  text (prefix, "name", p->name);
  text (prefix, "extended", p->extended ? "yes" : NULL);
  text (prefix, "nested", p->nested ? "yes" : NULL);
  text (prefix, "beyond_end", p->beyond_end ? "yes" : NULL);
  /* As the kernel does: what lies beyond the end is not there. */
  if (p->extended || p->start >= disk->size)
    return 0;
  if (block_slice_open (disk, p->start, MIN (p->size, disk->size - p->start),
                        &slice, &e) == -1) {
    printf ("%serror=%s\n", prefix, e.msg);
    return -1;
  }
  return show_superblock (slice, prefix);
}

static void
show_notes (const struct buf *notes)
{
  const char *line = buf_str (notes), *end;

  for (; (end = strchr (line, '\n')); line = end + 1)
    printf ("note=%.*s\n", (int) (end - line), line);
}

static int
show_table (struct block *disk)
{
  struct partition_table *t;
  struct err e = { 0 };
  int rc = 0;

  if (partition_table_read (disk, &t, &e) == -1) {
    printf ("error=%s\n", e.msg);
    return -1;
  }
  text ("", "table", t->type);
  text ("", "id", t->id);
  text ("", "whole", t->whole);
  printf ("size=%" PRIu64 "\nsector_size=%u\npartitions=%zu\n", disk->size,
          t->sector_size, t->n_partitions);
  for (size_t i = 0; i < t->n_partitions; i++)
    rc |= show_partition (disk, &t->partitions[i]);
  show_notes (&t->notes);
  partition_table_free (t);
  return rc;
}

static int
show (struct block_env *env, const char *path, bool disk, struct err *e)
{
  CLEANUP_BLOCK struct block *b = NULL;
  CLEANUP_FREE char *copy = strdup (path), *copy2 = strdup (path);
  struct block *file;
  int fd = open (path, O_RDONLY | O_CLOEXEC), rc;

  if (fd == -1 || !copy || !copy2)
    return err_sys (e, errno, "%s", path);
  env->dir_fd = open (dirname (copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (block_file_open (env, fd, basename (copy2), &file, e) == -1 ||
      block_format_open (file, NULL, &b, e) == -1)
    return -1;
  printf ("format=%s\n", b->ops->name);
  rc = disk ? show_superblock (b, "disk.") : 0;
  return show_table (b) | rc;
}

int
main (int argc, char **argv)
{
  struct block_env env = { .dir_fd = -1 };
  struct err e = { 0 };
  bool disk = argc == 3 && !strcmp (argv[1], "-d");
  int rc;

  if (argc != 2 + disk) {
    fprintf (stderr, "usage: volume-info [-d] IMAGE\n");
    return 3;
  }
  env.cache = cache_new (16 * MiB);
  rc = show (&env, argv[argc - 1], disk, &e);
  if (e.code)
    fprintf (stderr, "volume-info: %s\n", e.msg);
  cache_free (env.cache);
  return rc ? 1 : 0;
}
