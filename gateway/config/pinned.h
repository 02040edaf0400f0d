/* Files that are mounted by themselves, as one file into a container. Such a mount holds on to an
 * inode: a file that takes over its name outside is not seen in here. */
#ifndef CONFIG_PINNED_H
#define CONFIG_PINNED_H

enum pinned_state {
    PINNED_NOT,     /* no file, or not mounted by itself */
    PINNED_CURRENT, /* mounted by itself, and not known to have been replaced */
    PINNED_STALE,   /* its name was deleted or replaced outside: what is read is the old one */
};

/* Follows links. The kernel tells that the name is gone; that it was moved away, and another file
 * put in its place, looks from here like a file that was renamed: that one counts as current. */
enum pinned_state pinned_state(const char *path);

#endif
