/* One thread with one loop: its listeners, sessions, pools, and its pin of the current generation.
 *
 * Everything here is called by the control thread; the worker works it off on its own thread and
 * answers by posts to the control loop. RUNNING -> DRAINING -> STOPPED. */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include "base/budget.h"
#include "base/line_ring.h"
#include "base/metric.h"
#include "config/snapshot.h"
#include "net/jobs.h"
#include "net/loop.h"
#include "proxy/admission.h"
#include "tls/tls_stream.h"
#include "upstream/pool.h"
#include "worker/traffic.h"

struct memory_return;
struct password_checks;
struct worker;

struct worker_options {
    unsigned number; /* from 0 */
    struct loop *control;
    unsigned count;                /* of all workers */
    struct backend_states *states; /* borrowed; the process's */
    struct admission *admission;   /* borrowed; the process's */
    struct rate_table *rates;      /* borrowed; the process's */
    struct redis_outage *outage;   /* borrowed; the process's */
    struct jobs *files;            /* reads them off the loop */
    struct tls_jobs tls_jobs;      /* what takes long in handshakes */
    struct line_ring *access_log;  /* borrowed; this worker is its producer */
    struct slice sticky_key;       /* borrowed; the process's, for its cookies */
    struct budget *encoder_memory; /* borrowed; the process's, for answers being compressed */
    struct budget *head_memory;    /* borrowed; the process's, for heads that are not complete */
    size_t recent_bytes;           /* for recent requests; 0: none are remembered */
    struct memory_return *memory_return; /* borrowed; the process's */
    struct traffic *traffic;             /* borrowed; this worker's view has its number */
    struct password_checks *passwords;   /* borrowed; the process's */
    /* Borrowed; the process's. */
    struct key_desk *key_desk; /* borrowed; the process's. NULL: keys come from files alone */
};

/* A listening address as the worker sees it: `id` names it for as long as it is open. Only https
 * and http listeners go to workers. */
struct worker_listen {
    unsigned id;
    int fd; /* a socket of this worker's own, which it takes; -1: it has one under this id already
             */
    const struct listen_spec *spec; /* in the new snapshot */
};

/* A generation on its way to one worker. Kept alive by the caller until `acknowledged` has run. */
struct worker_change {
    struct snapshot *snapshot;     /* the worker takes a reference of its own */
    struct worker_listen *listens; /* all there are now; ids that are missing are closed */
    unsigned listen_count;
    struct post deliver;      /* the worker's */
    struct post acknowledged; /* the caller's: run on the control loop once the worker runs it */
    struct worker *worker;    /* the worker's */
};

/* Starts the thread; it serves once the first change was published. */
struct worker *worker_start(const struct worker_options *options, struct error *error);
void worker_publish(struct worker *worker, struct worker_change *change);

/* Accept queues are emptied, listeners closed, idle connections closed, the rest finishes;
 * `drained` is posted to the control loop when the last connection is gone. Once. */
void worker_drain(struct worker *worker, struct post *drained);
/* While draining: cuts what is left; `drained` follows. */
void worker_cut(struct worker *worker);
/* After `drained`: ends the thread, joins it, frees everything. */
void worker_stop(struct worker *worker);

const struct metrics *worker_metrics(const struct worker *worker);

/* What /status wants to know of a worker's pools. */
struct worker_report {
    struct pool_report {
        char *backend;
        struct pool_status status;
        struct pool_server_status *servers; /* names are copies in `names` */
        unsigned count;
    } * pools;
    unsigned count;
    struct arena arena; /* holds all of the above */
    uint64_t generation;
    struct post deliver; /* the worker's */
    struct post ready;   /* the caller's */
    struct worker *worker;
};
/* Fills it on the worker's thread, then posts `ready` to the control loop. The caller keeps
 * `report` until then and clears its arena after. */
void worker_ask_report(struct worker *worker, struct worker_report *report);

/* What diff wants to know of a worker's recent requests. */
struct worker_recent {
    char *copy; /* see proxy/recent.h; the caller frees it */
    size_t bytes;
    uint64_t left_out;
    struct post deliver; /* the worker's */
    struct post ready;   /* the caller's */
    struct worker *worker;
};
/* Fills it on the worker's thread, then posts `ready` to the control loop. */
void worker_ask_recent(struct worker *worker, struct worker_recent *recent);

#endif
