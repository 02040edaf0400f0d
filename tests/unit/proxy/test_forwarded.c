/* proxy/forwarded: client address, request id, and the fields that backends see. */
#include "proxy/forwarded.h"

#include <criterion/criterion.h>
#include <string.h>

static struct arena arena;
static struct proxy_env env;
static struct globals globals;
static struct client client;
static struct network trusted[2];
static struct http_head request;
static struct slice fingerprint, subject; /* of a certificate that was verified */

static void set_up(void)
{
    struct error error;

    env = (struct proxy_env){.random_state = {1, 2}};
    globals = (struct globals){.trusted_proxies = trusted, .trusted_proxy_count = 2};
    cr_assert(network_parse(slice_of("10.0.0.0/8"), &trusted[0], &error));
    cr_assert(network_parse(slice_of("fd00::/8"), &trusted[1], &error));
    client = (struct client){.local_port = 8443, .is_tls = true};
    request = (struct http_head){.authority = slice_of("shop.example.com:8443")};
}

static void tear_down(void)
{
    arena_clear(&arena);
}

static void come_from(const char *ip)
{
    struct address address;

    cr_assert(address_parse_ip(slice_of(ip), 1234, &address));
    memcpy(&client.peer, &address.as, sizeof(client.peer));
    strcpy(client.peer_ip, ip);
}

static void send_field(const char *name, const char *value)
{
    http_fields_add(&request.fields, &arena, slice_of(name), slice_of(value));
}

static struct origin_facts facts(void)
{
    struct origin_facts found;

    forwarded_facts(&env, &globals, &client, &arena, &request.fields, &found);
    return found;
}

static const char *text(struct slice s)
{
    return arena_text(&arena, s);
}

/* The values of all fields of that name in what the backend gets, joined by "|". */
static const char *backend_sees(const char *name)
{
    struct origin_facts found = facts();
    struct http_fields fields = {0};
    struct slice all = slice_make("", 0);

    for (uint32_t i = 0; i < request.fields.count; i++)
        http_fields_add(&fields, &arena, request.fields.list[i].name, request.fields.list[i].value);
    found.cert_fingerprint = fingerprint;
    found.cert_subject = subject;
    forwarded_rewrite(&globals, &client, &arena, &request, &found, &fields);
    for (uint32_t i = 0; i < fields.count; i++)
        if (slice_equal_nocase(fields.list[i].name, slice_of(name)))
            all = arena_printf(&arena, "%.*s%s%.*s", (int)all.len, all.at, all.len ? "|" : "",
                               (int)fields.list[i].value.len, fields.list[i].value.at);
    return text(all);
}

TestSuite(forwarded, .init = set_up, .fini = tear_down);

Test(forwarded, an_untrusted_peer_says_nothing_about_itself)
{
    come_from("192.0.2.7");
    send_field("X-Forwarded-For", "6.6.6.6");
    send_field("X-Forwarded-Proto", "http");
    send_field("X-Forwarded-Prefix", "/x");
    send_field("X-Real-IP", "6.6.6.6");
    send_field("Forwarded", "for=6.6.6.6");
    send_field("X-Request-Id", "mine");
    cr_assert_str_eq(text(facts().client_ip), "192.0.2.7");
    cr_assert_str_eq(backend_sees("X-Forwarded-For"), "192.0.2.7");
    cr_assert_str_eq(backend_sees("X-Forwarded-Proto"), "https");
    cr_assert_str_eq(backend_sees("X-Forwarded-Host"), "shop.example.com:8443");
    cr_assert_str_eq(backend_sees("X-Forwarded-Port"), "8443");
    cr_assert_str_eq(backend_sees("X-Forwarded-Prefix"), "");
    cr_assert_str_eq(backend_sees("X-Real-IP"), "");
    cr_assert_str_eq(backend_sees("Forwarded"), "");
    cr_assert_str_neq(backend_sees("X-Request-Id"), "mine");
    cr_assert_eq(strlen(backend_sees("X-Request-Id")), 32);
}

Test(forwarded, a_trusted_peer_is_appended_and_its_word_kept)
{
    come_from("10.1.1.1");
    send_field("X-Forwarded-For", "6.6.6.6, 192.0.2.7");
    send_field("X-Forwarded-For", "10.2.2.2");
    send_field("X-Forwarded-Proto", "http");
    send_field("X-Forwarded-Host", "outer.example.com");
    send_field("X-Real-IP", "192.0.2.7");
    send_field("X-Request-Id", "abc.DEF_1-2");
    cr_assert_str_eq(text(facts().client_ip), "192.0.2.7");
    cr_assert_str_eq(backend_sees("X-Forwarded-For"), "6.6.6.6, 192.0.2.7, 10.2.2.2, 10.1.1.1");
    cr_assert_str_eq(backend_sees("X-Forwarded-Proto"), "http");
    cr_assert_str_eq(backend_sees("X-Forwarded-Host"), "outer.example.com");
    cr_assert_str_eq(backend_sees("X-Forwarded-Port"), "8443");
    cr_assert_str_eq(backend_sees("X-Real-IP"), "192.0.2.7");
    cr_assert_str_eq(backend_sees("X-Request-Id"), "abc.DEF_1-2");
}

/* Not even from a trusted one: nobody could tell which of the two a backend believes. */
static bool is_https(void)
{
    return forwarded_is_https(&globals, &client, &request.fields);
}

Test(forwarded, https_is_what_backends_are_told)
{
    static const char *const said[] = {"https", "http", "HTTPS, http", "http, https", "", "wss"};
    static const bool is[] = {true, false, true, false, false, false};

    come_from("10.1.1.1");
    cr_expect(is_https());
    client.is_tls = false;
    cr_expect_not(is_https());
    for (int i = 0; i < 6; i++) {
        request.fields.count = 0;
        send_field("X-Forwarded-Proto", said[i]);
        come_from("10.1.1.1");
        cr_expect_eq(is_https(), is[i], "%s", said[i]);
        cr_expect_str_eq(backend_sees("X-Forwarded-Proto"), said[i]);
        come_from("192.0.2.7"); /* who is not believed */
        cr_expect_not(is_https());
        client.is_tls = true;
        cr_expect(is_https());
        client.is_tls = false;
    }
}

Test(forwarded, what_reads_like_these_fields_is_nobody_s)
{
    struct origin_facts found;
    struct http_fields fields = {0};

    come_from("10.1.1.1");
    send_field("X-Forwarded-For", "192.0.2.7");
    http_fields_add_id(&request.fields, &arena, FIELD_LOOKALIKE, slice_of("X_Forwarded_For"),
                       slice_of("6.6.6.6"));
    found = facts();
    http_fields_add_id(&fields, &arena, FIELD_LOOKALIKE, slice_of("X_Forwarded_For"),
                       slice_of("6.6.6.6"));
    cr_assert_str_eq(text(found.client_ip), "192.0.2.7");
    forwarded_rewrite(&globals, &client, &arena, &request, &found, &fields);
    cr_assert_null(http_fields_get(&fields, FIELD_LOOKALIKE));
    cr_assert(slice_equal(http_fields_get(&fields, FIELD_X_FORWARDED_FOR)->value,
                          slice_of("192.0.2.7, 10.1.1.1")));
}

Test(forwarded, an_insane_request_id_is_replaced_even_from_a_trusted_peer)
{
    char long_id[130];

    come_from("10.1.1.1");
    send_field("X-Request-Id", "a b");
    cr_assert_eq(facts().request_id.len, 32);
    request.fields.count = 0;
    memset(long_id, 'a', 129);
    long_id[129] = '\0';
    send_field("X-Request-Id", long_id);
    cr_assert_eq(facts().request_id.len, 32);
    request.fields.count = 0;
    send_field("X-Request-Id", long_id + 1);
    cr_assert_eq(facts().request_id.len, 128);
}

Test(forwarded, request_ids_differ)
{
    struct slice first, second;

    come_from("192.0.2.7");
    first = facts().request_id;
    second = facts().request_id;
    cr_assert(!slice_equal(first, second));
}

Test(forwarded, the_walk_ends_at_what_cannot_be_read)
{
    come_from("10.1.1.1");
    send_field("X-Forwarded-For", "6.6.6.6, unknown, 10.9.9.9");
    cr_assert_str_eq(text(facts().client_ip), "10.9.9.9");
}

Test(forwarded, hops_may_carry_ports_and_brackets)
{
    come_from("fd00::1");
    send_field("X-Forwarded-For", "[2001:db8::5]:4711, 10.0.0.3:80");
    cr_assert_str_eq(text(facts().client_ip), "2001:db8::5");
}

Test(forwarded, all_trusted_means_the_leftmost)
{
    come_from("10.1.1.1");
    send_field("X-Forwarded-For", "10.7.7.7");
    cr_assert_str_eq(text(facts().client_ip), "10.7.7.7");
}

/* --- by a PROXY protocol header ------------------------------------------------------------- */

static const char *header_of(const char *client_ip)
{
    char source[ADDRESS_TEXT_SIZE], destination[ADDRESS_TEXT_SIZE];
    struct origin_facts facts = {.client_ip = slice_of(client_ip)};
    struct proxy_header header;

    forwarded_header(&client, &facts, &header);
    if (!header.names_ends)
        return "none";
    address_format(&header.source, source);
    address_format(&header.destination, destination);
    return text(arena_printf(&arena, "%s > %s", source, destination));
}

static void go_to(const char *ip)
{
    struct address address;

    cr_assert(address_parse_ip(slice_of(ip), 443, &address));
    memcpy(&client.local, &address.as, sizeof(client.local));
}

Test(forwarded, headers_are_about_the_client)
{
    come_from("192.0.2.7");
    go_to("192.0.2.1");
    cr_expect_str_eq(header_of("192.0.2.7"), "192.0.2.7:1234 > 192.0.2.1:443");
    cr_expect_str_eq(header_of("198.51.100.1"), "198.51.100.1:0 > 192.0.2.1:443");
    cr_expect_str_eq(header_of("2001:db8::5"), "[2001:db8::5]:0 > 192.0.2.1:443");
    cr_expect_str_eq(header_of("unknown"), "none");
}

Test(forwarded, headers_have_no_ends_that_are_no_ip)
{
    client.peer.any.sa_family = client.local.any.sa_family = AF_UNIX;
    strcpy(client.peer_ip, "unix");
    cr_expect_str_eq(header_of("unix"), "none");
}

Test(forwarded, nobody_says_whose_certificate_it_was)
{
    static const char *const peers[] = {"192.0.2.7", "10.1.1.1"};

    send_field("X-Client-Cert-Subject", "CN=root");
    send_field("x_client_cert_fingerprint", "00");
    send_field("X-Client-Cert-Verified", "yes");
    for (int i = 0; i < 2; i++) {
        come_from(peers[i]);
        fingerprint = subject = slice_make(NULL, 0);
        cr_assert_str_eq(backend_sees("X-Client-Cert-Subject"), "");
        cr_assert_str_eq(backend_sees("x_client_cert_fingerprint"), "");
        cr_assert_str_eq(backend_sees("X-Client-Cert-Verified"), "");
        fingerprint = slice_of("ab");
        subject = slice_of("CN=alice");
        cr_assert_str_eq(backend_sees("X-Client-Cert-Subject"), "CN=alice");
        cr_assert_str_eq(backend_sees("X-Client-Cert-Fingerprint"), "ab");
        cr_assert_str_eq(backend_sees("X-Client-Cert-Verified"), "");
    }
}
