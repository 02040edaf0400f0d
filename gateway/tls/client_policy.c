#include "tls/client_policy.h"

#include "base/check.h"
#include "base/table.h"

#include <stdlib.h>

struct client_policies {
    struct table authorities; /* path -> struct client_ca, a reference each */
    struct table by_host;     /* key -> struct client_policy */
    struct client_policy general;
    bool ask;
};

const char *client_auth_name(enum client_auth auth)
{
    switch (auth) {
    case CLIENT_AUTH_OFF: return "off";
    case CLIENT_AUTH_REQUEST: return "request";
    case CLIENT_AUTH_REQUIRE: return "require";
    }
    return "";
}

bool client_policy_is_met(const struct client_policy *policy, const struct client_ca *ca,
                          bool has_certificate)
{
    if (policy->auth == CLIENT_AUTH_OFF)
        return true;
    /* What was verified, or might have been shown, was held against other authorities. */
    if (!ca || !client_ca_is_same(policy->ca, ca))
        return false;
    return has_certificate || policy->auth == CLIENT_AUTH_REQUEST;
}

struct client_policies *client_policies_new(void)
{
    struct client_policies *policies = memory_new(sizeof(*policies));

    table_init(&policies->authorities);
    table_init(&policies->by_host);
    return policies;
}

void client_policies_free(struct client_policies *policies)
{
    struct table_entry *entry;

    if (!policies)
        return;
    for (size_t at = 0; (entry = table_next(&policies->authorities, &at)) != NULL;) {
        client_ca_unref(entry->value);
        free((char *)entry->key.at);
    }
    for (size_t at = 0; (entry = table_next(&policies->by_host, &at)) != NULL;) {
        free(entry->value);
        free((char *)entry->key.at);
    }
    table_clear(&policies->authorities);
    table_clear(&policies->by_host);
    free(policies);
}

void client_policies_add_ca(struct client_policies *policies, const char *path,
                            struct client_ca *ca)
{
    struct slice key = slice_of(path);

    assert(!table_get(&policies->authorities, key));
    table_put(&policies->authorities, slice_make(slice_duplicate(key), key.len), ca);
}

struct client_ca *client_policies_ca(const struct client_policies *policies, const char *path)
{
    return table_get(&policies->authorities, slice_of(path));
}

void client_policies_set(struct client_policies *policies, struct slice host_key,
                         const struct client_rule *rule)
{
    struct client_policy policy = {.auth = rule->auth};

    if (rule->ca)
        policy.ca = client_policies_ca(policies, rule->ca);
    if (!policy.ca)
        policy.auth = CLIENT_AUTH_OFF;
    policies->ask |= policy.auth != CLIENT_AUTH_OFF;
    if (slice_is_empty(host_key)) {
        policies->general = policy;
        return;
    }
    struct client_policy *own = memory_new(sizeof(*own));
    *own = policy;
    table_put(&policies->by_host, slice_make(slice_duplicate(host_key), host_key.len), own);
}

bool client_policies_ask(const struct client_policies *policies)
{
    return policies->ask;
}

const struct client_policy *client_policies_find(const struct client_policies *policies,
                                                 struct slice host_key)
{
    const struct client_policy *own = NULL;

    if (policies->by_host.count > 0 && !slice_is_empty(host_key))
        own = table_get(&policies->by_host, host_key);
    return own ? own : &policies->general;
}

uint64_t client_policies_fingerprint(const struct client_policies *policies)
{
    struct table_entry *entry;
    uint64_t sum = 0; /* in whatever order the table has them */

    for (size_t at = 0; (entry = table_next(&policies->authorities, &at)) != NULL;) {
        uint64_t parts[2] = {hash_bytes(entry->key), client_ca_fingerprint(entry->value)};

        sum += hash_bytes(slice_make((const char *)parts, sizeof(parts)));
    }
    return sum;
}
