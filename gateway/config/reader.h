/* Typed access to the values of a route file: each mistake becomes a problem with its place. */
#ifndef CONFIG_READER_H
#define CONFIG_READER_H

#include "base/json.h"
#include "config/problems.h"
#include "net/network.h"

struct reader {
    const char *file;   /* as named by the operator */
    const char *folder; /* absolute; where relative paths start */
    struct problems *problems;
    struct arena *arena;          /* what is read lives there */
    struct policy_pile *policies; /* references to all that were made: config/policies.h */
    struct sources *sources;      /* where policies get what lies outside: policy/source.h */
    struct cache_store *cache;    /* where they keep answers; NULL: nowhere */
};

/* --- problems -----------------------------------------------------------------------------------
 */

enum mistake_place { AT_VALUE, AT_KEY };

void reader_error(struct reader *reader, const struct json_node *node, enum mistake_place place,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));
/* `suggestion` may be NULL. */
void reader_error_suggest(struct reader *reader, const struct json_node *node,
                          enum mistake_place place, const char *suggestion, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
void reader_warning(struct reader *reader, const struct json_node *node, enum mistake_place place,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Where the node stands; its path lives in the arena. */
struct text_place reader_place(struct reader *reader, const struct json_node *node,
                               enum mistake_place place);

/* "30d", "10s", "500ms"; false for anything else. */
bool reader_parse_duration(struct slice text, uint64_t *ms);

/* --- values: false when there is a problem, which has been added --------------------------------
 */

/* "10s", "500ms", 5m, 1h, 7d, or 0. */
bool reader_duration(struct reader *reader, const struct json_node *node, uint64_t *ms);
/* "64KiB", "2GiB", 1024, or 0; at most `most` bytes. */
bool reader_size(struct reader *reader, const struct json_node *node, uint64_t most,
                 uint64_t *bytes);
/* "1KiB/s", or 0; at most `most` bytes a second. */
bool reader_rate(struct reader *reader, const struct json_node *node, uint64_t most,
                 uint64_t *bytes_a_second);
bool reader_count(struct reader *reader, const struct json_node *node, uint64_t least,
                  uint64_t most, uint64_t *count);
/* "20%", from 0% to 100%. */
bool reader_percent(struct reader *reader, const struct json_node *node, unsigned *percent);
bool reader_bool(struct reader *reader, const struct json_node *node, bool *value);
/* A copy in the arena, terminated. `what` names what is expected: "an address". */
bool reader_text(struct reader *reader, const struct json_node *node, const char *what,
                 struct slice *text);
/* A file or folder's path, made absolute and tidy. */
bool reader_path(struct reader *reader, const struct json_node *node, const char **path);
/* One of `words`; *index says which. */
bool reader_word(struct reader *reader, const struct json_node *node, const char *const *words,
                 size_t count, unsigned *index);
/* A list of CIDR blocks and addresses, in the arena; those that are none are problems. */
void reader_networks(struct reader *reader, const struct json_node *node, struct network **networks,
                     unsigned *count);
bool reader_is_list(struct reader *reader, const struct json_node *node, const char *what);
bool reader_is_object(struct reader *reader, const struct json_node *node);
/* The node's text when it is a string, expanded; empty otherwise. Borrowed from the document. */
struct slice reader_node_text(const struct json_node *node);

/* --- objects with known keys --------------------------------------------------------------------
 */

/* Where a setting may be written, as bits. */
enum place {
    IN_TOP = 1,
    IN_DEFAULTS = 2,
    IN_BACKEND = 4,
    IN_HOST = 8,
    IN_PATH = 16,
    IN_ROUTE = IN_HOST | IN_PATH,
    IN_ANY = IN_DEFAULTS | IN_BACKEND | IN_ROUTE,
};

struct rule {
    const char *key;
    unsigned places; /* 0: this table serves one place alone */
    /* NULL: of a later version, refused. */
    void (*read)(struct reader *reader, const struct json_node *node, void *into);
};

struct rules {
    const struct rule *list;
    size_t count;
    const struct rules *also; /* or NULL */
};

/* Reads every member by its rule, in the order of the file; unknown, misplaced and not yet
 * supported keys are problems. False, with a problem, if the node is no object. */
bool reader_object(struct reader *reader, const struct json_node *node, const struct rules *rules,
                   unsigned here, void *into);

/* Reports that `key` is missing, unless a member looks like it: that one was reported already.
 * `what` says what belongs there. */
void reader_missing(struct reader *reader, const struct json_node *object, const char *key,
                    const char *what);
/* Whether some member's key looks like `key` mistyped. */
bool reader_is_mistyped(const struct json_node *object, const char *key);

/* A rule for what is read later, out of order, by json_member. */
void reader_later(struct reader *reader, const struct json_node *node, void *into);

/* Warns when `path` is a mount point by itself, as of one file mounted into a container: it stays
 * the same file when its name gets a new one. In other words when that has happened already. */
void problems_warn_if_pinned(struct problems *problems, const char *file, struct text_place place,
                             const char *path);

/* --- before anything is read --------------------------------------------------------------------
 */

/* Expands ${NAME} in every string value, in place, and reports duplicate keys. */
void reader_prepare(struct reader *reader, struct json_document *document);

#endif
