/* Where the running gateway may be asked, and asking it there. */
#ifndef CLI_FIND_GATEWAY_H
#define CLI_FIND_GATEWAY_H

#include "cli/admin_client.h"
#include "cli/arguments.h"
#include "net/address.h"

enum { GATEWAY_PLACES_MAX = 8 };

/* Addresses to try, in turn, and what became of each. */
struct gateway_places {
    unsigned count;
    char addresses[GATEWAY_PLACES_MAX][ADDRESS_TEXT_SIZE];
    struct error errors[GATEWAY_PLACES_MAX];
    bool is_off; /* listen.admin says "off" */
};

/* --admin, else $SALLYPORT_ADMIN, else listen.admin if the route file can be read, else the usual
 * places. */
void find_admin(const struct arguments *arguments, struct gateway_places *places);

/* Asks at the first place where somebody is; `request->address` is not looked at. */
enum admin_result ask_places(struct gateway_places *places, const struct admin_request *request,
                             int *status, struct buffer *body);

/* Says on standard error where it was tried, and what to do. */
void say_unreachable(const struct gateway_places *places);

#endif
