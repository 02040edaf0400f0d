/* Which certificate a ClientHello gets, and who may resume what. */
#include "tls/tls_server.h"

#include "support/test_certs.h"
#include "support/tls_pair.h"
#include "tls/internal.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { PERIOD_S = 3600 };

static struct ticket_keys *keys;
static const uint64_t start_s = 1000000;

static const struct tls_settings settings = {
    .min_version = TLS_1_2, .tickets = true, .reject_unknown_sni = true};

static void set_up(void)
{
    test_folder_make();
    keys = ticket_keys_new(PERIOD_S);
    ticket_keys_turn(keys, start_s);
}

static void tear_down(void)
{
    ticket_keys_free(keys);
    test_folder_remove();
    buffer_cache_clear();
}

TestSuite(tls_server, .init = set_up, .fini = tear_down);

static struct cert_store *load_folder(const char *name)
{
    struct cert_source source = {.kind = CERT_SOURCE_PATH, .path = (char *)test_path(name)};
    struct cert_problems problems = {.count = 0};
    struct cert_store *store = cert_store_load(&source, 1, &problems);

    cr_assert_eq(problems.count, 0, "%s", problems.count ? problems.list[0].message : "");
    return store;
}

static struct tls_server *serve_with(const char *folder, const struct tls_settings *chosen)
{
    struct error error = {.message = ""};
    struct tls_server *server = tls_server_new(chosen, load_folder(folder), keys, &error);

    cr_assert(server, "%s", error.message);
    return server;
}

static struct tls_server *serve(const char *folder)
{
    return serve_with(folder, &settings);
}

/* Shakes hands, moves a byte each way so that tickets arrive, and says what was agreed. The
 * session, if `ticket` is not NULL, goes to the caller. */
static void connect_to(struct tls_server *server, const struct tls_client_options *options,
                       struct tls_info *info, SSL_SESSION **ticket)
{
    struct tls_pair pair;
    enum io io;

    tls_pair_open(&pair, server, options, 0);
    io = tls_pair_shake(&pair);
    cr_assert_eq(io, IO_OK, "%s", tls_stream_failure_text(pair.server));
    tls_stream_info(pair.server, info);
    info->sni = info->alpn = slice_of(""); /* they go with the stream */
    cr_assert(tls_pair_upload(&pair, "a", 1, 10));
    cr_assert(tls_pair_download(&pair, "b", 1));
    if (ticket) {
        *ticket = pair.session;
        pair.session = NULL;
    }
    tls_pair_close(&pair);
}

static bool resumes(struct tls_server *server, const char *sni, SSL_SESSION *ticket)
{
    struct tls_info info;
    uint16_t version = SSL_SESSION_get_protocol_version(ticket);

    connect_to(server,
               &(struct tls_client_options){.sni = sni, .session = ticket, .max_version = version},
               &info, NULL);
    return info.is_resumed;
}

static SSL_SESSION *get_ticket(struct tls_server *server, const char *sni, uint16_t version)
{
    struct tls_info info;
    SSL_SESSION *ticket = NULL;

    connect_to(server, &(struct tls_client_options){.sni = sni, .max_version = version}, &info,
               &ticket);
    cr_assert(!info.is_resumed);
    return ticket;
}

static const uint16_t versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* --- choice ----------------------------------------------------------------------------------- */

static enum cert_key chosen_key(struct tls_server *server, const struct tls_client_options *options)
{
    struct tls_info info;

    connect_to(server, options, &info, NULL);
    return certificate_key(info.certificate);
}

Test(tls_server, serves_ecdsa_or_rsa_by_what_the_client_can_do)
{
    static const uint16_t rsa_only[] = {SSL_SIGN_RSA_PSS_RSAE_SHA256, SSL_SIGN_RSA_PKCS1_SHA256, 0};

    /* RSA is the newer one: the kind of key decides first. */
    test_pair_write("ecdsa", &(struct test_cert_spec){.names = "a.test", .begins_s = -7200});
    test_pair_write("rsa", &(struct test_cert_spec){.names = "a.test", .key = CERT_KEY_RSA});
    struct tls_server *server = serve("");
    for (size_t i = 0; i < 2; i++) {
        struct tls_client_options options = {.sni = "a.test", .max_version = versions[i]};

        cr_assert_eq(chosen_key(server, &options), CERT_KEY_ECDSA_P256);
        options.algorithms = rsa_only;
        cr_assert_eq(chosen_key(server, &options), CERT_KEY_RSA);
    }
    cr_assert_eq(
        chosen_key(server, &(struct tls_client_options){.sni = "a.test",
                                                        .max_version = TLS1_2_VERSION,
                                                        .ciphers = "ECDHE-RSA-AES128-GCM-SHA256"}),
        CERT_KEY_RSA);
    /* In TLS 1.2 the key's curve must be among the groups. */
    cr_assert_eq(chosen_key(server, &(struct tls_client_options){.sni = "a.test",
                                                                 .max_version = TLS1_2_VERSION,
                                                                 .groups = "X25519:P-384"}),
                 CERT_KEY_RSA);
    tls_server_free(server);
}

Test(tls_server, serves_the_curve_that_the_client_verifies)
{
    static const uint16_t p384[] = {SSL_SIGN_ECDSA_SECP384R1_SHA384, 0};
    static const uint16_t p521[] = {SSL_SIGN_ECDSA_SECP521R1_SHA512, 0};
    static const uint16_t ed25519[] = {SSL_SIGN_ED25519, 0};

    test_pair_write("1", &(struct test_cert_spec){.names = "a.test", .begins_s = -60});
    test_pair_write("2", &(struct test_cert_spec){.names = "a.test", .key = CERT_KEY_ECDSA_P384});
    test_pair_write("3", &(struct test_cert_spec){.names = "a.test", .key = CERT_KEY_ECDSA_P521});
    test_pair_write("4", &(struct test_cert_spec){.names = "a.test", .key = CERT_KEY_ED25519});
    struct tls_server *server = serve("");
    struct tls_client_options options = {.sni = "a.test"};
    cr_assert_eq(chosen_key(server, &options), CERT_KEY_ECDSA_P256);
    options.algorithms = p384;
    cr_assert_eq(chosen_key(server, &options), CERT_KEY_ECDSA_P384);
    options.algorithms = p521;
    cr_assert_eq(chosen_key(server, &options), CERT_KEY_ECDSA_P521);
    options.algorithms = ed25519;
    cr_assert_eq(chosen_key(server, &options), CERT_KEY_ED25519);
    options.max_version = TLS1_2_VERSION;
    cr_assert_eq(chosen_key(server, &options), CERT_KEY_ED25519);
    tls_server_free(server);
}

Test(tls_server, serves_an_expired_certificate_rather_than_none)
{
    struct tls_info info;

    test_pair_write(
        "a", &(struct test_cert_spec){.names = "a.test", .begins_s = -7200, .ends_s = -3600});
    struct tls_server *server = serve("");
    connect_to(server, &(struct tls_client_options){.sni = "a.test"}, &info, NULL);
    tls_server_free(server);
}

Test(tls_server, a_client_without_sni_gets_the_default_certificate)
{
    struct tls_settings with_default = settings;
    struct tls_info info;
    struct tls_pair pair;

    with_default.default_name = "B.test";
    test_pair_write("a", &(struct test_cert_spec){.names = "a.test"});
    test_pair_write("b", &(struct test_cert_spec){.names = "b.test"});
    struct tls_server *server = serve_with("", &with_default);
    connect_to(server, &(struct tls_client_options){.sni = NULL}, &info, NULL);
    cr_assert(info.got_default);
    cr_assert(certificate_covers(info.certificate, slice_of("b.test")));
    /* An unknown name is refused all the same, also one that is no name. */
    static const char *const unknown[] = {"c.test", "not a name"};
    for (int i = 0; i < 2; i++) {
        tls_pair_open(&pair, server, &(struct tls_client_options){.sni = unknown[i]}, 0);
        cr_assert_eq(tls_pair_shake(&pair), IO_ERROR);
        cr_assert_eq(pair.alert, SSL_AD_UNRECOGNIZED_NAME);
        tls_pair_close(&pair);
    }
    tls_server_free(server);
}

Test(tls_server, an_unknown_name_may_get_the_default_certificate)
{
    static const char *const unknown[] = {"c.test", "not a name"};
    struct tls_settings with_default = settings;
    struct tls_info info;

    with_default.default_name = "a.test";
    with_default.reject_unknown_sni = false;
    test_pair_write("a", &(struct test_cert_spec){.names = "a.test"});
    struct tls_server *server = serve_with("", &with_default);
    for (int i = 0; i < 2; i++) {
        connect_to(server, &(struct tls_client_options){.sni = unknown[i]}, &info, NULL);
        cr_assert(info.got_default);
    }
    connect_to(server, &(struct tls_client_options){.sni = "a.test"}, &info, NULL);
    cr_assert(!info.got_default);
    tls_server_free(server);
}

Test(tls_server, a_default_name_must_be_covered)
{
    struct tls_settings with_default = settings;
    struct error error;

    with_default.default_name = "c.test";
    test_pair_write("a", &(struct test_cert_spec){.names = "a.test"});
    cr_assert_null(tls_server_new(&with_default, load_folder(""), keys, &error));
    cr_assert(strstr(error.message, "c.test"), "%s", error.message);
}

Test(tls_server, says_without_a_client_what_one_would_get)
{
    struct tls_settings with_default = settings;
    const char *alert = "";

    test_pair_write("a", &(struct test_cert_spec){.names = "a.test"});
    struct tls_server *server = serve("");
    cr_assert(tls_server_choose(server, slice_of("a.test"), &alert));
    cr_assert_null(tls_server_choose(server, slice_of("b.test"), &alert));
    cr_assert_str_eq(alert, "unrecognized_name");
    cr_assert_null(tls_server_choose(server, slice_of(""), &alert));
    cr_assert_str_eq(alert, "unrecognized_name");
    tls_server_free(server);

    with_default.default_name = "a.test";
    server = serve_with("", &with_default);
    cr_assert(tls_server_choose(server, slice_of(""), &alert));
    cr_assert_null(tls_server_choose(server, slice_of("b.test"), &alert));
    tls_server_free(server);
}

static void expect_answer(const struct tls_server *server, const char *sni, enum cert_match match,
                          const char *san)
{
    struct tls_answer answer = tls_server_answer(server, slice_of(sni), NULL);

    cr_assert(answer.certificate, "%s is refused", sni);
    cr_assert_eq(answer.match, match, "%s", sni);
    cr_assert(slice_equal(answer.san, slice_of(san)), "%s: %.*s", sni, (int)answer.san.len,
              answer.san.at);
    cr_assert_eq(answer.refusal, TLS_REFUSAL_NONE);
    cr_assert_null(answer.alert);
}

static void expect_refusal(const struct tls_server *server, const char *sni,
                           const struct cert_wish *client, enum tls_refusal refusal,
                           const char *alert)
{
    struct tls_answer answer = tls_server_answer(server, slice_of(sni), client);

    cr_assert_null(answer.certificate);
    cr_assert_eq(answer.match, CERT_MATCH_NONE);
    cr_assert_eq(answer.refusal, refusal, "%s", sni);
    cr_assert_str_eq(answer.alert, alert);
}

Test(tls_server, says_how_a_name_matched_or_why_it_is_refused)
{
    struct tls_settings with_default = settings;
    struct cert_wish rsa_only = {.has_rsa = true, .now = time(NULL)};

    test_pair_write("a", &(struct test_cert_spec){.names = "*.a.test,b.a.test,10.0.0.1"});
    test_pair_write(
        "old", &(struct test_cert_spec){.names = "c.a.test", .begins_s = -7200, .ends_s = -3600});
    struct tls_server *server = serve("");
    expect_answer(server, "b.a.test", CERT_MATCH_EXACT, "b.a.test");
    expect_answer(server, "B.a.TEST.", CERT_MATCH_EXACT, "b.a.test");
    expect_answer(server, "x.a.test", CERT_MATCH_WILDCARD, "*.a.test");
    expect_answer(server, "c.a.test", CERT_MATCH_WILDCARD, "*.a.test");
    expect_answer(server, "10.0.0.1", CERT_MATCH_EXACT, "10.0.0.1");
    expect_refusal(server, "a.test", NULL, TLS_REFUSAL_UNKNOWN_NAME, "unrecognized_name");
    expect_refusal(server, "not a name", NULL, TLS_REFUSAL_INVALID_NAME, "unrecognized_name");
    expect_refusal(server, "", NULL, TLS_REFUSAL_NO_NAME, "unrecognized_name");
    expect_refusal(server, "b.a.test", &rsa_only, TLS_REFUSAL_NOT_USABLE, "handshake_failure");
    tls_server_free(server);

    with_default.default_name = "d.a.test";
    server = serve_with("", &with_default);
    expect_answer(server, "", CERT_MATCH_DEFAULT, "*.a.test");
    expect_answer(server, "d.a.test", CERT_MATCH_WILDCARD, "*.a.test");
    expect_refusal(server, "not a name", NULL, TLS_REFUSAL_INVALID_NAME, "unrecognized_name");
    expect_refusal(server, "", &rsa_only, TLS_REFUSAL_NOT_USABLE, "handshake_failure");
    tls_server_free(server);

    with_default.reject_unknown_sni = false;
    server = serve_with("", &with_default);
    expect_answer(server, "z.test", CERT_MATCH_DEFAULT, "*.a.test");
    expect_answer(server, "not a name", CERT_MATCH_DEFAULT, "*.a.test");
    tls_server_free(server);
}

Test(tls_server, min_version_1_3_refuses_tls_1_2)
{
    struct tls_settings strict = settings;
    struct tls_pair pair;

    strict.min_version = TLS_1_3;
    test_pair_write("a", &(struct test_cert_spec){.names = "a.test"});
    struct tls_server *server = serve_with("", &strict);
    tls_pair_open(&pair, server,
                  &(struct tls_client_options){.sni = "a.test", .max_version = TLS1_2_VERSION}, 0);
    cr_assert_eq(tls_pair_shake(&pair), IO_ERROR);
    cr_assert_eq(pair.alert, SSL_AD_PROTOCOL_VERSION);
    tls_pair_close(&pair);
    tls_server_free(server);
}

Test(tls_server, alpn_follows_our_preference)
{
    static const char *const both[] = {"h2", "http/1.1"};
    static const struct {
        const char *offer, *chosen;
    } cases[] = {{"\x08http/1.1\x02h2", "h2"}, {"\x08http/1.1", "http/1.1"}, {NULL, ""}};
    struct tls_settings with_alpn = settings;

    with_alpn.alpn = both;
    with_alpn.alpn_count = 2;
    test_pair_write("a", &(struct test_cert_spec){.names = "a.test"});
    struct tls_server *server = serve_with("", &with_alpn);
    for (size_t i = 0; i < 3; i++) {
        struct tls_pair pair;
        struct tls_info info;

        tls_pair_open(&pair, server,
                      &(struct tls_client_options){.sni = "a.test", .alpn = cases[i].offer}, 0);
        cr_assert_eq(tls_pair_shake(&pair), IO_OK);
        tls_stream_info(pair.server, &info);
        cr_assert(slice_equal(info.alpn, slice_of(cases[i].chosen)));
        tls_pair_close(&pair);
    }
    tls_server_free(server);
}

Test(tls_server, without_protocols_of_ours_alpn_is_not_spoken)
{
    struct tls_info info;

    test_pair_write("a", &(struct test_cert_spec){.names = "a.test"});
    struct tls_server *server = serve("");
    connect_to(server, &(struct tls_client_options){.sni = "a.test", .alpn = "\x02h2"}, &info,
               NULL);
    tls_server_free(server);
}

/* A new generation takes over: what shook hands before goes on. */
Test(tls_server, connections_outlive_it)
{
    struct tls_pair pair;
    struct tls_info info;

    test_pair_write("a", &(struct test_cert_spec){.names = "a.test"});
    struct tls_server *server = serve("");
    tls_pair_open(&pair, server, &(struct tls_client_options){.sni = "a.test"}, 0);
    cr_assert_eq(tls_pair_shake(&pair), IO_OK);
    tls_server_free(server);
    cr_assert(tls_pair_upload(&pair, "a", 1, 10));
    cr_assert(tls_pair_download(&pair, "b", 1));
    tls_stream_info(pair.server, &info);
    cr_assert(certificate_covers(info.certificate, slice_of("a.test")));
    tls_pair_close(&pair);
}

/* A flight that the loop's scratch cannot hold, to a client that reads slowly. */
Test(tls_server, sends_chains_of_any_length)
{
    enum { NAMES = 4000, COPIES = 10 };
    char *names = calloc(NAMES, 16), *at = names;
    for (int i = 0; i < NAMES; i++)
        at += sprintf(at, "n%04d.test,", i);
    struct test_cert cert = test_cert_make(&(struct test_cert_spec){.names = names});
    char *chain = test_cert_pem(&cert), *key = test_key_pem(&cert);
    char *text = calloc(COPIES, strlen(chain) + 1);
    struct tls_pair pair;

    for (int i = 0; i < COPIES; i++)
        strcat(text, chain);
    cr_assert_gt(strlen(text), 2 * LOOP_SCRATCH_BYTES);
    test_file_write("a.crt", text);
    test_file_write("a.key", key);
    struct tls_server *server = serve("");
    for (size_t i = 0; i < 2; i++) {
        tls_pair_open(&pair, server,
                      &(struct tls_client_options){.sni = "n0042.test", .max_version = versions[i]},
                      4096);
        SSL_set_max_cert_list(pair.client, 1024 * 1024);
        pair.step = 3000;
        cr_assert_eq(tls_pair_shake(&pair), IO_OK);
        cr_assert(pair.client_is_done);
        cr_assert_gt(pair.wire_bytes, LOOP_SCRATCH_BYTES);
        tls_pair_close(&pair);
    }
    tls_server_free(server);
    test_cert_clear(&cert);
    free(names);
    free(chain);
    free(key);
    free(text);
}

/* --- OCSP ------------------------------------------------------------------------------------- */

Test(tls_server, staples_the_response_beside_the_certificate)
{
    struct test_cert cert = test_cert_make(&(struct test_cert_spec){.names = "a.test"});
    char *chain = test_cert_pem(&cert), *key = test_key_pem(&cert);
    const uint8_t *stapled;
    uint8_t *der;
    size_t length = test_ocsp_make(&cert, 0, 3600, &der), stapled_length;
    struct tls_pair pair;

    test_file_write("a.crt", chain);
    test_file_write("a.key", key);
    test_file_write_bytes("a.ocsp", der, length);
    struct tls_server *server = serve("");
    for (size_t i = 0; i < 2; i++) {
        tls_pair_open(&pair, server,
                      &(struct tls_client_options){
                          .sni = "a.test", .wants_ocsp = true, .max_version = versions[i]},
                      0);
        cr_assert_eq(tls_pair_shake(&pair), IO_OK);
        SSL_get0_ocsp_response(pair.client, &stapled, &stapled_length);
        cr_assert_eq(stapled_length, length);
        cr_assert_eq(memcmp(stapled, der, length), 0);
        tls_pair_close(&pair);
    }
    tls_server_free(server);
    OPENSSL_free(der);
    free(chain);
    free(key);
    test_cert_clear(&cert);
}

/* Browsers give up on a stapled response that is out of date, not on a missing one. */
Test(tls_server, stops_stapling_what_has_run_out)
{
    struct test_cert cert = test_cert_make(&(struct test_cert_spec){.names = "a.test"});
    char *chain = test_cert_pem(&cert), *key = test_key_pem(&cert);
    uint8_t *der;
    size_t length = test_ocsp_make(&cert, 0, 1, &der), stapled_length = 1;
    int64_t start = time(NULL);
    struct tls_pair pair;

    test_file_write("a.crt", chain);
    test_file_write("a.key", key);
    test_file_write_bytes("a.ocsp", der, length);
    struct tls_server *server = serve("");
    while (stapled_length > 0 && time(NULL) < start + 10) {
        const uint8_t *stapled;

        tls_pair_open(&pair, server,
                      &(struct tls_client_options){.sni = "a.test", .wants_ocsp = true}, 0);
        cr_assert_eq(tls_pair_shake(&pair), IO_OK);
        SSL_get0_ocsp_response(pair.client, &stapled, &stapled_length);
        tls_pair_close(&pair);
    }
    cr_assert_eq(stapled_length, 0);
    tls_server_free(server);
    OPENSSL_free(der);
    free(chain);
    free(key);
    test_cert_clear(&cert);
}

/* --- tickets ---------------------------------------------------------------------------------- */

/* A renewal, or another worker's generation: new contexts, the same keys and names. */
Test(tls_server, resumes_on_any_server_with_the_same_keys_and_names)
{
    test_pair_write("one/a", &(struct test_cert_spec){.names = "a.test,www.a.test"});
    test_pair_write("two/a", &(struct test_cert_spec){.names = "www.a.test,a.test"});
    for (size_t i = 0; i < 2; i++) {
        struct tls_server *one = serve("one"), *two = serve("two");
        SSL_SESSION *ticket = get_ticket(one, "a.test", versions[i]);

        cr_assert(ticket);
        tls_server_free(one);
        cr_assert(resumes(two, "a.test", ticket));
        SSL_SESSION_free(ticket);
        tls_server_free(two);
    }
}

Test(tls_server, does_not_resume_across_names)
{
    test_pair_write("a", &(struct test_cert_spec){.names = "a.test"});
    test_pair_write("b", &(struct test_cert_spec){.names = "b.test"});
    struct tls_server *server = serve("");
    for (size_t i = 0; i < 2; i++) {
        SSL_SESSION *ticket = get_ticket(server, "a.test", versions[i]);

        cr_assert(!resumes(server, "b.test", ticket));
        cr_assert(resumes(server, "a.test", ticket));
        SSL_SESSION_free(ticket);
    }
    tls_server_free(server);
}

/* The files are replaced under a running gateway: a ticket lives on through a renewal, and no
 * longer than the names do, although the host it is for is still among them. */
Test(tls_server, a_swap_to_other_names_ends_tickets_and_a_renewal_does_not)
{
    for (size_t i = 0; i < 2; i++) {
        test_pair_write("a", &(struct test_cert_spec){.names = "a.test,b.test"});
        struct tls_server *before = serve("");
        SSL_SESSION *ticket = get_ticket(before, "a.test", versions[i]);
        test_pair_write("a", &(struct test_cert_spec){.names = "a.test,b.test", .begins_s = -60});
        struct tls_server *renewed = serve("");
        cr_assert(resumes(renewed, "a.test", ticket));
        cr_assert(resumes(renewed, "b.test", ticket), "the same certificate vouches for both");
        test_pair_write("a", &(struct test_cert_spec){.names = "a.test"});
        struct tls_server *fewer = serve("");
        cr_assert(!resumes(fewer, "a.test", ticket));
        test_pair_write("a", &(struct test_cert_spec){.names = "a.test,b.test,c.test"});
        struct tls_server *more = serve("");
        cr_assert(!resumes(more, "a.test", ticket));
        SSL_SESSION_free(ticket);
        tls_server_free(before);
        tls_server_free(renewed);
        tls_server_free(fewer);
        tls_server_free(more);
    }
}

/* The client remembers the ticket by host; the host's certificate is another one now. */
Test(tls_server, a_host_that_moves_to_another_certificate_ends_its_tickets)
{
    for (size_t i = 0; i < 2; i++) {
        test_pair_write("x/a", &(struct test_cert_spec){.names = "*.test", .begins_s = -7200});
        struct tls_server *before = serve("x");
        SSL_SESSION *ticket = get_ticket(before, "a.test", versions[i]);
        test_pair_write("x/b", &(struct test_cert_spec){.names = "a.test"});
        struct tls_server *after = serve("x");
        cr_assert(!resumes(after, "a.test", ticket));
        cr_assert(resumes(after, "b.test", ticket));
        SSL_SESSION_free(ticket);
        tls_server_free(before);
        tls_server_free(after);
        cr_assert_eq(unlink(test_path("x/b.crt")), 0);
        cr_assert_eq(unlink(test_path("x/b.key")), 0);
    }
}

Test(tls_server, does_not_resume_under_other_keys)
{
    test_pair_write("a", &(struct test_cert_spec){.names = "a.test"});
    struct tls_server *server = serve("");
    for (size_t i = 0; i < 2; i++) {
        SSL_SESSION *ticket = get_ticket(server, "a.test", versions[i]);
        struct ticket_keys *others = ticket_keys_new(PERIOD_S), *ours = keys;
        struct tls_server *other;

        keys = others;
        other = serve("");
        cr_assert(!resumes(other, "a.test", ticket));
        tls_server_free(other);
        ticket_keys_free(others);
        keys = ours;
        SSL_SESSION_free(ticket);
    }
    tls_server_free(server);
}

Test(tls_server, a_ticket_opens_for_three_periods)
{
    for (size_t i = 0; i < 2; i++) {
        struct ticket_keys *ours = keys;
        keys = ticket_keys_new(PERIOD_S);
        test_pair_write("a", &(struct test_cert_spec){.names = "a.test"});
        struct tls_server *server = serve("");

        ticket_keys_turn(keys, start_s);
        SSL_SESSION *ticket = get_ticket(server, "a.test", versions[i]);
        ticket_keys_turn(keys, start_s + PERIOD_S - 1);
        cr_assert(resumes(server, "a.test", ticket));
        ticket_keys_turn(keys, start_s + PERIOD_S);
        cr_assert(resumes(server, "a.test", ticket));
        ticket_keys_turn(keys, start_s + 2 * PERIOD_S);
        cr_assert(resumes(server, "a.test", ticket));
        ticket_keys_turn(keys, start_s + 3 * PERIOD_S);
        cr_assert(!resumes(server, "a.test", ticket));
        SSL_SESSION_free(ticket);
        tls_server_free(server);
        ticket_keys_free(keys);
        keys = ours;
    }
}

Test(tls_server, keys_are_renewed_after_a_clock_was_set_back)
{
    enum { MUCH_S = 1000 * PERIOD_S };
    struct ticket_keys *ours = keys;
    keys = ticket_keys_new(PERIOD_S);
    test_pair_write("a", &(struct test_cert_spec){.names = "a.test"});
    struct tls_server *server = serve("");

    ticket_keys_turn(keys, start_s);
    ticket_keys_turn(keys, start_s - MUCH_S);
    SSL_SESSION *ticket = get_ticket(server, "a.test", TLS1_3_VERSION);
    for (unsigned i = 1; i <= 3; i++) {
        cr_assert(resumes(server, "a.test", ticket));
        ticket_keys_turn(keys, start_s - MUCH_S + i * PERIOD_S);
    }
    cr_assert(!resumes(server, "a.test", ticket));
    SSL_SESSION_free(ticket);
    tls_server_free(server);
    ticket_keys_free(keys);
    keys = ours;
}

/* TLS 1.2 resumes without a key exchange, TLS 1.3 with a fresh one. */
Test(tls_server, a_resumed_connection_says_so)
{
    test_pair_write("a", &(struct test_cert_spec){.names = "a.test"});
    struct tls_server *server = serve("");
    for (size_t i = 0; i < 2; i++) {
        SSL_SESSION *ticket = get_ticket(server, "a.test", versions[i]);
        struct tls_info info;

        connect_to(server,
                   &(struct tls_client_options){
                       .sni = "a.test", .session = ticket, .max_version = versions[i]},
                   &info, NULL);
        cr_assert(info.is_resumed);
        if (versions[i] == TLS1_3_VERSION)
            cr_assert_str_eq(info.group, "X25519");
        else
            cr_assert_null(info.group);
        SSL_SESSION_free(ticket);
    }
    tls_server_free(server);
}

/* A ticket under an older key is answered with one under the newest: TLS 1.2 says so in the
 * callback's answer, TLS 1.3 always sends fresh ones. */
Test(tls_server, resuming_under_an_older_key_renews_the_ticket)
{
    test_pair_write("a", &(struct test_cert_spec){.names = "a.test"});
    struct tls_server *server = serve("");
    for (size_t i = 0; i < 2; i++) {
        SSL_SESSION *old = get_ticket(server, "a.test", versions[i]), *renewed = NULL;
        struct tls_info info;
        uint64_t now_s = start_s + (2 * i + 1) * 2 * PERIOD_S;

        ticket_keys_turn(keys, now_s);
        connect_to(server,
                   &(struct tls_client_options){
                       .sni = "a.test", .session = old, .max_version = versions[i]},
                   &info, &renewed);
        cr_assert(info.is_resumed);
        cr_assert(renewed);
        ticket_keys_turn(keys, now_s + PERIOD_S);
        ticket_keys_turn(keys, now_s + 2 * PERIOD_S);
        cr_assert(!resumes(server, "a.test", old));
        cr_assert(resumes(server, "a.test", renewed));
        SSL_SESSION_free(old);
        SSL_SESSION_free(renewed);
    }
    tls_server_free(server);
}

Test(tls_server, tickets_live_as_long_as_their_keys)
{
    test_pair_write("a", &(struct test_cert_spec){.names = "a.test"});
    struct tls_server *server = serve("");
    for (size_t i = 0; i < 2; i++) {
        SSL_SESSION *ticket = get_ticket(server, "a.test", versions[i]);

        uint32_t life_s = versions[i] == TLS1_3_VERSION
                              ? SSL_SESSION_get_timeout(ticket)
                              : SSL_SESSION_get_ticket_lifetime_hint(ticket);

        cr_assert_eq(life_s, 3 * PERIOD_S, "%u", life_s);
        SSL_SESSION_free(ticket);
    }
    tls_server_free(server);
}

Test(tls_server, without_tickets_nothing_resumes)
{
    struct tls_settings without = settings;
    struct tls_info info;

    without.tickets = false;
    test_pair_write("a", &(struct test_cert_spec){.names = "a.test"});
    struct tls_server *server = serve_with("", &without), *with = serve("");
    for (size_t i = 0; i < 2; i++) {
        SSL_SESSION *ticket = NULL;

        connect_to(server,
                   &(struct tls_client_options){.sni = "a.test", .max_version = versions[i]}, &info,
                   &ticket);
        cr_assert(!ticket || !SSL_SESSION_has_ticket(ticket));
        SSL_SESSION_free(ticket);
        ticket = get_ticket(with, "a.test", versions[i]);
        cr_assert(!resumes(server, "a.test", ticket));
        SSL_SESSION_free(ticket);
    }
    tls_server_free(server);
    tls_server_free(with);
}

Test(tls_server, names_its_library)
{
    cr_assert(strncmp(tls_library_version(), "BoringSSL", 9) == 0);
}
