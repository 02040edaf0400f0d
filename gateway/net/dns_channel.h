/* A c-ares channel whose sockets and time-outs are a loop's. Inside net/ alone. */
#ifndef NET_DNS_CHANNEL_H
#define NET_DNS_CHANNEL_H

#include "net/address.h"
#include "net/loop.h"

#include <ares.h>

struct dns_channel;

struct dns_channel_options {
    const char *resolv_conf; /* NULL: the system's */
    uint16_t port;           /* of the servers that it names */
    unsigned timeout_ms;     /* of a first try; each round over the servers doubles it */
    /* Asked instead of those of resolv.conf, whose search list stays in force; 0: none. */
    const struct address *servers;
    size_t server_count;
};

/* NULL when there is no memory. What is in `options` is not needed any more. */
struct dns_channel *dns_channel_new(struct loop *loop, const struct dns_channel_options *options);
/* Questions that are out are answered ARES_EDESTRUCTION. NULL is allowed. */
void dns_channel_free(struct dns_channel *channel);

/* To ask with. Whoever has asked calls dns_channel_asked afterwards. */
ares_channel dns_channel_ares(struct dns_channel *channel);
void dns_channel_asked(struct dns_channel *channel);

#endif
