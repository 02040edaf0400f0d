/* `certs` and `tls`: which certificates there are and how they are used. */
#include "config/load.h"

#include "base/clock.h"
#include "http/target.h"

#include <time.h>

enum { EXPIRES_SOON_S = 14 * 24 * 3600, UNCOVERED_MOST = 20 };

static const char *const alpn_spoken[] = {"http/1.1"};

struct tls_reader {
    struct tls_settings settings;
    const struct json_node *unknown_sni, *default_cert;
};

/* --- tls ----------------------------------------------------------------------------------------
 */

static void read_min_version(struct reader *reader, const struct json_node *node, void *into)
{
    static const char *const versions[] = {"1.2", "1.3"};
    unsigned index;

    if (reader_word(reader, node, versions, 2, &index))
        ((struct tls_reader *)into)->settings.min_version = index == 0 ? TLS_1_2 : TLS_1_3;
}

static void read_protocol(struct reader *reader, const struct json_node *node,
                          struct tls_settings *settings, const char **names)
{
    struct slice text;

    if (!reader_text(reader, node, "a protocol such as \"http/1.1\"", &text))
        return;
    if (slice_equal(text, slice_of("h2")))
        reader_error(reader, node, AT_VALUE, "\"h2\" is not supported yet");
    else if (!slice_equal(text, slice_of(alpn_spoken[0])))
        reader_error(reader, node, AT_VALUE, "\"%s\" is not spoken here: \"http/1.1\" is", text.at);
    else if (settings->alpn_count > 0)
        reader_error(reader, node, AT_VALUE, "\"%s\" is in this list already", text.at);
    else
        names[settings->alpn_count++] = text.at;
}

static void read_alpn(struct reader *reader, const struct json_node *node, void *into)
{
    struct tls_settings *settings = &((struct tls_reader *)into)->settings;
    const char **names = arena_alloc(reader->arena, sizeof(*names));

    if (!reader_is_list(reader, node, "a list of protocols"))
        return;
    if (!node->first)
        reader_error(reader, node, AT_VALUE, "the list is empty: \"http/1.1\" is expected");
    settings->alpn = names;
    settings->alpn_count = 0;
    for (const struct json_node *element = node->first; element; element = element->next)
        read_protocol(reader, element, settings, names);
}

static void read_tickets(struct reader *reader, const struct json_node *node, void *into)
{
    reader_bool(reader, node, &((struct tls_reader *)into)->settings.tickets);
}

static void read_unknown_sni(struct reader *reader, const struct json_node *node, void *into)
{
    static const char *const ways[] = {"reject", "default"};
    struct tls_reader *tls = into;
    unsigned index = 0;

    tls->unknown_sni = node;
    if (reader_word(reader, node, ways, 2, &index))
        tls->settings.reject_unknown_sni = index == 0;
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
        tls->settings.default_name = arena_text(reader->arena, name);
    else
        reader_error(reader, node, AT_VALUE, "\"%s\" is no host name", text.at);
}

static const struct rule tls_list[] = {
    {"min_version", 0, read_min_version},
    {"alpn", 0, read_alpn},
    {"tickets", 0, read_tickets},
    {"unknown_sni", 0, read_unknown_sni},
    {"default_cert", 0, read_default_cert},
    {"client_ca", 0, NULL},
    {"client_auth", 0, NULL},
};
static const struct rules tls_rules = {tls_list, 7, NULL};

static void read_tls(struct load *load, struct tls_reader *tls)
{
    const struct json_node *node = json_member(load->root, "tls");

    tls->settings = (struct tls_settings){
        .min_version = TLS_1_2,
        .tickets = true,
        .reject_unknown_sni = true,
        .alpn = alpn_spoken,
        .alpn_count = 1,
    };
    if (node)
        reader_object(&load->reader, node, &tls_rules, 0, tls);
    if (!tls->settings.reject_unknown_sni && !tls->default_cert)
        reader_error(&load->reader, tls->unknown_sni, AT_VALUE,
                     "\"default\" needs tls.default_cert: the name whose certificate answers");
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

/* What `certs` names, and where each was named. */
struct sources {
    struct cert_source *list;
    const struct json_node **nodes; /* by position */
    size_t count;
};

static void add_source(struct load *load, const struct json_node *node, struct sources *sources)
{
    struct cert_source *source = &sources->list[sources->count];

    if (!read_source(&load->reader, node, source))
        return;
    reader_warn_if_pinned(&load->reader, node, source->path);
    if (source->key)
        reader_warn_if_pinned(&load->reader, node, source->key);
    source->position = (unsigned)sources->count;
    sources->nodes[sources->count++] = node;
}

static void read_sources(struct load *load, const struct json_node *node, struct sources *sources)
{
    size_t count = 1;

    for (const struct json_node *element = node->first; element; element = element->next)
        count++;
    sources->list = arena_alloc(&load->scratch, count * sizeof(*sources->list));
    sources->nodes = arena_alloc(&load->scratch, count * sizeof(*sources->nodes));
    if (!json_is_array(node->value)) {
        add_source(load, node, sources);
        return;
    }
    for (const struct json_node *element = node->first; element; element = element->next)
        add_source(load, element, sources);
}

/* --- what the certificates are like -------------------------------------------------------------
 */

static bool listens_on_https(const struct load *load)
{
    for (unsigned i = 0; i < load->globals->listen_count; i++)
        if (load->globals->listens[i].kind == LISTEN_HTTPS)
            return true;
    return false;
}

/* The generation goes without it; whoever loads it says so by its file's name. */
static void warn_of_broken(struct reader *reader, const struct json_node *node,
                           const struct cert_problem *problem)
{
    size_t before = reader->problems->count;

    reader_warning(reader, node, AT_VALUE, "%s", problem->message);
    if (reader->problems->count > before)
        reader->problems->list[before].broken_certificate =
            slice_duplicate(slice_of(problem->file));
}

static void report_broken(struct load *load, const struct sources *sources,
                          const struct cert_problems *broken, bool are_errors)
{
    for (size_t i = 0; i < broken->count; i++) {
        const struct cert_problem *problem = &broken->list[i];
        const struct json_node *node = sources->nodes[problem->position];

        if (are_errors)
            reader_error(&load->reader, node, AT_VALUE, "%s", problem->message);
        else
            warn_of_broken(&load->reader, node, problem);
    }
}

/* The element of `certs` that the certificate came from. */
static const struct json_node *source_of(const struct sources *sources,
                                         const struct certificate *certificate)
{
    struct slice file = slice_of(certificate_file(certificate));

    for (size_t i = 0; i < sources->count; i++)
        if (slice_starts_with(file, slice_of(sources->list[i].path)))
            return sources->nodes[i];
    return sources->nodes[0];
}

static void warn_of_expiry(struct load *load, const struct sources *sources,
                           const struct cert_store *store)
{
    int64_t now_s = clock_wall_ms() / 1000;

    for (size_t i = 0; i < cert_store_count(store); i++) {
        const struct certificate *certificate = cert_store_at(store, i);
        int64_t left_s = certificate_not_after(certificate) - now_s;
        char when[CLOCK_TEXT_SIZE];

        if (left_s > EXPIRES_SOON_S)
            continue;
        clock_format(certificate_not_after(certificate) * 1000, when);
        reader_warning(&load->reader, source_of(sources, certificate), AT_VALUE,
                       "%s: the certificate %s on %.10s: renew it", certificate_file(certificate),
                       left_s < 0 ? "has expired" : "expires", when);
    }
}

static void warn_of_uncovered_hosts(struct load *load, const struct cert_store *store)
{
    unsigned uncovered = 0;

    for (unsigned i = 0; i < load->host_count; i++) {
        if (cert_store_covers(store, load->host_names[i]))
            continue;
        if (++uncovered <= UNCOVERED_MOST)
            reader_warning(&load->reader, load->hosts[i], AT_KEY,
                           "no certificate covers this host");
    }
    if (uncovered > UNCOVERED_MOST)
        reader_warning(&load->reader, json_member(load->root, "routes"), AT_KEY,
                       "no certificate covers %u more hosts", uncovered - UNCOVERED_MOST);
}

/* Only what https needs: without it certificates are read, but need not be there. */
static void check_store(struct load *load, const struct json_node *node,
                        const struct sources *sources, const struct cert_store *store,
                        const struct tls_reader *tls)
{
    const char *name = tls->settings.default_name;

    if (sources->count > 0)
        warn_of_expiry(load, sources, store);
    if (cert_store_count(store) > 0 && name && !cert_store_covers(store, slice_of(name)))
        reader_error(&load->reader, tls->default_cert, AT_VALUE, "no certificate covers \"%s\"",
                     name);
    if (!listens_on_https(load))
        return;
    if (!node)
        reader_missing(&load->reader, load->root, "certs",
                       "the folder of the certificates that https needs");
    else if (cert_store_count(store) == 0)
        reader_error(&load->reader, node, AT_VALUE,
                     "there is no usable certificate, and https needs one");
    else
        warn_of_uncovered_hosts(load, store);
}

void load_certs(struct load *load, struct ticket_keys *keys)
{
    const struct json_node *node = json_member(load->root, "certs");
    struct problems *problems = load->reader.problems;
    struct cert_problems broken = {0};
    struct sources sources = {0};
    struct tls_reader tls = {0};
    struct cert_store *store;
    struct error error;
    size_t errors;

    read_tls(load, &tls);
    errors = problems->errors;
    if (node)
        read_sources(load, node, &sources);
    store = cert_store_load(sources.list, sources.count, &broken);
    report_broken(load, &sources, &broken,
                  load->strict_certs || (cert_store_count(store) == 0 && listens_on_https(load)));
    /* Where something is said to be broken, that nothing is left needs no saying. */
    if (problems->errors == errors || cert_store_count(store) > 0)
        check_store(load, node, &sources, store, &tls);
    cert_problems_clear(&broken);
    /* That was reported, or there is no https to need it. */
    if (tls.settings.default_name && !cert_store_covers(store, slice_of(tls.settings.default_name)))
        tls.settings.default_name = NULL;
    tls.settings.reject_unknown_sni |= !tls.settings.default_name;
    load->snapshot->tls = tls_server_new(&tls.settings, store, keys, &error);
    if (!load->snapshot->tls)
        reader_error(&load->reader, node ? node : load->root, AT_VALUE, "%s", error.message);
}
