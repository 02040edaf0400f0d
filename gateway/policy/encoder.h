/* Content codings (RFC 9110 section 8.4.1) as streams: gzip by zlib, br by libbrotli, zstd by
 * libzstd, behind one interface. No I/O: bytes in, bytes out. */
#ifndef POLICY_ENCODER_H
#define POLICY_ENCODER_H

#include "base/budget.h"
#include "base/buffer.h"

enum coding { CODING_IDENTITY, CODING_GZIP, CODING_BR, CODING_ZSTD, CODINGS };

/* As it stands in Content-Encoding. */
struct slice coding_name(enum coding coding);
/* CODING_IDENTITY for what is none of the others; "x-gzip" is gzip (RFC 9110 section 8.4.1.3). */
enum coding coding_from(struct slice name);

/* Higher ones would keep others of the loop waiting, and take more memory than they are worth. */
struct coding_levels {
    uint8_t usual, most; /* from 1 */
};
struct coding_levels coding_levels(enum coding coding);

struct encoder;

enum { ENCODERS_SPARE = 2 }; /* of each coding, for whoever comes next */

/* What a worker keeps for its encoders. One thread's. */
struct encoders {
    struct budget *memory; /* the process's, for all that are at work; NULL: as much as they like */
    struct encoder *spares[CODINGS][ENCODERS_SPARE];
    unsigned spare_count[CODINGS];
};

void encoders_init(struct encoders *encoders, struct budget *memory);
void encoders_clear(struct encoders *encoders);

struct encoder_wish {
    enum coding coding; /* not identity */
    uint8_t level;
    uint64_t bytes; /* that will go in, exactly; UINT64_MAX: not known */
    /* Little comes at a time, and it may last for hours: as little memory as makes sense. */
    bool trickles;
};

/* NULL: there is no memory for it, or it would be more than all of them may use. */
struct encoder *encoder_new(struct encoders *encoders, const struct encoder_wish *wish);
void encoder_free(struct encoder *encoder);

/* What has to have come out in the end. */
enum encode_until {
    ENCODE_ON,    /* whatever it likes */
    ENCODE_FLUSH, /* all that went in can be decoded */
    ENCODE_END,   /* the same, and the end is marked; nothing more goes in */
};

enum encoded {
    ENCODED_DONE,   /* all of `input` was taken, and that has come out */
    ENCODED_FULL,   /* no room is left: again, with the same wish, once there is some */
    ENCODED_FAILED, /* no memory; only encoder_free is left */
};

/* Takes from the front of *input and appends to `out`, no more than it has room for. */
enum encoded encoder_run(struct encoder *encoder, enum encode_until until, struct slice *input,
                         struct buffer *out);

/* What an encoder for this may use at most, and is charged for. */
size_t encoder_cost(const struct encoder_wish *wish);

#endif
