#include "config/settings.h"

#include "config/affinity.h"
#include "config/backend_keys.h"
#include "config/policies.h"
#include "config/retry_on.h"
#include "config/rewrite.h"
#include "http/target.h"

enum {
    SIZE_MOST = 1 << 30,
    RETRIES_MOST = 100,
    /* So many that their handshake is a thousandth of what a connection costs, and few
     * enough that none lasts for ever: clients look their name up again now and then, and what a
     * reload changed of TLS comes to act. */
    REQUESTS_MOST = 10000,
};

/* --- timeout ------------------------------------------------------------------------------------
 */

static void read_layer_duration(struct reader *reader, const struct json_node *node,
                                struct settings_reader *into, enum setting setting, uint64_t *ms)
{
    if (reader_duration(reader, node, ms))
        into->layer.from[setting] = node;
}

static void read_body_idle(struct reader *reader, const struct json_node *node, void *into)
{
    struct settings_reader *s = into;
    read_layer_duration(reader, node, s, SETTING_BODY_IDLE, &s->layer.values.body_idle_ms);
}

static void read_connect(struct reader *reader, const struct json_node *node, void *into)
{
    struct settings_reader *s = into;
    read_layer_duration(reader, node, s, SETTING_CONNECT, &s->layer.values.connect_ms);
}

static void read_first_byte(struct reader *reader, const struct json_node *node, void *into)
{
    struct settings_reader *s = into;
    read_layer_duration(reader, node, s, SETTING_FIRST_BYTE, &s->layer.values.first_byte_ms);
}

static void read_idle(struct reader *reader, const struct json_node *node, void *into)
{
    struct settings_reader *s = into;
    read_layer_duration(reader, node, s, SETTING_IDLE, &s->layer.values.idle_ms);
}

static void read_tunnel_idle(struct reader *reader, const struct json_node *node, void *into)
{
    struct settings_reader *s = into;
    read_layer_duration(reader, node, s, SETTING_TUNNEL_IDLE, &s->layer.values.tunnel_idle_ms);
}

static void read_handshake(struct reader *reader, const struct json_node *node, void *into)
{
    struct globals *globals = ((struct settings_reader *)into)->globals;
    globals->has_own[CLIENT_HANDSHAKE] = reader_duration(reader, node, &globals->handshake_ms);
}

static void read_header(struct reader *reader, const struct json_node *node, void *into)
{
    struct globals *globals = ((struct settings_reader *)into)->globals;
    globals->has_own[CLIENT_HEADER] = reader_duration(reader, node, &globals->header_ms);
}

static void read_client_keepalive(struct reader *reader, const struct json_node *node, void *into)
{
    struct globals *globals = ((struct settings_reader *)into)->globals;
    globals->has_own[CLIENT_KEEPALIVE] = reader_duration(reader, node, &globals->keepalive_ms);
}

static const struct rule timeout_list[] = {
    {"handshake", IN_DEFAULTS, read_handshake},
    {"header", IN_DEFAULTS, read_header},
    {"keepalive", IN_DEFAULTS, read_client_keepalive},
    {"body_idle", IN_ANY, read_body_idle},
    {"connect", IN_ANY, read_connect},
    {"first_byte", IN_ANY, read_first_byte},
    {"idle", IN_ANY, read_idle},
    {"tunnel_idle", IN_ANY, read_tunnel_idle},
};
static const struct rules timeout_rules = {timeout_list, 8, NULL};

static void read_timeout(struct reader *reader, const struct json_node *node, void *into)
{
    reader_object(reader, node, &timeout_rules, ((struct settings_reader *)into)->here, into);
}

/* --- limits -------------------------------------------------------------------------------------
 */

/* 0 is no limit: as much as a size of 32 bits holds with room for sums. */
static uint32_t or_unlimited(uint64_t limit)
{
    return limit ? (uint32_t)limit : SIZE_MOST;
}

static void read_header_bytes(struct reader *reader, const struct json_node *node, void *into)
{
    struct globals *globals = ((struct settings_reader *)into)->globals;
    uint64_t bytes;

    globals->has_own[CLIENT_HEADER_BYTES] = reader_size(reader, node, SIZE_MOST, &bytes);
    if (globals->has_own[CLIENT_HEADER_BYTES])
        globals->limits.head_bytes = or_unlimited(bytes);
}

static void read_request_line(struct reader *reader, const struct json_node *node, void *into)
{
    struct globals *globals = ((struct settings_reader *)into)->globals;
    uint64_t bytes;

    globals->has_own[CLIENT_REQUEST_LINE] = reader_size(reader, node, SIZE_MOST, &bytes);
    if (globals->has_own[CLIENT_REQUEST_LINE])
        globals->limits.request_line = or_unlimited(bytes);
}

static void read_headers(struct reader *reader, const struct json_node *node, void *into)
{
    struct globals *globals = ((struct settings_reader *)into)->globals;
    uint64_t count;

    globals->has_own[CLIENT_HEADERS] = reader_count(reader, node, 0, SIZE_MOST, &count);
    if (globals->has_own[CLIENT_HEADERS])
        globals->limits.fields = or_unlimited(count);
}

static void read_client_count(struct reader *reader, const struct json_node *node,
                              struct globals *globals, enum client_setting setting, uint32_t *most)
{
    uint64_t count;

    globals->has_own[setting] = reader_count(reader, node, 0, SIZE_MOST, &count);
    if (globals->has_own[setting])
        *most = (uint32_t)count;
}

static void read_connections(struct reader *reader, const struct json_node *node, void *into)
{
    struct globals *globals = ((struct settings_reader *)into)->globals;
    read_client_count(reader, node, globals, CLIENT_CONNECTIONS,
                      &globals->client_limits.connections);
}

static void read_connections_per_ip(struct reader *reader, const struct json_node *node, void *into)
{
    struct globals *globals = ((struct settings_reader *)into)->globals;
    read_client_count(reader, node, globals, CLIENT_CONNECTIONS_PER_IP,
                      &globals->client_limits.connections_per_ip);
}

static void read_handshakes(struct reader *reader, const struct json_node *node, void *into)
{
    struct globals *globals = ((struct settings_reader *)into)->globals;
    read_client_count(reader, node, globals, CLIENT_HANDSHAKES, &globals->client_limits.handshakes);
}

static void read_underscores(struct reader *reader, const struct json_node *node, void *into)
{
    struct globals *globals = ((struct settings_reader *)into)->globals;

    globals->has_own[CLIENT_UNDERSCORES] = reader_bool(reader, node, &globals->limits.underscores);
}

static void read_body_rate(struct reader *reader, const struct json_node *node, void *into)
{
    struct globals *globals = ((struct settings_reader *)into)->globals;

    globals->has_own[CLIENT_BODY_RATE] = reader_rate(reader, node, SIZE_MOST, &globals->body_rate);
}

static const struct rule limit_list[] = {
    {"header_bytes", IN_DEFAULTS, read_header_bytes},
    {"headers", IN_DEFAULTS, read_headers},
    {"request_line", IN_DEFAULTS, read_request_line},
    {"connections", IN_DEFAULTS, read_connections},
    {"connections_per_ip", IN_DEFAULTS, read_connections_per_ip},
    {"handshakes", IN_DEFAULTS, read_handshakes},
    {"body_rate", IN_DEFAULTS, read_body_rate},
    {"underscores", IN_DEFAULTS, read_underscores},
};
static const struct rules limit_rules = {limit_list, 8, NULL};

static void read_limits(struct reader *reader, const struct json_node *node, void *into)
{
    reader_object(reader, node, &limit_rules, ((struct settings_reader *)into)->here, into);
}

/* --- the rest -----------------------------------------------------------------------------------
 */

static void read_max_body(struct reader *reader, const struct json_node *node, void *into)
{
    struct settings_reader *s = into;

    if (reader_size(reader, node, INT64_MAX, &s->layer.values.max_body))
        s->layer.from[SETTING_MAX_BODY] = node;
}

static void read_host(struct reader *reader, const struct json_node *node, void *into)
{
    struct settings_reader *s = into;
    struct slice text, name;
    uint16_t port;

    if (!reader_text(reader, node, "\"preserve\", \"backend\" or a host name", &text))
        return;
    if (slice_equal(text, slice_of("preserve"))) {
        s->layer.values.host_mode = HOST_PRESERVE;
    } else if (slice_equal(text, slice_of("backend"))) {
        s->layer.values.host_mode = HOST_BACKEND;
    } else if (host_normalise(reader->arena, text, &name, &port)) {
        s->layer.values.host_mode = HOST_NAMED;
        s->layer.values.host_name = text;
    } else {
        reader_error(reader, node, AT_VALUE,
                     "\"%s\" is no host name; \"preserve\", \"backend\" or a name is expected",
                     text.at);
        return;
    }
    s->layer.from[SETTING_HOST] = node;
}

static void read_attempts(struct reader *reader, const struct json_node *node, void *into)
{
    struct settings_reader *s = into;
    uint64_t attempts;

    if (!reader_count(reader, node, 0, RETRIES_MOST, &attempts))
        return;
    /* The first try is none that could be turned off. */
    s->layer.values.retry_attempts = attempts ? (unsigned)attempts : 1;
    s->layer.from[SETTING_RETRY_ATTEMPTS] = node;
}

static void read_budget(struct reader *reader, const struct json_node *node, void *into)
{
    struct settings_reader *s = into;
    unsigned percent;

    if (json_is_integer(node->value) && json_integer_value(node->value) == 0)
        s->layer.values.retry_budget = RETRY_BUDGET_NONE;
    else if (reader_percent(reader, node, &percent))
        s->layer.values.retry_budget = (uint16_t)percent;
    else
        return;
    s->layer.from[SETTING_RETRY_BUDGET] = node;
}

static void read_retry_on(struct reader *reader, const struct json_node *node, void *into)
{
    struct settings_reader *s = into;

    if (retry_on_read(reader, node, &s->layer.values))
        s->layer.from[SETTING_RETRY_ON] = node;
}

static void read_retry_timeout(struct reader *reader, const struct json_node *node, void *into)
{
    struct settings_reader *s = into;
    read_layer_duration(reader, node, s, SETTING_RETRY_TIMEOUT, &s->layer.values.retry_timeout_ms);
}

static const struct rule retry_list[] = {
    {"attempts", IN_ANY, read_attempts},
    {"budget", IN_ANY, read_budget},
    {"on", IN_ANY, read_retry_on},
    {"timeout", IN_ANY, read_retry_timeout},
};
static const struct rules retry_rules = {retry_list, 4, NULL};

static void read_retry(struct reader *reader, const struct json_node *node, void *into)
{
    reader_object(reader, node, &retry_rules, ((struct settings_reader *)into)->here, into);
}

static void read_split_on(struct reader *reader, const struct json_node *node, void *into)
{
    struct settings_reader *s = into;

    s->split_on_node = node;
    affinity_read(reader, node, AFFINITY_OF_SPLITS, &s->split_on);
}

static void read_policy(struct reader *reader, const struct json_node *node, void *into)
{
    struct settings_reader *s = into;
    enum policy_kind kind = policies_kind(node->key);

    if (policies_read(reader, node, s->here, &s->layer.policies[kind]))
        s->layer.from[SETTING_POLICIES + kind] = node;
}

static void keep_tls(struct reader *reader, const struct json_node *node, void *into)
{
    (void)reader;
    ((struct settings_reader *)into)->tls = node;
}

static const struct rule setting_list[] = {
    {"timeout", IN_ANY, read_timeout},     {"limits", IN_DEFAULTS, read_limits},
    {"max_body", IN_ANY, read_max_body},   {"host", IN_ANY, read_host},
    {"retry", IN_ANY, read_retry},         {"tls", IN_HOST, keep_tls},
    {"headers", IN_ANY, headers_read},     {"rewrite", IN_ROUTE, rewrite_read},
    {"split_on", IN_ROUTE, read_split_on}, {"rate_limit", IN_ANY, read_policy},
    {"allow", IN_ANY, read_policy},        {"deny", IN_ANY, read_policy},
    {"auth", IN_ANY, read_policy},         {"cache", IN_ANY, read_policy},
    {"compress", IN_ANY, read_policy},     {"errors", IN_ANY, read_policy},
    {"hsts", IN_ANY, read_policy},
};
const struct rules setting_rules = {setting_list, sizeof(setting_list) / sizeof(setting_list[0]),
                                    &backend_rules};

/* --- merging ------------------------------------------------------------------------------------
 */

static const struct settings built_in = {
    .body_idle_ms = 30 * 1000,
    .connect_ms = 3 * 1000,
    .first_byte_ms = 60 * 1000,
    .idle_ms = 60 * 1000,
    .tunnel_idle_ms = 3600 * 1000,
    .max_body = 0,
    .host_mode = HOST_PRESERVE,
    .retry_attempts = 2,
    .retry_budget = 20,
    .retry_on = RETRY_ON_CONNECT | RETRY_ON_STALE,
};

static void copy_setting(enum setting setting, const struct settings *from, struct settings *to)
{
    switch (setting) {
    case SETTING_BODY_IDLE: to->body_idle_ms = from->body_idle_ms; break;
    case SETTING_CONNECT: to->connect_ms = from->connect_ms; break;
    case SETTING_FIRST_BYTE: to->first_byte_ms = from->first_byte_ms; break;
    case SETTING_IDLE: to->idle_ms = from->idle_ms; break;
    case SETTING_TUNNEL_IDLE: to->tunnel_idle_ms = from->tunnel_idle_ms; break;
    case SETTING_MAX_BODY: to->max_body = from->max_body; break;
    case SETTING_HOST:
        to->host_mode = from->host_mode;
        to->host_name = from->host_name;
        break;
    case SETTING_RETRY_ATTEMPTS: to->retry_attempts = from->retry_attempts; break;
    case SETTING_RETRY_BUDGET: to->retry_budget = from->retry_budget; break;
    case SETTING_RETRY_ON:
        to->retry_on = from->retry_on;
        to->retry_status_count = from->retry_status_count;
        memcpy(to->retry_statuses, from->retry_statuses, sizeof(to->retry_statuses));
        break;
    case SETTING_RETRY_TIMEOUT: to->retry_timeout_ms = from->retry_timeout_ms; break;
    case SETTING_STRIP_PREFIX: to->rewrite.strip_prefix = from->rewrite.strip_prefix; break;
    case SETTING_ADD_PREFIX: to->rewrite.add_prefix = from->rewrite.add_prefix; break;
    case SETTING_REQUEST_HEADERS:
    case SETTING_RESPONSE_HEADERS: break; /* merged name by name */
    default: break;                       /* policies: below */
    }
}

static void merge_headers(const struct layer *const layers[SETTING_PLACES], struct arena *arena,
                          struct settings *settings)
{
    const struct header_layer *request[SETTING_PLACES] = {NULL}, *response[SETTING_PLACES] = {NULL};

    for (int place = SETTING_OF_DEFAULTS; place < SETTING_PLACES; place++) {
        if (!layers[place])
            continue;
        request[place] = &layers[place]->request_headers;
        response[place] = &layers[place]->response_headers;
    }
    headers_merge(request, arena, &settings->request_headers);
    headers_merge(response, arena, &settings->response_headers);
}

/* NULL: nowhere is any, or all are off again. */
static const struct policies *merge_policies(const struct layer *const layers[SETTING_PLACES],
                                             struct arena *arena, struct policy_pile *pile)
{
    struct policies merged = {{NULL}}, *policies;
    bool has_any = false;

    for (int place = SETTING_OF_DEFAULTS; place < SETTING_PLACES; place++)
        for (enum policy_kind kind = 0; layers[place] && kind < POLICY_KINDS; kind++)
            if (layers[place]->from[SETTING_POLICIES + kind])
                merged.of[kind] =
                    policies_merge(pile, layers[place]->policies[kind], merged.of[kind]);
    for (enum policy_kind kind = 0; kind < POLICY_KINDS; kind++)
        has_any |= merged.of[kind] != NULL;
    if (!has_any)
        return NULL;
    policies = arena_alloc(arena, sizeof(*policies));
    *policies = merged;
    return policies;
}

void settings_merge(const struct layer *const layers[SETTING_PLACES], struct arena *arena,
                    struct policy_pile *pile, struct settings *settings)
{
    *settings = built_in;
    for (int place = SETTING_OF_DEFAULTS; place < SETTING_PLACES; place++)
        for (enum setting setting = 0; layers[place] && setting < SETTING_COUNT; setting++)
            if (layers[place]->from[setting]) {
                copy_setting(setting, &layers[place]->values, settings);
                settings->from[setting] = (uint8_t)place;
            }
    merge_headers(layers, arena, settings);
    settings->policies = merge_policies(layers, arena, pile);
    settings->host_name = arena_copy(arena, settings->host_name);
    settings->rewrite.strip_prefix = arena_copy(arena, settings->rewrite.strip_prefix);
    settings->rewrite.add_prefix = arena_copy(arena, settings->rewrite.add_prefix);
}

void settings_copy_layer(struct layer *layer, struct arena *arena)
{
    layer->values.host_name = arena_copy(arena, layer->values.host_name);
    headers_copy_layer(&layer->request_headers, arena);
    headers_copy_layer(&layer->response_headers, arena);
}

void settings_read_defaults(struct reader *reader, const struct json_node *node,
                            struct layer *defaults, struct globals *globals)
{
    struct settings_reader s = {.here = IN_DEFAULTS, .globals = globals};
    const struct layer *layers[SETTING_PLACES] = {[SETTING_OF_DEFAULTS] = &s.layer};
    struct settings settings;

    globals->handshake_ms = 10 * 1000;
    globals->header_ms = 10 * 1000;
    globals->keepalive_ms = 75 * 1000;
    globals->limits = (struct h1_limits){
        .head_bytes = 32 * 1024,
        .fields = 100,
        .request_line = 16 * 1024,
        .requests = REQUESTS_MOST,
    };
    if (node)
        reader_object(reader, node, &setting_rules, IN_DEFAULTS, &s);
    settings_merge(layers, reader->arena, reader->policies, &settings);
    globals->body_idle_ms = settings.body_idle_ms;
    *defaults = s.layer;
}

/* How long a client may take to send and to take is up to the gateway alone, and so are what its
 * own answers say and who gets them. */
bool settings_act_without_backend(enum setting setting)
{
    if (setting >= SETTING_POLICIES)
        return policies_act_without_backend((enum policy_kind)(setting - SETTING_POLICIES));
    return setting == SETTING_BODY_IDLE || setting == SETTING_RESPONSE_HEADERS;
}

void settings_refuse_for_backends(struct reader *reader, const struct layer *layer,
                                  const char *what)
{
    for (enum setting setting = 0; setting < SETTING_COUNT; setting++)
        if (layer->from[setting] && !settings_act_without_backend(setting))
            reader_error(reader, layer->from[setting], AT_KEY,
                         "\"%s\" has no effect here: %s asks no backend",
                         layer->from[setting]->key.at, what);
}
