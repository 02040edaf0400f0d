#include "tls/client_identity.h"

#include "base/check.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

/* The escapes of RFC 2253, which RFC 4514 reads alike: what is not printable ASCII is "\XX".
 * Checked all the same, as it goes into a field's value. */
static bool is_printable(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < 0x20 || text.at[i] > 0x7e)
            return false;
    return true;
}

static struct slice print_subject(BIO *bio, const X509 *x509)
{
    const uint8_t *bytes;
    size_t length;

    if (X509_NAME_print_ex(bio, X509_get_subject_name(x509), 0, XN_FLAG_RFC2253) < 0 ||
        !BIO_mem_contents(bio, &bytes, &length))
        return slice_make("", 0);
    struct slice text = slice_make((const char *)bytes, length);
    return length <= CLIENT_SUBJECT_MAX && is_printable(text) ? text : slice_make("", 0);
}

static void print_fingerprint(const CRYPTO_BUFFER *certificate, char text[65])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t hash[SHA256_DIGEST_LENGTH];

    SHA256(CRYPTO_BUFFER_data(certificate), CRYPTO_BUFFER_len(certificate), hash);
    for (size_t i = 0; i < sizeof(hash); i++) {
        text[2 * i] = digits[hash[i] >> 4];
        text[2 * i + 1] = digits[hash[i] & 15];
    }
    text[64] = '\0';
}

struct client_identity *client_identity_new(const CRYPTO_BUFFER *certificate)
{
    const uint8_t *der = CRYPTO_BUFFER_data(certificate);
    X509 *x509 = d2i_X509(NULL, &der, (long)CRYPTO_BUFFER_len(certificate));
    BIO *bio = x509 ? BIO_new(BIO_s_mem()) : NULL;
    struct client_identity *identity = NULL;

    if (bio) {
        struct slice subject = print_subject(bio, x509);

        identity = memory_try(sizeof(*identity) + subject.len + 1);
        if (identity) {
            print_fingerprint(certificate, identity->fingerprint);
            memcpy(identity + 1, subject.at, subject.len);
            identity->subject = slice_make((const char *)(identity + 1), subject.len);
        }
    }
    BIO_free(bio);
    X509_free(x509);
    ERR_clear_error();
    return identity;
}
