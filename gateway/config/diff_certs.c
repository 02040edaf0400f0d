/* Which certificate answers for each host, compared. */
#include "config/diff_internal.h"

static bool listens_on_https(const struct snapshot *snapshot)
{
    for (unsigned i = 0; i < snapshot->globals->listen_count; i++)
        if (snapshot->globals->listens[i].kind == LISTEN_HTTPS)
            return true;
    return false;
}

/* What a client asks for to reach the host key: some name below a wildcard, and none for "*". */
static struct slice name_to_ask(struct arena *arena, struct slice key)
{
    if (slice_equal(key, slice_of("*")))
        return slice_make(NULL, 0);
    if (slice_starts_with(key, slice_of("*.")))
        return arena_printf(arena, "any-%.*s", (int)key.len - 1, key.at + 1);
    return key;
}

static struct certificate *choose(const struct snapshot *snapshot, struct slice key)
{
    struct arena scratch = {0};
    struct slice name = name_to_ask(&scratch, key);
    const char *alert;
    struct certificate *certificate = tls_server_choose(snapshot->tls, name, &alert);

    arena_clear(&scratch);
    return certificate;
}

static void compare_host(struct comparison *c, struct slice key, bool is_new)
{
    const struct certificate *was = is_new ? NULL : choose(c->was, key);
    const struct certificate *is = choose(c->is, key);
    struct change change = {.about = ABOUT_CERTIFICATE};

    if (was && is && certificate_fingerprint(was) == certificate_fingerprint(is))
        return;
    if (!was && !is && (!is_new || slice_equal(key, slice_of("*"))))
        return;
    change.kind = was && is ? CHANGE_CHANGED
                  : is      ? CHANGE_ADDED
                  : was     ? CHANGE_REMOVED
                            : CHANGE_MISSING;
    if (was)
        change.was = words_certificate(c->arena, was);
    if (is)
        change.is = words_certificate(c->arena, is);
    comparison_join(c, comparison_group(c, &c->certificates, change), key);
}

/* Hosts that go away need none any more. */
void compare_certificates(struct comparison *c)
{
    const struct config *is = c->is->config;

    if (!listens_on_https(c->was) || !listens_on_https(c->is))
        return;
    for (unsigned i = 0; i < is->host_count; i++) {
        struct slice key = is->hosts[i]->key;
        compare_host(c, key, route_table_host(c->was->routes, key) == NULL);
    }
}
