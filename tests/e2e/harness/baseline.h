/* What a gateway holds while nobody is there, and that it holds no more after a storm. */
#ifndef E2E_BASELINE_H
#define E2E_BASELINE_H

#include "gateway_process.h"

struct baseline {
    int files;
    long rss_kib;
};

/* Now; the file has an admin socket. */
struct baseline baseline_take(struct gateway *gateway);

/* Waits until no client is connected, no request is under way, and no more descriptors are open
 * than there were; fails the test when that does not come, or when memory has grown by more.
 * Connections to backends are descriptors as well: stop the origins before. */
void baseline_await(const struct baseline *baseline, struct gateway *gateway, long room_kib);

/* A member of /status, a.b goes inside. */
long long status_number(const char *member);

#endif
