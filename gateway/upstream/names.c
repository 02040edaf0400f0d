#include "upstream/names.h"

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/table.h"

#include <stdlib.h>

#define SRV_PREFIX "srv:"

struct names {
    struct loop *loop;
    struct resolver *resolver;
    pthread_mutex_t *lock;
    void (*changed)(void *user);
    struct table by_name; /* of struct name_watch; the lock's */
    unsigned answer_count;
};

struct name_user {
    struct list_node place;
    void *user;
};

struct name_watch {
    struct names *names;
    char *name;            /* with the "srv:" before it */
    bool is_srv;           /* there are targets, else addresses */
    struct list users;     /* struct name_user */
    struct lookup *lookup; /* NULL: none is out */
    struct task task;
    struct deadline due; /* of the next look-up */
    uint64_t retry_ms;   /* between failures; 0: the last one went well */

    /* the lock's */
    enum addresses_known known;
    void *answer; /* struct address or struct srv_target; on the heap */
    int count;
};

struct names *names_new(struct loop *loop, struct resolver *resolver, pthread_mutex_t *lock,
                        void (*changed)(void *user))
{
    struct names *names = memory_new(sizeof(*names));

    *names = (struct names){.loop = loop, .resolver = resolver, .lock = lock, .changed = changed};
    return names;
}

void names_free(struct names *names)
{
    assert(names->by_name.count == 0);
    table_clear(&names->by_name);
    free(names);
}

/* --- answers ------------------------------------------------------------------------------ */

static size_t item_bytes(const struct name_watch *watch)
{
    return watch->is_srv ? sizeof(struct srv_target) : sizeof(struct address);
}

static bool is_same_item(const struct name_watch *watch, const void *a, const void *b)
{
    const struct srv_target *one = a, *other = b;

    if (!watch->is_srv)
        return address_equal(a, b);
    return strcmp(one->name, other->name) == 0 && one->port == other->port &&
           one->priority == other->priority && one->weight == other->weight;
}

static bool has_same(const struct name_watch *watch, const char *items, int count)
{
    if (watch->known != ADDRESSES_KNOWN || watch->count != count)
        return false;
    for (size_t i = 0; i < (size_t)count; i++) {
        const char *mine = (const char *)watch->answer + i * item_bytes(watch);
        if (!is_same_item(watch, mine, items + i * item_bytes(watch)))
            return false;
    }
    return true;
}

static void tell(struct name_watch *watch)
{
    list_each (&watch->users, node)
        watch->names->changed(container_of(node, struct name_user, place)->user);
}

static void keep(struct name_watch *watch, const void *items, int count)
{
    void *copy = memory_array((size_t)count, item_bytes(watch)), *before = watch->answer;

    memcpy(copy, items, item_bytes(watch) * (size_t)count);
    pthread_mutex_lock(watch->names->lock);
    watch->answer = copy;
    watch->count = count;
    watch->known = ADDRESSES_KNOWN;
    pthread_mutex_unlock(watch->names->lock);
    free(before);
    tell(watch);
}

/* Said once for a failure that lasts; what was known stays in use. */
static uint64_t note_failure(struct name_watch *watch, const char *reason)
{
    bool is_known = watch->known == ADDRESSES_KNOWN;

    if (watch->retry_ms == 0)
        log_event(LOG_WARN, "name_unresolved", "%s: %s%s", watch->name, reason,
                  is_known ? "; its last addresses stay in use" : "");
    watch->retry_ms = watch->retry_ms == 0 ? NAME_RETRY_LEAST_MS : 2 * watch->retry_ms;
    if (watch->retry_ms > NAME_RETRY_MOST_MS)
        watch->retry_ms = NAME_RETRY_MOST_MS;
    if (watch->known == ADDRESSES_AWAITED) {
        pthread_mutex_lock(watch->names->lock);
        watch->known = ADDRESSES_MISSING;
        pthread_mutex_unlock(watch->names->lock);
        tell(watch);
    }
    return watch->retry_ms;
}

uint64_t names_ttl_ms(uint32_t ttl_s)
{
    uint64_t ttl_ms = ttl_s == LOOKUP_TTL_NONE ? NAME_UNAGED_MS : (uint64_t)ttl_s * 1000;

    if (ttl_ms < NAME_TTL_LEAST_MS)
        return NAME_TTL_LEAST_MS;
    return ttl_ms < NAME_TTL_MOST_MS ? ttl_ms : NAME_TTL_MOST_MS;
}

/* How long it is good. */
static uint64_t note_success(struct name_watch *watch, const struct lookup_answer *answer)
{
    const void *items =
        watch->is_srv ? (const void *)answer->targets : (const void *)answer->addresses;

    if (watch->retry_ms != 0)
        log_event(LOG_INFO, "name_resolved", "%s can be looked up again", watch->name);
    watch->retry_ms = 0;
    if (!has_same(watch, items, (int)answer->count))
        keep(watch, items, (int)answer->count);
    return names_ttl_ms(answer->ttl_s);
}

static void take_answer(struct name_watch *watch)
{
    struct lookup_answer answer;
    uint64_t next_ms;

    if (lookup_answer(watch->lookup, &answer) == IO_WAIT)
        return;
    pthread_mutex_lock(watch->names->lock);
    watch->names->answer_count++;
    pthread_mutex_unlock(watch->names->lock);
    if (answer.outcome == LOOKUP_FOUND)
        next_ms = note_success(watch, &answer);
    else
        next_ms = note_failure(watch, answer.reason);
    lookup_end(watch->lookup);
    watch->lookup = NULL;
    deadline_set(watch->names->loop, &watch->due, next_ms);
}

static void run(void *owner)
{
    struct name_watch *watch = owner;
    struct names *names = watch->names;

    if (watch->lookup != NULL) {
        take_answer(watch);
    } else if (deadline_passed(names->loop, &watch->due)) {
        deadline_clear(&watch->due);
        watch->lookup =
            watch->is_srv
                ? lookup_start_srv(names->resolver, watch->name + strlen(SRV_PREFIX), &watch->task)
                : lookup_start(names->resolver, watch->name, 0, &watch->task);
    }
}

/* --- who wants to know -------------------------------------------------------------------- */

static struct name_watch *watch_new(struct names *names, const char *name)
{
    struct name_watch *watch = memory_new(sizeof(*watch));

    watch->names = names;
    watch->name = slice_duplicate(slice_of(name));
    watch->is_srv = slice_starts_with(slice_of(name), slice_of(SRV_PREFIX));
    watch->known = ADDRESSES_AWAITED;
    list_init(&watch->users);
    task_init(&watch->task, run, watch);
    deadline_init(&watch->due, &watch->task);
    deadline_set(names->loop, &watch->due, 1);
    pthread_mutex_lock(names->lock);
    table_put(&names->by_name, slice_of(watch->name), watch);
    pthread_mutex_unlock(names->lock);
    return watch;
}

struct name_watch *names_watch(struct names *names, const char *name, void *user)
{
    struct name_watch *watch = table_get(&names->by_name, slice_of(name));
    struct name_user *entry = memory_new(sizeof(*entry));

    if (watch == NULL)
        watch = watch_new(names, name);
    entry->user = user;
    list_push_back(&watch->users, &entry->place);
    return watch;
}

static void free_watch(void *owner)
{
    struct name_watch *watch = owner;

    free(watch->name);
    free(watch->answer);
    free(watch);
}

static void end_watch(struct name_watch *watch)
{
    struct names *names = watch->names;

    pthread_mutex_lock(names->lock);
    table_remove(&names->by_name, slice_of(watch->name));
    pthread_mutex_unlock(names->lock);
    if (watch->lookup != NULL)
        lookup_end(watch->lookup);
    deadline_clear(&watch->due);
    loop_bury(names->loop, &watch->task, free_watch);
}

void names_unwatch(struct names *names, struct name_watch *watch, void *user)
{
    (void)names;
    list_each (&watch->users, node) {
        struct name_user *entry = container_of(node, struct name_user, place);
        if (entry->user == user) {
            list_remove(node);
            free(entry);
            break;
        }
    }
    if (list_is_empty(&watch->users))
        end_watch(watch);
}

static const struct name_watch *find(const struct names *names, const char *name, bool is_srv)
{
    const struct name_watch *watch = table_get(&names->by_name, slice_of(name));

    return watch != NULL && watch->is_srv == is_srv ? watch : NULL;
}

enum addresses_known names_answer(const struct names *names, const char *name,
                                  const struct address **addresses, int *count)
{
    const struct name_watch *watch = find(names, name, false);

    *addresses = watch != NULL ? watch->answer : NULL;
    *count = watch != NULL ? watch->count : 0;
    return watch != NULL ? watch->known : ADDRESSES_AWAITED;
}

enum addresses_known names_targets(const struct names *names, const char *name,
                                   const struct srv_target **targets, int *count)
{
    const struct name_watch *watch = find(names, name, true);

    *targets = watch != NULL ? watch->answer : NULL;
    *count = watch != NULL ? watch->count : 0;
    return watch != NULL ? watch->known : ADDRESSES_AWAITED;
}

unsigned names_answer_count(const struct names *names)
{
    return names->answer_count;
}
