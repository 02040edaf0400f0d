/* What the cache takes is bounded, whatever is asked of it, and what goes is what is least missed.
 */
#include "support/cache_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { KIB = 1024, MIB = 1024 * KIB, SIZE = 4 * MIB };

static struct cache_fixture f;

static void begin(void)
{
    cache_fixture_init(&f, SIZE);
}

static void end(void)
{
    cache_fixture_clear(&f);
}

TestSuite(cache_bounds, .init = begin, .fini = end, .timeout = 240);

static void expect_within_size(void)
{
    cr_assert_leq(cache_fixture_report(&f).bytes, cache_fixture_report(&f).size);
}

static const char *key_of(unsigned number)
{
    static char key[64];

    snprintf(key, sizeof(key), "https://a.test/page/%u", number);
    return key;
}

Test(cache_bounds, a_flood_of_keys)
{
    for (unsigned i = 0; i < 50000; i++) {
        cr_assert(cache_fixture_store(&f, key_of(i), i % 3000, ""));
        if (i % 97 == 0)
            expect_within_size();
    }
    cr_assert_gt(cache_fixture_report(&f).evictions, 40000u);
    cr_assert_gt(cache_fixture_report(&f).bytes, SIZE / 10 * 9); /* it is made use of */
}

Test(cache_bounds, a_flood_of_keys_that_are_not_storable_takes_nothing)
{
    struct cache_asker asker;
    uint64_t before = cache_fixture_report(&f).bytes;

    for (unsigned i = 0; i < 50000; i++) {
        cache_asker_init(&asker, &f, key_of(i));
        cr_assert_eq(cache_asker_ask(&asker), CACHE_FETCH);
        cache_fetch_give_up(asker.fetch, CACHE_NOT_STORABLE, f.now_ms);
    }
    cr_assert_leq(cache_fixture_report(&f).bytes, before + 16 * KIB); /* tables */
}

Test(cache_bounds, a_flood_of_variants)
{
    struct cache_asker asker;
    char variant[32];

    for (unsigned i = 0; i < 20000; i++) {
        struct cache_head head;
        snprintf(variant, sizeof(variant), "v%u", i);
        cache_asker_init(&asker, &f, "https://a.test/");
        asker.variant = variant;
        head = cache_head_make("cookie", variant, "");
        cr_assert_eq(cache_asker_ask(&asker), CACHE_FETCH);
        cr_assert(cache_asker_store(&asker, &head, slice_of(variant)));
        cache_asker_drop(&asker);
    }
    cr_assert_eq(cache_fixture_report(&f).objects, (uint64_t)CACHE_VARIANTS_MOST);
}

Test(cache_bounds, a_flood_of_tags)
{
    char tags[256];

    for (unsigned i = 0; i < 20000; i++) {
        snprintf(tags, sizeof(tags), "a%u b%u c%u d%u  e%u", i, i, i / 2, i / 3, i % 7);
        cr_assert(cache_fixture_store(&f, key_of(i), 100, tags));
        if (i % 97 == 0)
            expect_within_size();
    }
    cr_assert_gt(cache_fixture_report(&f).evictions, 10000u);
}

Test(cache_bounds, more_tags_than_are_kept_are_not_stored)
{
    char tags[CACHE_TAGS_MOST * 2 + 3], long_tag[CACHE_TAG_BYTES + 2];

    for (unsigned i = 0; i <= CACHE_TAGS_MOST; i++)
        memcpy(tags + (size_t)2 * i, "t ", 3);
    cr_assert_not(cache_fixture_store(&f, "a", 10, tags));
    tags[CACHE_TAGS_MOST * 2] = '\0';
    cr_assert(cache_fixture_store(&f, "b", 10, tags));
    memset(long_tag, 't', sizeof(long_tag));
    long_tag[CACHE_TAG_BYTES + 1] = '\0';
    cr_assert_not(cache_fixture_store(&f, "c", 10, long_tag));
    cr_assert(cache_fixture_store(&f, "d", 10, long_tag + 1));
}

Test(cache_bounds, what_is_larger_than_it_may_be_is_not_stored)
{
    struct cache_head head = cache_head_make("", "", "");
    struct cache_asker asker;
    static char bytes[100 * KIB];

    f.max_object = 100 * KIB;
    cr_assert(cache_fixture_store(&f, "a", 100 * KIB, ""));
    cr_assert_not(cache_fixture_store(&f, "b", 100 * KIB + 1, ""));
    cache_asker_init(&asker, &f, "c");
    cr_assert_eq(cache_asker_ask(&asker), CACHE_FETCH);
    asker.object = cache_fetch_begin(asker.fetch, &head, CACHE_LENGTH_UNKNOWN, f.now_ms);
    cr_assert(cache_fetch_append(asker.fetch, slice_make(bytes, sizeof(bytes))));
    cr_assert_not(cache_fetch_append(asker.fetch, slice_of("x")));
    cache_fetch_give_up(asker.fetch, CACHE_NOT_STORABLE, f.now_ms);
    cache_asker_drop(&asker);
    cr_assert_eq(cache_fixture_report(&f).objects, 1u);
}

/* Nobody knew that it would be so short. */
Test(cache_bounds, bodies_of_unknown_length_take_what_they_need)
{
    static const char bytes[70 * KIB];
    struct cache_head head = cache_head_make("", "", "tag");
    uint64_t taken[2], before;

    cache_fixture_store(&f, "key", 1, "tag"); /* tables are there from then on */
    cr_assert_eq(cache_store_purge(f.store, PURGE_TAG, slice_of("tag")), 1u);
    for (unsigned round = 0; round < 2; round++) {
        struct cache_asker asker;
        cache_fixture_store(&f, "warm", 1, "tag");
        before = cache_fixture_report(&f).bytes;
        cache_asker_init(&asker, &f, "key");
        cr_assert_eq(cache_asker_ask(&asker), CACHE_FETCH);
        asker.object = cache_fetch_begin(
            asker.fetch, &head, round == 0 ? sizeof(bytes) : CACHE_LENGTH_UNKNOWN, f.now_ms);
        cr_assert(cache_fetch_append(asker.fetch, slice_make(bytes, sizeof(bytes))));
        cr_assert(cache_fetch_finish(asker.fetch));
        cache_asker_drop(&asker);
        taken[round] = cache_fixture_report(&f).bytes - before;
        cr_assert_eq(cache_fixture_report(&f).objects, 2u);
        cr_assert_eq(cache_store_purge(f.store, PURGE_TAG, slice_of("tag")), 2u);
    }
    cr_assert_eq(taken[0], taken[1]);
}

/* What slow readers hold is counted until they let go of it, and the others live with the rest. */
Test(cache_bounds, slow_readers)
{
    enum { READERS = 40 };
    struct cache_asker readers[READERS];
    char keys[READERS][32];
    uint64_t held;

    for (unsigned i = 0; i < READERS; i++) {
        snprintf(keys[i], sizeof(keys[i]), "slow %u", i);
        cr_assert(cache_fixture_store(&f, keys[i], 70 * KIB, ""));
        cache_asker_init(&readers[i], &f, keys[i]);
        cr_assert_eq(cache_asker_ask(&readers[i]), CACHE_HAS);
    }
    cr_assert_eq(cache_store_purge(f.store, PURGE_ALL, slice_make(NULL, 0)), (uint64_t)READERS);
    held = cache_fixture_report(&f).bytes;
    cr_assert_gt(held, READERS * 70 * KIB);
    for (unsigned i = 0; i < 20000; i++) {
        cr_assert(cache_fixture_store(&f, key_of(i), 1000, ""));
        if (i % 97 == 0)
            expect_within_size();
    }
    for (unsigned i = 0; i < READERS; i++)
        cache_asker_drop(&readers[i]);
    cr_assert_lt(cache_fixture_report(&f).bytes, SIZE - (uint64_t)READERS * 70 * KIB + 64 * KIB);
}

/* When all is held by readers nothing is stored, and what they read stays whole. */
Test(cache_bounds, nothing_but_what_is_read)
{
    enum { MOST = 200 };
    struct cache_asker readers[MOST];
    char keys[MOST][32];
    unsigned count = 0;

    for (; count < MOST; count++) {
        snprintf(keys[count], sizeof(keys[count]), "slow %u", count);
        if (!cache_fixture_store(&f, keys[count], 70 * KIB, ""))
            break;
        cache_asker_init(&readers[count], &f, keys[count]);
        cr_assert_eq(cache_asker_ask(&readers[count]), CACHE_HAS);
    }
    cr_assert_gt(count, SIZE / (80 * KIB));
    cr_assert_lt(count, SIZE / (70 * KIB) + 1);
    expect_within_size();
    cr_assert_gt(cache_fixture_report(&f).refused, 0u);
    for (unsigned i = 0; i < count; i++) {
        enum io io;
        struct slice all = cache_read_all(readers[i].object, &readers[i].waiter, &io);
        cr_assert_eq(all.len, (size_t)70 * KIB);
        free((char *)all.at);
        cr_assert(cache_fixture_has(&f, keys[i]));
        cache_asker_drop(&readers[i]);
    }
    f.now_ms += CACHE_PASS_MS; /* it has been found that it cannot be stored */
    cr_assert(cache_fixture_store(&f, keys[count], 70 * KIB, ""));
}

/* A piece is there as a whole or not at all: who reads along goes on behind it by themselves. */
Test(cache_bounds, pieces_are_not_kept_in_part)
{
    enum { MOST = 100, PIECE = 41 * KIB };
    static const char piece[PIECE];
    struct cache_asker readers[MOST], asker;
    struct cache_head head = cache_head_make("", "", "");
    char keys[MOST][32];
    unsigned count = 0, pieces = 0;
    struct slice all;
    enum io io;

    for (; count < MOST; count++) {
        snprintf(keys[count], sizeof(keys[count]), "slow %u", count);
        if (!cache_fixture_store(&f, keys[count], 190 * KIB, ""))
            break;
        cache_asker_init(&readers[count], &f, keys[count]);
        cr_assert_eq(cache_asker_ask(&readers[count]), CACHE_HAS);
    }
    cache_asker_drop(&readers[--count]);
    cache_asker_init(&asker, &f, "growing");
    cr_assert_eq(cache_asker_ask(&asker), CACHE_FETCH);
    asker.object = cache_fetch_begin(asker.fetch, &head, CACHE_LENGTH_UNKNOWN, f.now_ms);
    cr_assert_not_null(asker.object);
    while (cache_fetch_append(asker.fetch, slice_make(piece, PIECE)))
        pieces++;
    cr_assert_gt(pieces, 0u);
    all = cache_read_all(asker.object, &asker.waiter, &io);
    cr_assert_eq(io, IO_WAIT);
    cr_assert_eq(all.len, (size_t)pieces * PIECE);
    free((char *)all.at);
    cache_asker_drop(&asker);
    cache_fetch_give_up(asker.fetch, CACHE_NOT_STORABLE, f.now_ms);
    while (count > 0)
        cache_asker_drop(&readers[--count]);
}

/* Backends that promise much and send nothing keep half of the room at most. */
Test(cache_bounds, what_grows_takes_half)
{
    enum { MOST = 8 };
    struct cache_asker askers[MOST];
    struct cache_head head = cache_head_make("", "", "");
    char keys[MOST][16];
    unsigned count = 0;

    f.max_object = SIZE / 2;
    for (; count < MOST; count++) {
        snprintf(keys[count], sizeof(keys[count]), "key %u", count);
        cache_asker_init(&askers[count], &f, keys[count]);
        cr_assert_eq(cache_asker_ask(&askers[count]), CACHE_FETCH);
        askers[count].object = cache_fetch_begin(askers[count].fetch, &head, MIB, f.now_ms);
        if (askers[count].object == NULL)
            break;
    }
    cr_assert_eq(count, 2u);
    cr_assert(cache_fixture_store(&f, "small", 100, "") == false); /* not even that grows */
    for (unsigned i = 0; i < count; i++) {
        cache_fetch_give_up(askers[i].fetch, CACHE_CUT, f.now_ms);
        cache_asker_drop(&askers[i]);
    }
    cr_assert_eq(cache_fixture_report(&f).growing, 0u);
}

Test(cache_bounds, a_zone_without_a_size_passes)
{
    struct cache_zone *whole = f.zone;
    struct cache_asker asker;

    f.zone = cache_zone_take(f.store, slice_of("another"));
    cache_asker_init(&asker, &f, "key");
    cr_assert_eq(cache_asker_ask(&asker), CACHE_PASS);
    cache_zone_release(f.zone);
    f.zone = whole;
}

Test(cache_bounds, the_newest_policy_says_the_size)
{
    for (unsigned i = 0; i < 3000; i++)
        cache_fixture_store(&f, key_of(i), 1000, "");
    cr_assert_gt(cache_fixture_report(&f).bytes, 3 * MIB);
    cache_zone_resize(f.zone, MIB, 3);
    cache_zone_resize(f.zone, SIZE, 2); /* an older generation's request */
    cr_assert_eq(cache_fixture_report(&f).size, (uint64_t)MIB);
    for (unsigned i = 3000; i < 3010; i++)
        cache_fixture_store(&f, key_of(i), 1000, "");
    expect_within_size();
    cache_zone_resize(f.zone, 2 * MIB, 4);
    for (unsigned i = 0; i < 3000; i++)
        cr_assert(cache_fixture_store(&f, key_of(10000 + i), 1000, ""));
    expect_within_size();
    cr_assert_gt(cache_fixture_report(&f).bytes, MIB / 2 * 3);
}

Test(cache_bounds, zones_live_by_name_as_long_as_somebody_uses_them)
{
    struct cache_zone *again = cache_zone_take(f.store, slice_of("defaults"));
    struct cache_asker asker;
    enum io io;
    struct slice all;

    cr_assert_eq(again, f.zone);
    cache_fixture_store(&f, "key", 10, "");
    cache_zone_release(again);
    cr_assert(cache_fixture_has(&f, "key"));
    cache_asker_init(&asker, &f, "key");
    cache_asker_ask(&asker);
    cache_zone_release(f.zone); /* the last one: but what is read is read to its end */
    all = cache_read_all(asker.object, &asker.waiter, &io);
    cr_assert_eq(all.len, 10u);
    free((char *)all.at);
    f.zone = cache_zone_take(f.store, slice_of("defaults"));
    cache_zone_resize(f.zone, SIZE, 1);
    cr_assert_not(cache_fixture_has(&f, "key"));
    cache_asker_drop(&asker);
}

/* --- what goes -----------------------------------------------------------------------------------
 */

/* Once through everything, as a crawler does it: what is asked for again and again stays. */
Test(cache_bounds, a_scan_does_not_flush_it)
{
    unsigned left = 0;

    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < 1000; i++)
            if (!cache_fixture_has(&f, key_of(i)))
                cache_fixture_store(&f, key_of(i), 1000, "");
    for (unsigned i = 0; i < 30000; i++)
        cache_fixture_store(&f, key_of(100000 + i), 1000, "");
    for (unsigned i = 0; i < 1000; i++)
        left += cache_fixture_has(&f, key_of(i));
    cr_assert_gt(left, 950u);
}

/* What was asked for often and is not any more goes in the end. */
Test(cache_bounds, what_was_popular_once_goes)
{
    unsigned left = 0;

    for (unsigned round = 0; round < 5; round++)
        for (unsigned i = 0; i < 1000; i++)
            if (!cache_fixture_has(&f, key_of(i)))
                cache_fixture_store(&f, key_of(i), 1000, "");
    for (unsigned i = 0; i < 20000; i++)
        for (unsigned again = 0; again < 3; again++)
            if (!cache_fixture_has(&f, key_of(100000 + i)))
                cache_fixture_store(&f, key_of(100000 + i), 1000, "");
    for (unsigned i = 0; i < 1000; i++)
        left += cache_fixture_has(&f, key_of(i));
    cr_assert_lt(left, 10u);
}
