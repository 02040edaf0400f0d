/* HTTP/1.1 requests as a test writes them, taken apart while they come: what the same requests in
 * another protocol are made from. No I/O. */
#ifndef E2E_REQUEST_TEXT_H
#define E2E_REQUEST_TEXT_H

#include "http_message.h"

enum text_state { TEXT_HEAD, TEXT_LENGTH, TEXT_CHUNK_SIZE, TEXT_CHUNK, TEXT_TRAILERS, TEXT_TUNNEL };

/* Embedded; zero it, and clear it at the end. */
struct request_text {
    struct wire held; /* a buffer alone: what was written and not yet understood */
    enum text_state state;
    uint64_t left; /* of the body, or of a chunk */
    bool is_over;  /* the end of the request is still to be told */
    struct message *head;
    const char *piece;
    size_t piece_bytes;
    struct fields trailers;
};

enum text_part {
    PART_NONE,     /* more has to be written first */
    PART_HEAD,     /* `head`, until the next one; PART_END follows at once where there is no body */
    PART_PIECE,    /* some of the body, `piece`, until more is put or asked for; or of a tunnel */
    PART_END,      /* with `trailers`, until the next one */
    PART_UNSAYABLE /* this is HTTP/1's own; no other protocol can say it */
};

void request_text_clear(struct request_text *text);
void request_text_put(struct request_text *text, const void *bytes, size_t length);
enum text_part request_text_next(struct request_text *text);
/* The head asks to become a tunnel of WebSocket: what is written behind it is the tunnel's, until
 * request_text_refuse_tunnel. */
bool request_text_is_upgrade(const struct request_text *text);
void request_text_refuse_tunnel(struct request_text *text);

#endif
