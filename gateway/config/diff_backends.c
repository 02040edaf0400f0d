/* `backends` and servers, compared. */
#include "config/backend_words.h"
#include "config/diff_internal.h"

/* --- servers ------------------------------------------------------------------------------------
 */

static const struct server_spec *
find_server(struct arena *scratch, const struct upstream_spec *upstream, struct slice address)
{
    for (unsigned i = 0; i < upstream->server_count; i++)
        if (slice_equal(words_address(scratch, &upstream->servers[i]), address))
            return &upstream->servers[i];
    return NULL;
}

static void compare_server(struct comparison *c, const struct change *about,
                           const struct server_spec *was, const struct server_spec *is)
{
    struct change change = *about;

    if (was && is && was->weight == is->weight && was->is_backup == is->is_backup)
        return;
    change.kind = !was ? CHANGE_ADDED : !is ? CHANGE_REMOVED : CHANGE_CHANGED;
    change.key = slice_of("servers");
    if (was)
        change.was = words_server(c->arena, was);
    if (is)
        change.is = words_server(c->arena, is);
    comparison_add(c, change);
}

void compare_servers(struct comparison *c, enum change_about about, struct slice name,
                     const struct upstream_spec *was, const struct upstream_spec *is)
{
    const struct change change = {.about = about, .name = arena_copy(c->arena, name)};
    struct arena scratch = {0};

    for (unsigned i = 0; i < is->server_count; i++)
        compare_server(c, &change,
                       find_server(&scratch, was, words_address(&scratch, &is->servers[i])),
                       &is->servers[i]);
    for (unsigned i = 0; i < was->server_count; i++)
        if (!find_server(&scratch, is, words_address(&scratch, &was->servers[i])))
            compare_server(c, &change, &was->servers[i], NULL);
    arena_clear(&scratch);
}

/* --- backends -----------------------------------------------------------------------------------
 */

/* What is in force on one side alone is told by what puts it in force. A secret is not told, only
 * that it is another one. */
static void compare_key(struct comparison *c, struct change change, enum upstream_key key,
                        const struct upstream_spec *was, const struct upstream_spec *is)
{
    bool is_other_secret =
        key == UPSTREAM_STICKY_KEY && !slice_equal(was->sticky.key, is->sticky.key);

    change.kind = CHANGE_CHANGED;
    change.key = slice_of(backend_key_name(key));
    change.was = backend_words(c->arena, key, was);
    change.is = backend_words(c->arena, key, is);
    if (change.was.len == 0 || change.is.len == 0)
        return;
    if (!slice_equal(change.was, change.is)) {
        comparison_add(c, change);
    } else if (is_other_secret) {
        change.was = slice_of("");
        change.is = slice_of("changed");
        comparison_add(c, change);
    }
}

static void compare_backend(struct comparison *c, const struct upstream_spec *was,
                            const struct upstream_spec *is)
{
    struct change change = {.about = ABOUT_BACKEND,
                            .name = arena_copy(c->arena, (is ? is : was)->name)};

    if (!was || !is) {
        change.kind = is ? CHANGE_ADDED : CHANGE_REMOVED;
        *(is ? &change.is : &change.was) = words_servers(c->arena, is ? is : was);
        comparison_add(c, change);
        return;
    }
    compare_servers(c, ABOUT_BACKEND, is->name, was, is);
    for (enum upstream_key key = 0; key < UPSTREAM_KEY_COUNT; key++)
        compare_key(c, change, key, was, is);
}

static void index_backends(const struct config *config, struct table *by_name)
{
    table_init(by_name);
    for (unsigned i = 0; i < config->upstream_count; i++)
        if (!config->upstreams[i]->is_inline)
            table_put(by_name, config->upstreams[i]->name, config->upstreams[i]);
}

void compare_backends(struct comparison *c)
{
    const struct config *was = c->was->config, *is = c->is->config;
    struct table old, new;

    index_backends(was, &old);
    index_backends(is, &new);
    for (unsigned i = 0; i < is->upstream_count; i++)
        if (!is->upstreams[i]->is_inline)
            compare_backend(c, table_get(&old, is->upstreams[i]->name), is->upstreams[i]);
    for (unsigned i = 0; i < was->upstream_count; i++)
        if (!was->upstreams[i]->is_inline && !table_get(&new, was->upstreams[i]->name))
            compare_backend(c, was->upstreams[i], NULL);
    table_clear(&old);
    table_clear(&new);
}
