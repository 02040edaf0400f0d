#include "policy/source.h"

#include "base/file_bytes.h"
#include "base/file_stamp.h"
#include "base/log.h"
#include "base/table.h"
#include "policy/error_pages.h"
#include "policy/jwk_set.h"
#include "policy/users.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* What a kind of source is. */
static const struct {
    source_parse *parse; /* of files */
    char id;             /* in front of the location, for look-ups */
    const char *without; /* what comes of one that never was good */
} kinds[SOURCE_KINDS] = {
    [SOURCE_USERS] = {users_parse, 'u', "requests that ask for it are refused with 503"},
    [SOURCE_KEYS] = {jwk_set_parse, 'k', "requests that ask for it are refused with 503"},
    [SOURCE_PAGE] = {page_parse, 'p', "what is built in stands in for it"},
};

enum { FILE_MOST = 16 * 1024 * 1024 };

struct source {
    struct refcount references; /* the last one goes under the lock of all */
    struct sources *sources;    /* a reference */
    enum source_kind kind;
    bool is_url;
    char *id; /* the kind's letter, then the location */

    pthread_mutex_t lock; /* of `current` */
    struct source_content *current;

    /* The load's, or between loads the committer's. */
    struct source_content *found; /* good, and not committed yet; NULL: nothing */
    struct arena arena;           /* of the complaints */
    struct source_complaint *complaints;
    uint64_t judged;       /* fingerprint of the bytes that they are about; 0: it was not read */
    uint64_t stamp;        /* digest */
    uint64_t looked_at_in; /* the last load that did */
    bool must_read;        /* whatever the stamp says */
    bool is_broken;
    bool is_said_broken; /* in the log */
};

struct sources {
    struct refcount references; /* the owner's, and each source's */
    pthread_mutex_t lock;
    struct table by_id;
    uint64_t loads;  /* the load's */
    bool are_broken; /* the committer's */
};

/* --- contents ----------------------------------------------------------------------------------
 */

void source_content_init(struct source_content *content,
                         void (*free_content)(struct source_content *content))
{
    refcount_init(&content->references);
    content->free_content = free_content;
}

struct source_content *source_content_ref(struct source_content *content)
{
    refcount_take(&content->references);
    return content;
}

void source_content_unref(struct source_content *content)
{
    if (content != NULL && refcount_drop(&content->references))
        content->free_content(content);
}

void source_complain(struct source_complaint **complaints, struct arena *arena, unsigned line,
                     const char *format, ...)
{
    struct source_complaint *complaint = arena_alloc(arena, sizeof(*complaint));
    va_list arguments;

    va_start(arguments, format);
    char *text = memory_print_list(format, arguments);
    va_end(arguments);
    complaint->line = line;
    complaint->text = arena_copy(arena, slice_of(text));
    free(text);
    while (*complaints != NULL)
        complaints = &(*complaints)->next;
    *complaints = complaint;
}

/* Takes the reference. */
static void swap(struct source *source, struct source_content *content)
{
    pthread_mutex_lock(&source->lock);
    struct source_content *old = source->current;
    source->current = content;
    pthread_mutex_unlock(&source->lock);
    source_content_unref(old);
}

struct source_content *source_take(struct source *source)
{
    struct source_content *content;

    pthread_mutex_lock(&source->lock);
    content = source->current;
    if (content != NULL)
        source_content_ref(content);
    pthread_mutex_unlock(&source->lock);
    return content;
}

void source_put(struct source *source, struct source_content *content)
{
    assert(source->is_url);
    swap(source, content);
}

/* --- looking -----------------------------------------------------------------------------------
 */

/* What the next commit leaves in force. `current` of a file changes in commits alone, which no load
 * is under way in. */
static struct source_content *newest(const struct source *source)
{
    return source->found != NULL ? source->found : source->current;
}

static void forget_complaints(struct source *source)
{
    arena_clear(&source->arena);
    arena_init_small(&source->arena);
    source->complaints = NULL;
    source->judged = 0;
}

static void note_unreadable(struct source *source, const struct error *error)
{
    struct slice text = slice_of(error->message), path = slice_of(source_location(source));

    if (slice_starts_with(text, path) && text.len > path.len)
        text = slice_skip(text, path.len + 1); /* it is said in front of it */
    forget_complaints(source);
    source_complain(&source->complaints, &source->arena, 0, "%.*s", (int)text.len, text.at);
    source->is_broken = true;
    source->must_read = true; /* that may pass without leaving a stamp */
}

/* Nobody knows of a new source yet: what it has may be had at once. Others wait for the commit. */
static void keep_found(struct source *source, struct source_content *content)
{
    bool is_new = source->stamp == 0;

    source_content_unref(source->found);
    source->found = NULL;
    if (source->current != NULL && source->current->fingerprint == content->fingerprint)
        source_content_unref(content);
    else if (is_new)
        swap(source, content);
    else
        source->found = content;
}

static void judge(struct source *source, struct slice bytes)
{
    uint64_t fingerprint = hash_bytes(bytes) | 1;

    if (source->judged == fingerprint)
        return;
    forget_complaints(source);
    source->judged = fingerprint;
    struct source_content *content =
        kinds[source->kind].parse(bytes, &source->arena, &source->complaints);
    source->is_broken = content == NULL;
    if (content == NULL)
        return;
    content->fingerprint = fingerprint;
    keep_found(source, content);
}

static void read_file(struct source *source)
{
    struct error error = {.message = ""};
    struct slice bytes;

    if (!file_bytes_read(source_location(source), FILE_MOST, &bytes, NULL, &error)) {
        note_unreadable(source, &error);
        return;
    }
    judge(source, bytes);
    file_bytes_free(bytes);
}

/* The stamp is taken first: what changes while it is read has another the next time. */
void source_look(struct source *source)
{
    if (source->is_url || source->looked_at_in == source->sources->loads)
        return;
    struct file_stamp stamp = file_stamp_take(source_location(source));
    uint64_t digest = hash_bytes(slice_make((const char *)&stamp, sizeof(stamp))) | 1;
    bool has_changed = source->must_read || digest != source->stamp;

    source->looked_at_in = source->sources->loads;
    source->must_read = file_stamp_is_fresh(&stamp);
    if (has_changed)
        read_file(source);
    source->stamp = digest;
}

uint64_t source_fingerprint(const struct source *source)
{
    const struct source_content *content = source->is_url ? NULL : newest(source);

    return content != NULL ? content->fingerprint : 0;
}

const char *source_summary(const struct source *source)
{
    const struct source_content *content = source->is_url ? NULL : newest(source);

    return content != NULL ? content->summary : "";
}

const struct source_complaint *source_complaints(const struct source *source)
{
    return source->complaints;
}

bool source_is_broken(const struct source *source)
{
    return source->is_broken;
}

bool source_has_stand_in(const struct source *source)
{
    return newest(source) != NULL;
}

const char *source_remark(const struct source *source)
{
    return source_has_stand_in(source) ? "what was read before is used in its place"
                                       : kinds[source->kind].without;
}

/* --- loads -------------------------------------------------------------------------------------
 */

void sources_begin(struct sources *sources)
{
    sources->loads++;
}

static void tell(struct source *source)
{
    const struct source_complaint *why = source->complaints;

    if (source->is_broken == source->is_said_broken)
        return;
    source->is_said_broken = source->is_broken;
    if (source->is_broken)
        log_event(LOG_WARN, "source_broken", "%s: %.*s; %s", source_location(source),
                  why != NULL ? (int)why->text.len : 0, why != NULL ? why->text.at : "",
                  source_remark(source));
    else
        log_event(LOG_INFO, "source_mended", "%s can be used again", source_location(source));
}

void sources_commit(struct sources *sources)
{
    struct table_entry *entry;

    sources->are_broken = false;
    pthread_mutex_lock(&sources->lock);
    for (size_t at = 0; (entry = table_next(&sources->by_id, &at)) != NULL;) {
        struct source *source = entry->value;
        if (source->is_url || source->looked_at_in != sources->loads)
            continue;
        if (source->found != NULL)
            swap(source, source->found);
        source->found = NULL;
        sources->are_broken |= source->is_broken;
        tell(source);
    }
    pthread_mutex_unlock(&sources->lock);
}

bool sources_are_broken(const struct sources *sources)
{
    return sources->are_broken;
}

struct source **sources_list_urls(struct sources *sources, size_t *count)
{
    struct table_entry *entry;

    *count = 0;
    pthread_mutex_lock(&sources->lock);
    struct source **list = memory_array(sources->by_id.count + 1, sizeof(struct source *));
    for (size_t at = 0; (entry = table_next(&sources->by_id, &at)) != NULL;) {
        struct source *source = entry->value;
        if (source->is_url)
            list[(*count)++] = source_ref(source);
    }
    pthread_mutex_unlock(&sources->lock);
    return list;
}

/* --- the sources -------------------------------------------------------------------------------
 */

struct sources *sources_new(void)
{
    struct sources *sources = memory_new(sizeof(*sources));

    refcount_init(&sources->references);
    pthread_mutex_init(&sources->lock, NULL);
    sources->loads = 1;
    return sources;
}

void sources_free(struct sources *sources)
{
    if (sources == NULL || !refcount_drop(&sources->references))
        return;
    table_clear(&sources->by_id);
    pthread_mutex_destroy(&sources->lock);
    free(sources);
}

static bool leads_elsewhere(const char *location)
{
    return strncmp(location, "http://", 7) == 0 || strncmp(location, "https://", 8) == 0;
}

static struct source *source_new(struct sources *sources, enum source_kind kind,
                                 const char *location)
{
    struct source *source = memory_new(sizeof(*source));
    size_t length = strlen(location);

    refcount_init(&source->references);
    refcount_take(&sources->references);
    pthread_mutex_init(&source->lock, NULL);
    arena_init_small(&source->arena);
    source->sources = sources;
    source->kind = kind;
    source->is_url = leads_elsewhere(location);
    source->id = memory_new(length + 2);
    source->id[0] = kinds[kind].id;
    memcpy(source->id + 1, location, length);
    return source;
}

static void source_free(struct source *source)
{
    source_content_unref(source->current);
    source_content_unref(source->found);
    arena_clear(&source->arena);
    pthread_mutex_destroy(&source->lock);
    sources_free(source->sources);
    free(source->id);
    free(source);
}

struct source *sources_get(struct sources *sources, enum source_kind kind, const char *location)
{
    struct source *wanted = source_new(sources, kind, location), *source;

    pthread_mutex_lock(&sources->lock);
    source = table_get(&sources->by_id, source_id(wanted));
    if (source != NULL)
        refcount_take(&source->references);
    else
        table_put(&sources->by_id, source_id(wanted), wanted);
    pthread_mutex_unlock(&sources->lock);
    if (source != NULL)
        source_free(wanted);
    else
        source = wanted;
    source_look(source);
    return source;
}

struct source *source_ref(struct source *source)
{
    refcount_take(&source->references);
    return source;
}

/* Nobody may find it between its last reference and its end. */
void source_unref(struct source *source)
{
    if (source == NULL)
        return;
    struct sources *sources = source->sources;
    pthread_mutex_lock(&sources->lock);
    bool is_last = refcount_drop(&source->references);
    if (is_last)
        table_remove(&sources->by_id, source_id(source));
    pthread_mutex_unlock(&sources->lock);
    if (is_last)
        source_free(source);
}

enum source_kind source_kind(const struct source *source)
{
    return source->kind;
}

const char *source_location(const struct source *source)
{
    return source->id + 1;
}

bool source_is_url(const struct source *source)
{
    return source->is_url;
}

struct slice source_id(const struct source *source)
{
    return slice_of(source->id);
}
