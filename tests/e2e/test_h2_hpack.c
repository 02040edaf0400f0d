/* RFC 7541, end to end: every representation means what it says, everything else ends the
 * connection with COMPRESSION_ERROR (RFC 9113 section 4.3), and the gateway's own encoder keeps to
 * the table that it is allowed. Sections are RFC 7541's. */
#include "harness/h2_cases.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(h2_hpack);

/* A GET with these bytes at its block's beginning, or at its end. */
#define BLOCK(bytes)  H2_FRAME(H2_HEADERS, H2_END_STREAM | H2_END_HEADERS, 1, bytes)
#define BEGINS(bytes) .frames = {BLOCK(bytes H2_GET_BLOCK)}
#define ENDS(bytes)   .frames = {BLOCK(H2_GET_BLOCK bytes)}
#define MISCOMPRESSED .outcome = H2_IS_CONNECTION_ERROR, .codes = H2_CODE(H2_COMPRESSION_ERROR)
#define SIZE_4096     "\x3f\xe1\x1f"
#define SIZE_4097     "\x3f\xe2\x1f"
#define ADDS_X_Y      "\x40\x01x\x01y" /* x: y into the table */

static const struct h2_case blocks[] = {
    {"2.3.3: an index beyond the static table", ENDS("\xbe"), MISCOMPRESSED},
    {"2.3.3: an index beyond all that was added", ENDS(ADDS_X_Y "\xbf"), MISCOMPRESSED},
    {"2.3.3: an index that was added", ENDS(ADDS_X_Y "\xbe")},
    {"2.3.3: the index of a name beyond the tables", ENDS("\x7e\x01y"), MISCOMPRESSED},
    {"2.3.3: the same of a literal that is not indexed", ENDS("\x0f\x2f\x01y"), MISCOMPRESSED},
    {"2.3.3: the same of a literal that is never indexed", ENDS("\x1f\x2f\x01y"), MISCOMPRESSED},
    {"2.3.3: an index as large as a number may be", ENDS("\xff\xff\xff\xff\xff\x07"),
     MISCOMPRESSED},
    {"6.1: index 0", ENDS("\x80"), MISCOMPRESSED},
    {"5.1: an integer beyond 32 bits", ENDS("\xff\xff\xff\xff\xff\xff\x01"), MISCOMPRESSED},
    {"5.1: an integer beyond 64 bits", ENDS("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
     MISCOMPRESSED},
    {"5.1: an integer of many zeros", ENDS("\xff\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"),
     MISCOMPRESSED},
    {"5.1: an integer that does not end", ENDS("\xff\x80"), MISCOMPRESSED},
    {"5.2: a string beyond the block", ENDS("\0\x01x\x05y"), MISCOMPRESSED},
    {"5.2: a length beyond all numbers", ENDS("\0\x01x\x7f\xff\xff\xff\xff\xff\xff\x01"),
     MISCOMPRESSED},
    {"5.2: a name is missing", ENDS("\0"), MISCOMPRESSED},
    {"5.2: a value is missing", ENDS("\0\x01x"), MISCOMPRESSED},
    {"5.2: Huffman code", ENDS("\0\x82\xf2\xb7\x82\xf5\x7f")},
    {"5.2: padding with zeros", ENDS("\0\x01x\x81\x18"), MISCOMPRESSED},
    {"5.2: padding of a whole byte", ENDS("\0\x01x\x82\x1f\xff"), MISCOMPRESSED},
    {"5.2: padding of three bytes", ENDS("\0\x01x\x83\xff\xff\xff"), MISCOMPRESSED},
    {"5.2: padding alone", ENDS("\0\x01x\x81\xff"), MISCOMPRESSED},
    {"5.2: EOS", ENDS("\0\x01x\x84\xff\xff\xff\xff"), MISCOMPRESSED},
    {"5.2: EOS, and more behind it", ENDS("\0\x01x\x85\xff\xff\xff\xfc\x7f"), MISCOMPRESSED},
    {"5.2: a code that is cut", ENDS("\0\x01x\x81\xfe"), MISCOMPRESSED},
    {"5.2: wrong padding in a name", ENDS("\0\x81\xf0\x01y"), MISCOMPRESSED},
    {"6.2: literals of all three kinds", ENDS("\0\x01x\x01y" ADDS_X_Y "\x10\x01z\x01y")},
    {"6.2: names of the static table", ENDS("\x0f\x04\x01y\x53\x01y\x1f\x04\x01y")},
    {"6.2: names of the dynamic table", ENDS(ADDS_X_Y "\x0f\x2f\x01z\x7e\x01w\x1f\x30\x01v")},
    {"6.2.1: an empty name is added, and is malformed all the same", ENDS("\x40\0\x01y"),
     .outcome = H2_IS_STREAM_ERROR, .codes = H2_CODE(H2_PROTOCOL_ERROR)},
    {"4.2: a change of the size at the beginning", BEGINS("\x20")},
    {"4.2: two changes", BEGINS("\x20" SIZE_4096)},
    {"4.2: a change behind a field", ENDS("\x20"), MISCOMPRESSED},
    {"4.2: a change between fields", ENDS(ADDS_X_Y "\x20" ADDS_X_Y), MISCOMPRESSED},
    {"6.3: as large as is allowed", BEGINS(SIZE_4096)},
    {"6.3: larger", BEGINS(SIZE_4097), MISCOMPRESSED},
    {"6.3: a size beyond all numbers", BEGINS("\x3f\xff\xff\xff\xff\xff\x01"), MISCOMPRESSED},
    {"4.4: a table of 0 holds nothing", .frames = {BLOCK("\x20" H2_GET_BLOCK ADDS_X_Y "\xbe")},
     MISCOMPRESSED},
    {"4.3: what is too old is gone",
     .frames = {BLOCK("\x3f\x03" H2_GET_BLOCK ADDS_X_Y "\x40\x01z\x01y\xbf")}, MISCOMPRESSED},
    {"4.3: the newest stays",
     .frames = {BLOCK("\x3f\x03" H2_GET_BLOCK ADDS_X_Y "\x40\x01z\x01y\xbe")}},
    {"RFC 9113, 4.3: a block that ends within a field",
     .frames = {H2_FRAME(H2_HEADERS, H2_END_STREAM, 1, H2_GET_BLOCK "\0"),
                H2_FRAME(H2_CONTINUATION, H2_END_HEADERS, 1, "\x01")},
     MISCOMPRESSED},
};

Test(h2_hpack, blocks)
{
    struct h2_world *world = h2_world_start();

    h2_play(world, blocks);
    h2_world_stop(world);
}

/* --- what fields mean ----------------------------------------------------------------------- */

static void send_block(struct h2_client *client, uint32_t stream, const struct hpack_bytes *block,
                       size_t piece)
{
    h2_send_headers(client, &(struct h2_headers){.stream = stream,
                                                 .block = block->at,
                                                 .block_length = block->length,
                                                 .ends_stream = true,
                                                 .piece = piece});
}

/* The value of a field as the backend got it. */
static const char *got(struct h2_world *world, const char *name)
{
    const char *value = message_field(origin_last_request(world->origin), name);

    return value != NULL ? value : "none";
}

/* 6.2, 5.2: every form of a literal carries the same, in pieces of one byte as well. */
Test(h2_hpack, every_form_carries_the_same)
{
    struct h2_world *world = h2_world_start();
    struct h2_client *client = h2_world_client(world, NULL);
    static const char value[] = "~!{<}\\^ aeiou 0123456789 \xc3\xa4\xff";

    for (int form = 0; form < 6; form++) {
        struct hpack_bytes block = {.at = NULL};
        hpack_put(&block, H2_GET_BLOCK, sizeof H2_GET_BLOCK - 1);
        hpack_put_field(&block, &(struct hpack_field){.name = "x-value",
                                                      .value = value,
                                                      .form = (enum hpack_form)(form % 3),
                                                      .is_huffman = form >= 3});
        send_block(client, client->next_stream, &block, form == 5 ? 16 : 0);
        h2_expect_response(client, client->next_stream, 200);
        cr_expect_str_eq(got(world, "x-value"), value, "form %d", form);
        client->next_stream += 2;
        hpack_bytes_clear(&block);
    }
    h2_world_stop(world);
}

static void ask_with_index(struct h2_client *client, uint32_t index)
{
    struct hpack_bytes block = {.at = NULL};

    hpack_put(&block, H2_GET_BLOCK, sizeof H2_GET_BLOCK - 1);
    hpack_put_index(&block, index);
    send_block(client, client->next_stream, &block, 0);
    client->next_stream += 2;
    hpack_bytes_clear(&block);
}

static void ask_adding(struct h2_client *client, int number, size_t value_length)
{
    struct hpack_bytes block = {.at = NULL};
    const char *name = text("x-%04d", number);
    char *value = workplace_own(calloc(1, value_length + 1), free);

    memset(value, 'a' + number % 26, value_length);
    hpack_put(&block, H2_GET_BLOCK, sizeof H2_GET_BLOCK - 1);
    hpack_put_field(&block,
                    &(struct hpack_field){.name = name, .value = value, .form = HPACK_INCREMENTAL});
    send_block(client, client->next_stream, &block, 0);
    h2_expect_response(client, client->next_stream, 200);
    client->next_stream += 2;
    hpack_bytes_clear(&block);
}

/* 2.3.2, 4.3: the newest come first, and the oldest go when there is no room: 41 entries of 6 + 61
 * + 32 bytes fit into 4096. */
Test(h2_hpack, oldest_are_evicted)
{
    enum { FIT = 41 };
    struct h2_world *world = h2_world_start();
    struct h2_client *client = h2_world_client(world, NULL);

    for (int i = 0; i < FIT + 5; i++)
        ask_adding(client, i, 61);
    for (uint32_t i = 0; i < FIT; i++) {
        ask_with_index(client, HPACK_STATIC_COUNT + 1 + i);
        h2_expect_response(client, client->next_stream - 2, 200);
        const char *name = text("x-%04d", FIT + 4 - (int)i);
        cr_expect_neq(strcmp(got(world, name), "none"), 0, "no %s", name);
    }
    ask_with_index(client, HPACK_STATIC_COUNT + 1 + FIT);
    h2_expect_connection_error(client, H2_COMPRESSION_ERROR);
    h2_world_stop(world);
}

/* 4.4: what is larger than the table empties it, and is no mistake. */
Test(h2_hpack, field_larger_than_the_table)
{
    struct h2_world *world = h2_world_start();
    struct h2_client *client = h2_world_client(world, NULL);

    ask_adding(client, 1, 10);
    ask_adding(client, 2, 4096);
    ask_adding(client, 3, 10);
    ask_with_index(client, HPACK_STATIC_COUNT + 1);
    h2_expect_response(client, client->next_stream - 2, 200);
    cr_expect_str_eq(got(world, "x-0003"), "dddddddddd");
    ask_with_index(client, HPACK_STATIC_COUNT + 2);
    h2_expect_connection_error(client, H2_COMPRESSION_ERROR);
    h2_world_stop(world);
}

/* 4.2, 4.3: a smaller table keeps the newest; a larger one later brings nothing back. */
Test(h2_hpack, table_that_shrinks_and_grows)
{
    struct h2_world *world = h2_world_start();
    struct h2_client *client = h2_world_client(world, NULL);
    struct hpack_bytes block = {.at = NULL};

    ask_adding(client, 1, 60);
    ask_adding(client, 2, 60); /* 98 bytes each */
    hpack_put_table_size(&block, 100);
    hpack_put_table_size(&block, 4096);
    hpack_put(&block, H2_GET_BLOCK "\xbe", sizeof H2_GET_BLOCK);
    send_block(client, client->next_stream, &block, 0);
    h2_expect_response(client, client->next_stream, 200);
    cr_expect_neq(strcmp(got(world, "x-0002"), "none"), 0);
    client->next_stream += 2;
    ask_with_index(client, HPACK_STATIC_COUNT + 2);
    h2_expect_connection_error(client, H2_COMPRESSION_ERROR);
    hpack_bytes_clear(&block);
    h2_world_stop(world);
}

/* RFC 9113, 4.3: what a malformed request added to the table is there for the next. */
Test(h2_hpack, malformed_requests_count)
{
    struct h2_world *world = h2_world_start();
    struct h2_client *client = h2_world_client(world, NULL);
    static const char block[] = H2_GET_BLOCK "\0\x02Xx\x01y"
                                             "\x40\x04x-in\x04kept";

    h2_send_headers(client, &(struct h2_headers){.stream = 1,
                                                 .block = block,
                                                 .block_length = sizeof block - 1,
                                                 .ends_stream = true});
    h2_expect_stream_error(client, 1, H2_PROTOCOL_ERROR);
    client->next_stream = 3;
    ask_with_index(client, HPACK_STATIC_COUNT + 1);
    h2_expect_response(client, 3, 200);
    cr_expect_str_eq(got(world, "x-in"), "kept");
    h2_world_stop(world);
}

/* --- the gateway's encoder ------------------------------------------------------------------ */

static void expect_same_answers(struct h2_world *world, struct h2_client *client, int count)
{
    origin_set_reply(world->origin, "/fields",
                     "HTTP/1.1 200 OK\r\nx-one: 1\r\nx-two: 2\r\nContent-Length: 2\r\n\r\nok");
    for (int i = 0; i < count; i++) {
        struct message *response = h2_expect_response(client, h2_get(client, "/fields"), 200);
        expect_field(response, "x-one", "1");
        expect_field(response, "x-two", "2");
    }
}

/* 2.3.2: fields that come again are read from the table. (What is wrong with them in any other way
 * the client says itself.) */
Test(h2_hpack, answers_use_the_table)
{
    struct h2_world *world = h2_world_start();
    struct h2_client *client = h2_world_client(world, NULL);

    expect_same_answers(world, client, 3);
    cr_expect_gt(client->decoder.dynamic_uses, 0);
    cr_expect_eq(client->decoder.updates, 0);
    h2_world_stop(world);
}

/* 4.2, 6.3: a table of 0, from the beginning or later, is acknowledged at the beginning of the next
 * block and not used. */
Test(h2_hpack, table_of_no_size)
{
    static const struct h2_setting none = {H2_HEADER_TABLE_SIZE, 0};
    struct h2_world *world = h2_world_start();
    struct h2_client *client =
        h2_world_client(world, &(struct h2_options){.settings = &none, .setting_count = 1});

    expect_same_answers(world, client, 3);
    cr_expect_eq(client->decoder.dynamic_uses, 0);
    cr_expect_eq(client->decoder.updates, 1, "%u", client->decoder.updates);

    client = h2_world_client(world, NULL);
    expect_same_answers(world, client, 3);
    unsigned uses = client->decoder.dynamic_uses;
    h2_send_setting(client, H2_HEADER_TABLE_SIZE, 0);
    h2_settle_settings(client);
    expect_same_answers(world, client, 3);
    cr_expect_eq(client->decoder.dynamic_uses, uses);
    cr_expect_eq(client->decoder.updates, 1);
    h2_world_stop(world);
}

/* 4.2: of several changes in between the smallest is told, too; a larger table need not be used. */
Test(h2_hpack, table_that_goes_down_and_up)
{
    static const struct h2_setting changes[] = {{H2_HEADER_TABLE_SIZE, 0},
                                                {H2_HEADER_TABLE_SIZE, 1000000}};
    struct h2_world *world = h2_world_start();
    struct h2_client *client = h2_world_client(world, NULL);

    expect_same_answers(world, client, 2);
    h2_send_settings(client, changes, 2);
    h2_settle_settings(client);
    expect_same_answers(world, client, 3);
    for (uint32_t size = 33; size < 200; size += 33) {
        h2_send_setting(client, H2_HEADER_TABLE_SIZE, size);
        h2_settle_settings(client);
        expect_same_answers(world, client, 2);
    }
    h2_world_stop(world);
}

/* Whatever `limits.header_bytes` says. */
Test(h2_hpack, one_field_has_64_kib_at_most)
{
    enum { MOST = 64 * 1024 };
    struct gateway *gateway =
        gateway_start("{ @base, 'defaults': { 'limits': { 'header_bytes': '1MiB' } },"
                      "  'routes': { 'a.test': { 'respond': { 'body': 'ok' } } } }");
    struct h2_client *client = h2_open(gateway, NULL);
    char *value = workplace_own(malloc(MOST + 2), free);
    const char *const fields[] = {"x-long", value, NULL};

    memset(value, 'v', MOST + 1);
    value[MOST] = 0;
    uint32_t stream = h2_send_request(client, &(struct h2_request){.fields = fields});
    expect_body(h2_response(client, stream), "ok");
    value[MOST] = 'v';
    value[MOST + 1] = 0;
    h2_send_request(client, &(struct h2_request){.fields = fields});
    h2_expect_connection_error(client, H2_COMPRESSION_ERROR);
    gateway_stop(gateway);
}
