/* The thread that runs HTTP/2 connections of a test whenever their sockets have something for them
 * or take more. */
#ifndef E2E_H2_PUMP_H
#define E2E_H2_PUMP_H

#include <stdbool.h>

/* Calls run(arg), with the monitor locked, each time, which says whether there is news for anybody
 * who waits; the socket must not block. */
struct h2_pumped;
struct h2_pumped *h2_pump_add(int fd, bool (*run)(void *arg), void *arg);
/* With the monitor locked: it is not called any more. */
void h2_pump_remove(struct h2_pumped *pumped);

#endif
