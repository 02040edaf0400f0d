#include "tls/tls_server.h"

#include "base/check.h"
#include "base/clock.h"
#include "tls/internal.h"

#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <stdlib.h>

struct tls_server {
    SSL_CTX *context;
    struct cert_store *store;
    struct ticket_keys *keys; /* borrowed */
    char *default_name;       /* normalised; NULL: none */
    bool reject_unknown_sni;
    uint8_t *alpn; /* in the wire's form */
    size_t alpn_bytes;
    struct client_policies *clients; /* NULL: none is asked for a certificate */
    tls_find_host *find_host;
    const void *hosts; /* borrowed */
};

SSL_CTX *tls_server_context(const struct tls_server *server)
{
    return server->context;
}

struct slice tls_server_alpn(const struct tls_server *server)
{
    return slice_make((const char *)server->alpn, server->alpn_bytes);
}

const struct cert_store *tls_server_certs(const struct tls_server *server)
{
    return server->store;
}

void tls_server_set_clients(struct tls_server *server, struct client_policies *policies,
                            tls_find_host *find, const void *hosts)
{
    assert(!server->clients);
    server->clients = policies;
    server->find_host = find;
    server->hosts = hosts;
}

const struct client_policies *tls_server_clients(const struct tls_server *server)
{
    return server->clients;
}

const struct client_policy *tls_server_policy_of_host(const struct tls_server *server,
                                                      struct slice host_key)
{
    static const struct client_policy nothing;

    return server->clients ? client_policies_find(server->clients, host_key) : &nothing;
}

/* `name` is normalised. */
static const struct client_policy *policy_of_name(const struct tls_server *server,
                                                  struct slice name)
{
    bool is_asked = server->clients && client_policies_ask(server->clients);

    return tls_server_policy_of_host(server, is_asked ? server->find_host(server->hosts, name)
                                                      : slice_make(NULL, 0));
}

const struct client_policy *tls_server_policy_of_sni(const struct tls_server *server,
                                                     struct slice sni)
{
    char room[TLS_NAME_MAX];

    return policy_of_name(server, tls_normalise_name(sni, room));
}

struct slice tls_normalise_name(struct slice text, char name[TLS_NAME_MAX])
{
    size_t label = 0;

    if (text.len > 0 && text.at[text.len - 1] == '.')
        text.len--;
    if (text.len > TLS_NAME_MAX)
        return slice_of("");
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];

        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        name[i] = c;
        if (c == '.') {
            if (label == 0)
                return slice_of("");
            label = 0;
            continue;
        }
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return slice_of("");
        if (++label > 63)
            return slice_of("");
    }
    return label > 0 ? slice_make(name, text.len) : slice_of("");
}

/* --- what a ClientHello can use --------------------------------------------------------------- */

/* The list of 16-bit numbers in an extension whose body is one such list; empty when it is missing
 * or malformed (BoringSSL refuses the latter a moment later). */
static CBS list_in_extension(const SSL_CLIENT_HELLO *hello, uint16_t extension, bool *is_there)
{
    const uint8_t *bytes;
    size_t length;
    CBS body, list;

    CBS_init(&list, NULL, 0);
    *is_there = SSL_early_callback_ctx_extension_get(hello, extension, &bytes, &length);
    if (!*is_there)
        return list;
    CBS_init(&body, bytes, length);
    if (extension == TLSEXT_TYPE_supported_versions) {
        if (!CBS_get_u8_length_prefixed(&body, &list))
            CBS_init(&list, NULL, 0);
    } else if (!CBS_get_u16_length_prefixed(&body, &list)) {
        CBS_init(&list, NULL, 0);
    }
    return list;
}

static bool offers(CBS list, uint16_t wanted)
{
    uint16_t value;

    while (CBS_get_u16(&list, &value)) {
        if (value == wanted)
            return true;
    }
    return false;
}

/* `wanted` ends with 0. */
static bool offers_any(CBS list, const uint16_t *wanted)
{
    for (; *wanted; wanted++) {
        if (offers(list, *wanted))
            return true;
    }
    return false;
}

/* TLS 1.3 ties a curve to each signature algorithm. */
static void read_tls13_wish(CBS algorithms, struct cert_wish *wish)
{
    static const uint16_t pss[] = {SSL_SIGN_RSA_PSS_RSAE_SHA256, SSL_SIGN_RSA_PSS_RSAE_SHA384,
                                   SSL_SIGN_RSA_PSS_RSAE_SHA512, 0};

    wish->has_ecdsa_p256 = offers(algorithms, SSL_SIGN_ECDSA_SECP256R1_SHA256);
    wish->has_ecdsa_p384 = offers(algorithms, SSL_SIGN_ECDSA_SECP384R1_SHA384);
    wish->has_ecdsa_p521 = offers(algorithms, SSL_SIGN_ECDSA_SECP521R1_SHA512);
    wish->has_ed25519 = offers(algorithms, SSL_SIGN_ED25519);
    wish->has_rsa = offers_any(algorithms, pss);
}

/* TLS 1.2 asks for a suite by the key's kind, and for the curve among the groups (RFC 8422 section
 * 5.1: without that extension the server may choose any). */
static void read_tls12_wish(const SSL_CLIENT_HELLO *hello, CBS algorithms, struct cert_wish *wish)
{
    static const uint16_t ecdsa_suites[] = {0xc02b, 0xc02c, 0xcca9, 0};
    static const uint16_t rsa_suites[] = {0xc02f, 0xc030, 0xcca8, 0};
    static const uint16_t ecdsa[] = {SSL_SIGN_ECDSA_SECP256R1_SHA256,
                                     SSL_SIGN_ECDSA_SECP384R1_SHA384,
                                     SSL_SIGN_ECDSA_SECP521R1_SHA512, 0};
    static const uint16_t rsa[] = {SSL_SIGN_RSA_PKCS1_SHA256,
                                   SSL_SIGN_RSA_PKCS1_SHA384,
                                   SSL_SIGN_RSA_PKCS1_SHA512,
                                   SSL_SIGN_RSA_PSS_RSAE_SHA256,
                                   SSL_SIGN_RSA_PSS_RSAE_SHA384,
                                   SSL_SIGN_RSA_PSS_RSAE_SHA512,
                                   0};
    bool has_groups;
    CBS groups = list_in_extension(hello, TLSEXT_TYPE_supported_groups, &has_groups), suites;

    CBS_init(&suites, hello->cipher_suites, hello->cipher_suites_len);
    bool has_suite = offers_any(suites, ecdsa_suites);
    bool has_ecdsa = has_suite && offers_any(algorithms, ecdsa);
    wish->has_ecdsa_p256 = has_ecdsa && (!has_groups || offers(groups, SSL_CURVE_SECP256R1));
    wish->has_ecdsa_p384 = has_ecdsa && (!has_groups || offers(groups, SSL_CURVE_SECP384R1));
    wish->has_ecdsa_p521 = has_ecdsa && (!has_groups || offers(groups, SSL_CURVE_SECP521R1));
    wish->has_ed25519 = has_suite && offers(algorithms, SSL_SIGN_ED25519);
    wish->has_rsa = offers_any(suites, rsa_suites) && offers_any(algorithms, rsa);
}

/* Which version the client and we would agree on: 0 for none. */
static uint16_t find_version(const SSL_CLIENT_HELLO *hello, uint16_t min_version)
{
    bool has_list;
    CBS versions = list_in_extension(hello, TLSEXT_TYPE_supported_versions, &has_list);
    bool has_tls12 = has_list ? offers(versions, TLS1_2_VERSION) : hello->version >= TLS1_2_VERSION;

    if (offers(versions, TLS1_3_VERSION))
        return TLS1_3_VERSION;
    return has_tls12 && min_version <= TLS1_2_VERSION ? TLS1_2_VERSION : 0;
}

static void read_wish(const SSL_CLIENT_HELLO *hello, uint16_t version, struct cert_wish *wish)
{
    bool is_there;
    CBS algorithms = list_in_extension(hello, TLSEXT_TYPE_signature_algorithms, &is_there);

    *wish = (struct cert_wish){.now = clock_wall_ms() / 1000};
    if (version == TLS1_3_VERSION)
        read_tls13_wish(algorithms, wish);
    else
        read_tls12_wish(hello, algorithms, wish);
}

/* --- callbacks of a handshake ----------------------------------------------------------------- */

/* What a ClientHello is answered. */
struct finding {
    struct certificate *certificate; /* borrowed; NULL: refused */
    struct slice name;               /* normalised; empty: none, or not a valid one */
    enum tls_refusal refusal;
    bool is_default;
};

static enum tls_refusal why_refused(struct slice sni, struct slice name, bool is_covered)
{
    if (is_covered)
        return TLS_REFUSAL_NOT_USABLE;
    if (slice_is_empty(sni))
        return TLS_REFUSAL_NO_NAME;
    return slice_is_empty(name) ? TLS_REFUSAL_INVALID_NAME : TLS_REFUSAL_UNKNOWN_NAME;
}

/* The name's certificate, or the default one. `sni` empty: there is none. */
static struct finding find_certificate(const struct tls_server *server, struct slice sni,
                                       struct cert_wish *wish, char room[TLS_NAME_MAX])
{
    struct finding found = {.name = tls_normalise_name(sni, room)};
    bool is_covered = false;

    wish->name = found.name;
    if (!slice_is_empty(found.name))
        found.certificate = cert_store_choose(server->store, wish, &is_covered);
    /* A client without SNI gets the default whatever `reject_unknown_sni` says. */
    if (!found.certificate && !is_covered && server->default_name &&
        (slice_is_empty(sni) || !server->reject_unknown_sni)) {
        wish->name = slice_of(server->default_name);
        found.certificate = cert_store_choose(server->store, wish, &is_covered);
        found.is_default = found.certificate != NULL;
    }
    if (!found.certificate)
        found.refusal = why_refused(sni, found.name, is_covered);
    return found;
}

/* The early callback: runs before BoringSSL has agreed on anything. */
static enum ssl_select_cert_result_t choose_certificate(const SSL_CLIENT_HELLO *hello)
{
    struct tls_choice *choice = tls_choice_of(hello->ssl);
    struct tls_handshake *handshake = choice->handshake;
    const char *sni = SSL_get_servername(hello->ssl, TLSEXT_NAMETYPE_host_name);
    char room[TLS_NAME_MAX];
    uint16_t version = find_version(hello, SSL_get_min_proto_version(hello->ssl));
    struct cert_wish wish;

    if (version == 0)
        return ssl_select_cert_success; /* BoringSSL refuses it with protocol_version */
    read_wish(hello, version, &wish);
    struct finding found =
        find_certificate(handshake->server, slice_of(sni ? sni : ""), &wish, room);
    choice->got_default = found.is_default;
    handshake->verdict = found.certificate                         ? TLS_VERDICT_SERVE
                         : found.refusal == TLS_REFUSAL_NOT_USABLE ? TLS_VERDICT_NOT_USABLE
                                                                   : TLS_VERDICT_UNKNOWN_NAME;
    /* Failing here sends handshake_failure; an unknown name is left to answer_servername. */
    if (handshake->verdict == TLS_VERDICT_UNKNOWN_NAME)
        return ssl_select_cert_success;
    if (!found.certificate || !SSL_set_SSL_CTX(hello->ssl, certificate_context(found.certificate)))
        return ssl_select_cert_error;
    choice->certificate = certificate_ref(found.certificate);
    if (!slice_is_empty(found.name)) {
        choice->sni = memory_try(found.name.len + 1);
        if (!choice->sni)
            return ssl_select_cert_error;
        slice_copy_text(found.name, choice->sni, found.name.len + 1);
    }
    return client_handshake_ask(hello->ssl, policy_of_name(handshake->server, found.name))
               ? ssl_select_cert_success
               : ssl_select_cert_error;
}

static int answer_servername(SSL *ssl, int *alert, void *nothing)
{
    (void)nothing;
    if (tls_choice_of(ssl)->handshake->verdict == TLS_VERDICT_SERVE)
        return SSL_TLSEXT_ERR_OK;
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int seal_or_open_ticket(SSL *ssl, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher,
                               HMAC_CTX *hmac, int seal)
{
    const struct tls_server *server = tls_choice_of(ssl)->handshake->server;

    return ticket_keys_apply(server->keys, name, iv, cipher, hmac, seal);
}

/* --- making one ------------------------------------------------------------------------------- */

#ifdef SSL_GROUP_X25519_MLKEM768 /* a BoringSSL of 2024 or newer */
static const char groups[] = "X25519MLKEM768:X25519:P-256:P-384";
#else
static const char groups[] = "X25519:P-256:P-384";
#endif

static bool set_up_context(struct tls_server *server, const struct tls_settings *settings)
{
    SSL_CTX *context = server->context = tls_context_new();
    uint16_t min_version = settings->min_version == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;

    if (!context || !SSL_CTX_set_min_proto_version(context, min_version) ||
        !SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) ||
        !SSL_CTX_set1_curves_list(context, groups))
        return false;
    SSL_CTX_set_select_certificate_cb(context, choose_certificate);
    SSL_CTX_set_tlsext_servername_callback(context, answer_servername);
    if (!settings->tickets) {
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
        return true;
    }
    SSL_CTX_set_tlsext_ticket_key_cb(context, seal_or_open_ticket);
    SSL_CTX_set_num_tickets(context, 1); /* each resumption brings the next one */
    uint64_t life_s = ticket_keys_life_s(server->keys);
    uint32_t timeout = life_s < UINT32_MAX ? (uint32_t)life_s : UINT32_MAX;
    SSL_CTX_set_timeout(context, timeout);
    SSL_CTX_set_session_psk_dhe_timeout(context, timeout);
    return true;
}

static void set_up_alpn(struct tls_server *server, const struct tls_settings *settings)
{
    size_t bytes = 0;

    for (size_t i = 0; i < settings->alpn_count; i++)
        bytes += 1 + strlen(settings->alpn[i]);
    server->alpn = memory_new(bytes + 1);
    for (size_t i = 0; i < settings->alpn_count; i++) {
        size_t length = strlen(settings->alpn[i]);

        assert(length > 0 && length < 256);
        server->alpn[server->alpn_bytes] = (uint8_t)length;
        memcpy(server->alpn + server->alpn_bytes + 1, settings->alpn[i], length);
        server->alpn_bytes += 1 + length;
    }
}

static bool set_up_default(struct tls_server *server, const struct tls_settings *settings,
                           struct error *error)
{
    char room[TLS_NAME_MAX];

    server->reject_unknown_sni = settings->reject_unknown_sni;
    if (!settings->default_name)
        return true;
    struct slice name = tls_normalise_name(slice_of(settings->default_name), room);
    if (slice_is_empty(name) || !cert_store_covers(server->store, name)) {
        error_set(error,
                  "no certificate covers the default name \"%s\"; name one that is in a "
                  "certificate's subjectAltName",
                  settings->default_name);
        return false;
    }
    server->default_name = slice_duplicate(name);
    return true;
}

struct tls_server *tls_server_new(const struct tls_settings *settings, struct cert_store *store,
                                  struct ticket_keys *keys, struct error *error)
{
    struct tls_server *server = memory_new(sizeof(*server));

    server->store = store;
    server->keys = keys;
    set_up_alpn(server, settings);
    if (!set_up_default(server, settings, error)) {
        tls_server_free(server);
        return NULL;
    }
    if (!set_up_context(server, settings)) {
        error_set(error, "the TLS library could not be set up: %s", tls_library_error());
        tls_server_free(server);
        return NULL;
    }
    return server;
}

void tls_server_free(struct tls_server *server)
{
    if (!server)
        return;
    SSL_CTX_free(server->context);
    cert_store_free(server->store);
    client_policies_free(server->clients);
    free(server->default_name);
    free(server->alpn);
    free(server);
}

struct tls_answer tls_server_answer(const struct tls_server *server, struct slice sni,
                                    const struct cert_wish *client)
{
    struct cert_wish wish =
        client ? *client : cert_wish_of_everything(slice_of(""), clock_wall_ms() / 1000);
    char room[TLS_NAME_MAX];

    if (!client)
        wish.now = clock_wall_ms() / 1000;
    struct finding found = find_certificate(server, sni, &wish, room);
    struct tls_answer answer = {.certificate = found.certificate, .refusal = found.refusal};
    if (!found.certificate) {
        answer.alert =
            found.refusal == TLS_REFUSAL_NOT_USABLE ? "handshake_failure" : "unrecognized_name";
        return answer;
    }
    answer.match = certificate_match(found.certificate, wish.name, &answer.san);
    if (found.is_default)
        answer.match = CERT_MATCH_DEFAULT;
    return answer;
}

struct certificate *tls_server_choose(const struct tls_server *server, struct slice name,
                                      const char **alert)
{
    struct tls_answer answer = tls_server_answer(server, name, NULL);

    if (alert && answer.alert)
        *alert = answer.alert;
    return answer.certificate;
}
