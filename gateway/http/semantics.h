/* What of a head's meaning is the same in every version of HTTP (RFC 9110). What answers with a
 * text says what is wrong, for the debug log; NULL: nothing is. */
#ifndef HTTP_SEMANTICS_H
#define HTTP_SEMANTICS_H

#include "http/message.h"

enum { HTTP_METHOD_LONGEST = 32 }; /* of bytes */

/* The only field with `id`; NULL without one. False if there are several. */
bool http_fields_get_single(const struct http_fields *fields, enum field_id id,
                            const struct http_field **single);

/* Of a request's field: sees to the underscores in its name, which may become FIELD_LOOKALIKE.
 * False if it has some and they are not allowed. */
bool http_field_take_underscores(struct http_field *field, bool allowed);

/* Sets content_length and has_content_length: digits only, in one field, and no more than fits a
 * signed number. */
const char *http_read_length(struct http_head *head);
/* Not with a zero in front, which is octal to some, and no client needs. */
bool http_length_is_plain(const struct http_fields *fields);

/* Sets path and query from a target that begins with "/", or is "*" for OPTIONS. */
const char *http_read_path(struct http_head *head, struct arena *arena, struct slice target);

/* Both name the same place, the scheme's port being understood where none is. */
bool http_is_same_authority(struct arena *arena, struct slice a, struct slice b,
                            uint16_t default_port);

/* Once version_minor and framing are set: RFC 9110 section 10.1.1, the one expectation there is.
 * What expects nothing, for want of a body or in HTTP/1.0, loses the field: some backends would
 * wait for a body, or answer 100. */
const char *http_read_expectation(struct http_head *head);

/* What body a response has, to a request of that method, and what its head says of it. */
struct http_body_plan {
    enum body_framing framing; /* BODY_NONE, BODY_LENGTH; BODY_CHUNKED: of unknown length */
    bool says_length;          /* Content-Length is */
    uint64_t length;           /* this */
};
struct http_body_plan http_plan_response_body(const struct http_head *head,
                                              enum http_method asked_with);

/* Drops the trailer fields that would change what was said in the head (RFC 9110 section 6.5.1). */
void http_drop_forbidden_trailers(struct http_fields *trailers);

#endif
