/* ACME HTTP-01 (RFC 8555 section 8.3): the files that a client of a certificate authority leaves in
 * a webroot, answered before anything else on plaintext listeners that have one. */
#include "proxy/exchange_state.h"

enum { TOKEN_MAX = 255 }; /* as long as a file's name can be */

static const char folder[] = "/.well-known/acme-challenge/";

/* The alphabet of base64url, RFC 8555 section 8.3: no name made of it leads out of the folder. */
static bool is_token(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_'))
            return false;
    }
    return name.len > 0 && name.len <= TOKEN_MAX;
}

const char *exchange_acme_webroot(const struct exchange *x)
{
    if (x->client->is_tls || !slice_starts_with(x->request.path, slice_of(folder)))
        return NULL;
    return x->env->acme_webroot(x->env->worker, x->client->listener);
}

enum step exchange_ask_acme(struct exchange *x, const char *webroot)
{
    struct slice token = slice_skip(x->request.path, sizeof(folder) - 1);
    struct slice path;

    if ((x->request.method != METHOD_GET && x->request.method != METHOD_HEAD) || !is_token(token))
        return exchange_fail(x, REASON_NO_ROUTE);
    path = arena_printf(&x->arena, "%s%s%.*s", webroot, folder, (int)token.len, token.at);
    x->file = small_file_start(x->env->files, x->env->loop, path, &x->task);
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
