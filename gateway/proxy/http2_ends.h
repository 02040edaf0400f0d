/* Why HTTP/2 connections are ended before their time, in the words of metrics and log. */
#ifndef PROXY_HTTP2_ENDS_H
#define PROXY_HTTP2_ENDS_H

#include "base/metric.h"

struct http2_end {
    const char *word;
    enum metric metric;
};

/* The errors of RFC 9113 section 7 that a client can bring about; then "header_timeout": it owed
 * the rest of a head for too long; "over_limit": there was no room for its head; last "other". */
enum { HTTP2_ENDS = 9 };
extern const struct http2_end http2_ends[HTTP2_ENDS];

/* What h2_connection_problem says, in whatever case; "other" if it is none of them. */
const struct http2_end *http2_end_of(const char *problem);

#endif
