/* What the files of caching.h share: fields by their names, which the parsers do not mark. */
#ifndef HTTP_CACHING_INTERNAL_H
#define HTTP_CACHING_INTERNAL_H

#include "http/caching.h"

static inline bool caching_is_named(struct slice name, const char *text, size_t length)
{
    return name.len == length && slice_equal_nocase(name, slice_make(text, length));
}

/* `text` is a literal. */
#define IS_NAMED(slice, text) caching_is_named(slice, text, sizeof(text) - 1)

enum { CACHING_NUMBER_MOST = 11 }; /* characters of an int32_t */

/* For what is written into every answer: printf's work is a good part of a small one's. Both return
 * where it goes on. */
static inline char *caching_append(char *at, struct slice text)
{
    if (text.len > 0)
        memcpy(at, text.at, text.len);
    return at + text.len;
}

char *caching_append_number(char *at, int32_t number);

/* The only field with that name: NULL without one, and of several. */
const struct http_field *caching_single(const struct http_fields *fields, const char *name);
/* The date in the only field with that name; false for none, several, and what is no date. */
bool caching_date(const struct http_fields *fields, const char *name, int64_t now_s,
                  int64_t *seconds);

/* An entity tag (RFC 9110 section 8.8.3) as it is written. */
struct caching_etag {
    bool is_weak;
    struct slice opaque; /* with its quotes; empty: none */
};
/* Of the whole text; false for what is none. */
bool caching_read_etag(struct slice text, struct caching_etag *etag);
/* That of the only ETag field; false without. */
bool caching_etag_of(const struct http_fields *fields, struct caching_etag *etag);

/* The life of what is kept with these fields under that status (section 4.2). */
void caching_read_life(const struct http_fields *fields, int status,
                       const struct cache_control *control, const struct caching_rules *rules,
                       struct caching_times times, struct caching_life *life);

#endif
