/* xrayfs: check
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads the verdict from the tree, as anybody could: import/<policy>/.
 */
#include <dirent.h>
#include <getopt.h>
#include <inttypes.h>
#include <json.h>
#include <string.h>

#include "front/cli.h"
#include "policy/policy.h"

/* What is known of one image in the end. */
struct checked {
  const char *image;
  const struct policy *policy;
  int status;
  struct json_object *json; /* --json: owned */
};

struct check {
  const struct policy *policy;
  bool as_json;
  struct follow follow;
};

/* --- reading the tree ------------------------------------------------ */

static int
policy_path (const struct checked *r, const char *below, char *ret,
             size_t size)
{
  return snprintf (ret, size, "import/%s/%s", r->policy->name, below);
}

/* The text of import/<policy>/BELOW, or "" where there is none. */
static void
read_below (struct tree *t, const struct checked *r, const char *below,
            struct buf *ret)
{
  char path[640];
  struct err e = { 0 };

  policy_path (r, below, path, sizeof path);
  if (cli_read (t, path, ret, &e) == -1)
    buf_reset (ret); /* not every policy has every file */
}

/* Calls FN for each line, without its newline. */
static void
each_line (struct buf *text, void (*fn) (void *arg, const char *line),
           void *arg)
{
  char *save = NULL, *line;

  if (!text->len)
    return;
  for (line = strtok_r (text->data, "\n", &save); line;
       line = strtok_r (NULL, "\n", &save))
    fn (arg, line);
}

static void
say_unknown_policy (const char *name)
{
  CLEANUP_BUF struct buf known = { 0 };

  for (size_t i = 0; policies[i]; i++)
    buf_printf (&known, ", %s, %s", policies[i]->provider, policies[i]->name);
  say ("check: unknown policy '%s'; known are: default%s", name,
       buf_str (&known));
}

static int
verdict_status (const char *verdict)
{
  if (!strcmp (verdict, "pass"))
    return CLI_OK;
  return strcmp (verdict, "fail") ? CLI_UNDECIDED : CLI_NOT_THERE;
}

/* --- for people ------------------------------------------------------ */

static void
put_indented (void *arg unused_arg, const char *line)
{
  printf ("    %s\n", line);
}

struct told {
  struct tree *tree;
  const struct checked *result;
};

static void
put_code (void *arg, const char *code)
{
  CLEANUP_BUF struct buf reasons = { 0 };
  const struct told *told = arg;
  char below[300];

  printf ("  %s\n", code);
  snprintf (below, sizeof below, "reasons/%s", code);
  read_below (told->tree, told->result, below, &reasons);
  each_line (&reasons, put_indented, NULL);
}

static void
put_list (struct tree *t, const struct checked *r, const char *file,
          const char *title)
{
  CLEANUP_BUF struct buf text = { 0 };

  read_below (t, r, file, &text);
  if (text.len)
    printf ("  %s:\n", title);
  each_line (&text, put_indented, NULL);
}

/* The codes that fail; where nothing fails, those that are not decided. */
static void
put_undecided (struct tree *t, const struct checked *r)
{
  CLEANUP_LIST struct name_vec codes = { 0 };
  CLEANUP_BUF struct buf value = { 0 };
  struct told told = { t, r };
  struct node_attr dir;
  struct err e = { 0 };
  char path[640];

  policy_path (r, "codes", path, sizeof path);
  if (tree_walk (t, path, &dir, &e) == -1 ||
      cli_list (t, dir.id, &codes, &e) == -1)
    return;
  for (size_t i = 0; i < codes.len; i++) {
    snprintf (path, sizeof path, "codes/%s", codes.items[i].name);
    read_below (t, r, path, &value);
    if (!strcmp (buf_str (&value), "unknown\n"))
      put_code (&told, codes.items[i].name);
  }
}

static void
put_result (struct tree *t, const struct checked *r, const char *verdict)
{
  CLEANUP_BUF struct buf errors = { 0 };
  struct told told = { t, r };

  printf ("%s: %s (%s)\n", r->image, verdict, r->policy->name);
  read_below (t, r, "errors", &errors);
  each_line (&errors, put_code, &told);
  if (r->status == CLI_UNDECIDED)
    put_undecided (t, r);
  put_list (t, r, "warnings", "warnings");
  if (r->status != CLI_OK)
    put_list (t, r, "remedy", "remedy");
}

/* --- for programs ---------------------------------------------------- */

static void
add_string (void *arg, const char *line)
{
  json_object_array_add (arg, json_object_new_string (line));
}

static struct json_object *
lines_of (struct tree *t, const struct checked *r, const char *file)
{
  CLEANUP_BUF struct buf text = { 0 };
  struct json_object *array = json_object_new_array ();

  if (t)
    read_below (t, r, file, &text);
  each_line (&text, add_string, array);
  return array;
}

/* {"Code": "fail", ...} for a directory of one-line findings. */
static struct json_object *
files_of (struct tree *t, const struct checked *r, const char *directory)
{
  CLEANUP_LIST struct name_vec names = { 0 };
  CLEANUP_BUF struct buf text = { 0 };
  struct json_object *object = json_object_new_object ();
  struct node_attr dir;
  struct err e = { 0 };
  char path[640];

  policy_path (r, directory, path, sizeof path);
  if (tree_walk (t, path, &dir, &e) == -1 ||
      cli_list (t, dir.id, &names, &e) == -1)
    return object;
  for (size_t i = 0; i < names.len; i++) {
    snprintf (path, sizeof path, "%s/%s", directory, names.items[i].name);
    read_below (t, r, path, &text);
    if (text.len && text.data[text.len - 1] == '\n')
      text.data[--text.len] = '\0';
    json_object_object_add (object, names.items[i].name,
                            json_object_new_string (buf_str (&text)));
  }
  return object;
}

static void
add (struct json_object *to, const char *key, struct json_object *value)
{
  json_object_object_add (to, key, value);
}

static struct json_object *
json_head (const struct checked *r, const char *verdict)
{
  struct json_object *o = json_object_new_object ();

  add (o, "image", json_object_new_string (r->image));
  add (o, "policy", json_object_new_string (r->policy->name));
  add (o, "verdict", verdict ? json_object_new_string (verdict) : NULL);
  return o;
}

static struct json_object *
json_result (struct tree *t, const struct checked *r, const char *verdict)
{
  struct json_object *o = json_head (r, verdict);

  add (o, "errors", lines_of (t, r, "errors"));
  add (o, "codes", files_of (t, r, "codes"));
  add (o, "reasons", files_of (t, r, "reasons"));
  add (o, "warnings", lines_of (t, r, "warnings"));
  add (o, "remedy", lines_of (t, r, "remedy"));
  return o;
}

/* For an image that could not be opened there is no tree: all that is known
 * is that the provider could not read it either, and its code for that. */
static struct json_object *
json_unopened (const struct checked *r, const char *why)
{
  static const char *const verdicts[] = { NULL, "fail", "unknown", NULL };
  const char *verdict = verdicts[r->status];
  struct json_object *o = json_head (r, verdict);
  struct json_object *reasons = json_object_new_object ();
  struct json_object *codes = json_object_new_object ();
  struct json_object *errors = json_object_new_array ();

  if (r->status == CLI_NOT_THERE) {
    add_string (errors, r->policy->damaged);
    add (codes, r->policy->damaged, json_object_new_string ("fail"));
    add (reasons, r->policy->damaged, json_object_new_string (why));
  }
  add (o, "errors", errors);
  add (o, "codes", codes);
  add (o, "reasons", reasons);
  add (o, "warnings", json_object_new_array ());
  add (o, "remedy", json_object_new_array ());
  add (o, "problem", json_object_new_string (why));
  return o;
}

/* --- one image ------------------------------------------------------- */

static void
put_unopened (const struct checked *r, const char *why)
{
  if (r->status == CLI_BAD_USAGE)
    say ("%s: %s", r->image, why);
  else if (r->status == CLI_UNDECIDED)
    printf ("%s: unknown (%s)\n    %s\n", r->image, r->policy->name, why);
  else
    printf ("%s: fail (%s)\n  %s\n    The image is damaged: %s. Export or"
            " upload it again.\n",
            r->image, r->policy->name, r->policy->damaged, why);
}

static void
check_unopened (const struct check *c, struct checked *r, bool damaged,
                const struct err *e)
{
  if (e->code == ENOTSUP)
    r->status = CLI_UNDECIDED;
  else
    r->status = damaged ? CLI_NOT_THERE : CLI_BAD_USAGE;
  if (c->as_json)
    r->json = json_unopened (r, e->msg);
  if (!c->as_json || r->status == CLI_BAD_USAGE)
    put_unopened (r, e->msg);
}

static void
check_opened (const struct check *c, struct tree *t, struct checked *r)
{
  CLEANUP_BUF struct buf verdict = { 0 };

  read_below (t, r, "verdict", &verdict);
  if (verdict.len)
    verdict.data[strcspn (verdict.data, "\n")] = '\0';
  r->status = verdict_status (buf_str (&verdict));
  if (c->as_json)
    r->json = json_result (t, r, buf_str (&verdict));
  else
    put_result (t, r, buf_str (&verdict));
}

static void
check_image (const struct check *c, struct checked *r)
{
  CLEANUP_OPENED struct opened o = OPENED_INIT;
  struct err e = { 0 };
  bool damaged = false;

  if (cli_open (r->image, &c->follow, &o, &damaged, &e) == -1)
    check_unopened (c, r, damaged, &e);
  else
    check_opened (c, o.tree, r);
}

/* --- all ------------------------------------------------------------- */

/* The worst, in the order 3, 1, 2, 0. */
static int
worse (int a, int b)
{
  static const int rank[] = { 0, 2, 1, 3 };

  return rank[a] >= rank[b] ? a : b;
}

/* One image: an object; several: an array of them. */
static void
put_json (struct json_object *all, int images)
{
  struct json_object *what = all;

  if (images == 1 && json_object_array_length (all) == 1)
    what = json_object_array_get_idx (all, 0);
  puts (json_object_to_json_string_ext (
      what, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
}

static int
check_all (const struct check *c, int n, char **images)
{
  struct json_object *all = c->as_json ? json_object_new_array () : NULL;
  int status = CLI_OK;

  for (int i = 0; i < n; i++) {
    struct checked r = { .image = images[i], .policy = c->policy };

    check_image (c, &r);
    status = worse (status, r.status);
    if (r.json)
      json_object_array_add (all, r.json);
  }
  if (all && json_object_array_length (all) > 0)
    put_json (all, n);
  json_object_put (all);
  return status;
}

int
cli_check (int argc, char **argv)
{
  static const struct option options[] = {
    { "policy", required_argument, NULL, 'p' },
    { "json", no_argument, NULL, 'j' },
    { 0 },
  };
  const char *policy = "default";
  struct check c = { 0 };
  int opt;

  opterr = 0;
  while ((opt = getopt_long (argc, argv, "o:", options, NULL)) != -1) {
    if (opt == '?')
      return cli_usage (argv[0], "unknown option, or one without its value");
    if (opt == 'o' && cli_option (argv[0], optarg, &c.follow) == -1)
      return CLI_BAD_USAGE;
    if (opt == 'p')
      policy = optarg;
    c.as_json |= opt == 'j';
  }
  if (optind == argc)
    return cli_usage (argv[0], "takes IMAGE...");
  c.policy = policy_find (policy);
  if (!c.policy) {
    say_unknown_policy (policy);
    return CLI_BAD_USAGE;
  }
  return cli_finish (argv[0], check_all (&c, argc - optind, argv + optind));
}
