#include "net/proxy_protocol.h"

#include "base/check.h"

enum {
    LINE_MAX_BYTES = 107, /* of version 1, with its CRLF */
    V2_FIXED = 16,        /* signature, command, family, length */
    V2_V4_ENDS = 12,
    V2_V6_ENDS = 36,
    V2_LOCAL_ENDS = 216, /* of Unix sockets */
    TLV_HEAD = 3,
    TLV_CRC32C = 0x03,
    CRC_BYTES = 4,
};

/* Version and command: the byte behind the signature. */
enum { V2_COMMAND_LOCAL = 0x20, V2_COMMAND_PROXY = 0x21 };

static const struct slice v1_start = {"PROXY ", 6};
static const struct slice v2_start = {"\r\n\r\n\0\r\nQUIT\n", 12};

static enum proxy_parse refuse(enum proxy_problem *problem, enum proxy_problem what)
{
    *problem = what;
    return PROXY_BAD;
}

/* Whether the bytes are `start`, or a piece of it as long as they are. */
static bool may_begin(struct slice bytes, struct slice start)
{
    size_t compared = bytes.len < start.len ? bytes.len : start.len;
    return slice_equal(slice_make(bytes.at, compared), slice_make(start.at, compared));
}

static unsigned read_16(const char *at)
{
    return (unsigned)(uint8_t)at[0] << 8 | (uint8_t)at[1];
}

static uint32_t read_32(const char *at)
{
    return (uint32_t)read_16(at) << 16 | read_16(at + 2);
}

static struct address ip_address(sa_family_t family, const char *ip, unsigned port)
{
    struct address address = {.length = sizeof(struct sockaddr_in)};
    if (family == AF_INET) {
        address.as.v4.sin_family = AF_INET;
        memcpy(&address.as.v4.sin_addr, ip, 4);
    } else {
        address.length = sizeof(struct sockaddr_in6);
        address.as.v6.sin6_family = AF_INET6;
        memcpy(&address.as.v6.sin6_addr, ip, 16);
    }
    address_set_port(&address, (uint16_t)port);
    return address;
}

/* --- version 1 -----------------------------------------------------------------------------------
 */

/* What stands before the next space, or is left; the space is dropped. */
static struct slice take_word(struct slice *line)
{
    ptrdiff_t space = slice_find(*line, ' ');
    struct slice word = slice_make(line->at, space >= 0 ? (size_t)space : line->len);
    *line = slice_skip(*line, space >= 0 ? (size_t)space + 1 : line->len);
    return word;
}

/* inet_pton, below this, takes no leading zeros, spaces or zones. */
static bool take_ip(struct slice *line, sa_family_t family, struct address *address)
{
    return address_parse_ip(take_word(line), 0, address) && address->as.any.sa_family == family;
}

static bool read_port(struct slice word, struct address *address)
{
    uint64_t port;
    if (word.len > 5 || (word.len > 1 && word.at[0] == '0') || !slice_parse_u64(word, &port) ||
        port > UINT16_MAX)
        return false;
    address_set_port(address, (uint16_t)port);
    return true;
}

/* "SOURCE DESTINATION SOURCE-PORT DESTINATION-PORT", and nothing else. */
static bool read_ends(struct slice line, sa_family_t family, struct proxy_header *header)
{
    header->names_ends = true;
    if (!take_ip(&line, family, &header->source) || !take_ip(&line, family, &header->destination) ||
        !read_port(take_word(&line), &header->source))
        return false;
    return read_port(line, &header->destination);
}

static bool read_line(struct slice line, struct proxy_header *header)
{
    struct slice kind = take_word(&line);
    if (slice_equal(kind, slice_of("TCP4")))
        return read_ends(line, AF_INET, header);
    if (slice_equal(kind, slice_of("TCP6")))
        return read_ends(line, AF_INET6, header);
    return slice_equal(kind, slice_of("UNKNOWN")); /* the rest of the line means nothing */
}

static enum proxy_parse parse_v1(struct slice bytes, struct proxy_header *header, size_t *length,
                                 enum proxy_problem *problem)
{
    size_t end = v1_start.len;
    while (end < bytes.len && bytes.at[end] != '\r' && bytes.at[end] != '\n')
        end++;
    if (end + 2 > LINE_MAX_BYTES)
        return refuse(problem, PROXY_TOO_LONG);
    if (end == bytes.len)
        return PROXY_MORE;
    if (bytes.at[end] == '\r' && end + 1 == bytes.len)
        return PROXY_MORE;
    if (bytes.at[end] != '\r' || bytes.at[end + 1] != '\n' ||
        !read_line(slice_skip(slice_make(bytes.at, end), v1_start.len), header))
        return refuse(problem, PROXY_MALFORMED);
    *length = end + 2;
    return PROXY_DONE;
}

/* --- version 2 -----------------------------------------------------------------------------------
 */

uint32_t proxy_crc32c(uint32_t before, struct slice bytes)
{
    uint32_t crc = ~before;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (uint8_t)bytes.at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
    }
    return ~crc;
}

/* It is made over the whole header with four zeros in its own place. */
static bool has_crc(struct slice whole, size_t place)
{
    struct slice behind = slice_skip(whole, place + CRC_BYTES);
    uint32_t crc = proxy_crc32c(0, slice_make(whole.at, place));
    crc = proxy_crc32c(crc, slice_make("\0\0\0\0", CRC_BYTES));
    return proxy_crc32c(crc, behind) == read_32(whole.at + place);
}

/* Extensions are skipped; that they are whole, and the one checksum, are looked at. */
static enum proxy_parse check_extensions(struct slice whole, size_t at, enum proxy_problem *problem)
{
    bool has_checksum = false;
    while (at < whole.len) {
        if (whole.len - at < TLV_HEAD)
            return refuse(problem, PROXY_MALFORMED);
        unsigned type = (uint8_t)whole.at[at], size = read_16(whole.at + at + 1);
        at += TLV_HEAD;
        if (size > whole.len - at)
            return refuse(problem, PROXY_MALFORMED);
        if (type == TLV_CRC32C) {
            if (size != CRC_BYTES || has_checksum)
                return refuse(problem, PROXY_MALFORMED);
            if (!has_crc(whole, at))
                return refuse(problem, PROXY_CHECKSUM);
            has_checksum = true;
        }
        at += size;
    }
    return PROXY_DONE;
}

static void read_v2_ends(const char *at, sa_family_t family, struct proxy_header *header)
{
    size_t size = family == AF_INET ? 4 : 16;
    header->names_ends = true;
    header->source = ip_address(family, at, read_16(at + 2 * size));
    header->destination = ip_address(family, at + size, read_16(at + 2 * size + 2));
}

/* A PROXY command: by the byte of family and transport, of which seven are defined. What is no TCP
 * is taken as if it were unspecified, which the protocol asks of those that do not support it. */
static enum proxy_parse read_command(struct slice whole, struct proxy_header *header,
                                     enum proxy_problem *problem)
{
    size_t ends;
    uint8_t kind = (uint8_t)whole.at[13];
    switch (kind) {
    case 0x00: return PROXY_DONE; /* unspecified: what follows means nothing */
    case 0x11:                    /* TCP, UDP over IPv4 */
    case 0x12: ends = V2_V4_ENDS; break;
    case 0x21: /* over IPv6 */
    case 0x22: ends = V2_V6_ENDS; break;
    case 0x31: /* Unix sockets */
    case 0x32: ends = V2_LOCAL_ENDS; break;
    default: return refuse(problem, PROXY_MALFORMED);
    }
    if (whole.len < V2_FIXED + ends)
        return refuse(problem, PROXY_MALFORMED);
    if (kind == 0x11 || kind == 0x21)
        read_v2_ends(whole.at + V2_FIXED, kind == 0x11 ? AF_INET : AF_INET6, header);
    return check_extensions(whole, V2_FIXED + ends, problem);
}

static enum proxy_parse parse_v2(struct slice bytes, struct proxy_header *header, size_t *length,
                                 enum proxy_problem *problem)
{
    if (bytes.len > v2_start.len) {
        uint8_t command = (uint8_t)bytes.at[v2_start.len];
        if (command != V2_COMMAND_LOCAL && command != V2_COMMAND_PROXY)
            return refuse(problem, PROXY_MALFORMED);
    }
    if (bytes.len < V2_FIXED)
        return PROXY_MORE;
    *length = V2_FIXED + read_16(bytes.at + 14);
    if (*length > PROXY_HEADER_BYTES_MAX)
        return refuse(problem, PROXY_TOO_LONG);
    if (bytes.len < *length)
        return PROXY_MORE;
    /* The proxy speaks for itself: its health checks. Nothing else in it means anything. */
    if ((uint8_t)bytes.at[v2_start.len] == V2_COMMAND_LOCAL)
        return PROXY_DONE;
    return read_command(slice_make(bytes.at, *length), header, problem);
}

enum proxy_parse proxy_header_parse(struct slice bytes, struct proxy_header *header, size_t *length,
                                    enum proxy_problem *problem)
{
    *header = (struct proxy_header){.names_ends = false};
    if (bytes.len == 0)
        return PROXY_MORE;
    if (may_begin(bytes, v1_start))
        return bytes.len < v1_start.len ? PROXY_MORE : parse_v1(bytes, header, length, problem);
    if (may_begin(bytes, v2_start))
        return bytes.len < v2_start.len ? PROXY_MORE : parse_v2(bytes, header, length, problem);
    return refuse(problem, PROXY_NO_HEADER);
}

const char *proxy_problem_word(enum proxy_problem problem)
{
    switch (problem) {
    case PROXY_NO_HEADER: return "no_header";
    case PROXY_MALFORMED: return "malformed";
    case PROXY_TOO_LONG: return "too_long";
    case PROXY_CHECKSUM: break;
    }
    return "checksum";
}

/* --- writing -------------------------------------------------------------------------------------
 */

/* The four bytes of an address that is IPv4, written as such or mapped; else NULL. */
static const char *v4_of(const struct address *address)
{
    if (address->as.any.sa_family == AF_INET)
        return (const char *)&address->as.v4.sin_addr;
    if (IN6_IS_ADDR_V4MAPPED(&address->as.v6.sin6_addr))
        return (const char *)&address->as.v6.sin6_addr + 12;
    return NULL;
}

static char *put_ip(char *at, const struct address *address, bool as_v4)
{
    static const char mapped[12] = {[10] = (char)0xff, [11] = (char)0xff};
    const char *v4 = v4_of(address);
    if (v4 == NULL) {
        memcpy(at, &address->as.v6.sin6_addr, 16);
        return at + 16;
    }
    if (!as_v4) {
        memcpy(at, mapped, sizeof(mapped));
        at += sizeof(mapped);
    }
    memcpy(at, v4, 4);
    return at + 4;
}

static char *put_16(char *at, unsigned value)
{
    at[0] = (char)(value >> 8);
    at[1] = (char)(value & 0xff);
    return at + 2;
}

size_t proxy_header_write_v2(const struct proxy_header *header,
                             char bytes[PROXY_HEADER_V2_WRITTEN_MAX])
{
    const struct address *source = &header->source, *destination = &header->destination;
    char *at = bytes + v2_start.len;
    memcpy(bytes, v2_start.at, v2_start.len);
    if (!header->names_ends) {
        memcpy(at, "\x20\0\0\0", 4);
        return V2_FIXED;
    }
    bool as_v4 = v4_of(source) != NULL && v4_of(destination) != NULL;
    *at++ = V2_COMMAND_PROXY;
    *at++ = as_v4 ? 0x11 : 0x21;
    at = put_16(at, as_v4 ? V2_V4_ENDS : V2_V6_ENDS);
    at = put_ip(at, source, as_v4);
    at = put_ip(at, destination, as_v4);
    at = put_16(at, address_port(source));
    at = put_16(at, address_port(destination));
    return (size_t)(at - bytes);
}
