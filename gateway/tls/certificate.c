#include "tls/certificate.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/refcount.h"
#include "tls/cert_files.h"
#include "tls/cert_names.h"
#include "tls/internal.h"
#include "tls/ocsp.h"
#include "tls/pem_file.h"

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { RSA_BITS_MIN = 2048 };

struct certificate {
    struct refcount references;
    enum cert_key key;
    bool has_ocsp;
    SSL_CTX *context;
    EVP_PKEY *slow_key;          /* NULL: the context has it */
    _Atomic(EVP_PKEY *) own_key; /* a copy of it, once a loop has signed with it */
    char *file;
    struct cert_names names;
    int64_t not_before, not_after, ocsp_expires;
    uint64_t fingerprint;
};

/* What is needed only while one is made. */
struct loading {
    const struct cert_paths *paths;
    const struct cert_bytes *bytes;
    bool is_bundle; /* the key is in the chain's file */
    struct pem_content content;
    X509 *leaf;
};

static const struct {
    int nid;
    enum cert_key key;
} curves[] = {
    {NID_X9_62_prime256v1, CERT_KEY_ECDSA_P256},
    {NID_secp384r1, CERT_KEY_ECDSA_P384},
    {NID_secp521r1, CERT_KEY_ECDSA_P521},
};

const char *cert_key_name(enum cert_key key)
{
    switch (key) {
    case CERT_KEY_ECDSA_P256: return "ECDSA P-256";
    case CERT_KEY_ECDSA_P384: return "ECDSA P-384";
    case CERT_KEY_ECDSA_P521: return "ECDSA P-521";
    case CERT_KEY_RSA: return "RSA";
    case CERT_KEY_ED25519: return "Ed25519";
    }
    return "";
}

/* --- taking the files apart ------------------------------------------------------------------- */

static bool parse_key(struct loading *load, struct error *error)
{
    struct pem_content found;

    if (load->is_bundle)
        return true;
    if (!pem_parse(load->bytes->key, load->paths->key, &found, error))
        return false;
    EVP_PKEY_free(load->content.key); /* one in the chain's file, which was not asked for */
    load->content.key = found.key;
    found.key = NULL;
    pem_content_clear(&found);
    return true;
}

static bool parse_files(struct loading *load, struct error *error)
{
    if (!pem_parse(load->bytes->chain, load->paths->chain, &load->content, error))
        return false;
    if (load->content.count == 0) {
        error_set(error,
                  "%s holds no certificate (no \"-----BEGIN CERTIFICATE-----\"); put the chain "
                  "there, the leaf first",
                  load->paths->chain);
        return false;
    }
    if (!parse_key(load, error))
        return false;
    if (load->content.key)
        return true;
    error_set(error, "%s holds no private key (no \"-----BEGIN PRIVATE KEY-----\")%s",
              load->paths->key,
              load->is_bundle ? "; put it there, or beside it as NAME.key, or move the file away "
                                "if it is not to be served"
                              : "");
    return false;
}

/* The response, or nothing when it is not fit to be stapled. */
static struct slice choose_ocsp(const struct loading *load, struct certificate *certificate)
{
    const ASN1_INTEGER *number = X509_get0_serialNumber(load->leaf);
    struct slice response = load->bytes->ocsp;
    uint8_t *der = NULL;
    CBS integer, serial;

    if (slice_is_empty(response) && !response.at)
        return response;
    int length = i2d_ASN1_INTEGER(number, &der);
    CBS_init(&integer, der, length > 0 ? (size_t)length : 0);
    if (!CBS_get_asn1(&integer, &serial, CBS_ASN1_INTEGER))
        CBS_init(&serial, NULL, 0);
    const char *fault =
        ocsp_find_fault(response, slice_make((const char *)CBS_data(&serial), CBS_len(&serial)),
                        clock_wall_ms() / 1000, &certificate->ocsp_expires);
    OPENSSL_free(der);
    certificate->has_ocsp = !fault;
    if (!fault)
        return response;
    log_event(LOG_WARN, "ocsp_ignored", "%s is not stapled: %s; fetch a new one", load->paths->ocsp,
              fault);
    certificate->ocsp_expires = INT64_MAX;
    return slice_make(NULL, 0);
}

/* --- checking what was read ------------------------------------------------------------------- */

static bool parse_chain(struct loading *load, struct error *error)
{
    for (size_t i = 0; i < load->content.count; i++) {
        X509 *x509 = X509_parse_from_buffer(load->content.chain[i]);

        if (!x509) {
            error_set(error, "certificate %zu in %s does not parse: %s; copy the file again", i + 1,
                      load->paths->chain, tls_library_error());
            return false;
        }
        if (i == 0)
            load->leaf = x509;
        else
            X509_free(x509);
    }
    return true;
}

/* Number (from 1) of the certificate in the chain that the key belongs to; 0: none. */
static size_t find_owner(const struct loading *load)
{
    size_t owner = 0;

    for (size_t i = 0; i < load->content.count && owner == 0; i++) {
        X509 *x509 = X509_parse_from_buffer(load->content.chain[i]);
        EVP_PKEY *key = x509 ? X509_get_pubkey(x509) : NULL;

        if (key && EVP_PKEY_cmp(key, load->content.key) == 1)
            owner = i + 1;
        EVP_PKEY_free(key);
        X509_free(x509);
    }
    ERR_clear_error();
    return owner;
}

static bool check_pair(const struct loading *load, struct error *error)
{
    size_t owner = find_owner(load);

    if (owner == 0) {
        error_set(error,
                  "the key in %s does not belong to the certificate in %s: put the key there that "
                  "the certificate was requested with",
                  load->paths->key, load->paths->chain);
        return false;
    }
    if (owner > 1) {
        error_set(error,
                  "the key in %s belongs to certificate %zu in %s: put that one, the leaf, first",
                  load->paths->key, owner, load->paths->chain);
        return false;
    }
    return true;
}

static bool check_key(const struct loading *load, struct certificate *certificate,
                      struct error *error)
{
    const EVP_PKEY *key = load->content.key;

    switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_ED25519: certificate->key = CERT_KEY_ED25519; return true;
    case EVP_PKEY_RSA:
        certificate->key = CERT_KEY_RSA;
        if (EVP_PKEY_bits(key) >= RSA_BITS_MIN)
            return true;
        error_set(error,
                  "the RSA key in %s has %d bits, and clients refuse less than %d: make a new key "
                  "and certificate",
                  load->paths->key, EVP_PKEY_bits(key), RSA_BITS_MIN);
        return false;
    case EVP_PKEY_EC: {
        int nid = EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key)));

        for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++) {
            if (curves[i].nid == nid) {
                certificate->key = curves[i].key;
                return true;
            }
        }
        break;
    }
    default: break;
    }
    error_set(error, "the key in %s is of a kind that TLS cannot use: make an ECDSA P-256 key",
              load->paths->key);
    return false;
}

static bool check_names(const struct loading *load, struct certificate *certificate,
                        struct error *error)
{
    char common_name[256] = "";

    if (!cert_names_read(load->leaf, &certificate->names)) {
        error_set(error, "the subjectAltName of the certificate in %s does not parse: %s",
                  load->paths->chain, tls_library_error());
        return false;
    }
    if (certificate->names.count > 0)
        return true;
    X509_NAME_get_text_by_NID(X509_get_subject_name(load->leaf), NID_commonName, common_name,
                              sizeof(common_name));
    ERR_clear_error();
    error_set(error,
              "the certificate in %s has no DNS name or IP address in its subjectAltName; the "
              "common name \"%s\" is not used, by clients neither: have it issued with one",
              load->paths->chain, common_name);
    return false;
}

static bool check_dates(const struct loading *load, struct certificate *certificate,
                        struct error *error)
{
    if (ASN1_TIME_to_posix(X509_get0_notBefore(load->leaf), &certificate->not_before) &&
        ASN1_TIME_to_posix(X509_get0_notAfter(load->leaf), &certificate->not_after))
        return true;
    ERR_clear_error();
    error_set(error, "the certificate in %s has dates that do not parse", load->paths->chain);
    return false;
}

/* --- making it -------------------------------------------------------------------------------- */

/* Browsers give up on a stapled response that is out of date, not on a missing one. */
static int decide_stapling(SSL *ssl, void *nothing)
{
    const struct certificate *certificate = tls_choice_of(ssl)->certificate;

    (void)nothing;
    return certificate->ocsp_expires < clock_wall_ms() / 1000 ? SSL_TLSEXT_ERR_NOACK
                                                              : SSL_TLSEXT_ERR_OK;
}

static bool set_key(const struct pem_content *content, struct certificate *certificate)
{
    bool is_slow = signature_is_slow(certificate->key);

    if (is_slow) {
        EVP_PKEY_up_ref(content->key);
        certificate->slow_key = content->key;
    }
    return SSL_CTX_set_chain_and_key(certificate->context, content->chain, content->count,
                                     is_slow ? NULL : content->key,
                                     is_slow ? signature_method() : NULL);
}

/* The session id context binds tickets to the certificate's names; SSL_set_SSL_CTX copies it into
 * the connection together with the chain, the key and the OCSP response. */
static bool make_context(const struct loading *load, struct certificate *certificate,
                         struct error *error)
{
    struct slice ocsp = choose_ocsp(load, certificate);
    SSL_CTX *context = certificate->context = tls_context_new();
    uint8_t names[32];

    cert_names_hash(&certificate->names, names);
    if (context && set_key(&load->content, certificate) &&
        SSL_CTX_set_session_id_context(context, names, sizeof(names)) &&
        (ocsp.len == 0 || SSL_CTX_set_ocsp_response(context, (const uint8_t *)ocsp.at, ocsp.len))) {
        SSL_CTX_set_tlsext_status_cb(context, decide_stapling);
        return true;
    }
    error_set(error, "the certificate in %s cannot be used for TLS: %s", load->paths->chain,
              tls_library_error());
    return false;
}

static bool build(struct loading *load, struct certificate *certificate, struct error *error)
{
    return parse_files(load, error) && parse_chain(load, error) && check_pair(load, error) &&
           check_key(load, certificate, error) && check_dates(load, certificate, error) &&
           check_names(load, certificate, error) && make_context(load, certificate, error);
}

struct certificate *certificate_parse(const struct cert_paths *paths,
                                      const struct cert_bytes *bytes, struct error *error)
{
    struct certificate *certificate = memory_new(sizeof(*certificate));
    struct loading load = {
        .paths = paths,
        .bytes = bytes,
        .is_bundle = strcmp(paths->chain, paths->key) == 0,
    };

    refcount_init(&certificate->references);
    certificate->ocsp_expires = INT64_MAX;
    certificate->file = slice_duplicate(slice_of(paths->chain));
    certificate->fingerprint = cert_bytes_fingerprint(bytes);
    bool is_fine = build(&load, certificate, error);
    X509_free(load.leaf);
    pem_content_clear(&load.content);
    if (is_fine)
        return certificate;
    certificate_unref(certificate);
    return NULL;
}

struct certificate *certificate_load(const char *chain_path, const char *key_path,
                                     const char *ocsp_path, struct error *error)
{
    struct cert_paths paths = {.chain = chain_path, .key = key_path, .ocsp = ocsp_path};
    struct certificate *certificate;
    struct cert_bytes bytes;

    if (!cert_bytes_read(&paths, &bytes, error))
        return NULL;
    certificate = certificate_parse(&paths, &bytes, error);
    cert_bytes_clear(&bytes);
    return certificate;
}

struct certificate *certificate_ref(struct certificate *certificate)
{
    refcount_take(&certificate->references);
    return certificate;
}

void certificate_unref(struct certificate *certificate)
{
    if (!certificate || !refcount_drop(&certificate->references))
        return;
    SSL_CTX_free(certificate->context);
    EVP_PKEY_free(certificate->slow_key);
    EVP_PKEY_free(atomic_load(&certificate->own_key));
    cert_names_clear(&certificate->names);
    free(certificate->file);
    free(certificate);
}

/* --- asking it -------------------------------------------------------------------------------- */

SSL_CTX *certificate_context(const struct certificate *certificate)
{
    return certificate->context;
}

EVP_PKEY *certificate_slow_key(const struct certificate *certificate)
{
    return certificate->slow_key;
}

/* NULL: no memory. */
static EVP_PKEY *copy_rsa(const EVP_PKEY *key)
{
    EVP_PKEY *copy = EVP_PKEY_new();
    RSA *rsa = copy ? RSAPrivateKey_dup(EVP_PKEY_get0_RSA(key)) : NULL;

    if (rsa && EVP_PKEY_assign_RSA(copy, rsa))
        return copy;
    RSA_free(rsa);
    EVP_PKEY_free(copy);
    ERR_clear_error();
    return NULL;
}

EVP_PKEY *certificate_own_key(struct certificate *certificate)
{
    EVP_PKEY *mine, *key = atomic_load(&certificate->own_key);

    if (key)
        return key;
    if (EVP_PKEY_id(certificate->slow_key) != EVP_PKEY_RSA)
        return certificate->slow_key; /* others have no lock */
    mine = copy_rsa(certificate->slow_key);
    if (!mine)
        return certificate->slow_key;
    if (atomic_compare_exchange_strong(&certificate->own_key, &key, mine))
        return mine;
    EVP_PKEY_free(mine); /* another loop was first */
    return key;
}

uint64_t certificate_fingerprint(const struct certificate *certificate)
{
    return certificate->fingerprint;
}

const char *certificate_file(const struct certificate *certificate)
{
    return certificate->file;
}

enum cert_key certificate_key(const struct certificate *certificate)
{
    return certificate->key;
}

int64_t certificate_not_before(const struct certificate *certificate)
{
    return certificate->not_before;
}

int64_t certificate_not_after(const struct certificate *certificate)
{
    return certificate->not_after;
}

bool certificate_staples(const struct certificate *certificate, int64_t *expires)
{
    *expires = certificate->ocsp_expires;
    return certificate->has_ocsp;
}

static void write_hex(const uint8_t *bytes, size_t count, char *text)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < count; i++) {
        *text++ = digits[bytes[i] >> 4];
        *text++ = digits[bytes[i] & 15];
    }
    *text = '\0';
}

void certificate_identify(const struct certificate *certificate, struct cert_identity *identity)
{
    const STACK_OF(CRYPTO_BUFFER) *chain = SSL_CTX_get0_chain(certificate->context);
    CRYPTO_BUFFER *leaf = sk_CRYPTO_BUFFER_value(chain, 0);
    X509 *x509 = X509_parse_from_buffer(leaf);
    uint8_t hash[SHA256_DIGEST_LENGTH];

    assert(x509); /* it was parsed from it */
    SHA256(CRYPTO_BUFFER_data(leaf), CRYPTO_BUFFER_len(leaf), hash);
    write_hex(hash, sizeof(hash), identity->sha256);
    const ASN1_STRING *serial = X509_get0_serialNumber(x509);
    size_t length = (size_t)ASN1_STRING_length(serial);
    write_hex(ASN1_STRING_get0_data(serial), length < CERT_SERIAL_MAX ? length : CERT_SERIAL_MAX,
              identity->serial);
    X509_free(x509);
}

int certificate_names(const struct certificate *certificate, const struct slice **names)
{
    *names = certificate->names.list;
    return (int)certificate->names.count;
}

enum cert_match certificate_match(const struct certificate *certificate, struct slice host,
                                  struct slice *san)
{
    char room[IP_TEXT_ROOM];
    bool is_ip;
    struct slice wanted = host_for_names(host, room, &is_ip);
    struct slice parent = is_ip ? slice_of("") : host_parent(wanted), found = slice_of("");
    enum cert_match match = CERT_MATCH_NONE;

    for (size_t i = 0; i < certificate->names.count && match != CERT_MATCH_EXACT; i++) {
        struct slice name = certificate->names.list[i];
        bool is_wildcard = name.at[0] == '*';

        if (!slice_equal(is_wildcard ? slice_skip(name, 1) : name, is_wildcard ? parent : wanted))
            continue;
        match = is_wildcard ? CERT_MATCH_WILDCARD : CERT_MATCH_EXACT;
        found = name;
    }
    if (san)
        *san = found;
    return match;
}

bool certificate_covers(const struct certificate *certificate, struct slice host)
{
    return certificate_match(certificate, host, NULL) != CERT_MATCH_NONE;
}
