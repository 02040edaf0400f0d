#include "net/descriptors.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <sys/resource.h>

static void begin_with(rlim_t now, rlim_t most)
{
    const struct rlimit limit = {.rlim_cur = now, .rlim_max = most};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    descriptors_begin();
}

Test(descriptors, no_limit_before_it_is_known)
{
    cr_expect_eq(descriptors_limit(), INT_MAX);
    cr_expect_not(descriptor_is_reserve(1000000));
}

Test(descriptors, is_raised_as_far_as_it_may_be)
{
    struct rlimit limit;

    begin_with(100, 1000);
    cr_expect_eq(descriptors_limit(), 1000);
    cr_expect_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_expect_eq(limit.rlim_cur, 1000);
}

/* Clients and as many backends fit below the reserve. */
Test(descriptors, is_shared_out)
{
    static const rlim_t limits[] = {1000, 512, 100, 64, 33};

    for (int i = 0; i < 5; i++) {
        begin_with(limits[i], limits[i]);
        uint32_t clients = descriptors_for_clients();
        cr_expect_eq(clients, limits[i] * 7 / 16);
        cr_expect_not(descriptor_is_reserve((int)(2 * clients) - 1));
        cr_expect(descriptor_is_reserve((int)limits[i] - 1));
        cr_expect_leq(clients * 2, limits[i] - limits[i] / 8);
    }
}
