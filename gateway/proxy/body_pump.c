#include "proxy/body_pump.h"

enum {
    PIECES_A_TURN = 16,           /* before others get the loop */
    BYTES_A_TURN = 1024 * 1024,   /* likewise, give or take a piece */
    FAST_AFTER_BYTES = 512 * 1024 /* taken without a wait; who waits again holds little again */
};

void body_pump_start(struct body_pump *pump, uint64_t limit)
{
    *pump = (struct body_pump){.state = PUMP_WAITS_READ, .limit = limit};
}

void body_pump_edit_trailers(struct body_pump *pump,
                             void (*edit)(void *owner, struct http_fields *trailers), void *owner)
{
    pump->edit_trailers = edit;
    pump->owner = owner;
}

static enum pump_state end_body(const struct body_pump *pump, struct http_stream *from,
                                struct http_stream *to)
{
    size_t taken;

    if (pump->edit_trailers != NULL && from->trailers.count > 0)
        pump->edit_trailers(pump->owner, &from->trailers);
    to->trailers_out = &from->trailers;
    switch (to->ops->write_body(to, slice_make(NULL, 0), true, &taken)) {
    case IO_OK: return PUMP_DONE;
    case IO_WAIT: return PUMP_WAITS_WRITE;
    default: return PUMP_WRITE_FAILED;
    }
}

/* PUMP_BUSY: a piece was moved and there may be more. */
static enum pump_state move_piece(struct body_pump *pump, struct http_stream *from,
                                  struct http_stream *to)
{
    struct slice piece;
    size_t taken = 0;

    from->is_fast = pump->unhindered >= FAST_AFTER_BYTES;
    switch (from->ops->read_body(from, &piece)) {
    case IO_OK: break;
    case IO_WAIT: return PUMP_WAITS_READ;
    case IO_EOF: return end_body(pump, from, to);
    default: return PUMP_READ_FAILED;
    }
    if (pump->limit != 0 && pump->moved + piece.len > pump->limit)
        return PUMP_OVER_LIMIT;
    switch (to->ops->write_body(to, piece, false, &taken)) {
    case IO_OK:
        from->ops->consume_body(from, taken);
        pump->moved += taken;
        pump->unhindered += taken;
        return PUMP_BUSY;
    case IO_WAIT: pump->unhindered = 0; return PUMP_WAITS_WRITE;
    default: return PUMP_WRITE_FAILED;
    }
}

bool body_pump_run(struct body_pump *pump, struct http_stream *from, struct http_stream *to)
{
    uint64_t before = pump->moved;
    bool was_over = pump->state != PUMP_WAITS_READ && pump->state != PUMP_WAITS_WRITE &&
                    pump->state != PUMP_BUSY;

    if (was_over)
        return false;
    for (int i = 0; i < PIECES_A_TURN && pump->moved - before < BYTES_A_TURN; i++) {
        pump->state = move_piece(pump, from, to);
        if (pump->state != PUMP_BUSY)
            break;
    }
    return pump->moved != before || pump->state == PUMP_DONE;
}
