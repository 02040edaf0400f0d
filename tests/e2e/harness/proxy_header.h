/* PROXY protocol headers, version 2, as origins read them and clients send them. */
#ifndef E2E_PROXY_HEADER_H
#define E2E_PROXY_HEADER_H

#include "wire.h"

/* Takes the header off the front of what comes, if one is there, and puts it in words:
 * "192.0.2.1:1 > 192.0.2.2:2" with brackets around IPv6, "LOCAL", or "broken"; else "". */
void proxy_header_take(struct wire *wire, char *words, size_t room);

/* The header for these ends, two IP addresses of one family; returns its length. */
size_t proxy_header_make(char bytes[64], const char *source, int source_port,
                         const char *destination, int destination_port);

#endif
