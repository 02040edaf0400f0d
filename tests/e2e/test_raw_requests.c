/* tables/raw_requests.txt, end to end: each row's bytes over TLS, in one write and then byte by
 * byte, to a gateway whose backend keeps what reaches it. What is forwarded must be, to the byte,
 * what the row says, one request to the strict reader, and what the gateway's log says was routed;
 * of what is refused nothing may reach the backend, and nothing may follow the one answer. */
#include "harness/json_log.h"
#include "harness/raw_table.h"
#include "harness/recorder.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"
#include "support/strict_reader.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(raw_requests);

enum way { IN_ONE_WRITE, BYTE_BY_BYTE };

enum { PARTS_MAX = 8 };

enum { COLUMN_NAME, COLUMN_REQUEST, COLUMN_OUTCOME, COLUMNS };

/* What becomes of a row's bytes, one request after the other. */
struct part {
    bool is_forwarded;
    bool is_cut;      /* the backend may have got its beginning, never its end */
    const char *text; /* of what is forwarded: the bytes, as written in the table */
    int status;       /* of the gateway's own answer */
    char word[32];
};

struct outcome {
    struct part parts[PARTS_MAX];
    unsigned count;
    bool is_kept; /* the connection serves another request */
};

/* What the access log must say, in the order of the answers. */
struct told {
    const struct raw_case *row;
    int status;
    char *word, *method, *host, *path; /* NULL: not looked at */
};

struct world {
    struct gateway *gateway;
    struct recorder *recorder;
    struct client *client; /* NULL: the last row's connection is over */
    SSL_CTX *context;      /* of all clients; NULL before the first */
    enum way way;
    struct told seen[PARTS_MAX + 1]; /* the requests that a row's recording holds */
    unsigned seen_count;
    struct told *told;
    int told_count;
};

/* --- outcomes as they are written ----------------------------------------------------------- */

static void read_part(const struct raw_case *row, struct outcome *outcome, const char *words)
{
    struct part *part = &outcome->parts[outcome->count];

    outcome->is_kept = strcmp(words, "kept") == 0;
    if (outcome->is_kept || strcmp(words, "closed") == 0)
        return;
    workplace_require(++outcome->count < PARTS_MAX, "line %d: too many parts", row->line);
    if (strncmp(words, "> ", 2) == 0) {
        part->is_forwarded = outcome->is_kept = true;
        part->text = text("%s", words + 2);
        return;
    }
    part->is_cut = strncmp(words, "cut ", 4) == 0;
    workplace_require(
        sscanf(words + (part->is_cut ? 4 : 0), "%d %31s", &part->status, part->word) == 2,
        "line %d: no outcome: %s", row->line, words);
}

static struct outcome read_outcome(const struct raw_case *row)
{
    struct outcome outcome = {.count = 0};
    char *rest = text("%s", row->columns[COLUMN_OUTCOME]);

    while (rest != NULL) {
        char *end = strstr(rest, " & ");
        if (end != NULL)
            *end = '\0';
        read_part(row, &outcome, rest);
        rest = end != NULL ? end + 3 : NULL;
    }
    return outcome;
}

/* --- what the client sees ------------------------------------------------------------------- */

static void send_row(const struct world *world, struct client *client, const struct raw_case *row)
{
    size_t length;
    const char *bytes = raw_bytes(row, row->columns[COLUMN_REQUEST], &length);
    size_t step = world->way == BYTE_BY_BYTE ? 1 : length;

    /* A gateway that has refused may stop listening before all is said. */
    for (size_t at = 0; at < length; at += step)
        if (!wire_write(&client->wire, bytes + at, step))
            return;
}

/* Takes one response off the connection; what is wrong with it, or NULL. */
static const char *read_response(struct client *client, const char *method,
                                 struct strict_message *response)
{
    enum strict_verdict verdict;

    for (;;) {
        verdict = strict_read_response(
            strict_text_make(wire_bytes(&client->wire), wire_held(&client->wire)), method, false,
            response);
        if (verdict != STRICT_CUT || !wire_fill(&client->wire))
            break;
        strict_message_clear(response);
    }
    return verdict == STRICT_WHOLE ? NULL : text("no whole response: %s", response->why);
}

static const char *judge_own(const struct part *part, const struct strict_message *response,
                             bool is_kept)
{
    struct strict_text connection = strict_text_of("");
    const char *body = text("%.*s", (int)response->body_len, response->body);

    if (response->status != part->status)
        return text("status %d: %s", response->status, body);
    if (strstr(body, part->word) == NULL)
        return text("no word %s: %s", part->word, body);
    strict_fields_find(&response->fields, "Connection", &connection);
    if (strict_text_equal(connection, strict_text_of("close")) == is_kept)
        return "Connection is wrong";
    return NULL;
}

static const char *judge_response(struct client *client, const struct part *part, bool is_kept)
{
    const char *method = part->is_forwarded && strncmp(part->text, "HEAD ", 5) == 0 ? "HEAD" : "";
    struct strict_message response;
    const char *problem = read_response(client, method, &response);

    if (problem == NULL && part->is_forwarded && response.status != 200)
        problem = text("status %d for what is forwarded", response.status);
    if (problem == NULL && !part->is_forwarded)
        problem = judge_own(part, &response, is_kept);
    wire_take(&client->wire, response.used);
    strict_message_clear(&response);
    return problem;
}

static const char *judge_end(struct client *client)
{
    if (wire_held(&client->wire) > 0 || wire_fill(&client->wire))
        return text("more came: %s", raw_show(wire_bytes(&client->wire), wire_held(&client->wire)));
    return client->wire.state == WIRE_CLOSED ? NULL : "the connection did not end in order";
}

/* Everything that the client is told, to the connection's end or the answer to one request more. */
static const char *judge_client(struct client *client, const struct outcome *outcome)
{
    static const struct part after = {.is_forwarded = true, .text = "GET"};
    const char *problem = NULL;

    for (unsigned i = 0; problem == NULL && i < outcome->count; i++)
        problem =
            judge_response(client, &outcome->parts[i], i + 1 < outcome->count || outcome->is_kept);
    if (problem != NULL)
        return problem;
    if (!outcome->is_kept)
        return judge_end(client);
    wire_print(&client->wire, "GET /after HTTP/1.1\r\nHost: a.test\r\n\r\n");
    problem = judge_response(client, &after, true);
    return problem != NULL ? text("the next request: %s", problem) : NULL;
}

/* --- what the backend sees ------------------------------------------------------------------ */

/* Writes a head with "{rest}" for what the gateway adds behind X-Forwarded-For. */
static void put_head(const struct world *world, const struct strict_message *request,
                     const char *head, FILE *out)
{
    struct strict_text host = strict_text_of("");
    int port = gateway_port(world->gateway, "https");

    strict_fields_find(&request->fields, "Host", &host);
    for (int has_host = 1; has_host >= 0; has_host--) {
        const char *field = text("X-Forwarded-Host: %.*s\r\n", (int)host.len, host.at);
        const char *rest = text("X-Forwarded-Proto: https\r\n%sX-Forwarded-Port: %d\r\n"
                                "X-Request-Id: ",
                                has_host ? field : "", port);
        const char *found = strstr(head, rest);
        const char *id = found != NULL ? found + strlen(rest) : NULL;
        if (id == NULL || strspn(id, "0123456789abcdef") != 32)
            continue;
        fprintf(out, "%.*s{rest}%s", (int)(found - head), head, id + 34);
        return;
    }
    fputs(head, out);
}

/* How chunks are cut depends on how the bytes came: a chunked body is "<body>" and its trailers. */
static void put_request(const struct world *world, const struct strict_message *request,
                        const char *bytes, FILE *out)
{
    const char *end = strstr(bytes, "\r\n\r\n") + 4;
    const struct strict_fields *trailers = &request->trailers;

    put_head(world, request, text("%.*s", (int)(end - bytes), bytes), out);
    if (request->framing == STRICT_CHUNKED)
        putc('<', out);
    fwrite(request->body, 1, request->body_len, out);
    if (request->framing == STRICT_CHUNKED)
        putc('>', out);
    for (unsigned i = 0; i < trailers->count; i++)
        fprintf(out, "%.*s: %.*s\r\n", (int)trailers->list[i].name.len, trailers->list[i].name.at,
                (int)trailers->list[i].value.len, trailers->list[i].value.at);
}

static void tell(struct world *world, const struct told *told)
{
    world->told = realloc(world->told, (size_t)(world->told_count + 1) * sizeof *told);
    if (world->told == NULL)
        abort();
    world->told[world->told_count++] = *told;
}

/* What the log must say if this is what was routed. */
static void note_request(struct world *world, const struct raw_case *row,
                         const struct strict_message *request)
{
    struct strict_text host = strict_text_of("");
    const struct strict_text *target = &request->target;
    struct told told = {.row = row, .status = 200};
    const char *query = memchr(target->at, '?', target->len);

    strict_fields_find(&request->fields, "Host", &host);
    told.method = text("%.*s", (int)request->method.len, request->method.at);
    told.path =
        text("%.*s", (int)(query != NULL ? query - target->at : (long)target->len), target->at);
    told.host = text("%.*s", (int)host.len, host.at);
    for (char *c = told.host; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    if (host.len > 0 && told.host[host.len - 1] == '.')
        told.host[host.len - 1] = '\0';
    if (strncmp(told.host, recorder_address(world->recorder), host.len) == 0)
        told.host = NULL; /* none was sent */
    if (world->seen_count < PARTS_MAX + 1)
        world->seen[world->seen_count++] = told;
}

/* In the order of the answers. */
static void tell_row(struct world *world, const struct raw_case *row, const struct outcome *outcome)
{
    unsigned next = 0;

    for (unsigned i = 0; i < outcome->count; i++) {
        const struct part *part = &outcome->parts[i];
        struct told own = {.row = row, .status = part->status, .word = text("%s", part->word)};

        if (!part->is_forwarded)
            tell(world, &own);
        else if (next < world->seen_count)
            tell(world, &world->seen[next++]);
    }
    while (next < world->seen_count)
        tell(world, &world->seen[next++]);
}

/* The requests that reached the backend, as the table writes them; NULL, and why, if the strict
 * reader makes anything else of the bytes. */
static char *read_recording(struct world *world, const struct raw_case *row,
                            const struct recording *recording, const char **problem)
{
    char *normal = NULL;
    size_t length, at = 0;
    FILE *out = open_memstream(&normal, &length);

    while (*problem == NULL && at < recording->length) {
        struct strict_message request;
        enum strict_verdict verdict = strict_read_request(
            strict_text_make(recording->bytes + at, recording->length - at), &request);
        if (verdict == STRICT_WHOLE) {
            put_request(world, &request, recording->bytes + at, out);
            note_request(world, row, &request);
        } else {
            *problem = text("to the strict reader no request: %s", request.why);
        }
        at += request.used;
        strict_message_clear(&request);
    }
    fclose(out);
    return workplace_own(normal, free);
}

static const char *replaced(const char *in, const char *word, const char *by)
{
    const char *found = strstr(in, word);

    return found == NULL ? in : text("%.*s%s%s", (int)(found - in), in, by, found + strlen(word));
}

static const char *expected_bytes(const struct world *world, const struct raw_case *row,
                                  const char *part)
{
    const char *whole = replaced(part, "{ours}", "X-Forwarded-For: 127.0.0.1\\r\\n{rest}");
    size_t length;

    whole = replaced(whole, "{backend}", recorder_address(world->recorder));
    return raw_bytes(row, whole, &length);
}

static const char *judge_forwarded(struct world *world, const struct raw_case *row,
                                   const struct outcome *outcome, const struct recording *recording)
{
    static const char after[] = "GET /after HTTP/1.1\\r\\nHost: a.test\\r\\n{ours}\\r\\n";
    const char *expected = "", *problem = NULL;
    char *seen;

    for (unsigned i = 0; i < outcome->count; i++)
        if (outcome->parts[i].is_forwarded)
            expected = text("%s%s", expected, expected_bytes(world, row, outcome->parts[i].text));
    if (outcome->is_kept)
        expected = text("%s%s", expected, expected_bytes(world, row, after));
    seen = read_recording(world, row, recording, &problem);
    if (problem == NULL && strcmp(seen, expected) == 0)
        return NULL;
    return text("%s; the backend got\n  %s\nnot\n  %s", problem != NULL ? problem : "other bytes",
                raw_show(seen, strlen(seen)), raw_show(expected, strlen(expected)));
}

/* Nothing, or a request that is not whole. */
static const char *judge_cut(const struct recording *recording)
{
    struct strict_message request;
    enum strict_verdict verdict =
        strict_read_request(strict_text_make(recording->bytes, recording->length), &request);

    strict_message_clear(&request);
    return verdict == STRICT_CUT
               ? NULL
               : text("the backend got\n  %s", raw_show(recording->bytes, recording->length));
}

/* --- rows ----------------------------------------------------------------------------------- */

static void connect_client(struct world *world)
{
    const struct client_options options = {.sni = "a.test", .context = world->context};

    if (world->client != NULL)
        return;
    world->client = client_make(gateway_https(world->gateway), &options);
    workplace_require(world->client != NULL && world->client->is_connected,
                      "no TLS with the gateway");
    if (world->context != NULL)
        return;
    world->context = world->client->context;
    SSL_CTX_up_ref(world->context);
}

static void run_row(struct world *world, const struct raw_case *row)
{
    struct outcome outcome = read_outcome(row);
    struct recording recording;
    const char *problem, *at_backend;

    connect_client(world);
    send_row(world, world->client, row);
    problem = judge_client(world->client, &outcome);
    recording = recorder_take(world->recorder);
    world->seen_count = 0;
    at_backend = outcome.parts[outcome.count - 1].is_cut
                     ? judge_cut(&recording)
                     : judge_forwarded(world, row, &outcome, &recording);
    tell_row(world, row, &outcome);
    cr_expect(problem == NULL && at_backend == NULL, "line %d, %s%s: %s\n%s", row->line,
              row->columns[COLUMN_NAME], world->way == BYTE_BY_BYTE ? ", byte by byte" : "",
              problem != NULL ? problem : "", at_backend != NULL ? at_backend : "");
    free(recording.bytes);
    if (problem != NULL || !outcome.is_kept) {
        client_free(world->client);
        world->client = NULL;
    }
}

static void expect_logged(const struct told *told, json_t *line, const char *member,
                          const char *value)
{
    const char *is = json_string_value(json_member(line, member));

    cr_expect(value == NULL || (is != NULL && strcmp(is, value) == 0),
              "line %d, %s: the log says %s %s, not %s", told->row->line,
              told->row->columns[COLUMN_NAME], member, is != NULL ? is : "null",
              value != NULL ? value : "null");
}

static void expect_told(struct world *world)
{
    for (int i = 0; i < world->told_count; i++) {
        const struct told *told = &world->told[i];
        json_t *line = log_entry(world->gateway, i);

        cr_expect_eq(json_integer_value(json_member(line, "status")), told->status, "line %d, %s",
                     told->row->line, told->row->columns[COLUMN_NAME]);
        expect_logged(told, line, "reason", told->word);
        expect_logged(told, line, "method", told->method);
        expect_logged(told, line, "path", told->path);
        if (told->host != NULL && strchr(told->host, ':') == NULL)
            expect_logged(told, line, "host", told->host);
    }
}

/* --- sections ------------------------------------------------------------------------------- */

static const struct section {
    const char *name, *settings;
} sections[] = {
    {"by default", ""},
    {"underscores", "'defaults': { 'limits': { 'underscores': true } },"},
    {"small limits",
     "'defaults': { 'limits': { 'request_line': '64B', 'header_bytes': '256B', 'headers': 5 },"
     "              'max_body': '16B' },"},
    {"trusted", "'trusted_proxies': ['127.0.0.0/8'],"
                "'defaults': { 'limits': { 'underscores': true } },"},
};

static void run_section(const struct raw_table *table, const struct section *section, enum way way)
{
    struct world world = {.recorder = recorder_start(), .way = way};

    world.gateway =
        gateway_start("{ @base, %s 'backends': { 'b': '%s' },"
                      "  'routes': { '*': 'b', 'c.test': { 'paths': { '/only': 'b' } } } }",
                      section->settings, recorder_address(world.recorder));
    for (int i = 0; i < table->count; i++)
        if (strcmp(table->cases[i].section, section->name) == 0)
            run_row(&world, &table->cases[i]);
    if (world.client != NULL)
        client_free(world.client);
    SSL_CTX_free(world.context);
    expect_told(&world);
    free(world.told);
    gateway_stop(world.gateway);
}

static void run_table(enum way way)
{
    const struct raw_table *table = raw_table_read("raw_requests.txt", COLUMNS);

    cert_write_bundle(cert_new("other.example"), workplace_path("certs/other.pem"));
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++)
        run_section(table, &sections[i], way);
}

Test(raw_requests, in_one_write)
{
    run_table(IN_ONE_WRITE);
}

Test(raw_requests, byte_by_byte)
{
    run_table(BYTE_BY_BYTE);
}
