/* xrayfs: what a kernel's modules say of who built it
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The version that a module was built for stands in its .modinfo; a signature
 * is appended to the file (Linux,
 * Documentation/admin-guide/module-signing.rst and
 * include/linux/module_signature.h).  It names the key: a distribution's
 * ("Debian Secure Boot CA"), or one that the build made, which says nothing.
 * Evidence for people: who wants to can sign with any name.
 */
#include "inspect/module_info.h"

#include "config.h"

#include <archive.h>
#include <archive_entry.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/library.h"
#include "inspect/image_priv.h"

/* The largest real ones have some 10 MiB (amdgpu); the first is small. */
#define MAX_PACKED   ((size_t) 8 << 20)
#define MAX_UNPACKED ((size_t) 32 << 20)

/* --- a module -------------------------------------------------------- */

static void
copy_text (char *to, size_t size, const char *p, size_t len)
{
  size_t n = MIN (len, size - 1);

  for (size_t i = 0; i < n; i++)
    to[i] = (unsigned char) p[i] < ' ' || p[i] == 127 ? '?' : p[i];
  to[n] = '\0';
}

static void
find_vermagic (const char *data, size_t len, char *to, size_t size)
{
  static const char key[] = "\0vermagic=";
  const char *at = memmem (data, len, key, sizeof key - 1);

  if (!at)
    return;
  at += sizeof key - 1;
  copy_text (to, size, at, strnlen (at, (size_t) (data + len - at)));
}

#define MAGIC       "~Module signature appended~\n"
#define HEADER_SIZE 12 /* algorithm, hash, type, lengths of name and key */
#define TYPE_X509   1  /* before Linux 4.3: the name stands by itself */
#define TYPE_PKCS7  2

/* In PKCS #7 the signer is named by the issuer of its certificate: the common
 * name, 2.5.4.3, and a string. */
static void
find_common_name (const char *der, size_t len, char *to, size_t size)
{
  static const char oid[] = "\x06\x03\x55\x04\x03";
  const char *at = memmem (der, len, oid, sizeof oid - 1);
  size_t rest, n;

  if (!at)
    return;
  at += sizeof oid - 1;
  rest = (size_t) (der + len - at);
  if (rest < 2 || !strchr ("\x0c\x13\x14\x16", at[0]) || !at[0])
    return;
  n = (unsigned char) at[1];
  if (n < 128 && n <= rest - 2) /* a longer one has another form */
    copy_text (to, size, at + 2, n);
}

static void
find_signer (const char *data, size_t len, char *to, size_t size)
{
  size_t magic = strlen (MAGIC), sig, name, key, end;
  const unsigned char *h;

  if (len < magic + HEADER_SIZE ||
      memcmp (data + len - magic, MAGIC, magic) != 0)
    return;
  end = len - magic - HEADER_SIZE;
  h = (const unsigned char *) data + end;
  name = h[3];
  key = h[4];
  sig = load_be32 (h + 8);
  copy_text (to, size, "(not named)", 11);
  if (sig > end)
    return;
  if (h[2] == TYPE_PKCS7)
    find_common_name (data + end - sig, sig, to, size);
  else if (h[2] == TYPE_X509 && name && name + key <= end - sig)
    copy_text (to, size, data + end - sig - key - name, name);
}

void
module_info_parse (const void *data, size_t len, struct module_info *ret)
{
  *ret = (struct module_info){ .vermagic = "" };
  find_vermagic (data, len, ret->vermagic, sizeof ret->vermagic);
  find_signer (data, len, ret->signer, sizeof ret->signer);
}

/* --- a file ---------------------------------------------------------- */

#define ARCHIVE_FUNCTIONS(F)                                                 \
  F (archive_read, new)                                                      \
  F (archive_read, free)                                                     \
  F (archive_read, support_format_raw)                                       \
  F (archive_read, support_filter_gzip)                                      \
  F (archive_read, support_filter_xz)                                        \
  F (archive_read, support_filter_zstd)                                      \
  F (archive_read, open_memory)                                              \
  F (archive_read, next_header)                                              \
  F (archive_read, data)
LIBRARY (la, LIBARCHIVE, ARCHIVE_FUNCTIONS);

static void
cleanup_archive (struct archive **a)
{
  la.free (*a);
}

/* As it is, or packed with gzip, xz or zstd; the library is loaded.  false: it
 * cannot be unpacked. */
static bool
unpack (const struct buf *packed, struct buf *ret)
{
  __attribute__ ((cleanup (cleanup_archive))) struct archive *a =
      la.new ();
  struct archive_entry *entry;
  la_ssize_t n;
  char *to;

  if (!a || la.support_format_raw (a) != ARCHIVE_OK ||
      la.support_filter_gzip (a) != ARCHIVE_OK ||
      la.support_filter_xz (a) != ARCHIVE_OK ||
      la.support_filter_zstd (a) != ARCHIVE_OK ||
      la.open_memory (a, packed->data, packed->len) != ARCHIVE_OK ||
      la.next_header (a, &entry) != ARCHIVE_OK)
    return false;
  do {
    to = ret->len < MAX_UNPACKED ? buf_reserve (ret, 64 * KiB) : NULL;
    n = to ? la.data (a, to, 64 * KiB) : -1;
    if (n > 0)
      ret->len += (size_t) n;
  } while (n > 0);
  return n == 0;
}

static void
describe (const char *path, const struct kernel *k,
          const struct module_info *m, struct fact *f)
{
  size_t len = strcspn (m->vermagic, " ");

  if (m->vermagic[0])
    fact_evidence (f, "%s: built for '%s'%s", path, m->vermagic,
                   strlen (k->version) == len &&
                           !strncmp (m->vermagic, k->version, len)
                       ? ""
                       : ", which is another kernel");
  if (m->signer[0])
    fact_evidence (f, "%s: signed by '%s'", path, m->signer);
  else
    fact_evidence (f, "%s: not signed", path);
}

/* The first module of modules.dep, as a path; NULL: none. */
static int
first_module (const struct vfs *v, const struct kernel *k, char **ret,
              struct err *e)
{
  CLEANUP_BUF struct buf dep = { 0 };
  CLEANUP_FREE char *list = NULL;
  const char *line;
  int r;

  if (asprintf (&list, "%s/modules.dep", k->modules) == -1) {
    list = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  r = guest_text (v, list, &dep, e);
  line = buf_str (&dep);
  if (r != 1 || !*line)
    return MIN (r, 0);
  if (asprintf (ret, "%s%s%.*s", *line == '/' ? "" : k->modules,
                *line == '/' ? "" : "/", (int) strcspn (line, ":\n"),
                line) == -1) {
    *ret = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  return 0;
}

static int
read_module (const struct vfs *v, const struct kernel *k, struct fact *f,
             struct err *e)
{
  CLEANUP_BUF struct buf packed = { 0 }, data = { 0 };
  CLEANUP_FREE char *path = NULL;
  struct module_info m;
  struct err why = { 0 };

  if (first_module (v, k, &path, e) == -1)
    return -1;
  if (!path)
    return 0;
  if (vfs_read (v, path, MAX_PACKED, &packed, e) == -1)
    return err_in (e, "%s", path);
  if (packed.len && library_load (&la_library, &why) == -1) {
    fact_evidence (f, "%s: %s", path, why.msg);
    return 0;
  }
  if (!packed.len || !unpack (&packed, &data))
    return buf_check (&data, e);
  module_info_parse (data.data, data.len, &m);
  describe (path, k, &m, f);
  return 0;
}

int
module_evidence (const struct vfs *v, const struct kernel *k, struct fact *f,
                 struct err *e)
{
  if (!k->modules || read_module (v, k, f, e) == 0)
    return 0;
  if (err_is_transient (e))
    return -1;
  fact_evidence (f, "%s", e->msg);
  err_clear (e);
  return 0;
}
