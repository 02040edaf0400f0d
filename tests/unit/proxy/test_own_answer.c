/* proxy/own_answer: verdicts in text or JSON, redirects, fixed responses. */
#include "proxy/own_answer.h"

#include <criterion/criterion.h>

static struct arena arena;
static struct proxy_env env;
static struct http_head request;
static struct own_answer answer;

static void set_up(void)
{
    env = (struct proxy_env){.date_second = -1};
    request = (struct http_head){0};
}

static void tear_down(void)
{
    arena_clear(&arena);
}

static const char *field(const char *name)
{
    const struct http_field *found = http_fields_find(&answer.head.fields, slice_of(name));

    return found != NULL ? arena_text(&arena, found->value) : NULL;
}

static const char *verdict_for(const char *accept)
{
    request.fields.count = 0;
    if (accept != NULL)
        http_fields_add(&request.fields, &arena, slice_of("Accept"), slice_of(accept));
    own_answer_verdict(&env, &arena, &request, REASON_NO_ROUTE, slice_of("id-1"), &answer);
    return field("Content-Type");
}

TestSuite(own_answer, .init = set_up, .fini = tear_down);

Test(own_answer, json_only_for_those_who_ask_and_want_no_text)
{
    cr_assert_str_eq(verdict_for(NULL), "text/plain; charset=utf-8");
    cr_assert_str_eq(verdict_for("*/*"), "text/plain; charset=utf-8");
    cr_assert_str_eq(verdict_for("text/html, application/json"), "text/plain; charset=utf-8");
    cr_assert_str_eq(verdict_for("application/json;q=0.9"), "application/json");
    cr_assert_str_eq(arena_text(&arena, answer.body),
                     "{\"status\":404,\"reason\":\"no_route\",\"request_id\":\"id-1\"}\n");
    cr_assert_str_eq(verdict_for("Application/JSON , text/*"), "text/plain; charset=utf-8");
}

Test(own_answer, a_verdict_says_what_and_why)
{
    verdict_for(NULL);
    cr_assert_eq(answer.head.status, 404);
    cr_assert_str_eq(arena_text(&arena, answer.body), "404 Not Found: no_route\n");
    cr_assert_str_eq(field("X-Request-Id"), "id-1");
    cr_assert_not_null(field("Date"));
    cr_assert_eq(answer.head.framing, BODY_LENGTH);
    cr_assert_eq(answer.head.content_length, answer.body.len);
}

Test(own_answer, a_refused_method_names_the_allowed_ones)
{
    own_answer_verdict(&env, &arena, NULL, REASON_METHOD_REFUSED, slice_of("x"), &answer);
    cr_assert_eq(answer.head.status, 405);
    cr_assert_not_null(field("Allow"));
}

Test(own_answer, a_redirect_has_its_location)
{
    own_answer_redirect(&env, &arena, 301, slice_of("https://a/b"), slice_of("x"), &answer);
    cr_assert_eq(answer.head.status, 301);
    cr_assert_str_eq(field("Location"), "https://a/b");
}

Test(own_answer, a_fixed_response_without_content_has_no_body)
{
    struct route route = {.status = 204, .respond_body = slice_of("ignored")};

    http_fields_add(&route.respond_fields, &arena, slice_of("X-A"), slice_of("b"));
    own_answer_respond(&env, &arena, &route, slice_of("x"), &answer);
    cr_assert_eq(answer.head.framing, BODY_NONE);
    cr_assert_eq(answer.body.len, 0);
    cr_assert_str_eq(field("X-A"), "b");
}
