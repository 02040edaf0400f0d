/* Which HEADERS on streams that are open no more are a client's mistake (RFC 9113 section 5.1). */
#include "http/h2_history.h"

#include <criterion/criterion.h>
#include <nghttp2/nghttp2.h>

static struct h2_history history;

static void set_up(void)
{
    history = (struct h2_history){0};
}

TestSuite(h2_history, .init = set_up);

static void open_from_to(uint32_t first, uint32_t last)
{
    for (uint32_t id = first; id <= last; id += 2)
        h2_history_open(&history, id);
}

Test(h2_history, streams_that_were_opened_are_closed)
{
    open_from_to(1, 9);
    for (uint32_t id = 1; id <= 9; id += 2)
        cr_expect_eq(h2_history_judge(&history, id), NGHTTP2_STREAM_CLOSED, "stream %u", id);
    cr_expect_eq(h2_history_judge(&history, 11), NGHTTP2_NO_ERROR);
}

Test(h2_history, streams_that_were_skipped_are_none)
{
    h2_history_open(&history, 5);
    h2_history_open(&history, 9);
    cr_expect_eq(h2_history_judge(&history, 1), NGHTTP2_PROTOCOL_ERROR);
    cr_expect_eq(h2_history_judge(&history, 3), NGHTTP2_PROTOCOL_ERROR);
    cr_expect_eq(h2_history_judge(&history, 5), NGHTTP2_STREAM_CLOSED);
    cr_expect_eq(h2_history_judge(&history, 7), NGHTTP2_PROTOCOL_ERROR);
}

/* What is longer ago counts as skipped: the error ends the connection in any case. */
Test(h2_history, as_far_as_it_goes)
{
    open_from_to(1, 129);
    cr_expect_eq(h2_history_judge(&history, 3), NGHTTP2_STREAM_CLOSED);
    cr_expect_eq(h2_history_judge(&history, 1), NGHTTP2_PROTOCOL_ERROR);
    h2_history_open(&history, 257);
    cr_expect_eq(h2_history_judge(&history, 129), NGHTTP2_PROTOCOL_ERROR);
    h2_history_open(&history, 0x7fffffff);
    cr_expect_eq(h2_history_judge(&history, 0x7fffffff), NGHTTP2_STREAM_CLOSED);
    cr_expect_eq(h2_history_judge(&history, 257), NGHTTP2_PROTOCOL_ERROR);
}

Test(h2_history, what_we_reset_may_go_on_for_a_while)
{
    open_from_to(1, 9);
    h2_history_reset(&history, 5);
    cr_expect_eq(h2_history_judge(&history, 5), NGHTTP2_NO_ERROR);
    cr_expect_eq(h2_history_judge(&history, 3), NGHTTP2_STREAM_CLOSED);
    cr_expect_eq(h2_history_judge(&history, 7), NGHTTP2_STREAM_CLOSED);
}

/* More than are kept: of those, and of all before, nobody knows any more. */
Test(h2_history, many_resets_are_forgiven_all_the_same)
{
    enum { RESETS = 3 * H2_RESETS_KEPT };

    open_from_to(1, 4 * RESETS);
    for (uint32_t i = 0; i < RESETS; i++)
        h2_history_reset(&history, 1 + 4 * i);
    for (uint32_t i = 0; i < RESETS; i++)
        cr_expect_eq(h2_history_judge(&history, 1 + 4 * i), NGHTTP2_NO_ERROR, "reset %u", i);
    cr_expect_eq(h2_history_judge(&history, 4 * RESETS - 1), NGHTTP2_STREAM_CLOSED);
}
