#include "proxy/sticky.h"

#include "base/table.h"
#include "http/cookie.h"

/* By how much the clocks of gateways that share a key may differ. */
enum { FUTURE_MOST_S = 60 };

static struct slice key_of(const struct sticky_issuer *issuer)
{
    return issuer->spec->key.len > 0 ? issuer->spec->key : issuer->process_key;
}

/* A part of a second is a whole one: 0 is no end. */
static uint64_t ttl_s(const struct sticky_issuer *issuer)
{
    return (issuer->spec->ttl_ms + 999) / 1000;
}

/* --- values --------------------------------------------------------------------------------- */

static void put_number(uint8_t *bytes, unsigned count, uint64_t number)
{
    for (unsigned i = count; i-- > 0; number >>= 8)
        bytes[i] = (uint8_t)number;
}

static uint64_t get_number(const uint8_t *bytes, unsigned count)
{
    uint64_t number = 0;

    for (unsigned i = 0; i < count; i++)
        number = number << 8 | bytes[i];
    return number;
}

void sticky_value_write(const struct sticky_issuer *issuer, uint64_t server,
                        char value[STICKY_VALUE_LENGTH])
{
    uint8_t bytes[STICKY_SIGNED_BYTES + MAC_BYTES];
    const struct slice parts[] = {issuer->backend, {(const char *)bytes, STICKY_SIGNED_BYTES}};

    put_number(bytes, STICKY_ID_BYTES, server);
    put_number(bytes + STICKY_ID_BYTES, STICKY_TIME_BYTES, issuer->now_s);
    mac_sign(key_of(issuer), parts, 2, bytes + STICKY_SIGNED_BYTES);
    base64url_write(bytes, sizeof(bytes), value);
}

struct sticky_claim sticky_value_read(const struct sticky_issuer *issuer, struct slice value)
{
    const struct sticky_claim none = {0};
    uint8_t bytes[STICKY_SIGNED_BYTES + MAC_BYTES];
    const struct slice parts[] = {issuer->backend, {(const char *)bytes, STICKY_SIGNED_BYTES}};

    if (!base64url_read(value, bytes, sizeof(bytes)) ||
        !mac_is_good(key_of(issuer), parts, 2, bytes + STICKY_SIGNED_BYTES))
        return none;
    uint64_t issued_s = get_number(bytes + STICKY_ID_BYTES, STICKY_TIME_BYTES);
    if (issued_s > issuer->now_s + FUTURE_MOST_S)
        return none;
    uint64_t age_s = issuer->now_s > issued_s ? issuer->now_s - issued_s : 0;
    uint64_t most_s = ttl_s(issuer);
    if (most_s != 0 && age_s > most_s)
        return none;
    return (struct sticky_claim){.server = get_number(bytes, STICKY_ID_BYTES),
                                 .is_due = most_s != 0 && age_s > most_s / 2};
}

/* --- heads ---------------------------------------------------------------------------------- */

struct sticky_claim sticky_claim_of(const struct sticky_issuer *issuer,
                                    const struct http_fields *request)
{
    return sticky_value_read(issuer, cookie_find(request, issuer->spec->cookie));
}

void sticky_answer(const struct sticky_issuer *issuer, struct sticky_claim claim,
                   struct slice server, bool is_https, struct arena *arena,
                   struct http_fields *response)
{
    struct slice name = issuer->spec->cookie, max_age = slice_make("", 0), text;
    uint64_t id = hash_fixed(server);
    char value[STICKY_VALUE_LENGTH];

    cookie_remove_set(response, name);
    if (claim.server == id && !claim.is_due)
        return;
    sticky_value_write(issuer, id, value);
    if (issuer->spec->ttl_ms != 0)
        max_age = arena_printf(arena, "; Max-Age=%llu", (unsigned long long)ttl_s(issuer));
    text = arena_printf(arena, "%.*s=%.*s; Path=/; HttpOnly; SameSite=Lax%s%.*s", (int)name.len,
                        name.at, (int)sizeof(value), value, is_https ? "; Secure" : "",
                        (int)max_age.len, max_age.at);
    http_fields_add_id(response, arena, FIELD_SET_COOKIE, slice_of("Set-Cookie"), text);
}
