/* Reading `tests`; run_tests.c runs them. */
#include "config/route_tests.h"

#include "http/target.h"

#include <string.h>

struct test_reader {
    struct route_test *test;
    const struct json_node *request, *expect;
    bool has_sni, has_host; /* they win over the URL, whichever stands first */
};

/* --- request ------------------------------------------------------------------------------------
 */

static void read_request(struct reader *reader, const struct json_node *node, void *into)
{
    static const char *const expected = "\"METHOD URL\", such as \"GET https://example.com/x\",";
    struct test_reader *t = into;
    struct followed_request read = {.is_tls = false};
    struct error error = {""};
    struct slice text;
    ptrdiff_t space;

    t->request = node;
    if (!reader_text(reader, node, expected, &text))
        return;
    space = slice_find(text, ' ');
    if (space <= 0 || slice_find(slice_skip(text, (size_t)space + 1), ' ') >= 0) {
        reader_error(reader, node, AT_VALUE, "%s is expected", expected);
        return;
    }
    t->test->is_valid =
        follow_read_url(reader->arena, slice_skip(text, (size_t)space + 1), &read, &error);
    if (!t->test->is_valid) {
        reader_error(reader, node, AT_VALUE, "%s", error.message);
        return;
    }
    read.method = slice_make(text.at, (size_t)space);
    if (t->has_host)
        read.authority = t->test->request.authority;
    read.has_underscores = t->test->request.has_underscores;
    read.fields = t->test->request.fields;
    read.peer = t->test->request.peer;
    if (t->has_sni)
        read.sni = t->test->request.sni;
    t->test->request = read;
}

/* --- what else the client sends -----------------------------------------------------------------
 */

static void read_headers(struct reader *reader, const struct json_node *node, void *into)
{
    struct test_reader *t = into;
    struct slice value;

    if (!reader_is_object(reader, node))
        return;
    for (const struct json_node *member = node->first; member; member = member->next) {
        if (!reader_text(reader, member, "a string", &value))
            continue;
        http_fields_add(&t->test->request.fields, reader->arena,
                        arena_copy(reader->arena, member->key), value);
        t->test->request.has_underscores |= slice_find(member->key, '_') >= 0;
        if (field_id_from(member->key) != FIELD_HOST)
            continue;
        t->has_host = true;
        t->test->request.authority = value;
    }
}

static void read_sni(struct reader *reader, const struct json_node *node, void *into)
{
    struct test_reader *t = into;
    struct slice text;
    uint16_t port = 0;

    t->has_sni = true;
    if (!reader_text(reader, node, "a name, or \"\" for a client without SNI,", &text))
        return;
    t->test->request.sni = slice_of("");
    if (text.len > 0 &&
        (!host_normalise(reader->arena, text, &t->test->request.sni, &port) || port != 0))
        reader_error(reader, node, AT_VALUE, "\"%s\" is no host name", text.at);
}

static void read_ip(struct reader *reader, const struct json_node *node, void *into)
{
    struct test_reader *t = into;
    struct slice text;

    if (reader_text(reader, node, "an IP address", &text) &&
        !address_parse_ip(text, 0, &t->test->request.peer))
        reader_error(reader, node, AT_VALUE, "\"%s\" is no IP address", text.at);
}

/* --- expect -------------------------------------------------------------------------------------
 */

static void read_expected_text(struct reader *reader, const struct json_node *node,
                               const char **expected)
{
    struct slice text;

    if (reader_text(reader, node, "a string", &text))
        *expected = text.at;
}

static void read_route(struct reader *reader, const struct json_node *node, void *into)
{
    read_expected_text(reader, node, &((struct route_test *)into)->route);
}

static void read_backend(struct reader *reader, const struct json_node *node, void *into)
{
    read_expected_text(reader, node, &((struct route_test *)into)->backend);
}

static void read_server(struct reader *reader, const struct json_node *node, void *into)
{
    read_expected_text(reader, node, &((struct route_test *)into)->server);
}

static void read_cert(struct reader *reader, const struct json_node *node, void *into)
{
    read_expected_text(reader, node, &((struct route_test *)into)->cert);
}

static void read_location(struct reader *reader, const struct json_node *node, void *into)
{
    read_expected_text(reader, node, &((struct route_test *)into)->location);
}

static void read_alert(struct reader *reader, const struct json_node *node, void *into)
{
    static const char *const alerts[] = {"unrecognized_name", "handshake_failure"};
    unsigned index;

    if (reader_word(reader, node, alerts, 2, &index))
        ((struct route_test *)into)->alert = alerts[index];
}

static void read_status(struct reader *reader, const struct json_node *node, void *into)
{
    uint64_t status;

    if (reader_count(reader, node, 100, 599, &status))
        ((struct route_test *)into)->status = (int)status;
}

static const struct rule expect_list[] = {
    {"route", 0, read_route}, {"backend", 0, read_backend}, {"server", 0, read_server},
    {"cert", 0, read_cert},   {"status", 0, read_status},   {"location", 0, read_location},
    {"alert", 0, read_alert},
};
static const struct rules expect_rules = {expect_list, 7, NULL};

static void read_expect(struct reader *reader, const struct json_node *node, void *into)
{
    struct test_reader *t = into;

    t->expect = node;
    if (reader_object(reader, node, &expect_rules, 0, t->test) && !node->first)
        reader_error(reader, node, AT_VALUE, "nothing is expected: \"route\", for example");
}

static const struct rule test_list[] = {
    {"request", 0, read_request}, {"headers", 0, read_headers}, {"sni", 0, read_sni},
    {"ip", 0, read_ip},           {"expect", 0, read_expect},
};
static const struct rules test_rules = {test_list, 5, NULL};

static void read_test(struct load *load, const struct json_node *node, struct route_test *test)
{
    struct test_reader t = {.test = test};
    struct reader *reader = &load->reader;

    test->place = reader_place(reader, node, AT_VALUE);
    if (!reader_object(reader, node, &test_rules, 0, &t))
        return;
    if (!t.request)
        reader_missing(reader, node, "request", "\"GET https://example.com/\", for example");
    if (!t.expect)
        reader_missing(reader, node, "expect", "{ \"route\": \"example.com\" }, for example");
}

void load_tests(struct load *load, const struct json_node *node)
{
    unsigned count = 0;

    if (!node || !reader_is_list(&load->reader, node, "a list of tests"))
        return;
    for (const struct json_node *element = node->first; element; element = element->next)
        count++;
    load->config->tests =
        arena_alloc(&load->config->arena, (count + 1) * sizeof(*load->config->tests));
    for (const struct json_node *element = node->first; element; element = element->next)
        read_test(load, element, &load->config->tests[load->config->test_count++]);
}
