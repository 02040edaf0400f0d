#include "policy/cert_auth.h"

/* One that is verified, and has one of the subjects. */
static bool is_let_in(const struct cert_auth *auth, const struct policy_request *request)
{
    if (request->cert_fingerprint.len == 0)
        return false;
    for (unsigned i = 0; i < auth->subject_count; i++)
        if (request->cert_subject.len > 0 && slice_equal(auth->subjects[i], request->cert_subject))
            return true;
    return auth->takes_any;
}

static enum io ask(const struct policy *policy, struct policy_request *request)
{
    const struct cert_auth *auth = (const struct cert_auth *)policy;

    if (!is_let_in(auth, request)) {
        request->outcome = OUTCOME_REFUSED;
        request->reason = REASON_DENIED;
        return IO_ERROR;
    }
    request->outcome = OUTCOME_ALLOWED;
    request->is_authorized = true;
    if (auth->copy.len > 0)
        http_fields_add(&request->request_fields, request->arena, auth->copy,
                        request->cert_subject);
    return IO_OK;
}

static struct slice words(const struct policy *policy, struct arena *arena)
{
    const struct cert_auth *auth = (const struct cert_auth *)policy;
    struct slice text = slice_of("client_cert");

    for (unsigned i = 0; i < auth->subject_count; i++)
        text = arena_printf(arena, "%.*s%s \"%.*s\"", (int)text.len, text.at, i > 0 ? " or" : "",
                            (int)auth->subjects[i].len, auth->subjects[i].at);
    if (auth->copy.len > 0)
        text = arena_printf(arena, "%.*s, subject in %.*s", (int)text.len, text.at,
                            (int)auth->copy.len, auth->copy.at);
    return text;
}

static const struct policy_ops ops = {.ask = ask, .words = words};

struct cert_auth *cert_auth_new(void)
{
    return policy_new(&ops, sizeof(struct cert_auth));
}

bool policy_is_cert_auth(const struct policy *policy)
{
    return policy != NULL && policy->ops == &ops;
}
