/* Sixty-four connections at once while a backend is killed and restarted; every request is numbered
 * and counted. */
#include "harness/json_log.h"
#include "harness/load.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <string.h>

E2E_SUITE(heavy_load);

#define CLIENTS 64

/* Every failure in the access log must have been given to the killed server. */
static int count_failures(struct gateway *gateway, const char *killed, int requests)
{
    int failures = 0;

    for (char *line = gateway_stdout(gateway), *end; (end = strchr(line, '\n')) != NULL;
         line = end + 1) {
        *end = '\0';
        requests--;
        json_t *entry = json_loads(line, 0, NULL);
        workplace_require(entry != NULL, "no JSON: %s", line);
        if (json_integer_value(json_object_get(entry, "status")) != 200 ||
            json_is_string(json_object_get(entry, "reason"))) {
            const char *server = json_string_value(json_object_get(entry, "server"));
            failures++;
            workplace_require(server != NULL && strcmp(server, killed) == 0,
                              "a request failed that the killed server did not have: %s", line);
        }
        json_decref(entry);
    }
    cr_assert_eq(requests, 0, "the access log has %d lines too few", requests);
    return failures;
}

Test(heavy_load, killed_backend_costs_only_what_it_had)
{
    struct origin *stays = origin_start("stays");
    struct origin *killed = origin_start("killed");
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json", "{ @base, 'routes': { 'a.test': ['%s', '%s'] } }",
                             origin_address(stays), origin_address(killed)),
        .workers = 2});
    static const struct load_host host = {.name = "a.test", .sni = "a.test"};
    struct load *load = load_new(&(struct load_options){.gateway = gateway,
                                                        .hosts = &host,
                                                        .host_count = 1,
                                                        .connections = CLIENTS,
                                                        .threads = CLIENTS});
    int stretch = (int)workplace_number("SALLYPORT_TEST_LOAD", 3000);

    workplace_allow_seconds(600);
    load_add_origin(load, stays, 0);
    load_add_origin(load, killed, 1);
    load_start(load);
    for (int round = 0; round < 2; round++) {
        load_wait_answers(load, stretch);
        origin_stop(killed);
        load_wait_answers(load, stretch);
        origin_restart(killed);
    }
    /* It gets its share again once its moment of being skipped is over. */
    origin_wait_requests(killed, origin_requests(killed) + stretch / 10);
    load_wait_answers(load, stretch);
    load_end(load);
    gateway_stop(gateway);

    cr_assert_eq(load_answered(load) + load_failed(load), load_sent(load));
    int failures = count_failures(gateway, origin_address(killed), load_sent(load));
    workplace_require(load_failed(load) == failures && failures <= 2 * CLIENTS,
                      "%d of %d requests failed at the client, %d in the log", load_failed(load),
                      load_sent(load), failures);
    cr_assert_geq(origin_requests(stays) + origin_requests(killed), load_answered(load));
}
