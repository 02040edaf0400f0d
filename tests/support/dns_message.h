/* DNS messages as the tests' DNS server reads and writes them: the wire format, no I/O. */
#ifndef TESTS_SUPPORT_DNS_MESSAGE_H
#define TESTS_SUPPORT_DNS_MESSAGE_H

#include "support/dns_server.h"

#include <stddef.h>
#include <sys/socket.h>

enum {
    DNS_MESSAGE_MAX = 65535,
    DNS_QUESTION_MAX = 1500,
    DNS_HEADER_BYTES = 12,
    DNS_NAME_SIZE = 256,
};

enum dns_flag {
    DNS_CODE_FORMERR = 1,
    DNS_CODE_SERVFAIL = 2,
    DNS_CODE_NXDOMAIN = 3,
    DNS_CODE_REFUSED = 5,
    DNS_FLAG_TRUNCATED = 0x200,
};

struct dns_record {
    struct dns_record *next;
    char name[DNS_NAME_SIZE];
    enum dns_type type;
    uint32_t ttl_s;
    char target[DNS_NAME_SIZE]; /* CNAME, SRV */
    unsigned char fixed[16];    /* A, AAAA: the address; SRV: what stands before the target */
    size_t fixed_bytes;
};

struct dns_question {
    struct dns_question *next;
    char name[DNS_NAME_SIZE];
    enum dns_type type;
    unsigned char message[DNS_QUESTION_MAX];
    size_t head_bytes; /* header and question section */
    size_t udp_max;
    bool has_edns;
    int tcp; /* the connection; -1: UDP */
    struct sockaddr_storage from;
    socklen_t from_length;
};

struct dns_writer {
    unsigned char bytes[DNS_MESSAGE_MAX + 1024];
    size_t length;
};

/* Ends the test unless it is so. */
void dns_require(bool is_so, const char *what);
/* Zeroed memory. */
void *dns_new(size_t size);

void dns_put(struct dns_writer *w, const void *bytes, size_t length);
void dns_put_record(struct dns_writer *w, const struct dns_record *record);
/* Header and question section of the response to `question`, with that many answers to follow. */
void dns_put_head(struct dns_writer *w, const struct dns_question *question, unsigned flags,
                  unsigned answers);

/* NULL: not a question. The caller frees it. */
struct dns_question *dns_read_question(const unsigned char *bytes, size_t length);

#endif
