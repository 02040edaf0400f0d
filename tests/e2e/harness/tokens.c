#include "harness/tokens.h"

#include "harness/workplace.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct token_key {
    enum token_kind kind;
    EVP_PKEY *pair;
};

static void free_key(void *object)
{
    struct token_key *key = object;

    EVP_PKEY_free(key->pair);
    free(key);
}

static struct token_key *own_key(enum token_kind kind, EVP_PKEY *pair)
{
    struct token_key *key = calloc(1, sizeof(*key));

    workplace_require(key != NULL && pair != NULL, "no key");
    key->kind = kind;
    key->pair = pair;
    return workplace_own(key, free_key);
}

struct token_key *token_key_rsa(unsigned bits)
{
    return own_key(TOKEN_RSA, EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits));
}

struct token_key *token_key_new(enum token_kind kind)
{
    switch (kind) {
    case TOKEN_P256: return own_key(kind, EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"));
    case TOKEN_P384: return own_key(kind, EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384"));
    case TOKEN_ED25519: return own_key(kind, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    default: return token_key_rsa(2048);
    }
}

/* --- texts ------------------------------------------------------------------------------------ */

static char *with_quotes(const char *written)
{
    char *copy = text("%s", written);

    for (char *at = copy; *at != '\0'; at++)
        if (*at == '\'')
            *at = '"';
    return copy;
}

char *token_letters(const void *bytes, size_t count)
{
    char *letters = malloc(count * 4 / 3 + 8), *owned;
    size_t length;

    workplace_require(letters != NULL, "no memory");
    length = (size_t)EVP_EncodeBlock((unsigned char *)letters, bytes, (int)count);
    while (length > 0 && letters[length - 1] == '=')
        length--;
    letters[length] = '\0';
    for (size_t i = 0; i < length; i++)
        letters[i] = letters[i] == '+' ? '-' : letters[i] == '/' ? '_' : letters[i];
    owned = text("%s", letters);
    free(letters);
    return owned;
}

static char *number(const struct token_key *key, const char *name, int width)
{
    unsigned char bytes[1024];
    BIGNUM *value = NULL;

    workplace_require(EVP_PKEY_get_bn_param(key->pair, name, &value) == 1, "no %s", name);
    if (width == 0)
        width = BN_num_bytes(value);
    BN_bn2binpad(value, bytes, width);
    BN_free(value);
    return token_letters(bytes, (size_t)width);
}

char *token_jwk(const struct token_key *key, const char *more)
{
    int width = key->kind == TOKEN_P256 ? 32 : 48;
    const char *comma = more[0] != '\0' ? "," : "";
    unsigned char raw[32];
    size_t count = sizeof(raw);

    more = with_quotes(more);
    switch (key->kind) {
    case TOKEN_RSA:
        return text("{%s%s\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}", more, comma,
                    number(key, OSSL_PKEY_PARAM_RSA_N, 0), number(key, OSSL_PKEY_PARAM_RSA_E, 0));
    case TOKEN_ED25519:
        EVP_PKEY_get_raw_public_key(key->pair, raw, &count);
        return text("{%s%s\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}", more, comma,
                    token_letters(raw, count));
    default:
        return text("{%s%s\"kty\":\"EC\",\"crv\":\"P-%s\",\"x\":\"%s\",\"y\":\"%s\"}", more, comma,
                    key->kind == TOKEN_P256 ? "256" : "384",
                    number(key, OSSL_PKEY_PARAM_EC_PUB_X, width),
                    number(key, OSSL_PKEY_PARAM_EC_PUB_Y, width));
    }
}

char *token_pem(const struct token_key *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes, *copy;
    long length;

    PEM_write_bio_PUBKEY(bio, key->pair);
    length = BIO_get_mem_data(bio, &bytes);
    copy = text("%.*s", (int)length, bytes);
    BIO_free(bio);
    return copy;
}

char *token_set(const char *first, ...)
{
    char *set = text("{ \"keys\": [\n%s", first);
    const char *next;
    va_list rest;

    va_start(rest, first);
    while ((next = va_arg(rest, const char *)) != NULL)
        set = text("%s,\n%s", set, next);
    va_end(rest);
    return text("%s\n] }\n", set);
}

long long token_time(long long from_now)
{
    return (long long)time(NULL) + from_now;
}

/* --- signatures ------------------------------------------------------------------------------- */

static const EVP_MD *hash_of(const char *alg)
{
    if (strcmp(alg, "EdDSA") == 0)
        return NULL;
    return strstr(alg, "384") != NULL   ? EVP_sha384()
           : strstr(alg, "512") != NULL ? EVP_sha512()
                                        : EVP_sha256();
}

/* r and s side by side, out of what OpenSSL makes. */
static char *pair_letters(const struct token_key *key, const unsigned char *der, size_t length)
{
    int width = key->kind == TOKEN_P256 ? 32 : 48;
    unsigned char bytes[96];
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)length);

    workplace_require(pair != NULL, "no signature");
    BN_bn2binpad(ECDSA_SIG_get0_r(pair), bytes, width);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair), bytes + width, width);
    ECDSA_SIG_free(pair);
    return token_letters(bytes, 2 * (size_t)width);
}

static char *sign_with_pair(const struct token_key *key, const char *alg, const char *message)
{
    EVP_MD_CTX *signing = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options;
    unsigned char bytes[1024];
    size_t length = sizeof(bytes);

    workplace_require(EVP_DigestSignInit(signing, &options, hash_of(alg), NULL, key->pair) == 1,
                      "cannot sign %s", alg);
    if (alg[0] == 'P') {
        EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST);
    }
    workplace_require(EVP_DigestSign(signing, bytes, &length, (const unsigned char *)message,
                                     strlen(message)) == 1,
                      "cannot sign %s", alg);
    EVP_MD_CTX_free(signing);
    return key->kind == TOKEN_P256 || key->kind == TOKEN_P384 ? pair_letters(key, bytes, length)
                                                              : token_letters(bytes, length);
}

static char *signature(const struct token_key *key, const char *alg, const char *message)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    char *secret;

    if (strcmp(alg, "none") == 0)
        return text("%s", "");
    if (alg[0] != 'H')
        return sign_with_pair(key, alg, message);
    secret = token_pem(key);
    HMAC(hash_of(alg), secret, (int)strlen(secret), (const unsigned char *)message, strlen(message),
         bytes, &length);
    return token_letters(bytes, length);
}

char *token_sign(const struct token_key *key, const char *alg, const char *header,
                 const char *claims)
{
    const char *plain_header = with_quotes(header), *plain_claims = with_quotes(claims);
    char *message = text("%s.%s", token_letters(plain_header, strlen(plain_header)),
                         token_letters(plain_claims, strlen(plain_claims)));

    return text("%s.%s", message, signature(key, alg, message));
}

char *token_good(const struct token_key *key, const char *alg, const char *kid, const char *more)
{
    const char *header = kid != NULL ? text("{'alg':'%s','typ':'JWT','kid':'%s'}", alg, kid)
                                     : text("{'alg':'%s'}", alg);

    return token_sign(key, alg, header,
                      text("{'iss':'issuer','aud':'shop','sub':'alice','exp':%lld%s%s}",
                           token_time(60), more[0] != '\0' ? "," : "", more));
}
