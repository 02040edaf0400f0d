#include "policy/header_edits.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct arena arena;
static struct http_fields fields;

static void end(void)
{
    arena_clear(&arena);
    fields = (struct http_fields){0};
}

TestSuite(header_edits, .fini = end);

static const struct slice values[PLACEHOLDER_COUNT] = {
    [PLACEHOLDER_HOST] = {"a.test", 6},
};

static void have(const char *name, const char *value)
{
    http_fields_add(&fields, &arena, slice_of(name), slice_of(value));
}

static struct header_edit edit_of(enum header_edit_kind kind, const char *name,
                                  enum placeholder placeholder, const char *text)
{
    struct template_part *part = arena_alloc(&arena, sizeof(*part));

    *part = (struct template_part){.placeholder = placeholder, .text = slice_of(text)};
    return (struct header_edit){.kind = kind,
                                .id = field_id_from(slice_of(name)),
                                .name = slice_of(name),
                                .value = {part, kind == HEADER_REMOVE ? 0 : 1}};
}

static struct header_edit edit(enum header_edit_kind kind, const char *name, const char *text)
{
    return edit_of(kind, name, PLACEHOLDER_NONE, text);
}

static void apply(struct header_edit *list, unsigned count, const char *expected)
{
    struct header_edits edits = {list, count};
    size_t length;
    char *text;
    FILE *out = open_memstream(&text, &length);

    header_edits_apply(&edits, values, &arena, &fields);
    for (uint32_t i = 0; i < fields.count; i++)
        fprintf(out, "%.*s=%.*s;", (int)fields.list[i].name.len, fields.list[i].name.at,
                (int)fields.list[i].value.len, fields.list[i].value.at);
    fclose(out);
    cr_expect_str_eq(text, expected);
    free(text);
}

Test(header_edits, of_nothing_changes_nothing)
{
    have("A", "1");
    have("a", "2");
    apply(NULL, 0, "A=1;a=2;");
}

Test(header_edits, remove_takes_every_field_of_that_name)
{
    struct header_edit list[] = {edit(HEADER_REMOVE, "X-a", ""), edit(HEADER_REMOVE, "gone", "")};

    have("x-A", "1");
    have("Set-Cookie", "a=1");
    have("X-A", "2");
    have("Set-Cookie", "b=2");
    have("X-AB", "3");
    apply(list, 2, "Set-Cookie=a=1;Set-Cookie=b=2;X-AB=3;");
}

Test(header_edits, underscores_are_no_way_around_them)
{
    struct header_edit list[] = {edit(HEADER_REMOVE, "X-Is-Admin", ""),
                                 edit(HEADER_REMOVE, "a_b", ""), edit(HEADER_SET, "X-User", "me")};

    have("X_Is_admin", "1");
    have("x-is_admin", "2");
    have("X_User", "3");
    have("XIsAdmin", "4");
    have("a-b", "5");
    have("A_b", "6");
    apply(list, 3, "XIsAdmin=4;a-b=5;X-User=me;");
}

Test(header_edits, set_leaves_one)
{
    struct header_edit list[] = {edit(HEADER_SET, "x-a", "new"), edit(HEADER_SET, "X-B", "b")};

    have("X-A", "1");
    have("X-A", "2");
    have("Other", "3");
    apply(list, 2, "Other=3;x-a=new;X-B=b;");
}

Test(header_edits, add_leaves_what_was_there)
{
    struct header_edit list[] = {edit(HEADER_ADD, "Vary", "Origin"),
                                 edit(HEADER_ADD, "Vary", "Cookie")};

    have("vary", "Accept");
    apply(list, 2, "vary=Accept;Vary=Origin;Vary=Cookie;");
}

Test(header_edits, are_done_one_after_the_other)
{
    struct header_edit list[] = {edit(HEADER_REMOVE, "A", ""), edit(HEADER_REMOVE, "B", ""),
                                 edit(HEADER_SET, "A", "set"), edit(HEADER_ADD, "A", "added"),
                                 edit(HEADER_ADD, "B", "added")};

    have("A", "1");
    have("B", "1");
    apply(list, 5, "A=set;A=added;B=added;");
}

Test(header_edits, empty_values_leave_their_fields_out)
{
    struct header_edit list[] = {edit_of(HEADER_SET, "A", PLACEHOLDER_SNI, ""),
                                 edit_of(HEADER_SET, "B", PLACEHOLDER_HOST, ""),
                                 edit(HEADER_ADD, "C", " ")};

    have("A", "1");
    have("B", "1");
    apply(list, 3, "B=a.test;");
}

Test(header_edits, know_what_the_gateway_acts_on)
{
    struct header_edit list[] = {edit(HEADER_SET, "DATE", "now")};

    have("Date", "then");
    apply(list, 1, "DATE=now;");
    cr_expect_eq(fields.list[0].id, FIELD_DATE);
}

Test(header_edits, order)
{
    struct header_edit remove_b = edit(HEADER_REMOVE, "b", ""), set_a = edit(HEADER_SET, "A", "1"),
                       set_ab = edit(HEADER_SET, "AB", "1"), set_b = edit(HEADER_SET, "b", "1");

    cr_expect_lt(header_edit_compare(&remove_b, &set_a), 0);
    cr_expect_lt(header_edit_compare(&set_a, &set_b), 0);
    cr_expect_lt(header_edit_compare(&set_a, &set_ab), 0);
    cr_expect_gt(header_edit_compare(&set_b, &set_ab), 0);
    set_a.name = slice_of("a");
    cr_expect_gt(header_edit_compare(&set_ab, &set_a), 0);
    cr_expect_eq(header_edit_compare(&set_b, &set_b), 0);
}

Test(header_edits, equality_is_of_what_they_do)
{
    struct header_edit a[] = {edit(HEADER_SET, "A", "1")}, b[] = {edit(HEADER_SET, "A", "1")};
    struct header_edits one = {a, 1}, other = {b, 1};

    b[0].from = 3;
    cr_expect(header_edits_equal(&one, &other));
    b[0].kind = HEADER_ADD;
    cr_expect_not(header_edits_equal(&one, &other));
    b[0] = edit(HEADER_SET, "A", "2");
    cr_expect_not(header_edits_equal(&one, &other));
    b[0] = edit(HEADER_SET, "B", "1");
    cr_expect_not(header_edits_equal(&one, &other));
    cr_expect_not(header_edits_equal(&one, &(struct header_edits){NULL, 0}));
}
