#include "proxy/forwarded.h"

#include "config/client_ip.h"

static bool peer_is_trusted(const struct globals *globals, const struct client *client)
{
    struct address peer;

    if (globals->trusted_proxy_count == 0 || client->peer.any.sa_family == AF_UNIX)
        return false;
    peer = client_address(client);
    return client_ip_is_trusted(globals, &peer);
}

/* --- the request id ------------------------------------------------------------------------------
 */

static uint64_t next_random(struct proxy_env *env)
{
    /* xoroshiro128+: ids need to be unlike each other, not secret. */
    uint64_t a = env->random_state[0], b = env->random_state[1], sum = a + b;

    b ^= a;
    env->random_state[0] = ((a << 24) | (a >> 40)) ^ b ^ (b << 16);
    env->random_state[1] = (b << 37) | (b >> 27);
    return sum;
}

static struct slice make_request_id(struct proxy_env *env, struct arena *arena)
{
    static const char digits[] = "0123456789abcdef";
    char *text = arena_bytes(arena, 32);

    for (int half = 0; half < 2; half++) {
        uint64_t bits = next_random(env);
        for (int i = 0; i < 16; i++, bits >>= 4)
            text[half * 16 + i] = digits[bits & 15];
    }
    return slice_make(text, 32);
}

static bool is_sane_id(struct slice id)
{
    if (id.len < 1 || id.len > 128)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.at[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_alnum && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

void forwarded_facts(struct proxy_env *env, const struct globals *globals,
                     const struct client *client, struct arena *arena,
                     const struct http_fields *fields, struct origin_facts *facts)
{
    bool trusted = peer_is_trusted(globals, client);
    const struct http_field *id = trusted ? http_fields_get(fields, FIELD_X_REQUEST_ID) : NULL;

    *facts = (struct origin_facts){.client_ip = slice_of(client->peer_ip)};
    if (trusted)
        facts->client_ip = client_ip_find(globals, facts->client_ip, arena, fields);
    facts->request_id =
        id != NULL && is_sane_id(id->value) ? id->value : make_request_id(env, arena);
}

bool forwarded_is_https(const struct globals *globals, const struct client *client,
                        const struct http_fields *fields)
{
    const struct http_field *said = http_fields_get(fields, FIELD_X_FORWARDED_PROTO);
    struct slice list, first;

    if (said == NULL || !peer_is_trusted(globals, client))
        return client->is_tls;
    list = said->value;
    return slice_next_in_list(&list, &first) && slice_equal_nocase(first, slice_of("https"));
}

static bool contains_host(struct slice value)
{
    struct slice name = slice_of("host=");

    for (size_t i = 0; i + name.len <= value.len; i++)
        if (slice_equal_nocase(slice_make(value.at + i, name.len), name))
            return true;
    return false;
}

static bool is_scheme(struct slice value)
{
    return slice_equal_nocase(value, slice_of("http")) ||
           slice_equal_nocase(value, slice_of("https"));
}

bool forwarded_says_otherwise(const struct globals *globals, const struct client *client,
                              const struct http_head *request)
{
    unsigned schemes = 0;

    if (!peer_is_trusted(globals, client))
        return false;
    for (uint32_t i = 0; i < request->fields.count; i++) {
        struct slice value = request->fields.list[i].value;

        switch (request->fields.list[i].id) {
        case FIELD_FORWARDED:
            if (contains_host(value))
                return true;
            break;
        case FIELD_X_FORWARDED_HOST:
            if (!slice_equal(value, request->authority))
                return true;
            break;
        case FIELD_X_FORWARDED_PROTO:
            if (++schemes > 1 || !is_scheme(value))
                return true;
            break;
        default: break;
        }
    }
    return false;
}

/* --- the fields that backends see ----------------------------------------------------------------
 */

static bool is_forwarding_field(enum field_id id)
{
    switch (id) {
    case FIELD_FORWARDED:
    case FIELD_X_FORWARDED_FOR:
    case FIELD_X_FORWARDED_HOST:
    case FIELD_X_FORWARDED_OTHER:
    case FIELD_X_FORWARDED_PORT:
    case FIELD_X_FORWARDED_PROTO:
    case FIELD_X_REAL_IP: return true;
    default: return false;
    }
}

/* Keeps what a trusted peer said but for X-Forwarded-For, of which there shall be one. */
static void drop_fields(struct http_fields *fields, bool trusted)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < fields->count; i++) {
        enum field_id id = fields->list[i].id;
        bool drop = id == FIELD_HOST || id == FIELD_X_REQUEST_ID || id == FIELD_X_FORWARDED_FOR ||
                    id == FIELD_X_CLIENT_CERT || id == FIELD_LOOKALIKE ||
                    (!trusted && is_forwarding_field(id));
        if (!drop)
            fields->list[kept++] = fields->list[i];
    }
    fields->count = kept;
}

static struct slice forwarded_for(const struct client *client, struct arena *arena,
                                  const struct http_head *request, bool trusted)
{
    struct slice peer = slice_of(client->peer_ip);
    struct slice chain = slice_make("", 0);

    for (uint32_t i = 0; trusted && i < request->fields.count; i++) {
        struct slice value = request->fields.list[i].value;
        if (request->fields.list[i].id != FIELD_X_FORWARDED_FOR || value.len == 0)
            continue;
        chain = arena_printf(arena, "%.*s%s%.*s", (int)chain.len, chain.at,
                             chain.len > 0 ? ", " : "", (int)value.len, value.at);
    }
    if (chain.len == 0)
        return peer;
    return arena_printf(arena, "%.*s, %.*s", (int)chain.len, chain.at, (int)peer.len, peer.at);
}

static void add_unless_there(struct http_fields *fields, struct arena *arena, enum field_id id,
                             const char *name, struct slice value)
{
    if (http_fields_get(fields, id) == NULL)
        http_fields_add_id(fields, arena, id, slice_of(name), value);
}

static struct slice port_text(struct arena *arena, uint16_t port)
{
    char digits[8];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + port % 10);
        port /= 10;
    } while (port > 0);
    return arena_copy(arena, slice_make(digits + at, sizeof(digits) - at));
}

void forwarded_rewrite(const struct globals *globals, const struct client *client,
                       struct arena *arena, const struct http_head *request,
                       const struct origin_facts *facts, struct http_fields *fields)
{
    bool trusted = peer_is_trusted(globals, client);

    drop_fields(fields, trusted);
    http_fields_add_id(fields, arena, FIELD_X_FORWARDED_FOR, slice_of("X-Forwarded-For"),
                       forwarded_for(client, arena, request, trusted));
    add_unless_there(fields, arena, FIELD_X_FORWARDED_PROTO, "X-Forwarded-Proto",
                     slice_of(client->is_tls ? "https" : "http"));
    if (request->authority.len > 0)
        add_unless_there(fields, arena, FIELD_X_FORWARDED_HOST, "X-Forwarded-Host",
                         request->authority);
    add_unless_there(fields, arena, FIELD_X_FORWARDED_PORT, "X-Forwarded-Port",
                     port_text(arena, client->local_port));
    http_fields_add_id(fields, arena, FIELD_X_REQUEST_ID, slice_of("X-Request-Id"),
                       facts->request_id);
    if (facts->cert_fingerprint.len > 0)
        http_fields_add_id(fields, arena, FIELD_X_CLIENT_CERT,
                           slice_of("X-Client-Cert-Fingerprint"), facts->cert_fingerprint);
    if (facts->cert_subject.len > 0)
        http_fields_add_id(fields, arena, FIELD_X_CLIENT_CERT, slice_of("X-Client-Cert-Subject"),
                           facts->cert_subject);
}

static bool is_ip(const union client_end *end)
{
    return end->any.sa_family == AF_INET || end->any.sa_family == AF_INET6;
}

void forwarded_header(const struct client *client, const struct origin_facts *facts,
                      struct proxy_header *header)
{
    header->names_ends = is_ip(&client->peer) && is_ip(&client->local);
    header->source = client_address(client);
    header->destination = client_end_address(&client->local);
    if (!slice_equal(facts->client_ip, slice_of(client->peer_ip)) &&
        !address_parse_ip(facts->client_ip, 0, &header->source))
        header->names_ends = false;
}
