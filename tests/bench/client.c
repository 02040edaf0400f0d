/* What wrk does not do to a TLS server: full handshakes one after the other, and idle connections;
 * and requests for many hosts.
 *
 * usage: client handshakes PORT COUNT [NAMES]
 *                                  COUNT full handshakes, then says "done"; for localhost, or for
 *                                  host-0.example to host-(NAMES-1).example in no order
 *        client idle PORT COUNT    COUNT connections with one request each, says "idle", and holds
 *                                  them until its standard input ends
 *        client hosts PORT COUNT NAMES
 *                                  COUNT requests without TLS, a hundred at once, for those hosts,
 *                                  whose answer is the body "ok"; then says "done"
 *
 * The first two say the protocol, cipher and group of the last handshake. */
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
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

/* The i-th of so many names, in an order that jumps about; localhost when there are none. */
static const char *name_at(int i, int names)
{
    static char name[64];
    if (names == 0)
        return "localhost";
    snprintf(name, sizeof(name), "host-%lld.example", (long long)i * 7919 % names);
    return name;
}

static int dial(unsigned short port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        fail("connect");
    return fd;
}

static SSL *connect_to(SSL_CTX *settings, unsigned short port, const char *name)
{
    SSL *ssl = SSL_new(settings);
    SSL_set_fd(ssl, dial(port));
    SSL_set_tlsext_host_name(ssl, name);
    if (SSL_connect(ssl) != 1)
        fail("handshake");
    if (SSL_session_reused(ssl))
        fail("resumed");
    return ssl;
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

static void request(SSL *ssl)
{
    static const char get[] = "GET /1k HTTP/1.1\r\nHost: localhost\r\n\r\n";
    char response[4096];
    int length = 0;
    if (SSL_write(ssl, get, (int)strlen(get)) <= 0)
        fail("write");
    for (;;) {
        int got = SSL_read(ssl, response + length, (int)sizeof(response) - 1 - length);
        if (got <= 0)
            fail("read");
        length += got;
        response[length] = '\0';
        const char *body = strstr(response, "\r\n\r\n");
        if (body != NULL && response + length - (body + 4) >= 1024)
            return;
    }
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

int main(int argc, char **argv)
{
    if (argc != 4 && argc != 5) {
        fprintf(stderr, "usage: client handshakes|idle|hosts PORT COUNT [NAMES]\n");
        return 2;
    }
    unsigned short port = (unsigned short)atoi(argv[2]);
    int count = atoi(argv[3]), names = argc == 5 ? atoi(argv[4]) : 0;
    if (strcmp(argv[1], "hosts") == 0) {
        ask_hosts(port, count, names);
        return 0;
    }
    SSL_CTX *settings = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(settings, SSL_SESS_CACHE_OFF);
    if (strcmp(argv[1], "idle") == 0)
        hold_idle(settings, port, count);
    shake_hands(settings, port, count, names);
    SSL_CTX_free(settings);
    return 0;
}
