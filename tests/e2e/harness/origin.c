#include "origin.h"

#include "monitor.h"
#include "pattern.h"
#include "proxy_header.h"
#include "workplace.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct rule {
    char *path; /* NULL for every other */
    origin_script script;
    void *arg;
    struct rule *next;
};

struct connection {
    struct origin *origin;
    struct wire wire;
    int number;
    bool is_over;   /* its thread touches it no more */
    char told[128]; /* its PROXY protocol header, in words */
    pthread_t thread;
    struct connection *next;
};

struct record {
    struct message *message;
    bool is_finished;
};

struct origin {
    char name[64];
    char address[128];
    int listener;
    bool is_stopping;
    bool counts_only;
    pthread_t acceptor;
    struct rule *rules;
    struct connection *connections;
    int connection_count;
    int open_count;
    struct record *records;
    int record_count;
    int record_room;
    struct origin *next; /* of all of this process */
};

static struct origin *all_origins;

static void run_script(struct origin_turn *turn, char *path)
{
    struct rule *chosen = NULL;
    origin_script script = origin_tell;

    path[strcspn(path, "?")] = '\0';
    monitor_lock();
    for (struct rule *rule = turn->origin->rules; rule != NULL; rule = rule->next) {
        if (rule->path != NULL && strcmp(rule->path, path) == 0) {
            chosen = rule;
            break;
        }
        if (rule->path == NULL && chosen == NULL)
            chosen = rule;
    }
    if (chosen != NULL) {
        script = chosen->script;
        turn->arg = chosen->arg;
    }
    monitor_unlock();
    script(turn);
}

static int record_request(struct origin *origin, struct message *message)
{
    monitor_lock();
    if (origin->record_count == origin->record_room) {
        origin->record_room = origin->record_room * 2 + 16;
        origin->records =
            realloc(origin->records, (size_t)origin->record_room * sizeof *origin->records);
        if (origin->records == NULL)
            abort();
    }
    int number = origin->record_count++;
    origin->records[number] = (struct record){.message = message};
    monitor_changed();
    monitor_unlock();
    return number;
}

static void finish_record(struct origin *origin, int number)
{
    monitor_lock();
    origin->records[number].is_finished = true;
    if (origin->counts_only) {
        message_free(origin->records[number].message);
        origin->records[number].message = NULL;
    }
    monitor_changed();
    monitor_unlock();
}

static bool serve_one(struct connection *connection, int place)
{
    struct origin_turn turn = {.origin = connection->origin, .wire = &connection->wire};

    turn.request = message_make();
    turn.request->connection = connection->number;
    turn.request->place = place;
    snprintf(turn.request->told, sizeof turn.request->told, "%s", connection->told);
    if (!message_read_head(turn.wire, turn.request, true)) {
        message_free(turn.request);
        return false;
    }
    int number = record_request(turn.origin, turn.request);
    char *path = strdup(turn.request->target);
    run_script(&turn, path);
    free(path);
    if (!turn.is_closing && !turn.body_was_read)
        turn.is_closing = !origin_read_body(&turn);
    finish_record(turn.origin, number);
    return !turn.is_closing;
}

static void *serve_connection(void *arg)
{
    struct connection *connection = arg;

    proxy_header_take(&connection->wire, connection->told, sizeof connection->told);
    for (int place = 0; serve_one(connection, place); place++) {
    }
    monitor_lock();
    int fd = connection->wire.fd;
    connection->wire.fd = -1;
    connection->is_over = true;
    connection->origin->open_count--;
    monitor_changed();
    monitor_unlock();
    if (fd >= 0)
        close(fd);
    return NULL;
}

static void start_thread(pthread_t *thread, void *(*run)(void *), void *arg)
{
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, (size_t)512 * 1024);
    if (pthread_create(thread, &attributes, run, arg) != 0)
        abort();
    pthread_attr_destroy(&attributes);
}

static void end_connection(struct connection *connection)
{
    pthread_join(connection->thread, NULL);
    wire_clear(&connection->wire);
    free(connection);
}

/* Those that are over, lest their threads add up. */
static void end_some(struct origin *origin)
{
    struct connection *over = NULL;

    monitor_lock();
    for (struct connection **at = &origin->connections; *at != NULL;) {
        struct connection *connection = *at;
        if (connection->is_over) {
            *at = connection->next;
            connection->next = over;
            over = connection;
        } else {
            at = &connection->next;
        }
    }
    monitor_unlock();
    while (over != NULL) {
        struct connection *next = over->next;
        end_connection(over);
        over = next;
    }
}

static void *accept_connections(void *arg)
{
    struct origin *origin = arg;
    unsigned accepted = 0;

    for (;;) {
        int fd = accept4(origin->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EINTR || errno == ECONNABORTED)
                continue;
            return NULL;
        }
        if (++accepted % 64 == 0)
            end_some(origin);
        struct connection *connection = calloc(1, sizeof *connection);
        if (connection == NULL)
            abort();
        wire_init(&connection->wire, fd, NULL);
        /* A kept connection may rest longer than one wait: its end is the test's end. */
        struct timeval never = {0};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &never, sizeof never);
        connection->origin = origin;
        monitor_lock();
        if (origin->is_stopping) {
            monitor_unlock();
            wire_clear(&connection->wire);
            free(connection);
            return NULL;
        }
        connection->number = origin->connection_count++;
        origin->open_count++;
        connection->next = origin->connections;
        origin->connections = connection;
        start_thread(&connection->thread, serve_connection, connection);
        monitor_changed();
        monitor_unlock();
    }
}

static void listen_and_accept(struct origin *origin)
{
    char bound[sizeof origin->address];

    origin->is_stopping = false;
    origin->listener = wire_listen(origin->address, bound, sizeof bound);
    snprintf(origin->address, sizeof origin->address, "%s", bound);
    start_thread(&origin->acceptor, accept_connections, origin);
}

void origin_stop(struct origin *origin)
{
    if (origin->listener < 0)
        return;
    monitor_lock();
    origin->is_stopping = true;
    shutdown(origin->listener, SHUT_RDWR);
    for (struct connection *c = origin->connections; c != NULL; c = c->next) {
        if (c->wire.fd >= 0)
            shutdown(c->wire.fd, SHUT_RDWR);
    }
    monitor_unlock();
    pthread_join(origin->acceptor, NULL);
    close(origin->listener);
    origin->listener = -1;
    if (strncmp(origin->address, "unix:", 5) == 0)
        unlink(origin->address + 5);
    while (origin->connections != NULL) {
        struct connection *connection = origin->connections;
        origin->connections = connection->next;
        end_connection(connection);
    }
}

void origin_stop_all(void)
{
    for (struct origin *origin = all_origins; origin != NULL; origin = origin->next)
        origin_stop(origin);
    all_origins = NULL;
}

void origin_restart(struct origin *origin)
{
    listen_and_accept(origin);
}

static void origin_free(void *object)
{
    struct origin *origin = object;

    origin_stop(origin);
    while (origin->rules != NULL) {
        struct rule *rule = origin->rules;
        origin->rules = rule->next;
        free(rule->path);
        free(rule);
    }
    for (int i = 0; i < origin->record_count; i++) {
        if (origin->records[i].message != NULL)
            message_free(origin->records[i].message);
    }
    free(origin->records);
    free(origin);
}

struct origin *origin_start_at(const char *name, const char *address)
{
    struct origin *origin = calloc(1, sizeof *origin);

    if (origin == NULL)
        abort();
    origin->listener = -1;
    snprintf(origin->name, sizeof origin->name, "%s", name);
    snprintf(origin->address, sizeof origin->address, "%s", address);
    origin->next = all_origins;
    all_origins = origin;
    workplace_own(origin, origin_free);
    listen_and_accept(origin);
    return origin;
}

struct origin *origin_start(const char *name)
{
    return origin_start_at(name, text("%s:0", workplace_own_host(0)));
}

const char *origin_address(const struct origin *origin)
{
    return origin->address;
}

void origin_count_only(struct origin *origin)
{
    origin->counts_only = true;
}

void origin_set_script(struct origin *origin, const char *path, origin_script script, void *arg)
{
    struct rule *rule = calloc(1, sizeof *rule);

    if (rule == NULL)
        abort();
    rule->path = path != NULL ? strdup(path) : NULL;
    rule->script = script;
    rule->arg = arg;
    monitor_lock();
    rule->next = origin->rules;
    origin->rules = rule;
    monitor_unlock();
}

static void send_reply(struct origin_turn *turn)
{
    const char *raw = turn->arg;

    if (!origin_read_body(turn) || !wire_write(turn->wire, raw, strlen(raw)))
        turn->is_closing = true;
}

static void send_last_reply(struct origin_turn *turn)
{
    send_reply(turn);
    turn->is_closing = true;
}

void origin_set_reply(struct origin *origin, const char *path, const char *raw)
{
    origin_set_script(origin, path, send_reply, text("%s", raw));
}

void origin_set_last_reply(struct origin *origin, const char *path, const char *raw)
{
    origin_set_script(origin, path, send_last_reply, text("%s", raw));
}

bool origin_read_body(struct origin_turn *turn)
{
    if (turn->body_was_read)
        return turn->request->is_complete;
    turn->body_was_read = true;
    return message_read_body(turn->wire, turn->request, NULL);
}

void origin_tell(struct origin_turn *turn)
{
    const char *head = turn->request->head;
    const char *name = turn->origin->name;
    bool is_head = strcmp(turn->request->method, "HEAD") == 0;

    if (!origin_read_body(turn)) {
        turn->is_closing = true;
        return;
    }
    wire_print(turn->wire,
               "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s%s%s",
               strlen(name) + 1 + strlen(head), is_head ? "" : name, is_head ? "" : "\n",
               is_head ? "" : head);
}

void origin_echo(struct origin_turn *turn)
{
    struct message *request = turn->request;

    if (!origin_read_body(turn)) {
        turn->is_closing = true;
        return;
    }
    if (request->framing != FRAMING_CHUNKED) {
        wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                   request->body_stored);
        wire_write(turn->wire, request->body, request->body_stored);
        return;
    }
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    if (request->body_stored > 0) {
        wire_print(turn->wire, "%zx\r\n", request->body_stored);
        wire_write(turn->wire, request->body, request->body_stored);
        wire_print(turn->wire, "\r\n");
    }
    wire_print(turn->wire, "0\r\n");
    for (int i = 0; i < request->trailers.count; i++)
        wire_print(turn->wire, "%s: %s\r\n", request->trailers.list[i].name,
                   request->trailers.list[i].value);
    wire_print(turn->wire, "\r\n");
}

void origin_upgrade_echo(struct origin_turn *turn)
{
    struct wire *wire = turn->wire;
    const char *protocol = message_field(turn->request, "upgrade");

    turn->is_closing = true;
    if (protocol == NULL) {
        wire_print(wire, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n");
        return;
    }
    wire_print(wire,
               "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n",
               protocol);
    while (wire_held(wire) > 0 || wire_fill(wire)) {
        if (!wire_write(wire, wire_bytes(wire), wire_held(wire)))
            return;
        wire_take(wire, wire_held(wire));
    }
    wire_print(wire, "bye");
}

struct pattern_job {
    struct wire *wire;
    uint64_t from, to;
};

static void *stream_pattern(void *arg)
{
    struct pattern_job *job = arg;

    for (uint64_t at = job->from; at < job->to;) {
        uint64_t left = job->to - at;
        size_t piece = left < PATTERN_PIECE ? (size_t)left : PATTERN_PIECE;
        if (!wire_write(job->wire, pattern_at(at), piece))
            return NULL;
        at += piece;
    }
    return job;
}

void origin_send_pattern(struct origin_turn *turn)
{
    uint64_t bytes = *(const uint64_t *)turn->arg;
    uint64_t last = bytes > PATTERN_PIECE ? bytes - PATTERN_PIECE : 0;
    struct pattern_job most = {.wire = turn->wire, .to = last};
    struct pattern_job rest = {.wire = turn->wire, .from = last, .to = bytes};
    struct timeval no_limit = {0};
    void *was_sent = NULL;
    pthread_t sender;

    /* Whoever reads it may take a long time between two pieces. */
    setsockopt(turn->wire->fd, SOL_SOCKET, SO_SNDTIMEO, &no_limit, sizeof no_limit);
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n",
               (unsigned long long)bytes);
    start_thread(&sender, stream_pattern, &most);
    turn->is_closing = !origin_read_body(turn);
    pthread_join(sender, &was_sent);
    if (was_sent == NULL || stream_pattern(&rest) == NULL)
        turn->is_closing = true;
}

void origin_hang(struct origin_turn *turn)
{
    turn->is_closing = true;
    if (!origin_read_body(turn))
        return;
    while (wire_fill(turn->wire))
        wire_take(turn->wire, wire_held(turn->wire));
}

static int read_count(struct origin *origin, const int *count)
{
    (void)origin;
    monitor_lock();
    int value = *count;
    monitor_unlock();
    return value;
}

int origin_connections(struct origin *origin)
{
    return read_count(origin, &origin->connection_count);
}

int origin_open_connections(struct origin *origin)
{
    return read_count(origin, &origin->open_count);
}

int origin_requests(struct origin *origin)
{
    return read_count(origin, &origin->record_count);
}

struct expected {
    struct origin *origin;
    int count;
};

static bool has_requests(void *arg)
{
    struct expected *expected = arg;
    return expected->origin->record_count >= expected->count;
}

static bool has_open(void *arg)
{
    struct expected *expected = arg;
    return expected->origin->open_count == expected->count;
}

static bool has_finished(void *arg)
{
    struct expected *expected = arg;
    return expected->origin->record_count > expected->count &&
           expected->origin->records[expected->count].is_finished;
}

void origin_wait_requests(struct origin *origin, int count)
{
    struct expected expected = {origin, count};
    workplace_require(monitor_wait(has_requests, &expected), "origin %s saw %d requests, not %d",
                      origin->name, origin_requests(origin), count);
}

void origin_wait_open_connections(struct origin *origin, int count)
{
    struct expected expected = {origin, count};
    workplace_require(monitor_wait(has_open, &expected),
                      "origin %s has %d open connections, not %d", origin->name,
                      origin_open_connections(origin), count);
}

static struct message *record_at(struct origin *origin, int n)
{
    monitor_lock();
    struct message *message = origin->records[n].message;
    monitor_unlock();
    return message;
}

struct message *origin_request(struct origin *origin, int n)
{
    origin_wait_requests(origin, n + 1);
    return record_at(origin, n);
}

struct message *origin_finished_request(struct origin *origin, int n)
{
    struct expected expected = {origin, n};
    workplace_require(monitor_wait(has_finished, &expected),
                      "origin %s did not finish its request %d", origin->name, n);
    return record_at(origin, n);
}

struct message *origin_last_request(struct origin *origin)
{
    int count = origin_requests(origin);
    workplace_require(count > 0, "origin %s saw no request", origin->name);
    return record_at(origin, count - 1);
}
