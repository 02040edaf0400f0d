/* proxy/encoded_stream: a body in another coding, between a scripted source and a reader. */
#include "proxy/encoded_stream.h"
#include "support/decoder.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { LONG = 1024 * 1024 };

/* Gives pieces of `piece` bytes, as far as they have `come`; then nothing for now. */
struct script {
    struct http_stream stream;
    const char *bytes;
    size_t length, at, piece, come;
    bool ends_badly;
    unsigned asked;
};

static struct loop *loop;
static struct encoders encoders;
static struct script source;
static struct encoded_stream *encoded;
static struct http_stream *stream;
static struct decoder *decoder;
static struct task task;
static unsigned woken;
static char *zeroes;

static enum io read_body(struct http_stream *http, struct slice *piece)
{
    struct script *s = (struct script *)http;
    size_t left = s->length - s->at;

    s->asked++;
    if (left == 0)
        return s->ends_badly ? IO_ERROR : IO_EOF;
    if (s->at >= s->come)
        return IO_WAIT;
    *piece = slice_make(s->bytes + s->at, left < s->piece ? left : s->piece);
    return IO_OK;
}

static void consume_body(struct http_stream *http, size_t bytes)
{
    struct script *s = (struct script *)http;

    s->at += bytes;
}

static const struct http_stream_ops ops = {.read_body = read_body, .consume_body = consume_body};

static void wake(void *owner)
{
    (void)owner;
    woken++;
}

static void stop(void *owner)
{
    (void)owner;
    loop_stop(loop);
}

/* One round of those that are woken. */
static void run_tasks(void)
{
    struct task last;

    task_init(&last, stop, NULL);
    loop_wake(loop, &last);
    loop_run(loop);
}

static void set_up(void)
{
    loop = loop_new();
    encoders_init(&encoders, NULL);
    zeroes = calloc(1, LONG);
    task_init(&task, wake, NULL);
    woken = 0;
}

static void tear_down(void)
{
    encoders_clear(&encoders);
    loop_free(loop);
    free(zeroes);
    buffer_cache_clear();
}

TestSuite(encoded_stream, .init = set_up, .fini = tear_down);

static void begin(enum coding coding, const char *bytes, size_t length, uint64_t known)
{
    struct encoder_wish wish = {.coding = coding, .level = 3, .bytes = known};

    source = (struct script){.stream = {.ops = &ops, .reason = REASON_BACKEND_RESET, .task = &task},
                             .bytes = bytes,
                             .length = length,
                             .piece = length,
                             .come = length};
    encoded = encoded_stream_new(loop, &encoders, &wish, &source.stream);
    cr_assert_not_null(encoded);
    stream = encoded_stream_http(encoded);
    decoder = decoder_new(coding_name(coding).at);
}

static void end(void)
{
    encoded_stream_free(encoded);
    decoder_free(decoder);
}

/* Until there is nothing more for now; what that was. */
static enum io drain(void)
{
    struct slice piece;
    enum io io;

    while ((io = stream->ops->read_body(stream, &piece)) == IO_OK) {
        cr_assert_gt(piece.len, 0);
        cr_assert(decoder_add(decoder, piece.at, piece.len));
        stream->ops->consume_body(stream, piece.len);
    }
    return io;
}

static void expect_content(const char *bytes, size_t length)
{
    size_t got_length;
    const char *got = decoder_content(decoder, &got_length);

    cr_assert_eq(got_length, length);
    cr_assert(memcmp(got, bytes, length) == 0);
}

Test(encoded_stream, body_and_its_end)
{
    static const char text[] = "a body, a body, a body";

    for (enum coding coding = CODING_GZIP; coding < CODINGS; coding++)
        for (int is_known = 0; is_known < 2; is_known++) {
            begin(coding, text, sizeof(text), is_known ? sizeof(text) : UINT64_MAX);
            cr_expect_eq(drain(), IO_EOF);
            cr_expect_eq(drain(), IO_EOF);
            cr_expect(decoder_is_whole(decoder));
            expect_content(text, sizeof(text));
            end();
        }
}

Test(encoded_stream, empty_body)
{
    for (enum coding coding = CODING_GZIP; coding < CODINGS; coding++) {
        begin(coding, "", 0, UINT64_MAX);
        cr_expect_eq(drain(), IO_EOF);
        cr_expect(decoder_is_whole(decoder));
        end();
    }
}

Test(encoded_stream, what_has_come_does_not_wait_for_more)
{
    static const char text[] = "one event, another one, and again an event";

    for (enum coding coding = CODING_GZIP; coding < CODINGS; coding++)
        for (int is_known = 0; is_known < 2; is_known++) {
            begin(coding, text, sizeof(text), is_known ? sizeof(text) : UINT64_MAX);
            source.piece = 10;
            for (size_t at = 10; at < sizeof(text); at += 10) {
                source.come = at;
                cr_expect_eq(drain(), IO_WAIT);
                expect_content(text, at);
                cr_expect_eq(woken, 0);
            }
            source.come = sizeof(text);
            cr_expect_eq(drain(), IO_EOF);
            expect_content(text, sizeof(text));
            cr_expect(decoder_is_whole(decoder));
            end();
        }
}

/* All that came before is there, and that the end is missing shows twice. */
Test(encoded_stream, cut_is_a_cut)
{
    static const char text[] = "this is all that there was";

    for (enum coding coding = CODING_GZIP; coding < CODINGS; coding++)
        for (int is_known = 0; is_known < 2; is_known++) {
            begin(coding, text, sizeof(text), is_known ? sizeof(text) + 1 : UINT64_MAX);
            source.ends_badly = true;
            cr_expect_eq(drain(), IO_ERROR);
            cr_expect_eq(drain(), IO_ERROR);
            cr_expect_eq(stream->reason, REASON_BACKEND_RESET);
            expect_content(text, sizeof(text));
            cr_expect(!decoder_is_whole(decoder));
            end();
        }
}

Test(encoded_stream, cut_before_anything)
{
    begin(CODING_GZIP, "", 0, UINT64_MAX);
    source.ends_badly = true;
    cr_expect_eq(drain(), IO_ERROR);
    cr_expect(!decoder_is_whole(decoder));
    end();
}

Test(encoded_stream, trailers_pass_but_for_digests)
{
    struct http_field fields[] = {{slice_of("X-End"), slice_of("yes"), FIELD_OTHER},
                                  {slice_of("Repr-Digest"), slice_of("sha"), FIELD_OTHER}};

    begin(CODING_ZSTD, "text", 4, UINT64_MAX);
    source.stream.trailers = (struct http_fields){fields, 2, 2};
    cr_expect_eq(drain(), IO_EOF);
    cr_assert_eq(stream->trailers.count, 1);
    cr_expect(slice_equal(stream->trailers.list[0].name, slice_of("X-End")));
    end();
}

/* Others get the loop however little comes out; and its own task is woken to go on. */
Test(encoded_stream, takes_turns)
{
    for (enum coding coding = CODING_GZIP; coding < CODINGS; coding++) {
        unsigned turns = 0;
        enum io io;

        begin(coding, zeroes, LONG, LONG);
        do {
            size_t before = source.at;

            io = drain();
            cr_assert_leq(source.at - before, 64 * 1024);
            turns++;
            cr_assert(io == IO_EOF || task.state == TASK_QUEUED);
            run_tasks();
        } while (io == IO_WAIT);
        cr_expect_eq(io, IO_EOF);
        cr_expect_geq(turns, LONG / (64 * 1024));
        expect_content(zeroes, LONG);
        end();
    }
}

/* What is not taken keeps the source from being read. */
Test(encoded_stream, holds_no_more_than_a_piece)
{
    char *noise = malloc(LONG);
    struct slice piece;
    size_t at;

    srand(1);
    for (size_t i = 0; i < LONG; i++)
        noise[i] = (char)rand();
    for (enum coding coding = CODING_GZIP; coding < CODINGS; coding++) {
        begin(coding, noise, LONG, LONG);
        while (stream->ops->read_body(stream, &piece) == IO_WAIT)
            ;
        cr_expect_leq(piece.len, 16 * 1024);
        at = source.at;
        for (int i = 0; i < 3; i++) {
            cr_expect_eq(stream->ops->read_body(stream, &piece), IO_OK);
            stream->ops->consume_body(stream, 1);
        }
        cr_expect_eq(source.at, at);
        end();
    }
    free(noise);
}
