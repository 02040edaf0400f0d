#include "policy/forward_auth.h"

#include "base/check.h"
#include "policy/header_edits.h"
#include "policy/subrequest.h"

static const struct forward_auth *forward_auth_of(const struct policy *policy)
{
    return container_of(policy, const struct forward_auth, policy);
}

/* --- the question --------------------------------------------------------------------------- */

/* What a client says of the resource that it asks for, and of its body, means nothing to a service
 * that has neither: an answer of 304 or 416 would be about something else. */
static bool is_about_the_resource(const struct http_field *field)
{
    static const char *const names[] = {
        "if-match", "if-none-match", "if-modified-since", "if-unmodified-since",
        "if-range", "range",
    };

    if (field->id == FIELD_EXPECT)
        return true;
    if (field->id != FIELD_OTHER)
        return false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (slice_equal_nocase(field->name, slice_of(names[i])))
            return true;
    return false;
}

static void drop_what_is_about_the_resource(struct http_fields *fields)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < fields->count; i++)
        if (!is_about_the_resource(&fields->list[i]))
            fields->list[kept++] = fields->list[i];
    fields->count = kept;
}

static void set_field(struct http_fields *fields, struct arena *arena, const char *name,
                      struct slice value)
{
    header_fields_drop(fields, slice_of(name));
    http_fields_add(fields, arena, slice_of(name), value);
}

/* A service that repeats what it is told must not be told by the client who that is. */
static void make_fields(const struct forward_auth *auth, const struct policy_request *request,
                        struct http_fields *fields)
{
    const struct http_head *head = request->head;
    struct slice uri = arena_printf(request->arena, "%.*s%.*s", (int)head->path.len, head->path.at,
                                    (int)head->query.len, head->query.at);

    request->copy_fields(request->exchange, fields);
    drop_what_is_about_the_resource(fields);
    for (unsigned i = 0; i < auth->copy_count; i++)
        header_fields_drop(fields, auth->copy[i]);
    set_field(fields, request->arena, "X-Forwarded-Method", head->method_text);
    set_field(fields, request->arena, "X-Forwarded-Uri", uri);
}

static void begin(const struct forward_auth *auth, struct policy_request *request)
{
    struct subrequest_question question = {
        .env = request->env,
        .service = auth->policy.service,
        .arena = request->arena,
        .target = auth->target,
        .timeout_ms = auth->timeout_ms,
        .body_most = FORWARD_AUTH_BODY_MOST,
        .drops_success = true,
    };

    make_fields(auth, request, &question.fields);
    request->state = subrequest_start(&question, request->task);
}

/* --- what comes of it ----------------------------------------------------------------------- */

/* Each name goes, whether or not the service has something to say in it. */
static void copy_fields(const struct forward_auth *auth, struct policy_request *request,
                        const struct http_fields *said)
{
    struct http_fields *found = &request->request_fields;

    for (unsigned i = 0; i < auth->copy_count; i++) {
        http_fields_add(found, request->arena, auth->copy[i], slice_make("", 0));
        for (uint32_t k = 0; k < said->count; k++)
            if (slice_equal_nocase(said->list[k].name, auth->copy[i]))
                http_fields_add(found, request->arena, auth->copy[i], said->list[k].value);
    }
}

static enum io let_pass(const struct forward_auth *auth, struct policy_request *request,
                        const struct subrequest_answer *answer)
{
    copy_fields(auth, request, &answer->head.fields);
    request->is_authorized = true;
    request->outcome = OUTCOME_ALLOWED;
    return IO_OK;
}

static enum io fail(struct policy_request *request)
{
    request->reason = REASON_AUTH_UNAVAILABLE;
    request->outcome = OUTCOME_FAILED;
    return IO_ERROR;
}

/* The service's own trouble is told as such, though the client gets what it says of it. */
static enum io refuse(struct policy_request *request, const struct subrequest_answer *answer)
{
    struct policy_answer *told = arena_alloc(request->arena, sizeof(*told));
    bool is_broken = answer->head.status >= 500;

    *told = (struct policy_answer){
        .status = answer->head.status, .fields = answer->head.fields, .body = answer->body};
    request->answer = told;
    request->reason = is_broken                    ? REASON_AUTH_UNAVAILABLE
                      : answer->head.status == 403 ? REASON_DENIED
                                                   : REASON_UNAUTHORIZED;
    request->outcome = is_broken ? OUTCOME_FAILED : OUTCOME_REFUSED;
    return IO_ERROR;
}

static enum io ask(const struct policy *policy, struct policy_request *request)
{
    const struct forward_auth *auth = forward_auth_of(policy);
    struct subrequest_answer answer;

    if (request->state == NULL)
        begin(auth, request);
    switch (subrequest_answer(request->state, &answer)) {
    case IO_WAIT: return IO_WAIT;
    case IO_OK: break;
    default: return fail(request);
    }
    if (answer.head.status / 100 == 2)
        return let_pass(auth, request, &answer);
    return answer.body_is_cut ? fail(request) : refuse(request, &answer);
}

static void cancel(struct policy_request *request)
{
    subrequest_cancel(request->state);
}

/* --- telling -------------------------------------------------------------------------------- */

/* A query may hold what only the service is to know. */
static struct slice words(const struct policy *policy, struct arena *arena)
{
    const struct forward_auth *auth = forward_auth_of(policy);
    struct slice copied = slice_make("", 0), url = auth->url;
    ptrdiff_t query = slice_find(url, '?');
    bool in_seconds = auth->timeout_ms % 1000 == 0;

    for (unsigned i = 0; i < auth->copy_count; i++)
        copied =
            arena_printf(arena, "%.*s%s%.*s", (int)copied.len, copied.at,
                         i == 0 ? ", copies " : " and ", (int)auth->copy[i].len, auth->copy[i].at);
    if (query >= 0)
        url.len = (size_t)query;
    return arena_printf(
        arena, "asks %.*s%s within %llu%s%.*s", (int)url.len, url.at, query >= 0 ? "?..." : "",
        (unsigned long long)(in_seconds ? auth->timeout_ms / 1000 : auth->timeout_ms),
        in_seconds ? "s" : "ms", (int)copied.len, copied.at);
}

static const struct policy_ops ops = {.ask = ask, .cancel = cancel, .words = words};

struct forward_auth *forward_auth_new(void)
{
    return policy_new(&ops, sizeof(struct forward_auth));
}
