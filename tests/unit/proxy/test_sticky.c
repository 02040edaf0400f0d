/* The cookie that leads a client back to its server. */
#include "proxy/sticky.h"

#include "base/table.h"

#include <criterion/criterion.h>

enum { NOW_S = 1800000000 };
static const uint64_t server_id = 0x0123456789abcdef;

static struct arena arena;
static struct sticky_spec spec;
static struct sticky_issuer issuer;

static void set_up(void)
{
    spec = (struct sticky_spec){.cookie = slice_of("GW"), .ttl_ms = 3600 * 1000};
    issuer = (struct sticky_issuer){.spec = &spec,
                                    .backend = slice_of("api"),
                                    .process_key = slice_of("0123456789abcdef0123456789abcdef"),
                                    .now_s = NOW_S};
}

static void tear_down(void)
{
    arena_clear(&arena);
}

TestSuite(sticky, .init = set_up, .fini = tear_down);

static uint64_t server_in(struct slice value)
{
    return sticky_value_read(&issuer, value).server;
}

static struct slice issued(char value[STICKY_VALUE_LENGTH])
{
    sticky_value_write(&issuer, server_id, value);
    return slice_make(value, STICKY_VALUE_LENGTH);
}

Test(sticky, value_names_the_server)
{
    char value[STICKY_VALUE_LENGTH];

    cr_expect_eq(server_in(issued(value)), server_id);
    cr_expect_not(sticky_value_read(&issuer, issued(value)).is_due);
}

Test(sticky, value_with_any_letter_changed_is_none)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_ =.\xff";
    char value[STICKY_VALUE_LENGTH];
    struct slice good = issued(value);

    for (size_t at = 0; at < good.len; at++) {
        char was = value[at];
        for (size_t i = 0; i < sizeof(letters); i++) {
            value[at] = letters[i]; /* the zero behind them, too */
            cr_expect_eq(server_in(good) != 0, letters[i] == was, "%c at %zu", letters[i], at);
        }
        value[at] = was;
    }
}

Test(sticky, value_of_any_other_length_is_none)
{
    char value[STICKY_VALUE_LENGTH + 2] = "", rest[300];
    struct slice good = issued(value);

    for (size_t length = 0; length < good.len; length++) {
        cr_expect_eq(server_in(slice_make(value, length)), 0);
        cr_expect_eq(server_in(slice_skip(good, good.len - length)), 0);
    }
    value[STICKY_VALUE_LENGTH] = 'A';
    cr_expect_eq(server_in(slice_make(value, STICKY_VALUE_LENGTH + 1)), 0);
    memset(rest, 'A', sizeof(rest));
    for (size_t length = 0; length < sizeof(rest); length++)
        cr_expect_eq(server_in(slice_make(rest, length)), 0);
}

Test(sticky, value_is_of_one_backend_and_one_key)
{
    char value[STICKY_VALUE_LENGTH];
    struct slice good = issued(value);

    issuer.backend = slice_of("apo");
    cr_expect_eq(server_in(good), 0);
    issuer.backend = slice_of("ap");
    cr_expect_eq(server_in(good), 0);
    issuer.backend = slice_of("api");
    issuer.process_key = slice_of("0123456789abcdef0123456789abcdeF");
    cr_expect_eq(server_in(good), 0);
    spec.key = slice_of("0123456789abcdef0123456789abcdef"); /* comes before the process's */
    cr_expect_eq(server_in(good), server_id);
}

static void expect_at(uint64_t now_s, bool is_good, bool is_due)
{
    char value[STICKY_VALUE_LENGTH];
    struct sticky_claim claim;

    issuer.now_s = NOW_S;
    issued(value);
    issuer.now_s = now_s;
    claim = sticky_value_read(&issuer, slice_make(value, STICKY_VALUE_LENGTH));
    cr_expect_eq(claim.server, is_good ? server_id : 0, "at %+lld", (long long)now_s - NOW_S);
    cr_expect_eq(claim.is_due, is_due, "at %+lld", (long long)now_s - NOW_S);
}

Test(sticky, value_ages)
{
    expect_at(NOW_S - 61, false, false);
    expect_at(NOW_S - 60, true, false);
    expect_at(NOW_S - 1, true, false);
    expect_at(NOW_S, true, false);
    expect_at(NOW_S + 1800, true, false);
    expect_at(NOW_S + 1801, true, true);
    expect_at(NOW_S + 3600, true, true);
    expect_at(NOW_S + 3601, false, false);
    spec.ttl_ms = 1500; /* as long as 2 s */
    expect_at(NOW_S + 2, true, true);
    expect_at(NOW_S + 3, false, false);
    spec.ttl_ms = 0;
    expect_at(NOW_S + 3600, true, false);
    expect_at(NOW_S + 300000000, true, false);
    expect_at(NOW_S - 61, false, false);
}

/* --- answers ------------------------------------------------------------------------------------
 */

/* The Set-Cookie that is there behind the backend's own fields, up to its value and behind it. */
static void expect_answer(struct sticky_claim claim, bool is_https, const char *attributes)
{
    struct http_fields response = {0};
    struct slice value = slice_make(NULL, 0);

    http_fields_add(&response, &arena, slice_of("Set-Cookie"), slice_of("GW=of-the-backend"));
    http_fields_add(&response, &arena, slice_of("Set-Cookie"), slice_of("own=1"));
    sticky_answer(&issuer, claim, slice_of("x:1"), is_https, &arena, &response);
    cr_expect(slice_equal(response.list[0].value, slice_of("own=1")));
    cr_assert_eq(response.count, attributes ? 2 : 1);
    if (!attributes)
        return;
    cr_expect(slice_equal(response.list[1].name, slice_of("Set-Cookie")));
    value = response.list[1].value;
    cr_assert(slice_starts_with(value, slice_of("GW=")));
    value = slice_skip(value, 3);
    cr_expect_eq(server_in(slice_make(value.at, STICKY_VALUE_LENGTH)), hash_fixed(slice_of("x:1")));
    value = slice_skip(value, STICKY_VALUE_LENGTH);
    cr_expect(slice_equal(value, slice_of(attributes)), "%.*s", (int)value.len, value.at);
}

Test(sticky, answer_sets_it_where_the_client_needs_it)
{
    const struct sticky_claim none = {0}, other = {.server = server_id};
    struct sticky_claim good = {.server = hash_fixed(slice_of("x:1"))};
    static const char secure[] = "; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=3600";

    expect_answer(none, true, secure);
    expect_answer(other, true, secure); /* it went elsewhere */
    expect_answer(good, true, NULL);
    good.is_due = true;
    expect_answer(good, true, secure);
    expect_answer(none, false, "; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600");
    spec.ttl_ms = 0;
    expect_answer(none, true, "; Path=/; HttpOnly; SameSite=Lax; Secure");
    spec.ttl_ms = 1500;
    expect_answer(none, false, "; Path=/; HttpOnly; SameSite=Lax; Max-Age=2");
}

static uint64_t claimed(struct slice cookies)
{
    struct http_fields request = {0};

    http_fields_add(&request, &arena, slice_of("Cookie"), cookies);
    return sticky_claim_of(&issuer, &request).server;
}

Test(sticky, request_claims_it_with_its_first_cookie_of_the_name)
{
    char value[STICKY_VALUE_LENGTH];
    struct slice good = issued(value);

    cr_expect_eq(claimed(arena_printf(&arena, "GW=%.*s", (int)good.len, good.at)), server_id);
    cr_expect_eq(claimed(arena_printf(&arena, "a=1;GW=\"%.*s\"; b", (int)good.len, good.at)),
                 server_id);
    cr_expect_eq(claimed(arena_printf(&arena, "GW=x; GW=%.*s", (int)good.len, good.at)), 0);
    cr_expect_eq(claimed(slice_of("gw=x")), 0);
    cr_expect_eq(claimed(slice_of("")), 0);
}
