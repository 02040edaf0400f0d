/* The name of a field in which a backend is told what the gateway has found out of a client. */
#ifndef CONFIG_COPIED_FIELD_H
#define CONFIG_COPIED_FIELD_H

#include "config/reader.h"

/* False, with a problem, when it cannot be one. Copied to the arena. */
bool read_copied_field(struct reader *reader, const struct json_node *node, struct arena *arena,
                       struct slice *name);

#endif
