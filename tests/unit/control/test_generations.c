#include "control/status_page.h"
#include "net/resolver.h"
#include "support/control_fixture.h"
#include "support/dns_server.h"
#include "support/loopback.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct control_fixture f;

static void begin(void)
{
    control_fixture_init(&f);
}

static void end(void)
{
    control_fixture_clear(&f);
}

TestSuite(generations, .init = begin, .fini = end);

struct result {
    enum load_result result;
    uint64_t generation;
    size_t errors, warnings;
    char message[512]; /* of the first error */
};

static struct result result_of(const struct load_outcome *outcome)
{
    const struct problems *problems = &outcome->problems;
    struct result result = {.result = outcome->result,
                            .generation = outcome->generation,
                            .errors = problems->errors,
                            .warnings = problems->count - problems->errors};
    for (size_t i = problems->count; i-- > 0;)
        if (!problems->list[i].is_warning)
            snprintf(result.message, sizeof(result.message), "%s", problems->list[i].message);
    return result;
}

/* Writes the route file and loads it. */
static struct result load(const char *text)
{
    const struct load_outcome *outcome;
    if (text != NULL)
        control_fixture_write(&f, text);
    struct load_ask *ask = control_fixture_load(&f, &outcome);
    struct result result = result_of(outcome);
    load_ask_end(ask);
    return result;
}

static uint64_t served(void)
{
    const struct snapshot *snapshot = generations_current(f.control.generations);
    return snapshot != NULL ? snapshot->generation : 0;
}

Test(generations, are_numbered_from_1)
{
    cr_expect_eq(served(), 0);
    struct result result = load("'routes': {}");
    cr_expect_eq(result.result, LOAD_PUBLISHED, "%s", result.message);
    cr_expect_eq(result.generation, 1);
    cr_expect_eq(served(), 1);
    cr_expect_eq(load("'routes': { 'a.test': 'x:1' }").generation, 2);
    cr_expect_eq(served(), 2);
}

static void nothing(void *owner)
{
    (void)owner;
}

static bool is_found_out(void *lookup)
{
    struct lookup_answer answer;
    return lookup_answer(lookup, &answer) != IO_WAIT;
}

static void expect_asked(struct dns_server *server)
{
    char text[128];
    struct task task;
    unsigned before = dns_server_questions(server, NULL, DNS_ANY_TYPE);
    snprintf(text, sizeof(text), "'routes': {}, 'dns': { 'servers': ['%s'] }",
             dns_server_address(server));
    cr_assert_eq(load(text).result, LOAD_PUBLISHED);
    task_init(&task, nothing, NULL);
    struct lookup *lookup = lookup_start(f.control.resolver, "a.test", 80, &task);
    control_fixture_run_until(&f, is_found_out, lookup);
    lookup_end(lookup);
    cr_expect_gt(dns_server_questions(server, NULL, DNS_ANY_TYPE), before);
}

Test(generations, names_are_asked_at_the_servers_of_the_newest)
{
    struct dns_server *first = dns_server_start(), *second = dns_server_start();
    expect_asked(first);
    expect_asked(second);
    expect_asked(first);
    dns_server_stop(first);
    dns_server_stop(second);
}

Test(generations, nothing_new_publishes_nothing)
{
    load("'routes': {}");
    struct result result = load("'// why': 1, 'routes': {}");
    cr_expect_eq(result.result, LOAD_UNCHANGED);
    cr_expect_eq(result.generation, 1);
    cr_expect_eq(load("'routes': { 'a.test': 'x:1' }").generation, 2);
}

Test(generations, a_certificate_makes_a_new_one)
{
    load("'routes': {}");
    route_folder_certify(&f.folder, "more", "more.test", 90);
    cr_expect_eq(load(NULL).generation, 2);
}

Test(generations, a_wrong_file_is_refused_and_uses_no_number)
{
    load("'routes': {}");
    struct result result = load("'rout': {}, 'routes': 5");
    cr_expect_eq(result.result, LOAD_INVALID);
    cr_expect_eq(result.errors, 2);
    cr_expect_eq(result.generation, 1, "the one that goes on");
    cr_expect_eq(load("'routes': { 'a.test': 'x:1' }").generation, 2);
}

Test(generations, a_wrong_file_at_first)
{
    struct result result = load("'routes': 5");
    cr_expect_eq(result.result, LOAD_INVALID);
    cr_expect_eq(result.generation, 0);
    cr_expect_null(generations_current(f.control.generations));
    cr_expect_eq(load("'routes': {}").generation, 1);
}

Test(generations, a_broken_certificate_is_named)
{
    route_folder_write(&f.folder, "certs/broken.pem", "nonsense");
    control_fixture_write(&f, "'routes': {}");
    const struct load_outcome *outcome;
    struct load_ask *ask = control_fixture_load(&f, &outcome);
    cr_expect_eq(outcome->result, LOAD_PUBLISHED);
    cr_assert_eq(outcome->problems.count, 1);
    cr_assert_eq(outcome->broken.count, 1);
    cr_expect_not_null(strstr(outcome->broken.list[0].file, "broken.pem"));
    load_ask_end(ask);
}

Test(generations, an_address_that_is_taken_refuses)
{
    load("'routes': {}");
    struct address address;
    char text[ADDRESS_TEXT_SIZE], *file;
    int taken = loopback_listen(&address);
    address_format(&address, text);
    cr_assert(asprintf(&file,
                       "{ 'certs': 'certs', 'routes': {}, 'listen': { 'https': '%s',"
                       " 'admin': '%s' } }",
                       text, f.admin) > 0);
    route_folder_write(&f.folder, "routes.json", file);
    struct result result = load(NULL);
    cr_expect_eq(result.result, LOAD_FAILED);
    cr_expect_not_null(strstr(result.message, text), "%s", result.message);
    cr_expect_eq(served(), 1);
    close(taken);
    cr_expect_eq(load(NULL).generation, 2);
    free(file);
}

Test(generations, a_log_that_cannot_be_written_refuses)
{
    load("'routes': {}");
    struct result result = load("'routes': {}, 'log': { 'access': 'nowhere/access.log' }");
    cr_expect_eq(result.result, LOAD_FAILED);
    cr_expect_not_null(strstr(result.message, "nowhere/access.log"));
    cr_expect_eq(served(), 1);
    cr_expect_eq(load("'routes': {}, 'log': { 'access': 'access.log' }").generation, 2);
}

Test(generations, an_admin_socket_that_cannot_be_had_fails_the_first)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/admin.sock", f.folder.path);
    struct address address;
    int live = loopback_listen_unix(path, 4, &address);
    struct result result = load("'routes': {}");
    cr_expect_eq(result.result, LOAD_FAILED);
    cr_expect_not_null(strstr(result.message, "admin.sock"), "%s", result.message);
    cr_expect_eq(listeners_count(f.control.listeners), 0, "what was opened is closed again");
    close(live);
}

/* --- one after the other -----------------------------------------------------------------------
 */

static bool is_answered(void *argument)
{
    const struct load_outcome *outcome;
    return load_ask_answer(argument, &outcome) == IO_OK;
}

/* Whoever asks during a load gets one that begins after: the file may have changed meanwhile. */
Test(generations, asks_during_a_load_share_the_next)
{
    control_fixture_write(&f, "'routes': {}");
    struct load_ask *first = generations_ask(f.control.generations, NULL);
    struct load_ask *second = generations_ask(f.control.generations, NULL);
    struct load_ask *third = generations_ask(f.control.generations, NULL);
    control_fixture_run_until(&f, is_answered, first);
    const struct load_outcome *outcome, *other;
    load_ask_answer(first, &outcome);
    cr_expect_eq(outcome->result, LOAD_PUBLISHED);
    control_fixture_run_until(&f, is_answered, third);
    cr_assert_eq(load_ask_answer(second, &outcome), IO_OK);
    load_ask_answer(third, &other);
    cr_expect_eq(outcome, other);
    cr_expect_eq(outcome->result, LOAD_UNCHANGED);
    load_ask_end(first);
    load_ask_end(second);
    load_ask_end(third);
    cr_expect_not(generations_are_busy(f.control.generations));
}

static bool is_idle(void *argument)
{
    (void)argument;
    return !generations_are_busy(f.control.generations);
}

Test(generations, an_ask_may_end_before_its_answer)
{
    control_fixture_write(&f, "'routes': {}");
    load_ask_end(generations_ask(f.control.generations, NULL));
    load_ask_end(generations_ask(f.control.generations, NULL));
    control_fixture_run_until(&f, is_idle, NULL);
    cr_expect_eq(served(), 1);
}

Test(generations, reload_needs_nobody_who_waits)
{
    control_fixture_write(&f, "'routes': {}");
    generations_load(f.control.generations, LOAD_WHOLE);
    cr_expect(generations_are_busy(f.control.generations));
    control_fixture_run_until(&f, is_idle, NULL);
    cr_expect_eq(served(), 1);
}

static void renew(void)
{
    generations_load(f.control.generations, LOAD_RENEWAL);
    control_fixture_run_until(&f, is_idle, NULL);
}

/* --- renewals and quarantine -------------------------------------------------------------------
 */

Test(generations, a_renewal_leaves_the_route_file_alone)
{
    load("'routes': {}");
    const struct config *config = generations_current(f.control.generations)->config;
    route_folder_write(&f.folder, "routes.json", "{ half");
    renew();
    cr_expect_eq(served(), 1, "nothing has changed");
    route_folder_certify(&f.folder, "more", "more.test", 90);
    renew();
    cr_expect_eq(served(), 2);
    cr_expect_eq(generations_current(f.control.generations)->config, config);
    cr_expect_eq(generations_record(f.control.generations)->counts[LOAD_PUBLISHED], 2);
    cr_expect_eq(generations_record(f.control.generations)->counts[LOAD_UNCHANGED], 1);
}

Test(generations, a_renewal_before_the_first_load_is_a_whole_one)
{
    control_fixture_write(&f, "'routes': {}");
    renew();
    cr_expect_eq(served(), 1);
}

/* Whoever asks for the route file meanwhile gets it. */
Test(generations, a_wanted_load_is_not_lost_behind_a_renewal)
{
    load("'routes': {}");
    control_fixture_write(&f, "'routes': { 'a.test': 'x:1' }");
    generations_load(f.control.generations, LOAD_RENEWAL);
    generations_load(f.control.generations, LOAD_WHOLE);
    generations_load(f.control.generations, LOAD_RENEWAL);
    control_fixture_run_until(&f, is_idle, NULL);
    cr_expect_eq(served(), 2);
    cr_expect_eq(generations_current(f.control.generations)->config->route_count, 1);
}

/* A route file that is being edited holds up no renewal, whoever asks for it meanwhile. */
Test(generations, a_renewal_is_not_lost_behind_a_refused_load)
{
    load("'routes': {}");
    route_folder_certify(&f.folder, "more", "more.test", 90);
    route_folder_write(&f.folder, "routes.json", "{ half");
    generations_load(f.control.generations, LOAD_WHOLE);
    generations_load(f.control.generations, LOAD_RENEWAL);
    generations_load(f.control.generations, LOAD_WHOLE);
    control_fixture_run_until(&f, is_idle, NULL);
    cr_expect_eq(served(), 2);
    cr_expect_eq(generations_record(f.control.generations)->counts[LOAD_INVALID], 2);
}

static bool is_second_served(void *argument)
{
    (void)argument;
    return served() == 2 && !generations_are_busy(f.control.generations);
}

Test(generations, a_route_file_that_breaks_along_holds_up_no_renewal)
{
    load("'routes': {}, 'watch': 'all'");
    route_folder_certify(&f.folder, "more", "more.test", 90);
    route_folder_write(&f.folder, "routes.json", "{ half");
    control_fixture_run_until(&f, is_second_served, NULL);
    cr_expect_eq(generations_record(f.control.generations)->counts[LOAD_INVALID], 1);
}

static const struct cert_problems *broken(void)
{
    return generations_broken(f.control.generations);
}

Test(generations, what_breaks_is_quarantined_until_it_is_right)
{
    load("'routes': {}");
    const struct snapshot *current = generations_current(f.control.generations);
    uint64_t fingerprint = current->fingerprint;
    cr_expect_eq(broken()->count, 0);
    route_folder_write(&f.folder, "certs/test.key", "half");
    renew();
    cr_expect_eq(served(), 1, "the same is served");
    cr_assert_eq(broken()->count, 1);
    cr_expect_eq(broken()->list[0].served_count, 1);
    /* A whole load keeps it, a refused one changes nothing about it. */
    cr_expect_eq(load("'routes': { 'a.test': 'x:1' }").result, LOAD_PUBLISHED);
    cr_expect_eq(broken()->count, 1);
    cr_expect_eq(load("'routes': 1").result, LOAD_INVALID);
    cr_expect_eq(broken()->count, 1);
    cr_expect_not(generations_record(f.control.generations)->last_is_fine);
    cr_expect(generations_record(f.control.generations)->last_refusal[0] != '\0');
    route_folder_certify(&f.folder, "test", "*.test localhost", 90);
    renew();
    cr_expect_eq(broken()->count, 0);
    cr_expect_eq(served(), 3);
    cr_expect_neq(generations_current(f.control.generations)->fingerprint, fingerprint);
    cr_expect(generations_record(f.control.generations)->last_is_fine);
}

static void do_nothing(void *owner)
{
    (void)owner;
}

static bool is_page_there(void *argument)
{
    const struct status_page *page;
    return status_query_answer(argument, &page) == IO_OK;
}

/* A load may end between the last worker's answer and the printing. */
Test(generations, a_page_outlives_the_load_that_it_tells_of)
{
    struct task task;
    struct buffer text = {0};
    const struct status_page *page;
    char file[128];
    task_init(&task, do_nothing, NULL);
    route_folder_write(&f.folder, "certs/broken.pem", "nonsense");
    load("'routes': {}");
    struct status_query *query = status_query_start(&f.control, &task);
    control_fixture_run_until(&f, is_page_there, query);
    snprintf(file, sizeof(file), "%s/certs/broken.pem", f.folder.path);
    cr_assert_eq(unlink(file), 0);
    renew();
    cr_assert_eq(broken()->count, 0);
    status_query_answer(query, &page);
    status_print_json(page, &text);
    buffer_append(&text, slice_make("", 1));
    cr_expect_not_null(strstr(buffer_content(&text).at, "broken.pem"));
    status_query_end(query);
    buffer_clear(&text);
}

static bool nothing_is_broken(void *argument)
{
    (void)argument;
    return broken()->count == 0;
}

/* Nothing about a file says that there are descriptors again to read it with. */
Test(generations, what_could_not_be_read_is_read_again)
{
    struct rlimit usual, none;

    f.control.load_retry_ms = 200;
    load("'routes': {}");
    route_folder_certify(&f.folder, "test", "*.test localhost", 90);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &usual), 0);
    none = (struct rlimit){.rlim_cur = STDERR_FILENO + 1, .rlim_max = usual.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    renew();
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &usual), 0);
    cr_assert_eq(broken()->count, 1);
    cr_expect_eq(served(), 1);
    control_fixture_run_until(&f, nothing_is_broken, NULL);
    cr_expect_eq(served(), 2);
}

Test(generations, too_late_when_closed)
{
    load("'routes': {}");
    control_fixture_write(&f, "'routes': { 'a.test': 'x:1' }");
    struct load_ask *under_way = generations_ask(f.control.generations, NULL);
    generations_close(f.control.generations);
    const struct load_outcome *outcome;
    control_fixture_run_until(&f, is_answered, under_way);
    load_ask_answer(under_way, &outcome);
    cr_expect_eq(outcome->result, LOAD_TOO_LATE);
    load_ask_end(under_way);
    struct result result = load(NULL);
    cr_expect_eq(result.result, LOAD_TOO_LATE);
    cr_expect_eq(result.errors, 1);
    cr_expect_eq(result.generation, 1);
}

static bool has_come_back(void *argument)
{
    (void)argument;
    return !generations_have_abandoned(f.control.generations);
}

Test(generations, a_load_that_does_not_come_back_is_left_behind)
{
    load("'routes': {}");
    control_fixture_write(&f, "'routes': { 'a.test': 'x:1' }");
    struct load_ask *ask = generations_ask(f.control.generations, NULL);
    generations_close(f.control.generations);
    generations_abandon(f.control.generations);
    const struct load_outcome *outcome;
    cr_assert_eq(load_ask_answer(ask, &outcome), IO_OK);
    cr_expect_eq(outcome->result, LOAD_TOO_LATE);
    cr_expect_eq(outcome->problems.errors, 1);
    load_ask_end(ask);
    cr_expect_not(generations_are_busy(f.control.generations));
    /* This one does, later. */
    control_fixture_run_until(&f, has_come_back, NULL);
    cr_expect_eq(served(), 1);
}

Test(generations, logs_follow)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/access.log", f.folder.path);
    load("'routes': {}, 'log': { 'access': 'access.log', 'level': 'error' }");
    cr_expect_eq(access(path, F_OK), 0);
    cr_expect_not(log_wants(LOG_WARN));
    snprintf(path, sizeof(path), "%s/other.log", f.folder.path);
    load("'routes': {}, 'log': { 'access': 'other.log', 'level': 'error' }");
    cr_expect_eq(access(path, F_OK), 0);
    load("'routes': {}, 'log': { 'level': 'debug' }");
    cr_expect(log_wants(LOG_DEBUG));
    log_configure(LOG_ERROR, LOG_TEXT);
}

Test(generations, status_addresses_come_and_go)
{
    load("'routes': {}");
    const struct open_listen *status = listeners_at(f.control.listeners, 1);
    cr_assert_eq(status->kind, LISTEN_STATUS);
    cr_expect_eq(status->fds[0], -1, "the endpoints have it");
    route_folder_write(&f.folder, "routes.json",
                       "{ 'certs': 'certs', 'routes': {}, 'listen': { 'https': '127.0.0.1:0' } }");
    cr_expect_eq(load(NULL).generation, 2);
    cr_expect_eq(listeners_count(f.control.listeners), 1);
}
