/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/library.h"

#include <dlfcn.h>
#include <string.h>

/* As POSIX wants it of dlsym: a pointer to an object is as large as one to a
 * function. */
_Static_assert(sizeof (void *) == sizeof (void (*) (void)), "pointers");

static int
find_functions (struct library *l, void *handle, struct err *e)
{
  void *function;

  for (size_t i = 0; i < l->n; i++) {
    function = dlsym (handle, l->names[i]);
    if (!function)
      return err_set (e, ENOTSUP, "%s has no %s", l->soname, l->names[i]);
    memcpy ((char *) l->functions + i * sizeof function, &function,
            sizeof function);
  }
  return 0;
}

int
library_load (struct library *l, struct err *e)
{
  void *handle;

  LOCK_SCOPE (&l->lock);
  if (l->loaded)
    return 0;
  handle = dlopen (l->soname, RTLD_LAZY | RTLD_LOCAL);
  if (!handle)
    return err_set (e, ENOTSUP, "%s", dlerror ());
  if (find_functions (l, handle, e) == -1) {
    dlclose (handle);
    return -1;
  }
  l->loaded = true;
  return 0;
}
