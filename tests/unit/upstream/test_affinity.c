/* What of a request tells its client from others. */
#include "upstream/affinity.h"

#include "base/table.h"

#include <criterion/criterion.h>

static struct arena arena;

static void tear_down(void)
{
    arena_clear(&arena);
}

TestSuite(affinity, .fini = tear_down);

static const struct slice ip = {"192.0.2.1", 9};

static uint64_t key_of(enum affinity_kind kind, const char *name, const char *const *fields)
{
    const struct affinity affinity = {.kind = kind, .name = slice_of(name)};
    struct http_head request = {.path = slice_of("/x"), .query = slice_of("?q")};

    for (; fields && fields[0]; fields += 2)
        http_fields_add(&request.fields, &arena, slice_of(fields[0]), slice_of(fields[1]));
    return affinity_key(&affinity, &request, ip);
}

#define FIELDS(...) ((const char *const[]){__VA_ARGS__, NULL})

Test(affinity, of_an_address)
{
    cr_expect_eq(key_of(AFFINITY_IP, "", NULL), hash_fixed(ip));
    cr_expect_eq(key_of(AFFINITY_IP, "", FIELDS("Cookie", "a=1")), hash_fixed(ip));
}

/* What is written here must stay: gateways of different releases run side by side. */
Test(affinity, is_the_same_for_ever)
{
    cr_expect_eq(key_of(AFFINITY_IP, "", NULL), 0x736a36c9c59c21bf);
    cr_expect_eq(key_of(AFFINITY_URI, "", NULL), 0x59cab0e1142dc4f5);
    cr_expect_eq(affinity_join(1, 2), 0x1e1acd1506b386dc);
}

Test(affinity, of_a_cookie)
{
    uint64_t key = hash_fixed(slice_of("abc"));

    cr_expect_eq(key_of(AFFINITY_COOKIE, "id", FIELDS("Cookie", "x=1; id=abc")), key);
    cr_expect_eq(key_of(AFFINITY_COOKIE, "id", FIELDS("Cookie", "x=1", "cookie", "id=\"abc\"")),
                 key);
    cr_expect_eq(key_of(AFFINITY_COOKIE, "id", FIELDS("Cookie", "id=abc; id=def")), key);
    /* without it, or with nothing in it, by address */
    cr_expect_eq(key_of(AFFINITY_COOKIE, "id", NULL), hash_fixed(ip));
    cr_expect_eq(key_of(AFFINITY_COOKIE, "id", FIELDS("Cookie", "ID=abc")), hash_fixed(ip));
    cr_expect_eq(key_of(AFFINITY_COOKIE, "id", FIELDS("Cookie", "id=; id=abc")), hash_fixed(ip));
}

Test(affinity, of_a_header)
{
    uint64_t one = key_of(AFFINITY_HEADER, "x-id", FIELDS("X-Id", "1"));
    uint64_t both = key_of(AFFINITY_HEADER, "x-id", FIELDS("X-Id", "1", "x-ID", "2"));

    cr_expect_eq(one, hash_fixed(slice_of("1")));
    cr_expect_eq(key_of(AFFINITY_HEADER, "x-id", FIELDS("X-Id", "", "a", "b", "X-Id", "1")), one);
    cr_expect_neq(both, one);
    cr_expect_eq(key_of(AFFINITY_HEADER, "x-id", FIELDS("X-Id", "1", "a", "b", "X-Id", "2")), both);
    cr_expect_neq(key_of(AFFINITY_HEADER, "x-id", FIELDS("X-Id", "2", "X-Id", "1")), both);
    cr_expect_eq(key_of(AFFINITY_HEADER, "x-id", NULL), hash_fixed(ip));
    cr_expect_eq(key_of(AFFINITY_HEADER, "x-id", FIELDS("X-Id", "")), hash_fixed(ip));
}

static uint64_t key_of_uri(const char *path, const char *query)
{
    const struct affinity affinity = {.kind = AFFINITY_URI};
    const struct http_head request = {.path = slice_of(path), .query = slice_of(query)};

    return affinity_key(&affinity, &request, ip);
}

Test(affinity, of_a_uri)
{
    cr_expect_eq(key_of_uri("/a", "?b"), key_of_uri("/a", "?b"));
    cr_expect_neq(key_of_uri("/a", "?b"), key_of_uri("/a", ""));
    cr_expect_neq(key_of_uri("/a", "?b"), key_of_uri("/a", "?c"));
    cr_expect_neq(key_of_uri("/a", ""), key_of_uri("/b", ""));
}
