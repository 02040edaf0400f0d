/* Settings in force, in words, and where each was written. */
#include "config/explain.h"

#include "base/json.h"
#include "config/affinity.h"
#include "config/backend_words.h"
#include "config/diff_words.h"

enum value_kind { VALUE_DURATION, VALUE_SIZE, VALUE_RATE, VALUE_COUNT };

static const char *const client_keys[CLIENT_SETTING_COUNT] = {
    [CLIENT_HANDSHAKE] = "timeout.handshake",
    [CLIENT_HEADER] = "timeout.header",
    [CLIENT_KEEPALIVE] = "timeout.keepalive",
    [CLIENT_HEADER_BYTES] = "limits.header_bytes",
    [CLIENT_HEADERS] = "limits.headers",
    [CLIENT_REQUEST_LINE] = "limits.request_line",
    [CLIENT_CONNECTIONS] = "limits.connections",
    [CLIENT_CONNECTIONS_PER_IP] = "limits.connections_per_ip",
    [CLIENT_HANDSHAKES] = "limits.handshakes",
    [CLIENT_UNDERSCORES] = "limits.underscores",
    [CLIENT_BODY_RATE] = "limits.body_rate",
};

/* --- values -------------------------------------------------------------------------------------
 */

struct unit {
    uint64_t size;
    const char *name;
};

static struct slice in_units(struct arena *arena, uint64_t value, const struct unit *units)
{
    while (value % units->size != 0)
        units++;
    return arena_printf(arena, "%llu%s", (unsigned long long)(value / units->size), units->name);
}

static struct slice print_value(struct arena *arena, enum value_kind kind, uint64_t value)
{
    static const struct unit times[] = {
        {86400 * 1000, "d"}, {3600 * 1000, "h"}, {60 * 1000, "m"}, {1000, "s"}, {1, "ms"}};
    static const struct unit sizes[] = {
        {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}, {1, "B"}};
    static const struct unit rates[] = {
        {1 << 30, "GiB/s"}, {1 << 20, "MiB/s"}, {1 << 10, "KiB/s"}, {1, "B/s"}};
    static const struct unit counts[] = {{1, ""}};

    if (value == 0)
        return slice_of("off");
    return in_units(arena, value,
                    kind == VALUE_DURATION ? times
                    : kind == VALUE_SIZE   ? sizes
                    : kind == VALUE_RATE   ? rates
                                           : counts);
}

/* What they are is told apart from settings. */
static struct slice print_edits(struct arena *arena, const struct header_edits *edits)
{
    if (edits->count == 0)
        return slice_of("none");
    return arena_printf(arena, "%u edit%s", edits->count, edits->count == 1 ? "" : "s");
}

static struct slice print_setting(struct arena *arena, enum setting setting,
                                  const struct settings *settings)
{
    switch (setting) {
    case SETTING_BODY_IDLE: return print_value(arena, VALUE_DURATION, settings->body_idle_ms);
    case SETTING_CONNECT: return print_value(arena, VALUE_DURATION, settings->connect_ms);
    case SETTING_FIRST_BYTE: return print_value(arena, VALUE_DURATION, settings->first_byte_ms);
    case SETTING_IDLE: return print_value(arena, VALUE_DURATION, settings->idle_ms);
    case SETTING_TUNNEL_IDLE: return print_value(arena, VALUE_DURATION, settings->tunnel_idle_ms);
    case SETTING_MAX_BODY: return print_value(arena, VALUE_SIZE, settings->max_body);
    case SETTING_RETRY_ATTEMPTS: return print_value(arena, VALUE_COUNT, settings->retry_attempts);
    case SETTING_RETRY_BUDGET:
    case SETTING_RETRY_ON:
    case SETTING_RETRY_TIMEOUT:
    case SETTING_STRIP_PREFIX:
    case SETTING_ADD_PREFIX: return words_setting(arena, setting, settings);
    case SETTING_REQUEST_HEADERS: return print_edits(arena, &settings->request_headers);
    case SETTING_RESPONSE_HEADERS: return print_edits(arena, &settings->response_headers);
    case SETTING_HOST:
        return settings->host_mode == HOST_PRESERVE  ? slice_of("preserve")
               : settings->host_mode == HOST_BACKEND ? slice_of("backend")
                                                     : settings->host_name;
    default: break;
    }
    return words_setting(arena, setting, settings);
}

static struct slice print_client_setting(struct arena *arena, enum client_setting setting,
                                         const struct globals *globals)
{
    enum { UNLIMITED = 1 << 30 }; /* how 0 is kept */
    const struct h1_limits *limits = &globals->limits;
    uint64_t value = setting == CLIENT_HEADER_BYTES   ? limits->head_bytes
                     : setting == CLIENT_HEADERS      ? limits->fields
                     : setting == CLIENT_REQUEST_LINE ? limits->request_line
                     : setting == CLIENT_BODY_RATE    ? globals->body_rate
                     : setting == CLIENT_HANDSHAKE    ? globals->handshake_ms
                     : setting == CLIENT_HEADER       ? globals->header_ms
                                                      : globals->keepalive_ms;

    if (setting == CLIENT_CONNECTIONS)
        return print_value(arena, VALUE_COUNT, globals->client_limits.connections);
    if (setting == CLIENT_CONNECTIONS_PER_IP)
        return print_value(arena, VALUE_COUNT, globals->client_limits.connections_per_ip);
    if (setting == CLIENT_HANDSHAKES)
        return print_value(arena, VALUE_COUNT, globals->client_limits.handshakes);
    if (setting == CLIENT_UNDERSCORES)
        return slice_of(limits->underscores ? "true" : "false");
    if (setting == CLIENT_HEADERS)
        return print_value(arena, VALUE_COUNT, value < UNLIMITED ? value : 0);
    if (setting == CLIENT_HEADER_BYTES || setting == CLIENT_REQUEST_LINE)
        return print_value(arena, VALUE_SIZE, value < UNLIMITED ? value : 0);
    if (setting == CLIENT_BODY_RATE)
        return print_value(arena, VALUE_RATE, value);
    return print_value(arena, VALUE_DURATION, value);
}

/* --- places -------------------------------------------------------------------------------------
 */

enum { DEPTH_MAX = 8 };

/* Keys as the nodes of a route file that they would be, so that they are written as problems
 * write them. */
struct path {
    struct json_node nodes[DEPTH_MAX + 1]; /* the first one is the root */
    unsigned depth;
};

static void enter(struct path *path, struct slice key)
{
    const struct json_node *parent = &path->nodes[path->depth++];

    path->nodes[path->depth] = (struct json_node){.key = key, .parent = parent};
}

/* "timeout.connect" is two of them. */
static void enter_setting(struct path *path, const char *key)
{
    struct slice rest = slice_of(key);

    for (ptrdiff_t dot = slice_find(rest, '.'); dot >= 0; dot = slice_find(rest, '.')) {
        enter(path, slice_make(rest.at, (size_t)dot));
        rest = slice_skip(rest, (size_t)dot + 1);
    }
    enter(path, rest);
}

static struct slice print_path(struct arena *arena, const struct path *path)
{
    struct buffer text = {0};

    json_append_path(&text, &path->nodes[path->depth]);
    struct slice copy = arena_copy(arena, buffer_content(&text));
    buffer_clear(&text);
    return copy;
}

struct slice explain_place(struct arena *arena, enum setting_place place, const char *key,
                           struct slice member, const struct route *route,
                           const struct route_target *target)
{
    struct path path = {.depth = 0};

    if (place == SETTING_BUILT_IN)
        return slice_of("built in");
    if (place == SETTING_OF_DEFAULTS) {
        enter(&path, slice_of("defaults"));
    } else if (place == SETTING_OF_BACKEND) {
        enter(&path, slice_of("backends"));
        enter(&path, target->upstream->name);
    } else {
        enter(&path, slice_of("routes"));
        enter(&path, route->host->key);
    }
    if (place == SETTING_OF_PATH) {
        enter(&path, slice_of("paths"));
        enter(&path, slice_skip(route->name, route->host->key.len));
    }
    enter_setting(&path, key);
    if (member.len > 0)
        enter(&path, member);
    return print_path(arena, &path);
}

static struct slice find_place(struct arena *arena, enum setting_place place, const char *key,
                               const struct route *route, const struct route_target *target)
{
    return explain_place(arena, place, key, slice_of(""), route, target);
}

/* --- clients' certificates ----------------------------------------------------------------------
 */

struct explained_clients explain_clients(const struct snapshot *snapshot, struct slice name,
                                         struct arena *arena)
{
    struct explained_clients found = {.rule = &snapshot->config->clients};
    struct path path = {.depth = 0};
    struct slice key;

    route_table_find(snapshot->routes, name, slice_of("/"), &key);
    const struct host *host = slice_is_empty(key) ? NULL : route_table_host(snapshot->routes, key);
    if (host && host->clients) {
        found.rule = host->clients;
        enter(&path, slice_of("routes"));
        enter(&path, host->key);
    } else if (!found.rule->ca) {
        return found;
    }
    enter(&path, slice_of("tls"));
    found.from = print_path(arena, &path);
    return found;
}

/* --- the list -----------------------------------------------------------------------------------
 */

/* What only an entry of `backends` can set, as far as it is in force. */
static unsigned list_backend_keys(const struct route *route, const struct route_target *target,
                                  struct arena *arena, struct explained_setting *list)
{
    const struct upstream_spec *upstream = target->upstream;
    unsigned count = 0;

    for (enum upstream_key key = 0; key < UPSTREAM_KEY_COUNT; key++) {
        /* With it no connection is kept. */
        enum upstream_key by =
            key == UPSTREAM_KEEPALIVE && upstream->names_clients ? UPSTREAM_PROXY_PROTOCOL : key;
        bool is_written = upstream->written & UINT32_C(1) << by;
        struct slice value = backend_words(arena, key, upstream);
        if (value.len > 0)
            list[count++] = (struct explained_setting){
                .key = backend_key_name(key),
                .value = value,
                .from = find_place(arena, is_written ? SETTING_OF_BACKEND : SETTING_BUILT_IN,
                                   backend_key_name(by), route, target)};
    }
    return count;
}

unsigned explain_settings(const struct route *route, const struct route_target *target,
                          struct arena *arena, struct explained_setting list[EXPLAIN_SETTINGS_MAX])
{
    const struct settings *settings = target ? &target->settings : &route->settings;
    unsigned count = 0;

    for (enum setting setting = 0; setting < SETTING_COUNT; setting++) {
        const char *key = words_setting_key(setting);

        if (!target && !settings_act_without_backend(setting))
            continue; /* the rest is about backends */
        if (setting >= SETTING_POLICIES && settings->from[setting] == SETTING_BUILT_IN)
            continue; /* of those there are only the ones that are written */
        list[count++] = (struct explained_setting){
            .key = key,
            .value = print_setting(arena, setting, settings),
            .from = find_place(arena, settings->from[setting], key, route, target)};
    }
    if (target && route->target_count > 1)
        list[count++] = (struct explained_setting){
            .key = "split_on",
            .value = affinity_words(arena, &route->split_on),
            .from = find_place(arena, route->split_on_from, "split_on", route, target)};
    if (target)
        count += list_backend_keys(route, target, arena, &list[count]);
    return count;
}

void explain_client_settings(const struct globals *globals, struct arena *arena,
                             struct explained_setting list[EXPLAIN_CLIENT_SETTINGS])
{
    for (enum client_setting setting = 0; setting < CLIENT_SETTING_COUNT; setting++)
        list[setting] = (struct explained_setting){
            .key = client_keys[setting],
            .value = print_client_setting(arena, setting, globals),
            .from = find_place(arena,
                               globals->has_own[setting] ? SETTING_OF_DEFAULTS : SETTING_BUILT_IN,
                               client_keys[setting], NULL, NULL)};
}
