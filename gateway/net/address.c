#include "net/address.h"

#include "base/check.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

enum { MAPPED_PREFIX_BYTES = 12 }; /* ::ffff:0:0/96, in front of an IPv4 address */

static struct address make_v4(struct in_addr ip, uint16_t port)
{
    struct address address = {.length = sizeof(struct sockaddr_in)};
    address.as.v4.sin_family = AF_INET;
    address.as.v4.sin_addr = ip;
    address.as.v4.sin_port = htons(port);
    return address;
}

static struct address make_v6(struct in6_addr ip, uint16_t port)
{
    struct address address = {.length = sizeof(struct sockaddr_in6)};
    address.as.v6.sin6_family = AF_INET6;
    address.as.v6.sin6_addr = ip;
    address.as.v6.sin6_port = htons(port);
    return address;
}

/* --- formatting and comparing --------------------------------------------------------------------
 */

/* What the kernel says of an unnamed Unix socket has no path at all. */
static size_t local_path_length(const struct address *address)
{
    size_t head = offsetof(struct sockaddr_un, sun_path);
    size_t room = address->length > head ? address->length - head : 0;
    return strnlen(address->as.local.sun_path, room);
}

void address_format_ip(const struct address *address, char text[ADDRESS_TEXT_SIZE])
{
    const struct in6_addr *v6 = &address->as.v6.sin6_addr;
    if (address->length == 0)
        snprintf(text, ADDRESS_TEXT_SIZE, "none");
    else if (address->as.any.sa_family == AF_UNIX)
        snprintf(text, ADDRESS_TEXT_SIZE, "unix");
    else if (address->as.any.sa_family == AF_INET)
        inet_ntop(AF_INET, &address->as.v4.sin_addr, text, ADDRESS_TEXT_SIZE);
    else if (IN6_IS_ADDR_V4MAPPED(v6))
        inet_ntop(AF_INET, v6->s6_addr + MAPPED_PREFIX_BYTES, text, ADDRESS_TEXT_SIZE);
    else
        inet_ntop(AF_INET6, v6, text, ADDRESS_TEXT_SIZE);
}

void address_format(const struct address *address, char text[ADDRESS_TEXT_SIZE])
{
    if (address->length == 0) {
        snprintf(text, ADDRESS_TEXT_SIZE, "none");
        return;
    }
    char ip[ADDRESS_TEXT_SIZE] = "";
    switch (address->as.any.sa_family) {
    case AF_UNIX:
        snprintf(text, ADDRESS_TEXT_SIZE, "unix:%.*s", (int)local_path_length(address),
                 address->as.local.sun_path);
        return;
    case AF_INET6:
        inet_ntop(AF_INET6, &address->as.v6.sin6_addr, ip, sizeof(ip));
        snprintf(text, ADDRESS_TEXT_SIZE, "[%.64s]:%u", ip, address_port(address));
        return;
    default:
        inet_ntop(AF_INET, &address->as.v4.sin_addr, ip, sizeof(ip));
        snprintf(text, ADDRESS_TEXT_SIZE, "%.64s:%u", ip, address_port(address));
    }
}

uint16_t address_port(const struct address *address)
{
    if (address->length > 0 && address->as.any.sa_family == AF_INET)
        return ntohs(address->as.v4.sin_port);
    if (address->length > 0 && address->as.any.sa_family == AF_INET6)
        return ntohs(address->as.v6.sin6_port);
    return 0;
}

void address_set_port(struct address *address, uint16_t port)
{
    assert(address->length > 0 && address->as.any.sa_family != AF_UNIX);
    if (address->as.any.sa_family == AF_INET)
        address->as.v4.sin_port = htons(port);
    else
        address->as.v6.sin6_port = htons(port);
}

bool address_equal(const struct address *a, const struct address *b)
{
    if (a->length == 0 || b->length == 0)
        return a->length == b->length;
    if (a->as.any.sa_family != b->as.any.sa_family || address_port(a) != address_port(b))
        return false;
    switch (a->as.any.sa_family) {
    case AF_UNIX:
        return slice_equal(slice_make(a->as.local.sun_path, local_path_length(a)),
                           slice_make(b->as.local.sun_path, local_path_length(b)));
    case AF_INET6:
        return a->as.v6.sin6_scope_id == b->as.v6.sin6_scope_id &&
               memcmp(&a->as.v6.sin6_addr, &b->as.v6.sin6_addr, sizeof(struct in6_addr)) == 0;
    default: return a->as.v4.sin_addr.s_addr == b->as.v4.sin_addr.s_addr;
    }
}

/* --- pieces of what operators write --------------------------------------------------------------
 */

bool address_parse_ip(struct slice text, uint16_t port, struct address *address)
{
    char terminated[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;
    if (text.len >= sizeof(terminated) || slice_find(text, '\0') >= 0)
        return false;
    slice_copy_text(text, terminated, sizeof(terminated));
    if (inet_pton(AF_INET, terminated, &v4) == 1)
        *address = make_v4(v4, port);
    else if (inet_pton(AF_INET6, terminated, &v6) == 1)
        *address = make_v6(v6, port);
    else
        return false;
    return true;
}

/* For "%.*s" in messages: how much of what was written to show. */
static int shown(struct slice text)
{
    return text.len < 120 ? (int)text.len : 120;
}

static bool parse_port(struct slice text, unsigned least, uint16_t *port, struct error *error)
{
    uint64_t value = 0;
    if (!slice_parse_u64(text, &value) || value < least || value > UINT16_MAX) {
        error_set(error, "\"%.*s\" is not a port: it is a number from %u to 65535", shown(text),
                  text.at, least);
        return false;
    }
    *port = (uint16_t)value;
    return true;
}

/* "unix:" is off already. */
static bool parse_path(struct slice path, struct address *address, struct error *error)
{
    if (path.len == 0 || path.at[0] != '/' || slice_find(path, '\0') >= 0) {
        error_set(error, "\"unix:%.*s\" needs an absolute path: write unix:/path/to/socket",
                  shown(path), path.at);
        return false;
    }
    if (path.len >= sizeof(address->as.local.sun_path)) {
        error_set(error, "the path \"%.*s\" is too long for a Unix socket: %zu bytes, at most %zu",
                  shown(path), path.at, path.len, sizeof(address->as.local.sun_path) - 1);
        return false;
    }
    *address = (struct address){0};
    address->as.local.sun_family = AF_UNIX;
    slice_copy_text(path, address->as.local.sun_path, sizeof(address->as.local.sun_path));
    address->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    return true;
}

/* Splits "HOST:PORT", "[V6]:PORT" and the same without port (port->at is NULL then). Brackets are
 * taken off; *bracketed says that they were there. */
static bool split_host_port(struct slice text, struct slice *host, struct slice *port,
                            bool *bracketed, struct error *error)
{
    *port = slice_make(NULL, 0);
    *bracketed = text.len > 0 && text.at[0] == '[';
    struct slice rest;
    if (*bracketed) {
        ptrdiff_t end = slice_find(text, ']');
        if (end < 0) {
            error_set(error, "\"%.*s\" has no \"]\" behind the IPv6 address", shown(text), text.at);
            return false;
        }
        *host = slice_make(text.at + 1, (size_t)end - 1);
        rest = slice_skip(text, (size_t)end + 1);
    } else {
        ptrdiff_t colon = slice_find(text, ':');
        *host = slice_make(text.at, colon >= 0 ? (size_t)colon : text.len);
        rest = slice_skip(text, host->len);
        if (colon >= 0 && slice_find_last(text, ':') != colon) {
            error_set(error,
                      "\"%.*s\" has several colons: an IPv6 address goes in brackets, [::1]:80",
                      shown(text), text.at);
            return false;
        }
    }
    if (rest.len == 0)
        return true;
    if (rest.at[0] != ':') {
        error_set(error, "\"%.*s\": only \":PORT\" may follow the \"]\"", shown(text), text.at);
        return false;
    }
    *port = slice_skip(rest, 1);
    return true;
}

/* --- endpoints -----------------------------------------------------------------------------------
 */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '_';
}

/* Labels of 1 to 63 bytes; one dot may end it. *all_digits: the last label has no letter, so that
 * resolvers would take it for a strange IPv4 address. */
static bool is_name(struct slice text, bool *all_digits)
{
    size_t label = 0;
    *all_digits = true;
    if (text.len > 0 && text.at[text.len - 1] == '.')
        text.len--;
    if (text.len == 0 || text.len > 253)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '.') {
            if (label == 0)
                return false;
            label = 0;
            *all_digits = true;
            continue;
        }
        if (!is_name_byte(text.at[i]) || ++label > 63)
            return false;
        *all_digits = *all_digits && is_digit(text.at[i]);
    }
    return label > 0;
}

static void copy_lower(struct slice name, char lower[HOST_NAME_SIZE])
{
    slice_copy_text(name, lower, HOST_NAME_SIZE);
    for (char *c = lower; *c != '\0'; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c | 0x20) : *c;
}

bool host_name_copy(struct slice text, char name[HOST_NAME_SIZE])
{
    bool all_digits;
    if (!is_name(text, &all_digits) || all_digits)
        return false;
    if (text.at[text.len - 1] == '.')
        text.len--;
    copy_lower(text, name);
    return true;
}

static bool parse_name(struct slice host, struct endpoint *endpoint, struct error *error)
{
    bool all_digits;
    if (!is_name(host, &all_digits)) {
        error_set(error,
                  "\"%.*s\" is not a host name: letters, digits, \"-\", \"_\" and dots between "
                  "them (other scripts as xn--...)",
                  shown(host), host.at);
        return false;
    }
    if (all_digits) {
        error_set(error, "\"%.*s\" is not an IPv4 address: it has four numbers from 0 to 255",
                  shown(host), host.at);
        return false;
    }
    endpoint->kind = ENDPOINT_NAME;
    copy_lower(host, endpoint->name);
    return true;
}

static bool parse_host(struct slice host, bool bracketed, struct endpoint *endpoint,
                       struct error *error)
{
    if (host.len == 0) {
        error_set(error, "the host is missing: write host:port");
        return false;
    }
    if (!bracketed && !address_parse_ip(host, endpoint->port, &endpoint->address))
        return parse_name(host, endpoint, error);
    if (bracketed && (!address_parse_ip(host, endpoint->port, &endpoint->address) ||
                      endpoint->address.as.any.sa_family != AF_INET6)) {
        error_set(error, "\"[%.*s]\" is not an IPv6 address", shown(host), host.at);
        return false;
    }
    endpoint->kind = ENDPOINT_IP;
    return true;
}

/* Takes a scheme off. What follows the host in a URL has no meaning for a backend. */
static bool take_scheme(struct slice *text, bool *is_url, struct error *error)
{
    struct slice whole = *text;
    *is_url = slice_starts_with(whole, slice_of("http://"));
    if (*is_url) {
        *text = slice_skip(whole, strlen("http://"));
    } else if (slice_starts_with(whole, slice_of("https://"))) {
        struct slice rest = slice_skip(whole, strlen("https://"));
        error_set(error,
                  "\"%.*s\": https:// to a backend is not supported, the private network is "
                  "plaintext: write http://%.*s",
                  shown(whole), whole.at, shown(rest), rest.at);
        return false;
    }
    ptrdiff_t slash = slice_find(*text, '/');
    if (!*is_url && slash > 0 &&
        slice_starts_with(slice_skip(*text, (size_t)slash - 1), slice_of("://"))) {
        error_set(error, "\"%.*s\": only http:// may stand in front of a backend's host:port",
                  shown(whole), whole.at);
        return false;
    }
    if (slice_find(*text, '@') >= 0) {
        error_set(error, "\"%.*s\" has user info (\"@\"): a backend is host:port alone",
                  shown(whole), whole.at);
        return false;
    }
    if (slash >= 0 || slice_find(*text, '?') >= 0 || slice_find(*text, '#') >= 0) {
        error_set(
            error,
            "\"%.*s\" has a path: a backend is host:port alone (choose by path with \"paths\")",
            shown(whole), whole.at);
        return false;
    }
    return true;
}

/* Behind the two labels of a service; empty when they are not in front. */
static struct slice skip_service(struct slice name)
{
    for (int label = 0; label < 2; label++) {
        ptrdiff_t dot = slice_find(name, '.');
        if (dot < 2 || name.at[0] != '_')
            return slice_make(name.at, 0);
        name = slice_skip(name, (size_t)dot + 1);
    }
    return name;
}

/* "srv:" is off already. Ports are the answer's. */
static bool parse_service(struct slice name, struct endpoint *endpoint, struct error *error)
{
    struct slice host = skip_service(name);
    bool all_digits;
    if (slice_find(name, ':') >= 0) {
        error_set(error,
                  "\"srv:%.*s\" has a port: SRV records say which ports there are, write "
                  "srv:%.*s",
                  shown(name), name.at, (int)slice_find(name, ':'), name.at);
        return false;
    }
    if (!is_name(name, &all_digits) || !is_name(host, &all_digits)) {
        error_set(error,
                  "\"srv:%.*s\" is not the name of a service: write "
                  "srv:_SERVICE._PROTOCOL.NAME, such as srv:_http._tcp.api.internal",
                  shown(name), name.at);
        return false;
    }
    endpoint->kind = ENDPOINT_SRV;
    copy_lower(name, endpoint->name);
    slice_copy_text(host, endpoint->host, sizeof(endpoint->host));
    return true;
}

bool endpoint_parse(struct slice text, struct endpoint *endpoint, struct error *error)
{
    *endpoint = (struct endpoint){.kind = ENDPOINT_UNIX};
    if (slice_starts_with(text, slice_of("srv:")))
        return parse_service(slice_skip(text, strlen("srv:")), endpoint, error);
    if (slice_starts_with(text, slice_of("unix:"))) {
        slice_copy_text(slice_of("localhost"), endpoint->host, sizeof(endpoint->host));
        return parse_path(slice_skip(text, strlen("unix:")), &endpoint->address, error);
    }
    struct slice whole = text, host, port;
    bool is_url, bracketed;
    if (!take_scheme(&text, &is_url, error) ||
        !split_host_port(text, &host, &port, &bracketed, error))
        return false;
    endpoint->port = 80;
    if (port.at == NULL && !is_url) {
        error_set(error, "\"%.*s\" has no port: write %.*s:PORT", shown(whole), whole.at,
                  shown(text), text.at);
        return false;
    }
    if (port.at != NULL && !parse_port(port, 1, &endpoint->port, error))
        return false;
    if (!parse_host(host, bracketed, endpoint, error))
        return false;

    char number[8] = "";
    if (endpoint->port != 80)
        snprintf(number, sizeof(number), ":%u", endpoint->port);
    snprintf(endpoint->host, sizeof(endpoint->host), bracketed ? "[%.*s]%s" : "%.*s%s",
             (int)host.len, host.at, number);
    return true;
}

/* --- where to listen -----------------------------------------------------------------------------
 */

static bool machine_has_v6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    struct address any = make_v6(in6addr_any, 0);
    bool can_bind = bind(fd, &any.as.any, any.length) == 0;
    close(fd);
    return can_bind;
}

int listen_address_parse(struct slice text, struct address addresses[2], struct error *error)
{
    if (slice_starts_with(text, slice_of("unix:")))
        return parse_path(slice_skip(text, strlen("unix:")), &addresses[0], error) ? 1 : 0;

    struct slice host, port_text;
    uint16_t port;
    bool bracketed;
    if (!split_host_port(text, &host, &port_text, &bracketed, error))
        return 0;
    if (port_text.at == NULL) {
        bool is_port = slice_parse_u64(text, &(uint64_t){0});
        error_set(error, "\"%.*s\" has no port: write %s%.*s%s", shown(text), text.at,
                  is_port ? ":" : "", shown(text), text.at, is_port ? "" : ":PORT");
        return 0;
    }
    if (!parse_port(port_text, 0, &port, error))
        return 0;
    if (host.len == 0 && !bracketed) {
        int count = 0;
        if (machine_has_v6())
            addresses[count++] = make_v6(in6addr_any, port);
        addresses[count++] = make_v4((struct in_addr){.s_addr = htonl(INADDR_ANY)}, port);
        return count;
    }
    if (!address_parse_ip(host, port, &addresses[0]) ||
        bracketed != (addresses[0].as.any.sa_family == AF_INET6)) {
        error_set(error,
                  "\"%.*s\" is not an address to listen on: write :PORT (all of this machine's), "
                  "127.0.0.1:PORT, [::1]:PORT or unix:/path",
                  shown(text), text.at);
        return 0;
    }
    return 1;
}

/* --- name servers --------------------------------------------------------------------------------
 */

bool name_server_parse(struct slice text, struct address *address, struct error *error)
{
    enum { DNS_PORT = 53 };
    struct error detail; /* what is wrong with a port is no news where there is no address */
    struct slice host, port_text;
    uint16_t port = DNS_PORT;
    bool bracketed = false;

    if (address_parse_ip(text, DNS_PORT, address))
        return true;
    if (!split_host_port(text, &host, &port_text, &bracketed, &detail) ||
        !address_parse_ip(host, port, address) ||
        bracketed != (address->as.any.sa_family == AF_INET6)) {
        error_set(error,
                  "\"%.*s\" is not the address of a name server: write 10.0.0.2, 10.0.0.2:5353 "
                  "or [::1]:53",
                  shown(text), text.at);
        return false;
    }
    if (port_text.at != NULL && !parse_port(port_text, 1, &port, error))
        return false;
    address_set_port(address, port);
    return true;
}
