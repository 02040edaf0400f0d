#include "control/admin_places.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Adds FOLDER + `below` unless the folder is not absolute or too long for a socket in it. */
static void add_place(struct admin_place *places, unsigned *count, struct slice folder,
                      const char *below)
{
    struct admin_place *place = &places[*count];
    if (folder.len == 0 || folder.at[0] != '/')
        return;
    int length =
        snprintf(place->folder, sizeof(place->folder), "%.*s%s", (int)folder.len, folder.at, below);
    if (length < 0 || (size_t)length >= sizeof(place->folder))
        return;
    snprintf(place->address, sizeof(place->address), "unix:%s/admin.sock", place->folder);
    (*count)++;
}

unsigned admin_places(struct admin_place places[ADMIN_PLACES_MAX])
{
    unsigned count = 0;
    const char *runtime = getenv("RUNTIME_DIRECTORY");
    if (runtime != NULL) {
        struct slice first = slice_of(runtime); /* systemd may name several */
        ptrdiff_t colon = slice_find(first, ':');
        if (colon >= 0)
            first.len = (size_t)colon;
        add_place(places, &count, first, "");
    }
    add_place(places, &count, slice_of("/run/sallyport"), "");
    const char *user = getenv("XDG_RUNTIME_DIR");
    if (user != NULL)
        add_place(places, &count, slice_of(user), "/sallyport");
    return count;
}

const struct admin_place *admin_place_choose(const struct admin_place *places, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        mkdir(places[i].folder, 0755); /* if it fails, access says so */
        if (access(places[i].folder, W_OK | X_OK) == 0)
            return &places[i];
    }
    return NULL;
}
