#include "proxy/exchange_cache.h"

#include "base/clock.h"
#include "proxy/background.h"
#include "proxy/forwarded.h"

int64_t exchange_cache_now_s(void)
{
    return clock_wall_ms() / 1000;
}

/* By a policy, or by the backend, which is told whose certificate it was: as good as a request with
 * Authorization. */
bool exchange_cache_is_authorized(const struct exchange *x)
{
    return (x->asked != NULL && x->asked->is_authorized) || x->facts.cert_fingerprint.len > 0;
}

/* Its answer may be for this client alone, whatever the others get: nobody waits for it, it waits
 * for nobody, and what comes of it says nothing of the key. */
bool exchange_cache_is_personal(const struct exchange *x)
{
    return x->cached->request.has_authorization || exchange_cache_is_authorized(x);
}

const struct caching_life *exchange_cache_life(const struct cache_object *object)
{
    return cache_object_head(object)->life;
}

void exchange_cache_forget(struct exchange_cache *c)
{
    cache_object_unref(c->object);
    c->object = NULL;
}

void exchange_cache_give_up(struct exchange *x, enum cache_give_up why)
{
    struct exchange_cache *c = x->cached;

    if (c->fetch != NULL)
        cache_fetch_give_up(c->fetch, why, loop_now_ms(x->env->loop));
    c->fetch = NULL;
}

/* --- asking --------------------------------------------------------------------------------------
 */

bool exchange_begin_cache(struct exchange *x)
{
    const struct policy *policy = exchange_policy(x, POLICY_CACHE);
    struct exchange_cache *c;

    if (policy == NULL || x->cached != NULL)
        return false;
    c = arena_alloc(&x->arena, sizeof(*c));
    c->policy = (const struct cache_policy *)policy;
    c->outcome = OUTCOME_BYPASSED;
    cache_waiter_init(&c->waiter, x->env->cache_port, &x->task);
    caching_read_request(&x->request, &x->arena, &c->request);
    c->is_https = forwarded_is_https(x->globals, x->client, &x->request.fields);
    if (forwarded_says_otherwise(x->globals, x->client, &x->request))
        caching_bypass(&c->request, "forwarded");
    c->key = caching_key(&x->request, c->is_https, &x->arena);
    cache_zone_resize(c->policy->zone, c->policy->size, c->policy->serial);
    x->cached = c;
    if (c->request.may_look_up)
        return true;
    c->status.forward = x->request.method == METHOD_GET || x->request.method == METHOD_HEAD
                            ? CACHING_FWD_BYPASS
                            : CACHING_FWD_METHOD;
    c->status.detail = c->request.bypass;
    return false;
}

/* The backend selects by what it gets, not by what the client sent: policies and `headers` say who
 * it is, too. */
static const struct http_fields *selecting_fields(struct exchange *x)
{
    struct exchange_cache *c = x->cached;
    struct http_head outgoing = x->outgoing;

    if (c->selecting.list == NULL) {
        x->outgoing = x->request;
        exchange_copy_fields(x, &x->outgoing.fields);
        exchange_hide_cookie(x);
        exchange_edit_request(x);
        c->selecting = x->outgoing.fields;
        x->outgoing = outgoing;
    }
    return &c->selecting;
}

struct slice exchange_cache_variant(struct slice vary, void *request)
{
    struct exchange *x = request;

    return vary.len == 0 ? vary : caching_variant(vary, selecting_fields(x), &x->arena);
}

static enum step go_to_backend(struct exchange *x, enum caching_forward why)
{
    x->cached->status.forward = why;
    exchange_take_pool(x);
    return STEP_AGAIN;
}

/* Only what is kept may answer (RFC 9111 section 5.2.1.7). */
static enum step refuse_to_fetch(struct exchange *x)
{
    exchange_cache_give_up(x, CACHE_FAILED);
    return exchange_fail(x, REASON_NOT_CACHED);
}

/* Nothing that will do is kept, and nobody fetches it. */
static enum step begin_fetch(struct exchange *x)
{
    struct exchange_cache *c = x->cached;
    bool is_stale = c->object != NULL;

    if (c->request.control.only_if_cached)
        return refuse_to_fetch(x);
    c->outcome = OUTCOME_MISS;
    if (!c->request.may_store || (c->request.has_range && !is_stale)) {
        exchange_cache_give_up(x, CACHE_FAILED);
        c->status.detail = c->request.has_range ? "range" : NULL;
    }
    return go_to_backend(x, is_stale ? CACHING_FWD_STALE : CACHING_FWD_MISS);
}

static enum step give(struct exchange *x, enum policy_outcome outcome)
{
    x->cached->outcome =
        x->cached->status.is_collapsed && outcome == OUTCOME_HIT ? OUTCOME_COLLAPSED : outcome;
    return exchange_give_object(x);
}

/* It goes to this client as it is; the next ones get a fresher one. */
static void renew_in_background(struct exchange *x, struct cache_question *question)
{
    struct cache_object *other = NULL;
    struct cache_fetch *fetch = NULL;

    question->unlike = x->cached->object;
    if (cache_ask(question, NULL, &other, &fetch) == CACHE_FETCH)
        background_fetch(x, fetch);
    cache_object_unref(other);
}

/* By itself, and nothing is kept. */
static enum step pass_by(struct exchange *x)
{
    struct exchange_cache *c = x->cached;

    if (c->request.control.only_if_cached)
        return refuse_to_fetch(x);
    c->outcome = OUTCOME_MISS;
    c->status.detail = "pass";
    return go_to_backend(x, c->object != NULL ? CACHING_FWD_STALE : CACHING_FWD_MISS);
}

enum step exchange_pass_by_cache(struct exchange *x)
{
    cache_waiter_cancel(&x->cached->waiter);
    return pass_by(x);
}

enum step exchange_ask_cache(struct exchange *x)
{
    struct exchange_cache *c = x->cached;
    struct cache_question question = {
        .zone = c->policy->zone,
        .key = c->key,
        .variant = exchange_cache_variant,
        .request = x,
        .unlike = c->object,
        .is_alone = exchange_cache_is_personal(x),
        .max_object = c->policy->max_object,
        .now_ms = loop_now_ms(x->env->loop),
    };
    struct cache_object *object = NULL;

    for (;;) {
        switch (cache_ask(&question, exchange_cache_is_personal(x) ? NULL : &c->waiter, &object,
                          &c->fetch)) {
        case CACHE_HAS: break;
        case CACHE_WAITS:
            if (exchange_cache_is_personal(x))
                return pass_by(x);
            if (c->request.control.only_if_cached)
                return refuse_to_fetch(x);
            c->status.is_collapsed = true;
            exchange_await(x, WAIT_CACHE, x->settings->first_byte_ms);
            return exchange_wait_or_leave(x);
        case CACHE_FETCH: return begin_fetch(x);
        case CACHE_PASS: return pass_by(x);
        }
        exchange_cache_forget(c);
        c->object = object;
        switch (caching_judge(exchange_cache_life(object), &c->request, exchange_cache_now_s())) {
        case CACHING_FRESH: return give(x, OUTCOME_HIT);
        case CACHING_STALE_OK: return give(x, OUTCOME_STALE);
        case CACHING_STALE_WHILE_REVALIDATE:
            renew_in_background(x, &question);
            return give(x, OUTCOME_STALE);
        case CACHING_STALE: break;
        }
        /* What came while this one waited is as fresh as a client can ask for. But what was stale
         * at once is for the one who fetched it: the next one's may be another. */
        if (c->status.is_collapsed && !exchange_cache_life(object)->must_validate &&
            caching_ttl(exchange_cache_life(object), exchange_cache_now_s()) > 0)
            return give(x, OUTCOME_HIT);
        if (c->status.is_collapsed)
            return pass_by(x);
        question.unlike = object;
    }
}

/* --- beside and behind ---------------------------------------------------------------------------
 */

void exchange_condition_request(struct exchange *x, struct http_fields *fields)
{
    struct exchange_cache *c = x->cached;
    bool has_stale;

    if (c == NULL || c->fetch == NULL)
        return;
    /* What it was given before may have been purged since: a 304 for that would be of no use. */
    has_stale = c->object != NULL && c->object == cache_fetch_stale(c->fetch);
    caching_condition(has_stale ? &cache_object_head(c->object)->fields : NULL, &x->arena, fields);
}

void exchange_cache_add_status(struct exchange *x, struct http_fields *fields)
{
    caching_add_status(fields, caching_status_text(&x->cached->status, &x->arena), &x->arena);
}

/* Unsafe methods change what is kept (RFC 9111 section 4.4). */
static void invalidate(struct exchange *x)
{
    struct exchange_cache *c = x->cached;
    struct slice keys[CACHING_INVALIDATED_MOST];
    unsigned count;

    if (!caching_invalidates(x->request.method, x->response.status))
        return;
    count =
        caching_invalidated_keys(&x->request, c->is_https, &x->response.fields, &x->arena, keys);
    for (unsigned i = 0; i < count; i++)
        cache_zone_purge(c->policy->zone, keys[i]);
}

void exchange_pass_cache(struct exchange *x)
{
    if (x->cached == NULL)
        return;
    exchange_count_policy(x, POLICY_CACHE, x->cached->outcome);
    invalidate(x);
    exchange_cache_add_status(x, &x->response.fields);
}

void exchange_end_cache(struct exchange *x)
{
    struct exchange_cache *c = x->cached;

    if (c == NULL)
        return;
    cache_waiter_cancel(&c->waiter);
    exchange_cache_give_up(x, CACHE_FAILED);
    if (c->encoding != NULL)
        cache_encoding_clear(c->encoding);
    if (c->fill != NULL)
        cache_fill_forget(c->fill);
    exchange_cache_forget(c);
    x->cached = NULL;
}
