/* `redis`: where what a fleet shares is counted. */
#ifndef CONFIG_REDIS_H
#define CONFIG_REDIS_H

#include "config/reader.h"
#include "net/redis_client.h"

/* In the reader's arena; NULL where it is wrong. */
void redis_read(struct reader *reader, const struct json_node *node, struct redis_spec **spec);

/* In words, for `diff`; without secrets. */
struct slice redis_in_words(const struct redis_spec *spec, struct arena *arena);

#endif
