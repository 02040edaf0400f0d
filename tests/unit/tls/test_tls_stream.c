/* A stream that speaks TLS, against BoringSSL's client on the other end of a socket pair. */
#include "tls/tls_stream.h"

#include "base/check.h"
#include "net/tcp_stream.h"
#include "support/test_certs.h"
#include "support/tls_pair.h"
#include "tls/internal.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct tls_server *server;
static struct ticket_keys *keys;

static const char *const http11[] = {"http/1.1"};
static const struct tls_settings settings = {
    .min_version = TLS_1_2,
    .tickets = true,
    .reject_unknown_sni = true,
    .alpn = http11,
    .alpn_count = 1,
};

static struct tls_server *serve_folder(const struct tls_settings *chosen)
{
    struct cert_source source = {.kind = CERT_SOURCE_PATH, .path = (char *)test_path("")};
    struct cert_problems problems = {.count = 0};
    struct cert_store *store = cert_store_load(&source, 1, &problems);
    struct error error = {.message = ""};
    struct tls_server *made = tls_server_new(chosen, store, keys, &error);

    cr_assert_eq(problems.count, 0, "%s", problems.count ? problems.list[0].message : "");
    cr_assert(made, "%s", error.message);
    return made;
}

static void set_up(void)
{
    test_folder_make();
    test_pair_write("a", &(struct test_cert_spec){.names = "a.test"});
    keys = ticket_keys_new(3600);
    server = serve_folder(&settings);
}

static void tear_down(void)
{
    tls_server_free(server);
    ticket_keys_free(keys);
    test_folder_remove();
    tls_thread_clear();
    buffer_cache_clear();
}

TestSuite(tls_stream, .init = set_up, .fini = tear_down);

static const struct tls_client_options client_of_a = {.sni = "a.test", .alpn = "\x08http/1.1"};

static void open_and_shake(struct tls_pair *pair, const struct tls_client_options *options)
{
    tls_pair_open(pair, server, options, 0);
    enum io io = tls_pair_shake(pair);
    cr_assert_eq(io, IO_OK, "%s", tls_stream_failure_text(pair->server));
    cr_assert(pair->client_is_done);
}

/* A client that gathers small pieces keeps its request back until its Finished was acknowledged. */
Test(tls_stream, the_end_of_a_handshake_is_acknowledged_at_once)
{
    struct tls_client_options options = client_of_a;
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);
    struct tls_pair pair;

    options.is_over_tcp = true;
    open_and_shake(&pair, &options);
    cr_assert_eq(getsockopt(pair.fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    cr_assert_eq(info.tcpi_unacked, 0);
    tls_pair_close(&pair);
}

static char *make_pattern(size_t length)
{
    char *bytes = memory_new(length);
    uint32_t state = 12345;

    for (size_t i = 0; i < length; i++) {
        state = state * 1664525 + 1013904223;
        bytes[i] = (char)(state >> 24);
    }
    return bytes;
}

/* --- handshakes ------------------------------------------------------------------------------- */

Test(tls_stream, shakes_hands_in_tls_1_3_and_says_what_was_agreed)
{
    struct tls_pair pair;
    struct tls_info info;

    tls_pair_open(&pair, server,
                  &(struct tls_client_options){.sni = "A.Test.", .alpn = "\x08http/1.1"}, 0);
    cr_assert_eq(tls_pair_shake(&pair), IO_OK);
    tls_stream_info(pair.server, &info);
    cr_assert_str_eq(info.version, "TLSv1.3");
    cr_assert(strncmp(info.cipher, "TLS_", 4) == 0, "%s", info.cipher);
    cr_assert_str_eq(info.group, "X25519");
    cr_assert(slice_equal(info.sni, slice_of("a.test")), "%.*s", (int)info.sni.len, info.sni.at);
    cr_assert(slice_equal(info.alpn, slice_of("http/1.1")));
    cr_assert(!info.is_resumed);
    cr_assert(!info.got_default);
    cr_assert(certificate_covers(info.certificate, slice_of("a.test")));
    cr_assert_eq(tls_stream_failure(pair.server), TLS_FAILURE_NONE);
    tls_pair_close(&pair);
}

Test(tls_stream, shakes_hands_in_tls_1_2)
{
    struct tls_pair pair;
    struct tls_info info;

    open_and_shake(&pair, &(struct tls_client_options){
                              .sni = "a.test", .max_version = TLS1_2_VERSION, .groups = "P-256"});
    tls_stream_info(pair.server, &info);
    cr_assert_str_eq(info.version, "TLSv1.2");
    cr_assert(strncmp(info.cipher, "TLS_ECDHE_ECDSA_WITH_", 21) == 0, "%s", info.cipher);
    cr_assert_str_eq(info.group, "P-256");
    cr_assert_eq(info.alpn.len, 0);
    cr_assert(tls_pair_upload(&pair, "ping", 4, 100));
    cr_assert(tls_pair_download(&pair, "pong", 4));
    tls_pair_close(&pair);
}

static enum io shake_once(struct tls_pair *pair)
{
    SSL_do_handshake(pair->client);
    ERR_clear_error();
    tls_pair_pump(pair);
    return tls_stream_handshake(pair->server);
}

/* They share what leads BoringSSL to the wire, whoever began, waits or ends meanwhile. */
Test(tls_stream, connections_that_take_turns_do_not_mix)
{
    enum { CONNECTIONS = 3 };
    struct tls_pair pairs[CONNECTIONS];
    enum io io[CONNECTIONS] = {IO_WAIT, IO_WAIT, IO_WAIT};
    char text[] = "0 says this";

    for (int i = 0; i < CONNECTIONS; i++) {
        tls_pair_open(&pairs[i], server, &client_of_a, 0);
        pairs[i].step = (size_t)(50 << i); /* they are done one after another */
    }
    for (int rounds = 0; rounds < 1000; rounds++)
        for (int i = 0; i < CONNECTIONS; i++)
            if (io[i] == IO_WAIT)
                io[i] = shake_once(&pairs[i]);
    for (int closed = 0; closed < CONNECTIONS; closed++) {
        for (int i = closed; i < CONNECTIONS; i++) {
            text[0] = (char)('0' + i);
            cr_assert_eq(io[i], IO_OK);
            cr_assert(tls_pair_upload(&pairs[i], text, strlen(text), 5));
            cr_assert(tls_pair_download(&pairs[i], text, strlen(text)));
        }
        tls_pair_close(&pairs[closed]);
    }
}

Test(tls_stream, handshake_and_data_survive_any_cut)
{
    static const uint16_t versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    for (size_t i = 0; i < 2; i++) {
        for (size_t step = 1; step <= 7; step += 3) {
            struct tls_pair pair;
            struct tls_client_options options = client_of_a;

            options.max_version = versions[i];
            tls_pair_open(&pair, server, &options, 0);
            pair.step = step;
            cr_assert_eq(tls_pair_shake(&pair), IO_OK);
            cr_assert(tls_pair_upload(&pair, "GET / HTTP/1.1\r\n\r\n", 18, 5));
            cr_assert(tls_pair_download(&pair, "HTTP/1.1 200 OK\r\n\r\n", 19));
            tls_pair_close(&pair);
        }
    }
}

/* Its first guess at a group is not ours: a HelloRetryRequest leads to one that both have. */
Test(tls_stream, asks_for_another_group)
{
    struct tls_pair pair;
    struct tls_info info;

    open_and_shake(&pair, &(struct tls_client_options){.sni = "a.test", .groups = "P-521:P-384"});
    tls_stream_info(pair.server, &info);
    cr_assert_str_eq(info.version, "TLSv1.3");
    cr_assert_str_eq(info.group, "P-384");
    tls_pair_close(&pair);
}

Test(tls_stream, follows_and_answers_key_updates)
{
    struct tls_pair pair;

    open_and_shake(&pair, &client_of_a);
    for (int i = 0; i < 3; i++) {
        cr_assert(SSL_key_update(pair.client, SSL_KEY_UPDATE_REQUESTED));
        cr_assert(tls_pair_upload(&pair, "new keys", 8, 100));
        cr_assert(tls_pair_download(&pair, "on both sides", 13));
    }
    tls_pair_close(&pair);
}

/* A client may send its request together with its Finished. */
Test(tls_stream, keeps_what_came_behind_the_handshake)
{
    struct tls_pair pair;
    struct buffer into = {.base = NULL};
    enum io io = IO_WAIT;

    tls_pair_open(&pair, server, &client_of_a, 0);
    for (int i = 0; i < 100 && !pair.client_is_done; i++) {
        pair.client_is_done = SSL_do_handshake(pair.client) == 1;
        if (pair.client_is_done)
            cr_assert_eq(SSL_write(pair.client, "early", 5), 5);
        tls_pair_pump(&pair);
        io = tls_stream_handshake(pair.server);
    }
    for (int i = 0; i < 10 && io == IO_WAIT; i++) {
        tls_pair_pump(&pair);
        io = tls_stream_handshake(pair.server);
    }
    cr_assert_eq(io, IO_OK);
    cr_assert(buffer_reserve(&into, 100));
    cr_assert_eq(stream_read(pair.server, &into), IO_OK);
    cr_assert(slice_equal(buffer_content(&into), slice_of("early")));
    buffer_clear(&into);
    tls_pair_close(&pair);
}

/* --- bytes both ways -------------------------------------------------------------------------- */

Test(tls_stream, uploads_into_any_room)
{
    static const size_t rooms[] = {1, 100, 16 * 1024, 64 * 1024};
    char *bytes = make_pattern(200 * 1000);

    for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
        struct tls_pair pair;

        open_and_shake(&pair, &client_of_a);
        cr_assert(tls_pair_upload(&pair, bytes, rooms[i] == 1 ? 20000 : 200 * 1000, rooms[i]));
        tls_pair_close(&pair);
    }
    free(bytes);
}

Test(tls_stream, downloads_through_a_tiny_socket_buffer)
{
    size_t length = 1024 * 1024;
    char *bytes = make_pattern(length);
    struct tls_pair pair;

    tls_pair_open(&pair, server, &client_of_a, 2048);
    pair.step = 1000;
    cr_assert_eq(tls_pair_shake(&pair), IO_OK);
    cr_assert(tls_pair_download(&pair, bytes, length));
    tls_pair_close(&pair);
    free(bytes);
}

Test(tls_stream, takes_nothing_while_a_rest_is_unsent)
{
    size_t length = 1024 * 1024, taken, total = 0;
    char *bytes = make_pattern(length);
    struct tls_pair pair;
    enum io io;

    open_and_shake(&pair, &client_of_a);
    /* The client does not read: the kernel's buffer fills, then one write is kept, then no more. */
    while ((io = stream_write(pair.server, slice_make(bytes, length), &taken)) == IO_OK) {
        cr_assert_eq(taken, BUFFER_BULK);
        total += taken;
        cr_assert_lt(total, length);
    }
    cr_assert_eq(io, IO_WAIT);
    cr_assert_eq(taken, 0);
    cr_assert_eq(stream_flush(pair.server), IO_WAIT);

    unsigned wakes = pair.wakes;
    char *got = memory_new(total);
    size_t read = 0;
    for (int i = 0; i < 1000 && read < total; i++) {
        tls_pair_pump(&pair);
        read += tls_pair_client_read(&pair, got + read, total - read);
        if (i > 2)
            stream_flush(pair.server);
    }
    cr_assert_gt(pair.wakes, wakes, "the task is woken when the socket can take more");
    cr_assert_eq(read, total);
    cr_assert_eq(stream_flush(pair.server), IO_OK);
    free(got);
    free(bytes);
    tls_pair_close(&pair);
}

/* A reader that never writes or flushes still gets the end of the handshake out. */
Test(tls_stream, reading_sends_what_is_left)
{
    size_t length = 90 * 1024, taken, read = 0;
    char *bytes = make_pattern(length), *got = memory_new(length);
    struct buffer into = {.base = NULL};
    struct tls_pair pair;

    tls_pair_open(&pair, server, &client_of_a, 2048);
    cr_assert_eq(tls_pair_shake(&pair), IO_OK);
    cr_assert_eq(stream_write(pair.server, slice_make(bytes, length), &taken), IO_OK);
    cr_assert_eq(taken, length);
    cr_assert(buffer_reserve(&into, 100));
    for (int i = 0; i < 10000 && read < length; i++) {
        cr_assert_eq(stream_read(pair.server, &into), IO_WAIT);
        tls_pair_pump(&pair);
        read += tls_pair_client_read(&pair, got + read, length - read);
    }
    cr_assert_eq(read, length);
    cr_assert_eq(memcmp(got, bytes, length), 0);
    buffer_clear(&into);
    free(got);
    free(bytes);
    tls_pair_close(&pair);
}

/* The bytes of each record in `wire`, in the order they come; 0 ends them. */
static size_t list_records(const uint8_t *wire, size_t length, size_t sizes[64])
{
    size_t count = 0;

    for (size_t at = 0; at + 5 <= length && count < 64;) {
        sizes[count] = (size_t)wire[at + 3] << 8 | wire[at + 4];
        at += 5 + sizes[count++];
    }
    return count;
}

static size_t write_and_list(struct tls_pair *pair, size_t length, size_t sizes[64])
{
    static uint8_t wire[256 * 1024];
    char *bytes = make_pattern(length);
    size_t taken, got = 0;
    ssize_t n;

    cr_assert_eq(stream_write(pair->server, slice_make(bytes, length), &taken), IO_OK);
    cr_assert_eq(taken, length);
    do {
        stream_flush(pair->server);
        n = recv(pair->fd, wire + got, sizeof(wire) - got, 0);
        if (n > 0)
            got += (size_t)n;
    } while (n > 0);
    free(bytes);
    return list_records(wire, got, sizes);
}

Test(tls_stream, records_are_small_at_first_and_full_later)
{
    size_t sizes[64], overhead = 17; /* the content type and the tag */
    struct tls_pair pair;

    open_and_shake(&pair, &client_of_a);
    cr_assert(tls_pair_download(&pair, "x", 1)); /* the ticket leaves with it */
    /* A short response: one record, one send. */
    cr_assert_eq(write_and_list(&pair, 10000, sizes), 1);
    cr_assert_eq(sizes[0], 10000 + overhead);
    /* A long one: 4 KiB until 64 KiB have gone, then 16 KiB. */
    size_t count = write_and_list(&pair, 90 * 1024, sizes);
    cr_assert_eq(sizes[0], 4096 + overhead);
    cr_assert_eq(sizes[12], 4096 + overhead);
    cr_assert_eq(sizes[count - 2], 16384 + overhead);
    cr_assert_eq(write_and_list(&pair, 32 * 1024, sizes), 2);
    tls_pair_close(&pair);
}

Test(tls_stream, one_ticket_leaves_with_the_first_response)
{
    struct tls_pair pair;
    size_t before;

    open_and_shake(&pair, &client_of_a);
    for (int i = 0; i < 10; i++)
        tls_pair_pump(&pair);
    before = pair.wire_bytes;
    cr_assert_eq(SSL_pending(pair.client), 0);
    cr_assert(!pair.session, "no ticket has come yet");
    size_t taken;
    char got[16];
    cr_assert_eq(stream_write(pair.server, slice_of("hello"), &taken), IO_OK);
    cr_assert_eq(stream_flush(pair.server), IO_OK);
    /* One recv has it all: it was one send. */
    tls_pair_pump(&pair);
    cr_assert_gt(pair.wire_bytes, before + 100);
    cr_assert_eq(tls_pair_client_read(&pair, got, sizeof(got)), 5);
    cr_assert(pair.session);
    cr_assert_eq(pair.tickets, 1);
    tls_pair_close(&pair);
}

/* --- ends ------------------------------------------------------------------------------------- */

Test(tls_stream, close_notify_is_the_end_and_a_bare_fin_is_not)
{
    for (int with_notify = 0; with_notify < 2; with_notify++) {
        struct buffer into = {.base = NULL};
        struct tls_pair pair;
        size_t taken;

        open_and_shake(&pair, &client_of_a);
        cr_assert_eq(SSL_write(pair.client, "bye", 3), 3);
        if (with_notify)
            SSL_shutdown(pair.client);
        tls_pair_pump(&pair);
        shutdown(pair.fd, SHUT_WR);
        cr_assert(buffer_reserve(&into, 100));
        cr_assert_eq(tls_pair_read(&pair, &into), IO_OK);
        cr_assert(slice_equal(buffer_content(&into), slice_of("bye")));
        cr_assert_eq(tls_pair_read(&pair, &into), with_notify ? IO_EOF : IO_ERROR);
        cr_assert_eq(tls_pair_read(&pair, &into), with_notify ? IO_EOF : IO_ERROR, "and stays so");
        /* The other direction is still open. */
        cr_assert_eq(stream_write(pair.server, slice_of("ok"), &taken), IO_OK);
        buffer_clear(&into);
        tls_pair_close(&pair);
    }
}

/* Nothing more has to come for BoringSSL to say it: whoever asks again must not wait. */
Test(tls_stream, an_end_or_error_behind_data_is_said_at_the_next_ask)
{
    for (int with_notify = 0; with_notify < 2; with_notify++) {
        struct buffer into = {.base = NULL};
        struct tls_pair pair;

        open_and_shake(&pair, &client_of_a);
        cr_assert(buffer_reserve(&into, 100));
        cr_assert_eq(tls_pair_read(&pair, &into), IO_WAIT, "nothing came");
        cr_assert_eq(SSL_write(pair.client, "bye", 3), 3);
        if (with_notify)
            SSL_shutdown(pair.client);
        else
            BIO_write(SSL_get_wbio(pair.client), "no record at all", 16);
        tls_pair_pump(&pair);
        cr_assert_eq(tls_pair_read(&pair, &into), IO_OK);
        cr_assert(slice_equal(buffer_content(&into), slice_of("bye")));
        for (int ask = 0; ask < 3; ask++)
            cr_assert_eq(stream_read(pair.server, &into), with_notify ? IO_EOF : IO_ERROR);
        buffer_clear(&into);
        tls_pair_close(&pair);
    }
}

/* The room ends within a record: its rest is there without another byte from the socket. */
Test(tls_stream, the_rest_of_a_record_is_read_without_more_bytes)
{
    struct buffer into = {.base = NULL};
    struct tls_pair pair;
    size_t length = BUFFER_SMALL - 100, second = 200;
    char *bytes = make_pattern(length + second);

    open_and_shake(&pair, &client_of_a);
    cr_assert_eq(SSL_write(pair.client, bytes, (int)length), (int)length);
    tls_pair_pump(&pair);
    cr_assert(buffer_reserve(&into, 1));
    cr_assert_eq(tls_pair_read(&pair, &into), IO_OK);
    cr_assert_eq(SSL_write(pair.client, bytes + length, (int)second), (int)second);
    tls_pair_pump(&pair);
    cr_assert_eq(tls_pair_read(&pair, &into), IO_OK);
    cr_assert_eq(buffer_length(&into), BUFFER_SMALL, "full");
    buffer_consume(&into, BUFFER_SMALL);
    cr_assert_eq(stream_read(pair.server, &into), IO_OK);
    cr_assert_eq(buffer_length(&into), length + second - BUFFER_SMALL);
    cr_assert_eq(stream_read(pair.server, &into), IO_WAIT);
    buffer_clear(&into);
    tls_pair_close(&pair);
    free(bytes);
}

Test(tls_stream, shut_sends_the_rest_then_close_notify_then_fin)
{
    size_t length = 90 * 1024, taken, read = 0;
    char *bytes = make_pattern(length), *got = memory_new(length + 1);
    struct tls_pair pair;
    enum io io = IO_WAIT;
    int last = 1;

    tls_pair_open(&pair, server, &client_of_a, 2048);
    cr_assert_eq(tls_pair_shake(&pair), IO_OK);
    cr_assert_eq(stream_write(pair.server, slice_make(bytes, length), &taken), IO_OK);
    cr_assert_eq(stream_shut(pair.server), IO_WAIT);
    for (int i = 0; i < 10000 && (io == IO_WAIT || !pair.saw_eof); i++) {
        if (io == IO_WAIT)
            io = stream_shut(pair.server);
        tls_pair_pump(&pair);
        read += tls_pair_client_read(&pair, got + read, length + 1 - read);
    }
    cr_assert_eq(io, IO_OK);
    cr_assert_eq(stream_shut(pair.server), IO_OK);
    cr_assert_eq(read, length);
    cr_assert_eq(memcmp(got, bytes, length), 0);
    last = SSL_read(pair.client, got, 1);
    cr_assert_eq(SSL_get_error(pair.client, last), SSL_ERROR_ZERO_RETURN);
    cr_assert(pair.saw_eof);
    cr_assert_eq(stream_write(pair.server, slice_of("late"), &taken), IO_ERROR);
    /* Half-closed: the client may go on. */
    cr_assert(tls_pair_upload(&pair, "still here", 10, 100));
    free(got);
    free(bytes);
    tls_pair_close(&pair);
}

Test(tls_stream, a_client_that_is_gone_is_an_error)
{
    struct buffer into = {.base = NULL};
    struct tls_pair pair;
    size_t taken;
    enum io io = IO_OK;

    open_and_shake(&pair, &client_of_a);
    close(pair.fd);
    pair.fd = open("/dev/null", 0);
    for (int i = 0; i < 10 && io == IO_OK; i++)
        io = stream_write(pair.server, slice_of("x"), &taken);
    cr_assert_eq(io, IO_ERROR);
    cr_assert(buffer_reserve(&into, 1));
    cr_assert_eq(tls_pair_read(&pair, &into), IO_ERROR);
    buffer_clear(&into);
    tls_pair_close(&pair);
}

Test(tls_stream, a_broken_record_gets_an_alert)
{
    struct buffer into = {.base = NULL};
    struct tls_pair pair;
    char byte;

    open_and_shake(&pair, &client_of_a);
    cr_assert_eq(send(pair.fd, "\x17\x03\x03\x00\x20 this was never sealed by anyone", 37, 0), 37);
    cr_assert(buffer_reserve(&into, 100));
    cr_assert_eq(tls_pair_read(&pair, &into), IO_ERROR);
    cr_assert_neq(*tls_stream_failure_text(pair.server), '\0');
    tls_pair_pump(&pair);
    cr_assert_leq(SSL_read(pair.client, &byte, 1), 0);
    cr_assert_eq(pair.alert, SSL_AD_BAD_RECORD_MAC);
    buffer_clear(&into);
    tls_pair_close(&pair);
}

/* --- handshakes that fail --------------------------------------------------------------------- */

static enum io shake_with_bytes(struct tls_pair *pair, const char *bytes, size_t length,
                                size_t step)
{
    enum io io = IO_WAIT;

    for (size_t sent = 0; sent < length && io == IO_WAIT; sent += step) {
        size_t piece = length - sent < step ? length - sent : step;

        cr_assert_eq(send(pair->fd, bytes + sent, piece, MSG_NOSIGNAL), (ssize_t)piece);
        tls_pair_pump(pair);
        io = tls_stream_handshake(pair->server);
    }
    return io;
}

Test(tls_stream, plain_http_is_told_apart_before_anything_is_answered)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

    for (size_t step = 1; step < sizeof(request); step += 30) {
        struct tls_pair pair;
        char byte;

        tls_pair_open(&pair, server, &client_of_a, 0);
        cr_assert_eq(shake_with_bytes(&pair, request, sizeof(request) - 1, step), IO_ERROR);
        cr_assert_eq(tls_stream_failure(pair.server), TLS_FAILURE_PLAINTEXT_HTTP);
        cr_assert_eq(recv(pair.fd, &byte, 1, 0), -1, "nothing was answered");
        size_t taken;
        cr_assert_eq(stream_write(tls_stream_below(pair.server), slice_of("HTTP/1.1 400"), &taken),
                     IO_OK);
        cr_assert_eq(recv(pair.fd, &byte, 1, 0), 1);
        tls_pair_close(&pair);
    }
}

Test(tls_stream, garbage_is_refused)
{
    static const struct {
        const char *bytes;
        size_t length;
    } samples[] = {
        {"SSH-2.0-OpenSSH_9.2\r\n", 21},
        {"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10},
        {"\0\0\0\0\0\0\0\0\0\0\0\0", 12},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZ", 26},
        {"\x16\x03\x01\xff\xff"
         "xxxxxxxx",
         13},
        {" GET / HTTP/1.1\r\n\r\n", 19},
    };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        for (size_t step = 1; step < 40; step += 38) {
            struct tls_pair pair;

            tls_pair_open(&pair, server, &client_of_a, 0);
            cr_assert_eq(shake_with_bytes(&pair, samples[i].bytes, samples[i].length, step),
                         IO_ERROR, "sample %zu", i);
            cr_assert_eq(tls_stream_failure(pair.server), TLS_FAILURE_GARBAGE);
            cr_assert_neq(*tls_stream_failure_text(pair.server), '\0');
            cr_assert_eq(tls_stream_handshake(pair.server), IO_ERROR, "and stays so");
            tls_pair_close(&pair);
        }
    }
}

Test(tls_stream, leaving_before_the_first_byte_is_no_failure)
{
    struct tls_pair pair;

    tls_pair_open(&pair, server, &client_of_a, 0);
    cr_assert_eq(tls_stream_handshake(pair.server), IO_WAIT);
    shutdown(pair.fd, SHUT_WR);
    tls_pair_pump(&pair); /* sees the event */
    tls_pair_pump(&pair); /* runs the task */
    cr_assert_eq(pair.wakes, 1);
    cr_assert_eq(tls_stream_handshake(pair.server), IO_EOF);
    cr_assert_eq(tls_stream_failure(pair.server), TLS_FAILURE_NONE);
    tls_pair_close(&pair);
}

static void do_nothing(void *unused)
{
    (void)unused;
}

/* Its ClientHello is there, but so is its end, and others wait for a signature. */
Test(tls_stream, who_left_while_others_queue_gets_no_signature)
{
    struct tls_pair pair;
    struct task other;

    for (int is_crowded = 0; is_crowded < 2; is_crowded++) {
        tls_pair_open(&pair, server, &client_of_a, 0);
        cr_assert_eq(tls_stream_handshake(pair.server), IO_WAIT);
        cr_assert_eq(SSL_do_handshake(pair.client), -1);
        tls_pair_pump(&pair); /* the ClientHello leaves */
        shutdown(pair.fd, SHUT_WR);
        tls_pair_pump(&pair);
        task_init(&other, do_nothing, NULL);
        other.is_patient = true;
        if (is_crowded)
            loop_wake(pair.loop, &other);
        cr_assert_eq(tls_stream_handshake(pair.server), is_crowded ? IO_EOF : IO_WAIT);
        tls_pair_pump(&pair);
        cr_assert_eq(pair.wire_bytes > 0, !is_crowded);
        tls_pair_close(&pair);
    }
}

Test(tls_stream, leaving_in_the_middle_is_a_failure)
{
    static const char *const beginnings[] = {"G", "\x16\x03\x01\x02"};

    for (size_t i = 0; i < 2; i++) {
        struct tls_pair pair;

        tls_pair_open(&pair, server, &client_of_a, 0);
        cr_assert_eq(shake_with_bytes(&pair, beginnings[i], strlen(beginnings[i]), 10), IO_WAIT);
        shutdown(pair.fd, SHUT_WR);
        tls_pair_pump(&pair);
        cr_assert_eq(tls_stream_handshake(pair.server), IO_ERROR);
        cr_assert_eq(tls_stream_failure(pair.server), TLS_FAILURE_PEER);
        tls_pair_close(&pair);
    }
}

static void expect_refusal(const struct tls_client_options *options, enum tls_failure failure,
                           int alert)
{
    struct tls_pair pair;

    tls_pair_open(&pair, server, options, 0);
    cr_assert_eq(tls_pair_shake(&pair), IO_ERROR);
    cr_assert_eq(tls_stream_failure(pair.server), failure, "%s",
                 tls_stream_failure_text(pair.server));
    cr_assert_neq(*tls_stream_failure_text(pair.server), '\0');
    cr_assert_eq(pair.alert, alert, "%d", pair.alert);
    tls_pair_close(&pair);
}

Test(tls_stream, an_unknown_name_gets_unrecognized_name)
{
    static const char *const names[] = {"b.test", "www.a.test", "a.test.evil", "a..test", NULL};
    static const uint16_t versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (size_t k = 0; k < 2; k++)
            expect_refusal(
                &(struct tls_client_options){.sni = names[i], .max_version = versions[k]},
                TLS_FAILURE_UNKNOWN_NAME, SSL_AD_UNRECOGNIZED_NAME);
    }
}

Test(tls_stream, no_protocol_in_common_gets_its_alert)
{
    for (int k = 0; k < 2; k++)
        expect_refusal(
            &(struct tls_client_options){.sni = "a.test",
                                         .alpn = "\x02h2\x03"
                                                 "foo",
                                         .max_version = k ? TLS1_3_VERSION : TLS1_2_VERSION},
            TLS_FAILURE_NO_COMMON, SSL_AD_NO_APPLICATION_PROTOCOL);
}

Test(tls_stream, an_old_version_gets_protocol_version)
{
    expect_refusal(&(struct tls_client_options){.sni = "a.test", .max_version = TLS1_1_VERSION},
                   TLS_FAILURE_NO_COMMON, SSL_AD_PROTOCOL_VERSION);
}

Test(tls_stream, a_client_that_can_use_no_certificate_gets_handshake_failure)
{
    static const uint16_t rsa_only[] = {SSL_SIGN_RSA_PSS_RSAE_SHA256, SSL_SIGN_RSA_PKCS1_SHA256, 0};

    expect_refusal(&(struct tls_client_options){.sni = "a.test", .algorithms = rsa_only},
                   TLS_FAILURE_NO_COMMON, SSL_AD_HANDSHAKE_FAILURE);
}

Test(tls_stream, old_suites_are_not_spoken)
{
    expect_refusal(&(struct tls_client_options){.sni = "a.test",
                                                .max_version = TLS1_2_VERSION,
                                                .ciphers = "ECDHE-ECDSA-AES128-SHA"},
                   TLS_FAILURE_NO_COMMON, SSL_AD_HANDSHAKE_FAILURE);
}

static enum ssl_verify_result_t refuse_certificate(SSL *ssl, uint8_t *alert)
{
    (void)ssl;
    *alert = SSL_AD_CERTIFICATE_UNKNOWN;
    return ssl_verify_invalid;
}

Test(tls_stream, an_alert_of_the_client_is_its_failure)
{
    struct tls_pair pair;

    tls_pair_open(&pair, server, &client_of_a, 0);
    SSL_set_custom_verify(pair.client, SSL_VERIFY_PEER, refuse_certificate);
    cr_assert_eq(tls_pair_shake(&pair), IO_ERROR);
    cr_assert_eq(tls_stream_failure(pair.server), TLS_FAILURE_PEER);
    tls_pair_close(&pair);
}

/* --- waiting ---------------------------------------------------------------------------------- */

static int signing_asks;

static enum ssl_private_key_result_t start_signing(SSL *ssl, uint8_t *out, size_t *out_len,
                                                   size_t max_out, uint16_t algorithm,
                                                   const uint8_t *in, size_t in_len)
{
    (void)ssl, (void)out, (void)out_len, (void)max_out, (void)algorithm, (void)in, (void)in_len;
    return ssl_private_key_retry;
}

static enum ssl_private_key_result_t no_decryption(SSL *ssl, uint8_t *out, size_t *out_len,
                                                   size_t max_out, const uint8_t *in, size_t in_len)
{
    (void)ssl, (void)out, (void)out_len, (void)max_out, (void)in, (void)in_len;
    return ssl_private_key_failure;
}

static enum ssl_private_key_result_t finish_signing(SSL *ssl, uint8_t *out, size_t *out_len,
                                                    size_t max_out)
{
    (void)ssl, (void)out, (void)out_len, (void)max_out;
    return ++signing_asks < 3 ? ssl_private_key_retry : ssl_private_key_failure;
}

Test(tls_stream, a_handshake_can_wait_for_its_key)
{
    static const SSL_PRIVATE_KEY_METHOD elsewhere = {start_signing, no_decryption, finish_signing};
    const struct certificate *certificate = cert_store_at(tls_server_certs(server), 0);
    struct tls_pair pair;
    enum io io = IO_WAIT;

    SSL_CTX_set_private_key_method(certificate_context(certificate), &elsewhere);
    tls_pair_open(&pair, server, &client_of_a, 0);
    SSL_do_handshake(pair.client);
    for (int i = 0; i < 100 && io == IO_WAIT; i++) {
        tls_pair_pump(&pair);
        io = tls_stream_handshake(pair.server);
        cr_assert(io == IO_ERROR || !pair.saw_eof);
    }
    cr_assert_eq(signing_asks, 3, "asked again each time the task ran");
    cr_assert_eq(io, IO_ERROR);
    tls_pair_close(&pair);
}

static void wake_other(void *owner)
{
    ++*(int *)owner;
}

Test(tls_stream, events_wake_the_task_of_whoever_asked_last)
{
    struct buffer into = {.base = NULL};
    struct tls_pair pair;
    struct task other;
    int woken = 0;

    open_and_shake(&pair, &client_of_a);
    task_init(&other, wake_other, &woken);
    cr_assert(buffer_reserve(&into, 100));
    cr_assert_eq(tls_pair_read(&pair, &into), IO_WAIT);
    unsigned before = pair.wakes;
    pair.server->task = &other;
    cr_assert_eq(stream_read(pair.server, &into), IO_WAIT);
    SSL_write(pair.client, "x", 1);
    tls_pair_pump(&pair);
    tls_pair_pump(&pair);
    cr_assert_geq(woken, 1);
    cr_assert_eq(pair.wakes, before);
    cr_assert_eq(stream_read(pair.server, &into), IO_OK);
    buffer_clear(&into);
    tls_pair_close(&pair);
}
