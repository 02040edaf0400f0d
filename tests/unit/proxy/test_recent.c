#include "proxy/recent.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct recent *recent;

static void begin(void)
{
    recent = recent_new(RECENT_BYTES_MIN);
}

static void end(void)
{
    recent_free(recent);
}

TestSuite(recent, .init = begin, .fini = end);

static void put(uint64_t at_us, const char *host, const char *path, const char *sni)
{
    recent_put(recent, &(struct recent_request){.at_us = at_us,
                                                .port = 443,
                                                .is_tls = true,
                                                .method = slice_of("GET"),
                                                .host = slice_of(host),
                                                .path = slice_of(path),
                                                .sni = slice_of(sni)});
}

Test(recent, gives_back_what_was_put_in)
{
    struct recent_request request;
    struct slice identity;
    size_t bytes;

    put(1, "a.test", "/x", "a.test");
    put(2, "b.test", "/", "a.test");
    recent_put(recent,
               &(struct recent_request){
                   .at_us = 3, .port = 80, .method = slice_of("OPTIONS"), .path = slice_of("*")});
    char *copy = recent_copy(recent, &bytes);
    struct slice rest = slice_make(copy, bytes);
    cr_assert(recent_next(&rest, &request, &identity));
    cr_expect_eq(request.at_us, 1);
    cr_expect_eq(request.port, 443);
    cr_expect(request.is_tls);
    cr_expect(slice_equal(request.method, slice_of("GET")));
    cr_expect(slice_equal(request.host, slice_of("a.test")));
    cr_expect(slice_equal(request.path, slice_of("/x")));
    cr_expect(slice_equal(request.sni, slice_of("a.test")));
    cr_assert(recent_next(&rest, &request, &identity));
    cr_expect(slice_equal(request.host, slice_of("b.test")));
    cr_expect(slice_equal(request.sni, slice_of("a.test")));
    cr_assert(recent_next(&rest, &request, &identity));
    cr_expect_not(request.is_tls);
    cr_expect(slice_is_empty(request.host));
    cr_expect(slice_is_empty(request.sni));
    cr_expect(slice_equal(request.path, slice_of("*")));
    cr_expect_not(recent_next(&rest, &request, &identity));
    free(copy);
}

Test(recent, identity_is_all_but_the_time)
{
    struct recent_request request;
    struct slice first, second, third;
    size_t bytes;

    put(1, "a.test", "/x", "a.test");
    put(2, "a.test", "/x", "a.test");
    put(3, "a.test", "/x", "");
    char *copy = recent_copy(recent, &bytes);
    struct slice rest = slice_make(copy, bytes);
    cr_assert(recent_next(&rest, &request, &first));
    cr_assert(recent_next(&rest, &request, &second));
    cr_assert(recent_next(&rest, &request, &third));
    cr_expect(slice_equal(first, second));
    cr_expect_not(slice_equal(first, third));
    free(copy);
}

/* Whatever the lengths, what is left is the newest without a gap, and never more bytes than told.
 */
Test(recent, the_oldest_make_room)
{
    char path[RECENT_PATH_MAX + 1];
    unsigned state = 7;

    for (uint64_t n = 1; n <= 20000; n++) {
        state = state * 1103515245u + 12345u;
        size_t length = 1 + (state >> 16) % (n % 7 == 0 ? RECENT_PATH_MAX : 60);
        memset(path, 'x', length);
        path[0] = '/';
        path[length] = '\0';
        put(n, "a.test", path, n % 3 == 0 ? "other.test" : "a.test");
        if (n % 97 != 0 && n != 20000)
            continue;
        struct recent_request request;
        struct slice identity;
        size_t bytes, count = 0;
        uint64_t last = 0;
        char *copy = recent_copy(recent, &bytes);
        cr_assert_leq(bytes, RECENT_BYTES_MIN);
        for (struct slice rest = slice_make(copy, bytes); recent_next(&rest, &request, &identity);
             count++) {
            cr_assert(last == 0 || request.at_us == last + 1, "%llu", (unsigned long long)n);
            cr_assert(request.path.len > 0 && request.path.at[0] == '/');
            last = request.at_us;
        }
        cr_assert_eq(last, n);
        cr_assert_geq(count, 1);
        if (n > 1000)
            cr_assert_geq(bytes, RECENT_BYTES_MIN - 4 * (RECENT_PATH_MAX + 64));
        free(copy);
    }
}

Test(recent, too_long_is_left_out_and_counted)
{
    char path[RECENT_PATH_MAX + 2];
    size_t bytes;

    memset(path, 'x', sizeof(path));
    path[RECENT_PATH_MAX + 1] = '\0';
    put(1, "a.test", path, "a.test");
    cr_expect_eq(recent_left_out(recent), 1);
    cr_expect_null(recent_copy(recent, &bytes));
    cr_expect_eq(bytes, 0);
    path[RECENT_PATH_MAX] = '\0';
    put(2, "a.test", path, "a.test");
    cr_expect_eq(recent_left_out(recent), 1);
    char *copy = recent_copy(recent, &bytes);
    cr_expect_gt(bytes, RECENT_PATH_MAX);
    free(copy);
}

Test(recent, nothing_is_remembered_without_one)
{
    size_t bytes;
    recent_put(NULL, &(struct recent_request){.path = slice_of("/")});
    cr_expect_null(recent_copy(NULL, &bytes));
    cr_expect_eq(recent_left_out(NULL), 0);
}
