/* Running `tests`: each request is followed through the snapshot as the gateway would serve it. */
#include "config/route_tests.h"

#include <stdarg.h>
#include <stdio.h>

struct run {
    const struct config *config;
    const struct route_test *test;
    struct problems *problems;
    bool is_strict, is_renewal;
    struct followed outcome;
};

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
    problems_add_at(run->problems, is_warning || run->is_renewal, run->config->file,
                    run->test->place, "the test fails: %s: %s", what, detail);
}

static bool routes_to_backend(const struct run *run)
{
    return run->outcome.route && run->outcome.route->kind == ROUTE_TO &&
           run->outcome.reason == REASON_NONE;
}

/* "gets nothing new" of a share or server with weight 0. Of a split that is by client, where the
 * test says which client, its share alone. */
static bool goes_to(const struct run *run, const char *backend, const char *server,
                    struct slice *seen)
{
    const struct route *route = run->outcome.route;

    *seen = slice_of("none");
    for (unsigned i = 0; routes_to_backend(run) && i < route->target_count; i++) {
        const struct upstream_spec *upstream = route->targets[i].upstream;
        if (!follow_may_take(&run->outcome, &route->targets[i]))
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
    const struct followed *outcome = &run->outcome;
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
    const struct followed *outcome = &run->outcome;
    bool is_warning = !run->is_strict;

    if (test->alert && !outcome->alert)
        fail(run, is_warning, "alert", "expected \"%s\", but %s", test->alert,
             test->request.is_tls ? "the handshake succeeds" : "there is no handshake");
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

static void run_test(struct run *run)
{
    const struct route_test *test = run->test;

    if (run->outcome.unreachable) {
        fail(run, false, "request", "nothing receives it: %s", run->outcome.unreachable);
        return;
    }
    check_handshake(run);
    /* Behind a refused handshake there is no answer. Where that is no error, because a certificate
     * may be back any moment, the route is still held to what is expected. */
    if (run->outcome.alert && (test->alert || run->is_strict)) {
        if (test->alert && (test->route || test->backend || test->server || test->status ||
                            test->location || test->cert))
            fail(run, false, "alert",
                 "a request whose handshake is refused gets no answer: "
                 "nothing else can be expected");
        return;
    }
    check_names(run);
    check_answer(run);
}

void route_tests_run(const struct snapshot *snapshot, bool is_strict, bool is_renewal,
                     struct problems *problems)
{
    const struct config *config = snapshot->config;
    struct arena arena = {0};

    for (unsigned i = 0; i < config->test_count; i++) {
        struct run run = {.config = config,
                          .test = &config->tests[i],
                          .problems = problems,
                          .is_strict = is_strict,
                          .is_renewal = is_renewal};
        follow_request(snapshot, &run.test->request, &arena, &run.outcome);
        run_test(&run);
        arena_reset(&arena);
    }
    arena_clear(&arena);
}
