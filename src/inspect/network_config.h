/* xrayfs: how a Linux guest configures its network cards
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_INSPECT_NETWORK_CONFIG_H
#define XRAYFS_INSPECT_NETWORK_CONFIG_H

#include "inspect/image_priv.h"

/* One card, or a pattern of cards, in one configuration. */
struct card {
  char *name;   /* "eth0", or a pattern ("en*", "*"); never NULL */
  char *mac;    /* configured for a card with this address, or of this driver,
                   alone; or NULL */
  char *source; /* the file; of netplan the last that has something of it */
  char *id;     /* netplan's name of the definition, or NULL */
  bool started; /* at boot */
  bool dhcp4, static4, auto6, static6;
};
DEFINE_VEC (card_vec, struct card)

/* Adds what ifupdown, ifcfg files (Red Hat, SUSE), netplan, systemd-networkd
 * and NetworkManager are told of cards; not the loopback, bridges and the
 * like. */
int network_config_read (const struct vfs *v, struct card_vec *to,
                         struct err *e) must_check;
/* Adds what YAML file PATH has of cards, in netplan's form, under "network":
 * 1.  0: it has none in that form. */
int network_config_add_netplan (const struct vfs *v, const char *path,
                                struct card_vec *to,
                                struct err *e) must_check;
/* Calls FN for each file of OWN and LIB that ends with SUFFIX, in the order of
 * their names; one of OWN takes the place of one of LIB.  Non-zero stops, and
 * is returned. */
int each_layered_file (const struct vfs *v, const char *own, const char *lib,
                       const char *suffix,
                       int (*fn) (void *arg, const char *path, struct err *),
                       void *arg, struct err *e) must_check;

/* The value of KEY in [SECTION] of TEXT, to be freed; NULL: not set.  The
 * last one counts. */
char *ini_value (const char *text, const char *section, const char *key);
void network_config_free (struct card_vec *v);

/* Fills N, for a guest with these findings. */
int network_decide (const struct vfs *v, const struct boot *b,
                    const struct os *os, const struct cloud_init *c,
                    struct network *n, struct err *e) must_check;

#endif
