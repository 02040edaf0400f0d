/* A route that is cached, a.test, before a scripted origin; answers that come in two parts, and
 * clients that are in the middle of them. */
#ifndef E2E_CACHE_SCENE_H
#define E2E_CACHE_SCENE_H

#include "gateway_process.h"
#include "origin.h"
#include "tls_client.h"

struct gate;

#define KEPT "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n"

/* What a path answers at its first request, and later. */
struct cache_parts {
    const char *first; /* raw; NULL: nothing before the gate is open */
    struct gate *gate; /* NULL: it waits for none */
    const char *rest;  /* may be NULL */
    bool is_cut;       /* behind the rest the connection ends */
    const char *later; /* raw, to every later request; NULL: as the first one */
    int count;         /* of requests; the monitor's lock's */
};
/* `parts` is the caller's until the origin stops. */
void cache_parts_set(struct origin *origin, const char *path, struct cache_parts *parts);

/* So many bytes of the pattern, to be kept. */
struct cache_pattern {
    uint64_t bytes;
    bool is_chunked;
    struct gate *gate; /* before its second half; NULL: none */
};
void cache_tell_pattern(struct origin_turn *turn); /* with one as its arg */
void cache_pattern_set(struct origin *origin, const char *path, struct cache_pattern *pattern);

/* Workers; `members` of the route beside `to` (a backend `b` with `keys`). */
struct gateway *cache_scene_start(struct origin *origin, int workers, const char *members);
/* The same text, for reloads: TMP/routes.json is written anew, and loaded. */
void cache_scene_reload(struct origin *origin, const char *members);

/* Closes the clients of cache_ask and those that were noted, so that it waits for nobody. */
void cache_scene_stop(struct gateway *gateway);
struct client *cache_note(struct client *client);
void cache_leave_all(void);

/* One more client of a.test with its request sent; fields end with CRLF each. */
struct client *cache_ask(struct gateway *gateway, const char *path, const char *fields);
/* Reads a head, and then until so many bytes of the body are there, which stay unread. */
struct message *cache_begin_reading(struct client *client, size_t bytes);
/* The rest of what that began: whole and equal to the text; cut somewhere. */
void cache_expect_rest(struct client *client, struct message *response, const char *body);
void cache_expect_cut(struct client *client, struct message *response);
/* All of a pattern. */
void cache_expect_pattern(struct client *client, uint64_t bytes);
/* Cache-Status has this in it, or (-) has not. */
void cache_expect_status(const struct message *response, const char *words);

/* Waits until so many requests are in flight. */
void cache_await_in_flight(int count);
/* What policy_decisions_total of the cache says for a.test. */
long cache_decisions(const char *outcome);
/* Waits until it says so many. */
void cache_await_decisions(const char *outcome, long count);
/* A series of the metrics page, "cache_bytes{zone=\"…\"}"; fails the test when it is not there. */
long cache_metric(const char *series);

#endif
