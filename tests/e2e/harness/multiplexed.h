/* An HTTP/2 client (nghttp2) with many requests at once on one connection and windows of choice: it
 * knows how much of everything had come when each was asked and answered. For one thread. */
#ifndef E2E_MULTIPLEXED_H
#define E2E_MULTIPLEXED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct multiplexed;

struct multiplexed_options {
    const char *address; /* of the gateway, or of what stands in front of it */
    const char *host;
    /* What may come at once; what has come is given back in sixteenths of it. */
    int32_t stream_window, connection_window;
};

struct multiplexed_request {
    const char *method; /* GET when NULL */
    const char *path;
    const char *priority; /* RFC 9218; none when NULL */
    uint64_t to_send;     /* bytes of the pattern, as its body */

    int32_t stream;
    int status;
    uint64_t bytes, sent; /* of bodies */
    size_t owed;          /* of its window */
    bool is_pattern;      /* what came is the pattern's beginning */
    bool is_over;
    uint32_t error;                        /* RST_STREAM's code, once it is over */
    uint64_t before_asking, before_answer; /* bytes of all bodies that had come by then */
};

/* Connects and shakes hands; what follows lives until the test ends. All of these fail the test
 * when they cannot. */
struct multiplexed *multiplexed_open(const struct multiplexed_options *options);
/* Submits a request, which is the caller's and is filled in as things come. */
void multiplexed_ask(struct multiplexed *client, struct multiplexed_request *request);
/* Sends what the socket takes, reads what is there, and waits a moment if nothing is: tests call it
 * until a fact holds. Fails when nothing has come or gone for as long as patience lasts. */
void multiplexed_turn(struct multiplexed *client);
/* Turns until the request is over, without an error and with that status. */
void multiplexed_finish(struct multiplexed *client, struct multiplexed_request *request,
                        int status);
/* Ends the connection: a gateway that stops waits for a client that is still there to say goodbye.
 */
void multiplexed_close(struct multiplexed *client);
/* Bytes of bodies that have come. */
uint64_t multiplexed_received(const struct multiplexed *client);
/* How much of the request's body the gateway would take now. */
int32_t multiplexed_room(const struct multiplexed *client,
                         const struct multiplexed_request *request);

#endif
