/* Dates in fields (RFC 9110 section 5.6.7): all three forms are read, the first is written. */
#ifndef HTTP_HTTP_DATE_H
#define HTTP_HTTP_DATE_H

#include "base/slice.h"

enum { HTTP_DATE_LENGTH = 29, HTTP_DATE_SIZE = HTTP_DATE_LENGTH + 1 };

/* In seconds since 1970. A year of two digits is the one that is at most 50 years after `now_s`.
 * False for what is no date. */
bool http_date_read(struct slice text, int64_t now_s, int64_t *seconds);

/* "Sun, 06 Nov 1994 08:49:37 GMT", terminated; years 0 to 9999, else the nearest of those. */
void http_date_write(int64_t seconds, char text[HTTP_DATE_SIZE]);

#endif
