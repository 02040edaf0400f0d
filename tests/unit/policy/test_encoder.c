/* policy/encoder: each coding comes apart again, at its end and at each flush, however little room
 * there is, and with no more memory than is paid for. */
#include "policy/encoder.h"
#include "support/decoder.h"

#include <criterion/criterion.h>
#include <malloc.h>
#include <stdlib.h>

enum { LONG = 700 * 1000 };

static struct encoders encoders;
static struct budget memory;
static char *input;

static void set_up(void)
{
    uint32_t state = 1;

    budget_init(&memory, 64 * 1024 * 1024);
    encoders_init(&encoders, &memory);
    input = malloc(LONG);
    for (size_t i = 0; i < LONG; i++) { /* words of chance */
        state = state * 1664525 + 1013904223;
        input[i] = (char)(i % 7 == 6 ? ' ' : 'a' + (state >> 28));
    }
}

static void tear_down(void)
{
    encoders_clear(&encoders);
    cr_expect_eq(budget_used(&memory), 0);
    free(input);
    buffer_cache_clear();
}

TestSuite(encoder, .init = set_up, .fini = tear_down);

static struct encoder_wish wish_of(enum coding coding, uint64_t bytes)
{
    return (struct encoder_wish){
        .coding = coding, .level = coding_levels(coding).usual, .bytes = bytes};
}

static const char *name_of(enum coding coding)
{
    return coding_name(coding).at;
}

/* Until it is done, through a buffer of so many bytes' room; what comes out is decoded. */
static void run(struct encoder *encoder, enum encode_until until, struct slice piece, size_t room,
                struct decoder *decoder)
{
    struct buffer out = {0};
    enum encoded encoded;

    do {
        char bytes[BUFFER_SMALL];
        out = (struct buffer){.base = bytes, .capacity = (uint32_t)room};
        encoded = encoder_run(encoder, until, &piece, &out);
        cr_assert_neq(encoded, ENCODED_FAILED);
        cr_assert(decoder_add(decoder, bytes, buffer_length(&out)));
    } while (encoded == ENCODED_FULL);
    cr_assert_eq(piece.len, 0);
}

static void expect_content(struct decoder *decoder, const char *bytes, size_t length)
{
    size_t got_length;
    const char *got = decoder_content(decoder, &got_length);

    cr_assert_eq(got_length, length);
    cr_assert(memcmp(got, bytes, length) == 0);
}

static void expect_round_trip(const struct encoder_wish *wish, size_t length, size_t piece,
                              size_t room)
{
    struct encoder *encoder = encoder_new(&encoders, wish);
    struct decoder *decoder = decoder_new(name_of(wish->coding));

    cr_assert_not_null(encoder);
    for (size_t at = 0; at < length; at += piece) {
        size_t more = length - at < piece ? length - at : piece;
        run(encoder, ENCODE_ON, slice_make(input + at, more), room, decoder);
    }
    cr_expect(!decoder_is_whole(decoder));
    run(encoder, ENCODE_END, slice_make(NULL, 0), room, decoder);
    cr_expect(decoder_is_whole(decoder));
    expect_content(decoder, input, length);
    decoder_free(decoder);
    encoder_free(encoder);
}

Test(encoder, each_coding_comes_apart_again)
{
    static const size_t lengths[] = {0, 1, 1000, 70000, LONG};

    for (enum coding coding = CODING_GZIP; coding < CODINGS; coding++)
        for (int i = 0; i < 5; i++)
            for (int is_known = 0; is_known < 2; is_known++) {
                struct encoder_wish wish = wish_of(coding, is_known ? lengths[i] : UINT64_MAX);
                expect_round_trip(&wish, lengths[i], 50000, BUFFER_SMALL);
            }
}

Test(encoder, little_room_is_enough)
{
    for (enum coding coding = CODING_GZIP; coding < CODINGS; coding++) {
        struct encoder_wish wish = wish_of(coding, UINT64_MAX);
        expect_round_trip(&wish, 50000, 1000, 64);
    }
}

Test(encoder, each_level_has_one)
{
    for (enum coding coding = CODING_GZIP; coding < CODINGS; coding++)
        for (uint8_t level = 1; level <= coding_levels(coding).most; level++) {
            struct encoder_wish wish = wish_of(coding, UINT64_MAX);
            wish.level = level;
            expect_round_trip(&wish, 200000, 64 * 1024, BUFFER_SMALL);
        }
}

/* In one go with the last piece, as a body whose length is known ends. */
Test(encoder, end_comes_with_the_last_piece)
{
    for (enum coding coding = CODING_GZIP; coding < CODINGS; coding++) {
        struct encoder_wish wish = wish_of(coding, 5000);
        struct encoder *encoder = encoder_new(&encoders, &wish);
        struct decoder *decoder = decoder_new(name_of(coding));

        run(encoder, ENCODE_END, slice_make(input, 5000), BUFFER_SMALL, decoder);
        cr_expect(decoder_is_whole(decoder));
        expect_content(decoder, input, 5000);
        decoder_free(decoder);
        encoder_free(encoder);
    }
}

Test(encoder, what_is_flushed_can_be_read)
{
    for (enum coding coding = CODING_GZIP; coding < CODINGS; coding++)
        for (int trickles = 0; trickles < 2; trickles++)
            for (size_t room = 64; room <= BUFFER_SMALL; room *= 256) {
                struct encoder_wish wish = wish_of(coding, UINT64_MAX);
                struct decoder *decoder = decoder_new(name_of(coding));
                struct encoder *encoder;

                wish.trickles = trickles != 0;
                encoder = encoder_new(&encoders, &wish);
                for (size_t at = 0; at < 20000; at += 100) {
                    run(encoder, ENCODE_FLUSH, slice_make(input + at, 100), room, decoder);
                    expect_content(decoder, input, at + 100);
                }
                run(encoder, ENCODE_END, slice_make(NULL, 0), room, decoder);
                cr_expect(decoder_is_whole(decoder));
                decoder_free(decoder);
                encoder_free(encoder);
            }
}

/* One that was given up in the middle leaves nothing behind for the next. */
Test(encoder, spare_ones_begin_anew)
{
    for (enum coding coding = CODING_GZIP; coding < CODINGS; coding++) {
        struct encoder_wish wish = wish_of(coding, UINT64_MAX);

        for (uint8_t level = 1; level < 4; level++) {
            struct decoder *decoder = decoder_new(name_of(coding));
            struct encoder *encoder = encoder_new(&encoders, &wish);

            run(encoder, ENCODE_ON, slice_make(input + 100, 50000), BUFFER_SMALL, decoder);
            encoder_free(encoder);
            decoder_free(decoder);
            wish.level = level;
            expect_round_trip(&wish, 30000, 7000, BUFFER_SMALL);
        }
        cr_expect_eq(encoders.spare_count[coding], coding == CODING_BR ? 0 : 1);
    }
}

Test(encoder, all_of_them_have_a_bound)
{
    struct encoder_wish wish = wish_of(CODING_GZIP, UINT64_MAX);
    struct encoder *first, *second;

    budget_init(&memory, 2 * encoder_cost(&wish) - 1);
    first = encoder_new(&encoders, &wish);
    cr_assert_not_null(first);
    cr_expect_null(encoder_new(&encoders, &wish));
    encoder_free(first);
    second = encoder_new(&encoders, &wish);
    cr_expect_not_null(second);
    encoder_free(second);
}

/* At each level, after a long body: what malloc has handed out. */
Test(encoder, takes_no_more_memory_than_it_pays_for)
{
    for (enum coding coding = CODING_GZIP; coding < CODINGS; coding++)
        for (uint8_t level = 1; level <= coding_levels(coding).most; level++)
            for (int trickles = 0; trickles < 2; trickles++) {
                struct encoder_wish wish = {.coding = coding,
                                            .level = level,
                                            .bytes = UINT64_MAX,
                                            .trickles = trickles != 0};
                struct encoder *encoder;
                struct mallinfo2 before, after;
                char *bytes = malloc(BUFFER_SMALL);

                encoders_clear(&encoders);
                before = mallinfo2();
                encoder = encoder_new(&encoders, &wish);
                for (size_t at = 0; at < LONG / 4; at += 50000) {
                    struct slice piece = slice_make(input + at, 50000);
                    struct buffer out;
                    do
                        out = (struct buffer){.base = bytes, .capacity = BUFFER_SMALL};
                    while (encoder_run(encoder, ENCODE_ON, &piece, &out) == ENCODED_FULL);
                }
                after = mallinfo2();
                size_t used = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
                cr_expect_leq(used, encoder_cost(&wish), "%s %d: %zu", name_of(coding), level,
                              used);
                free(bytes);
                encoder_free(encoder);
            }
}
