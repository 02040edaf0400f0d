/* `certs` and `tls`: where certificates are looked for and how they are used. */
#include "config/client_auth.h"

#include "http/target.h"

/* What there is to choose from; in this order unless the file says otherwise. */
static const char *const alpn_spoken[] = {"h2", "http/1.1"};
enum { ALPN_SPOKEN = sizeof(alpn_spoken) / sizeof(alpn_spoken[0]) };

struct tls_reader {
    struct tls_settings *settings; /* NULL: a host's */
    const struct json_node *unknown_sni, *default_cert;
    struct client_auth_reader clients;
};

/* --- tls ----------------------------------------------------------------------------------------
 */

static void read_min_version(struct reader *reader, const struct json_node *node, void *into)
{
    static const char *const versions[] = {"1.2", "1.3"};
    unsigned index;

    if (reader_word(reader, node, versions, 2, &index))
        ((struct tls_reader *)into)->settings->min_version = index == 0 ? TLS_1_2 : TLS_1_3;
}

/* NULL: no such protocol is spoken. */
static const char *find_spoken(struct slice name)
{
    for (size_t i = 0; i < ALPN_SPOKEN; i++)
        if (slice_equal(name, slice_of(alpn_spoken[i])))
            return alpn_spoken[i];
    return NULL;
}

static bool is_listed(const struct tls_settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->alpn_count; i++)
        if (settings->alpn[i] == name)
            return true;
    return false;
}

static void read_protocol(struct reader *reader, const struct json_node *node,
                          struct tls_settings *settings, const char **names)
{
    const char *name;
    struct slice text;

    if (!reader_text(reader, node, "a protocol such as \"http/1.1\"", &text))
        return;
    name = find_spoken(text);
    if (!name)
        reader_error(reader, node, AT_VALUE,
                     "\"%s\" is not spoken here: \"h2\" and \"http/1.1\" are", text.at);
    else if (is_listed(settings, name))
        reader_error(reader, node, AT_VALUE, "\"%s\" is in this list already", name);
    else
        names[settings->alpn_count++] = name;
}

static void read_alpn(struct reader *reader, const struct json_node *node, void *into)
{
    struct tls_settings *settings = ((struct tls_reader *)into)->settings;
    const char **names = arena_alloc(reader->arena, ALPN_SPOKEN * sizeof(*names));

    if (!reader_is_list(reader, node, "a list of protocols"))
        return;
    if (!node->first)
        reader_error(reader, node, AT_VALUE,
                     "the list is empty: \"h2\" and \"http/1.1\" are spoken here");
    settings->alpn = names;
    settings->alpn_count = 0;
    for (const struct json_node *element = node->first; element; element = element->next)
        read_protocol(reader, element, settings, names);
}

static void read_tickets(struct reader *reader, const struct json_node *node, void *into)
{
    reader_bool(reader, node, &((struct tls_reader *)into)->settings->tickets);
}

static void read_unknown_sni(struct reader *reader, const struct json_node *node, void *into)
{
    static const char *const ways[] = {"reject", "default"};
    struct tls_reader *tls = into;
    unsigned index = 0;

    tls->unknown_sni = node;
    if (reader_word(reader, node, ways, 2, &index))
        tls->settings->reject_unknown_sni = index == 0;
}

static void read_default_cert(struct reader *reader, const struct json_node *node, void *into)
{
    struct tls_reader *tls = into;
    struct slice text, name;
    uint16_t port = 0;

    tls->default_cert = node;
    if (!reader_text(reader, node, "a name that a certificate covers", &text))
        return;
    if (host_normalise(reader->arena, text, &name, &port) && port == 0)
        tls->settings->default_name = arena_text(reader->arena, name);
    else
        reader_error(reader, node, AT_VALUE, "\"%s\" is no host name", text.at);
}

static void read_client_ca(struct reader *reader, const struct json_node *node, void *into)
{
    client_auth_read_ca(reader, node, &((struct tls_reader *)into)->clients);
}

static void read_client_auth(struct reader *reader, const struct json_node *node, void *into)
{
    struct tls_reader *tls = into;

    client_auth_read_auth(reader, node, tls->settings != NULL, &tls->clients);
}

static const struct rule tls_list[] = {
    {"min_version", IN_TOP, read_min_version},
    {"alpn", IN_TOP, read_alpn},
    {"tickets", IN_TOP, read_tickets},
    {"unknown_sni", IN_TOP, read_unknown_sni},
    {"default_cert", IN_TOP, read_default_cert},
    {"client_ca", IN_TOP | IN_HOST, read_client_ca},
    {"client_auth", IN_TOP | IN_HOST, read_client_auth},
};
static const struct rules tls_rules = {tls_list, 7, NULL};

void load_tls(struct load *load)
{
    const struct json_node *node = json_member(load->root, "tls");
    struct config *config = load->config;
    struct tls_reader tls = {.settings = &config->tls};

    config->tls = (struct tls_settings){
        .min_version = TLS_1_2,
        .tickets = true,
        .reject_unknown_sni = true,
        .alpn = alpn_spoken,
        .alpn_count = ALPN_SPOKEN,
    };
    if (node)
        reader_object(&load->reader, node, &tls_rules, IN_TOP, &tls);
    client_auth_end_top(load, &tls.clients);
    if (tls.default_cert)
        config->default_cert_place = reader_place(&load->reader, tls.default_cert, AT_VALUE);
    if (!config->tls.reject_unknown_sni && !tls.default_cert)
        reader_error(&load->reader, tls.unknown_sni, AT_VALUE,
                     "\"default\" needs tls.default_cert: the name whose certificate answers");
}

void load_host_tls(struct load *load, const struct json_node *node)
{
    struct tls_reader tls = {.settings = NULL};

    if (node && reader_object(&load->reader, node, &tls_rules, IN_HOST, &tls))
        client_auth_end_host(load, &tls.clients);
}

/* --- certs --------------------------------------------------------------------------------------
 */

static void read_pair_chain(struct reader *reader, const struct json_node *node, void *into)
{
    const char *path;

    if (reader_path(reader, node, &path))
        ((struct cert_source *)into)->path = (char *)path;
}

static void read_pair_key(struct reader *reader, const struct json_node *node, void *into)
{
    const char *path;

    if (reader_path(reader, node, &path))
        ((struct cert_source *)into)->key = (char *)path;
}

static const struct rule pair_list[] = {
    {"chain", 0, read_pair_chain},
    {"key", 0, read_pair_key},
};
static const struct rules pair_rules = {pair_list, 2, NULL};

static bool read_source(struct reader *reader, const struct json_node *node,
                        struct cert_source *source)
{
    const char *path;

    if (!json_is_object(node->value)) {
        source->kind = CERT_SOURCE_PATH;
        if (!json_is_string(node->value)) {
            reader_error(reader, node, AT_VALUE,
                         "a folder, a PEM file, or { \"chain\", \"key\" } is expected, not %s",
                         json_kind_name(node->value));
            return false;
        }
        if (!reader_path(reader, node, &path))
            return false;
        source->path = (char *)path;
        return true;
    }
    source->kind = CERT_SOURCE_PAIR;
    reader_object(reader, node, &pair_rules, 0, source);
    if (!json_member(node, "chain"))
        reader_missing(reader, node, "chain", "the certificate's PEM file");
    if (!json_member(node, "key"))
        reader_missing(reader, node, "key", "the private key's PEM file");
    return source->path && source->key;
}

static void add_source(struct load *load, const struct json_node *node)
{
    struct config *config = load->config;
    struct cert_source *source = &config->cert_sources[config->cert_source_count];

    if (!read_source(&load->reader, node, source))
        return;
    source->position = config->cert_source_count;
    config->cert_places[config->cert_source_count++] = reader_place(&load->reader, node, AT_VALUE);
}

static void read_sources(struct load *load, const struct json_node *node)
{
    struct config *config = load->config;
    size_t count = 1;

    for (const struct json_node *element = node->first; element; element = element->next)
        count++;
    config->cert_sources = arena_alloc(&config->arena, count * sizeof(*config->cert_sources));
    config->cert_places = arena_alloc(&config->arena, count * sizeof(*config->cert_places));
    if (!json_is_array(node->value)) {
        add_source(load, node);
        return;
    }
    for (const struct json_node *element = node->first; element; element = element->next)
        add_source(load, element);
}

void load_certs(struct load *load)
{
    const struct json_node *node = json_member(load->root, "certs");

    if (node) {
        load->config->certs_place = reader_place(&load->reader, node, AT_VALUE);
        read_sources(load, node);
    } else if (globals_listen_on(load->globals, LISTEN_HTTPS)) {
        reader_missing(&load->reader, load->root, "certs",
                       "the folder of the certificates that https needs");
    }
}
