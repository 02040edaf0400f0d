/* Content codings taken apart, piece by piece: by zlib, libbrotlidec and libzstd. */
#ifndef TESTS_SUPPORT_DECODER_H
#define TESTS_SUPPORT_DECODER_H

#include <stdbool.h>
#include <stddef.h>

struct decoder;

/* "gzip", "br" or "zstd". */
struct decoder *decoder_new(const char *coding);
void decoder_free(void *decoder);

/* False: this is not that coding, or something is behind its end. */
bool decoder_add(struct decoder *decoder, const char *bytes, size_t length);
/* All that can be decoded by now, NUL-terminated; until more is added. */
const char *decoder_content(struct decoder *decoder, size_t *length);
/* The coding's own end was there. */
bool decoder_is_whole(const struct decoder *decoder);

#endif
