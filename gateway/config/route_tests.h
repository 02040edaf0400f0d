/* `tests` of a route file: requests and what is expected of them. */
#ifndef CONFIG_ROUTE_TESTS_H
#define CONFIG_ROUTE_TESTS_H

#include "config/follow.h"
#include "config/load.h"

struct route_test {
    struct text_place place;
    bool is_valid; /* else there were problems, and it is not run */

    struct followed_request request;

    /* What is expected; NULL or 0: no matter. */
    const char *route, *backend, *server, *cert, *location, *alert;
    int status;
};

/* Runs the config's tests against the finished snapshot. Where `is_strict` is not set, what is
 * expected of handshakes only warns; where `is_renewal` is, everything does. */
void route_tests_run(const struct snapshot *snapshot, bool is_strict, bool is_renewal,
                     struct problems *problems);

#endif
