#include "tls/signature.h"

#include "base/check.h"
#include "net/stream.h"
#include "tls/internal.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

enum { SALT_AS_LONG_AS_HASH = -1 }; /* RFC 8446 section 4.2.3 */

struct signature {
    struct job job;
    EVP_PKEY *key; /* one reference: a certificate may be replaced meanwhile */
    uint16_t algorithm;
    bool is_made;
    size_t message_bytes, made_bytes;
    uint8_t *made;     /* room for the key's longest, in the same memory */
    uint8_t message[]; /* what is to be signed */
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

static void work(struct job *job)
{
    struct signature *signature = of_job(job);
    struct slice message = slice_make((const char *)signature->message, signature->message_bytes);

    signature->is_made = make(signature->key, signature->algorithm, message, signature->made,
                              &signature->made_bytes);
    ERR_clear_error();
}

static void free_signature(struct job *job)
{
    struct signature *signature = of_job(job);

    EVP_PKEY_free(signature->key);
    free(signature);
}

/* How many RSA-2048 signatures take as long, about: what waits is bounded by how long it waits, and
 * helpers may have but a tenth of a processor. */
static unsigned weigh(const EVP_PKEY *key)
{
    unsigned bits = (unsigned)EVP_PKEY_bits(key), kilobits = (bits + 1023) / 1024;

    if (EVP_PKEY_id(key) != EVP_PKEY_RSA)
        return bits > 384 ? 2 : 1;
    return kilobits * kilobits * kilobits / 8;
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
    if (job_start(waiter->jobs->signers, &signature->job, waiter->loop, waiter->stream->task))
        return signature;
    job_end(&signature->job);
    return NULL;
}

void signature_end(struct signature *signature)
{
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
    *out_bytes = room;
    return make(key, algorithm, message, out, out_bytes) ? ssl_private_key_success
                                                         : ssl_private_key_failure;
}

static enum ssl_private_key_result_t complete(SSL *ssl, uint8_t *out, size_t *out_bytes,
                                              size_t room)
{
    struct tls_handshake *handshake = tls_choice_of(ssl)->handshake;
    struct signature *signature = handshake->signature;

    if (!job_is_done(&signature->job))
        return ssl_private_key_retry;
    bool is_fine = signature->is_made && signature->made_bytes <= room;
    if (is_fine) {
        memcpy(out, signature->made, signature->made_bytes);
        *out_bytes = signature->made_bytes;
    }
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
