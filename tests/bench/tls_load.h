/* What the loads over TLS share: connections to 127.0.0.1, a request on one and its answer, and a
 * clock. Whatever goes wrong ends the program with 1. */
#ifndef BENCH_TLS_LOAD_H
#define BENCH_TLS_LOAD_H

#include <openssl/ssl.h>
#include <stdbool.h>

void fail(const char *what);

/* Microseconds of the monotonic clock. */
long long now_us(void);

/* A socket that is connected; each 8,000 of a program have an address of their own to come from,
 * so that there are ports enough. */
int dial(unsigned short port);

/* Settings of clients that take any certificate and keep no buffers while they wait. */
SSL_CTX *client_settings(void);

/* A connection whose handshake has been made, and does not block. */
SSL *connect_to(SSL_CTX *settings, unsigned short port, const char *host);

enum progress { ANSWER_WHOLE, ANSWER_COMES, ANSWER_NEVER };

/* The answer to the request that a connection made last. */
struct answer {
    char head[2048];
    size_t length;     /* of what is in `head` */
    long long missing; /* of the body; less than 0: the head is not whole */
};

/* Asks once; false when the connection has ended. */
bool ask(SSL *ssl, const char *question, struct answer *answer);

/* Reads what is there. An answer that is not 200 ends the program; ANSWER_NEVER: the connection has
 * ended. */
enum progress read_answer(SSL *ssl, struct answer *answer);

#endif
