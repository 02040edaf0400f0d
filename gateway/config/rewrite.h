/* `rewrite`: which path a backend gets. */
#ifndef CONFIG_REWRITE_H
#define CONFIG_REWRITE_H

#include "config/reader.h"

/* The rule for it; `into` is a struct settings_reader. */
void rewrite_read(struct reader *reader, const struct json_node *node, void *into);

#endif
