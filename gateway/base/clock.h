/* Time: a monotonic clock for intervals and the wall clock for logs and certificates. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_monotonic_ms(void);
uint64_t clock_monotonic_us(void);
uint64_t clock_thread_us(void); /* that the calling thread has run */
int64_t clock_wall_ms(void);    /* since 1970 */
/* The wall clock as the kernel writes it into files: its last tick, so up to 10 ms behind. What is
 * changed from now on has this time or a later one. */
int64_t clock_file_ms(void);

enum { CLOCK_TEXT_SIZE = 32 };

/* RFC 3339 in UTC with milliseconds: 2026-01-31T23:59:59.999Z, terminated. */
void clock_format(int64_t wall_ms, char text[CLOCK_TEXT_SIZE]);

#endif
