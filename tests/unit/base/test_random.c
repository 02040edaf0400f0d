/* Random numbers: even, and the same again from the same seed. */
#include "base/random.h"

#include "support/chi_square.h"

#include <criterion/criterion.h>

Test(random, the_sequence_of_a_seed_never_changes)
{
    struct random_source zero = {0}, one = {1}, one_again = {1};
    cr_assert_eq(random_next(&zero), 0xe220a8397b1dcdaf);
    cr_assert_eq(random_next(&zero), 0x6e789e6aa1b965f4);
    cr_assert_eq(random_next(&zero), 0x06c45d188009454f);
    for (int i = 0; i < 100; i++) {
        uint64_t number = random_next(&one);
        cr_assert_eq(number, random_next(&one_again));
        cr_assert_neq(number, random_next(&zero));
    }
}

Test(random, below_any_end_all_are_as_likely)
{
    struct random_source source = {7};
    for (unsigned end = 2; end <= 16; end++) {
        unsigned counts[16] = {0};
        double expected[16];
        for (unsigned i = 0; i < end; i++)
            expected[i] = 1;
        for (unsigned i = 0; i < 100000; i++) {
            uint64_t number = random_below(&source, end);
            cr_assert_lt(number, end);
            counts[number]++;
        }
        cr_assert(chi_square_fits(counts, expected, end), "below %u", end);
    }
    cr_assert_eq(random_below(&source, 1), 0);
    for (int i = 0; i < 100; i++)
        cr_assert_lt(random_below(&source, UINT64_MAX), UINT64_MAX);
}

Test(random, seeds_are_not_the_same_twice)
{
    cr_assert_neq(random_seed(), random_seed());
}

/* What the test of the others rests on. */
Test(random, counts_that_are_not_due_to_chance_do_not_fit)
{
    static const double even[] = {1, 1, 1, 1};
    static const unsigned good[] = {25100, 24850, 25020, 25030},
                          bad[] = {26000, 25000, 24000, 25000};
    cr_assert(chi_square_fits(good, even, 4));
    cr_assert_not(chi_square_fits(bad, even, 4));
}
