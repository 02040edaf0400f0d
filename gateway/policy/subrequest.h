/* A question to a service beside a request that waits for it: one GET without a body on a
 * connection of the worker's pool, and its answer, read whole and bounded.
 *
 * A GET may be sent twice: when a connection that was kept turns out to have been closed, it goes
 * out once more on a new one. Interim responses of the service are nobody's. */
#ifndef POLICY_SUBREQUEST_H
#define POLICY_SUBREQUEST_H

#include "policy/policy.h"

struct subrequest;

/* Borrowed until the subrequest has ended; what is in the arena lives longer anyway. */
struct subrequest_question {
    struct policy_env *env;
    const struct upstream_spec *service;
    struct arena *arena;       /* the subrequest and its answer live there */
    struct slice target;       /* path and query */
    struct http_fields fields; /* without Host, which says what the service is called */
    uint64_t timeout_ms;       /* from now to the answer's last byte */
    size_t body_most;          /* bytes of a body that is longer are not kept; see body_is_cut */
    bool drops_success;        /* of a 2xx only the head counts: its body is not kept */
};

enum subrequest_failure {
    SUBREQUEST_UNREACHABLE,
    SUBREQUEST_LATE,
    SUBREQUEST_BROKEN, /* it broke off, or what came is no HTTP */
    SUBREQUEST_NO_MEMORY
};

struct subrequest_answer {
    struct http_head head; /* without what belongs to the connection or frames the body */
    struct slice body;
    bool body_is_cut;
    enum subrequest_failure failure; /* after IO_ERROR */
};

/* Begins; `task` is woken as it goes on. */
struct subrequest *subrequest_start(const struct subrequest_question *question, struct task *task);
/* IO_WAIT; IO_OK and IO_ERROR: it has ended, and holds nothing but memory of the arena. */
enum io subrequest_answer(struct subrequest *subrequest, struct subrequest_answer *answer);
/* Nobody waits for it any more; nothing if it has ended. */
void subrequest_cancel(struct subrequest *subrequest);

#endif
