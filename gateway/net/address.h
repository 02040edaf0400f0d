/* Socket addresses: what operators write, and what the kernel takes. */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include "base/error.h"
#include "base/slice.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A concrete address that the kernel takes. */
struct address {
    socklen_t length; /* 0: none */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    } as;
};

enum { ADDRESS_TEXT_SIZE = 128 };

/* "1.2.3.4:80", "[::1]:80", "unix:/path". */
void address_format(const struct address *address, char text[ADDRESS_TEXT_SIZE]);
/* The IP alone, no brackets, IPv4-mapped IPv6 as IPv4; "unix" for Unix sockets. */
void address_format_ip(const struct address *address, char text[ADDRESS_TEXT_SIZE]);
uint16_t address_port(const struct address *address); /* 0 for Unix sockets */
void address_set_port(struct address *address, uint16_t port);
bool address_equal(const struct address *a, const struct address *b);
/* An IP literal without brackets or port. */
bool address_parse_ip(struct slice text, uint16_t port, struct address *address);

enum { HOST_NAME_SIZE = 256 };

/* Takes a host name that came from elsewhere: lower-case, without the dot that may end it. False
 * when it is none, or would be taken for an IPv4 address. */
bool host_name_copy(struct slice text, char name[HOST_NAME_SIZE]);

/* Where a backend is, as written in the route file: a name or literal with a port, a path, or a
 * service whose SRV records say where its servers are. */
enum endpoint_kind { ENDPOINT_IP, ENDPOINT_NAME, ENDPOINT_UNIX, ENDPOINT_SRV };

struct endpoint {
    enum endpoint_kind kind;
    struct address address;    /* IP and UNIX: complete */
    char name[HOST_NAME_SIZE]; /* NAME, SRV: lower-case, to be looked up */
    uint16_t port;             /* 0: UNIX has none, those of SRV come with its answers */
    /* What `"host": "backend"` puts into Host: the host as written, with the port unless it is 80;
     * of SRV what is behind the labels of the service; "localhost" for Unix sockets. */
    char host[300];
};

/* "host:port", "http://host[:port]", "[::1]:80", "unix:/path", "srv:_http._tcp.api.internal". */
bool endpoint_parse(struct slice text, struct endpoint *endpoint, struct error *error);

/* Where to listen: ":443" (both families), "127.0.0.1:0", "[::1]:443", "unix:/path". One or two
 * addresses; IPv4 alone for ":port" where the machine has no IPv6. Returns how many, 0 on error. */
int listen_address_parse(struct slice text, struct address addresses[2], struct error *error);

/* Where to ask DNS: "10.0.0.2", "10.0.0.2:5353", "[::1]:53"; port 53 where none is written. */
bool name_server_parse(struct slice text, struct address *address, struct error *error);

#endif
