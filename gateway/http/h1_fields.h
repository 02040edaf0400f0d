/* The fields of a head or of trailers, once their lines are complete: the parser's part that asks
 * llhttp, and trusts it with nothing. */
#ifndef HTTP_H1_FIELDS_H
#define HTTP_H1_FIELDS_H

#include "http/h1_parser.h"

/* Makes room for `length` bytes with the lines that the parser has found, and for what is made of
 * them: a peer sizes it. False: no memory. */
bool h1_fields_provide(const struct h1_parser *parser, struct arena *arena, size_t length);

/* Takes `lines`, the last of which is empty, apart. They live on as what the fields point to.
 * REASON_NONE, or why not, with what is wrong in *problem, for the debug log. */
enum http_reason h1_fields_take(const struct h1_parser *parser, struct slice lines,
                                struct arena *arena, struct http_fields *fields,
                                const char **problem);

#endif
