/* The process's limit on open files, and how it is shared out so that nobody who is served suffers
 * when it is reached.
 *
 * A client's connection may need two: its own and its backend's. So clients get 7 of 16, as many
 * stay for backends, and the rest is for listeners, idle connections to backends, files and the
 * admin socket. Besides, the last eighth is a reserve that no client is let into and in which no
 * connection to a backend stays idle: the kernel gives out the lowest number that is free, so a new
 * descriptor with a number in the reserve says that all below are in use. */
#ifndef NET_DESCRIPTORS_H
#define NET_DESCRIPTORS_H

#include <stdbool.h>
#include <stdint.h>

/* Raises the limit as far as it may be and remembers it. Before threads; until it was called there
 * is no limit. */
void descriptors_begin(void);

uint32_t descriptors_limit(void);
uint32_t descriptors_for_clients(void);
bool descriptor_is_reserve(int fd);

#endif
