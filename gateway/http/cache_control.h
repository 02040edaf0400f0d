/* Cache-Control, as caches read it: directives of requests and of responses (RFC 9111 section 5.2),
 * with those of RFC 5861 (stale ones), RFC 8246 (immutable) and, for gateways alone, the targeted
 * field CDN-Cache-Control (RFC 9213). Pure: fields in, values out.
 *
 * What is not understood is skipped; what is understood but written wrongly means the most careful
 * thing that it could: a lifetime that is no number is 0, of several the smallest counts. */
#ifndef HTTP_CACHE_CONTROL_H
#define HTTP_CACHE_CONTROL_H

#include "http/message.h"

enum {
    CACHE_SECONDS_NONE = -1,        /* the directive is not there */
    CACHE_SECONDS_MOST = INT32_MAX, /* larger ones count as this: 2^31 - 1 (section 1.2.2) */
};

struct cache_control {
    bool is_there;    /* any of the fields was */
    bool is_targeted; /* read from CDN-Cache-Control: Cache-Control and Expires say nothing */

    bool no_cache; /* whole; with fields alone it is false */
    bool no_store;
    bool no_transform;
    bool is_private; /* whole; with fields alone it is false */
    bool is_public;
    bool must_revalidate, proxy_revalidate;
    bool must_understand;
    bool immutable;
    bool only_if_cached;
    bool any_stale; /* max-stale without a number */
    /* private="…", no-cache="…": names, separated by commas; empty: none. */
    struct slice private_fields, no_cache_fields;

    /* In seconds, or CACHE_SECONDS_NONE. */
    int32_t max_age, s_maxage, max_stale, min_fresh;
    int32_t stale_while_revalidate, stale_if_error;
};

/* Of a request: its Cache-Control, or, only without one, Pragma: no-cache (section 5.4). */
void cache_control_of_request(const struct http_fields *request, struct arena *arena,
                              struct cache_control *control);
/* Of a response: CDN-Cache-Control where it is a dictionary that is not empty (RFC 9213 section
 * 2.1), else Cache-Control. */
void cache_control_of_response(const struct http_fields *response, struct arena *arena,
                               struct cache_control *control);

/* delta-seconds: digits alone, saturating at CACHE_SECONDS_MOST. False for anything else. */
bool cache_control_read_seconds(struct slice text, int32_t *seconds);

#endif
