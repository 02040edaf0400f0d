/* One test's place of work: its temporary folder, its watchdog, and everything the harness handed
 * out to it. */
#ifndef E2E_WORKPLACE_H
#define E2E_WORKPLACE_H

#include <stdbool.h>
#include <stddef.h>

/* Put at the head of a test file: each test of the suite gets a workplace of its own. */
#define E2E_SUITE(name) TestSuite(name, .init = workplace_begin, .fini = workplace_end)

/*
 * Makes the temporary folder with a folder `certs` that holds `site.pem` (ECDSA; a.test, b.test,
 * c.test, *.test, localhost, 127.0.0.1), arms the watchdog, ignores SIGPIPE.
 */
void workplace_begin(void);
/* Stops what still runs, frees what was handed out, removes the folder. */
void workplace_end(void);

/* A longer life for a test that moves much; the default is four minutes. The watchdog ends the test
 * with a message. */
void workplace_allow_seconds(unsigned seconds);

/* The temporary folder, without a trailing slash. */
const char *workplace_folder(void);

/* Fails the test with a message. In a thread that the test started it ends that thread; the test
 * fails at its end. */
_Noreturn void workplace_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define workplace_require(fact, ...) ((fact) ? (void)0 : workplace_fail(__VA_ARGS__))
/* Notes a failure without ending anything; workplace_settle fails the test for it. Safe in every
 * thread. */
void workplace_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Fails the test when a thread noted a failure; gateway_stop calls it. */
void workplace_settle(void);

/* For tests of the harness: what was noted, which then is no failure; NULL: nothing. */
char *workplace_forgive(void);

/* Hands an object to the workplace, which frees it, newest first, at the end. Returns it. */
void *workplace_own(void *object, void (*free_it)(void *));
/* All that are owned so far with that way to free them. */
void workplace_each(void (*free_it)(void *), void (*visit)(void *object));
/* printf into a string that lives until the test ends. */
char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A path inside the folder, made of the printf arguments. */
char *workplace_path(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Makes a folder and its parents inside the temporary folder; returns its path. */
char *workplace_make_folder(const char *name);
/* Writes a whole file, replacing it in one rename. */
void workplace_write(const char *path, const char *bytes, size_t length);
/* Reads a whole file, NUL-terminated; NULL when it cannot be read. Lives until the test ends. */
char *workplace_read(const char *path);

/*
 * Writes TMP/NAME as a route file. To keep C readable ' stands for ", @tmp for the temporary
 * folder, and
 * @base for 'listen' (https and status on 127.0.0.1:0, admin in the folder), 'certs' and JSON
 * access logs. Returns the path.
 */
char *route_file(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* An address of loopback that belongs to this process alone, which has two, 0 and 1. A port that it
 * had there once is still free when it is wanted again, and at the other one, too. */
char *workplace_own_host(unsigned number);

/* A host:port on loopback that nobody else uses: an address that belongs to this process alone. */
char *workplace_free_address(void);

/* An integer from the environment, or what stands in for it. */
long workplace_number(const char *variable, long otherwise);

#endif
