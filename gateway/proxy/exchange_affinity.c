/* Which clients an exchange tells apart: keys of balancing, and the cookie that leads back. */
#include "base/clock.h"
#include "http/cookie.h"
#include "proxy/exchange_state.h"
#include "upstream/affinity.h"

static bool is_sticky(const struct exchange *x)
{
    return x->upstream->sticky.cookie.len > 0;
}

static struct sticky_issuer issuer_of(const struct exchange *x)
{
    return (struct sticky_issuer){.spec = &x->upstream->sticky,
                                  .backend = x->upstream->name,
                                  .process_key = x->env->sticky_key,
                                  .now_s = (uint64_t)clock_wall_ms() / 1000};
}

void exchange_recognise_client(struct exchange *x)
{
    const struct upstream_spec *upstream = x->upstream;

    if (upstream->balance == BALANCE_HASH)
        x->affinity_key = affinity_key(&upstream->hash_on, &x->request, x->facts.client_ip);
    if (is_sticky(x)) {
        struct sticky_issuer issuer = issuer_of(x);
        x->sticky = sticky_claim_of(&issuer, &x->request.fields);
    }
}

void exchange_hide_cookie(struct exchange *x)
{
    if (is_sticky(x))
        cookie_remove(&x->outgoing.fields, &x->arena, x->upstream->sticky.cookie);
}

void exchange_set_cookie(struct exchange *x)
{
    if (is_sticky(x)) {
        struct sticky_issuer issuer = issuer_of(x);
        bool is_https = forwarded_is_https(x->globals, x->client, &x->request.fields);
        sticky_answer(&issuer, x->sticky, x->leg.server, is_https, &x->arena, &x->response.fields);
    }
}
