/* A route file's text as it was meant: without comments, with ${NAME} expanded, so that it says the
 * same wherever it is read again. */
#ifndef CONFIG_SOURCE_H
#define CONFIG_SOURCE_H

#include "base/json.h"

/* Of a document that reader_prepare has expanded. In the arena, with members in the order of the
 * file. */
struct slice source_write(struct arena *arena, const struct json_node *root);

#endif
