/* A real redis-server of the test's own, which keeps nothing on disk. */
#ifndef E2E_REDIS_H
#define E2E_REDIS_H

struct redis;

/* On a Unix socket in the temporary folder, or, for one that has a name, on 127.0.0.1. `settings`
 * are more of its arguments, NULL-terminated; may be NULL. Waits until it answers. */
struct redis *redis_start(const char *const *settings);
struct redis *redis_start_on(const char *address, const char *const *settings);
/* "unix:/tmp/…/redis.sock", "127.0.0.1:1234". */
const char *redis_address(const struct redis *redis);

/* As a crash: whatever it held is gone. */
void redis_kill(struct redis *redis);
/* At the same address, with nothing in it. */
void redis_restart(struct redis *redis);
/* It goes on to listen, and says nothing until redis_wake. */
void redis_freeze(struct redis *redis);
void redis_wake(struct redis *redis);

/* What redis-cli prints; the words end with NULL. */
const char *redis_ask(const struct redis *redis, const char *const *words);

#endif
