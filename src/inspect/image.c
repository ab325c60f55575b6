/* xrayfs: an image and its compute-once cells
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "inspect/image.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "block/cache.h"
#include "inspect/image_priv.h"

/* Tables, decompressed clusters and filesystem metadata of one image. */
#define CACHE_BUDGET (64 * MiB)
#define MAX_PROBLEMS 1000

static void
init_cells (struct image *img)
{
  struct lazy_registry *r = &img->running;

  lazy_registry_init (r);
  lazy_init (&img->info_cell, "image", r);
  lazy_init (&img->allocation_cell, "qcow2_size_bound", r);
  lazy_init (&img->integrity_cell, "integrity/image", r);
  lazy_init (&img->qcow2_size_cell, "qcow2_size", r);
  lazy_init (&img->contents_cell, "contents", r);
  lazy_init (&img->safety_cell, "safety", r);
  lazy_init (&img->table_cell, "partition_table", r);
  lazy_init (&img->volumes_cell, "volumes", r);
  lazy_init (&img->volume_integrity_cell, NULL, NULL);
  lazy_init (&img->guest_cell, "os/family", r);
  lazy_init (&img->os_cell, "os", r);
  lazy_init (&img->boot_cell, "os/default_kernel", r);
  lazy_init (&img->cloud_init_cell, "cloud_init", r);
  lazy_init (&img->cloud_init_package_cell, "cloud_init_info/installed_as",
             r);
  lazy_init (&img->obstacles_cell, "os/obstacles", r);
  lazy_init (&img->packages_cell, "os/packages", r);
  lazy_init (&img->natives_cell, "os/kernels", r);
  lazy_init (&img->network_cell, "os/network", r);
  lazy_init (&img->default_virtio.cell, "has_virtio", r);
  img->default_virtio.image = img;
  img->default_virtio.kernel = SIZE_MAX;
  pthread_mutex_init (&img->problems_lock, NULL);
}

static void
destroy_cells (struct image *img)
{
  lazy_destroy (&img->info_cell);
  lazy_destroy (&img->allocation_cell);
  lazy_destroy (&img->integrity_cell);
  lazy_destroy (&img->qcow2_size_cell);
  lazy_destroy (&img->contents_cell);
  lazy_destroy (&img->safety_cell);
  lazy_destroy (&img->table_cell);
  lazy_destroy (&img->volumes_cell);
  lazy_destroy (&img->volume_integrity_cell);
  lazy_destroy (&img->guest_cell);
  lazy_destroy (&img->os_cell);
  lazy_destroy (&img->boot_cell);
  lazy_destroy (&img->cloud_init_cell);
  lazy_destroy (&img->cloud_init_package_cell);
  lazy_destroy (&img->obstacles_cell);
  lazy_destroy (&img->packages_cell);
  lazy_destroy (&img->natives_cell);
  lazy_destroy (&img->network_cell);
  lazy_destroy (&img->default_virtio.cell);
  lazy_registry_destroy (&img->running);
  pthread_mutex_destroy (&img->problems_lock);
}

static void
free_virtio_of_kernels (struct image *img)
{
  for (size_t i = 0; img->virtio && i < img->boot.n_kernels; i++) {
    lazy_destroy (&img->virtio[i].cell);
    virtio_free (&img->virtio[i].virtio);
  }
  free (img->virtio);
  virtio_free (&img->default_virtio.virtio);
}

/* Facts first, then what they were read from. */
void
image_close (struct image *img)
{
  if (!img)
    return;
  free_virtio_of_kernels (img);
  obstacles_free (&img->obstacles);
  fact_free (&img->packages);
  natives_free (&img->natives);
  network_free (&img->network);
  cloud_init_free (&img->cloud_init);
  fact_free (&img->cloud_init_package);
  boot_free (&img->boot);
  os_free (&img->os);
  guest_free (&img->guest);
  integrity_free (img);
  logical_free (img);
  layout_free (img);
  fact_free (&img->contents);
  fact_free (&img->safety);
  block_info_free (&img->info);
  block_close (img->disk);
  cache_free (img->env.cache);
  if (img->env.dir_fd >= 0)
    close (img->env.dir_fd);
  for (size_t i = 0; i < img->env.n_follow; i++) {
    close (img->env.follow[i].fd);
    free (img->env.follow[i].path);
  }
  for (size_t i = 0; i < img->problems.len; i++)
    free (img->problems.items[i]);
  free (img->problems.items);
  destroy_cells (img);
  free (img->dir_path);
  free (img->path);
  free (img);
}

static void
cleanup_image (struct image **img)
{
  image_close (*img);
}
#define CLEANUP_IMAGE __attribute__ ((cleanup (cleanup_image)))

static struct image *
image_new (const char *path, const char *dir_path, struct err *e)
{
  struct image *img = calloc (1, sizeof *img);

  if (!img) {
    err_set (e, ENOMEM, "out of memory");
    return NULL;
  }
  init_cells (img);
  img->env.dir_fd = -1;
  img->path = strdup (path);
  img->dir_path = dir_path ? strdup (dir_path) : NULL;
  img->env.dir_path = img->dir_path;
  img->env.cache = cache_new (CACHE_BUDGET);
  if (!img->path || (dir_path && !img->dir_path) || !img->env.cache) {
    err_set (e, ENOMEM, "out of memory");
    image_close (img);
    return NULL;
  }
  return img;
}

static const char *
base_name (const char *path)
{
  const char *slash = strrchr (path, '/');

  return slash ? slash + 1 : path;
}

static int
take_follow (struct image *img, struct image_source *source, struct err *e)
{
  struct block_env *env = &img->env;
  char *path;

  while (source->n_follow > 0) {
    path = strdup (source->follow[--source->n_follow].path);
    if (!path)
      return err_set (e, ENOMEM, "out of memory");
    env->follow[env->n_follow++] =
        (struct block_dir){ steal_fd (&source->follow[source->n_follow].fd),
                            path };
  }
  return 0;
}

int
image_open (struct image_source *source, struct image **ret,
            bool *ret_damaged, struct err *e)
{
  CLEANUP_CLOSE int fd = steal_fd (&source->fd);
  CLEANUP_CLOSE int dir_fd = steal_fd (&source->dir_fd);
  CLEANUP_IMAGE struct image *img =
      image_new (source->path, source->dir_path, e);

  if (ret_damaged)
    *ret_damaged = false;
  if (!img)
    return -1;
  img->env.dir_fd = steal_fd (&dir_fd);
  if (take_follow (img, source, e) == -1)
    return -1;
  if (block_file_open (&img->env, steal_fd (&fd), base_name (source->path),
                       &img->file, e) == -1)
    return -1;
  if (block_format_open (img->file, NULL, &img->disk, e) == -1) {
    if (ret_damaged)
      *ret_damaged = !err_is_transient (e) && e->code != ENOTSUP &&
                     !img->env.read_failed;
    return -1;
  }
  *ret = steal_ptr (&img);
  return 0;
}

int
image_open_block (struct block *transport, struct block_env *env,
                  const char *path, struct image **ret, struct err *e)
{
  CLEANUP_BLOCK struct block *file = transport;
  CLEANUP_IMAGE struct image *img = image_new (path, NULL, e);

  if (!img)
    return -1;
  /* The transport was made before the image: it shares the image's cache
   * through its own environment. */
  if (!env->cache)
    env->cache = steal_ptr (&img->env.cache);
  img->file = file;
  if (block_format_open (steal_ptr (&file), NULL, &img->disk, e) == -1)
    return -1;
  *ret = steal_ptr (&img);
  return 0;
}

void
image_cancel (struct image *img)
{
  img->disk->env->cancelled = true;
}

const char *
image_path (const struct image *img)
{
  return img->path;
}

const char *
image_format (const struct image *img)
{
  return img->disk->ops->name;
}

struct block *
image_disk (const struct image *img)
{
  return img->disk;
}

struct block *
image_file (const struct image *img)
{
  return img->file;
}

struct lazy_registry *
image_running (struct image *img)
{
  return &img->running;
}

/* --- cells ----------------------------------------------------------- */

static int
info_compute (void *arg, struct err *e)
{
  struct image *img = arg;

  return block_info (img->disk, &img->info, e);
}

#define DEFINE_FACT(function, type, member, compute)                         \
  const type *function (struct image *img, struct err *e)                    \
  {                                                                          \
    return lazy_get (&img->member##_cell, compute, img, e) == 0              \
               ? &img->member                                                \
               : NULL;                                                       \
  }
DEFINE_FACT (image_info, struct block_info, info, info_compute)
DEFINE_FACT (image_allocation, struct allocation, allocation,
             allocation_compute)
DEFINE_FACT (image_integrity, struct integrity, integrity, integrity_compute)
DEFINE_FACT (image_contents, struct fact, contents, contents_compute)
DEFINE_FACT (image_safety, struct fact, safety, safety_compute)
DEFINE_FACT (image_guest, struct guest, guest, guest_compute)
DEFINE_FACT (image_os, struct os, os, os_compute)
DEFINE_FACT (image_boot, struct boot, boot, boot_compute)
DEFINE_FACT (image_cloud_init, struct cloud_init, cloud_init,
             cloud_init_compute)
DEFINE_FACT (image_cloud_init_package, struct fact, cloud_init_package,
             cloud_init_package_compute)
DEFINE_FACT (image_obstacles, struct obstacles, obstacles, obstacles_compute)
DEFINE_FACT (image_packages, struct fact, packages, packages_compute)
DEFINE_FACT (image_network, struct network, network, network_compute)

int
image_qcow2_size (struct image *img, uint64_t *ret, struct err *e)
{
  if (lazy_get (&img->qcow2_size_cell, qcow2_size_compute, img, e) == -1)
    return -1;
  *ret = img->qcow2_size;
  return 0;
}

bool
image_qcow2_size_ready (struct image *img)
{
  return lazy_ready (&img->qcow2_size_cell);
}

bool
image_guest_ready (struct image *img)
{
  return lazy_ready (&img->guest_cell);
}

int
image_usage (struct image *img, uint64_t *ret_length, uint64_t *ret_allocated,
             struct err *e)
{
  return block_usage (img->disk, ret_length, ret_allocated, e);
}

static const struct virtio *
get_virtio (struct kernel_virtio *k, struct err *e)
{
  return lazy_get (&k->cell, virtio_compute, k, e) == 0 ? &k->virtio : NULL;
}

/* The default kernel's, or that of kernel number KERNEL: the same cell where
 * it is the same kernel, so that an initramfs is read once. */
const struct virtio *
image_virtio (struct image *img, struct err *e)
{
  const struct boot *b = image_boot (img, e);

  if (!b)
    return NULL;
  return get_virtio (&img->default_virtio, e);
}

const struct virtio *
image_kernel_virtio (struct image *img, size_t kernel, struct err *e)
{
  const struct boot *b = image_boot (img, e);

  if (!b)
    return NULL;
  if (kernel >= b->n_kernels) {
    err_set (e, ENOENT, "no such kernel");
    return NULL;
  }
  if (b->chosen == &b->kernels[kernel])
    return get_virtio (&img->default_virtio, e);
  return get_virtio (&img->virtio[kernel], e);
}

const struct fact *
image_kernel_native (struct image *img, size_t kernel, struct err *e)
{
  if (lazy_get (&img->natives_cell, natives_compute, img, e) == -1)
    return NULL;
  if (kernel >= img->natives.n) {
    err_set (e, ENOENT, "no such kernel");
    return NULL;
  }
  return &img->natives.items[kernel];
}

/* --- problems -------------------------------------------------------- */

void
image_problem (struct image *img, const char *path, const char *reason)
{
  char *line;

  if (asprintf (&line, "%s: %s", path, reason) == -1)
    return; /* out of memory: the finding itself still says it */
  LOCK_SCOPE (&img->problems_lock);
  for (size_t i = 0; i < img->problems.len; i++)
    if (!strcmp (img->problems.items[i], line)) {
      free (line);
      return;
    }
  if (img->problems.len >= MAX_PROBLEMS ||
      text_vec_push (&img->problems, line) == -1)
    free (line);
}

void
image_problems (struct image *img, struct buf *ret)
{
  LOCK_SCOPE (&img->problems_lock);
  for (size_t i = 0; i < img->problems.len; i++) {
    buf_add_line_text (ret, img->problems.items[i],
                       strlen (img->problems.items[i]));
    buf_puts (ret, "\n");
  }
}
