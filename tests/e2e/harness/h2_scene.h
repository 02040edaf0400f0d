/* What tests of HTTP/2's behaviour share: backends that answer step by step, and waits for what has
 * come of it. */
#ifndef E2E_H2_SCENE_H
#define E2E_H2_SCENE_H

#include "h2_frames.h"
#include "origin.h"

/* A backend that is the only one of a.test, and its gateway. */
struct h2_scene {
    struct origin *origin;
    struct gateway *gateway;
};
/* `keys` go in front of the routes, in the form of route_file: "'drain_timeout': '1h',". */
struct h2_scene h2_scene_start(const char *keys);

/* --- backends ------------------------------------------------------------------------------- */

/* An answer in raw pieces, each behind a gate; without one it follows at once. The request's body
 * is left to the origin. */
struct h2_step {
    struct gate *gate;
    const char *bytes;
};
struct h2_steps {
    struct h2_step list[6];
    struct gate *at_end; /* the turn is not over before; NULL: at once */
    bool closes, resets; /* then */
};
/* Steps are copied, and given to that path. */
void h2_script_steps(struct origin *origin, const char *path, const struct h2_steps *steps);
/* origin_tell once that gate has opened. */
void h2_script_tell_at(struct origin *origin, const char *path, struct gate *gate);

/* A response without an end, of the pattern, and how much of it the gateway has taken. */
struct h2_fountain;
struct h2_fountain *h2_fountain_new(struct origin *origin, const char *path, uint64_t bytes);
/* Said before the request: its kernel holds little of what the gateway does not take. */
void h2_fountain_narrow(struct h2_fountain *fountain);
uint64_t h2_fountain_sent(struct h2_fountain *fountain);
/* Until so much of it is with the kernel. */
void h2_fountain_await(struct h2_fountain *fountain, uint64_t bytes);
/* Until it is over: all is sent, or the gateway takes no more. True: all was. */
bool h2_fountain_wait(struct h2_fountain *fountain);

/* --- waiting -------------------------------------------------------------------------------- */

/* Until so many bytes of the response's body have come. */
void h2_await_bytes(struct h2_client *client, uint32_t stream, uint64_t bytes);
/* Until so many GOAWAYs have. */
void h2_await_goaways(struct h2_client *client, unsigned count);
/* Until that stream was reset, which must not be behind its proper end. */
uint32_t h2_await_reset(struct h2_client *client, uint32_t stream);
/* Until this member of /status is so: "metrics.requests_in_flight". */
void h2_await_status(const char *member, long long value);

/* The whole response, from that origin. */
void h2_expect_from(struct h2_client *client, uint32_t stream, const char *origin_name);
/* Nothing of that stream's has come, no head and no end. */
void h2_expect_waiting(struct h2_client *client, uint32_t stream);

/* TLS records with application data that come, counted from now on. */
struct h2_records {
    unsigned count;
    size_t bytes; /* with TLS's own */
};
void h2_count_records(struct h2_client *client, struct h2_records *records);

#endif
