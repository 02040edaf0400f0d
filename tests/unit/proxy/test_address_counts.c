#include "proxy/address_counts.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

static struct address_counts *counts;

static void begin(void)
{
    counts = address_counts_new();
    cr_assert_not_null(counts);
}

static void end(void)
{
    address_counts_free(counts);
}

TestSuite(address_counts, .init = begin, .fini = end, .timeout = 240);

static struct address_key key_of(uint64_t number)
{
    return (struct address_key){number, 4};
}

static enum address_count add(uint64_t number, uint32_t limit)
{
    const struct address_key key = key_of(number);
    return address_counts_add(counts, &key, limit);
}

static void drop(uint64_t number)
{
    const struct address_key key = key_of(number);
    address_counts_remove(counts, &key);
}

Test(address_counts, each_address_for_itself)
{
    for (uint64_t i = 0; i < 1000; i++)
        for (uint64_t k = 0; k <= i % 3; k++)
            cr_assert_eq(add(i, (uint32_t)(i % 3) + 1), ADDRESS_COUNTED);
    for (uint64_t i = 0; i < 1000; i++)
        cr_assert_eq(add(i, (uint32_t)(i % 3) + 1), ADDRESS_AT_LIMIT);
    cr_assert_eq(address_counts_known(counts), 1000);
    for (uint64_t i = 0; i < 1000; i++)
        for (uint64_t k = 0; k <= i % 3; k++)
            drop(i);
    cr_assert_eq(address_counts_known(counts), 0);
}

/* Entries that probed past one that goes are still found. */
Test(address_counts, in_any_order)
{
    enum { NUMBERS = 4096, STEPS = 200000 };
    static uint32_t book[NUMBERS];
    unsigned seed = 7;
    size_t known = 0;

    for (int step = 0; step < STEPS; step++) {
        unsigned number = (unsigned)rand_r(&seed) % NUMBERS;
        if (book[number] > 0 && rand_r(&seed) % 2 == 0) {
            drop(number);
            known -= --book[number] == 0;
        } else if (add(number, 3) == ADDRESS_COUNTED) {
            known += book[number]++ == 0;
        } else {
            cr_assert_eq(book[number], 3);
        }
        cr_assert_leq(book[number], 3);
    }
    cr_assert_eq(address_counts_known(counts), known);
    for (unsigned number = 0; number < NUMBERS; number++)
        for (; book[number] > 0; book[number]--)
            drop(number);
    cr_assert_eq(address_counts_known(counts), 0);
}

/* A storm of addresses leaves nothing behind. */
Test(address_counts, memory_goes_with_the_addresses)
{
    enum { MANY = 100000 };

    for (uint64_t i = 0; i < MANY; i++)
        cr_assert_eq(add(i << 32, 0), ADDRESS_COUNTED);
    cr_expect_leq(address_counts_room(counts), (size_t)MANY * 8 / 3);
    for (uint64_t i = 0; i < MANY; i++)
        drop(i << 32);
    cr_expect_eq(address_counts_known(counts), 0);
    cr_expect_leq(address_counts_room(counts), 64 * 16);
}

enum { THREADS = 8, ROUNDS = 20000 };

static void *add_and_drop(void *first)
{
    for (uint64_t i = 0; i < ROUNDS; i++) {
        uint64_t number = *(uint64_t *)first + i % 500;
        if (add(number, 0) == ADDRESS_COUNTED)
            drop(number);
    }
    return NULL;
}

Test(address_counts, of_many_threads)
{
    pthread_t threads[THREADS];
    uint64_t firsts[THREADS];

    for (uint64_t i = 0; i < THREADS; i++) {
        firsts[i] = i % 2 * 250; /* half of them meet */
        cr_assert_eq(pthread_create(&threads[i], NULL, add_and_drop, &firsts[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(address_counts_known(counts), 0);
}
