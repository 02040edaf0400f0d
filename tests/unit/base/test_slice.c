#include "base/slice.h"

#include <criterion/criterion.h>
#include <stdlib.h>

Test(slice, compares_without_case_in_ascii_only)
{
    cr_assert(slice_equal_nocase(slice_of("Content-LENGTH"), slice_of("content-length")));
    cr_assert(slice_equal_nocase(slice_make(NULL, 0), slice_of("")));
    cr_assert_not(slice_equal_nocase(slice_of("ab"), slice_of("abc")));
    cr_assert_not(slice_equal_nocase(slice_of("a"), slice_of("b")));
    /* Bytes that differ by 0x20 alone without being letters. */
    cr_assert_not(slice_equal_nocase(slice_of("@"), slice_of("`")));
    cr_assert_not(slice_equal_nocase(slice_of("["), slice_of("{")));
    cr_assert_not(slice_equal_nocase(slice_of("\xc4"), slice_of("\xe4")));
}

Test(slice, knows_its_ends)
{
    struct slice text = slice_of("unix:/run/x");
    cr_assert(slice_starts_with(text, slice_of("unix:")));
    cr_assert(slice_starts_with(text, slice_of("")));
    cr_assert(slice_starts_with(text, text));
    cr_assert_not(slice_starts_with(text, slice_of("Unix:")));
    cr_assert_not(slice_starts_with(slice_of("uni"), slice_of("unix")));
    cr_assert(slice_ends_with(text, slice_of("/x")));
    cr_assert(slice_ends_with(text, slice_of("")));
    cr_assert_not(slice_ends_with(text, slice_of("/y")));
    cr_assert_not(slice_ends_with(slice_of("x"), slice_of("/x")));
}

Test(slice, finds_the_first_and_the_last)
{
    cr_assert_eq(slice_find(slice_of("a:b:c"), ':'), 1);
    cr_assert_eq(slice_find_last(slice_of("a:b:c"), ':'), 3);
    cr_assert_eq(slice_find(slice_of("abc"), ':'), -1);
    cr_assert_eq(slice_find_last(slice_of("abc"), ':'), -1);
    cr_assert_eq(slice_find(slice_make(NULL, 0), ':'), -1);
    cr_assert_eq(slice_find_last(slice_make(NULL, 0), ':'), -1);
    cr_assert_eq(slice_find_last(slice_of(":"), ':'), 0);
}

Test(slice, trims_spaces_and_tabs_alone)
{
    cr_assert(slice_equal(slice_trim(slice_of(" \t a b\t ")), slice_of("a b")));
    cr_assert(slice_equal(slice_trim(slice_of(" \t ")), slice_of("")));
    cr_assert(slice_equal(slice_trim(slice_of("\na\r")), slice_of("\na\r")));
    cr_assert(slice_is_empty(slice_trim(slice_make(NULL, 0))));
}

Test(slice, walks_a_list)
{
    struct slice list = slice_of(", close ,,\tkeep-alive, x y,"), element;
    const char *expected[] = {"close", "keep-alive", "x y"};
    for (size_t i = 0; i < 3; i++) {
        cr_assert(slice_next_in_list(&list, &element));
        cr_assert(slice_equal(element, slice_of(expected[i])), "%.*s", (int)element.len,
                  element.at);
    }
    cr_assert_not(slice_next_in_list(&list, &element));
    cr_assert_not(slice_next_in_list(&list, &element));
    list = slice_of(" , \t,");
    cr_assert_not(slice_next_in_list(&list, &element));
}

Test(slice, parses_numbers_strictly)
{
    uint64_t value = 1;
    cr_assert(slice_parse_u64(slice_of("0"), &value));
    cr_assert_eq(value, 0);
    cr_assert(slice_parse_u64(slice_of("18446744073709551615"), &value));
    cr_assert_eq(value, UINT64_MAX);
    cr_assert(slice_parse_u64(slice_of("00042"), &value));
    cr_assert_eq(value, 42);

    const char *refused[] = {
        "", "18446744073709551616", "99999999999999999999", "+1", "-1", " 1", "1 ", "0x10", "1.0"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
        cr_assert_not(slice_parse_u64(slice_of(refused[i]), &value), "%s", refused[i]);
    cr_assert_eq(value, 42, "a refused number leaves the value alone");
}

Test(slice, copies)
{
    char text[4] = "xxx";
    slice_copy_text(slice_of("abcdef"), text, sizeof(text));
    cr_assert_str_eq(text, "abc");
    slice_copy_text(slice_make(NULL, 0), text, sizeof(text));
    cr_assert_str_eq(text, "");

    char *copy = slice_duplicate(slice_make("abcdef", 3));
    cr_assert_str_eq(copy, "abc");
    free(copy);
    copy = slice_duplicate(slice_make(NULL, 0));
    cr_assert_str_eq(copy, "");
    free(copy);
}
