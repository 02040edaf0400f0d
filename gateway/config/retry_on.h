/* What makes a request be tried again, as the route file says it: `retry.on`. */
#ifndef CONFIG_RETRY_ON_H
#define CONFIG_RETRY_ON_H

#include "config/reader.h"
#include "routing/settings.h"

/* False, with problems, when something in the list means nothing. */
bool retry_on_read(struct reader *reader, const struct json_node *node, struct settings *settings);
/* "connect, stale, 503"; "off" when there is nothing. */
struct slice retry_on_words(struct arena *arena, const struct settings *settings);

#endif
