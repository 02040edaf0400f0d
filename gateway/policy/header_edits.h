/* What a route does to the fields of a message: it removes, sets and adds some. Immutable. */
#ifndef POLICY_HEADER_EDITS_H
#define POLICY_HEADER_EDITS_H

#include "http/message.h"
#include "policy/template.h"

/* In the order in which they are done. */
enum header_edit_kind {
    HEADER_REMOVE, /* every field of that name, in any case and with "_" for "-" */
    HEADER_SET,    /* the same, and one with this value instead */
    HEADER_ADD,    /* another one */
};

struct header_edit {
    enum header_edit_kind kind;
    enum field_id id;
    uint8_t from;          /* where it was written: enum setting_place */
    struct slice name;     /* as written */
    struct template value; /* SET, ADD */
};

/* By kind, then by name without case; values of one name as they were written. */
struct header_edits {
    struct header_edit *list;
    unsigned count;
};

/* A value that comes out empty leaves its field out. What is new in `fields` is borrowed from
 * edits and values, or in the arena. */
void header_edits_apply(const struct header_edits *edits,
                        const struct slice values[PLACEHOLDER_COUNT], struct arena *arena,
                        struct http_fields *fields);
/* Drops what is removed or set, and puts nothing in its place: for trailers. */
void header_edits_drop(const struct header_edits *edits, struct http_fields *fields);
/* Drops every field of that name, as HEADER_REMOVE does. */
void header_fields_drop(struct http_fields *fields, struct slice name);
/* By that order; 0: of one kind and name. */
int header_edit_compare(const struct header_edit *a, const struct header_edit *b);
/* Whether they do the same, wherever they were written. */
bool header_edits_equal(const struct header_edits *a, const struct header_edits *b);
const char *header_edit_word(enum header_edit_kind kind); /* "remove" … */

#endif
