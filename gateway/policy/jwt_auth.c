#include "policy/jwt_auth.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "policy/key_desk.h"
#include "policy/key_url.h"
#include "policy/token_memory.h"

/* A request that waits for keys. */
struct jwt_waiting {
    struct key_wait keys;
    struct deadline deadline;
};

/* --- verdicts ----------------------------------------------------------------------------------
 */

/* RFC 6750 section 3: that a token was no good is said, why is not. */
static enum io refuse(struct policy_request *request, bool had_token, const char *why)
{
    struct slice host = request->head->host;
    bool is_plain = slice_find(host, '"') < 0 && slice_find(host, '\\') < 0;

    log_event(LOG_DEBUG, "token_refused", "%.*s, request %.*s: %s", (int)request->route.len,
              request->route.at, (int)request->request_id.len, request->request_id.at, why);
    http_fields_add(&request->refusal_fields, request->arena, slice_of("WWW-Authenticate"),
                    arena_printf(request->arena, "Bearer realm=\"%.*s\"%s",
                                 is_plain ? (int)host.len : 0, is_plain ? host.at : "",
                                 had_token ? ", error=\"invalid_token\"" : ""));
    request->reason = REASON_UNAUTHORIZED;
    request->outcome = OUTCOME_REFUSED;
    return IO_ERROR;
}

static enum io fail_without_keys(struct policy_request *request)
{
    log_event(LOG_DEBUG, "token_refused", "%.*s, request %.*s: there are no keys yet",
              (int)request->route.len, request->route.at, (int)request->request_id.len,
              request->request_id.at);
    request->reason = REASON_AUTH_UNAVAILABLE;
    request->outcome = OUTCOME_FAILED;
    return IO_ERROR;
}

static enum io let_pass(const struct jwt_auth *auth, struct policy_request *request,
                        const struct slice *values)
{
    for (unsigned i = 0; i < auth->rules.copy_count; i++)
        http_fields_add(&request->request_fields, request->arena, auth->rules.copies[i].field,
                        values[i]);
    request->is_authorized = true;
    request->outcome = OUTCOME_ALLOWED;
    return IO_OK;
}

/* --- judging -----------------------------------------------------------------------------------
 */

/* Verifies and judges, or remembers that. */
static enum jwt_fault judge_by(const struct jwt_auth *auth, struct policy_request *request,
                               const struct jwk_set *keys, struct slice token, struct slice *values)
{
    struct token_memory *memory = request->env->tokens;
    uint64_t now_s = (uint64_t)(clock_wall_ms() / 1000), until_s = 0;
    struct token_name name =
        token_memory_name(memory, auth->policy.fingerprint, keys->content.fingerprint, token);
    struct jwt jwt;
    enum jwt_fault fault;

    if (token_memory_find(memory, &name, now_s, request->arena, values))
        return JWT_GOOD;
    fault = jwt_read(token, request->arena, &jwt);
    if (fault == JWT_GOOD)
        fault = jwt_verify(&jwt, keys);
    if (fault == JWT_GOOD)
        fault = jwt_judge(&jwt, &auth->rules, now_s, request->arena, values, &until_s);
    if (fault == JWT_GOOD)
        token_memory_keep(memory, &name, until_s, values, auth->rules.copy_count);
    return fault;
}

/* By the keys that there are now. As long as there are none any key is unknown. */
static enum jwt_fault judge(const struct jwt_auth *auth, struct policy_request *request,
                            struct slice token, struct slice *values, bool *has_keys)
{
    struct source_content *content = source_take(auth->keys);
    enum jwt_fault fault;
    struct jwt jwt;

    *has_keys = content != NULL;
    if (content == NULL) {
        fault = jwt_read(token, request->arena, &jwt);
        return fault == JWT_GOOD ? JWT_UNKNOWN_KEY : fault;
    }
    fault = judge_by(auth, request, container_of(content, struct jwk_set, content), token, values);
    source_content_unref(content);
    return fault;
}

/* Whether the request is to wait for keys. */
static bool wait_for_keys(const struct jwt_auth *auth, struct policy_request *request)
{
    struct policy_env *env = request->env;
    struct jwt_waiting *waiting;

    if (request->state != NULL || env->key_desk == NULL)
        return false;
    waiting = arena_alloc(request->arena, sizeof(*waiting));
    if (!key_desk_wait(env->key_desk, auth->keys, loop_now_ms(env->loop), env->bell, request->task,
                       &waiting->keys))
        return false;
    deadline_init(&waiting->deadline, request->task);
    deadline_set(env->loop, &waiting->deadline, JWT_WAIT_MS);
    request->state = waiting;
    return true;
}

static void cancel(struct policy_request *request)
{
    struct jwt_waiting *waiting = request->state;

    key_wait_end(&waiting->keys);
    deadline_clear(&waiting->deadline);
}

/* What is waited for comes once, and what is there then decides: `state` says that it was waited,
 * and is cleared by whoever asks. */
static bool still_waits(struct policy_request *request)
{
    struct jwt_waiting *waiting = request->state;

    if (waiting == NULL)
        return false;
    if (!key_wait_is_over(&waiting->keys) &&
        !deadline_passed(request->env->loop, &waiting->deadline))
        return true;
    cancel(request);
    return false;
}

static enum io decide(const struct jwt_auth *auth, struct policy_request *request,
                      struct slice token)
{
    struct slice *values =
        arena_alloc(request->arena, (auth->rules.copy_count + 1) * sizeof(*values));
    bool has_keys;
    enum jwt_fault fault = judge(auth, request, token, values, &has_keys);

    if (fault == JWT_UNKNOWN_KEY && source_is_url(auth->keys)) {
        if (wait_for_keys(auth, request))
            return IO_WAIT;
        /* Newer ones may have come between the two looks. */
        fault = judge(auth, request, token, values, &has_keys);
    }
    if (fault == JWT_GOOD)
        return let_pass(auth, request, values);
    return has_keys || fault != JWT_UNKNOWN_KEY ? refuse(request, true, jwt_fault_text(fault))
                                                : fail_without_keys(request);
}

static enum io ask(const struct policy *policy, struct policy_request *request)
{
    const struct jwt_auth *auth = container_of(policy, struct jwt_auth, policy);
    struct slice token;

    if (still_waits(request))
        return IO_WAIT;
    switch (bearer_find(&request->head->fields, auth->cookie, &token)) {
    case BEARER_NONE: return refuse(request, false, "it has no token");
    case BEARER_BAD: return refuse(request, true, "its Authorization has not one token");
    case BEARER_FOUND: break;
    }
    return decide(auth, request, token);
}

/* --- life --------------------------------------------------------------------------------------
 */

static struct slice words(const struct policy *policy, struct arena *arena)
{
    const struct jwt_auth *auth = container_of(policy, struct jwt_auth, policy);
    const struct jwt_rules *rules = &auth->rules;
    struct slice keys = key_url_told(auth->keys_text), copy;
    struct buffer text = {0};

    buffer_printf(&text, "jwt, keys of %.*s%s", (int)keys.len, keys.at,
                  keys.len < auth->keys_text.len ? "?…" : "");
    if (rules->issuer.len > 0)
        buffer_printf(&text, ", issuer %.*s", (int)rules->issuer.len, rules->issuer.at);
    for (unsigned i = 0; i < rules->audience_count; i++)
        buffer_printf(&text, "%s%.*s", i == 0 ? ", audience " : " or ",
                      (int)rules->audiences[i].len, rules->audiences[i].at);
    bool is_whole = auth->leeway_ms % 1000 == 0;
    buffer_printf(&text, ", leeway %llu%s",
                  (unsigned long long)(is_whole ? auth->leeway_ms / 1000 : auth->leeway_ms),
                  is_whole ? "s" : "ms");
    for (unsigned i = 0; i < rules->copy_count; i++)
        buffer_printf(&text, ", %.*s to %.*s", (int)rules->copies[i].claim.len,
                      rules->copies[i].claim.at, (int)rules->copies[i].field.len,
                      rules->copies[i].field.at);
    if (auth->cookie.len > 0)
        buffer_printf(&text, ", or from the cookie %.*s", (int)auth->cookie.len, auth->cookie.at);
    copy = arena_copy(arena, buffer_content(&text));
    buffer_clear(&text);
    return copy;
}

static const struct policy_ops jwt_ops = {
    .ask = ask,
    .cancel = cancel,
    .words = words,
};

struct jwt_auth *jwt_auth_new(void)
{
    return policy_new(&jwt_ops, sizeof(struct jwt_auth));
}
