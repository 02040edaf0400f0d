/* Which protocol clients of this run speak over TLS. Each program of `tests/e2e/protocols` with
 * `h2` runs a second time with SALLYPORT_TEST_PROTOCOL=h2: the same requests, written as HTTP/1.1,
 * then travel as HTTP/2 (h2_wire.h). */
#ifndef E2E_PROTOCOL_H
#define E2E_PROTOCOL_H

#include <stdbool.h>

bool speaks_h2(void);
/* As the access log calls it. */
const char *protocol_name(void);
/* Skips the test, from here on, where clients speak HTTP/2: it is about HTTP/1.1 alone. */
void needs_http1(const char *why);

#endif
