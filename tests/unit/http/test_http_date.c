/* Dates in fields, read in all three forms and written in one. */
#include "http/http_date.h"

#include <criterion/criterion.h>

enum { NOW = 1767225600 }; /* Thu, 01 Jan 2026 00:00:00 GMT */

Test(http_date, read)
{
    static const struct {
        const char *text;
        int64_t seconds; /* -1: no date */
    } cases[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"sun, 06 nov 1994 08:49:37 gmt", 784111777},
        {"Mon, 06 Nov 1994 08:49:37 GMT", 784111777}, /* the day's name proves nothing */
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Thu Nov 16 08:49:37 2006", 1163666977},
        {"Thu, 29 Feb 2024 23:59:60 GMT", 1709251200},
        {"Friday, 31-Dec-76 23:59:59 GMT", 220924799}, /* 51 years ahead is behind */
        {"Thursday, 31-Dec-75 23:59:59 GMT", 3345062399},
        {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
        {"", -1},
        {"0", -1},
        {"-1", -1},
        {"Sun", -1},
        {"Sun, ", -1},
        {"Sunday", -1},
        {"now", -1},
        {"Sun, 06 Nov 1994 08:49:37", -1},
        {"Sun, 06 Nov 1994 08:49:37 UTC", -1},
        {"Sun, 06 Nov 1994 08:49:37 +0000", -1},
        {"Sun, 06 Nov 1994 08:49:37 GMT ", -1},
        {"Sun, 6 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 Nov 94 08:49:37 GMT", -1},
        {"Sun, 06-Nov-1994 08:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 8:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 24:00:00 GMT", -1},
        {"Sun, 06 Nov 1994 08:60:00 GMT", -1},
        {"Sun, 06 Nov 1994 08:49:61 GMT", -1},
        {"Sun, 00 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 31 Nov 1994 08:49:37 GMT", -1},
        {"Wed, 29 Feb 2023 00:00:00 GMT", -1},
        {"Sun, 06 Nox 1994 08:49:37 GMT", -1},
        {"Xun, 06 Nov 1994 08:49:37 GMT", -1},
        {"Sun Nov 6 08:49:37 1994", -1},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t seconds = -1;
        bool is_date = http_date_read(slice_of(cases[i].text), NOW, &seconds);

        cr_expect_eq(is_date, cases[i].seconds >= 0, "%s", cases[i].text);
        cr_expect_eq(seconds, cases[i].seconds, "%s: %lld", cases[i].text, (long long)seconds);
    }
}

Test(http_date, what_is_written_reads_the_same)
{
    char text[HTTP_DATE_SIZE];
    int64_t seconds;

    http_date_write(784111777, text);
    cr_expect_str_eq(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    http_date_write(-1, text);
    cr_expect_str_eq(text, "Wed, 31 Dec 1969 23:59:59 GMT");
    http_date_write(INT64_MAX, text);
    cr_expect_str_eq(text, "Fri, 31 Dec 9999 23:59:59 GMT");
    http_date_write(INT64_MIN, text);
    cr_expect_str_eq(text, "Sat, 01 Jan 0000 00:00:00 GMT");
    for (int64_t at = 0; at < 253402300799; at += 86400 * 13 + 3671) {
        http_date_write(at, text);
        cr_assert(http_date_read(slice_of(text), at, &seconds), "%s", text);
        cr_assert_eq(seconds, at, "%s", text);
    }
}
