/* The session's inside, shared by its files alone: session.c (runner, requests, ends) and
 * session_opening.c (from accept to HTTP). */
#ifndef PROXY_SESSION_STATE_H
#define PROXY_SESSION_STATE_H

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
    SESSION_BUSY,    /* an exchange is on it */
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
    struct stream *stream; /* owned */
    struct buffer header;  /* SESSION_PROXY_HEADER: what has come of it */
    struct h1_connection *connection;
    struct exchange *exchange; /* SESSION_BUSY */
    struct pin *pin;           /* SESSION_HANDSHAKE: its TLS server is in use */
    struct list_node pin_place;
    struct admission_pass pass;
    struct client client;
};

void session_enter(struct session *s, enum session_state state, uint64_t deadline_ms);
/* The one way out, from every state; it is buried. */
void session_close(struct session *s);

/* Enters the first state that it needs. */
void session_open(struct session *s, bool awaits_header);

/* Steps: each answers whether the next state has work to do at once. */
bool session_await_header(struct session *s);
bool session_shake_hands(struct session *s);
bool session_explain_https(struct session *s);
/* The deadline has passed before HTTP began: counts it, and closes. */
void session_open_too_late(struct session *s);

#endif
