/* The gateway under test: the real binary, started on a route file, listened to, and stopped with
 * exit 0 required. */
#ifndef E2E_GATEWAY_PROCESS_H
#define E2E_GATEWAY_PROCESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct faults;
struct gateway;

struct gateway_options {
    const char *routes;             /* the route file's path */
    int workers;                    /* 1 when 0 */
    unsigned open_files;            /* its limit of file descriptors, soft and hard; 0: as it is */
    bool leaves_stdout_unread;      /* a full pipe instead of a reader */
    const char *const *environment; /* "NAME=value", NULL-terminated; may be NULL */
    const char *const *arguments;   /* more of them after `run -c FILE --workers N`; may be NULL */
    const int *handed_over;         /* sockets that it gets as a service manager hands them over */
    int handed_over_count;
    const char *handed_over_names; /* LISTEN_FDNAMES; may be NULL */
    struct faults *faults;         /* what of its calls fails: fault_board; NULL: nothing */
};

/* Writes TMP/routes.json (as route_file does), starts the gateway on it with one worker, waits for
 * its ready line. */
struct gateway *gateway_start(const char *format, ...) __attribute__((format(printf, 1, 2)));
struct gateway *gateway_start_with(const struct gateway_options *options);

/* host:port of a listener by its place in the ready line: gateway_address(g, "https", 0);
 * "127.0.0.1:34567". */
const char *gateway_address(struct gateway *gateway, const char *kind, int place);
int gateway_port(struct gateway *gateway, const char *kind);
/* The first https listener's address. */
const char *gateway_https(struct gateway *gateway);
/* The ready line. */
json_t *gateway_ready(struct gateway *gateway);

/* Rewrites TMP/routes.json, without telling the gateway. */
#define gateway_rewrite(...) ((void)route_file("routes.json", __VA_ARGS__))

void gateway_signal(struct gateway *gateway, int signal_number);
/* Waits for the process to end by itself; its exit code, 128 + signal when one ended it. */
int gateway_wait_exit(struct gateway *gateway);
/* SIGTERM unless it has ended already; requires exit 0, no word of a sanitizer, and no failure
 * noted by a thread. */
void gateway_stop(struct gateway *gateway);
/* The same for one that was told to end otherwise. */
void gateway_stop_expecting(struct gateway *gateway, int exit_code);
/* Ends every gateway that still runs and shows what it said: the test failed. */
void gateway_kill_all(void);
/* Shows what they said, without any lock: for the watchdog. They end with this process. */
void gateway_report_all(void);

/* What it has printed until now; lives until the test ends. */
char *gateway_stderr(struct gateway *gateway);
char *gateway_stdout(struct gateway *gateway);
/* Waits until stderr has the words (after the position, which moves behind them; may be NULL). */
void gateway_wait_stderr(struct gateway *gateway, const char *words, size_t *position);
/* The n-th whole line of stdout from 0, waited for; NULL when it does not come. */
char *gateway_stdout_line(struct gateway *gateway, int n);

int gateway_pid(struct gateway *gateway);
/* Resident memory now, in KiB. */
long gateway_rss_kib(struct gateway *gateway);
/* The highest resident memory since gateway_forget_peak, in KiB. */
long gateway_peak_kib(struct gateway *gateway);
void gateway_forget_peak(struct gateway *gateway);
/* Open file descriptors now. */
int gateway_open_files(struct gateway *gateway);
/* Whether the gateway was built with a sanitizer, so that its memory is not its own. */
bool gateway_is_sanitized(struct gateway *gateway);

#endif
