/* Looks at the frames that a client sends, before anybody acts on them, for those that are more
 * work than they are worth (http/h2_budget.h). Whatever becomes of a frame, it is counted. No I/O.
 */
#ifndef HTTP_H2_METER_H
#define HTTP_H2_METER_H

#include "base/slice.h"
#include "http/h2_budget.h"

/* Embedded; all zeroes but for fragments_most at the beginning of a connection, in front of the
 * client's preface. */
struct h2_meter {
    uint32_t skip; /* bytes of the frame at hand that are still to come */
    uint8_t header[10];
    uint8_t header_bytes; /* of the next frame's, that have come; with the length of padding */
    bool has_preface, has_settings;
    bool is_in_block;        /* a field section has begun; the rest is still to come */
    bool is_end_of_block;    /* which is in the frame at hand */
    uint32_t fragments;      /* CONTINUATIONs behind the newest HEADERS */
    uint32_t fragments_most; /* 0: any number */
};

/* Notes all frames that begin in these bytes, which follow those of the last call. False: the
 * budget is spent. */
bool h2_meter_note(struct h2_meter *meter, struct slice bytes, struct h2_budget *budget,
                   uint64_t now_ms);

#endif
