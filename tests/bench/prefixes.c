/* How long it takes to find the longest network that an address lies in, among so many.
 *
 * usage: prefixes COUNT [LOOKUPS]    a list of COUNT networks of IPv4 (/12 to /32) and as many of
 * IPv6
 *                                    (/20 to /128), made from a seed; prints "v4 NS v6 NS bytes
 *                                    BYTES build MS", nanoseconds a look-up, half of which hit */
#include "base/check.h"
#include "base/random.h"
#include "net/prefix_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ADDRESSES = 4096 };

static struct random_source source = {1};

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void make_address(struct address *address, bool is_v4)
{
    uint64_t high = random_next(&source), low = random_next(&source);

    *address = (struct address){.length = is_v4 ? sizeof(address->as.v4) : sizeof(address->as.v6)};
    address->as.any.sa_family = is_v4 ? AF_INET : AF_INET6;
    if (is_v4) {
        memcpy(&address->as.v4.sin_addr, &high, 4);
    } else {
        memcpy(&address->as.v6.sin6_addr, &high, 8);
        memcpy((char *)&address->as.v6.sin6_addr + 8, &low, 8);
        address->as.v6.sin6_addr.s6_addr[0] = 0x20;
    }
}

static void make_network(struct network *network, struct address *address, bool is_v4)
{
    unsigned least = is_v4 ? 96 + 12 : 20;

    make_address(address, is_v4);
    address_bytes(address, network->bytes);
    network->bits = (uint8_t)(least + random_below(&source, 129 - least));
    for (unsigned bit = network->bits; bit < 128; bit++)
        network->bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

/* Every other one is within one of the networks. */
static void choose(struct address *chosen, const struct address *inside, size_t count, bool is_v4)
{
    for (size_t i = 0; i < ADDRESSES; i++) {
        make_address(&chosen[i], is_v4);
        if (i % 2 == 0)
            chosen[i] = inside[random_below(&source, count)];
    }
}

static double time_lookups(const struct prefix_set *set, const struct address *chosen,
                           size_t lookups)
{
    double before = now_ns();
    size_t hits = 0;

    for (size_t i = 0; i < lookups; i++)
        hits += prefix_set_find(set, &chosen[i % ADDRESSES]) >= 0;
    assert(lookups < 2 || hits > 0);
    return (now_ns() - before) / (double)(lookups ? lookups : 1);
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    size_t lookups = argc > 2 ? strtoul(argv[2], NULL, 10) : 5000000;
    struct network *networks = memory_array(2 * count, sizeof(*networks));
    struct address *inside = memory_array(2 * count, sizeof(*inside));
    struct address *chosen = memory_array(2 * ADDRESSES, sizeof(*chosen));
    struct prefix_set set;

    if (count == 0) {
        fprintf(stderr, "usage: prefixes COUNT [LOOKUPS]\n");
        return 2;
    }
    for (size_t i = 0; i < 2 * count; i++)
        make_network(&networks[i], &inside[i], i < count);
    choose(chosen, inside, count, true);
    choose(chosen + ADDRESSES, inside + count, count, false);
    double before = now_ns();
    prefix_set_init(&set, networks, 2 * count);
    double built = now_ns() - before;
    double v4 = time_lookups(&set, chosen, lookups);
    double v6 = time_lookups(&set, chosen + ADDRESSES, lookups);
    printf("v4 %.1f v6 %.1f bytes %zu build %.1f\n", v4, v6, prefix_set_bytes(&set), built / 1e6);
    prefix_set_clear(&set);
    free(networks);
    free(inside);
    free(chosen);
    return 0;
}
