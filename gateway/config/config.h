/* Making what a generation is made of: for the readers of the route file alone. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "config/snapshot.h"

/* Empty, with one reference. */
struct config *config_new(void);
struct config *config_ref(struct config *config);
void config_unref(struct config *config);
/* Takes the reference; before any host. */
void config_add_backend(struct config *config, struct upstream_spec *upstream);
/* Takes the reference. */
void config_add_host(struct config *config, struct host *host);

/* Without TLS and with one reference. Takes the config's. */
struct snapshot *snapshot_new(struct config *config);
/* Another one that means the same, instead; takes the reference. */
void snapshot_set_config(struct snapshot *snapshot, struct config *config);

#endif
