#include "proxy/admission.h"

#include "base/check.h"
#include "net/descriptors.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Nobody has been refused for so long: it is over, and the next one will be told of again. */
enum { QUIET_MS = 5000 };

enum { FLOODS_TOLD_EVERY_MS = 60 * 1000 };

/* Told once when it begins and once when it is over, however many are refused. */
struct overload {
    atomic_bool is_told;
    _Atomic uint64_t last_ms;
    _Atomic uint64_t refused; /* since it began */
};

struct admission {
    _Alignas(64) atomic_uint connections;
    _Alignas(64) atomic_uint handshakes;
    _Alignas(64) atomic_uint requests; /* beyond the first of their connections */
    _Alignas(64) atomic_uint told;     /* overloads that are */
    struct address_counts *addresses;
    _Atomic uint64_t flood_told_ms; /* 0: none was */
    struct overload overloads[REFUSAL_COUNT];
};

/* --- counts --------------------------------------------------------------------------------------
 */

/* Never above `limit` (0: none), not even for a moment: nobody is refused because of one who is
 * refused as well. */
static bool take(atomic_uint *count, uint32_t limit)
{
    unsigned seen = atomic_load_explicit(count, memory_order_relaxed);
    do {
        if (limit > 0 && seen >= limit)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(count, &seen, seen + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static void give_back(atomic_uint *count)
{
    unsigned before = atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
    assert(before > 0);
}

/* --- events --------------------------------------------------------------------------------------
 */

static void tell_refusals(const struct client_limits *limits, enum refusal refusal,
                          const struct address *peer)
{
    static const char event[] = "clients_refused";
    char text[ADDRESS_TEXT_SIZE] = "one address";
    switch (refusal) {
    case REFUSAL_CONNECTIONS:
        log_event(LOG_WARN, event,
                  "no more than %u connections at once are let in, newer ones are refused: raise "
                  "defaults.limits.connections if all of them are wanted",
                  limits->connections);
        break;
    case REFUSAL_CONNECTIONS_PER_IP:
        if (peer != NULL)
            address_format_ip(peer, text);
        log_event(LOG_WARN, event,
                  "no more than %u connections of %s are let in, newer ones are refused: raise "
                  "defaults.limits.connections_per_ip if it stands for many",
                  limits->connections_per_ip, text);
        break;
    case REFUSAL_HANDSHAKES:
        log_event(
            LOG_WARN, event,
            "no more than %u handshakes at once are let in, newer connections are refused: raise "
            "defaults.limits.handshakes, or lower defaults.timeout.handshake if clients "
            "leave them undone",
            limits->handshakes);
        break;
    case REFUSAL_DESCRIPTORS:
        log_event(LOG_WARN, event,
                  "the limit on open files, %u, is nearly reached, what comes now is refused: "
                  "raise it (ulimit -n, LimitNOFILE=), or set defaults.limits.connections_per_ip",
                  descriptors_limit());
        break;
    case REFUSAL_MEMORY:
        log_event(LOG_WARN, event,
                  "there is no memory for another connection, newer ones are refused: set "
                  "defaults.limits.connections to what the machine can hold");
        break;
    case REFUSAL_NONE:
    case REFUSAL_COUNT: assert(!"no refusal");
    }
}

void admission_note_refusal(struct admission *a, const struct client_limits *limits,
                            enum refusal refusal, const struct arrival *arrival)
{
    struct overload *overload = &a->overloads[refusal];
    atomic_store(&overload->last_ms, arrival->now_ms);
    atomic_fetch_add(&overload->refused, 1);
    if (atomic_exchange(&overload->is_told, true))
        return;
    atomic_fetch_add(&a->told, 1);
    tell_refusals(limits, refusal, arrival->peer);
}

void admission_note_flood(struct admission *a, const struct address *peer, uint64_t now_ms)
{
    uint64_t told_ms = atomic_load(&a->flood_told_ms);
    char text[ADDRESS_TEXT_SIZE];
    if (told_ms != 0 && now_ms < told_ms + FLOODS_TOLD_EVERY_MS)
        return;
    if (!atomic_compare_exchange_strong(&a->flood_told_ms, &told_ms, now_ms))
        return;
    address_format_ip(peer, text);
    log_event(LOG_WARN, "http2_flood",
              "a connection of %s was ended, which made work for nothing; "
              "http2_connections_ended_total counts them, defaults.limits.connections_per_ip "
              "bounds how many one address has",
              text);
}

/* Somebody was let in: is it over? */
static void note_entry(struct admission *a, uint64_t now_ms)
{
    static const char *const over[REFUSAL_COUNT] = {
        [REFUSAL_CONNECTIONS] = "limits.connections",
        [REFUSAL_CONNECTIONS_PER_IP] = "limits.connections_per_ip",
        [REFUSAL_HANDSHAKES] = "limits.handshakes",
        [REFUSAL_DESCRIPTORS] = "want of file descriptors",
        [REFUSAL_MEMORY] = "want of memory"};
    if (atomic_load_explicit(&a->told, memory_order_relaxed) == 0)
        return;
    for (enum refusal refusal = REFUSAL_NONE + 1; refusal < REFUSAL_COUNT; refusal++) {
        struct overload *overload = &a->overloads[refusal];
        bool is_over =
            atomic_load(&overload->is_told) && now_ms >= atomic_load(&overload->last_ms) + QUIET_MS;
        if (!is_over || !atomic_exchange(&overload->is_told, false))
            continue;
        atomic_fetch_sub(&a->told, 1);
        log_event(LOG_INFO, "clients_admitted",
                  "nobody is refused any more for %s; %llu connections were", over[refusal],
                  (unsigned long long)atomic_exchange(&overload->refused, 0));
    }
}

/* --- in and out ----------------------------------------------------------------------------------
 */

static enum refusal charge(struct admission *a, const struct client_limits *limits,
                           const struct address *peer, struct admission_pass *pass)
{
    const struct address_key key = address_key_of(peer);
    assert(pass->address.family == 0);
    if (key.family == 0)
        return REFUSAL_NONE;
    switch (address_counts_add(a->addresses, &key, limits->connections_per_ip)) {
    case ADDRESS_AT_LIMIT: return REFUSAL_CONNECTIONS_PER_IP;
    case ADDRESS_NO_MEMORY: return REFUSAL_MEMORY;
    case ADDRESS_COUNTED: break;
    }
    pass->address = key;
    return REFUSAL_NONE;
}

static enum refusal take_handshake(struct admission *a, const struct client_limits *limits,
                                   struct admission_pass *pass)
{
    pass->is_handshake = take(&a->handshakes, limits->handshakes);
    return pass->is_handshake ? REFUSAL_NONE : REFUSAL_HANDSHAKES;
}

static enum refusal take_connection(struct admission *a, const struct client_limits *limits, int fd,
                                    struct admission_pass *pass)
{
    uint32_t most = descriptors_for_clients();
    bool is_ours = limits->connections > 0 && limits->connections <= most;
    if (descriptor_is_reserve(fd))
        return REFUSAL_DESCRIPTORS;
    pass->is_connection = take(&a->connections, is_ours ? limits->connections : most);
    if (pass->is_connection)
        return REFUSAL_NONE;
    return is_ours ? REFUSAL_CONNECTIONS : REFUSAL_DESCRIPTORS;
}

enum refusal admission_enter(struct admission *a, const struct client_limits *limits,
                             const struct arrival *arrival, struct admission_pass *pass)
{
    enum refusal refusal = REFUSAL_NONE;
    *pass = (struct admission_pass){0};
    if (arrival->peer != NULL)
        refusal = charge(a, limits, arrival->peer, pass);
    if (refusal == REFUSAL_NONE && arrival->shakes_hands)
        refusal = take_handshake(a, limits, pass);
    if (refusal == REFUSAL_NONE)
        refusal = take_connection(a, limits, arrival->fd, pass);
    if (refusal == REFUSAL_NONE) {
        note_entry(a, arrival->now_ms);
        return REFUSAL_NONE;
    }
    admission_leave(a, pass);
    admission_note_refusal(a, limits, refusal, arrival);
    return refusal;
}

enum refusal admission_charge(struct admission *a, const struct client_limits *limits,
                              const struct address *peer, uint64_t now_ms,
                              struct admission_pass *pass)
{
    enum refusal refusal = charge(a, limits, peer, pass);
    if (refusal != REFUSAL_NONE)
        admission_note_refusal(a, limits, refusal,
                               &(struct arrival){.peer = peer, .now_ms = now_ms});
    return refusal;
}

bool admission_enter_request(struct admission *a, const struct client_limits *limits,
                             const struct address *peer, uint64_t now_ms)
{
    unsigned connections = admission_connections(a), most = descriptors_for_clients();
    if (connections < most && take(&a->requests, most - connections))
        return true;
    admission_note_refusal(a, limits, REFUSAL_DESCRIPTORS,
                           &(struct arrival){.peer = peer, .now_ms = now_ms});
    return false;
}

void admission_leave_requests(struct admission *a, unsigned count)
{
    unsigned before = atomic_fetch_sub_explicit(&a->requests, count, memory_order_relaxed);
    assert(before >= count);
}

void admission_end_handshake(struct admission *a, struct admission_pass *pass)
{
    if (pass->is_handshake)
        give_back(&a->handshakes);
    pass->is_handshake = false;
}

void admission_leave(struct admission *a, struct admission_pass *pass)
{
    admission_end_handshake(a, pass);
    if (pass->is_connection)
        give_back(&a->connections);
    if (pass->address.family != 0)
        address_counts_remove(a->addresses, &pass->address);
    *pass = (struct admission_pass){0};
}

/* --- the whole -----------------------------------------------------------------------------------
 */

struct admission *admission_new(void)
{
    struct admission *a = aligned_alloc(64, sizeof(*a));
    if (a == NULL)
        return NULL;
    memset(a, 0, sizeof(*a));
    a->addresses = address_counts_new();
    if (a->addresses != NULL)
        return a;
    free(a);
    return NULL;
}

void admission_free(struct admission *a)
{
    if (a == NULL)
        return;
    assert(a->connections == 0 && a->handshakes == 0 && a->requests == 0);
    address_counts_free(a->addresses);
    free(a);
}

unsigned admission_connections(const struct admission *a)
{
    return atomic_load_explicit(&a->connections, memory_order_relaxed);
}

unsigned admission_handshakes(const struct admission *a)
{
    return atomic_load_explicit(&a->handshakes, memory_order_relaxed);
}

unsigned admission_requests(const struct admission *a)
{
    return atomic_load_explicit(&a->requests, memory_order_relaxed);
}

size_t admission_addresses(const struct admission *a)
{
    return address_counts_known(a->addresses);
}
