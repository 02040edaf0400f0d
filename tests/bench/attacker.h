/* What the clients of scripts/attack have in common: attacker.c has it, attacker_h2.c uses it. */
#ifndef BENCH_ATTACKER_H
#define BENCH_ATTACKER_H

#include <openssl/ssl.h>
#include <stdbool.h>

extern SSL_CTX *settings;

long long now_us(void);
void sleep_until(long long when_us);

/* A TCP connection to the gateway; -1: refused. */
int dial(void);
/* The same with a finished handshake; `protocols` as ALPN has them on the wire, NULL: none. NULL:
 * refused. */
SSL *connect_tls(const char *protocols);
void disconnect(SSL *ssl);

/* A request on an HTTP/2 connection that connect_tls made, and its whole answer: 1 KiB and 200.
 * `state` belongs to the connection and begins as zeros. */
struct h2_client {
    unsigned next_stream, unacknowledged; /* bytes, of the connection's window */
    unsigned long held;                   /* of `in` */
    unsigned char in[32768];
};
bool h2_ask(SSL *ssl, struct h2_client *client);

/* What attacks there are over HTTP/2; false: none of that name. */
bool h2_attack(const char *name, int seconds);
void h2_print_attacks(void);

#endif
