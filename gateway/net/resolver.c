#include "net/resolver.h"

#include "base/check.h"
#include "net/dns_channel.h"

#include <arpa/nameser.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    STARTS_A_TURN = 32, /* look-ups: each may read the hosts file */
    LOOK_AT_CONF_MS = 1000,
    DNS_PORT = 53,
};

enum lookup_kind { LOOKUP_ADDRESSES, LOOKUP_SERVICE };

enum lookup_state {
    LOOKUP_WAITING, /* in the resolver's list */
    LOOKUP_OUT,     /* c-ares has it */
    LOOKUP_DONE,
};

struct lookup {
    struct list_node node; /* WAITING */
    struct resolver *resolver;
    struct task *task; /* NULL: nobody asks any more, it goes when c-ares lets go of it */
    enum lookup_kind kind;
    enum lookup_state state;
    uint16_t port;
    struct lookup_answer answer;
    struct address *addresses; /* RESOLVER_ADDRESSES_MAX; NULL: none was found */
    struct srv_answer *service;
    char name[HOST_NAME_SIZE];
};

/* By which another resolv.conf is told from the one that was read. */
struct conf_stamp {
    struct timespec changed;
    uint64_t inode, bytes;
};

struct resolver {
    struct loop *loop;
    struct resolver_options options;
    struct task task;            /* starts those that wait */
    struct dns_channel *channel; /* NULL: none was needed yet, or there was no memory */
    struct list waiting;
    unsigned out_count;
    struct address *servers;
    size_t server_count; /* 0: those of resolv.conf */
    struct conf_stamp conf;
    uint64_t conf_seen_ms; /* 0: never */
};

/* --- the state of a look-up ---------------------------------------------------------------- */

static void set_state(struct lookup *lookup, enum lookup_state state)
{
    struct resolver *resolver = lookup->resolver;

    if (lookup->state == LOOKUP_OUT)
        resolver->out_count--;
    lookup->state = state;
    switch (state) {
    case LOOKUP_WAITING: list_push_back(&resolver->waiting, &lookup->node); break;
    case LOOKUP_OUT: resolver->out_count++; break;
    case LOOKUP_DONE:
        if (lookup->task != NULL)
            loop_wake(resolver->loop, lookup->task);
        break;
    }
    if (!list_is_empty(&resolver->waiting))
        loop_wake(resolver->loop, &resolver->task);
}

static void free_lookup(struct lookup *lookup)
{
    free(lookup->addresses);
    free(lookup->service);
    free(lookup);
}

static void finish(struct lookup *lookup, enum lookup_outcome outcome, const char *reason)
{
    lookup->answer.outcome = outcome;
    lookup->answer.reason = reason;
    set_state(lookup, LOOKUP_DONE);
}

static const char *failure_of(int status)
{
    switch (status) {
    case ARES_ETIMEOUT: return "no name server answers in time";
    case ARES_ECONNREFUSED: /* which c-ares says of servers that fail, too */
    case ARES_ESERVFAIL:
    case ARES_EREFUSED:
    case ARES_ENOTIMP: return "no name server can be reached, or those that can fail or refuse";
    case ARES_EBADRESP: return "the answer of the name server makes no sense";
    case ARES_ENOMEM: return "there is no memory for the answer";
    default: return ares_strerror(status);
    }
}

/* By what c-ares says of an answer without anything that was asked for. */
static void finish_empty(struct lookup *lookup, int status)
{
    bool is_service = lookup->kind == LOOKUP_SERVICE;

    if (status == ARES_ENOTFOUND)
        finish(lookup, LOOKUP_ABSENT, "the name does not exist");
    else if (status == ARES_ENODATA || status == ARES_SUCCESS)
        finish(lookup, LOOKUP_ABSENT,
               is_service ? "the name has no server (SRV)" : "the name has no address");
    else
        finish(lookup, LOOKUP_FAILED, failure_of(status));
}

/* c-ares has let go of it. False: there is no answer to look at. */
static bool is_answered(struct lookup *lookup, int status)
{
    if (lookup->task == NULL) {
        set_state(lookup, LOOKUP_DONE);
        free_lookup(lookup);
        return false;
    }
    if (status == ARES_EDESTRUCTION) /* other servers are to be asked */
        set_state(lookup, LOOKUP_WAITING);
    return status != ARES_EDESTRUCTION;
}

/* --- addresses ----------------------------------------------------------------------------- */

static void finish_addresses(struct lookup *lookup, uint32_t ttl_s)
{
    lookup->answer.ttl_s = ttl_s;
    lookup->answer.addresses = lookup->addresses;
    finish(lookup, LOOKUP_FOUND, NULL);
}

static void add_address(struct lookup *lookup, const void *socket_address, size_t length)
{
    struct address *address;

    if (lookup->addresses == NULL)
        lookup->addresses = memory_array(RESOLVER_ADDRESSES_MAX, sizeof(*lookup->addresses));
    if (lookup->answer.count == RESOLVER_ADDRESSES_MAX || length > sizeof(address->as))
        return;
    address = &lookup->addresses[lookup->answer.count++];
    address->length = (socklen_t)length;
    memcpy(&address->as, socket_address, length);
    address_set_port(address, lookup->port);
}

static void add_v4(struct lookup *lookup, const void *ip)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    memcpy(&v4.sin_addr, ip, sizeof(v4.sin_addr));
    add_address(lookup, &v4, sizeof(v4));
}

static void add_v6(struct lookup *lookup, const void *ip)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    memcpy(&v6.sin6_addr, ip, sizeof(v6.sin6_addr));
    add_address(lookup, &v6, sizeof(v6));
}

static uint32_t least_ttl(uint32_t least_s, int ttl_s)
{
    uint32_t own_s = ttl_s > 0 ? (uint32_t)ttl_s : 0; /* RFC 2181 section 8 */
    return own_s < least_s ? own_s : least_s;
}

static void take_addresses(void *owner, int status, int timeouts, struct ares_addrinfo *found)
{
    struct lookup *lookup = owner;
    uint32_t ttl_s = LOOKUP_TTL_NONE;

    (void)timeouts;
    if (is_answered(lookup, status)) {
        const struct ares_addrinfo_node *node = found != NULL ? found->nodes : NULL;
        const struct ares_addrinfo_cname *alias = found != NULL ? found->cnames : NULL;
        for (; node != NULL; node = node->ai_next) {
            add_address(lookup, node->ai_addr, node->ai_addrlen);
            ttl_s = least_ttl(ttl_s, node->ai_ttl);
        }
        for (; alias != NULL; alias = alias->next)
            ttl_s = least_ttl(ttl_s, alias->ttl);
        if (lookup->answer.count > 0)
            finish_addresses(lookup, ttl_s);
        else
            finish_empty(lookup, status);
    }
    if (found != NULL)
        ares_freeaddrinfo(found);
}

/* --- what needs no server ------------------------------------------------------------------ */

/* RFC 6761 section 6.3: these mean this machine, whatever name servers think. */
static bool is_localhost(struct slice name)
{
    return slice_equal(name, slice_of("localhost")) ||
           slice_ends_with(name, slice_of(".localhost"));
}

static void add_hosts_entries(struct lookup *lookup, const char *name, int family)
{
    struct hostent *found = NULL;
    ares_channel ares = dns_channel_ares(lookup->resolver->channel);

    if (ares_gethostbyname_file(ares, name, family, &found) != ARES_SUCCESS)
        return;
    for (char **ip = found->h_addr_list; *ip != NULL; ip++) {
        if (family == AF_INET6)
            add_v6(lookup, *ip);
        else
            add_v4(lookup, *ip);
    }
    ares_free_hostent(found);
}

/* The name is an address, stands in the hosts file, or means this machine. */
static bool find_here(struct lookup *lookup)
{
    const struct in_addr loopback = {.s_addr = htonl(INADDR_LOOPBACK)};
    struct slice name = slice_of(lookup->name);
    char plain[HOST_NAME_SIZE];
    struct address literal;

    if (name.len > 0 && name.at[name.len - 1] == '.')
        name.len--;
    if (address_parse_ip(name, lookup->port, &literal)) {
        add_address(lookup, &literal.as, literal.length);
        return true;
    }
    slice_copy_text(name, plain, sizeof(plain));
    add_hosts_entries(lookup, plain, AF_INET6);
    add_hosts_entries(lookup, plain, AF_INET);
    if (lookup->answer.count == 0 && is_localhost(name)) {
        add_v6(lookup, &in6addr_loopback);
        add_v4(lookup, &loopback);
    }
    return lookup->answer.count > 0;
}

/* --- services ------------------------------------------------------------------------------ */

static void take_service(void *owner, int status, int timeouts, unsigned char *message, int length)
{
    struct lookup *lookup = owner;

    (void)timeouts;
    if (!is_answered(lookup, status))
        return;
    if (status == ARES_SUCCESS) {
        lookup->service = memory_new(sizeof(*lookup->service));
        if (!srv_answer_read(message, (size_t)length, lookup->service))
            status = ARES_EBADRESP;
    }
    if (status != ARES_SUCCESS || lookup->service->count == 0) {
        finish_empty(lookup, status);
        return;
    }
    lookup->answer.ttl_s = lookup->service->ttl_s;
    lookup->answer.targets = lookup->service->targets;
    lookup->answer.count = lookup->service->count;
    finish(lookup, LOOKUP_FOUND, NULL);
}

/* --- asking -------------------------------------------------------------------------------- */

static void start_lookup(struct lookup *lookup)
{
    static const struct ares_addrinfo_hints both_families = {.ai_family = AF_UNSPEC,
                                                             .ai_socktype = SOCK_STREAM};
    struct resolver *resolver = lookup->resolver;

    list_remove(&lookup->node);
    if (resolver->channel == NULL) {
        finish(lookup, LOOKUP_FAILED, "there is no memory to ask with");
        return;
    }
    if (lookup->kind == LOOKUP_ADDRESSES && find_here(lookup)) {
        finish_addresses(lookup, LOOKUP_TTL_NONE);
        return;
    }
    set_state(lookup, LOOKUP_OUT);
    ares_channel ares = dns_channel_ares(resolver->channel);
    if (lookup->kind == LOOKUP_ADDRESSES)
        ares_getaddrinfo(ares, lookup->name, NULL, &both_families, take_addresses, lookup);
    else
        ares_search(ares, lookup->name, ns_c_in, ns_t_srv, take_service, lookup);
}

/* c-ares cannot change its servers while questions are out: they come back into the list. */
static void renew_channel(struct resolver *resolver)
{
    const struct dns_channel_options options = {
        .resolv_conf = resolver->options.resolv_conf,
        .port = resolver->options.port,
        .timeout_ms = resolver->options.timeout_ms,
        .servers = resolver->servers,
        .server_count = resolver->server_count,
    };

    dns_channel_free(resolver->channel);
    resolver->channel = dns_channel_new(resolver->loop, &options);
}

static void follow_conf(struct resolver *resolver)
{
    const char *path = resolver->options.resolv_conf;
    uint64_t now_ms = loop_now_ms(resolver->loop);
    struct conf_stamp stamp = {0};
    struct stat status;

    if (resolver->conf_seen_ms != 0 && now_ms - resolver->conf_seen_ms < LOOK_AT_CONF_MS)
        return;
    resolver->conf_seen_ms = now_ms;
    if (stat(path != NULL ? path : "/etc/resolv.conf", &status) == 0)
        stamp = (struct conf_stamp){
            .changed = status.st_mtim, .inode = status.st_ino, .bytes = (uint64_t)status.st_size};
    if (resolver->channel != NULL && memcmp(&stamp, &resolver->conf, sizeof(stamp)) == 0)
        return;
    resolver->conf = stamp;
    renew_channel(resolver);
}

/* The task: some look-ups wait. Each that is started calls for another turn while others do. */
static void start_waiting(void *owner)
{
    struct resolver *resolver = owner;

    follow_conf(resolver);
    for (int i = 0; i < STARTS_A_TURN && resolver->out_count < RESOLVER_OUT_MAX &&
                    !list_is_empty(&resolver->waiting);
         i++)
        start_lookup(container_of(list_first(&resolver->waiting), struct lookup, node));
    if (resolver->channel != NULL)
        dns_channel_asked(resolver->channel);
}

/* --- the resolver -------------------------------------------------------------------------- */

struct resolver *resolver_new(struct loop *loop, const struct resolver_options *options)
{
    struct resolver *resolver = memory_new(sizeof(*resolver));

    ares_library_init(ARES_LIB_INIT_ALL);
    resolver->loop = loop;
    if (options != NULL)
        resolver->options = *options;
    if (resolver->options.port == 0)
        resolver->options.port = DNS_PORT;
    if (resolver->options.timeout_ms == 0)
        resolver->options.timeout_ms = RESOLVER_TIMEOUT_MS;
    list_init(&resolver->waiting);
    task_init(&resolver->task, start_waiting, resolver);
    return resolver;
}

static void free_resolver(void *owner)
{
    struct resolver *resolver = owner;
    free(resolver->servers);
    free(resolver);
}

void resolver_free(struct resolver *resolver)
{
    if (resolver == NULL)
        return;
    dns_channel_free(resolver->channel);
    assert(list_is_empty(&resolver->waiting) && resolver->out_count == 0);
    ares_library_cleanup();
    loop_bury(resolver->loop, &resolver->task, free_resolver);
}

static bool are_asked(const struct resolver *resolver, const struct address *servers, size_t count)
{
    if (count != resolver->server_count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!address_equal(&servers[i], &resolver->servers[i]))
            return false;
    return true;
}

void resolver_set_servers(struct resolver *resolver, const struct address *servers, size_t count)
{
    if (are_asked(resolver, servers, count))
        return;
    free(resolver->servers);
    resolver->servers = memory_array(count + 1, sizeof(*servers));
    resolver->server_count = count;
    for (size_t i = 0; i < count; i++)
        resolver->servers[i] = servers[i];
    renew_channel(resolver);
}

/* --- one look-up --------------------------------------------------------------------------- */

static struct lookup *start(struct resolver *resolver, enum lookup_kind kind, const char *name,
                            struct task *task)
{
    struct lookup *lookup = memory_new(sizeof(*lookup));

    lookup->resolver = resolver;
    lookup->task = task;
    lookup->kind = kind;
    slice_copy_text(slice_of(name), lookup->name, sizeof(lookup->name));
    set_state(lookup, LOOKUP_WAITING);
    return lookup;
}

struct lookup *lookup_start(struct resolver *resolver, const char *name, uint16_t port,
                            struct task *task)
{
    struct lookup *lookup = start(resolver, LOOKUP_ADDRESSES, name, task);
    lookup->port = port;
    return lookup;
}

struct lookup *lookup_start_srv(struct resolver *resolver, const char *name, struct task *task)
{
    return start(resolver, LOOKUP_SERVICE, name, task);
}

enum io lookup_answer(const struct lookup *lookup, struct lookup_answer *answer)
{
    if (lookup->state != LOOKUP_DONE)
        return IO_WAIT;
    *answer = lookup->answer;
    return IO_OK;
}

void lookup_end(struct lookup *lookup)
{
    lookup->task = NULL;
    if (lookup->state == LOOKUP_OUT)
        return;
    list_remove(&lookup->node);
    free_lookup(lookup);
}
