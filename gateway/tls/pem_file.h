/* PEM files: their certificates as DER, and their private key. Inside tls/ alone. */
#ifndef TLS_PEM_FILE_H
#define TLS_PEM_FILE_H

#include "base/file_bytes.h"

#include <openssl/base.h>
#include <openssl/pool.h>

enum {
    PEM_FILE_MAX = 1024 * 1024, /* bytes in a file */
    PEM_CHAIN_MAX = 16,         /* certificates in the file of a chain */
    PEM_AUTHORITIES_MAX = 1000, /* in the file of those that clients' certificates come from */
};

struct pem_content {
    CRYPTO_BUFFER **chain; /* on the heap */
    size_t count;
    EVP_PKEY *key; /* NULL: none */
};

/* Every certificate and the first private key in `bytes`; other blocks (parameters, requests) are
 * passed over. False, with `content` empty, at the first broken one; the error names `path` and the
 * block. */
bool pem_parse(struct slice bytes, const char *path, struct pem_content *content,
               struct error *error);
/* The same of a file of up to PEM_AUTHORITIES_MAX certificates; keys in it are passed over. */
bool pem_parse_authorities(struct slice bytes, const char *path, struct pem_content *content,
                           struct error *error);
void pem_content_clear(struct pem_content *content);

#endif
