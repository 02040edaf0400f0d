/* What a handshake does about the client's certificate: it asks, waits for the verdict, and keeps
 * who the client is. */
#include "base/check.h"
#include "base/clock.h"
#include "net/stream.h"
#include "tls/internal.h"

#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdlib.h>

enum { CERTIFICATE_BYTES_MAX = 64 * 1024 }; /* of the client's whole chain */

/* --- asking ------------------------------------------------------------------------------------
 */

/* A ticket is good for as long as the same is asked about the same authorities: resuming skips the
 * verification. Before that it names the certificate (tls/certificate.c). */
static bool bind_tickets(SSL *ssl, const struct tls_choice *choice)
{
    const uint8_t auth = (uint8_t)choice->handshake->auth;
    struct slice authorities = client_ca_hash(choice->ca);
    size_t names_bytes;
    const uint8_t *names = SSL_get0_session_id_context(ssl, &names_bytes);
    uint8_t bound[SHA256_DIGEST_LENGTH];
    SHA256_CTX sha;

    SHA256_Init(&sha);
    SHA256_Update(&sha, names, names_bytes);
    SHA256_Update(&sha, authorities.at, authorities.len);
    SHA256_Update(&sha, &auth, sizeof(auth));
    SHA256_Final(bound, &sha);
    return SSL_set_session_id_context(ssl, bound, sizeof(bound));
}

/* --- the verdict -------------------------------------------------------------------------------
 */

static bool start_check(SSL *ssl, struct tls_choice *choice)
{
    struct tls_handshake *handshake = choice->handshake;
    const struct tls_waiter *waiter = &handshake->waiter;
    const STACK_OF(CRYPTO_BUFFER) *chain = SSL_get0_peer_certificates(ssl);

    if (waiter->jobs->verifiers && chain)
        handshake->check = client_check_start(waiter->jobs->verifiers, waiter->loop,
                                              waiter->stream->task, choice->ca, chain);
    return handshake->check != NULL;
}

/* The session must not be resumed when the chain is out of date. Set also when it lasts longer: a
 * ticket that is renewed by resuming lives on for days, this one from here on no longer than one.
 */
static bool limit_session(SSL *ssl, int64_t not_after)
{
    int64_t left_s = not_after - clock_wall_ms() / 1000;
    SSL_SESSION *session = SSL_get_session(ssl);
    uint32_t timeout = SSL_SESSION_get_timeout(session);

    if (left_s < timeout)
        timeout = left_s > 0 ? (uint32_t)left_s : 0;
    return SSL_SESSION_set_timeout(session, timeout);
}

/* BoringSSL's question; it is asked again when the check has woken the connection. */
static enum ssl_verify_result_t answer_verify(SSL *ssl, uint8_t *alert)
{
    struct tls_choice *choice = tls_choice_of(ssl);
    struct tls_handshake *handshake = choice->handshake;
    struct client_verdict verdict = {.result = X509_V_ERR_OUT_OF_MEM};

    if (handshake->check || start_check(ssl, choice)) {
        if (!client_check_answer(handshake->check, &verdict))
            return ssl_verify_retry;
        client_check_end(handshake->check);
        handshake->check = NULL;
    }
    if (verdict.result == X509_V_OK && !limit_session(ssl, verdict.not_after))
        verdict.result = X509_V_ERR_OUT_OF_MEM;
    handshake->check_result = verdict.result;
    free(choice->identity);
    choice->identity = verdict.identity;
    if (verdict.result == X509_V_OK)
        return ssl_verify_ok;
    /* Under an authority's name, but not signed by it. */
    *alert = verdict.result == X509_V_ERR_CERT_SIGNATURE_FAILURE
                 ? SSL_AD_UNKNOWN_CA
                 : (uint8_t)SSL_alert_from_verify_result(verdict.result);
    return ssl_verify_invalid;
}

bool client_handshake_ask(SSL *ssl, const struct client_policy *policy)
{
    struct tls_choice *choice = tls_choice_of(ssl);
    int mode = SSL_VERIFY_PEER;

    if (policy->auth == CLIENT_AUTH_OFF)
        return true;
    if (policy->auth == CLIENT_AUTH_REQUIRE)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    choice->handshake->auth = policy->auth;
    choice->ca = client_ca_ref(policy->ca);
    SSL_set_custom_verify(ssl, mode, answer_verify);
    SSL_set_max_cert_list(ssl, CERTIFICATE_BYTES_MAX);
    return client_ca_announce(choice->ca, ssl) && bind_tickets(ssl, choice);
}

/* --- afterwards --------------------------------------------------------------------------------
 */

bool client_handshake_finish(SSL *ssl)
{
    struct tls_choice *choice = tls_choice_of(ssl);
    enum client_auth auth = choice->handshake->auth;
    const STACK_OF(CRYPTO_BUFFER) * chain;

    if (auth == CLIENT_AUTH_OFF || choice->identity)
        return true;
    chain = SSL_get0_peer_certificates(ssl);
    if (chain && sk_CRYPTO_BUFFER_num(chain) > 0) { /* the ticket brought it along */
        choice->identity = client_identity_new(sk_CRYPTO_BUFFER_value(chain, 0));
        return choice->identity != NULL;
    }
    return auth == CLIENT_AUTH_REQUEST;
}
