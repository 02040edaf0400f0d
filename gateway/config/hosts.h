/* The keys of `routes` and of `paths`, in the one form that requests are looked up by. */
#ifndef CONFIG_HOSTS_H
#define CONFIG_HOSTS_H

#include "config/reader.h"

/* Both write the normalised key into the arena. False, with a problem at the key. */
bool hosts_read_host(struct reader *reader, const struct json_node *node, struct slice *key);
bool hosts_read_path(struct reader *reader, const struct json_node *node, struct slice *key);

#endif
