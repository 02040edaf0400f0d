/* Sockets on this machine that accept, refuse or hang, for tests of whoever connects to them. */
#ifndef TESTS_SUPPORT_LOOPBACK_H
#define TESTS_SUPPORT_LOOPBACK_H

#include "net/address.h"

/* A socket that listens on a free port of 127.0.0.1, blocking; *address is where. */
int loopback_listen(struct address *address);
/* Bound to a free port but not listening: connecting to it is refused as long as it is open. */
int loopback_refuse(struct address *address);

/* A listener whose queue is full: connecting to it hangs. */
struct loopback_hang {
    int listener;
    int fillers[16];
    int filler_count;
};
void loopback_hang(struct loopback_hang *hang, struct address *address);
void loopback_hang_end(struct loopback_hang *hang);

/* Listens on a Unix socket at `path` with that backlog. */
int loopback_listen_unix(const char *path, int backlog, struct address *address);

/* Open file descriptors of this process. */
int open_fd_count(void);

#endif
