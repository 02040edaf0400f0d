#include "config/backend_keys.h"

#include "config/affinity.h"
#include "config/settings.h"
#include "http/message.h"

enum {
    COUNT_MOST = 1000000,
    IDLE_MOST = 65536,
    KEY_LEAST = 16, /* bytes of a secret */
    HEDGE_LEAST = 500,
    HEDGE_MOST = 999, /* permille */
};

static struct backend_entry *entry_of(void *into)
{
    return ((struct settings_reader *)into)->backend;
}

void backend_key_note(struct backend_entry *entry, enum upstream_key key,
                      const struct json_node *node)
{
    entry->from[key] = node;
    entry->upstream->written |= UINT32_C(1) << key;
}

void backend_key_duration(struct reader *reader, const struct json_node *node,
                          struct backend_entry *entry, enum upstream_key key, uint64_t *ms)
{
    backend_key_note(entry, key, node);
    reader_duration(reader, node, ms);
}

void backend_key_count(struct reader *reader, const struct json_node *node,
                       struct backend_entry *entry, enum upstream_key key, unsigned least,
                       unsigned most, unsigned *count)
{
    uint64_t value;

    backend_key_note(entry, key, node);
    if (reader_count(reader, node, least, most, &value))
        *count = (unsigned)value;
}

/* --- who gets the next request ------------------------------------------------------------------
 */

static void read_balance(struct reader *reader, const struct json_node *node, void *into)
{
    static const char *const words[] = {"round_robin", "least_requests", "random", "latency",
                                        "hash"};
    struct backend_entry *entry = entry_of(into);
    unsigned word;

    backend_key_note(entry, UPSTREAM_BALANCE, node);
    entry->balance_is_wrong = !reader_word(reader, node, words, 5, &word);
    if (!entry->balance_is_wrong)
        entry->upstream->balance = (enum balance)word;
}

static void read_hash_on(struct reader *reader, const struct json_node *node, void *into)
{
    struct backend_entry *entry = entry_of(into);

    backend_key_note(entry, UPSTREAM_HASH_ON, node);
    affinity_read(reader, node, AFFINITY_OF_HASHES, &entry->upstream->hash_on);
}

static void read_slow_start(struct reader *reader, const struct json_node *node, void *into)
{
    struct backend_entry *entry = entry_of(into);
    backend_key_duration(reader, node, entry, UPSTREAM_SLOW_START, &entry->upstream->slow_start_ms);
}

/* --- sticky -------------------------------------------------------------------------------------
 */

static void read_cookie(struct reader *reader, const struct json_node *node, void *into)
{
    struct sticky_spec *sticky = &((struct backend_entry *)into)->upstream->sticky;
    struct slice name;

    if (!reader_text(reader, node, "the name of a cookie", &name))
        return;
    if (http_is_token(name))
        sticky->cookie = name;
    else
        reader_error(reader, node, AT_VALUE, "\"%s\" is no name of a cookie", name.at);
}

static void read_ttl(struct reader *reader, const struct json_node *node, void *into)
{
    struct backend_entry *entry = into;
    backend_key_duration(reader, node, entry, UPSTREAM_STICKY_TTL, &entry->upstream->sticky.ttl_ms);
}

/* A secret: no message repeats it. */
static void read_key(struct reader *reader, const struct json_node *node, void *into)
{
    struct backend_entry *entry = into;
    struct slice key;

    backend_key_note(entry, UPSTREAM_STICKY_KEY, node);
    if (!reader_text(reader, node, "a secret text such as \"${STICKY_KEY}\"", &key))
        return;
    if (key.len >= KEY_LEAST)
        entry->upstream->sticky.key = key;
    else
        reader_error(reader, node, AT_VALUE, "the key is too short: %d characters at least",
                     KEY_LEAST);
}

static const struct rule sticky_list[] = {
    {"cookie", 0, read_cookie},
    {"ttl", 0, read_ttl},
    {"key", 0, read_key},
};
static const struct rules sticky_rules = {sticky_list, 3, NULL};

static void read_sticky(struct reader *reader, const struct json_node *node, void *into)
{
    struct backend_entry *entry = entry_of(into);

    backend_key_note(entry, UPSTREAM_STICKY, node);
    if (reader_object(reader, node, &sticky_rules, 0, entry) && !json_member(node, "cookie"))
        reader_missing(reader, node, "cookie", "the name of the cookie that leads clients back");
}

/* --- connections and requests -------------------------------------------------------------------
 */

static void read_keepalive(struct reader *reader, const struct json_node *node, void *into)
{
    struct backend_entry *entry = entry_of(into);
    backend_key_count(reader, node, entry, UPSTREAM_KEEPALIVE, 0, IDLE_MOST,
                      &entry->upstream->keepalive);
}

static void read_min_idle(struct reader *reader, const struct json_node *node, void *into)
{
    struct backend_entry *entry = entry_of(into);
    backend_key_count(reader, node, entry, UPSTREAM_MIN_IDLE, 0, IDLE_MOST,
                      &entry->upstream->min_idle);
}

static void read_max_connections(struct reader *reader, const struct json_node *node, void *into)
{
    struct backend_entry *entry = entry_of(into);
    backend_key_count(reader, node, entry, UPSTREAM_MAX_CONNECTIONS, 0, COUNT_MOST,
                      &entry->upstream->max_connections);
}

static void read_max_requests(struct reader *reader, const struct json_node *node, void *into)
{
    struct backend_entry *entry = entry_of(into);
    backend_key_count(reader, node, entry, UPSTREAM_MAX_REQUESTS, 0, COUNT_MOST,
                      &entry->upstream->max_requests);
}

static void read_proxy_protocol(struct reader *reader, const struct json_node *node, void *into)
{
    static const char *const versions[] = {"v2"};
    struct backend_entry *entry = entry_of(into);
    unsigned version;

    if (!reader_word(reader, node, versions, 1, &version))
        return;
    entry->upstream->names_clients = true;
    backend_key_note(entry, UPSTREAM_PROXY_PROTOCOL, node);
}

/* "p95", "p99.9". */
static bool parse_percentile(struct slice text, unsigned *permille)
{
    uint64_t whole, tenth = 0;
    ptrdiff_t dot = slice_find(text, '.');
    struct slice digits = slice_make(text.at, dot >= 0 ? (size_t)dot : text.len);

    if (!slice_starts_with(digits, slice_of("p")) || digits.len != 3 ||
        !slice_parse_u64(slice_skip(digits, 1), &whole))
        return false;
    if (dot >= 0 && (text.len != (size_t)dot + 2 ||
                     !slice_parse_u64(slice_skip(text, (size_t)dot + 1), &tenth)))
        return false;
    *permille = (unsigned)(whole * 10 + tenth);
    return *permille >= HEDGE_LEAST && *permille <= HEDGE_MOST;
}

static void read_hedge(struct reader *reader, const struct json_node *node, void *into)
{
    struct backend_entry *entry = entry_of(into);
    bool is_off = json_is_integer(node->value) && json_integer_value(node->value) == 0;

    backend_key_note(entry, UPSTREAM_HEDGE, node);
    if (!is_off && !parse_percentile(reader_node_text(node), &entry->upstream->hedge_permille))
        reader_error(reader, node, AT_VALUE,
                     "a percentile from \"p50\" to \"p99.9\", or 0, is expected");
}

/* --- the rules ----------------------------------------------------------------------------------
 */

static void keep_servers(struct reader *reader, const struct json_node *node, void *into)
{
    (void)reader;
    entry_of(into)->servers = node;
}

static void read_health(struct reader *reader, const struct json_node *node, void *into)
{
    backend_read_health(reader, node, entry_of(into));
}

static void read_eject(struct reader *reader, const struct json_node *node, void *into)
{
    backend_read_eject(reader, node, entry_of(into));
}

static void read_hold(struct reader *reader, const struct json_node *node, void *into)
{
    backend_read_hold(reader, node, entry_of(into));
}

static const struct rule backend_list[] = {
    {"servers", IN_BACKEND, keep_servers},
    {"balance", IN_BACKEND, read_balance},
    {"hash_on", IN_BACKEND, read_hash_on},
    {"sticky", IN_BACKEND, read_sticky},
    {"slow_start", IN_BACKEND, read_slow_start},
    {"health", IN_BACKEND, read_health},
    {"eject", IN_BACKEND, read_eject},
    {"hold", IN_BACKEND, read_hold},
    {"max_connections", IN_BACKEND, read_max_connections},
    {"max_requests", IN_BACKEND, read_max_requests},
    {"keepalive", IN_BACKEND, read_keepalive},
    {"min_idle", IN_BACKEND, read_min_idle},
    {"hedge", IN_BACKEND, read_hedge},
    {"proxy_protocol", IN_BACKEND, read_proxy_protocol},
};
const struct rules backend_rules = {backend_list, sizeof(backend_list) / sizeof(backend_list[0]),
                                    NULL};

/* --- together -----------------------------------------------------------------------------------
 */

static void check_hash(struct reader *reader, const struct backend_entry *entry)
{
    struct upstream_spec *upstream = entry->upstream;

    if (upstream->balance == BALANCE_HASH && upstream->hash_on.kind == AFFINITY_NONE)
        upstream->hash_on.kind = AFFINITY_IP;
    if (upstream->balance != BALANCE_HASH && entry->from[UPSTREAM_HASH_ON] &&
        !entry->balance_is_wrong)
        reader_error(reader, entry->from[UPSTREAM_HASH_ON], AT_KEY,
                     "\"hash_on\" has no effect here: \"balance\" is not \"hash\"");
}

/* A connection that says whose it is serves nobody else: none is kept, and none made ahead. */
static void check_named_connections(struct reader *reader, const struct backend_entry *entry)
{
    static const struct {
        enum upstream_key key;
        const char *name;
    } keys[] = {{UPSTREAM_KEEPALIVE, "keepalive"}, {UPSTREAM_MIN_IDLE, "min_idle"}};

    entry->upstream->keepalive = 0;
    for (size_t i = 0; i < 2; i++)
        if (entry->from[keys[i].key])
            reader_error(reader, entry->from[keys[i].key], AT_KEY,
                         "\"%s\" has no effect here: with \"proxy_protocol\" a connection is one "
                         "client's, and none is kept",
                         keys[i].name);
}

void backend_keys_check(struct reader *reader, const struct backend_entry *entry)
{
    struct upstream_spec *upstream = entry->upstream;

    check_hash(reader, entry);
    if (upstream->names_clients)
        check_named_connections(reader, entry);
    else if (upstream->min_idle > upstream->keepalive)
        reader_error(reader, entry->from[UPSTREAM_MIN_IDLE], AT_VALUE,
                     "\"min_idle\" is above \"keepalive\": %u idle connections cannot be there "
                     "where %u are kept",
                     upstream->min_idle, upstream->keepalive);
}
