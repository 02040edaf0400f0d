#include "policy/encoder.h"

#include "base/check.h"
#include "base/list.h"

#include <brotli/encode.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

/* Windows and tables are a compromise: twice the memory for each answer on its way would make text
 * some percent smaller. */
enum {
    GZIP_WINDOW = 15,
    GZIP_MEMORY = 8,
    GZIP_SMALL_WINDOW = 13,
    GZIP_SMALL_MEMORY = 6,
    GZIP_FORMAT = 16, /* added to the window: gzip's head and trailer, not zlib's */
    BR_WINDOW = 16,
    BR_SMALL_WINDOW = 14,
    BR_SMALL_LEVEL = 3, /* the tables of higher ones are large whatever the window is */
    ZSTD_WINDOW = 17,   /* RFC 9659 section 3.1 allows 23 */
    ZSTD_SMALL_WINDOW = 14,
    ROOM_LEAST = 64,
};

struct encoder_ops {
    bool (*start)(struct encoder *encoder);
    enum encoded (*run)(struct encoder *encoder, enum encode_until until, struct slice *input,
                        struct buffer *out);
    void (*clear)(struct encoder *encoder);
    bool is_reused; /* start is cheaper for one that was at work before */
};

struct encoder {
    const struct encoder_ops *ops;
    struct encoders *encoders;
    struct encoder_wish wish;
    bool is_made; /* its library's part was; `start` begins anew with it */
    union {
        z_stream gzip;
        struct br *br;
        ZSTD_CCtx *zstd;
    };
};

/* --- gzip
 * --------------------------------------------------------------------------------------- */

static bool start_gzip(struct encoder *encoder)
{
    bool is_small = encoder->wish.trickles;

    if (encoder->is_made)
        return deflateReset(&encoder->gzip) == Z_OK &&
               deflateParams(&encoder->gzip, encoder->wish.level, Z_DEFAULT_STRATEGY) == Z_OK;
    encoder->gzip = (z_stream){0};
    return deflateInit2(&encoder->gzip, encoder->wish.level, Z_DEFLATED,
                        GZIP_FORMAT + (is_small ? GZIP_SMALL_WINDOW : GZIP_WINDOW),
                        is_small ? GZIP_SMALL_MEMORY : GZIP_MEMORY, Z_DEFAULT_STRATEGY) == Z_OK;
}

static enum encoded run_gzip(struct encoder *encoder, enum encode_until until, struct slice *input,
                             struct buffer *out)
{
    static const int flushes[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
    z_stream *gzip = &encoder->gzip;
    size_t room = buffer_room(out);
    int result;

    gzip->next_in = (Bytef *)(uintptr_t)input->at;
    gzip->avail_in = (uInt)input->len;
    gzip->next_out = (Bytef *)buffer_tail(out);
    gzip->avail_out = (uInt)room;
    result = deflate(gzip, flushes[until]);
    *input = slice_skip(*input, input->len - gzip->avail_in);
    buffer_added(out, room - gzip->avail_out);
    if (result == Z_STREAM_END)
        return ENCODED_DONE;
    if (result != Z_OK && result != Z_BUF_ERROR)
        return ENCODED_FAILED;
    return gzip->avail_out == 0 || until == ENCODE_END ? ENCODED_FULL : ENCODED_DONE;
}

static void clear_gzip(struct encoder *encoder)
{
    deflateEnd(&encoder->gzip);
}

/* --- br
 * ----------------------------------------------------------------------------------------- */

/* libbrotli ends the process when it gets no memory while it is at work: it is left instead, where
 * it stands, and what it took is known here. */
struct br {
    BrotliEncoderState *state;
    struct list taken;
    jmp_buf way_out;
    bool is_at_work;
};

struct taken {
    _Alignas(max_align_t) struct list_node node;
};

static void *take_memory(void *owner, size_t size)
{
    struct br *br = owner;
    struct taken *taken = size < SIZE_MAX / 2 ? memory_try_bytes(sizeof(*taken) + size) : NULL;

    if (taken == NULL && br->is_at_work)
        longjmp(br->way_out, 1);
    if (taken == NULL)
        return NULL;
    taken->node = (struct list_node){0};
    list_push_back(&br->taken, &taken->node);
    return taken + 1;
}

static void give_memory(void *owner, void *memory)
{
    struct taken *taken = memory;

    (void)owner;
    if (memory == NULL)
        return;
    taken--;
    list_remove(&taken->node);
    free(taken);
}

static void free_br(struct br *br)
{
    list_each (&br->taken, node)
        give_memory(br, container_of(node, struct taken, node) + 1);
    free(br);
}

static bool start_br(struct encoder *encoder)
{
    const struct encoder_wish *wish = &encoder->wish;
    struct br *owner = memory_try(sizeof(*owner));
    BrotliEncoderState *br;

    if (owner == NULL)
        return false;
    list_init(&owner->taken);
    br = BrotliEncoderCreateInstance(take_memory, give_memory, owner);
    owner->state = br;
    if (br == NULL) {
        free_br(owner);
        return false;
    }
    encoder->br = owner;
    BrotliEncoderSetParameter(br, BROTLI_PARAM_QUALITY,
                              wish->trickles && wish->level > BR_SMALL_LEVEL ? BR_SMALL_LEVEL
                                                                             : wish->level);
    BrotliEncoderSetParameter(br, BROTLI_PARAM_LGWIN, wish->trickles ? BR_SMALL_WINDOW : BR_WINDOW);
    if (wish->bytes < UINT32_MAX)
        BrotliEncoderSetParameter(br, BROTLI_PARAM_SIZE_HINT, (uint32_t)wish->bytes);
    return true;
}

static enum encoded run_br(struct encoder *encoder, enum encode_until until, struct slice *input,
                           struct buffer *out)
{
    static const BrotliEncoderOperation operations[] = {
        BROTLI_OPERATION_PROCESS, BROTLI_OPERATION_FLUSH, BROTLI_OPERATION_FINISH};
    BrotliEncoderState *br = encoder->br->state;
    size_t room = buffer_room(out), left_in = input->len, left_out = room;
    const uint8_t *next_in = (const uint8_t *)input->at;
    uint8_t *next_out = (uint8_t *)buffer_tail(out);
    BROTLI_BOOL is_good = BrotliEncoderCompressStream(br, operations[until], &left_in, &next_in,
                                                      &left_out, &next_out, NULL);

    *input = slice_skip(*input, input->len - left_in);
    buffer_added(out, room - left_out);
    if (!is_good)
        return ENCODED_FAILED;
    if (left_in > 0 || BrotliEncoderHasMoreOutput(br))
        return ENCODED_FULL;
    return until != ENCODE_END || BrotliEncoderIsFinished(br) ? ENCODED_DONE : ENCODED_FULL;
}

/* What comes after that is freed alone. */
static enum encoded run_br_safely(struct encoder *encoder, enum encode_until until,
                                  struct slice *input, struct buffer *out)
{
    struct br *br = encoder->br;
    enum encoded encoded;

    if (setjmp(br->way_out) != 0)
        return ENCODED_FAILED;
    br->is_at_work = true;
    encoded = run_br(encoder, until, input, out);
    br->is_at_work = false;
    return encoded;
}

static void clear_br(struct encoder *encoder)
{
    free_br(encoder->br); /* the library has nothing else */
}

/* --- zstd
 * --------------------------------------------------------------------------------------- */

static void set_zstd(struct encoder *encoder)
{
    const struct encoder_wish *wish = &encoder->wish;
    int window = wish->trickles ? ZSTD_SMALL_WINDOW : ZSTD_WINDOW;
    ZSTD_CCtx *zstd = encoder->zstd;

    ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, wish->level);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, window);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_hashLog, window);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_chainLog, window - 1);
    if (wish->bytes != UINT64_MAX)
        ZSTD_CCtx_setPledgedSrcSize(zstd, wish->bytes);
}

/* What memory it needs it takes with its first bytes, if only of none. */
static bool start_zstd(struct encoder *encoder)
{
    ZSTD_inBuffer nothing = {NULL, 0, 0};
    ZSTD_outBuffer nowhere = {NULL, 0, 0};

    if (encoder->is_made)
        ZSTD_CCtx_reset(encoder->zstd, ZSTD_reset_session_and_parameters);
    else
        encoder->zstd = ZSTD_createCCtx();
    if (encoder->zstd == NULL)
        return false;
    set_zstd(encoder);
    if (!ZSTD_isError(ZSTD_compressStream2(encoder->zstd, &nowhere, &nothing, ZSTD_e_continue)))
        return true;
    ZSTD_freeCCtx(encoder->zstd);
    return false;
}

static enum encoded run_zstd(struct encoder *encoder, enum encode_until until, struct slice *input,
                             struct buffer *out)
{
    static const ZSTD_EndDirective directives[] = {ZSTD_e_continue, ZSTD_e_flush, ZSTD_e_end};
    ZSTD_inBuffer in = {input->at, input->len, 0};
    ZSTD_outBuffer to = {buffer_tail(out), buffer_room(out), 0};
    size_t left = ZSTD_compressStream2(encoder->zstd, &to, &in, directives[until]);

    *input = slice_skip(*input, in.pos);
    buffer_added(out, to.pos);
    if (ZSTD_isError(left))
        return ENCODED_FAILED;
    return input->len > 0 || (until != ENCODE_ON && left > 0) ? ENCODED_FULL : ENCODED_DONE;
}

static void clear_zstd(struct encoder *encoder)
{
    ZSTD_freeCCtx(encoder->zstd);
}

/* --- codings ------------------------------------------------------------------------------------
 */

static const struct {
    struct slice name;
    struct coding_levels levels;
    struct encoder_ops ops;
    size_t cost, small_cost; /* measured; test_encoder.c holds encoders to it */
} codings[CODINGS] = {
    [CODING_IDENTITY] = {.name = {"identity", 8}},
    [CODING_GZIP] = {.name = {"gzip", 4},
                     .levels = {.usual = 5, .most = 9},
                     .ops = {start_gzip, run_gzip, clear_gzip, true},
                     .cost = 272 * 1024,
                     .small_cost = 76 * 1024},
    [CODING_BR] = {.name = {"br", 2},
                   .levels = {.usual = 5, .most = 7},
                   .ops = {start_br, run_br_safely, clear_br, false},
                   .cost = 2048 * 1024,
                   .small_cost = 640 * 1024},
    [CODING_ZSTD] = {.name = {"zstd", 4},
                     .levels = {.usual = 3, .most = 9},
                     .ops = {start_zstd, run_zstd, clear_zstd, true},
                     .cost = 2048 * 1024,
                     .small_cost = 256 * 1024},
};

struct slice coding_name(enum coding coding)
{
    return codings[coding].name;
}

enum coding coding_from(struct slice name)
{
    for (enum coding coding = CODING_GZIP; coding < CODINGS; coding++)
        if (slice_equal_nocase(name, codings[coding].name))
            return coding;
    return slice_equal_nocase(name, slice_of("x-gzip")) ? CODING_GZIP : CODING_IDENTITY;
}

struct coding_levels coding_levels(enum coding coding)
{
    return codings[coding].levels;
}

size_t encoder_cost(const struct encoder_wish *wish)
{
    return wish->trickles ? codings[wish->coding].small_cost : codings[wish->coding].cost;
}

/* --- encoders -----------------------------------------------------------------------------------
 */

void encoders_init(struct encoders *encoders, struct budget *memory)
{
    *encoders = (struct encoders){.memory = memory};
}

static void free_encoder(struct encoder *encoder)
{
    if (encoder->is_made)
        encoder->ops->clear(encoder);
    free(encoder);
}

void encoders_clear(struct encoders *encoders)
{
    for (enum coding coding = CODING_GZIP; coding < CODINGS; coding++)
        while (encoders->spare_count[coding] > 0)
            free_encoder(encoders->spares[coding][--encoders->spare_count[coding]]);
}

/* One of the usual size, or one that is still to be made. */
static struct encoder *take_encoder(struct encoders *encoders, const struct encoder_wish *wish)
{
    if (!wish->trickles && encoders->spare_count[wish->coding] > 0)
        return encoders->spares[wish->coding][--encoders->spare_count[wish->coding]];
    return memory_try(sizeof(struct encoder));
}

static bool take_budget(struct encoders *encoders, const struct encoder_wish *wish)
{
    return encoders->memory == NULL || budget_take(encoders->memory, encoder_cost(wish));
}

static void give_budget(struct encoders *encoders, const struct encoder_wish *wish)
{
    if (encoders->memory != NULL)
        budget_give(encoders->memory, encoder_cost(wish));
}

struct encoder *encoder_new(struct encoders *encoders, const struct encoder_wish *wish)
{
    struct encoder *encoder;

    assert(wish->coding != CODING_IDENTITY);
    if (!take_budget(encoders, wish))
        return NULL;
    encoder = take_encoder(encoders, wish);
    if (encoder != NULL) {
        encoder->ops = &codings[wish->coding].ops;
        encoder->encoders = encoders;
        encoder->wish = *wish;
        if (encoder->ops->start(encoder)) {
            encoder->is_made = true;
            return encoder;
        }
        free(encoder);
    }
    give_budget(encoders, wish);
    return NULL;
}

void encoder_free(struct encoder *encoder)
{
    struct encoders *encoders;
    enum coding coding;

    if (encoder == NULL)
        return;
    encoders = encoder->encoders;
    coding = encoder->wish.coding;
    give_budget(encoders, &encoder->wish);
    if (encoder->ops->is_reused && !encoder->wish.trickles &&
        encoders->spare_count[coding] < ENCODERS_SPARE)
        encoders->spares[coding][encoders->spare_count[coding]++] = encoder;
    else
        free_encoder(encoder);
}

enum encoded encoder_run(struct encoder *encoder, enum encode_until until, struct slice *input,
                         struct buffer *out)
{
    if (buffer_room(out) < ROOM_LEAST)
        return ENCODED_FULL;
    return encoder->ops->run(encoder, until, input, out);
}
