#include "control/admin_places.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

void admin_place_hand_over(uint32_t uid, uint32_t gid)
{
    struct admin_place places[ADMIN_PLACES_MAX];
    struct stat folder;
    unsigned count = admin_places(places);
    if (count == 0 || (mkdir(places[0].folder, 0755) != 0 && errno != EEXIST))
        return;
    /* Not through a link: it would give away what it leads to. */
    int fd = open(places[0].folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &folder) != 0 || (folder.st_uid == 0 && fchown(fd, uid, gid) != 0))
        log_event(LOG_WARN, "no_admin", "%s cannot be given to uid %u: %s", places[0].folder,
                  (unsigned)uid, strerror(errno));
    close(fd);
}
