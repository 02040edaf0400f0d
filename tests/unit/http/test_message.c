/* Methods, fields, status codes and verdicts as values. */
#include "http/message.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct arena arena;
static struct http_fields fields;

static void clear(void)
{
    arena_clear(&arena);
    fields = (struct http_fields){0};
}

static void add(const char *name, const char *value)
{
    http_fields_add(&fields, &arena, slice_of(name), slice_of(value));
}

/* The names that are left, with a space behind each. */
static const char *names(void)
{
    static char text[1024];
    size_t length = 0;

    text[0] = '\0';
    for (uint32_t i = 0; i < fields.count; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%.*s ",
                                   (int)fields.list[i].name.len, fields.list[i].name.at);
    return text;
}

TestSuite(message, .fini = clear);

Test(message, methods)
{
    cr_assert_eq(http_method_from(slice_of("GET")), METHOD_GET);
    cr_assert_eq(http_method_from(slice_of("PATCH")), METHOD_PATCH);
    cr_assert_eq(http_method_from(slice_of("CONNECT")), METHOD_CONNECT);
    cr_assert_eq(http_method_from(slice_of("TRACE")), METHOD_TRACE);
    cr_assert_eq(http_method_from(slice_of("get")), METHOD_OTHER);
    cr_assert_eq(http_method_from(slice_of("PROPFIND")), METHOD_OTHER);
    cr_assert_eq(http_method_from(slice_of("")), METHOD_OTHER);
    cr_assert(http_method_is_idempotent(METHOD_GET));
    cr_assert(http_method_is_idempotent(METHOD_PUT));
    cr_assert(http_method_is_idempotent(METHOD_DELETE));
    cr_assert_not(http_method_is_idempotent(METHOD_POST));
    cr_assert_not(http_method_is_idempotent(METHOD_PATCH));
    cr_assert_not(http_method_is_idempotent(METHOD_OTHER));
}

Test(message, tokens_and_values)
{
    cr_assert(http_is_token(slice_of("azAZ09!#$%&'*+-.^_`|~")));
    cr_assert_not(http_is_token(slice_of("")));
    for (const char *c = " \t\"(),/:;<=>?@[\\]{}\x7f\x80\xff\r\n\x01"; *c; c++)
        cr_expect_not(http_is_token(slice_make(c, 1)), "%02x", (unsigned char)*c);
    cr_assert_not(http_is_token(slice_make("", 1)));
    cr_assert(http_is_field_value(slice_of("")));
    cr_assert(http_is_field_value(slice_of(" \t~!\"\x80\xff")));
    cr_assert_not(http_is_field_value(slice_make("a\0b", 3)));
    for (int c = 0; c < 0x20; c++) {
        char byte = (char)c;
        cr_expect_eq(http_is_field_value(slice_make(&byte, 1)), c == '\t', "%02x", (unsigned)c);
    }
    cr_assert_not(http_is_field_value(slice_of("\x7f")));
}

Test(message, field_names_are_known_in_any_case)
{
    static const struct {
        const char *name;
        enum field_id id;
    } cases[] = {
        {"Accept", FIELD_ACCEPT},
        {"Connection", FIELD_CONNECTION},
        {"content-LENGTH", FIELD_CONTENT_LENGTH},
        {"COOKIE", FIELD_COOKIE},
        {"Date", FIELD_DATE},
        {"Expect", FIELD_EXPECT},
        {"Forwarded", FIELD_FORWARDED},
        {"HOST", FIELD_HOST},
        {"HTTP2-Settings", FIELD_HTTP2_SETTINGS},
        {"Keep-Alive", FIELD_KEEP_ALIVE},
        {"Proxy-Authenticate", FIELD_PROXY_AUTHENTICATE},
        {"Proxy-Authorization", FIELD_PROXY_AUTHORIZATION},
        {"Proxy-Connection", FIELD_PROXY_CONNECTION},
        {"Server", FIELD_SERVER},
        {"Set-Cookie", FIELD_SET_COOKIE},
        {"TE", FIELD_TE},
        {"Trailer", FIELD_TRAILER},
        {"Transfer-Encoding", FIELD_TRANSFER_ENCODING},
        {"Upgrade", FIELD_UPGRADE},
        {"User-Agent", FIELD_USER_AGENT},
        {"Via", FIELD_VIA},
        {"X-Forwarded-For", FIELD_X_FORWARDED_FOR},
        {"X-Forwarded-Host", FIELD_X_FORWARDED_HOST},
        {"X-Forwarded-Port", FIELD_X_FORWARDED_PORT},
        {"X-Forwarded-Proto", FIELD_X_FORWARDED_PROTO},
        {"X-Forwarded-Proton", FIELD_X_FORWARDED_OTHER},
        {"X-Forwarded-By", FIELD_X_FORWARDED_OTHER},
        {"x-forwarded-client-cert-and-much-more", FIELD_X_FORWARDED_OTHER},
        {"X-Real-IP", FIELD_X_REAL_IP},
        {"X-Request-ID", FIELD_X_REQUEST_ID},
        {"X-Forwarded-", FIELD_X_FORWARDED_OTHER},
        {"X-Forwarded", FIELD_OTHER},
        {"X-Client-Cert-Subject", FIELD_X_CLIENT_CERT},
        {"x_client-CERT_Anything", FIELD_X_CLIENT_CERT},
        {"X-Client-Cert-", FIELD_X_CLIENT_CERT},
        {"X-Client-Certificate", FIELD_OTHER},
        {"Hos", FIELD_OTHER},
        {"Hosts", FIELD_OTHER},
        {"Content_Length", FIELD_OTHER},
        {"", FIELD_OTHER},
        {"A-name-that-is-longer-than-any-known", FIELD_OTHER},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect_eq(field_id_from(slice_of(cases[i].name)), cases[i].id, "%s", cases[i].name);
}

Test(message, names_that_read_like_others_are_told)
{
    static const char *const alike[] = {
        "X_Forwarded_For",
        "x-forwarded_for",
        "X_Forwarded-Proto",
        "X_FORWARDED_ANYTHING_AT_ALL",
        "X_Real_IP",
        "X_Request_ID",
        "Content_Length",
        "transfer_encoding",
        "Keep_Alive",
        "X_Forwarded_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    static const char *const unlike[] = {
        "_",
        "Host_",
        "_Host",
        "X_Forwarded",
        "User__Agent",
        "a_name_that_is_longer_than_any_known",
        "a_name_longer_than_all_of_them_and_on_and_on_and_on_it_goes"};

    for (size_t i = 0; i < sizeof(alike) / sizeof(alike[0]); i++)
        cr_expect_eq(field_id_with_underscores(slice_of(alike[i])), FIELD_LOOKALIKE, "%s",
                     alike[i]);
    for (size_t i = 0; i < sizeof(unlike) / sizeof(unlike[0]); i++)
        cr_expect_eq(field_id_with_underscores(slice_of(unlike[i])), FIELD_OTHER, "%s", unlike[i]);
}

Test(message, fields_grow_and_are_found)
{
    char name[100][8];

    for (int i = 0; i < 100; i++) {
        snprintf(name[i], sizeof(name[i]), "X-%d", i);
        add(name[i], name[i]);
    }
    add("Via", "first");
    add("via", "second");
    cr_assert_eq(fields.count, 102);
    cr_assert(slice_equal(http_fields_find(&fields, slice_of("x-77"))->value, slice_of("X-77")));
    cr_assert_null(http_fields_find(&fields, slice_of("x-100")));
    cr_assert(slice_equal(http_fields_get(&fields, FIELD_VIA)->value, slice_of("first")));
    cr_assert_null(http_fields_get(&fields, FIELD_HOST));
}

Test(message, tokens_are_found_in_all_fields)
{
    add("Connection", "keep-alive ,, x");
    add("Other", "close");
    add("connection", "Upgrade");
    cr_assert(http_fields_have_token(&fields, FIELD_CONNECTION, slice_of("Keep-Alive")));
    cr_assert(http_fields_have_token(&fields, FIELD_CONNECTION, slice_of("X")));
    cr_assert(http_fields_have_token(&fields, FIELD_CONNECTION, slice_of("upgrade")));
    cr_assert_not(http_fields_have_token(&fields, FIELD_CONNECTION, slice_of("close")));
    cr_assert_not(http_fields_have_token(&fields, FIELD_CONNECTION, slice_of("upgrad")));
}

Test(message, hop_by_hop_fields_go)
{
    add("Accept", "*/*");
    add("Connection", "X-Hop, close");
    add("Content-Length", "5");
    add("x-hop", "1");
    add("Keep-Alive", "timeout=5");
    add("Proxy-Connection", "keep-alive");
    add("TE", "trailers");
    add("Trailer", "X-Sum");
    add("Transfer-Encoding", "chunked");
    add("Upgrade", "websocket");
    add("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA");
    add("Proxy-Authorization", "Basic x");
    add("Proxy-Authenticate", "Basic");
    add("X-Hop", "2");
    add("Y-Hop", "3");
    add("Connection", "y-hop");
    http_fields_drop_hop_by_hop(&fields);
    cr_assert_str_eq(names(), "Accept Proxy-Authorization Proxy-Authenticate ");
}

/* Else a client could take away what the gateway, or a proxy in front, says about it. */
Test(message, connection_cannot_take_away_what_routes)
{
    add("Connection",
        "Host, X-Forwarded-For, X-Real-IP, Forwarded, Date, Expect, X-Request-Id, Cookie,"
        " X-Forwarded-Proto, Connection, Content-Length");
    add("Host", "a");
    add("X-Forwarded-For", "1.2.3.4");
    add("X-Forwarded-Proto", "https");
    add("X-Real-IP", "1.2.3.4");
    add("Forwarded", "for=1.2.3.4");
    add("X-Request-Id", "1");
    add("Date", "now");
    add("Expect", "100-continue");
    add("Cookie", "c");
    http_fields_drop_hop_by_hop(&fields);
    cr_assert_str_eq(names(), "Host X-Forwarded-For X-Forwarded-Proto X-Real-IP Forwarded "
                              "X-Request-Id Date Expect ");
}

Test(message, phrases_and_reasons)
{
    cr_assert_str_eq(http_status_phrase(200), "OK");
    cr_assert_str_eq(http_status_phrase(421), "Misdirected Request");
    cr_assert_str_eq(http_status_phrase(299), "");
    cr_assert_eq(http_reason_status(REASON_URI_TOO_LONG), 414);
    cr_assert_eq(http_reason_status(REASON_HEADER_TOO_LARGE), 431);
    cr_assert_eq(http_reason_status(REASON_CLIENT_CLOSED), 499);
    cr_assert_str_eq(http_reason_word(REASON_BACKEND_CONNECT_TIMEOUT), "backend_connect_timeout");
    for (int reason = REASON_NONE + 1; reason < REASON_COUNT; reason++)
        cr_expect_str_not_empty(http_reason_word((enum http_reason)reason), "%d", reason);
}
