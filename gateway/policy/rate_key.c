#include "policy/rate_key.h"

#include "base/table.h"
#include "http/cookie.h"
#include "net/address.h"
#include "tls/mac.h"

const char *rate_key_word(enum rate_key key)
{
    static const char *const words[] = {[RATE_BY_IP] = "ip",
                                        [RATE_BY_HEADER] = "header",
                                        [RATE_BY_COOKIE] = "cookie",
                                        [RATE_BY_CERT] = "client_cert",
                                        [RATE_BY_ROUTE] = "route"};

    return words[key];
}

/* Empty where it is there more than once, too: who knows which of them the backend believes. */
static struct slice find_field(const struct http_head *head, struct slice name)
{
    struct slice found = {NULL, 0};

    if (slice_equal_nocase(name, slice_of("host")))
        return head->host;
    for (uint32_t i = 0; i < head->fields.count; i++) {
        const struct http_field *field = &head->fields.list[i];
        if (!slice_equal_nocase(field->name, name))
            continue;
        if (found.len > 0)
            return (struct slice){NULL, 0};
        found = field->value;
    }
    return found;
}

/* Empty: the request does not say. */
static struct slice find_value(enum rate_key key, struct slice name,
                               const struct policy_request *request)
{
    switch (key) {
    case RATE_BY_HEADER: return find_field(request->head, name);
    case RATE_BY_COOKIE: return cookie_find(&request->head->fields, name);
    case RATE_BY_CERT: return request->cert_fingerprint;
    case RATE_BY_ROUTE: return request->route;
    case RATE_BY_IP: break;
    }
    return (struct slice){NULL, 0};
}

/* Whom an address stands for: of IPv6 its first 64 bits, since whoever has one address has all that
 * begin with them. Empty: it is no IP address. */
static struct slice network_of(struct slice text, struct address *address)
{
    const char *v6 = (const char *)address->as.v6.sin6_addr.s6_addr;

    if (!address_parse_ip(text, 0, address))
        return (struct slice){NULL, 0};
    if (address->as.any.sa_family == AF_INET)
        return slice_make((const char *)&address->as.v4.sin_addr, 4);
    return IN6_IS_ADDR_V4MAPPED(&address->as.v6.sin6_addr) ? slice_make(v6 + 12, 4)
                                                           : slice_make(v6, 8);
}

static uint64_t hash_ip(struct slice text)
{
    struct address address;
    struct slice network = network_of(text, &address);

    return hash_bytes(network.len > 0 ? network : text);
}

uint64_t rate_key_hash(uint64_t limit, enum rate_key key, struct slice name,
                       const struct policy_request *request)
{
    struct slice value = find_value(key, name, request);
    uint64_t parts[3] = {limit, value.len > 0 ? key : RATE_BY_IP,
                         value.len > 0 ? hash_bytes(value) : hash_ip(request->client_ip)};

    return hash_bytes(slice_make((const char *)parts, sizeof(parts)));
}

static struct slice name_ip(struct arena *arena, struct slice text)
{
    struct address address;
    struct slice network = network_of(text, &address);
    const uint8_t *at = (const uint8_t *)network.at;

    if (network.len == 4)
        return arena_printf(arena, "ip:%u.%u.%u.%u", at[0], at[1], at[2], at[3]);
    if (network.len == 8)
        return arena_printf(arena, "ip:%x:%x:%x:%x::/64", at[0] << 8 | at[1], at[2] << 8 | at[3],
                            at[4] << 8 | at[5], at[6] << 8 | at[7]);
    return arena_printf(arena, "ip:%.*s", (int)text.len, text.len > 0 ? text.at : "");
}

static struct slice name_hashed(struct arena *arena, enum rate_key key, struct slice value)
{
    uint8_t mac[MAC_BYTES];
    char text[2 * MAC_BYTES + 1];

    mac_sign(slice_of("sallyport rate_limit"), &value, 1, mac);
    for (unsigned i = 0; i < MAC_BYTES; i++) {
        text[2 * i] = "0123456789abcdef"[mac[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[mac[i] & 15];
    }
    text[sizeof(text) - 1] = '\0';
    return arena_printf(arena, "%s:%s", rate_key_word(key), text);
}

struct slice rate_key_name(enum rate_key key, struct slice name,
                           const struct policy_request *request)
{
    struct slice value = find_value(key, name, request);

    if (value.len == 0)
        return name_ip(request->arena, request->client_ip);
    if (key == RATE_BY_HEADER || key == RATE_BY_COOKIE)
        return name_hashed(request->arena, key, value);
    return arena_printf(request->arena, "%s:%.*s", rate_key_word(key), (int)value.len, value.at);
}
