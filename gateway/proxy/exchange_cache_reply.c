/* What a backend answers a request that fetches for the cache. */
#include "proxy/exchange_cache.h"

static struct caching_times times_of(const struct exchange *x)
{
    uint64_t took_us = loop_now_us(x->env->loop) - x->upstream_asked_us;
    int64_t answered_s = exchange_cache_now_s();

    return (struct caching_times){.asked_s = answered_s - (int64_t)(took_us / 1000000),
                                  .answered_s = answered_s};
}

/* Its answer's body, if there is one, is nobody's. */
static void release_answered(struct exchange *x)
{
    if (x->leg.connection != NULL)
        exchange_release_backend(x, exchange_drop_answer(x->leg.stream),
                                 exchange_status_outcome(x->response.status));
}

/* 304: what is kept is still good. */
static enum step renew(struct exchange *x)
{
    struct exchange_cache *c = x->cached;
    const struct cache_head *old = cache_object_head(c->object);
    struct caching_life life;
    struct cache_head head = *old;
    struct cache_object *renewed = NULL;
    bool is_kept = caching_refresh(&c->request, exchange_cache_is_authorized(x), old->status,
                                   &old->fields, &x->response, &c->policy->rules, times_of(x),
                                   &x->arena, &head.fields, &life);

    c->outcome = OUTCOME_REVALIDATED;
    c->status.forward_status = 304;
    release_answered(x);
    if (is_kept) {
        head.life = &life;
        head.life_bytes = sizeof(life);
        renewed = cache_fetch_renew(c->fetch, &head);
        c->fetch = NULL;
    } else if (exchange_cache_is_personal(x)) {
        exchange_cache_give_up(x, CACHE_FAILED);
    } else {
        exchange_cache_give_up(x, CACHE_NOT_STORABLE);
        cache_zone_purge(c->policy->zone, c->key);
    }
    if (renewed != NULL) {
        exchange_cache_forget(c);
        c->object = renewed;
        c->status.is_stored = true;
    }
    return exchange_give_object(x);
}

static bool is_of_the_stale_one(const struct exchange *x)
{
    return caching_selects(&cache_object_head(x->cached->object)->fields, &x->response.fields,
                           true);
}

/* 304 for something else than what is kept: it is asked for once more, without a condition. */
static enum step ask_for_all(struct exchange *x)
{
    release_answered(x);
    exchange_cache_forget(x->cached);
    x->outgoing = (struct http_head){0};
    x->response = (struct http_head){0};
    x->has_upstream_time = false;
    exchange_enter(x, TAKE_UPSTREAM); /* its pool it has already */
    return STEP_AGAIN;
}

/* In one text, blanks between them. */
static struct slice join_tags(struct exchange *x)
{
    struct caching_tags tags = {.fields = &x->response.fields}, again = tags;
    struct slice tag;
    size_t bytes = 0, at = 0;
    char *text;

    while (caching_next_tag(&tags, &tag))
        bytes += tag.len + 1;
    text = bytes > 0 ? arena_bytes(&x->arena, bytes) : NULL;
    while (caching_next_tag(&again, &tag)) {
        if (tag.len == 0)
            continue;
        memcpy(text + at, tag.at, tag.len);
        at += tag.len;
        text[at++] = ' ';
    }
    return slice_make(text, at > 0 ? at - 1 : 0);
}

static bool describe(struct exchange *x, struct cache_head *head, struct caching_life *life)
{
    struct exchange_cache *c = x->cached;

    if (!caching_may_store(&c->request, exchange_cache_is_authorized(x), &x->response,
                           &c->policy->rules, times_of(x), &x->arena, life, &c->status.detail))
        return false;
    *head = (struct cache_head){
        .status = x->response.status, .life = life, .life_bytes = sizeof(*life)};
    caching_vary(&x->response.fields, &x->arena, &head->vary);
    head->variant = exchange_cache_variant(head->vary, x);
    caching_store_fields(&x->response.fields, &c->policy->rules, times_of(x), &x->arena,
                         &head->fields);
    head->tags = join_tags(x);
    return true;
}

static uint64_t length_of(const struct http_head *response)
{
    switch (response->framing) {
    case BODY_NONE: return 0;
    case BODY_LENGTH: return response->content_length;
    default: return CACHE_LENGTH_UNKNOWN;
    }
}

/* The next answer may well be kept: an error passes, or is for what one client has sent beside its
 * URL (a head that is too long, say), and what is one client's is no other's. */
static bool says_nothing_of_the_key(const struct exchange *x)
{
    return exchange_cache_is_personal(x) || x->response.status >= 400;
}

/* Keeps it, and gives it from there. False: it cannot be kept. */
static bool keep(struct exchange *x)
{
    struct exchange_cache *c = x->cached;
    struct caching_life life;
    struct cache_head head;
    struct cache_object *object;
    uint64_t length = length_of(&x->response);

    if (!describe(x, &head, &life)) {
        exchange_cache_give_up(x, says_nothing_of_the_key(x) ? CACHE_FAILED : CACHE_NOT_STORABLE);
        return false;
    }
    object = cache_fetch_begin(c->fetch, &head, length, loop_now_ms(x->env->loop));
    if (object == NULL) {
        c->fetch = NULL;
        c->status.detail = "no room";
        return false;
    }
    if (length == 0) {
        cache_fetch_finish(c->fetch);
        release_answered(x);
    } else if (!cache_fill_start(x, c->fetch, object, &c->fill)) {
        cache_object_unref(object);
        exchange_cache_give_up(x, CACHE_NOT_STORABLE);
        return false;
    }
    c->fetch = NULL;
    exchange_cache_forget(c);
    c->object = object;
    c->own = x->response.fields;
    c->status.is_stored = true;
    exchange_count_policy(x, POLICY_CACHE, OUTCOME_STORED);
    return true;
}

bool exchange_take_into_cache(struct exchange *x, enum step *step)
{
    struct exchange_cache *c = x->cached;
    const struct cache_object *stale;

    if (c == NULL || c->fetch == NULL)
        return false;
    c->status.forward_status = x->response.status;
    stale = cache_fetch_stale(c->fetch);
    if (stale != NULL && c->object == stale && x->response.status == 304) {
        *step = is_of_the_stale_one(x) ? renew(x) : ask_for_all(x);
        return true;
    }
    if (caching_is_error(x->response.status) && exchange_give_stale(x, step))
        return true;
    if (!keep(x)) {
        if (x->is_background)
            *step = exchange_cache_end_in_background(x);
        return x->is_background;
    }
    *step = exchange_give_object(x);
    return true;
}

bool exchange_give_stale(struct exchange *x, enum step *step)
{
    struct exchange_cache *c = x->cached;

    if (c == NULL || c->object == NULL || x->has_begun || x->is_background ||
        !caching_may_serve_on_error(exchange_cache_life(c->object), &c->request,
                                    exchange_cache_now_s()))
        return false;
    release_answered(x);
    exchange_cache_give_up(x, CACHE_FAILED);
    x->reason = REASON_NONE;
    c->outcome = OUTCOME_STALE;
    *step = exchange_give_object(x);
    return true;
}
