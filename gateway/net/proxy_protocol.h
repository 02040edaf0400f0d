/* The PROXY protocol, versions 1 and 2: the header in which a proxy in front says whose connection
 * it passes on. Bytes in, values out; no I/O.
 *
 * What decides is the protocol's own text ("The PROXY protocol, versions 1 & 2", HAProxy). It is
 * read strictly: a header has one reading, or none. */
#ifndef NET_PROXY_PROTOCOL_H
#define NET_PROXY_PROTOCOL_H

#include "net/address.h"

enum {
    PROXY_HEADER_BYTES_MAX = 4096, /* of a whole header, extensions (TLVs) included */
    PROXY_HEADER_V2_WRITTEN_MAX = 52,
};

enum proxy_parse {
    PROXY_MORE, /* all of the bytes belong to the header, and more of it is to come */
    PROXY_DONE, /* `length` of the bytes are the header */
    PROXY_BAD,
};

/* Why there is none. */
enum proxy_problem {
    PROXY_NO_HEADER, /* the bytes begin neither version */
    PROXY_MALFORMED,
    PROXY_TOO_LONG, /* a line over 107 bytes, or more than PROXY_HEADER_BYTES_MAX */
    PROXY_CHECKSUM, /* its CRC32c is not that of its bytes */
};

struct proxy_header {
    /* Whether it says who the ends are; if not (LOCAL, UNKNOWN, what is no TCP), the connection's
     * own addresses stand. */
    bool names_ends;
    struct address source, destination; /* of the connection that the proxy accepted */
};

/* Looks at what has come so far, from the connection's first byte on. PROXY_DONE: *length bytes are
 * the header, and what follows belongs to the connection. PROXY_BAD: *problem. */
enum proxy_parse proxy_header_parse(struct slice bytes, struct proxy_header *header, size_t *length,
                                    enum proxy_problem *problem);

/* Writes version 2 of it, without extensions; LOCAL where it names no ends. An IPv4 end beside an
 * IPv6 one is written as IPv4-mapped. Returns how many bytes. */
size_t proxy_header_write_v2(const struct proxy_header *header,
                             char bytes[PROXY_HEADER_V2_WRITTEN_MAX]);

/* CRC32c (RFC 3720 section 12.1) of the bytes, going on from that of those before them; 0 at first.
 */
uint32_t proxy_crc32c(uint32_t before, struct slice bytes);

/* A stable word: "no_header", "malformed", "too_long", "checksum". */
const char *proxy_problem_word(enum proxy_problem problem);

#endif
