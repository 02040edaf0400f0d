#include "base/series.h"

#include "base/histogram.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>

enum { COUNTERS = 2, VIEWS = 3 };

static struct series *series;
static struct series_view views[VIEWS];

static void begin(void)
{
    series = series_new(VIEWS, COUNTERS);
    for (unsigned i = 0; i < VIEWS; i++)
        series_view_init(&views[i], series, i);
}

static void end(void)
{
    for (unsigned i = 0; i < VIEWS; i++)
        series_view_clear(&views[i]);
    series_free(series);
}

TestSuite(series, .init = begin, .fini = end);

static void count(unsigned view, const char *name, uint64_t n)
{
    struct series_entry *entry = series_find(&views[view], slice_of(name));
    counter_add(&series_counters(&views[view], entry)[1], n);
}

/* "name=sum name=sum", in the order of walking. */
static const char *walk(void)
{
    static char text[512];
    uint64_t sums[COUNTERS];
    struct slice name;
    size_t length = 0;
    text[0] = '\0';
    for (size_t at = 0; series_next(series, &at, &name, sums);)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%.*s=%d",
                                   length > 0 ? " " : "", (int)name.len, name.at, (int)sums[1]);
    return text;
}

Test(series, views_add_up)
{
    series_set_limit(series, 10);
    cr_expect_str_eq(walk(), "");
    count(0, "b", 1);
    count(1, "a", 2);
    count(2, "b", 4);
    count(2, "b", 8);
    cr_expect_str_eq(walk(), "b=13 a=2", "in order of first use");
}

Test(series, beyond_the_limit_is_other)
{
    series_set_limit(series, 2);
    count(0, "a", 1);
    count(1, "b", 1);
    count(0, "c", 1);
    count(1, "c", 1);
    count(2, "d", 1);
    count(2, "b", 1); /* which this view has not met before */
    count(2, "a", 1);
    cr_expect_str_eq(walk(), "a=2 b=2 other=3");
    cr_expect(series_has(series, slice_of("b")));
    cr_expect_not(series_has(series, slice_of("c")));
    cr_expect_eq(series_room(series), 0);
    struct series_entry *entry = series_find(&views[2], slice_of("d"));
    cr_expect(series_is_other(&views[2], entry));
}

Test(series, limits_act_on_what_is_met_later)
{
    series_set_limit(series, 1);
    count(0, "a", 1);
    count(0, "b", 1);
    series_set_limit(series, 3);
    cr_expect_eq(series_room(series), 2);
    count(0, "c", 1);
    count(1, "b", 1);
    series_set_limit(series, 1);
    cr_expect_eq(series_room(series), 0);
    count(0, "d", 1);
    count(2, "c", 1);
    cr_expect_str_eq(walk(), "a=1 c=2 b=1 other=2");
}

Test(series, no_limit_and_no_name)
{
    count(0, "a", 1);
    cr_expect_str_eq(walk(), "other=1", "none until it is set");
    series_set_limit(series, SERIES_UNLIMITED);
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%d", i);
        count(0, name, 1);
        cr_expect(series_has(series, slice_of(name)));
    }
    cr_expect_eq(series_room(series), SIZE_MAX);
}

Test(series, a_name_that_is_other)
{
    series_set_limit(series, 1);
    count(0, "other", 1);
    count(0, "a", 1);
    count(0, "b", 1);
    cr_expect_str_eq(walk(), "a=1 other=2");
}

Test(series, names_are_bytes)
{
    series_set_limit(series, 2);
    series_counters(&views[0], series_find(&views[0], slice_make("a\0b", 3)));
    uint64_t sums[COUNTERS];
    struct slice name;
    size_t at = 0;
    cr_assert(series_next(series, &at, &name, sums));
    cr_expect(slice_equal(name, slice_make("a\0b", 3)));
}

/* --- threads -----------------------------------------------------------------------------------
 */

enum { NAMES = 64, ROUNDS = 2000 };

static void *count_all(void *argument)
{
    struct series_view *view = argument;
    for (int i = 0; i < ROUNDS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%d", (i * (int)(view->number + 1)) % NAMES);
        counter_add(&series_counters(view, series_find(view, slice_of(name)))[0], 1);
    }
    return NULL;
}

Test(series, nothing_is_lost_between_threads)
{
    pthread_t threads[VIEWS];
    series_set_limit(series, NAMES / 2);
    for (int i = 0; i < VIEWS; i++)
        pthread_create(&threads[i], NULL, count_all, &views[i]);
    for (int i = 0; i < VIEWS; i++)
        pthread_join(threads[i], NULL);
    uint64_t sums[COUNTERS], all = 0;
    struct slice name;
    int names = 0;
    for (size_t at = 0; series_next(series, &at, &name, sums); names++)
        all += sums[0];
    cr_expect_eq(all, VIEWS * ROUNDS);
    cr_expect_eq(names, NAMES / 2 + 1);
}

/* --- histograms --------------------------------------------------------------------------------
 */

Test(histogram, bounds_belong_to_their_own_bucket)
{
    static struct histogram histogram;
    for (int i = 0; i < HISTOGRAM_BOUNDS; i++) {
        cr_expect(i == 0 || histogram_bounds_us[i] > histogram_bounds_us[i - 1]);
        histogram_add(&histogram, histogram_bounds_us[i]);
        cr_expect_eq(counter_read(&histogram.counts[i]), 1 + (i > 0));
        histogram_add(&histogram, histogram_bounds_us[i] + 1);
    }
    cr_expect_eq(counter_read(&histogram.counts[HISTOGRAM_BOUNDS]), 1);
}

Test(histogram, sums)
{
    static struct histogram histogram;
    histogram_add(&histogram, 0);
    histogram_add(&histogram, 999);
    histogram_add(&histogram, 3600u * 1000 * 1000);
    cr_expect_eq(counter_read(&histogram.counts[0]), 2);
    cr_expect_eq(counter_read(&histogram.sum_us), 3600000999u);
}
