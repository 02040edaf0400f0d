/* What is in force for one request, once route, host, backend, defaults and built-in are merged. */
#ifndef ROUTING_SETTINGS_H
#define ROUTING_SETTINGS_H

#include "policy/header_edits.h"
#include "policy/policy.h"
#include "policy/rewrite.h"

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
    SETTING_RETRY_BUDGET,
    SETTING_RETRY_ON,
    SETTING_RETRY_TIMEOUT,
    SETTING_REQUEST_HEADERS,
    SETTING_RESPONSE_HEADERS,
    SETTING_STRIP_PREFIX,
    SETTING_ADD_PREFIX,
    SETTING_POLICIES, /* one for each enum policy_kind, from here */
    SETTING_COUNT = SETTING_POLICIES + POLICY_KINDS
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

/* What makes a request be tried again, as bits. */
enum retry_on {
    RETRY_ON_CONNECT = 1, /* it could not be connected to */
    RETRY_ON_STALE = 2,   /* a reused connection had been closed */
    RETRY_ON_RESET = 4,   /* the connection ended before a byte of the answer */
    RETRY_ON_TIMEOUT = 8, /* no answer within first_byte */
    RETRY_ON_5XX = 16,
};
enum { RETRY_STATUSES_MAX = 16, RETRY_BUDGET_NONE = 0xffff };

/* Times in milliseconds, sizes in bytes; 0 is off. */
struct settings {
    uint64_t body_idle_ms, connect_ms, first_byte_ms, idle_ms, tunnel_idle_ms;
    uint64_t max_body;
    enum host_mode host_mode;
    struct slice host_name;    /* HOST_NAMED */
    unsigned retry_attempts;   /* of all tries; at least 1 */
    uint64_t retry_timeout_ms; /* of one try, to its answer's head; 0: first_byte alone */
    uint16_t retry_budget;     /* percent of the requests; RETRY_BUDGET_NONE: any number */
    uint8_t retry_on;          /* enum retry_on */
    uint8_t retry_status_count;
    uint16_t retry_statuses[RETRY_STATUSES_MAX]; /* so do these */
    struct header_edits request_headers, response_headers;
    struct rewrite rewrite;
    const struct policies *policies; /* NULL: none of any kind */
    uint8_t from[SETTING_COUNT];     /* enum setting_place: where each was written */
};

#endif
