#include "policy/basic_auth.h"

#include "base/base64.h"
#include "policy/password_checks.h"
#include "policy/users.h"

#include <ctype.h>

/* What a request that waits for its password to be verified keeps. */
struct basic_wait {
    struct password_wait wait;
    struct slice name;
};

/* --- what the client says ----------------------------------------------------------------------
 */

static bool has_controls(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] < 0x20 || text.at[i] == 0x7f)
            return true;
    return false;
}

bool basic_auth_parse(struct slice value, uint8_t room[BASIC_ROOM], struct slice *name,
                      struct slice *password)
{
    struct slice scheme = slice_of("Basic");
    size_t count;

    if (value.len <= scheme.len || value.at[scheme.len] != ' ' ||
        !slice_equal_nocase(slice_make(value.at, scheme.len), scheme))
        return false;
    value = slice_skip(value, scheme.len);
    while (value.len > 0 && value.at[0] == ' ')
        value = slice_skip(value, 1);
    if (BASE64_ROOM(value.len) > BASIC_ROOM || !base64_read(value, room, &count))
        return false;
    struct slice said = slice_make((const char *)room, count);
    ptrdiff_t colon = slice_find(said, ':');
    if (colon < 0 || has_controls(said))
        return false;
    *name = slice_make(said.at, (size_t)colon);
    *password = slice_skip(said, (size_t)colon + 1);
    return true;
}

/* The only one of its name: of two, backends may take the other. Empty: there is none. */
static struct slice authorization_of(const struct http_fields *fields)
{
    struct slice found = {0};
    unsigned count = 0;

    for (uint32_t i = 0; i < fields->count; i++) {
        if (!slice_equal_nocase(fields->list[i].name, slice_of("Authorization")))
            continue;
        found = fields->list[i].value;
        count++;
    }
    return count == 1 ? found : (struct slice){0};
}

/* --- what comes of it --------------------------------------------------------------------------
 */

static void add_field(struct policy_request *request, struct http_fields *fields, const char *name,
                      struct slice value)
{
    http_fields_add(fields, request->arena, slice_of(name), value);
}

static enum io challenge(const struct basic_auth *auth, struct policy_request *request)
{
    request->outcome = OUTCOME_REFUSED;
    request->reason = REASON_UNAUTHORIZED;
    add_field(request, &request->refusal_fields, "WWW-Authenticate", auth->challenge);
    return IO_ERROR;
}

/* Too many passwords are being verified, of this client or of all. */
static enum io put_off(struct policy_request *request)
{
    request->outcome = OUTCOME_REFUSED;
    request->reason = REASON_RATE_LIMITED;
    add_field(request, &request->refusal_fields, "Retry-After", slice_of("1"));
    return IO_ERROR;
}

static enum io fail(struct policy_request *request)
{
    request->outcome = OUTCOME_FAILED;
    request->reason = REASON_AUTH_UNAVAILABLE;
    return IO_ERROR;
}

static enum io let_pass(const struct basic_auth *auth, struct policy_request *request,
                        struct slice name)
{
    request->outcome = OUTCOME_ALLOWED;
    request->is_authorized = true;
    if (auth->copy.len > 0)
        http_fields_add(&request->request_fields, request->arena, auth->copy, name);
    return IO_OK;
}

static enum io follow(const struct basic_auth *auth, struct policy_request *request,
                      enum password_verdict verdict, struct slice name)
{
    switch (verdict) {
    case PASSWORD_GOOD: return let_pass(auth, request, name);
    case PASSWORD_BAD: return challenge(auth, request);
    case PASSWORD_WAITS: return IO_WAIT;
    case PASSWORD_BUSY: break;
    }
    return put_off(request);
}

/* --- asking ------------------------------------------------------------------------------------
 */

static enum io look_again(const struct basic_auth *auth, struct policy_request *request)
{
    struct basic_wait *wait = request->state;
    enum password_verdict verdict = password_wait_verdict(&wait->wait);

    if (verdict != PASSWORD_WAITS)
        password_wait_end(&wait->wait);
    return follow(auth, request, verdict, wait->name);
}

static enum io verify(const struct basic_auth *auth, struct policy_request *request,
                      const struct users *users, struct slice name, struct slice password)
{
    const char *hash = users_hash(users, name);
    const struct password_claim claim = {
        .name = name, .password = password, .hash = hash != NULL ? hash : users_dummy(users)};
    const struct password_asker asker = {.client_ip = request->client_ip,
                                         .bell = request->env->bell,
                                         .task = request->task,
                                         .now_ms = loop_now_ms(request->env->loop)};
    struct basic_wait *wait = arena_alloc(request->arena, sizeof(*wait));
    enum password_verdict verdict =
        password_check(request->env->passwords, &claim, hash != NULL, &asker, &wait->wait);

    wait->name = arena_copy(request->arena, name);
    if (verdict == PASSWORD_WAITS)
        request->state = wait;
    return follow(auth, request, verdict, wait->name);
}

static enum io ask(const struct policy *policy, struct policy_request *request)
{
    const struct basic_auth *auth = (const struct basic_auth *)policy;
    struct slice name, password;
    uint8_t room[BASIC_ROOM];
    enum io io;

    if (request->state != NULL)
        return look_again(auth, request);
    struct source_content *content = source_take(auth->users);
    if (content == NULL)
        io = fail(request);
    else if (basic_auth_parse(authorization_of(&request->head->fields), room, &name, &password))
        io = verify(auth, request, (const struct users *)content, name, password);
    else
        io = challenge(auth, request);
    explicit_bzero(room, sizeof(room));
    source_content_unref(content);
    return io;
}

static void cancel(struct policy_request *request)
{
    password_wait_end(&((struct basic_wait *)request->state)->wait);
}

/* --- the policy --------------------------------------------------------------------------------
 */

static struct slice words(const struct policy *policy, struct arena *arena)
{
    const struct basic_auth *auth = (const struct basic_auth *)policy;

    return arena_printf(arena, "basic %.*s, realm \"%.*s\"%s%.*s", (int)auth->users_text.len,
                        auth->users_text.at, (int)auth->realm.len, auth->realm.at,
                        auth->copy.len > 0 ? ", name in " : "", (int)auth->copy.len, auth->copy.at);
}

static const struct policy_ops ops = {.ask = ask, .cancel = cancel, .words = words};

struct basic_auth *basic_auth_new(void)
{
    return policy_new(&ops, sizeof(struct basic_auth));
}

/* A quoted-string (RFC 9110 section 5.6.4). */
void basic_auth_set_realm(struct basic_auth *auth, struct slice realm)
{
    struct arena *arena = &auth->policy.arena;
    char *quoted = arena_bytes(arena, 2 * realm.len + 1);
    size_t at = 0;

    for (size_t i = 0; i < realm.len; i++) {
        if (realm.at[i] == '"' || realm.at[i] == '\\')
            quoted[at++] = '\\';
        quoted[at++] = realm.at[i];
    }
    auth->realm = arena_copy(arena, realm);
    auth->challenge =
        arena_printf(arena, "Basic realm=\"%.*s\", charset=\"UTF-8\"", (int)at, quoted);
}
