#include "policy/policy.h"
#include "proxy/exchange_state.h"

const struct policy *exchange_policy(const struct exchange *x, enum policy_kind kind)
{
    return x->settings != NULL && x->settings->policies != NULL ? x->settings->policies->of[kind]
                                                                : NULL;
}

static struct policy_counters *counters_of(struct exchange *x)
{
    struct series_view *view = x->env->policy_counters;

    return (struct policy_counters *)(void *)series_counters(view,
                                                             series_find(view, x->route->name));
}

void exchange_count_policy(struct exchange *x, enum policy_kind kind, enum policy_outcome outcome)
{
    counter_add(&counters_of(x)->decisions[kind][outcome], 1);
}

static void copy_fields(void *owner, struct http_fields *fields)
{
    exchange_copy_fields(owner, fields);
}

static struct policy_request *begin_asking(struct exchange *x)
{
    struct policy_request *asked = arena_alloc(&x->arena, sizeof(*asked));

    *asked = (struct policy_request){
        .env = &x->env->policies,
        .policies = x->settings->policies,
        .arena = &x->arena,
        .task = &x->task,
        .head = &x->request,
        .route = x->route->name,
        .client_ip = x->facts.client_ip,
        .request_id = x->facts.request_id,
        .cert_fingerprint = x->facts.cert_fingerprint,
        .cert_subject = x->facts.cert_subject,
        .is_tls = x->client->is_tls,
        .copy_fields = copy_fields,
        .exchange = x,
    };
    return asked;
}

/* Another service's answer, as it is. */
static enum step pass_answer(struct exchange *x, const struct policy_answer *answer)
{
    own_answer_foreign(&x->arena, answer, x->facts.request_id, &x->answer);
    return exchange_answer(x);
}

enum step exchange_ask_policies(struct exchange *x)
{
    if (x->asked == NULL)
        x->asked = begin_asking(x);
    switch (policies_ask(x->asked, counters_of(x))) {
    case IO_OK: return exchange_follow_route(x);
    case IO_WAIT: return exchange_wait_or_leave(x);
    default: break;
    }
    x->reason = x->asked->reason;
    return x->asked->answer != NULL ? pass_answer(x, x->asked->answer)
                                    : exchange_fail(x, x->asked->reason);
}

void exchange_end_policies(struct exchange *x)
{
    if (x->asked != NULL)
        policies_cancel(x->asked);
}
