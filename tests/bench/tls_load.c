#include "bench/tls_load.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { FROM_AN_ADDRESS = 8000 };

void fail(const char *what)
{
    perror(what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

long long now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

int dial(unsigned short port)
{
    static unsigned dialed;
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + dialed++ / FROM_AN_ADDRESS);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0 ||
        connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

SSL_CTX *client_settings(void)
{
    SSL_CTX *settings = SSL_CTX_new(TLS_client_method());

    if (settings == NULL)
        fail("settings");
    SSL_CTX_set_session_cache_mode(settings, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(settings, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE);
    return settings;
}

SSL *connect_to(SSL_CTX *settings, unsigned short port, const char *host)
{
    SSL *ssl = SSL_new(settings);
    int fd = dial(port);

    SSL_set_fd(ssl, fd);
    SSL_set_tlsext_host_name(ssl, host);
    if (SSL_connect(ssl) != 1)
        fail("handshake");
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        fail("fcntl");
    return ssl;
}

bool ask(SSL *ssl, const char *question, struct answer *answer)
{
    int length = (int)strlen(question);

    answer->length = 0;
    answer->missing = -1;
    ERR_clear_error();
    return SSL_write(ssl, question, length) == length;
}

/* What came of the head is judged once it is whole. */
static void judge_head(struct answer *answer)
{
    answer->head[answer->length] = '\0';
    const char *end = strstr(answer->head, "\r\n\r\n");
    const char *field = strcasestr(answer->head, "\r\ncontent-length: ");

    if (end == NULL && answer->length < sizeof(answer->head) - 1)
        return;
    if (end == NULL || strncmp(answer->head, "HTTP/1.1 200 ", 13) != 0 || field == NULL ||
        field > end) {
        fprintf(stderr, "not an answer: %.200s\n", answer->head);
        exit(1);
    }
    long long body = (long long)(answer->length - (size_t)(end + 4 - answer->head));
    answer->missing = atoll(field + strlen("\r\ncontent-length: ")) - body;
}

enum progress read_answer(SSL *ssl, struct answer *answer)
{
    static char drop[65536];

    while (answer->missing != 0) {
        bool is_head = answer->missing < 0;
        char *to = is_head ? answer->head + answer->length : drop;
        size_t room = is_head ? sizeof(answer->head) - 1 - answer->length : sizeof(drop);
        ERR_clear_error();
        int got = SSL_read(ssl, to, (int)room);
        if (got <= 0)
            return SSL_get_error(ssl, got) == SSL_ERROR_WANT_READ ? ANSWER_COMES : ANSWER_NEVER;
        if (is_head) {
            answer->length += (size_t)got;
            judge_head(answer);
        } else {
            answer->missing -= got;
        }
    }
    return ANSWER_WHOLE;
}
