/* Running `tests`: each request is followed through the snapshot as the gateway would serve it. */
#include "config/route_tests.h"

#include "http/target.h"

#include <stdarg.h>
#include <stdio.h>

/* What became of a request. */
struct outcome {
    const char *alert;               /* the handshake is refused; NULL: it is not */
    struct certificate *certificate; /* NULL without TLS, or refused */
    const struct route *route;       /* NULL: none matched, or none was asked */
    int status;                      /* of the gateway's own answer; 0: a backend's */
    struct slice location;
    const char *unreachable; /* nothing listens for it: why */
};

struct run {
    struct load *load;
    const struct route_test *test;
    struct outcome outcome;
    struct arena *arena;
};

/* --- following a request ------------------------------------------------------------------------
 */

static const struct listen_spec *find_listener(const struct run *run, enum listen_kind kind)
{
    const struct snapshot *snapshot = run->load->snapshot;
    const struct listen_spec *first = NULL;
    uint16_t port = run->test->port ? run->test->port : run->test->is_tls ? 443 : 80;

    for (unsigned i = 0; i < snapshot->listen_count; i++) {
        const struct listen_spec *spec = &snapshot->listens[i];
        if (spec->kind != kind)
            continue;
        if (spec->address_count > 0 && address_port(&spec->addresses[0]) == port)
            return spec;
        first = first ? first : spec;
    }
    return first;
}

static void redirect_to_https(struct run *run, const struct listen_spec *listener,
                              struct slice host, struct slice path, struct slice query)
{
    bool is_ipv6 = slice_find(host, ':') >= 0;
    char port[8] = "";

    if (listener->https_port && listener->https_port != 443)
        snprintf(port, sizeof(port), ":%u", listener->https_port);
    run->outcome.status = 308;
    run->outcome.location = arena_printf(
        run->arena, "https://%s%.*s%s%s%.*s%.*s", is_ipv6 ? "[" : "", (int)host.len, host.at,
        is_ipv6 ? "]" : "", port, (int)path.len, path.at, (int)query.len, query.at);
}

static bool is_misdirected(const struct run *run, struct slice host)
{
    const struct certificate *certificate = run->outcome.certificate;

    return certificate && !slice_equal(host, run->test->sni) &&
           !certificate_covers(certificate, host) &&
           cert_store_covers(tls_server_certs(run->load->snapshot->tls), host);
}

static void follow_route(struct run *run, struct slice host, struct slice path, struct slice query)
{
    const struct route *route = route_table_find(run->load->snapshot->routes, host, path, NULL);
    struct outcome *outcome = &run->outcome;

    outcome->route = route;
    if (!route) {
        outcome->status = http_reason_status(REASON_NO_ROUTE);
    } else if (route->kind == ROUTE_REDIRECT) {
        outcome->status = route->status;
        outcome->location = route_location(route, run->arena, run->test->is_tls, host, path, query);
    } else if (route->kind == ROUTE_RESPOND) {
        outcome->status = route->status;
    }
}

/* The handshake, then the steps of an exchange up to its route, in their order. */
static void follow(struct run *run)
{
    const struct route_test *test = run->test;
    const struct listen_spec *listener =
        find_listener(run, test->is_tls ? LISTEN_HTTPS : LISTEN_HTTP);
    enum http_method method = http_method_from(test->method);
    struct outcome *outcome = &run->outcome;
    struct slice host, path, query;
    uint16_t port;

    if (!listener) {
        outcome->unreachable = test->is_tls ? "listen.https is off" : "listen.http is off";
        return;
    }
    if (test->is_tls)
        outcome->certificate =
            tls_server_choose(run->load->snapshot->tls, test->sni, &outcome->alert);
    if (outcome->certificate)
        outcome->alert = NULL;
    if (!host_normalise(run->arena, test->authority, &host, &port) ||
        !path_normalise(run->arena, test->target, &path, &query))
        outcome->status = http_reason_status(REASON_BAD_REQUEST);
    else if (method == METHOD_CONNECT || method == METHOD_TRACE)
        outcome->status = http_reason_status(REASON_METHOD_REFUSED);
    else if (!test->is_tls && !listener->serves_routes)
        redirect_to_https(run, listener, host, path, query);
    else if (is_misdirected(run, host))
        outcome->status = http_reason_status(REASON_MISDIRECTED);
    else
        follow_route(run, host, path, query);
}

/* --- comparing ----------------------------------------------------------------------------------
 */

__attribute__((format(printf, 4, 5))) static void fail(struct run *run, bool is_warning,
                                                       const char *what, const char *format, ...)
{
    char detail[600];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(detail, sizeof(detail), format, arguments);
    va_end(arguments);
    if (is_warning)
        reader_warning(&run->load->reader, run->test->node, AT_VALUE, "the test fails: %s: %s",
                       what, detail);
    else
        reader_error(&run->load->reader, run->test->node, AT_VALUE, "the test fails: %s: %s", what,
                     detail);
}

static bool routes_to_backend(const struct run *run)
{
    return run->outcome.route && run->outcome.route->kind == ROUTE_TO;
}

/* "gets nothing new" of a share or server with weight 0. */
static bool goes_to(const struct run *run, const char *backend, const char *server,
                    struct slice *seen)
{
    const struct route *route = run->outcome.route;

    *seen = slice_of("none");
    for (unsigned i = 0; routes_to_backend(run) && i < route->target_count; i++) {
        const struct upstream_spec *upstream = route->targets[i].upstream;
        if (route->targets[i].weight == 0)
            continue;
        if (backend)
            *seen = upstream->name;
        if (backend && slice_equal(upstream->name, slice_of(backend)))
            return true;
        for (unsigned s = 0; server && s < upstream->server_count; s++) {
            if (upstream->servers[s].weight == 0)
                continue;
            *seen = upstream->servers[s].name;
            if (slice_equal(upstream->servers[s].name, slice_of(server)))
                return true;
        }
    }
    return false;
}

static void check_names(struct run *run)
{
    const struct route_test *test = run->test;
    const struct route *route = run->outcome.route;
    struct slice name = route ? route->name : slice_of("none"), seen;

    if (test->route && !slice_equal(name, slice_of(test->route)))
        fail(run, false, "route", "expected \"%s\", got \"%.*s\"", test->route, (int)name.len,
             name.at);
    if (test->backend && !goes_to(run, test->backend, NULL, &seen))
        fail(run, false, "backend", "expected \"%s\", got \"%.*s\"", test->backend, (int)seen.len,
             seen.at);
    if (test->server && !goes_to(run, NULL, test->server, &seen))
        fail(run, false, "server", "expected \"%s\", got \"%.*s\"", test->server, (int)seen.len,
             seen.at);
}

static void check_answer(struct run *run)
{
    const struct route_test *test = run->test;
    const struct outcome *outcome = &run->outcome;
    struct slice location = outcome->location;

    if (test->status && outcome->status == 0)
        fail(run, false, "status", "expected %d of the gateway, but a backend answers",
             test->status);
    else if (test->status && test->status != outcome->status)
        fail(run, false, "status", "expected %d, got %d", test->status, outcome->status);
    if (test->location && location.len == 0)
        fail(run, false, "location", "expected \"%s\", but the gateway does not redirect",
             test->location);
    else if (test->location && !slice_equal(location, slice_of(test->location)))
        fail(run, false, "location", "expected \"%s\", got \"%.*s\"", test->location,
             (int)location.len, location.at);
}

static bool has_name(const struct certificate *certificate, const char *name)
{
    const struct slice *names;
    int count = certificate_names(certificate, &names);

    for (int i = 0; i < count; i++)
        if (slice_equal_nocase(names[i], slice_of(name)))
            return true;
    return false;
}

/* Certificates come and go by themselves: in a load they never stand in the way. */
static void check_handshake(struct run *run)
{
    const struct route_test *test = run->test;
    const struct outcome *outcome = &run->outcome;
    bool is_warning = !run->load->strict_certs;

    if (test->alert && !outcome->alert)
        fail(run, is_warning, "alert", "expected \"%s\", but %s", test->alert,
             test->is_tls ? "the handshake succeeds" : "there is no handshake");
    else if (test->alert && strcmp(test->alert, outcome->alert) != 0)
        fail(run, is_warning, "alert", "expected \"%s\", got \"%s\"", test->alert, outcome->alert);
    else if (!test->alert && outcome->alert)
        fail(run, is_warning, "alert", "the handshake is refused (%s)", outcome->alert);
    if (!test->cert || outcome->alert)
        return;
    if (!outcome->certificate)
        fail(run, is_warning, "cert", "expected \"%s\", but there is no handshake", test->cert);
    else if (!has_name(outcome->certificate, test->cert))
        fail(run, is_warning, "cert", "expected \"%s\", but %s does not have that name", test->cert,
             certificate_file(outcome->certificate));
}

static void run_test(struct load *load, const struct route_test *test)
{
    struct run run = {.load = load, .test = test, .arena = &load->scratch};

    follow(&run);
    if (run.outcome.unreachable) {
        fail(&run, false, "request", "nothing receives it: %s", run.outcome.unreachable);
        return;
    }
    check_handshake(&run);
    /* Behind a refused handshake there is no answer. Where that is no error, because a certificate
     * may be back any moment, the route is still held to what is expected. */
    if (run.outcome.alert && (test->alert || load->strict_certs)) {
        if (test->alert && (test->route || test->backend || test->server || test->status ||
                            test->location || test->cert))
            fail(&run, false, "alert",
                 "a request whose handshake is refused gets no answer: "
                 "nothing else can be expected");
        return;
    }
    check_names(&run);
    check_answer(&run);
}

void load_run_tests(struct load *load)
{
    for (unsigned i = 0; i < load->test_count; i++)
        run_test(load, &load->tests[i]);
}
