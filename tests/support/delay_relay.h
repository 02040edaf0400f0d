/* A TCP relay on loopback that delivers every byte a while after it came, each way, as a long path
 * does: it limits no rate, and knows how much was on its way at once. So a test can tell a sender
 * that fills the path from one that waits, without looking at a clock.
 *
 * A thread of its own moves the bytes; every call here may be made while it does. Needs nothing of
 * the gateway. Whatever goes wrong in here ends the process. */
#ifndef TESTS_SUPPORT_DELAY_RELAY_H
#define TESTS_SUPPORT_DELAY_RELAY_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

enum delay_way { DELAY_FORTH, DELAY_BACK }; /* from, and to, whoever connects to the relay */

#define DELAY_FOREVER UINT_MAX

struct delay_relay;

struct delay_options {
    const char *to;    /* IPv4, "127.0.0.1:PORT" */
    unsigned delay_ms; /* each way */
    /* Of the way back, in bytes a second, as if the path were a narrow one: what it does not take
     * stays in the kernel's buffers of who sends. 0: as fast as it comes. */
    uint64_t rate;
};

struct delay_relay *delay_relay_start(const struct delay_options *options);
void delay_relay_stop(struct delay_relay *relay);
const char *delay_relay_address(const struct delay_relay *relay); /* "127.0.0.1:PORT" */

/* For what is on its way already as well; DELAY_FOREVER keeps it there, its end too. At most 64 MiB
 * of a connection are on their way at once, each way: the relay reads no more. */
void delay_relay_set_delay(struct delay_relay *relay, enum delay_way way, unsigned delay_ms);
/* Takes nothing of what is sent that way until it is told to go on: it stays in the kernel's
 * buffers of who sends, and in the relay's own, of which a connection has 64 KiB or so. */
void delay_relay_block(struct delay_relay *relay, enum delay_way way, bool is_blocked);

/* Bytes of all connections that came and are still to be delivered: now, and the most at once since
 * the start or delay_relay_forget. */
uint64_t delay_relay_in_flight(struct delay_relay *relay, enum delay_way way);
uint64_t delay_relay_most_in_flight(struct delay_relay *relay, enum delay_way way);
void delay_relay_forget(struct delay_relay *relay);

#endif
