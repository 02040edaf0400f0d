#include "net/srv_answer.h"

#include <arpa/nameser.h>
#include <resolv.h>

enum { FIXED_BYTES = 6 }; /* of a record: priority, weight, port */

static bool read_target(const ns_msg *message, const ns_rr *record, struct srv_target *target)
{
    const uint8_t *at = ns_rr_rdata(*record);
    char name[NS_MAXDNAME];

    if (ns_rr_rdlen(*record) <= FIXED_BYTES ||
        ns_name_uncompress(ns_msg_base(*message), ns_msg_end(*message), at + FIXED_BYTES, name,
                           sizeof(name)) < 0 ||
        !host_name_copy(slice_of(name), target->name))
        return false;
    target->priority = (uint16_t)ns_get16(at);
    target->weight = (uint16_t)ns_get16(at + 2);
    target->port = (uint16_t)ns_get16(at + 4);
    return target->port != 0;
}

static uint32_t least_ttl(uint32_t least_s, uint32_t ttl_s)
{
    uint32_t own_s = ttl_s <= INT32_MAX ? ttl_s : 0; /* RFC 2181 section 8 */
    return own_s < least_s ? own_s : least_s;
}

static int compare(const struct srv_target *a, const struct srv_target *b)
{
    int names = strcmp(a->name, b->name);

    if (a->priority != b->priority)
        return a->priority < b->priority ? -1 : 1;
    return names != 0 ? names : a->port - b->port;
}

/* Where it belongs; once there is no more room, the last one falls out. */
static void add_target(struct srv_answer *answer, const struct srv_target *target)
{
    unsigned at = answer->count;

    while (at > 0 && compare(target, &answer->targets[at - 1]) < 0)
        at--;
    if (at == SRV_TARGETS_MAX)
        return;
    if (answer->count < SRV_TARGETS_MAX)
        answer->count++;
    memmove(&answer->targets[at + 1], &answer->targets[at],
            (answer->count - 1 - at) * sizeof(*target));
    answer->targets[at] = *target;
}

bool srv_answer_read(const uint8_t *bytes, size_t length, struct srv_answer *answer)
{
    ns_msg message;
    ns_rr record;
    struct srv_target target;

    answer->count = 0;
    answer->ttl_s = UINT32_MAX;
    if (ns_initparse(bytes, (int)length, &message) != 0)
        return false;
    for (int i = 0; i < ns_msg_count(message, ns_s_an); i++) {
        if (ns_parserr(&message, ns_s_an, i, &record) != 0)
            return false;
        if (ns_rr_class(record) != ns_c_in)
            continue;
        answer->ttl_s = least_ttl(answer->ttl_s, ns_rr_ttl(record)); /* of an alias, too */
        if (ns_rr_type(record) == ns_t_srv && read_target(&message, &record, &target))
            add_target(answer, &target);
    }
    return true;
}
