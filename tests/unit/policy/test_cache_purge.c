/* What is purged is found no more, not even if it was on its way. */
#include "support/cache_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { MIB = 1024 * 1024 };

static struct cache_fixture f;
static struct cache_asker a, b;

static void begin(void)
{
    cache_fixture_init(&f, 16 * MIB);
    cache_asker_init(&a, &f, "https://a.test/");
    cache_asker_init(&b, &f, "https://a.test/");
}

static void end(void)
{
    cache_asker_drop(&a);
    cache_asker_drop(&b);
    cache_fixture_clear(&f);
}

TestSuite(cache_purge, .init = begin, .fini = end, .timeout = 240);

static uint64_t purge(enum cache_purge what, const char *text)
{
    return cache_store_purge(f.store, what, slice_of(text));
}

Test(cache_purge, by_key_all_variants)
{
    struct cache_head head;

    cache_fixture_store(&f, "https://a.test/x", 10, "");
    for (unsigned i = 0; i < 3; i++) {
        a.variant = i == 0 ? "en" : i == 1 ? "de" : "fr";
        head = cache_head_make("accept-language", a.variant, "");
        cr_assert_eq(cache_asker_ask(&a), CACHE_FETCH);
        cr_assert(cache_asker_store(&a, &head, slice_of("x")));
        cache_asker_drop(&a);
    }
    cr_assert_eq(purge(PURGE_KEY, "https://a.test/"), 3u);
    cr_assert_eq(purge(PURGE_KEY, "https://a.test/"), 0u);
    cr_assert_not(cache_fixture_has(&f, "https://a.test/"));
    cr_assert(cache_fixture_has(&f, "https://a.test/x"));
    cr_assert_eq(cache_fixture_report(&f).purged, 3u);
}

Test(cache_purge, by_prefix)
{
    char key[64];

    for (unsigned i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "https://%s.test/%u", i % 2 ? "a" : "b", i);
        cr_assert(cache_fixture_store(&f, key, 10, ""));
    }
    cr_assert_eq(purge(PURGE_PREFIX, "https://a.test/1"), 556u);
    cr_assert_eq(purge(PURGE_PREFIX, "https://a.test/"), 2500u - 556u);
    cr_assert(cache_fixture_has(&f, "https://b.test/4998"));
    cr_assert_eq(purge(PURGE_ALL, "what is here means nothing"), 2500u);
    cr_assert_eq(cache_fixture_report(&f).objects, 0u);
}

Test(cache_purge, by_tag)
{
    char key[64], tags[64];

    for (unsigned i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "https://a.test/%u", i);
        snprintf(tags, sizeof(tags), "all \t every%u", i % 3);
        cr_assert(cache_fixture_store(&f, key, 10, i == 0 ? "all all" : tags));
    }
    cr_assert_eq(purge(PURGE_TAG, "every"), 0u);
    cr_assert_eq(purge(PURGE_TAG, "every1"), 1000u);
    cr_assert_not(cache_fixture_has(&f, "https://a.test/1"));
    cr_assert(cache_fixture_has(&f, "https://a.test/2"));
    cr_assert_eq(purge(PURGE_TAG, "every1"), 0u);
    cr_assert_eq(purge(PURGE_TAG, "all"), 2000u);
    cr_assert_eq(cache_fixture_report(&f).objects, 0u);
}

Test(cache_purge, in_all_zones)
{
    struct cache_zone *one = f.zone;

    cache_fixture_store(&f, "https://a.test/", 10, "t");
    f.zone = cache_zone_take(f.store, slice_of("routes[\"a.test\"]"));
    cache_zone_resize(f.zone, MIB, 1);
    cache_fixture_store(&f, "https://a.test/", 10, "t");
    cr_assert_eq(cache_zone_purge(f.zone, slice_of("https://a.test/")), 1u);
    cache_fixture_store(&f, "https://a.test/", 10, "t");
    cr_assert_eq(purge(PURGE_TAG, "t"), 2u);
    cache_zone_release(f.zone);
    f.zone = one;
}

/* --- of what is on its way -----------------------------------------------------------------------
 */

/* Whoever asked before may read it to its end; who asks later gets it never. */
static void expect_purged_while_it_grows(enum cache_purge what, const char *text)
{
    struct cache_head head = cache_head_make("", "", "tag");
    struct slice all;
    enum io io;

    cr_assert_eq(cache_asker_ask(&a), CACHE_FETCH);
    a.object = cache_fetch_begin(a.fetch, &head, 2, f.now_ms);
    cr_assert_eq(cache_asker_ask(&b), CACHE_HAS);
    cr_assert_eq(purge(what, text), 1u);
    cr_assert_not(cache_fixture_has(&f, a.key));
    cr_assert(cache_fetch_append(a.fetch, slice_of("ab")));
    cr_assert(cache_fetch_finish(a.fetch));
    cr_assert_not(cache_fixture_has(&f, a.key));
    all = cache_read_all(b.object, &b.waiter, &io);
    cr_assert_eq(io, IO_EOF);
    cr_assert(slice_equal(all, slice_of("ab")));
    free((char *)all.at);
    cache_asker_drop(&a);
    cache_asker_drop(&b);
}

Test(cache_purge, while_it_grows)
{
    expect_purged_while_it_grows(PURGE_KEY, "https://a.test/");
    expect_purged_while_it_grows(PURGE_PREFIX, "https://a");
    expect_purged_while_it_grows(PURGE_TAG, "tag");
    expect_purged_while_it_grows(PURGE_ALL, "");
}

/* It was asked for before the purge, so what comes may be what it was then. Those who wait for it
 * ask anew. */
static void expect_purged_before_its_head(enum cache_purge what, const char *text)
{
    struct cache_head head = cache_head_make("", "", "one tag");
    unsigned wakes = b.wakes;

    cr_assert_eq(cache_asker_ask(&a), CACHE_FETCH);
    cr_assert_eq(cache_asker_ask(&b), CACHE_WAITS);
    cr_assert_eq(purge(what, text), 0u);
    cr_assert(cache_asker_store(&a, &head, slice_of("old")));
    cache_fixture_turn(&f);
    cr_assert_eq(b.wakes, wakes + 1);
    cr_assert_eq(cache_asker_ask(&b), CACHE_FETCH);
    cr_assert(cache_asker_store(&b, &head, slice_of("new")));
    cr_assert(cache_fixture_has(&f, a.key));
    cache_asker_drop(&a);
    cache_asker_drop(&b);
    purge(PURGE_ALL, "");
}

Test(cache_purge, before_its_head)
{
    expect_purged_before_its_head(PURGE_KEY, "https://a.test/");
    expect_purged_before_its_head(PURGE_PREFIX, "https://a.test");
    expect_purged_before_its_head(PURGE_TAG, "tag");
    expect_purged_before_its_head(PURGE_ALL, "");
}

/* More tags than are remembered: then it is taken for one of those. */
Test(cache_purge, many_tags_before_its_head)
{
    struct cache_head head = cache_head_make("", "", "tag"), bare = cache_head_make("", "", "");
    char tag[32];

    cache_asker_ask(&a);
    b.key = "https://a.test/bare";
    cache_asker_ask(&b);
    for (unsigned i = 0; i < 257; i++) {
        snprintf(tag, sizeof(tag), "t%u", i);
        purge(PURGE_TAG, tag);
    }
    cr_assert(cache_asker_store(&a, &head, slice_of("x")));
    cr_assert_not(cache_fixture_has(&f, a.key));
    cr_assert(cache_asker_store(&b, &bare, slice_of("x")));
    cr_assert(cache_fixture_has(&f, b.key));
}

static void expect_not_renewed(enum cache_purge what, const char *text)
{
    struct cache_head head = cache_head_make("", "", "tag");

    cr_assert(cache_fixture_store(&f, a.key, 10, "tag"));
    cr_assert_eq(cache_asker_ask(&a), CACHE_HAS);
    cr_assert_eq(cache_asker_ask_again(&a), CACHE_FETCH);
    cr_assert_eq(purge(what, text), 1u);
    cr_assert_null(cache_fetch_renew(a.fetch, &head));
    cr_assert_not(cache_fixture_has(&f, a.key));
}

Test(cache_purge, while_it_is_validated)
{
    expect_not_renewed(PURGE_KEY, "https://a.test/");
    expect_not_renewed(PURGE_PREFIX, "https");
    expect_not_renewed(PURGE_TAG, "tag");
}

/* Who holds one that is gone and finds it stale fetches another one; there is nothing to validate.
 */
Test(cache_purge, what_is_gone_is_not_validated)
{
    cache_fixture_store(&f, a.key, 10, "");
    cr_assert_eq(cache_asker_ask(&a), CACHE_HAS);
    purge(PURGE_ALL, "");
    cr_assert_eq(cache_asker_ask_again(&a), CACHE_FETCH);
    cr_assert_null(cache_fetch_stale(a.fetch));
    cache_fetch_give_up(a.fetch, CACHE_FAILED, f.now_ms);
}
