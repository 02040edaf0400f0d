#include "http/h2_internal.h"

#include <stdlib.h>

enum {
    RECEIVES_A_RUN = 4, /* before others have their turn */
    SENDS_A_RUN = 8,
    FRAMES_UNSENT_MOST = 100,   /* to a client that goes on asking without reading */
    SECTIONS_MOST = 256 * 1024, /* bytes, before those that are whole are taken */
    LINGER_BYTES = 64 * 1024,
    FRAME_BYTES = 16 * 1024,       /* what a frame may have */
    FRAGMENTS_TO_SPARE = 8,        /* beyond those that the largest head fills */
    FIELDS_TO_SPARE = 8,           /* for those that are added on the way */
    ROOM_TO_UNDERSTAND = 2 * 1024, /* beside as many bytes as there are: see http/h2_semantics.h */
};

/* --- beginning and end ---------------------------------------------------------------------- */

static bool greet(struct h2_connection *c)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_MAX},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, c->limits->head_bytes},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };

    return nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings,
                                   sizeof(settings) / sizeof(settings[0])) == 0 &&
           nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
                                                 H2_CONNECTION_WINDOW) == 0;
}

static void free_all(struct list *streams)
{
    while (!list_is_empty(streams))
        h2_stream_free(container_of(list_first(streams), struct h2_stream, place));
}

void h2_connection_free(struct h2_connection *c)
{
    if (!c)
        return;
    assert(list_is_empty(&c->streams));
    free_all(&c->opening);
    free_all(&c->arrivals);
    nghttp2_session_del(c->session);
    buffer_clear(&c->in);
    buffer_clear(&c->out);
    buffer_clear(&c->sections);
    free(c);
}

struct h2_connection *h2_connection_new(struct loop *loop, struct stream *stream, struct task *task,
                                        const struct h1_limits *limits)
{
    struct h2_connection *c = memory_try(sizeof(*c));

    if (!c)
        return NULL;
    c->loop = loop;
    c->stream = stream;
    c->task = task;
    c->limits = limits;
    list_init(&c->opening);
    list_init(&c->arrivals);
    list_init(&c->streams);
    list_init(&c->starved);
    list_init(&c->leaving);
    h2_budget_init(&c->budget, loop_now_ms(loop));
    c->session = h2_session_new(c);
    if (c->session && greet(c) && !c->is_short)
        return c;
    h2_connection_free(c);
    return NULL;
}

void h2_fail(struct h2_connection *c, uint32_t error, const char *problem)
{
    if (c->is_failing)
        return;
    c->is_failing = true;
    c->problem = problem;
    nghttp2_session_terminate_session(c->session, error);
}

void h2_connection_fail(struct h2_connection *c, const char *problem)
{
    h2_fail(c, NGHTTP2_ENHANCE_YOUR_CALM, problem);
    h2_wake(c);
}

/* Which stream was the last: what comes behind it is not served. Of the last of all there is none
 * behind it, and its GOAWAY looks as the first one does. */
static void name_last_stream(struct h2_connection *c)
{
    int32_t last = nghttp2_session_get_last_proc_stream_id(c->session);
    int error =
        nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0);

    c->owes_goaway = error == 0 && last != INT32_MAX;
}

void h2_connection_drain(struct h2_connection *c)
{
    switch (c->drain) {
    case H2_DRAIN_NOT:
        c->drain = H2_DRAIN_NOTICED;
        nghttp2_submit_shutdown_notice(c->session);
        break;
    case H2_DRAIN_NOTICED:
        c->drain = H2_DRAIN_DONE;
        name_last_stream(c);
        break;
    case H2_DRAIN_DONE: return;
    }
    h2_wake(c);
}

bool h2_connection_is_draining(const struct h2_connection *c)
{
    return c->drain != H2_DRAIN_NOT;
}

const char *h2_connection_problem(const struct h2_connection *c)
{
    return c->problem;
}

/* --- receiving ------------------------------------------------------------------------------ */

/* Bounds of nghttp2's own. */
static bool is_of_flood(ssize_t outcome)
{
    return outcome == NGHTTP2_ERR_FLOODED || outcome == NGHTTP2_ERR_TOO_MANY_SETTINGS ||
           outcome == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS;
}

static void note_outcome(struct h2_connection *c, ssize_t outcome)
{
    if (c->is_spent || is_of_flood(outcome))
        h2_fail(c, NGHTTP2_ENHANCE_YOUR_CALM, "ENHANCE_YOUR_CALM");
    else if (c->violation != 0)
        h2_fail(c, c->violation, nghttp2_http2_strerror(c->violation));
    else if (outcome == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
        h2_fail(c, NGHTTP2_PROTOCOL_ERROR, "PROTOCOL_ERROR");
    else if (outcome == NGHTTP2_ERR_NOMEM)
        c->is_broken = true;
    else if (outcome < 0)
        h2_fail(c, NGHTTP2_INTERNAL_ERROR, "INTERNAL_ERROR");
}

static void give_to_nghttp2(struct h2_connection *c)
{
    struct slice bytes = buffer_content(&c->in);

    h2_count_queued(c);
    c->meter.fragments_most = c->limits->head_bytes / FRAME_BYTES + FRAGMENTS_TO_SPARE;
    if (!h2_meter_note(&c->meter, bytes, &c->budget, loop_now_ms(c->loop)))
        c->is_spent = true;
    else
        note_outcome(c, nghttp2_session_mem_recv(c->session, (const uint8_t *)bytes.at, bytes.len));
    buffer_consume(&c->in, bytes.len);
    if (!c->meter.is_in_block)
        h2_block_is_over(c); /* of what has ended meanwhile nghttp2 does not say so */
    if (c->is_spent)
        note_outcome(c, 0);
    /* Not before all that came with the answer has been looked at: requests among them count. */
    if (c->ping_was_answered && c->drain == H2_DRAIN_NOTICED)
        h2_connection_drain(c);
}

/* Heads lie one behind the other, and their room is there again when none waits: who sends them
 * faster than they are taken must not have them lie there without end. */
static bool is_full_of_sections(const struct h2_connection *c)
{
    return c->sections_waiting > 0 && buffer_length(&c->sections) >= SECTIONS_MOST;
}

/* A client that makes us answer and does not read what we say is not listened to meanwhile; nor is
 * anybody while the last GOAWAY could still be crossed by what it does not count. */
static bool may_receive(const struct h2_connection *c)
{
    if (c->is_failing || c->is_broken || c->owes_goaway || is_full_of_sections(c))
        return false;
    return buffer_length(&c->out) == 0 ||
           nghttp2_session_get_outbound_queue_size(c->session) < FRAMES_UNSENT_MOST;
}

static void receive(struct h2_connection *c)
{
    size_t room = BUFFER_SMALL;

    c->left_unread = true;
    for (int i = 0; i < RECEIVES_A_RUN && may_receive(c); i++) {
        if (!buffer_reserve(&c->in, room) && !buffer_reserve(&c->in, BUFFER_SMALL)) {
            c->is_broken = true;
            return;
        }
        switch (stream_read(c->stream, &c->in)) {
        case IO_OK: break;
        case IO_WAIT:
            c->left_unread = false;
            buffer_rest(&c->in);
            return;
        default: c->is_broken = true; return;
        }
        if (buffer_room(&c->in) == 0)
            room = BUFFER_LARGE;
        give_to_nghttp2(c);
        buffer_rest(&c->in);
    }
}

/* --- sending -------------------------------------------------------------------------------- */

/* Asks for frames until enough wait for the stream. */
static void make_frames(struct h2_connection *c)
{
    while (buffer_length(&c->out) < H2_OUT_FULL) {
        const uint8_t *frame;
        ssize_t bytes = nghttp2_session_mem_send(c->session, &frame);

        if (bytes == 0)
            return;
        if (bytes < 0 || !buffer_append(&c->out, slice_make((const char *)frame, (size_t)bytes))) {
            c->is_broken = true;
            return;
        }
        c->framed += (size_t)bytes;
    }
}

/* False: nothing more can be done now. */
static bool send_out(struct h2_connection *c)
{
    size_t taken = 0;
    enum io io = stream_write(c->stream, buffer_content(&c->out), &taken);

    buffer_consume(&c->out, taken);
    c->taken += taken;
    if (io == IO_ERROR || io == IO_EOF)
        c->is_broken = true;
    return io == IO_OK;
}

void h2_send_frames(struct h2_connection *c)
{
    bool goes_on = true;

    for (int i = 0; i < SENDS_A_RUN && goes_on && !c->is_broken; i++) {
        make_frames(c);
        goes_on = buffer_length(&c->out) > 0 && send_out(c);
    }
    if (!c->is_broken && stream_flush(c->stream) == IO_ERROR)
        c->is_broken = true;
    buffer_rest(&c->out);
    if (goes_on)
        h2_wake(c); /* there may be more */
}

/* --- who waits for that --------------------------------------------------------------------- */

static void wake_leaving(struct h2_connection *c)
{
    list_each (&c->leaving, node) {
        struct h2_stream *s = container_of(node, struct h2_stream, leaving);

        if (!h2_stream_has_left(s))
            continue;
        list_remove(node);
        h2_stream_wake(s);
    }
}

static enum h2_state state_of(const struct h2_connection *c)
{
    if (c->is_broken || c->is_short)
        return H2_BROKEN;
    if (c->is_failing)
        return H2_CLOSING;
    if (c->stream_count > 0)
        return H2_BUSY;
    if (c->drain == H2_DRAIN_NOTICED)
        return H2_IDLE; /* what crossed the first GOAWAY is still to come */
    if (c->drain == H2_DRAIN_DONE)
        return H2_CLOSING; /* the rest leaves while it lingers, or never, if nobody reads */
    if (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session) &&
        buffer_length(&c->out) == 0)
        return H2_CLOSING;
    return H2_IDLE;
}

enum h2_state h2_connection_run(struct h2_connection *c)
{
    c->stream->task = c->task;
    if (c->is_short)
        return H2_BROKEN;
    receive(c);
    if (!c->is_broken)
        h2_send_frames(c);
    if (c->is_spent && !c->is_failing) {
        note_outcome(c, 0);
        h2_send_frames(c);
    }
    if (c->left_unread && may_receive(c))
        h2_wake(c);
    h2_wake_starved(c);
    wake_leaving(c);
    if (c->sections_waiting == 0 && !c->is_in_block)
        buffer_clear(&c->sections);
    return state_of(c);
}

struct http_stream *h2_connection_next(struct h2_connection *c)
{
    struct h2_stream *s;

    if (list_is_empty(&c->arrivals))
        return NULL;
    s = container_of(list_first(&c->arrivals), struct h2_stream, place);
    s->is_taken = true;
    c->taken_count++;
    list_remove(&s->place);
    list_push_back(&c->streams, &s->place);
    return &s->http;
}

unsigned h2_connection_taken(const struct h2_connection *c)
{
    return c->taken_count;
}

void h2_connection_turn_away(struct http_stream *http)
{
    struct h2_stream *s = h2_stream_of(http);

    if (s->verdict == REASON_NONE)
        s->verdict = REASON_OVER_LIMIT;
}

enum h2_wait h2_connection_wait(const struct h2_connection *c)
{
    if (!c->has_begun || c->is_in_block)
        return H2_WAITS_HEAD;
    return c->drain == H2_DRAIN_NOTICED ? H2_WAITS_GOAWAY : H2_WAITS_NOTHING;
}

size_t h2_connection_held(const struct h2_connection *c)
{
    return c->is_in_block ? buffer_length(&c->sections) - c->section.at : 0;
}

/* --- lingering ------------------------------------------------------------------------------ */

static enum io end_output(struct h2_connection *c)
{
    enum io io;

    h2_send_frames(c);
    if (c->is_broken)
        return IO_ERROR;
    if (buffer_length(&c->out) > 0)
        return IO_WAIT;
    io = stream_flush(c->stream);
    return io == IO_OK ? stream_shut(c->stream) : io;
}

enum io h2_connection_linger(struct h2_connection *c)
{
    enum io written, io = IO_OK;

    c->stream->task = c->task;
    written = end_output(c);
    if (written == IO_ERROR)
        return IO_ERROR;
    while (io == IO_OK && c->lingered_bytes < LINGER_BYTES) {
        if (!buffer_reserve(&c->in, BUFFER_SMALL))
            return IO_ERROR;
        io = stream_read(c->stream, &c->in);
        c->lingered_bytes += (uint32_t)buffer_length(&c->in);
        buffer_clear(&c->in);
    }
    /* Past the limit, or with the rest of our bytes not yet gone: wait. */
    if (io == IO_OK || (io == IO_EOF && written == IO_WAIT))
        return IO_WAIT;
    return io;
}

/* --- field sections ------------------------------------------------------------------------- */

/* But for the one that is being received, which may be all that there is at any time. */
static void forget_sections(struct h2_connection *c)
{
    buffer_consume(&c->sections, c->is_in_block ? c->section.at : buffer_length(&c->sections));
    c->section.at = 0;
    buffer_rest(&c->sections);
}

void h2_section_drop(struct h2_connection *c, const struct h2_section *section)
{
    bool was_full;

    if (section->bytes == 0)
        return;
    assert(c->sections_waiting > 0);
    was_full = is_full_of_sections(c);
    c->sections_waiting--;
    if (c->sections_waiting == 0)
        forget_sections(c);
    if (was_full && !is_full_of_sections(c))
        h2_wake(c);
}

bool h2_section_take(struct h2_connection *c, const struct h2_section *section, struct arena *arena,
                     struct http_fields *fields)
{
    uint32_t capacity;
    char *copy;

    if (section->bytes == 0)
        return true;
    capacity = section->count + FIELDS_TO_SPARE;
    if (!arena_provide(arena, 2 * (size_t)section->bytes + ROOM_TO_UNDERSTAND +
                                  capacity * sizeof(*fields->list)))
        return false;
    copy = arena_bytes(arena, section->bytes);
    memcpy(copy, buffer_content(&c->sections).at + section->at, section->bytes);
    fields->capacity = capacity;
    fields->list = arena_alloc(arena, fields->capacity * sizeof(*fields->list));
    for (uint32_t i = 0; i < section->count; i++) {
        uint32_t lengths[2];
        struct slice name, value;

        memcpy(lengths, copy, sizeof(lengths));
        name = slice_make(copy + sizeof(lengths), lengths[0]);
        value = slice_make(name.at + name.len, lengths[1]);
        http_fields_add(fields, arena, name, value);
        copy += sizeof(lengths) + name.len + value.len;
    }
    return true;
}
