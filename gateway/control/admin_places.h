/* Where the admin socket is when nobody named a place: the gateway and its commands agree here. */
#ifndef CONTROL_ADMIN_PLACES_H
#define CONTROL_ADMIN_PLACES_H

#include "net/address.h"

enum { ADMIN_PLACES_MAX = 3 };

struct admin_place {
    char folder[96];
    char address[ADDRESS_TEXT_SIZE]; /* "unix:FOLDER/admin.sock" */
};

/* $RUNTIME_DIRECTORY, /run/sallyport, $XDG_RUNTIME_DIR/sallyport: those there are, best first. */
unsigned admin_places(struct admin_place places[ADMIN_PLACES_MAX]);

/* The first whose folder is there, or can be made, and can be written; NULL when none is. */
const struct admin_place *admin_place_choose(const struct admin_place *places, unsigned count);

/* Makes the best place's folder, and gives it to the user that root is about to become; so one that
 * root has left there. What is anybody else's stays theirs. */
void admin_place_hand_over(uint32_t uid, uint32_t gid);

#endif
