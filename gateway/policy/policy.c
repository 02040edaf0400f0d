#include "policy/policy.h"

#include "base/histogram.h"
#include "policy/source.h"
#include "upstream/upstream.h"

#include <stdlib.h>

void *policy_new(const struct policy_ops *ops, size_t bytes)
{
    struct arena arena;
    struct policy *policy;

    arena_init_small(&arena);
    policy = arena_alloc(&arena, bytes);
    policy->ops = ops;
    policy->arena = arena;
    refcount_init(&policy->references);
    return policy;
}

struct policy *policy_ref(struct policy *policy)
{
    refcount_take(&policy->references);
    return policy;
}

void policy_unref(struct policy *policy)
{
    struct arena arena;

    if (policy == NULL || !refcount_drop(&policy->references))
        return;
    if (policy->ops->clear != NULL)
        policy->ops->clear(policy);
    for (struct policy_source *named = policy->sources; named != NULL; named = named->next)
        source_unref(named->source);
    upstream_unref(policy->service);
    arena = policy->arena; /* it lies in it */
    arena_clear(&arena);
}

void policy_add_source(struct policy *policy, struct source *source)
{
    struct policy_source *named = arena_alloc(&policy->arena, sizeof(*named));

    *named = (struct policy_source){.source = source, .next = policy->sources};
    policy->sources = named;
}

const char *policy_name(enum policy_kind kind)
{
    static const char *const names[POLICY_KINDS] = {
        [POLICY_ALLOW] = "allow",   [POLICY_DENY] = "deny",   [POLICY_RATE_LIMIT] = "rate_limit",
        [POLICY_AUTH] = "auth",     [POLICY_CACHE] = "cache", [POLICY_COMPRESS] = "compress",
        [POLICY_ERRORS] = "errors", [POLICY_HSTS] = "hsts",
    };

    return names[kind];
}

const char *policy_outcome_word(enum policy_outcome outcome)
{
    static const char *const words[POLICY_OUTCOMES] = {
        [OUTCOME_ALLOWED] = "allowed",
        [OUTCOME_REFUSED] = "refused",
        [OUTCOME_COUNTED] = "counted",
        [OUTCOME_FAILED] = "failed",
        [OUTCOME_FAILED_OPEN] = "failed_open",
        [OUTCOME_HIT] = "hit",
        [OUTCOME_STALE] = "stale",
        [OUTCOME_REVALIDATED] = "revalidated",
        [OUTCOME_MISS] = "miss",
        [OUTCOME_COLLAPSED] = "collapsed",
        [OUTCOME_BYPASSED] = "bypassed",
        [OUTCOME_STORED] = "stored",
        [OUTCOME_APPLIED] = "applied",
    };

    return words[outcome];
}

enum io policies_ask(struct policy_request *request, struct policy_counters *counters)
{
    for (; request->next < POLICY_KINDS; request->next++) {
        const struct policy *policy = request->policies->of[request->next];
        enum io io;

        if (policy == NULL || policy->ops->ask == NULL)
            continue;
        io = policy->ops->ask(policy, request);
        if (io == IO_WAIT)
            return IO_WAIT;
        request->state = NULL;
        counter_add(&counters->decisions[request->next][request->outcome], 1);
        if (io != IO_OK)
            return IO_ERROR;
    }
    return IO_OK;
}

void policies_cancel(struct policy_request *request)
{
    if (request->state == NULL || request->next >= POLICY_KINDS)
        return;
    request->policies->of[request->next]->ops->cancel(request);
    request->state = NULL;
}
