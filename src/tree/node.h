/* xrayfs: rows of the tree
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The namespace is tables of `struct node_def`, as Linux has them in
 * fs/proc/base.c: a row has a name, what kind of thing it is, how to show
 * it, and a sentence of help from which xrayfs(5) is made.
 */
#ifndef XRAYFS_TREE_NODE_H
#define XRAYFS_TREE_NODE_H

#include "base/lazy.h"
#include "base/vec.h"
#include "inspect/image.h"
#include "policy/policy.h"
#include "tree/tree.h"

struct node;

/* What a finding reads, and why. */
struct finding {
  struct buf text; /* whole lines */
  struct buf evidence;
  char *reason; /* of an unknown one; NULL otherwise */
};

enum node_type {
  NODE_DIR,
  NODE_FINDING,
  NODE_LINK,  /* xrayfs's own symbolic link */
  NODE_BYTES, /* disk, raw */
  NODE_GUEST  /* files/, root/: the guest's own tree lies below */
};

enum value_kind { VALUE_TEXT, VALUE_NUMBER, VALUE_LIST };

struct node_def {
  const char *name; /* NULL ends a table; "<x>" stands for computed names */
  enum node_type type;
  enum value_kind kind;            /* NODE_FINDING: for report.json */
  const struct node_def *children; /* NODE_DIR: fixed rows */
  int (*list) (struct node *, struct err *); /* computed rows: node_add */
  const struct node_def *below; /* what LIST adds, for the manual */
  int (*show) (struct node *, struct finding *, struct err *);
  bool is_volatile;  /* evaluated at each open */
  bool not_reported; /* left out of reports and evidence/ */
  /* NULL: always.  Is it worth its cost to a report or an export? */
  bool (*is_wanted) (struct node *);
  const char *help;
};

#define DIR_ROW(n, rows, ...)                                                \
  {                                                                          \
    .name = n, .type = NODE_DIR, .children = rows, .help = __VA_ARGS__       \
  }
#define COMPUTED_ROW(n, list_fn, rows, ...)                                  \
  {                                                                          \
    .name = n, .type = NODE_DIR, .list = list_fn, .below = rows,             \
    .help = __VA_ARGS__                                                      \
  }
#define TEXT_ROW(n, show_fn, ...)                                            \
  {                                                                          \
    .name = n, .type = NODE_FINDING, .show = show_fn, .help = __VA_ARGS__    \
  }
#define NUMBER_ROW(n, show_fn, ...)                                          \
  {                                                                          \
    .name = n, .type = NODE_FINDING, .kind = VALUE_NUMBER, .show = show_fn,  \
    .help = __VA_ARGS__                                                      \
  }
#define LIST_ROW(n, show_fn, ...)                                            \
  {                                                                          \
    .name = n, .type = NODE_FINDING, .kind = VALUE_LIST, .show = show_fn,    \
    .help = __VA_ARGS__                                                      \
  }
#define END_ROWS                                                             \
  {                                                                          \
    .name = NULL                                                             \
  }

DEFINE_VEC (node_vec, struct node *)

struct node {
  node_id id;
  const struct node_def *def;
  struct tree *tree;
  struct node *parent;
  char *name;
  char *path;         /* "partitions/1/size" */
  size_t index;       /* of the partition, kernel, policy; inherited */
  struct node *twin;  /* in evidence/: the node that it mirrors */
  const char *target; /* NODE_LINK */
  struct lazy expanded;
  struct node_vec children;
  struct lazy cell;
  struct finding value;
};

/* A node of root/ whose id cannot tell what it needs: a link whose target
 * needs the directory that it lies in, and what lies very deep. */
struct odd_node {
  unsigned mount, depth;
  uint64_t dir, ino;
};
DEFINE_VEC (odd_node_vec, struct odd_node)

struct policy_cell {
  struct lazy cell;
  struct tree *tree;
  const struct policy *policy;
  struct policy_result result;
};

struct tree {
  struct image *image;
  pthread_mutex_t lock;  /* over nodes and odd_nodes */
  struct node_vec nodes; /* id - 1 */
  struct odd_node_vec odd_nodes;
  struct policy_cell *policy_cells; /* one per policy */
  size_t n_policies;
};

extern const struct node_def tree_top[];

/* --- for rows -------------------------------------------------------- */

struct image *node_image (const struct node *n);
/* The volume whose directory N is in. */
struct volume *node_volume (const struct node *n, struct err *e);

/* Adds a computed row below N, which is being expanded.  NAME is cleaned so
 * that it can be a name.  INDEX is what the rows below it are about. */
int node_add (struct node *n, const char *name, const struct node_def *def,
              size_t index, struct err *e) must_check;
int node_add_link (struct node *n, const char *name, const char *target,
                   const struct node_def *def, struct err *e) must_check;

/* Renderers end with one of these.  NULL is an absent value. */
int show_text (struct finding *f, const char *text);
int show_number (struct finding *f, uint64_t number);
int show_yes_no (struct finding *f, bool yes);
int show_lines (struct finding *f, const char *lines);
int show_fact (struct finding *f, const struct fact *fact, struct err *e);
/* A fact whose value is lines. */
int show_fact_lines (struct finding *f, const struct fact *fact,
                     struct err *e);

/* --- for tree.c ------------------------------------------------------ */

/* A node in T's list, which frees it.  PARENT is NULL at the top only. */
struct node *node_new (struct tree *t, struct node *parent, const char *name,
                       const struct node_def *def, size_t index,
                       struct err *e);
void node_free (struct node *n);
void finding_free (struct finding *f);
/* Of those that node_expand made; NULL. */
struct node *node_child (const struct node *n, const char *name, size_t len);

/* --- for the report -------------------------------------------------- */

/* Makes the children of a directory; they stay. */
int node_expand (struct node *n, struct err *e) must_check;
/* The is_wanted of N's row, or of the row that N of evidence/ mirrors. */
bool node_is_wanted (struct node *n);
/* The finding's value; fails only transiently. */
const struct finding *node_evaluate (struct node *n, struct err *e);
struct node *tree_node (struct tree *t, const char *path, struct err *e);

/* --- guest views (guest_view.c) -------------------------------------- */

bool guest_is_id (node_id id);
bool guest_root_ready (const struct node *n);
int guest_root_attr (struct node *n, struct node_attr *ret, struct err *e);
int guest_lookup (struct tree *t, node_id dir, const char *name, size_t len,
                  struct node_attr *ret, struct err *e);
int guest_getattr (struct tree *t, node_id id, struct node_attr *ret,
                   struct err *e);
int guest_readdir (struct tree *t, node_id dir, tree_dirent_fn fn, void *arg,
                   struct err *e);
int guest_readlink (struct tree *t, node_id id, struct buf *ret,
                    struct err *e);
int guest_xattrs (struct tree *t, node_id id, tree_xattr_fn fn, void *arg,
                  struct err *e);
int guest_pread (struct tree *t, node_id id, void *buf, size_t len,
                 uint64_t off, size_t *ret, struct err *e);
int guest_map (struct tree *t, node_id id, uint64_t off, uint64_t len,
               struct extent *ret, struct err *e);
/* The id below which N's own entries lie: N is files/ or root/.  0: there is
 * nothing (no filesystem, no operating system). */
int guest_id_of (struct node *n, node_id *ret, struct err *e);

/* --- tables of other files ------------------------------------------- */

int list_image_rows (struct node *n, struct err *e);
int list_partitions (struct node *n, struct err *e);
int list_volumes (struct node *n, struct err *e);
int list_integrity (struct node *n, struct err *e);
int list_policies (struct node *n, struct err *e);
int list_evidence (struct node *n, struct err *e);
extern const struct node_def os_rows[], virtio_rows[], cloud_init_rows[];
extern const struct node_def integrity_rows[], integrity_volume_rows[];
extern const struct node_def image_rows[], partition_dirs[], volume_dirs[],
    policy_dirs[];
int show_has_virtio (struct node *n, struct finding *f, struct err *e);
int show_cloud_init (struct node *n, struct finding *f, struct err *e);
int show_report_text (struct node *n, struct finding *f, struct err *e);
int show_report_json (struct node *n, struct finding *f, struct err *e);

#endif
