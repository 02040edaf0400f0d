/* Signatures off the loop: with slow keys alone, in every version and with every algorithm, and
 * what becomes of them when the client, the helper or the certificate is not there any more. */
#include "base/buffer.h"
#include "base/check.h"
#include "support/test_certs.h"
#include "support/tls_pair.h"
#include "tls/internal.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

static struct ticket_keys *keys;
static struct jobs *jobs;
static uint32_t patience_ms;

static void set_up(void)
{
    test_folder_make();
    test_pair_write("certs/rsa",
                    &(struct test_cert_spec){.key = CERT_KEY_RSA, .names = "rsa.test"});
    test_pair_write(
        "certs/rsa4096",
        &(struct test_cert_spec){.key = CERT_KEY_RSA, .rsa_bits = 4096, .names = "rsa4096.test"});
    test_pair_write("certs/p384",
                    &(struct test_cert_spec){.key = CERT_KEY_ECDSA_P384, .names = "p384.test"});
    test_pair_write("certs/p521",
                    &(struct test_cert_spec){.key = CERT_KEY_ECDSA_P521, .names = "p521.test"});
    test_pair_write("certs/p256", &(struct test_cert_spec){.names = "p256.test"});
    test_pair_write("certs/ed",
                    &(struct test_cert_spec){.key = CERT_KEY_ED25519, .names = "ed.test"});
    keys = ticket_keys_new(3600);
    jobs = jobs_new_yielding(1, 8);
    patience_ms = 60 * 1000; /* the helper makes it, if it can */
}

static void tear_down(void)
{
    jobs_free(jobs);
    ticket_keys_free(keys);
    test_folder_remove();
    buffer_cache_clear();
}

TestSuite(signature, .init = set_up, .fini = tear_down);

static struct tls_server *serve(void)
{
    const struct tls_settings settings = {.tickets = true, .reject_unknown_sni = true};
    struct cert_source source = {.kind = CERT_SOURCE_PATH, .path = (char *)test_path("certs")};
    struct cert_problems problems = {.count = 0};
    struct error error = {""};
    struct tls_server *server =
        tls_server_new(&settings, cert_store_load(&source, 1, &problems), keys, &error);

    cr_assert(server, "%s", error.message);
    return server;
}

static void open_pair(struct tls_pair *pair, struct tls_server *server, const char *sni,
                      uint16_t version)
{
    static const uint16_t all[] = {SSL_SIGN_RSA_PSS_RSAE_SHA256,
                                   SSL_SIGN_RSA_PKCS1_SHA256,
                                   SSL_SIGN_ECDSA_SECP256R1_SHA256,
                                   SSL_SIGN_ECDSA_SECP384R1_SHA384,
                                   SSL_SIGN_ECDSA_SECP521R1_SHA512,
                                   SSL_SIGN_ED25519,
                                   0};
    struct tls_client_options options = {.sni = sni,
                                         .algorithms = all,
                                         .groups = "X25519:P-256:P-384:P-521",
                                         .min_version = version,
                                         .max_version = version,
                                         .jobs.signers = jobs,
                                         .jobs.signing_patience_ms = patience_ms};

    tls_pair_open(pair, server, &options, 0);
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

static void begin_block(struct blocker *blocker, struct tls_pair *pair)
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

static void end_block(struct blocker *blocker, struct tls_pair *pair)
{
    pthread_mutex_lock(&blocker->lock);
    blocker->may_end = true;
    pthread_cond_broadcast(&blocker->change);
    pthread_mutex_unlock(&blocker->lock);
    while (!job_is_done(&blocker->job))
        tls_pair_pump(pair);
    job_end(&blocker->job);
}

/* Until the server waits for nothing but the signature. */
static void shake_until_stuck(struct tls_pair *pair)
{
    for (int rounds = 0; rounds < 50; rounds++) {
        SSL_do_handshake(pair->client);
        tls_pair_pump(pair);
        cr_assert_eq(tls_stream_handshake(pair->server), IO_WAIT);
    }
}

static const uint16_t versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

Test(signature, slow_keys_sign_off_the_loop_which_goes_on)
{
    static const char *const slow[] = {"rsa.test", "p384.test", "p521.test"};
    struct tls_server *server = serve();

    for (int v = 0; v < 2; v++) {
        for (int i = 0; i < 3; i++) {
            struct tls_pair waiting, other;
            struct blocker blocker;

            open_pair(&waiting, server, slow[i], versions[v]);
            open_pair(&other, server, "p256.test", versions[v]);
            begin_block(&blocker, &other);
            shake_until_stuck(&waiting);
            cr_assert_eq(tls_pair_shake(&other), IO_OK);
            end_block(&blocker, &other);
            cr_assert_eq(tls_pair_shake(&waiting), IO_OK, "%s", slow[i]);
            tls_pair_close(&waiting);
            tls_pair_close(&other);
        }
    }
    tls_server_free(server);
}

Test(signature, fast_keys_sign_on_the_loop)
{
    static const char *const fast[] = {"p256.test", "ed.test"};
    struct tls_server *server = serve();

    for (int i = 0; i < 2; i++) {
        struct tls_pair pair, other;
        struct blocker blocker;

        open_pair(&other, server, fast[i], 0);
        open_pair(&pair, server, fast[i], 0);
        begin_block(&blocker, &other);
        cr_assert_eq(tls_pair_shake(&pair), IO_OK);
        end_block(&blocker, &other);
        tls_pair_close(&pair);
        tls_pair_close(&other);
    }
    tls_server_free(server);
}

/* TLS 1.2 knows two paddings. */
Test(signature, rsa_signs_in_the_padding_that_was_agreed_on)
{
    static const uint16_t algorithms[][2] = {
        {SSL_SIGN_RSA_PSS_RSAE_SHA256, 0}, {SSL_SIGN_RSA_PSS_RSAE_SHA384, 0},
        {SSL_SIGN_RSA_PSS_RSAE_SHA512, 0}, {SSL_SIGN_RSA_PKCS1_SHA256, 0},
        {SSL_SIGN_RSA_PKCS1_SHA384, 0},    {SSL_SIGN_RSA_PKCS1_SHA512, 0}};
    struct tls_server *server = serve();

    for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
        struct tls_client_options options = {.sni = "rsa.test",
                                             .algorithms = algorithms[i],
                                             .max_version = TLS1_2_VERSION,
                                             .jobs.signers = jobs};
        struct tls_pair pair;

        tls_pair_open(&pair, server, &options, 0);
        cr_assert_eq(tls_pair_shake(&pair), IO_OK, "%zu", i);
        cr_assert_eq(SSL_get_peer_signature_algorithm(pair.client), algorithms[i][0]);
        tls_pair_close(&pair);
    }
    tls_server_free(server);
}

/* No helper, too many who wait, nobody at all: the handshake is done all the same. */
Test(signature, it_is_made_on_the_loop_where_nobody_else_can)
{
    struct tls_server *server = serve();
    struct jobs *nobody[] = {jobs_new_yielding(0, 8), jobs_new_yielding(1, 0), NULL};

    for (int i = 0; i < 3; i++) {
        struct tls_client_options options = {.sni = "rsa.test", .jobs.signers = nobody[i]};
        struct tls_pair pair;

        tls_pair_open(&pair, server, &options, 0);
        cr_assert_eq(tls_pair_shake(&pair), IO_OK);
        tls_pair_close(&pair);
        jobs_free(nobody[i]);
    }
    tls_server_free(server);
}

/* The helper gets nothing of the processor, or is held up by others' signatures. */
Test(signature, the_loop_makes_it_itself_when_it_has_waited_too_long)
{
    struct tls_server *server = serve();

    patience_ms = 1;
    for (int v = 0; v < 2; v++) {
        struct tls_pair staying, waiting;
        struct blocker blocker;

        open_pair(&staying, server, "p256.test", 0);
        open_pair(&waiting, server, "rsa.test", versions[v]);
        begin_block(&blocker, &staying);
        cr_assert_eq(tls_pair_shake(&waiting), IO_OK);
        tls_pair_close(&waiting);
        end_block(&blocker, &staying);
        tls_pair_close(&staying);
    }
    tls_server_free(server);
}

/* Those of long keys take as long as eight others: waiting for as many of them, handshakes would
 * run into their deadline on a busy machine. */
Test(signature, fewer_wait_where_each_takes_longer)
{
    static const struct {
        const char *sni;
        int room_for;
    } rows[] = {{"rsa.test", 8}, {"p384.test", 8}, {"p521.test", 4}, {"rsa4096.test", 1}};
    struct tls_server *server = serve();

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tls_pair staying, waiting[8], last;
        struct blocker blocker;

        open_pair(&staying, server, "p256.test", 0);
        begin_block(&blocker, &staying);
        for (int n = 0; n < rows[i].room_for; n++) {
            open_pair(&waiting[n], server, rows[i].sni, 0);
            shake_until_stuck(&waiting[n]);
        }
        open_pair(&last, server, rows[i].sni, 0);
        cr_assert_eq(tls_pair_shake(&last), IO_OK, "%s", rows[i].sni);
        tls_pair_close(&last);
        for (int n = 0; n < rows[i].room_for; n++)
            tls_pair_close(&waiting[n]);
        end_block(&blocker, &staying);
        while (jobs_waiting(jobs) > 0) /* those have had their turn */
            sched_yield();
        begin_block(&blocker, &staying);
        open_pair(&last, server, rows[i].sni, 0);
        shake_until_stuck(&last);
        tls_pair_close(&last);
        end_block(&blocker, &staying);
        tls_pair_close(&staying);
    }
    tls_server_free(server);
}

/* The server and its certificates go, too, as those of an old generation would. */
Test(signature, who_is_closed_while_it_waits_takes_nothing_along)
{
    struct tls_server *server = serve();
    struct tls_pair leaving, staying;
    struct blocker blocker;

    open_pair(&staying, server, "p256.test", 0);
    open_pair(&leaving, server, "rsa.test", 0);
    begin_block(&blocker, &staying);
    shake_until_stuck(&leaving);
    tls_pair_close(&leaving);
    cr_assert_eq(tls_pair_shake(&staying), IO_OK);
    tls_server_free(server);
    end_block(&blocker, &staying);
    tls_pair_close(&staying);
}

/* Whether it is in the queue, in the making, or on its way. */
Test(signature, who_is_closed_at_any_moment_takes_nothing_along)
{
    struct tls_server *server = serve();

    for (int pumps = 0; pumps < 40; pumps++) {
        struct tls_pair pair;

        open_pair(&pair, server, "rsa.test", 0);
        for (int i = 0; i < pumps % 8; i++) {
            SSL_do_handshake(pair.client);
            tls_pair_pump(&pair);
            tls_stream_handshake(pair.server);
        }
        tls_pair_close(&pair);
    }
    tls_server_free(server);
}

Test(signature, a_client_that_has_left_is_not_waited_for)
{
    struct tls_server *server = serve();
    struct tls_pair leaving, staying;
    struct blocker blocker;

    open_pair(&staying, server, "p256.test", 0);
    open_pair(&leaving, server, "rsa.test", 0);
    begin_block(&blocker, &staying);
    shake_until_stuck(&leaving);
    unsigned wakes = leaving.wakes;
    shutdown(leaving.fd, SHUT_WR);
    for (int i = 0; i < 3; i++) /* seen in one round, told in the next */
        tls_pair_pump(&leaving);
    cr_assert_gt(leaving.wakes, wakes);
    cr_assert_eq(tls_stream_handshake(leaving.server), IO_ERROR);
    cr_assert_eq(tls_stream_failure(leaving.server), TLS_FAILURE_PEER);
    tls_pair_close(&leaving);
    end_block(&blocker, &staying);
    tls_pair_close(&staying);
    tls_server_free(server);
}
