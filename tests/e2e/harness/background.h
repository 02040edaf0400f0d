/* A program that runs beside a test until it ends: an authority, a proxy. */
#ifndef E2E_BACKGROUND_H
#define E2E_BACKGROUND_H

struct background;

/* argv[0] is looked up in PATH; settings are "NAME=value"; both end with NULL. What it says goes to
 * a file. */
struct background *background_start(const char *const *argv, const char *const *environment);
/* Ends it at once, before the test does; and a signal. */
void background_kill(struct background *program);
void background_signal(struct background *program, int signal_number);
/* Waits until it has said so. */
void background_wait_word(const struct background *program, const char *word);
/* Waits until something accepts connections there. */
void background_wait_address(const struct background *program, const char *address);

#endif
