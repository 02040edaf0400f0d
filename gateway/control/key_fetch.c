#include "control/key_fetch.h"

#include "base/check.h"
#include "http/h1_connection.h"
#include "net/descriptors.h"
#include "net/dialer.h"
#include "net/tcp_stream.h"
#include "policy/jwk_set.h"
#include "policy/key_url.h"

#include <stdio.h>
#include <stdlib.h>

enum key_fetch_state {
    KEY_FETCH_LOOKING_UP,
    KEY_FETCH_DIALLING,
    KEY_FETCH_CONNECTING,
    KEY_FETCH_ASKING,
    KEY_FETCH_AWAITING_HEAD,
    KEY_FETCH_READING_BODY,
    KEY_FETCH_ENDED,
};

struct key_fetch {
    struct loop *loop;
    struct task *task; /* the asker's: woken by everything here */
    struct key_url url;
    enum key_fetch_state state;
    struct deadline deadline;
    struct lookup *lookup;
    struct address addresses[RESOLVER_ADDRESSES_MAX];
    unsigned address_count;
    struct dial *dial;
    struct stream *stream;
    struct h1_connection *http;
    struct http_stream *request;
    struct arena arena; /* of the answer's heads */
    struct buffer body;
    struct key_answer answer;
    char why[160];
};

static const struct h1_limits limits = {
    .head_bytes = 64 * 1024, .fields = 200, .request_line = 16 * 1024, .underscores = true};

/* The one writer of the state. */
static void enter(struct key_fetch *f, enum key_fetch_state state)
{
    f->state = state;
}

/* The one way out; nothing stays open while the asker takes its time. NULL: it is good. */
static void end_with(struct key_fetch *f, const char *why)
{
    if (why != NULL && why != f->why) /* it may be the look-up's */
        snprintf(f->why, sizeof(f->why), "%s", why);
    enter(f, KEY_FETCH_ENDED);
    deadline_clear(&f->deadline);
    if (f->lookup != NULL)
        lookup_end(f->lookup);
    if (f->dial != NULL)
        dial_end(f->dial);
    if (f->request != NULL)
        f->request->ops->end(f->request, HTTP_END_ABORT);
    h1_connection_free(f->http);
    if (f->stream != NULL)
        stream_close(f->stream);
    f->lookup = NULL;
    f->dial = NULL;
    f->request = NULL;
    f->http = NULL;
    f->stream = NULL;
    arena_clear(&f->arena);
    if (why != NULL)
        buffer_clear(&f->body);
    f->answer.why = why != NULL ? f->why : NULL;
    f->answer.bytes = buffer_content(&f->body);
}

/* --- connecting ----------------------------------------------------------------------------- */

static void look_up(struct key_fetch *f)
{
    struct lookup_answer answer;

    if (lookup_answer(f->lookup, &answer) == IO_WAIT)
        return;
    if (answer.outcome != LOOKUP_FOUND) {
        end_with(f, answer.reason);
        return;
    }
    for (unsigned i = 0; i < answer.count; i++)
        f->addresses[f->address_count++] = answer.addresses[i];
    lookup_end(f->lookup);
    f->lookup = NULL;
    enter(f, KEY_FETCH_DIALLING);
}

static void dial(struct key_fetch *f)
{
    f->dial =
        dial_start(f->loop, f->addresses, (int)f->address_count, KEY_FETCH_TIMEOUT_MS, f->task);
    if (f->dial == NULL)
        end_with(f, "there is no memory");
    else
        enter(f, KEY_FETCH_CONNECTING);
}

static void connect_to_server(struct key_fetch *f)
{
    enum dial_failure failure = DIAL_REFUSED;
    enum io io = dial_answer(f->dial, &f->stream, &failure);

    if (io == IO_OK)
        enter(f, KEY_FETCH_ASKING);
    else if (io == IO_ERROR)
        end_with(f, failure == DIAL_NO_FDS    ? "too many files are open"
                    : failure == DIAL_TIMEOUT ? "it cannot be connected to in time"
                                              : "it cannot be connected to");
}

/* --- asking --------------------------------------------------------------------------------- */

static enum io write_request(struct key_fetch *f)
{
    struct http_field fields[] = {
        {.name = slice_of("User-Agent"), .value = slice_of("sallyport")},
        {.name = slice_of("Accept"),
         .value = slice_of("application/jwk-set+json, application/json")},
        {.name = slice_of("Connection"), .value = slice_of("close")},
    };
    const struct http_head head = {
        .method = METHOD_GET,
        .method_text = slice_of("GET"),
        .authority = slice_of(f->url.endpoint.host),
        .path = f->url.path,
        .query = f->url.query,
        .fields = {.list = fields, .count = sizeof(fields) / sizeof(fields[0])},
        .framing = BODY_NONE,
    };

    return f->request->ops->write_head(f->request, &head);
}

static void ask(struct key_fetch *f)
{
    f->http = h1_connection_new(f->stream, H1_TO_BACKEND, &limits);
    if (f->http == NULL) {
        end_with(f, "there is no memory");
        return;
    }
    f->request = h1_connection_begin(f->http, f->task);
    if (write_request(f) == IO_OK)
        enter(f, KEY_FETCH_AWAITING_HEAD);
    else
        end_with(f, "it cannot be asked");
}

/* --- the answer ----------------------------------------------------------------------------- */

static void end_without_answer(struct key_fetch *f)
{
    switch (f->request->reason) {
    case REASON_OVER_LIMIT: end_with(f, "there is no memory"); break;
    case REASON_BACKEND_BAD_RESPONSE: end_with(f, "its answer is no proper HTTP"); break;
    default: end_with(f, "it closed the connection before its answer was whole"); break;
    }
}

/* Cache-Control: max-age=N (RFC 9111 section 5.2.2.1). */
static void note_max_age(struct key_fetch *f, const struct http_head *head)
{
    static const struct slice name = {"max-age=", 8};
    struct slice list, each;

    for (uint32_t i = 0; i < head->fields.count; i++) {
        if (!slice_equal_nocase(head->fields.list[i].name, slice_of("Cache-Control")))
            continue;
        list = head->fields.list[i].value;
        while (slice_next_in_list(&list, &each))
            if (each.len > name.len && slice_equal_nocase(slice_make(each.at, name.len), name) &&
                slice_parse_u64(slice_skip(each, name.len), &f->answer.max_age_s))
                f->answer.has_max_age = true;
    }
}

static void judge_head(struct key_fetch *f, const struct http_head *head)
{
    if (head->status < 200 && head->status != 101) /* of which the connection takes a few */
        return;
    if (head->status != 200) {
        snprintf(f->why, sizeof(f->why), "it answers with the status %d, not 200", head->status);
        end_with(f, f->why);
    } else if (head->has_content_length && head->content_length > JWK_SET_BYTES_MOST) {
        end_with(f, "its answer is larger than 1 MiB");
    } else {
        note_max_age(f, head);
        enter(f, KEY_FETCH_READING_BODY);
    }
}

static enum io await_head(struct key_fetch *f)
{
    struct http_head head;
    enum io sent = f->request->ops->flush(f->request);
    enum io io = f->request->ops->read_head(f->request, &f->arena, &head);

    if (io == IO_OK)
        judge_head(f, &head);
    else if (io == IO_EOF || (io == IO_WAIT && sent == IO_ERROR))
        end_with(f, "it closed the connection without an answer");
    else if (io == IO_ERROR)
        end_without_answer(f);
    return io;
}

static enum io read_body(struct key_fetch *f)
{
    struct slice piece;
    enum io io = f->request->ops->read_body(f->request, &piece);

    if (io == IO_EOF)
        end_with(f, NULL);
    else if (io == IO_ERROR)
        end_without_answer(f);
    if (io != IO_OK)
        return io;
    if (buffer_length(&f->body) + piece.len > JWK_SET_BYTES_MOST)
        end_with(f, "its answer is larger than 1 MiB");
    else if (!buffer_append(&f->body, piece))
        end_with(f, "there is no memory");
    else
        f->request->ops->consume_body(f->request, piece.len);
    return IO_OK;
}

/* --- life ----------------------------------------------------------------------------------- */

/* False when it can only wait. */
static bool take_step(struct key_fetch *f)
{
    switch (f->state) {
    case KEY_FETCH_LOOKING_UP: look_up(f); return f->state != KEY_FETCH_LOOKING_UP;
    case KEY_FETCH_DIALLING: dial(f); return true;
    case KEY_FETCH_CONNECTING: connect_to_server(f); return f->state != KEY_FETCH_CONNECTING;
    case KEY_FETCH_ASKING: ask(f); return true;
    case KEY_FETCH_AWAITING_HEAD: return await_head(f) != IO_WAIT;
    case KEY_FETCH_READING_BODY: return read_body(f) != IO_WAIT;
    case KEY_FETCH_ENDED: return false;
    }
    return false;
}

struct key_fetch *key_fetch_start(struct loop *loop, struct resolver *resolver, const char *url,
                                  struct task *task)
{
    struct key_fetch *f = memory_new(sizeof(*f));
    bool is_url = key_url_parse(slice_of(url), &f->url, NULL);

    assert(is_url);
    f->loop = loop;
    f->task = task;
    deadline_init(&f->deadline, task);
    deadline_set(loop, &f->deadline, KEY_FETCH_TIMEOUT_MS);
    if (f->url.endpoint.kind == ENDPOINT_IP) {
        f->addresses[f->address_count++] = f->url.endpoint.address;
        enter(f, KEY_FETCH_DIALLING);
    } else {
        f->lookup = lookup_start(resolver, f->url.endpoint.name, f->url.endpoint.port, task);
        enter(f, KEY_FETCH_LOOKING_UP);
    }
    loop_wake(loop, task);
    return f;
}

enum io key_fetch_answer(struct key_fetch *f, struct key_answer *answer)
{
    while (take_step(f))
        ;
    if (f->state != KEY_FETCH_ENDED && deadline_passed(f->loop, &f->deadline))
        end_with(f, f->state == KEY_FETCH_LOOKING_UP   ? "its name cannot be looked up in time"
                    : f->state == KEY_FETCH_CONNECTING ? "it cannot be connected to in time"
                                                       : "its answer did not come in time");
    *answer = f->answer;
    return f->state == KEY_FETCH_ENDED ? IO_OK : IO_WAIT;
}

void key_fetch_end(struct key_fetch *f)
{
    if (f == NULL)
        return;
    if (f->state != KEY_FETCH_ENDED)
        end_with(f, "it was given up");
    buffer_clear(&f->body);
    free(f);
}

/* --- when to fetch again ------------------------------------------------------------------- */

uint64_t key_fetch_good_for_ms(const struct key_answer *answer)
{
    uint64_t most_s = KEYS_FETCHED_MOST_MS / 1000, least_s = KEYS_FETCHED_LEAST_MS / 1000;

    if (!answer->has_max_age)
        return KEYS_FETCHED_EVERY_MS;
    if (answer->max_age_s > most_s)
        return KEYS_FETCHED_MOST_MS;
    return (answer->max_age_s < least_s ? least_s : answer->max_age_s) * 1000;
}

uint64_t key_fetch_retry_ms(unsigned failures)
{
    uint64_t after_ms = KEYS_RETRY_LEAST_MS;

    while (--failures > 0 && after_ms < KEYS_RETRY_MOST_MS)
        after_ms *= 2;
    return after_ms < KEYS_RETRY_MOST_MS ? after_ms : KEYS_RETRY_MOST_MS;
}
