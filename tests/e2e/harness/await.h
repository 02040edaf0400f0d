/* Waiting for what the gateway comes to by itself, and looking closely on the way there. */
#ifndef E2E_AWAIT_H
#define E2E_AWAIT_H

#include "gateway_process.h"
#include "test_certs.h"

/* Shakes hands for the name until `after` is presented. Every handshake on the way gets `before`,
 * whole, or fails the test. NULL: the alert that nobody has that name. */
void await_certificate(struct gateway *gateway, const char *sni, const struct cert *before,
                       const struct cert *after);
/* One handshake: this certificate, or, for NULL, that alert. */
void expect_certificate(struct gateway *gateway, const char *sni, const struct cert *cert);

/* Asks with one new connection after the other until the body is this one; every answer on the way
 * is 200. */
void await_body(struct gateway *gateway, const char *host, const char *body);

/* How often the words stand in what it has said on stderr until now. */
int count_words(struct gateway *gateway, const char *words);

/* The entry of a list whose `file` is this one; NULL: none. */
json_t *entry_of_file(json_t *list, const char *file);

#endif
