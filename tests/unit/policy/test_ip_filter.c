#include "policy/ip_filter.h"

#include <criterion/criterion.h>

static struct policies policies;

static void end(void)
{
    policy_unref(policies.of[POLICY_ALLOW]);
    policy_unref(policies.of[POLICY_DENY]);
    policies = (struct policies){{NULL}};
}

TestSuite(ip_filter, .fini = end);

/* "10.0.0.0/8 ::1"; NULL: no such list. */
static void set(enum policy_kind kind, const char *texts)
{
    struct network list[20];
    unsigned count = 0;
    struct error error;

    policy_unref(policies.of[kind]);
    policies.of[kind] = NULL;
    if (texts == NULL)
        return;
    for (struct slice rest = slice_of(texts); rest.len > 0; count++) {
        ptrdiff_t space = slice_find(rest, ' ');
        struct slice one = slice_make(rest.at, space < 0 ? rest.len : (size_t)space);
        cr_assert(network_parse(one, &list[count], &error), "%s", error.message);
        rest = slice_skip(rest, space < 0 ? rest.len : (size_t)space + 1);
    }
    policies.of[kind] = ip_filter_new(kind, list, count);
}

static void use(const char *allow, const char *deny)
{
    set(POLICY_ALLOW, allow);
    set(POLICY_DENY, deny);
}

static void expect(const char *client_ip, bool lets)
{
    cr_expect_eq(ip_filter_lets(&policies, slice_of(client_ip)), lets, "%s", client_ip);
}

Test(ip_filter, deny_alone_lets_all_others_pass)
{
    use(NULL, "10.0.0.0/8 2001:db8::/32");
    expect("10.0.0.1", false);
    expect("::ffff:10.0.0.1", false);
    expect("2001:db8::1", false);
    expect("11.0.0.1", true);
    expect("2001:db9::1", true);
    expect("unix", true);
    use(NULL, "");
    expect("10.0.0.1", true);
}

Test(ip_filter, allow_lets_nobody_else_pass)
{
    use("10.0.0.0/8", NULL);
    expect("10.0.0.1", true);
    expect("11.0.0.1", false);
    expect("::1", false);
    expect("unix", false);
    use("", NULL);
    expect("10.0.0.1", false);
    expect("::1", false);
    expect("unix", false);
}

Test(ip_filter, the_longest_network_of_both_decides)
{
    use("10.1.0.0/16 10.0.0.0/8", "10.1.2.0/24 0.0.0.0/0");
    expect("10.9.0.1", true);
    expect("10.1.0.1", true);
    expect("10.1.2.3", false);
    expect("11.0.0.1", false);
    expect("::1", false);
    use("10.1.2.3", "10.1.0.0/16");
    expect("10.1.2.3", true);
    expect("10.1.2.4", false);
    expect("10.2.0.1", false);
}

Test(ip_filter, deny_wins_where_both_are_as_long)
{
    use("10.0.0.0/8 0.0.0.0/0", "10.0.0.0/8");
    expect("10.0.0.1", false);
    expect("11.0.0.1", true);
    use("0.0.0.0/0", "0.0.0.0/0");
    expect("10.0.0.1", false);
}

Test(ip_filter, asks_once_for_both)
{
    struct policy_counters counters = {0};
    struct policy_request request = {.policies = &policies, .client_ip = slice_of("10.0.0.1")};

    use("10.0.0.0/8", "10.0.0.1");
    cr_assert_eq(policies_ask(&request, &counters), IO_ERROR);
    cr_expect_eq(request.reason, REASON_DENIED);
    cr_expect_eq(counters.decisions[POLICY_ALLOW][OUTCOME_REFUSED], 1);
    cr_expect_eq(counters.decisions[POLICY_DENY][OUTCOME_REFUSED], 0);
    request = (struct policy_request){.policies = &policies, .client_ip = slice_of("10.0.0.2")};
    cr_assert_eq(policies_ask(&request, &counters), IO_OK);
    cr_expect_eq(counters.decisions[POLICY_ALLOW][OUTCOME_ALLOWED], 1);
    use(NULL, "10.0.0.0/8");
    request = (struct policy_request){.policies = &policies, .client_ip = slice_of("10.0.0.2")};
    cr_assert_eq(policies_ask(&request, &counters), IO_ERROR);
    cr_expect_eq(request.reason, REASON_DENIED);
    cr_expect_eq(counters.decisions[POLICY_DENY][OUTCOME_REFUSED], 1);
}

static void expect_words(enum policy_kind kind, const char *beginning)
{
    struct arena arena = {0};
    struct slice words = policies.of[kind]->ops->words(policies.of[kind], &arena);

    cr_expect(slice_starts_with(words, slice_of(beginning)), "%.*s", (int)words.len, words.at);
    arena_clear(&arena);
}

Test(ip_filter, tells_a_few_and_how_many_more)
{
    use("", "10.0.0.0/8 ::1");
    expect_words(POLICY_ALLOW, "nobody");
    expect_words(POLICY_DENY, "::1/128, 10.0.0.0/8");
    use("1.0.0.1 1.0.0.2 1.0.0.3 1.0.0.4 1.0.0.5 1.0.0.6 1.0.0.7 1.0.0.8 1.0.0.9 1.0.0.10", NULL);
    expect_words(POLICY_ALLOW, "1.0.0.1/32, 1.0.0.2/32, 1.0.0.3/32, 1.0.0.4/32, 1.0.0.5/32, "
                               "1.0.0.6/32, 1.0.0.7/32, 1.0.0.8/32 and 2 more (");
}
