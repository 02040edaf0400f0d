/* `health` of a backend: what its servers are asked from time to time, and what is a good answer.
 */
#include "config/backend_keys.h"
#include "http/message.h"
#include "http/target.h"

enum {
    STATUS_LEAST = 100,
    STATUS_MOST = 599,
    ROUNDS_MOST = 1000,
    EVERY_BUILT_IN_MS = 10 * 1000,
    TIMEOUT_BUILT_IN_MS = 2 * 1000,
};

struct health_reader {
    struct backend_entry *entry;
    struct health_spec *health; /* the entry's */
    const struct json_node *path, *method;
};

/* --- the request --------------------------------------------------------------------------------
 */

/* RFC 9112 section 3.2.1: it is sent as it is written, so nothing may need to be escaped. */
static bool is_target(struct arena *arena, struct slice text)
{
    struct slice path, query;

    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] <= ' ' || text.at[i] >= 0x7f || text.at[i] == '#')
            return false;
    return path_normalise(arena, text, &path, &query);
}

static void read_path(struct reader *reader, const struct json_node *node, void *into)
{
    struct health_reader *h = into;
    struct slice text;

    h->path = node;
    if (!reader_text(reader, node, "a path such as \"/healthz\"", &text))
        return;
    if (!slice_starts_with(text, slice_of("/")))
        reader_error(reader, node, AT_VALUE, "a path starts with \"/\"");
    else if (!is_target(reader->arena, text))
        reader_error(reader, node, AT_VALUE,
                     "this cannot be asked for: no \".\" or \"..\" segments, spaces, controls, "
                     "\"\\\", \"#\" or bad escapes, and letters beyond ASCII are escaped");
    else
        h->health->path = text;
}

static void read_method(struct reader *reader, const struct json_node *node, void *into)
{
    struct health_reader *h = into;
    struct slice text;

    h->method = node;
    if (!reader_text(reader, node, "a method such as \"GET\"", &text))
        return;
    if (!http_is_token(text))
        reader_error(reader, node, AT_VALUE, "\"%s\" is no method", text.at);
    else if (slice_equal(text, slice_of("CONNECT")) || slice_equal(text, slice_of("TRACE")))
        reader_error(reader, node, AT_VALUE, "%s asks for nothing that says how a server is",
                     text.at);
    else
        h->health->method = text;
}

static void read_host(struct reader *reader, const struct json_node *node, void *into)
{
    struct health_reader *h = into;
    struct slice text, name;
    uint16_t port;

    backend_key_note(h->entry, UPSTREAM_HEALTH_HOST, node);
    if (!reader_text(reader, node, "\"backend\" or a host name", &text))
        return;
    if (slice_equal(text, slice_of("backend")))
        return; /* as without it */
    if (slice_equal(text, slice_of("preserve")))
        reader_error(reader, node, AT_VALUE,
                     "there is nothing to preserve: no client asks; \"backend\" or a name is "
                     "expected");
    else if (host_normalise(reader->arena, text, &name, &port))
        h->health->host = text;
    else
        reader_error(reader, node, AT_VALUE,
                     "\"%s\" is no host name; \"backend\" or a name is expected", text.at);
}

/* --- the answer ---------------------------------------------------------------------------------
 */

/* "200", "200-399". */
static bool parse_range(struct slice text, uint64_t *least, uint64_t *most)
{
    ptrdiff_t dash = slice_find(text, '-');

    if (dash < 0)
        return slice_parse_u64(text, least) && slice_parse_u64(text, most);
    return slice_parse_u64(slice_make(text.at, (size_t)dash), least) &&
           slice_parse_u64(slice_skip(text, (size_t)dash + 1), most);
}

/* In order, so that lists that mean the same are the same. */
static void add_range(struct health_spec *health, struct status_range range)
{
    struct status_range *list = health->statuses;
    unsigned at = health->status_count++;

    for (; at > 0 && (list[at - 1].least > range.least ||
                      (list[at - 1].least == range.least && list[at - 1].most > range.most));
         at--)
        list[at] = list[at - 1];
    list[at] = range;
}

static void read_range(struct reader *reader, const struct json_node *node,
                       struct health_spec *health)
{
    uint64_t least, most;
    bool is_good = true;

    if (json_is_integer(node->value) && json_integer_value(node->value) >= 0)
        least = most = (uint64_t)json_integer_value(node->value);
    else
        is_good = parse_range(reader_node_text(node), &least, &most);
    if (!is_good || least < STATUS_LEAST || most > STATUS_MOST || least > most)
        reader_error(reader, node, AT_VALUE,
                     "a status from %d to %d, or a range such as \"200-399\", is expected",
                     STATUS_LEAST, STATUS_MOST);
    else
        add_range(health, (struct status_range){(uint16_t)least, (uint16_t)most});
}

static void read_status(struct reader *reader, const struct json_node *node, void *into)
{
    struct health_reader *h = into;
    unsigned count = 0;

    backend_key_note(h->entry, UPSTREAM_HEALTH_STATUS, node);
    if (!json_is_array(node->value)) {
        h->health->statuses = arena_alloc(reader->arena, sizeof(*h->health->statuses));
        read_range(reader, node, h->health);
        return;
    }
    for (const struct json_node *element = node->first; element; element = element->next)
        count++;
    if (count == 0)
        reader_error(reader, node, AT_VALUE, "the list is empty: no answer would be a good one");
    h->health->statuses = arena_alloc(reader->arena, (count + 1) * sizeof(*h->health->statuses));
    for (const struct json_node *element = node->first; element; element = element->next)
        read_range(reader, element, h->health);
}

static void read_body(struct reader *reader, const struct json_node *node, void *into)
{
    struct health_reader *h = into;

    backend_key_note(h->entry, UPSTREAM_HEALTH_BODY, node);
    reader_text(reader, node, "a text", &h->health->body);
}

/* --- when ---------------------------------------------------------------------------------------
 */

static void read_time(struct reader *reader, const struct json_node *node, struct health_reader *h,
                      enum upstream_key key, uint64_t *ms)
{
    uint64_t read = 0;

    backend_key_note(h->entry, key, node);
    if (!reader_duration(reader, node, &read))
        return;
    if (read > 0)
        *ms = read;
    else
        reader_error(reader, node, AT_VALUE,
                     "this cannot be turned off: without \"health\" nothing is asked");
}

static void read_every(struct reader *reader, const struct json_node *node, void *into)
{
    struct health_reader *h = into;
    read_time(reader, node, h, UPSTREAM_HEALTH_EVERY, &h->health->every_ms);
}

static void read_timeout(struct reader *reader, const struct json_node *node, void *into)
{
    struct health_reader *h = into;
    read_time(reader, node, h, UPSTREAM_HEALTH_TIMEOUT, &h->health->timeout_ms);
}

static void read_rise(struct reader *reader, const struct json_node *node, void *into)
{
    struct health_reader *h = into;
    backend_key_count(reader, node, h->entry, UPSTREAM_HEALTH_RISE, 1, ROUNDS_MOST,
                      &h->health->rise);
}

static void read_fall(struct reader *reader, const struct json_node *node, void *into)
{
    struct health_reader *h = into;
    backend_key_count(reader, node, h->entry, UPSTREAM_HEALTH_FALL, 1, ROUNDS_MOST,
                      &h->health->fall);
}

/* --- together -----------------------------------------------------------------------------------
 */

static const struct rule health_list[] = {
    {"path", 0, read_path},       {"method", 0, read_method}, {"host", 0, read_host},
    {"status", 0, read_status},   {"body", 0, read_body},     {"every", 0, read_every},
    {"timeout", 0, read_timeout}, {"rise", 0, read_rise},     {"fall", 0, read_fall},
};
static const struct rules health_rules = {health_list, 9, NULL};

static void check_request(struct reader *reader, const struct json_node *node,
                          const struct health_reader *h)
{
    const struct json_node *const *from = h->entry->from;
    const struct json_node *needing[] = {h->method, from[UPSTREAM_HEALTH_HOST],
                                         from[UPSTREAM_HEALTH_STATUS], from[UPSTREAM_HEALTH_BODY]};

    for (size_t i = 0; !h->path && !reader_is_mistyped(node, "path") && i < 4; i++)
        if (needing[i])
            reader_error(reader, needing[i], AT_KEY,
                         "\"%s\" has no effect here: without \"path\" servers are only connected "
                         "to",
                         needing[i]->key.at);
    if (from[UPSTREAM_HEALTH_BODY] && slice_equal(h->health->method, slice_of("HEAD")))
        reader_error(reader, from[UPSTREAM_HEALTH_BODY], AT_KEY,
                     "\"body\" has no effect here: an answer to HEAD has none");
}

/* The next check would begin before this one has failed. */
static void check_times(struct reader *reader, const struct health_reader *h)
{
    struct health_spec *health = h->health;
    const struct json_node *timeout = h->entry->from[UPSTREAM_HEALTH_TIMEOUT];

    if (health->timeout_ms == 0)
        health->timeout_ms =
            health->every_ms < TIMEOUT_BUILT_IN_MS ? health->every_ms : TIMEOUT_BUILT_IN_MS;
    if (health->timeout_ms > health->every_ms)
        reader_error(reader, timeout, AT_VALUE,
                     "\"timeout\" is longer than \"every\": a check ends before the next begins");
}

void backend_read_health(struct reader *reader, const struct json_node *node,
                         struct backend_entry *entry)
{
    struct health_spec *health = &entry->upstream->health;
    struct health_reader h = {.entry = entry, .health = health};

    backend_key_note(entry, UPSTREAM_HEALTH, node);
    *health = (struct health_spec){.is_on = true,
                                   .method = slice_of("GET"),
                                   .every_ms = EVERY_BUILT_IN_MS,
                                   .rise = 2,
                                   .fall = 3};
    if (!reader_object(reader, node, &health_rules, 0, &h))
        return;
    check_request(reader, node, &h);
    check_times(reader, &h);
    if (health->status_count > 0)
        return;
    health->statuses = arena_alloc(reader->arena, sizeof(*health->statuses));
    add_range(health, (struct status_range){200, 399});
}
