/* What the gateway answers itself: `redirect` and `respond` of a route. */
#ifndef CONFIG_ANSWERS_H
#define CONFIG_ANSWERS_H

#include "config/reader.h"
#include "routing/route.h"

/* Both fill `route`, which stays usable when there was a problem. */
void answers_read_redirect(struct reader *reader, const struct json_node *node,
                           struct route *route);
void answers_read_respond(struct reader *reader, const struct json_node *node, struct route *route);

#endif
