/* Cookies in Cookie and Set-Cookie fields. */
#include "http/cookie.h"

#include <criterion/criterion.h>

static struct arena arena;

static void tear_down(void)
{
    arena_clear(&arena);
}

TestSuite(cookie, .fini = tear_down);

/* A request with Cookie fields, between two others. */
static struct http_fields request_with(const char *const *cookies, unsigned count)
{
    struct http_fields fields = {0};

    http_fields_add(&fields, &arena, slice_of("Host"), slice_of("a=other"));
    for (unsigned i = 0; i < count; i++)
        http_fields_add(&fields, &arena, slice_of(i % 2 ? "cookie" : "Cookie"),
                        slice_of(cookies[i]));
    http_fields_add(&fields, &arena, slice_of("X-Cookie"), slice_of("a=other"));
    return fields;
}

static void expect_found(const char *cookies, const char *value)
{
    struct http_fields fields = request_with(&cookies, 1);
    struct slice found = cookie_find(&fields, slice_of("a"));

    cr_expect(slice_equal(found, slice_of(value)), "of %s: \"%.*s\", not \"%s\"", cookies,
              (int)found.len, found.at, value);
}

Test(cookie, is_found)
{
    expect_found("a=1", "1");
    expect_found("a=1; b=2", "1");
    expect_found("b=2; a=1", "1");
    expect_found("b=2;a=1;c=3", "1");
    expect_found("a=1; a=2", "1");
    expect_found(" a = 1 ;b=2", "1");
    expect_found("\ta\t=\t1\t", "1");
    expect_found("a=1=2=3", "1=2=3");
    expect_found("a=\"1\"", "1");
    expect_found("a=\"1\" ", "1");
    expect_found("a=\"1", "\"1");
    expect_found("a=\"", "\"");
    expect_found("a=1\"", "1\"");
    expect_found("a=\"\"1\"\"", "\"1\"");
    expect_found("a=1 2, 3", "1 2, 3");
    expect_found("b; a=1", "1");
    expect_found(";;; a=1;;", "1");
    expect_found("=x; a=1", "1");
    expect_found("b=\"; a=1; \"", "1"); /* no quotes protect a ";" */
    expect_found("a=\xff\x80", "\xff\x80");
    expect_found("\xff=2; a=1", "1");
}

Test(cookie, is_not_there)
{
    expect_found("", "");
    expect_found(";", "");
    expect_found("a", "");
    expect_found("a;b=1", "");
    expect_found("a=", "");
    expect_found("a=\"\"", "");
    expect_found("a= ; b=1", "");
    expect_found("A=1", "");
    expect_found("aa=1; b=a=1", "");
    expect_found("b=1, a=2", "");
    expect_found("$a=1", "");
    expect_found("\"a\"=1", "");
    expect_found("a\x80=1", "");
    expect_found("=a", "");
}

Test(cookie, of_several_fields_the_first_counts)
{
    static const char *const cookies[] = {"b=0", "c=3; a=1", "a=2"};
    struct http_fields fields = request_with(cookies, 3);

    cr_expect(slice_equal(cookie_find(&fields, slice_of("a")), slice_of("1")));
    cr_expect(slice_equal(cookie_find(&fields, slice_of("b")), slice_of("0")));
    cr_expect_eq(cookie_find(&fields, slice_of("d")).len, 0);
}

static void expect_left(const char *cookies, const char *left)
{
    struct http_fields fields = request_with(&cookies, 1);
    const struct http_field *field;

    cookie_remove(&fields, &arena, slice_of("a"));
    field = http_fields_get(&fields, FIELD_COOKIE);
    cr_expect_eq(fields.count, left == NULL ? 2 : 3, "of %s", cookies);
    cr_expect_eq(field == NULL, left == NULL, "of %s", cookies);
    if (field != NULL && left != NULL)
        cr_expect(slice_equal(field->value, slice_of(left)), "of %s: \"%.*s\", not \"%s\"", cookies,
                  (int)field->value.len, field->value.at, left);
    cr_expect(slice_equal(fields.list[0].value, slice_of("a=other")));
    cr_expect(slice_equal(fields.list[fields.count - 1].name, slice_of("X-Cookie")));
}

Test(cookie, is_taken_out_and_others_stay_as_they_were)
{
    expect_left("a=1", NULL);
    expect_left("a=1; a=2;a=", NULL);
    expect_left(" ; a=1;;", NULL);
    expect_left("a=1; b=2", "b=2");
    expect_left("b=2; a=1", "b=2");
    expect_left("b=2; a=1; c=3", "b=2; c=3");
    expect_left("b=2;a=1;c=3", "b=2;c=3");
    expect_left("a=1;b=2;  c=3", "b=2;  c=3");
    expect_left("b=\"x y\"; a=1; c=\xff=;d", "b=\"x y\"; c=\xff=;d");
    expect_left("b=a=1; a=1", "b=a=1");
    expect_left("A=1; aa=2; a=3", "A=1; aa=2");
    expect_left("a =1; b=2", "b=2");
    /* what has none of it is not touched */
    expect_left("", "");
    expect_left(";; ;b=2 ;;", ";; ;b=2 ;;");
    expect_left("a", "a");
    expect_left("A=1;", "A=1;");
}

Test(cookie, is_taken_out_of_every_field)
{
    static const char *const cookies[] = {"a=1", "b=2; a=1", "c=3", "a=4"};
    struct http_fields fields = request_with(cookies, 4);

    cookie_remove(&fields, &arena, slice_of("a"));
    cr_assert_eq(fields.count, 4);
    cr_expect(slice_equal(fields.list[1].value, slice_of("b=2")));
    cr_expect(slice_equal(fields.list[2].value, slice_of("c=3")));
    cr_expect_eq(cookie_find(&fields, slice_of("a")).len, 0);
}

Test(cookie, that_a_response_sets_is_dropped)
{
    static const char *const kept[] = {"b=1; Path=/",    "A=1", "b=2; a=1", "a", "aa=1",
                                       "b=\"; a=1\"; x", "",    ";a=1",     "=a"};
    static const char *const dropped[] = {"a=1", "a=; Max-Age=0", " a = 1; Path=/", "a=\"x\";b"};
    struct http_fields fields = {0};

    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        http_fields_add(&fields, &arena, slice_of("Set-Cookie"), slice_of(kept[i]));
    for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++)
        http_fields_add(&fields, &arena, slice_of("set-cookie"), slice_of(dropped[i]));
    http_fields_add(&fields, &arena, slice_of("Cookie"), slice_of("a=1"));
    cookie_remove_set(&fields, slice_of("a"));
    cr_assert_eq(fields.count, sizeof(kept) / sizeof(kept[0]) + 1);
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        cr_expect(slice_equal(fields.list[i].value, slice_of(kept[i])), "%s", kept[i]);
}
