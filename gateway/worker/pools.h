/* A worker's pools by name: made when first needed, kept across generations, gone with their last
 * pin. */
#ifndef WORKER_POOLS_H
#define WORKER_POOLS_H

#include "base/table.h"
#include "proxy/proxy_env.h"
#include "worker/worker.h"

struct worker_pools {
    struct pool_env env;
    struct table by_name; /* of struct named_pool */
};

void worker_pools_init(struct worker_pools *pools, const struct pool_env *env);
/* Nothing may be in use any more. */
void worker_pools_clear(struct worker_pools *pools);

/* The pool for `spec` of the pin's generation; remembered in the pin. One that is there already
 * follows the spec if the pin `is_newest`, else stays with what a newer one made of it. */
struct pool *worker_pools_find(struct worker_pools *pools, struct pin *pin,
                               const struct upstream_spec *spec, bool is_newest);
/* A new pin comes: pools that there are already and that it names live on in it. */
void worker_pools_adopt(struct worker_pools *pools, struct pin *pin);
/* The pin goes: pools that no other pin has used are freed. */
void worker_pools_unpin(struct worker_pools *pools, struct pin *pin);

void pools_close_idle(struct worker_pools *pools);
void worker_pools_report(struct worker_pools *pools, struct worker_report *report);

#endif
