#include "proxy/background.h"

#include "proxy/exchange_cache.h"
#include "proxy/nobody.h"

static void do_nothing(void *owner)
{
    (void)owner;
}

void background_init(struct proxy_env *env)
{
    list_init(&env->background);
    list_init(&env->cache_fills);
    task_init(&env->nobody, do_nothing, env);
}

void background_cut(struct proxy_env *env)
{
    exchanges_cut(&env->background, REASON_DRAINING);
    cache_fills_cut(env);
}

/* --- copies: x may be over long before ----------------------------------------------------------
 */

static void copy_fields(struct http_fields *fields, struct arena *arena)
{
    struct http_field *list = arena_alloc(arena, (fields->count + 1) * sizeof(*list));

    for (uint32_t i = 0; i < fields->count; i++) {
        list[i] = fields->list[i];
        list[i].name = arena_copy(arena, list[i].name);
        list[i].value = arena_copy(arena, list[i].value);
    }
    fields->list = list;
    fields->capacity = fields->count + 1;
}

static struct http_head copy_request(const struct http_head *request, struct arena *arena)
{
    struct http_head copy = *request;

    copy.method_text = arena_copy(arena, copy.method_text);
    copy.target = arena_copy(arena, copy.target);
    copy.authority = arena_copy(arena, copy.authority);
    copy.host = arena_copy(arena, copy.host);
    copy.path = arena_copy(arena, copy.path);
    copy.query = arena_copy(arena, copy.query);
    copy.upgrade = arena_copy(arena, copy.upgrade);
    copy_fields(&copy.fields, arena);
    return copy;
}

static struct origin_facts copy_facts(const struct origin_facts *facts, struct arena *arena)
{
    return (struct origin_facts){
        .client_ip = arena_copy(arena, facts->client_ip),
        .request_id = arena_copy(arena, facts->request_id),
        .sni = arena_copy(arena, facts->sni),
        .cert_fingerprint = arena_copy(arena, facts->cert_fingerprint),
        .cert_subject = arena_copy(arena, facts->cert_subject),
    };
}

/* What its policies have found out is told to the backend again. */
static struct policy_request *copy_asked(const struct policy_request *asked, struct arena *arena)
{
    struct policy_request *copy = arena_alloc(arena, sizeof(*copy));

    copy->policies = asked->policies;
    copy->is_authorized = asked->is_authorized;
    copy->request_fields = asked->request_fields;
    copy->next = POLICY_KINDS;
    copy_fields(&copy->request_fields, arena);
    return copy;
}

static struct exchange_cache *copy_cached(struct exchange *b, const struct exchange_cache *cached,
                                          struct cache_fetch *fetch)
{
    struct exchange_cache *copy = arena_alloc(&b->arena, sizeof(*copy));

    copy->policy = cached->policy;
    copy->key = arena_copy(&b->arena, cached->key);
    copy->fetch = fetch;
    copy->object = cached->object;
    cache_object_ref(copy->object);
    caching_read_request(&b->request, &b->arena, &copy->request);
    cache_waiter_init(&copy->waiter, b->env->cache_port, &b->task);
    return copy;
}

/* --- the exchange --------------------------------------------------------------------------------
 */

static void fill(struct exchange *b, const struct exchange *x)
{
    struct client *client = arena_alloc(&b->arena, sizeof(*client));

    *client = *x->client;
    client->tls_stream = NULL; /* the connection may go */
    b->client = client;
    b->request = copy_request(&x->request, &b->arena);
    b->has_request = true;
    b->facts = copy_facts(&x->facts, &b->arena);
    b->asked = x->asked != NULL ? copy_asked(x->asked, &b->arena) : NULL;
    b->route = x->route;
    b->upstream = x->upstream;
    b->settings = x->settings;
    b->affinity_key = x->affinity_key;
    b->globals = globals_ref(x->globals);
    host_ref(x->route->host);
}

void background_fetch(struct exchange *x, struct cache_fetch *fetch)
{
    struct exchange *b = exchange_new_in_background(x->env);

    if (b == NULL) {
        cache_fetch_give_up(fetch, CACHE_FAILED, loop_now_ms(x->env->loop));
        return;
    }
    fill(b, x);
    b->client_stream = nobody_new(&b->arena);
    b->client_stream->task = &b->task;
    b->cached = copy_cached(b, x->cached, fetch);
    exchange_take_pool(b);
    loop_wake(b->env->loop, &b->task);
}
