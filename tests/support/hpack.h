/* HPACK (RFC 7541) of the tests' own, which shares nothing with the gateway's: pieces from which
 * any header block can be written, right or wrong, and a decoder that says what is wrong with one.
 * For unit, end-to-end and fuzz tests, so it stands on the C library alone. */
#ifndef TESTS_SUPPORT_HPACK_H
#define TESTS_SUPPORT_HPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that grow; {0} is empty, hpack_bytes_clear frees. */
struct hpack_bytes {
    uint8_t *at;
    size_t length, room;
};

void hpack_bytes_clear(struct hpack_bytes *bytes);
void hpack_put(struct hpack_bytes *out, const void *bytes, size_t length);
void hpack_put_byte(struct hpack_bytes *out, uint8_t byte);

/* --- writing -------------------------------------------------------------------------------- */

/* Section 6.2's three ways of a literal. */
enum hpack_form {
    HPACK_WITHOUT_INDEXING,
    HPACK_INCREMENTAL, /* goes into the dynamic table */
    HPACK_NEVER_INDEXED,
};

/* Lengths of 0 are strlen's. */
struct hpack_field {
    const char *name, *value;
    size_t name_length, value_length;
    enum hpack_form form;
    uint32_t name_index; /* not 0: stands for the name */
    bool is_huffman;     /* both strings */
};

/* An integer (5.1) behind the bits that `first` has above the prefix. */
void hpack_put_integer(struct hpack_bytes *out, uint8_t first, unsigned prefix, uint64_t value);
/* A string with its length (5.2). */
void hpack_put_string(struct hpack_bytes *out, const void *bytes, size_t length, bool is_huffman);
/* The Huffman code alone, padded as it must be. */
void hpack_put_huffman(struct hpack_bytes *out, const void *bytes, size_t length);
/* How many bytes that is. */
size_t hpack_huffman_length(const void *bytes, size_t length);
/* An index (6.1), whatever it is; a literal (6.2); a change of the table's size (6.3). */
void hpack_put_index(struct hpack_bytes *out, uint32_t index);
void hpack_put_field(struct hpack_bytes *out, const struct hpack_field *field);
void hpack_put_table_size(struct hpack_bytes *out, uint32_t size);

/* The static table's place of that field, of its name alone if value is NULL; 0: none. */
uint32_t hpack_static_index(const char *name, const char *value);

/* --- reading -------------------------------------------------------------------------------- */

enum { HPACK_STATIC_COUNT = 61, HPACK_DEFAULT_TABLE = 4096, HPACK_ENTRY_OVERHEAD = 32 };

struct hpack_entry {
    char *name, *value; /* terminated as well */
    size_t name_length, value_length;
};

struct hpack_decoder {
    struct hpack_entry *entries; /* the newest last */
    uint32_t count, room;
    size_t size;         /* of all entries, as section 4.1 counts */
    size_t max_size;     /* as the encoder said last */
    size_t limit;        /* what our SETTINGS_HEADER_TABLE_SIZE allows */
    bool owes_update;    /* the limit is below max_size: the next block begins with an update */
    size_t owed_maximum; /* and the smallest of its updates is at most this */
    /* What was seen of the encoder, over all blocks. */
    unsigned blocks, updates, insertions, dynamic_uses, never_indexed;
};

/* Field by field, as they come; the strings live until the call returns. */
typedef void (*hpack_take)(void *arg, const struct hpack_entry *field, enum hpack_form form);

void hpack_decoder_init(struct hpack_decoder *decoder);
void hpack_decoder_clear(struct hpack_decoder *decoder);
/* What we allow from the next block on: our SETTINGS was acknowledged. */
void hpack_decoder_limit(struct hpack_decoder *decoder, size_t limit);
/* One whole header block. NULL, or what is wrong with it, with the RFC's section. */
const char *hpack_decode(struct hpack_decoder *decoder, const void *block, size_t length,
                         hpack_take take, void *arg);
/* A Huffman-coded string; false when it is not padded as it must be or has EOS in it. */
bool hpack_decode_huffman(struct hpack_bytes *out, const void *bytes, size_t length);

#endif
