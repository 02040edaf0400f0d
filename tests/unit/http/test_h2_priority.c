/* The field `priority`: what it says, what means nothing, and what is no dictionary. */
#include "http/h2_priority.h"

#include <criterion/criterion.h>

static void expect_from(struct h2_priority before, const char *value, unsigned urgency,
                        bool incremental)
{
    struct h2_priority priority = before;

    cr_expect(h2_priority_read(slice_of(value), &priority), "%s", value);
    cr_expect_eq(priority.urgency, urgency, "%s", value);
    cr_expect_eq(priority.incremental, incremental, "%s", value);
}

static void expect(const char *value, unsigned urgency, bool incremental)
{
    expect_from((struct h2_priority){.urgency = H2_URGENCY_USUAL}, value, urgency, incremental);
}

static void expect_wrong(const char *value)
{
    struct h2_priority priority = {.urgency = 5, .incremental = true};

    cr_expect(!h2_priority_read(slice_of(value), &priority), "%s", value);
    cr_expect(priority.urgency == 5 && priority.incremental, "%s", value);
}

Test(h2_priority, urgency_and_incremental)
{
    expect("", 3, false);
    expect("u=0", 0, false);
    expect("u=7", 7, false);
    expect("i", 3, true);
    expect("i=?1", 3, true);
    expect("u=5, i", 5, true);
    expect("i,u=1", 1, true);
    expect(" u=2 \t,\t i ", 2, true);
    expect("u=05", 5, false);
    expect("u=-0", 0, false);
}

Test(h2_priority, what_is_not_said_stays)
{
    expect_from((struct h2_priority){5, true}, "", 5, true);
    expect_from((struct h2_priority){5, true}, "u=1", 1, true);
    expect_from((struct h2_priority){5, true}, "i=?0", 5, false);
}

Test(h2_priority, last_word_counts)
{
    expect("u=1, u=2", 2, false);
    expect("i, i=?0", 3, false);
    expect("u=1, u=9", 1, false);
}

Test(h2_priority, what_means_nothing_is_passed_over)
{
    expect("u=8, i", 3, true);
    expect("u=-1", 3, false);
    expect("u=999999999999999", 3, false);
    expect("u=1.5", 3, false);
    expect("u=\"1\"", 3, false);
    expect("u", 3, false);
    expect("i=1", 3, false);
    expect("i=true", 3, false);
    expect("i=(?1)", 3, false);
    expect("ui=4, iu, x-u=2, *=1, u*=2", 3, false);
    expect("a=\"x, u=7 \\\" \\\\\", b=:aGk=:, c=t*k/e:n, d=-1.125, e=*x, u=4", 4, false);
    expect("a=(1 \"b\" c;d=e  ?0 ), b=();c;d=?1; e=2, u=4;x=y, i;z", 4, true);
    expect("a=::, u=6", 6, false);
}

Test(h2_priority, what_is_no_dictionary)
{
    static const char *const wrong[] = {"u=",
                                        "u=1,",
                                        "u=1, ",
                                        ",u=1",
                                        "u=1 i",
                                        "u=1;",
                                        "u=1;;a",
                                        "U=1",
                                        "=1",
                                        "1",
                                        "u =1",
                                        "u= 1",
                                        "i=?",
                                        "i=?2",
                                        "i=?11",
                                        "a=\"x",
                                        "a=\"\\x\"",
                                        "a=\"\x7f\"",
                                        "a=:a",
                                        "a=:?:",
                                        "a=(1",
                                        "a=(1,2)",
                                        "a=(1\"b\")",
                                        "a=1.",
                                        "a=1.1234",
                                        "a=-",
                                        "a=--1",
                                        "a=1234567890123456",
                                        "a=1234567890123.1",
                                        "a=@1",
                                        "a=)",
                                        "u=1\x01",
                                        "\tu=1",
                                        "a=(1;)",
                                        "a=;b"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        expect_wrong(wrong[i]);
    expect_wrong("u=1, i, \xc3\xa4");
}

Test(h2_priority, every_cut_is_bounded)
{
    static const char value[] = "a=\"x\\\"\";p=:aGk=:, b=(1 t;q=?1 -1.5);r, u=4, i=?1";

    for (size_t length = 0; length < sizeof(value); length++) {
        struct h2_priority priority = {0};
        char cut[sizeof(value)];

        memcpy(cut, value, length);
        h2_priority_read(slice_make(cut, length), &priority);
    }
}

Test(h2_priority, fields)
{
    struct h2_priority priority = {.urgency = H2_URGENCY_USUAL};
    struct http_fields fields = {0};
    struct arena arena = {0};

    cr_expect(!h2_priority_read_fields(&fields, &priority));
    http_fields_add(&fields, &arena, slice_of("x-priority"), slice_of("u=0"));
    cr_expect(!h2_priority_read_fields(&fields, &priority));
    http_fields_add(&fields, &arena, slice_of("Priority"), slice_of("u=5"));
    http_fields_add(&fields, &arena, slice_of("priority"), slice_of("i, u=1"));
    http_fields_add(&fields, &arena, slice_of("PRIORITY"), slice_of("not (one"));
    cr_expect(h2_priority_read_fields(&fields, &priority));
    cr_expect(priority.urgency == 1 && priority.incremental);
    arena_clear(&arena);
}
