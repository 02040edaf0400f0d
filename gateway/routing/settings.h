/* What is in force for one request, once route, host, backend, defaults and built-in are merged. */
#ifndef ROUTING_SETTINGS_H
#define ROUTING_SETTINGS_H

#include "base/slice.h"

enum host_mode { HOST_PRESERVE, HOST_BACKEND, HOST_NAMED };

/* Times in milliseconds, sizes in bytes; 0 is off. */
struct settings {
    uint64_t body_idle_ms, connect_ms, first_byte_ms, idle_ms, tunnel_idle_ms;
    uint64_t max_body;
    enum host_mode host_mode;
    struct slice host_name;  /* HOST_NAMED */
    unsigned retry_attempts; /* of all tries; at least 1 */
};

#endif
