/* What is in force for one request, once route, host, backend, defaults and built-in are merged. */
#ifndef ROUTING_SETTINGS_H
#define ROUTING_SETTINGS_H

#include "base/slice.h"

enum host_mode { HOST_PRESERVE, HOST_BACKEND, HOST_NAMED };

enum setting {
    SETTING_BODY_IDLE,
    SETTING_CONNECT,
    SETTING_FIRST_BYTE,
    SETTING_IDLE,
    SETTING_TUNNEL_IDLE,
    SETTING_MAX_BODY,
    SETTING_HOST,
    SETTING_RETRY_ATTEMPTS,
    SETTING_COUNT
};

/* Where a setting may have been written: a later one wins. */
enum setting_place {
    SETTING_BUILT_IN,
    SETTING_OF_DEFAULTS,
    SETTING_OF_BACKEND,
    SETTING_OF_HOST,
    SETTING_OF_PATH,
    SETTING_PLACES
};

/* Times in milliseconds, sizes in bytes; 0 is off. */
struct settings {
    uint64_t body_idle_ms, connect_ms, first_byte_ms, idle_ms, tunnel_idle_ms;
    uint64_t max_body;
    enum host_mode host_mode;
    struct slice host_name;      /* HOST_NAMED */
    unsigned retry_attempts;     /* of all tries; at least 1 */
    uint8_t from[SETTING_COUNT]; /* enum setting_place: where each was written */
};

#endif
