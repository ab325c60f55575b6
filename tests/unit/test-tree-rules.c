/* xrayfs: the rules of the tree hold for every file of an image
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 *   test-tree-rules IMAGE
 *
 * Walks everything, twice, then with many threads at once; in a fresh tree
 * first by threads.  The rules are those that docs of the tree give for every
 * file.  tests/unit/test-tree-rules.sh makes the image.
 */
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/vec.h"
#include "block/cache.h"
#include "inspect/image.h"
#include "test.h"
#include "tree/tree.h"

#define MAX_PATH  4096
#define N_THREADS 16

/* One entry met: links that are hard have one id and several paths. */
struct met {
  node_id id;
  char *path;
  bool dir, hard;
};
DEFINE_VEC (met_vec, struct met)
DEFINE_VEC (name_vec, char *)

static struct tree *tree;
static bool root_is_there;

struct walker {
  char path[MAX_PATH];
  bool check; /* the rules; else only read everything */
  struct met_vec met;
  unsigned findings, links, unknowns;
};

#define RULE(cond)                                                           \
  do {                                                                       \
    if (!(cond)) {                                                           \
      fprintf (stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, w->path,       \
               #cond);                                                       \
      exit (1);                                                              \
    }                                                                        \
  } while (0)

static bool
is_guests (const struct walker *w)
{
  return !strncmp (w->path, "root/", 5) || strstr (w->path, "/files/");
}

/* --- findings -------------------------------------------------------- */

static const char *const lists[] = {
  "README",        "problems",     "progress",
  "os/packages",   "network/interfaces",
  "report.txt",    "report.json",  "os/fstab",
  "os/others",     "os/conflicts", "network/connections",
  "backing_chain", "extent_files", "snapshots",
  "features",      "datasources",  "config_files",
  "errors",        "warnings",     "remedy",
  "requirements"
};
static const char *const numbers[] = {
  "virtual_size", "file_size", "disk_size",  "qcow2_size", "qcow2_size_bound",
  "cluster_size", "allocated", "bytes_read", "start",      "size",
  "fs_size",      "fs_used",   "fs_free"
};

static bool
ends_with (const char *path, const char *name)
{
  size_t p = strlen (path), n = strlen (name);

  return p >= n && !strcmp (path + p - n, name) &&
         (p == n || path[p - n - 1] == '/');
}

static bool
is_list (const char *path)
{
  if (!strncmp (path, "evidence/", 9) || strstr (path, "/reasons/"))
    return true;
  for (size_t i = 0; i < ARRAY_SIZE (lists); i++)
    if (ends_with (path, lists[i]))
      return true;
  return false;
}

static void
check_text (struct walker *w, const struct buf *text)
{
  const char *s = buf_str (text);
  size_t lines = 0;

  RULE (strlen (s) == text->len);
  for (const char *p = s; *p; p++) {
    lines += *p == '\n';
    RULE (*p == '\n' || ((unsigned char) *p >= 0x20 && *p != 0x7f) ||
          (*p == '\t' && is_list (w->path)));
  }
  RULE (text->len == 0 || s[text->len - 1] == '\n');
  RULE (is_list (w->path) || lines == 1);
  for (size_t i = 0; i < ARRAY_SIZE (numbers); i++)
    if (ends_with (w->path, numbers[i]) &&
        strncmp (w->path, "evidence/", 9) && strcmp (s, "unknown\n") &&
        strcmp (s, "\n"))
      RULE (strspn (s, "0123456789") == text->len - 1 &&
            (s[0] != '0' || text->len == 2));
}

struct reason {
  char text[600];
};

static int
take_reason (void *arg, const char *name, const void *value, size_t len)
{
  struct reason *r = arg;

  if (!strcmp (name, "user.xrayfs.reason"))
    snprintf (r->text, sizeof r->text, "%.*s", (int) len,
              (const char *) value);
  return 0;
}

static void
read_path (const char *path, struct buf *ret)
{
  struct node_attr a;
  struct err e = { 0 };

  CHECK_OK (tree_walk (tree, path, &a, &e));
  CHECK_OK (tree_read_finding (tree, a.id, ret, &e));
}

/* An unknown says why, in three places. */
static void
check_unknown (struct walker *w, node_id id)
{
  CLEANUP_BUF struct buf evidence = { 0 }, problems = { 0 };
  struct reason r = { "" };
  struct err e = { 0 };
  char line[MAX_PATH + 700];

  CHECK_OK (tree_xattrs (tree, id, take_reason, &r, &e));
  RULE (r.text[0]);
  snprintf (line, sizeof line, "evidence/%s", w->path);
  read_path (line, &evidence);
  RULE (strstr (buf_str (&evidence), r.text));
  read_path ("problems", &problems);
  snprintf (line, sizeof line, "%s: %s\n", w->path, r.text);
  RULE (strstr (buf_str (&problems), line));
  w->unknowns++;
}

static void
visit_finding (struct walker *w, const struct node_attr *a)
{
  CLEANUP_BUF struct buf text = { 0 };
  struct node_attr after;
  struct err e = { 0 };
  bool changes = ends_with (w->path, "problems") ||
                 ends_with (w->path, "progress") ||
                 ends_with (w->path, "bytes_read");

  CHECK_OK (tree_read_finding (tree, a->id, &text, &e));
  if (!w->check)
    return;
  check_text (w, &text);
  CHECK_OK (tree_getattr (tree, a->id, &after, &e));
  RULE (after.size == (changes ? 0 : text.len));
  RULE (a->size == 0 || a->size == after.size);
  RULE (S_ISREG (a->mode) && !(a->mode & 0222) && a->own);
  if (!strcmp (buf_str (&text), "unknown\n") &&
      strncmp (w->path, "evidence/", 9) && !is_list (w->path))
    check_unknown (w, a->id);
  w->findings++;
}

/* --- links of root/ -------------------------------------------------- */

/* Where TARGET leads from directory DIR (a path of the tree), as the host's
 * kernel would go: every ".." counts, links are followed. */
static int
resolve (const char *dir, const char *target, unsigned depth, char *ret)
{
  char rest[2 * MAX_PATH], name[300];
  struct node_attr a;
  struct err e = { 0 };
  size_t len;

  snprintf (ret, MAX_PATH, "%s", dir);
  snprintf (rest, sizeof rest, "%s", target);
  if (target[0] == '/' || depth > 40)
    return -1;
  for (char *p = rest + strspn (rest, "/"); *p; p += strspn (p, "/")) {
    len = strcspn (p, "/");
    snprintf (name, sizeof name, "%.*s", (int) MIN (len, 299), p);
    p += len;
    if (!strcmp (name, "."))
      continue;
    if (!strcmp (name, "..")) {
      if (!strchr (ret, '/'))
        return -2; /* out of root/ */
      *strrchr (ret, '/') = '\0';
      continue;
    }
    if (tree_walk (tree, ret, &a, &e) == -1 ||
        tree_lookup (tree, a.id, name, strlen (name), &a, &e) == -1)
      return -1; /* leads nowhere, inside */
    if (S_ISLNK (a.mode)) {
      CLEANUP_BUF struct buf to = { 0 };
      char here[MAX_PATH];
      int r;
      if (tree_readlink (tree, a.id, &to, &e) == -1)
        return -1;
      snprintf (here, sizeof here, "%s", ret);
      r = resolve (here, buf_str (&to), depth + 1, ret);
      if (r < 0)
        return r;
      continue;
    }
    if (strlen (ret) + len + 2 > MAX_PATH)
      return -1;
    strcat (ret, "/");
    strcat (ret, name);
  }
  return 0;
}

/* The guest itself would end at the same file. */
static void
check_link (struct walker *w, const struct buf *target)
{
  char dir[MAX_PATH], to[MAX_PATH];
  const struct guest *g;
  struct vfs_node want;
  struct fs_stat st;
  struct node_attr a;
  struct err e = { 0 };
  int r, there;

  RULE (buf_str (target)[0] && buf_str (target)[0] != '/');
  snprintf (dir, sizeof dir, "%s", w->path);
  *strrchr (dir, '/') = '\0';
  r = resolve (dir, buf_str (target), 0, to);
  RULE (r != -2);
  g = image_guest (tree_image (tree), &e);
  RULE (g && g->root);
  there = vfs_walk (&g->vfs, w->path + 4, 0, &want, &e) == 0;
  RULE (there == (r == 0));
  if (!there)
    return;
  CHECK_OK (fs_stat (vfs_fs (&g->vfs, want), want.ino, &st, &e));
  CHECK_OK (tree_walk (tree, to, &a, &e));
  if (strcmp (to, "root"))
    RULE ((a.id & ((UINT64_C (1) << FS_INO_BITS) - 1)) == st.ino &&
          a.mode == st.mode);
  w->links++;
}

/* --- the walk -------------------------------------------------------- */

static int
take_name (void *arg, const char *name, size_t len, node_id id unused_arg,
           unsigned type unused_arg)
{
  char *copy = strndup (name, len);

  CHECK (copy && name_vec_push (arg, copy) == 0);
  return 0;
}

static void
check_name (struct walker *w, const char *name)
{
  RULE (*name && !strchr (name, '/') && strcmp (name, ".") &&
        strcmp (name, ".."));
  for (const char *p = name; *p && !is_guests (w); p++)
    RULE ((unsigned char) *p >= 0x20 && *p != 0x7f);
}

static void
read_bytes (struct walker *w, const struct node_attr *a)
{
  static const uint64_t chunk = 64 * KiB;
  CLEANUP_FREE char *buf = malloc (chunk);
  uint64_t off = 0;
  struct err e = { 0 };
  size_t got;

  CHECK (buf);
  for (; off < a->size; off += got) {
    CHECK_OK (tree_pread (tree, a->id, buf, chunk, off, &got, &e));
    RULE (got == MIN (chunk, a->size - off));
  }
  CHECK_OK (tree_pread (tree, a->id, buf, chunk, a->size, &got, &e));
  RULE (got == 0);
}

static void walk (struct walker *w, node_id dir);

static void
visit (struct walker *w, const struct node_attr *a)
{
  CLEANUP_BUF struct buf target = { 0 };
  struct err e = { 0 };

  if (w->check)
    CHECK (met_vec_push (&w->met, (struct met){ a->id, strdup (w->path),
                                                S_ISDIR (a->mode),
                                                !a->own && a->nlink > 1 }) ==
           0);
  if (S_ISDIR (a->mode))
    walk (w, a->id);
  else if (S_ISLNK (a->mode)) {
    RULE (tree_readlink (tree, a->id, &target, &e) == 0);
    if (w->check && !strncmp (w->path, "root/", 5))
      check_link (w, &target);
  } else if (a->finding)
    visit_finding (w, a);
  else if (S_ISREG (a->mode))
    read_bytes (w, a);
}

static void
walk (struct walker *w, node_id dir)
{
  struct name_vec names = { 0 };
  size_t len = strlen (w->path);
  struct node_attr a;
  struct err e = { 0 };

  CHECK_OK (tree_readdir (tree, dir, take_name, &names, &e));
  for (size_t i = 0; i < names.len; i++) {
    snprintf (w->path + len, sizeof w->path - len, "%s%s", len ? "/" : "",
              names.items[i]);
    if (w->check)
      check_name (w, names.items[i]);
    CHECK_OK (tree_lookup (tree, dir, names.items[i], strlen (names.items[i]),
                           &a, &e));
    visit (w, &a);
    w->path[len] = '\0';
    free (names.items[i]);
  }
  free (names.items);
}

/* --- ids ------------------------------------------------------------- */

static int
by_id (const void *a, const void *b)
{
  const struct met *x = a, *y = b;

  return x->id < y->id ? -1 : x->id > y->id ? 1 : strcmp (x->path, y->path);
}

static size_t
view_of (const char *path)
{
  const char *files = strstr (path, "/files/");

  return files ? (size_t) (files - path) : strcspn (path, "/");
}

static void
check_ids (struct walker *w)
{
  struct met *m = w->met.items;

  qsort (m, w->met.len, sizeof *m, by_id);
  for (size_t i = 1; i < w->met.len; i++) {
    if (m[i].id != m[i - 1].id)
      continue;
    snprintf (w->path, sizeof w->path, "%.2000s and %.2000s", m[i - 1].path,
              m[i].path);
    RULE (!m[i].dir && m[i].hard && m[i - 1].hard);
    RULE (view_of (m[i].path) == view_of (m[i - 1].path));
  }
}

static void
forget (struct walker *w)
{
  for (size_t i = 0; i < w->met.len; i++)
    free (w->met.items[i].path);
  free (w->met.items);
}

static void
check_stable (struct walker *w, const struct walker *again)
{
  RULE (w->met.len == again->met.len);
  for (size_t i = 0; i < w->met.len; i++) {
    snprintf (w->path, sizeof w->path, "%.2000s", w->met.items[i].path);
    RULE (w->met.items[i].id == again->met.items[i].id &&
          !strcmp (w->met.items[i].path, again->met.items[i].path));
  }
}

/* --- what has no size before it is read ------------------------------ */

static void
check_unread (void)
{
  static const char *const paths[] = { "has_virtio", "partition_table",
                                       "os/arch", "report.json",
                                       "import/default/verdict" };
  struct node_attr a;
  struct err e = { 0 };

  for (size_t i = 0; i < ARRAY_SIZE (paths); i++) {
    CHECK_OK (tree_walk (tree, paths[i], &a, &e));
    CHECK (a.finding && a.size == 0);
  }
}

static void *
walk_thread (void *arg unused_arg)
{
  struct walker w = { .check = false };

  walk (&w, NODE_ROOT);
  return NULL;
}

static void
walk_by_threads (void)
{
  pthread_t threads[N_THREADS];

  for (size_t i = 0; i < N_THREADS; i++)
    CHECK (pthread_create (&threads[i], NULL, walk_thread, NULL) == 0);
  for (size_t i = 0; i < N_THREADS; i++)
    pthread_join (threads[i], NULL);
}

/* A walk that keeps nothing does not grow memory. */
static size_t
walk_and_measure (void)
{
  walk_thread (NULL);
  return mallinfo2 ().uordblks;
}

static struct image *
open_image (const char *path)
{
  struct image_source s = { .fd = open (path, O_RDONLY | O_CLOEXEC),
                            .dir_fd = -1,
                            .path = path };
  struct image *img;
  struct err e = { 0 };

  CHECK (s.fd >= 0);
  CHECK_OK (image_open (&s, &img, NULL, &e));
  CHECK_OK (tree_new (img, &tree, &e));
  return img;
}

static void
check_alone (const char *path)
{
  struct walker first = { .check = true }, second = { .check = true };
  struct image *img = open_image (path);
  size_t before, after;
  struct err e = { 0 };

  check_unread ();
  walk (&first, NODE_ROOT);
  walk (&second, NODE_ROOT);
  check_ids (&first);
  check_ids (&second);
  check_stable (&first, &second);
  root_is_there = image_guest (img, &e) && image_guest (img, &e)->root;
  CHECK (!root_is_there || first.links > 5);
  printf ("%zu entries, %u findings, %u unknown, %u links followed\n",
          first.met.len, first.findings, first.unknowns, first.links);
  forget (&first);
  forget (&second);
  /* What a walk leaves, every walk leaves; a cache may still settle. */
  before = walk_and_measure ();
  for (int i = 0; i < 4; i++) {
    after = walk_and_measure ();
    if (after <= before)
      break;
    fprintf (stderr, "a walk leaves %zu bytes\n", after - before);
    CHECK (i < 3);
    before = after;
  }
  tree_free (tree);
  image_close (img);
}

int
main (int argc, char **argv)
{
  struct image *img;

  if (argc < 2) {
    fprintf (stderr, "usage: test-tree-rules IMAGE...\n");
    return 77;
  }
  for (int i = 1; i < argc; i++) {
    check_alone (argv[i]);
    img = open_image (argv[i]);
    walk_by_threads ();
    tree_free (tree);
    image_close (img);
  }
  return 0;
}
