#include "upstream/server_series.h"

#include "base/check.h"

#include <stdlib.h>

const char *upstream_outcome_name(enum upstream_outcome outcome)
{
    static const char *const names[UPSTREAM_OUTCOMES] = {
        [UPSTREAM_1XX] = "1xx",
        [UPSTREAM_2XX] = "2xx",
        [UPSTREAM_3XX] = "3xx",
        [UPSTREAM_4XX] = "4xx",
        [UPSTREAM_5XX] = "5xx",
        [UPSTREAM_CONNECT_FAILED] = "connect_failed",
        [UPSTREAM_CONNECT_TIMEOUT] = "connect_timeout",
        [UPSTREAM_STALE] = "stale",
        [UPSTREAM_RESET] = "reset",
        [UPSTREAM_BAD_RESPONSE] = "bad_response",
        [UPSTREAM_TIMEOUT] = "timeout",
        [UPSTREAM_IDLE] = "idle",
        [UPSTREAM_CANCELED] = "canceled",
    };

    assert((unsigned)outcome < UPSTREAM_OUTCOMES);
    return names[outcome];
}

bool upstream_outcome_blames_server(enum upstream_outcome outcome)
{
    return outcome == UPSTREAM_RESET || outcome == UPSTREAM_BAD_RESPONSE ||
           outcome == UPSTREAM_TIMEOUT || outcome == UPSTREAM_IDLE;
}

void server_series_init(struct server_series *series, unsigned views)
{
    series->backends = series_new(views, 0);
    series->servers = series_new(views, 0);
    series->pairs = series_new(views, UPSTREAM_OUTCOMES);
    series_set_limit(series->pairs, SERIES_UNLIMITED); /* it follows from the other two */
}

void server_series_clear(struct server_series *series)
{
    series_free(series->backends);
    series_free(series->servers);
    series_free(series->pairs);
}

void server_view_init(struct server_view *view, const struct server_series *series, unsigned number)
{
    series_view_init(&view->backends, series->backends, number);
    series_view_init(&view->servers, series->servers, number);
    series_view_init(&view->pairs, series->pairs, number);
}

void server_view_clear(struct server_view *view)
{
    series_view_clear(&view->backends);
    series_view_clear(&view->servers);
    series_view_clear(&view->pairs);
}

_Atomic uint64_t *server_view_counters(struct server_view *view, struct slice backend,
                                       struct slice server)
{
    struct slice of_backend = series_name(series_find(&view->backends, backend));
    struct slice of_server = series_name(series_find(&view->servers, server));
    size_t length = of_backend.len + 1 + of_server.len;
    char *pair = memory_new(length);
    struct series_entry *entry;

    memcpy(pair, of_backend.at, of_backend.len);
    memcpy(pair + of_backend.len + 1, of_server.at, of_server.len);
    entry = series_find(&view->pairs, slice_make(pair, length));
    free(pair);
    return series_counters(&view->pairs, entry);
}
