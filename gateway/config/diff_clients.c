/* Which clients have to show a certificate, and whose, compared. */
#include "config/diff_internal.h"

/* What holds for a host that may have no rule of its own. */
static const struct client_rule *rule_of(const struct config *config, const struct host *host)
{
    return host->clients ? host->clients : &config->clients;
}

static struct slice ca_words(struct comparison *c, const struct client_rule *rule)
{
    return rule->ca ? arena_copy(c->arena, slice_of(rule->ca)) : slice_of("none");
}

/* Whether both sides read the same from the file of that name. */
static bool same_content(const struct comparison *c, const char *path)
{
    const struct client_ca *was = client_policies_ca(tls_server_clients(c->was->tls), path);
    const struct client_ca *is = client_policies_ca(tls_server_clients(c->is->tls), path);

    return !was || !is || client_ca_is_same(was, is);
}

/* `host` empty: of the whole file. */
static void tell(struct comparison *c, struct slice host, const char *key, struct slice was,
                 struct slice is)
{
    struct change change = {
        .kind = CHANGE_CHANGED, .about = ABOUT_GATEWAY, .key = slice_of(key), .was = was, .is = is};

    if (slice_is_empty(host)) {
        comparison_add(c, change);
        return;
    }
    change.about = ABOUT_SETTING;
    comparison_join(c, comparison_group(c, &c->settings, change), host);
}

static void compare_rules(struct comparison *c, struct slice host, const struct client_rule *was,
                          const struct client_rule *is)
{
    struct slice ca_was = ca_words(c, was), ca_is = ca_words(c, is);

    if (was->auth != is->auth)
        tell(c, host, "tls.client_auth", slice_of(client_auth_name(was->auth)),
             slice_of(client_auth_name(is->auth)));
    if (!slice_equal(ca_was, ca_is))
        tell(c, host, "tls.client_ca", ca_was, ca_is);
    else if (is->ca && !same_content(c, is->ca))
        tell(c, host, "tls.client_ca", ca_was,
             arena_printf(c->arena, "%s with other authorities in it", is->ca));
}

void compare_clients(struct comparison *c)
{
    const struct config *was = c->was->config, *is = c->is->config;

    compare_rules(c, slice_of(""), &was->clients, &is->clients);
    for (unsigned i = 0; i < is->host_count; i++) {
        const struct host *host = is->hosts[i];
        const struct host *before = route_table_host(was->routes, host->key);
        /* Where neither has a rule of its own, that of the whole file says it. */
        if (before && (before->clients || host->clients))
            compare_rules(c, host->key, rule_of(was, before), rule_of(is, host));
    }
}
