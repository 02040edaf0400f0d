#include "upstream/backend_state.h"

#include "base/check.h"
#include "upstream/names.h"

#include <stdio.h>
#include <stdlib.h>

struct backend_states {
    pthread_mutex_t lock;
    struct loop *control;
    struct names *names;
    struct table by_name;
    struct list changed; /* states whose entries, answers or users are other ones */
    bool is_posted;
    struct post post;
};

struct server_entry {
    char *name, *host;
    uint16_t weight;
    bool is_backup;
    struct address address; /* where there is no name to look up */
    char *lookup_name;      /* NULL: none; "srv:NAME": of which there are several */
    bool is_srv;
    uint16_t port;
};

struct name_use {
    struct name_watch *watch;
};

/* --- sets: with the lock ------------------------------------------------------------------ */

/* A server to be: an entry's own, or one of those that its SRV records name. */
struct place {
    const struct server_entry *entry;
    struct slice name;
    const char *lookup_name; /* NULL: the entry's address */
    uint16_t port, weight;
    bool is_backup;
};

struct places {
    struct arena arena;
    struct place *list;
    unsigned count;
    bool is_awaited; /* there may be more */
};

/* RFC 2782: the lowest priority first, and 0 for "no choice to make among these". */
static uint16_t weight_of(const struct server_entry *entry, const struct srv_target *target)
{
    uint32_t weight = (uint32_t)entry->weight * (target->weight > 0 ? target->weight : 1);

    return weight < UINT16_MAX ? (uint16_t)weight : UINT16_MAX;
}

static void add_targets(const struct backend_state *state, const struct server_entry *entry,
                        struct places *places)
{
    const struct srv_target *targets;
    int count;
    enum addresses_known known =
        names_targets(state->all->names, entry->lookup_name, &targets, &count);

    places->is_awaited |= known == ADDRESSES_AWAITED;
    for (int i = 0; i < count; i++) {
        struct place *place = &places->list[places->count++];
        *place = (struct place){
            .entry = entry,
            .name = arena_printf(&places->arena, "%s:%u", targets[i].name, targets[i].port),
            .lookup_name = arena_printf(&places->arena, "%s.", targets[i].name).at,
            .port = targets[i].port,
            .weight = weight_of(entry, &targets[i]),
            .is_backup = entry->is_backup || targets[i].priority > targets[0].priority,
        };
    }
}

static unsigned count_places(const struct backend_state *state)
{
    unsigned room = 0;

    for (unsigned i = 0; i < state->entry_count; i++)
        room += state->entries[i].is_srv ? SRV_TARGETS_MAX : 1;
    return room;
}

static void places_init(struct places *places, const struct backend_state *state)
{
    *places = (struct places){0};
    arena_init_small(&places->arena);
    places->list = arena_alloc(&places->arena, (count_places(state) + 1) * sizeof(*places->list));
    for (unsigned i = 0; i < state->entry_count; i++) {
        const struct server_entry *entry = &state->entries[i];
        if (entry->is_srv)
            add_targets(state, entry, places);
        else
            places->list[places->count++] = (struct place){.entry = entry,
                                                           .name = slice_of(entry->name),
                                                           .lookup_name = entry->lookup_name,
                                                           .port = entry->port,
                                                           .weight = entry->weight,
                                                           .is_backup = entry->is_backup};
    }
}

static void copy_addresses(struct server_set *set, struct set_server *server,
                           const struct address *addresses, int count)
{
    if (count == 0)
        return;
    server->addresses = arena_alloc(&set->arena, sizeof(*addresses) * (size_t)count);
    memcpy(server->addresses, addresses, sizeof(*addresses) * (size_t)count);
    server->address_count = count;
}

static void add_server(const struct backend_state *state, struct server_set *set,
                       const struct place *place, unsigned likely)
{
    const struct address *addresses = &place->entry->address;
    int count = 1;
    struct set_server *server =
        server_set_add(set, place->name, state->set, state->departed, likely);

    if (server == NULL)
        return;
    server->host = arena_text(&set->arena, slice_of(place->entry->host));
    server->weight = place->weight;
    server->is_backup = place->is_backup;
    if (place->lookup_name != NULL)
        server->known = names_answer(state->all->names, place->lookup_name, &addresses, &count);
    copy_addresses(set, server, addresses, count);
    for (int i = 0; i < count && place->lookup_name != NULL; i++)
        address_set_port(&server->addresses[i], place->port);
}

static void ring_all(struct backend_state *state)
{
    list_each (&state->pulls, node)
        bell_ring(&container_of(node, struct backend_pull, place)->pull);
}

static void remake_set(struct backend_state *state)
{
    struct places places;
    struct server_set *set, *departed;

    places_init(&places, state);
    set = server_set_new(places.count);
    set->serial = state->serial;
    set->is_awaited = places.is_awaited;
    for (unsigned i = 0; i < places.count; i++)
        add_server(state, set, &places.list[i], i);
    arena_clear(&places.arena);
    departed = server_set_departed(state->set, state->departed, set);
    server_set_unref(state->departed);
    server_set_unref(state->set);
    state->departed = departed;
    state->set = set;
    state->is_answered = false;
    ring_all(state);
}

/* --- what the route file says: with the lock ---------------------------------------------- */

static void clear_entries(struct backend_state *state)
{
    for (unsigned i = 0; i < state->entry_count; i++) {
        free(state->entries[i].name);
        free(state->entries[i].host);
        free(state->entries[i].lookup_name);
    }
    free(state->entries);
}

static char *prefixed(const char *name)
{
    static const char prefix[] = "srv:";
    char text[sizeof(prefix) + HOST_NAME_SIZE];

    snprintf(text, sizeof(text), "%s%s", prefix, name);
    return slice_duplicate(slice_of(text));
}

static void copy_entry(const struct server_spec *spec, struct server_entry *entry)
{
    const struct endpoint *endpoint = &spec->endpoint;

    entry->name = slice_duplicate(spec->name);
    entry->host = slice_duplicate(slice_of(endpoint->host));
    entry->weight = spec->weight;
    entry->is_backup = spec->is_backup;
    entry->port = endpoint->port;
    entry->is_srv = endpoint->kind == ENDPOINT_SRV;
    if (entry->is_srv)
        entry->lookup_name = prefixed(endpoint->name);
    else if (endpoint->kind == ENDPOINT_NAME)
        entry->lookup_name = slice_duplicate(slice_of(endpoint->name));
    else
        entry->address = endpoint->address;
}

/* The control thread is to look at it: its names and their answers, or whether anybody uses it. */
static void note_changed(struct backend_state *state)
{
    struct backend_states *all = state->all;

    if (!list_has(&state->changed_place))
        list_push_back(&all->changed, &state->changed_place);
    if (all->is_posted)
        return;
    all->is_posted = true;
    loop_post(all->control, &all->post);
}

static bool has_names(const struct backend_state *state)
{
    for (unsigned i = 0; i < state->entry_count; i++)
        if (state->entries[i].lookup_name != NULL)
            return true;
    return false;
}

static void follow(struct backend_state *state, const struct upstream_spec *spec)
{
    clear_entries(state);
    state->entry_count = spec->server_count;
    state->entries = memory_array(spec->server_count + 1, sizeof(*state->entries));
    for (unsigned i = 0; i < spec->server_count; i++)
        copy_entry(&spec->servers[i], &state->entries[i]);
    state->serial = spec->serial;
    remake_set(state);
    /* What others have asked for may be answered before the control thread has it watch, too. */
    state->is_answered = has_names(state);
    note_changed(state);
}

void backend_state_follow(struct backend_state *state, const struct upstream_spec *spec)
{
    pthread_mutex_lock(&state->all->lock);
    if (spec->serial > state->serial)
        follow(state, spec);
    pthread_mutex_unlock(&state->all->lock);
}

/* --- the names of its servers: on the control thread -------------------------------------- */

/* Many answers of one moment make one set. */
static void on_answer(void *user)
{
    struct backend_state *state = user;

    pthread_mutex_lock(&state->all->lock);
    state->is_answered = true;
    note_changed(state);
    pthread_mutex_unlock(&state->all->lock);
}

static void take_answers(struct backend_state *state)
{
    pthread_mutex_lock(&state->all->lock);
    if (state->is_answered)
        remake_set(state);
    pthread_mutex_unlock(&state->all->lock);
}

static void stop_watching(struct backend_state *state, struct name_use *uses, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        names_unwatch(state->all->names, uses[i].watch, state);
    free(uses);
}

/* New ones before the old ones go: what both have stays known. */
static void watch_names(struct backend_state *state)
{
    struct backend_states *all = state->all;
    struct name_use *before = state->uses;
    unsigned before_count = state->use_count, count = 0;
    struct places places;
    const char **wanted;

    pthread_mutex_lock(&all->lock);
    places_init(&places, state);
    wanted = arena_alloc(&places.arena, (places.count + state->entry_count + 1) * sizeof(*wanted));
    for (unsigned i = 0; i < places.count; i++)
        if (places.list[i].lookup_name != NULL)
            wanted[count++] = arena_text(&places.arena, slice_of(places.list[i].lookup_name));
    for (unsigned i = 0; i < state->entry_count; i++)
        if (state->entries[i].is_srv)
            wanted[count++] = arena_text(&places.arena, slice_of(state->entries[i].lookup_name));
    pthread_mutex_unlock(&all->lock);

    state->uses = memory_array(count + 1, sizeof(*state->uses));
    state->use_count = count;
    for (unsigned i = 0; i < count; i++)
        state->uses[i].watch = names_watch(all->names, wanted[i], state);
    arena_clear(&places.arena);
    stop_watching(state, before, before_count);
}

static void end_state(struct backend_state *state)
{
    stop_watching(state, state->uses, state->use_count);
    clear_entries(state);
    server_set_unref(state->departed);
    server_set_unref(state->set);
    turns_clear(&state->turns);
    free(state->name);
    free(state);
}

/* True if nobody uses it: then nobody finds it any more either. */
static bool is_over(struct backend_state *state)
{
    bool is_unused;

    pthread_mutex_lock(&state->all->lock);
    is_unused = state->users == 0;
    if (is_unused) {
        table_remove(&state->all->by_name, slice_of(state->name));
        list_remove(&state->changed_place);
    }
    pthread_mutex_unlock(&state->all->lock);
    return is_unused;
}

static struct backend_state *take_changed(struct backend_states *all)
{
    struct list_node *first;

    pthread_mutex_lock(&all->lock);
    first = list_first(&all->changed);
    if (first != NULL)
        list_remove(first);
    else
        all->is_posted = false;
    pthread_mutex_unlock(&all->lock);
    return first != NULL ? container_of(first, struct backend_state, changed_place) : NULL;
}

static void look_at_changed(void *owner)
{
    struct backend_state *state;

    while ((state = take_changed(owner)) != NULL) {
        if (is_over(state)) {
            end_state(state);
            continue;
        }
        take_answers(state);
        watch_names(state); /* targets of SRV records are names themselves */
    }
}

/* --- all of them -------------------------------------------------------------------------- */

struct backend_states *backend_states_new(struct loop *control, struct resolver *resolver)
{
    struct backend_states *all = memory_new(sizeof(*all));

    pthread_mutex_init(&all->lock, NULL);
    all->control = control;
    all->names = names_new(control, resolver, &all->lock, on_answer);
    all->post = (struct post){.run = look_at_changed, .owner = all};
    list_init(&all->changed);
    return all;
}

void backend_states_free(struct backend_states *all)
{
    const struct table_entry *entry;

    for (size_t at = 0; (entry = table_next(&all->by_name, &at)) != NULL;) {
        struct backend_state *state = entry->value;
        assert(state->users == 0);
        end_state(state);
    }
    table_clear(&all->by_name);
    names_free(all->names);
    pthread_mutex_destroy(&all->lock);
    free(all);
}

struct backend_state *backend_state_take(struct backend_states *all,
                                         const struct upstream_spec *spec)
{
    struct backend_state *state;

    pthread_mutex_lock(&all->lock);
    state = table_get(&all->by_name, spec->name);
    if (state == NULL) {
        state = aligned_alloc(64, sizeof(*state));
        assert(state != NULL);
        memset(state, 0, sizeof(*state));
        state->all = all;
        turns_init(&state->turns);
        state->name = slice_duplicate(spec->name);
        list_init(&state->pulls);
        table_put(&all->by_name, slice_of(state->name), state);
        follow(state, spec);
    }
    state->users++;
    pthread_mutex_unlock(&all->lock);
    return state;
}

void backend_state_drop(struct backend_state *state)
{
    struct backend_states *all = state->all;

    pthread_mutex_lock(&all->lock);
    assert(state->users > 0);
    if (--state->users == 0)
        note_changed(state);
    pthread_mutex_unlock(&all->lock);
}

struct server_set *backend_state_set(struct backend_state *state)
{
    struct server_set *set;

    pthread_mutex_lock(&state->all->lock);
    set = server_set_ref(state->set);
    pthread_mutex_unlock(&state->all->lock);
    return set;
}

void backend_state_listen(struct backend_state *state, struct backend_pull *pull, struct bell *bell,
                          void (*run)(void *owner), void *owner)
{
    bell_pull_init(&pull->pull, bell, run, owner);
    pthread_mutex_lock(&state->all->lock);
    list_push_back(&state->pulls, &pull->place);
    pthread_mutex_unlock(&state->all->lock);
}

void backend_state_unlisten(struct backend_state *state, struct backend_pull *pull)
{
    pthread_mutex_lock(&state->all->lock);
    list_remove(&pull->place);
    pthread_mutex_unlock(&state->all->lock);
    bell_pull_clear(&pull->pull);
}

void backend_state_ring(struct backend_state *state)
{
    pthread_mutex_lock(&state->all->lock);
    ring_all(state);
    pthread_mutex_unlock(&state->all->lock);
}

bool backend_state_decide(struct backend_state *state,
                          bool (*decide)(const struct server_set *set, void *owner), void *owner)
{
    bool is_decided;

    pthread_mutex_lock(&state->all->lock);
    is_decided = decide(state->set, owner);
    if (is_decided)
        ring_all(state);
    pthread_mutex_unlock(&state->all->lock);
    return is_decided;
}

void backend_states_each(struct backend_states *all,
                         void (*visit)(void *owner, struct backend_state *state), void *owner)
{
    const struct table_entry *entry;
    struct backend_state **list;
    unsigned count = 0;

    pthread_mutex_lock(&all->lock);
    list = memory_array(all->by_name.count + 1, sizeof(struct backend_state *));
    for (size_t at = 0; (entry = table_next(&all->by_name, &at)) != NULL;) {
        list[count] = entry->value;
        list[count++]->users++;
    }
    pthread_mutex_unlock(&all->lock);
    for (unsigned i = 0; i < count; i++) {
        visit(owner, list[i]);
        backend_state_drop(list[i]);
    }
    free(list);
}

unsigned backend_states_lookups(struct backend_states *all)
{
    unsigned count;

    pthread_mutex_lock(&all->lock);
    count = names_answer_count(all->names);
    pthread_mutex_unlock(&all->lock);
    return count;
}
