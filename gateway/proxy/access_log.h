/* One line for each request that ended. */
#ifndef PROXY_ACCESS_LOG_H
#define PROXY_ACCESS_LOG_H

#include "proxy/client.h"
#include "proxy/proxy_env.h"

struct access_record {
    const struct client *client;
    const struct globals *globals;
    uint64_t generation;
    const struct http_head *request; /* NULL: none was read whole */
    struct slice client_ip, request_id;
    struct slice route, backend, server; /* empty: null */
    int status;
    enum http_reason reason;
    uint64_t bytes_in, bytes_out;
    uint64_t duration_us;
    uint64_t upstream_us; /* to the response's head */
    bool has_upstream_time;
    unsigned attempts;
};

void access_log_write(struct proxy_env *env, const struct access_record *record);

#endif
