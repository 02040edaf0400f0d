/* One request's way through the cache: inside the exchange alone. */
#ifndef PROXY_EXCHANGE_CACHE_H
#define PROXY_EXCHANGE_CACHE_H

#include "http/caching.h"
#include "policy/cache.h"
#include "proxy/cache_encoding.h"
#include "proxy/cache_fill.h"
#include "proxy/cache_source.h"
#include "proxy/exchange_state.h"

/* In the exchange's arena. */
struct exchange_cache {
    const struct cache_policy *policy;
    struct caching_request request;
    bool is_https; /* what the client asked for, as the backend is told */
    struct slice key;
    struct cache_waiter waiter;
    struct cache_fetch *fetch;   /* owned: this request fetches for all who wait */
    struct cache_object *object; /* a reference: the stale one, or what is given */
    struct cache_fill *fill;     /* what is given comes from there; NULL: it is over */
    struct cache_source *source;
    bool gives_whole;                 /* body, so that it may be in another coding */
    const struct cache_body *encoded; /* given in its place; the object's */
    struct cache_encoding *encoding;  /* what is being kept of that */
    struct http_fields
        selecting; /* the request's, as the backend gets them; once they are needed */
    struct http_fields
        own; /* what the backend answered this request, kept or not; empty: nothing */
    struct caching_status status; /* for Cache-Status */
    enum policy_outcome outcome;
};

/* Wall clock, as the rules want it. */
int64_t exchange_cache_now_s(void);
const struct caching_life *exchange_cache_life(const struct cache_object *object);
bool exchange_cache_is_authorized(const struct exchange *x);
/* Its answer may be for this client alone, whatever the others get: nobody waits for it, it waits
 * for nobody, and what comes of it says nothing of the key. */
bool exchange_cache_is_personal(const struct exchange *x);
/* The exchange's part in cache_question.variant. */
struct slice exchange_cache_variant(struct slice vary, void *exchange);
/* Ends the fetch, if it has one. */
void exchange_cache_give_up(struct exchange *x, enum cache_give_up why);
void exchange_cache_forget(struct exchange_cache *c);
void exchange_cache_add_status(struct exchange *x, struct http_fields *fields);
/* Nobody waits for what has come. */
enum step exchange_cache_end_in_background(struct exchange *x);

#endif
