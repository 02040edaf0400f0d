#include "net/dns_channel.h"

#include <ev.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/time.h>

enum {
    TRIES = 2, /* of each server */
    /* What fits into every network's packets: larger answers come by TCP (RFC 9715). */
    EDNS_BYTES = 1232,
};

struct dns_channel {
    struct loop *loop;
    ares_channel ares;
    struct list sockets;
    struct task task; /* woken by the deadline */
    struct deadline deadline;
};

struct dns_socket {
    struct list_node node;
    struct dns_channel *channel;
    ev_io watcher;
};

/* --- sockets ------------------------------------------------------------------------------- */

static void set_deadline(struct dns_channel *channel)
{
    struct timeval left;
    if (ares_timeout(channel->ares, NULL, &left) == NULL) {
        deadline_set(channel->loop, &channel->deadline, 0);
        return;
    }
    uint64_t left_ms = (uint64_t)left.tv_sec * 1000 + (uint64_t)left.tv_usec / 1000;
    deadline_set(channel->loop, &channel->deadline, left_ms + 1);
}

/* What is answered here only wakes tasks. The socket may be closed, and gone, afterwards. */
static void on_socket(struct ev_loop *ev, ev_io *watcher, int events)
{
    struct dns_channel *channel = container_of(watcher, struct dns_socket, watcher)->channel;
    int fd = watcher->fd;
    (void)ev;
    ares_process_fd(channel->ares, (events & EV_READ) != 0 ? fd : ARES_SOCKET_BAD,
                    (events & EV_WRITE) != 0 ? fd : ARES_SOCKET_BAD);
    set_deadline(channel);
}

static void on_deadline(void *owner)
{
    struct dns_channel *channel = owner;
    ares_process_fd(channel->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_deadline(channel);
}

static struct dns_socket *find_socket(const struct dns_channel *channel, int fd)
{
    list_each (&channel->sockets, node) {
        struct dns_socket *found = container_of(node, struct dns_socket, node);
        if (found->watcher.fd == fd)
            return found;
    }
    return NULL;
}

static struct dns_socket *add_socket(struct dns_channel *channel, int fd)
{
    struct dns_socket *added = memory_new(sizeof(*added));
    added->channel = channel;
    ev_io_init(&added->watcher, on_socket, fd, 0);
    list_push_back(&channel->sockets, &added->node);
    return added;
}

/* c-ares waits for that of a socket from now on; for nothing: it is about to close it. */
static void watch_socket(void *owner, ares_socket_t fd, int readable, int writable)
{
    struct dns_channel *channel = owner;
    struct ev_loop *ev = loop_ev(channel->loop);
    struct dns_socket *known = find_socket(channel, fd);
    int events = (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0);

    if (known == NULL && events == 0)
        return;
    if (known == NULL)
        known = add_socket(channel, fd);
    ev_io_stop(ev, &known->watcher);
    if (events != 0) {
        ev_io_set(&known->watcher, fd, events);
        ev_io_start(ev, &known->watcher);
        return;
    }
    list_remove(&known->node);
    free(known);
}

/* --- the channel --------------------------------------------------------------------------- */

static int set_servers(ares_channel ares, const struct address *servers, size_t count)
{
    struct ares_addr_port_node *nodes = memory_array(count, sizeof(*nodes));
    for (size_t i = 0; i < count; i++) {
        nodes[i].next = i + 1 < count ? &nodes[i + 1] : NULL;
        nodes[i].family = servers[i].as.any.sa_family;
        nodes[i].udp_port = nodes[i].tcp_port = address_port(&servers[i]);
        if (nodes[i].family == AF_INET)
            memcpy(&nodes[i].addr.addr4, &servers[i].as.v4.sin_addr, sizeof(struct in_addr));
        else
            memcpy(&nodes[i].addr.addr6, &servers[i].as.v6.sin6_addr, sizeof(struct in6_addr));
    }
    int status = ares_set_servers_ports(ares, nodes);
    free(nodes);
    return status;
}

struct dns_channel *dns_channel_new(struct loop *loop, const struct dns_channel_options *options)
{
    struct dns_channel *channel = memory_new(sizeof(*channel));
    /* The hosts file is the resolver's: what stands there has no TTL, which c-ares does not tell.
     */
    char lookups[] = "b";
    struct ares_options wanted = {
        .flags = ARES_FLAG_EDNS | ARES_FLAG_NOALIASES,
        .ednspsz = EDNS_BYTES,
        .timeout = (int)options->timeout_ms,
        .tries = TRIES,
        .udp_port = options->port,
        .tcp_port = options->port,
        .lookups = lookups,
        .sock_state_cb = watch_socket,
        .sock_state_cb_data = channel,
        .resolvconf_path = (char *)(uintptr_t)options->resolv_conf,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
               ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB |
               (options->resolv_conf != NULL ? ARES_OPT_RESOLVCONF : 0);

    channel->loop = loop;
    list_init(&channel->sockets);
    task_init(&channel->task, on_deadline, channel);
    deadline_init(&channel->deadline, &channel->task);
    int status = ares_init_options(&channel->ares, &wanted, mask);
    if (status == ARES_SUCCESS && options->server_count > 0)
        status = set_servers(channel->ares, options->servers, options->server_count);
    if (status == ARES_SUCCESS)
        return channel;
    dns_channel_free(channel);
    return NULL;
}

static void free_channel(void *owner)
{
    free(owner);
}

void dns_channel_free(struct dns_channel *channel)
{
    if (channel == NULL)
        return;
    if (channel->ares != NULL)
        ares_destroy(channel->ares);
    assert(list_is_empty(&channel->sockets));
    deadline_clear(&channel->deadline);
    loop_bury(channel->loop, &channel->task, free_channel);
}

ares_channel dns_channel_ares(struct dns_channel *channel)
{
    return channel->ares;
}

void dns_channel_asked(struct dns_channel *channel)
{
    set_deadline(channel);
}
