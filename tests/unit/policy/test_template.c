#include "policy/template.h"

#include <criterion/criterion.h>

#define LITERAL(words)                       \
    {                                        \
        .text = { words, sizeof(words) - 1 } \
    }

static struct arena arena;

static void end(void)
{
    arena_clear(&arena);
    buffer_cache_clear();
}

TestSuite(template, .fini = end);

static void expect_text(struct slice is, const char *wanted)
{
    cr_expect(slice_equal(is, slice_of(wanted)), "\"%.*s\", not \"%s\"", (int)is.len, is.at,
              wanted);
}

static const struct slice values[PLACEHOLDER_COUNT] = {
    [PLACEHOLDER_HOST] = {"a.test", 6},
    [PLACEHOLDER_ROUTE] = {"*", 1},
};

Test(template, is_filled_in_and_printed)
{
    struct template_part parts[] = {LITERAL("<"),
                                    {.placeholder = PLACEHOLDER_HOST},
                                    LITERAL("{x} "),
                                    {.placeholder = PLACEHOLDER_SNI},
                                    {.placeholder = PLACEHOLDER_ROUTE}};
    struct template template = {parts, 5};
    struct buffer out = {0};

    expect_text(template_fill(&template, values, &arena), "<a.test{x} *");
    template_print(&template, &out);
    expect_text(buffer_content(&out), "<{host}{{x} {sni}{route}");
    buffer_clear(&out);
}

Test(template, one_part_is_not_copied)
{
    struct template_part literal = LITERAL("same"), host = {.placeholder = PLACEHOLDER_HOST};

    cr_expect_eq(template_fill(&(struct template){&literal, 1}, values, &arena).at,
                 literal.text.at);
    cr_expect_eq(template_fill(&(struct template){&host, 1}, values, &arena).at,
                 values[PLACEHOLDER_HOST].at);
    cr_expect_eq(arena.total_bytes, 0);
}

Test(template, of_nothing_is_empty)
{
    struct template_part parts[] = {{.placeholder = PLACEHOLDER_SNI},
                                    {.placeholder = PLACEHOLDER_CLIENT_IP}};

    expect_text(template_fill(&(struct template){NULL, 0}, values, &arena), "");
    expect_text(template_fill(&(struct template){parts, 1}, values, &arena), "");
    expect_text(template_fill(&(struct template){parts, 2}, values, &arena), "");
}

Test(template, copies_stand_alone_and_are_equal)
{
    char text[] = "own";
    struct template_part parts[] = {{.text = {text, 3}}, {.placeholder = PLACEHOLDER_HOST}};
    struct template template = {parts, 2}, copy = template_copy(&template, &arena);

    cr_expect(template_equal(&template, &copy));
    text[0] = 'O';
    cr_expect_not(template_equal(&template, &copy));
    expect_text(template_fill(&copy, values, &arena), "owna.test");
    parts[0].text = slice_of("own");
    cr_expect(template_equal(&template, &copy));
    parts[1].placeholder = PLACEHOLDER_ROUTE;
    cr_expect_not(template_equal(&template, &copy));
    template.part_count = 1;
    cr_expect_not(template_equal(&template, &copy));
}
