/* What `explain` says is what happens: a route file of 200 hosts, requests made from it, and for
 * each of them the gateway's word held against the gateway's deed. */
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/origin.h"
#include "harness/test_certs.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(explain);

enum { HOSTS = 200, ZONES = 10, REQUESTS = 300, ORIGINS = 4 };

/* --- chance, the same in every run --------------------------------------------------------------
 */

static unsigned chance_state;

static unsigned chance(unsigned below)
{
    chance_state = chance_state * 1664525u + 1013904223u;
    return (chance_state >> 8) % below;
}

/* --- the route file -----------------------------------------------------------------------------
 */

static const char *const path_keys[] = {"/",  "/v1",    "/v1/",         "=/v1",   "/v1/users",
                                        "/a", "=/a/b/", "=/robots.txt", "/Case/", "/a%2fb"};
enum { PATH_KEYS = sizeof path_keys / sizeof *path_keys };

static struct origin *origins[ORIGINS];

static void write_target(FILE *out, int i)
{
    static const char *const answers[] = {
        "{ 'respond': { 'status': 410, 'body': 'gone', 'headers': { 'x-h': 'y' } } }",
        "{ 'redirect': 'https://{host}.new{uri}' }",
        "{ 'redirect': { 'to': '{scheme}://x.test{path}?was={query}', 'status': 302 } }",
        "'api'",
        "{ 'to': { 'api': 3, 'web': 1, 'idle': 0 } }",
        "{ 'to': 'web', 'max_body': 100, 'timeout': { 'connect': '7s' } }",
    };
    int kind = i % 8;

    if (kind < 6)
        fprintf(out, "%s", answers[kind]);
    else if (kind == 6)
        fprintf(out, "'%s'", origin_address(origins[i % ORIGINS]));
    else
        fprintf(out, "['%s', '%s']", origin_address(origins[0]), origin_address(origins[1]));
}

static void write_host(FILE *out, int i)
{
    if (i % 3 != 0) {
        write_target(out, i);
        return;
    }
    const char *separator = "";
    fprintf(out, "{ 'max_body': 150, 'paths': {");
    for (int k = 0; k < PATH_KEYS; k++) {
        if ((i * 7 + k * 5) % 3 == 0 && k != 3)
            continue;
        fprintf(out, "%s '%s': ", separator, path_keys[k]);
        /* One of each host's leads to a backend, or max_body would be a mistake. */
        write_target(out, k == 3 ? 3 : i + k);
        separator = ",";
    }
    fprintf(out, " } }");
}

/* The i-th key of `routes`. */
static char *host_key(int i)
{
    int zone = i % ZONES, round = i / ZONES;

    if (round == 0)
        return text("*.z%d.example", zone);
    if (round == 1)
        return text("*.deep.z%d.example", zone);
    if (round == 2)
        return text("z%d.example", zone);
    return round % 4 == 3 ? text("h%d.deep.z%d.example", i, zone)
                          : text("h%d.z%d.example", i, zone);
}

struct variant {
    const char *tls;
    const char *any; /* an entry for "*", or nothing */
    unsigned seed;
};

static char *routes_plain; /* the address of the listener that serves routes in plaintext */

static struct gateway *start(const struct variant *variant)
{
    char *hosts = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&hosts, &length);

    for (int i = 0; i < ORIGINS; i++)
        origins[i] = origin_start(text("origin%d", i));
    for (int i = 0; i < HOSTS; i++) {
        fprintf(out, "'%s': ", host_key(i));
        write_host(out, i);
        fprintf(out, ",\n");
    }
    fclose(out);
    workplace_own(hosts, free);
    routes_plain = workplace_free_address();
    return gateway_start(
        "{ 'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/admin.sock',"
        "  'http': ['127.0.0.1:0', { 'bind': '%s', 'serve': 'routes' }] },"
        "  'certs': 'own', 'tls': { %s }, 'log': { 'format': 'json' },"
        "  'trusted_proxies': ['127.0.0.0/8', '10.0.0.0/8'],"
        "  'backends': { 'api': '%s', 'web': { 'servers': ['%s', { 'to': '%s', 'weight': 2 }] },"
        "    'idle': '%s' }, 'routes': { %s %s 'last.example': 'api' } }",
        routes_plain, variant->tls, origin_address(origins[0]), origin_address(origins[1]),
        origin_address(origins[2]), origin_address(origins[3]), hosts, variant->any);
}

/* --- certificates -------------------------------------------------------------------------------
 */

static struct own_cert {
    const char *file, *names;
    enum cert_kind kind;
    struct cert *cert;
} certs[] = {
    {.file = "bare.pem", .names = "z0.example, z1.example, z2.example"},
    {.file = "deep.pem", .names = "*.deep.z1.example, *.deep.z2.example, *.deep.z3.example"},
    {.file = "exact.pem", .names = "h31.z1.example, h52.z2.example, h60.z0.example"},
    {.file = "rsa.pem", .names = "*.z1.example, *.z2.example", .kind = CERT_RSA},
    {.file = "wild1.pem", .names = "*.z1.example"},
    {.file = "wild23.pem", .names = "*.z2.example, *.z3.example, *.z4.example, z4.example"},
    {.file = "wild57.pem", .names = "*.z5.example, *.z6.example, *.z7.example"},
};
enum { CERTS = sizeof certs / sizeof *certs };

static void make_certs(void)
{
    workplace_make_folder("own");
    for (int i = 0; i < CERTS; i++) {
        certs[i].cert =
            cert_make(&(struct cert_options){.names = certs[i].names, .kind = certs[i].kind});
        cert_write_bundle(certs[i].cert, workplace_path("own/%s", certs[i].file));
    }
}

/* --- requests -----------------------------------------------------------------------------------
 */

struct request {
    const char *method, *host, *path; /* path "*": of OPTIONS */
    const char *sni;                  /* NULL: none */
    const char *forwarded_for;        /* or NULL */
    const char *address;              /* where it is sent to */
    bool is_tls, is_large;
};

/* A host that the key stands for, or nearly. */
static char *make_host(const char *key)
{
    bool is_wildcard = key[0] == '*';
    char *host =
        is_wildcard ? text("%s%s", chance(4) == 0 ? "x.y" : "x", key + 1) : text("%s", key);

    switch (chance(12)) {
    case 0: return text("%s.", host);
    case 1: host[0] ^= 0x20; return host;
    case 2: return text("www.%s", host);
    case 3:
        return text("%s", is_wildcard ? key + 2 : host + 1); /* the bare domain; a letter less */
    case 4: return text("nobody.test");
    default: return host;
    }
}

static char *make_path(void)
{
    static const char *const ends[] = {"",     "",     "",      "/",    "x",     "/x",
                                       "//x",  "/./x", "/..",   "?q=1", "/%41b", "%2Fx",
                                       "/%2e", "%zz",  "/%00x", "/..a", "%5c..", "/%7euser"};
    const char *key = path_keys[chance(PATH_KEYS)];
    char *path = text("%s%s", key + (key[0] == '='), ends[chance(sizeof ends / sizeof *ends)]);

    if (chance(15) == 0 && path[1] >= 'a')
        path[1] ^= 0x20;
    return chance(20) == 0 ? text("/%s", path) : path;
}

static struct request make_request(struct gateway *gateway)
{
    static const char *const hops[] = {"192.0.2.7", "192.0.2.8, 10.1.1.1", "what, 10.2.2.2"};
    unsigned way = chance(8), like = chance(10), method = chance(20);
    struct request r = {.method = "GET", .host = make_host(host_key((int)chance(HOSTS)))};

    r.path = make_path();
    r.sni = like < 6    ? r.host
            : like == 6 ? NULL
            : like == 7 ? make_host(host_key((int)chance(HOSTS)))
                        : text("x.z%u.example", 1 + chance(7)); /* some certificate has it */
    r.is_tls = way > 1;
    r.address = way == 0   ? gateway_address(gateway, "http", 0)
                : way == 1 ? routes_plain
                           : gateway_https(gateway);
    r.forwarded_for = chance(4) == 0 ? hops[chance(3)] : NULL;
    if (method == 0)
        r.method = "TRACE";
    else if (method == 1)
        r.method = "CONNECT";
    else if (method == 2)
        r.method = "OPTIONS", r.path = "*";
    else if (method < 6)
        r.method = "POST", r.is_large = true;
    return r;
}

/* The arguments of `explain` for it; NULL-terminated. */
static const char *const *arguments_for(const struct request *r)
{
    const char **list = workplace_own(calloc(24, sizeof *list), free);
    bool is_bare = strcmp(r->path, "*") == 0 || strcmp(r->method, "CONNECT") == 0;
    /* As operators may write it: the name that is connected to, and another Host. */
    bool has_host = r->is_tls && r->sni != NULL && r->sni != r->host && strlen(r->host) % 2 == 0;
    int n = 0;

    list[n++] =
        text("%s://%s%s%s", r->is_tls ? "https" : "http", has_host ? r->sni : r->host,
             r->address == routes_plain ? strrchr(routes_plain, ':') : "", is_bare ? "" : r->path);
    list[n++] = "--method", list[n++] = r->method;
    list[n++] = "--ip", list[n++] = "127.0.0.1";
    if (has_host)
        list[n++] = "-H", list[n++] = text("Host: %s", r->host);
    else if (r->is_tls && r->sni != NULL && r->sni != r->host)
        list[n++] = "--sni", list[n++] = r->sni;
    if (r->is_tls && r->sni == NULL)
        list[n++] = "--no-sni";
    if (r->forwarded_for != NULL)
        list[n++] = "-H", list[n++] = text("X-Forwarded-For: %s", r->forwarded_for);
    if (r->is_large)
        list[n++] = "-H", list[n++] = "Content-Length: 120";
    return list;
}

/* --- asking for an explanation ------------------------------------------------------------------
 */

static char *escaped(const char *value)
{
    char *out = text("%*s", (int)(3 * strlen(value) + 1), ""), *to = out;

    for (; *value != '\0'; value++)
        to += sprintf(to, "%%%02X", (unsigned char)*value);
    return out;
}

static char *query_for(const char *const *arguments)
{
    static const char *const names[][2] = {
        {"--method", "method"}, {"--sni", "sni"}, {"--ip", "ip"}, {"-H", "header"}};
    char *query = text("/explain?url=%s", escaped(arguments[0]));

    for (int i = 1; arguments[i] != NULL; i++) {
        if (strcmp(arguments[i], "--no-sni") == 0)
            query = text("%s&no_sni", query);
        for (int k = 0; k < 4; k++)
            if (strcmp(arguments[i], names[k][0]) == 0)
                query = text("%s&%s=%s", query, names[k][1], escaped(arguments[i + 1]));
    }
    return query;
}

static json_t *ask_endpoint(const char *const *arguments)
{
    struct message *response = ask_admin("GET", query_for(arguments));

    expect_status(response, 200);
    return json_from(response->body);
}

/* More arguments, NULL-terminated, go before the request's. */
static struct command *run_explain(const char *const *more, const char *const *arguments)
{
    const char *argv[40] = {sallyport_path(), "explain"};
    int n = 2;

    for (; *more != NULL; more++)
        argv[n++] = *more;
    for (; *arguments != NULL; arguments++)
        argv[n++] = *arguments;
    return command_run(argv);
}

/* A day may end between two answers. */
static void forget_days(json_t *value)
{
    size_t index;
    const char *key;
    json_t *member;

    json_object_del(value, "days_left");
    json_array_foreach (value, index, member)
        forget_days(member);
    json_object_foreach (value, key, member)
        forget_days(member);
}

/* The command says the same as the endpoint, but for the generation that a file has not. */
static void expect_command_agrees(json_t *explained, const char *const *arguments)
{
    const char *file = workplace_path("routes.json");
    const char *admin = text("unix:%s/admin.sock", workplace_folder());
    struct command *live =
        run_explain((const char *const[]){"--live", "--json", "--admin", admin, NULL}, arguments);
    struct command *on_file =
        run_explain((const char *const[]){"-c", file, "--json", NULL}, arguments);

    command_expect(live, 0);
    command_expect(on_file, 0);
    json_t *of_file = json_from(on_file->out), *of_live = json_from(live->out);
    forget_days(of_file);
    forget_days(of_live);
    forget_days(explained);
    workplace_require(json_equal(of_live, explained), "--live differs: %s", live->out);
    expect_null(of_file, "generation");
    json_object_set(of_file, "generation", json_member(explained, "generation"));
    workplace_require(json_equal(of_file, explained), "the file differs: %s", on_file->out);
}

/* --- holding it against what happens ------------------------------------------------------------
 */

static const char *string_of(json_t *object, const char *member)
{
    return json_string_value(json_member(object, member));
}

#define AGREE(fact, what)                                                                          \
    workplace_require(fact, "%s is not as explained: %s %s of %s, SNI %s, to %s:\n%s", what,       \
                      r->method, r->path, r->host, r->sni != NULL ? r->sni : "(none)", r->address, \
                      (char *)workplace_own(json_dumps(explained, 0), free))

static bool same_string(json_t *a, json_t *b)
{
    return json_equal(a, b) == 1;
}

static void expect_handshake(const struct request *r, struct client *client, json_t *explained)
{
    const char *alert = string_of(explained, "tls.alert");

    workplace_require(client != NULL, "cannot connect");
    AGREE(client->is_connected == (alert == NULL), "the handshake");
    if (alert != NULL) {
        AGREE(client->alert == (strcmp(alert, "unrecognized_name") == 0 ? 112 : 40), "the alert");
        AGREE(strcmp(string_of(explained, "answer.by"), "alert") == 0, "the answer");
        return;
    }
    const char *file = strrchr(string_of(explained, "tls.certificate.file"), '/') + 1;
    struct cert *cert = NULL;
    for (int i = 0; i < CERTS; i++)
        cert = strcmp(certs[i].file, file) == 0 ? certs[i].cert : cert;
    AGREE(cert != NULL && cert_is(cert, client_peer(client)), "the certificate");
}

static void send_request(const struct request *r, struct client *client)
{
    bool is_connect = strcmp(r->method, "CONNECT") == 0;

    client_send(client, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s%s%s%s\r\n%s",
                r->method, is_connect ? text("%s:443", r->host) : r->path, r->host,
                r->forwarded_for != NULL ? "X-Forwarded-For: " : "",
                r->forwarded_for != NULL ? r->forwarded_for : "",
                r->forwarded_for != NULL ? "\r\n" : "",
                r->is_large ? "Content-Length: 120\r\n" : "", r->is_large ? text("%0120d", 7) : "");
}

/* The backend, out of those that get a share. */
static bool has_backend(json_t *explained, json_t *logged)
{
    json_t *targets = json_member(explained, "targets"), *target;
    size_t i;

    json_array_foreach (targets, i, target)
        if (json_integer_value(json_member(target, "weight")) > 0 &&
            same_string(json_member(target, "backend"), logged))
            return true;
    return false;
}

static void expect_answer(const struct request *r, const struct message *response, json_t *line,
                          json_t *explained)
{
    json_t *status = json_member(explained, "answer.status");
    const char *location = string_of(explained, "answer.location");
    const char *is_location = message_field(response, "location");
    bool is_backend = strcmp(string_of(explained, "answer.by"), "backend") == 0;
    json_t *reason = json_member(explained, "answer.reason");

    AGREE(response->status == (is_backend ? 200 : json_integer_value(status)), "the status");
    AGREE(json_integer_value(json_member(line, "status")) == response->status, "the log");
    AGREE(location == NULL ? is_location == NULL
                           : is_location != NULL && strcmp(location, is_location) == 0,
          "the Location");
    AGREE(same_string(json_member(line, "reason"), reason), "the reason");
    AGREE(same_string(json_member(line, "route"), json_member(explained, "route")), "the route");
    if (is_backend)
        AGREE(has_backend(explained, json_member(line, "backend")), "the backend");
    else if (json_array_size(json_member(explained, "targets")) == 0)
        AGREE(json_is_null(json_member(line, "backend")), "the backend");
    if (json_is_string(json_member(explained, "request.path")) &&
        strcmp(r->method, "CONNECT") != 0) {
        AGREE(same_string(json_member(line, "path"), json_member(explained, "request.path")),
              "the path");
        AGREE(
            same_string(json_member(line, "client_ip"), json_member(explained, "client.client_ip")),
            "the client's address");
    }
}

/* What came up, so that a test that no longer tries everything is noticed. */
struct tally {
    int alerts, misdirected, not_found, refused, redirects, backends, too_large, methods;
};

static void count(struct tally *tally, json_t *explained)
{
    long status = json_integer_value(json_member(explained, "answer.status"));
    const char *by = string_of(explained, "answer.by");

    tally->alerts += strcmp(by, "alert") == 0;
    tally->backends += strcmp(by, "backend") == 0;
    tally->misdirected += status == 421;
    tally->not_found += status == 404;
    tally->refused += status == 400;
    tally->redirects += status == 308 || status == 302;
    tally->too_large += status == 413;
    tally->methods += status == 405;
}

static void try_request(struct gateway *gateway, const struct request *r, int *lines,
                        json_t *explained)
{
    struct client *client = r->is_tls
                                ? client_try(r->address, &(struct client_options){.sni = r->sni})
                                : client_open_plain(r->address);

    if (r->is_tls)
        expect_handshake(r, client, explained);
    if (client->is_connected) {
        send_request(r, client);
        struct message *response = client_response_to(client, r->method);
        expect_answer(r, response, log_entry(gateway, (*lines)++), explained);
    }
    client_close(client);
}

static void compare(const struct variant *variant, struct tally *tally)
{
    int lines = 0;

    chance_state = variant->seed;
    make_certs();
    struct gateway *gateway = start(variant);
    for (int i = 0; i < REQUESTS; i++) {
        struct request r = make_request(gateway);
        const char *const *arguments = arguments_for(&r);
        json_t *explained = ask_endpoint(arguments);

        try_request(gateway, &r, &lines, explained);
        count(tally, explained);
        if (i % 30 == 0)
            expect_command_agrees(explained, arguments);
    }
    gateway_stop(gateway);
}

Test(explain, what_happens_with_strangers_refused)
{
    struct tally tally = {0};

    compare(&(struct variant){.tls = "", .any = "", .seed = 1}, &tally);
    cr_expect_gt(tally.alerts, 20);
    cr_expect_gt(tally.misdirected, 5);
    cr_expect_gt(tally.not_found, 10);
    cr_expect_gt(tally.refused, 10);
    cr_expect_gt(tally.redirects, 20);
    cr_expect_gt(tally.backends, 20);
    cr_expect_gt(tally.too_large, 0);
    cr_expect_gt(tally.methods, 5);
}

Test(explain, what_happens_with_a_default_certificate)
{
    struct tally tally = {0};

    compare(&(struct variant){.tls = "'unknown_sni': 'default', 'default_cert': 'z0.example'",
                              .any = "'*': { 'respond': { 'status': 404 } },",
                              .seed = 2},
            &tally);
    cr_expect_eq(tally.alerts, 0);
    cr_expect_gt(tally.misdirected, 5);
    cr_expect_gt(tally.backends, 20);
    cr_expect_gt(tally.redirects, 20);
}
