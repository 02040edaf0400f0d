/* How many instructions a worker spends on one request, one handshake, one MiB.
 *
 * The gateway itself runs in this process, as `sallyport run --workers 1` does it, on real sockets
 * of loopback; clients and a backend are around it, in lockstep with its worker. callgrind counts
 * the worker's thread (--toggle-collect=run_worker) and is told where each measurement begins and
 * ends. scripts/bench-instructions starts it and reads what comes of it.
 *
 * usage: instructions           takes each measurement; prints "NAME COUNT": how often it was done
 *        instructions made-by   prints the compiler and BoringSSL that it is made by */
#include "bench/around.h"
#include "bench/callgrind.h"
#include "bench/lockstep.h"
#include "control/gateway.h"
#include "support/test_certs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { USERS = 8, STREAMS = 16, KIB = 1024, MIB = 1024 * KIB };

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static struct {
    uint16_t backend_port, port;
    int log; /* what the gateway says on standard error comes out here */
    int stderr_before;
    char said[16 * 1024];
    size_t said_bytes;
    pthread_t gateway; /* the thread of its control loop */
    SSL_CTX *http1, *http2;
    SSL_SESSION *session; /* the newest ticket */
    struct user users[USERS];
    bool is_done;
} bench;

/* --- the gateway ----------------------------------------------------------------------------- */

static void read_log(void)
{
    ssize_t got =
        read(bench.log, bench.said + bench.said_bytes, sizeof(bench.said) - 1 - bench.said_bytes);

    if (got > 0)
        bench.said_bytes += (size_t)got;
}

void around_fail(const char *what)
{
    read_log();
    dprintf(bench.stderr_before, "instructions: %s (%s)\n%s", what, strerror(errno), bench.said);
    test_folder_remove();
    _exit(1);
}

static void write_configuration(void)
{
    char text[1024];

    snprintf(text, sizeof(text),
             "{ \"listen\": { \"https\": \"127.0.0.1:0\", \"admin\": \"off\" },"
             "  \"certs\": \"certs\", \"log\": { \"access\": \"off\" },"
             "  \"backends\": { \"near\": { \"servers\": [\"127.0.0.1:%u\"], \"keepalive\": 64 } },"
             "  \"routes\": { \"localhost\": \"near\" } }",
             bench.backend_port);
    test_file_write("routes.json", text);
    test_pair_write("certs/localhost",
                    &(struct test_cert_spec){.key = CERT_KEY_ECDSA_P256, .names = "localhost"});
}

static void divert_log(void)
{
    int ends[2];

    bench.stderr_before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    if (pipe2(ends, O_CLOEXEC) != 0 || dup2(ends[1], STDERR_FILENO) < 0)
        around_fail("no pipe for the gateway's log");
    close(ends[1]);
    bench.log = ends[0];
    fcntl(bench.log, F_SETFL, O_NONBLOCK);
}

static void await_ready(void)
{
    static const char before_port[] = "\"https\":[\"127.0.0.1:";
    const char *found;

    while ((found = strstr(bench.said, before_port)) == NULL) {
        around_turn(bench.log);
        read_log();
    }
    bench.port = (uint16_t)strtoul(found + strlen(before_port), NULL, 10);
}

/* --- what is measured ------------------------------------------------------------------------ */

static void ask(const char *request, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; k < USERS; k++)
            user_send(&bench.users[k], request, strlen(request));
        for (unsigned k = 0; k < USERS; k++)
            user_read_answer(&bench.users[k], KIB);
    }
}

static void ask_briefly(unsigned count)
{
    ask("GET /1k HTTP/1.1\r\nHost: localhost\r\n\r\n", count / USERS);
}

static void ask_as_browsers_do(unsigned count)
{
    ask("GET /1k HTTP/1.1\r\n"
        "Host: localhost\r\n"
        "Connection: keep-alive\r\n"
        "sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n"
        "sec-ch-ua-mobile: ?0\r\n"
        "sec-ch-ua-platform: \"Linux\"\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/130.0.0.0 Safari/537.36\r\n"
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
        "*/*;q=0.8\r\n"
        "Sec-Fetch-Site: same-origin\r\n"
        "Sec-Fetch-Mode: navigate\r\n"
        "Sec-Fetch-User: ?1\r\n"
        "Sec-Fetch-Dest: document\r\n"
        "Referer: https://localhost/index.html\r\n"
        "Accept-Encoding: gzip, deflate, br, zstd\r\n"
        "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
        "Cookie: session=0a1b2c3d4e5f60718293a4b5c6d7e8f9; theme=dark; consent=all\r\n"
        "\r\n",
        count / USERS);
}

/* A whole connection: handshake, one request, its end. */
static void visit(SSL_SESSION *session)
{
    static const char request[] = "GET /1k HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct user user;

    user_connect(&user, bench.http1, bench.port, session);
    user_send(&user, request, strlen(request));
    user_read_answer(&user, KIB);
    user_close(&user);
}

static void visit_anew(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        visit(NULL);
}

static void visit_again(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        SSL_SESSION *session = bench.session;
        bench.session = NULL;
        visit(session);
        SSL_SESSION_free(session);
    }
}

static void download(unsigned count)
{
    static const char request[] = "GET /1m HTTP/1.1\r\nHost: localhost\r\n\r\n";

    for (unsigned i = 0; i < count; i++) {
        user_send(&bench.users[0], request, strlen(request));
        user_read_answer(&bench.users[0], MIB);
    }
}

static void upload(unsigned count)
{
    static const char head[] =
        "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048576\r\n\r\n";
    static char body[MIB];

    for (unsigned i = 0; i < count; i++) {
        user_send(&bench.users[0], head, strlen(head));
        user_send(&bench.users[0], body, sizeof(body));
        user_read_answer(&bench.users[0], 0);
    }
}

static struct user http2_user;

static void ask_in_http2(unsigned count)
{
    for (unsigned i = 0; i < count / STREAMS; i++)
        user_ask_http2(&http2_user, "/1k", STREAMS);
}

static void download_in_http2(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        user_ask_http2(&http2_user, "/1m", 1);
}

static const struct measurement {
    const char *name;
    void (*run)(unsigned count);
    unsigned count;   /* how often it is done */
    unsigned warm_up; /* and before that, uncounted */
} measurements[] = {
    {"h1-request", ask_briefly, 400, 80},      {"h1-browser-request", ask_as_browsers_do, 400, 80},
    {"h2-request", ask_in_http2, 400, 80},     {"full-handshake", visit_anew, 40, 5},
    {"resumed-handshake", visit_again, 40, 5}, {"h1-mib-down", download, 8, 1},
    {"h2-mib-down", download_in_http2, 8, 1},  {"h1-mib-up", upload, 8, 1},
};
enum { MEASUREMENTS = sizeof(measurements) / sizeof(measurements[0]) };

/* --- the whole ------------------------------------------------------------------------------- */

static int keep_ticket(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(bench.session);
    bench.session = session;
    return 1;
}

static SSL_CTX *make_settings(const char *alpn)
{
    SSL_CTX *settings = SSL_CTX_new(TLS_client_method());

    SSL_CTX_set_min_proto_version(settings, TLS1_3_VERSION);
    SSL_CTX_set_alpn_protos(settings, (const uint8_t *)alpn, (unsigned)strlen(alpn));
    SSL_CTX_set_session_cache_mode(settings, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(settings, keep_ticket);
    SSL_CTX_set_mode(settings, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return settings;
}

static void measure(const struct measurement *measurement)
{
    measurement->run(measurement->warm_up);
    CALLGRIND_ZERO_STATS;
    measurement->run(measurement->count);
    CALLGRIND_DUMP_STATS_AT(measurement->name);
    printf("%s %u\n", measurement->name, measurement->count);
    fflush(stdout);
}

static void *measure_all(void *nothing)
{
    lockstep_begin();
    await_ready();
    bench.http1 = make_settings("\x08http/1.1");
    bench.http2 = make_settings("\x02h2");
    for (unsigned i = 0; i < USERS; i++)
        user_connect(&bench.users[i], bench.http1, bench.port, NULL);
    user_connect(&http2_user, bench.http2, bench.port, NULL);
    user_speak_http2(&http2_user);
    for (unsigned i = 0; i < MEASUREMENTS; i++)
        measure(&measurements[i]);
    for (unsigned i = 0; i < USERS; i++)
        user_close(&bench.users[i]);
    user_close(&http2_user);
    SSL_SESSION_free(bench.session);
    SSL_CTX_free(bench.http1);
    SSL_CTX_free(bench.http2);
    bench.is_done = true;
    lockstep_end();
    pthread_kill(bench.gateway, SIGTERM);
    return nothing;
}

int main(int argument_count, char **arguments)
{
    pthread_t around;
    sigset_t all;

    if (argument_count == 2 && strcmp(arguments[1], "made-by") == 0) {
        printf("%s, BoringSSL %d\n", COMPILER, BORINGSSL_API_VERSION);
        return 0;
    }
    bench.backend_port = around_listen();
    test_folder_make();
    write_configuration();
    divert_log();
    bench.gateway = pthread_self();
    sigfillset(&all); /* the gateway takes them by a descriptor */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    if (pthread_create(&around, NULL, measure_all, NULL) != 0)
        around_fail("no thread for those around the gateway");
    const struct gateway_options options = {.config_file = test_path("routes.json"), .workers = 1};
    if (gateway_run(&options) != GATEWAY_FINE || !bench.is_done)
        around_fail("the gateway has not ended in order");
    pthread_join(around, NULL);
    test_folder_remove();
    return 0;
}
