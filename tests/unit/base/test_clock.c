#include "base/clock.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

static void assert_formats(int64_t wall_ms, const char *expected)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format(wall_ms, text);
    cr_assert_str_eq(text, expected);
}

Test(clock, formats_known_moments)
{
    assert_formats(0, "1970-01-01T00:00:00.000Z");
    assert_formats(999, "1970-01-01T00:00:00.999Z");
    assert_formats(951782399999, "2000-02-28T23:59:59.999Z");
    assert_formats(951782400000, "2000-02-29T00:00:00.000Z");
    assert_formats(951868800000, "2000-03-01T00:00:00.000Z");
    assert_formats(1798761599999, "2026-12-31T23:59:59.999Z");
    assert_formats(4107542400000, "2100-03-01T00:00:00.000Z"); /* no leap year */
    assert_formats(253402300799999, "9999-12-31T23:59:59.999Z");
}

Test(clock, stays_in_its_array_beyond_what_it_can_say)
{
    assert_formats(-1, "1970-01-01T00:00:00.000Z");
    assert_formats(INT64_MIN, "1970-01-01T00:00:00.000Z");
    assert_formats(INT64_MAX, "9999-12-31T23:59:59.999Z");
}

Test(clock, agrees_with_the_c_library)
{
    srand(1);
    for (int i = 0; i < 20000; i++) {
        int64_t wall_ms = ((int64_t)rand() << 20 ^ rand()) % 253402300800000;
        time_t seconds = wall_ms / 1000;
        struct tm tm;
        char date[40], expected[64];
        gmtime_r(&seconds, &tm);
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(expected, sizeof(expected), "%s.%03dZ", date, (int)(wall_ms % 1000));
        assert_formats(wall_ms, expected);
    }
}

Test(clock, runs_forward)
{
    uint64_t us = clock_monotonic_us(), ms = clock_monotonic_ms();
    cr_assert_leq(us / 1000, ms);
    for (int i = 0; i < 1000; i++) {
        uint64_t next = clock_monotonic_us();
        cr_assert_geq(next, us);
        us = next;
    }
    cr_assert_lt(llabs(clock_wall_ms() / 1000 - (long long)time(NULL)), 5);
}

/* With the wall clock a change right after it was read may look like one before. */
Test(clock, files_are_not_older_than_their_clock)
{
    for (int i = 0; i < 200; i++) {
        struct stat status;
        int64_t before = clock_file_ms();
        FILE *file = tmpfile();
        cr_assert(file);
        cr_assert_eq(fstat(fileno(file), &status), 0);
        fclose(file);
        cr_assert_geq(status.st_ctim.tv_sec * 1000LL + status.st_ctim.tv_nsec / 1000000, before);
    }
}
