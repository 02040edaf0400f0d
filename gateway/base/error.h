/* What went wrong, for an operator: one sentence that names the thing and the way out. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

struct error {
    char message[512];
};

/* Sets the message, printf-style, cut at the array's size. `error` may be NULL (nobody asks). */
void error_set(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "PREFIX: " in front of the message there is. */
void error_prefix(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
