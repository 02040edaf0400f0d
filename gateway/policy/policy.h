/* What people put a gateway in front of their services for: who may come and how often, what is
 * kept, what is made of answers. A policy is what one key of the route file says; a route has one
 * of each kind at most, and one without any pays nothing for them.
 *
 * A policy is immutable and shared: by the places that inherit it, by the generations that say the
 * same. What it counts or remembers lives in the worker or the process (struct policy_env), by
 * name, and survives a swap. */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include "base/refcount.h"
#include "http/message.h"
#include "net/jobs.h"
#include "net/loop.h"

struct pool;
struct upstream_spec;

/* Those that a request is asked by come first, in the order in which they ask. */
enum policy_kind {
    POLICY_ALLOW, /* asks for `deny` too, where both are there */
    POLICY_DENY,
    POLICY_RATE_LIMIT,
    POLICY_AUTH,
    POLICY_CACHE,
    POLICY_COMPRESS,
    POLICY_ERRORS,
    POLICY_HSTS,
    POLICY_KINDS
};

/* What came of one policy for one request: policy_decisions_total{outcome}. */
enum policy_outcome {
    OUTCOME_ALLOWED,
    OUTCOME_REFUSED,
    OUTCOME_COUNTED,     /* it would have been refused: "enforce": false */
    OUTCOME_FAILED,      /* it could not be decided, and was refused for that */
    OUTCOME_FAILED_OPEN, /* the same, and was let through */
    OUTCOME_HIT,         /* of the cache, these seven */
    OUTCOME_STALE,
    OUTCOME_REVALIDATED,
    OUTCOME_MISS,
    OUTCOME_COLLAPSED, /* it waited for another one's fetch */
    OUTCOME_BYPASSED,
    OUTCOME_STORED,
    OUTCOME_APPLIED, /* compressed; a page was put in the answer's place; browsers were told */
    POLICY_OUTCOMES
};

struct policy;
struct policy_request;

struct policy_ops {
    /* Asks a request, once its route is known and before anything else is done. IO_OK: it may go
     * on. IO_WAIT: request->task is woken; ask again. IO_ERROR: refused, by request->reason or
     * request->answer. Sets request->outcome unless it waits. NULL: this kind does not ask. */
    enum io (*ask)(const struct policy *policy, struct policy_request *request);
    /* After IO_WAIT: the request goes away, and nothing may wake its task any more. */
    void (*cancel)(struct policy_request *request);
    /* One that says what both say, key by key, the nearer first; with one reference. It may be the
     * nearer one. NULL: the nearer one is all there is. */
    struct policy *(*merge)(const struct policy *nearer, const struct policy *farther);
    /* In words, for `explain` and `diff`; in the arena. Never a secret. */
    struct slice (*words)(const struct policy *policy, struct arena *arena);
    /* What it holds beyond its arena; NULL: nothing. */
    void (*clear)(struct policy *policy);
};

/* One of those that a policy takes something from outside of. */
struct policy_source {
    struct source *source; /* a reference; policy/source.h */
    struct policy_source *next;
};

/* Embedded first in what each kind knows. */
struct policy {
    const struct policy_ops *ops;
    struct refcount references;
    struct arena arena;            /* what it knows lives here, itself too */
    uint64_t fingerprint;          /* of what was written: equal ones mean the same */
    struct policy_source *sources; /* all of them: loads read them again, the watcher follows */
    struct upstream_spec *service; /* whom it asks, one of its generation's upstreams: a reference.
                                      NULL: nobody */
};

/* `bytes` of zeroes that begin with a policy, with one reference. */
void *policy_new(const struct policy_ops *ops, size_t bytes);
struct policy *policy_ref(struct policy *policy);
void policy_unref(struct policy *policy);
/* Takes the reference, for as long as the policy lives; while it is made. */
void policy_add_source(struct policy *policy, struct source *source);

/* Those of one route, once its places are merged; by enum policy_kind, NULL: none. */
struct policies {
    struct policy *of[POLICY_KINDS];
};

/* The label of metrics: "rate_limit" … */
const char *policy_name(enum policy_kind kind);
const char *policy_outcome_word(enum policy_outcome outcome);

/* What is counted of a route's policies: a block of base/series.h. */
struct policy_counters {
    _Atomic uint64_t decisions[POLICY_KINDS][POLICY_OUTCOMES];
};
enum { POLICY_COUNTERS = sizeof(struct policy_counters) / sizeof(uint64_t) };

/* What a worker lends to policies; what is the process's is shared by all workers. */
struct policy_env {
    /* The worker's. */
    struct loop *loop;
    void *worker;
    struct bell *bell;
    /* Its pool for a policy's own service; it stays until it is dropped. */
    struct pool *(*take_pool)(void *worker, const struct upstream_spec *spec);
    void (*drop_pool)(void *worker, const struct upstream_spec *spec);
    struct token_memory *tokens; /* those that were good a moment ago */
    struct compression *compression;
    struct redis_client *redis; /* asked for limits that are shared */

    /* The process's. */
    struct rate_table *rates;
    struct password_checks *passwords;
    struct key_desk *key_desk; /* where newer keys are asked for */
};

/* What a policy that refuses has the client get instead of a verdict: another service's answer. */
struct policy_answer {
    int status;
    struct http_fields fields;
    struct slice body;
};

/* One request as its policies see it; lives in its exchange's arena, as what they add to it does.
 */
struct policy_request {
    struct policy_env *env;
    const struct policies *policies;
    struct arena *arena;
    struct task *task; /* the exchange's */
    const struct http_head *head;
    struct slice route;     /* its name */
    struct slice client_ip; /* text */
    struct slice request_id;
    struct slice cert_fingerprint, cert_subject; /* of the client's certificate; empty: none */
    bool is_tls;
    /* Its fields as backends get them, before any edits: without those that belong to its
     * connection or frame its body, and with what the gateway says of the client. In the arena. */
    void (*copy_fields)(void *exchange, struct http_fields *fields);
    void *exchange;

    /* What comes of it. */
    enum policy_outcome outcome;
    enum http_reason reason;
    const struct policy_answer *answer; /* NULL: a verdict by `reason` */
    struct http_fields refusal_fields;  /* in that verdict: Retry-After, WWW-Authenticate */
    struct http_fields response_fields; /* in whatever the client is answered: RateLimit */
    /* For the backend, and in nobody else's name: fields that the client sent under these names are
     * dropped; one with an empty value only drops them. */
    struct http_fields request_fields;
    bool is_authorized; /* `auth` let it pass: what comes of it may be for this client alone */

    enum policy_kind next; /* the one that asks now */
    void *state;           /* of the one that waits; its own */
};

/* Asks one by one. IO_OK: all let it pass; IO_ERROR: request->next is the one that refused. */
enum io policies_ask(struct policy_request *request, struct policy_counters *counters);
/* It goes away while one of them waits; nothing otherwise. */
void policies_cancel(struct policy_request *request);

#endif
