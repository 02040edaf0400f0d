#include "http/h2_meter.h"

#include <string.h>

enum {
    PREFACE_BYTES = 24, /* RFC 9113 section 3.4 */
    HEADER_BYTES = 9,   /* section 4.1 */
    FLAG_END_STREAM = 0x1,
    FLAG_END_HEADERS = 0x4,
    FLAG_PADDED = 0x8,
};

/* Section 6. */
enum frame_type {
    FRAME_DATA,
    FRAME_HEADERS,
    FRAME_PRIORITY,
    FRAME_RST_STREAM,
    FRAME_SETTINGS,
    FRAME_PUSH_PROMISE,
    FRAME_PING,
    FRAME_GOAWAY,
    FRAME_WINDOW_UPDATE,
    FRAME_CONTINUATION,
};

static uint32_t payload_bytes(const struct h2_meter *meter)
{
    const uint8_t *header = meter->header;

    return (uint32_t)header[0] << 16 | (uint32_t)header[1] << 8 | header[2];
}

/* How many bytes in front of a frame's content tell enough of it: where it may be all padding, the
 * length of that as well. */
static size_t bytes_that_tell(const struct h2_meter *meter)
{
    bool may_be_padded = meter->header_bytes >= HEADER_BYTES && meter->header[3] == FRAME_DATA &&
                         (meter->header[4] & FLAG_PADDED) && payload_bytes(meter) > 0;

    return may_be_padded ? HEADER_BYTES + 1 : HEADER_BYTES;
}

static bool has_content(const struct h2_meter *meter)
{
    uint32_t payload = payload_bytes(meter);

    if (meter->header_bytes > HEADER_BYTES)
        return payload > (uint32_t)meter->header[HEADER_BYTES] + 1;
    return payload > 0;
}

static bool spend_on_frame(struct h2_meter *meter, struct h2_budget *budget, uint64_t now_ms)
{
    uint8_t flags = meter->header[4];
    bool is_first_settings = false;

    switch (meter->header[3]) {
    case FRAME_DATA:
        if (has_content(meter)) {
            h2_budget_earn_data(budget, 0, 1);
            return true;
        }
        return (flags & FLAG_END_STREAM) != 0 || h2_budget_spend(budget, H2_SPENT_ON_EMPTY, now_ms);
    case FRAME_HEADERS:
        meter->fragments = 0;
        return has_content(meter) || h2_budget_spend(budget, H2_SPENT_ON_EMPTY, now_ms);
    case FRAME_CONTINUATION:
        meter->fragments++;
        if (meter->fragments_most > 0 && meter->fragments > meter->fragments_most)
            return false;
        if (!has_content(meter) && !(flags & FLAG_END_HEADERS) &&
            !h2_budget_spend(budget, H2_SPENT_ON_EMPTY, now_ms))
            return false;
        return h2_budget_spend(budget, H2_SPENT_ON_FRAGMENT, now_ms);
    case FRAME_RST_STREAM: return h2_budget_spend(budget, H2_SPENT_ON_RESET, now_ms);
    case FRAME_SETTINGS:
        is_first_settings = !meter->has_settings;
        meter->has_settings = true;
        return is_first_settings || h2_budget_spend(budget, H2_SPENT_ON_SETTINGS, now_ms);
    case FRAME_PING: return h2_budget_spend(budget, H2_SPENT_ON_PING, now_ms);
    case FRAME_WINDOW_UPDATE: return h2_budget_spend(budget, H2_SPENT_ON_WINDOW, now_ms);
    default: return h2_budget_spend(budget, H2_SPENT_ON_PRIORITY, now_ms);
    }
}

static void skip_preface(struct h2_meter *meter, struct slice *bytes)
{
    size_t left = (size_t)PREFACE_BYTES - meter->header_bytes;
    size_t taken = bytes->len < left ? bytes->len : left;

    *bytes = slice_skip(*bytes, taken);
    meter->header_bytes += (uint8_t)taken;
    if (meter->header_bytes < PREFACE_BYTES)
        return;
    meter->header_bytes = 0;
    meter->has_preface = true;
}

/* Takes what of the next frame's header is there. True: all that tells. */
static bool take_header(struct h2_meter *meter, struct slice *bytes)
{
    while (meter->header_bytes < bytes_that_tell(meter) && bytes->len > 0) {
        meter->header[meter->header_bytes++] = (uint8_t)bytes->at[0];
        *bytes = slice_skip(*bytes, 1);
    }
    return meter->header_bytes == bytes_that_tell(meter);
}

static void begin_frame(struct h2_meter *meter)
{
    meter->skip = payload_bytes(meter) - (meter->header_bytes - HEADER_BYTES);
    meter->header_bytes = 0;
    meter->is_end_of_block = false;
    if (meter->header[3] != FRAME_HEADERS && meter->header[3] != FRAME_CONTINUATION)
        return;
    meter->is_in_block = true;
    meter->is_end_of_block = (meter->header[4] & FLAG_END_HEADERS) != 0;
}

static void end_frame(struct h2_meter *meter)
{
    if (meter->is_end_of_block)
        meter->is_in_block = false;
}

bool h2_meter_note(struct h2_meter *meter, struct slice bytes, struct h2_budget *budget,
                   uint64_t now_ms)
{
    if (!meter->has_preface)
        skip_preface(meter, &bytes);
    while (bytes.len > 0) {
        if (meter->skip > 0) {
            size_t skipped = bytes.len < meter->skip ? bytes.len : meter->skip;

            bytes = slice_skip(bytes, skipped);
            meter->skip -= (uint32_t)skipped;
            if (meter->skip == 0)
                end_frame(meter);
            continue;
        }
        if (!take_header(meter, &bytes))
            break;
        if (!spend_on_frame(meter, budget, now_ms))
            return false;
        begin_frame(meter);
        if (meter->skip == 0)
            end_frame(meter);
    }
    return true;
}
