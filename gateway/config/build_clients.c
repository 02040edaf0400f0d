#include "config/build_clients.h"

#include "base/check.h"
#include "base/clock.h"
#include "config/reader.h"

enum { EXPIRES_SOON_S = 14 * 24 * 3600 };

static void report(const struct tls_build *build, bool is_warning, struct text_place place,
                   const char *message)
{
    problems_add_at(build->problems, is_warning, build->config->file, place, "%s", message);
}

static void quarantine(struct cert_problems *broken, const char *path, const char *message)
{
    broken->list = memory_resize(broken->list, (broken->count + 1) * sizeof(*broken->list));
    broken->list[broken->count++] = (struct cert_problem){
        .file = slice_duplicate(slice_of(path)),
        .message = slice_duplicate(slice_of(message)),
        .is_client_ca = true,
        .since = clock_wall_ms() / 1000,
    };
}

static void warn_of_expiry(const struct tls_build *build, const struct client_ca_file *file,
                           const struct client_ca *ca)
{
    int64_t ends = client_ca_not_after(ca), left_s = ends - clock_wall_ms() / 1000;
    char when[CLOCK_TEXT_SIZE];

    if (left_s > EXPIRES_SOON_S)
        return;
    clock_format(ends * 1000, when);
    problems_add_at(build->problems, true, build->config->file, file->place,
                    "%s: the certificate of an authority %s on %.10s, and clients' certificates "
                    "with it: renew it",
                    file->path, left_s < 0 ? "has expired" : "expires", when);
}

static void load_file(const struct tls_build *build, const struct client_ca_file *file,
                      struct client_policies *policies, struct cert_problems *broken)
{
    const struct client_policies *served = build->served ? tls_server_clients(build->served) : NULL;
    struct client_ca *earlier = served ? client_policies_ca(served, file->path) : NULL;
    bool may_stand_in = earlier && !build->config->globals->certs_strict;
    struct error error = {""};
    struct client_ca *ca = client_ca_load(file->path, earlier, &error);

    if (!ca) {
        report(build, may_stand_in, file->place, error.message);
        if (!may_stand_in)
            return;
        quarantine(broken, file->path, error.message);
        ca = client_ca_ref(earlier);
    }
    warn_of_expiry(build, file, ca);
    client_policies_add_ca(policies, file->path, ca);
}

/* There nobody can be asked. */
static void warn_of_plaintext(const struct tls_build *build)
{
    const struct config *config = build->config;
    const struct globals *globals = config->globals;
    bool is_open = false;

    for (unsigned i = 0; i < globals->listen_count; i++)
        is_open |= globals->listens[i].kind == LISTEN_HTTP && globals->listens[i].serves_routes;
    if (!is_open)
        return;
    for (unsigned i = 0; i < config->host_count; i++) {
        const struct host *host = config->hosts[i];
        const struct client_rule *rule = host->clients ? host->clients : &config->clients;

        if (rule->auth != CLIENT_AUTH_REQUIRE)
            continue;
        problems_add_at(build->problems, true, config->file, config->routes_place,
                        "\"%.*s\" and all hosts that require a client certificate are served "
                        "without one where listen.http has \"serve\": \"routes\": plaintext has "
                        "no handshake that could ask for it",
                        (int)host->key.len, host->key.at);
        return;
    }
}

struct client_policies *build_clients(const struct tls_build *build, struct cert_problems *broken)
{
    const struct config *config = build->config;
    struct client_policies *policies = client_policies_new();

    for (const struct client_ca_file *file = config->client_cas; file; file = file->next) {
        problems_warn_if_pinned(build->problems, config->file, file->place, file->path);
        load_file(build, file, policies, broken);
    }
    client_policies_set(policies, slice_of(""), &config->clients);
    for (unsigned i = 0; config->client_cas && i < config->host_count; i++)
        if (config->hosts[i]->clients)
            client_policies_set(policies, config->hosts[i]->key, config->hosts[i]->clients);
    warn_of_plaintext(build);
    return policies;
}
