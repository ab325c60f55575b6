/* xrayfs: VHD: the parent of a differencing disk
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * "Dynamic Disk Header Format": up to eight locators name the parent, each
 * for a platform, and the header has a name of its own.  They may disagree,
 * and most are absolute names of the machine that wrote them: each is tried
 * in the image's directory, the relative ones first, and the first that is
 * the recorded image is taken.
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/utf16.h"
#include "format/vhd.h"

#define LOCATORS       8
#define LOCATOR_SIZE   24
#define LOCATOR_LENGTH 8
#define LOCATOR_OFFSET 16
#define NAME_SIZE      512 /* in the header */

/* The longest path of Windows; a name over it names no file there. */
#define MAX_LOCATOR (64 * KiB)

enum encoding { UTF16_LE, UTF8_URL };

/* The best first; others are deprecated. */
static const struct platform {
  char code[4];
  enum encoding encoding;
} platforms[] = {
  { { 'W', '2', 'r', 'u' }, UTF16_LE }, /* relative */
  { { 'M', 'a', 'c', 'X' }, UTF8_URL }, /* XenServer's are relative */
  { { 'W', '2', 'k', 'u' }, UTF16_LE }, /* absolute */
};
/* Each locator for each platform, and the header's own name. */
#define CANDIDATES (ARRAY_SIZE (platforms) * LOCATORS + 1)

/* --- names ----------------------------------------------------------- */

static void
add_name (const char *data, size_t len, enum encoding encoding,
          struct buf *ret)
{
  static const char scheme[] = "file://";
  size_t skip = sizeof scheme - 1;

  if (encoding == UTF16_LE) {
    utf16_add (ret, data, len, false);
    return;
  }
  if (len < skip || memcmp (data, scheme, skip))
    skip = 0;
  buf_add (ret, data + skip, strnlen (data + skip, len - skip));
}

/* Can the locator's name be read? */
static bool
locator_is_there (const struct block *b, const unsigned char *locator)
{
  uint32_t len = load_be32 (locator + LOCATOR_LENGTH);

  return len <= MAX_LOCATOR &&
         range_within (load_be64 (locator + LOCATOR_OFFSET), len,
                       b->below->size);
}

static int
read_locator (struct block *b, const unsigned char *locator,
              enum encoding encoding, struct buf *ret, struct err *e)
{
  uint32_t len = load_be32 (locator + LOCATOR_LENGTH);
  CLEANUP_FREE char *data = NULL;

  if (!locator_is_there (b, locator))
    return 0; /* vhd_check says so */
  data = malloc (len ? len : 1);
  if (!data)
    return err_set (e, ENOMEM, "out of memory");
  if (block_pread (b->below, data, len, load_be64 (locator + LOCATOR_OFFSET),
                   e) == -1)
    return err_in (e, "parent locator");
  add_name (data, len, encoding, ret);
  return 0;
}

/* Candidate number I, as the image has it; RET stays empty if there is
 * none. */
static int
read_candidate (struct block *b, const unsigned char *header, size_t i,
                struct buf *ret, struct err *e)
{
  const struct platform *p = &platforms[i / LOCATORS];
  const unsigned char *locator =
      header + HEADER_LOCATORS + i % LOCATORS * LOCATOR_SIZE;

  buf_reset (ret);
  if (i == CANDIDATES - 1)
    utf16_add (ret, header + HEADER_PARENT_NAME, NAME_SIZE, true);
  else if (!memcmp (locator, p->code, sizeof p->code) &&
           read_locator (b, locator, p->encoding, ret, e) == -1)
    return -1;
  return buf_check (ret, e);
}

/* The file of that NAME, in the image's directory: backslashes separate, and
 * of an absolute name the last part counts; Windows starts relative ones with
 * ".\".  To be freed. */
static char *
local_path (const char *name)
{
  char *path = strdup (name), *last;

  if (!path)
    return NULL;
  for (char *p = path; *p; p++)
    if (*p == '\\')
      *p = '/';
  last = strrchr (path, '/');
  if (last && (path[0] == '/' ||
               (isalpha ((unsigned char) path[0]) && path[1] == ':')))
    memmove (path, last + 1, strlen (last + 1) + 1);
  if (!strncmp (path, "./", 2))
    memmove (path, path + 2, strlen (path + 2) + 1);
  return path;
}

/* --- opening --------------------------------------------------------- */

/* Is PARENT the image that B was made from?  A UUID of zeros says nothing. */
static bool
is_recorded (const struct block *b, const struct block *parent)
{
  const struct vhd *v = b->priv, *p = parent->priv;

  return is_zero (v->parent_uuid, 16) ||
         !memcmp (v->parent_uuid, p->uuid, 16);
}

/* Sets v->parent if the file at PATH is the parent. */
static int
try_parent (struct block *b, const char *path, struct err *e)
{
  struct vhd *v = b->priv;
  struct err why = { 0 };
  struct block *parent;

  if (block_reference_open (b, path, "vhd", &parent, &why) == -1) {
    if (!err_is_transient (&why) && !b->env->read_failed)
      return 0;
    *e = why;
    return err_in (e, "parent '%s'", path);
  }
  if (is_recorded (b, parent))
    v->parent = parent;
  else
    block_close (parent);
  return 0;
}

/* NAME is a candidate: the first is what the image is said to refer to,
 * until one is found. */
static int
try_name (struct block *b, const char *name, struct err *e)
{
  struct vhd *v = b->priv;
  CLEANUP_FREE char *path = local_path (name), *copy = strdup (name);

  if (!path || !copy)
    return err_set (e, ENOMEM, "out of memory");
  if (try_parent (b, path, e) == -1)
    return -1;
  if (v->parent || !v->parent_name) {
    free (v->parent_name);
    v->parent_name = steal_ptr (&copy);
  }
  return 0;
}

/* None is right: the first stands for the parent, with the reason why it
 * cannot be read. */
static int
stand_in (struct block *b, struct err *e)
{
  struct vhd *v = b->priv;
  CLEANUP_FREE char *path = local_path (v->parent_name);

  if (!path)
    return err_set (e, ENOMEM, "out of memory");
  if (block_reference_or_missing (b, path, "vhd", v->size, &v->parent, e) ==
      -1)
    return err_in (e, "parent '%s'", path);
  v->parent_differs = !block_missing_reason (v->parent);
  return 0;
}

int
vhd_open_parent (struct block *b, const unsigned char *header, struct err *e)
{
  struct vhd *v = b->priv;
  CLEANUP_BUF struct buf name = { 0 };

  for (size_t i = 0; i < CANDIDATES && !v->parent; i++) {
    if (read_candidate (b, header, i, &name, e) == -1)
      return -1;
    if (name.len > 0 && try_name (b, buf_str (&name), e) == -1)
      return -1;
  }
  return v->parent || !v->parent_name ? 0 : stand_in (b, e);
}

/* --- damage ---------------------------------------------------------- */

int
vhd_check_locators (struct block *b, struct block_check *c, struct err *e)
{
  const struct vhd *v = b->priv;
  unsigned char h[VHD_HEADER_SIZE];
  const unsigned char *locator = h + HEADER_LOCATORS;

  if (block_pread (b->below, h, sizeof h, v->header_offset, e) == -1)
    return err_in (e, "dynamic disk header");
  for (unsigned i = 0; i < LOCATORS; i++, locator += LOCATOR_SIZE)
    if (load_be32 (locator) && !locator_is_there (b, locator))
      block_check_error (c,
                         "parent locator %u: %" PRIu32 " bytes at 0x%" PRIx64
                         " cannot be there",
                         i, load_be32 (locator + LOCATOR_LENGTH),
                         load_be64 (locator + LOCATOR_OFFSET));
  return 0;
}
