#include "policy/password_memory.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct password_memory *memory;

static void set_up(void)
{
    memory = password_memory_new();
}

static void tear_down(void)
{
    password_memory_free(memory);
}

TestSuite(password_memory, .init = set_up, .fini = tear_down);

static void sign(const char *name, const char *password, const char *hash,
                 uint8_t signature[MAC_BYTES])
{
    const struct password_claim claim = {slice_of(name), slice_of(password), hash};

    password_memory_sign(memory, &claim, signature);
}

static bool has(const char *name, const char *password, const char *hash, uint64_t now_ms)
{
    uint8_t signature[MAC_BYTES];

    sign(name, password, hash, signature);
    return password_memory_has(memory, signature, now_ms);
}

Test(password_memory, knows_what_was_good_for_a_minute)
{
    uint8_t signature[MAC_BYTES];

    cr_expect(!has("alice", "secret", "$x", 1000));
    sign("alice", "secret", "$x", signature);
    password_memory_add(memory, signature, 1000);
    cr_expect(has("alice", "secret", "$x", 1000));
    cr_expect(has("alice", "secret", "$x", 1000 + PASSWORD_KEPT_MS - 1));
    cr_expect(!has("alice", "secret", "$x", 1000 + PASSWORD_KEPT_MS));
}

Test(password_memory, name_password_and_hash_count)
{
    uint8_t signature[MAC_BYTES];

    sign("alice", "secret", "$x", signature);
    password_memory_add(memory, signature, 1000);
    cr_expect(!has("alic", "secret", "$x", 1000));
    cr_expect(!has("alice", "secret1", "$x", 1000));
    cr_expect(!has("alice", "secret", "$y", 1000), "the users file has another hash by now");
    cr_expect(!has("alice", "$x:secret", "", 1000));
    cr_expect(!has("alice", "", "$x:secret", 1000));
    cr_expect(!has("alice:$x", "secret", "", 1000));
}

Test(password_memory, is_bounded_and_keeps_the_newest)
{
    uint8_t signature[MAC_BYTES];
    char name[16];
    unsigned found = 0;

    for (unsigned i = 0; i < 4 * PASSWORDS_KEPT_MOST; i++) {
        snprintf(name, sizeof(name), "u%u", i);
        sign(name, "x", "$x", signature);
        password_memory_add(memory, signature, 1000 + i);
        cr_assert(has(name, "x", "$x", 1000 + i));
    }
    for (unsigned i = 0; i < 4 * PASSWORDS_KEPT_MOST; i++) {
        snprintf(name, sizeof(name), "u%u", i);
        found += has(name, "x", "$x", 1000);
    }
    cr_expect_leq(found, (unsigned)PASSWORDS_KEPT_MOST);
    cr_expect_gt(found, (unsigned)PASSWORDS_KEPT_MOST * 3 / 4);
}
