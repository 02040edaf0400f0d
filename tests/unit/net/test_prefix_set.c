#include "net/prefix_set.h"

#include "base/random.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct network network(const char *text)
{
    struct network result = {0};
    struct error error;

    cr_assert(network_parse(slice_of(text), &result, &error), "%s: %s", text, error.message);
    return result;
}

static int find(const struct prefix_set *set, const char *text)
{
    struct address address;

    cr_assert(address_parse_ip(slice_of(text), 0, &address), "%s", text);
    return prefix_set_find(set, &address);
}

static void fill(struct prefix_set *set, const char *const *texts, size_t count)
{
    struct network list[64];

    for (size_t i = 0; i < count; i++)
        list[i] = network(texts[i]);
    prefix_set_init(set, list, count);
}
#define FILL(set, ...)                                \
    do {                                              \
        static const char *const t[] = {__VA_ARGS__}; \
        fill(set, t, sizeof(t) / sizeof(t[0]));       \
    } while (0)

Test(prefix_set, longest_network_of_ipv4)
{
    struct prefix_set set;

    FILL(&set, "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/23", "10.1.3.7", "192.168.4.0/22");
    cr_expect_eq(find(&set, "10.255.0.1"), 8);
    cr_expect_eq(find(&set, "10.1.9.9"), 16);
    cr_expect_eq(find(&set, "10.1.2.255"), 23);
    cr_expect_eq(find(&set, "10.1.3.6"), 23);
    cr_expect_eq(find(&set, "10.1.3.7"), 32);
    cr_expect_eq(find(&set, "10.1.4.7"), 16);
    cr_expect_eq(find(&set, "192.168.7.255"), 22);
    cr_expect_eq(find(&set, "192.168.8.0"), -1);
    cr_expect_eq(find(&set, "11.0.0.0"), -1);
    cr_expect_eq(find(&set, "9.255.255.255"), -1);
    prefix_set_clear(&set);
}

Test(prefix_set, bytes_that_are_skipped_still_count)
{
    struct prefix_set set;

    FILL(&set, "10.20.30.0/24", "2001:db8:1:2::/64", "2001:db8:1:2:3::/80", "2001:db8::1");
    cr_expect_eq(find(&set, "10.20.30.40"), 24);
    cr_expect_eq(find(&set, "10.20.31.40"), -1);
    cr_expect_eq(find(&set, "10.21.30.40"), -1);
    cr_expect_eq(find(&set, "2001:db8:1:2::9"), 64);
    cr_expect_eq(find(&set, "2001:db8:1:2:3::9"), 80);
    cr_expect_eq(find(&set, "2001:db8:2:2:3::9"), -1);
    cr_expect_eq(find(&set, "2001:db8::1"), 128);
    cr_expect_eq(find(&set, "2001:db8::2"), -1);
    prefix_set_clear(&set);
}

Test(prefix_set, families_have_nothing_in_common)
{
    struct prefix_set set;

    FILL(&set, "::/0", "a00::/8");
    cr_expect_eq(find(&set, "10.0.0.1"), -1);
    cr_expect_eq(find(&set, "::ffff:10.0.0.1"), -1);
    cr_expect_eq(find(&set, "::1"), 0);
    cr_expect_eq(find(&set, "a01::"), 8);
    prefix_set_clear(&set);
    FILL(&set, "0.0.0.0/0", "::ffff:10.0.0.0/104");
    cr_expect_eq(find(&set, "11.0.0.1"), 0);
    cr_expect_eq(find(&set, "10.0.0.1"), 8);
    cr_expect_eq(find(&set, "::ffff:10.0.0.1"), 8);
    cr_expect_eq(find(&set, "::1"), -1);
    prefix_set_clear(&set);
}

Test(prefix_set, of_nothing_and_of_what_is_no_ip_address)
{
    struct address unix_address = {.length = sizeof(sa_family_t), .as.any.sa_family = AF_UNIX};
    struct prefix_set set;

    prefix_set_init(&set, NULL, 0);
    cr_expect_eq(find(&set, "10.0.0.1"), -1);
    cr_expect_eq(find(&set, "::1"), -1);
    cr_expect_eq(prefix_set_bytes(&set), 0);
    prefix_set_clear(&set);
    FILL(&set, "0.0.0.0/0", "::/0");
    cr_expect_eq(prefix_set_find(&set, &unix_address), -1);
    cr_expect_eq(prefix_set_find(&set, &(struct address){0}), -1);
    prefix_set_clear(&set);
}

/* --- beside a search through all ----------------------------------------------------------------
 */

static int search(const struct network *list, size_t count, const struct address *address)
{
    int longest = -1;

    for (size_t i = 0; i < count; i++) {
        int bits = network_is_v4(&list[i]) ? list[i].bits - 96 : list[i].bits;
        if (bits > longest && network_contains(&list[i], address))
            longest = bits;
    }
    return longest;
}

static struct random_source source = {7};

static unsigned any(unsigned below)
{
    return (unsigned)random_below(&source, below);
}

/* Few values for each byte, so that networks lie in others and share long beginnings. */
static void random_address(struct address *address, bool is_v4)
{
    uint8_t bytes[16];

    for (int i = 0; i < 16; i++)
        bytes[i] = any(4) > 0 ? (uint8_t)(128 * any(2)) : (uint8_t)any(256);
    *address = (struct address){.length = is_v4 ? sizeof(address->as.v4) : sizeof(address->as.v6)};
    address->as.any.sa_family = is_v4 ? AF_INET : AF_INET6;
    if (is_v4)
        memcpy(&address->as.v4.sin_addr, bytes, 4);
    else
        memcpy(&address->as.v6.sin6_addr, bytes, 16);
}

static void random_network(struct network *result)
{
    bool is_v4 = any(2) == 0;
    unsigned bits = is_v4 ? 96 + any(33) : any(129);
    struct address address;

    random_address(&address, is_v4);
    address_bytes(&address, result->bytes);
    for (unsigned bit = bits; bit < 128; bit++)
        result->bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
    result->bits = (uint8_t)bits;
}

Test(prefix_set, finds_what_a_search_through_all_finds)
{
    for (size_t round = 0; round < 200; round++) {
        struct network list[200];
        size_t count = any(round < 100 ? 8 : 200);
        struct prefix_set set;

        for (size_t i = 0; i < count; i++)
            random_network(&list[i]);
        prefix_set_init(&set, list, count);
        for (int i = 0; i < 200; i++) {
            struct address address;
            char text[ADDRESS_TEXT_SIZE];
            random_address(&address, any(2) == 0);
            address_format_ip(&address, text);
            cr_assert_eq(prefix_set_find(&set, &address), search(list, count, &address), "%s",
                         text);
        }
        prefix_set_clear(&set);
    }
}

/* What it occupies follows what is in it, and not how long networks are. */
Test(prefix_set, is_small)
{
    enum { MANY = 100000 };
    struct network *many = calloc(MANY, sizeof(*many));
    struct prefix_set set;

    FILL(&set, "10.0.0.0/8", "10.1.2.3", "2001:db8::1", "2001:db8:1:2:3:4:5:6", "fe80::/10");
    cr_expect_lt(prefix_set_bytes(&set), 2000);
    prefix_set_clear(&set);
    for (int i = 0; i < MANY; i++) {
        struct address address = {.length = sizeof(address.as.v6), .as.any.sa_family = AF_INET6};
        for (int byte = 0; byte < 16; byte++)
            address.as.v6.sin6_addr.s6_addr[byte] = (uint8_t)any(256);
        address_bytes(&address, many[i].bytes);
        many[i].bits = 128;
    }
    prefix_set_init(&set, many, MANY);
    for (int i = 0; i < MANY; i += 1000) {
        struct address address = {.length = sizeof(address.as.v6), .as.any.sa_family = AF_INET6};
        memcpy(&address.as.v6.sin6_addr, many[i].bytes, 16);
        cr_expect_eq(prefix_set_find(&set, &address), 128);
    }
    cr_expect_lt(prefix_set_bytes(&set), 200 * MANY);
    prefix_set_clear(&set);
    free(many);
}
