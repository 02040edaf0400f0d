/* Sixty-four connections at once while a backend is killed and restarted; every request is numbered
 * and counted. */
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(heavy_load);

#define CLIENTS 64

struct load {
    struct gateway *gateway;
    bool is_over;
    int sent;
    int answered; /* 200, whole, and the right number in it */
    int failed;
};

static bool ask_one(struct client *client, int number, bool *is_broken)
{
    struct message *response = message_make();
    const char *needle;
    char path[64];

    snprintf(path, sizeof path, "GET /number/%d HTTP/1.1\r\n", number);
    *is_broken = !wire_print(&client->wire, "%sHost: a.test\r\n\r\n", path) ||
                 !message_read_head(&client->wire, response, false) ||
                 !message_read_body(&client->wire, response, "GET");
    needle = response->body != NULL ? strstr(response->body, path) : NULL;
    bool is_right = !*is_broken && response->status == 200 && needle != NULL;
    if (response->status == 200 && !*is_broken && needle == NULL)
        workplace_note("request %d got another one's answer: %s", number, response->body);
    const char *connection = message_field(response, "connection");
    if (connection != NULL && strcmp(connection, "close") == 0)
        *is_broken = true;
    message_free(response);
    return is_right;
}

static void *run_client(void *arg)
{
    struct load *load = arg;
    struct client *client = client_open(load->gateway, "a.test");
    bool is_broken = false;

    for (;;) {
        monitor_lock();
        bool is_over = load->is_over;
        int number = load->sent;
        if (!is_over)
            load->sent++;
        monitor_unlock();
        if (is_over)
            return NULL;
        if (is_broken) {
            client_close(client);
            client = client_open(load->gateway, "a.test");
        }
        bool is_right = ask_one(client, number, &is_broken);
        monitor_lock();
        if (is_right)
            load->answered++;
        else
            load->failed++;
        monitor_changed();
        monitor_unlock();
    }
}

struct milestone {
    struct load *load;
    int answered;
};

static bool is_reached(void *arg)
{
    struct milestone *milestone = arg;
    return milestone->load->answered >= milestone->answered;
}

static void wait_for_answers(struct load *load, int more)
{
    monitor_lock();
    struct milestone milestone = {load, load->answered + more};
    bool reached = monitor_wait_locked(is_reached, &milestone);
    int answered = load->answered;
    int failed = load->failed;
    monitor_unlock();
    workplace_require(reached, "the load stands still after %d answers and %d failures", answered,
                      failed);
}

static void origin_quick(struct origin_turn *turn)
{
    const char *head = turn->request->head;

    origin_read_body(turn);
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(head), head);
}

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
    struct load load = {.gateway = gateway};
    pthread_t threads[CLIENTS];
    int stretch = (int)workplace_number("SALLYPORT_TEST_LOAD", 3000);

    workplace_allow_seconds(600);
    origin_count_only(stays);
    origin_count_only(killed);
    origin_set_script(stays, NULL, origin_quick, NULL);
    origin_set_script(killed, NULL, origin_quick, NULL);
    for (int i = 0; i < CLIENTS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, run_client, &load), 0);
    for (int round = 0; round < 2; round++) {
        wait_for_answers(&load, stretch);
        origin_stop(killed);
        wait_for_answers(&load, stretch);
        origin_restart(killed);
    }
    /* It gets its share again once its moment of being skipped is over. */
    origin_wait_requests(killed, origin_requests(killed) + stretch / 10);
    wait_for_answers(&load, stretch);
    monitor_lock();
    load.is_over = true;
    monitor_unlock();
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    gateway_stop(gateway);

    cr_assert_eq(load.answered + load.failed, load.sent);
    int failures = count_failures(gateway, origin_address(killed), load.sent);
    workplace_require(load.failed == failures && failures <= 2 * CLIENTS,
                      "%d of %d requests failed at the client, %d in the log", load.failed,
                      load.sent, failures);
    cr_assert_geq(origin_requests(stays) + origin_requests(killed), load.answered);
}
