#include "policy/ip_filter.h"

#include "base/table.h"
#include "net/prefix_set.h"

enum { NETWORKS_SHOWN = 8 };

struct ip_filter {
    struct policy policy;
    struct prefix_set set;
    struct slice words;
};

static int longest(const struct policy *policy, const struct address *address)
{
    return policy == NULL ? -1 : prefix_set_find(&((const struct ip_filter *)policy)->set, address);
}

bool ip_filter_lets(const struct policies *policies, struct slice client_ip)
{
    const struct policy *allow = policies->of[POLICY_ALLOW], *deny = policies->of[POLICY_DENY];
    struct address address = {0};
    int allowed, denied;

    if (allow == NULL && deny == NULL)
        return true;
    if (!address_parse_ip(client_ip, 0, &address))
        return allow == NULL;
    allowed = longest(allow, &address);
    denied = longest(deny, &address);
    return denied < 0 ? allow == NULL || allowed >= 0 : allowed > denied;
}

static enum io judge(struct policy_request *request)
{
    if (ip_filter_lets(request->policies, request->client_ip)) {
        request->outcome = OUTCOME_ALLOWED;
        return IO_OK;
    }
    request->outcome = OUTCOME_REFUSED;
    request->reason = REASON_DENIED;
    return IO_ERROR;
}

static enum io ask_allow(const struct policy *policy, struct policy_request *request)
{
    (void)policy;
    return judge(request);
}

/* Where there is an `allow` it was asked before, for both. */
static enum io ask_deny(const struct policy *policy, struct policy_request *request)
{
    (void)policy;
    if (request->policies->of[POLICY_ALLOW] == NULL)
        return judge(request);
    request->outcome = OUTCOME_ALLOWED;
    return IO_OK;
}

static struct slice tell(const struct policy *policy, struct arena *arena)
{
    return arena_copy(arena, ((const struct ip_filter *)policy)->words);
}

static void clear(struct policy *policy)
{
    prefix_set_clear(&((struct ip_filter *)policy)->set);
}

/* Of many the first ones, how many more there are, and a number that is another one for others. */
static struct slice make_words(struct arena *arena, const struct network *networks, unsigned count)
{
    struct slice words = slice_of(count == 0 ? "nobody" : "");
    uint64_t hash = 0;

    for (unsigned i = 0; i < count && i < NETWORKS_SHOWN; i++) {
        char text[ADDRESS_TEXT_SIZE];
        network_format(&networks[i], text);
        words = arena_printf(arena, "%.*s%s%s", (int)words.len, words.at, i > 0 ? ", " : "", text);
    }
    if (count <= NETWORKS_SHOWN)
        return words;
    for (unsigned i = 0; i < count; i++)
        hash = hash * 31 + hash_bytes(slice_make((const char *)networks[i].bytes, 16)) +
               networks[i].bits;
    return arena_printf(arena, "%.*s and %u more (%08x)", (int)words.len, words.at,
                        count - NETWORKS_SHOWN, (unsigned)(hash ^ hash >> 32));
}

static const struct policy_ops allow_ops = {.ask = ask_allow, .words = tell, .clear = clear};
static const struct policy_ops deny_ops = {.ask = ask_deny, .words = tell, .clear = clear};

struct policy *ip_filter_new(enum policy_kind kind, struct network *networks, unsigned count)
{
    struct ip_filter *filter =
        policy_new(kind == POLICY_ALLOW ? &allow_ops : &deny_ops, sizeof(*filter));

    prefix_set_init(&filter->set, networks, count);
    filter->words = make_words(&filter->policy.arena, networks, count);
    return &filter->policy;
}
