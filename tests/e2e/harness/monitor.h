/* The one lock and condition of a test process: every wait in the harness is a bounded wait for a
 * fact to become true. */
#ifndef E2E_MONITOR_H
#define E2E_MONITOR_H

#include <stdbool.h>
#include <stddef.h>

/* The longest any single wait may take before the test fails, in milliseconds (E2E_PATIENCE
 * seconds, 60 by default). */
int monitor_patience_ms(void);

/* A monotonic clock, in milliseconds. Only for deadlines of waits; no test asserts a duration. */
long long monitor_now_ms(void);

void monitor_lock(void);
void monitor_unlock(void);
/* Tells every waiter to look at its fact again; the lock must be held. */
void monitor_changed(void);

/* Waits, with the lock taken and given back, until fact(arg) holds; false when patience ran out or
 * the test ends. */
bool monitor_wait(bool (*fact)(void *arg), void *arg);
/* The same for a caller that already holds the lock. */
bool monitor_wait_locked(bool (*fact)(void *arg), void *arg);

/* For facts outside this process that can only be asked for: false once patience since start_ms
 * (monitor_now_ms) ran out, else true after a moment in which others run. */
bool monitor_may_ask_again(long long start_ms);

/* From here on every wait returns at once: the test is over. */
void monitor_end(void);
bool monitor_has_ended(void);

/* A door that one thread opens and others wait at; it stays open. Lives until the test ends. */
struct gate;
struct gate *gate_new(void);
void gate_open(struct gate *gate);
/* False when nobody opened it in time. */
bool gate_wait(struct gate *gate);

#endif
