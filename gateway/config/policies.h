/* The keys of policies: what each says becomes a struct policy (policy/policy.h). */
#ifndef CONFIG_POLICIES_H
#define CONFIG_POLICIES_H

#include "config/reader.h"
#include "policy/policy.h"

/* Where a policy is written: "defaults", "backends[\"api\"]", "routes[\"a.test\"].paths[\"/x\"]".
 * What it counts is counted under that name, for all that inherit it, and lives on by it. */
struct policy_place {
    unsigned here; /* enum place */
    struct slice name;
};

/* All that one load made: a reference each, for as long as it lasts. Hosts take their own. */
struct policy_pile {
    struct policy **list;
    size_t count, room;
};
void policy_pile_clear(struct policy_pile *pile);

/* The kind whose key this is; it must be one. */
enum policy_kind policies_kind(struct slice key);

/* Reads what stands at a key of a policy's; `here` is where: enum place. *policy is the pile's, or
 * NULL where the file says `null`: it is off from there on. False: it is wrong. */
bool policies_read(struct reader *reader, const struct json_node *node, unsigned here,
                   struct policy **policy);

/* What is in force where `nearer` (NULL: off) is written on top of `farther` (NULL: none). The
 * pile's. */
struct policy *policies_merge(struct policy_pile *pile, struct policy *nearer,
                              struct policy *farther);

/* Whether it acts where no backend is asked, too: on redirects and fixed responses. */
bool policies_act_without_backend(enum policy_kind kind);

/* "off" for NULL. */
struct slice policies_words(const struct policy *policy, struct arena *arena);
/* Of one kind, NULL or not: whether they mean the same. */
bool policies_are_equal(const struct policy *a, const struct policy *b);
/* Of settings; NULL: none. */
const struct policy *policies_of(const struct policies *policies, enum policy_kind kind);

#endif
