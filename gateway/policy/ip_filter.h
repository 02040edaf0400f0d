/* `allow` and `deny`: which addresses may come. The longest network that the client's address lies
 * in decides, whichever of both lists it stands in; `deny` where it stands in both. In none of
 * them: with an `allow` list it may not come, else it may. */
#ifndef POLICY_IP_FILTER_H
#define POLICY_IP_FILTER_H

#include "net/network.h"
#include "policy/policy.h"

/* POLICY_ALLOW or POLICY_DENY, with one reference. Sorts the list. */
struct policy *ip_filter_new(enum policy_kind kind, struct network *networks, unsigned count);

/* What both of them together say of a client; without either all may come. What is no IP address,
 * as of Unix sockets, is in no network. */
bool ip_filter_lets(const struct policies *policies, struct slice client_ip);

#endif
