#include "net/network.h"

#include <arpa/inet.h>
#include <stdio.h>

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff}; /* ::ffff:0:0/96 */

/* For "%.*s" in messages: how much of what was written to show. */
static int shown(struct slice text)
{
    return text.len < 120 ? (int)text.len : 120;
}

bool address_bytes(const struct address *address, uint8_t bytes[16])
{
    if (address->length == 0 || address->as.any.sa_family == AF_UNIX)
        return false;
    if (address->as.any.sa_family == AF_INET6) {
        memcpy(bytes, &address->as.v6.sin6_addr, 16);
    } else {
        memcpy(bytes, mapped_prefix, sizeof(mapped_prefix));
        memcpy(bytes + sizeof(mapped_prefix), &address->as.v4.sin_addr, 4);
    }
    return true;
}

bool address_bytes_are_v4(const uint8_t bytes[16])
{
    return memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

bool network_is_v4(const struct network *network)
{
    return network->bits >= 96 && address_bytes_are_v4(network->bytes);
}

/* Clears what lies behind the first `bits`; true if anything was there. */
static bool clear_host_bits(uint8_t bytes[16], unsigned bits)
{
    bool was_set = false;
    for (unsigned i = 0; i < 16; i++) {
        unsigned kept = bits > i * 8 ? bits - i * 8 : 0;
        uint8_t mask = kept >= 8 ? 0xff : (uint8_t)(0xff00 >> kept);
        was_set = was_set || (bytes[i] & ~mask) != 0;
        bytes[i] &= mask;
    }
    return was_set;
}

bool network_parse(struct slice text, struct network *network, struct error *error)
{
    struct address address;
    ptrdiff_t slash = slice_find(text, '/');
    struct slice ip = slice_make(text.at, slash >= 0 ? (size_t)slash : text.len);
    if (!address_parse_ip(ip, 0, &address)) {
        error_set(error, "\"%.*s\" is not a network: write 10.0.0.0/8, fd00::/8 or an IP address",
                  shown(text), text.at);
        return false;
    }
    bool is_v4 = address.as.any.sa_family == AF_INET;
    uint64_t most = is_v4 ? 32 : 128, bits = most;
    if (slash >= 0 &&
        (!slice_parse_u64(slice_skip(text, (size_t)slash + 1), &bits) || bits > most)) {
        error_set(error, "\"%.*s\": behind the \"/\" is a number of bits from 0 to %u", shown(text),
                  text.at, (unsigned)most);
        return false;
    }
    network->bits = (uint8_t)(is_v4 ? bits + 96 : bits);
    address_bytes(&address, network->bytes);
    if (clear_host_bits(network->bytes, network->bits)) {
        char meant[INET6_ADDRSTRLEN];
        inet_ntop(is_v4 ? AF_INET : AF_INET6, network->bytes + (is_v4 ? 12 : 0), meant,
                  sizeof(meant));
        error_set(error, "\"%.*s\" has bits set behind the first %u: did you mean %s/%u?",
                  shown(text), text.at, (unsigned)bits, meant, (unsigned)bits);
        return false;
    }
    return true;
}

void network_format(const struct network *network, char text[ADDRESS_TEXT_SIZE])
{
    bool is_v4 = network_is_v4(network);
    char ip[INET6_ADDRSTRLEN] = "";
    inet_ntop(is_v4 ? AF_INET : AF_INET6, network->bytes + (is_v4 ? 12 : 0), ip, sizeof(ip));
    snprintf(text, ADDRESS_TEXT_SIZE, "%s/%u", ip, is_v4 ? network->bits - 96u : network->bits);
}

bool network_contains(const struct network *network, const struct address *address)
{
    uint8_t bytes[16];
    if (!address_bytes(address, bytes))
        return false;
    /* "::/0" stands for IPv6: mapped IPv4 addresses are no part of it. */
    if (network->bits < 96 && address_bytes_are_v4(bytes))
        return false;
    clear_host_bits(bytes, network->bits);
    return memcmp(bytes, network->bytes, sizeof(bytes)) == 0;
}
