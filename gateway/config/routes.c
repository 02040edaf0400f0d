/* `routes`: hosts, their paths, and what each leads to. */
#include "config/answers.h"
#include "config/cert_auth.h"
#include "config/client_auth.h"
#include "config/hosts.h"
#include "config/targets.h"

#include "base/check.h"

/* A host or path entry written as an object. */
struct route_object {
    struct settings_reader settings;
    const struct json_node *to, *redirect, *respond, *paths;
};

/* --- objects ------------------------------------------------------------------------------------
 */

static struct route_object *object_of(void *into)
{
    return container_of(into, struct route_object, settings);
}

static void keep_to(struct reader *reader, const struct json_node *node, void *into)
{
    (void)reader;
    object_of(into)->to = node;
}

static void keep_redirect(struct reader *reader, const struct json_node *node, void *into)
{
    (void)reader;
    object_of(into)->redirect = node;
}

static void keep_respond(struct reader *reader, const struct json_node *node, void *into)
{
    (void)reader;
    object_of(into)->respond = node;
}

static void keep_paths(struct reader *reader, const struct json_node *node, void *into)
{
    (void)reader;
    object_of(into)->paths = node;
}

static const struct rule route_list[] = {
    {"to", IN_ROUTE, keep_to},
    {"redirect", IN_ROUTE, keep_redirect},
    {"respond", IN_ROUTE, keep_respond},
    {"paths", IN_HOST, keep_paths},
};
static const struct rules route_rules = {route_list, 4, &setting_rules};

/* Then the mistyped or misplaced key has been reported already. */
static bool looks_mistyped(const struct json_node *node)
{
    return reader_is_mistyped(node, "to") || reader_is_mistyped(node, "redirect") ||
           reader_is_mistyped(node, "respond") || reader_is_mistyped(node, "paths");
}

/* Exactly one of the four says where the route leads. */
static bool check_one_target(struct reader *reader, const struct json_node *node,
                             const struct route_object *object, bool has_paths)
{
    const struct json_node *targets[] = {object->to, object->redirect, object->respond,
                                         object->paths};
    const struct json_node *last = NULL;
    unsigned count = 0;

    for (size_t i = 0; i < 4; i++) {
        if (!targets[i])
            continue;
        count++;
        if (!last || targets[i]->index > last->index)
            last = targets[i];
    }
    if (count == 1)
        return true;
    if (count == 0 && looks_mistyped(node))
        return false;
    if (count == 0)
        reader_error(reader, node, AT_VALUE, "one of \"to\", \"redirect\"%s is missing",
                     has_paths ? ", \"respond\" and \"paths\"" : " and \"respond\"");
    else
        reader_error(reader, last, AT_KEY,
                     "only one of \"to\", \"redirect\", \"respond\" and \"paths\" can stand here");
    return false;
}

/* --- routes -------------------------------------------------------------------------------------
 */

/* Where nothing is split it has no effect. */
static void refuse_split_on(struct reader *reader, const struct route_object *object,
                            const char *why)
{
    if (object->settings.split_on_node)
        reader_error(reader, object->settings.split_on_node, AT_KEY,
                     "\"split_on\" has no effect here: %s", why);
}

static void split_on(struct route *route, const struct route_object *object,
                     enum setting_place place)
{
    if (!object || !object->settings.split_on_node)
        return;
    route->split_on = object->settings.split_on;
    route->split_on_from = place;
}

/* Leads it to backends; `host` is the entry around a path's, or NULL. */
static void read_to(struct load *load, const struct route_object *object,
                    const struct route_object *host, struct route *route,
                    const struct layer *const nearest[2])
{
    size_t errors = load->reader.problems->errors;

    targets_read_to(load, object->to, route, nearest);
    if (route->target_count > 1) {
        split_on(route, host, SETTING_OF_HOST);
        split_on(route, object, host ? SETTING_OF_PATH : SETTING_OF_HOST);
    } else if (load->reader.problems->errors == errors) {
        refuse_split_on(&load->reader, object,
                        "\"to\" is no map of several backends to their shares (addresses are one "
                        "backend together)");
    }
}

static void fill_route(struct load *load, const struct route_object *object,
                       const struct route_object *host, struct route *route,
                       const struct layer *const nearest[2])
{
    struct reader *reader = &load->reader;

    if (object->to) {
        read_to(load, object, host, route, nearest);
    } else if (object->redirect) {
        answers_read_redirect(reader, object->redirect, route);
        settings_refuse_for_backends(reader, &object->settings.layer, "a redirect");
        refuse_split_on(reader, object, "a redirect asks no backend");
    } else {
        answers_read_respond(reader, object->respond, route);
        settings_refuse_for_backends(reader, &object->settings.layer,
                                     "a response of the gateway's own");
        refuse_split_on(reader, object, "a response of the gateway's own asks no backend");
    }
}

static struct route *add_route(struct load *load, struct slice path)
{
    struct arena *arena = load->reader.arena;
    struct route *route = arena_alloc(arena, sizeof(*route));
    struct slice host = load->host->key;

    route->name = slice_is_empty(path) ? host
                                       : arena_printf(arena, "%.*s%.*s", (int)host.len, host.at,
                                                      (int)path.len, path.at);
    host_add(load->host, path, route);
    return route;
}

static void merge_route_settings(struct load *load, struct route *route,
                                 const struct layer *const nearest[2])
{
    const struct layer *layers[SETTING_PLACES] = {[SETTING_OF_DEFAULTS] = &load->defaults,
                                                  [SETTING_OF_HOST] = nearest[1],
                                                  [SETTING_OF_PATH] = nearest[0]};
    settings_merge(layers, load->reader.arena, load->reader.policies, &route->settings);
    host_add_policies(load->host, route->settings.policies);
}

/* A host without paths, or one of its paths, whose host is `host`. */
static const struct route *read_route(struct load *load, const struct json_node *node,
                                      const struct route_object *object, struct slice path,
                                      const struct route_object *host)
{
    const struct layer *own = object ? &object->settings.layer : NULL;
    const struct layer *nearest[2] = {host ? own : NULL, host ? &host->settings.layer : own};
    struct route *route = add_route(load, path);

    merge_route_settings(load, route, nearest);
    if (object)
        fill_route(load, object, host, route, nearest);
    else
        targets_read_to(load, node, route, nearest);
    return route;
}

/* --- paths --------------------------------------------------------------------------------------
 */

static bool check_key_is_new(struct reader *reader, struct table *seen, struct slice key,
                             struct json_node *node)
{
    const struct json_node *earlier = table_put(seen, key, node);

    if (!earlier)
        return true;
    if (!node->repeats_line)
        reader_error(reader, node, AT_KEY, "this means the same as \"%s\" on line %u",
                     earlier->key.at, earlier->key_line);
    return false;
}

/* NULL: it is wrong. */
static const struct route *read_path_entry(struct load *load, const struct json_node *node,
                                           struct slice path, const struct route_object *host)
{
    struct route_object object = {.settings = {.here = IN_PATH}};

    if (!json_is_object(node->value))
        return read_route(load, node, NULL, path, host);
    reader_object(&load->reader, node, &route_rules, IN_PATH, &object.settings);
    if (!check_one_target(&load->reader, node, &object, false))
        return NULL;
    return read_route(load, node, &object, path, host);
}

static void read_paths(struct load *load, const struct route_object *object)
{
    struct reader *reader = &load->reader;
    bool asks_backends = false, splits = false;
    const struct route *route;
    struct table seen;
    struct slice path;

    if (!reader_is_object(reader, object->paths))
        return;
    if (!object->paths->first)
        reader_error(reader, object->paths, AT_VALUE, "\"paths\" is empty: nothing would match");
    table_init(&seen);
    for (struct json_node *node = object->paths->first; node; node = node->next) {
        route = NULL;
        if (hosts_read_path(reader, node, &path) && check_key_is_new(reader, &seen, path, node))
            route = read_path_entry(load, node, path, object);
        /* Who knows what a wrong one would be. */
        asks_backends |= !route || route->kind == ROUTE_TO;
        splits |= !route || (route->kind == ROUTE_TO && route->target_count != 1);
    }
    table_clear(&seen);
    if (!asks_backends && object->paths->first)
        settings_refuse_for_backends(reader, &object->settings.layer, "none of these paths");
    if (!splits && object->paths->first)
        refuse_split_on(reader, object, "none of these paths has several shares");
}

/* --- hosts --------------------------------------------------------------------------------------
 */

static void read_host(struct load *load, const struct json_node *node)
{
    struct route_object object = {.settings = {.here = IN_HOST}};

    if (!json_is_object(node->value)) {
        read_route(load, node, NULL, slice_make(NULL, 0), NULL);
        return;
    }
    reader_object(&load->reader, node, &route_rules, IN_HOST, &object.settings);
    load_host_tls(load, object.settings.tls);
    if (!check_one_target(&load->reader, node, &object, true))
        return;
    if (object.paths)
        read_paths(load, &object);
    else
        read_route(load, node, &object, slice_make(NULL, 0), NULL);
}

/* --- what has not changed ------------------------------------------------------------------------
 */

/* Whether reading it anew would come to the same: its backends are the same ones still, and none of
 * its own targets has a namesake among them now. */
static bool is_as_before(const struct load *load, const struct host *host)
{
    const struct backend *backend;

    for (unsigned i = 0; i < host->backend_count; i++) {
        backend = table_get(&load->backends, host->backends[i]->name);
        if (!backend || backend->upstream != host->backends[i])
            return false;
    }
    for (unsigned i = 0; i < host->inline_count; i++)
        if (table_get(&load->backends, host->inlines[i]->name))
            return false;
    return true;
}

/* A reference to the host of the generation before, if nothing of it has changed. */
static struct host *find_unchanged(const struct load *load, struct slice key, uint64_t fingerprint)
{
    struct host *host = NULL;

    if (load->previous)
        host = route_table_host(load->previous->routes, key);
    if (!host || !host->is_shareable || host->fingerprint != fingerprint)
        return NULL;
    return is_as_before(load, host) ? host_ref(host) : NULL;
}

static struct host *make_host(struct load *load, const struct json_node *node, struct slice key)
{
    size_t problems = load->reader.problems->count;
    uint64_t fingerprint = json_fingerprint(node->value) ^ load->context;
    struct host *host = find_unchanged(load, key, fingerprint);

    if (host)
        return host;
    load->host = host = host_new(key);
    load->reader.arena = &host->arena;
    read_host(load, node);
    load->reader.arena = &load->config->arena;
    cert_auth_check_host(&load->reader, node, host, &load->config->clients);
    host->fingerprint = fingerprint;
    host->is_shareable = load->reader.problems->count == problems;
    return host;
}

static void keep_named_host(struct load *load, struct json_node *node, struct slice host)
{
    if (slice_equal(host, slice_of("*")))
        return;
    load->config->named_hosts[load->config->named_host_count++] = (struct named_host){
        .name = host,
        .key = arena_copy(&load->config->arena, node->key),
        .line = node->key_line,
        .column = node->key_column,
    };
}

void load_routes(struct load *load, const struct json_node *node)
{
    struct reader *reader = &load->reader;
    struct table seen;
    struct slice host;
    size_t count = 0;

    if (!node) {
        reader_missing(reader, load->root, "routes",
                       "{ \"example.com\": \"localhost:8080\" }, for example");
        return;
    }
    if (!reader_is_object(reader, node))
        return;
    for (struct json_node *member = node->first; member; member = member->next)
        count++;
    load->config->routes_place = reader_place(reader, node, AT_KEY);
    load->config->named_hosts =
        arena_alloc(&load->config->arena, (count + 1) * sizeof(struct named_host));
    table_init(&seen);
    for (struct json_node *member = node->first; member; member = member->next) {
        if (!hosts_read_host(reader, member, &host) ||
            !check_key_is_new(reader, &seen, host, member))
            continue;
        keep_named_host(load, member, host);
        struct host *made = make_host(load, member, host);
        client_auth_note(load, member, made);
        config_add_host(load->config, made);
    }
    table_clear(&seen);
}
