/* What a complete HTTP/1 head means: its target, host, framing and connection (RFC 9112). */
#ifndef HTTP_H1_SEMANTICS_H
#define HTTP_H1_SEMANTICS_H

#include "http/message.h"

/* Both take a head with method_text and target, or status, and version_minor and fields set, and
 * fill in the rest. NULL, or what is wrong with it, for the debug log. */
const char *h1_understand_request(struct http_head *head, struct arena *arena);
const char *h1_understand_response(struct http_head *head, struct arena *arena,
                                   enum http_method asked_with);

#endif
