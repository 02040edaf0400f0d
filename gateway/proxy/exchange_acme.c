/* ACME HTTP-01 (RFC 8555 section 8.3): the files that a client of a certificate authority leaves in
 * a webroot, answered before anything else on plaintext listeners that have one. */
#include "config/acme.h"
#include "proxy/exchange_state.h"

const char *exchange_acme_webroot(const struct exchange *x)
{
    struct slice token;

    if (x->client->is_tls || !acme_is_challenge(x->request.path, &token))
        return NULL;
    const struct listen_spec *listen = x->env->listen_spec(x->env->worker, x->client->listener);
    return listen != NULL ? listen->acme_webroot : NULL;
}

enum step exchange_ask_acme(struct exchange *x, const char *webroot)
{
    struct slice token, path;

    acme_is_challenge(x->request.path, &token);
    if ((x->request.method != METHOD_GET && x->request.method != METHOD_HEAD) || token.len == 0)
        return exchange_fail(x, REASON_NO_ROUTE);
    path = arena_printf(&x->arena, "%s%s%.*s", webroot, ACME_FOLDER, (int)token.len, token.at);
    x->file = small_file_start(x->env->files, x->env->loop, path, &x->task);
    if (x->file == NULL)
        return exchange_fail(x, REASON_OVER_LIMIT);
    exchange_enter(x, AWAIT_FILE);
    return STEP_AGAIN;
}

enum step exchange_await_file(struct exchange *x)
{
    struct slice content;

    switch (small_file_answer(x->file, &content)) {
    case IO_OK:
        own_answer_file(x->env, &x->arena, content, x->facts.request_id, &x->answer);
        return exchange_answer(x);
    case IO_WAIT: exchange_await(x, WAIT_FILE, x->globals->body_idle_ms); return STEP_WAIT;
    case IO_EOF: return exchange_fail(x, REASON_NO_ROUTE);
    default: return exchange_fail(x, REASON_OVER_LIMIT);
    }
}

void exchange_release_file(struct exchange *x)
{
    if (x->file != NULL)
        small_file_end(x->file);
    x->file = NULL;
}
