#include "net/resolver.h"

#include "base/check.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* Waiting for a helper, in the whole process; one more is answered with an error at once. */
enum { QUEUE_MAX = 4096 };

enum lookup_state {
    LOOKUP_QUEUED,  /* in the resolver's list */
    LOOKUP_RUNNING, /* a helper has it */
    LOOKUP_POSTED,  /* on its way to the loop, and in the list of those */
    LOOKUP_ANSWERED,
};

/* A job owns its question and its answer. `state` and `is_detached` are the resolver's lock's until
 * the job is answered; from then on, as `task` always, they are the asking thread's alone. */
struct lookup {
    struct resolver *resolver;
    struct list_node node; /* QUEUED, POSTED */
    enum lookup_state state;
    bool is_detached; /* nobody asks any more: whoever has the job frees it */
    struct loop *loop;
    struct task *task;
    struct post post;
    char name[256];
    uint16_t port;
    const char *reason; /* NULL: there are addresses */
    int count;
    struct address addresses[RESOLVER_ADDRESSES_MAX];
};

struct resolver {
    pthread_mutex_t lock;
    pthread_cond_t wake_helper;
    struct list queue, posted;
    unsigned queue_length;
    bool is_stopping;
    unsigned users; /* helpers and the owner: the last one out frees it */
};

/* --- asking: getaddrinfo on a helper thread ----------------------------------------------- */

/* RFC 6761 section 6.3: these mean this machine, whatever interfaces it has. */
static bool is_localhost(const char *name)
{
    struct slice s = slice_of(name);
    return slice_equal(s, slice_of("localhost")) || slice_ends_with(s, slice_of(".localhost"));
}

static void add_address(struct lookup *lookup, const struct sockaddr *from, socklen_t length)
{
    struct address *address = &lookup->addresses[lookup->count];
    if (lookup->count == RESOLVER_ADDRESSES_MAX || length > sizeof(address->as))
        return;
    memset(address, 0, sizeof(*address));
    memcpy(&address->as, from, length);
    address->length = length;
    lookup->count++;
}

static void add_loopback(struct lookup *lookup)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(lookup->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(lookup->port)};
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v6.sin6_addr = in6addr_loopback;
    add_address(lookup, (struct sockaddr *)&v4, sizeof(v4));
    add_address(lookup, (struct sockaddr *)&v6, sizeof(v6));
}

static void ask_system(struct lookup *lookup)
{
    /* AI_ADDRCONFIG spares a machine with one family the questions for the other, but it does not
     * count loopback: where that is all there is of a family, `localhost` would lose it. */
    bool is_local = is_localhost(lookup->name);
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV | (is_local ? 0 : AI_ADDRCONFIG),
    };
    char service[8];
    snprintf(service, sizeof(service), "%u", (unsigned)lookup->port);
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(lookup->name, service, &hints, &found);
    if (failed == 0) {
        for (const struct addrinfo *at = found; at != NULL; at = at->ai_next)
            add_address(lookup, at->ai_addr, at->ai_addrlen);
        freeaddrinfo(found);
    }
    if (lookup->count == 0 && is_local)
        add_loopback(lookup); /* no entry in the hosts file */
    if (lookup->count == 0)
        lookup->reason = failed != 0 ? gai_strerror(failed) : "the name has no address";
}

static void arrive(void *owner);

/* With the lock held: what is posted under it is in the loop before lookup_end can return there. */
static void hand_over(struct lookup *lookup)
{
    if (lookup->is_detached) {
        free(lookup);
        return;
    }
    lookup->state = LOOKUP_POSTED;
    list_push_back(&lookup->resolver->posted, &lookup->node);
    lookup->post.run = arrive;
    lookup->post.owner = lookup;
    loop_post(lookup->loop, &lookup->post);
}

/* Leaves with the lock, which it lets go. */
static void leave(struct resolver *resolver)
{
    bool is_last = --resolver->users == 0;
    pthread_mutex_unlock(&resolver->lock);
    if (!is_last)
        return;
    pthread_cond_destroy(&resolver->wake_helper);
    pthread_mutex_destroy(&resolver->lock);
    free(resolver);
}

static void *help(void *argument)
{
    struct resolver *resolver = argument;
    pthread_mutex_lock(&resolver->lock);
    while (!resolver->is_stopping) {
        struct list_node *first = list_first(&resolver->queue);
        if (first == NULL) {
            pthread_cond_wait(&resolver->wake_helper, &resolver->lock);
            continue;
        }
        struct lookup *lookup = container_of(first, struct lookup, node);
        list_remove(first);
        resolver->queue_length--;
        lookup->state = LOOKUP_RUNNING;
        pthread_mutex_unlock(&resolver->lock);
        ask_system(lookup);
        pthread_mutex_lock(&resolver->lock);
        hand_over(lookup);
    }
    leave(resolver);
    return NULL;
}

/* --- the resolver ------------------------------------------------------------------------- */

/* Signals are for the thread that waits for them. */
static void start_helpers(struct resolver *resolver, unsigned threads)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (unsigned i = 0; i < threads; i++) {
        pthread_t thread;
        pthread_mutex_lock(&resolver->lock);
        resolver->users++;
        if (pthread_create(&thread, &detached, help, resolver) != 0)
            resolver->users--;
        pthread_mutex_unlock(&resolver->lock);
    }
    pthread_attr_destroy(&detached);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

struct resolver *resolver_new(unsigned threads)
{
    struct resolver *resolver = memory_new(sizeof(*resolver));
    pthread_mutex_init(&resolver->lock, NULL);
    pthread_cond_init(&resolver->wake_helper, NULL);
    list_init(&resolver->queue);
    list_init(&resolver->posted);
    resolver->users = 1;
    start_helpers(resolver, threads);
    return resolver;
}

void resolver_free(struct resolver *resolver)
{
    if (resolver == NULL)
        return;
    pthread_mutex_lock(&resolver->lock);
    assert(list_is_empty(&resolver->queue)); /* every look-up was ended */
    /* What a loop that has stopped never came to take. */
    list_each (&resolver->posted, node)
        free(container_of(node, struct lookup, node));
    list_init(&resolver->posted);
    resolver->is_stopping = true;
    pthread_cond_broadcast(&resolver->wake_helper);
    leave(resolver);
}

/* --- one look-up, on the asking thread ---------------------------------------------------- */

static void arrive(void *owner)
{
    struct lookup *lookup = owner;
    pthread_mutex_lock(&lookup->resolver->lock);
    bool is_detached = lookup->is_detached;
    list_remove(&lookup->node);
    lookup->state = LOOKUP_ANSWERED;
    pthread_mutex_unlock(&lookup->resolver->lock);
    if (is_detached)
        free(lookup);
    else
        loop_wake(lookup->loop, lookup->task);
}

static bool enqueue(struct resolver *resolver, struct lookup *lookup)
{
    pthread_mutex_lock(&resolver->lock);
    /* Without the owner: how many helpers could be started. */
    bool has_room = resolver->queue_length < QUEUE_MAX && resolver->users > 1;
    if (has_room) {
        list_push_back(&resolver->queue, &lookup->node);
        resolver->queue_length++;
        pthread_cond_signal(&resolver->wake_helper);
    }
    pthread_mutex_unlock(&resolver->lock);
    return has_room;
}

struct lookup *lookup_start(struct resolver *resolver, struct loop *loop, const char *name,
                            uint16_t port, struct task *task)
{
    struct lookup *lookup = memory_new(sizeof(*lookup));
    lookup->resolver = resolver;
    lookup->loop = loop;
    lookup->task = task;
    lookup->port = port;
    slice_copy_text(slice_of(name), lookup->name, sizeof(lookup->name));
    if (!enqueue(resolver, lookup)) {
        lookup->state = LOOKUP_ANSWERED;
        lookup->reason = "too many names are being looked up";
        loop_wake(loop, task);
    }
    return lookup;
}

/* `state` changes to ANSWERED on this thread alone, to everything else on others. */
static enum lookup_state state_of(struct lookup *lookup)
{
    pthread_mutex_lock(&lookup->resolver->lock);
    enum lookup_state state = lookup->state;
    pthread_mutex_unlock(&lookup->resolver->lock);
    return state;
}

enum io lookup_answer(struct lookup *lookup, struct address addresses[RESOLVER_ADDRESSES_MAX],
                      int *count, const char **reason)
{
    if (state_of(lookup) != LOOKUP_ANSWERED)
        return IO_WAIT;
    *count = lookup->count;
    *reason = lookup->reason;
    if (lookup->reason != NULL)
        return IO_ERROR;
    memcpy(addresses, lookup->addresses, sizeof(*addresses) * (size_t)lookup->count);
    return IO_OK;
}

void lookup_end(struct lookup *lookup)
{
    struct resolver *resolver = lookup->resolver;
    pthread_mutex_lock(&resolver->lock);
    bool is_ours = lookup->state == LOOKUP_QUEUED || lookup->state == LOOKUP_ANSWERED;
    if (lookup->state == LOOKUP_QUEUED) {
        list_remove(&lookup->node);
        resolver->queue_length--;
    }
    lookup->is_detached = true;
    pthread_mutex_unlock(&resolver->lock);
    if (is_ours)
        free(lookup);
}
