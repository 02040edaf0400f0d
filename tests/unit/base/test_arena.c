#include "base/arena.h"

#include <criterion/criterion.h>
#include <stdlib.h>

Test(arena, hands_out_aligned_zeroes)
{
    struct arena arena = {0};
    static const char zeroes[5000];
    for (size_t size = 0; size < sizeof(zeroes); size += 7) {
        memset(arena_bytes(&arena, 3), 'x', 3);
        char *bytes = arena_alloc(&arena, size);
        cr_assert_eq((uintptr_t)bytes % _Alignof(max_align_t), 0);
        cr_assert_eq(memcmp(bytes, zeroes, size), 0);
        memset(bytes, 'y', size);
    }
    arena_clear(&arena);
}

Test(arena, keeps_pieces_apart)
{
    struct arena arena;
    unsigned char *pieces[2000];
    size_t sizes[2000], total = 0;
    arena_init(&arena);
    srand(1);
    for (size_t i = 0; i < 2000; i++) {
        sizes[i] = (size_t)rand() % (i % 50 == 0 ? 20000 : 300);
        pieces[i] = (unsigned char *)arena_bytes(&arena, sizes[i]);
        memset(pieces[i], (int)(i % 251), sizes[i]);
        total += sizes[i];
    }
    cr_assert_eq(arena.total_bytes, total);
    for (size_t i = 0; i < 2000; i++) {
        for (size_t j = 0; j < sizes[i]; j++)
            cr_assert_eq(pieces[i][j], i % 251);
    }
    arena_clear(&arena);
}

Test(arena, copies_and_prints)
{
    struct arena arena = {0};
    char source[] = "source";
    struct slice copy = arena_copy(&arena, slice_of(source));
    char *text = arena_text(&arena, slice_make(source, 4));
    source[0] = 'X';
    cr_assert(slice_equal(copy, slice_of("source")));
    cr_assert_str_eq(text, "sour");
    cr_assert_str_eq(arena_text(&arena, slice_make(NULL, 0)), "");
    cr_assert_eq(arena_copy(&arena, slice_make(NULL, 0)).len, 0);
    cr_assert_not_null(arena_copy(&arena, slice_make(NULL, 0)).at);

    struct slice printed = arena_printf(&arena, "%s-%d", "a", 7);
    cr_assert(slice_equal(printed, slice_of("a-7")));
    printed = arena_printf(&arena, "%06000d", 1);
    cr_assert_eq(printed.len, 6000);
    cr_assert_eq(printed.at[5999], '1');
    arena_clear(&arena);
}

Test(arena, reset_keeps_one_block_of_the_usual_size)
{
    struct arena arena = {0};
    for (int i = 0; i < 300; i++)
        arena_alloc(&arena, 64);
    arena_alloc(&arena, 100000);
    arena_reset(&arena);
    cr_assert_eq(arena.total_bytes, 0);
    cr_assert_not_null(arena.newest);
    /* From now on a typical request costs no malloc: always the same block. */
    void *again = arena_alloc(&arena, 64);
    for (int i = 0; i < 5; i++) {
        arena_alloc(&arena, 2000);
        arena_reset(&arena);
        cr_assert_eq(arena_alloc(&arena, 64), again);
    }
    arena_clear(&arena);
    cr_assert_null(arena.newest);
    arena_reset(&arena);
    arena_clear(&arena);
}

Test(arena, reset_drops_a_large_block)
{
    struct arena arena = {0};
    arena_alloc(&arena, 1 << 20);
    arena_reset(&arena);
    cr_assert_null(arena.newest, "nothing of the usual size was there");
    cr_assert_not_null(arena_alloc(&arena, 10));
    arena_clear(&arena);
}

Test(arena, goes_on_in_its_block_beside_a_large_piece)
{
    struct arena arena = {0};
    char *before = arena_bytes(&arena, 10);
    arena_bytes(&arena, 50000);
    char *after = arena_bytes(&arena, 10);
    cr_assert_eq(after, before + 10);
    arena_clear(&arena);
}

Test(arena, small_ones_grow_from_small_blocks)
{
    struct arena arena;
    arena_init_small(&arena);
    char *first = arena_alloc(&arena, 16), *last = first;
    for (int i = 0; i < 2000; i++) {
        char *next = arena_alloc(&arena, 16);
        memset(next, i, 16);
        last = next;
    }
    cr_expect_eq(last[15], (char)(1999 & 0xff));
    memset(arena_alloc(&arena, 300), 1, 300);
    memset(arena_alloc(&arena, 100000), 1, 100000);
    cr_expect_eq(first[0], 0);
    arena_reset(&arena);
    memset(arena_alloc(&arena, 16), 1, 16);
    arena_clear(&arena);
}

Test(arena, provides_room_for_what_comes)
{
    struct arena arena = {0};
    cr_assert(arena_provide(&arena, 100));
    struct arena_block *first = arena.newest;
    cr_assert_not_null(first);
    cr_assert(arena_provide(&arena, 100), "it is there already");
    cr_assert_eq(arena.newest, first);
    cr_assert(arena_provide(&arena, 100000));
    cr_assert_neq(arena.newest, first);
    char *bytes = arena_bytes(&arena, 100000);
    cr_assert_eq(arena.next, bytes + 100000, "one block holds it all");
    cr_assert_not(arena.is_short);
    arena_reset(&arena);
    cr_assert_eq(arena.newest, first, "the usual one is kept");
    arena_clear(&arena);
}

/* The sanitizers' allocator would report the size as a mistake of its own. */
#if !defined(__SANITIZE_ADDRESS__)
Test(arena, provides_nothing_where_there_is_no_memory)
{
    struct arena arena = {0};
    char *before = arena_bytes(&arena, 10);
    cr_assert_not(arena_provide(&arena, (size_t)1 << 60));
    cr_assert_eq(arena_bytes(&arena, 10), before + 10, "nothing has changed");
    arena_clear(&arena);
}
#endif
