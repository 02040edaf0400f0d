/* Keys and certificates made in the test, and folders to put them into. */
#ifndef SUPPORT_TEST_CERTS_H
#define SUPPORT_TEST_CERTS_H

#include "tls/certificate.h"

#include <openssl/base.h>

struct test_cert;

struct test_cert_spec {
    enum cert_key key;
    int rsa_bits;            /* 0: 2048 */
    const char *names;       /* subjectAltName as "a.test,*.b.test,10.0.0.1"; NULL: no extension */
    const char *common_name; /* NULL: none */
    int64_t begins_s;        /* from now, may be negative; 0: an hour ago */
    int64_t ends_s;          /* from now, may be negative; 0: in 30 days */
    const struct test_cert *issuer; /* NULL: signed by itself */
    bool is_authority;
    const char *purpose;     /* extended key usage: "clientAuth"; NULL: no extension */
    const char *constraints; /* "permitted;DNS:a.test"; NULL: none */
};

struct test_cert {
    EVP_PKEY *key;
    X509 *x509;
};

struct test_cert test_cert_make(const struct test_cert_spec *spec);
/* The same key again in a new certificate. */
struct test_cert test_cert_renew(const struct test_cert *old, const struct test_cert_spec *spec);
void test_cert_clear(struct test_cert *cert);

/* PEM text on the heap. */
char *test_cert_pem(const struct test_cert *cert);
char *test_key_pem(const struct test_cert *cert); /* PKCS #8 */

/* A fresh folder under /tmp; static memory, one at a time. */
const char *test_folder_make(void);
void test_folder_remove(void);
/* "FOLDER/name" in static memory, good for the next few calls. */
const char *test_path(const char *name);
/* Writes a file into the folder; folders on its way are made. */
void test_file_write(const char *name, const char *text);
void test_file_write_bytes(const char *name, const void *bytes, size_t length);
/* Makes a certificate of the spec and writes NAME.crt and NAME.key. */
void test_pair_write(const char *name, const struct test_cert_spec *spec);

/* A DER OCSP response about the certificate; status 0 is success. */
size_t test_ocsp_make(const struct test_cert *cert, int status, int64_t next_update_s,
                      uint8_t **der);

#endif
