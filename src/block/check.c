/* xrayfs: damage of containers, and reasons not to trust them
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/bytes.h"
#include "block/block.h"

struct block_reach {
  struct block *file;
  uint64_t end;
  const char *prefix;
};

/* Files of one image that are looked at: extents of a VMDK, layers. */
#define MAX_REACH 1024

static void
add_finding (struct block_check *c, const char *fmt, va_list ap,
             bool is_error)
{
  char text[sizeof c->first_error];

  /* A damaged table has millions. */
  if (c->n_lines++ >= BLOCK_MAX_FINDINGS && (!is_error || c->first_error[0]))
    return;
  vsnprintf (text, sizeof text, fmt, ap);
  if (is_error && !c->first_error[0])
    memcpy (c->first_error, text, sizeof text);
  if (c->n_lines > BLOCK_MAX_FINDINGS)
    return;
  if (c->prefix)
    buf_printf (&c->findings, "backing file '%s': ", c->prefix);
  buf_add_line_text (&c->findings, text, strlen (text));
  buf_puts (&c->findings, "\n");
}

void
block_check_error (struct block_check *c, const char *fmt, ...)
{
  va_list ap;

  c->errors++;
  va_start (ap, fmt);
  add_finding (c, fmt, ap, true);
  va_end (ap);
}

void
block_check_note (struct block_check *c, const char *fmt, ...)
{
  va_list ap;

  c->notes++;
  va_start (ap, fmt);
  add_finding (c, fmt, ap, false);
  va_end (ap);
}

void
block_check_errors (struct block_check *c, uint64_t n, const char *fmt, ...)
{
  va_list ap;

  c->errors += n;
  va_start (ap, fmt);
  add_finding (c, fmt, ap, true);
  va_end (ap);
}

void
block_check_notes (struct block_check *c, uint64_t n, const char *fmt, ...)
{
  va_list ap;

  c->notes += n;
  va_start (ap, fmt);
  add_finding (c, fmt, ap, false);
  va_end (ap);
}

void
block_check_progress (struct block_check *c, uint64_t done, uint64_t total)
{
  if (c->progress)
    c->progress (c->progress_arg, done, total);
}

void
block_check_reach (struct block_check *c, struct block *file, uint64_t end)
{
  struct block_reach *r;

  if (end <= file->size)
    return;
  for (size_t i = 0; i < c->n_reach; i++)
    if (c->reach[i].file == file) {
      c->reach[i].end = MAX (c->reach[i].end, end);
      return;
    }
  r = c->n_reach < MAX_REACH
          ? reallocarray (c->reach, c->n_reach + 1, sizeof *r)
          : NULL;
  if (!r) {
    /* Never silent. */
    block_check_error (c, "0x%" PRIx64 " lies beyond the end of a file", end);
    return;
  }
  c->reach = r;
  r[c->n_reach++] = (struct block_reach){ file, end, c->prefix };
}

static void
report_reach (struct block_check *c)
{
  const struct block_reach *r;

  /* The rest follows from it. */
  if (c->n_reach)
    c->first_error[0] = '\0';
  for (size_t i = 0; i < c->n_reach; i++) {
    r = &c->reach[i];
    c->prefix = r->prefix;
    block_check_error (c,
                       "%s is cut off: %" PRIu64 " bytes are missing at its"
                       " end (it has %" PRIu64 " of %" PRIu64 ")",
                       r->file->path ? r->file->path : "the file",
                       r->end - r->file->size, r->file->size, r->end);
  }
  c->prefix = NULL;
}

void
block_check_missing (struct block_check *c, struct block *b)
{
  struct block *part;
  const char *why;

  for (size_t i = 0; b->ops->storage && (part = b->ops->storage (b, i)); i++)
    if ((why = block_missing_reason (part)))
      block_check_error (c, "%s: %s", part->path, why);
  part = block_backing (b);
  if (part && (why = block_missing_reason (part)))
    block_check_error (c, "%s: %s", part->path, why);
}

int
block_check (struct block *b, struct block_check *c, struct err *e)
{
  struct block *layer = b;

  for (; layer && !block_missing_reason (layer);
       layer = block_backing (layer)) {
    block_check_missing (c, layer);
    if (layer->ops->check && layer->ops->check (layer, c, e) == -1)
      return err_in (e, "%s", layer->ops->name);
    c->prefix = block_backing (layer) ? block_backing (layer)->path : NULL;
  }
  report_reach (c);
  if (c->n_lines > BLOCK_MAX_FINDINGS)
    buf_printf (&c->findings, "%" PRIu64 " findings in all\n",
                c->errors + c->notes);
  return buf_check (&c->findings, e);
}

void
block_check_free (struct block_check *c)
{
  buf_free (&c->findings);
  free (c->reach);
  c->reach = NULL;
}

/* --- safety ---------------------------------------------------------- */

/* More than one format takes the file for its own: which one a program
 * reads is the sender's choice. */
static int
several_formats (struct block *file, struct buf *reasons, struct err *e)
{
  const char *first = NULL;
  int bits;

  for (size_t i = 0; block_formats[i]; i++) {
    if (!strcmp (block_formats[i]->name, "raw"))
      continue;
    bits = block_formats[i]->bid (file, e);
    if (bits == -1)
      return -1;
    if (bits > 0 && first)
      buf_printf (reasons, "the file is valid as %s and as %s\n", first,
                  block_formats[i]->name);
    else if (bits > 0)
      first = block_formats[i]->name;
  }
  return 0;
}

int
block_safety (struct block *b, struct buf *reasons, struct err *e)
{
  struct block *backing = block_backing (b);

  if (b->below && several_formats (b->below, reasons, e) == -1)
    return -1;
  if (backing) {
    buf_puts (reasons, "it refers to a backing file, '");
    if (backing->path)
      buf_add_line_text (reasons, backing->path, strlen (backing->path));
    buf_puts (reasons, "'\n");
  }
  if (b->ops->safety && b->ops->safety (b, reasons, e) == -1)
    return err_in (e, "%s", b->ops->name);
  return buf_check (reasons, e);
}
