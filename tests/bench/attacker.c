/* A client that behaves and measures, and clients that do not, for scripts/attack.
 *
 * usage: attacker steady PORT SECONDS      one request after the other, 200 a second, on one
 *                                          connection; prints "COUNT FAILED P50 P99 MAX", in us
 *        attacker fresh PORT SECONDS       the same with a new connection for each, 50 a second
 *        attacker steady_h2|fresh_h2 ...   the same two over HTTP/2
 *        attacker hellos PORT SECONDS      half handshakes as fast as they go: a ClientHello, and
 *                                          nothing more; prints how many
 *        attacker silent PORT SECONDS      connections that never say a word; prints how many
 *        attacker h2_... PORT SECONDS      the floods of attacker_h2.c
 *
 * Those that misbehave hold HELD connections each and end the oldest for one more. */
#include "attacker.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HELD        900
#define SAMPLES_MAX 65536

SSL_CTX *settings;
static unsigned short port;

long long now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

void sleep_until(long long when_us)
{
    long long left = when_us - now_us();
    if (left > 0)
        nanosleep(&(struct timespec){left / 1000000, left % 1000000 * 1000}, NULL);
}

int dial(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {.tv_sec = 5};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* --- who behaves --------------------------------------------------------------------------------
 */

SSL *connect_tls(const char *protocols)
{
    int fd = dial();
    if (fd < 0)
        return NULL;
    SSL *ssl = SSL_new(settings);
    SSL_set_fd(ssl, fd);
    SSL_set_tlsext_host_name(ssl, "localhost");
    if (protocols != NULL)
        SSL_set_alpn_protos(ssl, (const unsigned char *)protocols, (unsigned)strlen(protocols));
    if (SSL_connect(ssl) == 1)
        return ssl;
    SSL_free(ssl);
    close(fd);
    return NULL;
}

void disconnect(SSL *ssl)
{
    if (ssl == NULL)
        return;
    int fd = SSL_get_fd(ssl);
    SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
}

static bool ask(SSL *ssl)
{
    static const char get[] = "GET /1k HTTP/1.1\r\nHost: localhost\r\n\r\n";
    char response[4096];
    int length = 0;
    if (SSL_write(ssl, get, (int)strlen(get)) <= 0)
        return false;
    while (length < (int)sizeof(response) - 1) {
        int got = SSL_read(ssl, response + length, (int)sizeof(response) - 1 - length);
        if (got <= 0)
            return false;
        length += got;
        response[length] = '\0';
        const char *body = strstr(response, "\r\n\r\n");
        if (body != NULL && response + length - (body + 4) >= 1024)
            return strncmp(response, "HTTP/1.1 200", 12) == 0;
    }
    return false;
}

static int by_size(const void *one, const void *other)
{
    long long a = *(const long long *)one, b = *(const long long *)other;
    return a < b ? -1 : a > b;
}

static void behave(int seconds, long long every_us, bool is_fresh, bool is_h2)
{
    static long long samples[SAMPLES_MAX];
    static struct h2_client h2;
    long long start_us = now_us(), end_us = start_us + seconds * 1000000LL;
    const char *protocols = is_h2 ? "\x02h2" : NULL;
    int count = 0, failed = 0;
    SSL *ssl = NULL;
    while (now_us() < end_us && count < SAMPLES_MAX) {
        sleep_until(start_us + (count + failed) * every_us);
        if (ssl == NULL)
            h2 = (struct h2_client){0};
        if (ssl == NULL && !is_fresh)
            ssl = connect_tls(protocols);
        long long began_us = now_us();
        if (is_fresh)
            ssl = connect_tls(protocols);
        bool is_fine = ssl != NULL && (is_h2 ? h2_ask(ssl, &h2) : ask(ssl));
        long long took_us = now_us() - began_us;
        if (is_fine)
            samples[count++] = took_us;
        else
            failed++;
        if (is_fresh || !is_fine) {
            disconnect(ssl);
            ssl = NULL;
        }
    }
    disconnect(ssl);
    qsort(samples, (size_t)count, sizeof(*samples), by_size);
    if (count == 0)
        printf("0 %d 0 0 0\n", failed);
    else
        printf("%d %d %lld %lld %lld\n", count, failed, samples[count / 2],
               samples[(long long)count * 99 / 100], samples[count - 1]);
}

/* --- who does not -------------------------------------------------------------------------------
 */

static int make_hello(char *into, int room)
{
    SSL *ssl = SSL_new(settings);
    BIO *out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
    SSL_set_tlsext_host_name(ssl, "localhost");
    SSL_connect(ssl);
    int length = BIO_read(out, into, room);
    SSL_free(ssl);
    return length;
}

static void flood(int seconds, const char *hello, int hello_bytes)
{
    static int held[HELD];
    long long end_us = now_us() + seconds * 1000000LL;
    unsigned long count = 0;
    for (int i = 0; i < HELD; i++)
        held[i] = -1;
    for (int at = 0; now_us() < end_us; at = (at + 1) % HELD) {
        if (held[at] >= 0)
            close(held[at]);
        held[at] = dial();
        if (held[at] < 0) {
            sleep_until(now_us() + 1000);
            continue;
        }
        if (hello_bytes > 0 && send(held[at], hello, (size_t)hello_bytes, MSG_NOSIGNAL) < 0)
            continue;
        count++;
    }
    printf("%lu\n", count);
}

static int print_usage(void)
{
    fprintf(stderr, "usage: attacker steady|fresh|steady_h2|fresh_h2|hellos|silent");
    h2_print_attacks();
    fprintf(stderr, " PORT SECONDS\n");
    return 2;
}

int main(int argc, char **argv)
{
    char hello[4096];
    if (argc != 4)
        return print_usage();
    int seconds = atoi(argv[3]);
    bool is_known = true;
    port = (unsigned short)atoi(argv[2]);
    settings = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(settings, SSL_SESS_CACHE_OFF);
    if (strcmp(argv[1], "steady") == 0 || strcmp(argv[1], "steady_h2") == 0)
        behave(seconds, 5000, false, argv[1][6] != '\0');
    else if (strcmp(argv[1], "fresh") == 0 || strcmp(argv[1], "fresh_h2") == 0)
        behave(seconds, 20000, true, argv[1][5] != '\0');
    else if (strcmp(argv[1], "hellos") == 0)
        flood(seconds, hello, make_hello(hello, sizeof(hello)));
    else if (strcmp(argv[1], "silent") == 0)
        flood(seconds, NULL, 0);
    else
        is_known = h2_attack(argv[1], seconds);
    SSL_CTX_free(settings);
    return is_known ? 0 : print_usage();
}
