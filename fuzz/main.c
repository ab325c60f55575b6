/* xrayfs: replays a corpus: the main of a fuzz target without a fuzzer
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 *   fuzz-qcow2 FILE|DIRECTORY...
 *
 * A crash is the failure; a file that cannot be read is one too.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/cleanup.h"

#define MAX_FILE (16 * MiB)

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static int
replay_file (const char *path, size_t size)
{
  CLEANUP_FCLOSE FILE *f = fopen (path, "rb");
  /* Exactly as long as the input, so that a checker sees a read beyond. */
  CLEANUP_FREE uint8_t *data = malloc (size ? size : 1);

  if (!f || !data || size > MAX_FILE || fread (data, 1, size, f) != size) {
    fprintf (stderr, "%s: cannot be read\n", path);
    return -1;
  }
  LLVMFuzzerTestOneInput (data, size);
  return 0;
}

static int replay (const char *path);

static int
replay_directory (const char *path)
{
  CLEANUP_FREE struct dirent **names = NULL;
  int n = scandir (path, &names, NULL, alphasort), r = 0;

  if (n == -1) {
    perror (path);
    return -1;
  }
  for (int i = 0; i < n; i++) {
    CLEANUP_FREE struct dirent *name = names[i];
    CLEANUP_FREE char *child = NULL;

    if (name->d_name[0] != '.' &&
        (asprintf (&child, "%s/%s", path, name->d_name) == -1 ||
         replay (child) == -1))
      r = -1;
  }
  return r;
}

static int
replay (const char *path)
{
  struct stat st;

  if (stat (path, &st) == -1) {
    perror (path);
    return -1;
  }
  return S_ISDIR (st.st_mode) ? replay_directory (path)
                              : replay_file (path, (size_t) st.st_size);
}

int
main (int argc, char **argv)
{
  int failed = 0;

  for (int i = 1; i < argc; i++)
    failed |= replay (argv[i]) == -1;
  return failed;
}
