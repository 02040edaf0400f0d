/* `eject` and `hold` of a backend: what becomes of servers that fail, and of requests meanwhile. */
#include "config/backend_keys.h"

enum { EJECT_AFTER_MOST = 1000, QUEUE_MOST = 1000000 };

/* --- eject --------------------------------------------------------------------------------------
 */

static void read_after(struct reader *reader, const struct json_node *node, void *into)
{
    struct backend_entry *entry = into;
    backend_key_count(reader, node, entry, UPSTREAM_EJECT_AFTER, 0, EJECT_AFTER_MOST,
                      &entry->upstream->eject.after);
}

static void read_eject_for(struct reader *reader, const struct json_node *node, void *into)
{
    struct backend_entry *entry = into;
    backend_key_duration(reader, node, entry, UPSTREAM_EJECT_FOR, &entry->upstream->eject.for_ms);
}

static void read_max(struct reader *reader, const struct json_node *node, void *into)
{
    struct backend_entry *entry = into;

    backend_key_note(entry, UPSTREAM_EJECT_MAX, node);
    reader_percent(reader, node, &entry->upstream->eject.most_percent);
}

static const struct rule eject_list[] = {
    {"after", 0, read_after},
    {"for", 0, read_eject_for},
    {"max", 0, read_max},
};
static const struct rules eject_rules = {eject_list, 3, NULL};

void backend_read_eject(struct reader *reader, const struct json_node *node,
                        struct backend_entry *entry)
{
    struct eject_spec *eject = &entry->upstream->eject;

    backend_key_note(entry, UPSTREAM_EJECT, node);
    *eject = (struct eject_spec){.after = 5, .for_ms = 10 * 1000, .most_percent = 50};
    reader_object(reader, node, &eject_rules, 0, entry);
    /* For no time, or of no servers, is never. */
    if (eject->for_ms == 0 || eject->most_percent == 0)
        eject->after = 0;
}

/* --- hold ---------------------------------------------------------------------------------------
 */

static void read_hold_for(struct reader *reader, const struct json_node *node, void *into)
{
    struct backend_entry *entry = into;
    backend_key_duration(reader, node, entry, UPSTREAM_HOLD_FOR, &entry->upstream->hold.for_ms);
}

static void read_queue(struct reader *reader, const struct json_node *node, void *into)
{
    struct backend_entry *entry = into;
    backend_key_count(reader, node, entry, UPSTREAM_HOLD_QUEUE, 0, QUEUE_MOST,
                      &entry->upstream->hold.queue);
}

static const struct rule hold_list[] = {
    {"for", 0, read_hold_for},
    {"queue", 0, read_queue},
};
static const struct rules hold_rules = {hold_list, 2, NULL};

void backend_read_hold(struct reader *reader, const struct json_node *node,
                       struct backend_entry *entry)
{
    struct hold_spec *hold = &entry->upstream->hold;

    backend_key_note(entry, UPSTREAM_HOLD, node);
    *hold = (struct hold_spec){.for_ms = 5 * 1000, .queue = 100};
    reader_object(reader, node, &hold_rules, 0, entry);
    /* A queue without a place holds nobody. */
    if (hold->queue == 0)
        hold->for_ms = 0;
}
