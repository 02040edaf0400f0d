/* What nghttp2 tells of an HTTP/2 connection of a test, and the exchanges on it; for h2_wire.c. */
#ifndef E2E_H2_SESSION_H
#define E2E_H2_SESSION_H

#include "h2_exchange.h"

#include <openssl/ssl.h>

/* All of it is under the monitor's lock. */
struct h2_wire {
    int fd;
    SSL *ssl;
    nghttp2_session *session;
    struct h2_pumped *pumped;
    struct wire out;    /* a buffer alone: frames that the socket has not taken */
    bool is_deaf;       /* the gateway takes no more */
    enum wire_end end;  /* of what comes from it */
    int alert;          /* that ended it */
    bool has_settings;  /* the gateway's have come */
    bool is_going_away; /* it takes no new requests */
    unsigned pings, pongs;
    struct request_text text;
    struct h2_exchange *exchanges; /* oldest first */
    struct h2_exchange *current;   /* is being written */
};

/* What nghttp2 tells is kept in h2; windows grow by what is consumed alone. */
nghttp2_session *h2_session_new(struct h2_wire *h2);

/* The oldest exchange whose answer is not read to its end; NULL: none. */
struct h2_exchange *h2_next_to_read(struct h2_wire *h2);
/* It is read to its end; or there will be no answer because the gateway had gone away before. */
bool h2_is_done(const struct h2_wire *h2, const struct h2_exchange *exchange);
/* Frees those that are read, and closed. */
void h2_forget_done(struct h2_wire *h2);

#endif
