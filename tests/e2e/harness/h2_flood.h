/* A flood of HTTP/2 frames: a gateway, a backend that is attacked and another one, a client that is
 * served all the time; and what must come of it. */
#ifndef E2E_H2_FLOOD_H
#define E2E_H2_FLOOD_H

#include "crowd.h"
#include "h2_frames.h"
#include "origin.h"

struct h2_flood {
    /* The n-th piece of it, from 0. */
    void (*send)(struct h2_client *client, unsigned n);
    /* Before it, what must be there; may be NULL. */
    void (*begin)(struct h2_client *client);
    const struct h2_options *options;
    bool is_deaf;      /* reads nothing before all is sent */
    bool waits;        /* for what becomes of the newest request, before it sends more */
    unsigned pieces;   /* more than enough, and no more are sent; 0: 10,000 */
    unsigned requests; /* that may have reached the backend */
};

/* Pours it on a connection. The connection must end with ENHANCE_YOUR_CALM; metrics and log must
 * say so; the backend saw no more requests than it may; memory did not grow; the other client was
 * served all the time. */
void h2_flood_expect_ended(const struct h2_flood *flood);

/* The pieces of that, for what is poured otherwise. `a.test` is the attacked backend: /hang never
 * answers, /echo reads all of the request first. `b.test` is the other one. */
struct h2_scene {
    struct origin *attacked, *other;
    struct gateway *gateway;
    struct h2_client *bystander;
    struct crowd *crowd;
    long rss_kib;
};
struct h2_scene *h2_scene_begin(void);
/* The gateway has said that the connection ends, or it has ended. */
bool h2_scene_has_ended(const struct h2_client *client);
/* Reads up to the end: ENHANCE_YOUR_CALM, in GOAWAY, in metrics and log. */
void h2_scene_expect_calm(struct h2_scene *scene, struct h2_client *client);
/* Until metrics count so many connections that were ended so. */
void h2_scene_await_ended(long count);
void h2_scene_expect_bounds(struct h2_scene *scene, unsigned requests);
/* Stops all; the other client was served, and is. */
void h2_scene_end(struct h2_scene *scene);

#endif
