#include "policy/rate_limit.h"

#include "base/check.h"
#include "base/table.h"
#include "policy/rate_shared.h"

static const uint64_t NS_A_SECOND = 1000 * 1000 * 1000;
static const uint64_t WINDOW_MOST_NS = RATE_BURST_DAYS * 24 * 3600 * (uint64_t)1000 * 1000 * 1000;

struct limit {
    struct rate_spec spec;
    unsigned number; /* in the list as written */
    struct rate rate;
    struct slice place; /* and number: what it is counted under */
    uint64_t id;        /* the same as a hash */
    struct slice label; /* what it is called in answers */
};

struct rate_limit {
    struct policy policy;
    enum rate_form form;
    struct slice place;
    struct limit *limits; /* those of the process first */
    unsigned count, local_count;
    struct slice announced; /* RateLimit-Policy; empty: nothing that would be enforced */
};

static const struct rate_limit *limit_of(const struct policy *policy)
{
    return (const struct rate_limit *)(const void *)policy;
}

/* --- what a limit is ----------------------------------------------------------------------------
 */

uint64_t rate_unit_ns(char unit)
{
    switch (unit) {
    case 's': return NS_A_SECOND;
    case 'm': return 60 * NS_A_SECOND;
    case 'h': return 3600 * NS_A_SECOND;
    case 'd': return 24 * 3600 * NS_A_SECOND;
    default: return 0;
    }
}

/* Rounded up: what is rounded is to the limit's side. */
static uint64_t interval_ns(const struct rate_spec *spec)
{
    return (rate_unit_ns(spec->unit) + spec->number - 1) / spec->number;
}

static uint64_t burst_of(const struct rate_spec *spec)
{
    return spec->given & RATE_GIVEN_BURST ? spec->burst : spec->number;
}

bool rate_burst_fits(const struct rate_spec *spec)
{
    return burst_of(spec) <= WINDOW_MOST_NS / interval_ns(spec);
}

static uint64_t seconds_of(uint64_t ns)
{
    return (ns + NS_A_SECOND - 1) / NS_A_SECOND;
}

/* --- answers ------------------------------------------------------------------------------------
 */

/* RateLimit and RateLimit-Policy as of draft-ietf-httpapi-ratelimit-headers-11: a quota is what may
 * come at once, its window how long it takes to be whole again. Of the first `known` limits. */
static void tell_client(const struct rate_limit *rate_limit, const struct rate_charge *charges,
                        unsigned known, struct policy_request *request)
{
    struct slice state = {"", 0};

    if (rate_limit->announced.len == 0)
        return;
    for (unsigned i = 0; i < known; i++)
        if (charges[i].is_enforced)
            state = arena_printf(
                request->arena, "%.*s%s\"%.*s\";r=%llu;t=%llu", (int)state.len, state.at,
                state.len > 0 ? ", " : "", (int)rate_limit->limits[i].label.len,
                rate_limit->limits[i].label.at, (unsigned long long)rate_remaining(&charges[i]),
                (unsigned long long)seconds_of(charges[i].debt_ns));
    http_fields_add(&request->response_fields, request->arena, slice_of("RateLimit-Policy"),
                    rate_limit->announced);
    if (state.len > 0)
        http_fields_add(&request->response_fields, request->arena, slice_of("RateLimit"), state);
}

static enum io refuse(const struct rate_charge *charges, unsigned known,
                      struct policy_request *request)
{
    uint64_t wait_ns = 0;

    for (unsigned i = 0; i < known; i++)
        if (charges[i].is_enforced && rate_wait_ns(&charges[i]) > wait_ns)
            wait_ns = rate_wait_ns(&charges[i]);
    request->reason = REASON_RATE_LIMITED;
    http_fields_add(&request->refusal_fields, request->arena, slice_of("Retry-After"),
                    arena_printf(request->arena, "%llu",
                                 (unsigned long long)(wait_ns > 0 ? seconds_of(wait_ns) : 1)));
    return IO_ERROR;
}

static bool is_any_over(const struct rate_charge *charges, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (charges[i].is_over)
            return true;
    return false;
}

static enum io decide(const struct rate_limit *rate_limit, const struct rate_charge *charges,
                      unsigned known, bool passes, struct policy_request *request)
{
    tell_client(rate_limit, charges, known, request);
    if (!passes) {
        request->outcome = OUTCOME_REFUSED;
        return refuse(charges, known, request);
    }
    request->outcome = is_any_over(charges, known) ? OUTCOME_COUNTED : OUTCOME_ALLOWED;
    return IO_OK;
}

/* --- the process's own limits -------------------------------------------------------------------
 */

static uint64_t now_ns(const struct policy_request *request)
{
    return loop_now_us(request->env->loop) * 1000;
}

static void fill_charges(const struct rate_limit *rate_limit, const struct policy_request *request,
                         struct rate_charge *charges)
{
    for (unsigned i = 0; i < rate_limit->count; i++) {
        const struct limit *limit = &rate_limit->limits[i];
        charges[i] = (struct rate_charge){
            .key = rate_key_hash(limit->id, limit->spec.key, limit->spec.name, request),
            .rate = limit->rate,
            .is_enforced = limit->spec.is_enforced,
        };
    }
}

static bool charge_local(const struct rate_limit *rate_limit, struct policy_request *request,
                         struct rate_charge *charges)
{
    return rate_table_charge(request->env->rates, now_ns(request), charges,
                             rate_limit->local_count);
}

static void refund_local(const struct rate_limit *rate_limit, struct policy_request *request,
                         struct rate_charge *charges)
{
    rate_table_refund(request->env->rates, now_ns(request), charges, rate_limit->local_count);
}

/* --- those that are shared ----------------------------------------------------------------------
 */

/* A request that waits for Redis. */
struct asking {
    struct rate_charge charges[RATE_CHARGES_MOST];
    struct redis_call *call;
};

/* What is shared is counted by this process alone, which knows what Redis said last. */
static enum io decide_alone(const struct rate_limit *rate_limit, struct rate_charge *charges,
                            struct policy_request *request)
{
    unsigned local = rate_limit->local_count;
    bool passes = rate_table_charge(request->env->rates, now_ns(request), charges + local,
                                    rate_limit->count - local);
    enum io io;

    if (!passes)
        refund_local(rate_limit, request, charges);
    io = decide(rate_limit, charges, rate_limit->count, passes, request);
    if (passes)
        request->outcome = OUTCOME_FAILED_OPEN;
    return io;
}

static bool is_any_enforced(const struct rate_charge *charges, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (charges[i].is_enforced)
            return true;
    return false;
}

static enum io decide_without(const struct rate_limit *rate_limit, struct rate_charge *charges,
                              struct policy_request *request)
{
    unsigned local = rate_limit->local_count;
    enum redis_failure on_failure = redis_client_on_failure(request->env->redis);

    if (on_failure == REDIS_FAIL_LOCAL)
        return decide_alone(rate_limit, charges, request);
    if (on_failure == REDIS_FAIL_DENY &&
        is_any_enforced(charges + local, rate_limit->count - local)) {
        refund_local(rate_limit, request, charges);
        tell_client(rate_limit, charges, local, request);
        request->outcome = OUTCOME_FAILED;
        return refuse(charges, 0, request);
    }
    tell_client(rate_limit, charges, local, request);
    request->outcome = OUTCOME_FAILED_OPEN;
    return IO_OK;
}

static struct slice shared_name(const struct limit *limit, const struct policy_request *request)
{
    struct slice key = rate_key_name(limit->spec.key, limit->spec.name, request);

    return arena_printf(request->arena, "sallyport:%.*s:%.*s", (int)limit->place.len,
                        limit->place.at, (int)key.len, key.at);
}

/* The process's own limits first: those can be given back. */
static enum io begin_shared(const struct rate_limit *rate_limit, struct policy_request *request)
{
    struct asking *asking = arena_alloc(request->arena, sizeof(*asking));
    unsigned local = rate_limit->local_count;
    struct slice names[RATE_CHARGES_MOST];

    fill_charges(rate_limit, request, asking->charges);
    if (!charge_local(rate_limit, request, asking->charges))
        return decide(rate_limit, asking->charges, local, false, request);
    for (unsigned i = local; i < rate_limit->count; i++)
        names[i] = shared_name(&rate_limit->limits[i], request);
    asking->call = rate_shared_begin(request->env->redis, asking->charges + local, names + local,
                                     rate_limit->count - local, request->task);
    if (asking->call == NULL)
        return decide_without(rate_limit, asking->charges, request);
    request->state = asking;
    return IO_WAIT;
}

static enum io ask_shared(const struct rate_limit *rate_limit, struct policy_request *request)
{
    struct asking *asking = request->state;
    unsigned local = rate_limit->local_count, shared = rate_limit->count - local;
    bool passes = false;
    enum io io = rate_shared_answer(asking->call, asking->charges + local, shared, &passes);

    if (io == IO_WAIT)
        return IO_WAIT;
    redis_call_end(asking->call);
    request->state = NULL;
    if (io != IO_OK)
        return decide_without(rate_limit, asking->charges, request);
    rate_table_note(request->env->rates, now_ns(request), asking->charges + local, shared);
    if (!passes)
        refund_local(rate_limit, request, asking->charges);
    return decide(rate_limit, asking->charges, rate_limit->count, passes, request);
}

static enum io ask(const struct policy *policy, struct policy_request *request)
{
    const struct rate_limit *rate_limit = limit_of(policy);
    struct rate_charge charges[RATE_CHARGES_MOST];
    bool passes;

    if (request->state != NULL)
        return ask_shared(rate_limit, request);
    if (rate_limit->local_count < rate_limit->count)
        return begin_shared(rate_limit, request);
    fill_charges(rate_limit, request, charges);
    passes = charge_local(rate_limit, request, charges);
    return decide(rate_limit, charges, rate_limit->count, passes, request);
}

static void cancel(struct policy_request *request)
{
    struct asking *asking = request->state;

    redis_call_end(asking->call);
}

/* --- words --------------------------------------------------------------------------------------
 */

static struct slice words_of_one(const struct rate_spec *spec, struct arena *arena)
{
    return arena_printf(arena, "%llu/%c per %s%s%.*s burst %llu%s%s",
                        (unsigned long long)spec->number, spec->unit, rate_key_word(spec->key),
                        spec->name.len > 0 ? ":" : "", (int)spec->name.len,
                        spec->name.len > 0 ? spec->name.at : "", (unsigned long long)burst_of(spec),
                        spec->scope == RATE_SCOPE_REDIS ? ", shared through Redis" : "",
                        spec->is_enforced ? "" : ", counted only");
}

/* The one with that number in the list as it was written. */
static const struct limit *find_written(const struct rate_limit *rate_limit, unsigned number)
{
    const struct limit *limit = rate_limit->limits;

    while (limit->number != number)
        limit++;
    return limit;
}

static struct slice words(const struct policy *policy, struct arena *arena)
{
    const struct rate_limit *rate_limit = limit_of(policy);
    struct slice all = {"off", 3};

    for (unsigned i = 0; i < rate_limit->count; i++) {
        struct slice one = words_of_one(&find_written(rate_limit, i)->spec, arena);
        all = i == 0
                  ? one
                  : arena_printf(arena, "%.*s; %.*s", (int)all.len, all.at, (int)one.len, one.at);
    }
    return all;
}

/* --- making -------------------------------------------------------------------------------------
 */

/* What its place, and those behind it, do not say. */
static void complete_spec(struct rate_spec *spec)
{
    if (!(spec->given & RATE_GIVEN_ENFORCE))
        spec->is_enforced = true;
    if (!rate_burst_fits(spec)) { /* of two places that each are right */
        spec->burst = WINDOW_MOST_NS / interval_ns(spec);
        spec->given |= RATE_GIVEN_BURST;
    }
}

static struct slice label_of(const struct rate_limit *rate_limit, const struct limit *limit,
                             struct arena *arena)
{
    const char *word = rate_key_word(limit->spec.key);
    unsigned before = 0;

    for (unsigned i = 0; i < rate_limit->count; i++)
        before += rate_limit->limits[i].spec.key == limit->spec.key &&
                  rate_limit->limits[i].number < limit->number;
    return before == 0 ? slice_of(word) : arena_printf(arena, "%s-%u", word, before + 1);
}

static void complete_limit(struct rate_limit *rate_limit, unsigned number)
{
    struct limit *limit = &rate_limit->limits[number];
    struct arena *arena = &rate_limit->policy.arena;
    uint64_t interval;

    complete_spec(&limit->spec);
    interval = interval_ns(&limit->spec);
    limit->spec.name = arena_copy(arena, limit->spec.name);
    limit->rate =
        (struct rate){.interval_ns = interval, .window_ns = interval * burst_of(&limit->spec)};
    limit->place = arena_printf(arena, "%.*s#%u", (int)rate_limit->place.len, rate_limit->place.at,
                                limit->number);
    limit->id = hash_bytes(limit->place);
    limit->label = label_of(rate_limit, limit, arena);
    if (limit->spec.is_enforced)
        rate_limit->announced =
            arena_printf(arena, "%.*s%s\"%s\";q=%llu;w=%llu", (int)rate_limit->announced.len,
                         rate_limit->announced.len > 0 ? rate_limit->announced.at : "",
                         rate_limit->announced.len > 0 ? ", " : "", limit->label.at,
                         (unsigned long long)burst_of(&limit->spec),
                         (unsigned long long)seconds_of(limit->rate.window_ns));
}

static void add_scope(struct rate_limit *rate_limit, enum rate_scope scope,
                      const struct rate_spec *specs, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (specs[i].scope == scope)
            rate_limit->limits[rate_limit->count++] = (struct limit){.spec = specs[i], .number = i};
}

static struct policy *merge(const struct policy *nearer, const struct policy *farther);
static const struct policy_ops rate_limit_ops = {
    .ask = ask, .cancel = cancel, .merge = merge, .words = words};

struct policy *rate_limit_new(const struct rate_spec *specs, unsigned count, enum rate_form form,
                              struct slice place)
{
    struct rate_limit *rate_limit = policy_new(&rate_limit_ops, sizeof(*rate_limit));
    struct arena *arena = &rate_limit->policy.arena;

    assert(count <= RATE_CHARGES_MOST);
    rate_limit->form = form;
    rate_limit->place = arena_copy(arena, place);
    rate_limit->limits = arena_alloc(arena, (count + 1) * sizeof(struct limit));
    add_scope(rate_limit, RATE_SCOPE_PROCESS, specs, count);
    rate_limit->local_count = rate_limit->count;
    add_scope(rate_limit, RATE_SCOPE_REDIS, specs, count);
    /* One without a rate waits for the place behind it; where that turned limits off they are. */
    if (count == 1 && !(specs[0].given & RATE_GIVEN_RATE))
        rate_limit->count = rate_limit->local_count = 0;
    for (unsigned i = 0; i < rate_limit->count; i++)
        complete_limit(rate_limit, i);
    if (rate_limit->count < count)
        rate_limit->limits[0].spec.name = arena_copy(arena, specs[0].name);
    return &rate_limit->policy;
}

/* Counted under the nearer place, as it is another limit than the one behind it. */
static struct policy *merge(const struct policy *nearer, const struct policy *farther)
{
    const struct rate_limit *near = limit_of(nearer), *far = limit_of(farther);
    const unsigned all =
        RATE_GIVEN_RATE | RATE_GIVEN_BURST | RATE_GIVEN_KEY | RATE_GIVEN_SCOPE | RATE_GIVEN_ENFORCE;
    struct rate_spec spec = near->limits[0].spec;
    const struct rate_spec *behind = &far->limits[0].spec;
    unsigned from = behind->given & ~spec.given & all;

    if (near->form != RATE_AS_OBJECT || far->form == RATE_AS_LIST)
        return policy_ref((struct policy *)(uintptr_t)nearer);
    if (from & RATE_GIVEN_RATE) {
        spec.number = behind->number;
        spec.unit = behind->unit;
    }
    if (from & RATE_GIVEN_BURST)
        spec.burst = behind->burst;
    if (from & RATE_GIVEN_KEY) {
        spec.key = behind->key;
        spec.name = behind->name;
    }
    if (from & RATE_GIVEN_SCOPE)
        spec.scope = behind->scope;
    if (from & RATE_GIVEN_ENFORCE)
        spec.is_enforced = behind->is_enforced;
    spec.given |= from;
    return rate_limit_new(&spec, 1, RATE_AS_OBJECT, near->place);
}
