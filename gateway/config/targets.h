/* Where requests go: servers, backends, and the `to` of a route. */
#ifndef CONFIG_TARGETS_H
#define CONFIG_TARGETS_H

#include "config/load.h"

/* --- backends.c ---------------------------------------------------------------------------------
 */

/* False, with a problem at `node`, when `text` is no address of a server. */
bool targets_read_address(struct reader *reader, const struct json_node *node,
                          enum mistake_place place, struct slice text, struct server_spec *server);
/* One address or server object, or a list of those. */
bool targets_read_servers(struct reader *reader, const struct json_node *node,
                          struct upstream_spec *upstream);
/* NULL, with a problem, when there is none of that name. */
struct backend *targets_find_backend(struct load *load, const struct json_node *node,
                                     enum mistake_place place, struct slice name);

/* --- targets.c ----------------------------------------------------------------------------------
 */

/* Reads a `to`, or a target written without an object, into `route`, whose name is set. `nearest`
 * are the layers of the path and of the host, either of them NULL. */
void targets_read_to(struct load *load, const struct json_node *node, struct route *route,
                     const struct layer *const nearest[2]);

#endif
