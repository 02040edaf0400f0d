#include "tls/client_ca.h"

#include "base/check.h"
#include "base/refcount.h"
#include "base/table.h"
#include "tls/internal.h"
#include "tls/pem_file.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

enum {
    NAMES_BYTES_MAX = 16 * 1024, /* of subjects in a CertificateRequest; more are left unsaid */
    DEPTH_MAX = 8,               /* intermediates between a client's certificate and an authority */
};

struct client_ca {
    struct refcount references;
    X509_STORE *store;
    STACK_OF(CRYPTO_BUFFER) * names; /* subjects as DER */
    size_t names_bytes;
    uint8_t hash[SHA256_DIGEST_LENGTH];
    int64_t not_after;
};

/* --- one certificate ---------------------------------------------------------------------------
 */

static bool add_name(struct client_ca *ca, X509 *x509)
{
    uint8_t *der = NULL;
    int length = i2d_X509_NAME(X509_get_subject_name(x509), &der);
    CRYPTO_BUFFER *name = length > 0 ? CRYPTO_BUFFER_new(der, (size_t)length, NULL) : NULL;

    OPENSSL_free(der);
    ca->names_bytes += 2 + (length > 0 ? (size_t)length : 0);
    if (name && sk_CRYPTO_BUFFER_push(ca->names, name))
        return true;
    CRYPTO_BUFFER_free(name);
    return false;
}

static bool add_authority(struct client_ca *ca, CRYPTO_BUFFER *der, const char *path, size_t number,
                          struct error *error)
{
    X509 *x509 = X509_parse_from_buffer(der);
    int64_t not_after;
    bool is_fine = false;

    if (!x509 || !ASN1_TIME_to_posix(X509_get0_notAfter(x509), &not_after))
        error_set(error, "certificate %zu in %s does not parse: %s; copy the file again", number,
                  path, tls_library_error());
    else if (!X509_check_ca(x509))
        error_set(error,
                  "certificate %zu in %s is none of an authority (basicConstraints without CA): "
                  "name the one that signs clients' certificates",
                  number, path);
    else if (!X509_STORE_add_cert(ca->store, x509) || !add_name(ca, x509))
        error_set(error, "certificate %zu in %s cannot be used: %s", number, path,
                  tls_library_error());
    else
        is_fine = true;
    if (is_fine && not_after < ca->not_after)
        ca->not_after = not_after;
    X509_free(x509);
    return is_fine;
}

/* --- the file ----------------------------------------------------------------------------------
 */

static void hash_content(const struct pem_content *content, uint8_t hash[SHA256_DIGEST_LENGTH])
{
    SHA256_CTX sha;

    SHA256_Init(&sha);
    for (size_t i = 0; i < content->count; i++) /* DER says where each ends */
        SHA256_Update(&sha, CRYPTO_BUFFER_data(content->chain[i]),
                      CRYPTO_BUFFER_len(content->chain[i]));
    SHA256_Final(hash, &sha);
}

static bool fill(struct client_ca *ca, const struct pem_content *content, const char *path,
                 struct error *error)
{
    ca->store = X509_STORE_new();
    ca->names = sk_CRYPTO_BUFFER_new_null();
    if (!ca->store || !ca->names ||
        !X509_STORE_set_flags(ca->store, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST) ||
        !X509_STORE_set_depth(ca->store, DEPTH_MAX)) {
        error_set(error, "out of memory while reading %s", path);
        return false;
    }
    for (size_t i = 0; i < content->count; i++)
        if (!add_authority(ca, content->chain[i], path, i + 1, error))
            return false;
    return true;
}

static struct client_ca *make(const struct pem_content *content, struct client_ca *earlier,
                              const char *path, struct error *error)
{
    struct client_ca *ca = memory_new(sizeof(*ca));

    refcount_init(&ca->references);
    ca->not_after = INT64_MAX;
    hash_content(content, ca->hash);
    if (earlier && client_ca_is_same(earlier, ca)) {
        client_ca_unref(ca);
        return client_ca_ref(earlier);
    }
    if (fill(ca, content, path, error))
        return ca;
    client_ca_unref(ca);
    return NULL;
}

struct client_ca *client_ca_load(const char *path, struct client_ca *earlier, struct error *error)
{
    struct client_ca *ca = NULL;
    struct pem_content content;
    struct slice bytes;
    bool is_parsed;

    if (!file_bytes_read(path, PEM_FILE_MAX, &bytes, NULL, error))
        return NULL;
    is_parsed = pem_parse_authorities(bytes, path, &content, error);
    file_bytes_free(bytes);
    if (!is_parsed)
        return NULL;
    if (content.count == 0)
        error_set(error,
                  "%s holds no certificate (no \"-----BEGIN CERTIFICATE-----\"); put those there "
                  "that sign clients' certificates",
                  path);
    else
        ca = make(&content, earlier, path, error);
    pem_content_clear(&content);
    return ca;
}

struct client_ca *client_ca_ref(struct client_ca *ca)
{
    refcount_take(&ca->references);
    return ca;
}

void client_ca_unref(struct client_ca *ca)
{
    if (!ca || !refcount_drop(&ca->references))
        return;
    X509_STORE_free(ca->store);
    sk_CRYPTO_BUFFER_pop_free(ca->names, CRYPTO_BUFFER_free);
    free(ca);
}

bool client_ca_is_same(const struct client_ca *one, const struct client_ca *other)
{
    return one == other || memcmp(one->hash, other->hash, sizeof(one->hash)) == 0;
}

uint64_t client_ca_fingerprint(const struct client_ca *ca)
{
    return hash_bytes(slice_make((const char *)ca->hash, sizeof(ca->hash)));
}

int64_t client_ca_not_after(const struct client_ca *ca)
{
    return ca->not_after;
}

/* --- for handshakes ----------------------------------------------------------------------------
 */

X509_STORE *client_ca_store(const struct client_ca *ca)
{
    return ca->store;
}

struct slice client_ca_hash(const struct client_ca *ca)
{
    return slice_make((const char *)ca->hash, sizeof(ca->hash));
}

STACK_OF(CRYPTO_BUFFER) * tls_share_buffers(const STACK_OF(CRYPTO_BUFFER) * list)
{
    STACK_OF(CRYPTO_BUFFER) *shared = sk_CRYPTO_BUFFER_new_null();

    for (size_t i = 0; shared && i < sk_CRYPTO_BUFFER_num(list); i++) {
        CRYPTO_BUFFER *buffer = sk_CRYPTO_BUFFER_value(list, i);

        CRYPTO_BUFFER_up_ref(buffer);
        if (sk_CRYPTO_BUFFER_push(shared, buffer))
            continue;
        CRYPTO_BUFFER_free(buffer);
        sk_CRYPTO_BUFFER_pop_free(shared, CRYPTO_BUFFER_free);
        return NULL;
    }
    return shared;
}

bool client_ca_announce(const struct client_ca *ca, SSL *ssl)
{
    STACK_OF(CRYPTO_BUFFER) * names;

    if (ca->names_bytes > NAMES_BYTES_MAX)
        return true;
    names = tls_share_buffers(ca->names);
    if (!names)
        return false;
    SSL_set0_client_CAs(ssl, names);
    return true;
}
