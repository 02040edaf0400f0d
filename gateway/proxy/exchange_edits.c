/* What a route's `headers` and `rewrite` make of its messages. */
#include "http/target.h"
#include "policy/hsts.h"
#include "proxy/exchange_state.h"

void exchange_copy_fields(struct exchange *x, struct http_fields *fields)
{
    const struct http_fields *from = &x->request.fields;

    *fields = (struct http_fields){.count = from->count, .capacity = from->count + 8};
    fields->list = arena_alloc(&x->arena, fields->capacity * sizeof(*fields->list));
    if (from->count > 0)
        memcpy(fields->list, from->list, from->count * sizeof(*from->list));
    http_fields_drop_hop_by_hop(fields);
    forwarded_rewrite(x->globals, x->client, &x->arena, &x->request, &x->facts, fields);
}

static void edit_fields(struct exchange *x, const struct header_edits *edits,
                        struct http_fields *fields)
{
    if (edits->count == 0)
        return;
    struct slice values[PLACEHOLDER_COUNT] = {
        [PLACEHOLDER_REQUEST_ID] = x->facts.request_id,
        [PLACEHOLDER_CLIENT_IP] = x->facts.client_ip,
        [PLACEHOLDER_SNI] = x->facts.sni,
        [PLACEHOLDER_HOST] = host_in_url(&x->arena, x->request.host),
        [PLACEHOLDER_ROUTE] = x->route->name,
    };
    header_edits_apply(edits, values, &x->arena, fields);
}

static void add_fields(struct exchange *x, const struct http_fields *more,
                       struct http_fields *fields)
{
    for (uint32_t i = 0; i < more->count; i++)
        http_fields_add_id(fields, &x->arena, more->list[i].id, more->list[i].name,
                           more->list[i].value);
}

void exchange_explain_refusal(struct exchange *x)
{
    if (x->asked != NULL)
        add_fields(x, &x->asked->refusal_fields, &x->answer.head.fields);
}

/* What the policies say of the client, the client cannot say of itself: nor in a name that some
 * backends read as the same. */
static void add_findings(struct exchange *x, struct http_fields *fields)
{
    const struct http_fields *found = &x->asked->request_fields;

    for (uint32_t i = 0; i < found->count; i++)
        header_fields_drop(fields, found->list[i].name);
    for (uint32_t i = 0; i < found->count; i++)
        if (found->list[i].value.len > 0)
            http_fields_add(fields, &x->arena, found->list[i].name, found->list[i].value);
}

void exchange_edit_request(struct exchange *x)
{
    if (x->asked != NULL)
        add_findings(x, &x->outgoing.fields);
    x->outgoing.path = rewrite_path(&x->settings->rewrite, &x->arena, x->outgoing.path);
    edit_fields(x, &x->settings->request_headers, &x->outgoing.fields);
}

void exchange_edit_trailers(void *exchange, struct http_fields *trailers)
{
    const struct exchange *x = exchange;

    for (uint32_t i = 0; x->asked != NULL && i < x->asked->request_fields.count; i++)
        header_fields_drop(trailers, x->asked->request_fields.list[i].name);
    header_edits_drop(&x->settings->request_headers, trailers);
}

/* Only over TLS (RFC 6797 section 7.2), and once: what the backend says of it is another's host. */
static void tell_of_tls(struct exchange *x, struct http_fields *fields)
{
    const struct policy *hsts = exchange_policy(x, POLICY_HSTS);

    if (hsts == NULL || !x->client->is_tls)
        return;
    header_fields_drop(fields, slice_of("Strict-Transport-Security"));
    http_fields_add(fields, &x->arena, slice_of("Strict-Transport-Security"), hsts_value(hsts));
    exchange_count_policy(x, POLICY_HSTS, OUTCOME_APPLIED);
}

void exchange_edit_response(struct exchange *x, struct http_fields *fields)
{
    if (x->asked != NULL)
        add_fields(x, &x->asked->response_fields, fields);
    tell_of_tls(x, fields);
    if (x->settings != NULL)
        edit_fields(x, &x->settings->response_headers, fields);
}
