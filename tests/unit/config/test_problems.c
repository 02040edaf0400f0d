#include "config/problems.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct problems problems;

static void end(void)
{
    problems_clear(&problems);
    buffer_cache_clear();
}

TestSuite(problems, .fini = end);

static void expect_text(struct buffer *out, const char *expected)
{
    cr_expect(slice_equal(buffer_content(out), slice_of(expected)), "%.*s\nis not\n%s",
              (int)buffer_length(out), buffer_content(out).at, expected);
    buffer_clear(out);
}

static void add_three(void)
{
    problems_add(&problems, false, "r.json", 9, 2, "a.b", "near", "not %d", 5);
    problems_add(&problems, true, "r.json", 2, 7, "", NULL, "careful\nnow");
    problems_add(&problems, false, "r.json", 0, 0, NULL, NULL, "cannot be read");
}

Test(problems, one_line_each)
{
    struct buffer out = {0};

    add_three();
    problems_print(&problems, &out, false);
    expect_text(&out, "r.json:9:2: error: a.b: not 5 (did you mean \"near\"?)\n"
                      "r.json:2:7: warning: careful\\x0anow\n"
                      "r.json: error: cannot be read\n");
}

Test(problems, of_a_line_as_a_whole)
{
    struct buffer out = {0};

    problems_add(&problems, true, "users", 7, 0, NULL, NULL, "odd");
    problems_print(&problems, &out, false);
    expect_text(&out, "users:7: warning: odd\n");
    problems_print_json(&problems, &out);
    expect_text(&out, "{\"errors\":[],\"warnings\":[{\"file\":\"users\",\"line\":7,\"column\":null,"
                      "\"path\":null,\"message\":\"odd\",\"suggestion\":null}]}");
}

Test(problems, in_colour)
{
    struct buffer out = {0};

    problems_add(&problems, false, "r.json", 1, 2, "a", NULL, "wrong");
    problems_add(&problems, true, "r.json", 1, 3, "b", NULL, "odd");
    problems_print(&problems, &out, true);
    expect_text(&out, "r.json:1:2: \033[1;31merror\033[0m: a: wrong\n"
                      "r.json:1:3: \033[1;33mwarning\033[0m: b: odd\n");
}

Test(problems, as_json)
{
    struct buffer out = {0};

    add_three();
    problems_print_json(&problems, &out);
    expect_text(&out, "{\"errors\":[{\"file\":\"r.json\",\"line\":9,\"column\":2,\"path\":\"a.b\","
                      "\"message\":\"not 5\",\"suggestion\":\"near\"},"
                      "{\"file\":\"r.json\",\"line\":null,\"column\":null,\"path\":null,"
                      "\"message\":\"cannot be read\",\"suggestion\":null}],"
                      "\"warnings\":[{\"file\":\"r.json\",\"line\":2,\"column\":7,\"path\":\"\","
                      "\"message\":\"careful\\nnow\",\"suggestion\":null}]}");
    problems_clear(&problems);
    problems_print_json(&problems, &out);
    expect_text(&out, "{\"errors\":[],\"warnings\":[]}");
}

Test(problems, errors_are_counted_apart)
{
    add_three();
    cr_expect_eq(problems.count, 3);
    cr_expect_eq(problems.errors, 2);
}

Test(problems, sorted_by_place_and_stable)
{
    for (unsigned i = 0; i < 100; i++)
        problems_add(&problems, false, "r.json", 1 + i % 2, 3 - i % 3, NULL, NULL, "%u", i);
    problems_sort(&problems);
    for (size_t i = 1; i < problems.count; i++) {
        const struct problem *a = &problems.list[i - 1], *b = &problems.list[i];
        bool is_later = b->line != a->line       ? b->line > a->line
                        : b->column != a->column ? b->column > a->column
                                                 : atoi(b->message) > atoi(a->message);
        cr_expect(is_later, "%zu", i);
    }
    problems_clear(&problems);
    problems_sort(&problems);
}
