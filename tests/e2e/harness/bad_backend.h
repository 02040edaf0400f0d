/* Backends that go wrong in every way that bytes allow, and what their clients may see of it. */
#ifndef E2E_BAD_BACKEND_H
#define E2E_BAD_BACKEND_H

#include "origin.h"
#include "tls_client.h"

/* How many ways there are. */
extern const unsigned bad_backend_ways;

/* Each way is a path of its own, below /bad/; the other paths stay as they are. */
void bad_backend_add(struct origin *origin);

/* A request for the n-th way (any n); notes a failure when what comes is not what must come of it:
 * the right answer whole, a 502 or 504, or, behind a head that was fine, a cut that shows. Whether
 * the connection is good for another request. The route must have first_byte and idle timeouts well
 * below the patience. For any thread. */
bool bad_backend_visit(struct client *client, const char *host, unsigned n);

#endif
