#include "test_certs.h"

#include "workplace.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY (24L * 60 * 60)

struct cert {
    X509 *x509;
    EVP_PKEY *key;
    const struct cert *issuer; /* NULL: itself */
};

static struct cert *authority;

static void cert_free(void *object)
{
    struct cert *cert = object;

    if (cert == authority)
        authority = NULL;
    X509_free(cert->x509);
    EVP_PKEY_free(cert->key);
    free(cert);
}

static EVP_PKEY *make_key(enum cert_kind kind)
{
    switch (kind) {
    case CERT_RSA: return EVP_RSA_gen(2048);
    case CERT_P384: return EVP_EC_gen("P-384");
    case CERT_P256: return EVP_EC_gen("P-256");
    }
    return NULL;
}

static void set_name(X509_NAME *name, const char *value)
{
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)value, -1, -1, 0);
}

static void add_extension(X509 *x509, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    workplace_require(extension != NULL && X509_add_ext(x509, extension, -1),
                      "certificate extension %s", value);
    X509_EXTENSION_free(extension);
}

static struct cert *cert_begin(enum cert_kind kind, const char *name, int from_days, int to_days)
{
    struct cert *cert = workplace_own(calloc(1, sizeof *cert), cert_free);
    uint64_t serial = 0;

    cert->key = make_key(kind);
    cert->x509 = X509_new();
    workplace_require(cert->key != NULL && cert->x509 != NULL, "no certificate could be made");
    RAND_bytes((unsigned char *)&serial, sizeof serial);
    X509_set_version(cert->x509, X509_VERSION_3);
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert->x509), serial >> 1);
    X509_gmtime_adj(X509_getm_notBefore(cert->x509), from_days * DAY);
    /* An hour later: whole days are left for as long as a test goes on. */
    X509_gmtime_adj(X509_getm_notAfter(cert->x509), to_days * DAY + 3600);
    set_name(X509_get_subject_name(cert->x509), name);
    X509_set_pubkey(cert->x509, cert->key);
    return cert;
}

static struct cert *get_authority(void)
{
    if (authority != NULL)
        return authority;
    struct cert *made = cert_begin(CERT_P256, "Test CA", -3650, 3650);
    X509_set_issuer_name(made->x509, X509_get_subject_name(made->x509));
    add_extension(made->x509, made->x509, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(made->x509, made->x509, NID_key_usage,
                  "critical,keyCertSign,cRLSign,digitalSignature");
    add_extension(made->x509, made->x509, NID_subject_key_identifier, "hash");
    X509_sign(made->x509, made->key, EVP_sha256());
    authority = made;
    return made;
}

/* "a.test, 127.0.0.1" -> "DNS:a.test,IP:127.0.0.1"; the first name goes to *first. */
static char *subject_names(const char *names, char *first, size_t room)
{
    char *made = text("%s", "");
    char *copy = text("%s", names);
    char *rest = NULL;

    for (char *name = strtok_r(copy, ", ", &rest); name != NULL;
         name = strtok_r(NULL, ", ", &rest)) {
        bool is_ip = strchr(name, ':') != NULL || strspn(name, "0123456789.") == strlen(name);
        if (*made == '\0')
            snprintf(first, room, "%s", name);
        made = text("%s%s%s:%s", made, *made != '\0' ? "," : "", is_ip ? "IP" : "DNS", name);
    }
    return made;
}

/* What it may be used for. */
static void add_usage(X509 *x509, X509 *issuer, const struct cert_options *options)
{
    const char *purpose = options->purpose != NULL ? options->purpose
                          : options->is_authority  ? ""
                                                   : "serverAuth";

    add_extension(x509, issuer, NID_basic_constraints,
                  options->is_authority ? "critical,CA:TRUE" : "CA:FALSE");
    add_extension(x509, issuer, NID_key_usage,
                  options->is_authority ? "critical,keyCertSign,cRLSign"
                                        : "critical,digitalSignature,keyEncipherment");
    if (*purpose != '\0')
        add_extension(x509, issuer, NID_ext_key_usage, purpose);
    if (options->is_authority)
        add_extension(x509, issuer, NID_subject_key_identifier, "hash");
    if (options->constraints != NULL)
        add_extension(x509, issuer, NID_name_constraints, options->constraints);
}

struct cert *cert_make(const struct cert_options *options)
{
    char first[256] = "nobody";
    const char *names =
        options->names != NULL ? subject_names(options->names, first, sizeof first) : NULL;
    bool is_dated = options->from_days != 0 || options->to_days != 0;
    struct cert *cert =
        cert_begin(options->kind, options->subject != NULL ? options->subject : first,
                   is_dated ? options->from_days : -1, is_dated ? options->to_days : 90);

    if (!options->is_root)
        cert->issuer = options->issuer != NULL ? options->issuer : get_authority();
    const struct cert *ca = cert->issuer != NULL ? cert->issuer : cert;
    X509_set_issuer_name(cert->x509, X509_get_subject_name(ca->x509));
    add_usage(cert->x509, ca->x509, options);
    if (names != NULL)
        add_extension(cert->x509, ca->x509, NID_subject_alt_name, names);
    if (!options->is_root)
        add_extension(cert->x509, ca->x509, NID_authority_key_identifier, "keyid");
    X509_sign(cert->x509, ca->key, EVP_sha256());
    return cert;
}

struct cert *cert_new(const char *names)
{
    return cert_make(&(struct cert_options){.names = names});
}

static void write_bio(BIO *bio, const char *path)
{
    char *bytes = NULL;
    long length = BIO_get_mem_data(bio, &bytes);

    workplace_write(path, bytes, (size_t)length);
    BIO_free(bio);
}

static BIO *chain_pem(const struct cert *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());

    PEM_write_bio_X509(bio, cert->x509);
    PEM_write_bio_X509(bio, get_authority()->x509);
    return bio;
}

void cert_write_bundle(const struct cert *cert, const char *path)
{
    BIO *bio = chain_pem(cert);

    PEM_write_bio_PrivateKey(bio, cert->key, NULL, NULL, 0, NULL, NULL);
    write_bio(bio, path);
}

void cert_write_chain(const struct cert *cert, const char *path)
{
    write_bio(chain_pem(cert), path);
}

void cert_write_key(const struct cert *cert, const char *path)
{
    BIO *bio = BIO_new(BIO_s_mem());

    PEM_write_bio_PrivateKey(bio, cert->key, NULL, NULL, 0, NULL, NULL);
    write_bio(bio, path);
}

void cert_write_ca(const char *path)
{
    BIO *bio = BIO_new(BIO_s_mem());

    PEM_write_bio_X509(bio, get_authority()->x509);
    write_bio(bio, path);
}

void cert_write_alone(const struct cert *cert, const char *path)
{
    BIO *bio = BIO_new(BIO_s_mem());

    PEM_write_bio_X509(bio, cert->x509);
    write_bio(bio, path);
}

void cert_show(const struct cert *cert, SSL *ssl, bool with_chain)
{
    bool accepted =
        SSL_use_certificate(ssl, cert->x509) == 1 && SSL_use_PrivateKey(ssl, cert->key) == 1;

    for (cert = cert->issuer; with_chain && cert != NULL && cert->issuer != NULL;
         cert = cert->issuer)
        accepted &= SSL_add1_chain_cert(ssl, cert->x509) == 1;
    workplace_require(accepted, "OpenSSL does not show this certificate");
}

const char *cert_fingerprint(const struct cert *cert)
{
    unsigned char hash[32];
    unsigned length = sizeof hash;
    char *made = text("%064d", 0);

    X509_digest(cert->x509, EVP_sha256(), hash, &length);
    for (unsigned i = 0; i < length; i++)
        snprintf(made + 2 * (size_t)i, 3, "%02x", hash[i]);
    return made;
}

void cert_write_ocsp(const struct cert *cert, const char *path)
{
    struct cert *ca = get_authority();
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), cert->x509, ca->x509);
    ASN1_TIME *now = X509_gmtime_adj(NULL, -60);
    ASN1_TIME *next = X509_gmtime_adj(NULL, DAY);

    OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, NULL, now, next);
    workplace_require(OCSP_basic_sign(basic, ca->x509, ca->key, EVP_sha256(), NULL, 0),
                      "OCSP response");
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    unsigned char *der = NULL;
    int length = i2d_OCSP_RESPONSE(response, &der);
    workplace_write(path, (const char *)der, (size_t)length);
    OPENSSL_free(der);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(now);
    ASN1_TIME_free(next);
}

bool cert_is(const struct cert *cert, X509 *presented)
{
    return presented != NULL && X509_cmp(cert->x509, presented) == 0;
}

X509 *cert_x509(const struct cert *cert)
{
    return cert->x509;
}

X509 *cert_authority(void)
{
    return get_authority()->x509;
}
