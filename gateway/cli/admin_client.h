/* One request to the running gateway, blocking, within a time. */
#ifndef CLI_ADMIN_CLIENT_H
#define CLI_ADMIN_CLIENT_H

#include "base/buffer.h"
#include "base/error.h"

enum { ADMIN_TIMEOUT_MS = 5 * 1000, ADMIN_RELOAD_TIMEOUT_MS = 60 * 1000 };

struct admin_request {
    const char *address; /* "unix:/path", "/path", "host:port" */
    const char *method, *path;
    const char *accept; /* a media type */
    unsigned timeout_ms;
};

enum admin_result {
    ADMIN_ANSWERED,
    ADMIN_UNREACHABLE, /* nobody is there */
    ADMIN_BROKEN,      /* somebody is, but there was no proper answer in time */
};

/* *status and `body` (appended to) are set when it was answered, else `error` is. */
enum admin_result admin_client_ask(const struct admin_request *request, int *status,
                                   struct buffer *body, struct error *error);

/* Whether anybody accepts connections there. */
bool admin_client_connects(const char *address, unsigned timeout_ms, struct error *error);

#endif
