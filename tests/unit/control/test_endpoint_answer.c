#include "control/endpoint_answer.h"

#include <criterion/criterion.h>
#include <jansson.h>

static struct control control;
static struct endpoint_answer answer;
static struct arena arena;
static struct http_head head;

static void begin(void)
{
    control = (struct control){.state = CONTROL_SERVING};
}

static void end(void)
{
    buffer_clear(&answer.body);
    arena_clear(&arena);
    buffer_cache_clear();
}

TestSuite(endpoint_answer, .init = begin, .fini = end);

enum { OVER_STATUS, OVER_ADMIN };

static enum endpoint_action ask(int over, enum http_method method, const char *path)
{
    buffer_clear(&answer.body);
    answer = (struct endpoint_answer){0};
    head.method = method;
    head.path = slice_of(path);
    return endpoint_answer_request(&control, over == OVER_ADMIN, &head, &answer);
}

static void accept_types(const char *types)
{
    head.fields = (struct http_fields){0};
    http_fields_add(&head.fields, &arena, slice_of("Accept"), slice_of(types));
}

static const char *body(void)
{
    buffer_append(&answer.body, slice_make("", 1));
    return buffer_content(&answer.body).at;
}

Test(endpoint_answer, alive_whatever_happens)
{
    for (int state = CONTROL_STARTING; state <= CONTROL_STOPPED; state++) {
        control.state = (enum control_state)state;
        cr_expect_eq(ask(OVER_STATUS, METHOD_GET, "/healthz"), ENDPOINT_ANSWERED);
        cr_expect_eq(answer.status, 200);
    }
}

Test(endpoint_answer, ready_only_while_serving)
{
    static const int expected[] = {[CONTROL_STARTING] = 503,
                                   [CONTROL_SERVING] = 200,
                                   [CONTROL_DELAYING] = 503,
                                   [CONTROL_DRAINING] = 503,
                                   [CONTROL_CLOSING] = 503};
    for (int state = CONTROL_STARTING; state <= CONTROL_CLOSING; state++) {
        control.state = (enum control_state)state;
        cr_expect_eq(ask(OVER_ADMIN, METHOD_GET, "/readyz"), ENDPOINT_ANSWERED);
        cr_expect_eq(answer.status, expected[state]);
    }
    control.state = CONTROL_DELAYING;
    ask(OVER_ADMIN, METHOD_GET, "/readyz");
    cr_expect_str_eq(body(), "draining\n");
}

Test(endpoint_answer, what_reads_takes_get_and_head)
{
    static const char *const paths[] = {"/healthz", "/readyz", "/status", "/metrics"};
    for (int i = 0; i < 4; i++) {
        for (int over = OVER_STATUS; over <= OVER_ADMIN; over++) {
            ask(over, METHOD_POST, paths[i]);
            cr_expect_eq(answer.status, 405);
            cr_expect_str_eq(answer.allow, "GET, HEAD");
            ask(over, METHOD_HEAD, paths[i]);
            cr_expect_neq(answer.status, 405);
        }
    }
    cr_expect_eq(ask(OVER_STATUS, METHOD_GET, "/status"), ENDPOINT_STATUS);
    cr_expect_eq(ask(OVER_STATUS, METHOD_GET, "/metrics"), ENDPOINT_METRICS);
}

Test(endpoint_answer, what_changes_is_for_admin_by_post)
{
    cr_expect_eq(ask(OVER_ADMIN, METHOD_POST, "/reload"), ENDPOINT_RELOAD);
    cr_expect_eq(ask(OVER_ADMIN, METHOD_POST, "/drain"), ENDPOINT_DRAIN);
    cr_expect_eq(answer.status, 202);
    cr_expect_str_eq(body(), "{\"state\":\"draining\"}\n");
    static const char *const paths[] = {"/reload", "/drain"};
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(ask(OVER_ADMIN, METHOD_GET, paths[i]), ENDPOINT_ANSWERED);
        cr_expect_eq(answer.status, 405);
        cr_expect_str_eq(answer.allow, "POST");
        cr_expect_eq(ask(OVER_STATUS, METHOD_POST, paths[i]), ENDPOINT_ANSWERED);
        cr_expect_eq(answer.status, 405, "a status address takes no POST at all");
        cr_expect_eq(ask(OVER_STATUS, METHOD_GET, paths[i]), ENDPOINT_ANSWERED);
        cr_expect_eq(answer.status, 404);
    }
}

Test(endpoint_answer, what_is_told_to_admin_alone)
{
    cr_expect_eq(ask(OVER_ADMIN, METHOD_GET, "/config"), ENDPOINT_CONFIG);
    cr_expect_eq(ask(OVER_ADMIN, METHOD_HEAD, "/recent"), ENDPOINT_RECENT);
    static const char *const paths[] = {"/config", "/recent"};
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(ask(OVER_ADMIN, METHOD_POST, paths[i]), ENDPOINT_ANSWERED);
        cr_expect_eq(answer.status, 405);
        cr_expect_str_eq(answer.allow, "GET, HEAD");
        cr_expect_eq(ask(OVER_STATUS, METHOD_GET, paths[i]), ENDPOINT_ANSWERED);
        cr_expect_eq(answer.status, 404);
    }
}

Test(endpoint_answer, certs_take_one_parameter)
{
    static const char *const wrong[] = {"?within",
                                        "?within=",
                                        "?within=-1",
                                        "?within=1d",
                                        "?within=1&x=2",
                                        "?soon=1",
                                        "?within=99999999999999999999"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        head.query = slice_of(wrong[i]);
        cr_expect_eq(ask(OVER_ADMIN, METHOD_GET, "/certs"), ENDPOINT_ANSWERED);
        cr_expect_eq(answer.status, 400, "%s", wrong[i]);
    }
    head.query = slice_of("");
    cr_expect_eq(ask(OVER_STATUS, METHOD_GET, "/certs"), ENDPOINT_ANSWERED);
    cr_expect_eq(answer.status, 404);
}

Test(endpoint_answer, nothing_elsewhere)
{
    ask(OVER_ADMIN, METHOD_GET, "/");
    cr_expect_eq(answer.status, 404);
    ask(OVER_ADMIN, METHOD_POST, "/nothing");
    cr_expect_eq(answer.status, 404);
}

Test(endpoint_answer, text_for_those_who_ask_for_it_alone)
{
    cr_expect_not(endpoint_wants_text(&head));
    accept_types("text/plain");
    cr_expect(endpoint_wants_text(&head));
    accept_types("application/json, text/plain");
    cr_expect_not(endpoint_wants_text(&head));
    accept_types("*/*");
    cr_expect_not(endpoint_wants_text(&head));
}

/* --- loads -------------------------------------------------------------------------------------
 */

static struct load_outcome outcome_of(enum load_result result)
{
    struct load_outcome outcome = {.result = result, .generation = 3};
    problems_add(&outcome.problems, true, "routes.json", 2, 3, "certs", NULL, "a \"broken\" key");
    outcome.broken.list = calloc(1, sizeof(*outcome.broken.list));
    outcome.broken.list[0].file = strdup("/certs/a.crt");
    outcome.broken.list[0].message = strdup("a \"broken\" key");
    outcome.broken.count = 1;
    problems_add(&outcome.problems, true, "routes.json", 2, 3, "certs", NULL, "expired");
    if (result >= LOAD_INVALID)
        problems_add(&outcome.problems, false, "routes.json", 4, 5, "routes", "rout", "wrong");
    return outcome;
}

static json_t *answer_in_json(enum load_result result)
{
    struct load_outcome outcome = outcome_of(result);
    endpoint_answer_load(&outcome, &head, &answer);
    problems_clear(&outcome.problems);
    cert_problems_clear(&outcome.broken);
    cr_expect_str_eq(answer.content_type, "application/json");
    json_t *json = json_loads(body(), 0, NULL);
    cr_assert_not_null(json);
    return json;
}

Test(endpoint_answer, what_changed_for_those_who_ask)
{
    head.query = slice_of("?changes");
    json_t *json = answer_in_json(LOAD_PUBLISHED);
    cr_expect_eq(json_object_size(json), 4);
    cr_expect(json_is_array(json_object_get(json, "changes")));
    json_decref(json);
}

Test(endpoint_answer, an_accepted_load)
{
    json_t *json = answer_in_json(LOAD_PUBLISHED);
    cr_expect_eq(answer.status, 200);
    cr_expect_eq(json_object_size(json), 3);
    cr_expect_eq(json_integer_value(json_object_get(json, "generation")), 3);
    cr_expect(json_is_false(json_object_get(json, "unchanged")));
    json_t *quarantined = json_object_get(json, "quarantined");
    cr_assert_eq(json_array_size(quarantined), 1, "an expired one serves");
    json_t *one = json_array_get(quarantined, 0);
    cr_expect_str_eq(json_string_value(json_object_get(one, "file")), "/certs/a.crt");
    cr_expect_str_eq(json_string_value(json_object_get(one, "reason")), "a \"broken\" key");
    json_decref(json);
}

Test(endpoint_answer, an_unchanged_load)
{
    json_t *json = answer_in_json(LOAD_UNCHANGED);
    cr_expect_eq(answer.status, 200);
    cr_expect(json_is_true(json_object_get(json, "unchanged")));
    json_decref(json);
}

Test(endpoint_answer, refused_loads)
{
    for (int result = LOAD_INVALID; result <= LOAD_TOO_LATE; result++) {
        buffer_clear(&answer.body);
        json_t *json = answer_in_json((enum load_result)result);
        cr_expect_eq(answer.status, 422);
        json_t *errors = json_object_get(json, "errors");
        cr_assert_eq(json_array_size(errors), 1);
        json_t *error = json_array_get(errors, 0);
        cr_expect_str_eq(json_string_value(json_object_get(error, "message")), "wrong");
        cr_expect_eq(json_integer_value(json_object_get(error, "line")), 4);
        json_decref(json);
    }
}

Test(endpoint_answer, loads_as_text)
{
    struct load_outcome outcome = outcome_of(LOAD_PUBLISHED);
    accept_types("text/plain");
    endpoint_answer_load(&outcome, &head, &answer);
    problems_clear(&outcome.problems);
    cert_problems_clear(&outcome.broken);
    cr_expect_str_eq(body(), "generation 3 is served\n"
                             "quarantined: /certs/a.crt: a \"broken\" key\n");
    buffer_clear(&answer.body);
    outcome = outcome_of(LOAD_INVALID);
    accept_types("text/plain");
    endpoint_answer_load(&outcome, &head, &answer);
    problems_clear(&outcome.problems);
    cert_problems_clear(&outcome.broken);
    cr_expect_eq(answer.status, 422);
    cr_expect_not_null(strstr(body(), "routes.json:4:5: error: routes: wrong"));
}
