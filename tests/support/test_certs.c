#include "support/test_certs.h"

#include "base/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* --- keys ------------------------------------------------------------------------------------- */

static EVP_PKEY *make_ec_key(int nid)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(nid);
    EVP_PKEY *key = EVP_PKEY_new();

    assert(ec && key && EC_KEY_generate_key(ec) && EVP_PKEY_assign_EC_KEY(key, ec));
    return key;
}

static EVP_PKEY *make_rsa_key(int bits)
{
    RSA *rsa = RSA_new();
    BIGNUM *e = BN_new();
    EVP_PKEY *key = EVP_PKEY_new();

    assert(rsa && e && key && BN_set_word(e, RSA_F4));
    assert(RSA_generate_key_ex(rsa, bits, e, NULL) && EVP_PKEY_assign_RSA(key, rsa));
    BN_free(e);
    return key;
}

static EVP_PKEY *make_ed25519_key(void)
{
    uint8_t seed[32];

    RAND_bytes(seed, sizeof(seed));
    return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
}

static EVP_PKEY *make_key(const struct test_cert_spec *spec)
{
    switch (spec->key) {
    case CERT_KEY_ECDSA_P256: return make_ec_key(NID_X9_62_prime256v1);
    case CERT_KEY_ECDSA_P384: return make_ec_key(NID_secp384r1);
    case CERT_KEY_ECDSA_P521: return make_ec_key(NID_secp521r1);
    case CERT_KEY_RSA: return make_rsa_key(spec->rsa_bits ? spec->rsa_bits : 2048);
    case CERT_KEY_ED25519: return make_ed25519_key();
    }
    abort();
}

/* --- certificates ----------------------------------------------------------------------------- */

static void add_name(GENERAL_NAMES *names, const char *text)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    unsigned char address[16];
    int length = inet_pton(AF_INET, text, address) == 1    ? 4
                 : inet_pton(AF_INET6, text, address) == 1 ? 16
                                                           : 0;
    ASN1_STRING *string = ASN1_STRING_type_new(length ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);

    ASN1_STRING_set(string, length ? (const void *)address : text,
                    length ? length : (int)strlen(text));
    GENERAL_NAME_set0_value(name, length ? GEN_IPADD : GEN_DNS, string);
    assert(sk_GENERAL_NAME_push(names, name));
}

static void add_names(X509 *x509, const char *list)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    char *copy = strdup(list), *rest = copy;

    for (char *name; (name = strsep(&rest, ",")) != NULL;) {
        if (*name)
            add_name(names, name);
    }
    assert(X509_add1_ext_i2d(x509, NID_subject_alt_name, names, 0, 0));
    GENERAL_NAMES_free(names);
    free(copy);
}

static void add_text(X509 *x509, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    if (!value)
        return;
    X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
    extension = X509V3_EXT_nconf_nid(NULL, &context, nid, value);
    assert(extension && X509_add_ext(x509, extension, -1));
    X509_EXTENSION_free(extension);
}

static X509 *make_x509(const struct test_cert_spec *spec, EVP_PKEY *key)
{
    X509 *x509 = X509_new();
    uint64_t serial;
    int64_t now = time(NULL);

    assert(x509 && X509_set_version(x509, X509_VERSION_3));
    RAND_bytes((uint8_t *)&serial, sizeof(serial));
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(x509), serial >> 1 | 1);
    ASN1_TIME_set_posix(X509_getm_notBefore(x509), now + (spec->begins_s ? spec->begins_s : -3600));
    ASN1_TIME_set_posix(X509_getm_notAfter(x509),
                        now + (spec->ends_s ? spec->ends_s : 30 * 24 * 3600));
    if (spec->common_name) {
        X509_NAME *subject = X509_get_subject_name(x509);

        assert(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                          (const unsigned char *)spec->common_name, -1, -1, 0));
        X509_set_issuer_name(x509, subject);
    }
    if (spec->names)
        add_names(x509, spec->names);
    add_text(x509, NID_basic_constraints, spec->is_authority ? "critical,CA:TRUE" : NULL);
    add_text(x509, NID_ext_key_usage, spec->purpose);
    add_text(x509, NID_name_constraints, spec->constraints);
    if (spec->issuer)
        X509_set_issuer_name(x509, X509_get_subject_name(spec->issuer->x509));
    assert(X509_set_pubkey(x509, key));
    if (spec->issuer)
        key = spec->issuer->key;
    assert(X509_sign(x509, key, EVP_PKEY_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256()));
    return x509;
}

struct test_cert test_cert_make(const struct test_cert_spec *spec)
{
    EVP_PKEY *key = make_key(spec);

    return (struct test_cert){.key = key, .x509 = make_x509(spec, key)};
}

struct test_cert test_cert_renew(const struct test_cert *old, const struct test_cert_spec *spec)
{
    EVP_PKEY_up_ref(old->key);
    return (struct test_cert){.key = old->key, .x509 = make_x509(spec, old->key)};
}

void test_cert_clear(struct test_cert *cert)
{
    EVP_PKEY_free(cert->key);
    X509_free(cert->x509);
    *cert = (struct test_cert){.key = NULL};
}

static char *text_of(BIO *bio)
{
    const uint8_t *bytes;
    size_t length;

    assert(BIO_mem_contents(bio, &bytes, &length));
    char *text = slice_duplicate(slice_make((const char *)bytes, length));
    BIO_free(bio);
    return text;
}

char *test_cert_pem(const struct test_cert *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());

    assert(PEM_write_bio_X509(bio, cert->x509));
    return text_of(bio);
}

char *test_key_pem(const struct test_cert *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());

    assert(PEM_write_bio_PKCS8PrivateKey(bio, cert->key, NULL, NULL, 0, NULL, NULL));
    return text_of(bio);
}

/* --- files ------------------------------------------------------------------------------------ */

static char folder[64];

/* As the gateway's sandbox allows it, too. */
static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status, (void)where;
    return unlinkat(AT_FDCWD, path, kind == FTW_DP ? AT_REMOVEDIR : 0);
}

const char *test_folder_make(void)
{
    strcpy(folder, "/tmp/sallyport-test-XXXXXX");
    if (!mkdtemp(folder))
        abort();
    return folder;
}

void test_folder_remove(void)
{
    if (*folder)
        nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    *folder = '\0';
}

const char *test_path(const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

void test_file_write_bytes(const char *name, const void *bytes, size_t length)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    for (char *slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            abort();
        *slash = '/';
    }
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, length, file) != length || fclose(file) != 0)
        abort();
}

void test_file_write(const char *name, const char *text)
{
    test_file_write_bytes(name, text, strlen(text));
}

void test_pair_write(const char *name, const struct test_cert_spec *spec)
{
    struct test_cert cert = test_cert_make(spec);
    char *chain = test_cert_pem(&cert), *key = test_key_pem(&cert), file[200];

    snprintf(file, sizeof(file), "%s.crt", name);
    test_file_write(file, chain);
    snprintf(file, sizeof(file), "%s.key", name);
    test_file_write(file, key);
    free(chain);
    free(key);
    test_cert_clear(&cert);
}

/* --- OCSP ------------------------------------------------------------------------------------- */

static void add_time(CBB *cbb, int64_t when)
{
    time_t seconds = when;
    struct tm tm;
    char text[32];
    CBB body;

    gmtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm);
    assert(CBB_add_asn1(cbb, &body, CBS_ASN1_GENERALIZEDTIME));
    assert(CBB_add_bytes(&body, (const uint8_t *)text, strlen(text)) && CBB_flush(cbb));
}

static void add_answer(CBB *answers, const struct test_cert *cert, int64_t next_update)
{
    static const uint8_t hash_algorithm[] = {0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a};
    CBB answer, id, algorithm, octets, next;
    uint8_t *serial = NULL;
    int length = i2d_ASN1_INTEGER(X509_get0_serialNumber(cert->x509), &serial);

    assert(CBB_add_asn1(answers, &answer, CBS_ASN1_SEQUENCE));
    assert(CBB_add_asn1(&answer, &id, CBS_ASN1_SEQUENCE));
    assert(CBB_add_asn1(&id, &algorithm, CBS_ASN1_SEQUENCE));
    assert(CBB_add_bytes(&algorithm, hash_algorithm, sizeof(hash_algorithm)));
    for (int i = 0; i < 2; i++) {
        assert(CBB_add_asn1(&id, &octets, CBS_ASN1_OCTETSTRING));
        assert(CBB_add_zeros(&octets, 20));
    }
    assert(CBB_flush(&id) && CBB_add_bytes(&id, serial, (size_t)length));
    assert(CBB_add_asn1(&answer, &octets, CBS_ASN1_CONTEXT_SPECIFIC | 0)); /* good */
    assert(CBB_flush(&answer));
    add_time(&answer, time(NULL) - 60);
    assert(CBB_add_asn1(&answer, &next, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0));
    add_time(&next, next_update);
    assert(CBB_flush(answers));
    OPENSSL_free(serial);
}

size_t test_ocsp_make(const struct test_cert *cert, int status, int64_t next_update_s,
                      uint8_t **der)
{
    static const uint8_t basic_oid[] = {0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1};
    CBB cbb, outer, code, wrapped, bytes, oid, octets, basic, tbs, responder, answers;
    size_t length;

    assert(CBB_init(&cbb, 256) && CBB_add_asn1(&cbb, &outer, CBS_ASN1_SEQUENCE));
    assert(CBB_add_asn1(&outer, &code, CBS_ASN1_ENUMERATED) && CBB_add_u8(&code, (uint8_t)status));
    if (status == 0) {
        assert(
            CBB_add_asn1(&outer, &wrapped, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0));
        assert(CBB_add_asn1(&wrapped, &bytes, CBS_ASN1_SEQUENCE));
        assert(CBB_add_asn1(&bytes, &oid, CBS_ASN1_OBJECT));
        assert(CBB_add_bytes(&oid, basic_oid, sizeof(basic_oid)));
        assert(CBB_add_asn1(&bytes, &octets, CBS_ASN1_OCTETSTRING));
        assert(CBB_add_asn1(&octets, &basic, CBS_ASN1_SEQUENCE));
        assert(CBB_add_asn1(&basic, &tbs, CBS_ASN1_SEQUENCE));
        assert(
            CBB_add_asn1(&tbs, &responder, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 2));
        assert(CBB_add_asn1(&responder, &oid, CBS_ASN1_OCTETSTRING) && CBB_add_zeros(&oid, 20));
        assert(CBB_flush(&tbs));
        add_time(&tbs, time(NULL) - 60);
        assert(CBB_add_asn1(&tbs, &answers, CBS_ASN1_SEQUENCE));
        add_answer(&answers, cert, time(NULL) + next_update_s);
    }
    assert(CBB_finish(&cbb, der, &length));
    return length;
}
