/* Connections that must outlive every change: tunnels that echo all the time, and downloads that
 * are read a piece at a time. */
#ifndef E2E_LONG_LIVED_H
#define E2E_LONG_LIVED_H

#include "gateway_process.h"

#include <stdint.h>

struct long_lived_options {
    struct gateway *gateway;
    const char *sni;
    const char *host;
    int tunnels;            /* GET /ws, answered by origin_upgrade_echo */
    int downloads;          /* GET /down, answered by origin_send_pattern */
    uint64_t pattern_bytes; /* the length of each */
};

struct long_lived;

/* Opens them all and keeps the tunnels busy until long_lived_end. Lives until the test ends. */
struct long_lived *long_lived_start(const struct long_lived_options *options);
/* Lets every download read so many bytes more. */
void long_lived_read_on(struct long_lived *company, uint64_t bytes);
/* Waits until every tunnel has echoed once more, from its beginning, and every download has read
 * what it may; fails the test when one cannot. */
void long_lived_wait(struct long_lived *company);
/* Reads the downloads to their ends, ends the tunnels, and fails the test unless all of them end in
 * order. */
void long_lived_end(struct long_lived *company);
/* Echoes that came back, all tunnels together. */
long long_lived_echoes(struct long_lived *company);

#endif
