#include "policy/token_memory.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct token_memory *memory;
static struct arena arena;

static void begin(void)
{
    memory = token_memory_new();
}

static void end(void)
{
    token_memory_free(memory);
    arena_clear(&arena);
}

TestSuite(token_memory, .init = begin, .fini = end);

static struct token_name name_of(uint64_t rules, uint64_t keys, const char *token)
{
    return token_memory_name(memory, rules, keys, slice_of(token));
}

static void keep(const struct token_name *name, uint64_t until_s, const char *value)
{
    const struct slice values[2] = {slice_of(value), {NULL, 0}};

    token_memory_keep(memory, name, until_s, values, 2);
}

static bool knows(const struct token_name *name, uint64_t now_s, struct slice *values)
{
    return token_memory_find(memory, name, now_s, &arena, values);
}

Test(token_memory, what_was_kept_is_found_until_its_time_is_over)
{
    struct token_name name = name_of(1, 2, "token");
    struct slice values[2];

    cr_assert_not(knows(&name, 0, values));
    keep(&name, 10, "alice");
    cr_assert(knows(&name, 9, values));
    cr_assert(slice_equal(values[0], slice_of("alice")));
    cr_assert_eq(values[1].len, 0);
    cr_assert_not(knows(&name, 10, values));
    cr_assert_not(knows(&name, 9, values));
}

Test(token_memory, other_rules_and_other_keys_make_another_token)
{
    struct token_name name = name_of(1, 2, "token"), rules = name_of(3, 2, "token");
    struct token_name keys = name_of(1, 3, "token"), token = name_of(1, 2, "tokem");
    struct slice values[2];

    keep(&name, 10, "alice");
    cr_assert_not(knows(&rules, 0, values));
    cr_assert_not(knows(&keys, 0, values));
    cr_assert_not(knows(&token, 0, values));
    keep(&name, 20, "bob");
    cr_assert(knows(&name, 15, values));
    cr_assert(slice_equal(values[0], slice_of("bob")));
}

Test(token_memory, the_oldest_goes_when_it_is_full)
{
    char token[32], large[TOKEN_MEMORY_VALUES_MOST + 2];
    struct slice values[2];
    unsigned known = 0;

    for (unsigned i = 0; i < 3 * TOKEN_MEMORY_MOST; i++) {
        snprintf(token, sizeof(token), "%u", i);
        struct token_name name = name_of(1, 2, token);
        keep(&name, 10, token);
    }
    for (unsigned i = 0; i < 3 * TOKEN_MEMORY_MOST; i++) {
        snprintf(token, sizeof(token), "%u", i);
        struct token_name name = name_of(1, 2, token);
        bool is_known = knows(&name, 0, values);
        cr_assert_eq(is_known, i >= 2 * TOKEN_MEMORY_MOST, "%u", i);
        known += is_known;
    }
    cr_assert_eq(known, TOKEN_MEMORY_MOST);
    memset(large, 'a', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    struct token_name name = name_of(1, 2, "large");
    keep(&name, 10, large);
    cr_assert_not(knows(&name, 0, values));
}
