#include "http/h2_internal.h"

/* Whose turn it is to take more of a response from a backend, where there is not room for all.
 * nghttp2 puts what was taken into frames by the same priorities (RFC 9218), but sees that alone.
 */

/* Of one response before others that are as urgent. Those that are short leave one after the other;
 * a long one holds nobody up for as long as it lasts. */
enum { TURN_BYTES = 64 * 1024 };

/* How much more its client would take on this stream. */
static int64_t own_room(const struct h2_stream *s)
{
    return nghttp2_session_get_stream_remote_window_size(s->connection->session, s->id) -
           (int64_t)buffer_length(&s->out);
}

/* One that is more urgent has more to send than it has room for: all of it is that one's. */
static bool gives_way(const struct h2_stream *s)
{
    list_each (&s->connection->starved, node) {
        const struct h2_stream *other = container_of(node, struct h2_stream, starved);

        if (other->priority.urgency >= s->priority.urgency)
            return false;
        if (other->is_known && own_room(other) > 0)
            return true;
    }
    return false;
}

size_t h2_stream_room(const struct h2_stream *s)
{
    const struct h2_connection *c = s->connection;
    int64_t most = c->held < H2_CONNECTION_HOLD ? H2_STREAM_HOLD_MAX : H2_STREAM_HOLD;
    int64_t own, room;

    if (!s->is_known)
        return SIZE_MAX; /* to be told so */
    own = own_room(s);
    room = nghttp2_session_get_remote_window_size(c->session) - (int64_t)c->held;
    if (own < room)
        room = own;
    if (most - (int64_t)buffer_length(&s->out) < room)
        room = most - (int64_t)buffer_length(&s->out);
    return room > 0 && !gives_way(s) ? (size_t)room : 0;
}

static bool goes_before(const struct h2_stream *s, const struct h2_stream *other)
{
    if (s->priority.urgency != other->priority.urgency)
        return s->priority.urgency < other->priority.urgency;
    return s->turn < other->turn;
}

/* Few are there, and most go to the end. */
static void take_place(struct h2_stream *s)
{
    struct list *starved = &s->connection->starved;
    struct list_node *at = &starved->head;

    while (at->previous != &starved->head &&
           goes_before(s, container_of(at->previous, struct h2_stream, starved)))
        at = at->previous;
    list_insert_before(at, &s->starved);
}

void h2_stream_starve(struct h2_stream *s)
{
    h2_wake(s->connection);
    if (list_has(&s->starved))
        return;
    if (s->turn == 0 || s->http.bytes_written >= s->turn_ends) {
        s->turn = ++s->connection->turns;
        s->turn_ends = s->http.bytes_written + (s->priority.incremental ? 1 : TURN_BYTES);
    }
    take_place(s);
}

/* Who is less urgent is looked at again when those who are woken have taken what they want. */
void h2_wake_starved(struct h2_connection *c)
{
    const struct h2_stream *first = NULL;

    list_each (&c->starved, node) {
        struct h2_stream *s = container_of(node, struct h2_stream, starved);

        if (first && s->priority.urgency > first->priority.urgency) {
            h2_wake(c);
            return;
        }
        if (h2_stream_room(s) == 0)
            continue;
        list_remove(node);
        h2_stream_wake(s);
        if (!first)
            first = s;
    }
}

/* What it leaves out is as usual (RFC 9218 section 7). */
void h2_stream_take_priority(struct h2_stream *s, struct slice value)
{
    struct h2_priority said = h2_priority_usual;

    if (s->backend_said_priority || !h2_priority_read(value, &said))
        return;
    s->priority = said;
    if (!list_has(&s->starved))
        return;
    list_remove(&s->starved);
    take_place(s);
}

bool h2_stream_waits_for_others(struct http_stream *http)
{
    struct h2_stream *s = h2_stream_of(http);
    bool have_moved = s->connection->went != s->others_went;

    s->others_went = s->connection->went;
    return have_moved && s->is_known &&
           nghttp2_session_get_stream_remote_window_size(s->connection->session, s->id) > 0;
}
