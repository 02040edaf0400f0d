#include "tls/internal.h"
#include "version.h"

#include <openssl/err.h>

/* Mozilla's "Intermediate" of 2024 for TLS 1.2: forward secrecy and AEAD only. The order is ours,
 * the cheaper key first; between AES and ChaCha20 the client chooses, who knows its own hardware.
 * TLS 1.3's suites are BoringSSL's own choice, by what hardware either side has. */
static const char tls12_ciphers[] =
    "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]:ECDHE-RSA-AES256-GCM-SHA384";

/* No SHA-1, which BoringSSL would fall back to. */
static const uint16_t signing_algorithms[] = {
    SSL_SIGN_ED25519,          SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_RSA_PSS_RSAE_SHA256,
    SSL_SIGN_RSA_PKCS1_SHA256, SSL_SIGN_ECDSA_SECP384R1_SHA384, SSL_SIGN_RSA_PSS_RSAE_SHA384,
    SSL_SIGN_RSA_PKCS1_SHA384, SSL_SIGN_ECDSA_SECP521R1_SHA512, SSL_SIGN_RSA_PSS_RSAE_SHA512,
    SSL_SIGN_RSA_PKCS1_SHA512,
};

static int select_alpn(SSL *ssl, const uint8_t **chosen, uint8_t *chosen_bytes,
                       const uint8_t *offered, unsigned offered_bytes, void *nothing)
{
    struct slice ours = tls_server_alpn(tls_choice_of(ssl)->handshake->server);
    uint8_t *found;

    (void)nothing;
    if (slice_is_empty(ours))
        return SSL_TLSEXT_ERR_NOACK;
    if (SSL_select_next_proto(&found, chosen_bytes, (const uint8_t *)ours.at, (unsigned)ours.len,
                              offered, offered_bytes) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol: RFC 7301 section 3.2 */
    *chosen = found;
    return SSL_TLSEXT_ERR_OK;
}

SSL_CTX *tls_context_new(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_with_buffers_method());

    if (!context)
        return NULL;
    if (!SSL_CTX_set_strict_cipher_list(context, tls12_ciphers) ||
        !SSL_CTX_set_signing_algorithm_prefs(context, signing_algorithms,
                                             sizeof(signing_algorithms) /
                                                 sizeof(signing_algorithms[0]))) {
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(context,
                                   SSL_SESS_CACHE_OFF); /* tickets alone: no lock, no memory */
    SSL_CTX_set_alpn_select_cb(context, select_alpn, NULL);
    return context;
}

const char *tls_library_error(void)
{
    uint32_t error = ERR_get_error();
    const char *text = error ? ERR_reason_error_string(error) : NULL;

    ERR_clear_error();
    return text ? text : "unknown error";
}

const char *tls_library_version(void)
{
    return "BoringSSL " SALLYPORT_BORINGSSL_VERSION;
}
