/* The running gateway, from its start to its last connection. */
#ifndef CONTROL_GATEWAY_H
#define CONTROL_GATEWAY_H

enum { GATEWAY_WORKERS_MAX = 256 };

struct gateway_options {
    const char *config_file;
    unsigned workers; /* 0: one for each CPU that this process may use */
};

enum gateway_exit {
    GATEWAY_FINE = 0,
    GATEWAY_FAILED = 1,  /* at run time: an address is taken, a second signal */
    GATEWAY_INVALID = 3, /* the route file, a certificate or a route test */
};

/* Serves until a signal or POST /drain ends it; returns the exit code. Blocks signals of the
 * calling thread; once in a process's life. */
int gateway_run(const struct gateway_options *options);

#endif
