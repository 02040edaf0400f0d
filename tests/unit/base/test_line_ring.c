#include "base/line_ring.h"

#include "base/check.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

static size_t take_all(struct line_ring *ring, char *into, size_t room)
{
    size_t length = 0;
    for (size_t got; (got = line_ring_take(ring, into + length, room - length)) > 0;)
        length += got;
    return length;
}

Test(line_ring, gives_back_what_was_put_in_its_order)
{
    struct line_ring *ring = line_ring_new(64);
    char out[64];
    cr_assert_eq(line_ring_take(ring, out, sizeof(out)), 0);
    cr_assert(line_ring_put(ring, slice_of("one\n")));
    cr_assert(line_ring_put(ring, slice_of("two\n")));
    size_t length = take_all(ring, out, sizeof(out));
    cr_assert(slice_equal(slice_make(out, length), slice_of("one\ntwo\n")));
    cr_assert_eq(line_ring_take(ring, out, sizeof(out)), 0);
    line_ring_free(ring);
}

Test(line_ring, a_line_that_does_not_fit_is_dropped_whole_and_counted)
{
    struct line_ring *ring = line_ring_new(64);
    char line[64], out[64];
    memset(line, 'x', sizeof(line));
    cr_assert(line_ring_put(ring, slice_make(line, 40)));
    cr_assert_not(line_ring_put(ring, slice_make(line, 25)));
    cr_assert_eq(line_ring_dropped(ring), 1);
    cr_assert(line_ring_put(ring, slice_make(line, 24)));
    cr_assert_not(line_ring_put(ring, slice_make(line, 1)));
    cr_assert_eq(line_ring_dropped(ring), 2);
    cr_assert_eq(take_all(ring, out, sizeof(out)), 64);
    cr_assert(line_ring_put(ring, slice_make(line, 64)), "room that was taken is room again");
    line_ring_free(ring);
}

Test(line_ring, a_line_longer_than_the_ring_never_fits)
{
    struct line_ring *ring = line_ring_new(64);
    char line[65];
    memset(line, 'x', sizeof(line));
    cr_assert_not(line_ring_put(ring, slice_make(line, sizeof(line))));
    cr_assert_eq(line_ring_dropped(ring), 1);
    line_ring_free(ring);
}

Test(line_ring, is_rounded_up_to_a_power_of_two)
{
    struct line_ring *ring = line_ring_new(65);
    char line[128] = {0};
    cr_assert(line_ring_put(ring, slice_make(line, 128)));
    cr_assert_not(line_ring_put(ring, slice_make(line, 1)));
    line_ring_free(ring);
}

Test(line_ring, lines_wrap_around_the_end_anywhere)
{
    struct line_ring *ring = line_ring_new(64);
    char line[32], out[64];
    for (int i = 0; i < 1000; i++) {
        int length = snprintf(line, sizeof(line), "line %d of %.*s\n", i, i % 13, "abcdefghijklm");
        cr_assert(line_ring_put(ring, slice_make(line, (size_t)length)));
        /* In two pieces: takes wrap as well. */
        size_t first = line_ring_take(ring, out, 7);
        size_t rest = take_all(ring, out + first, sizeof(out) - first);
        cr_assert(slice_equal(slice_make(out, first + rest), slice_make(line, (size_t)length)),
                  "%d", i);
    }
    cr_assert_eq(line_ring_dropped(ring), 0);
    line_ring_free(ring);
}

Test(line_ring, free_of_nothing)
{
    line_ring_free(NULL);
}

/* --- two threads -------------------------------------------------------------------------------
 */

enum { LINES = 200 * 1000 };

static void *produce(void *owner)
{
    struct line_ring *ring = owner;
    char line[32];
    for (int i = 0; i < LINES; i++) {
        int length = snprintf(line, sizeof(line), "%d\n", i);
        while (!line_ring_put(ring, slice_make(line, (size_t)length)))
            sched_yield();
    }
    return NULL;
}

Test(line_ring, nothing_is_lost_or_mixed_between_two_threads)
{
    struct line_ring *ring = line_ring_new(256);
    pthread_t producer;
    cr_assert_eq(pthread_create(&producer, NULL, produce, ring), 0);
    char digits[16];
    size_t length = 0;
    for (int expected = 0; expected < LINES;) {
        char piece[50];
        size_t got = line_ring_take(ring, piece, sizeof(piece));
        if (got == 0)
            sched_yield();
        for (size_t i = 0; i < got; i++) {
            if (piece[i] != '\n') {
                cr_assert_lt(length, sizeof(digits) - 1);
                digits[length++] = piece[i];
                continue;
            }
            digits[length] = '\0';
            cr_assert_eq(atoi(digits), expected);
            length = 0;
            expected++;
        }
    }
    pthread_join(producer, NULL);
    line_ring_free(ring);
}
