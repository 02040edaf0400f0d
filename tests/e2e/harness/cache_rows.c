#include "cache_private.h"
#include "monitor.h"
#include "tls_client.h"
#include "workplace.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* --- what is played now --------------------------------------------------------------------- */

static struct {
    struct gateway *gateway;
    struct origin *origin;
    const char *host;
    struct client *client; /* NULL: to be opened */
    const struct cache_case *of;
    int number; /* of the case */
    /* Under the monitor's lock: */
    const struct cache_step *step;
    int asked, asked_in_step; /* answers given in the case, requests in the step */
    struct message *seen[CACHE_ANSWERS_MOST];
} world;

__attribute__((format(printf, 2, 3))) static void complain(int line, const char *format, ...)
{
    char message[4096];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    cr_expect_fail("%s (line %d): %s", world.of->name, line, message);
}

static const char *case_path(void)
{
    return text("/case-%d", world.number);
}

/* The date that stands for "@-60" in a field's value; false: it has another value. */
static bool names_time(const char *field, time_t *at)
{
    const char *colon = strchr(field, ':');

    if (colon == NULL || colon[1] != ' ' || colon[2] != '@')
        return false;
    *at = time(NULL) + atoi(colon + 3);
    return true;
}

/* With {path} and dates put in. */
static char *expand(const char *field)
{
    const char *colon = strchr(field, ':'), *place = strstr(field, "{path}");
    time_t at;

    if (place != NULL)
        return text("%.*s%s%s", (int)(place - field), field, case_path(), place + 6);
    if (names_time(field, &at)) {
        struct tm parts;
        char date[64];

        gmtime_r(&at, &parts);
        strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        return text("%.*s: %s", (int)(colon - field), field, date);
    }
    return text("%s", field);
}

static const char *word_after(const struct cache_part *part, const char *prefix)
{
    for (int i = 0; i < part->word_count; i++)
        if (strncmp(part->words[i], prefix, strlen(prefix)) == 0)
            return part->words[i] + strlen(prefix);
    return NULL;
}

/* In words "_" stands for a blank. */
static char *with_blanks(const char *word)
{
    char *copy = text("%s", word);

    for (char *c = copy; *c != '\0'; c++)
        if (*c == '_')
            *c = ' ';
    return copy;
}

static bool has_word(const struct cache_part *part, const char *word)
{
    const char *rest = word_after(part, word);

    return rest != NULL && *rest == '\0';
}

/* --- the backend ---------------------------------------------------------------------------- */

static bool has_field(const struct cache_part *part, const char *name)
{
    for (int i = 0; i < part->field_count; i++)
        if (strncasecmp(part->fields[i], name, strlen(name)) == 0)
            return true;
    return false;
}

static void write_answer(struct origin_turn *turn, const struct cache_part *answer, int number)
{
    int status = atoi(answer->words[0]);
    const char *given = word_after(answer, "body=");
    const char *body = given != NULL ? with_blanks(given) : text("%d 0123456789", number);
    bool is_cut = has_word(answer, "cut"), is_head = strcmp(turn->request->method, "HEAD") == 0;
    char *head = text("HTTP/1.1 %d Fine\r\n", status);

    if (status == 0) {
        turn->is_closing = true;
        return;
    }
    for (int i = 0; i < answer->field_count; i++)
        head = text("%s%s\r\n", head, expand(answer->fields[i]));
    if (!has_word(answer, "bare") && !has_field(answer, "date:"))
        head = text("%s%s\r\n", head, expand("Date: @0"));
    if (has_word(answer, "trailer")) {
        (void)wire_print(turn->wire,
                         "%sTransfer-Encoding: chunked\r\nTrailer: X-Trailer\r\n\r\n"
                         "%zx\r\n%s\r\n0\r\nX-Trailer: 1\r\n\r\n",
                         head, strlen(body), body);
        return;
    }
    if (status != 204 && status != 304 && !has_field(answer, "content-length:"))
        head = text("%sContent-Length: %zu\r\n", head, strlen(body) + (is_cut ? 5 : 0));
    if (status == 204 || status == 304 || is_head)
        body = text("%s", "");
    turn->is_closing = is_cut;
    (void)wire_print(turn->wire, "%s\r\n%s", head, body);
}

/* The next answer of the step; nothing is expected beyond them, but for connections that end. */
static void answer_next(struct origin_turn *turn)
{
    const struct cache_part *answer = NULL;
    int number = 0;

    if (!origin_read_body(turn)) {
        turn->is_closing = true;
        return;
    }
    monitor_lock();
    int at = world.asked_in_step++;
    if (world.step != NULL && world.step->answer_count > 0) {
        const struct cache_part *last = &world.step->answers[world.step->answer_count - 1];

        if (at < world.step->answer_count)
            answer = &world.step->answers[at];
        else if (atoi(last->words[0]) == 0)
            answer = last;
        if (at < CACHE_ANSWERS_MOST)
            world.seen[at] = turn->request;
    }
    if (answer != NULL)
        number = ++world.asked;
    monitor_changed();
    monitor_unlock();
    if (answer != NULL)
        write_answer(turn, answer, number);
    else
        (void)wire_print(turn->wire, "HTTP/1.1 500 Not Asked\r\nCache-Control: no-store\r\n"
                                     "Content-Length: 0\r\n\r\n");
}

static bool was_asked(void *count)
{
    return world.asked_in_step >= *(int *)count;
}

/* --- what is seen --------------------------------------------------------------------------- */

/* The gateway's part of Cache-Status, which is the last; "" without. */
static const char *cache_status(const struct message *response)
{
    for (int i = response->fields.count - 1; i >= 0; i--) {
        const char *value = response->fields.list[i].value, *ours;

        if (strcasecmp(response->fields.list[i].name, "cache-status") != 0)
            continue;
        ours = strstr(value, "sallyport");
        return ours != NULL ? ours : "";
    }
    return "";
}

/* Whether "hit" or "fwd=stale" is one of its parameters; "ttl=" whatever its value. */
static bool status_has(const char *status, const char *word)
{
    const char *at = strstr(status, text("; %s", word));

    /* A cache may know more of it: uri-miss, vary-miss. */
    if (strcmp(word, "fwd=miss") == 0)
        return strstr(status, "; fwd=") != NULL && strstr(status, "miss") != NULL;
    char end = at != NULL ? at[2 + strlen(word)] : '\0';

    return at != NULL && (end == '\0' || end == ';' || end == ',' || word[strlen(word) - 1] == '=');
}

static void check_body(const struct cache_part *see, const struct message *response,
                       const char *body)
{
    if (strcmp(response->body != NULL ? response->body : "", body) != 0)
        complain(see->line, "the body is '%s', not '%s'",
                 response->body != NULL ? response->body : "", body);
}

static void check_word(const struct cache_part *see, const struct message *response,
                       const char *word)
{
    bool is_negative = word[0] == '-';
    const char *status = cache_status(response);

    if (word[0] >= '0' && word[0] <= '9') {
        check_body(see, response, text("%s 0123456789", word));
    } else if (strncmp(word, "body=", 5) == 0) {
        check_body(see, response, with_blanks(word + 5));
    } else if (strcmp(word, "empty") == 0) {
        check_body(see, response, "");
    } else if (strcmp(word, "cut") == 0) {
        if (response->is_complete)
            complain(see->line, "nobody sees that it was cut");
    } else if (status_has(status, word + is_negative) == is_negative) {
        complain(see->line, "'%s' %s %s", status, is_negative ? "has" : "lacks",
                 word + is_negative);
    }
}

/* "Name: value", "-Name", "Age: 5+" */
static void check_field(int line, const char *who, const struct message *message,
                        const char *written)
{
    char *field = expand(written), *colon = strchr(field, ':');
    time_t at;
    bool is_absent = field[0] == '-';
    const char *value;
    size_t length;

    if (is_absent) {
        value = message_field(message, field + 1);
        if (value != NULL)
            complain(line, "%s has %s: %s", who, field + 1, value);
        return;
    }
    workplace_require(colon != NULL, "line %d: no field", line);
    *colon++ = '\0';
    colon = cache_trim(colon);
    value = message_field(message, field);
    length = strlen(colon);
    if (value == NULL) {
        complain(line, "%s lacks %s", who, field);
    } else if (names_time(written, &at)) {
        struct tm parts = {0};

        if (strptime(value, "%a, %d %b %Y %H:%M:%S GMT", &parts) == NULL ||
            llabs((long long)timegm(&parts) - (long long)at) > 30)
            complain(line, "%s has %s: %s, not %s", who, field, value, colon);
    } else if (length > 0 && colon[length - 1] == '+') {
        int least = atoi(colon);

        if (atoi(value) < least || atoi(value) > least + 60)
            complain(line, "%s has %s: %s", who, field, value);
    } else if (strcmp(value, colon) != 0) {
        complain(line, "%s has %s: %s, not %s", who, field, value, colon);
    }
}

static void check_response(const struct cache_part *see, const struct message *response)
{
    if (response->status != atoi(see->words[0])) {
        complain(see->line, "%d, not %s:\n%s%s", response->status, see->words[0], response->head,
                 response->body != NULL ? response->body : "");
        return;
    }
    if (!response->is_complete && !has_word(see, "cut"))
        complain(see->line, "the body is not whole");
    for (int i = 1; i < see->word_count; i++)
        check_word(see, response, see->words[i]);
    for (int i = 0; i < see->field_count; i++)
        check_field(see->line, "the answer", response, see->fields[i]);
}

/* --- a step --------------------------------------------------------------------------------- */

static struct message *send_request(const struct cache_part *ask)
{
    const char *method = ask->words[0], *suffix = ask->word_count > 1 ? ask->words[1] : "";
    char *head = text("%s %s%s HTTP/1.1\r\n", method, case_path(), suffix);
    struct message *response;

    if (!has_field(ask, "host:"))
        head = text("%sHost: %s\r\n", head, world.host);
    for (int i = 0; i < ask->field_count; i++)
        head = text("%s%s\r\n", head, expand(ask->fields[i]));
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 && strcmp(method, "OPTIONS") != 0)
        head = text("%sContent-Length: 0\r\n", head);
    if (world.client == NULL)
        world.client = client_open(world.gateway, world.host);
    client_send(world.client, "%s\r\n", head);
    response = client_response_to(world.client, method);
    if (!response->is_complete || message_field(response, "connection") != NULL) {
        client_close(world.client);
        world.client = NULL;
    }
    return response;
}

static void begin_step(const struct cache_step *step)
{
    monitor_lock();
    world.step = step;
    world.asked_in_step = 0;
    memset(world.seen, 0, sizeof world.seen);
    monitor_unlock();
}

static void check_asked(const struct cache_step *step)
{
    bool ends_in_closing =
        step->answer_count > 0 && atoi(step->answers[step->answer_count - 1].words[0]) == 0;

    monitor_lock();
    int asked = world.asked_in_step;
    monitor_unlock();
    if (ends_in_closing ? asked < step->answer_count : asked != step->answer_count)
        complain(step->ask.line, "the backend was asked %d times, not %d", asked,
                 step->answer_count);
    for (int i = 0; i < step->answer_count && i < asked; i++)
        for (int k = 0; k < step->got[i].field_count; k++)
            check_field(step->got[i].line, "the backend's request", world.seen[i],
                        step->got[i].fields[k]);
}

/* What was asked for behind an answer is there some time after the backend has given it: until then
 * the old one may come. */
static struct message *ask_until_it_has_come(const struct cache_step *step)
{
    long long start = monitor_now_ms();
    struct message *response;
    bool is_there;

    do {
        begin_step(step);
        response = send_request(&step->ask);
        is_there = step->answer_count > 0;
        for (int i = 1; i < step->see.word_count; i++)
            if (step->see.words[i][0] >= '0' && step->see.words[i][0] <= '9')
                is_there |= response->body != NULL && strncmp(response->body, step->see.words[i],
                                                              strlen(step->see.words[i])) == 0;
    } while (!is_there && monitor_may_ask_again(start));
    return response;
}

static void play_step(const struct cache_step *step, bool is_behind_later)
{
    struct message *response;

    if (is_behind_later) {
        response = ask_until_it_has_come(step);
    } else {
        begin_step(step);
        response = send_request(&step->ask);
    }
    if (step->has_later) {
        int count = step->answer_count;

        if (!monitor_wait(was_asked, &count))
            complain(step->ask.line, "the backend was not asked once more");
    }
    workplace_require(step->see.word_count > 0, "line %d: nothing is seen", step->ask.line);
    check_response(&step->see, response);
    check_asked(step);
}

static void play_case(const struct cache_case *of)
{
    bool is_behind_later = false;

    world.of = of;
    world.asked = 0;
    world.number++;
    for (int i = 0; i < of->step_count; i++) {
        play_step(&of->steps[i], is_behind_later);
        is_behind_later = of->steps[i].has_later;
    }
    begin_step(NULL);
}

void cache_table_play(const struct cache_table *table, const char *section, struct gateway *gateway,
                      struct origin *origin, const char *host)
{
    int played = 0;

    world.gateway = gateway;
    world.origin = origin;
    world.host = host;
    world.client = NULL;
    world.number = 0;
    origin_set_script(origin, NULL, answer_next, NULL);
    for (int i = 0; i < table->count; i++) {
        if (strcmp(table->cases[i].section, section) != 0)
            continue;
        play_case(&table->cases[i]);
        played++;
    }
    workplace_require(played > 0, "no case is in the section '%s'", section);
    if (world.client != NULL)
        client_close(world.client);
    world.client = NULL;
}
