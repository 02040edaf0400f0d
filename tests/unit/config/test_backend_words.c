/* What `explain` and `diff` say of a backend, of `retry` and of `split_on`. */
#include "config/diff.h"
#include "config/explain.h"
#include "support/route_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define SECRET "the-very-secret-key"
#define BOTH   "'backends': { 'b': 'x:1', 'c': 'x:2' }, "

#define ENTRY "'routes': { 'a.test': 'b' }, 'backends': { 'b': { 'servers': ['x:1', 'x:2'], %s } }"

static struct route_folder folder;

static void begin(void)
{
    route_folder_init(&folder);
}

static void end(void)
{
    route_folder_clear(&folder);
    buffer_cache_clear();
}

TestSuite(backend_words, .init = begin, .fini = end);

static void load_entry(const char *members)
{
    char text[1024];

    snprintf(text, sizeof(text), ENTRY, members);
    route_folder_good(&folder, text);
}

/* --- explain ------------------------------------------------------------------------------------
 */

static char *explained(bool as_json)
{
    struct explain_question question = {.url = "https://a.test/"};
    struct followed_request request;
    struct explanation explanation;
    struct arena arena = {0};
    struct buffer out = {0};
    struct error error;

    cr_assert(explain_question_read(&question, &arena, &request, &error), "%s", error.message);
    explain(folder.snapshot, &request, &arena, &explanation);
    if (as_json)
        explain_print_json(&explanation, false, &out);
    else
        explain_print_text(&explanation, false, false, &out);
    char *text = slice_duplicate(buffer_content(&out));
    buffer_clear(&out);
    arena_clear(&arena);
    return text;
}

static void expect_explained(bool as_json, const char *const *lines, size_t count)
{
    char *text = explained(as_json);

    for (size_t i = 0; i < count; i++)
        cr_expect(strstr(text, lines[i]), "no \"%s\" in\n%s", lines[i], text);
    free(text);
}

#define EVERYTHING                                                                         \
    "'balance': 'hash', 'hash_on': 'header:X-Tenant', 'slow_start': '30s', 'sticky': {"    \
    " 'cookie': 'srv', 'key': '" SECRET "' }, 'eject': { 'max': '20%' }, 'health': {"      \
    " 'path': '/up', 'status': [200, '300-302'], 'body': 'ok', 'every': '3s' }, 'hold': {" \
    " 'queue': 7 }, 'max_connections': 64, 'hedge': 'p95', 'retry': { 'on': ['5xx', 429] }"

Test(backend_words, explain_says_what_is_in_force_and_why)
{
    static const char *const lines[] = {
        "balance                   hash      backends.b.balance\n",
        "hash_on                   header:x-tenant backends.b.hash_on\n",
        "sticky                    srv       backends.b.sticky\n",
        "sticky.ttl                off       built in\n",
        "sticky.key                written   backends.b.sticky.key\n",
        "slow_start                30s       backends.b.slow_start\n",
        "health                    GET /up   backends.b.health\n",
        "health.host               backend   built in\n",
        "health.status             200, 300-302 backends.b.health.status\n",
        "health.body               \"ok\"      backends.b.health.body\n",
        "health.every              3s        backends.b.health.every\n",
        "health.timeout            2s        built in\n",
        "eject                     on        backends.b.eject\n",
        "eject.after               5         built in\n",
        "eject.max                 20%       backends.b.eject.max\n",
        "hold                      on        backends.b.hold\n",
        "hold.for                  5s        built in\n",
        "hold.queue                7         backends.b.hold.queue\n",
        "max_connections           64        backends.b.max_connections\n",
        "max_requests              off       built in\n",
        "hedge                     p95       backends.b.hedge\n",
        "retry.on                  5xx, 429  backends.b.retry.on\n",
        "retry.budget              20%       built in\n",
    };
    static const char *const members[] = {
        "{\"key\":\"balance\",\"value\":\"hash\",\"from\":\"backends.b.balance\"}",
        "{\"key\":\"health\",\"value\":\"GET /up\",\"from\":\"backends.b.health\"}",
        "{\"key\":\"eject.max\",\"value\":\"20%\",\"from\":\"backends.b.eject.max\"}",
        "{\"key\":\"retry.timeout\",\"value\":\"off\",\"from\":\"built in\"}",
    };

    load_entry(EVERYTHING);
    expect_explained(false, lines, sizeof(lines) / sizeof(lines[0]));
    expect_explained(true, members, sizeof(members) / sizeof(members[0]));
    char *text = explained(false), *json = explained(true);
    cr_expect_not(strstr(text, SECRET));
    cr_expect_not(strstr(json, SECRET));
    free(text);
    free(json);
}

Test(backend_words, explain_leaves_out_what_is_off)
{
    static const char *const lines[] = {
        "balance                   round_robin built in\n",
        "health                    off       built in\n",
        "eject                     off       backends.b.eject\n",
        "sticky                    off       built in\n",
        "hold                      off       built in\n",
    };

    load_entry("'eject': { 'after': 0 }");
    expect_explained(false, lines, sizeof(lines) / sizeof(lines[0]));
    char *text = explained(false);
    cr_expect_not(strstr(text, "health.every"));
    cr_expect_not(strstr(text, "eject.for"));
    cr_expect_not(strstr(text, "hash_on"));
    cr_expect_not(strstr(text, "split_on"));
    free(text);
}

Test(backend_words, explain_says_how_a_split_is_made)
{
    static const char *const host[] = {"split_on                  ip        "
                                       "routes[\"a.test\"].split_on\n"};
    static const char *const nowhere[] = {"split_on                  off       built in\n"};

    route_folder_good(&folder, BOTH "'routes': { 'a.test': { 'split_on': 'ip', 'paths': { '/': {"
                                    " 'to': { 'b': 1, 'c': 1 } } } } }");
    expect_explained(false, host, 1);
    route_folder_good(&folder, BOTH "'routes': { 'a.test': { 'to': { 'b': 1, 'c': 1 } } }");
    expect_explained(false, nowhere, 1);
}

/* --- diff ---------------------------------------------------------------------------------------
 */

/* A line a change. */
static void expect_diff_of(const char *was, const char *is, const char *lines)
{
    struct buffer out = {0};
    struct diff diff;

    route_folder_good(&folder, was);
    struct snapshot *before = snapshot_ref(folder.snapshot);
    route_folder_good(&folder, is);
    diff_make(&diff, before, folder.snapshot);
    diff_print_changes(&diff, &out, false);
    buffer_append(&out, slice_make("", 1));
    cr_expect_str_eq(buffer_content(&out).at, lines);
    diff_clear(&diff);
    snapshot_unref(before);
    buffer_clear(&out);
}

static void expect_diff(const char *was, const char *is, const char *lines)
{
    char before[1024], after[1024];

    snprintf(before, sizeof(before), ENTRY, was);
    snprintf(after, sizeof(after), ENTRY, is);
    expect_diff_of(before, after, lines);
}

Test(backend_words, diff_in_words)
{
    expect_diff("'//': 0", "'balance': 'hash', 'max_requests': 9, 'hedge': 'p99.5'",
                "~ backend b, balance: round_robin -> hash\n"
                "~ backend b, max_requests: off -> 9\n"
                "~ backend b, hedge: off -> p99.5\n");
    expect_diff("'balance': 'hash', 'hash_on': 'uri'", "'balance': 'hash', 'hash_on': 'cookie:a'",
                "~ backend b, hash_on: uri -> cookie:a\n");
    expect_diff("'health': { 'path': '/a' }",
                "'health': { 'path': '/b', 'method': 'HEAD', 'every': '3s' }",
                "~ backend b, health: GET /a -> HEAD /b\n"
                "~ backend b, health.every: 10s -> 3s\n");
    expect_diff("'health': {}, 'eject': {}, 'hold': {}", "'hold': { 'for': '1m' }",
                "~ backend b, health: connect -> off\n"
                "~ backend b, eject: on -> off\n"
                "~ backend b, hold.for: 5s -> 1m\n");
}

Test(backend_words, diff_of_equal_meaning_is_empty)
{
    expect_diff("'health': { 'path': '/a', 'status': [404, '200-399'] }, 'eject': {}",
                "'eject': { 'after': 5, 'max': '50%' }, 'balance': 'round_robin', 'hedge': 0,"
                "'health': { 'path': '/a', 'status': ['200-399', '404'], 'timeout': '2000ms',"
                " 'host': 'backend' }, 'hold': { 'for': 0 },"
                "'retry': { 'on': ['stale', 'connect'], 'budget': '20%' }",
                "");
}

Test(backend_words, diff_keeps_the_secret)
{
    expect_diff("'sticky': { 'cookie': 'a', 'key': '" SECRET "' }",
                "'sticky': { 'cookie': 'a', 'key': '" SECRET "-too' }",
                "~ backend b, sticky.key: changed\n");
    expect_diff("'sticky': { 'cookie': 'a' }", "'sticky': { 'cookie': 'b', 'key': '" SECRET "' }",
                "~ backend b, sticky: a -> b\n"
                "~ backend b, sticky.key: of the process -> written\n");
    expect_diff("'//': 0", "'sticky': { 'cookie': 'a', 'key': '" SECRET "' }",
                "~ backend b, sticky: off -> a\n");
}

Test(backend_words, diff_of_retry)
{
    expect_diff("'//': 0", "'retry': { 'budget': 0, 'on': [503], 'timeout': '1s' }",
                "~ retry.budget of a.test: 20% -> off\n"
                "~ retry.on of a.test: connect, stale -> 503\n"
                "~ retry.timeout of a.test: off -> 1s\n");
}

Test(backend_words, diff_of_split_on)
{
    expect_diff_of(BOTH "'routes': { 'a.test': { 'to': { 'b': 1, 'c': 1 } } }",
                   BOTH "'routes': { 'a.test': { 'to': { 'b': 1, 'c': 1 }, 'split_on': 'ip' } }",
                   "~ split_on of a.test: off -> ip\n");
}
