#include "tls/client_check.h"

#include "base/check.h"
#include "tls/internal.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>

struct client_check {
    struct job job;
    struct client_ca *ca;            /* one reference */
    STACK_OF(CRYPTO_BUFFER) * chain; /* references */
    struct client_verdict verdict;
};

/* --- the verification --------------------------------------------------------------------------
 */

static STACK_OF(X509) * parse_chain(const STACK_OF(CRYPTO_BUFFER) * buffers)
{
    STACK_OF(X509) *chain = sk_X509_new_null();

    for (size_t i = 0; chain && i < sk_CRYPTO_BUFFER_num(buffers); i++) {
        X509 *x509 = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(buffers, i));

        if (x509 && sk_X509_push(chain, x509))
            continue;
        X509_free(x509);
        sk_X509_pop_free(chain, X509_free);
        return NULL;
    }
    return chain;
}

/* A session that goes on after one of them has run out would be served without a valid chain. */
static int64_t find_end(const STACK_OF(X509) * chain)
{
    int64_t first = INT64_MAX, end;

    for (size_t i = 0; i < sk_X509_num(chain); i++)
        if (ASN1_TIME_to_posix(X509_get0_notAfter(sk_X509_value(chain, i)), &end) && end < first)
            first = end;
    return first;
}

/* Dates, signatures, depth, name constraints, and that each may be used for a TLS client: an
 * extended key usage without clientAuth, if there is one, forbids it. */
static void verify(const struct client_ca *ca, STACK_OF(X509) * chain,
                   struct client_verdict *verdict)
{
    X509_STORE_CTX *walk = X509_STORE_CTX_new();

    verdict->result = X509_V_ERR_OUT_OF_MEM;
    if (walk && X509_STORE_CTX_init(walk, client_ca_store(ca), sk_X509_value(chain, 0), chain) &&
        X509_STORE_CTX_set_default(walk, "ssl_client")) {
        bool is_fine = X509_verify_cert(walk) == 1;

        verdict->result = X509_STORE_CTX_get_error(walk);
        if (is_fine)
            verdict->not_after = find_end(X509_STORE_CTX_get0_chain(walk));
        else if (verdict->result == X509_V_OK)
            verdict->result = X509_V_ERR_UNSPECIFIED;
    }
    X509_STORE_CTX_free(walk);
}

void client_check_run(const struct client_ca *ca, const STACK_OF(CRYPTO_BUFFER) * chain,
                      struct client_verdict *verdict)
{
    size_t count = sk_CRYPTO_BUFFER_num(chain);
    STACK_OF(X509) * parsed;

    *verdict = (struct client_verdict){.result = X509_V_ERR_CERT_CHAIN_TOO_LONG};
    if (count == 0 || count > CLIENT_CHAIN_MAX)
        return;
    verdict->result = X509_V_ERR_CERT_REJECTED;
    parsed = parse_chain(chain);
    if (parsed)
        verify(ca, parsed, verdict);
    sk_X509_pop_free(parsed, X509_free);
    if (verdict->result == X509_V_OK) {
        verdict->identity = client_identity_new(sk_CRYPTO_BUFFER_value(chain, 0));
        if (!verdict->identity)
            verdict->result = X509_V_ERR_CERT_REJECTED;
    }
    ERR_clear_error();
}

/* --- off the loop ------------------------------------------------------------------------------
 */

static struct client_check *of_job(struct job *job)
{
    return container_of(job, struct client_check, job);
}

static void work(struct job *job)
{
    struct client_check *check = of_job(job);

    client_check_run(check->ca, check->chain, &check->verdict);
}

static void free_check(struct job *job)
{
    struct client_check *check = of_job(job);

    client_ca_unref(check->ca);
    sk_CRYPTO_BUFFER_pop_free(check->chain, CRYPTO_BUFFER_free);
    free(check->verdict.identity);
    free(check);
}

struct client_check *client_check_start(struct jobs *jobs, struct loop *loop, struct task *task,
                                        struct client_ca *ca, const STACK_OF(CRYPTO_BUFFER) * chain)
{
    STACK_OF(CRYPTO_BUFFER) *shared = tls_share_buffers(chain);
    struct client_check *check;

    if (!shared)
        return NULL;
    check = memory_try(sizeof(*check));
    if (!check) {
        sk_CRYPTO_BUFFER_pop_free(shared, CRYPTO_BUFFER_free);
        return NULL;
    }
    check->job.work = work;
    check->job.free_job = free_check;
    check->ca = client_ca_ref(ca);
    check->chain = shared;
    check->verdict.result = X509_V_ERR_OUT_OF_MEM; /* that of one that had to be turned away */
    job_start(jobs, &check->job, loop, task);
    return check;
}

bool client_check_answer(struct client_check *check, struct client_verdict *verdict)
{
    if (!job_is_done(&check->job))
        return false;
    *verdict = check->verdict;
    check->verdict.identity = NULL;
    return true;
}

void client_check_end(struct client_check *check)
{
    job_end(&check->job);
}
