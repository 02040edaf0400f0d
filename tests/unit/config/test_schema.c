/* routes/routes.schema.json, the examples beside it, and what the gateway reads are one thing. */
#include "config/diff.h"
#include "support/json_schema.h"
#include "support/route_folder.h"
#include "support/schema_leaves.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define HASH "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"

static struct route_folder folder;
static json_t *schema;

static char *source_path(const char *name)
{
    const char *root = getenv("SALLYPORT_SOURCE_DIR");
    char *path;

    cr_assert(asprintf(&path, "%s/%s", root ? root : ".", name) > 0);
    return path;
}

static json_t *read_json(const char *name)
{
    char *path = source_path(name);
    json_error_t error;
    json_t *value = json_load_file(path, JSON_REJECT_DUPLICATES, &error);

    cr_assert(value, "%s:%d: %s", path, error.line, error.text);
    free(path);
    return value;
}

static void begin(void)
{
    route_folder_init(&folder);
    route_folder_authority(&folder, "ca.pem");
    route_folder_authority(&folder, "other.pem");
    route_folder_write(&folder, "users", "alice:" HASH "\n");
    route_folder_write(&folder, "users2", "alice:" HASH "\n");
    schema = read_json("routes/routes.schema.json");
}

static void end(void)
{
    json_decref(schema);
    route_folder_clear(&folder);
}

TestSuite(schema, .init = begin, .fini = end);

/* --- every key ----------------------------------------------------------------------------------
 */

/* What a load came to: the snapshot and whatever was said. Files of certificates are looked at by
 * `check`, so that what only warns in a load counts as well. */
static char *outcome_of(const char *text, bool *is_good)
{
    char *described, *outcome;

    folder.strict_certs = true;
    route_folder_load_with_certs(&folder, text);
    *is_good = folder.snapshot != NULL;
    described = folder.snapshot ? snapshot_describe(folder.snapshot) : strdup("refused");
    cr_assert(asprintf(&outcome, "%s\n%s", described, folder.printed) > 0);
    free(described);
    return outcome;
}

static size_t count_changes(const struct snapshot *was, const struct snapshot *is)
{
    struct diff diff;

    diff_make(&diff, was, is);
    size_t count = diff.count;
    diff_clear(&diff);
    return count;
}

/* What is asked of a load itself serves nobody. */
static void expect_told(const char *path, const struct snapshot *was, const struct snapshot *is)
{
    bool is_a_test = strncmp(path, "tests.", 6) == 0;

    cr_expect(is_a_test || count_changes(was, is) > 0, "diff does not tell %s", path);
    cr_expect(is_a_test || count_changes(is, was) > 0, "diff does not tell %s backwards", path);
    cr_expect_eq(count_changes(was, was), 0, "%s is told against itself", path);
}

static void expect_difference(const char *path, const char *before, const char *after)
{
    bool is_good;
    char *one = outcome_of(before, &is_good);

    cr_expect(is_good, "%s: %s: %s", path, before, one);
    struct snapshot *was = is_good ? snapshot_ref(folder.snapshot) : NULL;
    char *other = outcome_of(after, &is_good);
    cr_expect_neq(strcmp(one, other), 0, "%s makes no difference", path);
    if (was && is_good)
        expect_told(path, was, folder.snapshot);
    snapshot_unref(was);
    free(one);
    free(other);
}

Test(schema, every_key_makes_a_difference, .timeout = 240)
{
    char before[512], after[512], path[128];

    for (size_t i = 0; i < schema_leaf_count; i++)
        expect_difference(schema_leaves[i].path, schema_leaves[i].before, schema_leaves[i].after);
    for (size_t p = 0; p < SCHEMA_SETTING_PLACES; p++)
        for (size_t s = 0; s < schema_setting_leaf_count; s++) {
            snprintf(path, sizeof(path), "%s.%s", schema_setting_places[p].path,
                     schema_setting_leaves[s].path);
            snprintf(before, sizeof(before), "%s%s%s", schema_setting_places[p].head,
                     schema_setting_leaves[s].before, schema_setting_places[p].tail);
            snprintf(after, sizeof(after), "%s%s%s", schema_setting_places[p].head,
                     schema_setting_leaves[s].after, schema_setting_places[p].tail);
            expect_difference(path, before, after);
        }
}

static void load_pair(const char *chain, const char *key)
{
    char text[256];

    snprintf(text, sizeof(text),
             "{ 'routes': {}, 'certs': { 'chain': 'certs/%s.crt', 'key': 'certs/%s.key' } }", chain,
             key);
    route_folder_load(&folder, text);
}

Test(schema, certificates_make_a_difference)
{
    route_folder_certify(&folder, "two", "b.test", 90);
    load_pair("test", "test");
    cr_expect(folder.snapshot, "%s", folder.printed);
    load_pair("two", "test");
    cr_expect_null(folder.snapshot, "certs.chain");
    load_pair("test", "two");
    cr_expect_null(folder.snapshot, "certs.key");
}

static bool has_suffix(const char *path, const char *place, const char *setting)
{
    size_t length = strlen(place);
    return strncmp(path, place, length) == 0 && path[length] == '.' &&
           strcmp(path + length + 1, setting) == 0;
}

static bool has_test(const char *path)
{
    static const char *const others[] = {
        "$schema",     /* for editors: read by nobody here */
        "certs.chain", /* above */
        "certs.key",
    };

    for (size_t i = 0; i < schema_leaf_count; i++)
        if (strcmp(schema_leaves[i].path, path) == 0)
            return true;
    for (size_t i = 0; i < 3; i++)
        if (strcmp(others[i], path) == 0)
            return true;
    for (size_t p = 0; p < SCHEMA_SETTING_PLACES; p++)
        for (size_t s = 0; s < schema_setting_leaf_count; s++)
            if (has_suffix(path, schema_setting_places[p].path, schema_setting_leaves[s].path))
                return true;
    return false;
}

static void expect_test(void *owner, const char *path)
{
    ++*(unsigned *)owner;
    cr_expect(has_test(path), "%s has no test in which it makes a difference", path);
}

Test(schema, every_key_has_a_test)
{
    unsigned count = 0;

    json_schema_each_leaf(schema, expect_test, &count);
    cr_expect_geq(count, schema_leaf_count + SCHEMA_SETTING_PLACES * schema_setting_leaf_count);
}

static void note_leaf(void *owner, const char *path)
{
    json_object_set_new(owner, path, json_true());
}

Test(schema, every_tested_key_is_in_it)
{
    json_t *found = json_object();
    char path[128];

    json_schema_each_leaf(schema, note_leaf, found);
    for (size_t i = 0; i < schema_leaf_count; i++)
        /* "to" is a place to write an address as well as the key of one. */
        cr_expect(json_object_get(found, schema_leaves[i].path) ||
                      strstr(schema_leaves[i].path, "*.to") != NULL,
                  "%s", schema_leaves[i].path);
    for (size_t p = 0; p < SCHEMA_SETTING_PLACES; p++)
        for (size_t s = 0; s < schema_setting_leaf_count; s++) {
            snprintf(path, sizeof(path), "%s.%s", schema_setting_places[p].path,
                     schema_setting_leaves[s].path);
            cr_expect(json_object_get(found, path), "%s", path);
        }
    json_decref(found);
}

/* --- files --------------------------------------------------------------------------------------
 */

static json_t *parse(const char *text)
{
    char *copy = strdup(text);
    json_error_t error;

    for (char *at = copy; *at; at++)
        *at = *at == '\'' ? '"' : *at;
    json_t *value = json_loads(copy, 0, &error);
    cr_assert(value, "%s: %s", text, error.text);
    free(copy);
    return value;
}

static void expect_accepted(const char *members, bool is_good)
{
    char text[1024];

    snprintf(text, sizeof(text), "{ 'certs': 'certs', %s }", members);
    json_t *value = parse(text);
    cr_expect_eq(json_schema_accepts(schema, value), is_good, "%s is%s accepted", members,
                 is_good ? " not" : "");
    json_decref(value);
}

Test(schema, accepts_what_the_gateway_takes)
{
    for (size_t i = 0; i < schema_leaf_count; i++)
        expect_accepted(schema_leaves[i].before, true);
    expect_accepted("'routes': { 'a.test': { 'to': { 'b': 95, 'x:1': 5 }, '//': [] } }, '// x': 1",
                    true);
    expect_accepted("'routes': { 'a.test': { 'to': 'x:1', 'auth': null } }", true);
    expect_accepted("'routes': { 'a.test': '${X}' }, 'drain_delay': '${Y}'", true);
}

Test(schema, refuses_what_the_gateway_refuses)
{
    static const char *const bad[] = {
        "'route': {}",
        "'routes': {}, 'watch': 'some'",
        "'routes': {}, 'listen': { 'https': 443 }",
        "'routes': {}, 'listen': { 'https': [] }",
        "'routes': {}, 'listen': { 'admin': ':1' }",
        "'routes': {}, 'listen': { 'https': { 'bind': ':1', 'serve': 'routes' } }",
        "'routes': {}, 'listen': { 'https': { 'bind': ':1', 'acme_webroot': '/' } }",
        "'routes': {}, 'listen': { 'http': { 'bind': ':1', 'acme_webroot': '' } }",
        "'routes': {}, 'listen': { 'https': { 'bind': ':1', 'proxy_protocol': true } }",
        "'routes': {}, 'listen': { 'https': { 'bind': ':1', 'proxy_protocol': {} } }",
        "'routes': {}, 'listen': { 'http': { 'bind': ':1', 'proxy_protocol': { 'from': [] } } }",
        "'routes': {}, 'listen': { 'http': { 'bind': ':1', 'proxy_protocol': { 'from': '::1' } } }",
        "'routes': {}, 'listen': { 'status': { 'bind': ':1', 'proxy_protocol': { 'from': [] } } }",
        "'routes': {}, 'backends': { 'b': { 'servers': 'x:1', 'proxy_protocol': 'v1' } }",
        "'routes': {}, 'backends': { 'b': { 'servers': 'x:1', 'proxy_protocol': true } }",
        BACKEND("'balance'", "'fair'"),
        BACKEND("'hash_on'", "'ip'"),
        BACKEND("'balance': 'hash', 'hash_on'", "'header'"),
        BACKEND("'balance': 'hash', 'hash_on'", "'query:a'"),
        BACKEND("'sticky'", "{}"),
        BACKEND("'sticky'", "{ 'cookie': 'a', 'key': 'too short' }"),
        BACKEND("'slow_start'", "5"),
        BACKEND("'health'", "'/healthz'"),
        BACKEND("'health'", "{ 'path': 'healthz' }"),
        BACKEND("'health'", "{ 'method': 'HEAD' }"),
        BACKEND("'health'", "{ 'path': '/', 'status': 99 }"),
        BACKEND("'health'", "{ 'path': '/', 'status': '2xx' }"),
        BACKEND("'health'", "{ 'path': '/', 'status': [] }"),
        BACKEND("'health'", "{ 'every': 0 }"),
        BACKEND("'health'", "{ 'timeout': '0s' }"),
        BACKEND("'health'", "{ 'rise': 0 }"),
        BACKEND("'eject'", "{ 'after': -1 }"),
        BACKEND("'eject'", "{ 'max': 50 }"),
        BACKEND("'eject'", "{ 'max': '101%' }"),
        BACKEND("'hold'", "'5s'"),
        BACKEND("'hold'", "{ 'queue': '100' }"),
        BACKEND("'max_connections'", "-1"),
        BACKEND("'hedge'", "'p49'"),
        BACKEND("'hedge'", "'p100'"),
        BACKEND("'hedge'", "95"),
        SPLIT_HOST(", 'split_on': 'uri'"),
        "'routes': {}, 'defaults': { 'auth': {} }",
        "'routes': {}, 'defaults': { 'auth': { 'forward': {} } }",
        "'routes': {}, 'defaults': { 'auth': { 'forward': { 'to': 'https://x' } } }",
        "'routes': {}, 'defaults': { 'auth': { 'forward': { 'to': 'http://x', 'timeout': 0 } } }",
        "'routes': {}, 'defaults': { 'auth': { 'forward': { 'to': 'http://x', 'copy': 'a' } } }",
        "'routes': {}, 'defaults': { 'retry': { 'budget': 20 } }",
        "'routes': {}, 'defaults': { 'retry': { 'on': 'connect' } }",
        "'routes': {}, 'defaults': { 'retry': { 'on': ['crash'] } }",
        "'routes': {}, 'defaults': { 'retry': { 'on': [200] } }",
        "'routes': {}, 'redis': 'localhost:6379'",
        "'routes': {}, 'redis': {}",
        "'routes': {}, 'redis': { 'servers': [] }",
        "'routes': {}, 'redis': { 'servers': ['x:1'], 'on_failure': 'open' }",
        "'routes': {}, 'defaults': { 'rate_limit': 5 }",
        "'routes': {}, 'defaults': { 'rate_limit': '50 per second' }",
        "'routes': {}, 'defaults': { 'rate_limit': [] }",
        "'routes': {}, 'defaults': { 'rate_limit': { 'rate': 5 } }",
        "'routes': {}, 'defaults': { 'rate_limit': { 'rate': '5/s', 'burst': 0 } }",
        "'routes': {}, 'defaults': { 'rate_limit': { 'rate': '5/s', 'key': 'header' } }",
        "'routes': {}, 'defaults': { 'cache': true }",
        "'routes': {}, 'defaults': { 'cache': '256MiB' }",
        "'routes': {}, 'defaults': { 'cache': { 'size': 1000 } }",
        "'routes': {}, 'defaults': { 'cache': { 'max_object': '5MB' } }",
        "'routes': {}, 'defaults': { 'cache': { 'stale_if_error': 60 } }",
        "'routes': {}, 'defaults': { 'cache': { 'set_cookie': 'yes' } }",
        "'routes': {}, 'drain_delay': 5",
        "'routes': {}, 'drain_delay': '5 s'",
        "'routes': {}, 'defaults': { 'max_body': '5MB' }",
        "'routes': {}, 'defaults': { 'keepalive': 5 }",
        "'routes': {}, 'tls': { 'min_version': '1.1' }",
        "'routes': {}, 'tls': { 'client_auth': 'require' }",
        "'routes': {}, 'group': 'nogroup'",
        "'routes': {}, 'backends': { 'b': {} }",
        "'routes': {}, 'backends': { 'b': [] }",
        "'routes': { 'a.test': 5 }",
        "'routes': { 'a.test': {} }",
        "'routes': { 'a.test': { 'to': 'x:1', 'respond': {} } }",
        "'routes': { 'a.test': { 'to': 'x:1', 'timeout': { 'handshake': '1s' } } }",
        "'routes': { 'a.test': { 'to': { 'b': 70000 } } }",
        "'routes': { 'a.test': { 'to': 'x:1', 'headers': { 'set': { 'a': 'b' } } } }",
        "'routes': { 'a.test': { 'to': 'x:1', 'headers': { 'request': { 'add': { 'a': [] } } } } }",
        "'routes': { 'a.test': { 'to': 'x:1', 'headers': { 'request': { 'set': { 'a': 1 } } } } }",
        "'routes': { 'a.test': { 'to': 'x:1', 'headers': { 'response': { 'remove': 'a' } } } }",
        "'routes': { 'a.test': { 'to': 'x:1', 'rewrite': { 'strip_prefix': 'api' } } }",
        "'routes': { 'a.test': { 'to': 'x:1', 'rewrite': { 'add_prefix': '/a?b' } } }",
        "'routes': {}, 'defaults': { 'rewrite': { 'add_prefix': '/a' } }",
        "'routes': { 'a.test': { 'paths': {} } }",
        "'routes': { 'a.test': { 'paths': { '/': { 'paths': {} } } } }",
        "'routes': { 'a.test': { 'redirect': { 'to': '/', 'status': 200 } } }",
        "'routes': {}, 'tests': [{ 'request': 'GET /', 'expect': { 'status': 404 } }]",
        "'routes': {}, 'tests': [{ 'request': 'GET http://a/', 'expect': {} }]",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect_accepted(bad[i], false);
        route_folder_load_with_certs(&folder, bad[i]);
        cr_expect_null(folder.snapshot, "the gateway takes %s", bad[i]);
    }
}

static char *read_text(const char *name)
{
    char *path = source_path(name), *text = NULL;
    size_t size = 0;
    FILE *file = fopen(path, "r");

    cr_assert(file, "%s", path);
    cr_assert(getdelim(&text, &size, '\0', file) > 0);
    fclose(file);
    free(path);
    return text;
}

/* Where they lie, relative to the certificates, as in the repository. */
static void expect_example(const char *name)
{
    char path[256], file[128];
    struct problems problems = {0};

    snprintf(path, sizeof(path), "routes/examples/%s", name);
    json_t *value = read_json(path);
    cr_expect(json_schema_accepts(schema, value), "%s is not as the schema says", name);
    json_decref(value);
    char *text = read_text(path);
    snprintf(file, sizeof(file), "%s/routes/examples/%s", folder.path, name);
    FILE *copy = fopen(file, "w");
    fputs(text, copy);
    fclose(copy);
    free(text);
    struct snapshot *snapshot = snapshot_load(
        file, &(struct load_options){.keys = folder.keys, .strict_certs = true}, &problems);
    for (size_t i = 0; i < problems.count; i++)
        cr_expect_fail("%s:%u: %s", name, problems.list[i].line, problems.list[i].message);
    cr_expect(snapshot);
    snapshot_unref(snapshot);
    problems_clear(&problems);
}

Test(schema, examples_load_without_a_word)
{
    char *folder_path = source_path("routes/examples");
    char path[128];
    DIR *dir = opendir(folder_path);
    int count = 0;

    cr_assert(dir);
    route_folder_certify(&folder, "dev", "sub1.xyz.com sub2.xyz.com *.xyz.com", 90);
    snprintf(path, sizeof(path), "%s/routes", folder.path);
    cr_assert_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/routes/examples", folder.path);
    cr_assert_eq(mkdir(path, 0700), 0);
    setenv("APP_ADDRESS", "10.0.0.1:8080", 1);
    setenv("APP_HOST", "app.internal", 1);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        expect_example(entry->d_name);
        count++;
    }
    closedir(dir);
    free(folder_path);
    cr_expect_geq(count, 5);
}

Test(schema, the_default_route_file_is_as_it_says)
{
    json_t *value = read_json("routes/routes.json");

    cr_expect(json_schema_accepts(schema, value));
    json_decref(value);
}
