#include "base/buffer.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

static void assert_content(const struct buffer *b, const char *expected)
{
    struct slice content = buffer_content(b);
    cr_assert(slice_equal(content, slice_of(expected)), "\"%.*s\" is not \"%s\"", (int)content.len,
              content.at, expected);
}

Test(buffer, is_empty_when_zeroed)
{
    struct buffer b = {0};
    cr_assert_eq(buffer_length(&b), 0);
    cr_assert_eq(buffer_room(&b), 0);
    buffer_rest(&b);
    buffer_clear(&b);
    cr_assert_null(b.base);
}

Test(buffer, appends_and_consumes)
{
    struct buffer b;
    buffer_init(&b);
    cr_assert(buffer_append_text(&b, "hello "));
    cr_assert(buffer_append(&b, slice_of("world")));
    cr_assert(buffer_append(&b, slice_make(NULL, 0)));
    cr_assert(buffer_printf(&b, " %d%s", 42, "!"));
    assert_content(&b, "hello world 42!");
    buffer_consume(&b, 6);
    assert_content(&b, "world 42!");
    buffer_consume(&b, 9);
    cr_assert_eq(buffer_room(&b), b.capacity, "an emptied buffer starts at its front again");
    buffer_clear(&b);
}

Test(buffer, gets_the_class_that_fits)
{
    struct buffer b = {0};
    cr_assert(buffer_reserve(&b, 1));
    cr_assert_eq(b.capacity, BUFFER_SMALL);
    buffer_clear(&b);
    cr_assert(buffer_reserve(&b, BUFFER_SMALL));
    cr_assert_eq(b.capacity, BUFFER_SMALL);
    cr_assert(buffer_reserve(&b, BUFFER_SMALL + 1));
    cr_assert_eq(b.capacity, BUFFER_LARGE);
    cr_assert(buffer_reserve(&b, BUFFER_LARGE + 1));
    cr_assert_eq(b.capacity, 2 * BUFFER_LARGE, "beyond, it doubles");
    cr_assert(buffer_reserve(&b, 10 * BUFFER_LARGE));
    cr_assert_eq(b.capacity, 10 * BUFFER_LARGE, "or is as large as was asked for");
    buffer_clear(&b);
    cr_assert(buffer_reserve(&b, BUFFER_LARGE + 1));
    cr_assert_eq(b.capacity, BUFFER_LARGE + 1);
    buffer_clear(&b);
    cr_assert(buffer_reserve(&b, BUFFER_BULK));
    cr_assert_eq(b.capacity, BUFFER_BULK);
    buffer_clear(&b);
}

Test(buffer, makes_room_by_moving_before_it_grows)
{
    struct buffer b = {0};
    cr_assert(buffer_reserve(&b, BUFFER_SMALL));
    memset(buffer_tail(&b), 'x', BUFFER_SMALL);
    buffer_added(&b, BUFFER_SMALL);
    cr_assert_eq(buffer_room(&b), 0);
    buffer_consume(&b, 1000);
    char *block = b.base;
    cr_assert(buffer_append_text(&b, "end"));
    cr_assert_eq(b.base, block);
    cr_assert_eq(b.capacity, BUFFER_SMALL);
    cr_assert_eq(buffer_length(&b), BUFFER_SMALL - 1000 + 3);
    struct slice content = buffer_content(&b);
    cr_assert(slice_ends_with(content, slice_of("xxend")));
    cr_assert_eq(content.at[0], 'x');
    buffer_clear(&b);
}

Test(buffer, refuses_what_no_buffer_holds_and_stays_as_it_is)
{
    struct buffer b = {0};
    cr_assert(buffer_append_text(&b, "kept"));
    struct buffer before = b;
    cr_assert_not(buffer_reserve(&b, SIZE_MAX));
    cr_assert_not(buffer_reserve(&b, UINT32_MAX));
    cr_assert_eq(memcmp(&b, &before, sizeof(b)), 0);
    assert_content(&b, "kept");
    buffer_clear(&b);
}

Test(buffer, prints_what_does_not_fit_at_first)
{
    struct buffer b = {0};
    cr_assert(buffer_reserve(&b, BUFFER_SMALL));
    size_t filled = b.capacity - 3;
    memset(buffer_tail(&b), 'x', filled);
    buffer_added(&b, filled);
    cr_assert(buffer_printf(&b, "%s", "abc")); /* three bytes and a terminator */
    cr_assert_eq(buffer_length(&b), filled + 3);
    cr_assert(slice_ends_with(buffer_content(&b), slice_of("xabc")));
    buffer_clear(&b);
}

Test(buffer, reuses_the_block_that_was_given_back_last)
{
    struct buffer a = {0}, b = {0};
    cr_assert(buffer_reserve(&a, 1));
    cr_assert(buffer_reserve(&b, 1));
    char *block_a = a.base, *block_b = b.base;
    buffer_rest(&a);
    cr_assert_null(a.base);
    buffer_append_text(&b, "not empty");
    buffer_rest(&b);
    cr_assert_eq(b.base, block_b, "what holds something does not rest");
    cr_assert(buffer_reserve(&a, 1));
    cr_assert_eq(a.base, block_a);
    buffer_clear(&a);
    buffer_clear(&b);
    cr_assert(buffer_reserve(&a, 1));
    cr_assert_eq(a.base, block_b);
    buffer_clear(&a);
}

Test(buffer, keeps_a_bounded_number_of_blocks)
{
    enum { MANY = 1000 };
    static struct buffer small[MANY], large[MANY], bulk[MANY];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++) {
            cr_assert(buffer_reserve(&small[i], 1));
            cr_assert(buffer_reserve(&large[i], BUFFER_SMALL + 1));
            cr_assert(buffer_reserve(&bulk[i], BUFFER_BULK));
            memset(small[i].base, i, small[i].capacity);
            memset(large[i].base, i, large[i].capacity);
        }
        for (int i = 0; i < MANY; i++) {
            buffer_clear(&small[i]);
            buffer_clear(&large[i]);
            buffer_clear(&bulk[i]);
        }
    }
}

static void *use_buffers(void *unused)
{
    struct buffer b = {0};
    for (int i = 0; i < 100; i++) {
        buffer_append_text(&b, "text");
        buffer_clear(&b);
    }
    buffer_cache_clear();
    return unused;
}

/* LeakSanitizer would find what a thread that has ended left behind. */
Test(buffer, a_thread_leaves_nothing_behind)
{
    pthread_t thread;
    pthread_create(&thread, NULL, use_buffers, NULL);
    pthread_join(thread, NULL);
    buffer_cache_clear();
}

Test(buffer, behaves_like_a_queue_of_bytes)
{
    static char model[1 << 20];
    size_t start = 0, end = 0;
    struct buffer b = {0};
    srand(1);
    while (end < sizeof(model) - 5000) {
        size_t add = (size_t)rand() % 5000, drop;
        for (size_t i = 0; i < add; i++)
            model[end + i] = (char)rand();
        cr_assert(buffer_append(&b, slice_make(model + end, add)));
        end += add;
        drop = (size_t)rand() % (end - start + 1);
        buffer_consume(&b, drop);
        start += drop;
        cr_assert(slice_equal(buffer_content(&b), slice_make(model + start, end - start)));
    }
    buffer_clear(&b);
}

Test(buffer, little_that_waits_is_tightened)
{
    struct buffer b = {0};

    cr_expect_eq(buffer_tighten(&b), 0);
    buffer_append_text(&b, "xGET / HTTP/1.1");
    buffer_consume(&b, 1);
    cr_expect_eq(buffer_tighten(&b), 512);
    cr_expect(slice_equal(buffer_content(&b), slice_of("GET / HTTP/1.1")));
    cr_expect_eq(buffer_tighten(&b), 512, "it is tight already");
    cr_expect(buffer_reserve(&b, 1000));
    cr_expect(slice_equal(buffer_content(&b), slice_of("GET / HTTP/1.1")));
    cr_expect_eq(b.capacity, BUFFER_SMALL, "it may grow as ever");
    buffer_clear(&b);
    cr_assert(buffer_reserve(&b, 5000));
    memset(buffer_tail(&b), 'x', 5000);
    buffer_added(&b, 5000);
    cr_expect_eq(buffer_tighten(&b), BUFFER_SMALL, "too much to be copied again and again");
    buffer_clear(&b);
    buffer_cache_clear();
}

Test(buffer, blocks_are_kept_for_those_who_are_served)
{
    struct buffer b = {0};

    buffer_cache_clear();
    cr_expect_not(buffer_cache_give_up(), "there are none yet");
    cr_assert(buffer_cache_fill(1, 1));
    cr_assert(buffer_cache_fill(1, 1), "they are there already");
    cr_assert(buffer_reserve(&b, BUFFER_LARGE), "in use, none is left");
    cr_expect(buffer_cache_give_up());
    cr_expect_not(buffer_cache_give_up());
    buffer_clear(&b);
    cr_expect(buffer_cache_give_up(), "it came back");
    cr_expect_not(buffer_cache_give_up());
    cr_assert(buffer_reserve(&b, BUFFER_BULK));
    buffer_clear(&b);
    cr_expect(buffer_cache_give_up(), "bulk's came back, too");
    cr_expect_not(buffer_cache_give_up());
}
