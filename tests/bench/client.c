/* What wrk does not do to a TLS server: handshakes, full and resumed; idle connections; long
 * bodies; and requests for many hosts.
 *
 * usage: client handshakes PORT COUNT [NAMES]
 *                                  COUNT full handshakes, then says "done"; for localhost, or for
 *                                  host-0.example to host-(NAMES-1).example in no order
 *        client connections PORT COUNT CONNECTIONS
 *                                  COUNT full handshakes with one request each, as many at once as
 *                                  CONNECTIONS says, then says "done"
 *        client resumptions PORT COUNT CONNECTIONS
 *                                  the same, but all are resumed, each with the newest ticket; one
 *                                  more for each of CONNECTIONS, before them, is not
 *        client idle PORT COUNT    COUNT connections with one request each, says "idle", and holds
 *                                  them until its standard input ends
 *        client download PORT COUNT CONNECTIONS PATH BYTES
 *                                  COUNT answers of BYTES to GET PATH, then says "done"
 *        client upload PORT COUNT CONNECTIONS BYTES
 *                                  COUNT bodies of BYTES to POST /1k, then says "done"
 *        client hosts PORT COUNT NAMES
 *                                  COUNT requests without TLS, a hundred at once, for those hosts,
 *                                  whose answer is the body "ok"; then says "done"
 *
 * Every answer must be 200 and as long as it should be, or it ends with 1. All but the last say the
 * protocol, cipher and group of the last handshake; OpenSSL's configuration says what is offered.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what)
{
    perror(what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

/* The i-th of so many names, in an order that jumps about and begins elsewhere in each run;
 * localhost when there are none. */
static const char *name_at(int i, int names)
{
    static char name[64];
    if (names == 0)
        return "localhost";
    snprintf(name, sizeof(name), "host-%lld.example", (i + 31LL * getpid()) * 7919 % names);
    return name;
}

static int dial(unsigned short port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on =
        1; /* as browsers do: a request waits for no acknowledgement of the Finished before it */
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
        fail("connect");
    return fd;
}

/* The newest ticket that a server sent to this thread; only resumptions keep them. */
static _Thread_local SSL_SESSION *newest;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(newest);
    newest = session;
    return 1;
}

/* With `session`, resumed; NULL: a full handshake. */
static SSL *connect_with(SSL_CTX *settings, unsigned short port, const char *name,
                         SSL_SESSION *session)
{
    SSL *ssl = SSL_new(settings);
    SSL_set_fd(ssl, dial(port));
    SSL_set_tlsext_host_name(ssl, name);
    if (session != NULL && SSL_set_session(ssl, session) != 1)
        fail("session");
    if (SSL_connect(ssl) != 1)
        fail("handshake");
    if (SSL_session_reused(ssl) != (session != NULL))
        fail(session != NULL ? "not resumed" : "resumed");
    return ssl;
}

static SSL *connect_to(SSL_CTX *settings, unsigned short port, const char *name)
{
    return connect_with(settings, port, name, NULL);
}

/* Both ways, so that the server has done all its work when this returns: it has read our Finished,
 * sent its tickets, and closed. */
static void end(SSL *ssl)
{
    char drop[4096];
    int fd = SSL_get_fd(ssl);
    SSL_shutdown(ssl);
    shutdown(fd, SHUT_WR);
    while (recv(fd, drop, sizeof(drop), 0) > 0)
        continue;
    close(fd);
    SSL_free(ssl);
}

enum { HEAD_BYTES = 8192, PIECE_BYTES = 256 * 1024 };

static void write_all(SSL *ssl, const void *bytes, size_t length)
{
    size_t written;
    if (SSL_write_ex(ssl, bytes, length, &written) != 1)
        fail("write");
}

/* Of the answer; what of the body has come with it is counted into *body. Fails unless it is 200
 * and says that its body has so many bytes. */
static void read_head(SSL *ssl, size_t bytes, size_t *body)
{
    char head[HEAD_BYTES + 1];
    size_t length = 0, got;
    char *end = NULL;
    while (end == NULL) {
        if (length == HEAD_BYTES || SSL_read_ex(ssl, head + length, HEAD_BYTES - length, &got) != 1)
            fail("read");
        length += got;
        head[length] = '\0';
        end = strstr(head, "\r\n\r\n");
    }
    *body = length - (size_t)(end + 4 - head);
    *end = '\0';
    const char *field = strcasestr(head, "\r\ncontent-length:");
    if (strncmp(head, "HTTP/1.1 200", 12) != 0 || field == NULL ||
        strtoull(strchr(field, ':') + 1, NULL, 10) != bytes || *body > bytes) {
        fprintf(stderr, "not 200 with %zu bytes: %s\n", bytes, head);
        exit(1);
    }
}

static void read_answer(SSL *ssl, size_t bytes)
{
    static _Thread_local char piece[PIECE_BYTES];
    size_t body, got;
    read_head(ssl, bytes, &body);
    while (body < bytes) {
        if (SSL_read_ex(ssl, piece, bytes - body < PIECE_BYTES ? bytes - body : PIECE_BYTES,
                        &got) != 1)
            fail("read");
        body += got;
    }
}

static void request(SSL *ssl)
{
    static const char get[] = "GET /1k HTTP/1.1\r\nHost: localhost\r\n\r\n";
    write_all(ssl, get, strlen(get));
    read_answer(ssl, 1024);
}

static void say(const char *word, const SSL *ssl)
{
    printf("%s %s %s %s\n", word, SSL_get_version(ssl), SSL_get_cipher_name(ssl),
           OBJ_nid2sn((int)SSL_get_negotiated_group((SSL *)ssl)));
    fflush(stdout);
}

static void hold_idle(SSL_CTX *settings, unsigned short port, int count)
{
    char byte;
    SSL *ssl = NULL;
    for (int i = 0; i < count; i++) {
        ssl = connect_to(settings, port, "localhost");
        request(ssl);
    }
    say("idle", ssl);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    exit(0);
}

static void shake_hands(SSL_CTX *settings, unsigned short port, int count, int names)
{
    for (int i = 0; i < count; i++) {
        SSL *ssl = connect_to(settings, port, name_at(i, names));
        if (i == count - 1)
            say("done", ssl);
        end(ssl);
    }
}

/* What the threads of one load share. */
struct load {
    SSL_CTX *settings;
    unsigned short port;
    atomic_int left;    /* exchanges that nobody has begun */
    bool is_resumption; /* of connections */
    const char *path;   /* of what is downloaded; NULL: an upload */
    size_t bytes;       /* of each body */
    atomic_bool is_said;
};

static bool take(struct load *load)
{
    return atomic_fetch_sub(&load->left, 1) > 0;
}

static void say_once(struct load *load, const SSL *ssl)
{
    if (!atomic_exchange(&load->is_said, true))
        say("done", ssl);
}

/* A connection with one request. */
static void ask_once(struct load *load, SSL_SESSION *session)
{
    SSL *ssl = connect_with(load->settings, load->port, "localhost", session);
    request(ssl);
    say_once(load, ssl);
    end(ssl);
}

static void *connect_and_ask(void *data)
{
    struct load *load = data;
    if (load->is_resumption) {
        ask_once(load, NULL);
        if (newest == NULL)
            fail("no ticket");
    }
    while (take(load)) {
        SSL_SESSION *session = newest;
        newest = NULL;
        ask_once(load, session);
        if (newest == NULL)
            newest = session; /* a server need not send another */
        else
            SSL_SESSION_free(session);
    }
    return NULL;
}

static void upload(SSL *ssl, size_t bytes)
{
    static char piece[PIECE_BYTES];
    char head[256];
    int length =
        snprintf(head, sizeof(head),
                 "POST /1k HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n", bytes);
    write_all(ssl, head, (size_t)length);
    for (size_t sent = 0, now; sent < bytes; sent += now) {
        now = bytes - sent < PIECE_BYTES ? bytes - sent : PIECE_BYTES;
        write_all(ssl, piece, now);
    }
    read_answer(ssl, 1024);
}

static void download(SSL *ssl, const char *path, size_t bytes)
{
    char head[256];
    int length = snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    write_all(ssl, head, (size_t)length);
    read_answer(ssl, bytes);
}

static void *exchange_bodies(void *data)
{
    struct load *load = data;
    SSL *ssl = connect_to(load->settings, load->port, "localhost");
    while (take(load)) {
        if (load->path != NULL)
            download(ssl, load->path, load->bytes);
        else
            upload(ssl, load->bytes);
    }
    say_once(load, ssl);
    end(ssl);
    return NULL;
}

/* In so many threads at once. */
static void run_load(struct load *load, void *work(void *), int connections)
{
    pthread_t threads[64];
    if (connections < 1 || connections > 64)
        fail("connections");
    for (int i = 0; i < connections; i++)
        if (pthread_create(&threads[i], NULL, work, load) != 0)
            fail("thread");
    for (int i = 0; i < connections; i++)
        pthread_join(threads[i], NULL);
}

/* The gateway ends a connection with its ten thousandth request. */
enum { BATCH = 100, ON_A_CONNECTION = 5000 };

/* Reads until so many answers have ended. */
static void read_answers(int fd, int count)
{
    static const char end[] = "\r\n\r\nok";
    static char bytes[65536];
    size_t seen = 0; /* of the end that stands next */
    while (count > 0) {
        ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
        if (got <= 0)
            fail("recv");
        for (ssize_t i = 0; i < got; i++) {
            if (bytes[i] != end[seen])
                seen = bytes[i] == end[0] ? 1 : 0;
            else if (++seen == sizeof(end) - 1) {
                seen = 0;
                count--;
            }
        }
    }
}

static void ask_hosts(unsigned short port, int count, int names)
{
    static char batch[BATCH * 128];
    int fd = -1;
    for (int i = 0; i < count; i += BATCH) {
        size_t length = 0;
        if (i % ON_A_CONNECTION == 0) {
            close(fd);
            fd = dial(port);
        }
        for (int j = i; j < i + BATCH; j++)
            length += (size_t)snprintf(batch + length, sizeof(batch) - length,
                                       "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", name_at(j, names));
        if (send(fd, batch, length, 0) != (ssize_t)length)
            fail("send");
        read_answers(fd, BATCH);
    }
    close(fd);
    printf("done\n");
}

static int misused(void)
{
    fprintf(stderr, "usage: client handshakes|idle|hosts PORT COUNT [NAMES]\n"
                    "       client connections|resumptions PORT COUNT CONNECTIONS\n"
                    "       client download PORT COUNT CONNECTIONS PATH BYTES\n"
                    "       client upload PORT COUNT CONNECTIONS BYTES\n");
    return 2;
}

/* False: it is none of those that go in threads. */
static bool run_threads(SSL_CTX *settings, const char *what, int argc, char **argv)
{
    struct load load = {.settings = settings, .port = (unsigned short)atoi(argv[2])};
    atomic_init(&load.left, atoi(argv[3]));
    load.bytes = strtoull(argv[argc - 1], NULL, 10);
    load.is_resumption = strcmp(what, "resumptions") == 0;
    if (load.is_resumption) {
        SSL_CTX_set_session_cache_mode(settings,
                                       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(settings, keep_session);
    }
    if (argc == 7 && strcmp(what, "download") == 0)
        load.path = argv[5];
    if (argc == 5 && (load.is_resumption || strcmp(what, "connections") == 0))
        run_load(&load, connect_and_ask, atoi(argv[4]));
    else if (load.path != NULL || (argc == 6 && strcmp(what, "upload") == 0))
        run_load(&load, exchange_bodies, atoi(argv[4]));
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return misused();
    const char *what = argv[1];
    unsigned short port = (unsigned short)atoi(argv[2]);
    int count = atoi(argv[3]), names = argc == 5 ? atoi(argv[4]) : 0;
    SSL_CTX *settings = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(settings, SSL_SESS_CACHE_OFF);
    if (run_threads(settings, what, argc, argv))
        return 0;
    if (argc <= 5 && strcmp(what, "hosts") == 0)
        ask_hosts(port, count, names);
    else if (argc == 4 && strcmp(what, "idle") == 0)
        hold_idle(settings, port, count);
    else if (argc <= 5 && strcmp(what, "handshakes") == 0)
        shake_hands(settings, port, count, names);
    else
        return misused();
    SSL_CTX_free(settings);
    return 0;
}
