/* What tells clients apart, as the route file says it: "ip", "cookie:NAME", "header:NAME", "uri".
 */
#ifndef CONFIG_AFFINITY_H
#define CONFIG_AFFINITY_H

#include "config/reader.h"
#include "upstream/upstream.h"

enum affinity_use {
    AFFINITY_OF_SPLITS, /* clients alone: the address, or a cookie */
    AFFINITY_OF_HASHES, /* anything of a request */
};

/* The name is copied to the arena. False, with a problem, and NONE, when it is none of these. */
bool affinity_read(struct reader *reader, const struct json_node *node, enum affinity_use use,
                   struct affinity *affinity);
/* As it is written; "off" for NONE. */
struct slice affinity_words(struct arena *arena, const struct affinity *affinity);

#endif
