/* What an entry of `backends` comes to, in words, key by key: for `explain` and `diff`. */
#ifndef CONFIG_BACKEND_WORDS_H
#define CONFIG_BACKEND_WORDS_H

#include "upstream/upstream.h"

/* "health.every". Of what is written as an object the object's own key says whether it is on. */
const char *backend_key_name(enum upstream_key key);

/* As one would write it: "10s", "off". Empty where it is not in force, as `hash_on` without
 * `"balance": "hash"` or all of `eject` when that is off. Of a secret only whether it is there. */
struct slice backend_words(struct arena *arena, enum upstream_key key,
                           const struct upstream_spec *upstream);

#endif
