/* What h2load does not do to an HTTP/2 server: idle connections, requests that stay open, and small
 * requests beside a big download.
 *
 * usage: h2_client idle PORT COUNT          COUNT connections with one answer each, says "open",
 * and holds them until its standard input ends h2_client streams PORT COUNT EACH  the same with
 * EACH requests for /hold under way on each h2_client download PORT PATH WINDOW SMALL EVERY_MS gets
 * PATH through windows of WINDOW bytes, and meanwhile /1k SMALL times, one every EVERY_MS; then
 * says how many seconds the download took, from asking to its last byte, and p50 and p99 of the
 * others in milliseconds
 *        h2_client upload PORT BYTES        posts so much to /1k, and says how many seconds it
 * took, from asking to the answer's last byte
 *
 * Behind "open" it says protocol, cipher and group. */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 256 * 1024, SMALL_MAX = 10000 };

struct request {
    double asked, answered; /* seconds; 0: not yet */
    uint64_t bytes;
    size_t owed; /* of its window, to be given back */
    bool is_over;
};

struct connection {
    SSL *ssl;
    nghttp2_session *session;
    int window;
    size_t owed; /* of the connection's window, to be given back */
    const uint8_t *out;
    size_t out_bytes;
};

static void fail(const char *what)
{
    perror(what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* --- a connection ---------------------------------------------------------------------------- */

/* Gives it back in small portions, so that what is on its way is what the window allows; by halves,
 * as nghttp2 does it, is half of that where a server sends in bursts. */
static void give_back(struct connection *connection, int32_t stream, size_t *owed, size_t length)
{
    *owed += length;
    if (*owed < (size_t)connection->window / 16)
        return;
    if (nghttp2_submit_window_update(connection->session, NGHTTP2_FLAG_NONE, stream,
                                     (int32_t)*owed) != 0)
        fail("window");
    *owed = 0;
}

static int count_bytes(nghttp2_session *session, uint8_t flags, int32_t stream,
                       const uint8_t *bytes, size_t length, void *arg)
{
    struct connection *connection = arg;
    struct request *request = nghttp2_session_get_stream_user_data(session, stream);
    (void)flags, (void)bytes;
    request->bytes += length;
    give_back(connection, stream, &request->owed, length);
    give_back(connection, 0, &connection->owed, length);
    return 0;
}

static int note_end(nghttp2_session *session, int32_t stream, uint32_t error, void *arg)
{
    struct request *request = nghttp2_session_get_stream_user_data(session, stream);
    (void)arg;
    if (error != 0 || request->bytes == 0) {
        fprintf(stderr, "h2_client: stream %d ended with %u behind %llu bytes\n", stream, error,
                (unsigned long long)request->bytes);
        exit(1);
    }
    request->answered = now();
    request->is_over = true;
    return 0;
}

static SSL *connect_to(SSL_CTX *settings, unsigned short port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    SSL *ssl = SSL_new(settings);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    SSL_set_fd(ssl, fd);
    SSL_set_tlsext_host_name(ssl, "localhost");
    SSL_set_alpn_protos(ssl, (const unsigned char *)"\2h2", 3);
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_connect(ssl) != 1)
        fail("handshake");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return ssl;
}

/* The connection's own window is larger by 1 MiB, for the small ones. */
static void open_connection(struct connection *connection, SSL_CTX *settings, unsigned short port,
                            int window)
{
    *connection = (struct connection){.ssl = connect_to(settings, port), .window = window};
    nghttp2_settings_entry of_streams = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)window};
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, count_bytes);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, note_end);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_session_client_new2(&connection->session, callbacks, connection, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, &of_streams, 1);
    nghttp2_session_set_local_window_size(connection->session, NGHTTP2_FLAG_NONE, 0,
                                          window + 1024 * 1024);
}

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)name,
                        .namelen = strlen(name),
                        .value = (uint8_t *)value,
                        .valuelen = strlen(value)};
}

static void ask(struct connection *connection, const char *path, struct request *request)
{
    const nghttp2_nv fields[] = {field(":method", "GET"), field(":scheme", "https"),
                                 field(":authority", "localhost"), field(":path", path)};
    *request = (struct request){.asked = now()};
    if (nghttp2_submit_request(connection->session, NULL, fields, 4, NULL, request) < 0)
        fail("submit");
}

/* True: the socket is full. */
static bool send_some(struct connection *connection)
{
    for (;;) {
        if (connection->out_bytes == 0) {
            ssize_t made = nghttp2_session_mem_send(connection->session, &connection->out);
            if (made < 0)
                fail("mem_send");
            if (made == 0)
                return false;
            connection->out_bytes = (size_t)made;
        }
        int sent = SSL_write(connection->ssl, connection->out, (int)connection->out_bytes);
        if (sent <= 0 && SSL_get_error(connection->ssl, sent) != SSL_ERROR_WANT_WRITE)
            fail("write");
        if (sent <= 0)
            return true;
        connection->out += sent;
        connection->out_bytes -= (size_t)sent;
    }
}

/* Sends, reads, and waits if there is nothing to be read, but no longer than that. */
static void turn(struct connection *connection, int wait_ms)
{
    static uint8_t bytes[PIECE];
    struct pollfd polled = {.fd = SSL_get_fd(connection->ssl), .events = POLLIN};
    if (send_some(connection))
        polled.events |= POLLOUT;
    int got = SSL_read(connection->ssl, bytes, sizeof(bytes));
    if (got > 0) {
        if (nghttp2_session_mem_recv(connection->session, bytes, (size_t)got) != got)
            fail("mem_recv");
        return;
    }
    if (SSL_get_error(connection->ssl, got) != SSL_ERROR_WANT_READ)
        fail("read");
    poll(&polled, 1, wait_ms);
}

static void finish(struct connection *connection, const struct request *request)
{
    while (!request->is_over)
        turn(connection, 100);
    send_some(connection);
}

/* --- what is asked for ----------------------------------------------------------------------- */

static void hold(SSL_CTX *settings, unsigned short port, int count, int each)
{
    struct request *requests = calloc((size_t)each + 1, sizeof(*requests));
    struct connection connection = {0};
    char byte;
    for (int i = 0; i < count; i++) {
        open_connection(&connection, settings, port, 65535);
        ask(&connection, "/1k", &requests[0]);
        finish(&connection, &requests[0]);
        for (int k = 1; k <= each; k++)
            ask(&connection, "/hold", &requests[k]);
        send_some(&connection);
    }
    printf("open %s %s %s\n", SSL_get_version(connection.ssl), SSL_get_cipher_name(connection.ssl),
           OBJ_nid2sn((int)SSL_get_negotiated_group(connection.ssl)));
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    exit(0);
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void download(SSL_CTX *settings, unsigned short port, char **arguments)
{
    static struct request small[SMALL_MAX];
    static double took[SMALL_MAX];
    int window = atoi(arguments[1]), count = atoi(arguments[2]);
    double every = atof(arguments[3]) / 1000;
    struct request big, first;
    struct connection connection;
    open_connection(&connection, settings, port, window);
    if (count < 1 || count > SMALL_MAX)
        fail("count");
    ask(&connection, "/1k", &first);
    finish(&connection, &first);
    ask(&connection, arguments[0], &big);
    for (int asked = 0; !big.is_over || (asked > 0 && !small[asked - 1].is_over);) {
        if (asked < count && now() >= big.asked + every * (asked + 1) && !big.is_over)
            ask(&connection, "/1k", &small[asked++]);
        turn(&connection, 1);
        if (big.is_over)
            count = asked;
    }
    for (int i = 0; i < count; i++) {
        finish(&connection, &small[i]);
        took[i] = (small[i].answered - small[i].asked) * 1000;
    }
    qsort(took, (size_t)count, sizeof(took[0]), by_size);
    printf("%.4f %.2f %.2f %d\n", big.answered - big.asked, took[count / 2], took[count * 99 / 100],
           count);
}

static ssize_t give_body(nghttp2_session *session, int32_t stream, uint8_t *to, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    size_t *left = source->ptr, piece = room < *left ? room : *left;
    (void)session, (void)stream, (void)arg;
    memset(to, 'x', piece);
    *left -= piece;
    if (*left == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)piece;
}

static void upload(SSL_CTX *settings, unsigned short port, const char *bytes)
{
    size_t left = strtoul(bytes, NULL, 10);
    nghttp2_data_provider body = {.source.ptr = &left, .read_callback = give_body};
    const nghttp2_nv fields[] = {field(":method", "POST"), field(":scheme", "https"),
                                 field(":authority", "localhost"), field(":path", "/1k"),
                                 field("content-length", bytes)};
    struct connection connection;
    struct request first, big = {0};
    open_connection(&connection, settings, port, 65535);
    ask(&connection, "/1k", &first);
    finish(&connection, &first);
    big.asked = now();
    if (nghttp2_submit_request(connection.session, NULL, fields, 5, &body, &big) < 0)
        fail("submit");
    finish(&connection, &big);
    printf("%.4f\n", big.answered - big.asked);
}

int main(int argc, char **argv)
{
    SSL_CTX *settings = SSL_CTX_new(TLS_client_method());
    if (argc < 4)
        return 2;
    unsigned short port = (unsigned short)atoi(argv[2]);
    if (strcmp(argv[1], "idle") == 0)
        hold(settings, port, atoi(argv[3]), 0);
    else if (strcmp(argv[1], "streams") == 0 && argc == 5)
        hold(settings, port, atoi(argv[3]), atoi(argv[4]));
    else if (strcmp(argv[1], "upload") == 0 && argc == 4)
        upload(settings, port, argv[3]);
    else if (strcmp(argv[1], "download") == 0 && argc == 7)
        download(settings, port, argv + 3);
    else
        return 2;
    return 0;
}
