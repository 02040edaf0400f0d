/* Any bytes as a ClientHello: a server with certificates of every kind chooses one or refuses, as
 * tls_server_answer says of the name that a simple reader finds in it.
 *
 * Input: which server and how the bytes come, then the bytes: with bit 0 the body of a ClientHello,
 * which gets its headers here, else whatever comes over the wire. */
#include "base/check.h"
#include "net/tcp_stream.h"
#include "support/test_certs.h"
#include "tls/internal.h"
#include "tls/tls_stream.h"

#include <ev.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { BODY_MAX = 8192, SERVERS = 4 };

static struct loop *loop;
static struct ticket_keys *keys;
static struct tls_server *servers[SERVERS]; /* 1: with a default; 2: TLS 1.3 alone */

/* --- the servers ---------------------------------------------------------------------------- */

static const struct test_cert_spec specs[] = {
    {.key = CERT_KEY_ECDSA_P256, .names = "a.test,*.b.test"},
    {.key = CERT_KEY_RSA, .names = "a.test,rsa.test,10.0.0.1"},
    {.key = CERT_KEY_ECDSA_P384, .names = "p384.test,a.test"},
    {.key = CERT_KEY_ECDSA_P521, .names = "p521.test"},
    {.key = CERT_KEY_ED25519, .names = "ed.test"},
    {.key = CERT_KEY_ECDSA_P256, .names = "old.test,a.test", .begins_s = -9000, .ends_s = -60},
    {.key = CERT_KEY_ECDSA_P256, .names = "default.test"},
};
enum { CERTIFICATES = sizeof(specs) / sizeof(specs[0]) };

static struct certificate *make_certificate(const struct test_cert_spec *spec)
{
    struct test_cert made = test_cert_make(spec);
    char *chain = test_cert_pem(&made), *key = test_key_pem(&made);
    struct cert_bytes bytes = {.chain = slice_of(chain), .key = slice_of(key)};
    struct error error;
    struct certificate *certificate = certificate_parse(
        &(struct cert_paths){.chain = spec->names, .key = "a key"}, &bytes, &error);

    assert(certificate != NULL);
    free(chain);
    free(key);
    test_cert_clear(&made);
    return certificate;
}

static void free_servers(void)
{
    for (int i = 0; i < SERVERS; i++)
        tls_server_free(servers[i]);
    ticket_keys_free(keys);
    loop_free(loop);
}

static void make_servers(void)
{
    static const char *const alpn[] = {"http/1.1"};
    struct certificate *certificates[CERTIFICATES];
    struct error error;

    loop = loop_new();
    keys = ticket_keys_new(3600);
    for (int i = 0; i < CERTIFICATES; i++)
        certificates[i] = make_certificate(&specs[i]);
    for (int i = 0; i < SERVERS; i++) {
        struct tls_settings settings = {.min_version = i & 2 ? TLS_1_3 : TLS_1_2,
                                        .tickets = true,
                                        .reject_unknown_sni = !(i & 1),
                                        .default_name = i & 1 ? "default.test" : NULL,
                                        .alpn = alpn,
                                        .alpn_count = 1};
        servers[i] =
            tls_server_new(&settings, cert_store_new(certificates, CERTIFICATES), keys, &error);
        assert(servers[i] != NULL);
    }
    for (int i = 0; i < CERTIFICATES; i++)
        certificate_unref(certificates[i]);
    atexit(free_servers);
}

/* --- a second look at the ClientHello --------------------------------------------------------- */

/* Takes `width` bytes of length and as many bytes as they say. */
static bool take_vector(struct slice *rest, int width, struct slice *taken)
{
    size_t length = 0;

    if (rest->len < (size_t)width)
        return false;
    for (int i = 0; i < width; i++)
        length = length << 8 | (unsigned char)rest->at[i];
    *rest = slice_skip(*rest, (size_t)width);
    if (rest->len < length)
        return false;
    *taken = slice_make(rest->at, length);
    *rest = slice_skip(*rest, length);
    return true;
}

/* The host name of the server_name extension; empty: there is none. False: it cannot be read. */
static bool find_name(struct slice body, struct slice *name)
{
    struct slice skipped, extensions, data, list;

    *name = slice_make("", 0);
    if (body.len < 34)
        return false;
    body = slice_skip(body, 34);
    if (!take_vector(&body, 1, &skipped) || !take_vector(&body, 2, &skipped) ||
        !take_vector(&body, 1, &skipped))
        return false;
    if (body.len == 0)
        return true;
    if (!take_vector(&body, 2, &extensions))
        return false;
    while (extensions.len >= 2) {
        bool is_server_name = extensions.at[0] == 0 && extensions.at[1] == 0;

        extensions = slice_skip(extensions, 2);
        if (!take_vector(&extensions, 2, &data))
            return false;
        if (is_server_name)
            return take_vector(&data, 2, &list) && list.len > 0 && list.at[0] == 0 &&
                   (list = slice_skip(list, 1), take_vector(&list, 2, name));
    }
    return extensions.len == 0;
}

/* What was chosen is what is said to be chosen, as far as the name alone decides it. */
static void check_choice(const struct tls_server *server, struct stream *stream, struct slice body)
{
    struct slice name;
    struct tls_info info;
    struct tls_answer answer;
    bool is_refused = tls_stream_failure(stream) == TLS_FAILURE_UNKNOWN_NAME;

    tls_stream_info(stream, &info);
    if (info.certificate == NULL && !is_refused)
        return; /* it did not come so far */
    assert(find_name(body, &name));
    answer = tls_server_answer(server, name, NULL);
    if (is_refused) {
        assert(answer.certificate == NULL && strcmp(answer.alert, "unrecognized_name") == 0);
        assert(info.certificate == NULL);
        return;
    }
    assert(answer.certificate != NULL && (answer.match == CERT_MATCH_DEFAULT) == info.got_default);
    if (info.got_default)
        assert(certificate_covers(info.certificate, slice_of("default.test")));
    else
        assert(certificate_covers(info.certificate, info.sni));
}

/* --- the wire ------------------------------------------------------------------------------- */

/* One record with one ClientHello in it. */
static size_t wrap(struct slice body, uint8_t *record)
{
    size_t inner = body.len + 4;

    memcpy(record,
           (const uint8_t[]){22, 3, 1, (uint8_t)(inner >> 8), (uint8_t)inner, 1, 0,
                             (uint8_t)(body.len >> 8), (uint8_t)body.len},
           9);
    memcpy(record + 9, body.at, body.len);
    return body.len + 9;
}

/* Sends it all in two pieces, and lets the server answer in between. */
static void shake(struct stream *stream, int fd, const uint8_t *wire, size_t length, size_t first)
{
    for (int piece = 0; piece < 2; piece++) {
        const uint8_t *at = piece == 0 ? wire : wire + first;
        size_t bytes = piece == 0 ? first : length - first;

        if (bytes == 0)
            continue;
        assert(send(fd, at, bytes, MSG_NOSIGNAL) == (ssize_t)bytes);
        ev_run(loop_ev(loop), EVRUN_NOWAIT);
        if (tls_stream_handshake(stream) != IO_WAIT)
            return;
    }
}

static void ignore(void *owner)
{
    (void)owner;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const struct tls_jobs nobody;
    static uint8_t record[BODY_MAX + 9];
    struct task task;
    struct stream *stream;
    struct slice body;
    int fds[2];

    if (length < 2 || length > BODY_MAX)
        return 0;
    if (loop == NULL)
        make_servers();
    struct tls_server *server = servers[bytes[0] >> 1 & 3];
    body = slice_make((const char *)bytes + 1, length - 1);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
        abort();
    task_init(&task, ignore, NULL);
    stream = tls_stream_new(server, tcp_stream_new(loop, fds[0], &task), &nobody);
    assert(stream != NULL);
    stream->task = &task;
    if (bytes[0] & 1) {
        size_t bytes_on_wire = wrap(body, record);
        shake(stream, fds[1], record, bytes_on_wire, bytes_on_wire * (bytes[0] >> 3) / 32);
        check_choice(server, stream, body);
    } else {
        shake(stream, fds[1], bytes + 1, body.len, body.len * (bytes[0] >> 3) / 32);
    }
    stream_close(stream);
    close(fds[1]);
    ev_run(loop_ev(loop), EVRUN_NOWAIT);
    ERR_clear_error();
    buffer_cache_clear();
    return 0;
}
