/* What is kept, on its way to a client. */
#include "proxy/exchange_cache.h"

enum step exchange_cache_end_in_background(struct exchange *x)
{
    exchange_release_backend(x, HTTP_END_ABORT, UPSTREAM_CANCELED);
    exchange_enter(x, FINISH);
    return STEP_AGAIN;
}

/* Of what the backend has just answered as new there is none to be said. */
static int32_t age_to_say(const struct exchange *x, const struct cache_head *head)
{
    const struct http_fields *own = &x->cached->own;

    if (own->count > 0 && http_fields_find(own, slice_of("Age")) == NULL)
        return -1;
    return caching_age(head->life, exchange_cache_now_s());
}

/* Where the length is not known yet, it is the one who fetches that reads, and no part is asked
 * for. */
static void make_response(struct exchange *x, const struct cache_head *head, bool is_measured,
                          uint64_t length, struct caching_answer *answer)
{
    const struct http_fields *own = &x->cached->own;
    const struct http_fields *fields = own->count > 0 ? own : &head->fields;
    struct http_head *response = &x->response;
    bool sends_body;

    if (is_measured || !x->cached->request.has_range)
        caching_answer(&x->request, head->status, fields, length, exchange_cache_now_s(), answer);
    else
        *answer = (struct caching_answer){.form = CACHING_WHOLE, .status = head->status};
    *response = (struct http_head){.status = answer->status,
                                   .reason_phrase = slice_of(http_status_phrase(answer->status)),
                                   .version_minor = 1,
                                   .keeps_connection = !x->env->is_draining};
    caching_answer_fields(answer, fields, length, age_to_say(x, head), &x->arena,
                          &response->fields);
    exchange_cache_add_status(x, &response->fields);
    sends_body = answer->form == CACHING_WHOLE || answer->form == CACHING_PART;
    if (sends_body && !is_measured) {
        response->framing = BODY_CHUNKED;
    } else if (answer->announces_length) {
        response->framing = BODY_LENGTH;
        response->has_content_length = true;
        response->content_length = answer->content_length;
    }
}

static void begin_source(struct exchange *x, const struct caching_answer *answer, bool is_measured)
{
    struct exchange_cache *c = x->cached;
    uint64_t bytes = is_measured ? answer->body_bytes : CACHE_LENGTH_UNKNOWN;

    c->gives_whole = answer->form == CACHING_WHOLE;
    c->source = cache_source_new(&x->arena, c->object, &c->waiter, answer->first, bytes);
    x->source = cache_source_stream(c->source);
}

enum step exchange_give_object(struct exchange *x)
{
    struct exchange_cache *c = x->cached;
    const struct cache_head *head = cache_object_head(c->object);
    struct caching_answer answer;
    uint64_t length = 0;
    bool is_measured = cache_object_length(c->object, &length);

    if (x->is_background)
        return exchange_cache_end_in_background(x);
    cache_waiter_cancel(&c->waiter);
    exchange_count_policy(x, POLICY_CACHE, c->outcome);
    if (c->status.forward == CACHING_FWD_NONE) {
        c->status.has_ttl = true;
        c->status.ttl_s = caching_ttl(head->life, exchange_cache_now_s());
    }
    make_response(x, head, is_measured, length, &answer);
    if (c->outcome == OUTCOME_MISS)
        exchange_set_cookie(x);
    x->up.state = PUMP_DONE;
    if (exchange_replace_response(x))
        return exchange_answer(x);
    exchange_edit_response(x, &x->response.fields);
    begin_source(x, &answer, is_measured);
    exchange_compress(x);
    if (x->client_stream->ops->write_head(x->client_stream, &x->response) != IO_OK)
        return exchange_fail(x, REASON_CLIENT_CLOSED);
    x->has_begun = true;
    x->status = x->response.status;
    if (x->response.framing == BODY_NONE || x->request.method == METHOD_HEAD) {
        exchange_enter(x, DELIVER);
        return STEP_AGAIN;
    }
    body_pump_start(&x->down, 0);
    exchange_enter(x, GIVE_CACHED);
    return STEP_AGAIN;
}

/* The rest is not kept: it comes from the backend itself. */
static enum step go_on_without(struct exchange *x)
{
    struct exchange_cache *c = x->cached;

    cache_source_continue(c->source, x->leg.stream);
    exchange_enter(x, RELAY);
    return STEP_AGAIN;
}

enum step exchange_give_cached(struct exchange *x)
{
    struct exchange_cache *c = x->cached;
    struct http_stream *client = x->client_stream;

    if (c->fill != NULL && cache_fill_take_back(c->fill, x))
        return go_on_without(x);
    x->moved_on |= body_pump_run(&x->down, x->source, client);
    switch (x->down.state) {
    case PUMP_DONE: exchange_enter(x, DELIVER); return STEP_AGAIN;
    case PUMP_READ_FAILED: return exchange_fail(x, x->source->reason);
    case PUMP_WRITE_FAILED: return exchange_fail(x, REASON_CLIENT_CLOSED);
    default: break;
    }
    if (client->ops->flush(client) == IO_ERROR)
        return exchange_fail(x, REASON_CLIENT_CLOSED);
    if (x->down.state == PUMP_BUSY)
        return STEP_YIELD;
    if (x->down.state == PUMP_WAITS_WRITE)
        exchange_await(x, WAIT_CLIENT_TAKES, x->settings->body_idle_ms);
    else
        exchange_await_nothing(x); /* whoever fetches it has a clock */
    return exchange_wait_or_leave(x);
}

/* --- in another coding --------------------------------------------------------------------------
 */

bool exchange_give_encoded(struct exchange *x, enum coding coding)
{
    struct exchange_cache *c = x->cached;
    const struct cache_body *body;

    if (c == NULL || !c->gives_whole)
        return false;
    body = cache_object_encoded(c->object, coding);
    if (body == NULL)
        return false;
    c->encoded = body;
    x->source = cache_encoding_source(&x->arena, body, &x->task);
    return true;
}

void exchange_announce_encoded(struct exchange *x)
{
    if (x->cached == NULL || x->cached->encoded == NULL)
        return;
    x->response.framing = BODY_LENGTH;
    x->response.has_content_length = true;
    x->response.content_length = cache_body_length(x->cached->encoded);
}

void exchange_keep_encoded(struct exchange *x, enum coding coding)
{
    struct exchange_cache *c = x->cached;

    if (c == NULL || !c->gives_whole)
        return;
    c->encoding = cache_encoding_new(&x->arena, c->object, coding, x->source);
    if (c->encoding != NULL)
        x->source = cache_encoding_stream(c->encoding);
}
