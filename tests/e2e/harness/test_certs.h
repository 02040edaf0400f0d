/* Certificates made while a test runs: one CA a process, leaves with names, kinds and dates of
 * choice. */
#ifndef E2E_TEST_CERTS_H
#define E2E_TEST_CERTS_H

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdbool.h>

enum cert_kind { CERT_P256, CERT_P384, CERT_RSA };

struct cert;

struct cert_options {
    const char *names; /* "a.test, *.b.test, 127.0.0.1": SANs, DNS or IP by their look */
    enum cert_kind kind;
    int from_days, to_days;    /* from now; -1 and 90 when both are 0 */
    const char *subject;       /* its common name; the first of the names when NULL */
    const char *purpose;       /* extended key usage; serverAuth when NULL, "" for none at all */
    const char *constraints;   /* names that an authority may sign for: "permitted;DNS:.a.test" */
    bool is_authority;         /* it may sign others */
    bool is_root;              /* signed by itself */
    const struct cert *issuer; /* the test CA when NULL; outlives it */
};

/* Live until the test ends. */
struct cert *cert_new(const char *names);
struct cert *cert_make(const struct cert_options *options);

/* PEM files: leaf and CA, then the key; leaf and CA; the key; the CA alone. Replaced in one rename
 * each. */
void cert_write_bundle(const struct cert *cert, const char *path);
void cert_write_chain(const struct cert *cert, const char *path);
void cert_write_key(const struct cert *cert, const char *path);
void cert_write_ca(const char *path);
/* The certificate alone. */
void cert_write_alone(const struct cert *cert, const char *path);
/* A client shows it, with or without the intermediates that signed it. */
void cert_show(const struct cert *cert, SSL *ssl, bool with_chain);
/* SHA-256 of it in lower-case hex; lives until the test ends. */
const char *cert_fingerprint(const struct cert *cert);
/* A DER OCSP response "good" for the certificate, signed by the CA. */
void cert_write_ocsp(const struct cert *cert, const char *path);

/* Whether this is the certificate that a peer presented. */
bool cert_is(const struct cert *cert, X509 *presented);
X509 *cert_x509(const struct cert *cert);
/* The CA that signed them all. */
X509 *cert_authority(void);

#endif
