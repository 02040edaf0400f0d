/* `listen`: where the gateway accepts connections, and what for. */
#include "config/load.h"

#include <sys/stat.h>

struct listen_reader {
    struct load *load;
    enum listen_kind kind;
    bool is_off, is_named;
};

static struct listen_spec *add_spec(struct load *load, enum listen_kind kind)
{
    struct globals *globals = load->globals;
    struct listen_spec *grown =
        arena_alloc(&globals->arena, (globals->listen_count + 1) * sizeof(*grown));

    /* A handful: what the shorter list took is not missed. */
    if (globals->listen_count)
        memcpy(grown, globals->listens, globals->listen_count * sizeof(*grown));
    globals->listens = grown;
    grown[globals->listen_count].kind = kind;
    return &grown[globals->listen_count++];
}

static const struct listen_spec *find_same(const struct load *load, const struct listen_spec *spec)
{
    for (unsigned i = 0; i < load->globals->listen_count; i++) {
        const struct listen_spec *other = &load->globals->listens[i];

        for (int a = 0; other != spec && a < other->address_count; a++)
            for (int b = 0; b < spec->address_count; b++)
                if (address_equal(&other->addresses[a], &spec->addresses[b]) &&
                    (address_port(&spec->addresses[b]) != 0 ||
                     spec->addresses[b].as.any.sa_family == AF_UNIX))
                    return other;
    }
    return NULL;
}

/* Whether this kind of listener can be where `text` says. */
static bool check_family(struct reader *reader, const struct json_node *node, enum listen_kind kind,
                         struct slice text)
{
    bool is_local = slice_starts_with(text, slice_of("unix:"));

    if (kind == LISTEN_ADMIN && !slice_starts_with(text, slice_of("unix:/"))) {
        reader_error(reader, node, AT_VALUE,
                     "the admin endpoint is a Unix socket with an absolute path, such as "
                     "\"unix:/run/sallyport/admin.sock\"");
        return false;
    }
    if (kind != LISTEN_ADMIN && is_local) {
        reader_error(reader, node, AT_VALUE,
                     "only the admin endpoint listens on a Unix socket; an address such as "
                     "\":8443\" is expected");
        return false;
    }
    return true;
}

static void read_address(struct load *load, const struct json_node *node, struct listen_spec *spec)
{
    struct reader *reader = &load->reader;
    struct error error = {""};
    struct slice text;
    const struct listen_spec *same;

    if (!reader_text(reader, node, "an address such as \":8443\"", &text))
        return;
    spec->text = text.at;
    if (!check_family(reader, node, spec->kind, text))
        return;
    spec->address_count = listen_address_parse(text, spec->addresses, &error);
    if (spec->address_count == 0) {
        reader_error(reader, node, AT_VALUE, "%s", error.message);
        return;
    }
    same = find_same(load, spec);
    if (same)
        reader_error(reader, node, AT_VALUE, "\"%s\" is listened on already, as \"%s\"", text.at,
                     same->text);
}

/* --- { "bind": … } ------------------------------------------------------------------------------
 */

struct listen_object {
    const struct json_node *bind, *serve, *https_port, *acme_webroot, *proxy_protocol;
};

static void keep_bind(struct reader *reader, const struct json_node *node, void *into)
{
    (void)reader;
    ((struct listen_object *)into)->bind = node;
}

static void keep_serve(struct reader *reader, const struct json_node *node, void *into)
{
    (void)reader;
    ((struct listen_object *)into)->serve = node;
}

static void keep_https_port(struct reader *reader, const struct json_node *node, void *into)
{
    (void)reader;
    ((struct listen_object *)into)->https_port = node;
}

static void keep_acme_webroot(struct reader *reader, const struct json_node *node, void *into)
{
    (void)reader;
    ((struct listen_object *)into)->acme_webroot = node;
}

static void keep_proxy_protocol(struct reader *reader, const struct json_node *node, void *into)
{
    (void)reader;
    ((struct listen_object *)into)->proxy_protocol = node;
}

static const struct rule listener_list[] = {
    {"bind", 0, keep_bind},
    {"serve", 0, keep_serve},
    {"https_port", 0, keep_https_port},
    {"acme_webroot", 0, keep_acme_webroot},
    {"proxy_protocol", 0, keep_proxy_protocol},
};
static const struct rules http_rules = {listener_list, 5, NULL};
static const struct rule bind_list[] = {
    {"bind", 0, keep_bind},
    {"proxy_protocol", 0, keep_proxy_protocol},
};
static const struct rules https_rules = {bind_list, 2, NULL};
static const struct rules endpoint_rules = {bind_list, 1, NULL};

static const struct rules *rules_for(enum listen_kind kind)
{
    return kind == LISTEN_HTTP    ? &http_rules
           : kind == LISTEN_HTTPS ? &https_rules
                                  : &endpoint_rules;
}

static void read_http_mode(struct reader *reader, const struct listen_object *object,
                           struct listen_spec *spec)
{
    static const char *const modes[] = {"redirect", "routes"};
    unsigned mode = 0;
    uint64_t port = 0;

    if (object->serve && reader_word(reader, object->serve, modes, 2, &mode))
        spec->serves_routes = mode == 1;
    if (!object->https_port)
        return;
    if (reader_count(reader, object->https_port, 1, 65535, &port))
        spec->https_port = (uint16_t)port;
    if (spec->serves_routes)
        reader_error(reader, object->https_port, AT_KEY,
                     "\"https_port\" has no effect here: a listener that serves routes does not "
                     "redirect");
}

/* One that is not there yet may come later: it is looked into at each request. */
static void read_acme_webroot(struct reader *reader, const struct json_node *node,
                              struct listen_spec *spec)
{
    struct stat info;

    if (!reader_path(reader, node, &spec->acme_webroot))
        return;
    if (stat(spec->acme_webroot, &info) != 0 || !S_ISDIR(info.st_mode))
        reader_warning(
            reader, node, AT_VALUE,
            "there is no folder %s: ACME challenges are answered with 404 until there is",
            spec->acme_webroot);
}

/* --- "proxy_protocol": { "from": … } ------------------------------------------------------------
 */

static void read_from(struct reader *reader, const struct json_node *node, void *into)
{
    struct listen_spec *spec = into;

    reader_networks(reader, node, &spec->proxies, &spec->proxy_count);
    if (json_is_array(node->value) && !node->first)
        reader_error(reader, node, AT_VALUE,
                     "the list is empty: whose connections begin with the header?");
}

static const struct rule proxy_protocol_list[] = {
    {"from", 0, read_from},
};
static const struct rules proxy_protocol_rules = {proxy_protocol_list, 1, NULL};

static void read_proxy_protocol(struct reader *reader, const struct json_node *node,
                                struct listen_spec *spec)
{
    if (reader_object(reader, node, &proxy_protocol_rules, 0, spec) && !json_member(node, "from"))
        reader_missing(reader, node, "from",
                       "the proxies' networks, a list such as [\"10.0.0.0/8\"]");
}

static void read_listener(struct listen_reader *listen, const struct json_node *node)
{
    struct reader *reader = &listen->load->reader;
    struct listen_object object = {0};
    struct listen_spec *spec;

    if (!json_is_object(node->value)) {
        read_address(listen->load, node, add_spec(listen->load, listen->kind));
        return;
    }
    reader_object(reader, node, rules_for(listen->kind), 0, &object);
    if (!object.bind) {
        reader_missing(reader, node, "bind", "the address to listen on");
        return;
    }
    spec = add_spec(listen->load, listen->kind);
    read_http_mode(reader, &object, spec);
    if (object.acme_webroot)
        read_acme_webroot(reader, object.acme_webroot, spec);
    if (object.proxy_protocol)
        read_proxy_protocol(reader, object.proxy_protocol, spec);
    read_address(listen->load, object.bind, spec);
}

static bool says_off(const struct json_node *node)
{
    return slice_equal(reader_node_text(node), slice_of("off"));
}

/* One of the four keys. */
static void read_kind(struct listen_reader *listen, const struct json_node *node)
{
    struct reader *reader = &listen->load->reader;

    listen->is_named = true;
    listen->is_off = says_off(node);
    if (listen->is_off)
        return;
    if (!json_is_array(node->value)) {
        read_listener(listen, node);
        return;
    }
    if (!node->first)
        reader_error(reader, node, AT_VALUE, "the list is empty: \"off\" says that on purpose");
    for (const struct json_node *element = node->first; element; element = element->next) {
        if (says_off(element))
            reader_error(reader, element, AT_VALUE, "\"off\" stands alone, not in a list");
        else
            read_listener(listen, element);
    }
}

static const struct rule listen_list[] = {
    {"https", 0, reader_later},
    {"http", 0, reader_later},
    {"status", 0, reader_later},
    {"admin", 0, reader_later},
};
static const struct rules listen_rules = {listen_list, 4, NULL};

static void check_http(struct load *load, const struct json_node *http, bool has_https)
{
    for (unsigned i = 0; http && !has_https && i < load->globals->listen_count; i++) {
        const struct listen_spec *spec = &load->globals->listens[i];
        if (spec->kind == LISTEN_HTTP && !spec->serves_routes) {
            reader_warning(&load->reader, http, AT_KEY,
                           "redirects to https, but listen.https is off: \"serve\": \"routes\" "
                           "answers in plaintext");
            return;
        }
    }
}

void load_listen(struct load *load, const struct json_node *node)
{
    struct listen_reader kinds[] = {
        {.load = load, .kind = LISTEN_HTTPS},
        {.load = load, .kind = LISTEN_HTTP},
        {.load = load, .kind = LISTEN_STATUS},
        {.load = load, .kind = LISTEN_ADMIN},
    };

    if (node && !reader_object(&load->reader, node, &listen_rules, 0, NULL))
        return;
    for (size_t i = 0; node && i < 4; i++) {
        const struct json_node *member = json_member(node, listen_list[i].key);
        if (member)
            read_kind(&kinds[i], member);
    }
    if (!kinds[0].is_named) {
        struct listen_spec *spec = add_spec(load, LISTEN_HTTPS);
        spec->text = ":8443";
        spec->address_count = listen_address_parse(slice_of(spec->text), spec->addresses, NULL);
    }
    load->globals->admin_is_named = kinds[3].is_named;
    if (kinds[0].is_off && (!kinds[1].is_named || kinds[1].is_off))
        reader_error(&load->reader, node, AT_VALUE,
                     "https is off and there is no http: nothing would be served");
    if (node && kinds[1].is_named)
        check_http(load, json_member(node, "http"), !kinds[0].is_off);
}
