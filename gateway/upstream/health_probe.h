/* One active check of one server: a connection of its own, a request where there is a path, and
 * what came of it. */
#ifndef UPSTREAM_HEALTH_PROBE_H
#define UPSTREAM_HEALTH_PROBE_H

#include "net/loop.h"
#include "upstream/health.h"

struct health_probe;

/* What is looked through for what a good answer's body has. */
enum { HEALTH_BODY_BYTES = 64 * 1024 };

/* Borrowed while the probe lives, but for the addresses, which are copied. */
struct health_question {
    const struct health_spec *spec;
    const struct address *addresses; /* of the server, each tried; one at least */
    int address_count;
    struct slice host;  /* Host's value */
    bool names_clients; /* it expects a PROXY protocol header: one that says nobody is behind it */
};

/* Begins; `task` is woken as it goes on. NULL when there is no memory. */
struct health_probe *health_probe_start(struct loop *loop, const struct health_question *question,
                                        struct task *task);
/* IO_WAIT; IO_OK with what came of it, spec->timeout_ms after it began at the latest. */
enum io health_probe_answer(struct health_probe *probe, struct health_outcome *outcome);
/* Takes it, answered or not. */
void health_probe_end(struct health_probe *probe);

#endif
