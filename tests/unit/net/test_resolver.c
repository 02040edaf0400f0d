/* Names and services are looked up on the loop, at servers that behave in every way. */
#include "net/resolver.h"
#include "support/dns_server.h"
#include "support/loopback.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 30 * 1000,
    HASTE_MS = 50, /* a try at a server that is silent */
};

struct fixture {
    struct loop *loop;
    struct resolver *resolver;
    struct dns_server *server;
    char conf[64]; /* a resolv.conf that names one server, without a port */
    const struct lookup *awaited;
    struct task task;
    struct deadline deadline;
};

/* What the last look-up brought, as text. */
static char got[8192];
static struct lookup_answer answer;

static void see(void *owner)
{
    struct fixture *f = owner;
    cr_assert_not(deadline_passed(f->loop, &f->deadline), "nothing answers");
    if (f->awaited == NULL || lookup_answer(f->awaited, &answer) != IO_WAIT)
        loop_stop(f->loop);
}

static void write_conf(const struct fixture *f, const char *text)
{
    char fresh[80];
    snprintf(fresh, sizeof(fresh), "%s.new", f->conf);
    FILE *file = fopen(fresh, "w");
    cr_assert(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
    cr_assert_eq(rename(fresh, f->conf), 0);
}

static void open_resolver(struct fixture *f, unsigned timeout_ms)
{
    f->resolver =
        resolver_new(f->loop, &(struct resolver_options){.resolv_conf = f->conf,
                                                         .port = dns_server_port(f->server),
                                                         .timeout_ms = timeout_ms});
}

/* The server is what the resolv.conf names. */
static void begin(struct fixture *f, const char *more_conf, unsigned timeout_ms)
{
    char conf[256];
    *f = (struct fixture){.loop = loop_new(), .server = dns_server_start()};
    snprintf(f->conf, sizeof(f->conf), "/tmp/resolv-XXXXXX");
    close(mkstemp(f->conf));
    snprintf(conf, sizeof(conf), "nameserver 127.0.0.1\n%s", more_conf);
    write_conf(f, conf);
    open_resolver(f, timeout_ms);
    task_init(&f->task, see, f);
    deadline_init(&f->deadline, &f->task);
    deadline_set(f->loop, &f->deadline, PATIENCE_MS);
}

static void end(struct fixture *f)
{
    deadline_clear(&f->deadline);
    resolver_free(f->resolver);
    loop_free(f->loop);
    dns_server_stop(f->server);
    unlink(f->conf);
}

static void set_servers(struct fixture *f, const struct dns_server *first,
                        const struct dns_server *second)
{
    struct address servers[2];
    struct error error;
    cr_assert(name_server_parse(slice_of(dns_server_address(first)), &servers[0], &error));
    if (second != NULL)
        cr_assert(name_server_parse(slice_of(dns_server_address(second)), &servers[1], &error));
    resolver_set_servers(f->resolver, servers, second != NULL ? 2 : 1);
}

static void print_answer(void)
{
    size_t used = 0;
    got[0] = '\0';
    if (answer.outcome != LOOKUP_FOUND) {
        snprintf(got, sizeof(got), "%s: %s", answer.outcome == LOOKUP_ABSENT ? "absent" : "failed",
                 answer.reason);
        return;
    }
    cr_assert_null(answer.reason);
    for (unsigned i = 0; i < answer.count; i++) {
        char text[ADDRESS_TEXT_SIZE];
        const struct srv_target *target = answer.targets != NULL ? &answer.targets[i] : NULL;
        if (target == NULL)
            address_format(&answer.addresses[i], text);
        used += (size_t)(target != NULL ? snprintf(got + used, sizeof(got) - used, "%s:%u %u/%u, ",
                                                   target->name, target->port, target->priority,
                                                   target->weight)
                                        : snprintf(got + used, sizeof(got) - used, "%s, ", text));
        cr_assert_lt(used, sizeof(got));
    }
    if (answer.ttl_s == LOOKUP_TTL_NONE)
        snprintf(got + used, sizeof(got) - used, "no ttl");
    else
        snprintf(got + used, sizeof(got) - used, "ttl %u", answer.ttl_s);
}

static void await(struct fixture *f, const struct lookup *lookup)
{
    f->awaited = lookup;
    if (lookup_answer(lookup, &answer) == IO_WAIT)
        loop_run(f->loop);
    print_answer();
}

static void expect(struct fixture *f, struct lookup *lookup, const char *name, const char *expected)
{
    await(f, lookup);
    cr_expect_str_eq(got, expected, "%s: got \"%s\", expected \"%s\"", name, got, expected);
    lookup_end(lookup);
}

static void expect_name(struct fixture *f, const char *name, const char *expected)
{
    expect(f, lookup_start(f->resolver, name, 80, &f->task), name, expected);
}

static void expect_service(struct fixture *f, const char *name, const char *expected)
{
    expect(f, lookup_start_srv(f->resolver, name, &f->task), name, expected);
}

#define NOTHING "failed: no name server answers in time"
#define FAILING "failed: no name server can be reached, or those that can fail or refuse"

/* --- answers ------------------------------------------------------------------------------- */

Test(resolver, both_families_the_port_and_the_least_ttl)
{
    struct fixture f;
    begin(&f, "", 0);
    dns_server_add_a(f.server, "v4.test", 300, "10.0.0.1");
    dns_server_add_aaaa(f.server, "v6.test", 60, "fd00::1");
    dns_server_add_a(f.server, "both.test", 300, "127.0.0.1");
    dns_server_add_a(f.server, "both.test", 20, "127.0.0.1");
    dns_server_add_aaaa(f.server, "both.test", 30, "::1");
    dns_server_add_a(f.server, "now.test", 0, "10.0.0.2");
    dns_server_add_a(f.server, "long.test", 0x80000000, "10.0.0.3");
    dns_server_add_cname(f.server, "alias.test", 7, "v4.test");
    expect_name(&f, "v4.test", "10.0.0.1:80, ttl 300");
    expect_name(&f, "v6.test", "[fd00::1]:80, ttl 60");
    expect_name(&f, "both.test", "[::1]:80, 127.0.0.1:80, 127.0.0.1:80, ttl 20");
    expect_name(&f, "now.test", "10.0.0.2:80, ttl 0");
    expect_name(&f, "long.test", "10.0.0.3:80, ttl 0");
    expect_name(&f, "alias.test", "10.0.0.1:80, ttl 7");
    cr_expect_eq(dns_server_questions(f.server, "both.test", DNS_A), 1);
    cr_expect_eq(dns_server_questions(f.server, "both.test", DNS_AAAA), 1);
    end(&f);
}

Test(resolver, a_name_that_is_not_there_is_no_failure)
{
    struct fixture f;
    begin(&f, "", 0);
    dns_server_add_srv(f.server, "other.test", 60, 0, 0, 1, "x.test");
    expect_name(&f, "gone.test", "absent: the name does not exist");
    expect_name(&f, "other.test", "absent: the name has no address");
    dns_server_add_a(f.server, "gone.test", 1, "10.0.0.1");
    expect_name(&f, "gone.test", "10.0.0.1:80, ttl 1");
    dns_server_forget(f.server, "gone.test");
    expect_name(&f, "gone.test", "absent: the name does not exist");
    end(&f);
}

Test(resolver, failures_are_told_from_absence)
{
    struct fixture f;
    begin(&f, "", HASTE_MS);
    dns_server_add_a(f.server, "a.test", 60, "10.0.0.1");
    dns_server_behave(f.server, DNS_ANY_TYPE, DNS_SERVFAIL);
    expect_name(&f, "a.test", FAILING);
    dns_server_behave(f.server, DNS_ANY_TYPE, DNS_REFUSED);
    expect_name(&f, "a.test", FAILING);
    dns_server_behave(f.server, DNS_ANY_TYPE, DNS_SILENT);
    expect_name(&f, "a.test", NOTHING);
    dns_server_behave(f.server, DNS_ANY_TYPE, DNS_ANSWERS);
    expect_name(&f, "a.test", "10.0.0.1:80, ttl 60");
    end(&f);
}

/* Whichever of the two questions is answered last. */
Test(resolver, one_family_that_fails_is_not_the_absence_of_both)
{
    static const enum dns_type failing[] = {DNS_A, DNS_AAAA, DNS_A, DNS_AAAA};
    struct fixture f;
    begin(&f, "", HASTE_MS);
    dns_server_add_srv(f.server, "a.test", 60, 0, 0, 1, "x.test");
    for (int i = 0; i < 4; i++) {
        dns_server_behave(f.server, DNS_ANY_TYPE, DNS_ANSWERS);
        dns_server_behave(f.server, failing[i], DNS_SERVFAIL);
        expect_name(&f, "a.test", FAILING);
    }
    end(&f);
}

Test(resolver, one_family_is_enough)
{
    struct fixture f;
    begin(&f, "", HASTE_MS);
    dns_server_add_a(f.server, "a.test", 60, "10.0.0.1");
    dns_server_behave(f.server, DNS_AAAA, DNS_SILENT);
    expect_name(&f, "a.test", "10.0.0.1:80, ttl 60");
    dns_server_behave(f.server, DNS_AAAA, DNS_SERVFAIL);
    expect_name(&f, "a.test", "10.0.0.1:80, ttl 60");
    end(&f);
}

Test(resolver, more_addresses_than_are_taken)
{
    struct fixture f;
    begin(&f, "", 0);
    for (int i = 0; i < 100; i++) {
        char ip[32];
        snprintf(ip, sizeof(ip), "10.0.1.%d", i);
        dns_server_add_a(f.server, "many.test", 60, ip);
    }
    struct lookup *lookup = lookup_start(f.resolver, "many.test", 80, &f.task);
    await(&f, lookup);
    cr_expect_eq(answer.count, RESOLVER_ADDRESSES_MAX);
    cr_expect_gt(dns_server_tcp_questions(f.server), 0);
    lookup_end(lookup);
    end(&f);
}

/* --- what needs no server ------------------------------------------------------------------- */

Test(resolver, localhost_needs_nobody)
{
    static const char *const names[] = {"localhost", "localhost.", "api.localhost",
                                        "a.b.localhost."};
    struct fixture f;
    begin(&f, "search example.test\n", 0);
    dns_server_behave(f.server, DNS_ANY_TYPE, DNS_SILENT);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct lookup *lookup = lookup_start(f.resolver, names[i], 8080, &f.task);
        await(&f, lookup);
        cr_assert_eq(answer.outcome, LOOKUP_FOUND);
        cr_assert_geq(answer.count, 1);
        cr_expect_eq(answer.ttl_s, LOOKUP_TTL_NONE);
        for (unsigned a = 0; a < answer.count; a++) {
            char text[ADDRESS_TEXT_SIZE];
            address_format_ip(&answer.addresses[a], text);
            cr_expect(slice_starts_with(slice_of(text), slice_of("127.")) ||
                          strcmp(text, "::1") == 0,
                      "%s", text);
            cr_expect_eq(address_port(&answer.addresses[a]), 8080);
        }
        lookup_end(lookup);
    }
    cr_expect_eq(dns_server_questions(f.server, NULL, DNS_ANY_TYPE), 0);
    end(&f);
}

Test(resolver, below_localhost_both_families_are_tried)
{
    struct fixture f;
    begin(&f, "", 0);
    expect_name(&f, "no-hosts-file-has-this.localhost", "[::1]:80, 127.0.0.1:80, no ttl");
    end(&f);
}

Test(resolver, addresses_are_their_own_answer)
{
    struct fixture f;
    begin(&f, "", 0);
    expect_name(&f, "10.1.2.3", "10.1.2.3:80, no ttl");
    expect_name(&f, "fd00::7", "[fd00::7]:80, no ttl");
    cr_expect_eq(dns_server_questions(f.server, NULL, DNS_ANY_TYPE), 0);
    end(&f);
}

/* The first line of this machine's file that is not about localhost, with an IPv4 address. */
static bool find_hosts_entry(char name[128], char ip[64])
{
    FILE *file = fopen("/etc/hosts", "r");
    char line[512];
    bool is_found = false;
    while (file != NULL && !is_found && fgets(line, sizeof(line), file) != NULL)
        is_found = sscanf(line, "%63[0-9.] %127s", ip, name) == 2 && strcmp(name, "localhost") != 0;
    if (file != NULL)
        fclose(file);
    return is_found;
}

Test(resolver, hosts_file_comes_before_dns)
{
    char name[128], ip[64], expected[128];
    struct fixture f;
    if (!find_hosts_entry(name, ip))
        cr_skip_test("/etc/hosts has no names");
    begin(&f, "", 0);
    dns_server_add_a(f.server, name, 60, "10.9.9.9");
    struct lookup *lookup = lookup_start(f.resolver, name, 80, &f.task);
    await(&f, lookup);
    snprintf(expected, sizeof(expected), "%s:80, ", ip);
    cr_expect(strstr(got, expected), "%s", got);
    cr_expect_eq(answer.ttl_s, LOOKUP_TTL_NONE);
    cr_expect_eq(dns_server_questions(f.server, NULL, DNS_ANY_TYPE), 0);
    lookup_end(lookup);
    end(&f);
}

/* --- search lists --------------------------------------------------------------------------- */

Test(resolver, search_list_and_ndots_of_resolv_conf)
{
    struct fixture f;
    begin(&f, "search one.test two.test\noptions ndots:2\n", 0);
    dns_server_add_a(f.server, "web.two.test", 60, "10.0.0.2");
    dns_server_add_a(f.server, "web.one", 60, "10.0.0.3");
    dns_server_add_a(f.server, "web.one.one.test", 60, "10.0.0.4");
    dns_server_add_a(f.server, "a.b.c", 60, "10.0.0.5");
    dns_server_add_srv(f.server, "_http._tcp.two.test", 60, 1, 2, 3, "web.two.test");
    expect_name(&f, "web", "10.0.0.2:80, ttl 60");
    expect_name(&f, "web.one", "10.0.0.4:80, ttl 60");
    expect_name(&f, "web.one.", "10.0.0.3:80, ttl 60");
    expect_name(&f, "a.b.c", "10.0.0.5:80, ttl 60");
    cr_expect_eq(dns_server_questions(f.server, "a.b.c.one.test", DNS_ANY_TYPE), 0);
    expect_name(&f, "web.three.", "absent: the name does not exist");
    expect_name(&f, "nowhere", "absent: the name does not exist");
    expect_service(&f, "_http._tcp", "web.two.test:3 1/2, ttl 60");
    end(&f);
}

/* --- services ------------------------------------------------------------------------------- */

Test(resolver, services_in_order_with_the_least_ttl)
{
    struct fixture f;
    begin(&f, "", 0);
    dns_server_add_srv(f.server, "_http._tcp.a.test", 60, 20, 5, 8080, "C.test");
    dns_server_add_srv(f.server, "_http._tcp.a.test", 30, 10, 0, 81, "b.test");
    dns_server_add_srv(f.server, "_http._tcp.a.test", 90, 10, 7, 80, "b.test");
    dns_server_add_srv(f.server, "_http._tcp.a.test", 90, 10, 1, 82, "a.test");
    expect_service(&f, "_http._tcp.a.test",
                   "a.test:82 10/1, b.test:80 10/7, b.test:81 10/0, c.test:8080 20/5, ttl 30");
    dns_server_add_cname(f.server, "_web._tcp.a.test", 9, "_http._tcp.a.test");
    dns_server_forget(f.server, "_http._tcp.a.test");
    dns_server_add_srv(f.server, "_http._tcp.a.test", 60, 1, 1, 1, "z.test");
    expect_service(&f, "_web._tcp.a.test", "z.test:1 1/1, ttl 9");
    end(&f);
}

Test(resolver, services_that_name_no_server)
{
    struct fixture f;
    begin(&f, "", HASTE_MS);
    dns_server_add_srv(f.server, "_http._tcp.none.test", 60, 0, 0, 0, ".");
    dns_server_add_srv(f.server, "_http._tcp.bad.test", 60, 0, 0, 80, "not a name.test");
    dns_server_add_srv(f.server, "_http._tcp.bad.test", 60, 0, 0, 80, "10.0.0.1");
    dns_server_add_srv(f.server, "_http._tcp.bad.test", 60, 0, 0, 0, "port.test");
    dns_server_add_a(f.server, "_http._tcp.host.test", 60, "10.0.0.1");
    expect_service(&f, "_http._tcp.none.test", "absent: the name has no server (SRV)");
    expect_service(&f, "_http._tcp.bad.test", "absent: the name has no server (SRV)");
    expect_service(&f, "_http._tcp.host.test", "absent: the name has no server (SRV)");
    expect_service(&f, "_http._tcp.gone.test", "absent: the name does not exist");
    dns_server_behave(f.server, DNS_SRV, DNS_SERVFAIL);
    expect_service(&f, "_http._tcp.none.test", FAILING);
    dns_server_behave(f.server, DNS_SRV, DNS_SILENT);
    expect_service(&f, "_http._tcp.none.test", NOTHING);
    end(&f);
}

Test(resolver, services_of_more_servers_than_are_taken)
{
    struct fixture f;
    begin(&f, "", 0);
    for (int i = 0; i < 300; i++) {
        char target[32];
        snprintf(target, sizeof(target), "s%d.test", i);
        dns_server_add_srv(f.server, "_x._tcp.test", 60, (uint16_t)(300 - i), 0, 80, target);
    }
    struct lookup *lookup = lookup_start_srv(f.resolver, "_x._tcp.test", &f.task);
    await(&f, lookup);
    /* In whatever order they come, the same ones are taken. */
    cr_expect_eq(answer.count, SRV_TARGETS_MAX);
    for (unsigned i = 0; i < answer.count; i++)
        cr_expect_eq(answer.targets[i].priority, i + 1);
    cr_expect_gt(dns_server_tcp_questions(f.server), 0);
    lookup_end(lookup);
    end(&f);
}

/* --- servers that misbehave ------------------------------------------------------------------ */

Test(resolver, what_was_truncated_is_asked_by_tcp)
{
    struct fixture f;
    begin(&f, "", 0);
    dns_server_behave(f.server, DNS_ANY_TYPE, DNS_TRUNCATES);
    dns_server_add_a(f.server, "a.test", 60, "10.0.0.1");
    dns_server_add_srv(f.server, "_x._tcp.test", 60, 0, 0, 80, "a.test");
    expect_name(&f, "a.test", "10.0.0.1:80, ttl 60");
    cr_expect_geq(dns_server_tcp_questions(f.server), 2);
    expect_service(&f, "_x._tcp.test", "a.test:80 0/0, ttl 60");
    end(&f);
}

Test(resolver, answers_to_other_questions_are_ignored)
{
    static const enum dns_conduct conducts[] = {DNS_GARBAGE, DNS_WRONG_ID, DNS_FORMERR};
    struct fixture f;
    begin(&f, "", 0);
    dns_server_add_a(f.server, "a.test", 60, "10.0.0.1");
    dns_server_add_srv(f.server, "_x._tcp.test", 60, 0, 0, 80, "a.test");
    for (size_t i = 0; i < sizeof(conducts) / sizeof(conducts[0]); i++) {
        dns_server_behave(f.server, DNS_ANY_TYPE, conducts[i]);
        expect_name(&f, "a.test", "10.0.0.1:80, ttl 60");
        expect_service(&f, "_x._tcp.test", "a.test:80 0/0, ttl 60");
    }
    end(&f);
}

Test(resolver, next_server_is_asked_when_one_is_silent_or_fails)
{
    static const enum dns_conduct conducts[] = {DNS_SILENT, DNS_SERVFAIL, DNS_REFUSED};
    struct fixture f;
    struct dns_server *second = dns_server_start();
    begin(&f, "", HASTE_MS);
    dns_server_add_a(second, "a.test", 60, "10.0.0.2");
    set_servers(&f, f.server, second);
    for (size_t i = 0; i < sizeof(conducts) / sizeof(conducts[0]); i++) {
        dns_server_behave(f.server, DNS_ANY_TYPE, conducts[i]);
        expect_name(&f, "a.test", "10.0.0.2:80, ttl 60");
        cr_expect_gt(dns_server_questions(f.server, "a.test", DNS_A), i);
    }
    end(&f);
    dns_server_stop(second);
}

Test(resolver, nobody_there_needs_no_patience)
{
    struct fixture f;
    struct address nobody;
    begin(&f, "", 0);
    int taken = loopback_refuse(&nobody);
    resolver_set_servers(f.resolver, &nobody, 1);
    expect_name(&f, "a.test", FAILING);
    close(taken);
    end(&f);
}

/* --- other servers ---------------------------------------------------------------------------- */

Test(resolver, questions_that_are_out_are_asked_again_when_servers_change)
{
    struct fixture f;
    struct dns_server *second = dns_server_start();
    struct lookup *lookups[4];
    begin(&f, "", 0);
    dns_server_add_a(second, "a.test", 60, "10.0.0.2");
    dns_server_add_srv(second, "_x._tcp.test", 60, 0, 0, 80, "a.test");
    dns_server_behave(f.server, DNS_ANY_TYPE, DNS_HOLDS);
    for (int i = 0; i < 3; i++)
        lookups[i] = lookup_start(f.resolver, "a.test", 80, &f.task);
    lookups[3] = lookup_start_srv(f.resolver, "_x._tcp.test", &f.task);
    f.awaited = NULL; /* a round that asks */
    loop_wake(f.loop, &f.task);
    loop_run(f.loop);
    dns_server_await(f.server, NULL, DNS_ANY_TYPE, 7);
    lookup_end(lookups[1]);
    set_servers(&f, second, NULL);
    expect(&f, lookups[0], "first", "10.0.0.2:80, ttl 60");
    expect(&f, lookups[2], "second", "10.0.0.2:80, ttl 60");
    expect(&f, lookups[3], "service", "a.test:80 0/0, ttl 60");
    set_servers(&f, second, NULL); /* the same */
    cr_expect_eq(dns_server_questions(second, NULL, DNS_ANY_TYPE), 5);
    dns_server_release(f.server); /* too late */
    resolver_set_servers(f.resolver, NULL, 0);
    dns_server_behave(f.server, DNS_ANY_TYPE, DNS_ANSWERS);
    expect_name(&f, "a.test", "absent: the name does not exist");
    end(&f);
    dns_server_stop(second);
}

/* Both servers have one port, which resolv.conf cannot name. */
Test(resolver, resolv_conf_is_followed)
{
    struct fixture f;
    begin(&f, "", 0);
    struct dns_server *second = dns_server_start_at("127.0.0.2", dns_server_port(f.server));
    if (second == NULL) {
        end(&f);
        cr_skip_test("that port is taken on 127.0.0.2");
    }
    dns_server_add_a(f.server, "a.test", 60, "10.0.0.1");
    dns_server_add_a(second, "a.test", 60, "10.0.0.2");
    expect_name(&f, "a.test", "10.0.0.1:80, ttl 60");
    write_conf(&f, "nameserver 127.0.0.2\n");
    do {
        struct lookup *lookup = lookup_start(f.resolver, "a.test", 80, &f.task);
        await(&f, lookup);
        lookup_end(lookup);
    } while (strcmp(got, "10.0.0.1:80, ttl 60") == 0);
    cr_expect_str_eq(got, "10.0.0.2:80, ttl 60");
    end(&f);
    dns_server_stop(second);
}

/* --- many, and ends ----------------------------------------------------------------------------
 */

Test(resolver, many_names_wait_for_their_turn)
{
    enum { MANY = 10000 };
    static struct lookup *lookups[MANY];
    struct fixture f;
    begin(&f, "", 0);
    dns_server_behave(f.server, DNS_ANY_TYPE, DNS_HOLDS);
    for (int i = 0; i < MANY; i++) {
        char name[32];
        snprintf(name, sizeof(name), "n%d.test", i);
        lookups[i] = lookup_start(f.resolver, name, 80, &f.task);
    }
    /* As many rounds as it takes to ask what may be asked, and some. */
    f.awaited = NULL;
    for (int round = 0; round < 100; round++) {
        loop_wake(f.loop, &f.task);
        loop_run(f.loop);
    }
    dns_server_await(f.server, NULL, DNS_A, RESOLVER_OUT_MAX);
    cr_expect_eq(dns_server_questions(f.server, NULL, DNS_A), RESOLVER_OUT_MAX);
    dns_server_behave(f.server, DNS_ANY_TYPE, DNS_ANSWERS);
    dns_server_release(f.server);
    for (int i = 0; i < MANY; i++)
        expect(&f, lookups[i], "one of many", "absent: the name does not exist");
    end(&f);
}

/* Before it was asked, while it is out, answered and not seen. */
Test(resolver, a_lookup_may_be_ended_at_any_time)
{
    struct fixture f;
    begin(&f, "", 0);
    dns_server_add_a(f.server, "a.test", 60, "10.0.0.1");
    dns_server_behave(f.server, DNS_ANY_TYPE, DNS_HOLDS);
    struct lookup *asked = lookup_start(f.resolver, "a.test", 80, &f.task);
    struct lookup *service = lookup_start_srv(f.resolver, "_x._tcp.test", &f.task);
    lookup_end(lookup_start(f.resolver, "never.test", 80, &f.task));
    f.awaited = NULL;
    loop_wake(f.loop, &f.task);
    loop_run(f.loop);
    dns_server_await(f.server, NULL, DNS_ANY_TYPE, 3);
    lookup_end(asked);
    lookup_end(service);
    cr_expect_eq(dns_server_questions(f.server, "never.test", DNS_ANY_TYPE), 0);
    dns_server_behave(f.server, DNS_ANY_TYPE, DNS_ANSWERS);
    struct lookup *unseen = lookup_start(f.resolver, "localhost", 80, &f.task);
    dns_server_release(f.server);
    expect_name(&f, "a.test", "10.0.0.1:80, ttl 60");
    lookup_end(unseen);
    end(&f);
}

Test(resolver, an_end_while_questions_are_out)
{
    struct fixture f;
    begin(&f, "", 0);
    dns_server_behave(f.server, DNS_ANY_TYPE, DNS_SILENT);
    struct lookup *asked = lookup_start(f.resolver, "a.test", 80, &f.task);
    struct lookup *service = lookup_start_srv(f.resolver, "_x._tcp.test", &f.task);
    f.awaited = NULL;
    loop_wake(f.loop, &f.task);
    loop_run(f.loop);
    dns_server_await(f.server, NULL, DNS_ANY_TYPE, 3);
    lookup_end(asked);
    lookup_end(service);
    end(&f);
}

Test(resolver, nothing_answers_before_the_loop_has_run)
{
    struct fixture f;
    begin(&f, "", 0);
    struct lookup *lookup = lookup_start(f.resolver, "localhost", 80, &f.task);
    cr_expect_eq(lookup_answer(lookup, &answer), IO_WAIT);
    await(&f, lookup);
    cr_expect_eq(answer.outcome, LOOKUP_FOUND);
    lookup_end(lookup);
    end(&f);
}

Test(resolver, waiting_costs_no_turns)
{
    struct fixture f;
    begin(&f, "", 0);
    expect_name(&f, "none.test", "absent: the name does not exist");
    dns_server_behave(f.server, DNS_ANY_TYPE, DNS_SILENT);
    uint64_t before = loop_sleeps(f.loop);
    resolver_free(f.resolver);
    open_resolver(&f, 500);
    expect_name(&f, "a.test", NOTHING);
    cr_expect_lt(loop_sleeps(f.loop) - before, 30);
    end(&f);
}
