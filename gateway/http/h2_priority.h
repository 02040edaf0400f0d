/* How urgent a response is, as the field `priority` says it (RFC 9218 section 4): a dictionary of
 * structured fields (RFC 8941 section 3.2). */
#ifndef HTTP_H2_PRIORITY_H
#define HTTP_H2_PRIORITY_H

#include "http/message.h"

enum { H2_URGENCY_USUAL = 3, H2_URGENCY_LEAST = 7 }; /* 0 is the most */

struct h2_priority {
    uint8_t urgency;
    bool incremental; /* of use bit by bit: takes turns with others that are as urgent */
};

/* Where nothing is said. */
extern const struct h2_priority h2_priority_usual;

/* Sets what a value says and leaves the rest; what it says of other things, or in a way that means
 * nothing here, is passed over. False, and nothing set: it is no dictionary. */
bool h2_priority_read(struct slice value, struct h2_priority *priority);

/* What all `priority` fields say, of which the last word counts. False: there are none that do. */
bool h2_priority_read_fields(const struct http_fields *fields, struct h2_priority *priority);

#endif
