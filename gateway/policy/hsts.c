#include "policy/hsts.h"

struct hsts_policy {
    struct policy policy;
    struct slice value;
};

struct slice hsts_value(const struct policy *policy)
{
    return ((const struct hsts_policy *)policy)->value;
}

static struct slice tell(const struct policy *policy, struct arena *arena)
{
    return arena_copy(arena, hsts_value(policy));
}

static const struct policy_ops ops = {.words = tell};

struct policy *hsts_new(const struct hsts *hsts)
{
    struct hsts_policy *made = policy_new(&ops, sizeof(*made));

    made->value = arena_printf(
        &made->policy.arena, "max-age=%llu%s%s", (unsigned long long)hsts->max_age_s,
        hsts->has_subdomains ? "; includeSubDomains" : "", hsts->has_preload ? "; preload" : "");
    return &made->policy;
}
