/* What a worker does that nobody waits for: renewing what is kept, and filling the cache. */
#ifndef PROXY_BACKGROUND_H
#define PROXY_BACKGROUND_H

#include "policy/cache_store.h"
#include "proxy/exchange.h"

void background_init(struct proxy_env *env);
/* Asks x's backend for the same again, for the fetch, which it takes, that validates what x is
 * given: by an exchange of its own, which ends by itself. */
void background_fetch(struct exchange *x, struct cache_fetch *fetch);
/* Ends all of it now: nobody is served any more. */
void background_cut(struct proxy_env *env);

#endif
