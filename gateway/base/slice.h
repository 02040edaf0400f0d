/* A borrowed run of bytes: pointer and length, never terminated, never owned. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *at;
    size_t len;
};

static inline struct slice slice_make(const char *at, size_t len)
{
    return (struct slice){.at = at, .len = len};
}

/* The bytes of a terminated string, without its terminator. */
static inline struct slice slice_of(const char *text)
{
    return slice_make(text, strlen(text));
}

static inline bool slice_is_empty(struct slice s)
{
    return s.len == 0;
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* What is left of `s` after its first `n` bytes; n <= s.len. */
static inline struct slice slice_skip(struct slice s, size_t n)
{
    return slice_make(n == 0 ? s.at : s.at + n, s.len - n); /* which may be NULL */
}

/* ASCII only; other bytes compare as they are. */
bool slice_equal_nocase(struct slice a, struct slice b);
bool slice_starts_with(struct slice s, struct slice prefix);
bool slice_ends_with(struct slice s, struct slice suffix);

/* Index of the first `c`, or -1. */
ptrdiff_t slice_find(struct slice s, char c);
ptrdiff_t slice_find_last(struct slice s, char c);

/* Without leading and trailing spaces and tabs (OWS of RFC 9110 section 5.6.3). */
struct slice slice_trim(struct slice s);

/* Takes the next element of a comma-separated list off the front of `list`, trimmed, empty ones
 * skipped (RFC 9110 section 5.6.1). False when there is none left. */
bool slice_next_in_list(struct slice *list, struct slice *element);

/* Decimal digits only, no sign, no space. False if empty, if another byte occurs or on overflow. */
bool slice_parse_u64(struct slice s, uint64_t *value);

/* Copies at most size-1 bytes and terminates. */
void slice_copy_text(struct slice s, char *to, size_t size);

/* A heap copy, terminated; the caller frees it. */
char *slice_duplicate(struct slice s);

#endif
