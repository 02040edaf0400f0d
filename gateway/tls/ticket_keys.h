/* Session ticket keys of the process: made at random, rotated, the same in all workers. */
#ifndef TLS_TICKET_KEYS_H
#define TLS_TICKET_KEYS_H

#include <stdint.h>

struct ticket_keys;

/* A fresh key becomes the sealing one every `period_s`; a key opens tickets for three periods. */
struct ticket_keys *ticket_keys_new(uint64_t period_s);
void ticket_keys_free(struct ticket_keys *keys);
/* Rotates if a period has passed; cheap otherwise. Any one thread (the control thread's timer). */
void ticket_keys_turn(struct ticket_keys *keys, uint64_t now_s);

#endif
