/* `auth` by JSON Web Tokens: which are taken, which are refused, and what backends are told. */
#include "harness/json_log.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/tokens.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <string.h>

E2E_SUITE(jwt);

#define CHALLENGE "Bearer realm=\"a.test\""
#define RULES     "'issuer': 'issuer', 'audience': ['other', 'shop'], 'copy': { 'sub': 'X-User' }"

static void write_keys(const char *set)
{
    workplace_write(workplace_path("jwks.json"), set, strlen(set));
}

/* a.test asks for tokens as `jwt` says, b.test for nothing. */
static struct gateway *start(const struct origin *origin, const char *jwt)
{
    return gateway_start("{ @base, 'routes': {"
                         "'b.test': '%s', 'a.test': { 'to': '%s', 'auth': { 'jwt': { %s } } } } }",
                         origin_address(origin), origin_address(origin), jwt);
}

/* --- asking -------------------------------------------------------------------------------------
 */

static struct message *ask(struct client *client, const char *fields)
{
    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\n%s\r\n", fields);
    return client_response(client);
}

static struct message *ask_with(struct client *client, const char *token)
{
    return ask(client, text("Authorization: Bearer %s\r\n", token));
}

static void expect_unauthorized(const struct message *response, const char *challenge,
                                const char *what)
{
    const char *is = message_field(response, "WWW-Authenticate");

    workplace_require(response->status == 401, "%s: %d, not 401", what, response->status);
    expect_refusal(response, 401, "unauthorized");
    workplace_require(is != NULL && strcmp(is, challenge) == 0, "%s: %s", what,
                      is ? is : "nothing");
}

static void expect_refused(struct client *client, const char *what, const char *token)
{
    expect_unauthorized(ask_with(client, token), CHALLENGE ", error=\"invalid_token\"", what);
}

static void expect_taken(struct client *client, const char *what, const char *token)
{
    struct message *response = ask_with(client, token);

    workplace_require(response->status == 200, "%s: %d, not 200", what, response->status);
    expect_from(response, "o");
}

/* --- good ones ----------------------------------------------------------------------------------
 */

static const struct {
    const char *alg;
    enum token_kind kind;
} schemes[] = {
    {"RS256", TOKEN_RSA},  {"RS384", TOKEN_RSA},  {"RS512", TOKEN_RSA},     {"PS256", TOKEN_RSA},
    {"ES256", TOKEN_P256}, {"ES384", TOKEN_P384}, {"EdDSA", TOKEN_ED25519},
};
enum { SCHEMES = sizeof(schemes) / sizeof(schemes[0]) };

struct pairs {
    struct token_key *of[4]; /* by enum token_kind */
};

static struct pairs make_pairs(void)
{
    struct pairs pairs;

    for (enum token_kind kind = TOKEN_RSA; kind <= TOKEN_ED25519; kind++)
        pairs.of[kind] = token_key_new(kind);
    return pairs;
}

static char *set_of(const struct pairs *pairs)
{
    return token_set(token_jwk(pairs->of[TOKEN_RSA], "'kid':'rsa','use':'sig'"),
                     token_jwk(pairs->of[TOKEN_P256], "'kid':'p256','alg':'ES256'"),
                     token_jwk(pairs->of[TOKEN_P384], "'kid':'p384','key_ops':['verify']"),
                     token_jwk(pairs->of[TOKEN_ED25519], "'kid':'ed'"), NULL);
}

static const char *const kids[] = {"rsa", "p256", "p384", "ed"};

Test(jwt, good_tokens_of_each_algorithm_pass)
{
    struct pairs pairs = make_pairs();
    struct origin *origin = origin_start("o");
    write_keys(set_of(&pairs));
    struct gateway *gateway = start(origin, "'keys': 'jwks.json', " RULES);
    struct client *client = client_open(gateway, "a.test");

    for (int i = 0; i < SCHEMES; i++) {
        struct token_key *key = pairs.of[schemes[i].kind];
        const char *alg = schemes[i].alg;
        expect_taken(client, alg, token_good(key, alg, kids[schemes[i].kind], ""));
        expect_field(origin_last_request(origin), "X-User", "alice");
        expect_taken(client, text("%s without a kid", alg), token_good(key, alg, NULL, ""));
    }
    /* A token that was good a moment ago, twice more. */
    char *token = token_good(pairs.of[TOKEN_P256], "ES256", "p256", "'n':1");
    for (int i = 0; i < 3; i++) {
        expect_taken(client, "again", token);
        expect_field(origin_last_request(origin), "X-User", "alice");
    }
    client_close(client);
    gateway_stop(gateway);
}

/* --- bad ones -----------------------------------------------------------------------------------
 */

/* With that header and those claims, signed in order. */
struct said {
    const char *what, *alg, *header, *claims;
};

static char *claims(long long exp, const char *rest)
{
    return text("{'iss':'issuer','aud':'shop','sub':'alice','exp':%lld%s}", token_time(exp), rest);
}

static void refuse_claims(struct client *client, const struct token_key *key)
{
    const struct {
        const char *what, *claims;
    } cases[] = {
        {"expired", claims(-60, "")},
        {"without exp", "{'iss':'issuer','aud':'shop','sub':'alice'}"},
        {"exp is a text", "{'iss':'issuer','aud':'shop','exp':'99999999999'}"},
        {"exp is beyond all time", "{'iss':'issuer','aud':'shop','exp':1e300}"},
        {"exp is negative", "{'iss':'issuer','aud':'shop','exp':-1}"},
        {"not yet valid", claims(600, text(",'nbf':%lld", token_time(300)))},
        {"issued in the future", claims(600, text(",'iat':%lld", token_time(300)))},
        {"nbf is a text", claims(600, ",'nbf':'0'")},
        {"iat is null", claims(600, ",'iat':null")},
        {"wrong issuer", text("{'iss':'Issuer','aud':'shop','exp':%lld}", token_time(60))},
        {"no issuer", text("{'aud':'shop','exp':%lld}", token_time(60))},
        {"issuer is a list", text("{'iss':['issuer'],'aud':'shop','exp':%lld}", token_time(60))},
        {"wrong audience", text("{'iss':'issuer','aud':'shops','exp':%lld}", token_time(60))},
        {"no audience", text("{'iss':'issuer','exp':%lld}", token_time(60))},
        {"audiences of others",
         text("{'iss':'issuer','aud':['a',['shop'],1],'exp':%lld}", token_time(60))},
        {"a claim twice", claims(60, ",'exp':99999999999")},
        {"a claim twice, escaped", claims(60, ",'\\u0065xp':99999999999")},
        {"a control in a claim", text("{'iss':'issuer','aud':'shop','exp':%lld,"
                                      "'sub':'a\\r\\nX-Role: admin'}",
                                      token_time(60))},
        {"a list for claims", "[1]"},
        {"no claims", "{}"},
        {"no JSON", "{'exp':99999999999"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_refused(client, cases[i].what,
                       token_sign(key, "ES256", "{'alg':'ES256','kid':'p256'}", cases[i].claims));
}

static void refuse_headers(struct client *client, const struct pairs *pairs)
{
    const struct {
        const char *what, *alg, *header;
        enum token_kind kind;
    } cases[] = {
        {"none", "none", "{'alg':'none'}", TOKEN_RSA},
        {"None, signed", "ES256", "{'alg':'None','kid':'p256'}", TOKEN_P256},
        {"none, signed", "ES256", "{'alg':'none','kid':'p256'}", TOKEN_P256},
        {"HS256 with the public key", "HS256", "{'alg':'HS256','kid':'rsa'}", TOKEN_RSA},
        {"HS384 with the public key", "HS384", "{'alg':'HS384'}", TOKEN_RSA},
        {"RS256 that is HS256", "HS256", "{'alg':'RS256','kid':'rsa'}", TOKEN_RSA},
        {"RS256 by the EC key", "ES256", "{'alg':'RS256','kid':'p256'}", TOKEN_P256},
        {"RS256 by the EC key, named RSA", "ES256", "{'alg':'RS256','kid':'rsa'}", TOKEN_P256},
        {"ES256 by the RSA key", "RS256", "{'alg':'ES256','kid':'rsa'}", TOKEN_RSA},
        {"ES256 by P-384", "ES384", "{'alg':'ES256','kid':'p384'}", TOKEN_P384},
        {"RS256 that is PS256", "PS256", "{'alg':'RS256','kid':'rsa'}", TOKEN_RSA},
        {"RS512 that is RS256", "RS256", "{'alg':'RS512','kid':'rsa'}", TOKEN_RSA},
        {"PS384", "PS384", "{'alg':'PS384','kid':'rsa'}", TOKEN_RSA},
        {"no alg", "ES256", "{'kid':'p256'}", TOKEN_P256},
        {"alg is a list", "ES256", "{'alg':['ES256'],'kid':'p256'}", TOKEN_P256},
        {"alg in lower case", "ES256", "{'alg':'es256','kid':'p256'}", TOKEN_P256},
        {"alg twice", "ES256", "{'alg':'none','alg':'ES256','kid':'p256'}", TOKEN_P256},
        {"crit", "ES256", "{'alg':'ES256','kid':'p256','crit':['b64'],'b64':true}", TOKEN_P256},
        {"kid is a number", "ES256", "{'alg':'ES256','kid':1}", TOKEN_P256},
        {"unknown kid", "ES256", "{'alg':'ES256','kid':'p257'}", TOKEN_P256},
        {"kid of another key", "ES256", "{'alg':'ES256','kid':'ed'}", TOKEN_P256},
        {"header is a text", "ES256", "'ES256'", TOKEN_P256},
        {"header is no JSON", "ES256", "{'alg':'ES256','kid':'p256',}", TOKEN_P256},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_refused(
            client, cases[i].what,
            token_sign(pairs->of[cases[i].kind], cases[i].alg, cases[i].header, claims(60, "")));
}

static char *spoilt(const char *token, size_t at, char letter)
{
    char *copy = text("%s", token);

    copy[at] = letter;
    return copy;
}

static void refuse_letters(struct client *client, const struct token_key *key)
{
    char *good = token_good(key, "ES256", "p256", "");
    size_t length = strlen(good), dot = (size_t)(strchr(good, '.') - good);
    char *end = strrchr(good, '.'), last = good[length - 1];
    const struct {
        const char *what, *token;
    } cases[] = {
        {"truncated by a letter", text("%.*s", (int)length - 1, good)},
        {"truncated by a byte", text("%.*s", (int)length - 4, good)},
        {"without a signature", text("%.*s", (int)(end - good) + 1, good)},
        {"without its dot", text("%.*s", (int)(end - good), good)},
        {"padded", text("%s=", good)},
        {"padded twice", text("%s==", good)},
        {"padded inside", text("%.*s==%s", (int)(end - good), good, end)},
        {"a fourth part", text("%s.", good)},
        {"five parts", text("%s.a.b", good)},
        {"an empty part in front", text(".%s", good)},
        {"a signature's bit", spoilt(good, length - 10, good[length - 10] == 'A' ? 'B' : 'A')},
        {"a claim's letter", spoilt(good, dot + 5, good[dot + 5] == 'A' ? 'B' : 'A')},
        /* 64 bytes leave four bits of the last letter unused. */
        {"another last letter", spoilt(good, length - 1, (char)(last == 'z' ? 'y' : last + 1))},
        {"a letter of plain base64", spoilt(good, length - 10, '+')},
        {"a blank inside", spoilt(good, length - 10, ' ')},
        {"two tokens", text("%s, %s", good, good)},
        {"quotes", text("\"%s\"", good)},
        {"one dot", "."},
        {"dots", ".."},
        {"no token at all", "x"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_refused(client, cases[i].what, cases[i].token);
    expect_taken(client, "the good one", good);
}

Test(jwt, what_is_wrong_with_a_token_is_found)
{
    struct pairs pairs = make_pairs();
    struct token_key *stranger = token_key_new(TOKEN_P256), *rsa = token_key_new(TOKEN_RSA);
    struct origin *origin = origin_start("o");
    write_keys(set_of(&pairs));
    struct gateway *gateway = start(origin, "'keys': 'jwks.json', 'leeway': 0, " RULES);
    struct client *client = client_open(gateway, "a.test");

    refuse_claims(client, pairs.of[TOKEN_P256]);
    refuse_headers(client, &pairs);
    expect_refused(client, "another key", token_good(stranger, "ES256", "p256", ""));
    expect_refused(client, "another key, not named", token_good(stranger, "ES256", NULL, ""));
    expect_refused(client, "another RSA key", token_good(rsa, "RS256", "rsa", ""));
    cr_assert_eq(origin_requests(origin), 0);
    refuse_letters(client, pairs.of[TOKEN_P256]);
    cr_assert_eq(origin_requests(origin), 1);
    client_close(client);
    gateway_stop(gateway);
}

Test(jwt, the_log_says_why_and_never_what)
{
    struct pairs pairs = make_pairs();
    struct origin *origin = origin_start("o");
    write_keys(set_of(&pairs));
    struct gateway *gateway =
        gateway_start("{ 'listen': { 'https': '127.0.0.1:0', 'status': '127.0.0.1:0', 'admin': "
                      "'unix:@tmp/admin.sock' }, 'certs': 'certs',"
                      "'log': { 'format': 'json', 'level': 'debug' }, 'routes': {"
                      "'a.test': { 'to': '%s', 'auth': { 'jwt': { 'keys': 'jwks.json' } } } } }",
                      origin_address(origin));
    char *token =
        token_sign(pairs.of[TOKEN_P256], "ES256", "{'alg':'ES256','kid':'p256'}", claims(-100, ""));
    struct client *client = client_open(gateway, "a.test");

    expect_refused(client, "expired", token);
    json_t *entry = log_entry(gateway, 0);
    expect_string(entry, "reason", "unauthorized");
    expect_number(entry, "status", 401);
    gateway_wait_stderr(gateway, "it is out of date", NULL);
    cr_assert_null(strstr(gateway_stderr(gateway), strrchr(token, '.') + 1));
    cr_assert_null(strstr(gateway_stderr(gateway), "alice"));
    expect_taken(client, "good", token_good(pairs.of[TOKEN_P256], "ES256", NULL, ""));
    const char *metrics = ask_plain(gateway_address(gateway, "status", 0), "GET", "/metrics")->body;
    cr_assert(strstr(metrics, "sallyport_policy_decisions_total{policy=\"auth\",route=\"a.test\","
                              "outcome=\"refused\"} 1\n"));
    cr_assert(strstr(metrics, "sallyport_policy_decisions_total{policy=\"auth\",route=\"a.test\","
                              "outcome=\"allowed\"} 1\n"));
    client_close(client);
    gateway_stop(gateway);
}

Test(jwt, sixty_four_kibibytes_are_no_token)
{
    struct token_key *key = token_key_new(TOKEN_P256);
    struct origin *origin = origin_start("o");
    char *filling = text("%065536d", 0);
    write_keys(token_set(token_jwk(key, ""), NULL));
    struct gateway *gateway = gateway_start(
        "{ @base, 'defaults': { 'limits': { 'header_bytes': '256KiB' } },"
        "'routes': { 'a.test': { 'to': '%s', 'auth': { 'jwt': { 'keys': 'jwks.json' } } } } }",
        origin_address(origin));
    struct client *client = client_open(gateway, "a.test");
    char *large = token_good(key, "ES256", NULL, text("'filling':'%.6000s'", filling));

    cr_assert_gt(strlen(large), 8192);
    expect_refused(client, "more than 8 KiB", large);
    expect_refused(client, "64 KiB",
                   token_good(key, "ES256", NULL, text("'filling':'%.49000s'", filling)));
    expect_refused(client, "64 KiB of letters", filling);
    expect_taken(client, "nearly 8 KiB",
                 token_good(key, "ES256", NULL, text("'filling':'%.5800s'", filling)));
    expect_refused(
        client, "a header of 3 KiB",
        token_sign(key, "ES256", text("{'alg':'ES256','x':'%.3000s'}", filling), claims(60, "")));
    client_close(client);
    gateway_stop(gateway);
}

/* --- where a token may be, and what is said without one -----------------------------------------
 */

Test(jwt, without_a_token_the_client_is_told_to_bring_one)
{
    struct token_key *key = token_key_new(TOKEN_P256);
    struct origin *origin = origin_start("o");
    write_keys(token_set(token_jwk(key, ""), NULL));
    struct gateway *gateway = start(origin, "'keys': 'jwks.json'");
    struct client *client = client_open(gateway, "a.test");
    char *token = token_good(key, "ES256", NULL, "");

    expect_unauthorized(ask(client, ""), CHALLENGE, "nothing");
    expect_unauthorized(ask(client, "Authorization: Basic YTpi\r\n"), CHALLENGE, "another scheme");
    expect_unauthorized(ask(client, text("Authorization: BearerX %s\r\n", token)), CHALLENGE,
                        "a scheme that begins alike");
    expect_unauthorized(ask(client, text("Cookie: session=%s\r\n", token)), CHALLENGE,
                        "a cookie that nobody asked for");
    expect_unauthorized(ask(client, "Authorization: Bearer\r\n"),
                        CHALLENGE ", error=\"invalid_token\"", "an empty one");
    expect_unauthorized(
        ask(client, text("Authorization: Bearer %s\r\nAuthorization: Bearer %s\r\n", token, token)),
        CHALLENGE ", error=\"invalid_token\"", "two fields");
    expect_from(ask(client, text("authorization: bEARER  %s \r\n", token)), "o");
    expect_field(origin_last_request(origin), "Authorization", text("bEARER  %s", token));
    cr_assert_eq(origin_requests(origin), 1);
    expect_from(fetch(gateway, "b.test", "/"), "o");
    client_close(client);
    gateway_stop(gateway);
}

Test(jwt, a_cookie_holds_one_where_the_route_says_so)
{
    struct token_key *key = token_key_new(TOKEN_ED25519);
    struct origin *origin = origin_start("o");
    write_keys(token_set(token_jwk(key, ""), NULL));
    struct gateway *gateway = start(origin, "'keys': 'jwks.json', 'cookie': 'session'");
    struct client *client = client_open(gateway, "a.test");
    char *good = token_good(key, "EdDSA", NULL, "");
    char *bad = token_sign(key, "EdDSA", "{'alg':'EdDSA'}", claims(-60, ""));

    expect_from(ask(client, text("Cookie: a=b; session=%s; c=d\r\n", good)), "o");
    expect_taken(client, "a field as well", good);
    expect_unauthorized(ask(client, "Cookie: Session=x\r\n"), CHALLENGE, "another name");
    expect_unauthorized(ask(client, text("Cookie: session=%s\r\n", bad)),
                        CHALLENGE ", error=\"invalid_token\"", "expired");
    /* The field is what counts, where there is one. */
    expect_unauthorized(
        ask(client, text("Authorization: Bearer %s\r\nCookie: session=%s\r\n", bad, good)),
        CHALLENGE ", error=\"invalid_token\"", "a bad field beside it");
    expect_from(ask(client, text("Authorization: Basic YTpi\r\nCookie: session=%s\r\n", good)),
                "o");
    client_close(client);
    gateway_stop(gateway);
}

/* --- what backends are told ---------------------------------------------------------------------
 */

Test(jwt, claims_reach_the_backend_and_clients_cannot_say_them)
{
    struct token_key *key = token_key_new(TOKEN_P256);
    struct origin *origin = origin_start("o");
    write_keys(token_set(token_jwk(key, ""), NULL));
    struct gateway *gateway = start(
        origin, "'keys': 'jwks.json', 'copy': { 'sub': 'X-User', 'level': 'X-Level', 'admin': "
                "'X-Admin', 'https://a.test/mail': 'X-Mail', 'roles': 'X-Roles', 'no': 'X-No' }");
    struct client *client = client_open(gateway, "a.test");
    char *token = token_good(key, "ES256", NULL,
                             "'level':4.50,'admin':true,'https://a.test/mail':'J\xc3\xbcrgen',"
                             "'roles':['a','b']");

    for (int i = 0; i < 2; i++) { /* verified, and remembered */
        expect_from(ask(client, text("Authorization: Bearer %s\r\nX-User: root\r\nx-user: root\r\n"
                                     "X-Roles: all\r\nX-No: yes\r\nX-Other: mine\r\n",
                                     token)),
                    "o");
        struct message *seen = origin_last_request(origin);
        expect_field(seen, "X-User", "alice");
        cr_assert_eq(field_count(&seen->fields, "X-User"), 1);
        expect_field(seen, "X-Level", "4.50");
        expect_field(seen, "X-Admin", "true");
        expect_field(seen, "X-Mail", "J\xc3\xbcrgen");
        expect_no_field(seen, "X-Roles");
        expect_no_field(seen, "X-No");
        expect_field(seen, "X-Other", "mine");
    }
    client_close(client);
    gateway_stop(gateway);
}
