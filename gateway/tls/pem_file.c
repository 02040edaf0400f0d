#include "tls/pem_file.h"

#include "base/check.h"

#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* One block, as PEM_read_bio hands it out. */
struct pem_block {
    char *name, *header;
    uint8_t *der;
    long length;
    unsigned number; /* from 1 */
};

/* Whose file it is decides what is wanted of it. */
struct pem_wish {
    size_t most; /* certificates */
    bool wants_key;
    const char *most_text;
};
static const struct pem_wish chain_wish = {PEM_CHAIN_MAX, true,
                                           "it should be one chain, leaf first"};
static const struct pem_wish authorities_wish = {PEM_AUTHORITIES_MAX, false,
                                                 "name those alone that sign clients' "
                                                 "certificates"};

/* --- blocks ----------------------------------------------------------------------------------- */

static bool is_certificate(const char *name)
{
    return strcmp(name, PEM_STRING_X509) == 0 || strcmp(name, PEM_STRING_X509_OLD) == 0;
}

static bool is_key(const char *name)
{
    size_t length = strlen(name), suffix = strlen("PRIVATE KEY");

    return length >= suffix && strcmp(name + length - suffix, "PRIVATE KEY") == 0;
}

static EVP_PKEY *parse_sec1_key(CBS *der)
{
    EC_KEY *ec = EC_KEY_parse_private_key(der, NULL);
    EVP_PKEY *key = EVP_PKEY_new();

    if (ec && key && EVP_PKEY_set1_EC_KEY(key, ec)) {
        EC_KEY_free(ec);
        return key;
    }
    EC_KEY_free(ec);
    EVP_PKEY_free(key);
    return NULL;
}

static EVP_PKEY *parse_rsa_key(CBS *der)
{
    RSA *rsa = RSA_parse_private_key(der);
    EVP_PKEY *key = EVP_PKEY_new();

    if (rsa && key && EVP_PKEY_set1_RSA(key, rsa)) {
        RSA_free(rsa);
        return key;
    }
    RSA_free(rsa);
    EVP_PKEY_free(key);
    return NULL;
}

static bool take_key(const struct pem_block *block, const char *path, struct pem_content *content,
                     struct error *error)
{
    CBS der;

    if (strncmp(block->name, "ENCRYPTED", 9) == 0 || strstr(block->header, "ENCRYPTED")) {
        error_set(error,
                  "the private key in %s is encrypted, and nobody is there to be asked for its "
                  "passphrase; decrypt it with \"openssl pkey -in FILE -out NEW\"",
                  path);
        return false;
    }
    CBS_init(&der, block->der, (size_t)block->length);
    if (strcmp(block->name, PEM_STRING_PKCS8INF) == 0)
        content->key = EVP_parse_private_key(&der);
    else if (strcmp(block->name, PEM_STRING_ECPRIVATEKEY) == 0)
        content->key = parse_sec1_key(&der);
    else if (strcmp(block->name, PEM_STRING_RSA) == 0)
        content->key = parse_rsa_key(&der);
    else {
        error_set(error, "%s holds a \"%s\"; use an ECDSA, RSA or Ed25519 key", path, block->name);
        return false;
    }
    if (content->key && CBS_len(&der) == 0)
        return true;
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    error_set(error,
              "the private key in %s (PEM block %u) cannot be used: %s; use an intact ECDSA "
              "(P-256, P-384, P-521), RSA or Ed25519 key",
              path, block->number, reason ? reason : "bytes follow it");
    return false;
}

/* Thousands of leaves come with the same few intermediates. It lasts as long as the process, as no
 * pool may go before the last buffer in it. */
static CRYPTO_BUFFER_POOL *intermediates;
static pthread_once_t intermediates_made = PTHREAD_ONCE_INIT;

static void make_intermediates(void)
{
    intermediates = CRYPTO_BUFFER_POOL_new(); /* NULL: nothing is shared */
}

static bool take_certificate(const struct pem_block *block, const struct pem_wish *wish,
                             const char *path, struct pem_content *content, struct error *error)
{
    if (content->count == wish->most) {
        error_set(error, "%s holds more than %zu certificates; %s", path, wish->most,
                  wish->most_text);
        return false;
    }
    if ((content->count & (content->count - 1)) == 0) /* full: it grows by doubling */
        content->chain = memory_resize(content->chain, (content->count ? 2 * content->count : 1) *
                                                           sizeof(CRYPTO_BUFFER *));
    pthread_once(&intermediates_made, make_intermediates);
    CRYPTO_BUFFER *der = CRYPTO_BUFFER_new(block->der, (size_t)block->length,
                                           content->count > 0 ? intermediates : NULL);
    if (!der) {
        error_set(error, "out of memory while reading %s", path);
        return false;
    }
    content->chain[content->count++] = der;
    return true;
}

static void block_clear(struct pem_block *block)
{
    OPENSSL_free(block->name);
    OPENSSL_free(block->header);
    OPENSSL_free(block->der); /* which wipes it */
    block->name = block->header = NULL;
    block->der = NULL;
}

/* Takes one block; sets *at_end when there is none left. */
static bool take_block(BIO *bio, const struct pem_wish *wish, struct pem_block *block,
                       const char *path, struct pem_content *content, bool *at_end,
                       struct error *error)
{
    bool is_fine = true;

    ERR_clear_error();
    block->number++;
    if (!PEM_read_bio(bio, &block->name, &block->header, &block->der, &block->length)) {
        uint32_t failure = ERR_peek_error();

        *at_end = true;
        if (ERR_GET_LIB(failure) == ERR_LIB_PEM && ERR_GET_REASON(failure) == PEM_R_NO_START_LINE)
            return true;
        const char *reason = ERR_reason_error_string(failure);
        error_set(error, "%s: PEM block %u is broken: %s; is the file half written or cut?", path,
                  block->number, reason ? reason : "unreadable");
        return false;
    }
    if (is_certificate(block->name))
        is_fine = take_certificate(block, wish, path, content, error);
    else if (wish->wants_key && is_key(block->name) && !content->key)
        is_fine = take_key(block, path, content, error);
    block_clear(block);
    return is_fine;
}

static bool parse(struct slice bytes, const struct pem_wish *wish, const char *path,
                  struct pem_content *content, struct error *error)
{
    BIO *bio = BIO_new_mem_buf(bytes.at ? bytes.at : "", (int)bytes.len);
    struct pem_block block = {.number = 0};
    bool at_end = false, is_fine = bio != NULL;

    *content = (struct pem_content){.count = 0};
    if (!bio)
        error_set(error, "out of memory while reading %s", path);
    while (is_fine && !at_end)
        is_fine = take_block(bio, wish, &block, path, content, &at_end, error);
    BIO_free(bio);
    ERR_clear_error();
    if (!is_fine)
        pem_content_clear(content);
    return is_fine;
}

bool pem_parse(struct slice bytes, const char *path, struct pem_content *content,
               struct error *error)
{
    return parse(bytes, &chain_wish, path, content, error);
}

bool pem_parse_authorities(struct slice bytes, const char *path, struct pem_content *content,
                           struct error *error)
{
    return parse(bytes, &authorities_wish, path, content, error);
}

void pem_content_clear(struct pem_content *content)
{
    for (size_t i = 0; i < content->count; i++)
        CRYPTO_BUFFER_free(content->chain[i]);
    free(content->chain);
    EVP_PKEY_free(content->key);
    *content = (struct pem_content){.count = 0};
}
