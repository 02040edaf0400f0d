/* Heads in HTTP/2 that decode to much more than they are, or to thousands of fields: nothing of
 * them is kept, the backend sees none, and another client is served meanwhile. */
#include "harness/h2_flood.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(h2_bombs);

enum { REFERENCES = 4000, BOMBS = 100, CONNECTIONS = 5 };

/* Frames of a size that needs no CONTINUATION. */
static void put_request(struct hpack_bytes *block)
{
    hpack_put_index(block, hpack_static_index(":method", "GET"));
    hpack_put_index(block, hpack_static_index(":scheme", "https"));
    hpack_put_index(block, hpack_static_index(":path", "/"));
    hpack_put_field(block, &(struct hpack_field){.name = ":authority", .value = "a.test"});
}

/* An answer, a reset, or the end of the connection. */
static void expect_turned_down(struct h2_client *client, uint32_t stream)
{
    struct h2_stream *seen = h2_stream(client, stream);
    struct h2_frame frame;

    while (!seen->has_ended && !seen->was_reset && h2_read_frame(client, &frame)) {
    }
    workplace_require(client->tls->wire.state != WIRE_TIMED_OUT, "no answer");
    workplace_require(seen->response == NULL || seen->response->status == 431, "answered with %d",
                      seen->response == NULL ? 0 : seen->response->status);
}

static uint32_t send_block(struct h2_client *client, const struct hpack_bytes *block)
{
    uint32_t stream = client->next_stream;

    client->next_stream += 2;
    h2_send_headers(client, &(struct h2_headers){.stream = stream,
                                                 .block = block->at,
                                                 .block_length = block->length,
                                                 .ends_stream = true});
    return stream;
}

/* Where each is refused by itself the connection may go on: what counts is that nothing of it is
 * kept. They come one by one, and then many at once, again and again. */
static void throw_bombs(struct h2_client *client, const struct hpack_bytes *block)
{
    uint32_t streams[BOMBS / 2];

    for (int i = 0; i < BOMBS / 2 && !h2_scene_has_ended(client); i++)
        expect_turned_down(client, send_block(client, block));
    for (int i = 0; i < BOMBS / 2; i++)
        streams[i] = send_block(client, block);
    for (int i = 0; i < BOMBS / 2 && !h2_scene_has_ended(client); i++)
        expect_turned_down(client, streams[i]);
}

static void expect_harmless(const struct hpack_bytes *first, const struct hpack_bytes *others)
{
    struct h2_scene *scene = h2_scene_begin();

    for (unsigned i = 0; i < CONNECTIONS; i++) {
        struct h2_client *client = h2_open(scene->gateway, NULL);
        if (first != NULL)
            h2_expect_response(client, send_block(client, first), 200);
        throw_bombs(client, others);
        h2_close(client);
    }
    h2_scene_expect_bounds(scene, first != NULL ? CONNECTIONS : 0);
    h2_scene_end(scene);
}

/* 4 KiB that stand for 16 MiB. */
Test(h2_bombs, references_to_a_large_field)
{
    struct hpack_bytes first = {0}, bomb = {0};
    char *value = workplace_own(malloc(HPACK_DEFAULT_TABLE), free);
    size_t length = HPACK_DEFAULT_TABLE - HPACK_ENTRY_OVERHEAD - 1;

    put_request(&first);
    hpack_put_field(&first, &(struct hpack_field){.name = "x",
                                                  .value = memset(value, 'b', length),
                                                  .value_length = length,
                                                  .form = HPACK_INCREMENTAL});
    put_request(&bomb);
    for (int i = 0; i < REFERENCES; i++)
        hpack_put_index(&bomb, HPACK_STATIC_COUNT + 1);
    expect_harmless(&first, &bomb);
    hpack_bytes_clear(&first);
    hpack_bytes_clear(&bomb);
}

Test(h2_bombs, thousands_of_tiny_fields)
{
    struct hpack_bytes block = {0};

    put_request(&block);
    for (int i = 0; i < REFERENCES; i++)
        hpack_put(&block, "\x00\x01y\x00", 4);
    expect_harmless(NULL, &block);
    hpack_bytes_clear(&block);
}

Test(h2_bombs, thousands_of_fields_without_a_name)
{
    struct hpack_bytes block = {0};

    put_request(&block);
    for (int i = 0; i < REFERENCES; i++)
        hpack_put(&block, "\x00\x00\x01z", 4);
    expect_harmless(NULL, &block);
    hpack_bytes_clear(&block);
}

/* Too many, but no more than is answered: each is paid for. */
static void ask_with_many_fields(struct h2_client *client, unsigned n)
{
    struct hpack_bytes block = {0};

    (void)n;
    put_request(&block);
    for (int i = 0; i < 300; i++)
        hpack_put(&block, "\x00\x01y\x00", 4);
    send_block(client, &block);
    hpack_bytes_clear(&block);
}

Test(h2_bombs, heads_that_are_too_large)
{
    h2_flood_expect_ended(&(struct h2_flood){.send = ask_with_many_fields, .waits = true});
}

/* One head with more fields than anybody sends by mistake. */
static void ask_with_thousands_of_fields(struct h2_client *client, unsigned n)
{
    struct hpack_bytes block = {0};

    (void)n;
    put_request(&block);
    for (int i = 0; i < REFERENCES; i++)
        hpack_put(&block, "\x00\x01y\x00", 4);
    send_block(client, &block);
    hpack_bytes_clear(&block);
}

Test(h2_bombs, one_head_far_beyond_the_limit_of_fields)
{
    h2_flood_expect_ended(&(struct h2_flood){.send = ask_with_thousands_of_fields, .pieces = 1});
}

/* Cookies that are joined: many short ones make one long. */
Test(h2_bombs, thousands_of_cookies)
{
    struct hpack_bytes block = {0};

    put_request(&block);
    for (int i = 0; i < REFERENCES; i++)
        hpack_put_field(
            &block,
            &(struct hpack_field){.name_index = hpack_static_index("cookie", NULL), .value = "a"});
    expect_harmless(NULL, &block);
    hpack_bytes_clear(&block);
}
