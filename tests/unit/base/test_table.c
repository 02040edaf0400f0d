#include "base/table.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { MANY = 100000 };
static char keys[MANY][32];
static int values[MANY];

static void make_keys(void)
{
    for (int i = 0; i < MANY; i++)
        snprintf(keys[i], sizeof(keys[i]), "host%d.example.com", i);
}

static struct slice key(int i)
{
    return slice_of(keys[i]);
}

Test(table, is_empty_when_zeroed)
{
    struct table table = {0};
    size_t position = 0;
    cr_assert_null(table_get(&table, slice_of("a")));
    cr_assert_null(table_remove(&table, slice_of("a")));
    cr_assert_null(table_next(&table, &position));
    table_clear(&table);
}

Test(table, replaces_and_says_what_was_there)
{
    struct table table;
    int a, b;
    table_init(&table);
    cr_assert_null(table_put(&table, slice_of("x"), &a));
    cr_assert_eq(table_put(&table, slice_of("x"), &b), &a);
    cr_assert_eq(table.count, 1);
    cr_assert_eq(table_get(&table, slice_of("x")), &b);
    cr_assert_null(table_get(&table, slice_of("X")));
    cr_assert_eq(table_remove(&table, slice_of("x")), &b);
    cr_assert_eq(table.count, 0);
    cr_assert_null(table_get(&table, slice_of("x")));
    table_clear(&table);
}

Test(table, tells_keys_by_all_their_bytes)
{
    struct table table = {0};
    static char bytes[64];
    int dots[64];
    for (size_t length = 0; length < 64; length++) /* the same bytes, other lengths; empty too */
        cr_assert_null(table_put(&table, slice_make(bytes, length), &dots[length]));
    for (size_t length = 0; length < 64; length++)
        cr_assert_eq(table_get(&table, slice_make(bytes, length)), &dots[length]);
    table_clear(&table);
}

Test(table, holds_a_hundred_thousand)
{
    struct table table = {0};
    make_keys();
    for (int i = 0; i < MANY; i++)
        cr_assert_null(table_put(&table, key(i), &values[i]));
    cr_assert_eq(table.count, MANY);
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(table_get(&table, key(i)), &values[i]);
    cr_assert_null(table_get(&table, slice_of("host100000.example.com")));

    for (int i = 0; i < MANY; i += 2)
        cr_assert_eq(table_remove(&table, key(i)), &values[i]);
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(table_get(&table, key(i)), i % 2 == 0 ? NULL : &values[i]);

    size_t position = 0, walked = 0;
    for (struct table_entry *entry; (entry = table_next(&table, &position)) != NULL; walked++)
        cr_assert(slice_equal(entry->key, key((int)((int *)entry->value - values))));
    cr_assert_eq(walked, MANY / 2);
    table_clear(&table);
}

/* No entry is far from where its hash says: a look-up costs the same in a large table. */
Test(table, probes_a_few_entries)
{
    struct table table = {0};
    make_keys();
    for (int i = 0; i < MANY; i++)
        table_put(&table, key(i), &values[i]);
    size_t distance = 0;
    for (size_t i = 0; i < table.capacity; i++) {
        if (table.entries[i].value != NULL)
            distance += (i - table.entries[i].hash) & (table.capacity - 1);
    }
    cr_assert_lt(distance, 2 * (size_t)MANY, "%zu", distance);
    table_clear(&table);
}

/* Against a plain array, in a table so small that entries wrap around its end all the time. */
Test(table, behaves_like_a_map)
{
    enum { KEYS = 40 };
    struct table table = {0};
    int *model[KEYS] = {0};
    make_keys();
    srand(1);
    for (int step = 0; step < 200000; step++) {
        int which = rand() % KEYS;
        int *value = &values[rand() % MANY];
        if (rand() % 2 == 0) {
            cr_assert_eq(table_put(&table, key(which), value), model[which]);
            model[which] = value;
        } else {
            cr_assert_eq(table_remove(&table, key(which)), model[which]);
            model[which] = NULL;
        }
        which = rand() % KEYS;
        cr_assert_eq(table_get(&table, key(which)), model[which]);
    }
    for (int i = 0; i < KEYS; i++)
        cr_assert_eq(table_get(&table, key(i)), model[i]);
    table_clear(&table);
}

Test(table, hash_depends_on_every_bit)
{
    char bytes[40] = {0};
    for (size_t length = 1; length <= sizeof(bytes); length++) {
        uint64_t plain = hash_bytes(slice_make(bytes, length));
        cr_assert_eq(hash_bytes(slice_make(bytes, length)), plain);
        cr_assert_neq(hash_bytes(slice_make(bytes, length - 1)), plain);
        for (size_t bit = 0; bit < length * 8; bit++) {
            bytes[bit / 8] ^= (char)(1 << bit % 8);
            uint64_t changed = hash_bytes(slice_make(bytes, length)) ^ plain;
            /* Both ends matter: the table takes the low bits, shards may take the high ones. */
            cr_assert(__builtin_popcountll(changed) >= 8, "length %zu, bit %zu", length, bit);
            bytes[bit / 8] ^= (char)(1 << bit % 8);
        }
    }
}
