#include "config/build_tls.h"

#include "base/clock.h"
#include "config/build_clients.h"
#include "config/reader.h"

enum { EXPIRES_SOON_S = 14 * 24 * 3600, UNCOVERED_MOST = 20 };

static const struct text_place *place_of(const struct config *config, unsigned position)
{
    return &config->cert_places[position];
}

/* Whether the path is the file, or a folder that holds it: whole segments. */
static bool leads_to(struct slice path, struct slice file)
{
    if (!slice_starts_with(file, path))
        return false;
    return file.len == path.len || slice_ends_with(path, slice_of("/")) || file.at[path.len] == '/';
}

/* The element of `certs` that the certificate came from. */
static struct text_place source_of(const struct config *config,
                                   const struct certificate *certificate)
{
    struct slice file = slice_of(certificate_file(certificate));

    for (unsigned i = 0; i < config->cert_source_count; i++)
        if (leads_to(slice_of(config->cert_sources[i].path), file))
            return config->cert_places[i];
    return config->certs_place;
}

static void warn_of_pinned(const struct tls_build *build)
{
    const struct config *config = build->config;

    for (unsigned i = 0; i < config->cert_source_count; i++) {
        const struct cert_source *source = &config->cert_sources[i];
        problems_warn_if_pinned(build->problems, config->file, config->cert_places[i],
                                source->path);
        if (source->key)
            problems_warn_if_pinned(build->problems, config->file, config->cert_places[i],
                                    source->key);
    }
}

static void report_broken(const struct tls_build *build, const struct cert_problems *broken,
                          bool are_errors)
{
    for (size_t i = 0; i < broken->count; i++)
        problems_add_at(build->problems, !are_errors, build->config->file,
                        *place_of(build->config, broken->list[i].position), "%s",
                        broken->list[i].message);
}

static void warn_of_expiry(const struct tls_build *build, const struct cert_store *store)
{
    int64_t now_s = clock_wall_ms() / 1000;

    for (size_t i = 0; i < cert_store_count(store); i++) {
        const struct certificate *certificate = cert_store_at(store, i);
        int64_t left_s = certificate_not_after(certificate) - now_s;
        char when[CLOCK_TEXT_SIZE];

        if (left_s > EXPIRES_SOON_S)
            continue;
        clock_format(certificate_not_after(certificate) * 1000, when);
        problems_add_at(build->problems, true, build->config->file,
                        source_of(build->config, certificate),
                        "%s: the certificate %s on %.10s: renew it", certificate_file(certificate),
                        left_s < 0 ? "has expired" : "expires", when);
    }
}

static void warn_of_uncovered_hosts(const struct tls_build *build, const struct cert_store *store)
{
    const struct config *config = build->config;
    unsigned uncovered = 0;

    for (unsigned i = 0; i < config->named_host_count; i++) {
        const struct named_host *host = &config->named_hosts[i];
        /* Below a wildcard there may be certificates of single names. */
        if (host->name.at[0] == '*' || cert_store_covers(store, host->name))
            continue;
        if (++uncovered > UNCOVERED_MOST)
            continue;
        struct buffer path = {0};
        json_append_member_path(&path, "routes", host->key);
        buffer_append(&path, slice_make("", 1));
        problems_add_at(build->problems, true, config->file,
                        (struct text_place){host->line, host->column, buffer_content(&path).at},
                        "no certificate covers this host");
        buffer_clear(&path);
    }
    if (uncovered > UNCOVERED_MOST)
        problems_add_at(build->problems, true, config->file, config->routes_place,
                        "no certificate covers %u more hosts", uncovered - UNCOVERED_MOST);
}

/* Only what https needs: without it certificates are read, but need not be there. */
static void check_store(const struct tls_build *build, const struct cert_store *store)
{
    const struct config *config = build->config;
    const char *name = config->tls.default_name;

    warn_of_expiry(build, store);
    if (cert_store_count(store) > 0 && name && !cert_store_covers(store, slice_of(name)))
        problems_add_at(build->problems, build->is_renewal, config->file,
                        config->default_cert_place, "no certificate covers \"%s\"", name);
    if (!globals_listen_on(config->globals, LISTEN_HTTPS) || !config->cert_places)
        return;
    if (cert_store_count(store) == 0)
        problems_add_at(build->problems, false, config->file, config->certs_place,
                        "there is no usable certificate, and https needs one");
    else
        warn_of_uncovered_hosts(build, store);
}

static struct slice find_host(const void *hosts, struct slice name)
{
    const struct snapshot *snapshot = hosts;
    struct slice key = slice_make(NULL, 0);

    route_table_find(snapshot->routes, name, slice_of("/"), &key);
    return key;
}

static struct tls_server *make_server(const struct tls_build *build, struct cert_store *store,
                                      struct client_policies *clients,
                                      const struct snapshot *snapshot)
{
    struct tls_settings settings = build->config->tls;
    struct tls_server *server;
    struct error error;

    /* That was reported, or there is no https to need it. */
    if (settings.default_name && !cert_store_covers(store, slice_of(settings.default_name)))
        settings.default_name = NULL;
    settings.reject_unknown_sni |= !settings.default_name;
    server = tls_server_new(&settings, store, build->options->keys, &error);
    if (!server)
        problems_add_at(build->problems, false, build->config->file, build->config->certs_place,
                        "%s", error.message);
    if (server)
        tls_server_set_clients(server, clients, find_host, snapshot);
    else
        client_policies_free(clients);
    return server;
}

static struct cert_store *load_store(const struct tls_build *build, struct cert_problems *broken)
{
    const struct config *config = build->config;

    if (!build->options->certs)
        return cert_store_load(config->cert_sources, config->cert_source_count, broken);
    return cert_library_load(build->options->certs, config->cert_sources, config->cert_source_count,
                             broken);
}

/* Moves the list. */
static void hand_over(struct cert_problems *broken, struct cert_problems *to)
{
    if (!to) {
        cert_problems_clear(broken);
        return;
    }
    cert_problems_clear(to);
    *to = *broken;
}

struct tls_server *build_tls(const struct tls_build *build, const struct snapshot *snapshot)
{
    const struct config *config = build->config;
    struct cert_problems broken = {0};
    struct cert_store *store = load_store(build, &broken);
    bool is_empty = cert_store_count(store) == 0;
    bool is_strict = build->options->strict_certs || config->globals->certs_strict;
    bool is_needed = globals_listen_on(config->globals, LISTEN_HTTPS);

    warn_of_pinned(build);
    report_broken(build, &broken, is_strict || (is_empty && is_needed));
    /* Where something is said to be broken, that nothing is left needs no saying. */
    if (!is_empty || (broken.count == 0 && !build->is_doubtful))
        check_store(build, store);
    struct client_policies *clients = build_clients(build, &broken);
    hand_over(&broken, build->options->broken);
    return make_server(build, store, clients, snapshot);
}
