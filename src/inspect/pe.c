/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/pe.h"

#include <string.h>

#include "base/bytes.h"

#define COFF_HEADER  24 /* with the signature "PE\0\0" */
#define SECTION      40
#define MAX_SECTIONS 96 /* the loader's own limit in Windows */

/* 1: *RET_SECTIONS is where the section table begins, with *RET_N rows. */
static int
find_table (const struct vfs_file *f, uint64_t *ret_sections, unsigned *ret_n,
            struct err *e)
{
  unsigned char dos[64], coff[COFF_HEADER];
  uint64_t at;

  if (f->size < sizeof dos)
    return 0;
  if (vfs_file_read (f, dos, sizeof dos, 0, e) == -1)
    return -1;
  at = load_le32 (dos + 60);
  if (memcmp (dos, "MZ", 2) != 0 || !range_within (at, COFF_HEADER, f->size))
    return 0;
  if (vfs_file_read (f, coff, sizeof coff, at, e) == -1)
    return -1;
  if (memcmp (coff, "PE\0\0", 4) != 0)
    return 0;
  *ret_n = load_le16 (coff + 6);
  *ret_sections = at + COFF_HEADER + load_le16 (coff + 20);
  return *ret_n <= MAX_SECTIONS;
}

int
pe_find_section (const struct vfs_file *f, const char *name,
                 struct pe_section *ret, struct err *e)
{
  unsigned char row[SECTION];
  char padded[8] = { 0 };
  uint64_t table;
  unsigned n;
  int r = find_table (f, &table, &n, e);

  memcpy (padded, name, MIN (strlen (name), sizeof padded));
  for (unsigned i = 0; r == 1 && i < n; i++) {
    if (vfs_file_read (f, row, sizeof row, table + (uint64_t) i * SECTION,
                       e) == -1)
      return -1;
    if (memcmp (row, padded, sizeof padded) != 0)
      continue;
    /* The size in memory, which the file's is rounded up from. */
    ret->size = MIN (load_le32 (row + 8), load_le32 (row + 16));
    ret->offset = load_le32 (row + 20);
    if (!range_within (ret->offset, ret->size, f->size))
      return err_set (e, EIO, "section %s is cut off", name);
    return 1;
  }
  return r == -1 ? -1 : 0;
}

int
pe_section_text (const struct vfs_file *f, const char *name, size_t max,
                 char **ret, struct err *e)
{
  struct pe_section s;
  CLEANUP_FREE char *text = NULL;
  int r = pe_find_section (f, name, &s, e);

  *ret = NULL;
  if (r != 1)
    return r;
  if (s.size > max)
    return err_set (e, EFBIG, "section %s is larger than %zu bytes", name,
                    max);
  text = calloc (1, s.size + 1);
  if (!text)
    return err_set (e, ENOMEM, "out of memory");
  if (vfs_file_read (f, text, s.size, s.offset, e) == -1)
    return -1;
  *ret = steal_ptr (&text);
  return 0;
}
