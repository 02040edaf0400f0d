/* What an entry of `backends` says beside its servers and the settings that any place can have. */
#ifndef CONFIG_BACKEND_KEYS_H
#define CONFIG_BACKEND_KEYS_H

#include "config/reader.h"
#include "upstream/upstream.h"

/* An entry while it is read. */
struct backend_entry {
    struct upstream_spec *upstream; /* filled */
    const struct json_node *servers;
    const struct json_node *from[UPSTREAM_KEY_COUNT]; /* NULL: not said */
    bool balance_is_wrong;
};

/* Rules for every key that only a backend has; `into` is a struct settings_reader. */
extern const struct rules backend_rules;

/* Once all is read: keys that would have no effect beside others are problems. */
void backend_keys_check(struct reader *reader, const struct backend_entry *entry);

/* --- config/backend_health.c --------------------------------------------------------------------
 */

void backend_read_health(struct reader *reader, const struct json_node *node,
                         struct backend_entry *entry);

/* --- config/backend_failures.c ------------------------------------------------------------------
 */

void backend_read_eject(struct reader *reader, const struct json_node *node,
                        struct backend_entry *entry);
void backend_read_hold(struct reader *reader, const struct json_node *node,
                       struct backend_entry *entry);

/* --- for those ----------------------------------------------------------------------------------
 */

/* That the entry says it. */
void backend_key_note(struct backend_entry *entry, enum upstream_key key,
                      const struct json_node *node);
/* These note it as well. */
void backend_key_duration(struct reader *reader, const struct json_node *node,
                          struct backend_entry *entry, enum upstream_key key, uint64_t *ms);
void backend_key_count(struct reader *reader, const struct json_node *node,
                       struct backend_entry *entry, enum upstream_key key, unsigned least,
                       unsigned most, unsigned *count);

#endif
