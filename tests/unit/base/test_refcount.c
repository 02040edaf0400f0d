#include "base/refcount.h"

#include <criterion/criterion.h>
#include <pthread.h>

Test(refcount, tells_the_last_one)
{
    struct refcount count;
    refcount_init(&count);
    refcount_take(&count);
    cr_assert_not(refcount_drop(&count));
    cr_assert(refcount_drop(&count));
}

static struct refcount shared;
static atomic_uint last_ones;

static void *take_and_drop(void *unused)
{
    for (int i = 0; i < 20000; i++) {
        refcount_take(&shared);
        if (refcount_drop(&shared))
            atomic_fetch_add(&last_ones, 1);
    }
    if (refcount_drop(&shared))
        atomic_fetch_add(&last_ones, 1);
    return unused;
}

Test(refcount, has_exactly_one_last_among_threads)
{
    pthread_t threads[4];
    refcount_init(&shared);
    for (int i = 1; i < 4; i++)
        refcount_take(&shared);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, take_and_drop, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(atomic_load(&last_ones), 1);
}
