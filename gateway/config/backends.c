/* `backends`, their servers, and the same written inline in a route. */
#include "config/targets.h"

#include "base/check.h"
#include "config/backend_keys.h"
#include "config/suggest.h"

enum { WEIGHT_MOST = 65535 };

/* --- servers ------------------------------------------------------------------------------------
 */

bool targets_read_address(struct reader *reader, const struct json_node *node,
                          enum mistake_place place, struct slice text, struct server_spec *server)
{
    struct error error = {""};

    server->name = arena_copy(reader->arena, text);
    if (endpoint_parse(text, &server->endpoint, &error))
        return true;
    reader_error(reader, node, place, "%s", error.message);
    return false;
}

struct server_reader {
    struct server_spec *server;
    const struct json_node *to;
    bool is_good;
};

static void read_server_to(struct reader *reader, const struct json_node *node, void *into)
{
    struct server_reader *s = into;
    struct slice text;

    s->to = node;
    s->is_good = reader_text(reader, node, "an address such as \"10.0.0.1:8080\"", &text) &&
                 targets_read_address(reader, node, AT_VALUE, text, s->server);
}

static void read_server_weight(struct reader *reader, const struct json_node *node, void *into)
{
    uint64_t weight;

    if (reader_count(reader, node, 0, WEIGHT_MOST, &weight))
        ((struct server_reader *)into)->server->weight = (uint16_t)weight;
}

static void read_server_backup(struct reader *reader, const struct json_node *node, void *into)
{
    reader_bool(reader, node, &((struct server_reader *)into)->server->is_backup);
}

static const struct rule server_list[] = {
    {"to", 0, read_server_to},
    {"weight", 0, read_server_weight},
    {"backup", 0, read_server_backup},
};
static const struct rules server_rules = {server_list, 3, NULL};

/* A text or an object. */
static bool read_server(struct reader *reader, const struct json_node *node,
                        struct server_spec *server)
{
    struct server_reader s = {.server = server};

    server->weight = 1;
    if (!json_is_object(node->value)) {
        read_server_to(reader, node, &s);
        return s.is_good;
    }
    reader_object(reader, node, &server_rules, 0, &s);
    if (!s.to)
        reader_missing(reader, node, "to", "the server's address");
    return s.is_good;
}

static void check_repeated(struct reader *reader, const struct json_node *node,
                           const struct server_spec *servers, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (slice_equal(servers[i].name, servers[count].name))
            reader_error(reader, node, AT_VALUE,
                         "\"%.*s\" is in this list already: \"weight\" gives it a larger share",
                         (int)servers[i].name.len, servers[i].name.at);
}

static void check_servers(struct reader *reader, const struct json_node *node,
                          const struct upstream_spec *upstream)
{
    bool any_weight = false, any_primary = false;

    for (unsigned i = 0; i < upstream->server_count; i++) {
        any_weight |= upstream->servers[i].weight > 0;
        any_primary |= !upstream->servers[i].is_backup;
    }
    if (!any_weight)
        reader_error(reader, node, AT_VALUE, "one weight at least must be above 0");
    else if (!any_primary)
        reader_error(reader, node, AT_VALUE, "every server is a backup: one at least must not be");
}

bool targets_read_servers(struct reader *reader, const struct json_node *node,
                          struct upstream_spec *upstream)
{
    bool is_good = true;
    unsigned count = 0;

    if (!json_is_array(node->value)) {
        upstream->servers = arena_alloc(reader->arena, sizeof(*upstream->servers));
        is_good = read_server(reader, node, &upstream->servers[0]);
        upstream->server_count = is_good;
        return is_good;
    }
    for (const struct json_node *element = node->first; element; element = element->next)
        count++;
    if (count == 0) {
        reader_error(reader, node, AT_VALUE, "the list is empty: an address is expected");
        return false;
    }
    upstream->servers = arena_alloc(reader->arena, count * sizeof(*upstream->servers));
    for (const struct json_node *element = node->first; element; element = element->next) {
        if (read_server(reader, element, &upstream->servers[upstream->server_count])) {
            check_repeated(reader, element, upstream->servers, upstream->server_count);
            upstream->server_count++;
        } else {
            is_good = false;
        }
    }
    if (is_good)
        check_servers(reader, node, upstream);
    return is_good;
}

/* --- backends -----------------------------------------------------------------------------------
 */

static bool is_backend_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_letter && (c == '\0' || !strchr("._-", c)))
            return false;
    }
    return name.len > 0;
}

static bool read_backend_object(struct load *load, const struct json_node *node,
                                struct backend *backend, struct upstream_spec *upstream)
{
    struct backend_entry entry = {.upstream = upstream};
    struct settings_reader s = {.here = IN_BACKEND, .backend = &entry};

    reader_object(&load->reader, node, &setting_rules, IN_BACKEND, &s);
    backend->layer = s.layer;
    backend_keys_check(&load->reader, &entry);
    if (entry.servers)
        return targets_read_servers(&load->reader, entry.servers, upstream);
    reader_missing(&load->reader, node, "servers", "a list of addresses");
    return false;
}

/* The same of an earlier generation, if nothing of it has changed. */
static struct upstream_spec *find_unchanged(const struct load *load, struct slice name,
                                            uint64_t fingerprint)
{
    struct upstream_spec *found =
        load->previous ? table_get(&load->previous->upstreams_by_name, name) : NULL;

    return found && found->fingerprint == fingerprint ? found : NULL;
}

static void read_backend(struct load *load, const struct json_node *node)
{
    struct backend *backend = arena_alloc(&load->scratch, sizeof(*backend));
    struct upstream_spec *upstream = upstream_new(node->key), *unchanged;
    bool is_good;

    if (!is_backend_name(upstream->name))
        reader_error(&load->reader, node, AT_KEY,
                     "the name of a backend is made of letters, digits, \".\", \"_\" and \"-\"");
    backend->line = node->key_line;
    load->reader.arena = &upstream->arena;
    if (json_is_object(node->value))
        is_good = read_backend_object(load, node, backend, upstream);
    else
        is_good = targets_read_servers(&load->reader, node, upstream);
    load->reader.arena = &load->config->arena;
    upstream->fingerprint = json_fingerprint(node->value);
    unchanged = is_good ? find_unchanged(load, upstream->name, upstream->fingerprint) : NULL;
    if (unchanged) {
        settings_copy_layer(&backend->layer, &load->scratch);
        upstream_unref(upstream);
        upstream = upstream_ref(unchanged);
    }
    config_add_backend(load->config, upstream);
    backend->upstream = is_good ? upstream : NULL;
    table_put(&load->backends, upstream->name, backend);
}

void load_backends(struct load *load, const struct json_node *node)
{
    if (!node || !reader_is_object(&load->reader, node))
        return;
    for (const struct json_node *member = node->first; member; member = member->next)
        read_backend(load, member);
}

struct backend *targets_find_backend(struct load *load, const struct json_node *node,
                                     enum mistake_place place, struct slice name)
{
    const struct json_node *backends = json_member(load->root, "backends");
    struct backend *backend = table_get(&load->backends, name);
    struct suggestion near;

    if (backend)
        return backend;
    suggestion_init(&near, name);
    for (const struct json_node *member = backends ? backends->first : NULL; member;
         member = member->next)
        suggestion_consider(&near, member->key);
    reader_error_suggest(&load->reader, node, place, suggestion_text(&near),
                         "there is no backend \"%.*s\"; an address has a port, such as \"%.*s:80\"",
                         (int)name.len, name.at, (int)name.len, name.at);
    return NULL;
}
