#include "redis.h"

#include "background.h"
#include "command.h"
#include "workplace.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MOST = 32 };

struct redis {
    const char *address;
    const char *const *settings;
    struct background *server;
};

/* Where it listens, as the words of its own options, or of redis-cli's. */
static int add_place(const struct redis *redis, const char **words, const char *path_option,
                     const char *host_option, const char *port_option)
{
    const char *colon = strrchr(redis->address, ':');
    int count = 0;

    if (strncmp(redis->address, "unix:", 5) == 0) {
        words[count++] = path_option;
        words[count++] = redis->address + 5;
        return count;
    }
    words[count++] = host_option;
    words[count++] = text("%.*s", (int)(colon - redis->address), redis->address);
    words[count++] = port_option;
    words[count++] = colon + 1;
    return count;
}

void redis_restart(struct redis *redis)
{
    static const char *const nothing[] = {NULL};
    const char *words[WORDS_MOST] = {"redis-server", "--save",          "", "--appendonly", "no",
                                     "--dir",        workplace_folder()};
    int count = 7;

    if (strncmp(redis->address, "unix:", 5) == 0) {
        words[count++] = "--port";
        words[count++] = "0";
    }
    count += add_place(redis, words + count, "--unixsocket", "--bind", "--port");
    for (int i = 0; redis->settings != NULL && redis->settings[i] != NULL; i++)
        words[count++] = redis->settings[i];
    words[count] = NULL;
    redis->server = background_start(words, nothing);
    background_wait_address(redis->server, redis->address);
}

struct redis *redis_start_on(const char *address, const char *const *settings)
{
    struct redis *redis = workplace_own(calloc(1, sizeof *redis), free);

    redis->address = address;
    redis->settings = settings;
    redis_restart(redis);
    return redis;
}

struct redis *redis_start(const char *const *settings)
{
    return redis_start_on(text("unix:%s", workplace_path("redis.sock")), settings);
}

const char *redis_address(const struct redis *redis)
{
    return redis->address;
}

void redis_kill(struct redis *redis)
{
    background_kill(redis->server);
}

void redis_freeze(struct redis *redis)
{
    background_signal(redis->server, SIGSTOP);
}

void redis_wake(struct redis *redis)
{
    background_signal(redis->server, SIGCONT);
}

const char *redis_ask(const struct redis *redis, const char *const *words)
{
    const char *all[WORDS_MOST] = {"redis-cli"};
    int count = 1 + add_place(redis, all + 1, "-s", "-h", "-p");

    while (*words != NULL)
        all[count++] = *words++;
    all[count] = NULL;
    return command_run(all)->out;
}
