/* `routes`: hosts, their paths, where they lead, and the settings in force there, compared. */
#include "config/affinity.h"
#include "config/diff_internal.h"

#include "base/check.h"

#include <stdlib.h>

/* One side's routes by their names. */
static void index_routes(const struct host *host, const struct route **list, struct table *by_name)
{
    host_routes(host, list);
    table_init(by_name);
    /* Tables hold what may change; nobody writes through this pointer. */
    for (unsigned i = 0; i < host->route_count; i++)
        table_put(by_name, list[i]->name, (void *)list[i]);
}

/* --- one route ----------------------------------------------------------------------------------
 */

static void compare_settings(struct comparison *c, const struct route *route, bool asks_backend,
                             const struct settings *was, const struct settings *is)
{
    for (enum setting setting = 0; setting < SETTING_COUNT; setting++) {
        if (words_same_setting(setting, was, is) ||
            (!asks_backend && !settings_act_without_backend(setting)))
            continue;
        struct change change = {.kind = CHANGE_CHANGED,
                                .about = ABOUT_SETTING,
                                .key = slice_of(words_setting_key(setting)),
                                .was = words_setting(c->arena, setting, was),
                                .is = words_setting(c->arena, setting, is)};
        comparison_join(c, comparison_group(c, &c->settings, change), route->name);
    }
}

static const struct route_target *find_target(const struct route *route,
                                              const struct route_target *like)
{
    for (unsigned i = 0; i < route->target_count; i++)
        if (route->targets[i].upstream->is_inline == like->upstream->is_inline &&
            (like->upstream->is_inline ||
             slice_equal(route->targets[i].upstream->name, like->upstream->name)))
            return &route->targets[i];
    return NULL;
}

static void compare_split_on(struct comparison *c, const struct route *was, const struct route *is)
{
    struct change change = {.kind = CHANGE_CHANGED,
                            .about = ABOUT_SETTING,
                            .key = slice_of("split_on"),
                            .was = affinity_words(c->arena, &was->split_on),
                            .is = affinity_words(c->arena, &is->split_on)};

    if (!slice_equal(change.was, change.is))
        comparison_join(c, comparison_group(c, &c->settings, change), is->name);
}

/* Share by share; where a route has moved, its one share then against its one share now. */
static void compare_route_settings(struct comparison *c, const struct route *was,
                                   const struct route *is)
{
    if (was->kind != ROUTE_TO || is->kind != ROUTE_TO) {
        compare_settings(c, is, false, &was->settings, &is->settings);
        return;
    }
    if (was->target_count > 1 && is->target_count > 1)
        compare_split_on(c, was, is);
    for (unsigned i = 0; i < is->target_count; i++) {
        const struct route_target *before = find_target(was, &is->targets[i]);
        if (!before && was->target_count == 1 && is->target_count == 1)
            before = &was->targets[0];
        if (before)
            compare_settings(c, is, true, &before->settings, &is->targets[i].settings);
    }
}

static void tell_response(struct comparison *c, struct change change, const char *key,
                          struct slice was, struct slice is)
{
    change.kind = CHANGE_CHANGED;
    change.key = slice_of(key);
    change.was = was;
    change.is = is;
    comparison_add(c, change);
}

static void compare_responses(struct comparison *c, enum change_about about,
                              const struct route *was, const struct route *is)
{
    const struct change change = {.about = about, .name = arena_copy(c->arena, is->name)};
    size_t from = words_body_start(was->respond_body, is->respond_body);

    if (!words_same_fields(&was->respond_fields, &is->respond_fields))
        tell_response(c, change, "respond.headers", words_fields(c->arena, &was->respond_fields),
                      words_fields(c->arena, &is->respond_fields));
    if (!slice_equal(was->respond_body, is->respond_body))
        tell_response(c, change, "respond.body", words_body(c->arena, was->respond_body, from),
                      words_body(c->arena, is->respond_body, from));
}

static const struct upstream_spec *only_inline(const struct route *route)
{
    bool is_only = route->kind == ROUTE_TO && route->target_count == 1;

    return is_only && route->targets[0].upstream->is_inline ? route->targets[0].upstream : NULL;
}

/* A list of addresses that is still there in part has not moved: servers came and went. */
static bool has_kept_a_server(const struct upstream_spec *was, const struct upstream_spec *is)
{
    struct arena scratch = {0};
    bool has = false;

    for (unsigned i = 0; was && is && i < was->server_count; i++)
        for (unsigned k = 0; k < is->server_count && !has; k++)
            has = slice_equal(words_address(&scratch, &was->servers[i]),
                              words_address(&scratch, &is->servers[k]));
    arena_clear(&scratch);
    return has;
}

/* A split that gives its backends other shares leads where it led. */
static void tell_move(struct comparison *c, enum change_about about, const struct route *was,
                      const struct route *is)
{
    bool stays = was->kind == ROUTE_TO && is->kind == ROUTE_TO && is->target_count > 1 &&
                 words_same_backends(was, is);

    comparison_add(c, (struct change){.kind = stays ? CHANGE_CHANGED : CHANGE_MOVED,
                                      .about = about,
                                      .name = arena_copy(c->arena, is->name),
                                      .key = slice_of(stays ? "to" : ""),
                                      .was = words_route(c->arena, was),
                                      .is = words_route(c->arena, is)});
}

/* The same list in another order leads to the same places, so lists are compared server by
 * server. */
static void compare_route(struct comparison *c, enum change_about about, const struct route *was,
                          const struct route *is)
{
    struct arena scratch = {0};
    struct slice led = words_route(&scratch, was), leads = words_route(&scratch, is);

    if (!slice_equal(led, leads)) {
        if (has_kept_a_server(only_inline(was), only_inline(is)))
            compare_servers(c, about, is->name, only_inline(was), only_inline(is));
        else
            tell_move(c, about, was, is);
    }
    if (was->kind == ROUTE_RESPOND && is->kind == ROUTE_RESPOND)
        compare_responses(c, about, was, is);
    compare_route_settings(c, was, is);
    arena_clear(&scratch);
}

/* --- hosts and paths ----------------------------------------------------------------------------
 */

static void tell_route(struct comparison *c, enum change_kind kind, enum change_about about,
                       const struct route *route)
{
    struct change change = {
        .kind = kind, .about = about, .name = arena_copy(c->arena, route->name)};

    *(kind == CHANGE_ADDED ? &change.is : &change.was) = words_route(c->arena, route);
    comparison_add(c, change);
}

static struct slice host_words(struct comparison *c, const struct host *host)
{
    if (host->whole)
        return words_route(c->arena, host->whole);
    return arena_printf(c->arena, "%u path%s", host->route_count,
                        host->route_count == 1 ? "" : "s");
}

static void tell_paths(struct comparison *c, enum change_kind kind, const struct host *host)
{
    const struct route **list = memory_array(host->route_count + 1, sizeof(*list));

    host_routes(host, list);
    for (unsigned i = 0; i < host->route_count; i++)
        tell_route(c, kind, ABOUT_PATH, list[i]);
    free(list);
}

/* A host that came or went, and its paths. */
static void tell_host(struct comparison *c, enum change_kind kind, const struct host *host)
{
    struct change change = {
        .kind = kind, .about = ABOUT_HOST, .name = arena_copy(c->arena, host->key)};

    *(kind == CHANGE_ADDED ? &change.is : &change.was) = host_words(c, host);
    comparison_add(c, change);
    if (!host->whole)
        tell_paths(c, kind, host);
}

static void compare_paths(struct comparison *c, const struct host *was, const struct host *is)
{
    const struct route **old_list = memory_array(was->route_count + 1, sizeof(*old_list));
    const struct route **new_list = memory_array(is->route_count + 1, sizeof(*new_list));
    struct table old, new;

    index_routes(was, old_list, &old);
    index_routes(is, new_list, &new);
    for (unsigned i = 0; i < is->route_count; i++) {
        const struct route *before = table_get(&old, new_list[i]->name);
        if (before)
            compare_route(c, ABOUT_PATH, before, new_list[i]);
        else
            tell_route(c, CHANGE_ADDED, ABOUT_PATH, new_list[i]);
    }
    for (unsigned i = 0; i < was->route_count; i++)
        if (!table_get(&new, old_list[i]->name))
            tell_route(c, CHANGE_REMOVED, ABOUT_PATH, old_list[i]);
    table_clear(&old);
    table_clear(&new);
    free(old_list);
    free(new_list);
}

static void compare_host(struct comparison *c, const struct host *was, const struct host *is)
{
    if (was == is)
        return; /* shared */
    if (was->whole && is->whole) {
        compare_route(c, ABOUT_HOST, was->whole, is->whole);
    } else if (!was->whole && !is->whole) {
        compare_paths(c, was, is);
    } else {
        comparison_add(c, (struct change){.kind = CHANGE_MOVED,
                                          .about = ABOUT_HOST,
                                          .name = arena_copy(c->arena, is->key),
                                          .was = host_words(c, was),
                                          .is = host_words(c, is)});
        tell_paths(c, was->whole ? CHANGE_ADDED : CHANGE_REMOVED, was->whole ? is : was);
    }
}

void compare_routes(struct comparison *c)
{
    const struct config *was = c->was->config, *is = c->is->config;
    uint64_t idle_was = was->globals->body_idle_ms, idle_is = is->globals->body_idle_ms;

    for (unsigned i = 0; i < is->host_count; i++) {
        const struct host *before = route_table_host(was->routes, is->hosts[i]->key);
        if (before)
            compare_host(c, before, is->hosts[i]);
        else
            tell_host(c, CHANGE_ADDED, is->hosts[i]);
    }
    for (unsigned i = 0; i < was->host_count; i++)
        if (!route_table_host(is->routes, was->hosts[i]->key))
            tell_host(c, CHANGE_REMOVED, was->hosts[i]);
    /* It is in force for answers that have no route, too. */
    if (idle_was != idle_is)
        comparison_group(c, &c->settings,
                         (struct change){.kind = CHANGE_CHANGED,
                                         .about = ABOUT_SETTING,
                                         .key = slice_of("timeout.body_idle"),
                                         .was = words_duration(c->arena, idle_was),
                                         .is = words_duration(c->arena, idle_is)});
}
