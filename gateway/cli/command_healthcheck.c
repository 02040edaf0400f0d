#include "cli/commands.h"
#include "cli/find_gateway.h"
#include "cli/route_file.h"

#include <stdio.h>

/* What was found out, and from whom. */
struct health {
    bool is_known, is_ready;
    char asked[ADDRESS_TEXT_SIZE];
};

static void ask_ready(struct gateway_places *places, struct health *health)
{
    struct buffer body = {0};
    int status = 0;
    const struct admin_request request = {
        .method = "GET", .path = "/readyz", .accept = "text/plain", .timeout_ms = ADMIN_TIMEOUT_MS};
    enum admin_result result = ask_places(places, &request, &status, &body);
    buffer_clear(&body);
    if (result == ADMIN_UNREACHABLE)
        return;
    health->is_known = true;
    health->is_ready = result == ADMIN_ANSWERED && status == 200;
    /* The one that answered comes after those that failed. */
    unsigned place = 0;
    while (place + 1 < places->count && places->errors[place].message[0] != '\0')
        place++;
    snprintf(health->asked, sizeof(health->asked), "%s", places->addresses[place]);
}

static void peek_places(const struct arguments *arguments, const char *kind,
                        struct gateway_places *places)
{
    struct peeked_listen peeked;
    *places = (struct gateway_places){0};
    if (arguments->config == NULL || !route_file_peek(arguments->config, kind, &peeked))
        return;
    for (; places->count < peeked.count && places->count < GATEWAY_PLACES_MAX; places->count++)
        slice_copy_text(slice_of(peeked.addresses[places->count]), places->addresses[places->count],
                        ADDRESS_TEXT_SIZE);
    if (!peeked.is_named && slice_equal(slice_of(kind), slice_of("https")))
        slice_copy_text(slice_of(":8443"), places->addresses[places->count++], ADDRESS_TEXT_SIZE);
}

/* Without an endpoint to ask, a listener that accepts is all that can be known. */
static void connect_to_listener(const struct arguments *arguments, struct gateway_places *places,
                                struct health *health)
{
    peek_places(arguments, "https", places);
    if (places->count == 0)
        peek_places(arguments, "http", places);
    if (places->count == 0)
        return;
    health->is_known = health->is_ready =
        admin_client_connects(places->addresses[0], ADMIN_TIMEOUT_MS, &places->errors[0]);
    snprintf(health->asked, sizeof(health->asked), "%s", places->addresses[0]);
}

int command_healthcheck(const struct arguments *arguments)
{
    struct gateway_places admin, other = {0};
    struct health health = {0};
    find_admin(arguments, &admin);
    ask_ready(&admin, &health);
    /* Who was named is the one that is meant: nobody else is asked instead. */
    bool may_ask_others = arguments->admin == NULL;
    if (!health.is_known && may_ask_others) {
        peek_places(arguments, "status", &other);
        ask_ready(&other, &health);
        if (!health.is_known && other.count == 0)
            connect_to_listener(arguments, &other, &health);
    }
    buffer_cache_clear();
    if (arguments->as_json)
        printf("{\"ready\":%s}\n", health.is_ready ? "true" : "false");
    else if (health.is_known)
        printf("%s: %s\n", health.asked, health.is_ready ? "ready" : "not ready");
    if (!health.is_known && (admin.count > 0 || other.count == 0))
        say_unreachable(&admin);
    if (!health.is_known && other.count > 0)
        say_unreachable(&other);
    return health.is_ready ? EXIT_FINE : EXIT_FAILED;
}
