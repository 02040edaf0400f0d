/* One generation: a route file and the certificates it names, checked whole. Immutable. */
#ifndef CONFIG_SNAPSHOT_H
#define CONFIG_SNAPSHOT_H

#include "base/log.h"
#include "base/refcount.h"
#include "config/problems.h"
#include "http/h1_parser.h"
#include "net/network.h"
#include "net/redis_client.h"
#include "policy/source.h"
#include "routing/route_table.h"
#include "tls/cert_library.h"
#include "tls/tls_server.h"

enum listen_kind { LISTEN_HTTPS, LISTEN_HTTP, LISTEN_STATUS, LISTEN_ADMIN };

struct listen_spec {
    enum listen_kind kind;
    const char *text; /* as written */
    struct address addresses[2];
    int address_count;
    bool serves_routes;       /* HTTP: "serve": "routes", else it redirects to https */
    uint16_t https_port;      /* HTTP: put into the redirect; 0: none */
    const char *acme_webroot; /* HTTP: the folder that answers ACME challenges; NULL: none */
    struct network *proxies;  /* whose connections begin with a PROXY protocol header; others' must
                                 not */
    unsigned proxy_count;
};

/* Whose files are loaded again by themselves when they change. */
enum watch_mode { WATCH_MODE_CERTS, WATCH_MODE_ALL, WATCH_MODE_OFF };

enum access_log { ACCESS_LOG_STDOUT, ACCESS_LOG_OFF, ACCESS_LOG_FILE };

/* Whom the gateway becomes when root starts it. */
struct process_user {
    const char *user, *group; /* as written; NULL: not named, and without a user nothing changes */
    const char *login;        /* the user's name, for its further groups; NULL: a number alone */
    uint32_t uid, gid;
};

/* Settings of `defaults` that no route can change: they act before there is one. */
enum client_setting {
    CLIENT_HANDSHAKE,
    CLIENT_HEADER,
    CLIENT_KEEPALIVE,
    CLIENT_HEADER_BYTES,
    CLIENT_HEADERS,
    CLIENT_REQUEST_LINE,
    CLIENT_CONNECTIONS,
    CLIENT_CONNECTIONS_PER_IP,
    CLIENT_HANDSHAKES,
    CLIENT_UNDERSCORES,
    CLIENT_BODY_RATE,
    CLIENT_SETTING_COUNT
};

/* How many there may be at once in the whole process; 0: no limit. */
struct client_limits {
    uint32_t connections, connections_per_ip, handshakes;
};

/* What the route file says of the gateway as a whole: small, and all that a request still needs of
 * its generation once it is routed. Immutable. */
struct globals {
    struct refcount references;
    struct arena arena; /* everything below lives here */

    struct listen_spec *listens;
    unsigned listen_count;
    bool admin_is_named; /* listen.admin was written: no default places, and it must be bound */

    struct network *trusted_proxies;
    unsigned trusted_proxy_count;

    struct address *dns_servers; /* in the order to ask */
    unsigned dns_server_count;   /* 0: the system's */

    struct redis_spec *redis; /* NULL: none */

    uint64_t handshake_ms, header_ms, keepalive_ms;
    uint64_t body_idle_ms; /* of `defaults`: for answers that have no route */
    uint64_t body_rate;    /* bytes a second that a client must send or take; 0: any */
    struct h1_limits limits;
    struct client_limits client_limits;
    bool has_own[CLIENT_SETTING_COUNT]; /* `defaults` sets it; else what is built in */
    uint64_t drain_delay_ms, drain_timeout_ms;

    enum access_log access_log;
    const char *access_log_path;
    enum log_format log_format;
    enum log_level log_level;
    bool log_query;
    uint32_t metrics_series; /* names of their own in each label of the metrics */

    enum watch_mode watch;
    bool certs_strict;
    struct process_user process_user;
};

struct route_test;

/* A host of `routes`, but "*", and where its key stands. */
struct named_host {
    struct slice name;
    struct slice key; /* as written */
    unsigned line, column;
};

/* A file of authorities that clients' certificates are held against. */
struct client_ca_file {
    const char *path;        /* absolute */
    struct text_place place; /* where it is named first */
    struct client_ca_file *next;
};

/* A whole route file, without what lies in the certificates' files: generations that differ in
 * those alone share it. Immutable. */
struct config {
    struct refcount references;
    struct arena arena;      /* everything below lives here unless said otherwise */
    const char *file;        /* as the operator named it */
    const char *path;        /* the same, absolute */
    const char *folder;      /* absolute; where relative paths start */
    struct slice source;     /* as it was read: see config/source.h */
    uint64_t fingerprint;    /* of its meaning */
    struct globals *globals; /* a reference */

    struct route_table *routes; /* owned; its hosts are shared with the generations around */
    unsigned route_count;
    struct upstream_spec **upstreams; /* of backends first, then of inline targets and of services
                                         that policies ask; on the heap */
    unsigned upstream_count;
    unsigned backend_count; /* so many of them are of backends: a reference each */
    struct table upstreams_by_name;
    struct host **hosts; /* the table's, in the order of the file; on the heap */
    unsigned host_count;

    struct tls_settings tls;
    struct text_place default_cert_place;
    struct client_rule clients;        /* of hosts that have no rule of their own */
    struct client_ca_file *client_cas; /* each file once, whoever names it */
    struct cert_source *cert_sources;  /* each one's position is its index */
    struct text_place *cert_places;
    unsigned cert_source_count;
    struct text_place certs_place, routes_place;
    struct named_host *named_hosts;
    unsigned named_host_count;

    struct route_test *tests;
    unsigned test_count;
};

/* A file that policies of it take something from, and what that was when the snapshot was made. */
struct snapshot_source {
    struct source *source; /* a reference; policy/source.h */
    uint64_t fingerprint;
    char summary[SOURCE_SUMMARY_SIZE];
};

struct snapshot {
    struct refcount references;
    uint64_t generation;           /* set when published, before any worker sees it */
    uint64_t fingerprint;          /* of the route file's meaning and the files of certificates and
                                      policies, bytes and names: equal ones change nothing */
    struct config *config;         /* a reference */
    const struct globals *globals; /* the config's */
    const struct route_table *routes; /* the config's */
    struct tls_server *tls;           /* owned */
    struct snapshot_source *sources;  /* files and URLs, each once; on the heap */
    unsigned source_count;
};

/* What a load builds on. */
struct load_options {
    struct ticket_keys *keys;
    bool strict_certs;            /* for `check`: what is wrong with a certificate is an error */
    struct cert_library *certs;   /* what was read already; NULL: every certificate is read */
    struct sources *sources;      /* what policies took from files already, to be committed by the
                                     caller; NULL: every file is read */
    struct cache_store *cache;    /* where policies keep answers; NULL: nothing will be served */
    struct cert_problems *broken; /* is set to what is broken; NULL: nobody asks */
    struct config *previous;      /* what has not changed since is shared; NULL: nothing is */
    const struct slice *text;     /* what the file is taken to hold; NULL: it is read */
    const char *folder;           /* with `text`: where its relative paths start, absolute */
};

/* Reads, checks and builds. NULL when `problems` has errors (a broken certificate is a warning
 * unless `strict_certs`, or certs_strict is set; no usable certificate at all is an error when
 * https is on). Runs the file's `tests`. The caller owns one reference. Any thread; does not touch
 * what is served. */
struct snapshot *snapshot_load(const char *file, const struct load_options *options,
                               struct problems *problems);
/* The same config with the certificates as their files are now; the route file is not looked at,
 * and what the certificates do to its tests is a warning. */
struct snapshot *snapshot_renew(const struct snapshot *current, const struct load_options *options,
                                struct problems *problems);

/* What has to be known before the gateway gives up its rights: `listen`, `user` and `group`, and
 * nothing else, so that no time goes into 100,000 routes twice. NULL: they cannot be read, and a
 * load will say why. The caller owns a reference. */
struct globals *snapshot_peek(const char *file);

/* Whether a connection from there must begin with a PROXY protocol header. Never a Unix socket's.
 */
bool listen_expects_header(const struct listen_spec *listen, const struct address *peer);
bool globals_listen_on(const struct globals *globals, enum listen_kind kind);
struct globals *globals_ref(struct globals *globals);
void globals_unref(struct globals *globals);

struct snapshot *snapshot_ref(struct snapshot *snapshot);
/* The last one frees it: 100,000 routes go with it, so never on a worker (see worker/). */
void snapshot_unref(struct snapshot *snapshot);

/* Looks up the names of all servers, one by one (it may take a while: for `check`, not for a load);
 * a warning for each that does not resolve. `file` is how the warnings name the route file. */
void snapshot_check_names(const struct snapshot *snapshot, const char *file,
                          struct problems *problems);

/* The route file to use when none was named: $SALLYPORT_CONFIG, ./routes/routes.json,
 * /etc/sallyport/routes.json; NULL when there is none. Static or from the environment. */
const char *snapshot_default_file(void);

#endif
