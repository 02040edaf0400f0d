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
#include "policy/cache_store.h"
#include "policy/key_desk.h"
#include "policy/source.h"
#include "tls/mac.h"
#include "tls/ticket_keys.h"
#include "tls/tls_stream.h"
#include "worker/memory_return.h"
#include "worker/worker.h"

struct endpoints;
struct generations;
struct password_checks;
struct key_fetcher;
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
    struct jobs *files;       /* reads them for workers */
    struct tls_jobs tls_jobs; /* what takes long in handshakes, for workers */
    struct jobs *passwords;   /* that are verified, for workers */
    struct password_checks *password_checks;
    struct memory_return *memory_return;
    struct sources *sources;   /* what policies take from outside the route file */
    struct cache_store *cache; /* what policies keep of answers */
    struct key_desk *key_desk; /* where workers ask for keys behind URLs */
    struct key_fetcher *key_fetcher;
    struct ticket_keys *ticket_keys;
    uint8_t sticky_key[MAC_KEY_BYTES]; /* signs cookies of backends without a key of their own */
    struct worker **workers;
    unsigned worker_count;
    struct inherited *inherited; /* sockets that were handed over; NULL: none */
    struct systemd *systemd;     /* the service manager; NULL: none */
    struct traffic *traffic;
    struct admission *admission;
    struct rate_table *rates;
    struct redis_outage *outage;
    struct budget head_memory;    /* of all workers, for heads that are not complete */
    struct budget encoder_memory; /* of all workers, for answers being compressed */
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
