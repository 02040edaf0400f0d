#include "offered.h"

#include "monitor.h"
#include "tls_client.h"
#include "workplace.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    THREADS = 4,
    CONNECTIONS = 4,       /* of each */
    AHEAD = 40,            /* in one write */
    ON_A_CONNECTION = 9000 /* the gateway ends one after 10,000 */
};

/* What a limit has left, by the clock of who asks. */
struct book {
    pthread_mutex_t lock;
    double tokens, at;
    double passes;
};

struct asker {
    const struct offered_options *options;
    struct book *book;
    double start;
    int number, count, left;
    struct client *clients[CONNECTIONS];
    int used[CONNECTIONS];
    struct offered sum;
};

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void note_sent(struct asker *asker, int count)
{
    const struct offered_options *options = asker->options;
    struct book *book = asker->book;
    double now, passes;

    pthread_mutex_lock(&book->lock);
    now = now_s();
    book->tokens += (now - book->at) * options->limit;
    if (book->tokens > options->burst)
        book->tokens = options->burst;
    book->at = now;
    passes = book->tokens < count ? book->tokens : count;
    book->tokens -= passes;
    book->passes += passes;
    pthread_mutex_unlock(&book->lock);
}

static struct client *client_for(struct asker *asker, int place, int count)
{
    const struct offered_options *options = asker->options;
    int address = (asker->number + place) % options->address_count;

    if (asker->clients[place] == NULL || asker->used[place] + count > ON_A_CONNECTION) {
        if (asker->clients[place] != NULL)
            client_free(asker->clients[place]);
        asker->clients[place] = client_make_plain(options->addresses[address]);
        asker->used[place] = 0;
    }
    asker->used[place] += count;
    return asker->clients[place];
}

static void send_some(struct asker *asker, struct client *client, int count)
{
    char request[1024], *requests;
    size_t length =
        (size_t)snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: a.test\r\n%s\r\n",
                         asker->options->fields);

    requests = malloc(length * (size_t)count);
    workplace_require(requests != NULL && length < sizeof request, "no room for requests");
    for (int i = 0; i < count; i++)
        memcpy(requests + length * (size_t)i, request, length);
    note_sent(asker, count);
    bool is_sent = wire_write(&client->wire, requests, length * (size_t)count);
    free(requests);
    workplace_require(is_sent, "requests could not be sent");
}

static void read_some(struct asker *asker, struct client *client, int count)
{
    for (int i = 0; i < count; i++) {
        struct message *response = message_make();
        bool is_whole = message_read_head(&client->wire, response, false) &&
                        message_read_body(&client->wire, response, "GET");
        int status = response->status;
        message_free(response);
        workplace_require(is_whole, "a request was not answered");
        asker->sum.passed += status == 200;
        asker->sum.refused += status == 429;
        asker->sum.other += status != 200 && status != 429;
    }
}

/* As many as are due, on all connections at once. */
static void ask_some(struct asker *asker, int due)
{
    int counts[CONNECTIONS] = {0};
    double start = now_s(), took;

    for (int i = 0; i < CONNECTIONS && due > 0; i++) {
        counts[i] = due / (CONNECTIONS - i) + (due % (CONNECTIONS - i) != 0);
        counts[i] = counts[i] < AHEAD ? counts[i] : AHEAD;
        due -= counts[i];
        asker->left -= counts[i];
        send_some(asker, client_for(asker, i, counts[i]), counts[i]);
    }
    for (int i = 0; i < CONNECTIONS; i++)
        read_some(asker, asker->clients[i], counts[i]);
    took = now_s() - start;
    if (took > asker->sum.slowest_s)
        asker->sum.slowest_s = took;
}

static void *ask(void *arg)
{
    struct asker *asker = arg;
    double rate = asker->options->rate / THREADS;

    while (asker->left > 0) {
        double due = (now_s() - asker->start) * rate - (asker->count - asker->left);
        int count = due > asker->left ? asker->left : (int)due;
        if (count > 0)
            ask_some(asker, count);
        else
            nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
    }
    for (int i = 0; i < CONNECTIONS; i++)
        if (asker->clients[i] != NULL)
            client_free(asker->clients[i]);
    return NULL;
}

struct offered offer(const struct offered_options *options)
{
    double start = now_s();
    struct book book = {.tokens = options->burst, .at = start};
    struct asker askers[THREADS];
    struct offered sum = {0};
    pthread_t threads[THREADS];

    pthread_mutex_init(&book.lock, NULL);
    for (int i = 0; i < THREADS; i++) {
        int count = options->count / THREADS + (i < options->count % THREADS);
        askers[i] = (struct asker){.options = options,
                                   .book = &book,
                                   .start = start,
                                   .number = i,
                                   .count = count,
                                   .left = count};
        if (pthread_create(&threads[i], NULL, ask, &askers[i]) != 0)
            abort();
    }
    if (options->meanwhile != NULL)
        options->meanwhile(options->arg);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        sum.passed += askers[i].sum.passed;
        sum.refused += askers[i].sum.refused;
        sum.other += askers[i].sum.other;
        if (askers[i].sum.slowest_s > sum.slowest_s)
            sum.slowest_s = askers[i].sum.slowest_s;
    }
    sum.seconds = now_s() - start;
    sum.expected = book.passes;
    workplace_settle();
    return sum;
}

static double most_that_may_pass(const struct offered_options *options,
                                 const struct offered *offered)
{
    return options->limit * offered->seconds + options->burst;
}

void offered_tell(const struct offered_options *options, const struct offered *offered)
{
    fprintf(stderr,
            "%d requests in %.3f s: %d passed, %d were refused; the limit is %.0f, %.0f as they "
            "were sent; %.0f ms at most\n",
            options->count, offered->seconds, offered->passed, offered->refused,
            most_that_may_pass(options, offered), offered->expected, offered->slowest_s * 1000);
}

void offered_expect_limit(const struct offered_options *options, const struct offered *offered)
{
    double most = most_that_may_pass(options, offered);

    offered_tell(options, offered);
    workplace_require(offered->passed + offered->refused == options->count,
                      "%d were answered otherwise", offered->other);
    workplace_require(offered->passed <= most, "%d passed, which is more than %f", offered->passed,
                      most);
    workplace_require(offered->passed >= 0.99 * offered->expected, "%d passed of %f",
                      offered->passed, offered->expected);
}
