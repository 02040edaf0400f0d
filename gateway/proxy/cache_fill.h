/* An answer on its way from a backend into the cache: at the backend's pace, however slowly whoever
 * asked for it reads, and to its end, whether or not anybody still does.
 *
 * It takes the exchange's leg to the backend over, once the head is there; the exchange reads what
 * has come from the cache, like all others. Only when it turns out that the answer is too large to
 * be kept, it stops, and the exchange takes the leg back for the rest. */
#ifndef PROXY_CACHE_FILL_H
#define PROXY_CACHE_FILL_H

#include "policy/cache_store.h"
#include "proxy/exchange_state.h"

struct cache_fill;

/* Takes the exchange's leg, its place in the pool, and the fetch. *slot is where the exchange has
 * it, and is NULL again once it is over. False, nothing taken: no memory. */
bool cache_fill_start(struct exchange *x, struct cache_fetch *fetch, struct cache_object *object,
                      struct cache_fill **slot);
/* True: the object has no more room, and the exchange has its leg again for the rest; the fill is
 * over. */
bool cache_fill_take_back(struct cache_fill *fill, struct exchange *x);
/* The exchange reads no more; the fill goes on by itself. */
void cache_fill_forget(struct cache_fill *fill);

/* Ends all of a worker's: what they filled is cut. */
void cache_fills_cut(struct proxy_env *env);

#endif
