/* proxy/access_log: one valid JSON object a line, whatever the client sent. */
#include "proxy/access_log.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

static struct proxy_env env;
static struct metrics metrics;
static struct globals globals;
static struct client client;
static struct http_head request;
static struct access_record record;

static void set_up(void)
{
    globals = (struct globals){.access_log = ACCESS_LOG_STDOUT};
    env = (struct proxy_env){.metrics = &metrics, .access_log = line_ring_new(1 << 16)};
    client = (struct client){.peer_ip = "192.0.2.7"};
    request = (struct http_head){
        .method_text = slice_of("GET"),
        .host = slice_of("a.example.com"),
        .path = slice_of("/x"),
        .query = slice_of("?token=secret"),
        .version_minor = 1,
    };
    record = (struct access_record){
        .client = &client,
        .globals = &globals,
        .generation = 7,
        .request = &request,
        .client_ip = slice_of("192.0.2.7"),
        .request_id = slice_of("id"),
        .status = 200,
        .duration_us = 1234567,
    };
}

static void tear_down(void)
{
    line_ring_free(env.access_log);
    buffer_clear(&env.log_line);
    buffer_cache_clear();
}

static json_t *written(void)
{
    char line[65536];
    size_t length;
    json_t *object;

    access_log_write(&env, &record);
    length = line_ring_take(env.access_log, line, sizeof(line) - 1);
    line[length] = '\0';
    cr_assert_gt(length, 0);
    cr_assert_eq(line[length - 1], '\n');
    cr_assert_eq(strchr(line, '\n'), line + length - 1);
    object = json_loads(line, 0, NULL);
    cr_assert_not_null(object, "not JSON: %s", line);
    return object;
}

static const char *text_of(json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);

    cr_assert_not_null(value, "no %s", key);
    return json_is_null(value) ? "(null)" : json_string_value(value);
}

TestSuite(access_log, .init = set_up, .fini = tear_down);

Test(access_log, every_field_is_there)
{
    static const char *const keys[] = {
        "ts",    "request_id", "client_ip", "peer_ip",  "method",    "host",        "path",
        "proto", "status",     "reason",    "bytes_in", "bytes_out", "duration_ms", "upstream_ms",
        "route", "backend",    "server",    "attempts", "tls",       "generation"};
    json_t *line = written();

    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        cr_assert_not_null(json_object_get(line, keys[i]), "%s", keys[i]);
    cr_assert_eq(json_object_size(line), sizeof(keys) / sizeof(*keys));
    cr_assert_float_eq(json_number_value(json_object_get(line, "duration_ms")), 1234.567, 1e-6);
    cr_assert_str_eq(text_of(line, "path"), "/x");
    cr_assert_str_eq(text_of(line, "route"), "none");
    cr_assert(json_is_null(json_object_get(line, "tls")));
    json_decref(line);
}

Test(access_log, the_query_only_on_request)
{
    json_t *line;

    globals.log_query = true;
    line = written();
    cr_assert_str_eq(text_of(line, "path"), "/x?token=secret");
    json_decref(line);
}

Test(access_log, any_byte_makes_valid_json)
{
    json_t *line;

    request.path = slice_make("/\"\\\x01\xff\xc3\xa4\xe2\x82\xed\xa0\x80", 12);
    line = written();
    cr_assert_str_eq(text_of(line, "path"),
                     "/\"\\\x01\xc3\xbf\xc3\xa4\xc3\xa2\xc2\x82\xc3\xad\xc2\xa0\xc2\x80");
    json_decref(line);
}

/* Escapes make a text six times as long: what a client sends must not keep it out of the log. */
Test(access_log, long_texts_are_cut_not_dropped)
{
    static char path[16 * 1024], method[16 * 1024], query[64 * 1024];
    json_t *line;

    memset(path, '"', sizeof(path));
    memset(method, 'M', sizeof(method));
    memset(query, 0xff, sizeof(query));
    request.path = slice_make(path, sizeof(path));
    request.method_text = slice_make(method, sizeof(method));
    request.query = slice_make(query, sizeof(query));
    globals.log_query = true;
    line = written();
    cr_assert_eq(text_of(line, "path")[1000], '"');
    cr_assert_eq(text_of(line, "method")[1000], 'M');
    json_decref(line);
    request.path = slice_make("/x", 2);
    line = written();
    cr_assert_eq(strncmp(text_of(line, "path"), "/x\xc3\xbf", 4), 0);
    json_decref(line);
    cr_assert_eq(line_ring_dropped(env.access_log), 0);
}

Test(access_log, without_a_request_its_fields_are_null)
{
    json_t *line;

    record.request = NULL;
    record.reason = REASON_BAD_REQUEST;
    record.status = 400;
    line = written();
    cr_assert_str_eq(text_of(line, "method"), "(null)");
    cr_assert_str_eq(text_of(line, "path"), "(null)");
    cr_assert_str_eq(text_of(line, "proto"), "(null)");
    cr_assert_str_eq(text_of(line, "reason"), "bad_request");
    json_decref(line);
}

Test(access_log, a_full_ring_drops_and_counts)
{
    for (int i = 0; i < 1000; i++)
        access_log_write(&env, &record);
    cr_assert_gt(metric_read(&metrics, METRIC_LOG_DROPPED), 0);
}

Test(access_log, off_writes_nothing)
{
    char byte;

    globals.access_log = ACCESS_LOG_OFF;
    access_log_write(&env, &record);
    cr_assert_eq(line_ring_take(env.access_log, &byte, 1), 0);
}
