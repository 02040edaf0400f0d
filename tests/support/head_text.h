/* Heads out of short texts, for tables of tests about what they mean. */
#ifndef SUPPORT_HEAD_TEXT_H
#define SUPPORT_HEAD_TEXT_H

#include "http/message.h"

enum { HEAD_TEXT_NOW = 1767225600 }; /* Thu, 01 Jan 2026 00:00:00 GMT */

/* "Name: value" lines with "\n" between them; a value "@-60" is the date of a minute before now. */
struct http_fields fields_from_text(struct arena *arena, const char *text);

/* "GET https://host:port/path?query" and lines of fields. */
struct http_head request_from_text(struct arena *arena, const char *text);

/* "200" and lines of fields. */
struct http_head response_from_text(struct arena *arena, const char *text);

/* As lines of a text. */
const char *text_from_fields(struct arena *arena, const struct http_fields *fields);

#endif
