/* The exchange's inside, shared by its files alone: exchange.c (runner, ends), exchange_route.c
 * (what shall answer), exchange_cache*.c (what is kept), exchange_policies.c (whether its route
 * lets it), exchange_answer.c (the gateway's own answers), exchange_acme.c (files of a webroot),
 * exchange_affinity.c (which client it is), exchange_relay.c (the backend's side and the bodies),
 * exchange_retry.c (another connection for the same request), exchange_edits.c (headers and paths
 * that are changed on their way), exchange_pages.c (pages in the place of errors),
 * exchange_compress.c (bodies that are compressed), exchange_wait.c (the deadline). */
#ifndef PROXY_EXCHANGE_STATE_H
#define PROXY_EXCHANGE_STATE_H

#include "net/small_file.h"
#include "policy/source.h"
#include "proxy/body_pump.h"
#include "proxy/encoded_stream.h"
#include "proxy/exchange.h"
#include "proxy/forwarded.h"
#include "proxy/own_answer.h"
#include "proxy/pace.h"
#include "proxy/sticky.h"

enum exchange_state {
    READ_HEAD,
    CHOOSE_ROUTE,
    AWAIT_FILE,    /* of an ACME webroot; answered with it */
    ASK_POLICIES,  /* of its route; one of them may answer */
    ASK_CACHE,     /* what is kept may answer, or what another one fetches */
    TAKE_UPSTREAM, /* choose a server, reuse or dial */
    SEND_HEAD,
    AWAIT_REPLY, /* the request's body flows meanwhile; may go back to TAKE_UPSTREAM */
    RELAY,       /* both bodies, or both ways of a tunnel */
    GIVE_CACHED, /* from the cache; may go on in RELAY */
    ANSWER,      /* the gateway's own */
    DELIVER,     /* all is written; it leaves for the client */
    FINISH,
};

/* What the one deadline is about. */
enum exchange_wait {
    WAIT_NOTHING,
    WAIT_CLIENT_HEAD,   /* 408 header_timeout */
    WAIT_FILE,          /* 503 over_limit */
    WAIT_CACHE,         /* another one's fetch: then it goes by itself */
    WAIT_CLIENT_SENDS,  /* 408 body_timeout */
    WAIT_CLIENT_TAKES,  /* cut, body_timeout */
    WAIT_CONTINUE,      /* the backend's 100: then the body goes without it */
    WAIT_BACKEND_TAKES, /* 504 backend_idle */
    WAIT_FIRST_BYTE,    /* another try, or 504 backend_timeout */
    WAIT_HEDGE,         /* the same; then a second server is asked */
    WAIT_BACKEND_SENDS, /* cut, backend_idle */
    WAIT_TUNNEL,        /* ended, tunnel_idle */
};

enum step {
    STEP_AGAIN, /* the state has work to do now */
    STEP_YIELD, /* so it has, but others first */
    STEP_WAIT,  /* the task will be woken */
    STEP_GONE,  /* the exchange is buried */
};

/* One way to an answer: a connection that is asked for, then the request on it. */
struct leg {
    struct pool_wait *pool_wait;            /* owned; until it has answered */
    unsigned tried;                         /* connections that it has tried */
    struct upstream_connection *connection; /* owned */
    struct http_stream *stream;             /* owned, with it */
    struct slice server;                    /* tried last */
    uint64_t sent_us;  /* when the whole request had been handed to it; 0: not yet */
    uint64_t heard_us; /* that, or when its newest 1xx came */
};

/* How a leg ended without giving the request its answer. */
enum leg_loss {
    LOSS_STALE,   /* a reused connection had been closed */
    LOSS_RESET,   /* a fresh one ended before a byte of an answer */
    LOSS_LATE,    /* for timeout.first_byte */
    LOSS_OVERDUE, /* for retry.timeout */
    LOSS_STATUS,  /* it answered what is tried again */
    LOSS_OTHER,   /* nothing of these: never tried again */
};

struct exchange {
    struct proxy_env *env;
    const struct client *client;
    struct task task;
    struct deadline deadline;
    struct task *done;
    struct list_node place; /* among all of its client's connection */
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
    bool was_hedged;
    bool awaits_continue;
    bool has_upstream_time;
    bool is_background;   /* of the gateway's own accord: nobody waits, nothing is logged */
    bool backend_is_full; /* it was refused for a limit of its backend's */
    enum http_end ending; /* of the client's stream */

    struct http_stream *client_stream; /* owned */
    struct leg leg;                    /* TAKE_UPSTREAM to RELAY */
    struct leg hedge;        /* a second one beside it while AWAIT_REPLY; the first answer wins */
    uint64_t hedge_due_ms;   /* when that begins; 0: it does not */
    struct slice avoid;      /* the server that the next leg should not go to */
    struct pool *pool;       /* taken */
    struct pool_claim claim; /* on it; given back once what is left is the client's alone */

    struct small_file *file;       /* owned; the answer's body lies in it */
    struct exchange_cache *cached; /* of its way through the cache; NULL: it does not go there */
    struct policy_request *asked;  /* of its policies; NULL: it has none, or was not asked yet */

    const struct route *route;
    const struct upstream_spec *upstream;
    const struct settings *settings;
    struct origin_facts facts;
    uint64_t affinity_key;      /* of the client, where the upstream's balance is by it */
    struct sticky_claim sticky; /* where the client was served before, if it must be known */
    struct http_head request, outgoing, response;
    struct body_pump up, down;  /* the request's body, the response's */
    struct http_stream *source; /* what the response's body is read from: the leg's stream, or what
                                   stands in front of it; borrowed */
    struct encoded_stream *encoded; /* owned; the source, where the body is compressed */
    struct own_answer answer;
    size_t answer_sent; /* of this piece of its body */
    unsigned answer_piece;
    struct source_content *page; /* the answer's body lies in it; a reference */
    bool answer_head_sent;
    unsigned interims; /* 1xx heads seen */

    int status;
    enum http_reason reason;
    unsigned attempts;
    uint64_t started_us, upstream_asked_us, upstream_us;
};

void exchange_enter(struct exchange *x, enum exchange_state state);

/* One that nobody waits for, in the list of those, without a pin; its maker fills in the rest.
 * NULL: no memory. */
struct exchange *exchange_new_in_background(struct proxy_env *env);

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
enum step exchange_write_answer(struct exchange *x);
/* All is written, be it an own answer or a backend's: it leaves for the client. */
enum step exchange_deliver(struct exchange *x);
/* Ends a leg, if it is there, and gives its connection back, with the word for what became of the
 * request. Its server's name stays. */
void exchange_end_leg(struct exchange *x, struct leg *leg, enum http_end end,
                      enum upstream_outcome outcome);
/* Ends both legs: the second one, if it is still there, is called off. */
void exchange_release_backend(struct exchange *x, enum http_end end, enum upstream_outcome outcome);
/* By the status that the backend answered, and by what it was given up for. */
enum upstream_outcome exchange_status_outcome(int status);
enum upstream_outcome exchange_failure_outcome(const struct exchange *x, enum http_reason reason);

/* The client is looked after while something else is waited for: STEP_WAIT, or it has gone. */
enum step exchange_wait_or_leave(struct exchange *x);

enum step exchange_choose_route(struct exchange *x);
/* Its policies, one after the other; then where the route leads. */
enum step exchange_ask_policies(struct exchange *x);
/* What its policies still wait for is not wanted any more. */
void exchange_end_policies(struct exchange *x);
/* Where the route leads, behind its policies. */
enum step exchange_follow_route(struct exchange *x);
/* Counts what came of one policy. */
void exchange_count_policy(struct exchange *x, enum policy_kind kind, enum policy_outcome outcome);
/* The policy in force; NULL. */
const struct policy *exchange_policy(const struct exchange *x, enum policy_kind kind);
/* By the newest generation, for one that is held and was routed by another: whatever that says of
 * it. It keeps its place if it is to wait for the same backend. The pin that it leaves is the
 * caller's to check. */
enum step exchange_choose_again(struct exchange *x);

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

/* The request's fields for a backend, before any edits: what belongs to its connection or frames
 * its body is left out, and what the gateway says of the client is in. In the arena. */
void exchange_copy_fields(struct exchange *x, struct http_fields *fields);

/* Puts the page of its route's `errors` in the place of a verdict's body, if there is one. */
void exchange_put_page(struct exchange *x);
/* The same for the backend's response, whose head is in `response`: true when there is one, and the
 * backend was left; the answer is ready. */
bool exchange_replace_response(struct exchange *x);
void exchange_release_page(struct exchange *x);

/* What a policy that refused has to say beside its reason, in the verdict. */
void exchange_explain_refusal(struct exchange *x);
/* The request as the backend gets it, once everything else is in it. */
void exchange_edit_request(struct exchange *x);
/* Keeps out of the request's trailers what its head was kept free of: what policies say of the
 * client, what the route removes and sets. */
void exchange_edit_trailers(void *exchange, struct http_fields *trailers);
/* The fields of a final response to the client, the gateway's own too; without a route nothing
 * happens to them. */
void exchange_edit_response(struct exchange *x, struct http_fields *fields);

/* Has the response compressed, if its route says so and the client can read it: edits its head, and
 * puts a stream in front of its source. Once the head is what it shall be else. */
void exchange_compress(struct exchange *x);
void exchange_end_encoding(struct exchange *x);

/* True: the route keeps answers, and one of them may do: ASK_CACHE is next. */
bool exchange_begin_cache(struct exchange *x);
enum step exchange_ask_cache(struct exchange *x);
/* It has waited long enough for another one's fetch. */
enum step exchange_pass_by_cache(struct exchange *x);
/* What is kept goes to the client: whole, a part, or that it has not changed. */
enum step exchange_give_object(struct exchange *x);
enum step exchange_give_cached(struct exchange *x);
/* For the backend: without the client's conditions, or with those of what is kept. */
void exchange_condition_request(struct exchange *x, struct http_fields *fields);
/* The backend's head is there. True: it is kept, or says what is, and *step is what follows. */
bool exchange_take_into_cache(struct exchange *x, enum step *step);
/* The backend has failed. True: what is kept, though stale, is given instead. */
bool exchange_give_stale(struct exchange *x, enum step *step);
/* The backend's response goes past the cache: it says so, and may invalidate what is kept. */
void exchange_pass_cache(struct exchange *x);
/* True: what is kept is kept in that coding, too, and that is what is given; its length can be
 * announced, once the rest of the head says so. */
bool exchange_give_encoded(struct exchange *x, enum coding coding);
void exchange_announce_encoded(struct exchange *x);
/* What is read of the source is kept in that coding, if it is what is kept that is encoded. */
void exchange_keep_encoded(struct exchange *x, enum coding coding);
void exchange_end_cache(struct exchange *x);

/* TAKE_UPSTREAM, from its backend's pool. */
void exchange_take_pool(struct exchange *x);
enum step exchange_take_upstream(struct exchange *x);
/* Reads what is here already of an answer's body, so that its connection may be kept. */
enum http_end exchange_drop_answer(struct http_stream *stream);
/* What its backend's pool is asked for it. */
struct pool_ask exchange_pool_ask(struct exchange *x, const struct leg *leg);
enum step exchange_send_head(struct exchange *x);
enum step exchange_await_reply(struct exchange *x);
enum step exchange_relay(struct exchange *x);

/* What these do with a leg. IO_WAIT; IO_OK: it has its connection, or the head was handed over;
 * IO_ERROR: see *reason. */
enum io exchange_take_leg(struct exchange *x, struct leg *leg, enum http_reason *reason);
enum io exchange_send_leg(struct exchange *x, struct leg *leg, enum http_reason *reason);
/* STEP_WAIT: the answer's head is not there yet. */
enum step exchange_read_leg(struct exchange *x, struct leg *leg);

/* A leg will not give the request its answer. True: it has ended, and the request goes on with the
 * other leg, or is tried again on another connection, if that is wished, harmless, and within the
 * budget. */
bool exchange_goes_on(struct exchange *x, struct leg *leg, enum leg_loss loss,
                      enum http_reason reason);
/* Whether the status that came is one to be tried again for. */
bool exchange_is_retried_status(const struct exchange *x);
/* The leg's final head is there: it is `x->leg` from now on, and the other one is called off. */
void exchange_settle(struct exchange *x, struct leg *leg);
/* Moves the second leg on, beginning it when that is due. STEP_WAIT: nothing has come of it. */
enum step exchange_ask_hedge(struct exchange *x);
/* Nothing but an answer is waited for: gives up the leg that is late for it; else STEP_WAIT. */
enum step exchange_await_answer(struct exchange *x);

#endif
