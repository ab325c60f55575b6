/* xrayfs: the text of a Boot Loader Specification's entry
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "inspect/grub.h"
#include "inspect/image_priv.h"

static int
replace (char **field, char *value)
{
  if (!value)
    return 1;
  free (*field);
  *field = value;
  return 0;
}

/* Keys that may come more than once add up. */
static int
append (char **field, char *value)
{
  char *whole;

  if (!value || !*field)
    return replace (field, value);
  if (asprintf (&whole, "%s %s", *field, value) == -1)
    whole = NULL;
  free (value);
  return replace (field, whole);
}

static int
bls_line (void *arg, char *line)
{
  struct boot_entry *b = arg;
  size_t key;
  char *value;

  line += strspn (line, " \t");
  key = strcspn (line, " \t");
  if (!line[key] || line[0] == '#')
    return 0;
  line[key] = '\0';
  value = line + key + 1;
  value += strspn (value, " \t");
  value[strcspn (value, "\r")] = '\0';
  if (!strcmp (line, "title"))
    return replace (&b->title, strdup (value));
  if (!strcmp (line, "version"))
    return replace (&b->version, strdup (value));
  if (!strcmp (line, "machine-id"))
    return replace (&b->machine_id, strdup (value));
  if (!strcmp (line, "sort-key"))
    return replace (&b->sort_key, strdup (value));
  if (!strcmp (line, "linux"))
    return replace (&b->linux_path, strdup (value));
  /* A unified kernel image brings its initramfs. */
  if (!strcmp (line, "uki"))
    return replace (&b->linux_path, strdup (value)) ||
           append (&b->initrd_path, strdup (value));
  if (!strcmp (line, "initrd"))
    return append (&b->initrd_path, strdup (value));
  if (!strcmp (line, "options"))
    return append (&b->options, strdup (value));
  return 0;
}

/* What GRUB takes for an entry without any. */
static int
default_options (struct grub_vars *vars, struct boot_entry *b)
{
  if (!vars || b->options)
    return 0;
  b->options = strdup ("$default_kernelopts");
  return b->options ? 0 : -1;
}

int
bls_entry (char *text, const char *id, struct grub_vars *vars,
           struct boot_entry *ret, struct err *e)
{
  struct boot_entry entry = { 0 };

  if (each_line (text, bls_line, &entry) || !(entry.id = strdup (id)) ||
      default_options (vars, &entry) == -1) {
    boot_entry_free (&entry);
    return err_set (e, ENOMEM, "out of memory");
  }
  if (vars)
    grub_expand_entry (vars, &entry);
  *ret = entry;
  return 0;
}
