/* Tables of what a cache does: what clients ask in turn, what the backend answers when it is asked,
 * and what is seen. Read from tests/e2e/tables/.
 *
 *     == SECTION
 *     case NAME
 *     ask METHOD [SUFFIX] | Field: value | …     a client's request, to a path of the case's own
 *     origin STATUS [WORD]… | Field: value | …   it must reach the backend, which answers so
 *     got | Field: value | -Field | …            what the backend then saw of it
 *     see STATUS [WORD]… | Field: value | …      what the client gets
 *     later STATUS … , as origin                 behind the answer the backend is asked once more
 *     kept STATUS … , as origin                  the request (a GET) twice: the second is a hit
 *     not-kept STATUS … , as origin              twice: the backend is asked each time, and for
 *     asked-again STATUS … , as origin           not-kept nothing is said to be stored
 *
 * Without `origin` the request must not reach the backend. In the values @-60 is the date of a
 * minute ago, {path} the case's path. A body is "N 0123456789", N counting the backend's answers in
 * the case from 1.
 *
 * Words of origin: body=TEXT ("_" is a blank); 0 for STATUS: the connection ends without an answer,
 * as often as it is asked; "cut": it ends before the body does; "bare": without the Date of now;
 * "trailer": chunked, with the trailer field X-Trailer.
 * Words of see: N for that body, body=TEXT, empty; "cut"; what else there is stands in the
 * gateway's part of Cache-Status (hit, fwd=stale, stored, ttl= for any value), with "-" in front it
 * does not. A field with "-" in front is not there; a number with "+" at its end is that or a
 * little more. */
#ifndef E2E_CACHE_ROWS_H
#define E2E_CACHE_ROWS_H

#include "gateway_process.h"
#include "origin.h"

struct cache_table;

/* Of tests/e2e/tables/NAME; lives until the test ends. */
const struct cache_table *cache_table_read(const char *name);
int cache_table_count(const struct cache_table *table);
bool cache_table_has(const struct cache_table *table, const char *name);

/* Plays all cases of a section at the host; what is wrong fails the test, all of it at once. Fails
 * when there is none. The origin's scripts are the player's from then on. */
void cache_table_play(const struct cache_table *table, const char *section, struct gateway *gateway,
                      struct origin *origin, const char *host);

#endif
