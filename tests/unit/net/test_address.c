/* What operators write, and what is refused with which words. */
#include "net/network.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static struct address parse_ip(const char *text, uint16_t port)
{
    struct address address = {0};
    cr_assert(address_parse_ip(slice_of(text), port, &address), "%s", text);
    return address;
}

static void assert_says(const struct error *error, const char *words)
{
    cr_assert_not_null(strstr(error->message, words), "\"%s\" does not say \"%s\"", error->message,
                       words);
}

/* --- concrete addresses --------------------------------------------------------------------------
 */

Test(address, formats)
{
    static const struct {
        const char *ip, *whole, *alone;
        uint16_t port;
    } cases[] = {
        {"1.2.3.4", "1.2.3.4:80", "1.2.3.4", 80},
        {"::1", "[::1]:65535", "::1", 65535},
        {"fd00:0:0::00AB", "[fd00::ab]:0", "fd00::ab", 0},
        {"::ffff:10.0.0.1", "[::ffff:10.0.0.1]:443", "10.0.0.1", 443},
        {"1111:2222:3333:4444:5555:6666:7777:8888",
         "[1111:2222:3333:4444:5555:6666:7777:8888]:12345",
         "1111:2222:3333:4444:5555:6666:7777:8888", 12345},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[ADDRESS_TEXT_SIZE];
        struct address address = parse_ip(cases[i].ip, cases[i].port);
        address_format(&address, text);
        cr_assert_str_eq(text, cases[i].whole);
        address_format_ip(&address, text);
        cr_assert_str_eq(text, cases[i].alone);
        cr_assert_eq(address_port(&address), cases[i].port);
        address_set_port(&address, 7);
        cr_assert_eq(address_port(&address), 7);
    }
}

Test(address, formats_what_is_no_ip)
{
    char text[ADDRESS_TEXT_SIZE];
    struct address none = {0};
    address_format(&none, text);
    cr_assert_str_eq(text, "none");
    address_format_ip(&none, text);
    cr_assert_str_eq(text, "none");
    cr_assert_eq(address_port(&none), 0);

    struct address unnamed = {.length = sizeof(sa_family_t)}; /* a client of a Unix socket */
    unnamed.as.any.sa_family = AF_UNIX;
    address_format(&unnamed, text);
    cr_assert_str_eq(text, "unix:");
    address_format_ip(&unnamed, text);
    cr_assert_str_eq(text, "unix");
    cr_assert_eq(address_port(&unnamed), 0);
}

Test(address, takes_ip_literals_only)
{
    static const char *refused[] = {
        "",      "1.2.3",  "1.2.3.4.5", "256.1.1.1", "1.2.3.4 ", " 1.2.3.4", "01.2.3.4",   "0x7f.1",
        "[::1]", "::1%lo", "1::2::3",   "localhost", "12345::",  "::1.2.3",  "1.2.3.4:80",
    };
    struct address address;
    for (size_t i = 0; i < COUNT(refused); i++)
        cr_assert_not(address_parse_ip(slice_of(refused[i]), 0, &address), "%s", refused[i]);
    cr_assert_not(address_parse_ip(slice_make("1.2.3.4\0junk", 12), 0, &address));
}

Test(address, compares_ip_port_and_family)
{
    static const char *ips[] = {"1.2.3.4", "1.2.3.5", "::1", "::2", "::ffff:1.2.3.4"};
    struct address none = {0};
    for (size_t i = 0; i < COUNT(ips); i++) {
        struct address a = parse_ip(ips[i], 80), other_port = parse_ip(ips[i], 81);
        cr_assert(address_equal(&a, &a));
        cr_assert_not(address_equal(&a, &other_port));
        cr_assert_not(address_equal(&a, &none));
        for (size_t j = 0; j < COUNT(ips); j++) {
            struct address b = parse_ip(ips[j], 80);
            cr_assert_eq(address_equal(&a, &b), i == j);
        }
    }
    struct address path[2], other[2];
    cr_assert_eq(listen_address_parse(slice_of("unix:/run/a"), path, NULL), 1);
    cr_assert_eq(listen_address_parse(slice_of("unix:/run/ab"), other, NULL), 1);
    cr_assert(address_equal(path, path));
    cr_assert_not(address_equal(path, other));
    cr_assert(address_equal(&none, &none));
}

/* --- name servers ------------------------------------------------------------------------------
 */

Test(name_server, is_an_address_with_port_53_or_another)
{
    static const struct {
        const char *text, *where; /* NULL: refused */
    } cases[] = {
        {"10.0.0.2", "10.0.0.2:53"}, {"10.0.0.2:5353", "10.0.0.2:5353"},
        {"::1", "[::1]:53"},         {"[::1]", "[::1]:53"},
        {"[::1]:54", "[::1]:54"},    {"", NULL},
        {"dns.internal", NULL},      {"dns.internal:53", NULL},
        {"[10.0.0.2]:53", NULL},     {"::1:x", NULL},
        {"10.0.0.2:", NULL},         {"10.0.0.2:0", NULL},
        {"10.0.0.2:65536", NULL},    {"unix:/run/dns", NULL},
        {"http://10.0.0.2", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address address;
        struct error error = {""};
        char text[ADDRESS_TEXT_SIZE];
        bool is_good = name_server_parse(slice_of(cases[i].text), &address, &error);
        cr_assert_eq(is_good, cases[i].where != NULL, "%s", cases[i].text);
        if (!is_good) {
            cr_assert(strstr(error.message, "name server") || strstr(error.message, "a port"), "%s",
                      error.message);
            continue;
        }
        address_format(&address, text);
        cr_assert_str_eq(text, cases[i].where);
    }
}

Test(host_name, is_copied_lower_case_without_its_dot)
{
    static const struct {
        const char *text, *name; /* NULL: refused */
    } cases[] = {
        {"Web-1.Internal.", "web-1.internal"},
        {"a", "a"},
        {"_x.y", "_x.y"},
        {"", NULL},
        {".", NULL},
        {"a b", NULL},
        {"10.0.0.1", NULL},
        {"a..b", NULL},
        {"a\\046b", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char name[HOST_NAME_SIZE];
        bool is_good = host_name_copy(slice_of(cases[i].text), name);
        cr_assert_eq(is_good, cases[i].name != NULL, "%s", cases[i].text);
        if (is_good)
            cr_assert_str_eq(name, cases[i].name);
    }
}

/* --- endpoints -----------------------------------------------------------------------------------
 */

Test(endpoint, parses_what_backends_are_written_as)
{
    static const struct {
        const char *text;
        enum endpoint_kind kind;
        const char *where, *host;
        uint16_t port;
    } cases[] = {
        {"10.0.1.10:8080", ENDPOINT_IP, "10.0.1.10:8080", "10.0.1.10:8080", 8080},
        {"10.0.1.10:80", ENDPOINT_IP, "10.0.1.10:80", "10.0.1.10", 80},
        {"[::1]:80", ENDPOINT_IP, "[::1]:80", "[::1]", 80},
        {"[fd00::1]:65535", ENDPOINT_IP, "[fd00::1]:65535", "[fd00::1]:65535", 65535},
        {"http://10.0.2.2:8080", ENDPOINT_IP, "10.0.2.2:8080", "10.0.2.2:8080", 8080},
        {"http://10.0.2.2", ENDPOINT_IP, "10.0.2.2:80", "10.0.2.2", 80},
        {"http://[::1]", ENDPOINT_IP, "[::1]:80", "[::1]", 80},
        {"http://[::1]:81", ENDPOINT_IP, "[::1]:81", "[::1]:81", 81},
        {"localhost:3000", ENDPOINT_NAME, "localhost", "localhost:3000", 3000},
        {"http://App.Internal", ENDPOINT_NAME, "app.internal", "App.Internal", 80},
        {"my_app-1.x:1", ENDPOINT_NAME, "my_app-1.x", "my_app-1.x:1", 1},
        {"example.com.:80", ENDPOINT_NAME, "example.com.", "example.com.", 80},
        {"1.2.3.4.nip.io:80", ENDPOINT_NAME, "1.2.3.4.nip.io", "1.2.3.4.nip.io", 80},
        {"unix:/run/app.sock", ENDPOINT_UNIX, "unix:/run/app.sock", "localhost", 0},
        {"srv:_http._tcp.api.internal", ENDPOINT_SRV, "_http._tcp.api.internal", "api.internal", 0},
        {"srv:_H2._TCP.Api.", ENDPOINT_SRV, "_h2._tcp.api.", "Api.", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct endpoint endpoint;
        struct error error = {""};
        char text[ADDRESS_TEXT_SIZE];
        cr_assert(endpoint_parse(slice_of(cases[i].text), &endpoint, &error), "%s", error.message);
        cr_assert_eq(endpoint.kind, cases[i].kind, "%s", cases[i].text);
        cr_assert_eq(endpoint.port, cases[i].port, "%s", cases[i].text);
        cr_assert_str_eq(endpoint.host, cases[i].host);
        if (endpoint.kind == ENDPOINT_NAME || endpoint.kind == ENDPOINT_SRV) {
            cr_assert_str_eq(endpoint.name, cases[i].where);
        } else {
            address_format(&endpoint.address, text);
            cr_assert_str_eq(text, cases[i].where);
        }
    }
}

Test(endpoint, refuses_with_the_way_out)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"https://10.0.0.1:443", "not supported, the private network is plaintext: write "
                                 "http://10.0.0.1:443"},
        {"ftp://host:21", "only http://"},
        {"srv:", "\"srv:\" is not the name of a service: write srv:_SERVICE._PROTOCOL.NAME"},
        {"srv:api.internal", "is not the name of a service"},
        {"srv:_http.api.internal", "is not the name of a service"},
        {"srv:_http._tcp", "is not the name of a service"},
        {"srv:_http._tcp.", "is not the name of a service"},
        {"srv:_._tcp.api", "is not the name of a service"},
        {"srv:_http._tcp.a..b", "is not the name of a service"},
        {"srv:_http._tcp.a b", "is not the name of a service"},
        {"srv:_http._tcp.a/x", "is not the name of a service"},
        {"srv:_http._tcp.api:80", "has a port: SRV records say which ports there are, write "
                                  "srv:_http._tcp.api"},
        {"HTTP://host:80", "only http://"},
        {"http://host:80/", "has a path"},
        {"http://host/api", "has a path"},
        {"host:80/api", "has a path"},
        {"host:80?x=1", "has a path"},
        {"http://host#x", "has a path"},
        {"http://user:pw@host:80", "user info"},
        {"user@host:80", "user info"},
        {"host", "has no port: write host:PORT"},
        {"10.0.0.1", "has no port: write 10.0.0.1:PORT"},
        {"[::1]", "has no port"},
        {"", "has no port"},
        {"host:", "\"\" is not a port"},
        {"host:0", "from 1 to 65535"},
        {"host:65536", "from 1 to 65535"},
        {"host:80x", "\"80x\" is not a port"},
        {"host:-1", "is not a port"},
        {"host: 80", "is not a port"},
        {"http://host:", "is not a port"},
        {":8080", "the host is missing"},
        {"http://", "the host is missing"},
        {"::1:80", "in brackets"},
        {"fd00::1", "in brackets"},
        {"[::1:80", "no \"]\""},
        {"[::1]80", "only \":PORT\""},
        {"[1.2.3.4]:80", "not an IPv6 address"},
        {"[host]:80", "not an IPv6 address"},
        {"[]:80", "the host is missing"},
        {"300.1.1.1:80", "not an IPv4 address"},
        {"1.2.3:80", "not an IPv4 address"},
        {"12345:80", "not an IPv4 address"},
        {"a b:80", "not a host name"},
        {"a..b:80", "not a host name"},
        {".a:80", "not a host name"},
        {".:80", "not a host name"},
        {"*.a:80", "not a host name"},
        {"b\xc3\xbc"
         "cher.example:80",
         "xn--"},
        {"unix:", "absolute path"},
        {"unix:run/x", "absolute path"},
        {"unix:@abstract", "absolute path"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct endpoint endpoint;
        struct error error = {""};
        cr_assert_not(endpoint_parse(slice_of(cases[i].text), &endpoint, &error), "%s",
                      cases[i].text);
        assert_says(&error, cases[i].says);
        cr_assert_not(endpoint_parse(slice_of(cases[i].text), &endpoint, NULL));
    }
}

Test(endpoint, knows_how_long_names_and_paths_may_be)
{
    struct endpoint endpoint;
    struct error error = {""};
    char text[400];
    memset(text, 'a', sizeof(text));
    memcpy(text + 63, ":80", 3);
    cr_assert(endpoint_parse(slice_make(text, 66), &endpoint, NULL));
    memcpy(text + 63, "a:80", 4);
    cr_assert_not(endpoint_parse(slice_make(text, 67), &endpoint, NULL));

    for (size_t i = 0; i < 253; i++)
        text[i] = i % 2 == 0 ? 'a' : '.';
    memcpy(text + 253, ":65535", 6);
    cr_assert(endpoint_parse(slice_make(text, 259), &endpoint, NULL));
    cr_assert_eq(strlen(endpoint.name), 253);
    cr_assert_eq(strlen(endpoint.host), 259);
    memcpy(text + 253, "bb:80", 5);
    cr_assert_not(endpoint_parse(slice_make(text, 258), &endpoint, NULL));

    memset(text, 'p', sizeof(text));
    memcpy(text, "unix:/", 6);
    cr_assert(endpoint_parse(slice_make(text, 5 + 107), &endpoint, NULL));
    cr_assert_not(endpoint_parse(slice_make(text, 5 + 108), &endpoint, &error));
    assert_says(&error, "too long");
    cr_assert_not(endpoint_parse(slice_make("unix:/a\0b", 9), &endpoint, NULL));
}

/* --- where to listen -----------------------------------------------------------------------------
 */

static void assert_listens(const char *text, const char *first, const char *second)
{
    struct address addresses[2];
    struct error error = {""};
    char formatted[ADDRESS_TEXT_SIZE];
    int count = listen_address_parse(slice_of(text), addresses, &error);
    cr_assert_eq(count, second != NULL ? 2 : 1, "%s: %d %s", text, count, error.message);
    address_format(&addresses[0], formatted);
    cr_assert_str_eq(formatted, first);
    if (second != NULL) {
        address_format(&addresses[1], formatted);
        cr_assert_str_eq(formatted, second);
    }
}

Test(listen_address, parses)
{
    assert_listens("127.0.0.1:0", "127.0.0.1:0", NULL);
    assert_listens("0.0.0.0:443", "0.0.0.0:443", NULL);
    assert_listens("[::1]:443", "[::1]:443", NULL);
    assert_listens("[::]:443", "[::]:443", NULL);
    assert_listens("unix:/run/x.sock", "unix:/run/x.sock", NULL);
}

Test(listen_address, means_both_families_without_an_ip)
{
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (fd >= 0)
        assert_listens(":8443", "[::]:8443", "0.0.0.0:8443");
    else
        assert_listens(":8443", "0.0.0.0:8443", NULL);
}

Test(listen_address, refuses_with_the_way_out)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"8443", "write :8443"},
        {"127.0.0.1", "write 127.0.0.1:PORT"},
        {"", "has no port"},
        {":", "is not a port"},
        {":65536", "from 0 to 65535"},
        {":https", "is not a port"},
        {"localhost:443", "not an address to listen on"},
        {"*:443", "not an address to listen on"},
        {"[127.0.0.1]:443", "not an address to listen on"},
        {"[]:443", "not an address to listen on"},
        {"::1:443", "in brackets"},
        {"http://127.0.0.1:80", "colons"},
        {"unix:x", "absolute path"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address addresses[2];
        struct error error = {""};
        cr_assert_eq(listen_address_parse(slice_of(cases[i].text), addresses, &error), 0, "%s",
                     cases[i].text);
        assert_says(&error, cases[i].says);
    }
}

/* --- networks ------------------------------------------------------------------------------------
 */

Test(network, contains)
{
    static const struct {
        const char *network, *ip;
        bool expected;
    } cases[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
        {"10.0.0.0/8", "::10.1.2.3", false},
        {"192.168.4.0/22", "192.168.7.255", true},
        {"192.168.4.0/22", "192.168.8.0", false},
        {"1.2.3.4", "1.2.3.4", true},
        {"1.2.3.4", "1.2.3.5", false},
        {"1.2.3.4/31", "1.2.3.5", true},
        {"0.0.0.0/0", "255.255.255.255", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "fd00::1", true},
        {"::/0", "1.2.3.4", false},
        {"::/0", "::ffff:1.2.3.4", false},
        {"fd00::/9", "fd7f::1", true},
        {"fd00::/9", "fd80::1", false},
        {"::1", "::1", true},
        {"::1", "::2", false},
        {"::ffff:10.0.0.0/104", "10.1.1.1", true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct network network;
        struct error error = {""};
        struct address address = parse_ip(cases[i].ip, 1234);
        cr_assert(network_parse(slice_of(cases[i].network), &network, &error), "%s", error.message);
        cr_assert_eq(network_contains(&network, &address), cases[i].expected, "%s in %s",
                     cases[i].ip, cases[i].network);
    }
}

Test(network, holds_no_unix_socket)
{
    struct network all;
    struct address local[2], none = {0};
    cr_assert(network_parse(slice_of("::/0"), &all, NULL));
    cr_assert_eq(listen_address_parse(slice_of("unix:/x"), local, NULL), 1);
    cr_assert_not(network_contains(&all, local));
    cr_assert_not(network_contains(&all, &none));
}

Test(network, refuses_with_the_way_out)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"10.1.2.3/8", "did you mean 10.0.0.0/8?"},
        {"fd00::1/16", "did you mean fd00::/16?"},
        {"10.0.0.0/33", "from 0 to 32"},
        {"::/129", "from 0 to 128"},
        {"10.0.0.0/", "number of bits"},
        {"10.0.0.0/x", "number of bits"},
        {"10.0.0.0/-1", "number of bits"},
        {"10.0.0.0/8/8", "number of bits"},
        {"10.0.0/8", "not a network"},
        {"example.com", "not a network"},
        {"", "not a network"},
        {"/8", "not a network"},
        {"[::1]/128", "not a network"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct network network;
        struct error error = {""};
        cr_assert_not(network_parse(slice_of(cases[i].text), &network, &error), "%s",
                      cases[i].text);
        assert_says(&error, cases[i].says);
    }
}
