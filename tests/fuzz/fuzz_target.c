/* Hosts and paths: what comes out must be normal already, and hold nothing that was to be refused.
 */
#include "base/check.h"
#include "http/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_path(struct arena *arena, struct slice target)
{
    struct slice path, query, again, rest;

    if (!path_normalise(arena, target, &path, &query))
        return;
    assert(path.len > 0 && path.at[0] == '/');
    assert(path.len + query.len <= target.len);
    assert(slice_find(path, '?') < 0 && slice_find(path, '\\') < 0 && slice_find(path, '#') < 0);
    for (size_t i = 1; i < path.len; i++)
        assert(path.at[i] != '/' || path.at[i - 1] != '/');
    assert(path_normalise(arena, path, &again, &rest));
    assert(slice_equal(path, again) && rest.len == 0);
}

static void check_host(struct arena *arena, struct slice authority)
{
    struct slice host, again;
    uint16_t port;

    if (!host_normalise(arena, authority, &host, &port))
        return;
    assert(host.len > 0 && host.len <= 253);
    if (slice_find(host, ':') >= 0)
        return; /* an IPv6 literal, which lost its brackets */
    assert(host_normalise(arena, host, &again, &port));
    assert(slice_equal(host, again) && port == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct arena arena = {0};

    check_path(&arena, slice_make((const char *)bytes, length));
    check_host(&arena, slice_make((const char *)bytes, length));
    arena_clear(&arena);
    return 0;
}
