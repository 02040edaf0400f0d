/* routes/routes.schema.json, the examples beside it, and what the gateway reads are one thing. */
#include "config/diff.h"
#include "support/json_schema.h"
#include "support/route_folder.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

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

/* A key, and two files that differ in its value alone. */
struct leaf {
    const char *path, *before, *after;
};

#define TO                   "'routes': { 'a.test': 'x:1' }"
#define HTTPS                "'listen': { 'https': "
#define HTTP                 "'listen': { 'http': "
#define TLS                  "'routes': {}, 'tls': { "
#define DEFAULTS(key, value) TO ", 'defaults': { " key ": " value " }"
#define BACKEND(key, value)                                                                        \
    "'routes': { 'a.test': 'b' }, 'backends': { 'b': { 'servers': ['x:1', 'x:2'], " key ": " value \
    " } }"
#define SERVER(to, rest) \
    "'routes': { 'a.test': 'b' }, 'backends': { 'b': [{ 'to': " to rest " }, 'x:9'] }"
#define IN_SERVERS(to, rest)                                                         \
    "'routes': { 'a.test': 'b' }, 'backends': { 'b': { 'servers': [{ 'to': " to rest \
    " }, 'x:9'] } }"
#define INLINE(to, rest) "'routes': { 'a.test': [{ 'to': " to rest " }, 'x:9'] }"
#define IN_TO(to, rest)  "'routes': { 'a.test': { 'to': [{ 'to': " to rest " }, 'x:9'] } }"
#define IN_PATH_LIST(to, rest) \
    "'routes': { 'a.test': { 'paths': { '/': [{ 'to': " to rest " }, 'x:9'] } } }"
#define IN_PATH_TO(to, rest) \
    "'routes': { 'a.test': { 'paths': { '/': { 'to': [{ 'to': " to rest " }, 'x:9'] } } } }"
#define HOST(members)    "'routes': { 'a.test': { " members " } }"
#define PATH(members)    "'routes': { 'a.test': { 'paths': { '/': { " members " } } } }"
#define SPLIT(entry)     "'backends': { 'b': 'x:1', 'c': 'x:2' }, 'routes': { 'a.test': " entry " }"
#define SPLIT_HOST(rest) SPLIT("{ 'to': { 'b': 1, 'c': 1 }" rest " }")
#define SPLIT_PATH(rest) SPLIT("{ 'paths': { '/': { 'to': { 'b': 1, 'c': 1 }" rest " } } }")
#define TEST(members)                                                                         \
    "'listen': { 'http': ':80' }, 'routes': { 'a.test': 'b', 'c.test': { 'respond': {} } }, " \
    "'backends': { 'b': 'x:1' }, 'tests': [{ " members " }]"
#define EXPECT(request, key, value) \
    TEST("'request': 'GET " request "', 'expect': { " key ": " value " }")

static const struct leaf leaves[] = {
    {"listen.https.bind", TO ", " HTTPS "{ 'bind': ':1' } }", TO ", " HTTPS "{ 'bind': ':2' } }"},
    {"listen.http.bind", TO ", " HTTP "{ 'bind': ':1' } }", TO ", " HTTP "{ 'bind': ':2' } }"},
    {"listen.http.serve", TO ", " HTTP "{ 'bind': ':1', 'serve': 'redirect' } }",
     TO ", " HTTP "{ 'bind': ':1', 'serve': 'routes' } }"},
    {"listen.http.https_port", TO ", " HTTP "{ 'bind': ':1', 'https_port': 1 } }",
     TO ", " HTTP "{ 'bind': ':1', 'https_port': 2 } }"},
    {"listen.http.acme_webroot", TO ", " HTTP "{ 'bind': ':1', 'acme_webroot': '/' } }",
     TO ", " HTTP "{ 'bind': ':1', 'acme_webroot': '/tmp' } }"},
    {"listen.https.proxy_protocol.from",
     TO ", " HTTPS "{ 'bind': ':1', 'proxy_protocol': { 'from': ['10.0.0.0/8'] } } }",
     TO ", " HTTPS "{ 'bind': ':1', 'proxy_protocol': { 'from': ['10.0.0.0/9'] } } }"},
    {"listen.http.proxy_protocol.from",
     TO ", " HTTP "{ 'bind': ':1', 'proxy_protocol': { 'from': ['::1'] } } }",
     TO ", " HTTP "{ 'bind': ':1', 'proxy_protocol': { 'from': ['::1', '127.0.0.1'] } } }"},
    {"listen.status.bind", TO ", 'listen': { 'status': { 'bind': ':1' } }",
     TO ", 'listen': { 'status': { 'bind': ':2' } }"},
    {"listen.admin.bind", TO ", 'listen': { 'admin': { 'bind': 'unix:/a' } }",
     TO ", 'listen': { 'admin': { 'bind': 'unix:/b' } }"},
    {"tls.min_version", TLS "'min_version': '1.2' }", TLS "'min_version': '1.3' }"},
    {"tls.alpn", TLS "'alpn': ['http/1.1'] }", TLS "'alpn': ['h2'] }"},
    {"tls.tickets", TLS "'tickets': true }", TLS "'tickets': false }"},
    {"tls.unknown_sni", TLS "'default_cert': 'localhost', 'unknown_sni': 'reject' }",
     TLS "'default_cert': 'localhost', 'unknown_sni': 'default' }"},
    {"tls.default_cert", TLS "'default_cert': 'localhost' }", TLS "'default_cert': 'x.example' }"},
    {"tls.client_ca", TLS "'client_ca': 'ca.pem' }", TLS "'client_ca': 'other.pem' }"},
    {"tls.client_auth", TLS "'client_ca': 'ca.pem', 'client_auth': 'request' }",
     TLS "'client_ca': 'ca.pem', 'client_auth': 'require' }"},
    {"routes.*.tls.client_ca", HOST("'to': 'x:1', 'tls': { 'client_ca': 'ca.pem' }"),
     HOST("'to': 'x:1', 'tls': { 'client_ca': 'other.pem' }")},
    {"routes.*.tls.client_auth",
     HOST("'to': 'x:1', 'tls': { 'client_ca': 'ca.pem', 'client_auth': 'request' }"),
     HOST("'to': 'x:1', 'tls': { 'client_ca': 'ca.pem', 'client_auth': 'require' }")},
    {"trusted_proxies", TO ", 'trusted_proxies': ['10.0.0.0/8']",
     TO ", 'trusted_proxies': ['10.0.0.0/9']"},
    {"dns.servers", TO ", 'dns': { 'servers': ['10.0.0.2', '10.0.0.3'] }",
     TO ", 'dns': { 'servers': ['10.0.0.3', '10.0.0.2'] }"},
    {"certs_strict", TO, TO ", 'certs_strict': true"},
    {"watch", TO, TO ", 'watch': 'all'"},
    {"user", TO ", 'user': 'root'", TO ", 'user': 'daemon'"},
    {"group", TO ", 'user': 'root', 'group': 'root'", TO ", 'user': 'root', 'group': 'daemon'"},
    {"drain_delay", TO ", 'drain_delay': '1s'", TO ", 'drain_delay': '2s'"},
    {"drain_timeout", TO ", 'drain_timeout': '1s'", TO ", 'drain_timeout': '2s'"},
    {"metrics.series", TO ", 'metrics': { 'series': 1 }", TO ", 'metrics': { 'series': 0 }"},
    {"log.access", TO ", 'log': { 'access': 'off' }", TO ", 'log': { 'access': 'a.log' }"},
    {"log.format", TO ", 'log': { 'format': 'text' }", TO ", 'log': { 'format': 'json' }"},
    {"log.level", TO ", 'log': { 'level': 'warn' }", TO ", 'log': { 'level': 'error' }"},
    {"log.query", TO ", 'log': { 'query': true }", TO ", 'log': { 'query': false }"},
    {"backends.*.to", SERVER("'x:1'", ""), SERVER("'x:2'", "")},
    {"backends.*.weight", SERVER("'x:1'", ", 'weight': 1"), SERVER("'x:1'", ", 'weight': 2")},
    {"backends.*.backup", SERVER("'x:1'", ", 'backup': true"),
     SERVER("'x:1'", ", 'backup': false")},
    {"backends.*.servers.to", IN_SERVERS("'x:1'", ""), IN_SERVERS("'x:2'", "")},
    {"backends.*.servers.weight", IN_SERVERS("'x:1'", ", 'weight': 1"),
     IN_SERVERS("'x:1'", ", 'weight': 2")},
    {"backends.*.servers.backup", IN_SERVERS("'x:1'", ", 'backup': true"),
     IN_SERVERS("'x:1'", ", 'backup': false")},
    {"backends.*.balance", BACKEND("'balance'", "'random'"), BACKEND("'balance'", "'latency'")},
    {"backends.*.hash_on", BACKEND("'balance'", "'hash'"),
     BACKEND("'balance': 'hash', 'hash_on'", "'header:X-A'")},
    {"backends.*.sticky.cookie", BACKEND("'sticky'", "{ 'cookie': 'a' }"),
     BACKEND("'sticky'", "{ 'cookie': 'b' }")},
    {"backends.*.sticky.ttl", BACKEND("'sticky'", "{ 'cookie': 'a' }"),
     BACKEND("'sticky'", "{ 'cookie': 'a', 'ttl': '1h' }")},
    {"backends.*.sticky.key", BACKEND("'sticky'", "{ 'cookie': 'a', 'key': '0123456789abcdef' }"),
     BACKEND("'sticky'", "{ 'cookie': 'a', 'key': '0123456789abcdee' }")},
    {"backends.*.slow_start", BACKEND("'slow_start'", "'1s'"), BACKEND("'slow_start'", "'2s'")},
    {"backends.*.health.path", BACKEND("'health'", "{}"), BACKEND("'health'", "{ 'path': '/a' }")},
    {"backends.*.health.method", BACKEND("'health'", "{ 'path': '/a' }"),
     BACKEND("'health'", "{ 'path': '/a', 'method': 'HEAD' }")},
    {"backends.*.health.host", BACKEND("'health'", "{ 'path': '/a' }"),
     BACKEND("'health'", "{ 'path': '/a', 'host': 'b.test' }")},
    {"backends.*.health.status", BACKEND("'health'", "{ 'path': '/a', 'status': 200 }"),
     BACKEND("'health'", "{ 'path': '/a', 'status': ['200-299', '404'] }")},
    {"backends.*.health.body", BACKEND("'health'", "{ 'path': '/a' }"),
     BACKEND("'health'", "{ 'path': '/a', 'body': 'ok' }")},
    {"backends.*.health.every", BACKEND("'health'", "{ 'every': '3s' }"),
     BACKEND("'health'", "{ 'every': '4s' }")},
    {"backends.*.health.timeout", BACKEND("'health'", "{}"),
     BACKEND("'health'", "{ 'timeout': '1s' }")},
    {"backends.*.health.rise", BACKEND("'health'", "{}"), BACKEND("'health'", "{ 'rise': 1 }")},
    {"backends.*.health.fall", BACKEND("'health'", "{}"), BACKEND("'health'", "{ 'fall': 1 }")},
    {"backends.*.eject.after", BACKEND("'eject'", "{}"), BACKEND("'eject'", "{ 'after': 1 }")},
    {"backends.*.eject.for", BACKEND("'eject'", "{}"), BACKEND("'eject'", "{ 'for': '1s' }")},
    {"backends.*.eject.max", BACKEND("'eject'", "{}"), BACKEND("'eject'", "{ 'max': '20%' }")},
    {"backends.*.hold.for", BACKEND("'hold'", "{}"), BACKEND("'hold'", "{ 'for': '1s' }")},
    {"backends.*.hold.queue", BACKEND("'hold'", "{}"), BACKEND("'hold'", "{ 'queue': 1 }")},
    {"backends.*.max_connections", BACKEND("'max_connections'", "1"),
     BACKEND("'max_connections'", "2")},
    {"backends.*.max_requests", BACKEND("'max_requests'", "1"), BACKEND("'max_requests'", "2")},
    {"backends.*.min_idle", BACKEND("'min_idle'", "1"), BACKEND("'min_idle'", "2")},
    {"backends.*.hedge", BACKEND("'hedge'", "'p95'"), BACKEND("'hedge'", "'p99.9'")},
    {"routes.*.split_on", SPLIT_HOST(""), SPLIT_HOST(", 'split_on': 'ip'")},
    {"routes.*.paths.*.split_on", SPLIT_PATH(", 'split_on': 'ip'"),
     SPLIT_PATH(", 'split_on': 'cookie:a'")},
    {"backends.*.keepalive", BACKEND("'keepalive'", "1"), BACKEND("'keepalive'", "2")},
    {"backends.*.proxy_protocol", BACKEND("'//'", "1"), BACKEND("'proxy_protocol'", "'v2'")},
    {"defaults.timeout.handshake", DEFAULTS("'timeout'", "{ 'handshake': '1s' }"),
     DEFAULTS("'timeout'", "{ 'handshake': '2s' }")},
    {"defaults.timeout.header", DEFAULTS("'timeout'", "{ 'header': '1s' }"),
     DEFAULTS("'timeout'", "{ 'header': '2s' }")},
    {"defaults.timeout.keepalive", DEFAULTS("'timeout'", "{ 'keepalive': '1s' }"),
     DEFAULTS("'timeout'", "{ 'keepalive': '2s' }")},
    {"defaults.limits.header_bytes", DEFAULTS("'limits'", "{ 'header_bytes': 1000 }"),
     DEFAULTS("'limits'", "{ 'header_bytes': 2000 }")},
    {"defaults.limits.headers", DEFAULTS("'limits'", "{ 'headers': 1 }"),
     DEFAULTS("'limits'", "{ 'headers': 2 }")},
    {"defaults.limits.request_line", DEFAULTS("'limits'", "{ 'request_line': 1000 }"),
     DEFAULTS("'limits'", "{ 'request_line': 2000 }")},
    {"defaults.limits.connections", DEFAULTS("'limits'", "{ 'connections': 1 }"),
     DEFAULTS("'limits'", "{ 'connections': 2 }")},
    {"defaults.limits.connections_per_ip", DEFAULTS("'limits'", "{ 'connections_per_ip': 1 }"),
     DEFAULTS("'limits'", "{ 'connections_per_ip': 2 }")},
    {"defaults.limits.handshakes", DEFAULTS("'limits'", "{ 'handshakes': 1 }"),
     DEFAULTS("'limits'", "{ 'handshakes': 2 }")},
    {"defaults.limits.underscores", DEFAULTS("'limits'", "{ 'underscores': false }"),
     DEFAULTS("'limits'", "{ 'underscores': true }")},
    {"defaults.limits.body_rate", DEFAULTS("'limits'", "{ 'body_rate': '1B/s' }"),
     DEFAULTS("'limits'", "{ 'body_rate': '2B/s' }")},
    {"routes.*.to.to", IN_TO("'x:1'", ""), IN_TO("'x:2'", "")},
    {"routes.*.to.weight", IN_TO("'x:1'", ", 'weight': 1"), IN_TO("'x:1'", ", 'weight': 2")},
    {"routes.*.to.backup", IN_TO("'x:1'", ", 'backup': true"), IN_TO("'x:1'", ", 'backup': false")},
    {"routes.*.to", INLINE("'x:1'", ""), INLINE("'x:2'", "")},
    {"routes.*.weight", INLINE("'x:1'", ", 'weight': 1"), INLINE("'x:1'", ", 'weight': 2")},
    {"routes.*.backup", INLINE("'x:1'", ", 'backup': true"), INLINE("'x:1'", ", 'backup': false")},
    {"routes.*.redirect.to", HOST("'redirect': { 'to': '/a' }"),
     HOST("'redirect': { 'to': '/b' }")},
    {"routes.*.redirect.status", HOST("'redirect': { 'to': '/', 'status': 301 }"),
     HOST("'redirect': { 'to': '/', 'status': 302 }")},
    {"routes.*.respond.status", HOST("'respond': { 'status': 200 }"),
     HOST("'respond': { 'status': 201 }")},
    {"routes.*.respond.headers", HOST("'respond': { 'headers': { 'a': 'b' } }"),
     HOST("'respond': { 'headers': { 'a': 'c' } }")},
    {"routes.*.respond.body", HOST("'respond': { 'body': 'a' }"),
     HOST("'respond': { 'body': 'b' }")},
    {"routes.*.paths.*.to.to", IN_PATH_TO("'x:1'", ""), IN_PATH_TO("'x:2'", "")},
    {"routes.*.paths.*.to.weight", IN_PATH_TO("'x:1'", ", 'weight': 1"),
     IN_PATH_TO("'x:1'", ", 'weight': 2")},
    {"routes.*.paths.*.to.backup", IN_PATH_TO("'x:1'", ", 'backup': true"),
     IN_PATH_TO("'x:1'", ", 'backup': false")},
    {"routes.*.paths.*.to", IN_PATH_LIST("'x:1'", ""), IN_PATH_LIST("'x:2'", "")},
    {"routes.*.paths.*.weight", IN_PATH_LIST("'x:1'", ", 'weight': 1"),
     IN_PATH_LIST("'x:1'", ", 'weight': 2")},
    {"routes.*.paths.*.backup", IN_PATH_LIST("'x:1'", ", 'backup': true"),
     IN_PATH_LIST("'x:1'", ", 'backup': false")},
    {"routes.*.paths.*.redirect.to", PATH("'redirect': { 'to': '/a' }"),
     PATH("'redirect': { 'to': '/b' }")},
    {"routes.*.paths.*.redirect.status", PATH("'redirect': { 'to': '/', 'status': 301 }"),
     PATH("'redirect': { 'to': '/', 'status': 302 }")},
    {"routes.*.paths.*.respond.status", PATH("'respond': { 'status': 200 }"),
     PATH("'respond': { 'status': 201 }")},
    {"routes.*.paths.*.respond.headers", PATH("'respond': { 'headers': { 'a': 'b' } }"),
     PATH("'respond': { 'headers': { 'a': 'c' } }")},
    {"routes.*.paths.*.respond.body", PATH("'respond': { 'body': 'a' }"),
     PATH("'respond': { 'body': 'b' }")},
    {"routes.*.rewrite.strip_prefix", HOST("'to': 'x:1', 'rewrite': { 'strip_prefix': '/a' }"),
     HOST("'to': 'x:1', 'rewrite': { 'strip_prefix': '/b' }")},
    {"routes.*.rewrite.add_prefix", HOST("'to': 'x:1', 'rewrite': { 'add_prefix': '/a' }"),
     HOST("'to': 'x:1', 'rewrite': { 'add_prefix': '/' }")},
    {"routes.*.paths.*.rewrite.strip_prefix",
     PATH("'to': 'x:1', 'rewrite': { 'strip_prefix': '/a' }"),
     PATH("'to': 'x:1', 'rewrite': { 'strip_prefix': '/b' }")},
    {"routes.*.paths.*.rewrite.add_prefix", PATH("'to': 'x:1', 'rewrite': { 'add_prefix': '/a' }"),
     PATH("'to': 'x:1', 'rewrite': { 'add_prefix': '/b' }")},
    {"tests.request", EXPECT("https://a.test/", "'backend'", "'b'"),
     EXPECT("https://c.test/", "'backend'", "'b'")},
    {"tests.headers",
     TEST("'request': 'GET https://a.test/', 'headers': { 'host': 'a.test' }, 'expect': { "
          "'backend': 'b' }"),
     TEST("'request': 'GET https://a.test/', 'headers': { 'host': 'c.test' }, 'expect': { "
          "'backend': 'b' }")},
    {"tests.sni",
     TEST("'request': 'GET https://a.test/', 'sni': 'a.test', 'expect': { 'cert': "
          "'*.test' }"),
     TEST("'request': 'GET https://a.test/', 'sni': 'x.example', 'expect': { 'cert': '*.test' }")},
    {"tests.ip",
     TEST("'request': 'GET https://a.test/', 'ip': '::1', 'expect': { 'backend': 'b' }"),
     TEST("'request': 'GET https://a.test/', 'ip': 'me', 'expect': { 'backend': 'b' }")},
    {"tests.expect.route", EXPECT("https://a.test/", "'route'", "'a.test'"),
     EXPECT("https://a.test/", "'route'", "'c.test'")},
    {"tests.expect.backend", EXPECT("https://a.test/", "'backend'", "'b'"),
     EXPECT("https://a.test/", "'backend'", "'c'")},
    {"tests.expect.server", EXPECT("https://a.test/", "'server'", "'x:1'"),
     EXPECT("https://a.test/", "'server'", "'x:2'")},
    {"tests.expect.cert", EXPECT("https://a.test/", "'cert'", "'*.test'"),
     EXPECT("https://a.test/", "'cert'", "'a.test'")},
    {"tests.expect.status", EXPECT("https://c.test/", "'status'", "200"),
     EXPECT("https://c.test/", "'status'", "404")},
    {"tests.expect.location", EXPECT("http://a.test/", "'location'", "'https://a.test/'"),
     EXPECT("http://a.test/", "'location'", "'https://a.test'")},
    {"tests.expect.alert", EXPECT("https://x.example/", "'alert'", "'unrecognized_name'"),
     EXPECT("https://x.example/", "'alert'", "'handshake_failure'")},
};
enum { LEAVES = sizeof(leaves) / sizeof(leaves[0]) };

/* Settings may stand in four places, with the same words in each. */
struct setting_leaf {
    const char *path, *before, *after;
};
static const struct setting_leaf setting_leaves[] = {
    {"timeout.body_idle", "'timeout': { 'body_idle': '1s' }", "'timeout': { 'body_idle': '2s' }"},
    {"timeout.connect", "'timeout': { 'connect': '1s' }", "'timeout': { 'connect': '2s' }"},
    {"timeout.first_byte", "'timeout': { 'first_byte': '1s' }",
     "'timeout': { 'first_byte': '2s' }"},
    {"timeout.idle", "'timeout': { 'idle': '1s' }", "'timeout': { 'idle': '2s' }"},
    {"timeout.tunnel_idle", "'timeout': { 'tunnel_idle': '1s' }",
     "'timeout': { 'tunnel_idle': '2s' }"},
    {"max_body", "'max_body': 1", "'max_body': '2KiB'"},
    {"host", "'host': 'preserve'", "'host': 'backend'"},
    {"retry.attempts", "'retry': { 'attempts': 1 }", "'retry': { 'attempts': 3 }"},
    {"retry.budget", "'retry': { 'budget': 0 }", "'retry': { 'budget': '100%' }"},
    {"retry.on", "'retry': { 'on': [] }", "'retry': { 'on': ['5xx', 404, '429'] }"},
    {"retry.timeout", "'retry': { 'timeout': '1s' }", "'retry': { 'timeout': '2s' }"},
    {"headers.request.set", "'headers': { 'request': { 'set': { 'a': 'b' } } }",
     "'headers': { 'request': { 'set': { 'a': '{host}' } } }"},
    {"headers.request.add", "'headers': { 'request': { 'add': { 'a': 'b' } } }",
     "'headers': { 'request': { 'add': { 'a': ['b', 'c'] } } }"},
    {"headers.request.remove", "'headers': { 'request': { 'remove': ['a'] } }",
     "'headers': { 'request': { 'remove': ['b'] } }"},
    {"headers.response.set", "'headers': { 'response': { 'set': { 'a': 'b' } } }",
     "'headers': { 'response': { 'set': { 'b': 'b' } } }"},
    {"headers.response.add", "'headers': { 'response': { 'add': { 'a': 'b' } } }",
     "'headers': { 'response': { 'add': { 'a': '{{b' } } }"},
    {"headers.response.remove", "'headers': { 'response': { 'remove': ['a'] } }",
     "'headers': { 'response': { 'remove': [] } }"},
};
enum { SETTING_LEAVES = sizeof(setting_leaves) / sizeof(setting_leaves[0]) };
static const struct {
    const char *path, *head, *tail;
} setting_places[] = {
    {"defaults", TO ", 'defaults': { ", " }"},
    {"backends.*", "'routes': { 'a.test': 'b' }, 'backends': { 'b': { 'servers': ['x:1'], ",
     " } }"},
    {"routes.*", "'routes': { 'a.test': { 'to': 'x:1', ", " } }"},
    {"routes.*.paths.*", "'routes': { 'a.test': { 'paths': { '/': { 'to': 'x:1', ", " } } } }"},
};

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

Test(schema, every_key_makes_a_difference, .timeout = 60)
{
    char before[512], after[512], path[128];

    for (size_t i = 0; i < LEAVES; i++)
        expect_difference(leaves[i].path, leaves[i].before, leaves[i].after);
    for (size_t p = 0; p < 4; p++)
        for (size_t s = 0; s < SETTING_LEAVES; s++) {
            snprintf(path, sizeof(path), "%s.%s", setting_places[p].path, setting_leaves[s].path);
            snprintf(before, sizeof(before), "%s%s%s", setting_places[p].head,
                     setting_leaves[s].before, setting_places[p].tail);
            snprintf(after, sizeof(after), "%s%s%s", setting_places[p].head,
                     setting_leaves[s].after, setting_places[p].tail);
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

    for (size_t i = 0; i < LEAVES; i++)
        if (strcmp(leaves[i].path, path) == 0)
            return true;
    for (size_t i = 0; i < 3; i++)
        if (strcmp(others[i], path) == 0)
            return true;
    for (size_t p = 0; p < 4; p++)
        for (size_t s = 0; s < SETTING_LEAVES; s++)
            if (has_suffix(path, setting_places[p].path, setting_leaves[s].path))
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
    cr_expect_geq(count, LEAVES + 4U * SETTING_LEAVES);
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
    for (size_t i = 0; i < LEAVES; i++)
        /* "to" is a place to write an address as well as the key of one. */
        cr_expect(json_object_get(found, leaves[i].path) || strstr(leaves[i].path, "*.to") != NULL,
                  "%s", leaves[i].path);
    for (size_t p = 0; p < 4; p++)
        for (size_t s = 0; s < SETTING_LEAVES; s++) {
            snprintf(path, sizeof(path), "%s.%s", setting_places[p].path, setting_leaves[s].path);
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
    for (size_t i = 0; i < LEAVES; i++)
        expect_accepted(leaves[i].before, true);
    expect_accepted("'routes': { 'a.test': { 'to': { 'b': 95, 'x:1': 5 }, '//': [] } }, '// x': 1",
                    true);
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
        "'routes': {}, 'defaults': { 'retry': { 'budget': 20 } }",
        "'routes': {}, 'defaults': { 'retry': { 'on': 'connect' } }",
        "'routes': {}, 'defaults': { 'retry': { 'on': ['crash'] } }",
        "'routes': {}, 'defaults': { 'retry': { 'on': [200] } }",
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
