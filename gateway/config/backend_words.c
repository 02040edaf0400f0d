#include "config/backend_words.h"

#include "config/affinity.h"
#include "config/diff_words.h"

static const char *const names[UPSTREAM_KEY_COUNT] = {
    [UPSTREAM_KEEPALIVE] = "keepalive",
    [UPSTREAM_PROXY_PROTOCOL] = "proxy_protocol",
    [UPSTREAM_BALANCE] = "balance",
    [UPSTREAM_HASH_ON] = "hash_on",
    [UPSTREAM_STICKY] = "sticky",
    [UPSTREAM_STICKY_TTL] = "sticky.ttl",
    [UPSTREAM_STICKY_KEY] = "sticky.key",
    [UPSTREAM_SLOW_START] = "slow_start",
    [UPSTREAM_HEALTH] = "health",
    [UPSTREAM_HEALTH_HOST] = "health.host",
    [UPSTREAM_HEALTH_STATUS] = "health.status",
    [UPSTREAM_HEALTH_BODY] = "health.body",
    [UPSTREAM_HEALTH_EVERY] = "health.every",
    [UPSTREAM_HEALTH_TIMEOUT] = "health.timeout",
    [UPSTREAM_HEALTH_RISE] = "health.rise",
    [UPSTREAM_HEALTH_FALL] = "health.fall",
    [UPSTREAM_EJECT] = "eject",
    [UPSTREAM_EJECT_AFTER] = "eject.after",
    [UPSTREAM_EJECT_FOR] = "eject.for",
    [UPSTREAM_EJECT_MAX] = "eject.max",
    [UPSTREAM_HOLD] = "hold",
    [UPSTREAM_HOLD_FOR] = "hold.for",
    [UPSTREAM_HOLD_QUEUE] = "hold.queue",
    [UPSTREAM_MAX_CONNECTIONS] = "max_connections",
    [UPSTREAM_MAX_REQUESTS] = "max_requests",
    [UPSTREAM_MIN_IDLE] = "min_idle",
    [UPSTREAM_HEDGE] = "hedge",
};

static const struct slice not_in_force = {"", 0};

const char *backend_key_name(enum upstream_key key)
{
    return names[key];
}

static struct slice on_or_off(bool is_on)
{
    return slice_of(is_on ? "on" : "off");
}

static struct slice sticky_words(struct arena *arena, enum upstream_key key,
                                 const struct sticky_spec *sticky)
{
    bool is_on = sticky->cookie.len > 0;

    if (key == UPSTREAM_STICKY)
        return is_on ? arena_copy(arena, sticky->cookie) : slice_of("off");
    if (!is_on)
        return not_in_force;
    if (key == UPSTREAM_STICKY_TTL)
        return words_duration(arena, sticky->ttl_ms);
    return slice_of(sticky->key.len > 0 ? "written" : "of the process");
}

static struct slice status_words(struct arena *arena, const struct health_spec *health)
{
    struct slice text = slice_of("");

    for (unsigned i = 0; i < health->status_count; i++) {
        const struct status_range *range = &health->statuses[i];
        text = arena_printf(arena, "%.*s%s%u", (int)text.len, text.at, i > 0 ? ", " : "",
                            range->least);
        if (range->most > range->least)
            text = arena_printf(arena, "%.*s-%u", (int)text.len, text.at, range->most);
    }
    return text;
}

/* How a server is asked. */
static struct slice check_words(struct arena *arena, const struct health_spec *health)
{
    if (!health->is_on)
        return slice_of("off");
    if (health->path.len == 0)
        return slice_of("connect");
    return arena_printf(arena, "%.*s %.*s", (int)health->method.len, health->method.at,
                        (int)health->path.len, health->path.at);
}

static struct slice health_words(struct arena *arena, enum upstream_key key,
                                 const struct health_spec *health)
{
    bool is_request = health->path.len > 0;

    if (key == UPSTREAM_HEALTH)
        return check_words(arena, health);
    if (!health->is_on)
        return not_in_force;
    switch (key) {
    case UPSTREAM_HEALTH_EVERY: return words_duration(arena, health->every_ms);
    case UPSTREAM_HEALTH_TIMEOUT: return words_duration(arena, health->timeout_ms);
    case UPSTREAM_HEALTH_RISE: return words_count(arena, health->rise);
    case UPSTREAM_HEALTH_FALL: return words_count(arena, health->fall);
    default: break;
    }
    if (!is_request)
        return not_in_force;
    if (key == UPSTREAM_HEALTH_STATUS)
        return status_words(arena, health);
    if (key == UPSTREAM_HEALTH_HOST)
        return health->host.len > 0 ? arena_copy(arena, health->host) : slice_of("backend");
    return health->body.len > 0 ? words_body(arena, health->body, 0) : slice_of("off");
}

static struct slice eject_words(struct arena *arena, enum upstream_key key,
                                const struct eject_spec *eject)
{
    if (key == UPSTREAM_EJECT)
        return on_or_off(eject->after > 0);
    if (eject->after == 0)
        return not_in_force;
    if (key == UPSTREAM_EJECT_AFTER)
        return words_count(arena, eject->after);
    if (key == UPSTREAM_EJECT_FOR)
        return words_duration(arena, eject->for_ms);
    return words_percent(arena, eject->most_percent);
}

static struct slice hold_words(struct arena *arena, enum upstream_key key,
                               const struct hold_spec *hold)
{
    if (key == UPSTREAM_HOLD)
        return on_or_off(hold->for_ms > 0);
    if (hold->for_ms == 0)
        return not_in_force;
    return key == UPSTREAM_HOLD_FOR ? words_duration(arena, hold->for_ms)
                                    : words_count(arena, hold->queue);
}

static struct slice balance_words(enum balance balance)
{
    static const char *const words[] = {
        [BALANCE_ROUND_ROBIN] = "round_robin",
        [BALANCE_LEAST_REQUESTS] = "least_requests",
        [BALANCE_RANDOM] = "random",
        [BALANCE_LATENCY] = "latency",
        [BALANCE_HASH] = "hash",
    };
    return slice_of(words[balance]);
}

/* 950: "p95"; 999: "p99.9". */
static struct slice hedge_words(struct arena *arena, unsigned permille)
{
    if (permille == 0)
        return slice_of("off");
    if (permille % 10 == 0)
        return arena_printf(arena, "p%u", permille / 10);
    return arena_printf(arena, "p%u.%u", permille / 10, permille % 10);
}

struct slice backend_words(struct arena *arena, enum upstream_key key,
                           const struct upstream_spec *upstream)
{
    switch (key) {
    case UPSTREAM_KEEPALIVE: return words_count(arena, upstream->keepalive);
    case UPSTREAM_PROXY_PROTOCOL: return slice_of(upstream->names_clients ? "v2" : "off");
    case UPSTREAM_BALANCE: return balance_words(upstream->balance);
    case UPSTREAM_HASH_ON:
        return upstream->balance == BALANCE_HASH ? affinity_words(arena, &upstream->hash_on)
                                                 : not_in_force;
    case UPSTREAM_STICKY:
    case UPSTREAM_STICKY_TTL:
    case UPSTREAM_STICKY_KEY: return sticky_words(arena, key, &upstream->sticky);
    case UPSTREAM_SLOW_START: return words_duration(arena, upstream->slow_start_ms);
    case UPSTREAM_HEALTH:
    case UPSTREAM_HEALTH_HOST:
    case UPSTREAM_HEALTH_STATUS:
    case UPSTREAM_HEALTH_BODY:
    case UPSTREAM_HEALTH_EVERY:
    case UPSTREAM_HEALTH_TIMEOUT:
    case UPSTREAM_HEALTH_RISE:
    case UPSTREAM_HEALTH_FALL: return health_words(arena, key, &upstream->health);
    case UPSTREAM_EJECT:
    case UPSTREAM_EJECT_AFTER:
    case UPSTREAM_EJECT_FOR:
    case UPSTREAM_EJECT_MAX: return eject_words(arena, key, &upstream->eject);
    case UPSTREAM_HOLD:
    case UPSTREAM_HOLD_FOR:
    case UPSTREAM_HOLD_QUEUE: return hold_words(arena, key, &upstream->hold);
    case UPSTREAM_MAX_CONNECTIONS: return words_count(arena, upstream->max_connections);
    case UPSTREAM_MAX_REQUESTS: return words_count(arena, upstream->max_requests);
    case UPSTREAM_MIN_IDLE: return words_count(arena, upstream->min_idle);
    case UPSTREAM_HEDGE: return hedge_words(arena, upstream->hedge_permille);
    case UPSTREAM_KEY_COUNT: break;
    }
    return not_in_force;
}
