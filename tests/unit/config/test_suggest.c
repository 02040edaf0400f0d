#include "config/suggest.h"

#include <criterion/criterion.h>

static const char *nearest(struct suggestion *near, const char *typed)
{
    static const char *const names[] = {"timeout", "retry",     "max_body", "to",  "redirect",
                                        "respond", "keepalive", "host",     "h2c", "a"};

    suggestion_init(near, slice_of(typed));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        suggestion_consider(near, slice_of(names[i]));
    return suggestion_text(near);
}

Test(suggest, typing_mistakes)
{
    struct suggestion near;

    cr_expect_str_eq(nearest(&near, "timout"), "timeout");
    cr_expect_str_eq(nearest(&near, "tiemout"), "timeout", "neighbours swapped are one mistake");
    cr_expect_str_eq(nearest(&near, "TimeOut"), "timeout");
    cr_expect_str_eq(nearest(&near, "maxbody"), "max_body");
    cr_expect_str_eq(nearest(&near, "keep_alive"), "keepalive");
    cr_expect_str_eq(nearest(&near, "retyr"), "retry");
    cr_expect_str_eq(nearest(&near, "hots"), "host");
    cr_expect_str_eq(nearest(&near, "too"), "to");
}

Test(suggest, nothing_near)
{
    struct suggestion near;

    cr_expect_null(nearest(&near, "servers"));
    cr_expect_null(nearest(&near, "x"));
    cr_expect_null(nearest(&near, ""));
    cr_expect_null(nearest(&near, "retirement"));
}

Test(suggest, long_names_are_left_alone)
{
    char longest[SUGGEST_NAME_MAX + 3];
    struct suggestion near;

    memset(longest, 'x', sizeof(longest));
    suggestion_init(&near, slice_make(longest, SUGGEST_NAME_MAX));
    suggestion_consider(&near, slice_make(longest, SUGGEST_NAME_MAX + 1));
    cr_expect_null(suggestion_text(&near));
    suggestion_consider(&near, slice_make(longest, SUGGEST_NAME_MAX - 1));
    cr_expect_eq(strlen(suggestion_text(&near)), SUGGEST_NAME_MAX - 1);
    suggestion_init(&near, slice_make(longest, SUGGEST_NAME_MAX + 1));
    suggestion_consider(&near, slice_make(longest, SUGGEST_NAME_MAX));
    cr_expect_null(suggestion_text(&near));
}
