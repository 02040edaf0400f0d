/* JSON that knows where it stands: jansson's values, each with its line, column and path.
 *
 * jansson keeps no positions and hides duplicate keys, so a scanner of ours reads the text first:
 * it builds a tree of places, refuses what is not strict JSON in a plain sentence, and leaves out
 * comments (members whose key starts with "//"). */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/arena.h"
#include "base/buffer.h"

#include <jansson.h>

struct json_node {
    json_t *value;                  /* borrowed from the document */
    struct slice key;               /* of a member: without escapes, terminated; else at is NULL */
    unsigned index;                 /* of an element, or a member: its number from 0 */
    unsigned line, column;          /* of the value, from 1; columns count characters */
    unsigned key_line, key_column;  /* of a member's key */
    unsigned repeats_line;          /* the line of an earlier member with that key; else 0 */
    bool is_repeated;               /* a later member has that key */
    bool is_wrong;                  /* the reader's: a mistake in it was reported */
    struct slice text;              /* of the value, in the text that was read */
    const struct json_node *parent; /* NULL: the document's root */
    struct json_node *first, *next; /* children in the order of the text */
};

struct json_document {
    struct arena arena;
    json_t *value;  /* owned */
    json_t *hidden; /* owned: a list of what repeated members would hide */
    struct json_node *root;
};

struct json_mistake {
    unsigned line, column;
    char message[256];
};

enum {
    JSON_DEPTH_MAX = 64, /* what is nested deeper is a mistake */
};

/* False: the text is not JSON (RFC 8259), says *mistake; nothing is left to clear. The text may go.
 */
bool json_document_read(struct json_document *document, struct slice text,
                        struct json_mistake *mistake);
void json_document_clear(struct json_document *document);

/* The (last) member with that key, or NULL. */
struct json_node *json_member(const struct json_node *object, const char *key);

/* Appends routes["api.example.com"].paths["/v1/"].to, servers[0]; nothing for the root. */
void json_append_path(struct buffer *out, const struct json_node *node);

/* The same for a member of one at the top: routes["a.test"]. */
void json_append_member_path(struct buffer *out, const char *top, struct slice key);

/* Of what the value means: the order of keys makes no difference. */
uint64_t json_fingerprint(const json_t *value);

/* "a string", "a number", "an object" … */
const char *json_kind_name(const json_t *value);

#endif
