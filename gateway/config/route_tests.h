/* `tests` of a route file: requests and what is expected of them. */
#ifndef CONFIG_ROUTE_TESTS_H
#define CONFIG_ROUTE_TESTS_H

#include "config/load.h"

struct route_test {
    const struct json_node *node;
    bool is_valid; /* else there were problems, and it is not run */

    struct slice method;
    bool is_tls;
    struct slice authority; /* as in the URL, or of a Host header */
    struct slice target;    /* path and query */
    struct slice sni;       /* normalised; empty: none is sent */
    uint16_t port;          /* of the URL; 0: none */

    /* What is expected; NULL or 0: no matter. */
    const char *route, *backend, *server, *cert, *location, *alert;
    int status;
};

#endif
