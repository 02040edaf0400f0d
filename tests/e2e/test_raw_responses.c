/* What becomes of whatever a backend may answer: tables/raw_responses.txt, in one write and byte by
 * byte, each case followed by a request that must get its own answer. */
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/protocol.h"
#include "harness/raw_table.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

E2E_SUITE(raw_responses);

enum { FEW_BYTES = 2000 }; /* more are sent a few at a time, in as many writes */

enum { COLUMN_KIND = 1, COLUMN_RESPONSE, COLUMN_OUTCOME, COLUMNS };

/* What a client asks, by the word in the second column. */
static const struct kind {
    const char *name, *method,
        *request;     /* behind the target, without the fields that every one has */
    bool is_last;     /* the client's connection ends with the answer */
    bool needs_http1; /* an HTTP/2 client cannot ask that */
} kinds[] = {
    {"GET", "GET", "HTTP/1.1\r\n", false, false},
    {"HEAD", "HEAD", "HTTP/1.1\r\n", false, false},
    {"POST", "POST", "HTTP/1.1\r\nContent-Length: 5\r\n", false, false},
    {"GET10", "GET", "HTTP/1.0\r\n", true, true},
    {"KEEP10", "GET", "HTTP/1.0\r\nConnection: keep-alive\r\n", false, true},
    {"HEAD10", "HEAD", "HTTP/1.0\r\n", true, true},
    {"UPGRADE", "GET", "HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: one, Two/2\r\n", false, true},
};

/* What the third column does between bytes. */
enum { MARK_CLOSE, MARK_RESET, MARK_HANG, MARK_COUNT };
static const char *const marks[MARK_COUNT] = {"close", "reset", "hang"};

static struct {
    const struct raw_table *table;
    struct origin *origin;
    struct gateway *gateway;
    struct client *client; /* NULL: the last one's connection has ended */
    /* One case at a time: */
    const struct raw_case *of;
    const struct kind *kind;
    const struct raw_script *script;
    bool is_slow;
    int case_connection, clean_connection; /* that the backend saw it on */
} world;

__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
{
    char message[4096];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    cr_expect_fail("%s, %s: %s", raw_case_place(world.of), world.is_slow ? "slowly" : "at once",
                   message);
}

/* --- the backend ---------------------------------------------------------------------------- */

static int mark_of(const struct raw_piece *piece)
{
    for (int i = 0; i < MARK_COUNT; i++)
        if (strcmp(marks[i], piece->mark) == 0)
            return i;
    workplace_fail("%s: no mark is called %s", raw_case_place(world.of), piece->mark);
}

static bool send_piece(struct wire *wire, const struct raw_piece *piece)
{
    size_t step = world.is_slow ? 1 + piece->length / FEW_BYTES : piece->length;

    for (size_t at = 0; at < piece->length; at += step) {
        size_t left = piece->length - at;

        if (!wire_write(wire, piece->bytes + at, left < step ? left : step))
            return false;
    }
    return true;
}

static void obey(struct origin_turn *turn, const struct raw_piece *piece)
{
    turn->is_closing = true;
    switch (mark_of(piece)) {
    case MARK_RESET: wire_reset(turn->wire); break;
    case MARK_HANG:
        while (wire_fill(turn->wire))
            wire_take(turn->wire, wire_held(turn->wire));
        break;
    default: break;
    }
}

static void answer_case(struct origin_turn *turn)
{
    world.case_connection = turn->request->connection;
    if (!origin_read_body(turn)) {
        turn->is_closing = true;
        return;
    }
    for (int i = 0; i < world.script->count && !turn->is_closing; i++) {
        const struct raw_piece *piece = &world.script->pieces[i];

        if (piece->mark != NULL)
            obey(turn, piece);
        else if (!send_piece(turn->wire, piece))
            turn->is_closing = true;
    }
}

/* The connection ends with it: each case has one of its own. */
static void answer_clean(struct origin_turn *turn)
{
    const char *name = message_field(turn->request, "x-mark");

    world.clean_connection = turn->request->connection;
    turn->is_closing = true;
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
               strlen(name), name);
}

/* --- the client ----------------------------------------------------------------------------- */

static bool hangs(void)
{
    for (int i = 0; i < world.script->count; i++)
        if (world.script->pieces[i].mark != NULL && mark_of(&world.script->pieces[i]) == MARK_HANG)
            return true;
    return false;
}

static struct client *client_now(void)
{
    if (world.client == NULL)
        world.client = client_open(world.gateway, "a.test");
    return world.client;
}

static void drop_client(void)
{
    client_close(world.client);
    world.client = NULL;
}

static void ask_case(void)
{
    client_send(client_now(), "%s /%s %sHost: a.test\r\n\r\n%s", world.kind->method,
                hangs() ? "hurried" : "case", world.kind->request,
                strcmp(world.kind->method, "POST") == 0 ? "hello" : "");
}

/* What came: a final response, and the codes of the interim ones in front. */
struct seen {
    struct message *response; /* NULL: none came */
    char interims[256];
    size_t interims_length;
};

static void read_tunnel(struct message *response)
{
    struct wire *wire = &world.client->wire;

    while (wire_fill(wire)) {
    }
    response->body = strndup(wire_bytes(wire), wire_held(wire));
    response->body_bytes = response->body_stored = wire_held(wire);
    wire_take(wire, wire_held(wire));
    response->end = wire->state;
    response->is_complete = wire->state == WIRE_CLOSED;
}

static struct seen read_answer(void)
{
    struct seen seen = {.interims = ""};
    struct wire *wire = &world.client->wire;

    for (;;) {
        struct message *message = message_new();

        if (!message_read_head(wire, message, false))
            return seen;
        if (message->status == 101 || message->status >= 200) {
            seen.response = message;
            break;
        }
        seen.interims_length += (size_t)snprintf(
            seen.interims + seen.interims_length, sizeof seen.interims - seen.interims_length,
            "%s%d", seen.interims_length > 0 ? "," : "", message->status);
    }
    if (seen.response->status == 101)
        read_tunnel(seen.response);
    else
        message_read_body(wire, seen.response, world.kind->method);
    return seen;
}

/* --- the outcome ---------------------------------------------------------------------------- */

/* What the fourth column says of the whole; the rest of it is held against the response at once. */
struct outcome {
    bool is_cut, is_closed, is_discarded;
    const char *body, *interims;
};

static const struct kind *kind_of(const struct raw_case *of)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, of->columns[COLUMN_KIND]) == 0)
            return &kinds[i];
    workplace_fail("%s: no kind of request is called %s", raw_case_place(of),
                   of->columns[COLUMN_KIND]);
}

/* "NAME=VALUE" is in fields; "NAME=" with an empty value; "NAME" at all. */
static bool has_field(const struct fields *fields, const char *word)
{
    size_t name = strcspn(word, "=");

    for (int i = 0; i < fields->count; i++) {
        const struct field *field = &fields->list[i];

        if (strlen(field->name) == name && strncasecmp(field->name, word, name) == 0 &&
            (word[name] == '\0' || strcmp(field->value, word + name + 1) == 0))
            return true;
    }
    return false;
}

static bool is_status(const struct message *response, const char *word)
{
    char *rest;
    long status = strtol(word, &rest, 10);

    return response->status == status &&
           (*rest == '\0' ||
            (*rest == ':' && response->body != NULL && strstr(response->body, rest + 1) != NULL));
}

static void take_broken(struct outcome *outcome, const struct message *response)
{
    outcome->is_discarded = true;
    outcome->is_cut = !is_status(response, "502:backend_reset");
    if (!outcome->is_cut)
        outcome->body = NULL;
}

/* What says something of a connection in HTTP/1 has no place in HTTP/2. */
static bool is_of_http1(const char *word)
{
    return strncasecmp(word, "+Connection", 11) == 0 || strncasecmp(word, "+Upgrade", 8) == 0;
}

static void take_word(struct outcome *outcome, const struct message *response, const char *word)
{
    bool is_right = true;

    if (strcmp(word, "cut") == 0)
        outcome->is_cut = outcome->is_discarded = true;
    else if (strcmp(word, "broken") == 0)
        take_broken(outcome, response);
    else if (strcmp(word, "closed") == 0)
        outcome->is_closed = true;
    else if (strcmp(word, "discarded") == 0)
        outcome->is_discarded = true;
    else if (strncmp(word, "body=", 5) == 0)
        outcome->body = strcmp(word + 5, "*") != 0 ? text("%s", word + 5) : NULL;
    else if (strncmp(word, "interims=", 9) == 0)
        outcome->interims = text("%s", word + 9);
    else if (strncmp(word, "trailer+", 8) == 0)
        is_right = has_field(&response->trailers, word + 8);
    else if (strncmp(word, "trailer-", 8) == 0)
        is_right = !has_field(&response->trailers, word + 8);
    else if (is_of_http1(word))
        is_right = speaks_h2() != has_field(&response->fields, word + 1);
    else if (*word == '+')
        is_right = has_field(&response->fields, word + 1);
    else if (*word == '-')
        is_right = !has_field(&response->fields, word + 1);
    else
        is_right = is_status(response, word);
    if (strncmp(word, "502:", 4) == 0 || strncmp(word, "504:", 4) == 0) {
        outcome->is_discarded = true;
        outcome->body = NULL;
    }
    if (!is_right)
        complain("not %s:\n%s%s", word, response->head,
                 response->body != NULL ? response->body : "");
}

static struct outcome read_outcome(const struct message *response)
{
    struct outcome outcome = {.is_closed = world.kind->is_last, .body = "", .interims = ""};
    const char *rest = world.of->columns[COLUMN_OUTCOME];
    char word[256];

    while (raw_next_word(&rest, word, sizeof word))
        take_word(&outcome, response, word);
    return outcome;
}

/* The connection has ended in order, and nothing came behind the response. */
static bool has_ended(void)
{
    struct wire *wire = &world.client->wire;

    return wire_held(wire) == 0 && !wire_fill(wire) && wire->state == WIRE_CLOSED;
}

static void check_client(const struct seen *seen, const struct outcome *outcome)
{
    const struct message *response = seen->response;
    const char *body = response->body != NULL ? response->body : "";

    if (outcome->is_cut == response->is_complete)
        complain("the body is %s:\n%s%s", response->is_complete ? "whole" : "cut", response->head,
                 body);
    if (outcome->body != NULL &&
        (strlen(outcome->body) != response->body_bytes || strcmp(outcome->body, body) != 0))
        complain("the body is '%s', not '%s'", body, outcome->body);
    if (strcmp(outcome->interims, seen->interims) != 0)
        complain("interim responses '%s', not '%s'", seen->interims, outcome->interims);
    if (outcome->is_closed && !outcome->is_cut && !has_ended())
        complain("the client's connection does not end");
    if (outcome->is_cut || outcome->is_closed)
        drop_client();
}

/* Whoever comes next gets what is its own. */
static void check_next(const struct outcome *outcome)
{
    struct client *client = client_now();
    const char *mark = text("%d-%d", world.of->line, world.is_slow);

    if (outcome->is_discarded)
        origin_wait_open_connections(world.origin, 0);
    client_send(client, "GET /clean HTTP/1.1\r\nHost: a.test\r\nX-Mark: %s\r\n\r\n", mark);
    struct message *response = client_response(client);
    if (response->status != 200 || response->body == NULL || strcmp(response->body, mark) != 0)
        complain("the next request got another answer:\n%s%s", response->head,
                 response->body != NULL ? response->body : "");
    if (outcome->is_discarded == (world.clean_connection == world.case_connection))
        complain("the backend's connection was %s",
                 outcome->is_discarded ? "used again" : "not used again");
    origin_wait_open_connections(world.origin, 0);
}

static void run_case(void)
{
    world.kind = kind_of(world.of);
    ask_case();
    struct seen seen = read_answer();
    if (seen.response == NULL) {
        complain("no answer came");
        drop_client();
        return;
    }
    struct outcome outcome = read_outcome(seen.response);
    check_client(&seen, &outcome);
    check_next(&outcome);
}

static void run_table(bool is_slow)
{
    world.is_slow = is_slow;
    for (int i = 0; i < world.table->count; i++) {
        world.of = &world.table->cases[i];
        if (speaks_h2() && kind_of(world.of)->needs_http1)
            continue;
        world.script = raw_script_read(world.of, COLUMN_RESPONSE);
        run_case();
    }
}

static void start(void)
{
    world.table = raw_table_read("raw_responses.txt", COLUMNS);
    world.origin = origin_start("raw");
    origin_count_only(world.origin);
    origin_set_script(world.origin, "/case", answer_case, NULL);
    origin_set_script(world.origin, "/hurried", answer_case, NULL);
    origin_set_script(world.origin, "/clean", answer_clean, NULL);
    world.gateway = gateway_start(
        "{ @base, 'routes': { 'a.test': { 'paths': { '/': '%s', '/hurried': { 'to': '%s',"
        "  'timeout': { 'first_byte': '500ms', 'idle': '500ms' } } } } } }",
        origin_address(world.origin), origin_address(world.origin));
}

Test(raw_responses, in_one_write)
{
    start();
    run_table(false);
    gateway_stop(world.gateway);
}

Test(raw_responses, byte_by_byte)
{
    start();
    run_table(true);
    gateway_stop(world.gateway);
}
