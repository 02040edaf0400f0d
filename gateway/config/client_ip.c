#include "config/client_ip.h"

bool client_ip_is_trusted(const struct globals *globals, const struct address *address)
{
    for (unsigned i = 0; i < globals->trusted_proxy_count; i++)
        if (network_contains(&globals->trusted_proxies[i], address))
            return true;
    return false;
}

/* An element of X-Forwarded-For: an address, maybe with brackets or a port, as proxies write it. */
static bool parse_hop(struct slice text, struct address *address)
{
    ptrdiff_t colon = slice_find(text, ':');

    if (text.len > 0 && text.at[0] == '[') {
        ptrdiff_t end = slice_find(text, ']');
        return end > 0 && address_parse_ip(slice_make(text.at + 1, (size_t)end - 1), 0, address);
    }
    if (colon > 0 && slice_find_last(text, ':') == colon)
        text.len = (size_t)colon; /* IPv4 with a port */
    return address_parse_ip(text, 0, address);
}

static bool take_last_in_list(struct slice *list, struct slice *element)
{
    while (list->len > 0) {
        ptrdiff_t comma = slice_find_last(*list, ',');
        *element = slice_trim(slice_skip(*list, (size_t)(comma + 1)));
        list->len = comma < 0 ? 0 : (size_t)comma;
        if (element->len > 0)
            return true;
    }
    return false;
}

struct slice client_ip_find(const struct globals *globals, struct slice peer_ip,
                            struct arena *arena, const struct http_fields *fields)
{
    struct slice found = peer_ip;

    for (uint32_t i = fields->count; i-- > 0;) {
        struct slice list = fields->list[i].value, element;
        if (fields->list[i].id != FIELD_X_FORWARDED_FOR)
            continue;
        while (take_last_in_list(&list, &element)) {
            struct address hop;
            char text[ADDRESS_TEXT_SIZE];
            if (!parse_hop(element, &hop))
                return found;
            address_format_ip(&hop, text);
            found = arena_copy(arena, slice_of(text));
            if (!client_ip_is_trusted(globals, &hop))
                return found;
        }
    }
    return found;
}
