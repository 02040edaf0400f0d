/* One HTTP/1 message as it came off a wire: the raw head, its parts, the body by its framing, the
 * trailers. */
#ifndef E2E_HTTP_MESSAGE_H
#define E2E_HTTP_MESSAGE_H

#include "wire.h"

#include <stdint.h>

struct field {
    char *name;
    char *value;
};

struct fields {
    struct field *list;
    int count;
};

enum framing { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE };

struct message {
    char *head; /* raw, with the empty line, NUL-terminated */
    char *start_line;
    char *method, *target; /* of a request */
    int status;            /* of a response */
    int minor;             /* HTTP/1.minor */
    struct fields fields;
    struct fields trailers;
    enum framing framing;
    uint64_t length;     /* Content-Length, when that is the framing */
    char *body;          /* its first body_stored bytes, NUL-terminated */
    size_t body_stored;  /* at most MESSAGE_STORED */
    uint64_t body_bytes; /* all of it */
    bool body_is_pattern;
    bool is_complete;  /* the body ended as its framing says */
    enum wire_end end; /* why reading stopped, when it is not complete */
    int connection;    /* of a request at an origin: which connection, from 0 */
    int place;         /* and which request on it, from 0 */
    char told[128];    /* the PROXY protocol header that this connection began with, in words
                          (proxy_header.h); empty: none */
};

#define MESSAGE_STORED ((size_t)1 << 20)

/* One that lives until the test ends; and one that its caller frees. */
struct message *message_new(void);
struct message *message_make(void);
void message_free(void *message);

/* Reads up to the empty line and takes it apart; false when the wire ended first (end says how) or
 * it is no HTTP. */
bool message_read_head(struct wire *wire, struct message *message, bool is_request);
/* Reads the body by its framing; method is what a response answers, NULL for a request's body. */
bool message_read_body(struct wire *wire, struct message *message, const char *method);

/* For other readers than those two: one field more, copied; some bytes more of the body. */
void fields_add(struct fields *fields, const char *name, size_t name_length, const char *value,
                size_t value_length);
void message_keep_body(struct message *message, const char *bytes, size_t length);

/* Takes a line without its end apart. */
void fields_add_line(struct fields *fields, const char *line, size_t length);
void fields_clear(struct fields *fields);
/* A field's first value, NULL when absent; names without regard to case. */
const char *field_value(const struct fields *fields, const char *name);
int field_count(const struct fields *fields, const char *name);
#define message_field(message, name)   field_value(&(message)->fields, name)
#define message_trailer(message, name) field_value(&(message)->trailers, name)

#endif
