/* xrayfs: a read that fails never makes a false answer
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 *   test-fault-sweep [--only-nth] IMAGE...
 *
 * Every finding of each (small) image is learnt; then it is read again with
 * its nth read failing once, for every n, and with each kilobyte that was
 * read bad for good.  A finding then has the value it had, or is `unknown`
 * with a reason; a directory has the entries it had, or cannot be listed; a
 * list of codes or advice may lose lines and gains none.
 *
 * tests/unit/test-fault-sweep.sh makes the images.
 */
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/vec.h"
#include "block/cache.h"
#include "inspect/image.h"
#include "test.h"
#include "tree/tree.h"

#define AREA (1 * KiB)

struct entry {
  char *path;
  char *text; /* NULL: a directory */
};
DEFINE_VEC (entry_vec, struct entry)

static struct entry_vec known; /* what the image says when all goes well */
static unsigned violations;
static const char *image_name;
static char fault_name[64];

static void
violation (const char *path, const char *what, const char *got,
           const char *want)
{
  fprintf (stderr, "%s: %s: %s: %s: '%s', was '%s'\n", image_name, fault_name,
           path, what, got, want);
  violations++;
}

/* --- a disk with a bad area ------------------------------------------ */

/* Reads of [bad, bad + AREA) fail always; SEEN marks what was read. */
struct bad_disk {
  uint64_t bad;
  unsigned char *seen;
};

static int
bad_pread (struct block *b, void *buf, size_t len, uint64_t off,
           struct err *e)
{
  struct bad_disk *d = b->priv;

  if (d->seen)
    for (uint64_t i = off / AREA; i <= (off + len - 1) / AREA; i++)
      d->seen[i] = 1;
  if (off < d->bad + AREA && off + len > d->bad) {
    b->env->read_failed = true;
    return err_set (e, EIO, "injected: bad area at 0x%" PRIx64, d->bad);
  }
  return block_pread (b->below, buf, len, off, e);
}

static const struct block_ops bad_ops = { .name = "bad", .pread = bad_pread };

static struct block *
bad_open (struct block *below, struct bad_disk *d)
{
  struct err e = { 0 };
  struct block *b = block_new (below->env, &bad_ops, &e);

  CHECK (b);
  b->priv = d;
  b->below = below;
  b->owns_below = true;
  b->size = below->size;
  return b;
}

/* --- walking --------------------------------------------------------- */

struct walker {
  struct tree *tree;
  char path[512];
  size_t at; /* in known; while comparing */
  bool learn;
};

struct names {
  struct entry_vec list; /* text unused */
};

static int
take_name (void *arg, const char *name, size_t len, node_id id unused_arg,
           unsigned type unused_arg)
{
  struct names *n = arg;
  char *copy = strndup (name, len);

  CHECK (copy);
  CHECK (entry_vec_push (&n->list, (struct entry){ copy, NULL }) == 0);
  return 0;
}

/* What is large, changes, or says it again. */
static bool
is_left_out (const char *path)
{
  static const char *const
      names[] = { "evidence", "root",       "disk",        "problems",
                  "progress", "report.txt", "report.json", "image/bytes_read",
                  "README",   "qcow2_size" /* every byte */ };
  const char *last = strrchr (path, '/');

  for (size_t i = 0; i < ARRAY_SIZE (names); i++)
    if (!strcmp (path, names[i]))
      return true;
  return last && (!strcmp (last, "/files") || !strcmp (last, "/raw"));
}

static const struct entry *
find_known (const char *path)
{
  for (size_t i = 0; i < known.len; i++)
    if (!strcmp (known.items[i].path, path))
      return &known.items[i];
  return NULL;
}

static int
take_reason (void *arg, const char *name, const void *value, size_t len)
{
  if (!strcmp (name, "user.xrayfs.reason"))
    *(bool *) arg = len > 0 && *(const char *) value;
  return 0;
}

static bool
has_line (const char *text, const char *line, size_t len)
{
  for (const char *p = text; *p; p += strcspn (p, "\n"), p += *p == '\n')
    if (strcspn (p, "\n") == len && !memcmp (p, line, len))
      return true;
  return false;
}

/* Lists that tell of results: the results themselves are compared. */
static bool
is_prose (const char *path)
{
  return strstr (path, "/reasons/") || strstr (path, "/remedy");
}

/* A line of requirements says "ok", "fail" or "warning" only if it did. */
static void
compare_requirements (const char *path, const char *text, const char *want)
{
  for (const char *p = text; *p; p += strcspn (p, "\n"), p += *p == '\n') {
    size_t len = strcspn (p, "\n");
    char line[1024];
    snprintf (line, sizeof line, "%.*s", (int) len, p);
    if (!has_line (want, p, len) && !strstr (line, "\tunknown\t"))
      violation (path, "changed", line, want);
  }
}

static void
compare_lines (const char *path, const char *text, const char *want)
{
  for (const char *p = text; *p; p += strcspn (p, "\n"), p += *p == '\n')
    if (!has_line (want, p, strcspn (p, "\n")))
      violation (path, "a line too many", p, want);
}

static void
compare (struct walker *w, node_id id, const char *text)
{
  const struct entry *k = find_known (w->path);
  struct err e = { 0 };
  bool reason = false;

  if (!k || !k->text) {
    violation (w->path, "was not there", text, "");
    return;
  }
  if (!strcmp (text, k->text) || is_prose (w->path))
    return;
  if (strstr (w->path, "/requirements"))
    compare_requirements (w->path, text, k->text);
  else if (strstr (w->path, "/warnings") || strstr (w->path, "/errors"))
    compare_lines (w->path, text, k->text);
  else if (strcmp (text, "unknown\n"))
    violation (w->path, "false", text, k->text);
  else {
    CHECK_OK (tree_xattrs (w->tree, id, take_reason, &reason, &e));
    if (!reason)
      violation (w->path, "no reason", text, k->text);
  }
}

static void walk (struct walker *w, node_id dir);

static void
visit (struct walker *w, const struct node_attr *a)
{
  CLEANUP_BUF struct buf text = { 0 };
  struct err e = { 0 };

  if (S_ISDIR (a->mode)) {
    if (w->learn)
      CHECK (entry_vec_push (&known,
                             (struct entry){ strdup (w->path), NULL }) == 0);
    walk (w, a->id);
    return;
  }
  if (!a->finding)
    return;
  CHECK_OK (tree_read_finding (w->tree, a->id, &text, &e));
  if (w->learn)
    CHECK (entry_vec_push (&known,
                           (struct entry){ strdup (w->path),
                                           strdup (buf_str (&text)) }) == 0);
  else
    compare (w, a->id, buf_str (&text));
}

/* Is each known entry right below the directory listed? */
static void
compare_names (const struct walker *w, const struct names *n)
{
  size_t len = strlen (w->path);

  for (size_t i = 0; i < known.len; i++) {
    const char *p = known.items[i].path, *name = p + len + (len > 0);
    bool there = false;
    if (strncmp (p, w->path, len) || (len && p[len] != '/') ||
        strchr (name, '/'))
      continue;
    for (size_t k = 0; k < n->list.len; k++)
      there = there || !strcmp (n->list.items[k].path, name);
    if (!there)
      violation (p, "is not listed", "", "there");
  }
}

static void
walk (struct walker *w, node_id dir)
{
  struct names n = { 0 };
  struct node_attr a;
  struct err e = { 0 };
  size_t len = strlen (w->path);

  if (tree_readdir (w->tree, dir, take_name, &n, &e) == -1) {
    /* The kernels of a system that is not known are not either. */
    if (!e.msg[0] || e.code == ENOENT)
      violation (w->path, "no error for a listing", e.msg, "");
  } else if (!w->learn)
    compare_names (w, &n);
  for (size_t i = 0; i < n.list.len; i++) {
    const char *name = n.list.items[i].path;
    snprintf (w->path + len, sizeof w->path - len, "%s%s", len ? "/" : "",
              name);
    if (!is_left_out (w->path)) {
      CHECK_OK (tree_lookup (w->tree, dir, name, strlen (name), &a, &e));
      visit (w, &a);
    }
    w->path[len] = '\0';
    free (n.list.items[i].path);
  }
  free (n.list.items);
}

/* --- runs ------------------------------------------------------------ */

/* Reads all findings of the image in DATA.  NTH: the read that fails once;
 * DISK, if not NULL: its bad area. */
static uint64_t
run (const char *data, size_t size, uint64_t nth, struct bad_disk *disk,
     bool learn)
{
  struct block_env env = { .dir_fd = -1, .cache = cache_new (16 * MiB) };
  struct walker w = { .learn = learn };
  struct image *img;
  struct block *b;
  struct err e = { 0 };
  _Atomic uint64_t count = 0;

  CHECK (env.cache);
  CHECK_OK (block_mem_open (&env, data, size, &b, &e));
  if (disk)
    b = bad_open (b, disk);
  CHECK_OK (block_fault_open (b, nth, &count, &b, &e));
  if (image_open_block (b, &env, "disk.img", &img, &e) == -1) {
    CHECK (!learn);
  } else {
    CHECK_OK (tree_new (img, &w.tree, &e));
    walk (&w, NODE_ROOT);
    tree_free (w.tree);
    image_close (img);
  }
  cache_free (env.cache);
  return count;
}

static void
forget (void)
{
  for (size_t i = 0; i < known.len; i++) {
    free (known.items[i].path);
    free (known.items[i].text);
  }
  free (known.items);
  known = (struct entry_vec){ 0 };
}

static void
sweep (const char *data, size_t size, bool only_nth)
{
  size_t n_areas = size / AREA + 1, bad = 0;
  unsigned char *seen = calloc (n_areas, 1);
  struct bad_disk disk = { UINT64_MAX - AREA, seen };
  uint64_t reads, nth;

  CHECK (seen);
  reads = run (data, size, UINT64_MAX, &disk, true);
  CHECK (reads > 10);
  disk.seen = NULL;
  for (nth = 0; nth < reads; nth++) {
    snprintf (fault_name, sizeof fault_name, "read %" PRIu64, nth);
    run (data, size, nth, NULL, false);
  }
  for (size_t i = 0; i < n_areas && !only_nth; i++) {
    if (!seen[i])
      continue;
    disk.bad = i * AREA;
    snprintf (fault_name, sizeof fault_name, "bad area 0x%" PRIx64, disk.bad);
    run (data, size, UINT64_MAX, &disk, false);
    bad++;
  }
  printf ("%s: %zu entries, %" PRIu64 " reads, %zu bad areas\n", image_name,
          known.len, reads, bad);
  free (seen);
  forget ();
}

static void
sweep_file (const char *path, bool only_nth)
{
  CLEANUP_FCLOSE FILE *fp = fopen (path, "re");
  CLEANUP_FREE char *data = NULL;
  struct stat st;

  CHECK (fp && fstat (fileno (fp), &st) == 0);
  data = malloc ((size_t) st.st_size);
  CHECK (data);
  CHECK (fread (data, 1, (size_t) st.st_size, fp) == (size_t) st.st_size);
  image_name = strrchr (path, '/') ? strrchr (path, '/') + 1 : path;
  sweep (data, (size_t) st.st_size, only_nth);
}

int
main (int argc, char **argv)
{
  bool only_nth = argc > 1 && !strcmp (argv[1], "--only-nth");

  if (argc < 2 + only_nth) {
    fprintf (stderr, "usage: test-fault-sweep [--only-nth] IMAGE...\n");
    return 77;
  }
  for (int i = 1 + only_nth; i < argc; i++)
    sweep_file (argv[i], only_nth);
  return violations != 0;
}
