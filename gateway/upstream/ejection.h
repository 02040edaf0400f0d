/* Ejection: a server whose requests fail again and again gets none for a while, in all workers.
 *
 * The first time for as long as `eject.for` says; when it soon fails anew, for twice, three times …
 * that, up to ten times. Never more servers at once than `eject.max` allows; of two or more, one
 * always may be.
 *
 * Inside upstream/ only. */
#ifndef UPSTREAM_EJECTION_H
#define UPSTREAM_EJECTION_H

#include "upstream/backend_state.h"
#include "upstream/server_series.h"

enum { EJECTION_TIMES_MOST = 10 };

/* What became of a request that the server got. True if that was one failure too many: it is
 * ejected from now on. */
bool ejection_note(const struct eject_spec *spec, struct backend_state *backend,
                   struct server_state *server, enum upstream_outcome outcome);
/* If its time is over it is back from now on; the first who says so says it to the operator. */
void ejection_end(struct backend_state *backend, struct server_state *server);

static inline bool ejection_is_on(const struct server_state *server, uint64_t now_ms)
{
    return atomic_load_explicit(&server->ejected_until_ms, memory_order_relaxed) > now_ms;
}

#endif
