#include "tls/public_key.h"

#include "base/check.h"

#include <openssl/bn.h>
#include <openssl/curve25519.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>

#include <stdlib.h>

struct public_key {
    enum public_key_kind kind;
    RSA *rsa;
    EC_KEY *ec;
    uint8_t ed25519[ED25519_PUBLIC_KEY_LEN];
};

static const struct {
    const char *name;
    enum public_key_kind kind;
    int hash; /* a NID */
} schemes[SIGNATURE_SCHEMES] = {
    [SIGNATURE_RS256] = {"RS256", PUBLIC_KEY_RSA, NID_sha256},
    [SIGNATURE_RS384] = {"RS384", PUBLIC_KEY_RSA, NID_sha384},
    [SIGNATURE_RS512] = {"RS512", PUBLIC_KEY_RSA, NID_sha512},
    [SIGNATURE_PS256] = {"PS256", PUBLIC_KEY_RSA, NID_sha256},
    [SIGNATURE_ES256] = {"ES256", PUBLIC_KEY_P256, NID_sha256},
    [SIGNATURE_ES384] = {"ES384", PUBLIC_KEY_P384, NID_sha384},
    [SIGNATURE_EDDSA] = {"EdDSA", PUBLIC_KEY_ED25519, NID_undef},
};

bool signature_scheme_from(struct slice name, enum signature_scheme *scheme)
{
    for (enum signature_scheme each = 0; each < SIGNATURE_SCHEMES; each++)
        if (slice_equal(name, slice_of(schemes[each].name))) {
            *scheme = each;
            return true;
        }
    return false;
}

const char *signature_scheme_name(enum signature_scheme scheme)
{
    assert(scheme < SIGNATURE_SCHEMES);
    return schemes[scheme].name;
}

/* --- keys ----------------------------------------------------------------------------------- */

static struct public_key *fail(struct public_key *key, const char **why, const char *what)
{
    *why = what;
    ERR_clear_error();
    public_key_free(key);
    return NULL;
}

static struct public_key *new_key(enum public_key_kind kind)
{
    struct public_key *key = memory_new(sizeof(*key));

    key->kind = kind;
    return key;
}

/* What BoringSSL would run out of memory for is left NULL, and found so. */
static BIGNUM *number(struct slice bytes)
{
    return BN_bin2bn((const uint8_t *)bytes.at, bytes.len, NULL);
}

struct public_key *public_key_new_rsa(struct slice modulus, struct slice exponent, const char **why)
{
    struct public_key *key = new_key(PUBLIC_KEY_RSA);
    BIGNUM *n, *e;
    unsigned bits;

    if (modulus.len > PUBLIC_KEY_BYTES_MOST || exponent.len > PUBLIC_KEY_BYTES_MOST)
        return fail(key, why, "the key is longer than 8192 bits");
    n = number(modulus);
    e = number(exponent);
    key->rsa = RSA_new();
    if (n == NULL || e == NULL || key->rsa == NULL || !RSA_set0_key(key->rsa, n, e, NULL)) {
        BN_free(n);
        BN_free(e);
        return fail(key, why, "there is no memory for it");
    }
    bits = BN_num_bits(n);
    if (bits < PUBLIC_KEY_RSA_BITS_LEAST)
        return fail(key, why, "an RSA key of less than 2048 bits is too weak");
    if (!BN_is_odd(n) || !BN_is_odd(e) || BN_num_bits(e) < 2 || BN_num_bits(e) > 33)
        return fail(key, why, "\"n\" and \"e\" are no RSA key");
    return key;
}

struct public_key *public_key_new_ec(enum public_key_kind curve, struct slice x, struct slice y,
                                     const char **why)
{
    struct public_key *key = new_key(curve);
    size_t width = curve == PUBLIC_KEY_P256 ? 32 : 48;
    uint8_t point[1 + 2 * 48] = {POINT_CONVERSION_UNCOMPRESSED};

    assert(curve == PUBLIC_KEY_P256 || curve == PUBLIC_KEY_P384);
    if (x.len != width || y.len != width) /* RFC 7518 section 6.2.1.2 */
        return fail(key, why, "\"x\" and \"y\" have as many bytes as their curve: 32 or 48");
    memcpy(point + 1, x.at, width);
    memcpy(point + 1 + width, y.at, width);
    key->ec =
        EC_KEY_new_by_curve_name(curve == PUBLIC_KEY_P256 ? NID_X9_62_prime256v1 : NID_secp384r1);
    if (key->ec == NULL || !EC_KEY_oct2key(key->ec, point, 1 + 2 * width, NULL))
        return fail(key, why, "\"x\" and \"y\" are no point of the curve");
    return key;
}

struct public_key *public_key_new_ed25519(struct slice x, const char **why)
{
    struct public_key *key = new_key(PUBLIC_KEY_ED25519);

    if (x.len != sizeof(key->ed25519))
        return fail(key, why, "\"x\" of an Ed25519 key has 32 bytes");
    memcpy(key->ed25519, x.at, x.len);
    return key;
}

void public_key_free(struct public_key *key)
{
    if (key == NULL)
        return;
    RSA_free(key->rsa);
    EC_KEY_free(key->ec);
    free(key);
}

enum public_key_kind public_key_kind(const struct public_key *key)
{
    return key->kind;
}

/* --- signatures ----------------------------------------------------------------------------- */

bool public_key_fits(const struct public_key *key, enum signature_scheme scheme)
{
    assert(scheme < SIGNATURE_SCHEMES);
    return schemes[scheme].kind == key->kind;
}

static size_t digest_of(int hash, struct slice message, uint8_t digest[SHA512_DIGEST_LENGTH])
{
    const uint8_t *bytes = (const uint8_t *)message.at;

    switch (hash) {
    case NID_sha256: SHA256(bytes, message.len, digest); return SHA256_DIGEST_LENGTH;
    case NID_sha384: SHA384(bytes, message.len, digest); return SHA384_DIGEST_LENGTH;
    default: SHA512(bytes, message.len, digest); return SHA512_DIGEST_LENGTH;
    }
}

static bool verify_ec(const struct public_key *key, const uint8_t *digest, size_t digest_bytes,
                      struct slice signature)
{
    size_t width = key->kind == PUBLIC_KEY_P256 ? 32 : 48;
    ECDSA_SIG *pair;
    BIGNUM *r, *s;
    bool is_good = false;

    if (signature.len != 2 * width)
        return false;
    pair = ECDSA_SIG_new();
    r = number(slice_make(signature.at, width));
    s = number(slice_skip(signature, width));
    if (pair != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(pair, r, s)) {
        r = s = NULL;
        is_good = ECDSA_do_verify(digest, digest_bytes, pair, key->ec) == 1;
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return is_good;
}

/* Salted with as many bytes as the hash has (RFC 7518 section 3.5). */
static bool verify_pss(const struct public_key *key, const uint8_t *digest, size_t digest_bytes,
                       struct slice signature)
{
    return RSA_verify_pss_mgf1(key->rsa, digest, digest_bytes, EVP_sha256(), EVP_sha256(),
                               (int)digest_bytes, (const uint8_t *)signature.at,
                               signature.len) == 1;
}

bool public_key_verify(const struct public_key *key, enum signature_scheme scheme,
                       struct slice message, struct slice signature)
{
    const uint8_t *bytes = (const uint8_t *)signature.at;
    uint8_t digest[SHA512_DIGEST_LENGTH];
    size_t digest_bytes;
    bool is_good;

    if (!public_key_fits(key, scheme))
        return false;
    if (scheme == SIGNATURE_EDDSA)
        return signature.len == ED25519_SIGNATURE_LEN &&
               ED25519_verify((const uint8_t *)message.at, message.len, bytes, key->ed25519) == 1;
    digest_bytes = digest_of(schemes[scheme].hash, message, digest);
    if (key->kind != PUBLIC_KEY_RSA)
        is_good = verify_ec(key, digest, digest_bytes, signature);
    else if (signature.len != RSA_size(key->rsa)) /* RFC 8017 section 8.1.2 */
        is_good = false;
    else if (scheme == SIGNATURE_PS256)
        is_good = verify_pss(key, digest, digest_bytes, signature);
    else
        is_good = RSA_verify(schemes[scheme].hash, digest, digest_bytes, bytes, signature.len,
                             key->rsa) == 1;
    if (!is_good)
        ERR_clear_error();
    return is_good;
}
