#include "support/hpack.h"

#include <stdlib.h>
#include <string.h>

/* RFC 7541 appendix A. */
static const struct {
    const char *name, *value;
} static_table[HPACK_STATIC_COUNT + 1] = {
    {"", ""},
    {":authority", ""},
    {":method", "GET"},
    {":method", "POST"},
    {":path", "/"},
    {":path", "/index.html"},
    {":scheme", "http"},
    {":scheme", "https"},
    {":status", "200"},
    {":status", "204"},
    {":status", "206"},
    {":status", "304"},
    {":status", "400"},
    {":status", "404"},
    {":status", "500"},
    {"accept-charset", ""},
    {"accept-encoding", "gzip, deflate"},
    {"accept-language", ""},
    {"accept-ranges", ""},
    {"accept", ""},
    {"access-control-allow-origin", ""},
    {"age", ""},
    {"allow", ""},
    {"authorization", ""},
    {"cache-control", ""},
    {"content-disposition", ""},
    {"content-encoding", ""},
    {"content-language", ""},
    {"content-length", ""},
    {"content-location", ""},
    {"content-range", ""},
    {"content-type", ""},
    {"cookie", ""},
    {"date", ""},
    {"etag", ""},
    {"expect", ""},
    {"expires", ""},
    {"from", ""},
    {"host", ""},
    {"if-match", ""},
    {"if-modified-since", ""},
    {"if-none-match", ""},
    {"if-range", ""},
    {"if-unmodified-since", ""},
    {"last-modified", ""},
    {"link", ""},
    {"location", ""},
    {"max-forwards", ""},
    {"proxy-authenticate", ""},
    {"proxy-authorization", ""},
    {"range", ""},
    {"referer", ""},
    {"refresh", ""},
    {"retry-after", ""},
    {"server", ""},
    {"set-cookie", ""},
    {"strict-transport-security", ""},
    {"transfer-encoding", ""},
    {"user-agent", ""},
    {"vary", ""},
    {"via", ""},
    {"www-authenticate", ""},
};

/* --- bytes ---------------------------------------------------------------------------------- */

void hpack_bytes_clear(struct hpack_bytes *bytes)
{
    free(bytes->at);
    *bytes = (struct hpack_bytes){.at = NULL};
}

void hpack_put(struct hpack_bytes *out, const void *bytes, size_t length)
{
    if (out->length + length > out->room) {
        out->room = (out->length + length) * 2 + 64;
        out->at = realloc(out->at, out->room);
        if (out->at == NULL)
            abort();
    }
    if (length > 0)
        memcpy(out->at + out->length, bytes, length);
    out->length += length;
}

void hpack_put_byte(struct hpack_bytes *out, uint8_t byte)
{
    hpack_put(out, &byte, 1);
}

/* --- writing -------------------------------------------------------------------------------- */

void hpack_put_integer(struct hpack_bytes *out, uint8_t first, unsigned prefix, uint64_t value)
{
    uint64_t most = (1U << prefix) - 1;

    if (value < most) {
        hpack_put_byte(out, (uint8_t)(first | value));
        return;
    }
    hpack_put_byte(out, (uint8_t)(first | most));
    for (value -= most; value >= 0x80; value >>= 7)
        hpack_put_byte(out, (uint8_t)(value | 0x80));
    hpack_put_byte(out, (uint8_t)value);
}

void hpack_put_string(struct hpack_bytes *out, const void *bytes, size_t length, bool is_huffman)
{
    if (is_huffman) {
        hpack_put_integer(out, 0x80, 7, hpack_huffman_length(bytes, length));
        hpack_put_huffman(out, bytes, length);
    } else {
        hpack_put_integer(out, 0, 7, length);
        hpack_put(out, bytes, length);
    }
}

void hpack_put_index(struct hpack_bytes *out, uint32_t index)
{
    hpack_put_integer(out, 0x80, 7, index);
}

static size_t length_of(const char *string, size_t length)
{
    return length > 0 ? length : strlen(string);
}

void hpack_put_field(struct hpack_bytes *out, const struct hpack_field *field)
{
    switch (field->form) {
    case HPACK_INCREMENTAL: hpack_put_integer(out, 0x40, 6, field->name_index); break;
    case HPACK_WITHOUT_INDEXING: hpack_put_integer(out, 0, 4, field->name_index); break;
    case HPACK_NEVER_INDEXED: hpack_put_integer(out, 0x10, 4, field->name_index); break;
    }
    if (field->name_index == 0)
        hpack_put_string(out, field->name, length_of(field->name, field->name_length),
                         field->is_huffman);
    hpack_put_string(out, field->value, length_of(field->value, field->value_length),
                     field->is_huffman);
}

void hpack_put_table_size(struct hpack_bytes *out, uint32_t size)
{
    hpack_put_integer(out, 0x20, 5, size);
}

uint32_t hpack_static_index(const char *name, const char *value)
{
    for (uint32_t i = 1; i <= HPACK_STATIC_COUNT; i++) {
        if (strcmp(static_table[i].name, name) == 0 &&
            (value == NULL || strcmp(static_table[i].value, value) == 0))
            return i;
    }
    return 0;
}

/* --- the dynamic table ---------------------------------------------------------------------- */

void hpack_decoder_init(struct hpack_decoder *decoder)
{
    *decoder =
        (struct hpack_decoder){.max_size = HPACK_DEFAULT_TABLE, .limit = HPACK_DEFAULT_TABLE};
}

static void free_entry(struct hpack_entry *entry)
{
    free(entry->name);
    free(entry->value);
}

void hpack_decoder_clear(struct hpack_decoder *decoder)
{
    for (uint32_t i = 0; i < decoder->count; i++)
        free_entry(&decoder->entries[i]);
    free(decoder->entries);
    hpack_decoder_init(decoder);
}

void hpack_decoder_limit(struct hpack_decoder *decoder, size_t limit)
{
    if (limit < decoder->max_size && (!decoder->owes_update || limit < decoder->owed_maximum)) {
        decoder->owes_update = true;
        decoder->owed_maximum = limit;
    }
    decoder->limit = limit;
}

static size_t entry_size(const struct hpack_entry *entry)
{
    return entry->name_length + entry->value_length + HPACK_ENTRY_OVERHEAD;
}

/* Section 4.3: the oldest go until no more than `size` is used. */
static void evict(struct hpack_decoder *decoder, size_t size)
{
    uint32_t gone = 0;

    while (decoder->size > size) {
        decoder->size -= entry_size(&decoder->entries[gone]);
        free_entry(&decoder->entries[gone++]);
    }
    if (gone == 0)
        return;
    decoder->count -= gone;
    memmove(decoder->entries, decoder->entries + gone, decoder->count * sizeof *decoder->entries);
}

static char *copied(const void *bytes, size_t length)
{
    char *copy = malloc(length + 1);

    if (copy == NULL)
        abort();
    if (length > 0)
        memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

/* Section 4.4: what is larger than the table empties it. */
static void insert(struct hpack_decoder *decoder, const struct hpack_entry *field)
{
    struct hpack_entry entry = {.name = copied(field->name, field->name_length),
                                .value = copied(field->value, field->value_length),
                                .name_length = field->name_length,
                                .value_length = field->value_length};
    size_t size = entry_size(&entry);

    decoder->insertions++;
    evict(decoder, size > decoder->max_size ? 0 : decoder->max_size - size);
    if (size > decoder->max_size) {
        free_entry(&entry);
        return;
    }
    if (decoder->count == decoder->room) {
        decoder->room = decoder->room * 2 + 16;
        decoder->entries = realloc(decoder->entries, decoder->room * sizeof *decoder->entries);
        if (decoder->entries == NULL)
            abort();
    }
    decoder->entries[decoder->count++] = entry;
    decoder->size += size;
}

/* Borrowed; false: there is none. */
static bool look_up(struct hpack_decoder *decoder, uint64_t index, struct hpack_entry *entry)
{
    if (index == 0 || index > (uint64_t)HPACK_STATIC_COUNT + decoder->count)
        return false;
    if (index > HPACK_STATIC_COUNT) {
        *entry = decoder->entries[decoder->count - (index - HPACK_STATIC_COUNT)];
        decoder->dynamic_uses++;
        return true;
    }
    *entry = (struct hpack_entry){.name = (char *)static_table[index].name,
                                  .value = (char *)static_table[index].value,
                                  .name_length = strlen(static_table[index].name),
                                  .value_length = strlen(static_table[index].value)};
    return true;
}

/* --- reading -------------------------------------------------------------------------------- */

struct reading {
    struct hpack_decoder *decoder;
    const uint8_t *at, *end;
    hpack_take take;
    void *arg;
    const char *problem;
    bool had_field;
};

static bool read_integer(struct reading *reading, unsigned prefix, uint64_t *value)
{
    uint64_t most = (1U << prefix) - 1;

    *value = *reading->at++ & most;
    if (*value < most)
        return true;
    for (unsigned shift = 0; reading->at < reading->end; shift += 7) {
        uint8_t byte = *reading->at++;
        if (shift > 28)
            break;
        *value += (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return true;
    }
    reading->problem = "5.1: an integer that does not end, or is beyond all limits";
    return false;
}

/* Decoded or copied; the caller frees it, whatever comes of it. */
static bool read_string(struct reading *reading, char **string, size_t *length)
{
    bool is_huffman = reading->at < reading->end && (*reading->at & 0x80) != 0;
    struct hpack_bytes decoded = {.at = NULL};
    uint64_t coded = 0;

    if (reading->at == reading->end)
        reading->problem = "5.2: a string is missing";
    else if (read_integer(reading, 7, &coded) && coded > (uint64_t)(reading->end - reading->at))
        reading->problem = "5.2: a string is longer than the block";
    else if (reading->problem == NULL && !is_huffman)
        hpack_put(&decoded, reading->at, coded);
    else if (reading->problem == NULL && !hpack_decode_huffman(&decoded, reading->at, coded))
        reading->problem = "5.2: Huffman code that is padded wrongly or has EOS in it";
    if (reading->problem == NULL)
        reading->at += coded;
    *length = decoded.length;
    hpack_put_byte(&decoded, 0);
    *string = (char *)decoded.at;
    return reading->problem == NULL;
}

static void give(struct reading *reading, const struct hpack_entry *field, enum hpack_form form)
{
    if (form == HPACK_NEVER_INDEXED)
        reading->decoder->never_indexed++;
    if (reading->take != NULL)
        reading->take(reading->arg, field, form);
    if (form == HPACK_INCREMENTAL)
        insert(reading->decoder, field);
}

static void read_literal(struct reading *reading, unsigned prefix, enum hpack_form form)
{
    struct hpack_entry field = {.name = NULL}, named;
    char *name = NULL, *value = NULL;
    uint64_t index;

    if (!read_integer(reading, prefix, &index))
        return;
    if (index == 0) {
        read_string(reading, &name, &field.name_length);
    } else if (look_up(reading->decoder, index, &named)) {
        field.name_length = named.name_length;
        name = copied(named.name, named.name_length);
    } else {
        reading->problem = "2.3.3: an index beyond the tables";
    }
    if (reading->problem == NULL && read_string(reading, &value, &field.value_length)) {
        field.name = name;
        field.value = value;
        give(reading, &field, form);
    }
    free(name);
    free(value);
}

static void read_indexed(struct reading *reading)
{
    struct hpack_entry field;
    uint64_t index;

    if (!read_integer(reading, 7, &index))
        return;
    if (look_up(reading->decoder, index, &field))
        give(reading, &field, HPACK_WITHOUT_INDEXING);
    else
        reading->problem = index == 0 ? "6.1: index 0" : "2.3.3: an index beyond the tables";
}

static void read_update(struct reading *reading)
{
    struct hpack_decoder *decoder = reading->decoder;
    uint64_t size;

    if (!read_integer(reading, 5, &size))
        return;
    if (reading->had_field)
        reading->problem = "4.2: a change of the table's size behind a field";
    else if (size > decoder->limit)
        reading->problem = "6.3: a table larger than was allowed";
    if (reading->problem != NULL)
        return;
    decoder->updates++;
    decoder->max_size = size;
    evict(decoder, size);
    if (size <= decoder->owed_maximum)
        decoder->owes_update = false;
}

static void read_field(struct reading *reading)
{
    if (reading->decoder->owes_update)
        reading->problem = "4.2: the smaller table is not acknowledged in front of the fields";
    reading->had_field = true;
    if (reading->problem != NULL)
        return;
    if (*reading->at & 0x80)
        read_indexed(reading);
    else if (*reading->at & 0x40)
        read_literal(reading, 6, HPACK_INCREMENTAL);
    else
        read_literal(reading, 4,
                     *reading->at & 0x10 ? HPACK_NEVER_INDEXED : HPACK_WITHOUT_INDEXING);
}

const char *hpack_decode(struct hpack_decoder *decoder, const void *block, size_t length,
                         hpack_take take, void *arg)
{
    struct reading reading = {.decoder = decoder,
                              .at = block,
                              .end = (const uint8_t *)block + length,
                              .take = take,
                              .arg = arg};

    decoder->blocks++;
    while (reading.problem == NULL && reading.at < reading.end) {
        if ((*reading.at & 0xe0) == 0x20)
            read_update(&reading);
        else
            read_field(&reading);
    }
    return reading.problem;
}
