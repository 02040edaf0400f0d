/* Hosts and paths in their one canonical form, shared by requests and by the keys of the route
 * file. */
#ifndef HTTP_TARGET_H
#define HTTP_TARGET_H

#include "base/arena.h"

/* Lower-cases, drops a trailing dot, splits off the port (0 when absent; an empty port is absent)
 * and the brackets of an IPv6 literal. False for anything that is not a valid host: empty, spaces,
 * user info, non-ASCII, bad ports (0, zeros in front), "%" zone ids, labels over 63 or names over
 * 253 bytes. Underscores are allowed. *host is in the arena only if it had to change. */
bool host_normalise(struct arena *arena, struct slice authority, struct slice *host,
                    uint16_t *port);

/* A normalised host as a URL has it: an IPv6 address in brackets (then in the arena). */
struct slice host_in_url(struct arena *arena, struct slice host);

/* Splits at the first "?" and normalises the path (routes/README.md): escapes of unreserved
 * characters decoded, runs of "/" merged, other escapes kept as sent ("%2f" and "%5c" never
 * separate). False for what is refused: segments that are, or once %2f and %5c are decoded
 * contain, "." or ".."; controls, escaped or not, "\", "#", bad escapes, bytes beyond ASCII that
 * are not escaped, no leading "/". *query keeps its "?".
 */
bool path_normalise(struct arena *arena, struct slice target, struct slice *path,
                    struct slice *query);

#endif
