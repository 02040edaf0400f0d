/* Every type of value: what is taken, what is refused and why. */
#include "support/route_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct route_folder folder;

static void begin(void)
{
    route_folder_init(&folder);
}

static void end(void)
{
    route_folder_clear(&folder);
}

TestSuite(values, .init = begin, .fini = end);

static const struct snapshot *load_value(const char *key, const char *value, bool is_good)
{
    char text[256];

    snprintf(text, sizeof(text), "'routes': {}, %s: %s", key, value);
    if (is_good)
        return route_folder_good(&folder, text);
    route_folder_load_with_certs(&folder, text);
    cr_expect_null(folder.snapshot, "%s: %s is taken", key, value);
    cr_expect_eq(folder.problems.errors, 1, "%s", folder.printed);
    return NULL;
}

Test(values, durations)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {
        {"'250ms'", 250},  {"'10s'", 10000},    {"'5m'", 300000},
        {"'1h'", 3600000}, {"'2d'", 172800000}, {"0", 0},
        {"'0s'", 0},       {"'007s'", 7000},    {"'36500d'", 36500UL * 24 * 3600 * 1000},
    };
    static const char *const bad[] = {"'10'",
                                      "10",
                                      "'1.5s'",
                                      "' 1s'",
                                      "'1 s'",
                                      "'1S'",
                                      "'s'",
                                      "''",
                                      "'-1s'",
                                      "1.5",
                                      "-1",
                                      "true",
                                      "null",
                                      "[]",
                                      "'1w'",
                                      "'36501d'",
                                      "'99999999999999999999s'",
                                      "{}",
                                      "'1s '"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        cr_expect_eq(load_value("'drain_delay'", good[i].text, true)->globals->drain_delay_ms,
                     good[i].ms, "%s", good[i].text);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        load_value("'drain_delay'", bad[i], false);
}

Test(values, sizes)
{
    static const struct {
        const char *text;
        uint32_t bytes;
    } good[] = {
        {"'100B'", 100}, {"'8KiB'", 8192},       {"'2MiB'", 2097152},
        {"4096", 4096},  {"'1GiB'", 1073741824},
    };
    static const char *const bad[] = {
        "'10'",     "'10KB'", "'10k'",      "'10kib'",          "-1",   "1.5", "true", "''", "'B'",
        "'1.5MiB'", "'2GiB'", "1073741825", "'99999999999GiB'", "null", "{}"};
    char value[64];

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(value, sizeof(value), "{ 'limits': { 'header_bytes': %s } }", good[i].text);
        cr_expect_eq(load_value("'defaults'", value, true)->globals->limits.head_bytes,
                     good[i].bytes, "%s", good[i].text);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(value, sizeof(value), "{ 'limits': { 'header_bytes': %s } }", bad[i]);
        load_value("'defaults'", value, false);
    }
}

Test(values, rates)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"'100B/s'", 100}, {"'8KiB/s'", 8192}, {"'1GiB/s'", 1 << 30}, {"0", 0}};
    static const char *const bad[] = {"'1KiB'",    "'1KB/s'",  "'1KiB/m'", "'KiB/s'", "'/s'",
                                      "'1KiB /s'", "'2GiB/s'", "1",        "-1",      "0.0",
                                      "''",        "true",     "null",     "{}",      "'0'"};
    char value[64];

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(value, sizeof(value), "{ 'limits': { 'body_rate': %s } }", good[i].text);
        cr_expect_eq(load_value("'defaults'", value, true)->globals->body_rate, good[i].bytes, "%s",
                     good[i].text);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(value, sizeof(value), "{ 'limits': { 'body_rate': %s } }", bad[i]);
        load_value("'defaults'", value, false);
    }
}

Test(values, zero_is_no_limit)
{
    const struct snapshot *snapshot =
        load_value("'defaults'",
                   "{ 'limits': { 'header_bytes': 0, 'headers': 0, 'request_line': '0KiB' }, "
                   "'max_body': 0, 'timeout': { 'header': 0, 'body_idle': 0 } }",
                   true);

    cr_expect_geq(snapshot->globals->limits.head_bytes, 1U << 30);
    cr_expect_geq(snapshot->globals->limits.fields, 1U << 30);
    cr_expect_geq(snapshot->globals->limits.request_line, 1U << 30);
    cr_expect_eq(snapshot->globals->header_ms, 0);
    cr_expect_eq(snapshot->globals->body_idle_ms, 0);
}

Test(values, counts_of_clients)
{
    static const char *const keys[] = {"connections", "connections_per_ip", "handshakes"};
    static const char *const bad[] = {"-1", "1.5", "'10'", "true", "null", "1073741825"};
    char value[64];

    for (size_t k = 0; k < 3; k++) {
        snprintf(value, sizeof(value), "{ 'limits': { '%s': 7 } }", keys[k]);
        const struct client_limits limits =
            load_value("'defaults'", value, true)->globals->client_limits;
        cr_expect_eq(limits.connections, k == 0 ? 7 : 0);
        cr_expect_eq(limits.connections_per_ip, k == 1 ? 7 : 0);
        cr_expect_eq(limits.handshakes, k == 2 ? 7 : 0);
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            snprintf(value, sizeof(value), "{ 'limits': { '%s': %s } }", keys[k], bad[i]);
            load_value("'defaults'", value, false);
        }
    }
}

Test(values, booleans_and_words)
{
    cr_expect(load_value("'log'", "{ 'query': true }", true)->globals->log_query);
    cr_expect_not(load_value("'log'", "{ 'query': false }", true)->globals->log_query);
    load_value("'log'", "{ 'query': 1 }", false);
    load_value("'log'", "{ 'query': 'true' }", false);
    cr_expect(load_value("'defaults'", "{ 'limits': { 'underscores': true } }", true)
                  ->globals->limits.underscores);
    load_value("'defaults'", "{ 'limits': { 'underscores': 1 } }", false);
    cr_expect_eq(load_value("'log'", "{ 'level': 'debug' }", true)->globals->log_level, LOG_DEBUG);
    load_value("'log'", "{ 'level': 'Debug' }", false);
    load_value("'log'", "{ 'level': 3 }", false);
    load_value("'log'", "[]", false);
}

Test(values, paths_start_at_the_folder_of_the_file)
{
    char expected[128];

    snprintf(expected, sizeof(expected), "%s/logs/access.log", folder.path);
    cr_expect_str_eq(
        load_value("'log'", "{ 'access': 'logs/access.log' }", true)->globals->access_log_path,
        expected);
    cr_expect_str_eq(load_value("'log'", "{ 'access': '/x/y' }", true)->globals->access_log_path,
                     "/x/y");
    load_value("'log'", "{ 'access': '' }", false);
    load_value("'log'", "{ 'access': 5 }", false);
}

Test(values, environment_variables)
{
    setenv("SALLYPORT_TEST_LEVEL", "debug", 1);
    setenv("SALLYPORT_TEST_EMPTY", "", 1);
    setenv("SALLYPORT_TEST_NESTED", "${SALLYPORT_TEST_LEVEL}", 1);
    setenv("SALLYPORT_TEST_BYTES", "\xff", 1);
    unsetenv("SALLYPORT_TEST_UNSET");
    cr_expect_eq(
        load_value("'log'", "{ 'level': '${SALLYPORT_TEST_LEVEL}' }", true)->globals->log_level,
        LOG_DEBUG);
    cr_expect_eq(load_value("'log'", "{ 'level': 'de${SALLYPORT_TEST_EMPTY}bug' }", true)
                     ->globals->log_level,
                 LOG_DEBUG);
    cr_expect_str_eq(
        load_value("'log'", "{ 'access': '/${SALLYPORT_TEST_NESTED}/$${x}/$/$$/$x'}", true)
            ->globals->access_log_path,
        "/${SALLYPORT_TEST_LEVEL}/${x}/$/$$/$x", "expanded once");
    load_value("'log'", "{ 'access': '/${SALLYPORT_TEST_UNSET}' }", false);
    route_folder_expect(&folder, 1, 0, "log.access", "SALLYPORT_TEST_UNSET is not set", NULL);
    load_value("'log'", "{ 'access': '/${SALLYPORT_TEST' }", false);
    load_value("'log'", "{ 'access': '/${}' }", false);
    load_value("'log'", "{ 'access': '/${9}' }", false);
    load_value("'log'", "{ 'access': '/${SALLYPORT_TEST_BYTES}' }", false);
    load_value("'log'", "{ '// ${SALLYPORT_TEST_UNSET}': '${SALLYPORT_TEST_UNSET}' }", true);
}

Test(values, an_unset_variable_is_one_mistake)
{
    route_folder_load_with_certs(&folder, "'routes': { 'a.test': '${SALLYPORT_TEST_UNSET}' }");
    cr_expect_eq(folder.problems.errors, 1, "%s", folder.printed);
}

Test(values, networks)
{
    const struct snapshot *snapshot =
        load_value("'trusted_proxies'", "['10.0.0.0/8', '192.168.1.1', 'fd00::/8']", true);

    cr_expect_eq(snapshot->globals->trusted_proxy_count, 3);
    load_value("'trusted_proxies'", "['10.0.0.0/33']", false);
    load_value("'trusted_proxies'", "[5]", false);
    load_value("'trusted_proxies'", "'10.0.0.0/8'", false);
}

Test(values, dns_servers)
{
    const struct globals *globals = load_value("'dns'", "{}", true)->globals;
    char text[ADDRESS_TEXT_SIZE];

    cr_expect_eq(globals->dns_server_count, 0);
    cr_expect_eq(load_value("'dns'", "{ 'servers': [] }", true)->globals->dns_server_count, 0);
    globals = load_value("'dns'", "{ 'servers': ['10.0.0.2', '[::1]:5353'] }", true)->globals;
    cr_assert_eq(globals->dns_server_count, 2);
    address_format(&globals->dns_servers[0], text);
    cr_expect_str_eq(text, "10.0.0.2:53");
    address_format(&globals->dns_servers[1], text);
    cr_expect_str_eq(text, "[::1]:5353");
    load_value("'dns'", "{ 'servers': ['dns.internal'] }", false);
    load_value("'dns'", "{ 'servers': ['10.0.0.2:0'] }", false);
    load_value("'dns'", "{ 'servers': [53] }", false);
    load_value("'dns'", "{ 'servers': '10.0.0.2' }", false);
    load_value("'dns'", "{ 'server': [] }", false);
    load_value("'dns'", "['10.0.0.2']", false);
}

Test(values, metrics_series)
{
    cr_expect_eq(load_value("'metrics'", "{}", true)->globals->metrics_series, 1000);
    cr_expect_eq(load_value("'metrics'", "{ 'series': 5 }", true)->globals->metrics_series, 5);
    cr_expect_eq(load_value("'metrics'", "{ 'series': 0 }", true)->globals->metrics_series, 0);
    load_value("'metrics'", "{ 'series': -1 }", false);
    load_value("'metrics'", "{ 'series': 1000001 }", false);
    load_value("'metrics'", "{ 'series': '5' }", false);
    load_value("'metrics'", "{ 'serie': 5 }", false);
    load_value("'metrics'", "5", false);
}

Test(values, users_and_groups_by_name_and_number)
{
    const struct process_user *user =
        &route_folder_good(&folder, "'routes': {}, 'user': 'root'")->globals->process_user;
    cr_expect_eq(user->uid, 0);
    cr_expect_eq(user->gid, 0);
    cr_expect_str_eq(user->login, "root");
    user = &route_folder_good(&folder, "'routes': {}, 'user': '0', 'group': '7'")
                ->globals->process_user;
    cr_expect_eq(user->uid, 0);
    cr_expect_eq(user->gid, 7);
    cr_expect_str_eq(user->login, "root");
    user = &route_folder_good(&folder, "'routes': {}, 'user': '4123456789', 'group': 'root'")
                ->globals->process_user;
    cr_expect_eq(user->uid, 4123456789);
    cr_expect_eq(user->gid, 0);
    cr_expect_null(user->login);
}

Test(values, peek_sees_listeners_and_the_user_alone)
{
    route_folder_write(
        &folder, "routes.json",
        "{ 'user': 'root', 'listen': { 'https': ':443' }, 'routes': 7, 'routes': 8 }");
    struct globals *globals = snapshot_peek(folder.file);
    cr_assert_not_null(globals);
    cr_expect_str_eq(globals->process_user.user, "root");
    cr_expect_eq(globals->listen_count, 1);
    cr_expect_eq(address_port(&globals->listens[0].addresses[0]), 443);
    globals_unref(globals);
    route_folder_write(&folder, "routes.json", "{ 'user': 'no one here' }");
    cr_expect_null(snapshot_peek(folder.file));
    route_folder_write(&folder, "routes.json", "{ 'user': ");
    cr_expect_null(snapshot_peek(folder.file));
}
