/* Certificates from files: what they say, and every way in which they can be broken. */
#include "tls/certificate.h"

#include "support/test_certs.h"
#include "tls/internal.h"
#include "tls/ocsp.h"

#include <criterion/criterion.h>
#include <openssl/bio.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct test_cert cert;
static char *chain, *key;

static void set_up(void)
{
    test_folder_make();
    cert = test_cert_make(&(struct test_cert_spec){
        .names = "A.test,*.B.test.,10.0.0.1,2001:0db8:0:0:0:0:0:1", .common_name = "cn.test"});
    chain = test_cert_pem(&cert);
    key = test_key_pem(&cert);
    test_file_write("a.crt", chain);
    test_file_write("a.key", key);
}

static void tear_down(void)
{
    free(chain);
    free(key);
    test_cert_clear(&cert);
    test_folder_remove();
}

TestSuite(certificate, .init = set_up, .fini = tear_down);

static struct certificate *load(const char *chain_name, const char *key_name)
{
    struct error error = {.message = ""};
    struct certificate *loaded =
        certificate_load(test_path(chain_name), test_path(key_name), NULL, &error);

    cr_assert(loaded, "%s", error.message);
    return loaded;
}

/* The message holds every text. */
static void expect_error(const char *chain_name, const char *key_name, const char *text,
                         const char *other)
{
    struct error error = {.message = ""};

    cr_assert_null(certificate_load(test_path(chain_name), test_path(key_name), NULL, &error));
    cr_assert(strstr(error.message, text), "no \"%s\" in: %s", text, error.message);
    cr_assert(strstr(error.message, other), "no \"%s\" in: %s", other, error.message);
    cr_assert_eq(ERR_peek_error(), 0u, "nothing stays in the queue");
}

/* --- what is read ----------------------------------------------------------------------------- */

Test(certificate, says_what_it_is)
{
    struct certificate *a = load("a.crt", "a.key");
    const struct slice *names;
    int64_t now = time(NULL);

    cr_assert_str_eq(certificate_file(a), test_path("a.crt"));
    cr_assert_eq(certificate_key(a), CERT_KEY_ECDSA_P256);
    cr_assert_lt(certificate_not_before(a), now);
    cr_assert_geq(certificate_not_before(a), now - 3700);
    cr_assert_gt(certificate_not_after(a), now + 29 * 24 * 3600);
    cr_assert_eq(certificate_names(a, &names), 4);
    cr_assert_str_eq(names[0].at, "a.test");
    cr_assert_str_eq(names[1].at, "*.b.test");
    cr_assert_str_eq(names[2].at, "10.0.0.1");
    cr_assert_str_eq(names[3].at, "2001:db8::1");
    certificate_unref(a);
}

Test(certificate, covers_hosts_as_its_names_say)
{
    static const char *const covered[] = {"a.test", "x.b.test", "10.0.0.1", "2001:db8::1",
                                          "2001:db8:0::1"};
    static const char *const others[] = {"b.test",  "x.a.test", "x.y.b.test",  "test",   "",
                                         ".b.test", "10.0.0.2", "2001:db8::2", "cn.test"};
    struct certificate *a = load("a.crt", "a.key");

    for (size_t i = 0; i < sizeof(covered) / sizeof(covered[0]); i++)
        cr_assert(certificate_covers(a, slice_of(covered[i])), "%s", covered[i]);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        cr_assert(!certificate_covers(a, slice_of(others[i])), "%s", others[i]);
    certificate_unref(a);
}

/* RFC 6125 knows names only; an address needs a SAN of its own kind. */
Test(certificate, names_that_no_client_asks_for_are_left_out)
{
    const struct slice *names;

    test_pair_write("odd", &(struct test_cert_spec){
                               .names = "ok.test,a*.test,*.*.test,*,with space.test,..,x..y,*.ok"});
    struct certificate *odd = load("odd.crt", "odd.key");
    cr_assert_eq(certificate_names(odd, &names), 2);
    cr_assert_str_eq(names[0].at, "ok.test");
    cr_assert_str_eq(names[1].at, "*.ok");
    certificate_unref(odd);
}

Test(certificate, every_kind_of_key_is_read)
{
    for (enum cert_key kind = CERT_KEY_ECDSA_P256; kind <= CERT_KEY_ED25519; kind++) {
        test_pair_write("k", &(struct test_cert_spec){.names = "k.test", .key = kind});
        struct certificate *loaded = load("k.crt", "k.key");

        cr_assert_eq(certificate_key(loaded), kind);
        cr_assert_neq(*cert_key_name(kind), '\0');
        certificate_unref(loaded);
    }
}

/* Signers' locks are in theirs. */
Test(certificate, loops_have_rsa_keys_of_their_own)
{
    test_pair_write("k", &(struct test_cert_spec){.names = "k.test", .key = CERT_KEY_RSA});
    struct certificate *loaded = load("k.crt", "k.key");
    EVP_PKEY *own = certificate_own_key(loaded);

    cr_assert_neq(own, certificate_slow_key(loaded));
    cr_assert_neq(EVP_PKEY_get0_RSA(own), EVP_PKEY_get0_RSA(certificate_slow_key(loaded)));
    cr_assert_eq(EVP_PKEY_cmp(own, certificate_slow_key(loaded)), 1);
    cr_assert_eq(certificate_own_key(loaded), own);
    certificate_unref(loaded);
    test_pair_write("k", &(struct test_cert_spec){.names = "k.test", .key = CERT_KEY_ECDSA_P384});
    loaded = load("k.crt", "k.key");
    cr_assert_eq(certificate_own_key(loaded), certificate_slow_key(loaded));
    certificate_unref(loaded);
}

static void write_bio(const char *name, BIO *bio)
{
    const uint8_t *bytes;
    size_t length;

    cr_assert(BIO_mem_contents(bio, &bytes, &length));
    test_file_write_bytes(name, bytes, length);
    BIO_free(bio);
}

/* As openssl's older commands write them, with the curve's parameters in front. */
Test(certificate, keys_in_their_own_formats_are_read)
{
    BIO *bio = BIO_new(BIO_s_mem());
    struct certificate *loaded;

    BIO_puts(bio, "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n");
    cr_assert(
        PEM_write_bio_ECPrivateKey(bio, EVP_PKEY_get0_EC_KEY(cert.key), NULL, NULL, 0, NULL, NULL));
    write_bio("sec1.key", bio);
    loaded = load("a.crt", "sec1.key");
    certificate_unref(loaded);

    struct test_cert rsa =
        test_cert_make(&(struct test_cert_spec){.names = "r.test", .key = CERT_KEY_RSA});
    char *pem = test_cert_pem(&rsa);
    test_file_write("r.crt", pem);
    bio = BIO_new(BIO_s_mem());
    cr_assert(
        PEM_write_bio_RSAPrivateKey(bio, EVP_PKEY_get0_RSA(rsa.key), NULL, NULL, 0, NULL, NULL));
    write_bio("r.key", bio);
    loaded = load("r.crt", "r.key");
    certificate_unref(loaded);
    free(pem);
    test_cert_clear(&rsa);
}

Test(certificate, a_bundle_holds_chain_and_key_in_any_order)
{
    struct test_cert other = test_cert_make(&(struct test_cert_spec){.names = "ca.test"});
    char *ca = test_cert_pem(&other), bundle[8192];
    struct certificate *loaded;

    snprintf(bundle, sizeof(bundle), "a comment\n%s%s%s", chain, key, ca);
    test_file_write("1.pem", bundle);
    loaded = load("1.pem", "1.pem");
    certificate_unref(loaded);
    snprintf(bundle, sizeof(bundle), "%s%s\r\n%s", key, chain, ca);
    test_file_write("2.pem", bundle);
    loaded = load("2.pem", "2.pem");
    certificate_unref(loaded);
    free(ca);
    test_cert_clear(&other);
}

Test(certificate, the_fingerprint_follows_the_bytes)
{
    struct certificate *one = load("a.crt", "a.key"), *other = load("a.crt", "a.key");
    char longer[8192];

    cr_assert_eq(certificate_fingerprint(one), certificate_fingerprint(other));
    certificate_unref(other);
    snprintf(longer, sizeof(longer), "%s\n", key);
    test_file_write("a.key", longer);
    other = load("a.crt", "a.key");
    cr_assert_neq(certificate_fingerprint(one), certificate_fingerprint(other));
    certificate_unref(other);
    certificate_unref(one);
}

Test(certificate, references_keep_it)
{
    struct certificate *a = load("a.crt", "a.key");

    cr_assert_eq(certificate_ref(a), a);
    certificate_unref(a);
    cr_assert(certificate_covers(a, slice_of("a.test")));
    certificate_unref(a);
    certificate_unref(NULL);
}

/* --- what is broken --------------------------------------------------------------------------- */

Test(certificate, files_that_cannot_be_read_are_named)
{
    char *large = memset(malloc(1024 * 1024 + 2), 'x', 1024 * 1024 + 1);

    expect_error("none.crt", "a.key", "none.crt cannot be read", "No such file");
    expect_error("a.crt", "none.key", "none.key cannot be read", "No such file");
    mkdir(test_path("folder.crt"), 0700);
    expect_error("folder.crt", "a.key", "folder.crt", "not a regular file");
    test_file_write_bytes("large.crt", large, 1024 * 1024 + 1);
    expect_error("large.crt", "a.key", "large.crt", "larger than 1 MiB");
    mkfifo(test_path("pipe.crt"), 0600);
    expect_error("pipe.crt", "a.key", "pipe.crt", "not a regular file");
    free(large);
}

Test(certificate, files_that_hold_something_else_are_named)
{
    test_file_write("empty.crt", "");
    expect_error("empty.crt", "a.key", "empty.crt holds no certificate", "leaf first");
    expect_error("a.key", "a.key", "a.key holds no certificate", "BEGIN CERTIFICATE");
    expect_error("a.crt", "a.crt", "a.crt holds no private key", "NAME.key");
    test_file_write("empty.key", "");
    expect_error("a.crt", "empty.key", "empty.key holds no private key", "BEGIN PRIVATE KEY");
}

static void expect_broken_chain(const char *text, const char *what)
{
    test_file_write("broken.crt", text);
    expect_error("broken.crt", "a.key", "broken.crt", what);
}

Test(certificate, broken_pem_and_der_are_told_with_their_place)
{
    char text[8192];

    /* Half written: the end is missing. */
    snprintf(text, sizeof(text), "%.*s", (int)strlen(chain) / 2, chain);
    expect_broken_chain(text, "PEM block 1");
    snprintf(text, sizeof(text), "%s%.*s", chain, (int)strlen(chain) / 2, chain);
    expect_broken_chain(text, "PEM block 2");
    /* A character that base64 does not have. */
    snprintf(text, sizeof(text), "%s", chain);
    text[strlen("-----BEGIN CERTIFICATE-----\n") + 5] = '!';
    expect_broken_chain(text, "PEM block 1");
    /* Proper base64 of no certificate. */
    snprintf(text, sizeof(text), "%s-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
             chain);
    expect_broken_chain(text, "certificate 2");
    expect_broken_chain("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                        "certificate 1");
    test_file_write("broken.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    expect_error("a.crt", "broken.key", "broken.key", "PEM block 1");
}

Test(certificate, a_file_of_many_certificates_is_refused)
{
    char *text = calloc(1, 20 * strlen(chain) + 1);

    for (int i = 0; i < 17; i++)
        strcat(text, chain);
    test_file_write("many.crt", text);
    expect_error("many.crt", "a.key", "many.crt holds more than 16", "leaf first");
    free(text);
}

Test(certificate, an_encrypted_key_is_told_from_a_broken_one)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char secret[] = "secret";

    cr_assert(
        PEM_write_bio_PKCS8PrivateKey(bio, cert.key, EVP_aes_128_cbc(), secret, 6, NULL, NULL));
    write_bio("pkcs8.key", bio);
    expect_error("a.crt", "pkcs8.key", "pkcs8.key is encrypted", "openssl pkey");
    bio = BIO_new(BIO_s_mem());
    cr_assert(PEM_write_bio_ECPrivateKey(bio, EVP_PKEY_get0_EC_KEY(cert.key), EVP_aes_128_cbc(),
                                         (unsigned char *)secret, 6, NULL, NULL));
    write_bio("old.key", bio);
    expect_error("a.crt", "old.key", "old.key is encrypted", "openssl pkey");
}

Test(certificate, keys_that_nobody_accepts_are_refused)
{
    test_pair_write("small", &(struct test_cert_spec){
                                 .names = "a.test", .key = CERT_KEY_RSA, .rsa_bits = 1024});
    expect_error("small.crt", "small.key", "small.key has 1024 bits", "2048");
    test_file_write("dsa.key",
                    "-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n");
    expect_error("a.crt", "dsa.key", "dsa.key", "ECDSA, RSA or Ed25519");

    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_secp224r1);
    EVP_PKEY *p224 = EVP_PKEY_new();
    cr_assert(EC_KEY_generate_key(ec) && EVP_PKEY_assign_EC_KEY(p224, ec));
    struct test_cert lent = {.key = p224};
    struct test_cert small = test_cert_renew(&lent, &(struct test_cert_spec){.names = "s.test"});
    char *pem = test_cert_pem(&small), *small_key = test_key_pem(&small);
    test_file_write("p224.crt", pem);
    test_file_write("p224.key", small_key);
    expect_error("p224.crt", "p224.key", "p224.key", "P-256");
    free(pem);
    free(small_key);
    test_cert_clear(&small);
    test_cert_clear(&lent);
}

Test(certificate, a_key_that_does_not_belong_is_refused)
{
    char text[8192];

    test_pair_write("b", &(struct test_cert_spec){.names = "b.test"});
    expect_error("a.crt", "b.key", "b.key does not belong to the certificate in", "a.crt");
    /* The leaf is there, but behind its issuer. */
    struct test_cert ca = test_cert_make(&(struct test_cert_spec){.names = "ca.test"});
    char *pem = test_cert_pem(&ca);
    snprintf(text, sizeof(text), "%s%s", pem, chain);
    test_file_write("turned.crt", text);
    expect_error("turned.crt", "a.key", "belongs to certificate 2", "the leaf, first");
    free(pem);
    test_cert_clear(&ca);
}

Test(certificate, a_certificate_without_names_is_refused)
{
    test_pair_write("cn", &(struct test_cert_spec){.common_name = "cn.test"});
    expect_error("cn.crt", "cn.key", "subjectAltName", "\"cn.test\" is not used");
    test_pair_write("ip", &(struct test_cert_spec){.names = "*", .common_name = "x"});
    expect_error("ip.crt", "ip.key", "subjectAltName", "ip.crt");
}

Test(certificate, is_identified_as_other_tools_do)
{
    struct certificate *a = load("a.crt", "a.key");
    struct cert_identity identity;
    uint8_t *der = NULL, hash[32];
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert.x509), NULL);
    char hex[65], *serial = BN_bn2hex(number);
    int length = i2d_X509(cert.x509, &der);

    certificate_identify(a, &identity);
    cr_assert_str_eq(identity.serial, serial);
    SHA256(der, (size_t)length, hash);
    for (size_t i = 0; i < sizeof(hash); i++)
        sprintf(hex + 2 * i, "%02x", hash[i]);
    cr_assert_str_eq(identity.sha256, hex);
    BN_free(number);
    OPENSSL_free(serial);
    OPENSSL_free(der);
    certificate_unref(a);
}

/* --- OCSP ------------------------------------------------------------------------------------- */

Test(certificate, a_broken_ocsp_file_does_not_stop_it)
{
    struct error error = {.message = ""};
    struct certificate *without = load("a.crt", "a.key"), *with;
    uint8_t *der;
    int64_t expires;
    size_t length = test_ocsp_make(&cert, 0, 3600, &der);

    test_file_write_bytes("a.ocsp", der, length);
    with = certificate_load(test_path("a.crt"), test_path("a.key"), test_path("a.ocsp"), &error);
    cr_assert(with);
    cr_assert_neq(certificate_fingerprint(with), certificate_fingerprint(without));
    cr_assert(certificate_staples(with, &expires));
    cr_assert_leq(llabs(expires - time(NULL) - 3600), 60);
    certificate_unref(with);

    test_file_write("a.ocsp", "not OCSP");
    with = certificate_load(test_path("a.crt"), test_path("a.key"), test_path("a.ocsp"), &error);
    cr_assert(with);
    cr_assert(!certificate_staples(with, &expires));
    certificate_unref(with);
    with = certificate_load(test_path("a.crt"), test_path("a.key"), test_path("none.ocsp"), &error);
    cr_assert(with);
    certificate_unref(with);
    certificate_unref(without);
    OPENSSL_free(der);
}

static const char *fault_of(const struct test_cert *about, int status, int64_t next_update_s)
{
    struct slice serial =
        slice_make((const char *)ASN1_STRING_get0_data(X509_get0_serialNumber(cert.x509)),
                   (size_t)ASN1_STRING_length(X509_get0_serialNumber(cert.x509)));
    int64_t expires;
    uint8_t *der;
    size_t length = test_ocsp_make(about, status, next_update_s, &der);
    const char *fault =
        ocsp_find_fault(slice_make((const char *)der, length), serial, time(NULL), &expires);

    /* Nothing of it may be missing. */
    for (size_t cut = 0; cut < length; cut++)
        cr_assert(
            ocsp_find_fault(slice_make((const char *)der, cut), serial, time(NULL), &expires));
    OPENSSL_free(der);
    return fault;
}

Test(certificate, an_ocsp_response_is_looked_at_before_it_is_stapled)
{
    struct test_cert other = test_cert_make(&(struct test_cert_spec){.names = "b.test"});

    cr_assert_null(fault_of(&cert, 0, 3600));
    cr_assert(strstr(fault_of(&cert, 0, -10), "out of date"));
    cr_assert(strstr(fault_of(&cert, 1, 3600), "failed"));
    cr_assert(strstr(fault_of(&other, 0, 3600), "another certificate"));
    test_cert_clear(&other);
}
