#include "base/check.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

Test(check, memory_comes_zeroed_and_keeps_its_bytes)
{
    char *bytes = memory_new(100), zeroes[100] = {0};
    cr_assert_eq(memcmp(bytes, zeroes, 100), 0);
    memcpy(bytes, "kept", 5);
    bytes = memory_resize(bytes, 10000);
    cr_assert_str_eq(bytes, "kept");
    free(bytes);

    int *numbers = memory_array(25, sizeof(int));
    cr_assert_eq(memcmp(numbers, zeroes, 100), 0);
    free(numbers);
}

Test(check, texts_are_printed_into_memory_of_their_own)
{
    char *text = memory_print("%s/%.*s", "a", 2, "bcd");
    cr_assert_str_eq(text, "a/bc");
    free(text);
    text = memory_print("%s", "");
    cr_assert_str_eq(text, "");
    free(text);
}

Test(check, nothing_is_no_failure)
{
    void *nothing[3] = {memory_new(0), memory_array(0, 8), memory_resize(NULL, 0)};
    for (int i = 0; i < 3; i++) {
        cr_assert_not_null(nothing[i]);
        free(nothing[i]);
    }
}

/* The sanitizers' allocator would report the size as a mistake of its own. */
#if !defined(__SANITIZE_ADDRESS__)
Test(check, too_much_ends_the_process, .signal = SIGABRT)
{
    free(memory_array(SIZE_MAX / 2, 4));
}
#endif

Test(check, assertions_are_on, .signal = SIGABRT)
{
    volatile int one = 1;
    assert(one == 2);
}

Test(check, container_of_finds_the_owner)
{
    struct owner {
        char first[13];
        long second;
    } owner;
    long *member = &owner.second;
    cr_assert_eq(container_of(member, struct owner, second), &owner);
}
