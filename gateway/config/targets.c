#include "config/targets.h"

enum { WEIGHT_MOST = 65535 };

/* A `to` while it is read. */
struct to_reader {
    struct load *load;
    struct route *route;
    const struct layer *const *nearest;
    struct upstream_spec *own; /* of the addresses written here, or NULL */
    struct route_target *own_target;
};

/* `backend` NULL: the route's own addresses. */
static struct route_target *add_target(struct to_reader *to, const struct backend *backend)
{
    const struct layer *backend_layer = backend ? &backend->layer : NULL;
    const struct layer *layers[SETTING_PLACES] = {[SETTING_OF_DEFAULTS] = &to->load->defaults,
                                                  [SETTING_OF_BACKEND] = backend_layer,
                                                  [SETTING_OF_HOST] = to->nearest[1],
                                                  [SETTING_OF_PATH] = to->nearest[0]};
    struct route_target *target = &to->route->targets[to->route->target_count++];

    target->upstream = backend ? backend->upstream : to->own;
    if (backend && backend->upstream)
        host_add_backend(to->load->host, backend->upstream);
    target->weight = 1;
    settings_merge(layers, to->load->reader.arena, to->load->reader.policies, &target->settings);
    host_add_policies(to->load->host, target->settings.policies);
    return target;
}

/* The upstream of the addresses that are written here: it is called like the route. */
static struct upstream_spec *own_upstream(struct to_reader *to, const struct json_node *node)
{
    const struct backend *namesake;

    if (to->own)
        return to->own;
    namesake = table_get(&to->load->backends, to->route->name);
    if (namesake)
        reader_error(&to->load->reader, node, AT_VALUE,
                     "addresses here are called like their route, \"%.*s\", and so is the backend "
                     "on line %u: rename it, or lead the route to it",
                     (int)to->route->name.len, to->route->name.at, namesake->line);
    to->own = upstream_new_in(to->load->reader.arena, to->route->name);
    host_add_inline(to->load->host, to->own);
    to->own_target = add_target(to, NULL);
    return to->own;
}

static bool is_address(struct slice text)
{
    return slice_find(text, ':') >= 0;
}

static void read_to_text(struct to_reader *to, const struct json_node *node)
{
    struct slice text = reader_node_text(node);
    const struct backend *backend;

    if (is_address(text)) {
        targets_read_servers(&to->load->reader, node, own_upstream(to, node));
        return;
    }
    backend = targets_find_backend(to->load, node, AT_VALUE, text);
    if (backend)
        add_target(to, backend);
}

static void read_to_list(struct to_reader *to, const struct json_node *node)
{
    for (const struct json_node *element = node->first; element; element = element->next) {
        struct slice text = reader_node_text(element);
        if (text.len > 0 && !is_address(text) && table_get(&to->load->backends, text)) {
            reader_error(&to->load->reader, element, AT_VALUE,
                         "a list holds addresses; several backends are a map to their weights, "
                         "{ \"%s\": 1 }",
                         text.at);
            return;
        }
    }
    targets_read_servers(&to->load->reader, node, own_upstream(to, node));
}

/* One share of { "api": 95, "10.0.0.1:80": 5 }. Addresses gather in one upstream, whose servers and
 * whose own share have the same weights. */
static void read_share(struct to_reader *to, const struct json_node *member)
{
    struct reader *reader = &to->load->reader;
    struct upstream_spec *own;
    const struct backend *backend;
    uint64_t weight;
    bool is_good = reader_count(reader, member, 0, WEIGHT_MOST, &weight);

    if (!is_address(member->key)) {
        backend = targets_find_backend(to->load, member, AT_KEY, member->key);
        if (backend && is_good)
            add_target(to, backend)->weight = (uint32_t)weight;
        return;
    }
    own = own_upstream(to, member);
    if (!targets_read_address(reader, member, AT_KEY, member->key,
                              &own->servers[own->server_count]))
        return;
    if (!is_good)
        return;
    own->servers[own->server_count++].weight = (uint16_t)weight;
}

static void read_split(struct to_reader *to, const struct json_node *node)
{
    struct reader *reader = &to->load->reader;
    struct server_spec *servers;
    unsigned count = 0, addresses = 0;

    for (const struct json_node *member = node->first; member; member = member->next) {
        count++;
        addresses += is_address(member->key);
    }
    if (count == 0) {
        reader_error(reader, node, AT_VALUE,
                     "the map is empty: backends or addresses and their weights are expected");
        return;
    }
    to->route->targets = arena_alloc(reader->arena, count * sizeof(*to->route->targets));
    if (addresses > 0) {
        servers = arena_alloc(reader->arena, addresses * sizeof(*servers));
        own_upstream(to, node)->servers = servers;
        to->own_target->weight = 0;
    }
    for (const struct json_node *member = node->first; member; member = member->next)
        read_share(to, member);
    for (unsigned i = 0; to->own && i < to->own->server_count; i++)
        to->own_target->weight += to->own->servers[i].weight;
}

void targets_read_to(struct load *load, const struct json_node *node, struct route *route,
                     const struct layer *const nearest[2])
{
    struct to_reader to = {.load = load, .route = route, .nearest = nearest};
    size_t errors = load->reader.problems->errors;

    route->kind = ROUTE_TO;
    if (json_is_object(node->value)) {
        read_split(&to, node);
    } else {
        route->targets = arena_alloc(load->reader.arena, sizeof(*route->targets));
        if (json_is_array(node->value))
            read_to_list(&to, node);
        else if (json_is_string(node->value))
            read_to_text(&to, node);
        else
            reader_error(&load->reader, node, AT_VALUE,
                         "an address, a list of addresses, the name of a backend, or a map of "
                         "those to weights is expected, not %s",
                         json_kind_name(node->value));
    }
    for (unsigned i = 0; i < route->target_count; i++)
        route->total_weight += route->targets[i].weight;
    if (route->total_weight == 0 && load->reader.problems->errors == errors)
        reader_error(&load->reader, node, AT_VALUE, "one weight at least must be above 0");
}
