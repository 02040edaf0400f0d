/* Queries of URLs: parameters, escaped where they have to be. */
#ifndef BASE_QUERY_H
#define BASE_QUERY_H

#include "base/arena.h"
#include "base/buffer.h"

/* Appends "?name=value", or "&name=value" where something stands already. */
void query_append(struct buffer *query, const char *name, const char *value);

struct query_parameter {
    struct slice name, value; /* as they stand in the query */
    bool has_value;           /* there is a "=" */
};
/* Takes the next one off; empty ones are passed over. Begin with the query, without its "?".
 * False: there are no more. */
bool query_next(struct slice *query, struct query_parameter *parameter);
/* Terminated, in the arena, a "+" is a space. NULL: a bad escape, or a zero byte. */
char *query_decode(struct arena *arena, struct slice value);

#endif
