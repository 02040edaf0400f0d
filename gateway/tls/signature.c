#include "tls/signature.h"

#include "base/check.h"
#include "base/clock.h"
#include "net/stream.h"
#include "tls/internal.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

enum { SALT_AS_LONG_AS_HASH = -1 }; /* RFC 8446 section 4.2.3 */

enum {
    PATIENCE_EACH_MS = 2, /* more for each that waits, weighed: on a quarter of a processor */
    BUSY_COUNTS = 5,      /* of time in which the loop was busy, such a part */
};

struct signature {
    struct job job;
    EVP_PKEY *key; /* one reference: a certificate may be replaced meanwhile */
    uint16_t algorithm;
    bool is_made;
    size_t message_bytes, made_bytes;
    /* The loop's: when it looks whether it had better make the signature itself. */
    struct deadline look;
    uint32_t patience_ms;
    uint64_t asked_us, busy_us; /* then, and how long its thread had run by then */
    uint8_t *made;              /* room for the key's longest, in the same memory */
    uint8_t message[];          /* what is to be signed */
};

bool signature_is_slow(enum cert_key kind)
{
    switch (kind) {
    case CERT_KEY_ECDSA_P256:
    case CERT_KEY_ED25519: return false; /* 15 us, where handing it over costs about as much */
    case CERT_KEY_ECDSA_P384:
    case CERT_KEY_ECDSA_P521:
    case CERT_KEY_RSA: break;
    }
    return true;
}

/* --- making one ---------------------------------------------------------------------------------
 */

static bool make(EVP_PKEY *key, uint16_t algorithm, struct slice message, uint8_t *into,
                 size_t *bytes)
{
    const EVP_MD *digest = SSL_get_signature_algorithm_digest(algorithm);
    EVP_PKEY_CTX *settings;
    EVP_MD_CTX context;

    EVP_MD_CTX_init(&context);
    bool is_made = EVP_DigestSignInit(&context, &settings, digest, NULL, key) == 1;
    if (is_made && SSL_is_signature_algorithm_rsa_pss(algorithm))
        is_made = EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING) == 1 &&
                  EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, SALT_AS_LONG_AS_HASH) == 1;
    is_made = is_made &&
              EVP_DigestSign(&context, into, bytes, (const uint8_t *)message.at, message.len) == 1;
    EVP_MD_CTX_cleanup(&context);
    return is_made;
}

/* --- off the loop -------------------------------------------------------------------------------
 */

static struct signature *of_job(struct job *job)
{
    return container_of(job, struct signature, job);
}

static struct slice message_of(const struct signature *signature)
{
    return slice_make((const char *)signature->message, signature->message_bytes);
}

static void work(struct job *job)
{
    struct signature *signature = of_job(job);

    signature->is_made = make(signature->key, signature->algorithm, message_of(signature),
                              signature->made, &signature->made_bytes);
    ERR_clear_error();
}

static void free_signature(struct job *job)
{
    struct signature *signature = of_job(job);

    EVP_PKEY_free(signature->key);
    free(signature);
}

/* How many RSA-2048 signatures take as long, about: what waits is bounded by how long it waits. */
static unsigned weigh(const EVP_PKEY *key)
{
    unsigned bits = (unsigned)EVP_PKEY_bits(key), kilobits = (bits + 1023) / 1024;

    if (EVP_PKEY_id(key) != EVP_PKEY_RSA)
        return bits > 384 ? 2 : 1;
    return kilobits * kilobits * kilobits / 8;
}

/* --- who waits for a helper ------------------------------------------------------------------ */

static void begin_to_wait(struct signature *signature, const struct tls_waiter *waiter)
{
    const struct tls_jobs *jobs = waiter->jobs;

    signature->patience_ms =
        1 + jobs->signing_patience_ms + PATIENCE_EACH_MS * jobs_waiting(jobs->signers);
    signature->asked_us = clock_monotonic_us();
    signature->busy_us = clock_thread_us();
    deadline_set(waiter->loop, &signature->look, signature->patience_ms);
}

/* A helper has what the loop and everybody else leave it. While the loop is busy it has nothing,
 * and to sign as well would make that longer; else it is kept by others, for who knows how long. */
static bool is_late(struct signature *signature, struct loop *loop)
{
    uint64_t passed_us, busy_us, waited_ms;

    if (!deadline_passed(loop, &signature->look))
        return false;
    passed_us = clock_monotonic_us() - signature->asked_us;
    busy_us = clock_thread_us() - signature->busy_us;
    if (busy_us > passed_us) /* by the clocks' roundings */
        busy_us = passed_us;
    waited_ms = (passed_us - busy_us + busy_us / BUSY_COUNTS) / 1000;
    if (waited_ms >= signature->patience_ms)
        return true;
    deadline_set(loop, &signature->look, signature->patience_ms - waited_ms);
    return false;
}

/* NULL: it has to be made here and now. */
static struct signature *start(const struct tls_waiter *waiter, EVP_PKEY *key, uint16_t algorithm,
                               struct slice message)
{
    size_t room = (size_t)EVP_PKEY_size(key);
    struct signature *signature;

    if (!waiter->jobs->signers)
        return NULL;
    signature = memory_try(sizeof(*signature) + message.len + room);
    if (!signature)
        return NULL;
    signature->job.work = work;
    signature->job.free_job = free_signature;
    signature->job.weight = weigh(key);
    EVP_PKEY_up_ref(key);
    signature->key = key;
    signature->algorithm = algorithm;
    memcpy(signature->message, message.at, message.len);
    signature->message_bytes = message.len;
    signature->made = signature->message + message.len;
    signature->made_bytes = room;
    deadline_init(&signature->look, waiter->stream->task);
    if (job_start(waiter->jobs->signers, &signature->job, waiter->loop, waiter->stream->task)) {
        begin_to_wait(signature, waiter);
        return signature;
    }
    job_end(&signature->job);
    return NULL;
}

void signature_end(struct signature *signature)
{
    deadline_clear(&signature->look);
    job_end(&signature->job);
}

/* --- BoringSSL's questions ----------------------------------------------------------------------
 */

static enum ssl_private_key_result_t sign(SSL *ssl, uint8_t *out, size_t *out_bytes, size_t room,
                                          uint16_t algorithm, const uint8_t *in, size_t in_bytes)
{
    struct tls_choice *choice = tls_choice_of(ssl);
    EVP_PKEY *key = certificate_slow_key(choice->certificate);
    struct slice message = slice_make((const char *)in, in_bytes);

    choice->handshake->signature = start(&choice->handshake->waiter, key, algorithm, message);
    if (choice->handshake->signature)
        return ssl_private_key_retry;
    key = certificate_own_key(choice->certificate);
    *out_bytes = room;
    return make(key, algorithm, message, out, out_bytes) ? ssl_private_key_success
                                                         : ssl_private_key_failure;
}

/* What a helper has made. */
static bool take(const struct signature *signature, uint8_t *out, size_t *out_bytes, size_t room)
{
    if (!signature->is_made || signature->made_bytes > room)
        return false;
    memcpy(out, signature->made, signature->made_bytes);
    *out_bytes = signature->made_bytes;
    return true;
}

/* Here and now, whatever a helper is doing about it. */
static bool make_again(const struct signature *signature, EVP_PKEY *key, uint8_t *out,
                       size_t *out_bytes, size_t room)
{
    *out_bytes = room;
    return make(key, signature->algorithm, message_of(signature), out, out_bytes);
}

static enum ssl_private_key_result_t complete(SSL *ssl, uint8_t *out, size_t *out_bytes,
                                              size_t room)
{
    struct tls_choice *choice = tls_choice_of(ssl);
    struct tls_handshake *handshake = choice->handshake;
    struct signature *signature = handshake->signature;
    bool is_done = job_is_done(&signature->job), is_fine;

    if (!is_done && !is_late(signature, handshake->waiter.loop))
        return ssl_private_key_retry;
    if (is_done)
        is_fine = take(signature, out, out_bytes, room);
    else
        is_fine =
            make_again(signature, certificate_own_key(choice->certificate), out, out_bytes, room);
    signature_end(signature);
    handshake->signature = NULL;
    return is_fine ? ssl_private_key_success : ssl_private_key_failure;
}

/* Keys are exchanged by ECDHE alone (tls_context.c). */
static enum ssl_private_key_result_t refuse_to_decrypt(SSL *ssl, uint8_t *out, size_t *out_bytes,
                                                       size_t room, const uint8_t *in,
                                                       size_t in_bytes)
{
    (void)ssl, (void)out, (void)out_bytes, (void)room, (void)in, (void)in_bytes;
    return ssl_private_key_failure;
}

const SSL_PRIVATE_KEY_METHOD *signature_method(void)
{
    static const SSL_PRIVATE_KEY_METHOD method = {
        .sign = sign,
        .decrypt = refuse_to_decrypt,
        .complete = complete,
    };

    return &method;
}
