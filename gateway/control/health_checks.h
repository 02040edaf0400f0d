/* Active checks of the servers of every backend that has `health`: once for the process, on the
 * control thread's loop. What they come to goes into the servers' states, which all workers read.
 */
#ifndef CONTROL_HEALTH_CHECKS_H
#define CONTROL_HEALTH_CHECKS_H

#include "upstream/backend_state.h"
#include "upstream/health.h"

struct health_checks;
struct checked_backend;

struct health_checks *health_checks_new(struct loop *loop, struct backend_states *states);
/* The loop has stopped. */
void health_checks_free(struct health_checks *checks);

/* The backends of a new generation: those that have `health` are checked from now on. What is known
 * of a server stays for as long as its backend has that, whatever it says now; without it servers
 * are as good as up. */
void health_checks_follow(struct health_checks *checks, struct upstream_spec *const *backends,
                          unsigned count);
/* Nobody is checked any more; what is known stays. */
void health_checks_close(struct health_checks *checks);

/* --- for /status and metrics ------------------------------------------------------------------
 */

struct server_health {
    struct health health;
    int64_t since_ms; /* the verdict is what it is, on the wall clock */
};

/* NULL: it is not checked. What is found is there until the loop turns. */
const struct checked_backend *health_checks_find(const struct health_checks *checks,
                                                 struct slice backend);
/* The same of one server; `likely` is where to look first. */
const struct server_health *health_checks_server(const struct checked_backend *backend,
                                                 struct slice server, unsigned likely);
/* How many checks have come to that. */
uint64_t health_checks_count(const struct health_checks *checks, enum health_result result);

#endif
