/* Cookies in heads (RFC 6265). A pair ends at its ";", which quotes do not protect; blanks around
 * names and values do not count; case does. */
#ifndef HTTP_COOKIE_H
#define HTTP_COOKIE_H

#include "http/message.h"

/* The value of a request's first cookie of that name, without quotes around it. Empty: there is
 * none, or nothing in it. Borrowed. */
struct slice cookie_find(const struct http_fields *request, struct slice name);

/* Takes every cookie of that name out of a request. Others stay as they were, byte for byte; a
 * Cookie field without any is dropped. What had to change is in `arena`. */
void cookie_remove(struct http_fields *request, struct arena *arena, struct slice name);

/* Drops the Set-Cookie fields of a response that set one of that name. */
void cookie_remove_set(struct http_fields *response, struct slice name);

#endif
