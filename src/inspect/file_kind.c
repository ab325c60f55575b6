/* xrayfs: what a file is that is no disk
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "inspect/file_kind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define MAGIC(offset, magic, value, kind)                                    \
  {                                                                          \
    offset, sizeof (magic) - 1, magic, value, kind                           \
  }

static const struct {
  unsigned offset, len;
  const char *magic, *value, *kind;
} magics[] = {
  MAGIC (0, "MSWIM\0\0\0", "installer", "Windows imaging file (WIM)"),
  MAGIC (0, "WLPWM\0\0\0", "installer", "pipable Windows imaging file (WIM)"),
  /* archives */
  MAGIC (0, "PK\3\4", "archive", "zip archive"),
  MAGIC (0, "PK\5\6", "archive", "empty zip archive"),
  MAGIC (0, "PK\7\10PK\3\4", "archive", "zip archive of several files"),
  MAGIC (0, "7z\xbc\xaf\x27\x1c", "archive", "7-Zip archive"),
  MAGIC (0, "Rar!\x1a\7", "archive", "RAR archive"),
  MAGIC (0, "070701", "archive", "cpio archive"),
  MAGIC (0, "070702", "archive", "cpio archive"),
  MAGIC (0, "070707", "archive", "cpio archive"),
  MAGIC (0, "!<arch>\ndebian-binary", "archive", "Debian package"),
  MAGIC (0, "!<arch>\n", "archive", "ar archive"),
  MAGIC (0, "\xed\xab\xee\xdb", "archive", "RPM package"),
  MAGIC (0, "MSCF\0\0\0\0", "archive", "Windows cabinet"),
  MAGIC (0, "xar!", "archive", "xar archive"),
  MAGIC (0, "VMA\0", "archive", "Proxmox backup (VMA)"),
  /* compressed */
  MAGIC (0, "\xfd\x37zXZ\0", "compressed", "xz"),
  MAGIC (0, "\x28\xb5\x2f\xfd", "compressed", "zstd"),
  MAGIC (0, "\x04\x22\x4d\x18", "compressed", "lz4"),
  MAGIC (0, "\x02\x21\x4c\x18", "compressed", "lz4 (legacy)"),
  MAGIC (0, "\x89LZO\0\r\n\x1a\n", "compressed", "lzop"),
  MAGIC (0, "LZIP\1", "compressed", "lzip"),
  /* images of other programs */
  MAGIC (0, "EVF\x09\r\n\xff\0", "other", "Expert Witness image (E01)"),
  MAGIC (0, "LVF\x09\r\n\xff\0", "other", "Expert Witness image (L01)"),
  MAGIC (0, "EVF2\r\n\x81\0", "other", "Expert Witness image (Ex01)"),
  MAGIC (0, "AFF10\r\n\0", "other", "AFF image"),
  MAGIC (0, "\x3a\xff\x26\xed", "other", "Android sparse image"),
  MAGIC (0, "partclone-image", "other", "partclone image"),
  MAGIC (0, "\0ntfsclone-image", "other", "ntfsclone image"),
  MAGIC (0, "btrfs-stream\0", "other", "Btrfs send stream"),
  /* programs and documents */
  MAGIC (0,
         "\x7f"
         "ELF",
         "other", "ELF program"),
  MAGIC (0, "%PDF-", "other", "PDF document"),
  MAGIC (0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "other",
         "OLE compound file (.msi, .doc)"),
  MAGIC (0, "regf", "other", "Windows registry hive"),
  MAGIC (0, "SQLite format 3\0", "other", "SQLite database"),
  MAGIC (0, "\x89PNG\r\n\x1a\n", "other", "PNG picture"),
  MAGIC (0, "\xff\xd8\xff", "other", "JPEG picture"),
};

static bool
kind (struct file_kind *ret, const char *value, const char *text)
{
  ret->value = value;
  snprintf (ret->text, sizeof ret->text, "%s", text);
  return true;
}

static bool
starts_with (const unsigned char *p, size_t len, const char *magic, size_t n)
{
  return len >= n && !memcmp (p, magic, n);
}
#define STARTS(magic) starts_with (p, len, magic, sizeof (magic) - 1)

/* Text from the file, made fit for one line. */
static void
add_name (struct file_kind *ret, const char *before,
          const unsigned char *name, size_t n, const char *after)
{
  size_t at = strlen (ret->text);
  char clean[64];

  n = MIN (strnlen ((const char *) name, n), sizeof clean - 1);
  for (size_t i = 0; i < n; i++)
    clean[i] = name[i] < 0x20 || name[i] == 0x7f ? '?' : (char) name[i];
  clean[n] = '\0';
  snprintf (ret->text + at, sizeof ret->text - at, "%s%s%s", before, clean,
            after);
}

/* --- by structure ----------------------------------------------------- */

/* The header's checksum: the sum of its bytes, those of the checksum taken
 * as blanks.  Archives from before POSIX have no other signature. */
static bool
is_tar (const unsigned char *p, size_t len)
{
  unsigned long sum = 0;
  char stored[9] = { 0 }, *end;

  if (len < 512 || p[0] == 0)
    return false;
  for (size_t i = 0; i < 512; i++)
    sum += i >= 148 && i < 156 ? ' ' : p[i];
  memcpy (stored, p + 148, 8);
  return strtoul (stored, &end, 8) == sum && end >= stored + 4;
}

/* An OVA is a format of the block layer. */
static bool
tar_kind (const unsigned char *p, size_t len, struct file_kind *ret)
{
  return is_tar (p, len) && kind (ret, "archive", "tar archive");
}

/* RFC 1952, section 2.3: the name follows the header and the extra field. */
static bool
gzip_kind (const unsigned char *p, size_t len, struct file_kind *ret)
{
  size_t at = 10;

  if (!STARTS ("\x1f\x8b\x08"))
    return false;
  kind (ret, "compressed", "gzip");
  if (len > 12 && (p[3] & 4))
    at += 2u + load_le16 (p + 10);
  if (len > at && (p[3] & 8))
    add_name (ret, " of '", p + at, len - at, "'");
  return true;
}

static bool
bzip2_kind (const unsigned char *p, size_t len, struct file_kind *ret)
{
  return STARTS ("BZh") && len >= 10 && p[3] >= '1' && p[3] <= '9' &&
         (!memcmp (p + 4, "\x31\x41\x59\x26\x53\x59", 6) ||
          !memcmp (p + 4, "\x17\x72\x45\x38\x50\x90", 6)) &&
         kind (ret, "compressed", "bzip2");
}

/* The older LZMA format has no signature: properties, a dictionary of 2^n or
 * 2^n + 2^(n-1) bytes, and a size; the first byte of the data is 0. */
static bool
lzma_kind (const unsigned char *p, size_t len, struct file_kind *ret)
{
  uint32_t dict;
  uint64_t size;

  if (len < 14 || p[0] != 0x5d || p[13] != 0)
    return false;
  dict = load_le32 (p + 1);
  size = load_le64 (p + 5);
  return dict >= 4096 &&
         (is_power_of_2 (dict) ||
          (dict % 3 == 0 && is_power_of_2 (dict / 3)) ||
          dict == UINT32_MAX) &&
         (size == UINT64_MAX || size < (UINT64_C (1) << 40)) &&
         kind (ret, "compressed", "lzma");
}

static bool
compress_kind (const unsigned char *p, size_t len, struct file_kind *ret)
{
  return STARTS ("\x1f\x9d") && len >= 3 && !(p[2] & 0x60) &&
         (p[2] & 0x1f) >= 9 && (p[2] & 0x1f) <= 16 &&
         kind (ret, "compressed", "compress (.Z)");
}

/* What `cpio -o` writes: two bytes of signature, a name that ends. */
static bool
binary_cpio_kind (const unsigned char *p, size_t len, struct file_kind *ret)
{
  size_t name_len;

  if (!STARTS ("\xc7\x71") || len < 27)
    return false;
  name_len = load_le16 (p + 20);
  return name_len > 1 && name_len <= len - 26 &&
         strnlen ((const char *) p + 26, name_len) == name_len - 1 &&
         kind (ret, "archive", "cpio archive");
}

/* A frame that decoders skip, before zstd or lz4. */
static bool
skippable_kind (const unsigned char *p, size_t len, struct file_kind *ret)
{
  return len >= 8 && (load_le32 (p) & 0xfffffff0) == 0x184d2a50 &&
         kind (ret, "compressed", "zstd or lz4");
}

static bool
pe_kind (const unsigned char *p, size_t len, struct file_kind *ret)
{
  uint32_t at;

  if (!STARTS ("MZ") || len < 0x40)
    return false;
  at = load_le32 (p + 0x3c);
  return range_within (at, 4, len) && !memcmp (p + at, "PE\0\0", 4) &&
         kind (ret, "other", "Windows program (PE)");
}

static bool
magic_kind (const unsigned char *p, size_t len, struct file_kind *ret)
{
  for (size_t i = 0; i < ARRAY_SIZE (magics); i++)
    if (range_within (magics[i].offset, magics[i].len, len) &&
        !memcmp (p + magics[i].offset, magics[i].magic, magics[i].len))
      return kind (ret, magics[i].value, magics[i].kind);
  return false;
}

/* --- text ------------------------------------------------------------ */

/* The words must be there, near the start; WORD2 may be NULL.  The first
 * that fits. */
static const struct {
  bool first; /* nothing but blanks stands before WORD */
  const char *word, *word2, *kind;
} texts[] = {
  { false, "<Envelope", "ovf", "OVF descriptor" },
  { false, "<ovf:Envelope", NULL, "OVF descriptor" },
  { false, "<VirtualBox", NULL, "VirtualBox machine (.vbox)" },
  { true, "<domain", NULL, "libvirt domain" },
  { true, "<!doctype html", NULL, "HTML page (a failed download?)" },
  { true, "<html", NULL, "HTML page (a failed download?)" },
  { false, "virtualHW.version", NULL, "VMware configuration (.vmx)" },
  { false, "# Disk DescriptorFile", NULL, "VMDK descriptor" },
  { true, "<?xml", NULL, "XML" },
  { true, "version https://git-lfs", NULL, "Git LFS pointer" },
  { true, "SHA256(", NULL, "OVF manifest" },
  { true, "SHA1(", NULL, "OVF manifest" },
  { true, "#!", NULL, "script" },
  { true, "-----BEGIN", NULL, "PEM" },
  { true, "{", "\":", "JSON" },
};

static bool
is_text (const unsigned char *p, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (p[i] < 0x20 && !memchr ("\t\n\r\f\x1b", p[i], 5))
      return false;
  return len > 0;
}

/* A byte order mark, and the first letters are ASCII. */
static bool
is_utf16 (const unsigned char *p, size_t len)
{
  size_t high = STARTS ("\xff\xfe") ? 1 : 0;

  if (len < 8 || !(STARTS ("\xff\xfe") || STARTS ("\xfe\xff")))
    return false;
  for (size_t i = 2; i < 8; i += 2)
    if (p[i + high] != 0 || p[i + 1 - high] == 0)
      return false;
  return true;
}

static bool
text_kind (const unsigned char *p, size_t len, struct file_kind *ret)
{
  char text[FILE_KIND_HEAD + 1], *start = text, *at;

  if (is_utf16 (p, len))
    return kind (ret, "other", "text (UTF-16)");
  if (!is_text (p, len))
    return false;
  len = MIN (len, FILE_KIND_HEAD);
  memcpy (text, p, len);
  text[len] = '\0';
  if (STARTS ("\xef\xbb\xbf"))
    start += 3;
  start += strspn (start, " \t\r\n");
  for (size_t i = 0; i < ARRAY_SIZE (texts); i++) {
    at = strcasestr (start, texts[i].word);
    if (at && (!texts[i].first || at == start) &&
        (!texts[i].word2 || strcasestr (start, texts[i].word2))) {
      kind (ret, "other", "text: ");
      snprintf (ret->text + 6, sizeof ret->text - 6, "%s", texts[i].kind);
      return true;
    }
  }
  return kind (ret, "other", "text");
}

bool
file_kind (const unsigned char *p, size_t len, struct file_kind *ret)
{
  /* A tar starts with a file's name, which may look like anything. */
  return tar_kind (p, len, ret) || magic_kind (p, len, ret) ||
         gzip_kind (p, len, ret) || bzip2_kind (p, len, ret) ||
         lzma_kind (p, len, ret) || compress_kind (p, len, ret) ||
         binary_cpio_kind (p, len, ret) || skippable_kind (p, len, ret) ||
         pe_kind (p, len, ret) || text_kind (p, len, ret);
}
