#include "support/decoder.h"

#include <brotli/decode.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

enum { GZIP_WINDOW = 15 + 16, ROOM = 1 << 16 };

struct decoder {
    char coding; /* its first letter */
    bool is_whole;
    char *content;
    size_t length;
    z_stream gzip;
    BrotliDecoderState *br;
    ZSTD_DCtx *zstd;
};

struct decoder *decoder_new(const char *coding)
{
    struct decoder *decoder = calloc(1, sizeof(*decoder));

    decoder->coding = coding[0];
    if (coding[0] == 'g')
        inflateInit2(&decoder->gzip, GZIP_WINDOW);
    else if (coding[0] == 'b')
        decoder->br = BrotliDecoderCreateInstance(NULL, NULL, NULL);
    else
        decoder->zstd = ZSTD_createDCtx();
    return decoder;
}

void decoder_free(void *object)
{
    struct decoder *decoder = object;

    if (decoder->coding == 'g')
        inflateEnd(&decoder->gzip);
    if (decoder->br != NULL)
        BrotliDecoderDestroyInstance(decoder->br);
    ZSTD_freeDCtx(decoder->zstd);
    free(decoder->content);
    free(decoder);
}

/* One step; false: wrong. Moves what was taken and what came out. */
static bool step(struct decoder *d, const char **at, size_t *left, char *room, size_t *made)
{
    if (d->coding == 'g') {
        int result;
        d->gzip.next_in = (Bytef *)(uintptr_t)*at;
        d->gzip.avail_in = (uInt)*left;
        d->gzip.next_out = (Bytef *)room;
        d->gzip.avail_out = ROOM;
        result = inflate(&d->gzip, Z_SYNC_FLUSH);
        *at += *left - d->gzip.avail_in;
        *left = d->gzip.avail_in;
        *made = ROOM - d->gzip.avail_out;
        d->is_whole |= result == Z_STREAM_END;
        return result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR;
    }
    if (d->coding == 'b') {
        const uint8_t *in = (const uint8_t *)*at;
        uint8_t *out = (uint8_t *)room;
        size_t out_left = ROOM;
        BrotliDecoderResult result =
            BrotliDecoderDecompressStream(d->br, left, &in, &out_left, &out, NULL);
        *at = (const char *)in;
        *made = ROOM - out_left;
        d->is_whole |= result == BROTLI_DECODER_RESULT_SUCCESS;
        return result != BROTLI_DECODER_RESULT_ERROR;
    }
    ZSTD_inBuffer in = {*at, *left, 0};
    ZSTD_outBuffer out = {room, ROOM, 0};
    size_t result = ZSTD_decompressStream(d->zstd, &out, &in);
    *at += in.pos;
    *left -= in.pos;
    *made = out.pos;
    d->is_whole |= result == 0;
    return !ZSTD_isError(result);
}

bool decoder_add(struct decoder *decoder, const char *bytes, size_t length)
{
    size_t made = length;

    while (length > 0 || made > 0) {
        if (decoder->is_whole)
            return length == 0;
        decoder->content = realloc(decoder->content, decoder->length + ROOM + 1);
        if (!step(decoder, &bytes, &length, decoder->content + decoder->length, &made))
            return false;
        decoder->length += made;
    }
    return true;
}

const char *decoder_content(struct decoder *decoder, size_t *length)
{
    decoder->content = realloc(decoder->content, decoder->length + 1);
    decoder->content[decoder->length] = '\0';
    *length = decoder->length;
    return decoder->content;
}

bool decoder_is_whole(const struct decoder *decoder)
{
    return decoder->is_whole;
}
