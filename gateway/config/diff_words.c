#include "config/diff_words.h"

#include "base/clock.h"
#include "base/json_text.h"
#include "config/policies.h"
#include "config/retry_on.h"

#include <stdlib.h>

enum { BODY_BEFORE = 12, BODY_SHOWN = 48 }; /* of a body, around where it differs */

static struct slice words(struct arena *arena, const char *text)
{
    return arena_copy(arena, slice_of(text));
}

/* --- values -------------------------------------------------------------------------------------
 */

struct unit {
    const char *name;
    uint64_t worth;
};

/* In the largest unit that leaves no rest; `units` ends with one that is worth 1. */
static struct slice in_units(struct arena *arena, uint64_t value, const struct unit *units)
{
    if (value == 0)
        return words(arena, "off");
    while (value % units->worth != 0)
        units++;
    return arena_printf(arena, "%llu%s", (unsigned long long)(value / units->worth), units->name);
}

struct slice words_duration(struct arena *arena, uint64_t ms)
{
    static const struct unit units[] = {
        {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

    return in_units(arena, ms, units);
}

struct slice words_size(struct arena *arena, uint64_t bytes)
{
    static const struct unit units[] = {
        {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}};

    return in_units(arena, bytes, units);
}

struct slice words_rate(struct arena *arena, uint64_t bytes)
{
    static const struct unit units[] = {
        {"GiB/s", 1 << 30}, {"MiB/s", 1 << 20}, {"KiB/s", 1 << 10}, {"B/s", 1}};

    return in_units(arena, bytes, units);
}

struct slice words_count(struct arena *arena, uint64_t count)
{
    static const struct unit units[] = {{"", 1}};

    return in_units(arena, count, units);
}

struct slice words_percent(struct arena *arena, unsigned percent)
{
    return arena_printf(arena, "%u%%", percent);
}

struct slice words_network(struct arena *arena, const struct network *network)
{
    char text[ADDRESS_TEXT_SIZE];

    network_format(network, text);
    return words(arena, text);
}

static int compare_networks(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct network));
}

struct slice words_proxies(struct arena *arena, const struct listen_spec *listen)
{
    size_t bytes = listen->proxy_count * sizeof(struct network);
    struct network *sorted = arena_alloc(arena, bytes);
    struct slice text = slice_of("");

    memcpy(sorted, listen->proxies, bytes);
    qsort(sorted, listen->proxy_count, sizeof(*sorted), compare_networks);
    for (unsigned i = 0; i < listen->proxy_count; i++) {
        struct slice network = words_network(arena, &sorted[i]);
        text = arena_printf(arena, "%.*s%s%.*s", (int)text.len, text.at, i > 0 ? ", " : "",
                            (int)network.len, network.at);
    }
    return text;
}

/* --- settings -----------------------------------------------------------------------------------
 */

const char *words_setting_key(enum setting setting)
{
    switch (setting) {
    case SETTING_BODY_IDLE: return "timeout.body_idle";
    case SETTING_CONNECT: return "timeout.connect";
    case SETTING_FIRST_BYTE: return "timeout.first_byte";
    case SETTING_IDLE: return "timeout.idle";
    case SETTING_TUNNEL_IDLE: return "timeout.tunnel_idle";
    case SETTING_MAX_BODY: return "max_body";
    case SETTING_HOST: return "host";
    case SETTING_RETRY_ATTEMPTS: return "retry.attempts";
    case SETTING_RETRY_BUDGET: return "retry.budget";
    case SETTING_RETRY_ON: return "retry.on";
    case SETTING_RETRY_TIMEOUT: return "retry.timeout";
    case SETTING_REQUEST_HEADERS: return "headers.request";
    case SETTING_RESPONSE_HEADERS: return "headers.response";
    case SETTING_STRIP_PREFIX: return "rewrite.strip_prefix";
    case SETTING_ADD_PREFIX: return "rewrite.add_prefix";
    default: break;
    }
    return policy_name((enum policy_kind)(setting - SETTING_POLICIES));
}

static struct slice host_words(struct arena *arena, const struct settings *settings)
{
    switch (settings->host_mode) {
    case HOST_PRESERVE: return words(arena, "preserve");
    case HOST_BACKEND: return words(arena, "backend");
    case HOST_NAMED: break;
    }
    return arena_copy(arena, settings->host_name);
}

static struct slice budget_words(struct arena *arena, unsigned budget)
{
    return budget == RETRY_BUDGET_NONE ? words(arena, "off") : words_percent(arena, budget);
}

/* "remove Server, set X-A: 1". */
static struct slice header_words(struct arena *arena, const struct header_edits *edits)
{
    struct buffer out = {0};
    struct slice text;

    for (unsigned i = 0; i < edits->count; i++) {
        const struct header_edit *edit = &edits->list[i];
        buffer_printf(&out, "%s%s %.*s%s", i > 0 ? ", " : "", header_edit_word(edit->kind),
                      (int)edit->name.len, edit->name.at, edit->kind == HEADER_REMOVE ? "" : ": ");
        template_print(&edit->value, &out);
    }
    text = edits->count > 0 ? arena_copy(arena, buffer_content(&out)) : slice_of("none");
    buffer_clear(&out);
    return text;
}

static struct slice prefix_words(struct arena *arena, struct slice prefix)
{
    return prefix.len > 0 ? arena_copy(arena, prefix) : slice_of("off");
}

struct slice words_setting(struct arena *arena, enum setting setting,
                           const struct settings *settings)
{
    switch (setting) {
    case SETTING_BODY_IDLE: return words_duration(arena, settings->body_idle_ms);
    case SETTING_CONNECT: return words_duration(arena, settings->connect_ms);
    case SETTING_FIRST_BYTE: return words_duration(arena, settings->first_byte_ms);
    case SETTING_IDLE: return words_duration(arena, settings->idle_ms);
    case SETTING_TUNNEL_IDLE: return words_duration(arena, settings->tunnel_idle_ms);
    case SETTING_MAX_BODY: return words_size(arena, settings->max_body);
    case SETTING_HOST: return host_words(arena, settings);
    case SETTING_RETRY_ATTEMPTS: return words_count(arena, settings->retry_attempts);
    case SETTING_RETRY_BUDGET: return budget_words(arena, settings->retry_budget);
    case SETTING_RETRY_ON: return retry_on_words(arena, settings);
    case SETTING_RETRY_TIMEOUT: return words_duration(arena, settings->retry_timeout_ms);
    case SETTING_REQUEST_HEADERS: return header_words(arena, &settings->request_headers);
    case SETTING_RESPONSE_HEADERS: return header_words(arena, &settings->response_headers);
    case SETTING_STRIP_PREFIX: return prefix_words(arena, settings->rewrite.strip_prefix);
    case SETTING_ADD_PREFIX: return prefix_words(arena, settings->rewrite.add_prefix);
    default: break;
    }
    return policies_words(
        policies_of(settings->policies, (enum policy_kind)(setting - SETTING_POLICIES)), arena);
}

/* Statuses stand in order. */
static bool is_same_retry_on(const struct settings *a, const struct settings *b)
{
    return a->retry_on == b->retry_on && a->retry_status_count == b->retry_status_count &&
           memcmp(a->retry_statuses, b->retry_statuses,
                  a->retry_status_count * sizeof(a->retry_statuses[0])) == 0;
}

bool words_same_setting(enum setting setting, const struct settings *a, const struct settings *b)
{
    enum policy_kind kind;

    switch (setting) {
    case SETTING_BODY_IDLE: return a->body_idle_ms == b->body_idle_ms;
    case SETTING_CONNECT: return a->connect_ms == b->connect_ms;
    case SETTING_FIRST_BYTE: return a->first_byte_ms == b->first_byte_ms;
    case SETTING_IDLE: return a->idle_ms == b->idle_ms;
    case SETTING_TUNNEL_IDLE: return a->tunnel_idle_ms == b->tunnel_idle_ms;
    case SETTING_MAX_BODY: return a->max_body == b->max_body;
    case SETTING_HOST:
        return a->host_mode == b->host_mode &&
               (a->host_mode != HOST_NAMED || slice_equal(a->host_name, b->host_name));
    case SETTING_RETRY_ATTEMPTS: return a->retry_attempts == b->retry_attempts;
    case SETTING_RETRY_BUDGET: return a->retry_budget == b->retry_budget;
    case SETTING_RETRY_ON: return is_same_retry_on(a, b);
    case SETTING_RETRY_TIMEOUT: return a->retry_timeout_ms == b->retry_timeout_ms;
    case SETTING_REQUEST_HEADERS:
        return header_edits_equal(&a->request_headers, &b->request_headers);
    case SETTING_RESPONSE_HEADERS:
        return header_edits_equal(&a->response_headers, &b->response_headers);
    case SETTING_STRIP_PREFIX: return slice_equal(a->rewrite.strip_prefix, b->rewrite.strip_prefix);
    case SETTING_ADD_PREFIX: return slice_equal(a->rewrite.add_prefix, b->rewrite.add_prefix);
    default: break;
    }
    kind = (enum policy_kind)(setting - SETTING_POLICIES);
    return policies_are_equal(policies_of(a->policies, kind), policies_of(b->policies, kind));
}

/* --- servers ------------------------------------------------------------------------------------
 */

struct slice words_address(struct arena *arena, const struct server_spec *server)
{
    const struct endpoint *endpoint = &server->endpoint;
    char text[ADDRESS_TEXT_SIZE];

    if (endpoint->kind == ENDPOINT_NAME)
        return arena_printf(arena, "%s:%u", endpoint->name, endpoint->port);
    if (endpoint->kind == ENDPOINT_SRV)
        return arena_printf(arena, "srv:%s", endpoint->name);
    address_format(&endpoint->address, text);
    return words(arena, text);
}

/* `share`: how the weight is called, said even where it is 1; NULL: "weight", where it is not. */
static struct slice server_words(struct arena *arena, const struct server_spec *server,
                                 const char *share)
{
    struct slice address = words_address(arena, server);
    const char *backup = server->is_backup ? "backup" : "";

    if (share)
        return arena_printf(arena, "%.*s (%s %u)", (int)address.len, address.at, share,
                            server->weight);
    if (server->weight != 1)
        return arena_printf(arena, "%.*s (weight %u%s%s)", (int)address.len, address.at,
                            server->weight, server->is_backup ? ", " : "", backup);
    if (server->is_backup)
        return arena_printf(arena, "%.*s (backup)", (int)address.len, address.at);
    return address;
}

struct slice words_server(struct arena *arena, const struct server_spec *server)
{
    return server_words(arena, server, NULL);
}

static struct slice joined(struct arena *arena, const struct slice *list, size_t count)
{
    struct buffer out = {0};
    struct slice text;

    for (size_t i = 0; i < count; i++)
        buffer_printf(&out, "%s%.*s", i > 0 ? ", " : "", (int)list[i].len, list[i].at);
    text = arena_copy(arena, buffer_content(&out));
    buffer_clear(&out);
    return text;
}

struct slice words_servers(struct arena *arena, const struct upstream_spec *upstream)
{
    struct slice *list = arena_alloc(arena, (upstream->server_count + 1) * sizeof(*list));

    for (unsigned i = 0; i < upstream->server_count; i++)
        list[i] = words_server(arena, &upstream->servers[i]);
    return joined(arena, list, upstream->server_count);
}

/* --- routes -------------------------------------------------------------------------------------
 */

static int by_text(const void *a, const void *b)
{
    const struct slice *first = a, *second = b;
    size_t shorter = first->len < second->len ? first->len : second->len;
    int order = memcmp(first->at, second->at, shorter);

    return order != 0 ? order : (first->len > second->len) - (first->len < second->len);
}

/* Shares in the order of their words: that of a map's keys means nothing. */
static struct slice split_words(struct arena *arena, const struct route *route)
{
    struct slice *list;
    size_t count = 0;

    for (unsigned i = 0; i < route->target_count; i++)
        count += 1 + route->targets[i].upstream->server_count;
    list = arena_alloc(arena, count * sizeof(*list));
    count = 0;
    for (unsigned i = 0; i < route->target_count; i++) {
        const struct route_target *target = &route->targets[i];
        const struct upstream_spec *upstream = target->upstream;
        for (unsigned k = 0; upstream->is_inline && k < upstream->server_count; k++)
            list[count++] = server_words(arena, &upstream->servers[k], "share");
        if (!upstream->is_inline)
            list[count++] = arena_printf(arena, "backend %.*s (share %u)", (int)upstream->name.len,
                                         upstream->name.at, target->weight);
    }
    qsort(list, count, sizeof(*list), by_text);
    return joined(arena, list, count);
}

static struct slice target_words(struct arena *arena, const struct route *route)
{
    const struct upstream_spec *upstream = route->targets[0].upstream;

    if (route->target_count > 1)
        return split_words(arena, route);
    if (upstream->is_inline)
        return words_servers(arena, upstream);
    return arena_printf(arena, "backend %.*s", (int)upstream->name.len, upstream->name.at);
}

static struct slice redirect_words(struct arena *arena, const struct route *route)
{
    struct buffer out = {0};
    struct slice text;

    buffer_printf(&out, "redirect %d to ", route->status);
    template_print(&route->redirect, &out);
    text = arena_copy(arena, buffer_content(&out));
    buffer_clear(&out);
    return text;
}

struct slice words_route(struct arena *arena, const struct route *route)
{
    switch (route->kind) {
    case ROUTE_TO: return target_words(arena, route);
    case ROUTE_REDIRECT: return redirect_words(arena, route);
    case ROUTE_RESPOND: break;
    }
    return arena_printf(arena, "respond %d", route->status);
}

/* --- responses ----------------------------------------------------------------------------------
 */

/* The value of that name which comes after `nth` others of it. */
static const struct http_field *nth_field(const struct http_fields *fields, struct slice name,
                                          uint32_t nth)
{
    for (uint32_t i = 0; i < fields->count; i++)
        if (slice_equal_nocase(fields->list[i].name, name) && nth-- == 0)
            return &fields->list[i];
    return NULL;
}

/* The order of a map's keys means nothing, that of a name's values does. */
bool words_same_fields(const struct http_fields *a, const struct http_fields *b)
{
    for (uint32_t i = 0; a->count == b->count && i < a->count; i++) {
        const struct http_field *field = &a->list[i], *other;
        uint32_t before = 0;
        for (uint32_t k = 0; k < i; k++)
            before += slice_equal_nocase(a->list[k].name, field->name);
        other = nth_field(b, field->name, before);
        if (!other || !slice_equal(other->value, field->value))
            return false;
    }
    return a->count == b->count;
}

bool words_same_response(const struct route *a, const struct route *b)
{
    return words_same_fields(&a->respond_fields, &b->respond_fields) &&
           slice_equal(a->respond_body, b->respond_body);
}

struct slice words_fields(struct arena *arena, const struct http_fields *fields)
{
    struct slice *list = arena_alloc(arena, (fields->count + 1) * sizeof(*list));

    for (uint32_t i = 0; i < fields->count; i++)
        list[i] = arena_printf(arena, "%.*s: %.*s", (int)fields->list[i].name.len,
                               fields->list[i].name.at, (int)fields->list[i].value.len,
                               fields->list[i].value.at);
    return fields->count > 0 ? joined(arena, list, fields->count) : slice_of("none");
}

size_t words_body_start(struct slice a, struct slice b)
{
    size_t at = 0;

    while (at < a.len && at < b.len && a.at[at] == b.at[at])
        at++;
    return at > BODY_BEFORE ? at - BODY_BEFORE : 0;
}

struct slice words_body(struct arena *arena, struct slice body, size_t from)
{
    struct buffer out = {0};
    struct slice text;
    size_t start = from < body.len ? from : body.len;
    size_t length = body.len - start < BODY_SHOWN ? body.len - start : BODY_SHOWN;

    buffer_append_text(&out, start > 0 ? "..." : "");
    json_append_string(&out, slice_make(slice_skip(body, start).at, length));
    buffer_append_text(&out, start + length < body.len ? "..." : "");
    text = arena_copy(arena, buffer_content(&out));
    buffer_clear(&out);
    return body.len > 0 ? text : slice_of("none");
}

/* --- sets of backends ---------------------------------------------------------------------------
 */

static bool has_backend(const struct route *route, const struct upstream_spec *like)
{
    for (unsigned i = 0; i < route->target_count; i++)
        if (route->targets[i].weight > 0 &&
            route->targets[i].upstream->is_inline == like->is_inline &&
            (like->is_inline || slice_equal(route->targets[i].upstream->name, like->name)))
            return true;
    return false;
}

static bool has_all_backends(const struct route *a, const struct route *b)
{
    for (unsigned i = 0; i < a->target_count; i++)
        if (a->targets[i].weight > 0 && !has_backend(b, a->targets[i].upstream))
            return false;
    return true;
}

bool words_same_backends(const struct route *a, const struct route *b)
{
    return has_all_backends(a, b) && has_all_backends(b, a);
}

/* --- certificates -------------------------------------------------------------------------------
 */

struct slice words_certificate_end(struct arena *arena, int64_t not_after)
{
    char until[CLOCK_TEXT_SIZE];

    clock_format(not_after * 1000, until);
    return arena_printf(arena, "until %.10s", until);
}

struct slice words_certificate(struct arena *arena, const struct certificate *certificate)
{
    struct slice end = words_certificate_end(arena, certificate_not_after(certificate));

    return arena_printf(arena, "%s (%s, %.*s)", certificate_file(certificate),
                        cert_key_name(certificate_key(certificate)), (int)end.len, end.at);
}
