#include "upstream/affinity.h"

#include "base/check.h"
#include "base/table.h"
#include "http/cookie.h"

uint64_t affinity_join(uint64_t first, uint64_t second)
{
    const uint64_t both[] = {first, second};

    return hash_fixed(slice_make((const char *)both, sizeof(both)));
}

/* All values of that header; false: there is nothing in any. */
static bool hash_header(const struct http_fields *fields, struct slice name, uint64_t *key)
{
    bool is_there = false;

    for (uint32_t i = 0; i < fields->count; i++) {
        struct slice value = fields->list[i].value;
        if (value.len == 0 || !slice_equal_nocase(fields->list[i].name, name))
            continue;
        *key = is_there ? affinity_join(*key, hash_fixed(value)) : hash_fixed(value);
        is_there = true;
    }
    return is_there;
}

uint64_t affinity_key(const struct affinity *affinity, const struct http_head *request,
                      struct slice client_ip)
{
    struct slice cookie;
    uint64_t key;

    switch (affinity->kind) {
    case AFFINITY_HEADER:
        if (hash_header(&request->fields, affinity->name, &key))
            return key;
        break;
    case AFFINITY_COOKIE:
        cookie = cookie_find(&request->fields, affinity->name);
        if (cookie.len > 0)
            return hash_fixed(cookie);
        break;
    case AFFINITY_URI: return affinity_join(hash_fixed(request->path), hash_fixed(request->query));
    case AFFINITY_IP: break;
    case AFFINITY_NONE: assert(!"a client is told apart by nothing");
    }
    return hash_fixed(client_ip);
}
