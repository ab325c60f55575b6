/* xrayfs: arrays that grow
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 *   DEFINE_VEC (part_vec, struct part)
 *   struct part_vec v = { 0 };
 *   if (part_vec_push (&v, (struct part){ ... }) == -1) ... out of memory
 *   for (size_t i = 0; i < v.len; i++) use (&v.items[i]);
 *   free (v.items);
 */
#ifndef XRAYFS_BASE_VEC_H
#define XRAYFS_BASE_VEC_H

#include <stddef.h>
#include <stdlib.h>

#define DEFINE_VEC(name, type)                                               \
  struct name {                                                              \
    type *items;                                                             \
    size_t len, cap;                                                         \
  };                                                                         \
  __attribute__ ((                                                           \
      unused,                                                                \
      warn_unused_result)) static inline int name##_push (struct name *v,    \
                                                          type item)         \
  {                                                                          \
    if (v->len == v->cap) {                                                  \
      size_t cap = v->cap ? v->cap * 2 : 8;                                  \
      type *items = reallocarray (v->items, cap, sizeof (type));             \
      if (!items)                                                            \
        return -1;                                                           \
      v->items = items;                                                      \
      v->cap = cap;                                                          \
    }                                                                        \
    v->items[v->len++] = item;                                               \
    return 0;                                                                \
  }

#endif
