/* Tokens (JWT) made while a test runs: key pairs, the sets of their public halves, and what is
 * signed with them, well or badly. */
#ifndef E2E_TOKENS_H
#define E2E_TOKENS_H

#include <stddef.h>

struct token_key;

enum token_kind { TOKEN_RSA, TOKEN_P256, TOKEN_P384, TOKEN_ED25519 };

/* All that is handed out here lives until the test ends. */
struct token_key *token_key_new(enum token_kind kind);
/* An RSA key of so many bits. */
struct token_key *token_key_rsa(unsigned bits);

/* Its public half as an entry of a set, "more" being members in front ('kid': 'a', with ' for ");
 * may be "". */
char *token_jwk(const struct token_key *key, const char *more);
/* Its public half as PEM. */
char *token_pem(const struct token_key *key);
/* { "keys": [ … ] } of such entries, up to a NULL. */
char *token_set(const char *first, ...);

/* In base64url, without padding. */
char *token_letters(const void *bytes, size_t count);
/* HEADER.CLAIMS.SIGNATURE with ' for " in both texts, signed as `alg` says (RS256 …), whatever the
 * header has. HS256 takes the key's PEM as its secret; "none" signs with nothing. */
char *token_sign(const struct token_key *key, const char *alg, const char *header,
                 const char *claims);
/* The usual header, and claims that are good for a minute: 'more' stands behind them, or is "". */
char *token_good(const struct token_key *key, const char *alg, const char *kid, const char *more);
/* Seconds of now and so many more. */
long long token_time(long long from_now);

#endif
