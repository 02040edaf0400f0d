/* Networks: what operators write for many addresses at once, and which addresses they hold. */
#ifndef NET_NETWORK_H
#define NET_NETWORK_H

#include "net/address.h"

/* A CIDR block; a bare address is a block of one. */
struct network {
    uint8_t bytes[16]; /* IPv4 as IPv4-mapped IPv6 */
    uint8_t bits;      /* of 128 */
};

bool network_parse(struct slice text, struct network *network, struct error *error);
/* "10.0.0.0/8", "fd00::/8". */
void network_format(const struct network *network, char text[ADDRESS_TEXT_SIZE]);
bool network_contains(const struct network *network, const struct address *address);
/* Of IPv4 addresses; "::/0" and the like hold none of them. */
bool network_is_v4(const struct network *network);

/* An address as the 16 bytes of an IPv6 one, IPv4 as IPv4-mapped; false for Unix sockets. */
bool address_bytes(const struct address *address, uint8_t bytes[16]);
bool address_bytes_are_v4(const uint8_t bytes[16]);

#endif
