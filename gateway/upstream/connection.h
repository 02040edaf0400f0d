/* A connection to a server from its making to its end; handed out for requests, idle in between.
 *
 * Inside upstream/ only. RESOLVING -> CONNECTING -> MADE -> OUT <-> IDLE; the making ends in FAILED
 * when somebody waits for it. An IDLE one whose time is over is closed, or WATCHED: of each server
 * at most one, to learn when it would close it (upstream/idle_habit.h). */
#ifndef UPSTREAM_CONNECTION_H
#define UPSTREAM_CONNECTION_H

#include "upstream/server.h"

/* Newer idle ones than a pool should keep stay this long: a burst's end is not its last request. */
enum { CONNECTION_SURPLUS_MS = 500 };
/* One that was idle for so long is asked whether it is still open before it is used; that costs a
 * system call. What the loop was told of a younger one is hardly older than the answer would be. */
enum { CONNECTION_DOUBT_MS = 50 };

/* Starts one in room that was taken for it (server_take_room), and that it gives back when it is
 * closed; `claimant` is woken as it goes on. NULL when there is no memory; the room is given back
 * then. */
struct upstream_connection *connection_make(struct server *server, uint64_t timeout_ms,
                                            struct task *claimant);
/* IO_WAIT; IO_OK: connection_hand_out makes it the claimant's own; IO_ERROR: close it. */
enum io connection_answer(struct upstream_connection *connection, enum pool_failure *failure);
/* The newest idle one that is still good, as if made; NULL without one. */
struct upstream_connection *connection_take_idle(struct server *server, struct task *claimant);
void connection_hand_out(struct upstream_connection *connection);

/* Takes it from a claimant that goes away: it becomes idle, at once or when it is made, if there is
 * room; else it is closed. */
void connection_abandon(struct upstream_connection *connection);
void connection_close(struct upstream_connection *connection);

/* Those that are watched too. */
void server_close_idle(struct server *server);
/* False: none is idle. */
bool server_close_oldest_idle(struct server *server);
/* Ends those that nobody claims. */
void server_close_unclaimed(struct server *server);
/* Ends those that nobody uses and that lead to an address which the server has no more. */
void server_close_misplaced(struct server *server);
/* Wakes those that wait for an address. */
void server_wake_resolving(struct server *server);

#endif
