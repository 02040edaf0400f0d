#include "config/policies.h"

#include "base/check.h"
#include "base/table.h"
#include "config/policy_readers.h"

#include <stdlib.h>

/* One kind: who reads it (NULL: not supported yet), and where it acts. */
static const struct {
    policy_reader *read;
    bool asks_backend; /* has no effect where none is asked */
} kinds[POLICY_KINDS] = {
    [POLICY_ALLOW] = {allow_read, false},
    [POLICY_DENY] = {deny_read, false},
    [POLICY_RATE_LIMIT] = {rate_limit_read, false},
    [POLICY_AUTH] = {auth_read, false},
    [POLICY_CACHE] = {cache_read, true},
    [POLICY_COMPRESS] = {compress_read, true},
    [POLICY_ERRORS] = {errors_read, false},
    [POLICY_HSTS] = {hsts_read, false},
};

/* --- all that were made -------------------------------------------------------------------------
 */

static struct policy *add_to_pile(struct policy_pile *pile, struct policy *policy)
{
    if (pile->count == pile->room) {
        pile->room = pile->room ? 2 * pile->room : 16;
        pile->list = memory_resize(pile->list, pile->room * sizeof(struct policy *));
    }
    return pile->list[pile->count++] = policy;
}

void policy_pile_clear(struct policy_pile *pile)
{
    for (size_t i = 0; i < pile->count; i++)
        policy_unref(pile->list[i]);
    free(pile->list);
    *pile = (struct policy_pile){0};
}

/* --- reading ------------------------------------------------------------------------------------
 */

enum policy_kind policies_kind(struct slice key)
{
    enum policy_kind kind = 0;

    while (kind < POLICY_KINDS && !slice_equal(key, slice_of(policy_name(kind))))
        kind++;
    assert(kind < POLICY_KINDS);
    return kind;
}

/* Files are told by where they lie. */
static uint64_t fingerprint(const struct reader *reader, const struct json_node *node)
{
    return json_fingerprint(node->value) ^ hash_bytes(slice_of(reader->folder));
}

bool policies_read(struct reader *reader, const struct json_node *node, unsigned here,
                   struct policy **policy)
{
    enum policy_kind kind = policies_kind(node->key);
    struct policy_place place = {.here = here};

    *policy = NULL;
    if (!kinds[kind].read) {
        reader_error(reader, node, AT_KEY, "\"%s\" is not supported yet", node->key.at);
        return false;
    }
    if (json_is_null(node->value))
        return true;
    place.name = slice_of(reader_place(reader, node->parent, AT_KEY).path);
    *policy = kinds[kind].read(reader, node, &place);
    if (!*policy)
        return false;
    (*policy)->fingerprint = fingerprint(reader, node);
    add_to_pile(reader->policies, *policy);
    return true;
}

struct policy *policies_merge(struct policy_pile *pile, struct policy *nearer,
                              struct policy *farther)
{
    struct policy *merged;

    if (!nearer || !farther || !nearer->ops->merge)
        return nearer;
    merged = nearer->ops->merge(nearer, farther);
    if (merged == nearer) {
        policy_unref(merged);
        return nearer;
    }
    add_to_pile(pile, merged);
    merged->fingerprint = nearer->fingerprint * 31 + farther->fingerprint;
    return merged;
}

/* --- telling ------------------------------------------------------------------------------------
 */

bool policies_act_without_backend(enum policy_kind kind)
{
    return !kinds[kind].asks_backend;
}

struct slice policies_words(const struct policy *policy, struct arena *arena)
{
    return policy ? policy->ops->words(policy, arena) : slice_of("off");
}

bool policies_are_equal(const struct policy *a, const struct policy *b)
{
    return a && b ? a->fingerprint == b->fingerprint : a == b;
}

const struct policy *policies_of(const struct policies *policies, enum policy_kind kind)
{
    return policies ? policies->of[kind] : NULL;
}
