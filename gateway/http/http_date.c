#include "http/http_date.h"

#include <stdio.h>

static const char day_names[7][10] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                      "Thursday", "Friday", "Saturday"};
static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

enum { DAY_S = 86400, DAYS_IN_400_YEARS = 146097, DAYS_TO_1970 = 719468 };

struct civil {
    int year, month, day; /* month 1 to 12 */
    int hour, minute, second;
};

/* --- the calendar --------------------------------------------------------------------------- */

/* Years that begin in March have their odd day at the end. */
static int64_t days_from(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * DAYS_IN_400_YEARS + day_of_era - DAYS_TO_1970;
}

/* Of days since 1970, within the years 0 to 9999. */
static void civil_from(int64_t days, struct civil *civil)
{
    int64_t shifted = days + DAYS_TO_1970;
    int64_t era = (shifted >= 0 ? shifted : shifted - (DAYS_IN_400_YEARS - 1)) / DAYS_IN_400_YEARS;
    int64_t day_of_era = shifted - era * DAYS_IN_400_YEARS;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
                           day_of_era / (DAYS_IN_400_YEARS - 1)) /
                          365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;

    civil->day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    civil->month = (int)(month < 10 ? month + 3 : month - 9);
    civil->year = (int)(year_of_era + era * 400 + (civil->month <= 2));
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static bool is_in_calendar(const struct civil *civil)
{
    static const int lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int length = lengths[civil->month - 1] + (civil->month == 2 && is_leap(civil->year));

    /* The second 60 is a leap second. */
    return civil->day >= 1 && civil->day <= length && civil->hour <= 23 && civil->minute <= 59 &&
           civil->second <= 60;
}

static int64_t seconds_of(const struct civil *civil)
{
    return days_from(civil->year, civil->month, civil->day) * DAY_S + civil->hour * 3600 +
           civil->minute * 60 + civil->second;
}

/* --- reading -------------------------------------------------------------------------------- */

/* Without case: RFC 9111 section 4.2. */
static bool begins_with(struct slice text, struct slice prefix)
{
    return text.len >= prefix.len && slice_equal_nocase(slice_make(text.at, prefix.len), prefix);
}

static bool take_text(struct slice *rest, const char *text)
{
    struct slice expected = slice_of(text);

    if (!begins_with(*rest, expected))
        return false;
    *rest = slice_skip(*rest, expected.len);
    return true;
}

static bool take_digits(struct slice *rest, size_t count, int *value)
{
    *value = 0;
    if (rest->len < count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (rest->at[i] < '0' || rest->at[i] > '9')
            return false;
        *value = *value * 10 + (rest->at[i] - '0');
    }
    *rest = slice_skip(*rest, count);
    return true;
}

static bool take_month(struct slice *rest, int *month)
{
    for (*month = 1; *month <= 12; ++*month)
        if (take_text(rest, month_names[*month - 1]))
            return true;
    return false;
}

static bool take_time(struct slice *rest, struct civil *civil)
{
    return take_digits(rest, 2, &civil->hour) && take_text(rest, ":") &&
           take_digits(rest, 2, &civil->minute) && take_text(rest, ":") &&
           take_digits(rest, 2, &civil->second);
}

/* "06 Nov 1994 08:49:37 GMT" */
static bool read_fixed(struct slice rest, struct civil *civil)
{
    return take_digits(&rest, 2, &civil->day) && take_text(&rest, " ") &&
           take_month(&rest, &civil->month) && take_text(&rest, " ") &&
           take_digits(&rest, 4, &civil->year) && take_text(&rest, " ") &&
           take_time(&rest, civil) && take_text(&rest, " GMT") && rest.len == 0;
}

/* "06-Nov-94 08:49:37 GMT" */
static bool read_rfc850(struct slice rest, int64_t now_s, struct civil *civil)
{
    struct civil now;
    bool is_read = take_digits(&rest, 2, &civil->day) && take_text(&rest, "-") &&
                   take_month(&rest, &civil->month) && take_text(&rest, "-") &&
                   take_digits(&rest, 2, &civil->year) && take_text(&rest, " ") &&
                   take_time(&rest, civil) && take_text(&rest, " GMT") && rest.len == 0;

    if (!is_read)
        return false;
    civil_from(now_s / DAY_S, &now);
    civil->year += now.year - now.year % 100;
    now.year += 50;
    if (days_from(civil->year, civil->month, civil->day) > days_from(now.year, now.month, now.day))
        civil->year -= 100;
    return true;
}

/* "Nov  6 08:49:37 1994" */
static bool read_asctime(struct slice rest, struct civil *civil)
{
    if (!take_month(&rest, &civil->month) || !take_text(&rest, " "))
        return false;
    if (take_text(&rest, " ")) {
        if (!take_digits(&rest, 1, &civil->day))
            return false;
    } else if (!take_digits(&rest, 2, &civil->day)) {
        return false;
    }
    return take_text(&rest, " ") && take_time(&rest, civil) && take_text(&rest, " ") &&
           take_digits(&rest, 4, &civil->year) && rest.len == 0;
}

/* Behind the day of the week, which is not held against the date. */
static bool read_behind_day(struct slice rest, bool is_long, int64_t now_s, struct civil *civil)
{
    if (is_long)
        return take_text(&rest, ", ") && read_rfc850(rest, now_s, civil);
    if (take_text(&rest, ", "))
        return read_fixed(rest, civil);
    return take_text(&rest, " ") && read_asctime(rest, civil);
}

bool http_date_read(struct slice text, int64_t now_s, int64_t *seconds)
{
    struct civil civil = {0};

    for (int day = 0; day < 7; day++) {
        struct slice name = slice_of(day_names[day]);
        bool is_long = begins_with(text, name);
        size_t length = is_long ? name.len : 3;

        if (!begins_with(text, slice_make(name.at, length)))
            continue;
        if (!read_behind_day(slice_skip(text, length), is_long, now_s, &civil) ||
            !is_in_calendar(&civil))
            return false;
        *seconds = seconds_of(&civil);
        return true;
    }
    return false;
}

/* --- writing -------------------------------------------------------------------------------- */

void http_date_write(int64_t seconds, char text[HTTP_DATE_SIZE])
{
    const int64_t first = days_from(0, 1, 1) * DAY_S, last = days_from(10000, 1, 1) * DAY_S - 1;
    struct civil civil;
    int64_t days;
    int second;

    seconds = seconds < first ? first : seconds > last ? last : seconds;
    days = (seconds >= 0 ? seconds : seconds - (DAY_S - 1)) / DAY_S;
    second = (int)(seconds - days * DAY_S);
    civil_from(days, &civil);
    /* The remainders only tell the compiler what fits. */
    snprintf(text, HTTP_DATE_SIZE, "%.3s, %02u %s %04u %02u:%02u:%02u GMT",
             day_names[(days % 7 + 11) % 7], (unsigned)civil.day % 100,
             month_names[(civil.month - 1) % 12], (unsigned)civil.year % 10000,
             (unsigned)second / 3600 % 100, (unsigned)second / 60 % 60, (unsigned)second % 60);
}
