/* Certificates made while a test runs: one CA a process, leaves with names, kinds and dates of
 * choice. */
#ifndef E2E_TEST_CERTS_H
#define E2E_TEST_CERTS_H

#include <openssl/x509.h>
#include <stdbool.h>

enum cert_kind { CERT_P256, CERT_P384, CERT_RSA };

struct cert_options {
    const char *names; /* "a.test, *.b.test, 127.0.0.1": SANs, DNS or IP by their look */
    enum cert_kind kind;
    int from_days, to_days; /* from now; -1 and 90 when both are 0 */
};

struct cert;

/* Live until the test ends. */
struct cert *cert_new(const char *names);
struct cert *cert_make(const struct cert_options *options);

/* PEM files: leaf and CA, then the key; leaf and CA; the key; the CA alone. Replaced in one rename
 * each. */
void cert_write_bundle(const struct cert *cert, const char *path);
void cert_write_chain(const struct cert *cert, const char *path);
void cert_write_key(const struct cert *cert, const char *path);
void cert_write_ca(const char *path);
/* A DER OCSP response "good" for the certificate, signed by the CA. */
void cert_write_ocsp(const struct cert *cert, const char *path);

/* Whether this is the certificate that a peer presented. */
bool cert_is(const struct cert *cert, X509 *presented);
X509 *cert_x509(const struct cert *cert);
/* The CA that signed them all. */
X509 *cert_authority(void);

#endif
