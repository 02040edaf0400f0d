#include "cli/admin_client.h"

#include "base/clock.h"
#include "net/address.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ADDRESSES_MAX = 4, ANSWER_BYTES_MAX = 256 * 1024 * 1024 };

/* --- addresses ---------------------------------------------------------------------------------
 */

static int look_up(const struct endpoint *endpoint, struct address *addresses, struct error *error)
{
    char port[8];
    snprintf(port, sizeof(port), "%u", endpoint->port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int failure = getaddrinfo(endpoint->name, port, &hints, &found);
    if (failure != 0) {
        error_set(error, "%s", gai_strerror(failure));
        return 0;
    }
    int count = 0;
    for (struct addrinfo *one = found; one != NULL && count < ADDRESSES_MAX; one = one->ai_next) {
        addresses[count].length = one->ai_addrlen;
        memcpy(&addresses[count].as, one->ai_addr, one->ai_addrlen);
        count++;
    }
    freeaddrinfo(found);
    return count;
}

/* What listens everywhere (":8443") is reached through the loopback, where connecting to "any"
 * leads.
 */
static int parse_address(const char *text, struct address addresses[ADDRESSES_MAX],
                         struct error *error)
{
    char with_scheme[ADDRESS_TEXT_SIZE + 8];
    if (text[0] == '/') {
        snprintf(with_scheme, sizeof(with_scheme), "unix:%s", text);
        text = with_scheme;
    }
    int count = listen_address_parse(slice_of(text), addresses, error);
    struct endpoint endpoint;
    if (count > 0 || !endpoint_parse(slice_of(text), &endpoint, NULL))
        return count;
    if (endpoint.kind == ENDPOINT_SRV)
        return 0;
    if (endpoint.kind == ENDPOINT_NAME)
        return look_up(&endpoint, addresses, error);
    addresses[0] = endpoint.address;
    return 1;
}

/* --- a socket with a time -----------------------------------------------------------------------
 */

/* False when the time is over. */
static bool wait_for(int fd, short events, uint64_t until_ms)
{
    for (;;) {
        uint64_t now = clock_monotonic_ms();
        if (now >= until_ms)
            return false;
        struct pollfd ask = {.fd = fd, .events = events};
        int answer = poll(&ask, 1, (int)(until_ms - now));
        if (answer > 0)
            return true;
        if (answer < 0 && errno != EINTR)
            return false;
    }
}

static int connect_to(const struct address *address, uint64_t until_ms, struct error *error)
{
    int fd = socket(address->as.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        error_set(error, "%s", strerror(errno));
        return -1;
    }
    int failure = 0;
    if (connect(fd, &address->as.any, address->length) != 0)
        failure = errno;
    if (failure == EINPROGRESS || failure == EAGAIN) {
        socklen_t size = sizeof(failure);
        if (!wait_for(fd, POLLOUT, until_ms))
            failure = ETIMEDOUT;
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0)
            failure = errno;
    }
    if (failure == 0)
        return fd;
    error_set(error, "%s", strerror(failure));
    close(fd);
    return -1;
}

static int connect_by_text(const char *text, uint64_t until_ms, struct error *error)
{
    struct address addresses[ADDRESSES_MAX];
    int count = parse_address(text, addresses, error);
    int fd = -1;
    for (int i = 0; i < count && fd < 0; i++)
        fd = connect_to(&addresses[i], until_ms, error);
    return fd;
}

static bool send_all(int fd, struct slice bytes, uint64_t until_ms)
{
    while (bytes.len > 0) {
        ssize_t sent = send(fd, bytes.at, bytes.len, MSG_NOSIGNAL);
        if (sent >= 0)
            bytes = slice_skip(bytes, (size_t)sent);
        else if (errno != EINTR && (errno != EAGAIN || !wait_for(fd, POLLOUT, until_ms)))
            return false;
    }
    return true;
}

/* Until the peer ends: the request says Connection: close. */
static bool receive_all(int fd, struct buffer *into, uint64_t until_ms, struct error *error)
{
    for (;;) {
        if (buffer_length(into) > ANSWER_BYTES_MAX || !buffer_reserve(into, BUFFER_LARGE)) {
            error_set(error, "the answer is too long");
            return false;
        }
        ssize_t got = recv(fd, buffer_tail(into), buffer_room(into), 0);
        if (got == 0)
            return true;
        if (got > 0) {
            buffer_added(into, (size_t)got);
        } else if (errno == EAGAIN) {
            if (!wait_for(fd, POLLIN, until_ms)) {
                error_set(error, "no whole answer came in time");
                return false;
            }
        } else if (errno != EINTR) {
            error_set(error, "%s", strerror(errno));
            return false;
        }
    }
}

/* --- the answer --------------------------------------------------------------------------------
 */

/* The value of Content-Length among the lines of `head`; false without one. */
static bool find_length(struct slice head, uint64_t *length)
{
    while (head.len > 0) {
        ptrdiff_t end = slice_find(head, '\n');
        struct slice line = slice_make(head.at, end < 0 ? head.len : (size_t)end);
        head = slice_skip(head, end < 0 ? head.len : (size_t)end + 1);
        if (line.len > 0 && line.at[line.len - 1] == '\r')
            line.len--;
        ptrdiff_t colon = slice_find(line, ':');
        if (colon > 0 &&
            slice_equal_nocase(slice_make(line.at, (size_t)colon), slice_of("content-length")))
            return slice_parse_u64(slice_trim(slice_skip(line, (size_t)colon + 1)), length);
    }
    return false;
}

static bool take_apart(struct slice answer, int *status, struct slice *body)
{
    const char *end = memmem(answer.at, answer.len, "\r\n\r\n", 4);
    uint64_t length, code;
    if (end == NULL || answer.len < 12 || !slice_starts_with(answer, slice_of("HTTP/1.")) ||
        !slice_parse_u64(slice_make(answer.at + 9, 3), &code))
        return false;
    struct slice head = slice_make(answer.at, (size_t)(end - answer.at));
    *body = slice_skip(answer, head.len + 4);
    *status = (int)code;
    return !find_length(head, &length) || length == body->len;
}

static bool exchange(int fd, const struct admin_request *request, uint64_t until_ms, int *status,
                     struct buffer *body, struct error *error)
{
    struct buffer out = {0}, in = {0};
    buffer_printf(&out,
                  "%s %s HTTP/1.1\r\nHost: sallyport\r\nAccept: %s\r\nConnection: close\r\n"
                  "Content-Length: 0\r\n\r\n",
                  request->method, request->path, request->accept);
    bool is_sent = send_all(fd, buffer_content(&out), until_ms);
    if (!is_sent)
        error_set(error, "%s", strerror(errno));
    struct slice content;
    bool is_whole = is_sent && receive_all(fd, &in, until_ms, error);
    if (is_whole && !take_apart(buffer_content(&in), status, &content)) {
        error_set(error, "the answer is no whole HTTP");
        is_whole = false;
    }
    if (is_whole)
        buffer_append(body, content);
    buffer_clear(&out);
    buffer_clear(&in);
    return is_whole;
}

enum admin_result admin_client_ask(const struct admin_request *request, int *status,
                                   struct buffer *body, struct error *error)
{
    uint64_t until_ms = clock_monotonic_ms() + request->timeout_ms;
    int fd = connect_by_text(request->address, until_ms, error);
    if (fd < 0)
        return ADMIN_UNREACHABLE;
    bool is_answered = exchange(fd, request, until_ms, status, body, error);
    close(fd);
    return is_answered ? ADMIN_ANSWERED : ADMIN_BROKEN;
}

bool admin_client_connects(const char *address, unsigned timeout_ms, struct error *error)
{
    int fd = connect_by_text(address, clock_monotonic_ms() + timeout_ms, error);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}
