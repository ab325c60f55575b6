/* xrayfs: the top of the tree, and image/
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>

#include "tree/node.h"

/* --- image/ ---------------------------------------------------------- */

#define SHOW_INFO(function, expression)                                      \
  static int function (struct node *n, struct finding *f, struct err *e)     \
  {                                                                          \
    const struct block_info *i = image_info (node_image (n), e);             \
    return i ? expression : -1;                                              \
  }
SHOW_INFO (show_subformat, show_text (f, i->subformat))
SHOW_INFO (show_version, show_text (f, i->version))
SHOW_INFO (show_cluster_size, show_number (f, i->cluster_size))
SHOW_INFO (show_compression, show_text (f, i->compression))
SHOW_INFO (show_encrypted, show_text (f, i->encrypted ? i->encrypted : "no"))
SHOW_INFO (show_backing_file, show_text (f, i->backing_file))
SHOW_INFO (show_backing_format, show_text (f, i->backing_format))
SHOW_INFO (show_backing_chain, show_lines (f, buf_str (&i->backing_chain)))
SHOW_INFO (show_data_file, show_text (f, i->data_file))
SHOW_INFO (show_extent_files, show_lines (f, buf_str (&i->extent_files)))
SHOW_INFO (show_features, show_lines (f, buf_str (&i->features)))
SHOW_INFO (show_creator, show_text (f, i->creator))

static int
show_snapshots (struct node *n, struct finding *f, struct err *e)
{
  const struct block_info *i = image_info (node_image (n), e);

  if (!i)
    return -1;
  if (i->snapshots_err.code) {
    *e = i->snapshots_err;
    return -1;
  }
  return show_lines (f, buf_str (&i->snapshots));
}

static int
show_allocated (struct node *n, struct finding *f, struct err *e)
{
  const struct allocation *a = image_allocation (node_image (n), e);

  return a ? show_number (f, a->allocated) : -1;
}

static int
show_bytes_read (struct node *n, struct finding *f, struct err *e unused_arg)
{
  return show_number (f, image_disk (node_image (n))->env->bytes_read);
}

enum image_row {
  ROW_SUBFORMAT,
  ROW_VERSION,
  ROW_CLUSTER_SIZE,
  ROW_COMPRESSION,
  ROW_ENCRYPTED,
  ROW_BACKING_FILE,
  ROW_BACKING_FORMAT,
  ROW_BACKING_CHAIN,
  ROW_DATA_FILE,
  ROW_EXTENT_FILES,
  ROW_SNAPSHOTS,
  ROW_FEATURES,
  ROW_CREATOR,
  ROW_ALLOCATED,
  ROW_BYTES_READ
};

const struct node_def image_rows[] = {
  [ROW_SUBFORMAT] = TEXT_ROW ("subformat", show_subformat,
                              "variant of the container format"),
  [ROW_VERSION] =
      TEXT_ROW ("version", show_version, "version of the container format"),
  [ROW_CLUSTER_SIZE] = NUMBER_ROW ("cluster_size", show_cluster_size,
                                   "bytes of the unit of allocation"),
  [ROW_COMPRESSION] =
      TEXT_ROW ("compression", show_compression,
                "what compressed clusters are compressed with"),
  [ROW_ENCRYPTED] = TEXT_ROW ("encrypted", show_encrypted,
                              "no, or the encryption: aes, luks"),
  [ROW_BACKING_FILE] = TEXT_ROW ("backing_file", show_backing_file,
                                 "backing file as the image names it"),
  [ROW_BACKING_FORMAT] = TEXT_ROW ("backing_format", show_backing_format,
                                   "format of the backing file"),
  [ROW_BACKING_CHAIN] =
      LIST_ROW ("backing_chain", show_backing_chain,
                "the backing files, resolved, the nearest first"),
  [ROW_DATA_FILE] = TEXT_ROW ("data_file", show_data_file,
                              "external data file as the image names it"),
  [ROW_EXTENT_FILES] = LIST_ROW ("extent_files", show_extent_files,
                                 "the files that hold the data"),
  [ROW_SNAPSHOTS] =
      LIST_ROW ("snapshots", show_snapshots,
                "internal snapshots: id, name, size, date; tab-separated"),
  [ROW_FEATURES] =
      LIST_ROW ("features", show_features, "feature words of the container"),
  [ROW_CREATOR] = TEXT_ROW ("creator", show_creator,
                            "the program that wrote the container"),
  [ROW_ALLOCATED] =
      NUMBER_ROW ("allocated", show_allocated,
                  "bytes of guest data present in the container"),
  [ROW_BYTES_READ] = { .name = "bytes_read",
                       .type = NODE_FINDING,
                       .kind = VALUE_NUMBER,
                       .show = show_bytes_read,
                       .is_volatile = true,
                       .not_reported = true,
                       .help = "bytes read from the image so far" },
  END_ROWS,
};

/* A file that has no meaning for the format is not there. */
int
list_image_rows (struct node *n, struct err *e)
{
  const struct block_info *i = image_info (node_image (n), e);

  if (!i)
    return -1;
  const bool there[] = {
    [ROW_SUBFORMAT] = i->subformat,
    [ROW_VERSION] = i->version,
    [ROW_CLUSTER_SIZE] = i->cluster_size != BLOCK_NONE,
    [ROW_COMPRESSION] = i->compression,
    [ROW_ENCRYPTED] = i->has_encryption,
    [ROW_BACKING_FILE] = i->has_backing,
    [ROW_BACKING_FORMAT] = i->has_backing,
    [ROW_BACKING_CHAIN] = i->has_backing,
    [ROW_DATA_FILE] = i->has_data_file,
    [ROW_EXTENT_FILES] = i->extent_files.len,
    [ROW_SNAPSHOTS] = i->has_snapshots,
    [ROW_FEATURES] = i->has_features,
    [ROW_CREATOR] = i->creator,
    [ROW_ALLOCATED] = true,
    [ROW_BYTES_READ] = true,
  };
  for (size_t k = 0; k < ARRAY_SIZE (there); k++)
    if (there[k] &&
        node_add (n, image_rows[k].name, &image_rows[k], 0, e) == -1)
      return -1;
  return 0;
}

/* --- the top --------------------------------------------------------- */

static int
show_readme (struct node *n unused_arg, struct finding *f,
             struct err *e unused_arg)
{
  return show_lines (
      f,
      "This directory shows what is inside a disk image, read-only.\n"
      "Each file holds one finding; it is computed when it is opened.\n"
      "Before that its size reads 0, as in /proc: use cat, not test -s.\n"
      "Start with: format, has_virtio, cloud_init, os/name.\n"
      "Would the cloud take it?  import/default/verdict, errors, reasons/.\n"
      "unknown means: could not look; why is in evidence/<same path>.\n"
      "partitions/N/files/ and root/ hold the guest's own files.\n"
      "disk is the whole virtual disk; partitions/N/raw one partition.\n"
      "report.txt tells everything, report.json the same for programs.\n"
      "All of it is documented in xrayfs(5).\n");
}

static int
show_format (struct node *n, struct finding *f, struct err *e unused_arg)
{
  return show_text (f, image_format (node_image (n)));
}

static int
show_contents (struct node *n, struct finding *f, struct err *e)
{
  const struct fact *c = image_contents (node_image (n), e);

  return c ? show_fact (f, c, e) : -1;
}

static int
show_safety (struct node *n, struct finding *f, struct err *e)
{
  const struct fact *s = image_safety (node_image (n), e);

  return s ? show_fact_lines (f, s, e) : -1;
}

static int
show_virtual_size (struct node *n, struct finding *f,
                   struct err *e unused_arg)
{
  return show_number (f, image_disk (node_image (n))->size);
}

static int
show_file_size (struct node *n, struct finding *f, struct err *e)
{
  uint64_t length, allocated;

  if (image_usage (node_image (n), &length, &allocated, e) == -1)
    return -1;
  return show_number (f, length);
}

static int
show_disk_size (struct node *n, struct finding *f, struct err *e)
{
  uint64_t length, allocated;

  if (image_usage (node_image (n), &length, &allocated, e) == -1)
    return -1;
  return show_number (f, allocated);
}

static int
show_qcow2_size_bound (struct node *n, struct finding *f, struct err *e)
{
  const struct allocation *a = image_allocation (node_image (n), e);

  return a ? show_number (f, a->qcow2_size_bound) : -1;
}

static int
show_qcow2_size (struct node *n, struct finding *f, struct err *e)
{
  uint64_t size;

  if (image_qcow2_size (node_image (n), &size, e) == -1)
    return -1;
  return show_number (f, size);
}

/* It reads all data: only where the bound leaves a policy in doubt, or where
 * it was read already. */
static bool
is_qcow2_size_wanted (struct node *n)
{
  struct image *img = node_image (n);
  const struct allocation *a;
  struct err e = { 0 };

  if (image_qcow2_size_ready (img))
    return true;
  /* Without the bound there is no exact one: the bound says why. */
  a = image_allocation (img, &e);
  for (size_t i = 0; a && policies[i]; i++)
    if (policies[i]->qcow2_limit &&
        a->qcow2_size_bound > policies[i]->qcow2_limit)
      return true;
  return false;
}

static int
show_partition_table (struct node *n, struct finding *f, struct err *e)
{
  const struct partition_table *t = image_table (node_image (n), e);

  if (!t)
    return -1;
  buf_printf (&f->evidence, "disk: %u-byte sectors\n", t->sector_size);
  buf_add (&f->evidence, buf_str (&t->notes), t->notes.len);
  return show_text (f, t->type);
}

static int
show_problems (struct node *n, struct finding *f, struct err *e unused_arg)
{
  image_problems (node_image (n), &f->text);
  return 0;
}

struct progress {
  struct buf *text;
};

static void
progress_line (void *arg, const char *name, uint64_t done, uint64_t total)
{
  struct progress *p = arg;
  char start[300];

  /* The node and the fact that it waits for have one name: one line. */
  snprintf (start, sizeof start, "%s ", name);
  if (strstr (buf_str (p->text), start))
    return;
  buf_printf (p->text, "%s%" PRIu64 " %" PRIu64 "\n", start, done, total);
}

static int
show_progress (struct node *n, struct finding *f, struct err *e unused_arg)
{
  struct progress p = { &f->text };

  lazy_each_running (image_running (node_image (n)), progress_line, &p);
  return 0;
}

static int
show_source (struct node *n, struct finding *f, struct err *e unused_arg)
{
  return show_text (f, image_path (node_image (n)));
}

const struct node_def tree_top[] = {
  { .name = "README",
    .type = NODE_FINDING,
    .kind = VALUE_LIST,
    .show = show_readme,
    .not_reported = true,
    .help = "how to read this directory, in ten lines" },
  TEXT_ROW ("format", show_format,
            "the container alone: raw, qcow2, ...; an ISO or a zip is raw"),
  TEXT_ROW ("contents", show_contents,
            "what lies in it: disk, filesystem, installer, archive,"
            " compressed, other or empty; the kind in evidence/contents"),
  NUMBER_ROW ("virtual_size", show_virtual_size, "bytes the guest sees"),
  NUMBER_ROW ("file_size", show_file_size, "bytes of the image file"),
  NUMBER_ROW ("disk_size", show_disk_size,
              "bytes allocated on the host (qemu-img info's disk size)"),
  { .name = "qcow2_size",
    .type = NODE_FINDING,
    .kind = VALUE_NUMBER,
    .show = show_qcow2_size,
    .is_wanted = is_qcow2_size_wanted,
    .help = "bytes of the file that qemu-img convert -O qcow2 makes of it:"
            " exact, reads all data; in reports and exports only where the"
            " bound is over a policy's limit, or it was read before" },
  NUMBER_ROW ("qcow2_size_bound", show_qcow2_size_bound,
              "what qemu-img measure -O qcow2 says for this file: from the"
              " allocation alone"),
  COMPUTED_ROW ("image", list_image_rows, image_rows,
                "what the container format says of itself"),
  TEXT_ROW ("partition_table", show_partition_table,
            "dos, gpt, none (a bare filesystem), unpartitioned (nothing"
            " recognised) or libblkid's name for another kind"),
  COMPUTED_ROW ("partitions", list_partitions, partition_dirs,
                "one directory per partition, named by its number; a"
                " filesystem on the bare disk is whole, and so is an ISO 9660"
                " image besides its partition table"),
  COMPUTED_ROW ("volumes", list_volumes, volume_dirs,
                "one directory per logical volume, named as in /dev/mapper"
                " (hyphens inside names doubled), and per md array, named"
                " md-NAME"),
  DIR_ROW ("os", os_rows, "the guest operating system"),
  TEXT_ROW ("has_virtio", show_has_virtio,
            "yes, no or unknown: would the guest find a virtio-blk root disk"
            " and a virtio-net card at its next boot"),
  DIR_ROW ("virtio", virtio_rows,
           "one file per driver: builtin, initramfs, module, missing or"
           " unknown, for the default kernel"),
  TEXT_ROW ("cloud_init", show_cloud_init,
            "yes, no or unknown: would cloud-init run at first boot"),
  DIR_ROW ("cloud_init_info", cloud_init_rows, "what is known of cloud-init"),
  { .name = "root",
    .type = NODE_GUEST,
    .not_reported = true,
    .help = "the guest's own file tree: its root filesystem with its fstab"
            " composed in; empty without an operating system" },
  COMPUTED_ROW ("import", list_policies, policy_dirs,
                "verdicts, one directory per policy"),
  { .name = "integrity",
    .type = NODE_DIR,
    .children = integrity_rows,
    .list = list_integrity,
    .below = integrity_volume_rows,
    .help = "damage" },
  LIST_ROW ("safety", show_safety,
            "safe, or the reasons not to hand this image to qemu unexamined:"
            " outside references, unknown features, two formats at once; by"
            " the rules of OpenStack's format inspector"),
  { .name = "evidence",
    .type = NODE_DIR,
    .list = list_evidence,
    .not_reported = true,
    .help = "mirrors the findings: what was looked at, where, and what was"
            " there" },
  { .name = "problems",
    .type = NODE_FINDING,
    .kind = VALUE_LIST,
    .show = show_problems,
    .is_volatile = true,
    .not_reported = true,
    .help = "every problem met so far, one a line: path: reason" },
  { .name = "progress",
    .type = NODE_FINDING,
    .kind = VALUE_LIST,
    .show = show_progress,
    .is_volatile = true,
    .not_reported = true,
    .help = "findings being computed now, one a line: path done total, in"
            " bytes; empty when idle" },
  { .name = "report.txt",
    .type = NODE_FINDING,
    .kind = VALUE_LIST,
    .show = show_report_text,
    .not_reported = true,
    .help = "everything, for people" },
  { .name = "report.json",
    .type = NODE_FINDING,
    .kind = VALUE_LIST,
    .show = show_report_json,
    .not_reported = true,
    .help = "everything, for programs" },
  { .name = "disk",
    .type = NODE_BYTES,
    .not_reported = true,
    .help = "the virtual disk, raw: sparse, seekable with SEEK_HOLE" },
  TEXT_ROW ("source", show_source, "the path of the image"),
  END_ROWS,
};
