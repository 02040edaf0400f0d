/* A DNS server on loopback that knows what a test has told it, by UDP and TCP on one free port.
 *
 * A thread of its own answers; every call here may be made while it does. Needs nothing of the
 * gateway: unit and end-to-end tests share it. Whatever goes wrong in here ends the test. */
#ifndef TESTS_SUPPORT_DNS_SERVER_H
#define TESTS_SUPPORT_DNS_SERVER_H

#include <stdbool.h>
#include <stdint.h>

enum dns_type { DNS_ANY_TYPE = 0, DNS_A = 1, DNS_CNAME = 5, DNS_AAAA = 28, DNS_SRV = 33 };

enum dns_conduct {
    DNS_ANSWERS, /* the records; none of the name: NXDOMAIN; none of the type: an empty answer */
    DNS_NXDOMAIN,
    DNS_SERVFAIL,
    DNS_REFUSED,
    DNS_SILENT,
    DNS_HOLDS,     /* keeps the question until dns_server_release */
    DNS_TRUNCATES, /* by UDP nothing but the bit that says so */
    DNS_GARBAGE,   /* bytes that are no message, then the answer */
    DNS_WRONG_ID,  /* another address under another id, then the answer */
    DNS_FORMERR,   /* to whom speaks EDNS, as old servers do; others are answered */
};

struct dns_server;

struct dns_server *dns_server_start(void); /* on 127.0.0.1 */
/* On another address of loopback with that port, so that one list with one port names both. NULL:
 * the port is taken there. */
struct dns_server *dns_server_start_at(const char *ip, uint16_t port);
void dns_server_stop(struct dns_server *server);
const char *dns_server_address(const struct dns_server *server); /* "127.0.0.1:PORT" */
uint16_t dns_server_port(const struct dns_server *server);

/* --- records: `name` is lower-case, without a dot at its end ------------------------------------
 */

void dns_server_add_a(struct dns_server *server, const char *name, uint32_t ttl_s, const char *ip);
void dns_server_add_aaaa(struct dns_server *server, const char *name, uint32_t ttl_s,
                         const char *ip);
/* `target` is followed within this server's records; "." is a target, too. */
void dns_server_add_cname(struct dns_server *server, const char *name, uint32_t ttl_s,
                          const char *target);
void dns_server_add_srv(struct dns_server *server, const char *name, uint32_t ttl_s,
                        uint16_t priority, uint16_t weight, uint16_t port, const char *target);
/* The name does not exist any more; to say something else instead, hold questions meanwhile. */
void dns_server_forget(struct dns_server *server, const char *name);

/* --- conduct and what was asked ----------------------------------------------------------------
 */

/* For one type of question or all; the newest call wins. */
void dns_server_behave(struct dns_server *server, enum dns_type type, enum dns_conduct conduct);
/* Answers what is held, by the conduct and the records of now. */
void dns_server_release(struct dns_server *server);

/* Questions so far; NULL: for every name. */
unsigned dns_server_questions(struct dns_server *server, const char *name, enum dns_type type);
unsigned dns_server_tcp_questions(struct dns_server *server);
/* Waits until there were so many. */
void dns_server_await(struct dns_server *server, const char *name, enum dns_type type,
                      unsigned questions);

#endif
