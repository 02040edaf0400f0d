/* The exchange's inside, shared by its files alone: exchange.c (runner, ends), exchange_route.c
 * (what shall answer), exchange_acme.c (files of a webroot), exchange_affinity.c (which client it
 * is), exchange_relay.c (the backend's side and the bodies), exchange_edits.c (headers and paths
 * that are changed on their way), exchange_wait.c (the deadline). */
#ifndef PROXY_EXCHANGE_STATE_H
#define PROXY_EXCHANGE_STATE_H

#include "net/small_file.h"
#include "proxy/body_pump.h"
#include "proxy/exchange.h"
#include "proxy/forwarded.h"
#include "proxy/own_answer.h"
#include "proxy/pace.h"
#include "proxy/sticky.h"

enum exchange_state {
    READ_HEAD,
    CHOOSE_ROUTE,
    AWAIT_FILE,    /* of an ACME webroot; answered with it */
    TAKE_UPSTREAM, /* choose a server, reuse or dial */
    SEND_HEAD,
    AWAIT_REPLY, /* the request's body flows meanwhile; may go back to TAKE_UPSTREAM */
    RELAY,       /* both bodies, or both ways of a tunnel */
    ANSWER,      /* the gateway's own */
    DELIVER,     /* all is written; it leaves for the client */
    FINISH,
};

/* What the one deadline is about. */
enum exchange_wait {
    WAIT_NOTHING,
    WAIT_CLIENT_HEAD,   /* 408 header_timeout */
    WAIT_FILE,          /* 503 over_limit */
    WAIT_CLIENT_SENDS,  /* 408 body_timeout */
    WAIT_CLIENT_TAKES,  /* cut, body_timeout */
    WAIT_CONTINUE,      /* the backend's 100: then the body goes without it */
    WAIT_BACKEND_TAKES, /* 504 backend_idle */
    WAIT_FIRST_BYTE,    /* 504 backend_timeout */
    WAIT_BACKEND_SENDS, /* cut, backend_idle */
    WAIT_TUNNEL,        /* ended, tunnel_idle */
};

enum step {
    STEP_AGAIN, /* the state has work to do now */
    STEP_YIELD, /* so it has, but others first */
    STEP_WAIT,  /* the task will be woken */
    STEP_GONE,  /* the exchange is buried */
};

struct exchange {
    struct proxy_env *env;
    const struct client *client;
    struct task task;
    struct deadline deadline;
    struct task *done;
    struct exchange **slot;
    struct exchange *next_spare;
    struct arena arena;
    struct pin *pin; /* NULL: left behind; then `globals` and the route's host are held */
    struct list_node pin_place; /* among the pin's exchanges */
    uint64_t generation;        /* that it started with */
    struct globals *globals;

    enum exchange_state state; /* written by exchange_enter alone */
    enum exchange_wait wait;
    size_t head_charge;       /* bytes of the process's budget for heads that are not complete */
    struct pace sends, takes; /* the client, where it is held to a rate */
    uint64_t silent_until_ms; /* with a rate: when what the wait is about runs out; 0: never */
    bool moved_on;            /* bytes moved since the deadline was set */
    bool has_request;         /* `request` was read whole */
    bool has_begun;           /* a final response head was written to the client */
    bool is_tunnel;
    bool backend_stays; /* it did not say that it closes after its response */
    bool wants_fresh;   /* the next connection must not be a reused one */
    bool awaits_continue;
    bool has_upstream_time;
    enum http_end ending; /* of the client's stream */

    struct http_stream *client_stream;  /* owned */
    struct http_stream *backend_stream; /* owned, with `connection` */
    struct upstream_connection *connection;
    struct pool_wait *pool_wait;
    struct pool *pool; /* taken */

    struct small_file *file; /* owned; the answer's body lies in it */

    const struct route *route;
    const struct upstream_spec *upstream;
    const struct settings *settings;
    struct origin_facts facts;
    uint64_t affinity_key;      /* of the client, where the upstream's balance is by it */
    struct sticky_claim sticky; /* where the client was served before, if it must be known */
    struct http_head request, outgoing, response;
    struct body_pump up, down; /* the request's body, the response's */
    struct own_answer answer;
    size_t answer_sent;
    bool answer_head_sent;
    unsigned interims; /* 1xx heads seen */

    int status;
    enum http_reason reason;
    unsigned attempts;
    struct slice server;
    uint64_t started_us, upstream_asked_us, upstream_us;
};

void exchange_enter(struct exchange *x, enum exchange_state state);

/* Arms the deadline for what is waited for, unless it runs already and nothing has moved. A client
 * that is waited for is held to limits.body_rate as well. */
void exchange_await(struct exchange *x, enum exchange_wait wait, uint64_t after_ms);
void exchange_await_nothing(struct exchange *x);
/* The deadline has passed. */
enum step exchange_run_out_of_time(struct exchange *x);

/* The one way out of trouble: an own answer if none has begun, else the response is cut. */
enum step exchange_fail(struct exchange *x, enum http_reason reason);
/* Writes `x->answer` from now on. */
enum step exchange_answer(struct exchange *x);
/* Ends the backend's stream, if there is one, and gives its connection back, with the word for what
 * became of the request. */
void exchange_release_backend(struct exchange *x, enum http_end end, enum upstream_outcome outcome);
/* The outcome by the status that the backend answered. */
enum upstream_outcome exchange_backend_outcome(const struct exchange *x);

enum step exchange_choose_route(struct exchange *x);

/* Once its upstream is known: whose request it is, as far as that decides which server gets it. */
void exchange_recognise_client(struct exchange *x);
/* Keeps the gateway's cookie from the backend. */
void exchange_hide_cookie(struct exchange *x);
/* Has the backend's response set it, if the client needs a new one. */
void exchange_set_cookie(struct exchange *x);

/* The webroot that answers this request, whatever its host; NULL when it is none of that. Borrowed
 * for this step. */
const char *exchange_acme_webroot(const struct exchange *x);
enum step exchange_ask_acme(struct exchange *x, const char *webroot);
enum step exchange_await_file(struct exchange *x);
/* Ends the reading of the file and its content, if there is one. */
void exchange_release_file(struct exchange *x);

/* The request as the backend gets it, once everything else is in it. */
void exchange_edit_request(struct exchange *x);
/* The fields of a final response to the client, the gateway's own too; without a route nothing
 * happens to them. */
void exchange_edit_response(struct exchange *x, struct http_fields *fields);

enum step exchange_take_upstream(struct exchange *x);
enum step exchange_send_head(struct exchange *x);
enum step exchange_await_reply(struct exchange *x);
enum step exchange_relay(struct exchange *x);

#endif
