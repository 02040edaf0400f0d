/* `auth.forward`: the service that is asked, and what of its answer goes to the backend. */
#include "policy/forward_auth.h"

#include "config/copied_field.h"
#include "config/policy_readers.h"
#include "http/target.h"

enum { TIMEOUT_BUILT_IN_MS = 2 * 1000 };

struct forward_reader {
    struct forward_auth *auth;
    const struct json_node *to;
    bool is_wrong;
};

/* --- to -----------------------------------------------------------------------------------------
 */

/* RFC 9112 section 3.2.1: it is sent as it is written, so nothing may need to be escaped. */
static bool is_target(struct arena *arena, struct slice text)
{
    struct slice path, query;

    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] <= ' ' || text.at[i] >= 0x7f || text.at[i] == '#')
            return false;
    return path_normalise(arena, text, &path, &query);
}

/* Where the path of a URL begins, or its query if it has none. */
static size_t server_length(struct slice url)
{
    size_t at = (size_t)slice_find(url, ':') + strlen("://");

    while (at < url.len && url.at[at] != '/' && url.at[at] != '?' && url.at[at] != '#')
        at++;
    return at;
}

/* A name with a space is nobody else's: neither a backend's nor a route's. */
static struct upstream_spec *make_service(struct arena *arena, struct slice name,
                                          const struct endpoint *endpoint)
{
    struct upstream_spec *service =
        upstream_new_service(arena_printf(arena, "auth %.*s", (int)name.len, name.at));

    service->servers = arena_alloc(&service->arena, sizeof(*service->servers));
    *service->servers = (struct server_spec){
        .name = slice_skip(service->name, strlen("auth ")), .endpoint = *endpoint, .weight = 1};
    service->server_count = 1;
    return service;
}

static bool read_url(struct reader *reader, const struct json_node *node, struct slice url,
                     struct forward_auth *auth)
{
    struct error error = {""};
    struct endpoint endpoint;
    struct slice server, target;

    if (!slice_starts_with(url, slice_of("http://")) &&
        !slice_starts_with(url, slice_of("https://"))) {
        reader_error(reader, node, AT_VALUE,
                     "\"%s\" is no URL: \"http://auth.internal:9000/check\", for example", url.at);
        return false;
    }
    server = slice_make(url.at, server_length(url));
    target = slice_skip(url, server.len);
    if (!endpoint_parse(server, &endpoint, &error)) {
        reader_error(reader, node, AT_VALUE, "%s", error.message);
        return false;
    }
    if (!slice_starts_with(target, slice_of("/")))
        target = arena_printf(reader->arena, "/%.*s", (int)target.len, target.at);
    if (!is_target(reader->arena, target)) {
        reader_error(reader, node, AT_VALUE,
                     "this cannot be asked for: no \".\" or \"..\" segments, spaces, controls, "
                     "\"\\\", \"#\" or bad escapes, and letters beyond ASCII are escaped");
        return false;
    }
    auth->url = url;
    auth->target = target;
    auth->policy.service = make_service(reader->arena, server, &endpoint);
    return true;
}

static void read_to(struct reader *reader, const struct json_node *node, void *into)
{
    struct forward_reader *f = into;
    struct slice url;

    f->to = node;
    if (!reader_text(reader, node, "a URL such as \"http://auth.internal:9000/check\"", &url) ||
        !read_url(reader, node, url, f->auth))
        f->is_wrong = true;
}

/* --- copy ---------------------------------------------------------------------------------------
 */

static bool is_listed(const struct forward_auth *auth, struct slice name)
{
    for (unsigned i = 0; i < auth->copy_count; i++)
        if (slice_equal_nocase(auth->copy[i], name))
            return true;
    return false;
}

static bool read_name(struct reader *reader, const struct json_node *node,
                      struct forward_auth *auth)
{
    struct slice name;

    if (!read_copied_field(reader, node, reader->arena, &name))
        return false;
    if (is_listed(auth, name)) {
        reader_error(reader, node, AT_VALUE, "\"%.*s\" is there already", (int)name.len, name.at);
        return false;
    }
    auth->copy[auth->copy_count++] = name;
    return true;
}

static void read_copy(struct reader *reader, const struct json_node *node, void *into)
{
    struct forward_reader *f = into;
    unsigned count = 0;

    if (!reader_is_list(reader, node, "a list of names of headers")) {
        f->is_wrong = true;
        return;
    }
    for (const struct json_node *element = node->first; element; element = element->next)
        count++;
    f->auth->copy = arena_alloc(reader->arena, (count + 1) * sizeof(*f->auth->copy));
    for (const struct json_node *element = node->first; element; element = element->next)
        f->is_wrong |= !read_name(reader, element, f->auth);
}

/* --- timeout ------------------------------------------------------------------------------------
 */

static void read_timeout(struct reader *reader, const struct json_node *node, void *into)
{
    struct forward_reader *f = into;

    if (!reader_duration(reader, node, &f->auth->timeout_ms))
        f->is_wrong = true;
    if (f->is_wrong || f->auth->timeout_ms > 0)
        return;
    reader_error(reader, node, AT_VALUE,
                 "without a limit requests would wait for a service that is silent for ever: a "
                 "duration such as \"2s\" is expected");
    f->is_wrong = true;
}

static const struct rule forward_list[] = {
    {"to", 0, read_to},
    {"copy", 0, read_copy},
    {"timeout", 0, read_timeout},
};
static const struct rules forward_rules = {forward_list, 3, NULL};

struct policy *forward_auth_read(struct reader *reader, const struct json_node *node,
                                 const struct policy_place *place)
{
    struct forward_reader f = {.auth = forward_auth_new()};
    struct arena *arena = reader->arena;

    (void)place; /* what it asks is counted by whom it asks */
    f.auth->timeout_ms = TIMEOUT_BUILT_IN_MS;
    reader->arena = &f.auth->policy.arena;
    f.is_wrong |= !reader_object(reader, node, &forward_rules, 0, &f);
    if (!f.to && json_is_object(node->value)) {
        reader_missing(reader, node, "to", "the URL of the service that is asked");
        f.is_wrong = true;
    }
    reader->arena = arena;
    if (f.is_wrong) {
        policy_unref(&f.auth->policy);
        return NULL;
    }
    return &f.auth->policy;
}
