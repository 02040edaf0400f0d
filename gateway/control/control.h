/* What the parts of the control thread know of each other. Owned by gateway.c; this thread's alone.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include "base/budget.h"
#include "control/access_writer.h"
#include "control/health_checks.h"
#include "control/listeners.h"
#include "net/jobs.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "tls/mac.h"
#include "tls/ticket_keys.h"
#include "worker/worker.h"

struct endpoints;
struct generations;
struct systemd;

enum control_state {
    CONTROL_STARTING, /* the first generation is on its way */
    CONTROL_SERVING,
    CONTROL_DELAYING, /* drain_delay passes: not ready any more, still accepting */
    CONTROL_DRAINING, /* listeners close, what is in flight finishes */
    CONTROL_CLOSING,  /* workers have nothing left; admin and status finish */
    CONTROL_STOPPED,
};

struct control {
    const char *config_file; /* NULL: none was named and none is where one is looked for */
    struct loop *loop;
    struct resolver *resolver; /* of this thread's loop, for the whole process */
    struct backend_states *backend_states;
    struct health_checks *health_checks;
    struct jobs *files;     /* reads them for workers */
    struct jobs *verifiers; /* of clients' certificates, for workers */
    struct ticket_keys *ticket_keys;
    uint8_t sticky_key[MAC_KEY_BYTES]; /* signs cookies of backends without a key of their own */
    struct worker **workers;
    unsigned worker_count;
    struct inherited *inherited; /* sockets that were handed over; NULL: none */
    struct systemd *systemd;     /* the service manager; NULL: none */
    struct traffic *traffic;
    struct admission *admission;
    struct budget head_memory; /* of all workers, for heads that are not complete */
    struct listeners *listeners;
    struct generations *generations;
    struct endpoints *endpoints;
    struct access_writer *access_writer;

    enum control_state state;
    uint64_t started_ms;
    uint64_t load_retry_ms; /* 0: as usual; tests are in a hurry */
    bool drain_wanted;
    /* Work outside this thread that somebody here still waits for: reports of workers. Nothing that
     * workers own may go before it is 0. */
    unsigned reports_out;
    struct task task; /* gateway.c's: woken when something that it may wait for has changed */
};

/* As SIGTERM does; nothing when draining already. */
void control_drain(struct control *control);
const char *control_state_name(enum control_state state); /* "serving" … */

#endif
