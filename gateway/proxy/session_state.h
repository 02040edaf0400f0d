/* The session's inside, shared by its files alone: session.c (runner, requests of HTTP/1, ends),
 * session_http2.c (those of HTTP/2) and session_opening.c (from accept to HTTP). */
#ifndef PROXY_SESSION_STATE_H
#define PROXY_SESSION_STATE_H

#include "http/h1_connection.h"
#include "http/h2_connection.h"
#include "proxy/client.h"
#include "proxy/session.h"

enum {
    SESSION_LINGER_MS = 2000,
    FIRST_REQUEST_WHILE_DRAINING_MS = 5000, /* one that was queued at the signal is still served */
};

enum session_state {
    SESSION_PROXY_HEADER, /* of who is in front; what follows it is nobody's to read before */
    SESSION_HANDSHAKE,
    SESSION_IDLE,    /* for the next request */
    SESSION_BUSY,    /* an exchange is on it, or some are */
    SESSION_EXPLAIN, /* plain HTTP came to a TLS port: say so in plaintext */
    SESSION_LINGER,
    SESSION_CLOSED,
};

struct session {
    struct list_node node; /* in env->sessions */
    struct proxy_env *env;
    struct task task;
    struct deadline deadline;
    enum session_state state; /* written by session_enter alone */
    bool has_served;
    struct stream *stream;            /* owned */
    struct h1_connection *connection; /* owned; of the two protocols one */
    struct h2_connection *http2;
    enum h2_wait http2_wait; /* what the deadline is about */
    unsigned http2_places;   /* of requests beyond the first: admission_enter_request */
    size_t head_charge;      /* bytes of the process's budget for heads that are not complete */
    union {
        struct buffer header; /* SESSION_PROXY_HEADER: what has come of it */
        struct {
            struct pin *pin; /* SESSION_HANDSHAKE: its TLS server is in use; NULL: no more */
            struct list_node pin_place;
        };
        struct list exchanges; /* behind those; SESSION_BUSY: not empty */
    };
    struct admission_pass pass;
    struct client client;
};

void session_enter(struct session *s, enum session_state state, uint64_t deadline_ms);
/* The one way out, from every state; it is buried. */
void session_close(struct session *s);

/* Enters the first state that it needs. */
void session_open(struct session *s, bool awaits_header);
/* Gives up what only the states before HTTP hold; for the end of it from any state. */
void session_end_opening(struct session *s);
/* It has exchanges or may have. */
static inline bool session_is_open(const struct session *s)
{
    return s->state != SESSION_PROXY_HEADER && s->state != SESSION_HANDSHAKE;
}

/* Steps: each answers whether the next state has work to do at once. */
bool session_await_header(struct session *s);
bool session_shake_hands(struct session *s);
bool session_explain_https(struct session *s);
/* HTTP/2, once the handshake has agreed on it. False: no memory. */
bool session_begin_http2(struct session *s);
bool session_serve_http2(struct session *s);
void session_http2_out_of_time(struct session *s);
void session_drain_http2(struct session *s);
void session_end_http2(struct session *s);

/* The deadline has passed before HTTP began: counts it, and closes. */
void session_open_too_late(struct session *s);

#endif
