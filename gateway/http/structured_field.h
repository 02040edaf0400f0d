/* Dictionaries of structured fields (RFC 9651 section 3.2), read strictly: what is no dictionary is
 * none at all. Parameters and inner lists are read over. */
#ifndef HTTP_STRUCTURED_FIELD_H
#define HTTP_STRUCTURED_FIELD_H

#include "base/slice.h"

enum structured_kind {
    STRUCTURED_TRUE, /* also without a value */
    STRUCTURED_FALSE,
    STRUCTURED_INTEGER,
    STRUCTURED_TEXT,  /* a token, or a string as it is written, without its quotes */
    STRUCTURED_OTHER, /* decimals, bytes, dates, inner lists … */
};

struct structured_member {
    struct slice key;
    enum structured_kind kind;
    int64_t integer;
    struct slice text;
};

/* The text is read from its front, blanks included. */
struct structured_reader {
    struct slice rest;
    bool has_begun;
    bool is_broken; /* no dictionary: what was read before does not count either */
};

/* The next member; false at the end, or once it is broken. The last of members with one key counts.
 */
bool structured_next_member(struct structured_reader *reader, struct structured_member *member);

#endif
