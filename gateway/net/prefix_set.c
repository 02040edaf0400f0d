#include "net/prefix_set.h"

#include "base/check.h"

#include <stdlib.h>

/* 256 bits, and how many are set before each word. */
struct bitmap {
    uint64_t words[4];
    uint8_t before[4];
};

/* Decides by one byte of the address, if those before it are what they have to be. */
struct prefix_node {
    struct bitmap children; /* by that byte: the next nodes, one behind the other */
    struct bitmap runs;     /* where the longest network is another one than for the byte before */
    uint32_t first_child, first_length;
    uint8_t key[15]; /* the bytes before */
    uint8_t byte;    /* which one decides */
};

/* --- bits ---------------------------------------------------------------------------------------
 */

/* Without asking for a processor that has an instruction for it. */
static unsigned count_bits(uint64_t word)
{
    word -= word >> 1 & 0x5555555555555555;
    word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333);
    word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return (unsigned)(word * 0x0101010101010101 >> 56);
}

static void set_bit(struct bitmap *map, unsigned bit)
{
    map->words[bit / 64] |= 1ull << bit % 64;
}

static void count_words(struct bitmap *map)
{
    for (unsigned i = 1; i < 4; i++)
        map->before[i] = (uint8_t)(map->before[i - 1] + count_bits(map->words[i - 1]));
}

static bool has_bit(const struct bitmap *map, unsigned bit)
{
    return (map->words[bit / 64] >> bit % 64 & 1) != 0;
}

/* How many are set below that bit. */
static unsigned rank(const struct bitmap *map, unsigned bit)
{
    uint64_t below = map->words[bit / 64] & ((1ull << bit % 64) - 1);

    return map->before[bit / 64] + count_bits(below);
}

/* --- building -----------------------------------------------------------------------------------
 */

/* One of its family: the bytes that tell addresses apart, and how many bits of them count. */
struct prefix {
    uint8_t bytes[16];
    uint8_t bits;
};

struct builder {
    struct prefix_tree *tree;
    const struct prefix *list;
    unsigned node_room, length_room;
};

static unsigned add_nodes(struct builder *builder, unsigned count)
{
    struct prefix_tree *tree = builder->tree;
    unsigned first = tree->node_count;

    tree->node_count += count;
    if (tree->node_count > builder->node_room) {
        builder->node_room = 2 * tree->node_count;
        tree->nodes = memory_resize(tree->nodes, builder->node_room * sizeof(*tree->nodes));
    }
    memset(&tree->nodes[first], 0, count * sizeof(*tree->nodes));
    return first;
}

static void add_length(struct builder *builder, uint8_t length)
{
    struct prefix_tree *tree = builder->tree;

    if (tree->length_count == builder->length_room) {
        builder->length_room = builder->length_room ? 2 * builder->length_room : 16;
        tree->lengths = memory_resize(tree->lengths, builder->length_room);
    }
    tree->lengths[tree->length_count++] = length;
}

/* How many bytes all from `first` to before `end` have in common, and decide nothing. In their
 * order the first and the last are the least alike. */
static unsigned common_bytes(const struct builder *builder, size_t first, size_t end)
{
    const uint8_t *low = builder->list[first].bytes, *high = builder->list[end - 1].bytes;
    unsigned shortest = builder->list[first].bits, common = 0;

    for (size_t i = first; i < end; i++)
        shortest = builder->list[i].bits < shortest ? builder->list[i].bits : shortest;
    while (common < (shortest - 1) / 8 && low[common] == high[common])
        common++;
    return common;
}

/* The lengths for each value of the node's byte: of networks that end there, the shorter ones
 * first, so that longer ones stand over them. */
static void add_lengths(struct builder *builder, struct prefix_node *node, size_t first, size_t end)
{
    unsigned before = 8u * node->byte;
    uint8_t lengths[256] = {0};

    for (size_t i = first; i < end; i++) {
        const struct prefix *prefix = &builder->list[i];
        if (prefix->bits <= before + 8)
            memset(&lengths[prefix->bytes[node->byte]], prefix->bits,
                   1u << (before + 8 - prefix->bits));
    }
    node->first_length = builder->tree->length_count;
    for (unsigned value = 0; value < 256; value++) {
        if (value > 0 && lengths[value] == lengths[value - 1])
            continue;
        set_bit(&node->runs, value);
        add_length(builder, lengths[value]);
    }
    count_words(&node->runs);
}

/* Behind `*first` the next ones that go on below the byte, all with the same value of it. */
static bool next_group(const struct builder *builder, unsigned byte, size_t *first, size_t end,
                       size_t *group_end)
{
    const struct prefix *list = builder->list;

    while (*first < end && list[*first].bits <= 8 * (byte + 1))
        ++*first;
    *group_end = *first;
    while (*group_end < end && list[*group_end].bits > 8 * (byte + 1) &&
           list[*group_end].bytes[byte] == list[*first].bytes[byte])
        ++*group_end;
    return *first < end;
}

/* At most 16 deep: each level is a byte further. */
static void build_node(struct builder *builder, unsigned at, size_t first, size_t end)
{
    struct prefix_node node = {.byte = (uint8_t)common_bytes(builder, first, end)};
    unsigned count = 0;
    size_t begin, group_end;

    memcpy(node.key, builder->list[first].bytes, node.byte);
    add_lengths(builder, &node, first, end);
    for (begin = first; next_group(builder, node.byte, &begin, end, &group_end);
         begin = group_end, count++)
        set_bit(&node.children, builder->list[begin].bytes[node.byte]);
    count_words(&node.children);
    node.first_child = add_nodes(builder, count);
    builder->tree->nodes[at] = node;
    count = 0;
    for (begin = first; next_group(builder, node.byte, &begin, end, &group_end); begin = group_end)
        build_node(builder, node.first_child + count++, begin, group_end);
}

static void build_tree(struct prefix_tree *tree, const struct prefix *list, size_t count)
{
    struct builder builder = {.tree = tree, .list = list};
    size_t first = 0;

    while (first < count && list[first].bits == 0)
        first++;
    tree->has_all = first > 0;
    if (first == count)
        return;
    add_nodes(&builder, 1);
    build_node(&builder, 0, first, count);
    tree->nodes = memory_resize(tree->nodes, tree->node_count * sizeof(*tree->nodes));
    tree->lengths = memory_resize(tree->lengths, tree->length_count);
}

int network_compare(const void *a, const void *b)
{
    const struct network *left = a, *right = b;
    int order = memcmp(left->bytes, right->bytes, sizeof(left->bytes));

    return order != 0 ? order : (left->bits > right->bits) - (left->bits < right->bits);
}

void prefix_set_init(struct prefix_set *set, struct network *networks, size_t count)
{
    struct prefix *v4 = memory_array(count + 1, sizeof(*v4));
    struct prefix *v6 = memory_array(count + 1, sizeof(*v6));
    size_t v4_count = 0, v6_count = 0;

    *set = (struct prefix_set){0};
    if (count > 0)
        qsort(networks, count, sizeof(*networks), network_compare);
    for (size_t i = 0; i < count; i++) {
        const struct network *network = &networks[i];
        if (i > 0 && network_compare(network, network - 1) == 0)
            continue;
        if (network_is_v4(network)) {
            memcpy(v4[v4_count].bytes, network->bytes + 12, 4);
            v4[v4_count++].bits = (uint8_t)(network->bits - 96);
        } else {
            memcpy(v6[v6_count].bytes, network->bytes, 16);
            v6[v6_count++].bits = network->bits;
        }
    }
    build_tree(&set->v4, v4, v4_count);
    build_tree(&set->v6, v6, v6_count);
    free(v4);
    free(v6);
}

void prefix_set_clear(struct prefix_set *set)
{
    free(set->v4.nodes);
    free(set->v4.lengths);
    free(set->v6.nodes);
    free(set->v6.lengths);
    *set = (struct prefix_set){0};
}

/* --- asking -------------------------------------------------------------------------------------
 */

/* What was skipped on the way to a node is as it has to be; `known` bytes were seen before. */
static bool leads_to(const struct prefix_node *node, const uint8_t *bytes, unsigned known)
{
    return node->byte == known ||
           memcmp(node->key + known, bytes + known, (size_t)node->byte - known) == 0;
}

static int find(const struct prefix_tree *tree, const uint8_t *bytes)
{
    const struct prefix_node *node = tree->nodes;
    int longest = tree->has_all ? 0 : -1;
    unsigned known = 0;

    while (node != NULL && leads_to(node, bytes, known)) {
        unsigned value = bytes[node->byte];
        unsigned run = rank(&node->runs, value) + has_bit(&node->runs, value) - 1;
        uint8_t length = tree->lengths[node->first_length + run];
        if (length > 0)
            longest = length;
        if (!has_bit(&node->children, value))
            break;
        known = node->byte + 1u;
        node = &tree->nodes[node->first_child + rank(&node->children, value)];
    }
    return longest;
}

int prefix_set_find(const struct prefix_set *set, const struct address *address)
{
    uint8_t bytes[16];

    if (!address_bytes(address, bytes))
        return -1;
    return address_bytes_are_v4(bytes) ? find(&set->v4, bytes + 12) : find(&set->v6, bytes);
}

static size_t tree_bytes(const struct prefix_tree *tree)
{
    return tree->node_count * sizeof(*tree->nodes) + tree->length_count;
}

size_t prefix_set_bytes(const struct prefix_set *set)
{
    return tree_bytes(&set->v4) + tree_bytes(&set->v6);
}
