/* What /status says, gathered from every worker and added up. */
#ifndef CONTROL_STATUS_PAGE_H
#define CONTROL_STATUS_PAGE_H

#include "control/certificates.h"
#include "control/health_checks.h"

struct status_server {
    struct slice name;
    unsigned weight;
    bool is_backup;
    unsigned skipped_by; /* workers that lately could not connect and pass it over for a moment */
    unsigned idle, busy;
    unsigned connections; /* of all workers, with those that are being made */
    uint64_t requests, connect_failures;
    uint64_t ejected_ms; /* how much longer it gets nothing after failures in a row; 0: it is not
                            ejected */
    bool is_checked;
    struct server_health checked;
    unsigned reported_by; /* workers */
    uint64_t
        idle_limit_ms; /* the lowest of theirs: how long a connection rests and is used again */
};

/* Its checks say so. */
static inline bool status_server_is_down(const struct status_server *server)
{
    return server->is_checked && server->checked.health.verdict == CHECK_DOWN;
}

static inline bool status_server_is_up(const struct status_server *server)
{
    return server->skipped_by == 0 && server->ejected_ms == 0 && !status_server_is_down(server);
}

struct status_backend {
    struct slice name;
    const struct upstream_spec *spec;
    struct status_server *servers;
    unsigned server_count;
    unsigned requests, held; /* in flight; waiting for a server or a limit */
};

struct status_page {
    const struct control *control;
    struct snapshot *snapshot; /* NULL: none yet */
    uint64_t metrics[METRIC_COUNT];
    uint64_t connect_counts[HISTOGRAM_BOUNDS + 1], connect_us; /* as in struct histogram */
    uint64_t log_lost;
    uint64_t checks[HEALTH_RESULTS]; /* of servers, by what they came to */
    struct status_backend *backends; /* of the generation served, in its order */
    unsigned backend_count;
    struct cache_zone_report *zones; /* of the cache, by name */
    unsigned zone_count;
    struct certificate_rows certificates;
    const struct load_record *loads;
    struct cert_load_counts last_read; /* by the last load that was not refused */
    unsigned worker_count;
};

struct status_query;

/* Asks every worker; `task` is woken when all have answered. */
struct status_query *status_query_start(struct control *control, struct task *task);
/* IO_WAIT, or IO_OK with the page, which is the query's. */
enum io status_query_answer(struct status_query *query, const struct status_page **page);
/* Takes it, answered or not; workers still asked answer into the void. */
void status_query_end(struct status_query *query);

void status_print_json(const struct status_page *page, struct buffer *out);
void status_print_text(const struct status_page *page, struct buffer *out);

#endif
