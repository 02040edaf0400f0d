/* A scripted HTTP/1 backend: a thread per connection, a script per request, and a record of
 * everything it saw. */
#ifndef E2E_ORIGIN_H
#define E2E_ORIGIN_H

#include "http_message.h"

#include <stdint.h>

struct origin;

/* What a script holds while it answers one request. */
struct origin_turn {
    struct origin *origin;
    struct wire *wire;
    struct message *request; /* its head; the body too, once origin_read_body was called */
    void *arg;               /* as given to origin_script */
    bool is_closing;         /* set by the script: close the connection after this turn */
    bool body_was_read;
};

/*
 * Answers one request in the connection's own thread. It may read the body or leave it to the
 * origin, which discards what is left of it before the next request. It may block at a gate. It
 * must not assert: workplace_note and return.
 */
typedef void (*origin_script)(struct origin_turn *turn);

/* Listens on a free port of this process's own address, or on another address, such as [::1]:0 or
 * unix:/path, and answers every request with origin_tell. Stops with the test. */
struct origin *origin_start(const char *name);
struct origin *origin_start_at(const char *name, const char *address);
const char *origin_address(const struct origin *origin);
/* Closes the listener and every connection and waits for the threads; the record stays readable. */
void origin_stop(struct origin *origin);
/* At the end of a test, before what scripts use is freed. */
void origin_stop_all(void);
/* Listens again on the same address. */
void origin_restart(struct origin *origin);

/* For loads: requests are counted, but no longer kept; origin_request cannot be used. */
void origin_count_only(struct origin *origin);

/* The script for a path (before any '?'), or for every path without one of its own (NULL). */
void origin_set_script(struct origin *origin, const char *path, origin_script script, void *arg);
/* The same for a raw answer, sent as it stands; the request's body is read first. */
void origin_set_reply(struct origin *origin, const char *path, const char *raw);
/* The same, and the connection is closed after it. */
void origin_set_last_reply(struct origin *origin, const char *path, const char *raw);

/* Ready scripts. origin_tell: 200, text, "NAME\n" and the raw head. */
void origin_tell(struct origin_turn *turn);
/* Reads the whole body and answers it, chunked when it came so, trailers included. */
void origin_echo(struct origin_turn *turn);
/* 101, then every byte back until the client half-closes; then "bye" and the end. */
void origin_upgrade_echo(struct origin_turn *turn);
/* Streams *(uint64_t *)arg bytes of the pattern with Content-Length while it reads the request's
 * body, and the last piece after it. */
void origin_send_pattern(struct origin_turn *turn);
/* Reads the request (body too) and never answers; ends when the gateway closes. */
void origin_hang(struct origin_turn *turn);

/* For scripts. */
bool origin_read_body(struct origin_turn *turn);

/* What it saw. Counts are exact at the moment of the call; waiting ones fail the test when it does
 * not come. */
int origin_connections(struct origin *origin);
int origin_open_connections(struct origin *origin);
int origin_requests(struct origin *origin);
void origin_wait_requests(struct origin *origin, int count);
void origin_wait_open_connections(struct origin *origin, int count);
/* The n-th request from 0 whose head was read; waits for it. */
struct message *origin_request(struct origin *origin, int n);
/* The same, and waits until its turn is over, so that its body is there if the script read it. */
struct message *origin_finished_request(struct origin *origin, int n);
/* The newest one whose head was read. */
struct message *origin_last_request(struct origin *origin);

#endif
