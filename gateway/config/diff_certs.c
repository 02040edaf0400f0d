/* Which certificate answers for each host, compared. */
#include "config/diff_internal.h"

static bool listens_on_https(const struct snapshot *snapshot)
{
    for (unsigned i = 0; i < snapshot->globals->listen_count; i++)
        if (snapshot->globals->listens[i].kind == LISTEN_HTTPS)
            return true;
    return false;
}

/* What a client asks for to reach the host key: some name below a wildcard, and none for "*" and
 * for addresses, which are no SNI. */
static struct slice name_to_ask(struct arena *arena, struct slice key)
{
    struct address literal;

    if (slice_equal(key, slice_of("*")) || address_parse_ip(key, 0, &literal))
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

/* --- files --------------------------------------------------------------------------------------
 */

static void compare_file(struct comparison *c, const struct certificate *now,
                         const struct served_certificate *served)
{
    struct change change = {.kind = served ? CHANGE_CHANGED : CHANGE_ADDED,
                            .about = ABOUT_CERTIFICATE,
                            .name = arena_copy(c->arena, slice_of(certificate_file(now))),
                            .is = words_certificate_end(c->arena, certificate_not_after(now))};

    if (served && served->fingerprint == certificate_fingerprint(now))
        return;
    if (served)
        change.was = words_certificate_end(c->arena, served->not_after);
    comparison_add(c, change);
}

static bool name_covers(struct slice name, struct slice host)
{
    ptrdiff_t dot = slice_find(host, '.');

    if (slice_equal_nocase(name, host))
        return true;
    return dot > 0 && slice_starts_with(name, slice_of("*.")) &&
           slice_equal_nocase(slice_skip(name, 1), slice_skip(host, (size_t)dot));
}

static bool served_covers(const struct served_certificate *served, struct slice host)
{
    for (size_t i = 0; i < served->name_count; i++)
        if (name_covers(served->names[i], host))
            return true;
    return false;
}

/* What the gateway runs with. */
struct served_list {
    const struct served_certificate *list;
    size_t count;
};

static bool kept_covers(const struct served_list *served, struct slice host)
{
    for (size_t i = 0; i < served->count; i++)
        if (served->list[i].is_kept && served_covers(&served->list[i], host))
            return true;
    return false;
}

/* Neither side found the file: a load drops its certificate. */
static void tell_gone(struct comparison *c, const struct served_list *served,
                      const struct served_certificate *gone)
{
    const struct config *is = c->is->config;
    struct slice *hosts = arena_alloc(c->arena, (is->host_count + 1) * sizeof(*hosts));
    struct change change = {.kind = CHANGE_REMOVED,
                            .about = ABOUT_CERTIFICATE,
                            .name = arena_copy(c->arena, gone->file),
                            .was = words_certificate_end(c->arena, gone->not_after),
                            .reach = hosts};

    for (unsigned i = 0; i < is->host_count; i++) {
        struct slice key = is->hosts[i]->key;
        bool is_lost = served_covers(gone, key) && route_table_host(c->was->routes, key) != NULL &&
                       choose(c->is, key) == NULL && !kept_covers(served, key);
        if (is_lost)
            hosts[change.reach_count++] = arena_copy(c->arena, key);
    }
    comparison_add(c, change);
}

static void index_files(const struct cert_store *store, struct table *by_file)
{
    table_init(by_file);
    /* Tables hold what may change; nobody writes through this pointer. */
    for (size_t i = 0; i < cert_store_count(store); i++)
        table_put(by_file, slice_of(certificate_file(cert_store_at(store, i))),
                  (void *)cert_store_at(store, i));
}

void diff_add_files(struct diff *diff, const struct snapshot *was, const struct snapshot *is,
                    const struct served_certificate *served, size_t count)
{
    struct comparison comparison = {.diff = diff, .arena = &diff->arena, .was = was, .is = is};
    const struct cert_store *store = tls_server_certs(is->tls);
    const struct served_list all = {.list = served, .count = count};
    struct table then, old, new;

    index_files(tls_server_certs(was->tls), &old);
    index_files(store, &new);
    table_init(&then);
    for (size_t i = 0; i < count; i++)
        table_put(&then, served[i].file, (void *)&served[i]);
    for (size_t i = 0; i < cert_store_count(store); i++) {
        const struct certificate *now = cert_store_at(store, i);
        struct slice file = slice_of(certificate_file(now));
        const struct served_certificate *before = table_get(&then, file);
        /* A file that only the newer side names is no news of the file's. */
        if (before || table_get(&old, file))
            compare_file(&comparison, now, before);
    }
    for (size_t i = 0; i < count; i++)
        if (!served[i].is_kept && !table_get(&old, served[i].file) &&
            !table_get(&new, served[i].file))
            tell_gone(&comparison, &all, &served[i]);
    table_clear(&then);
    table_clear(&new);
    table_clear(&old);
}
