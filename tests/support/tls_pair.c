#include "support/tls_pair.h"

#include "base/check.h"
#include "net/tcp_stream.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE = 200000 }; /* rounds without which a test would hang */

static enum ssl_verify_result_t accept_all(SSL *ssl, uint8_t *alert)
{
    (void)ssl, (void)alert;
    return ssl_verify_ok;
}

static void note_alert(const SSL *ssl, int where, int value)
{
    struct tls_pair *pair = SSL_get_app_data(ssl);

    if (where == SSL_CB_READ_ALERT)
        pair->alert = value & 0xff;
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_pair *pair = SSL_get_app_data(ssl);

    SSL_SESSION_free(pair->session);
    pair->session = session;
    pair->tickets++;
    return 1;
}

/* Only a server that asks has this called. */
static int note_asked(SSL *ssl, void *nothing)
{
    struct tls_pair *pair = SSL_get_app_data(ssl);

    (void)nothing;
    pair->client_was_asked = true;
    return 1;
}

static void show_certificate(SSL *ssl, const struct test_cert *cert)
{
    uint8_t *der = NULL;
    int length = i2d_X509(cert->x509, &der);
    CRYPTO_BUFFER *buffer = CRYPTO_BUFFER_new(der, (size_t)length, NULL);

    assert(SSL_set_chain_and_key(ssl, &buffer, 1, cert->key, NULL));
    CRYPTO_BUFFER_free(buffer);
    OPENSSL_free(der);
}

static void make_client(struct tls_pair *pair, const struct tls_client_options *options)
{
    size_t count = 0;

    pair->context = SSL_CTX_new(TLS_with_buffers_method());
    assert(pair->context);
    SSL_CTX_set_custom_verify(pair->context, SSL_VERIFY_PEER, accept_all);
    SSL_CTX_set_info_callback(pair->context, note_alert);
    SSL_CTX_set_session_cache_mode(pair->context, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(pair->context, keep_session);
    assert(SSL_CTX_set_min_proto_version(pair->context,
                                         options->min_version ? options->min_version : 0x0301));
    assert(SSL_CTX_set_max_proto_version(pair->context, options->max_version ? options->max_version
                                                                             : TLS1_3_VERSION));
    if (options->ciphers)
        assert(SSL_CTX_set_strict_cipher_list(pair->context, options->ciphers));
    if (options->groups)
        assert(SSL_CTX_set1_curves_list(pair->context, options->groups));
    while (options->algorithms && options->algorithms[count])
        count++;
    if (count > 0)
        assert(SSL_CTX_set_verify_algorithm_prefs(pair->context, options->algorithms, count));
    pair->client = SSL_new(pair->context);
    assert(pair->client);
    SSL_set_app_data(pair->client, pair);
    SSL_set_bio(pair->client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(pair->client);
    if (options->sni)
        assert(SSL_set_tlsext_host_name(pair->client, options->sni));
    if (options->alpn)
        assert(SSL_set_alpn_protos(pair->client, (const uint8_t *)options->alpn,
                                   (unsigned)strlen(options->alpn)) == 0);
    if (options->session)
        assert(SSL_set_session(pair->client, options->session));
    SSL_set_cert_cb(pair->client, note_asked, NULL);
    if (options->certificate)
        show_certificate(pair->client, options->certificate);
    if (options->wants_ocsp)
        SSL_enable_ocsp_stapling(pair->client);
}

static void count_wake(void *owner)
{
    struct tls_pair *pair = owner;

    pair->wakes++;
}

/* Connected over loopback. */
static void make_tcp_pair(int fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || fds[1] < 0 || listen(listener, 1) != 0 ||
        bind(fds[1], (struct sockaddr *)&address, length) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0 ||
        connect(fds[1], (struct sockaddr *)&address, length) != 0)
        abort();
    fds[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fds[0] < 0 || fcntl(fds[1], F_SETFL, O_NONBLOCK) != 0)
        abort();
    close(listener);
}

void tls_pair_open(struct tls_pair *pair, struct tls_server *server,
                   const struct tls_client_options *options, int send_buffer)
{
    int fds[2];

    *pair = (struct tls_pair){.loop = loop_new(), .jobs = options->jobs, .alert = -1};
    task_init(&pair->task, count_wake, pair);
    if (options->is_over_tcp)
        make_tcp_pair(fds);
    else if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
        abort();
    if (send_buffer)
        setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer));
    pair->fd = fds[1];
    pair->server =
        tls_stream_new(server, tcp_stream_new(pair->loop, fds[0], &pair->task), &pair->jobs);
    assert(pair->server);
    pair->server->task = &pair->task;
    make_client(pair, options);
}

void tls_pair_close(struct tls_pair *pair)
{
    if (pair->server)
        stream_close(pair->server);
    SSL_free(pair->client);
    SSL_CTX_free(pair->context);
    SSL_SESSION_free(pair->session);
    close(pair->fd);
    loop_free(pair->loop);
    buffer_cache_clear();
}

static void send_to_server(struct tls_pair *pair)
{
    BIO *bio = SSL_get_wbio(pair->client);
    const uint8_t *bytes;
    size_t length;
    char sink[65536];

    assert(BIO_mem_contents(bio, &bytes, &length));
    if (pair->step && length > pair->step)
        length = pair->step;
    if (length > sizeof(sink))
        length = sizeof(sink);
    if (length == 0)
        return;
    ssize_t sent = send(pair->fd, bytes, length, MSG_NOSIGNAL);
    if (sent > 0)
        assert(BIO_read(bio, sink, (int)sent) == sent);
}

static void receive_from_server(struct tls_pair *pair)
{
    char bytes[65536];
    size_t room = pair->step && pair->step < sizeof(bytes) ? pair->step : sizeof(bytes);
    ssize_t got = recv(pair->fd, bytes, room, 0);

    if (got > 0) {
        pair->wire_bytes += (size_t)got;
        assert(BIO_write(SSL_get_rbio(pair->client), bytes, (int)got) == got);
    } else if (got == 0) {
        pair->saw_eof = true;
    } else if (errno == ECONNRESET) {
        pair->is_reset = true;
    }
}

void tls_pair_pump(struct tls_pair *pair)
{
    send_to_server(pair);
    ev_run(loop_ev(pair->loop), EVRUN_NOWAIT);
    receive_from_server(pair);
}

static void shake_client(struct tls_pair *pair)
{
    if (pair->client_is_done || pair->client_failed)
        return;
    ERR_clear_error();
    int done = SSL_do_handshake(pair->client);
    if (done == 1)
        pair->client_is_done = true;
    else if (SSL_get_error(pair->client, done) != SSL_ERROR_WANT_READ)
        pair->client_failed = true;
    ERR_clear_error();
}

enum io tls_pair_shake(struct tls_pair *pair)
{
    enum io io = IO_WAIT;

    for (int rounds = 0; rounds < PATIENCE; rounds++) {
        shake_client(pair);
        tls_pair_pump(pair);
        if (io == IO_WAIT)
            io = tls_stream_handshake(pair->server);
        if (io != IO_WAIT && (pair->client_is_done || pair->client_failed))
            break;
        if (io == IO_ERROR && rounds > 1000)
            break;
    }
    return io;
}

size_t tls_pair_client_read(struct tls_pair *pair, char *into, size_t size)
{
    size_t total = 0;

    while (total < size) {
        int got = SSL_read(pair->client, into + total, (int)(size - total));

        if (got <= 0)
            break;
        total += (size_t)got;
    }
    ERR_clear_error();
    return total;
}

enum io tls_pair_read(struct tls_pair *pair, struct buffer *into)
{
    enum io io = IO_WAIT;

    for (int rounds = 0; rounds < PATIENCE && io == IO_WAIT; rounds++) {
        io = stream_read(pair->server, into);
        if (io == IO_WAIT && rounds > 0 && SSL_get_wbio(pair->client) &&
            BIO_pending(SSL_get_wbio(pair->client)) == 0 && rounds > 100)
            break;
        tls_pair_pump(pair);
    }
    return io;
}

bool tls_pair_upload(struct tls_pair *pair, const char *bytes, size_t length, size_t room)
{
    char *got = memory_new(length + 1);
    size_t total = 0;
    struct buffer into;
    bool is_fine = SSL_write(pair->client, bytes, (int)length) == (int)length;

    for (int rounds = 0; is_fine && total < length && rounds < PATIENCE; rounds++) {
        char storage[65536];

        /* A buffer of exactly this room, whatever sizes blocks have. */
        into = (struct buffer){.base = storage, .capacity = (uint32_t)room};
        enum io io = stream_read(pair->server, &into);
        if (io == IO_OK) {
            memcpy(got + total, storage, into.end);
            total += into.end;
        }
        is_fine = io == IO_OK || io == IO_WAIT;
        tls_pair_pump(pair);
    }
    is_fine = is_fine && total == length && memcmp(got, bytes, length) == 0;
    free(got);
    return is_fine;
}

bool tls_pair_download(struct tls_pair *pair, const char *bytes, size_t length)
{
    char *got = memory_new(length + 1);
    size_t sent = 0, total = 0;
    enum io flushed = IO_WAIT;

    for (int rounds = 0; rounds < PATIENCE && (total < length || flushed != IO_OK); rounds++) {
        size_t taken = 0;

        if (sent < length &&
            stream_write(pair->server, slice_make(bytes + sent, length - sent), &taken) == IO_ERROR)
            break;
        sent += taken;
        if (sent == length)
            flushed = stream_flush(pair->server);
        tls_pair_pump(pair);
        total += tls_pair_client_read(pair, got + total, length - total);
    }
    bool is_fine = flushed == IO_OK && total == length && memcmp(got, bytes, length) == 0;
    free(got);
    return is_fine;
}
