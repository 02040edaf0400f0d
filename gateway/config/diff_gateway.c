/* What the route file says of the gateway as a whole, compared. */
#include "config/diff_internal.h"
#include "config/redis.h"

enum { UNLIMITED = 1 << 30 }; /* how limits of heads hold an "off" */

static void compare(struct comparison *c, const char *key, struct slice was, struct slice is)
{
    if (slice_equal(was, is))
        return;
    comparison_add(c, (struct change){.kind = CHANGE_CHANGED,
                                      .about = ABOUT_GATEWAY,
                                      .key = slice_of(key),
                                      .was = was,
                                      .is = is});
}

/* --- sets ---------------------------------------------------------------------------------------
 */

/* A list whose order means nothing, by its elements' words. */
struct word_set {
    struct slice *list;
    size_t count;
};

static bool has_word(const struct word_set *set, struct slice word)
{
    for (size_t i = 0; i < set->count; i++)
        if (slice_equal(set->list[i], word))
            return true;
    return false;
}

static void compare_sets(struct comparison *c, const char *key, const struct word_set *was,
                         const struct word_set *is)
{
    for (size_t i = 0; i < is->count; i++)
        if (!has_word(was, is->list[i]))
            comparison_add(c, (struct change){.kind = CHANGE_ADDED,
                                              .about = ABOUT_GATEWAY,
                                              .key = slice_of(key),
                                              .is = is->list[i]});
    for (size_t i = 0; i < was->count; i++)
        if (!has_word(is, was->list[i]))
            comparison_add(c, (struct change){.kind = CHANGE_REMOVED,
                                              .about = ABOUT_GATEWAY,
                                              .key = slice_of(key),
                                              .was = was->list[i]});
}

static struct word_set new_set(struct comparison *c, size_t room)
{
    return (struct word_set){.list = arena_alloc(c->arena, (room + 1) * sizeof(struct slice))};
}

/* --- listeners ----------------------------------------------------------------------------------
 */

static struct slice listener_words(struct arena *arena, const struct listen_spec *spec)
{
    char addresses[2][ADDRESS_TEXT_SIZE] = {"", ""};

    for (int i = 0; i < spec->address_count; i++)
        address_format(&spec->addresses[i], addresses[i]);
    struct slice text =
        arena_printf(arena, "%s%s%s%s", addresses[0], spec->address_count > 1 ? " and " : "",
                     addresses[1], spec->serves_routes ? ", serves routes" : "");
    if (spec->https_port)
        text = arena_printf(arena, "%.*s, https_port %u", (int)text.len, text.at, spec->https_port);
    if (spec->acme_webroot)
        text = arena_printf(arena, "%.*s, acme_webroot %s", (int)text.len, text.at,
                            spec->acme_webroot);
    if (spec->proxy_count > 0) {
        struct slice proxies = words_proxies(arena, spec);
        text = arena_printf(arena, "%.*s, proxy_protocol from %.*s", (int)text.len, text.at,
                            (int)proxies.len, proxies.at);
    }
    return text;
}

static struct word_set listeners(struct comparison *c, const struct globals *globals,
                                 enum listen_kind kind)
{
    struct word_set set = new_set(c, globals->listen_count);

    for (unsigned i = 0; i < globals->listen_count; i++)
        if (globals->listens[i].kind == kind)
            set.list[set.count++] = listener_words(c->arena, &globals->listens[i]);
    if (set.count == 0 && kind == LISTEN_ADMIN && !globals->admin_is_named)
        set.list[set.count++] = slice_of("the usual places");
    return set;
}

static void compare_listeners(struct comparison *c)
{
    static const char *const keys[] = {[LISTEN_HTTPS] = "listen.https",
                                       [LISTEN_HTTP] = "listen.http",
                                       [LISTEN_STATUS] = "listen.status",
                                       [LISTEN_ADMIN] = "listen.admin"};

    for (enum listen_kind kind = LISTEN_HTTPS; kind <= LISTEN_ADMIN; kind++) {
        struct word_set was = listeners(c, c->was->globals, kind);
        struct word_set is = listeners(c, c->is->globals, kind);

        if (was.count == 1 && is.count == 1)
            compare(c, keys[kind], was.list[0], is.list[0]);
        else
            compare_sets(c, keys[kind], &was, &is);
    }
}

/* --- certificates and TLS -----------------------------------------------------------------------
 */

static struct word_set cert_sources(struct comparison *c, const struct config *config)
{
    struct word_set set = new_set(c, config->cert_source_count);

    for (size_t i = 0; i < config->cert_source_count; i++) {
        const struct cert_source *source = &config->cert_sources[i];
        set.list[set.count++] =
            source->kind == CERT_SOURCE_PAIR
                ? arena_printf(c->arena, "%s with %s", source->path, source->key)
                : arena_copy(c->arena, slice_of(source->path));
    }
    return set;
}

static struct slice on_or_off(bool is_on)
{
    return slice_of(is_on ? "true" : "false");
}

static struct slice alpn_words(struct comparison *c, const struct tls_settings *tls)
{
    struct slice text = slice_of("");

    for (size_t i = 0; i < tls->alpn_count; i++)
        text = arena_printf(c->arena, "%.*s%s%s", (int)text.len, text.at, i > 0 ? ", " : "",
                            tls->alpn[i]);
    return text;
}

static void compare_tls(struct comparison *c)
{
    const struct tls_settings *was = &c->was->config->tls, *is = &c->is->config->tls;
    struct word_set sources_were = cert_sources(c, c->was->config);
    struct word_set sources_are = cert_sources(c, c->is->config);

    compare_sets(c, "certs", &sources_were, &sources_are);
    compare(c, "certs_strict", on_or_off(c->was->globals->certs_strict),
            on_or_off(c->is->globals->certs_strict));
    compare(c, "tls.min_version", slice_of(was->min_version == TLS_1_2 ? "1.2" : "1.3"),
            slice_of(is->min_version == TLS_1_2 ? "1.2" : "1.3"));
    compare(c, "tls.alpn", alpn_words(c, was), alpn_words(c, is));
    compare(c, "tls.tickets", on_or_off(was->tickets), on_or_off(is->tickets));
    compare(c, "tls.unknown_sni", slice_of(was->reject_unknown_sni ? "reject" : "default"),
            slice_of(is->reject_unknown_sni ? "reject" : "default"));
    compare(c, "tls.default_cert",
            was->default_name ? arena_copy(c->arena, slice_of(was->default_name))
                              : slice_of("none"),
            is->default_name ? arena_copy(c->arena, slice_of(is->default_name)) : slice_of("none"));
}

/* --- the rest -----------------------------------------------------------------------------------
 */

static struct word_set proxies(struct comparison *c, const struct globals *globals)
{
    struct word_set set = new_set(c, globals->trusted_proxy_count);

    for (unsigned i = 0; i < globals->trusted_proxy_count; i++)
        set.list[set.count++] = words_network(c->arena, &globals->trusted_proxies[i]);
    return set;
}

static struct slice dns_words(struct comparison *c, const struct globals *globals)
{
    struct slice text = slice_of(globals->dns_server_count > 0 ? "" : "the system's");
    char server[ADDRESS_TEXT_SIZE];

    for (unsigned i = 0; i < globals->dns_server_count; i++) {
        address_format(&globals->dns_servers[i], server);
        text =
            arena_printf(c->arena, "%.*s%s%s", (int)text.len, text.at, i > 0 ? ", " : "", server);
    }
    return text;
}

/* A password, or a user, is told by its being there alone. */
static struct slice redis_words(struct comparison *c, const struct globals *globals)
{
    return globals->redis ? redis_in_words(globals->redis, c->arena) : slice_of("none");
}

static void compare_redis(struct comparison *c)
{
    const struct redis_spec *was = c->was->globals->redis, *is = c->is->globals->redis;
    struct slice before = redis_words(c, c->was->globals), after = redis_words(c, c->is->globals);

    if (was && is && was->fingerprint != is->fingerprint && slice_equal(before, after))
        after = arena_printf(c->arena, "%.*s (as another one)", (int)after.len, after.at);
    compare(c, "redis", before, after);
}

static struct slice access_words(struct comparison *c, const struct globals *globals)
{
    switch (globals->access_log) {
    case ACCESS_LOG_STDOUT: return slice_of("stdout");
    case ACCESS_LOG_OFF: return slice_of("off");
    case ACCESS_LOG_FILE: break;
    }
    return arena_copy(c->arena, slice_of(globals->access_log_path));
}

static const char *level_word(enum log_level level)
{
    switch (level) {
    case LOG_ERROR: return "error";
    case LOG_WARN: return "warn";
    case LOG_INFO: return "info";
    case LOG_DEBUG: return "debug";
    }
    return "";
}

static void compare_logs(struct comparison *c)
{
    const struct globals *was = c->was->globals, *is = c->is->globals;

    compare(c, "log.access", access_words(c, was), access_words(c, is));
    compare(c, "log.format", slice_of(was->log_format == LOG_TEXT ? "text" : "json"),
            slice_of(is->log_format == LOG_TEXT ? "text" : "json"));
    compare(c, "log.level", slice_of(level_word(was->log_level)),
            slice_of(level_word(is->log_level)));
    compare(c, "log.query", on_or_off(was->log_query), on_or_off(is->log_query));
}

static void compare_time(struct comparison *c, const char *key, uint64_t was, uint64_t is)
{
    if (was != is)
        compare(c, key, words_duration(c->arena, was), words_duration(c->arena, is));
}

static uint64_t or_off(uint64_t limit)
{
    return limit >= UNLIMITED ? 0 : limit;
}

static const char *watch_word(enum watch_mode watch)
{
    switch (watch) {
    case WATCH_MODE_CERTS: return "certs";
    case WATCH_MODE_ALL: return "all";
    case WATCH_MODE_OFF: break;
    }
    return "off";
}

static void compare_limits(struct comparison *c)
{
    const struct h1_limits *was = &c->was->globals->limits, *is = &c->is->globals->limits;
    struct arena *arena = c->arena;

    compare(c, "defaults.limits.header_bytes", words_size(arena, or_off(was->head_bytes)),
            words_size(arena, or_off(is->head_bytes)));
    compare(c, "defaults.limits.headers", words_count(arena, or_off(was->fields)),
            words_count(arena, or_off(is->fields)));
    compare(c, "defaults.limits.request_line", words_size(arena, or_off(was->request_line)),
            words_size(arena, or_off(is->request_line)));
    compare(c, "defaults.limits.underscores", on_or_off(was->underscores),
            on_or_off(is->underscores));
    compare(c, "defaults.limits.body_rate", words_rate(arena, c->was->globals->body_rate),
            words_rate(arena, c->is->globals->body_rate));
}

static void compare_count(struct comparison *c, const char *path, uint64_t was, uint64_t is)
{
    compare(c, path, words_count(c->arena, was), words_count(c->arena, is));
}

static void compare_client_limits(struct comparison *c)
{
    const struct client_limits *was = &c->was->globals->client_limits;
    const struct client_limits *is = &c->is->globals->client_limits;

    compare_count(c, "defaults.limits.connections", was->connections, is->connections);
    compare_count(c, "defaults.limits.connections_per_ip", was->connections_per_ip,
                  is->connections_per_ip);
    compare_count(c, "defaults.limits.handshakes", was->handshakes, is->handshakes);
}

static struct slice name_words(struct comparison *c, const char *name)
{
    return name ? arena_copy(c->arena, slice_of(name)) : slice_of("none");
}

static void compare_process_user(struct comparison *c)
{
    const struct process_user *was = &c->was->globals->process_user;
    const struct process_user *is = &c->is->globals->process_user;

    compare(c, "user", name_words(c, was->user), name_words(c, is->user));
    compare(c, "group", name_words(c, was->group), name_words(c, is->group));
}

void compare_gateway(struct comparison *c)
{
    const struct globals *was = c->was->globals, *is = c->is->globals;
    struct word_set proxies_were = proxies(c, was), proxies_are = proxies(c, is);

    compare_listeners(c);
    compare_tls(c);
    compare(c, "watch", slice_of(watch_word(was->watch)), slice_of(watch_word(is->watch)));
    compare_sets(c, "trusted_proxies", &proxies_were, &proxies_are);
    compare(c, "dns.servers", dns_words(c, was), dns_words(c, is));
    compare_redis(c);
    compare_logs(c);
    compare_time(c, "drain_delay", was->drain_delay_ms, is->drain_delay_ms);
    compare_time(c, "drain_timeout", was->drain_timeout_ms, is->drain_timeout_ms);
    compare_time(c, "defaults.timeout.handshake", was->handshake_ms, is->handshake_ms);
    compare_time(c, "defaults.timeout.header", was->header_ms, is->header_ms);
    compare_time(c, "defaults.timeout.keepalive", was->keepalive_ms, is->keepalive_ms);
    compare_limits(c);
    compare_client_limits(c);
    compare_process_user(c);
    compare(c, "metrics.series", words_count(c->arena, was->metrics_series),
            words_count(c->arena, is->metrics_series));
}
