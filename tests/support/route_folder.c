#include "support/route_folder.h"

#include "config/policies.h"
#include "http/target.h"
#include "tls/internal.h"

#include <criterion/criterion.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- certificates -------------------------------------------------------------------------------
 */

static void add_names(X509 *certificate, const char *names)
{
    GENERAL_NAMES *list = GENERAL_NAMES_new();
    char *copy = strdup(names), *rest = NULL;

    for (char *name = strtok_r(copy, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
        ASN1_OCTET_STRING *ip = a2i_IPADDRESS(name);
        GENERAL_NAME *general = GENERAL_NAME_new();
        if (ip) {
            GENERAL_NAME_set0_value(general, GEN_IPADD, ip);
        } else {
            ASN1_IA5STRING *dns = ASN1_IA5STRING_new();
            ASN1_STRING_set(dns, name, (int)strlen(name));
            GENERAL_NAME_set0_value(general, GEN_DNS, dns);
        }
        sk_GENERAL_NAME_push(list, general);
    }
    cr_assert(X509_add1_ext_i2d(certificate, NID_subject_alt_name, list, 0, 0));
    GENERAL_NAMES_free(list);
    free(copy);
}

static X509 *make_certificate(EVP_PKEY *key, const char *names, int days)
{
    static int serial = 1;
    X509 *certificate = X509_new();
    long day = 24 * 3600;

    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), days < 0 ? 2 * days * day : -day);
    X509_gmtime_adj(X509_getm_notAfter(certificate), days * day);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                               (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_set_pubkey(certificate, key);
    add_names(certificate, names);
    cr_assert(X509_sign(certificate, key, EVP_sha256()));
    return certificate;
}

void route_folder_authority(struct route_folder *folder, const char *name)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
    char path[256];

    cr_assert(EC_KEY_generate_key(ec) && EVP_PKEY_assign_EC_KEY(key, ec));
    X509 *certificate = make_certificate(key, "authority.test", 30);
    constraints->ca = 1;
    cr_assert(X509_add1_ext_i2d(certificate, NID_basic_constraints, constraints, 1, 0));
    cr_assert(X509_sign(certificate, key, EVP_sha256()));
    snprintf(path, sizeof(path), "%s/%s", folder->path, name);
    FILE *file = fopen(path, "w");
    cr_assert(file && PEM_write_X509(file, certificate) && fclose(file) == 0);
    BASIC_CONSTRAINTS_free(constraints);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

void route_folder_certify(struct route_folder *folder, const char *name, const char *names,
                          int days)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    char path[256];
    FILE *file;

    EC_KEY_generate_key(ec);
    EVP_PKEY_assign_EC_KEY(key, ec);
    X509 *certificate = make_certificate(key, names, days);
    snprintf(path, sizeof(path), "%s/certs/%s.crt", folder->path, name);
    file = fopen(path, "w");
    cr_assert(file && PEM_write_X509(file, certificate));
    fclose(file);
    snprintf(path, sizeof(path), "%s/certs/%s.key", folder->path, name);
    file = fopen(path, "w");
    cr_assert(file && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL));
    fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

/* --- the folder ---------------------------------------------------------------------------------
 */

void route_folder_init(struct route_folder *folder)
{
    char certs[96];

    *folder = (struct route_folder){.path = "/tmp/sallyport-routes-XXXXXX"};
    cr_assert(mkdtemp(folder->path));
    snprintf(folder->file, sizeof(folder->file), "%s/routes.json", folder->path);
    snprintf(certs, sizeof(certs), "%s/certs", folder->path);
    cr_assert_eq(mkdir(certs, 0700), 0);
    folder->keys = ticket_keys_new(3600);
    problems_init(&folder->problems);
    route_folder_certify(folder, "test", "*.test localhost", 90);
}

static void forget_load(struct route_folder *folder)
{
    snapshot_unref(folder->snapshot);
    folder->snapshot = NULL;
    problems_clear(&folder->problems);
    free(folder->printed);
    folder->printed = NULL;
}

void route_folder_clear(struct route_folder *folder)
{
    char command[128];

    forget_load(folder);
    ticket_keys_free(folder->keys);
    snprintf(command, sizeof(command), "rm -r '%s'", folder->path);
    cr_assert_eq(system(command), 0);
    buffer_cache_clear();
}

void route_folder_write(struct route_folder *folder, const char *name, const char *text)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", folder->path, name);
    file = fopen(path, "w");
    cr_assert(file);
    for (; *text; text++)
        fputc(*text == '\'' ? '"' : *text, file);
    fclose(file);
}

static char *print_problems(const struct problems *problems)
{
    struct buffer out = {0};
    char *copy;

    problems_print(problems, &out, false);
    copy = slice_duplicate(buffer_length(&out) ? buffer_content(&out) : slice_of(""));
    buffer_clear(&out);
    return copy;
}

void route_folder_load(struct route_folder *folder, const char *text)
{
    forget_load(folder);
    route_folder_write(folder, "routes.json", text);
    const struct load_options options = {
        .keys = folder->keys, .strict_certs = folder->strict_certs, .previous = folder->previous};
    folder->snapshot = snapshot_load(folder->file, &options, &folder->problems);
    folder->printed = print_problems(&folder->problems);
}

void route_folder_load_with_certs(struct route_folder *folder, const char *text)
{
    char *whole;

    cr_assert(asprintf(&whole, "{ 'certs': 'certs', %s }", text) > 0);
    route_folder_load(folder, whole);
    free(whole);
}

const struct snapshot *route_folder_good(struct route_folder *folder, const char *text)
{
    route_folder_load_with_certs(folder, text);
    cr_assert(folder->snapshot, "%s", folder->printed);
    return folder->snapshot;
}

static bool is_there(const char *wanted, const char *text, bool whole)
{
    if (!wanted)
        return true;
    return text && (whole ? strcmp(text, wanted) == 0 : strstr(text, wanted) != NULL);
}

void route_folder_expect(const struct route_folder *folder, unsigned line, unsigned column,
                         const char *path, const char *message, const char *suggestion)
{
    for (size_t i = 0; i < folder->problems.count; i++) {
        const struct problem *problem = &folder->problems.list[i];
        if (problem->line == line && (column == 0 || problem->column == column) &&
            is_there(path, problem->path, true) && is_there(message, problem->message, false) &&
            is_there(suggestion, problem->suggestion, true))
            return;
    }
    cr_assert_fail("no problem at %u:%u, %s: %s (%s) in\n%s", line, column, path ? path : "",
                   message ? message : "", suggestion ? suggestion : "", folder->printed);
}

const struct route *route_folder_find(const struct route_folder *folder, const char *host,
                                      const char *path)
{
    cr_assert(folder->snapshot, "%s", folder->printed);
    return route_table_find(folder->snapshot->routes, slice_of(host), slice_of(path), NULL);
}

/* --- describing ---------------------------------------------------------------------------------
 */

static void describe_edits(const char *message, const struct header_edits *edits, FILE *out)
{
    for (unsigned i = 0; i < edits->count; i++) {
        const struct header_edit *edit = &edits->list[i];
        fprintf(out, " %s %d from %d %.*s=", message, edit->kind, edit->from, (int)edit->name.len,
                edit->name.at);
        for (unsigned p = 0; p < edit->value.part_count; p++)
            fprintf(out, "%.*s{%d}", (int)edit->value.parts[p].text.len,
                    edit->value.parts[p].text.len ? edit->value.parts[p].text.at : "",
                    edit->value.parts[p].placeholder);
    }
}

static void describe_policies(const struct policies *policies, FILE *out)
{
    struct arena arena = {0};

    for (enum policy_kind kind = 0; policies && kind < POLICY_KINDS; kind++) {
        struct slice words = policies_words(policies->of[kind], &arena);
        fprintf(out, " %s %.*s", policy_name(kind), (int)words.len, words.at);
    }
    arena_clear(&arena);
}

static void describe_settings(const struct settings *s, FILE *out)
{
    fprintf(out, " body_idle %lu connect %lu first_byte %lu idle %lu tunnel_idle %lu max_body %lu",
            s->body_idle_ms, s->connect_ms, s->first_byte_ms, s->idle_ms, s->tunnel_idle_ms,
            s->max_body);
    describe_edits("request", &s->request_headers, out);
    describe_edits("response", &s->response_headers, out);
    fprintf(out, " strip %.*s add %.*s", (int)s->rewrite.strip_prefix.len,
            s->rewrite.strip_prefix.len ? s->rewrite.strip_prefix.at : "",
            (int)s->rewrite.add_prefix.len,
            s->rewrite.add_prefix.len ? s->rewrite.add_prefix.at : "");
    fprintf(out, " host %d %.*s attempts %u", s->host_mode, (int)s->host_name.len,
            s->host_name.len ? s->host_name.at : "", s->retry_attempts);
    fprintf(out, " budget %u try %lu on %u", s->retry_budget, s->retry_timeout_ms, s->retry_on);
    for (unsigned i = 0; i < s->retry_status_count; i++)
        fprintf(out, " %u", s->retry_statuses[i]);
    describe_policies(s->policies, out);
    fprintf(out, "\n");
}

static void describe_affinity(const char *what, const struct affinity *affinity, FILE *out)
{
    fprintf(out, " %s %d %.*s", what, affinity->kind, (int)affinity->name.len,
            affinity->name.len ? affinity->name.at : "");
}

static void describe_route(const struct snapshot *snapshot, const char *host, const char *path,
                           FILE *out)
{
    const struct route *route =
        route_table_find(snapshot->routes, slice_of(host), slice_of(path), NULL);
    struct arena arena = {0};

    fprintf(out, "%s%s:", host, path);
    if (!route) {
        fprintf(out, " none\n");
        return;
    }
    fprintf(out, " %.*s kind %d status %d", (int)route->name.len, route->name.at, route->kind,
            route->status);
    describe_affinity("split_on", &route->split_on, out);
    for (unsigned i = 0; i < route->target_count; i++) {
        fprintf(out, " to %.*s %u", (int)route->targets[i].upstream->name.len,
                route->targets[i].upstream->name.at, route->targets[i].weight);
        describe_settings(&route->targets[i].settings, out);
    }
    if (route->kind == ROUTE_REDIRECT) {
        struct slice location =
            route_location(route, &arena, true, slice_of(host), slice_of(path), slice_of("?q"));
        fprintf(out, " location %.*s", (int)location.len, location.at);
    }
    for (unsigned i = 0; i < route->respond_fields.count; i++) {
        const struct http_field *field = &route->respond_fields.list[i];
        fprintf(out, " %.*s=%.*s", (int)field->name.len, field->name.at, (int)field->value.len,
                field->value.at);
    }
    fprintf(out, " body %.*s", (int)route->respond_body.len,
            route->respond_body.len ? route->respond_body.at : "");
    describe_settings(&route->settings, out);
    arena_clear(&arena);
}

static void describe_text(const char *what, struct slice text, FILE *out)
{
    fprintf(out, " %s %.*s", what, (int)text.len, text.len ? text.at : "");
}

static void describe_health(const struct health_spec *health, FILE *out)
{
    fprintf(out, " health %d every %lu timeout %lu rise %u fall %u", health->is_on,
            health->every_ms, health->timeout_ms, health->rise, health->fall);
    describe_text("path", health->path, out);
    describe_text("method", health->method, out);
    describe_text("host", health->host, out);
    describe_text("body", health->body, out);
    for (unsigned i = 0; i < health->status_count; i++)
        fprintf(out, " %u-%u", health->statuses[i].least, health->statuses[i].most);
}

static void describe_care(const struct upstream_spec *upstream, FILE *out)
{
    fprintf(out, " balance %d slow_start %lu", upstream->balance, upstream->slow_start_ms);
    describe_affinity("hash_on", &upstream->hash_on, out);
    describe_text("sticky", upstream->sticky.cookie, out);
    describe_text("key", upstream->sticky.key, out);
    fprintf(out, " ttl %lu", upstream->sticky.ttl_ms);
    describe_health(&upstream->health, out);
    fprintf(out, " eject %u for %lu most %u", upstream->eject.after, upstream->eject.for_ms,
            upstream->eject.most_percent);
    fprintf(out, " hold %lu queue %u", upstream->hold.for_ms, upstream->hold.queue);
    fprintf(out, " connections %u requests %u min_idle %u hedge %u\n", upstream->max_connections,
            upstream->max_requests, upstream->min_idle, upstream->hedge_permille);
}

static void describe_upstream(const struct upstream_spec *upstream, FILE *out)
{
    fprintf(out, "upstream %.*s keepalive %u names_clients %d:", (int)upstream->name.len,
            upstream->name.at, upstream->keepalive, upstream->names_clients);
    for (unsigned i = 0; i < upstream->server_count; i++)
        fprintf(out, " %.*s %u %d", (int)upstream->servers[i].name.len,
                upstream->servers[i].name.at, upstream->servers[i].weight,
                upstream->servers[i].is_backup);
    describe_care(upstream, out);
}

static void describe_tls(const struct snapshot *snapshot, FILE *out)
{
    static const char *const names[] = {"", "a.test", "localhost", "unknown.example"};
    const char *alert;

    SSL_CTX *context = tls_server_context(snapshot->tls);
    fprintf(out, "tls from %04x, tickets %d, ", SSL_CTX_get_min_proto_version(context),
            !(SSL_CTX_get_options(context) & SSL_OP_NO_TICKET));
    struct slice alpn = tls_server_alpn(snapshot->tls);
    fprintf(out, "alpn %.*s, ", (int)alpn.len, alpn.at);
    fprintf(out, "certificates %zu:", cert_store_count(tls_server_certs(snapshot->tls)));
    for (size_t i = 0; i < 4; i++) {
        struct certificate *chosen = tls_server_choose(snapshot->tls, slice_of(names[i]), &alert);
        fprintf(out, " %s=%s", names[i], chosen ? certificate_file(chosen) : alert);
    }
    for (size_t i = 0; i < 4; i++) {
        const struct client_policy *policy =
            tls_server_policy_of_sni(snapshot->tls, slice_of(names[i]));
        fprintf(out, " %s:%s of %lx", names[i], client_auth_name(policy->auth),
                policy->ca ? client_ca_fingerprint(policy->ca) : 0);
    }
    fprintf(out, "\n");
}

static void describe_redis(const struct redis_spec *redis, FILE *out)
{
    if (redis == NULL)
        return;
    fprintf(out, "redis timeout %lu on_failure %d database %u", redis->timeout_ms,
            redis->on_failure, redis->database);
    for (unsigned i = 0; i < redis->server_count; i++)
        describe_text("server", redis->servers[i].name, out);
    describe_text("user", redis->user, out);
    describe_text("password", redis->password, out);
    fprintf(out, "\n");
}

char *snapshot_describe(const struct snapshot *s)
{
    static const char *const paths[] = {"/", "/x", "/x/y", "/v1/z"};
    static const char *const hosts[] = {"a.test", "b.test", "c.test"};
    char *text = NULL, address[ADDRESS_TEXT_SIZE];
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);

    for (unsigned i = 0; i < s->globals->listen_count; i++) {
        const struct listen_spec *spec = &s->globals->listens[i];
        fprintf(out, "listen %d %s routes %d port %u acme %s:", spec->kind, spec->text,
                spec->serves_routes, spec->https_port,
                spec->acme_webroot ? spec->acme_webroot : "-");
        for (unsigned p = 0; p < spec->proxy_count; p++) {
            network_format(&spec->proxies[p], address);
            fprintf(out, " header from %s", address);
        }
        for (int a = 0; a < spec->address_count; a++) {
            address_format(&spec->addresses[a], address);
            fprintf(out, " %s", address);
        }
        fprintf(out, "\n");
    }
    fprintf(out, "watch %d strict %d series %u\n", s->globals->watch, s->globals->certs_strict,
            s->globals->metrics_series);
    fprintf(out, "user %s group %s\n",
            s->globals->process_user.user ? s->globals->process_user.user : "-",
            s->globals->process_user.group ? s->globals->process_user.group : "-");
    fprintf(out, "admin named %d\n", s->globals->admin_is_named);
    describe_tls(s, out);
    for (unsigned i = 0; i < s->config->upstream_count; i++)
        describe_upstream(s->config->upstreams[i], out);
    for (size_t h = 0; h < 3; h++)
        for (size_t p = 0; p < 4; p++)
            describe_route(s, hosts[h], paths[p], out);
    describe_redis(s->globals->redis, out);
    for (unsigned i = 0; i < s->globals->dns_server_count; i++) {
        char server[ADDRESS_TEXT_SIZE];
        address_format(&s->globals->dns_servers[i], server);
        fprintf(out, "dns %s\n", server);
    }
    for (unsigned i = 0; i < s->globals->trusted_proxy_count; i++)
        fprintf(out, "trusted %02x%02x %u\n", s->globals->trusted_proxies[i].bytes[12],
                s->globals->trusted_proxies[i].bytes[13], s->globals->trusted_proxies[i].bits);
    fprintf(out, "handshake %lu header %lu keepalive %lu body_idle %lu\n", s->globals->handshake_ms,
            s->globals->header_ms, s->globals->keepalive_ms, s->globals->body_idle_ms);
    fprintf(out, "limits %u %u %u underscores %d\n", s->globals->limits.head_bytes,
            s->globals->limits.fields, s->globals->limits.request_line,
            s->globals->limits.underscores);
    fprintf(out, "clients %u %u %u\n", s->globals->client_limits.connections,
            s->globals->client_limits.connections_per_ip, s->globals->client_limits.handshakes);
    fprintf(out, "body_rate %lu\n", s->globals->body_rate);
    fprintf(out, "drain %lu %lu\n", s->globals->drain_delay_ms, s->globals->drain_timeout_ms);
    fprintf(out, "log %d %s %d %d %d\n", s->globals->access_log,
            s->globals->access_log_path ? s->globals->access_log_path : "", s->globals->log_format,
            s->globals->log_level, s->globals->log_query);
    fclose(out);
    return text;
}
