/* A control thread's parts around a route folder, with real workers, on a loop that the test turns.
 */
#ifndef TESTS_SUPPORT_CONTROL_FIXTURE_H
#define TESTS_SUPPORT_CONTROL_FIXTURE_H

#include "control/endpoints.h"
#include "control/generations.h"
#include "support/route_folder.h"

enum { FIXTURE_WORKERS = 2 };

struct control_fixture {
    struct control control;
    struct route_folder folder;
    struct line_ring *rings[FIXTURE_WORKERS];
    struct post drained[FIXTURE_WORKERS];
    unsigned undrained;
    char admin[96]; /* "unix:…": what `'listen': { @listen … }` of route files names */
};

void control_fixture_init(struct control_fixture *f);
/* Drains and ends everything. */
void control_fixture_clear(struct control_fixture *f);

/* Writes the route file: https and status on free ports of loopback, the admin socket in the
 * folder, and `text` (in which "'" stands for a double quote). */
void control_fixture_write(struct control_fixture *f, const char *text);

/* Turns the loop until it is so; the test fails when that takes too long. */
void control_fixture_run_until(struct control_fixture *f, bool (*is_so)(void *argument),
                               void *argument);
/* Asks for a load and turns the loop until it has ended. The ask is the caller's. */
struct load_ask *control_fixture_load(struct control_fixture *f,
                                      const struct load_outcome **outcome);

#endif
