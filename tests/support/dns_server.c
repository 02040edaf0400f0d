#include "support/dns_message.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 16, PATIENCE_S = 30, ALIASES_MAX = 8 };

struct connection {
    int fd; /* -1: free */
    unsigned char bytes[4096];
    size_t length;
};

struct dns_server {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t asked;
    int udp, tcp, wake[2];
    char address[64];
    uint16_t port;
    struct connection connections[CONNECTIONS_MAX]; /* the thread's */
    struct dns_record *records;                     /* oldest first, as all below: the lock's */
    struct dns_question *held;
    struct dns_question *past; /* newest first */
    enum dns_conduct conduct[256];
    bool is_stopping;
    unsigned tcp_questions;
};

/* --- answers: the lock is held --------------------------------------------------------------- */

static void send_message(struct dns_server *server, const struct dns_question *question,
                         const struct dns_writer *w)
{
    unsigned char length[2] = {(unsigned char)(w->length >> 8), (unsigned char)w->length};

    /* Whoever has asked may be gone. */
    if (question->tcp < 0) {
        sendto(server->udp, w->bytes, w->length, 0, (const struct sockaddr *)&question->from,
               question->from_length);
        return;
    }
    if (send(question->tcp, length, 2, MSG_NOSIGNAL | MSG_MORE) == 2)
        send(question->tcp, w->bytes, w->length, MSG_NOSIGNAL);
}

static void send_code(struct dns_server *server, const struct dns_question *question,
                      unsigned flags)
{
    struct dns_writer *w = dns_new(sizeof(*w));
    dns_put_head(w, question, flags, 0);
    send_message(server, question, w);
    free(w);
}

static bool has_name(const struct dns_server *server, const char *name)
{
    for (const struct dns_record *at = server->records; at != NULL; at = at->next)
        if (strcasecmp(at->name, name) == 0)
            return true;
    return false;
}

/* Adds what is asked for, along aliases. False: the name at their end does not exist. */
static bool put_answers(const struct dns_server *server, const struct dns_question *question,
                        struct dns_writer *w, unsigned *count)
{
    const char *name = question->name;

    for (int i = 0; i < ALIASES_MAX; i++) {
        const char *alias = NULL;
        for (const struct dns_record *at = server->records; at != NULL; at = at->next) {
            if (strcasecmp(at->name, name) != 0 ||
                (at->type != question->type && at->type != DNS_CNAME))
                continue;
            dns_put_record(w, at);
            ++*count;
            if (at->type == DNS_CNAME)
                alias = at->target;
        }
        if (alias == NULL)
            return has_name(server, name);
        name = alias;
    }
    return true;
}

static void send_answer(struct dns_server *server, const struct dns_question *question)
{
    struct dns_writer *answers = dns_new(sizeof(*answers)), *w = dns_new(sizeof(*w));
    unsigned count = 0;
    bool exists = put_answers(server, question, answers, &count);

    dns_put_head(w, question, exists ? 0 : DNS_CODE_NXDOMAIN, count);
    if (question->tcp < 0 && w->length + answers->length > question->udp_max) {
        send_code(server, question, DNS_FLAG_TRUNCATED);
    } else {
        dns_put(w, answers->bytes, answers->length);
        send_message(server, question, w);
    }
    free(answers);
    free(w);
}

static void send_under_wrong_id(struct dns_server *server, const struct dns_question *question)
{
    struct dns_question *other = dns_new(sizeof(*other));
    struct dns_record forged = {.type = question->type, .ttl_s = 3600};
    struct dns_writer *w = dns_new(sizeof(*w));

    *other = *question;
    other->message[1] ^= 0x55;
    strcpy(forged.name, question->name);
    forged.fixed_bytes = question->type == DNS_AAAA ? 16 : 4;
    memset(forged.fixed, 9, forged.fixed_bytes);
    dns_put_head(w, other, 0, 1);
    dns_put_record(w, &forged);
    send_message(server, other, w);
    free(other);
    free(w);
}

static void send_garbage(struct dns_server *server, const struct dns_question *question)
{
    struct dns_writer *w = dns_new(sizeof(*w));

    dns_put(w, "\xc0\xff", 2);
    send_message(server, question, w); /* too short for a header */
    w->length = 0;
    dns_put_head(w, question, 0, 0xffff);
    dns_put(w, "\xc0\xff\xff", 3); /* a name that points behind the end */
    w->bytes[0] ^= 0xff;
    send_message(server, question, w);
    free(w);
}

/* Takes the question. */
static void answer(struct dns_server *server, struct dns_question *question)
{
    struct dns_question **last = &server->held;

    switch (server->conduct[question->type & 0xff]) {
    case DNS_NXDOMAIN: send_code(server, question, DNS_CODE_NXDOMAIN); break;
    case DNS_SERVFAIL: send_code(server, question, DNS_CODE_SERVFAIL); break;
    case DNS_REFUSED: send_code(server, question, DNS_CODE_REFUSED); break;
    case DNS_SILENT: break;
    case DNS_HOLDS:
        while (*last != NULL)
            last = &(*last)->next;
        *last = question;
        return;
    case DNS_TRUNCATES:
        if (question->tcp < 0)
            send_code(server, question, DNS_FLAG_TRUNCATED);
        else
            send_answer(server, question);
        break;
    case DNS_GARBAGE:
        send_garbage(server, question);
        send_answer(server, question);
        break;
    case DNS_WRONG_ID:
        send_under_wrong_id(server, question);
        send_answer(server, question);
        break;
    case DNS_FORMERR:
        if (question->has_edns)
            send_code(server, question, DNS_CODE_FORMERR);
        else
            send_answer(server, question);
        break;
    case DNS_ANSWERS: send_answer(server, question); break;
    }
    free(question);
}

/* --- questions ------------------------------------------------------------------------------- */

static void take_question(struct dns_server *server, struct dns_question *question)
{
    struct dns_question *noted = dns_new(sizeof(*noted));

    *noted = *question;
    pthread_mutex_lock(&server->lock);
    noted->next = server->past;
    server->past = noted;
    server->tcp_questions += question->tcp >= 0;
    pthread_cond_broadcast(&server->asked);
    answer(server, question);
    pthread_mutex_unlock(&server->lock);
}

static void read_datagram(struct dns_server *server)
{
    unsigned char bytes[DNS_QUESTION_MAX];
    struct sockaddr_storage from;
    socklen_t from_length = sizeof(from);
    ssize_t length =
        recvfrom(server->udp, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &from_length);
    struct dns_question *question = length > 0 ? dns_read_question(bytes, (size_t)length) : NULL;

    if (question == NULL)
        return;
    question->from = from;
    question->from_length = from_length;
    take_question(server, question);
}

static void close_connection(struct dns_server *server, struct connection *connection)
{
    pthread_mutex_lock(&server->lock);
    for (struct dns_question **at = &server->held; *at != NULL;) {
        struct dns_question *question = *at;
        if (question->tcp != connection->fd) {
            at = &question->next;
            continue;
        }
        *at = question->next;
        free(question);
    }
    pthread_mutex_unlock(&server->lock);
    close(connection->fd);
    connection->fd = -1;
    connection->length = 0;
}

static void read_connection(struct dns_server *server, struct connection *connection)
{
    ssize_t got = recv(connection->fd, connection->bytes + connection->length,
                       sizeof(connection->bytes) - connection->length, 0);

    if (got <= 0) {
        close_connection(server, connection);
        return;
    }
    connection->length += (size_t)got;
    while (connection->length >= 2) {
        size_t length = (size_t)connection->bytes[0] << 8 | connection->bytes[1];
        if (connection->length < length + 2)
            return;
        struct dns_question *question = dns_read_question(connection->bytes + 2, length);
        connection->length -= length + 2;
        memmove(connection->bytes, connection->bytes + length + 2, connection->length);
        if (question != NULL) {
            question->tcp = connection->fd;
            take_question(server, question);
        }
    }
}

static void accept_connection(struct dns_server *server)
{
    int fd = accept4(server->tcp, NULL, NULL, SOCK_CLOEXEC);

    for (int i = 0; fd >= 0 && i < CONNECTIONS_MAX; i++) {
        if (server->connections[i].fd < 0) {
            server->connections[i].fd = fd;
            return;
        }
    }
    if (fd >= 0)
        close(fd);
}

static void *serve(void *argument)
{
    struct dns_server *server = argument;

    for (;;) {
        struct pollfd polled[3 + CONNECTIONS_MAX] = {{.fd = server->wake[0], .events = POLLIN},
                                                     {.fd = server->udp, .events = POLLIN},
                                                     {.fd = server->tcp, .events = POLLIN}};
        for (int i = 0; i < CONNECTIONS_MAX; i++)
            polled[3 + i] = (struct pollfd){.fd = server->connections[i].fd, .events = POLLIN};
        poll(polled, 3 + CONNECTIONS_MAX, -1);
        if (polled[0].revents != 0)
            return NULL;
        if (polled[1].revents != 0)
            read_datagram(server);
        for (int i = 0; i < CONNECTIONS_MAX; i++)
            if (polled[3 + i].revents != 0)
                read_connection(server, &server->connections[i]);
        if (polled[2].revents != 0)
            accept_connection(server);
    }
}

/* --- life ------------------------------------------------------------------------------------ */

static int bind_socket(int kind, const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, kind | SOCK_CLOEXEC, 0), on = 1;

    dns_require(fd >= 0, "no socket");
    if (kind == SOCK_STREAM)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 &&
        (kind == SOCK_DGRAM || listen(fd, CONNECTIONS_MAX) == 0))
        return fd;
    close(fd);
    return -1;
}

/* The port that is free for UDP may be taken for TCP. */
static bool bind_both(struct dns_server *server, const char *ip, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t length = sizeof(address);

    dns_require(inet_pton(AF_INET, ip, &address.sin_addr) == 1, "not an address");
    server->udp = bind_socket(SOCK_DGRAM, &address);
    if (server->udp < 0)
        return false;
    dns_require(getsockname(server->udp, (struct sockaddr *)&address, &length) == 0, "no name");
    server->tcp = bind_socket(SOCK_STREAM, &address);
    if (server->tcp < 0) {
        close(server->udp);
        return false;
    }
    server->port = ntohs(address.sin_port);
    snprintf(server->address, sizeof(server->address), "%s:%u", ip, server->port);
    return true;
}

struct dns_server *dns_server_start_at(const char *ip, uint16_t port)
{
    struct dns_server *server = dns_new(sizeof(*server));

    if (!bind_both(server, ip, port)) {
        free(server);
        return NULL;
    }
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->asked, NULL);
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        server->connections[i].fd = -1;
    dns_require(pipe2(server->wake, O_CLOEXEC) == 0, "no pipe");
    dns_require(pthread_create(&server->thread, NULL, serve, server) == 0, "no thread");
    return server;
}

struct dns_server *dns_server_start(void)
{
    struct dns_server *server = NULL;

    for (int tries = 0; server == NULL && tries < 100; tries++)
        server = dns_server_start_at("127.0.0.1", 0);
    dns_require(server != NULL, "no port is free for UDP and TCP");
    return server;
}

static void free_questions(struct dns_question *first)
{
    while (first != NULL) {
        struct dns_question *next = first->next;
        free(first);
        first = next;
    }
}

void dns_server_stop(struct dns_server *server)
{
    dns_require(write(server->wake[1], "", 1) == 1, "cannot stop");
    pthread_join(server->thread, NULL);
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        if (server->connections[i].fd >= 0)
            close(server->connections[i].fd);
    close(server->udp);
    close(server->tcp);
    close(server->wake[0]);
    close(server->wake[1]);
    free_questions(server->held);
    free_questions(server->past);
    while (server->records != NULL) {
        struct dns_record *next = server->records->next;
        free(server->records);
        server->records = next;
    }
    pthread_cond_destroy(&server->asked);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

const char *dns_server_address(const struct dns_server *server)
{
    return server->address;
}

uint16_t dns_server_port(const struct dns_server *server)
{
    return server->port;
}

/* --- records --------------------------------------------------------------------------------- */

static struct dns_record *new_record(const char *name, enum dns_type type, uint32_t ttl_s,
                                     const char *target)
{
    struct dns_record *record = dns_new(sizeof(*record));

    dns_require(strlen(name) < sizeof(record->name) && strlen(target) < sizeof(record->target),
                "a name is too long");
    strcpy(record->name, name);
    strcpy(record->target, target);
    record->type = type;
    record->ttl_s = ttl_s;
    return record;
}

static void add(struct dns_server *server, struct dns_record *record)
{
    struct dns_record **last = &server->records;

    pthread_mutex_lock(&server->lock);
    while (*last != NULL)
        last = &(*last)->next;
    *last = record;
    pthread_mutex_unlock(&server->lock);
}

void dns_server_add_a(struct dns_server *server, const char *name, uint32_t ttl_s, const char *ip)
{
    struct dns_record *record = new_record(name, DNS_A, ttl_s, "");

    dns_require(inet_pton(AF_INET, ip, record->fixed) == 1, "not an IPv4 address");
    record->fixed_bytes = 4;
    add(server, record);
}

void dns_server_add_aaaa(struct dns_server *server, const char *name, uint32_t ttl_s,
                         const char *ip)
{
    struct dns_record *record = new_record(name, DNS_AAAA, ttl_s, "");

    dns_require(inet_pton(AF_INET6, ip, record->fixed) == 1, "not an IPv6 address");
    record->fixed_bytes = 16;
    add(server, record);
}

void dns_server_add_cname(struct dns_server *server, const char *name, uint32_t ttl_s,
                          const char *target)
{
    add(server, new_record(name, DNS_CNAME, ttl_s, target));
}

void dns_server_add_srv(struct dns_server *server, const char *name, uint32_t ttl_s,
                        uint16_t priority, uint16_t weight, uint16_t port, const char *target)
{
    struct dns_record *record = new_record(name, DNS_SRV, ttl_s, target);
    const uint16_t fixed[3] = {htons(priority), htons(weight), htons(port)};

    memcpy(record->fixed, fixed, sizeof(fixed));
    record->fixed_bytes = sizeof(fixed);
    add(server, record);
}

void dns_server_forget(struct dns_server *server, const char *name)
{
    pthread_mutex_lock(&server->lock);
    for (struct dns_record **at = &server->records; *at != NULL;) {
        struct dns_record *record = *at;
        if (strcmp(record->name, name) != 0) {
            at = &record->next;
            continue;
        }
        *at = record->next;
        free(record);
    }
    pthread_mutex_unlock(&server->lock);
}

/* --- conduct and what was asked --------------------------------------------------------------- */

void dns_server_behave(struct dns_server *server, enum dns_type type, enum dns_conduct conduct)
{
    pthread_mutex_lock(&server->lock);
    for (unsigned i = 0; i < 256; i++)
        if (type == DNS_ANY_TYPE || i == (unsigned)type)
            server->conduct[i] = conduct;
    pthread_mutex_unlock(&server->lock);
}

void dns_server_release(struct dns_server *server)
{
    pthread_mutex_lock(&server->lock);
    struct dns_question *held = server->held;
    server->held = NULL;
    while (held != NULL) {
        struct dns_question *question = held;
        held = question->next;
        question->next = NULL;
        answer(server, question);
    }
    pthread_mutex_unlock(&server->lock);
}

static unsigned count(const struct dns_server *server, const char *name, enum dns_type type)
{
    unsigned counted = 0;

    for (const struct dns_question *at = server->past; at != NULL; at = at->next)
        counted += (name == NULL || strcasecmp(at->name, name) == 0) &&
                   (type == DNS_ANY_TYPE || at->type == type);
    return counted;
}

unsigned dns_server_questions(struct dns_server *server, const char *name, enum dns_type type)
{
    pthread_mutex_lock(&server->lock);
    unsigned counted = count(server, name, type);
    pthread_mutex_unlock(&server->lock);
    return counted;
}

unsigned dns_server_tcp_questions(struct dns_server *server)
{
    pthread_mutex_lock(&server->lock);
    unsigned counted = server->tcp_questions;
    pthread_mutex_unlock(&server->lock);
    return counted;
}

void dns_server_await(struct dns_server *server, const char *name, enum dns_type type,
                      unsigned questions)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&server->lock);
    while (count(server, name, type) < questions)
        dns_require(pthread_cond_timedwait(&server->asked, &server->lock, &until) == 0,
                    "nobody asks what the test waits for");
    pthread_mutex_unlock(&server->lock);
}
