/* What is asked to be purged, as it is said; and that it is purged, whoever still waits for it. */
#include "control/purge_query.h"

#include "support/cache_fixture.h"
#include "support/control_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct arena arena;
static struct purge_question question;
static struct error error;

static void end(void)
{
    arena_clear(&arena);
}

TestSuite(purge_query, .fini = end, .timeout = 240);

static bool read_both(const char *query, const char *body)
{
    error = (struct error){0};
    return purge_question_read(slice_of(query), slice_of(body), &arena, &question, &error);
}

static void expect_item(unsigned at, enum cache_purge what, const char *text)
{
    cr_assert_lt(at, question.count);
    cr_expect_eq(question.items[at].what, what);
    cr_expect(slice_equal(question.items[at].text, slice_of(text)), "\"%.*s\", not \"%s\"",
              (int)question.items[at].text.len, question.items[at].text.at, text);
}

static void expect_one(const char *query, enum cache_purge what, const char *text)
{
    cr_assert(read_both(query, ""), "%s: %s", query, error.message);
    cr_expect_eq(question.count, 1u);
    expect_item(0, what, text);
}

static void expect_refused(const char *query, const char *body, const char *message)
{
    cr_expect_not(read_both(query, body), "%s%s", query, body);
    cr_expect_not_null(strstr(error.message, message), "%s%s: %s", query, body, error.message);
}

/* URLs in every spelling are the one under which it is kept. */
Test(purge_query, urls)
{
    expect_one("?url=https://a.test/x", PURGE_KEY, "https://a.test/x");
    expect_one("?url=HTTPS://A.Test.:443//x/%257euser", PURGE_KEY, "https://a.test/x/~user");
    expect_one("?url=https://a.test:8443", PURGE_KEY, "https://a.test:8443/");
    expect_one("?url=http://a.test:80?b%26c=%2523", PURGE_KEY, "http://a.test/?b&c=%23");
    expect_one("?url=http://[::1]/a%23fragment", PURGE_KEY, "http://[::1]/a");
    expect_refused("?url=a.test/x", "", "http:// or https://");
    expect_refused("?url=https://", "", "is no host");
    expect_refused("?url=https://a.test/../x", "", "is refused");
    expect_refused("?url=%zz", "", "bad escape");
    expect_refused("?url=", "", "http:// or https://");
}

Test(purge_query, prefixes)
{
    expect_one("?prefix=https://A.test/Static//", PURGE_PREFIX, "https://a.test/Static/");
    expect_one("?prefix=https://a.test:443/", PURGE_PREFIX, "https://a.test/");
    expect_one("?prefix=https://A.te", PURGE_PREFIX, "https://a.te");
    expect_one("?prefix=http://", PURGE_PREFIX, "http://");
    expect_refused("?prefix=/static", "", "begins with https:// or http://");
    expect_refused("?prefix=", "", "begins with https:// or http://");
}

Test(purge_query, tags_and_all)
{
    expect_one("?tag=news", PURGE_TAG, "news");
    expect_one("?all", PURGE_ALL, "");
    expect_one("?all=true", PURGE_ALL, "true");
    expect_refused("?tag=", "", "is no tag");
    expect_refused("?tag=two+words", "", "is no tag");
    expect_refused("?all=no", "", "takes no value");
}

Test(purge_query, several_at_once)
{
    cr_assert(read_both("?tag=a&url=https://a.test/&&tag=b", ""));
    cr_assert_eq(question.count, 3u);
    expect_item(0, PURGE_TAG, "a");
    expect_item(1, PURGE_KEY, "https://a.test/");
    expect_item(2, PURGE_TAG, "b");
}

Test(purge_query, bodies)
{
    cr_assert(read_both("", "{\"tag\": [\"a\", \"b\"], \"url\": \"https://a.test/?x&y\"}"));
    cr_assert_eq(question.count, 3u);
    expect_item(0, PURGE_TAG, "a");
    expect_item(1, PURGE_TAG, "b");
    expect_item(2, PURGE_KEY, "https://a.test/?x&y");
    cr_assert(read_both("", "{\"all\": true}"));
    expect_item(0, PURGE_ALL, "");
    expect_refused("", "{", "line 1, column");
    expect_refused("", "[\"a\"]", "no object");
    expect_refused("", "{\"all\": false}", "takes true");
    expect_refused("", "{\"tag\": 5}", "a text or a list");
    expect_refused("", "{\"tag\": [5]}", "a text or a list");
    expect_refused("", "{\"host\": \"a.test\"}", "\"host\" is unknown");
    expect_refused("", "{}", "not said what");
    expect_refused("?all", "{\"all\": true}", "not in both");
}

Test(purge_query, nonsense)
{
    char many[(PURGES_MOST + 1) * 6 + 2] = "?";

    expect_refused("", "", "not said what to purge");
    expect_refused("?", "", "not said what to purge");
    expect_refused("?urls=https://a.test/", "", "\"urls\" is unknown here");
    for (size_t i = 0; i <= PURGES_MOST; i++)
        memcpy(many + 1 + i * 6, "tag=a&", 7);
    expect_refused(many, "", "1000 at most");
}

/* --- done ----------------------------------------------------------------------------------------
 */

static struct control_fixture f;

static void begin_control(void)
{
    control_fixture_init(&f);
}

static void end_control(void)
{
    control_fixture_clear(&f);
    arena_clear(&arena);
}

TestSuite(purges, .init = begin_control, .fini = end_control, .timeout = 240);

static void nothing(void *unused)
{
    (void)unused;
}

static bool is_answered(void *argument)
{
    uint64_t purged;

    return purge_query_answer(argument, &purged) != IO_WAIT;
}

static bool has_no_reports_out(void *unused)
{
    (void)unused;
    return f.control.reports_out == 0;
}

/* One zone with so many responses, in the gateway's store. */
static void store_some(struct cache_fixture *cache, unsigned count)
{
    char key[64];

    *cache = (struct cache_fixture){.store = f.control.cache, .now_ms = 1, .max_object = 1000};
    cache->zone = cache_zone_take(f.control.cache, slice_of("defaults"));
    cache_zone_resize(cache->zone, 4 << 20, 1);
    for (unsigned i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "https://a.test/%u", i);
        cr_assert(cache_fixture_store(cache, key, 10, i % 2 ? "odd" : "even"));
    }
}

Test(purges, are_done_and_counted)
{
    struct cache_fixture cache;
    struct purge_query *query;
    struct task task;
    uint64_t purged;

    store_some(&cache, 100);
    task_init(&task, nothing, NULL);
    cr_assert(read_both("?tag=odd&url=https://a.test/2&url=https://a.test/3", ""));
    query = purge_query_start(&f.control, &question, &task);
    control_fixture_run_until(&f, is_answered, query);
    cr_expect_eq(purge_query_answer(query, &purged), IO_OK);
    cr_expect_eq(purged, 51u);
    purge_query_end(query);
    cr_expect_not(cache_fixture_has(&cache, "https://a.test/2"));
    cr_expect(cache_fixture_has(&cache, "https://a.test/4"));
    cache_zone_release(cache.zone);
}

Test(purges, go_on_when_who_asked_has_gone)
{
    struct cache_fixture cache;
    struct task task;

    store_some(&cache, 10);
    task_init(&task, nothing, NULL);
    cr_assert(read_both("?all", ""));
    purge_query_end(purge_query_start(&f.control, &question, &task));
    cr_expect_eq(f.control.reports_out, 1u);
    control_fixture_run_until(&f, has_no_reports_out, NULL);
    cr_expect_not(cache_fixture_has(&cache, "https://a.test/4"));
    cache_zone_release(cache.zone);
}
