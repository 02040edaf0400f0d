#include "cli/find_gateway.h"

#include "cli/route_file.h"
#include "control/admin_places.h"

#include <stdio.h>
#include <stdlib.h>

static void add_place(struct gateway_places *places, const char *address)
{
    if (places->count < GATEWAY_PLACES_MAX)
        slice_copy_text(slice_of(address), places->addresses[places->count++], ADDRESS_TEXT_SIZE);
}

void find_admin(const struct arguments *arguments, struct gateway_places *places)
{
    *places = (struct gateway_places){0};
    const char *named = arguments->admin;
    if (named == NULL)
        named = getenv("SALLYPORT_ADMIN");
    if (named != NULL && named[0] != '\0') {
        add_place(places, named);
        return;
    }
    struct peeked_listen peeked;
    if (arguments->config != NULL && route_file_peek(arguments->config, "admin", &peeked) &&
        peeked.is_named) {
        for (unsigned i = 0; i < peeked.count; i++)
            add_place(places, peeked.addresses[i]);
        places->is_off = peeked.count == 0;
        return;
    }
    struct admin_place usual[ADMIN_PLACES_MAX];
    unsigned count = admin_places(usual);
    for (unsigned i = 0; i < count; i++)
        add_place(places, usual[i].address);
}

enum admin_result ask_places(struct gateway_places *places, const struct admin_request *request,
                             int *status, struct buffer *body)
{
    for (unsigned i = 0; i < places->count; i++) {
        struct admin_request here = *request;
        here.address = places->addresses[i];
        enum admin_result result = admin_client_ask(&here, status, body, &places->errors[i]);
        if (result == ADMIN_BROKEN)
            fprintf(stderr, "sallyport: the gateway at %s: %s\n", here.address,
                    places->errors[i].message);
        if (result != ADMIN_UNREACHABLE)
            return result;
    }
    return ADMIN_UNREACHABLE;
}

void say_unreachable(const struct gateway_places *places)
{
    if (places->is_off) {
        fputs("sallyport: listen.admin is \"off\" in the route file: a running gateway can only be "
              "told by signals\n",
              stderr);
        return;
    }
    fputs("sallyport: no running gateway was found; tried", stderr);
    for (unsigned i = 0; i < places->count; i++)
        fprintf(stderr, "%s %s (%s)", i > 0 ? "," : "", places->addresses[i],
                places->errors[i].message);
    fputs("; is it running, and may this user use the socket? --admin names another\n", stderr);
}
