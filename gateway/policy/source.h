/* What policies take from outside the route file: files of users, of keys, of pages; keys behind a
 * URL. Its content changes without the route file, and is swapped whole, like a certificate: the
 * last good one stays until the next good one is there.
 *
 * A source is the process's, one for each kind and location, whatever generation names it; it lives
 * as long as some policy does. Contents are immutable and counted: workers take them.
 *
 * Files are looked at by loads, one at a time: sources_begin, source_look for each (sources_get
 * does it, too), and, once the load is accepted, sources_commit; until then nothing changes for
 * those who take. What URLs lead to is put there whenever it comes. */
#ifndef POLICY_SOURCE_H
#define POLICY_SOURCE_H

#include "base/arena.h"
#include "base/refcount.h"

enum source_kind { SOURCE_USERS, SOURCE_KEYS, SOURCE_PAGE, SOURCE_KINDS };

enum { SOURCE_SUMMARY_SIZE = 24 };

/* Embedded first in what a kind makes of the bytes. */
struct source_content {
    struct refcount references;
    char summary[SOURCE_SUMMARY_SIZE]; /* what is in it, in words: "3 users"; empty: none */
    uint64_t fingerprint;              /* of the bytes; set by the source */
    void (*free_content)(struct source_content *content);
};
/* With one reference. */
void source_content_init(struct source_content *content,
                         void (*free_content)(struct source_content *content));
struct source_content *source_content_ref(struct source_content *content);
void source_content_unref(struct source_content *content); /* NULL: nothing */

/* What is wrong with a line (0: with all of it), and what to do; it is left out, the rest counts.
 */
struct source_complaint {
    unsigned line;
    struct slice text; /* in the arena */
    struct source_complaint *next;
};
/* Adds one behind the others; `complaints` is where the list begins, or the `next` of any of them.
 */
void source_complain(struct source_complaint **complaints, struct arena *arena, unsigned line,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));
/* One of these for each kind: makes a content of bytes, which are wiped afterwards. NULL: nothing
 * in it can be used, and the complaints say why. */
typedef struct source_content *source_parse(struct slice bytes, struct arena *arena,
                                            struct source_complaint **complaints);

struct source;  /* counted */
struct sources; /* the process's */

struct sources *sources_new(void);
void sources_free(struct sources *sources); /* sources that are left do without it */

/* The one of that kind and location (an absolute path, or a URL), with a reference. A file is
 * looked at: a new one has its content at once. A load's thread, or where there are no loads. */
struct source *sources_get(struct sources *sources, enum source_kind kind, const char *location);
struct source *source_ref(struct source *source);
void source_unref(struct source *source); /* any thread; NULL: nothing */
enum source_kind source_kind(const struct source *source);
const char *source_location(const struct source *source);
bool source_is_url(const struct source *source);
/* Kind and location, for look-ups; as long as the source. */
struct slice source_id(const struct source *source);

/* The content as it is now, with a reference; NULL: there never was a good one. Any thread, without
 * blocking for longer than a swap of a pointer. */
struct source_content *source_take(struct source *source);

/* --- loads --------------------------------------------------------------------------------------
 */

/* A load begins: from now on each file counts as not looked at yet. */
void sources_begin(struct sources *sources);
/* Reads the file again if it (or what stands in its name) may have changed since; once a load. */
void source_look(struct source *source);
/* The load of the last sources_begin is accepted: what it found in files is what is taken from now
 * on. The log is told of those that broke, and of those that are whole again. Not while a load is
 * under way. */
void sources_commit(struct sources *sources);

/* Of the file as the load found it. 0: a URL, or there never was a good one. */
uint64_t source_fingerprint(const struct source *source);
const char *source_summary(const struct source *source);
/* What is wrong with the file as the load found it. */
const struct source_complaint *source_complaints(const struct source *source);
/* It cannot be used as the load found it: what was good before stays, if anything was. */
bool source_is_broken(const struct source *source);
bool source_has_stand_in(const struct source *source);
/* What comes of that: "…; until it can be used, …". */
const char *source_remark(const struct source *source);
/* Some file of the last load that was accepted is broken: one may look again. */
bool sources_are_broken(const struct sources *sources);

/* --- URLs ---------------------------------------------------------------------------------------
 */

/* Any thread; takes the reference. At once. */
void source_put(struct source *source, struct source_content *content);
/* All of URLs that there are, a reference each; the caller frees the list, too. */
struct source **sources_list_urls(struct sources *sources, size_t *count);

#endif
