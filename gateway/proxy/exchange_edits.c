/* What a route's `headers` and `rewrite` make of its messages. */
#include "http/target.h"
#include "proxy/exchange_state.h"

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

void exchange_edit_request(struct exchange *x)
{
    x->outgoing.path = rewrite_path(&x->settings->rewrite, &x->arena, x->outgoing.path);
    edit_fields(x, &x->settings->request_headers, &x->outgoing.fields);
}

void exchange_edit_response(struct exchange *x, struct http_fields *fields)
{
    if (x->settings != NULL)
        edit_fields(x, &x->settings->response_headers, fields);
}
