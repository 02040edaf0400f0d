#include "control/server_metrics.h"

#include "base/table.h"
#include "control/metrics_text.h"

/* --- what was counted --------------------------------------------------------------------------
 */

static void print_requests(const struct status_page *page, struct buffer *out)
{
    struct series *pairs = page->control->traffic->servers.pairs;
    uint64_t sums[UPSTREAM_OUTCOMES];
    struct slice pair;
    struct metrics_family family =
        metrics_begin(out, "sallyport_upstream_requests_total", "counter",
                      "Tries to have a request answered by a server, by how they ended.");

    for (size_t at = 0; series_next(pairs, &at, &pair, sums);) {
        size_t end = (size_t)slice_find(pair, '\0');
        family.labels[0] = (struct metrics_label){"backend", slice_make(pair.at, end)};
        family.labels[1] = (struct metrics_label){"server", slice_skip(pair, end + 1)};
        for (int i = 0; i < UPSTREAM_OUTCOMES; i++) {
            const char *name = upstream_outcome_name((enum upstream_outcome)i);
            family.labels[2] = (struct metrics_label){"outcome", slice_of(name)};
            if (sums[i] > 0)
                metrics_sample(&family, sums[i]);
        }
    }
}

static void print_retries(const struct status_page *page, struct buffer *out)
{
    metrics_single(out, "sallyport_upstream_retries_total", "counter",
                   "Tries that were made because an earlier one had failed.",
                   page->metrics[METRIC_UPSTREAM_RETRIES]);
    metrics_single(out, "sallyport_upstream_retries_refused_total", "counter",
                   "Tries that were not made because the budget was spent.",
                   page->metrics[METRIC_UPSTREAM_RETRIES_REFUSED]);
    metrics_single(out, "sallyport_upstream_hedges_total", "counter",
                   "Tries with a second server that were made because the first one was slow.",
                   page->metrics[METRIC_UPSTREAM_HEDGES]);
}

static void print_connect_times(const struct status_page *page, struct buffer *out)
{
    struct metrics_family family =
        metrics_begin(out, "sallyport_upstream_connect_duration_seconds", "histogram",
                      "How long connections to servers took that could be made.");

    metrics_histogram(&family, page->connect_counts, page->connect_us);
}

static void print_checks(const struct status_page *page, struct buffer *out)
{
    struct metrics_family family = metrics_begin(out, "sallyport_upstream_checks_total", "counter",
                                                 "Active checks of servers by what they came to.");

    for (int i = 0; i < HEALTH_RESULTS; i++) {
        const char *name = health_result_name((enum health_result)i);
        family.labels[0] = (struct metrics_label){"result", slice_of(name)};
        metrics_sample(&family, page->checks[i]);
    }
}

/* --- what is up --------------------------------------------------------------------------------
 */

/* The servers of the generation served may never have been asked for anything: they are named while
 * there is room, and do not take it from those that will. */
struct labelling {
    struct series *series; /* of names that have been met */
    struct table added;
    size_t room;
};

static struct slice label_of(struct labelling *labels, struct slice name)
{
    if (table_get(&labels->added, name) != NULL || series_has(labels->series, name))
        return name;
    if (labels->room == 0)
        return slice_of("other");
    labels->room--;
    table_put(&labels->added, name, labels);
    return name;
}

static struct labelling labelling_of(struct series *series)
{
    return (struct labelling){.series = series, .room = series_room(series)};
}

/* Several servers together as one sample: it is up when they all are. */
struct joined {
    struct slice backend, server;
    bool is_up;
};

struct up_page {
    struct metrics_family family;
    struct labelling backends, servers;
    struct table joined;
    struct arena arena;
};

static void print_one(struct up_page *up, struct slice backend, struct slice server, bool is_up)
{
    up->family.labels[0] = (struct metrics_label){"backend", backend};
    up->family.labels[1] = (struct metrics_label){"server", server};
    metrics_sample(&up->family, is_up);
}

static void join(struct up_page *up, struct slice backend, struct slice server, bool is_up)
{
    struct slice key = arena_printf(&up->arena, "%.*s\n%.*s", (int)backend.len, backend.at,
                                    (int)server.len, server.at);
    struct joined *joined = table_get(&up->joined, key);

    if (joined == NULL) {
        joined = arena_alloc(&up->arena, sizeof(*joined));
        *joined = (struct joined){.backend = backend, .server = server, .is_up = true};
        table_put(&up->joined, key, joined);
    }
    joined->is_up &= is_up;
}

static void print_server(struct up_page *up, struct slice backend, struct slice server, bool is_up)
{
    struct slice other = slice_of("other");

    if (slice_equal(backend, other) || slice_equal(server, other))
        join(up, backend, server, is_up);
    else
        print_one(up, backend, server, is_up);
}

static void print_up(const struct status_page *page, struct buffer *out)
{
    const struct server_series *series = &page->control->traffic->servers;
    struct up_page up = {.backends = labelling_of(series->backends),
                         .servers = labelling_of(series->servers)};

    arena_init(&up.arena);
    up.family = metrics_begin(out, "sallyport_upstream_up", "gauge",
                              "1 if every worker would ask the server, 0 if one passes it over or "
                              "checks say that it is down.");
    for (unsigned i = 0; i < page->backend_count; i++) {
        const struct status_backend *backend = &page->backends[i];
        struct slice name = label_of(&up.backends, backend->name);
        for (unsigned k = 0; k < backend->server_count; k++)
            print_server(&up, name, label_of(&up.servers, backend->servers[k].name),
                         status_server_is_up(&backend->servers[k]));
    }
    const struct table_entry *entry;
    for (size_t at = 0; (entry = table_next(&up.joined, &at)) != NULL;) {
        const struct joined *joined = entry->value;
        print_one(&up, joined->backend, joined->server, joined->is_up);
    }
    table_clear(&up.joined);
    table_clear(&up.backends.added);
    table_clear(&up.servers.added);
    arena_clear(&up.arena);
}

/* --- limits ------------------------------------------------------------------------------------
 */

/* Of the backends that hold any. */
static void print_held(const struct status_page *page, struct buffer *out)
{
    struct labelling backends = labelling_of(page->control->traffic->servers.backends);
    struct metrics_family family =
        metrics_begin(out, "sallyport_upstream_held", "gauge",
                      "Requests that wait for a server, or for a limit, as `hold` says.");
    struct slice other = slice_of("other");
    uint64_t others = 0;
    bool has_others = false;

    for (unsigned i = 0; i < page->backend_count; i++) {
        const struct status_backend *backend = &page->backends[i];
        if (backend->spec->hold.for_ms == 0)
            continue;
        family.labels[0] = (struct metrics_label){"backend", label_of(&backends, backend->name)};
        if (slice_equal(family.labels[0].value, other)) {
            has_others = true;
            others += backend->held;
        } else {
            metrics_sample(&family, backend->held);
        }
    }
    family.labels[0] = (struct metrics_label){"backend", other};
    if (has_others)
        metrics_sample(&family, others);
    table_clear(&backends.added);
}

static void print_refused(const struct status_page *page, struct buffer *out)
{
    struct metrics_family family =
        metrics_begin(out, "sallyport_upstream_refused_total", "counter",
                      "Requests that no server got: for a limit, or because none is up.");

    family.labels[0] = (struct metrics_label){"reason", slice_of("over_limit")};
    metrics_sample(&family, page->metrics[METRIC_UPSTREAM_OVER_LIMIT]);
    family.labels[0] = (struct metrics_label){"reason", slice_of("no_backend")};
    metrics_sample(&family, page->metrics[METRIC_UPSTREAM_NO_SERVER]);
}

void server_metrics_print(const struct status_page *page, struct buffer *out)
{
    print_requests(page, out);
    print_retries(page, out);
    print_connect_times(page, out);
    print_checks(page, out);
    print_up(page, out);
    print_held(page, out);
    print_refused(page, out);
}
