/* A worker's pools by name: made when first needed, kept across generations, gone when neither the
 * newest generation nor a request knows them any more. */
#ifndef WORKER_POOLS_H
#define WORKER_POOLS_H

#include "base/table.h"
#include "proxy/proxy_env.h"
#include "worker/worker.h"

enum { POOLS_RECENT = 256 };

struct worker_pools {
    struct pool_env env;
    const struct config *config; /* the newest; borrowed; NULL before the first */
    struct table by_name;        /* of struct named_pool */
    struct list all;
    /* Where a generation's upstream leads, without a look at its name: by serial number. */
    struct recent_pool {
        uint64_t serial;
        struct named_pool *named;
    } recent[POOLS_RECENT];
};

void worker_pools_init(struct worker_pools *pools, const struct pool_env *env);
/* Nothing may be in use any more. */
void worker_pools_clear(struct worker_pools *pools);

/* The pool for `spec`, of the newest generation or an older one: all that have its name share it,
 * and it follows what the newest says. It stays until it is dropped, once for each time. */
struct pool *worker_pools_take(struct worker_pools *pools, const struct upstream_spec *spec);
void worker_pools_drop(struct worker_pools *pools, const struct upstream_spec *spec);
/* The newest generation is another one: pools follow it, those that it does not name any more end
 * with the last request that uses them. */
void worker_pools_adopt(struct worker_pools *pools, const struct config *config);

void pools_close_idle(struct worker_pools *pools);
void worker_pools_report(struct worker_pools *pools, struct worker_report *report);

#endif
