#include "proxy_header.h"

#include "workplace.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { FIXED = 16 };

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";

static bool hold(struct wire *wire, size_t length)
{
    while (wire_held(wire) < length)
        if (!wire_fill(wire))
            return false;
    return true;
}

static unsigned read_16(const unsigned char *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static void put_words(const unsigned char *header, size_t ends, char *words, size_t room)
{
    char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
    bool is_v4 = header[13] == 0x11;
    size_t ip = is_v4 ? 4 : 16;
    const unsigned char *at = header + FIXED;

    if (header[12] == 0x20 && ends == 0) {
        snprintf(words, room, "LOCAL");
        return;
    }
    if (header[12] != 0x21 || (!is_v4 && header[13] != 0x21) || ends != 2 * ip + 4) {
        snprintf(words, room, "broken");
        return;
    }
    inet_ntop(is_v4 ? AF_INET : AF_INET6, at, source, sizeof source);
    inet_ntop(is_v4 ? AF_INET : AF_INET6, at + ip, destination, sizeof destination);
    snprintf(words, room, is_v4 ? "%s:%u > %s:%u" : "[%s]:%u > [%s]:%u", source,
             read_16(at + 2 * ip), destination, read_16(at + 2 * ip + 2));
}

void proxy_header_take(struct wire *wire, char *words, size_t room)
{
    words[0] = '\0';
    if (!hold(wire, 1) || wire_bytes(wire)[0] != '\r' || !hold(wire, FIXED) ||
        memcmp(wire_bytes(wire), signature, 12) != 0)
        return;
    size_t ends = read_16((const unsigned char *)wire_bytes(wire) + 14);
    if (!hold(wire, FIXED + ends))
        return;
    put_words((const unsigned char *)wire_bytes(wire), ends, words, room);
    wire_take(wire, FIXED + ends);
}

size_t proxy_header_make(char bytes[64], const char *source, int source_port,
                         const char *destination, int destination_port)
{
    bool is_v6 = strchr(source, ':') != NULL;
    size_t ip = is_v6 ? 16 : 4;
    unsigned char *at = (unsigned char *)bytes + FIXED;

    memcpy(bytes, signature, 12);
    bytes[12] = 0x21;
    bytes[13] = is_v6 ? 0x21 : 0x11;
    bytes[14] = 0;
    bytes[15] = (char)(2 * ip + 4);
    workplace_require(inet_pton(is_v6 ? AF_INET6 : AF_INET, source, at) == 1 &&
                          inet_pton(is_v6 ? AF_INET6 : AF_INET, destination, at + ip) == 1,
                      "no addresses of one family: %s, %s", source, destination);
    at += 2 * ip;
    *at++ = (unsigned char)(source_port >> 8);
    *at++ = (unsigned char)source_port;
    *at++ = (unsigned char)(destination_port >> 8);
    *at++ = (unsigned char)destination_port;
    return (size_t)(at - (unsigned char *)bytes);
}
