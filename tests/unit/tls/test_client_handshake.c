/* Clients' certificates: the authorities' file, the verdict and its words, and a handshake that
 * waits for it. */
#include "base/buffer.h"
#include "base/check.h"
#include "support/test_certs.h"
#include "support/tls_pair.h"
#include "tls/internal.h"

#include <criterion/criterion.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static struct ticket_keys *keys;
static struct test_cert root;

static void write_cert(const char *name, const struct test_cert *cert)
{
    char *pem = test_cert_pem(cert);

    test_file_write(name, pem);
    free(pem);
}

static struct test_cert make_root(const char *name)
{
    return test_cert_make(&(struct test_cert_spec){.common_name = name, .is_authority = true});
}

static struct test_cert make_leaf(const struct test_cert *issuer, const char *name)
{
    return test_cert_make(
        &(struct test_cert_spec){.common_name = name, .issuer = issuer, .purpose = "clientAuth"});
}

static void set_up(void)
{
    test_folder_make();
    test_pair_write("certs/a", &(struct test_cert_spec){.names = "a.test,b.test,*.c.test"});
    keys = ticket_keys_new(3600);
    root = make_root("Root");
    write_cert("ca.pem", &root);
}

static void tear_down(void)
{
    test_cert_clear(&root);
    ticket_keys_free(keys);
    test_folder_remove();
    buffer_cache_clear();
}

TestSuite(client_handshake, .init = set_up, .fini = tear_down);

/* --- the authorities' file ---------------------------------------------------------------------
 */

static struct client_ca *load_ca(struct client_ca *earlier)
{
    struct error error = {""};
    struct client_ca *ca = client_ca_load(test_path("ca.pem"), earlier, &error);

    cr_assert(ca, "%s", error.message);
    return ca;
}

static void refuses_file(const char *words)
{
    struct error error = {""};

    cr_assert_null(client_ca_load(test_path("ca.pem"), NULL, &error));
    cr_assert(strstr(error.message, words), "%s", error.message);
    cr_assert(strstr(error.message, "ca.pem"), "%s", error.message);
}

Test(client_handshake, the_same_authorities_are_parsed_once)
{
    struct client_ca *first = load_ca(NULL), *again = load_ca(first);

    cr_assert_eq(first, again);
    struct test_cert other = make_root("Root");
    write_cert("ca.pem", &other);
    struct client_ca *changed = load_ca(first);
    cr_assert_neq(first, changed);
    cr_assert(!client_ca_is_same(first, changed));
    cr_assert_neq(client_ca_fingerprint(first), client_ca_fingerprint(changed));
    client_ca_unref(first);
    client_ca_unref(again);
    client_ca_unref(changed);
    test_cert_clear(&other);
}

Test(client_handshake, files_without_an_authority_are_refused)
{
    struct test_cert leaf = make_leaf(&root, "leaf");

    write_cert("ca.pem", &leaf);
    refuses_file("none of an authority");
    test_file_write("ca.pem", "nothing\n");
    refuses_file("holds no certificate");
    test_file_write("ca.pem", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
    refuses_file("does not parse");
    remove(test_path("ca.pem"));
    refuses_file("cannot be read");
    test_cert_clear(&leaf);
}

Test(client_handshake, many_authorities_fit_and_keys_are_passed_over)
{
    struct buffer text = {0};
    char *key = test_key_pem(&root), *pem = test_cert_pem(&root);

    buffer_append_text(&text, key);
    for (int i = 0; i < 100; i++)
        buffer_append_text(&text, pem);
    test_file_write_bytes("ca.pem", buffer_content(&text).at, buffer_length(&text));
    client_ca_unref(load_ca(NULL));
    buffer_clear(&text);
    free(key);
    free(pem);
}

/* --- the verdict -------------------------------------------------------------------------------
 */

static CRYPTO_BUFFER *to_buffer(const struct test_cert *cert)
{
    uint8_t *der = NULL;
    int length = i2d_X509(cert->x509, &der);
    CRYPTO_BUFFER *buffer = CRYPTO_BUFFER_new(der, (size_t)length, NULL);

    OPENSSL_free(der);
    return buffer;
}

/* The chain ends with NULL. */
static long verdict_of(const struct test_cert *const *chain, struct client_verdict *verdict)
{
    STACK_OF(CRYPTO_BUFFER) *buffers = sk_CRYPTO_BUFFER_new_null();
    struct client_ca *ca = load_ca(NULL);

    for (; *chain; chain++)
        cr_assert(sk_CRYPTO_BUFFER_push(buffers, to_buffer(*chain)));
    client_check_run(ca, buffers, verdict);
    sk_CRYPTO_BUFFER_pop_free(buffers, CRYPTO_BUFFER_free);
    client_ca_unref(ca);
    return verdict->result;
}

static long verdict_of_one(const struct test_cert_spec *spec)
{
    struct test_cert leaf = test_cert_make(spec);
    struct client_verdict verdict;

    verdict_of((const struct test_cert *const[]){&leaf, NULL}, &verdict);
    free(verdict.identity);
    test_cert_clear(&leaf);
    return verdict.result;
}

Test(client_handshake, what_may_be_shown)
{
    struct test_cert_spec spec = {.common_name = "x", .issuer = &root, .purpose = "clientAuth"};

    cr_assert_eq(verdict_of_one(&spec), X509_V_OK);
    spec.purpose = "serverAuth,clientAuth";
    cr_assert_eq(verdict_of_one(&spec), X509_V_OK);
    spec.purpose = NULL;
    cr_assert_eq(verdict_of_one(&spec), X509_V_OK, "no restriction is none");
    spec.purpose = "serverAuth";
    cr_assert_eq(verdict_of_one(&spec), X509_V_ERR_INVALID_PURPOSE);
    spec.purpose = "clientAuth";
    spec.ends_s = -60;
    cr_assert_eq(verdict_of_one(&spec), X509_V_ERR_CERT_HAS_EXPIRED);
    spec.ends_s = 0;
    spec.begins_s = 3600;
    cr_assert_eq(verdict_of_one(&spec), X509_V_ERR_CERT_NOT_YET_VALID);
    spec.begins_s = 0;
    spec.issuer = NULL;
    cr_assert_neq(verdict_of_one(&spec), X509_V_OK);
}

Test(client_handshake, intermediates_have_to_be_authorities_within_their_constraints)
{
    struct test_cert_spec between = {.common_name = "Between",
                                     .issuer = &root,
                                     .is_authority = true,
                                     .constraints = "permitted;DNS:good.test"};
    struct test_cert good = test_cert_make(&between);
    between.is_authority = false;
    between.constraints = NULL;
    struct test_cert bad = test_cert_make(&between);
    struct test_cert_spec spec = {
        .common_name = "x", .issuer = &good, .names = "x.good.test", .purpose = "clientAuth"};
    struct test_cert within = test_cert_make(&spec);
    spec.names = "x.evil.test";
    struct test_cert beyond = test_cert_make(&spec);
    spec.issuer = &bad;
    struct test_cert below = test_cert_make(&spec);
    struct client_verdict verdict;

    cr_assert_eq(verdict_of((const struct test_cert *const[]){&within, &good, NULL}, &verdict),
                 X509_V_OK);
    free(verdict.identity);
    cr_assert_neq(verdict_of((const struct test_cert *const[]){&within, NULL}, &verdict),
                  X509_V_OK);
    cr_assert_neq(verdict_of((const struct test_cert *const[]){&beyond, &good, NULL}, &verdict),
                  X509_V_OK);
    cr_assert_neq(verdict_of((const struct test_cert *const[]){&below, &bad, NULL}, &verdict),
                  X509_V_OK);
    test_cert_clear(&good);
    test_cert_clear(&bad);
    test_cert_clear(&within);
    test_cert_clear(&beyond);
    test_cert_clear(&below);
}

Test(client_handshake, a_chain_without_end_is_not_walked)
{
    struct test_cert leaf = make_leaf(&root, "x");
    const struct test_cert *chain[CLIENT_CHAIN_MAX + 2] = {NULL};
    struct client_verdict verdict;

    for (int i = 0; i < CLIENT_CHAIN_MAX; i++)
        chain[i] = &leaf;
    cr_assert_eq(verdict_of(chain, &verdict), X509_V_OK);
    free(verdict.identity);
    chain[CLIENT_CHAIN_MAX] = &leaf;
    cr_assert_eq(verdict_of(chain, &verdict), X509_V_ERR_CERT_CHAIN_TOO_LONG);
    test_cert_clear(&leaf);
}

Test(client_handshake, the_chain_s_first_end_is_told)
{
    struct test_cert_spec spec = {
        .common_name = "Between", .issuer = &root, .is_authority = true, .ends_s = 500};
    struct test_cert between = test_cert_make(&spec), leaf = make_leaf(&between, "x");
    struct client_verdict verdict;
    int64_t now = time(NULL);

    verdict_of((const struct test_cert *const[]){&leaf, &between, NULL}, &verdict);
    cr_assert_eq(verdict.result, X509_V_OK);
    cr_assert_leq(verdict.not_after, now + 500);
    free(verdict.identity);
    test_cert_clear(&between);
    test_cert_clear(&leaf);
}

/* --- who it is ---------------------------------------------------------------------------------
 */

static void is_called(const char *common_name, const char *subject)
{
    struct test_cert leaf = make_leaf(&root, common_name);
    CRYPTO_BUFFER *buffer = to_buffer(&leaf);
    struct client_identity *identity = client_identity_new(buffer);

    cr_assert(slice_equal(identity->subject, slice_of(subject)), "%s is told as '%.*s'", subject,
              (int)identity->subject.len, identity->subject.at);
    cr_assert_eq(strspn(identity->fingerprint, "0123456789abcdef"), 64);
    free(identity);
    CRYPTO_BUFFER_free(buffer);
    test_cert_clear(&leaf);
}

Test(client_handshake, subjects_are_printable_whatever_they_hold)
{
    is_called("alice", "CN=alice");
    is_called("a, b+c=\"d\"", "CN=a\\, b\\+c=\\\"d\\\"");
    is_called("x\r\nX-Client-Cert-Subject: root", "CN=x\\0D\\0AX-Client-Cert-Subject: root");
    is_called("j\xc3\xbcrgen", "CN=j\\C3\\BCrgen");
}

Test(client_handshake, half_a_subject_is_not_told)
{
    struct test_cert leaf = make_leaf(&root, "x");
    X509_NAME *name = X509_get_subject_name(leaf.x509);
    char part[61];

    memset(part, 'y', sizeof(part) - 1);
    part[60] = '\0';
    for (int i = 0; i < 40; i++)
        cr_assert(X509_NAME_add_entry_by_txt(name, "OU", MBSTRING_UTF8, (const unsigned char *)part,
                                             -1, -1, 0));
    cr_assert(X509_sign(leaf.x509, root.key, EVP_sha256()));
    CRYPTO_BUFFER *buffer = to_buffer(&leaf);
    struct client_identity *identity = client_identity_new(buffer);
    cr_assert_eq(identity->subject.len, 0);
    cr_assert_eq(strlen(identity->fingerprint), 64);
    free(identity);
    CRYPTO_BUFFER_free(buffer);
    test_cert_clear(&leaf);
}

/* --- policies ----------------------------------------------------------------------------------
 */

static struct slice find_host(const void *hosts, struct slice name)
{
    (void)hosts;
    if (slice_ends_with(name, slice_of(".c.test")))
        return slice_of("*.c.test");
    return slice_equal(name, slice_of("b.test")) ? slice_of("b.test") : slice_make(NULL, 0);
}

/* a.test as `general` says, b.test nothing, *.c.test requests. */
static struct tls_server *serve(enum client_auth general)
{
    static const char *const http11[] = {"http/1.1"};
    const struct tls_settings settings = {
        .tickets = true, .reject_unknown_sni = true, .alpn = http11, .alpn_count = 1};
    struct cert_source source = {.kind = CERT_SOURCE_PATH, .path = (char *)test_path("certs")};
    struct cert_problems problems = {.count = 0};
    struct error error = {""};
    struct tls_server *server =
        tls_server_new(&settings, cert_store_load(&source, 1, &problems), keys, &error);
    struct client_policies *policies = client_policies_new();
    struct client_rule rule = {.auth = general, .ca = general == CLIENT_AUTH_OFF ? NULL : "ca"};

    cr_assert(server, "%s", error.message);
    client_policies_add_ca(policies, "ca", load_ca(NULL));
    client_policies_set(policies, slice_of(""), &rule);
    if (general != CLIENT_AUTH_OFF) {
        client_policies_set(policies, slice_of("b.test"),
                            &(struct client_rule){.auth = CLIENT_AUTH_OFF});
        client_policies_set(policies, slice_of("*.c.test"),
                            &(struct client_rule){.auth = CLIENT_AUTH_REQUEST, .ca = "ca"});
    }
    tls_server_set_clients(server, policies, find_host, NULL);
    return server;
}

Test(client_handshake, each_host_has_its_policy)
{
    struct tls_server *server = serve(CLIENT_AUTH_REQUIRE);

    cr_assert_eq(tls_server_policy_of_sni(server, slice_of("A.Test."))->auth, CLIENT_AUTH_REQUIRE);
    cr_assert_eq(tls_server_policy_of_sni(server, slice_of(""))->auth, CLIENT_AUTH_REQUIRE);
    cr_assert_eq(tls_server_policy_of_sni(server, slice_of("B.test"))->auth, CLIENT_AUTH_OFF);
    cr_assert_eq(tls_server_policy_of_sni(server, slice_of("x.c.test"))->auth, CLIENT_AUTH_REQUEST);
    tls_server_free(server);
}

Test(client_handshake, a_policy_is_met_by_its_own_authorities_alone)
{
    struct client_ca *ca = load_ca(NULL);
    struct test_cert other = make_root("Root");
    write_cert("ca.pem", &other);
    struct client_ca *stranger = load_ca(NULL);
    const struct client_policy off = {.auth = CLIENT_AUTH_OFF}, request = {CLIENT_AUTH_REQUEST, ca},
                               require = {CLIENT_AUTH_REQUIRE, ca};

    cr_assert(client_policy_is_met(&off, NULL, false));
    cr_assert(client_policy_is_met(&off, stranger, true));
    cr_assert(client_policy_is_met(&request, ca, false));
    cr_assert(client_policy_is_met(&request, ca, true));
    cr_assert(!client_policy_is_met(&request, NULL, false));
    cr_assert(!client_policy_is_met(&request, stranger, true));
    cr_assert(client_policy_is_met(&require, ca, true));
    cr_assert(!client_policy_is_met(&require, ca, false));
    cr_assert(!client_policy_is_met(&require, NULL, false));
    cr_assert(!client_policy_is_met(&require, stranger, true));
    client_ca_unref(ca);
    client_ca_unref(stranger);
    test_cert_clear(&other);
}

/* --- handshakes --------------------------------------------------------------------------------
 */

Test(client_handshake, who_asks_for_none_sends_no_request)
{
    struct tls_server *server = serve(CLIENT_AUTH_OFF);
    struct test_cert leaf = make_leaf(&root, "x");
    struct tls_info info;

    for (uint16_t version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_pair pair;
        tls_pair_open(&pair, server,
                      &(struct tls_client_options){
                          .sni = "a.test", .max_version = version, .certificate = &leaf},
                      0);
        cr_assert_eq(tls_pair_shake(&pair), IO_OK);
        cr_assert(!pair.client_was_asked);
        tls_stream_info(pair.server, &info);
        cr_assert_null(info.client_ca);
        cr_assert_null(info.client_fingerprint);
        tls_pair_close(&pair);
    }
    test_cert_clear(&leaf);
    tls_server_free(server);
}

Test(client_handshake, nobody_to_verify_is_a_refusal)
{
    struct tls_server *server = serve(CLIENT_AUTH_REQUEST);
    struct test_cert leaf = make_leaf(&root, "x");
    struct tls_pair pair;

    tls_pair_open(&pair, server,
                  &(struct tls_client_options){.sni = "a.test", .certificate = &leaf}, 0);
    cr_assert_eq(tls_pair_shake(&pair), IO_ERROR);
    cr_assert_eq(tls_stream_failure(pair.server), TLS_FAILURE_CLIENT_REFUSED);
    tls_pair_close(&pair);
    test_cert_clear(&leaf);
    tls_server_free(server);
}

/* Work that keeps the one helper until it is let go. */
struct blocker {
    struct job job;
    pthread_mutex_t lock;
    pthread_cond_t change;
    bool is_running, may_end;
};

static void block(struct job *job)
{
    struct blocker *blocker = container_of(job, struct blocker, job);

    pthread_mutex_lock(&blocker->lock);
    blocker->is_running = true;
    pthread_cond_broadcast(&blocker->change);
    while (!blocker->may_end)
        pthread_cond_wait(&blocker->change, &blocker->lock);
    pthread_mutex_unlock(&blocker->lock);
}

static void keep(struct job *job)
{
    (void)job;
}

static void begin_block(struct blocker *blocker, struct jobs *jobs, struct tls_pair *pair)
{
    *blocker = (struct blocker){.job = {.work = block, .free_job = keep}};
    pthread_mutex_init(&blocker->lock, NULL);
    pthread_cond_init(&blocker->change, NULL);
    job_start(jobs, &blocker->job, pair->loop, &pair->task);
    pthread_mutex_lock(&blocker->lock);
    while (!blocker->is_running)
        pthread_cond_wait(&blocker->change, &blocker->lock);
    pthread_mutex_unlock(&blocker->lock);
}

static void end_block(struct blocker *blocker)
{
    pthread_mutex_lock(&blocker->lock);
    blocker->may_end = true;
    pthread_cond_broadcast(&blocker->change);
    pthread_mutex_unlock(&blocker->lock);
}

/* Until the server waits for nothing but the verdict. */
static void shake_until_stuck(struct tls_pair *pair)
{
    for (int rounds = 0; rounds < 50; rounds++) {
        SSL_do_handshake(pair->client);
        tls_pair_pump(pair);
        cr_assert_eq(tls_stream_handshake(pair->server), IO_WAIT);
    }
}

Test(client_handshake, the_loop_goes_on_while_a_helper_verifies)
{
    struct tls_server *server = serve(CLIENT_AUTH_REQUIRE);
    struct jobs *jobs = jobs_new(1);
    struct test_cert leaf = make_leaf(&root, "alice");
    struct tls_pair waiting, other;
    struct blocker blocker;
    struct tls_info info;

    tls_pair_open(
        &waiting, server,
        &(struct tls_client_options){.sni = "a.test", .certificate = &leaf, .jobs.verifiers = jobs},
        0);
    begin_block(&blocker, jobs, &waiting);
    shake_until_stuck(&waiting);
    tls_pair_open(&other, server, &(struct tls_client_options){.sni = "b.test"}, 0);
    cr_assert_eq(tls_pair_shake(&other), IO_OK);
    tls_pair_close(&other);
    end_block(&blocker);
    cr_assert_eq(tls_pair_shake(&waiting), IO_OK);
    tls_stream_info(waiting.server, &info);
    cr_assert(slice_equal(info.client_subject, slice_of("CN=alice")));
    cr_assert_not_null(info.client_ca);
    job_end(&blocker.job);
    tls_pair_close(&waiting);
    jobs_free(jobs);
    test_cert_clear(&leaf);
    tls_server_free(server);
}

/* The server goes, too, as that of an old generation would. */
Test(client_handshake, who_leaves_while_it_is_verified_takes_nothing_along)
{
    struct tls_server *server = serve(CLIENT_AUTH_REQUIRE);
    struct jobs *jobs = jobs_new(1);
    struct test_cert leaf = make_leaf(&root, "alice");
    struct tls_pair leaving, staying;
    struct blocker blocker;

    tls_pair_open(&staying, server, &(struct tls_client_options){.sni = "b.test"}, 0);
    tls_pair_open(
        &leaving, server,
        &(struct tls_client_options){.sni = "a.test", .certificate = &leaf, .jobs.verifiers = jobs},
        0);
    begin_block(&blocker, jobs, &staying);
    shake_until_stuck(&leaving);
    tls_pair_close(&leaving);
    cr_assert_eq(tls_pair_shake(&staying), IO_OK);
    tls_server_free(server);
    end_block(&blocker);
    while (!job_is_done(&blocker.job))
        tls_pair_pump(&staying);
    job_end(&blocker.job);
    tls_pair_close(&staying);
    jobs_free(jobs);
    test_cert_clear(&leaf);
}

/* --- tickets -----------------------------------------------------------------------------------
 */

static void take_ticket(struct tls_server *server, struct tls_client_options *options,
                        uint16_t version, struct tls_pair *pair)
{
    options->min_version = options->max_version = version;
    tls_pair_open(pair, server, options, 0);
    cr_assert_eq(tls_pair_shake(pair), IO_OK, "%s", tls_stream_failure_text(pair->server));
    cr_assert(tls_pair_download(pair, "x", 1));
}

/* What the server said of it: TLS 1.2 leaves it at a hint. */
static uint32_t lifetime_of(const SSL_SESSION *session)
{
    return SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION
               ? SSL_SESSION_get_timeout(session)
               : (uint32_t)SSL_SESSION_get_ticket_lifetime_hint(session);
}

Test(client_handshake, no_ticket_outlives_the_certificate)
{
    struct tls_server *server = serve(CLIENT_AUTH_REQUIRE);
    struct jobs *jobs = jobs_new(1);
    struct test_cert leaf = test_cert_make(&(struct test_cert_spec){
        .common_name = "short", .issuer = &root, .purpose = "clientAuth", .ends_s = 600});
    struct tls_client_options options = {
        .sni = "a.test", .certificate = &leaf, .jobs.verifiers = jobs};

    for (uint16_t version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_pair pair, again;
        take_ticket(server, &options, version, &pair);
        cr_assert_leq(lifetime_of(pair.session), 600);
        cr_assert_gt(lifetime_of(pair.session), 0);
        /* One that comes of resuming neither. */
        options.session = pair.session;
        take_ticket(server, &options, version, &again);
        cr_assert(SSL_session_reused(again.client));
        if (again.session)
            cr_assert_leq(lifetime_of(again.session), 600);
        options.session = NULL;
        tls_pair_close(&again);
        tls_pair_close(&pair);
    }
    jobs_free(jobs);
    test_cert_clear(&leaf);
    tls_server_free(server);
}

Test(client_handshake, tickets_are_bound_to_what_was_asked)
{
    static const struct {
        enum client_auth before, after;
        bool is_resumed;
    } rows[] = {
        {CLIENT_AUTH_REQUIRE, CLIENT_AUTH_REQUIRE, true},
        {CLIENT_AUTH_REQUEST, CLIENT_AUTH_REQUEST, true},
        {CLIENT_AUTH_REQUEST, CLIENT_AUTH_REQUIRE, false},
        {CLIENT_AUTH_OFF, CLIENT_AUTH_REQUIRE, false},
        {CLIENT_AUTH_OFF, CLIENT_AUTH_REQUEST, false},
        {CLIENT_AUTH_REQUIRE, CLIENT_AUTH_OFF, false},
    };
    struct jobs *jobs = jobs_new(1);
    struct test_cert leaf = make_leaf(&root, "x");

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (uint16_t version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            struct tls_client_options options = {
                .sni = "a.test", .certificate = &leaf, .jobs.verifiers = jobs};
            struct tls_server *before = serve(rows[i].before), *after = serve(rows[i].after);
            struct tls_pair pair, again;

            take_ticket(before, &options, version, &pair);
            options.session = pair.session;
            take_ticket(after, &options, version, &again);
            cr_assert_eq(SSL_session_reused(again.client), rows[i].is_resumed, "row %zu, %x", i,
                         version);
            tls_pair_close(&again);
            tls_pair_close(&pair);
            tls_server_free(before);
            tls_server_free(after);
        }
    }
    jobs_free(jobs);
    test_cert_clear(&leaf);
}
