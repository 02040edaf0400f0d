#include "upstream/health_probe.h"

#include "base/check.h"
#include "http/h1_connection.h"
#include "net/descriptors.h"
#include "net/dialer.h"
#include "net/proxy_protocol.h"
#include "net/tcp_stream.h"

#include <stdlib.h>

enum probe_state {
    PROBE_CONNECTING,
    PROBE_GREETING, /* connected: the header, and the request if there is one, are to be sent */
    PROBE_AWAITING_HEAD,
    PROBE_READING_BODY,
    PROBE_ENDED,
};

struct health_probe {
    struct loop *loop;
    struct task *task; /* the asker's: woken by everything here */
    struct health_question question;
    enum probe_state state;
    struct deadline deadline;
    struct dial *dial;
    struct stream *stream;
    struct h1_connection *http;
    struct http_stream *request;
    struct arena arena; /* of the answer's heads */
    uint64_t body_bytes;
    struct buffer body; /* the end of what came, in which the text that is wanted may begin */
    struct health_outcome outcome;
};

static const struct h1_limits limits = {
    .head_bytes = 64 * 1024, .fields = 200, .request_line = 16 * 1024, .underscores = true};

/* The one way out; nothing stays open while the asker takes its time. */
static void end_with(struct health_probe *p, enum health_result result)
{
    p->outcome.result = result;
    p->state = PROBE_ENDED;
    deadline_clear(&p->deadline);
    if (p->dial != NULL)
        dial_end(p->dial);
    if (p->request != NULL)
        p->request->ops->end(p->request, HTTP_END_ABORT);
    h1_connection_free(p->http);
    if (p->stream != NULL)
        stream_close(p->stream);
    p->dial = NULL;
    p->request = NULL;
    p->http = NULL;
    p->stream = NULL;
    arena_clear(&p->arena);
    buffer_clear(&p->body);
}

/* --- connecting ----------------------------------------------------------------------------- */

static void connect_to_server(struct health_probe *p)
{
    enum dial_failure failure = DIAL_REFUSED;
    enum io answer = dial_answer(p->dial, &p->stream, &failure);
    /* What is left of the descriptors is for those who are served. */
    int fd = answer == IO_OK ? tcp_stream_fd(p->stream) : dial_fd(p->dial);
    if (fd >= 0 && descriptor_is_reserve(fd))
        end_with(p, HEALTH_UNDECIDED);
    else if (answer == IO_OK)
        p->state = PROBE_GREETING;
    else if (answer == IO_ERROR)
        end_with(p, failure == DIAL_NO_FDS    ? HEALTH_UNDECIDED
                    : failure == DIAL_TIMEOUT ? HEALTH_CONNECT_TIMEOUT
                                              : HEALTH_CONNECT_FAILED);
}

/* --- asking --------------------------------------------------------------------------------- */

/* A header that says: the proxy's own connection. */
static struct slice nobodys_header(char bytes[PROXY_HEADER_V2_WRITTEN_MAX])
{
    const struct proxy_header header = {.names_ends = false};
    return slice_make(bytes, proxy_header_write_v2(&header, bytes));
}

/* That it could be connected to is all there is to know. */
static void end_connected(struct health_probe *p)
{
    char bytes[PROXY_HEADER_V2_WRITTEN_MAX];
    size_t taken;
    /* Whether the server still takes it does not matter; a socket that is new has room for it. */
    if (p->question.names_clients)
        stream_write(p->stream, nobodys_header(bytes), &taken);
    end_with(p, HEALTH_GOOD);
}

static enum io write_request(struct health_probe *p)
{
    const struct health_spec *spec = p->question.spec;
    size_t path_bytes = 0;
    while (path_bytes < spec->path.len && spec->path.at[path_bytes] != '?')
        path_bytes++;
    enum http_method method = http_method_from(spec->method);
    struct http_field fields[] = {
        {.name = slice_of("User-Agent"), .value = slice_of("sallyport")},
        {.name = slice_of("Connection"), .value = slice_of("close")},
    };
    const struct http_head head = {
        .method = method,
        .method_text = spec->method,
        .authority = p->question.host,
        .path = slice_make(spec->path.at, path_bytes),
        .query = slice_skip(spec->path, path_bytes),
        .fields = {.list = fields, .count = sizeof(fields) / sizeof(fields[0])},
        .framing = BODY_NONE,
        .has_content_length =
            method == METHOD_POST || method == METHOD_PUT || method == METHOD_PATCH,
    };
    return p->request->ops->write_head(p->request, &head);
}

static void greet(struct health_probe *p)
{
    char bytes[PROXY_HEADER_V2_WRITTEN_MAX];
    if (p->question.spec->path.len == 0) {
        end_connected(p);
        return;
    }
    p->http = h1_connection_new(p->stream, H1_TO_BACKEND, &limits);
    if (p->http == NULL) {
        end_with(p, HEALTH_UNDECIDED);
        return;
    }
    p->request = h1_connection_begin(p->http, p->task);
    if (p->question.names_clients)
        h1_connection_lead(p->http, nobodys_header(bytes));
    if (write_request(p) == IO_OK)
        p->state = PROBE_AWAITING_HEAD;
    else
        end_with(p, HEALTH_UNDECIDED);
}

/* --- the answer ----------------------------------------------------------------------------- */

static void end_without_answer(struct health_probe *p)
{
    switch (p->request->reason) {
    case REASON_OVER_LIMIT: end_with(p, HEALTH_UNDECIDED); break;
    case REASON_BACKEND_BAD_RESPONSE: end_with(p, HEALTH_BAD_RESPONSE); break;
    default: end_with(p, HEALTH_CLOSED); break;
    }
}

static bool is_wanted(const struct health_spec *spec, int status)
{
    for (unsigned i = 0; i < spec->status_count; i++)
        if (status >= spec->statuses[i].least && status <= spec->statuses[i].most)
            return true;
    return false;
}

static void judge_head(struct health_probe *p, const struct http_head *head)
{
    bool is_interim = head->status < 200 && head->status != 101;
    if (is_interim) /* of which the connection takes a few */
        return;
    p->outcome.status = head->status;
    if (!is_wanted(p->question.spec, head->status))
        end_with(p, HEALTH_STATUS);
    else if (p->question.spec->body.len == 0)
        end_with(p, HEALTH_GOOD);
    else
        p->state = PROBE_READING_BODY;
}

static enum io await_head(struct health_probe *p)
{
    struct http_head head;
    enum io sent = p->request->ops->flush(p->request);
    /* A request that could not be sent may have been answered all the same. */
    enum io io = p->request->ops->read_head(p->request, &p->arena, &head);
    if (io == IO_OK)
        judge_head(p, &head);
    else if (io == IO_EOF)
        end_with(p, HEALTH_CLOSED);
    else if (io == IO_ERROR)
        end_without_answer(p);
    else if (sent == IO_ERROR)
        end_with(p, HEALTH_CLOSED);
    return io;
}

/* Takes a piece, at most up to the end of what is looked through. */
static void search(struct health_probe *p, struct slice piece)
{
    struct slice wanted = p->question.spec->body;
    size_t room = HEALTH_BODY_BYTES - p->body_bytes;
    if (piece.len > room)
        piece.len = room;
    p->body_bytes += piece.len;
    if (!buffer_append(&p->body, piece)) {
        end_with(p, HEALTH_UNDECIDED);
        return;
    }
    struct slice seen = buffer_content(&p->body);
    if (memmem(seen.at, seen.len, wanted.at, wanted.len) != NULL)
        end_with(p, HEALTH_GOOD);
    else if (p->body_bytes == HEALTH_BODY_BYTES)
        end_with(p, HEALTH_BODY);
    else if (seen.len >= wanted.len)
        buffer_consume(&p->body, seen.len - (wanted.len - 1));
}

static enum io read_body(struct health_probe *p)
{
    struct slice piece;
    enum io io = p->request->ops->read_body(p->request, &piece);
    if (io == IO_OK) {
        size_t bytes = piece.len;
        search(p, piece);
        if (p->state == PROBE_READING_BODY)
            p->request->ops->consume_body(p->request, bytes);
    } else if (io == IO_EOF) {
        end_with(p, HEALTH_BODY);
    } else if (io == IO_ERROR) {
        end_without_answer(p);
    }
    return io;
}

/* --- life ----------------------------------------------------------------------------------- */

/* False when it can only wait. */
static bool take_step(struct health_probe *p)
{
    switch (p->state) {
    case PROBE_CONNECTING: connect_to_server(p); return p->state != PROBE_CONNECTING;
    case PROBE_GREETING: greet(p); return true;
    case PROBE_AWAITING_HEAD: return await_head(p) != IO_WAIT;
    case PROBE_READING_BODY: return read_body(p) != IO_WAIT;
    case PROBE_ENDED: return false;
    }
    return false;
}

struct health_probe *health_probe_start(struct loop *loop, const struct health_question *question,
                                        struct task *task)
{
    struct health_probe *p = memory_try(sizeof(*p));
    if (p == NULL)
        return NULL;
    p->loop = loop;
    p->task = task;
    p->question = *question;
    p->dial = dial_start(loop, question->addresses, question->address_count,
                         question->spec->timeout_ms, task);
    if (p->dial == NULL) {
        free(p);
        return NULL;
    }
    deadline_init(&p->deadline, task);
    deadline_set(loop, &p->deadline, question->spec->timeout_ms);
    return p;
}

enum io health_probe_answer(struct health_probe *p, struct health_outcome *outcome)
{
    while (take_step(p))
        ;
    if (p->state != PROBE_ENDED && deadline_passed(p->loop, &p->deadline))
        end_with(p, p->state == PROBE_CONNECTING ? HEALTH_CONNECT_TIMEOUT : HEALTH_TIMEOUT);
    *outcome = p->outcome;
    return p->state == PROBE_ENDED ? IO_OK : IO_WAIT;
}

void health_probe_end(struct health_probe *p)
{
    if (p->state != PROBE_ENDED)
        end_with(p, HEALTH_UNDECIDED);
    free(p);
}
