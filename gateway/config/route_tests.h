/* `tests` of a route file: requests and what is expected of them. */
#ifndef CONFIG_ROUTE_TESTS_H
#define CONFIG_ROUTE_TESTS_H

#include "config/follow.h"
#include "config/load.h"

struct route_test {
    const struct json_node *node;
    bool is_valid; /* else there were problems, and it is not run */

    struct followed_request request;

    /* What is expected; NULL or 0: no matter. */
    const char *route, *backend, *server, *cert, *location, *alert;
    int status;
};

#endif
