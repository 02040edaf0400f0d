/* What wrk does not do to a TLS server: full handshakes one after the other, and idle connections.
 *
 * usage: client handshakes PORT COUNT    COUNT full handshakes, then says "done"
 *        client idle PORT COUNT          COUNT connections with one request each, says "idle", and
 *                                        holds them until its standard input ends
 *
 * Both say the protocol, cipher and group of the last handshake. */
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

static SSL *connect_to(SSL_CTX *settings, unsigned short port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        fail("connect");
    SSL *ssl = SSL_new(settings);
    SSL_set_fd(ssl, fd);
    SSL_set_tlsext_host_name(ssl, "localhost");
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
        ssl = connect_to(settings, port);
        request(ssl);
    }
    say("idle", ssl);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    exit(0);
}

static void shake_hands(SSL_CTX *settings, unsigned short port, int count)
{
    for (int i = 0; i < count; i++) {
        SSL *ssl = connect_to(settings, port);
        if (i == count - 1)
            say("done", ssl);
        end(ssl);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: client handshakes|idle PORT COUNT\n");
        return 2;
    }
    SSL_CTX *settings = SSL_CTX_new(TLS_client_method());
    unsigned short port = (unsigned short)atoi(argv[2]);
    SSL_CTX_set_session_cache_mode(settings, SSL_SESS_CACHE_OFF);
    if (strcmp(argv[1], "idle") == 0)
        hold_idle(settings, port, atoi(argv[3]));
    shake_hands(settings, port, atoi(argv[3]));
    SSL_CTX_free(settings);
    return 0;
}
