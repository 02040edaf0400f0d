#include "load.h"

#include "monitor.h"
#include "workplace.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One request: what its client says of it, and what the backends say. */
struct entry {
    int answered_by; /* an origin's number, HISTORY_ABSENT for 404 and for no right answer */
    int seen_by;     /* of the last time */
    int times_seen;
};

struct backend {
    struct load *load;
    int number;
    struct gate *gate;     /* its answers wait for it; NULL: for nothing */
    origin_script conduct; /* NULL: it answers */
    int seen;
    struct backend *next;
};

struct lane {
    const struct load_host *host;
    struct client *client;
    int number;
    int moment;
    bool is_broken;
};

/* A count that is waited for. */
struct milestone {
    const int *count;
    int least;
};

struct crew {
    struct load *load;
    pthread_t thread;
    struct lane *lanes;
    int count;
};

struct load {
    struct load_options options;
    struct backend *backends;
    struct crew *crews;
    struct entry *book; /* by number */
    int room;
    int sent, answered, failed, refused;
    bool is_running, is_over;
    char first_failure[512];
};

static void load_free(void *object)
{
    struct load *load = object;

    load_end(load); /* of a test that failed */
    while (load->backends != NULL) {
        struct backend *backend = load->backends;
        load->backends = backend->next;
        free(backend);
    }
    for (int i = 0; load->crews != NULL && i < load->options.threads; i++)
        free(load->crews[i].lanes);
    free(load->crews);
    free(load->book);
    free(load);
}

struct load *load_new(const struct load_options *options)
{
    struct load *load = workplace_own(calloc(1, sizeof *load), load_free);

    load->options = *options;
    return load;
}

/* --- the backends' side --------------------------------------------------------------------------
 */

static bool is_post(const struct load *load, int number)
{
    return load->options.posts && number % 2 == 1;
}

/* Returns the backend as it is then. */
static struct backend enter(struct backend *backend, int number)
{
    struct load *load = backend->load;

    monitor_lock();
    if (number >= 0 && number < load->sent) {
        load->book[number].seen_by = backend->number;
        load->book[number].times_seen++;
        backend->seen++;
        monitor_changed();
    }
    struct backend now = *backend;
    monitor_unlock();
    return now;
}

static void answer_numbered(struct origin_turn *turn)
{
    struct backend *backend = turn->arg;
    int number = -1;

    sscanf(turn->request->target, "/number/%d", &number);
    struct backend now = enter(backend, number);
    if (now.gate != NULL && !gate_wait(now.gate))
        workplace_note("nobody opened the gate");
    if (now.conduct != NULL) {
        now.conduct(turn);
        return;
    }
    if (!origin_read_body(turn)) {
        turn->is_closing = true;
        return;
    }
    char *body = NULL;
    int length = asprintf(&body, "%s %d %s", turn->request->method, number,
                          turn->request->body != NULL ? turn->request->body : "");
    if (length < 0)
        abort();
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nOrigin-Number: %d\r\nContent-Length: %d\r\n\r\n%s",
               backend->number, length, body);
    free(body);
}

void load_add_origin(struct load *load, struct origin *origin, int number)
{
    struct backend *backend = calloc(1, sizeof *backend);

    if (backend == NULL)
        abort();
    *backend = (struct backend){.load = load, .number = number, .next = load->backends};
    load->backends = backend;
    origin_count_only(origin);
    origin_set_script(origin, NULL, answer_numbered, backend);
}

static struct backend *backend_of(const struct load *load, int number)
{
    struct backend *backend = load->backends;

    while (backend->number != number)
        backend = backend->next;
    return backend;
}

void load_hold_answers(struct load *load, int number, struct gate *gate)
{
    monitor_lock();
    backend_of(load, number)->gate = gate;
    monitor_unlock();
}

void load_set_conduct(struct load *load, int number, origin_script conduct)
{
    monitor_lock();
    backend_of(load, number)->conduct = conduct;
    monitor_unlock();
}

int load_seen_by(struct load *load, int number)
{
    monitor_lock();
    int seen = backend_of(load, number)->seen;
    monitor_unlock();
    return seen;
}

static bool is_reached(void *arg)
{
    const struct milestone *milestone = arg;
    return *milestone->count >= milestone->least;
}

static bool await_more(const int *count, int more)
{
    monitor_lock();
    struct milestone milestone = {count, *count + more};
    bool reached = monitor_wait_locked(is_reached, &milestone);
    monitor_unlock();
    return reached;
}

void load_wait_seen_by(struct load *load, int number, int more)
{
    workplace_require(await_more(&backend_of(load, number)->seen, more),
                      "origin %d sees no more than %d requests", number,
                      load_seen_by(load, number));
}

/* --- one request ---------------------------------------------------------------------------------
 */

static int take_number(struct load *load)
{
    monitor_lock();
    if (load->sent == load->room) {
        load->room = load->room * 2 + 4096;
        load->book = realloc(load->book, (size_t)load->room * sizeof *load->book);
        if (load->book == NULL)
            abort();
    }
    int number = load->sent++;
    load->book[number] = (struct entry){.answered_by = HISTORY_ABSENT, .seen_by = HISTORY_ABSENT};
    monitor_unlock();
    return number;
}

static void send_request(struct load *load, struct lane *lane)
{
    lane->number = take_number(load);
    lane->moment = lane->host->answerer != NULL ? history_moment(lane->host->answerer) : 0;
    if (is_post(load, lane->number))
        lane->is_broken = !wire_print(&lane->client->wire,
                                      "POST /number/%d HTTP/1.1\r\nHost: %s\r\n"
                                      "Content-Length: 10\r\n\r\n%010d",
                                      lane->number, lane->host->name, lane->number);
    else
        lane->is_broken =
            !wire_print(&lane->client->wire, "GET /number/%d HTTP/1.1\r\nHost: %s\r\n\r\n",
                        lane->number, lane->host->name);
}

/* Whether it is the whole answer to this request and to no other. */
static bool is_its_answer(const struct load *load, int number, const struct message *response)
{
    char body[64];

    if (is_post(load, number))
        snprintf(body, sizeof body, "POST %d %010d", number, number);
    else
        snprintf(body, sizeof body, "GET %d ", number);
    return response->is_complete && response->body != NULL && strcmp(response->body, body) == 0;
}

static bool is_refusal(const struct lane *lane, const struct message *response)
{
    return response->is_complete && lane->client->wire.state == WIRE_OPEN &&
           (response->status == 502 || response->status == 503);
}

static void note_outcome(struct load *load, const struct lane *lane, bool is_right, int answerer,
                         const struct message *response)
{
    monitor_lock();
    load->refused += is_refusal(lane, response);
    if (is_right) {
        load->book[lane->number].answered_by = answerer;
        load->answered++;
    } else if (load->failed++ == 0) {
        snprintf(load->first_failure, sizeof load->first_failure,
                 "request %d for %s: status %d from origin %d%s; its wire: %d; body '%.200s'",
                 lane->number, lane->host->name, response->status, answerer,
                 lane->is_broken ? ", broken off" : "", (int)lane->client->wire.state,
                 response->body != NULL ? response->body : "");
    }
    monitor_changed();
    monitor_unlock();
}

/* Returns who answered. */
static int read_answer(struct load *load, struct lane *lane)
{
    struct message *response = message_make();
    int answerer = HISTORY_ABSENT;
    bool is_right = false;

    if (!lane->is_broken)
        lane->is_broken = !message_read_head(&lane->client->wire, response, false) ||
                          !message_read_body(&lane->client->wire, response, "GET");
    if (!lane->is_broken) {
        const char *origin = message_field(response, "origin-number");
        const char *connection = message_field(response, "connection");
        if (response->status == 200 && origin != NULL) {
            answerer = atoi(origin);
            is_right = is_its_answer(load, lane->number, response);
        } else {
            is_right = response->status == 404 && lane->host->answerer != NULL;
        }
        if (lane->host->answerer != NULL)
            is_right &= history_allows(lane->host->answerer, lane->moment, answerer);
        lane->is_broken = connection != NULL && strcmp(connection, "close") == 0;
    }
    note_outcome(load, lane, is_right, answerer, response);
    message_free(response);
    return answerer;
}

int load_ask(struct load *load, struct client *client, const struct load_host *host)
{
    struct lane lane = {.host = host, .client = client};

    send_request(load, &lane);
    return read_answer(load, &lane);
}

/* --- the connections -----------------------------------------------------------------------------
 */

static void connect_lane(struct load *load, struct lane *lane)
{
    if (lane->client != NULL)
        client_free(lane->client);
    lane->client = client_make(gateway_https(load->options.gateway),
                               &(struct client_options){.sni = lane->host->sni});
    workplace_require(lane->client != NULL && lane->client->is_connected,
                      "the load finds no way to %s", lane->host->sni);
    lane->is_broken = false;
}

static bool is_over(struct load *load)
{
    monitor_lock();
    bool over = load->is_over;
    monitor_unlock();
    return over;
}

static void *ask_on(void *arg)
{
    struct crew *crew = arg;
    struct load *load = crew->load;

    for (int i = 0; i < crew->count; i++)
        connect_lane(load, &crew->lanes[i]);
    while (!is_over(load)) {
        for (int i = 0; i < crew->count; i++) {
            if (crew->lanes[i].is_broken)
                connect_lane(load, &crew->lanes[i]);
            send_request(load, &crew->lanes[i]);
        }
        for (int i = 0; i < crew->count; i++)
            read_answer(load, &crew->lanes[i]);
    }
    for (int i = 0; i < crew->count; i++)
        client_free(crew->lanes[i].client);
    return NULL;
}

void load_start(struct load *load)
{
    const struct load_options *options = &load->options;

    load->crews = calloc((size_t)options->threads, sizeof *load->crews);
    if (load->crews == NULL)
        abort();
    for (int i = 0; i < options->connections; i++) {
        struct crew *crew = &load->crews[i % options->threads];
        crew->lanes = realloc(crew->lanes, (size_t)(crew->count + 1) * sizeof *crew->lanes);
        if (crew->lanes == NULL)
            abort();
        crew->lanes[crew->count++] =
            (struct lane){.host = &options->hosts[i % options->host_count]};
    }
    for (int i = 0; i < options->threads; i++) {
        load->crews[i].load = load;
        if (pthread_create(&load->crews[i].thread, NULL, ask_on, &load->crews[i]) != 0)
            abort();
    }
    load->is_running = true;
}

static void expect_more(struct load *load, const int *count, int more)
{
    bool reached = await_more(count, more);
    monitor_lock();
    int answered = load->answered, failed = load->failed;
    monitor_unlock();
    workplace_require(reached, "the load stands still after %d answers and %d failures", answered,
                      failed);
}

void load_wait_answers(struct load *load, int more)
{
    expect_more(load, &load->answered, more);
}

void load_wait_failures(struct load *load, int more)
{
    expect_more(load, &load->failed, more);
}

void load_end(struct load *load)
{
    if (!load->is_running)
        return;
    load->is_running = false;
    monitor_lock();
    load->is_over = true;
    monitor_unlock();
    for (int i = 0; i < load->options.threads; i++)
        pthread_join(load->crews[i].thread, NULL);
}

/* --- what came of it -----------------------------------------------------------------------------
 */

int load_sent(const struct load *load)
{
    return load->sent;
}

int load_answered(const struct load *load)
{
    return load->answered;
}

int load_failed(const struct load *load)
{
    return load->failed;
}

int load_refused(const struct load *load)
{
    return load->refused;
}

void load_expect_nothing_lost(const struct load *load)
{
    workplace_require(load->failed == 0 && load->answered == load->sent,
                      "%d of %d requests failed and %d were answered; the first: %s", load->failed,
                      load->sent, load->answered, load->first_failure);
    for (int number = 0; number < load->sent; number++) {
        const struct entry *entry = &load->book[number];
        int times = entry->answered_by == HISTORY_ABSENT ? 0 : 1;
        workplace_require(entry->times_seen == times && entry->seen_by == entry->answered_by,
                          "request %d was answered by %d and seen %d times, last by %d", number,
                          entry->answered_by, entry->times_seen, entry->seen_by);
    }
}

static void expect_answered(const struct load *load, int number)
{
    const struct entry *entry = &load->book[number];

    workplace_require(entry->answered_by != HISTORY_ABSENT, "GET %d failed; the first to fail: %s",
                      number, load->first_failure);
    workplace_require(entry->times_seen > 1 || entry->seen_by == entry->answered_by,
                      "GET %d was answered by %d and seen %d times, last by %d", number,
                      entry->answered_by, entry->times_seen, entry->seen_by);
}

void load_expect_posts_lost(const struct load *load, int number, int most)
{
    int lost = 0;

    workplace_require(load->answered + load->failed == load->sent,
                      "%d requests were sent, %d answered, and %d failed", load->sent,
                      load->answered, load->failed);
    for (int i = 0; i < load->sent; i++) {
        const struct entry *entry = &load->book[i];
        if (!is_post(load, i)) {
            expect_answered(load, i);
            continue;
        }
        lost += entry->answered_by == HISTORY_ABSENT;
        int owner = entry->answered_by != HISTORY_ABSENT ? entry->answered_by : number;
        workplace_require(entry->times_seen <= 1 &&
                              (owner == HISTORY_ABSENT || entry->seen_by == owner ||
                               entry->seen_by == HISTORY_ABSENT),
                          "POST %d was answered by %d and seen %d times, last by %d", i,
                          entry->answered_by, entry->times_seen, entry->seen_by);
    }
    workplace_require(lost == load->failed && lost <= most,
                      "%d POSTs failed, %d at most should; the first: %s", lost, most,
                      load->first_failure);
}
