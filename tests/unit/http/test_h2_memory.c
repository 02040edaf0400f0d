/* What nghttp2 gets when there is no memory. */
#include "http/h2_memory.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

enum { LARGE = 1024 * 1024 }; /* no allocator has as much lying about */

static bool is_short;
static nghttp2_mem memory;

static void begin(void)
{
    struct rlimit none = {0, 0};

    h2_reserve_init(4 * LARGE);
    is_short = false;
    memory = h2_memory(&is_short);
    cr_assert_eq(setrlimit(RLIMIT_DATA, &none), 0);
}

/* A sanitizer's allocator cannot be made to fail. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
TestSuite(h2_memory, .init = begin, .disabled = true);
#else
TestSuite(h2_memory, .init = begin);
#endif

static void *get(size_t bytes)
{
    return memory.malloc(bytes, memory.mem_user_data);
}

static void give(void *block)
{
    memory.free(block, memory.mem_user_data);
}

Test(h2_memory, what_cannot_be_had_comes_from_the_reserve)
{
    char *block = get(LARGE);

    cr_assert_not_null(block);
    cr_assert(is_short);
    memset(block, 'x', LARGE);
    give(block);
    h2_reserve_clear();
}

Test(h2_memory, arrays_are_zeroed_also_there)
{
    char *dirty = get(LARGE), *block;

    memset(dirty, 'x', LARGE);
    give(dirty);
    block = memory.calloc(LARGE / 8, 8, memory.mem_user_data);
    cr_assert_not_null(block);
    for (size_t i = 0; i < LARGE; i++)
        cr_assert_eq(block[i], 0);
    give(block);
    cr_assert_null(memory.calloc(SIZE_MAX / 2, 4, memory.mem_user_data));
    h2_reserve_clear();
}

Test(h2_memory, what_grows_keeps_what_is_in_it)
{
    char *block = get(LARGE);

    memset(block, 'x', LARGE);
    block = memory.realloc(block, 2 * LARGE, memory.mem_user_data);
    cr_assert_not_null(block);
    for (size_t i = 0; i < LARGE; i++)
        cr_assert_eq(block[i], 'x');
    cr_assert_eq(memory.realloc(block, LARGE, memory.mem_user_data), block);
    give(block);
    h2_reserve_clear();
}

Test(h2_memory, all_of_it_is_there_again_once_nobody_has_any)
{
    for (int i = 0; i < 100; i++) {
        void *first = get(LARGE), *second = get(2 * LARGE);
        cr_assert(first != NULL && second != NULL, "round %d", i);
        cr_assert_null(get(2 * LARGE));
        give(first);
        give(second);
    }
    h2_reserve_clear();
}

/* Without a reserve there is none. */
Test(h2_memory, nothing_without_a_reserve)
{
    h2_reserve_clear();
    cr_assert_null(get(LARGE));
    cr_assert(is_short);
}
