/* What the parts of the HTTP/2 client share. */
#ifndef E2E_H2_PRIVATE_H
#define E2E_H2_PRIVATE_H

#include "h2_frames.h"

#include <arpa/inet.h>
#include <string.h>

/* What the gateway did wrong, unless the test is lenient. */
#define h2_judge(client, fact, ...) \
    h2_require(client, (client)->options.is_lenient || (fact), __VA_ARGS__)

/* Four bytes, in the network's order. */
static inline uint32_t h2_number(const void *bytes)
{
    uint32_t number;

    memcpy(&number, bytes, sizeof number);
    return ntohl(number);
}

/* A line more for the story. */
void h2_tell(struct h2_client *client, char direction, const struct h2_frame *frame);
/* Sends what is ours to answer, behind a field section that is under way. */
void h2_answer(struct h2_client *client, void (*send)(struct h2_client *, uint64_t),
               uint64_t value);
/* client->block is whole. */
void h2_take_section(struct h2_client *client);
/* END_STREAM came. */
void h2_end_stream(struct h2_client *client, struct h2_stream *stream);

#endif
