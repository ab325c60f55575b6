/* xrayfs: the orders of boot loaders' entries
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Without arguments the tables.  With "systemd A B", "rpm A B" or "grub A B"
 * it prints <, = or >, for a comparison with the programs themselves.
 */
#include "inspect/versions.h"

#include "test.h"

struct row {
  const char *a, *b;
  char is;
};

/* UAPI.10's examples, but those with '~' at an end, on which the program
 * differs from the text; and systemd's own list, each older than the next. */
static const struct row of_systemd[] = {
  { "11", "11", '=' },
  { "systemd-123", "systemd-123", '=' },
  { "bar-123", "foo-123", '<' },
  { "123a", "123", '>' },
  { "123.a", "123", '>' },
  { "123.a", "123.b", '<' },
  { "123a", "123.a", '>' },
  { "11\xce\xb1", "11\xce\xb2", '=' },
  { "A", "a", '<' },
  { "", "0", '<' },
  { "0.", "0", '>' },
  { "0.0", "0", '>' },
  { "0", "~", '>' },
  { "", "~", '>' },
  { "1_", "1", '=' },
  { "_1", "1", '=' },
  { "1_", "1.2", '<' },
  { "1_2_3", "1.3.3", '>' },
  { "1+", "1", '=' },
  { "+1", "1", '=' },
  { "1+", "1.2", '<' },
  { "1+2+3", "1.3.3", '>' },
  { "122.1", "123~rc1-1", '<' },
  { "123~rc1-1", "123", '<' },
  { "123", "123-a", '<' },
  { "123-a", "123-a.1", '<' },
  { "123-a.1", "123-1", '<' },
  { "123-1", "123-1.1", '<' },
  { "123-1.1", "123^post1", '<' },
  { "123^post1", "123.a-1", '<' },
  { "123.a-1", "123.1-1", '<' },
  { "123.1-1", "123a-1", '<' },
  { "123a-1", "124-1", '<' },
  { "00123", "123", '=' },
  { "5.9", "5.10", '<' },
  { "6.1.0-9-amd64.conf", "6.1.0-10-amd64.conf", '<' },
  { "a-5.conf", "a-5-1.conf", '>' },
  { "99999999999999999999999", "99999999999999999999998", '>' },
};

/* rpm's own examples (its tests of rpmvercmp), and '+', which is GRUB's. */
static const struct row of_rpm[] = {
  { "1.0", "1.0", '=' },
  { "1.0", "2.0", '<' },
  { "2.0.1", "2.0.1a", '<' },
  { "5.5p1", "5.5p2", '<' },
  { "5.5p10", "5.5p1", '>' },
  { "10xyz", "10.1xyz", '<' },
  { "xyz10", "xyz10.1", '<' },
  { "xyz.4", "8", '<' },
  { "xyz.4", "2", '<' },
  { "5.5p2", "5.6p1", '<' },
  { "5.6p1", "6.5p1", '<' },
  { "6.0.rc1", "6.0", '>' },
  { "10b2", "10a1", '>' },
  { "7.4.052", "7.4.52", '=' },
  { "1.0aa", "1.0a", '>' },
  { "10.0001", "10.0039", '<' },
  { "4.999.9", "5.0", '<' },
  { "20101121", "20101122", '<' },
  { "2_0", "2.0", '=' },
  { "a", "a+", '<' },
  { "1.0~rc1", "1.0", '<' },
  { "1.0~rc1", "1.0~rc2", '<' },
  { "1.0~rc1~git123", "1.0~rc1", '<' },
  { "80.el8.x86_64", "80.el8.x86_64+debug", '<' },
  { "", "", '=' },
};

#define MID  "0123456789abcdef0123456789abcdef-"
#define MID2 "1123456789abcdef0123456789abcdef-"
static const struct row of_grub[] = {
  { MID "4.18.0-80.el8.x86_64", MID "4.18.0-147.el8.x86_64", '<' },
  { MID "4.18.0-553.8.1.el8.x86_64", MID "4.18.0-553.16.1.el8.x86_64", '<' },
  { MID "0-rescue", MID "4.18.0-80.el8.x86_64", '<' },
  { MID "5.14.0-1.el9.x86_64", MID2 "4.18.0-1.el8.x86_64", '<' },
  /* Digits that stand together are one number. */
  { "9a23456789abcdef-5.1-1", "10a3456789abcdef-4.1-1", '<' },
  { "a123456789abcdef-5.1-1", "1123456789abcdef-4.1-1", '<' },
  { "ostree-1-fedora-coreos", "ostree-2-fedora-coreos", '<' },
  { "ostree-9", "ostree-10", '<' },
  { "single", "single-1", '<' },
  { MID "6.8.5-301.fc40.x86_64", MID "6.10.3-200.fc40.x86_64", '<' },
  /* strverscmp has it the other way. */
  { "m-5.0-1.fc30", "m-5.0.1-1.fc30", '<' },
  { "m-5.0-09", "m-5.0-1", '>' },
};

static char
is (int r)
{
  return r < 0 ? '<' : r > 0 ? '>' : '=';
}

static void
check (const struct row *rows, size_t n,
       int (*fn) (const char *, const char *))
{
  for (size_t i = 0; i < n; i++) {
    char got = is (fn (rows[i].a, rows[i].b)),
         back = is (fn (rows[i].b, rows[i].a));
    char other = rows[i].is == '=' ? '=' : rows[i].is == '<' ? '>' : '<';
    if (got == rows[i].is && back == other)
      continue;
    fprintf (stderr, "%s, %s: %c and %c, not %c\n", rows[i].a, rows[i].b, got,
             back, rows[i].is);
    exit (1);
  }
}

int
main (int argc, char **argv)
{
  if (argc == 4) {
    printf ("%c\n",
            is ((*argv[1] == 's'   ? systemd_version_compare
                 : *argv[1] == 'r' ? rpm_version_compare
                                   : grub_entry_compare) (argv[2], argv[3])));
    return 0;
  }
  check (of_systemd, sizeof of_systemd / sizeof *of_systemd,
         systemd_version_compare);
  check (of_rpm, sizeof of_rpm / sizeof *of_rpm, rpm_version_compare);
  check (of_grub, sizeof of_grub / sizeof *of_grub, grub_entry_compare);
  return 0;
}
