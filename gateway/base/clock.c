#include "base/clock.h"

#include <string.h>
#include <time.h>

static struct timespec read_clock(clockid_t which)
{
    struct timespec now;
    clock_gettime(which, &now);
    return now;
}

uint64_t clock_monotonic_ms(void)
{
    struct timespec now = read_clock(CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t clock_monotonic_us(void)
{
    struct timespec now = read_clock(CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_thread_us(void)
{
    struct timespec used = read_clock(CLOCK_THREAD_CPUTIME_ID);
    return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
    struct timespec now = read_clock(CLOCK_REALTIME);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_file_ms(void)
{
    struct timespec now = read_clock(CLOCK_REALTIME_COARSE);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct date {
    unsigned year, month, day;
};

/* Gregorian date of a day counted from 1970-01-01. Years are counted from 1 March, so that the leap
 * day is a year's last; 400 of them have 146097 days. */
static struct date date_of_day(int64_t day)
{
    int64_t since_march_0000 = day + 719468;
    int64_t era = since_march_0000 / 146097;
    unsigned in_era = (unsigned)(since_march_0000 % 146097);
    unsigned year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    unsigned in_year = in_era - (365 * year + year / 4 - year / 100);
    unsigned month = (5 * in_year + 2) / 153; /* 0 is March */
    return (struct date){
        .year = (unsigned)(era * 400) + year + (month >= 10),
        .month = month < 10 ? month + 3 : month - 9,
        .day = in_year - (153 * month + 2) / 5 + 1,
    };
}

/* Writes `digits` digits of `value`, then `mark`; returns where to go on. */
static char *put_number(char *to, unsigned value, int digits, char mark)
{
    for (int i = digits - 1; i >= 0; i--) {
        to[i] = (char)('0' + value % 10);
        value /= 10;
    }
    to[digits] = mark;
    return to + digits + 1;
}

/* By hand: gmtime_r takes a lock that all threads share. */
void clock_format(int64_t wall_ms, char text[CLOCK_TEXT_SIZE])
{
    const int64_t day_ms = 86400000, last_ms = 253402300799999; /* the end of 9999 */
    if (wall_ms < 0)
        wall_ms = 0;
    if (wall_ms > last_ms)
        wall_ms = last_ms;
    struct date date = date_of_day(wall_ms / day_ms);
    unsigned ms = (unsigned)(wall_ms % day_ms);

    char *to = put_number(text, date.year, 4, '-');
    to = put_number(to, date.month, 2, '-');
    to = put_number(to, date.day, 2, 'T');
    to = put_number(to, ms / 3600000, 2, ':');
    to = put_number(to, ms / 60000 % 60, 2, ':');
    to = put_number(to, ms / 1000 % 60, 2, '.');
    to = put_number(to, ms % 1000, 3, 'Z');
    *to = '\0';
}
