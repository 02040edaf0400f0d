/* What who asks is told: it is there, wait, fetch, pass. */
#include "support/cache_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { MIB = 1024 * 1024 };

static struct cache_fixture f;
static struct cache_asker a, b, c;

static void begin(void)
{
    cache_fixture_init(&f, 4 * MIB);
    cache_asker_init(&a, &f, "https://a.test/");
    cache_asker_init(&b, &f, "https://a.test/");
    cache_asker_init(&c, &f, "https://a.test/");
}

static void end(void)
{
    cache_asker_drop(&a);
    cache_asker_drop(&b);
    cache_asker_drop(&c);
    cache_fixture_clear(&f);
}

TestSuite(cache_ask, .init = begin, .fini = end, .timeout = 240);

static void expect_body(struct cache_object *object, const char *body)
{
    enum io io;
    struct slice all = cache_read_all(object, &a.waiter, &io);

    cr_assert_eq(io, IO_EOF);
    cr_assert_eq(all.len, strlen(body));
    cr_assert(slice_equal(all, slice_of(body)));
    free((char *)all.at);
}

static void store(struct cache_asker *asker, const char *vary, const char *variant,
                  const char *body)
{
    struct cache_head head = cache_head_make(vary, variant, "");

    cr_assert_eq(asker->answer, CACHE_FETCH);
    cr_assert(cache_asker_store(asker, &head, slice_of(body)));
}

Test(cache_ask, what_was_stored_is_there_for_all)
{
    const struct cache_head *head;

    cr_assert_eq(cache_asker_ask(&a), CACHE_FETCH);
    store(&a, "", "", "hello");
    cr_assert_eq(cache_asker_ask(&b), CACHE_HAS);
    expect_body(b.object, "hello");
    head = cache_object_head(b.object);
    cr_assert_eq(head->status, 200);
    cr_assert_eq(head->fields.count, 1u);
    cr_assert(slice_equal(head->fields.list[0].name, slice_of("content-type")));
    cr_assert(slice_equal(head->fields.list[0].value, slice_of("text/plain")));
    cr_assert_eq(head->life_bytes, 4u);
    cr_assert_eq(memcmp(head->life, "life", 4), 0);
}

Test(cache_ask, keys_are_whole_texts)
{
    cache_fixture_store(&f, "https://a.test/x", 10, "");
    cr_assert(cache_fixture_has(&f, "https://a.test/x"));
    cr_assert_not(cache_fixture_has(&f, "https://a.test/"));
    cr_assert_not(cache_fixture_has(&f, "https://a.test/x?"));
    cr_assert_not(cache_fixture_has(&f, "https://a.test/X"));
}

Test(cache_ask, a_key_that_is_too_long_passes)
{
    char *key = malloc(CACHE_KEY_MOST + 2);

    memset(key, 'k', CACHE_KEY_MOST + 1);
    key[CACHE_KEY_MOST + 1] = '\0';
    a.key = key;
    cr_assert_eq(cache_asker_ask(&a), CACHE_PASS);
    key[CACHE_KEY_MOST] = '\0';
    cr_assert_eq(cache_asker_ask(&a), CACHE_FETCH);
    cache_fetch_give_up(a.fetch, CACHE_FAILED, f.now_ms);
    free(key);
}

/* --- one fetch for many --------------------------------------------------------------------------
 */

Test(cache_ask, one_fetches_and_the_others_read_along)
{
    struct cache_head head = cache_head_make("", "", "");
    struct slice piece;

    cr_assert_eq(cache_asker_ask(&a), CACHE_FETCH);
    cr_assert_eq(cache_asker_ask(&b), CACHE_WAITS);
    cache_fixture_turn(&f);
    cr_assert_eq(b.wakes, 0u);
    a.object = cache_fetch_begin(a.fetch, &head, 4, f.now_ms);
    cr_assert_not_null(a.object);
    cache_fixture_turn(&f);
    cr_assert_eq(b.wakes, 1u);
    cr_assert_eq(cache_asker_ask(&b), CACHE_HAS);
    cr_assert_not(cache_object_is_whole(b.object));
    cr_assert_eq(cache_object_read(b.object, 0, &b.waiter, &piece), IO_WAIT);
    cr_assert(cache_fetch_append(a.fetch, slice_of("ab")));
    cache_fixture_turn(&f);
    cr_assert_eq(b.wakes, 2u);
    cr_assert_eq(cache_object_read(b.object, 0, &b.waiter, &piece), IO_OK);
    cr_assert(slice_equal(piece, slice_of("ab")));
    cr_assert_eq(cache_object_read(b.object, 2, &b.waiter, &piece), IO_WAIT);
    cr_assert(cache_fetch_append(a.fetch, slice_of("cd")));
    cr_assert(cache_fetch_finish(a.fetch));
    cache_fixture_turn(&f);
    cr_assert_eq(b.wakes, 3u);
    expect_body(b.object, "abcd");
    cr_assert(cache_object_is_whole(b.object));
}

Test(cache_ask, of_unknown_length_the_others_wait_until_it_is_whole)
{
    struct cache_head head = cache_head_make("", "", "");
    uint64_t length;

    cache_asker_ask(&a);
    cr_assert_eq(cache_asker_ask(&b), CACHE_WAITS);
    a.object = cache_fetch_begin(a.fetch, &head, CACHE_LENGTH_UNKNOWN, f.now_ms);
    cache_fixture_turn(&f);
    cr_assert_eq(b.wakes, 1u);
    cr_assert_eq(cache_asker_ask(&b), CACHE_WAITS);
    cr_assert_eq(cache_asker_ask(&c), CACHE_WAITS);
    cr_assert(cache_fetch_append(a.fetch, slice_of("abcd")));
    cr_assert_not(cache_object_length(a.object, &length));
    cr_assert(cache_fetch_finish(a.fetch));
    cr_assert(cache_object_length(a.object, &length));
    cr_assert_eq(length, 4u);
    cache_fixture_turn(&f);
    cr_assert_eq(b.wakes, 2u);
    cr_assert_eq(c.wakes, 1u);
    cr_assert_eq(cache_asker_ask(&b), CACHE_HAS);
    expect_body(b.object, "abcd");
}

Test(cache_ask, who_waits_for_a_fetch_that_fails_is_next)
{
    cache_asker_ask(&a);
    cr_assert_eq(cache_asker_ask(&b), CACHE_WAITS);
    cr_assert_eq(cache_asker_ask(&c), CACHE_WAITS);
    cache_fetch_give_up(a.fetch, CACHE_FAILED, f.now_ms);
    cache_fixture_turn(&f);
    cr_assert_eq(b.wakes + c.wakes, 2u);
    cr_assert_eq(cache_asker_ask(&b), CACHE_FETCH);
    cr_assert_eq(cache_asker_ask(&c), CACHE_WAITS);
    store(&b, "", "", "x");
    cache_fixture_turn(&f);
    cr_assert_eq(cache_asker_ask(&c), CACHE_HAS);
}

/* A backend that fails slowly is not waited for by one after the other. */
Test(cache_ask, who_waited_in_vain_twice_passes)
{
    cache_asker_ask(&a);
    cr_assert_eq(cache_asker_ask(&b), CACHE_WAITS);
    cache_fetch_give_up(a.fetch, CACHE_FAILED, f.now_ms);
    cr_assert_eq(cache_asker_ask(&a), CACHE_FETCH);
    cr_assert_eq(cache_asker_ask(&b), CACHE_WAITS);
    cache_fetch_give_up(a.fetch, CACHE_FAILED, f.now_ms);
    cr_assert_eq(cache_asker_ask(&a), CACHE_FETCH);
    cr_assert_eq(cache_asker_ask(&b), CACHE_PASS);
    cache_fetch_give_up(a.fetch, CACHE_FAILED, f.now_ms);
}

/* Nor is one that never gets to the end of what it says. */
Test(cache_ask, who_waited_twice_for_what_was_cut_passes)
{
    struct cache_head head = cache_head_make("", "", "");

    for (int i = 0; i < 2; i++) {
        cr_assert_eq(cache_asker_ask(&a), CACHE_FETCH);
        cache_object_unref(cache_fetch_begin(a.fetch, &head, CACHE_LENGTH_UNKNOWN, f.now_ms));
        cr_assert_eq(cache_asker_ask(&b), CACHE_WAITS);
        cache_fetch_give_up(a.fetch, CACHE_CUT, f.now_ms);
        a.fetch = NULL;
    }
    cr_assert_eq(cache_asker_ask(&a), CACHE_FETCH);
    cr_assert_eq(cache_asker_ask(&b), CACHE_PASS);
    cache_fetch_give_up(a.fetch, CACHE_FAILED, f.now_ms);
}

Test(cache_ask, what_is_not_storable_is_waited_for_by_nobody_for_a_while)
{
    cache_asker_ask(&a);
    cr_assert_eq(cache_asker_ask(&b), CACHE_WAITS);
    cache_fetch_give_up(a.fetch, CACHE_NOT_STORABLE, f.now_ms);
    cache_fixture_turn(&f);
    cr_assert_eq(b.wakes, 1u);
    cr_assert_eq(cache_asker_ask(&b), CACHE_PASS);
    f.now_ms += CACHE_PASS_MS - 1;
    cr_assert_eq(cache_asker_ask(&b), CACHE_PASS);
    f.now_ms++;
    cr_assert_eq(cache_asker_ask(&b), CACHE_FETCH);
    store(&b, "", "", "x");
    cr_assert_eq(cache_asker_ask(&c), CACHE_HAS);
}

Test(cache_ask, what_was_cut_is_never_whole)
{
    struct cache_head head = cache_head_make("", "", "");
    struct slice piece;

    cache_asker_ask(&a);
    a.object = cache_fetch_begin(a.fetch, &head, 4, f.now_ms);
    cr_assert_eq(cache_asker_ask(&b), CACHE_HAS);
    cr_assert(cache_fetch_append(a.fetch, slice_of("ab")));
    cr_assert_eq(cache_object_read(b.object, 2, &b.waiter, &piece), IO_WAIT);
    cache_fetch_give_up(a.fetch, CACHE_CUT, f.now_ms);
    cache_fixture_turn(&f);
    cr_assert_eq(b.wakes, 1u);
    cr_assert_eq(cache_object_read(b.object, 0, &b.waiter, &piece), IO_OK);
    cr_assert_eq(cache_object_read(b.object, 2, &b.waiter, &piece), IO_ERROR);
    cr_assert_not(cache_object_is_whole(b.object));
    cr_assert_eq(cache_asker_ask(&c), CACHE_FETCH);
    cache_fetch_give_up(c.fetch, CACHE_FAILED, f.now_ms);
}

Test(cache_ask, what_ends_before_its_length_was_cut)
{
    struct cache_head head = cache_head_make("", "", "");

    cache_asker_ask(&a);
    a.object = cache_fetch_begin(a.fetch, &head, 4, f.now_ms);
    cr_assert(cache_fetch_append(a.fetch, slice_of("ab")));
    cr_assert_not(cache_fetch_finish(a.fetch));
    cr_assert_not(cache_fixture_has(&f, a.key));
}

Test(cache_ask, more_than_the_length_that_was_told_is_refused)
{
    struct cache_head head = cache_head_make("", "", "");

    cache_asker_ask(&a);
    a.object = cache_fetch_begin(a.fetch, &head, 4, f.now_ms);
    cr_assert(cache_fetch_append(a.fetch, slice_of("abcd")));
    cr_assert_not(cache_fetch_append(a.fetch, slice_of("e")));
    cache_fetch_give_up(a.fetch, CACHE_NOT_STORABLE, f.now_ms);
}

/* --- waiting, and not any more -------------------------------------------------------------------
 */

Test(cache_ask, who_has_gone_is_not_woken)
{
    cache_asker_ask(&a);
    cr_assert_eq(cache_asker_ask(&b), CACHE_WAITS);
    cr_assert_eq(cache_asker_ask(&c), CACHE_WAITS);
    cache_waiter_cancel(&b.waiter);
    cr_assert_eq(cache_fixture_report(&f).waiting, 1u);
    cache_fetch_give_up(a.fetch, CACHE_FAILED, f.now_ms);
    cache_waiter_cancel(&c.waiter); /* it is on its way already */
    cache_fixture_turn(&f);
    cr_assert_eq(b.wakes + c.wakes, 0u);
    cr_assert_eq(cache_fixture_report(&f).waiting, 0u);
}

Test(cache_ask, waiters_of_a_fetch_are_bounded)
{
    struct cache_asker *many = calloc(CACHE_FETCH_WAITERS, sizeof(*many));

    cache_asker_ask(&a);
    for (unsigned i = 0; i < CACHE_FETCH_WAITERS; i++) {
        cache_asker_init(&many[i], &f, a.key);
        cr_assert_eq(cache_asker_ask(&many[i]), CACHE_WAITS);
    }
    cr_assert_eq(cache_asker_ask(&b), CACHE_PASS);
    cache_asker_drop(&many[7]);
    cr_assert_eq(cache_asker_ask(&b), CACHE_WAITS);
    store(&a, "", "", "x");
    cache_fixture_turn(&f);
    for (unsigned i = 0; i < CACHE_FETCH_WAITERS; i++)
        cr_assert_eq(many[i].wakes, i == 7 ? 0u : 1u);
    free(many);
}

/* --- what is stale -------------------------------------------------------------------------------
 */

static void store_and_find(const char *body)
{
    cache_asker_ask(&a);
    store(&a, "", "", body);
    cache_asker_drop(&a);
    cr_assert_eq(cache_asker_ask(&a), CACHE_HAS);
    cr_assert_eq(cache_asker_ask(&b), CACHE_HAS);
}

Test(cache_ask, one_validates_and_others_may_use_it_meanwhile)
{
    store_and_find("old");
    cr_assert_eq(cache_asker_ask_again(&a), CACHE_FETCH);
    cr_assert_eq(cache_fetch_stale(a.fetch), b.object);
    cr_assert_eq(cache_asker_ask(&c), CACHE_HAS); /* as it likes */
    cr_assert_eq(cache_asker_look(&c), CACHE_WAITS);
    cr_assert_eq(c.waiter.state, WAITER_IDLE);
    cr_assert_eq(cache_asker_ask_again(&b), CACHE_WAITS);
    store(&a, "", "", "new");
    cache_fixture_turn(&f);
    cr_assert_eq(b.wakes, 1u);
    cr_assert_eq(cache_asker_ask(&b), CACHE_HAS);
    expect_body(b.object, "new");
    cr_assert_eq(cache_fixture_report(&f).objects, 1u);
}

Test(cache_ask, a_304_gives_the_body_another_head)
{
    struct cache_head head = cache_head_make("", "", "");
    struct cache_object *renewed;

    store_and_find("body");
    head.status = 203;
    cr_assert_eq(cache_asker_ask_again(&a), CACHE_FETCH);
    renewed = cache_fetch_renew(a.fetch, &head);
    cr_assert_not_null(renewed);
    cr_assert_eq(cache_asker_ask(&c), CACHE_HAS);
    cr_assert_eq(c.object, renewed);
    cr_assert_eq(cache_object_head(c.object)->status, 203);
    cr_assert_eq(cache_object_head(b.object)->status, 200);
    cache_asker_drop(&b);
    expect_body(c.object, "body");
    cr_assert_eq(cache_fixture_report(&f).objects, 1u);
    cache_object_unref(renewed);
}

Test(cache_ask, a_validation_that_fails_leaves_what_there_is)
{
    store_and_find("old");
    cr_assert_eq(cache_asker_ask_again(&a), CACHE_FETCH);
    cache_fetch_give_up(a.fetch, CACHE_FAILED, f.now_ms);
    cr_assert_eq(cache_asker_ask(&c), CACHE_HAS);
    expect_body(c.object, "old");
}

/* The newer one is answered even before it is whole; the older one goes only then. */
Test(cache_ask, an_edition_that_grows_is_for_those_whom_the_old_one_does_not_do)
{
    struct cache_head head = cache_head_make("", "", "");

    store_and_find("old");
    cr_assert_eq(cache_asker_ask_again(&a), CACHE_FETCH);
    a.object = cache_fetch_begin(a.fetch, &head, 3, f.now_ms);
    cr_assert_eq(cache_asker_ask(&c), CACHE_HAS);
    cr_assert(cache_object_is_whole(c.object));
    cr_assert_eq(cache_asker_ask_again(&b), CACHE_HAS);
    cr_assert_eq(b.object, a.object);
    cache_fetch_give_up(a.fetch, CACHE_CUT, f.now_ms);
    cr_assert_eq(cache_asker_ask_again(&c), CACHE_FETCH);
    cr_assert_not_null(cache_fetch_stale(c.fetch));
    cache_fetch_give_up(c.fetch, CACHE_FAILED, f.now_ms);
}

/* --- variants ------------------------------------------------------------------------------------
 */

static enum cache_answer ask_as(struct cache_asker *asker, const char *variant)
{
    cache_asker_drop(asker);
    asker->variant = variant;
    return cache_asker_ask(asker);
}

Test(cache_ask, variants_are_told_apart)
{
    cr_assert_eq(ask_as(&a, "en"), CACHE_FETCH);
    store(&a, "accept-language", "en", "hello");
    cr_assert_eq(ask_as(&b, "de"), CACHE_FETCH);
    store(&b, "accept-language", "de", "hallo");
    cr_assert_eq(ask_as(&c, "en"), CACHE_HAS);
    expect_body(c.object, "hello");
    cr_assert_eq(ask_as(&c, "de"), CACHE_HAS);
    expect_body(c.object, "hallo");
    cr_assert_eq(cache_fixture_report(&f).objects, 2u);
}

/* Nobody waits for what will be of no use: of what stands under the key it is known what differs.
 */
Test(cache_ask, fetches_of_other_variants_are_not_waited_for)
{
    ask_as(&a, "en");
    store(&a, "accept-language", "en", "hello");
    cr_assert_eq(ask_as(&a, "de"), CACHE_FETCH);
    cr_assert_eq(ask_as(&b, "fr"), CACHE_FETCH);
    cr_assert_eq(ask_as(&c, "de"), CACHE_WAITS);
    store(&a, "accept-language", "de", "hallo");
    store(&b, "accept-language", "fr", "salut");
    cr_assert_eq(ask_as(&c, "de"), CACHE_HAS);
    expect_body(c.object, "hallo");
}

Test(cache_ask, variants_are_bounded_and_the_oldest_goes)
{
    char names[CACHE_VARIANTS_MOST + 1][16];

    for (unsigned i = 0; i <= CACHE_VARIANTS_MOST; i++) {
        snprintf(names[i], sizeof(names[i]), "v%u", i);
        cr_assert_eq(ask_as(&a, names[i]), CACHE_FETCH);
        store(&a, "cookie", names[i], names[i]);
    }
    cr_assert_eq(cache_fixture_report(&f).objects, (uint64_t)CACHE_VARIANTS_MOST);
    cr_assert_eq(ask_as(&a, names[1]), CACHE_HAS);
    cr_assert_eq(ask_as(&a, names[CACHE_VARIANTS_MOST]), CACHE_HAS);
    cr_assert_eq(ask_as(&a, names[0]), CACHE_FETCH);
    cache_fetch_give_up(a.fetch, CACHE_FAILED, f.now_ms);
}

Test(cache_ask, fetches_of_a_key_are_bounded)
{
    struct cache_asker many[CACHE_FETCHES_MOST];
    char names[CACHE_FETCHES_MOST][16];

    ask_as(&a, "x");
    store(&a, "cookie", "x", "x");
    for (unsigned i = 0; i < CACHE_FETCHES_MOST; i++) {
        snprintf(names[i], sizeof(names[i]), "v%u", i);
        cache_asker_init(&many[i], &f, a.key);
        cr_assert_eq(ask_as(&many[i], names[i]), CACHE_FETCH);
    }
    cr_assert_eq(ask_as(&b, "one more"), CACHE_PASS);
    for (unsigned i = 0; i < CACHE_FETCHES_MOST; i++)
        cache_fetch_give_up(many[i].fetch, CACHE_FAILED, f.now_ms);
    cr_assert_eq(ask_as(&b, "one more"), CACHE_FETCH);
    cache_fetch_give_up(b.fetch, CACHE_FAILED, f.now_ms);
}

/* --- the body in another coding ------------------------------------------------------------------
 */

static void encode(struct cache_object *object, const char *bytes, unsigned coding)
{
    struct cache_body *body = cache_encoding_begin(object);

    cr_assert_not_null(body);
    cr_assert(cache_encoding_append(object, body, slice_of(bytes)));
    cache_encoding_end(object, body, coding);
}

Test(cache_ask, codings_are_kept_with_the_body)
{
    struct cache_head head = cache_head_make("", "", "");
    struct cache_object *renewed;
    struct cache_body *longer;
    const struct cache_body *body;
    struct slice piece;
    uint64_t before;

    store_and_find("a body");
    cr_assert_null(cache_object_encoded(b.object, 1));
    before = cache_fixture_report(&f).bytes;
    encode(b.object, "zip", 1);
    encode(b.object, "other", 1); /* too late */
    encode(b.object, "junk", CACHE_CODINGS);
    cr_assert_gt(cache_fixture_report(&f).bytes, before);
    longer = cache_encoding_begin(b.object);
    cr_assert_not(cache_encoding_append(b.object, longer, slice_of("longer than it")));
    cache_encoding_end(b.object, longer, CACHE_CODINGS);

    cr_assert_eq(cache_asker_ask_again(&a), CACHE_FETCH);
    renewed = cache_fetch_renew(a.fetch, &head);
    cache_asker_drop(&b);
    body = cache_object_encoded(renewed, 1);
    cr_assert_not_null(body);
    cr_assert_eq(cache_body_length(body), 3u);
    cr_assert_eq(cache_body_read(body, 0, &piece), IO_OK);
    cr_assert(slice_equal(piece, slice_of("zip")));
    cr_assert_eq(cache_body_read(body, 3, &piece), IO_EOF);
    cr_assert_null(cache_object_encoded(renewed, 0));
    cache_object_unref(renewed);
}

/* --- bytes ---------------------------------------------------------------------------------------
 */

/* Bodies of any length, known or not, come in any pieces and are read at any place. */
/* Many who read it slowly, each in a coding that is not kept yet, push nothing else out. */
Test(cache_ask, few_encodings_are_made_of_one_at_a_time)
{
    struct cache_body *bodies[100];
    unsigned count = 0;

    store_and_find("a body");
    while (count < 100 && (bodies[count] = cache_encoding_begin(b.object)) != NULL)
        count++;
    cr_assert_eq(count, 4u);
    cache_encoding_end(b.object, bodies[0], CACHE_CODINGS);
    bodies[0] = cache_encoding_begin(b.object);
    cr_assert_not_null(bodies[0]);
    while (count-- > 0)
        cache_encoding_end(b.object, bodies[count], CACHE_CODINGS);
    encode(b.object, "zip", 1);
    cr_assert_not_null(cache_object_encoded(b.object, 1));
}

Test(cache_ask, bytes_come_out_as_they_went_in)
{
    static char bytes[700 * 1024];
    struct cache_head head = cache_head_make("", "", "");
    unsigned seed = 11;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)rand_r(&seed);
    for (unsigned round = 0; round < 60; round++) {
        size_t length = round < 20 ? round * 700 : (size_t)rand_r(&seed) % sizeof(bytes), done = 0;
        bool is_known = round % 2 == 0;
        char key[32];
        struct slice piece;
        snprintf(key, sizeof(key), "key %u", round);
        a.key = key;
        cr_assert_eq(cache_asker_ask(&a), CACHE_FETCH);
        a.object =
            cache_fetch_begin(a.fetch, &head, is_known ? length : CACHE_LENGTH_UNKNOWN, f.now_ms);
        cr_assert_not_null(a.object);
        while (done < length) {
            size_t some = (size_t)rand_r(&seed) % 50000 + 1;
            some = some < length - done ? some : length - done;
            cr_assert(cache_fetch_append(a.fetch, slice_make(bytes + done, some)));
            done += some;
            cr_assert_eq(cache_object_read(a.object, done - 1, &a.waiter, &piece), IO_OK);
            cr_assert_eq(piece.at[0], bytes[done - 1]);
        }
        if (round % 3 == 0) { /* nobody else holds it: what is left over goes back */
            cache_object_unref(a.object);
            a.object = NULL;
        }
        cr_assert(cache_fetch_finish(a.fetch));
        cache_asker_drop(&a);
        cr_assert_eq(cache_asker_ask(&a), CACHE_HAS);
        for (size_t at = 0; at < length; at += piece.len) {
            cr_assert_eq(cache_object_read(a.object, at, &a.waiter, &piece), IO_OK);
            cr_assert_eq(memcmp(piece.at, bytes + at, piece.len), 0);
        }
        cr_assert_eq(cache_object_read(a.object, length, &a.waiter, &piece), IO_EOF);
        cache_asker_drop(&a);
    }
    a.key = "https://a.test/";
}
