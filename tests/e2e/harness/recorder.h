/* A backend that keeps every byte as it came, and answers what the strict reader takes for one
 * whole request. */
#ifndef E2E_RECORDER_H
#define E2E_RECORDER_H

#include <stddef.h>

struct recorder;

struct recording {
    char *bytes; /* terminated; the caller frees it */
    size_t length;
};

/* Listens on 127.0.0.1:0 until the test ends. A whole request is answered with 200 and "ok", Expect
 * with 100 first; what is no request with the connection's end. */
struct recorder *recorder_start(void);
const char *recorder_address(const struct recorder *recorder);

/* What has come since the last call, whatever is still in the sockets included, the older
 * connection first. */
struct recording recorder_take(struct recorder *recorder);

#endif
