/* proxy/body_pump: one body from side to side, between two scripted http_streams. */
#include "proxy/body_pump.h"

#include <criterion/criterion.h>

/* Gives `left` bytes in pieces of `piece`, waiting `waits` times before each; takes at most `takes`
 * bytes a call, waiting when `full`. */
struct script {
    struct http_stream stream;
    size_t left, piece, takes, got;
    int waits, waited;
    bool full, ended, breaks, ends_badly;
    const struct http_fields *trailers;
};

static char body[1 << 18];

static enum io read_body(struct http_stream *stream, struct slice *piece)
{
    struct script *s = (struct script *)stream;

    if (s->waited < s->waits) {
        s->waited++;
        return IO_WAIT;
    }
    if (s->left == 0)
        return s->ends_badly ? IO_ERROR : IO_EOF;
    *piece = slice_make(body, s->left < s->piece ? s->left : s->piece);
    return IO_OK;
}

static void consume_body(struct http_stream *stream, size_t bytes)
{
    struct script *s = (struct script *)stream;

    s->left -= bytes;
    s->waited = 0;
}

static enum io write_body(struct http_stream *stream, struct slice piece, bool last, size_t *taken)
{
    struct script *s = (struct script *)stream;

    if (s->breaks)
        return IO_ERROR;
    if (s->full)
        return IO_WAIT;
    *taken = piece.len < s->takes ? piece.len : s->takes;
    s->got += *taken;
    s->ended = last && *taken == piece.len;
    s->trailers = stream->trailers_out;
    return IO_OK;
}

static const struct http_stream_ops ops = {
    .read_body = read_body, .consume_body = consume_body, .write_body = write_body};

static struct script from, to;
static struct body_pump pump;

static void set_up(void)
{
    from = (struct script){.stream.ops = &ops, .left = 100000, .piece = 4096};
    to = (struct script){.stream.ops = &ops, .takes = 100000};
    body_pump_start(&pump, 0);
}

static int run_until_over(void)
{
    int runs = 0;

    do {
        body_pump_run(&pump, &from.stream, &to.stream);
        runs++;
    } while (pump.state == PUMP_WAITS_READ || pump.state == PUMP_BUSY);
    return runs;
}

TestSuite(body_pump, .init = set_up);

Test(body_pump, moves_all_of_it_and_its_end)
{
    run_until_over();
    cr_assert_eq(pump.state, PUMP_DONE);
    cr_assert_eq(to.got, 100000);
    cr_assert_eq(pump.moved, 100000);
    cr_assert(to.ended);
    cr_assert_eq(to.trailers, &from.stream.trailers);
}

static void drop_all(void *owner, struct http_fields *trailers)
{
    *(uint32_t *)owner = trailers->count;
    trailers->count = 0;
}

Test(body_pump, has_trailers_edited_before_they_go_on)
{
    struct http_field field = {.name = slice_of("x-user"), .value = slice_of("root")};
    uint32_t seen = 0;

    from.stream.trailers = (struct http_fields){.list = &field, .count = 1, .capacity = 1};
    body_pump_edit_trailers(&pump, drop_all, &seen);
    run_until_over();
    cr_assert_eq(pump.state, PUMP_DONE);
    cr_assert_eq(seen, 1);
    cr_assert_eq(to.trailers->count, 0);
}

Test(body_pump, waits_and_short_writes_lose_nothing)
{
    from.left = 5000;
    from.piece = 7;
    from.waits = 2;
    to.takes = 3;
    run_until_over();
    cr_assert_eq(pump.state, PUMP_DONE);
    cr_assert_eq(to.got, 5000);
}

Test(body_pump, a_turn_has_a_budget)
{
    from.left = 1000000;
    from.piece = 1000;
    body_pump_run(&pump, &from.stream, &to.stream);
    cr_assert_eq(pump.state, PUMP_BUSY);
    cr_assert_lt(pump.moved, 100000);
}

Test(body_pump, a_turn_has_a_budget_of_bytes_too)
{
    from.left = 16 << 20;
    from.piece = 200000;
    to.takes = 200000;
    body_pump_run(&pump, &from.stream, &to.stream);
    cr_assert_eq(pump.state, PUMP_BUSY);
    cr_assert_lt(pump.moved, (1 << 20) + from.piece);
}

Test(body_pump, larger_pieces_are_for_writers_that_keep_up)
{
    from.left = 10 << 20;
    from.piece = 1 << 15;
    body_pump_run(&pump, &from.stream, &to.stream);
    cr_expect_not(from.stream.is_fast, "half a MiB has to be taken first");
    body_pump_run(&pump, &from.stream, &to.stream);
    cr_expect(from.stream.is_fast);
    from.waits = 1;
    body_pump_run(&pump, &from.stream, &to.stream);
    cr_expect(from.stream.is_fast, "waiting for the reading side says nothing of the other");
    from.waits = 0;
    to.full = true;
    body_pump_run(&pump, &from.stream, &to.stream);
    cr_expect_eq(pump.state, PUMP_WAITS_WRITE);
    to.full = false;
    body_pump_run(&pump, &from.stream, &to.stream);
    cr_expect_not(from.stream.is_fast, "what was waited for once starts anew");
}

Test(body_pump, does_not_read_on_while_the_writer_is_full)
{
    to.full = true;
    cr_assert(!body_pump_run(&pump, &from.stream, &to.stream));
    cr_assert_eq(pump.state, PUMP_WAITS_WRITE);
    cr_assert_eq(from.left, 100000);
}

Test(body_pump, a_limit_stops_before_it_is_passed)
{
    body_pump_start(&pump, 10000);
    run_until_over();
    cr_assert_eq(pump.state, PUMP_OVER_LIMIT);
    cr_assert_leq(to.got, 10000);
}

Test(body_pump, a_cut_body_is_never_a_clean_end)
{
    from.ends_badly = true;
    run_until_over();
    cr_assert_eq(pump.state, PUMP_READ_FAILED);
    cr_assert(!to.ended);
    cr_assert(!body_pump_run(&pump, &from.stream, &to.stream));
}

Test(body_pump, a_broken_writer_is_told_apart)
{
    to.breaks = true;
    run_until_over();
    cr_assert_eq(pump.state, PUMP_WRITE_FAILED);
}
