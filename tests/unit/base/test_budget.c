/* base/budget: never more than there is, whoever takes. */
#include "base/budget.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdint.h>

static struct budget budget;

Test(budget, takes_what_there_is_and_no_more)
{
    budget_init(&budget, 100);
    cr_expect(budget_take(&budget, 60));
    cr_expect_not(budget_take(&budget, 41));
    cr_expect_eq(budget_used(&budget), 60, "a refusal takes nothing");
    cr_expect(budget_take(&budget, 40));
    cr_expect_not(budget_take(&budget, 1));
    cr_expect_not(budget_take(&budget, SIZE_MAX), "sums do not overflow");
    cr_expect(budget_take(&budget, 0));
    budget_give(&budget, 60);
    cr_expect(budget_take(&budget, 1));
    budget_give(&budget, 41);
    cr_expect_eq(budget_used(&budget), 0);
}

static atomic_uint holders, most_holders;

/* Nine of a budget of 20 at a time: two fit, three never do. */
static void *take_and_give(void *unused)
{
    (void)unused;
    for (int i = 0; i < 20000; i++) {
        if (!budget_take(&budget, 9))
            continue;
        unsigned now = atomic_fetch_add(&holders, 1) + 1;
        unsigned most = atomic_load(&most_holders);
        while (now > most && !atomic_compare_exchange_weak(&most_holders, &most, now))
            ;
        atomic_fetch_sub(&holders, 1);
        budget_give(&budget, 9);
    }
    return NULL;
}

Test(budget, is_exact_among_threads)
{
    pthread_t threads[4];

    budget_init(&budget, 20);
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, take_and_give, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cr_expect_leq(atomic_load(&most_holders), 2);
    cr_expect_eq(budget_used(&budget), 0);
}
