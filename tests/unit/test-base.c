/* xrayfs: texts, errors and checks
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <gnu/libc-version.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/library.h"
#include "test.h"

/* Of the C library: one that is there, and one that is not. */
int none_such (void);
#define GOOD_FUNCTIONS(F)    F (gnu, get_libc_version)
#define LACKING_FUNCTIONS(F) F (gnu, get_libc_version) F (none, such)
LIBRARY (good, "libc.so.6", GOOD_FUNCTIONS);
LIBRARY (lacking, "libc.so.6", LACKING_FUNCTIONS);
LIBRARY (missing, "libnone-such.so.1", GOOD_FUNCTIONS);

static void
errors_name_places_and_keep_the_cause (void)
{
  struct err e = { 0 };

  CHECK (err_set (&e, EIO, "cluster %d\n\x1b is bad", 7) == -1);
  CHECK_STR (e.msg, "cluster 7?? is bad");
  err_in (&e, "partition %d", 2);
  CHECK_STR (e.msg, "partition 2: cluster 7?? is bad");
  for (int i = 0; i < 200; i++)
    err_in (&e, "backing file '%d'", i);
  CHECK (strlen (e.msg) < sizeof e.msg);
  CHECK (strstr (e.msg, "is bad"));
  CHECK (strstr (e.msg, "backing file '199'") == e.msg);
  CHECK (e.code == EIO);
}

static void
errors_of_the_system_say_what_it_said (void)
{
  struct err e = { 0 };

  err_sys (&e, ENOENT, "disk.img");
  CHECK_STR (e.msg, "disk.img: No such file or directory");
  CHECK (err_is_absent (&e) && !err_is_transient (&e));
  err_set (&e, ENOMEM, "out of memory");
  CHECK (err_is_transient (&e) && !err_is_absent (&e));
}

static void
buffers_grow_and_clean (void)
{
  struct buf b = { 0 };
  struct err e = { 0 };

  CHECK_STR (buf_str (&b), "");
  for (int i = 0; i < 100000; i++)
    buf_printf (&b, "%d\n", i % 10);
  CHECK (b.len == 200000 && b.cap < 600000);
  buf_reset (&b);
  buf_add_line_text (&b, "a\nb\0c", 5);
  CHECK_STR (buf_str (&b), "a?b?c");
  CHECK (buf_check (&b, &e) == 0);
  CHECK (!buf_reserve (&b, SIZE_MAX));
  CHECK (buf_check (&b, &e) == -1 && e.code == ENOMEM);
  buf_free (&b);
}

static void
ranges_do_not_overflow (void)
{
  CHECK (range_within (0, 10, 10));
  CHECK (!range_within (1, 10, 10));
  CHECK (!range_within (UINT64_MAX, 2, 10));
  CHECK (!range_within (2, UINT64_MAX, 10));
  CHECK (range_within (10, 0, 10));
  CHECK (is_zero ("\0\0\0", 3) && !is_zero ("\0\0x", 3) && is_zero ("x", 0));
  CHECK (div_up (UINT64_MAX, 2) == UINT64_MAX / 2 + 1);
}

static void
libraries_are_loaded_or_named (void)
{
  struct err e = { 0 };

  for (int i = 0; i < 2; i++)
    CHECK (library_load (&good_library, &e) == 0);
  CHECK_STR (good.get_libc_version (), gnu_get_libc_version ());
  for (int i = 0; i < 2; i++) {
    CHECK (library_load (&missing_library, &e) == -1 && e.code == ENOTSUP);
    CHECK (strstr (e.msg, "libnone-such.so.1: ") == e.msg);
  }
  CHECK (library_load (&lacking_library, &e) == -1 && e.code == ENOTSUP);
  CHECK_STR (e.msg, "libc.so.6 has no none_such");
}

int
main (void)
{
  errors_name_places_and_keep_the_cause ();
  errors_of_the_system_say_what_it_said ();
  buffers_grow_and_clean ();
  ranges_do_not_overflow ();
  libraries_are_loaded_or_named ();
  return 0;
}
