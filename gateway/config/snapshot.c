#include "config/snapshot.h"

#include "base/check.h"
#include "config/build_sources.h"
#include "config/build_tls.h"
#include "config/client_auth.h"
#include "config/load.h"
#include "config/policies.h"
#include "config/redis.h"
#include "config/route_tests.h"
#include "config/source.h"
#include "config/tidy_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* So many names in a label that nobody can mean more. */
enum { METRICS_SERIES_MOST = 1000 * 1000 };

/* --- top-level keys -----------------------------------------------------------------------------
 */

static void read_drain_delay(struct reader *reader, const struct json_node *node, void *into)
{
    reader_duration(reader, node, &((struct load *)into)->globals->drain_delay_ms);
}

static void read_drain_timeout(struct reader *reader, const struct json_node *node, void *into)
{
    reader_duration(reader, node, &((struct load *)into)->globals->drain_timeout_ms);
}

static void read_trusted_proxies(struct reader *reader, const struct json_node *node, void *into)
{
    struct globals *globals = ((struct load *)into)->globals;

    reader_networks(reader, node, &globals->trusted_proxies, &globals->trusted_proxy_count);
}

static void read_log_access(struct reader *reader, const struct json_node *node, void *into)
{
    struct globals *globals = ((struct load *)into)->globals;
    struct slice text = reader_node_text(node);

    if (slice_equal(text, slice_of("stdout")))
        globals->access_log = ACCESS_LOG_STDOUT;
    else if (slice_equal(text, slice_of("off")))
        globals->access_log = ACCESS_LOG_OFF;
    else if (reader_path(reader, node, &globals->access_log_path))
        globals->access_log = ACCESS_LOG_FILE;
}

static void read_log_format(struct reader *reader, const struct json_node *node, void *into)
{
    static const char *const formats[] = {"text", "json"};
    unsigned index;

    if (reader_word(reader, node, formats, 2, &index))
        ((struct load *)into)->globals->log_format = index == 0 ? LOG_TEXT : LOG_JSON;
}

static void read_log_level(struct reader *reader, const struct json_node *node, void *into)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    static const enum log_level values[] = {LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG};
    unsigned index;

    if (reader_word(reader, node, levels, 4, &index))
        ((struct load *)into)->globals->log_level = values[index];
}

static void read_log_query(struct reader *reader, const struct json_node *node, void *into)
{
    reader_bool(reader, node, &((struct load *)into)->globals->log_query);
}

static const struct rule log_list[] = {
    {"access", 0, read_log_access},
    {"format", 0, read_log_format},
    {"level", 0, read_log_level},
    {"query", 0, read_log_query},
};
static const struct rules log_rules = {log_list, 4, NULL};

static void read_metrics_series(struct reader *reader, const struct json_node *node, void *into)
{
    uint64_t count;

    if (reader_count(reader, node, 0, METRICS_SERIES_MOST, &count))
        ((struct load *)into)->globals->metrics_series = (uint32_t)count;
}

static const struct rule metrics_list[] = {{"series", 0, read_metrics_series}};
static const struct rules metrics_rules = {metrics_list, 1, NULL};

static void read_metrics(struct reader *reader, const struct json_node *node, void *into)
{
    reader_object(reader, node, &metrics_rules, 0, into);
}

static void read_dns_servers(struct reader *reader, const struct json_node *node, void *into)
{
    struct globals *globals = ((struct load *)into)->globals;
    struct error error = {""};
    struct slice text;
    size_t most = 0;

    if (!reader_is_list(reader, node, "a list of addresses such as \"10.0.0.2\""))
        return;
    for (const struct json_node *element = node->first; element; element = element->next)
        most++;
    globals->dns_servers = arena_alloc(reader->arena, (most + 1) * sizeof(struct address));
    for (const struct json_node *element = node->first; element; element = element->next) {
        struct address *server = &globals->dns_servers[globals->dns_server_count];
        if (!reader_text(reader, element, "an address such as \"10.0.0.2\"", &text))
            continue;
        if (name_server_parse(text, server, &error))
            globals->dns_server_count++;
        else
            reader_error(reader, element, AT_VALUE, "%s", error.message);
    }
}

static const struct rule dns_list[] = {{"servers", 0, read_dns_servers}};
static const struct rules dns_rules = {dns_list, 1, NULL};

static void read_dns(struct reader *reader, const struct json_node *node, void *into)
{
    reader_object(reader, node, &dns_rules, 0, into);
}

static void read_certs_strict(struct reader *reader, const struct json_node *node, void *into)
{
    reader_bool(reader, node, &((struct load *)into)->globals->certs_strict);
}

static void read_watch(struct reader *reader, const struct json_node *node, void *into)
{
    static const char *const modes[] = {"certs", "all", "off"};
    static const enum watch_mode values[] = {WATCH_MODE_CERTS, WATCH_MODE_ALL, WATCH_MODE_OFF};
    unsigned index;

    if (reader_word(reader, node, modes, 3, &index))
        ((struct load *)into)->globals->watch = values[index];
}

static void read_redis(struct reader *reader, const struct json_node *node, void *into)
{
    redis_read(reader, node, &((struct load *)into)->globals->redis);
}

static void read_log(struct reader *reader, const struct json_node *node, void *into)
{
    reader_object(reader, node, &log_rules, 0, into);
}

/* Some sections need others that may stand behind them: they are read later, in their own order. */
static const struct rule top_list[] = {
    {"$schema", IN_TOP, reader_later},
    {"listen", IN_TOP, reader_later},
    {"certs", IN_TOP, reader_later},
    {"tls", IN_TOP, reader_later},
    {"trusted_proxies", IN_TOP, read_trusted_proxies},
    {"backends", IN_TOP, reader_later},
    {"defaults", IN_TOP, reader_later},
    {"routes", IN_TOP, reader_later},
    {"tests", IN_TOP, reader_later},
    {"log", IN_TOP, read_log},
    {"drain_delay", IN_TOP, read_drain_delay},
    {"drain_timeout", IN_TOP, read_drain_timeout},
    {"certs_strict", IN_TOP, read_certs_strict},
    {"watch", IN_TOP, read_watch},
    {"metrics", IN_TOP, read_metrics},
    {"user", IN_TOP, reader_later},
    {"group", IN_TOP, reader_later},
    {"dns", IN_TOP, read_dns},
    {"redis", IN_TOP, read_redis},
};
static const struct rules top_rules = {top_list, sizeof(top_list) / sizeof(top_list[0]),
                                       &setting_rules};

/* --- reading ------------------------------------------------------------------------------------
 */

/* A pipe is for those who look once: a gateway that waits for its writer would never be told to
 * stop waiting. */
static bool may_block(int fd, bool looks_once)
{
    struct stat status;

    if (fstat(fd, &status) != 0 || !S_ISFIFO(status.st_mode))
        return true;
    if (looks_once && fcntl(fd, F_SETFL, O_RDONLY) == 0)
        return true;
    errno = ESPIPE;
    return false;
}

static bool read_file(struct reader *reader, bool looks_once, struct buffer *text)
{
    int fd = open(reader->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t got = fd < 0 || !may_block(fd, looks_once) ? -1 : 1;

    while (got > 0) {
        if (!buffer_reserve(text, BUFFER_LARGE)) {
            errno = EFBIG;
            got = -1;
            break;
        }
        got = read(fd, buffer_tail(text), buffer_room(text));
        if (got > 0)
            buffer_added(text, (size_t)got);
    }
    if (got < 0)
        problems_add(reader->problems, false, reader->file, 0, 0, NULL, NULL,
                     "the route file cannot be read: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return got == 0;
}

/* The folder of the file as it was named; its own symlink is not followed. */
static const char *folder_of(struct arena *arena, const char *file)
{
    struct slice path = slice_of(file);
    char *here;

    if (path.len == 0 || path.at[0] != '/') {
        here = getcwd(NULL, 0);
        path = arena_printf(arena, "%s/%s", here && strcmp(here, "/") != 0 ? here : "", file);
        free(here);
    }
    path = tidy_path(arena, path);
    ptrdiff_t slash = slice_find_last(path, '/');
    return slash <= 0 ? "/" : arena_text(arena, slice_make(path.at, (size_t)slash));
}

static void read_sections(struct load *load)
{
    struct globals *globals = load->globals;
    const struct json_node *root = load->root;
    size_t errors;

    load->reader.arena = &globals->arena;
    globals->drain_timeout_ms = 30 * 1000;
    globals->metrics_series = 1000;
    globals->log_level = LOG_INFO;
    if (!reader_object(&load->reader, root, &top_rules, IN_TOP, load))
        return;
    load_listen(load, json_member(root, "listen"));
    load_process_user(load, json_member(root, "user"), json_member(root, "group"));
    settings_read_defaults(&load->reader, json_member(root, "defaults"), &load->defaults, globals);
    load->reader.arena = &load->config->arena;
    errors = load->reader.problems->errors;
    load_tls(load);
    load->tls_is_wrong = load->reader.problems->errors > errors;
    load_backends(load, json_member(root, "backends"));
    load_routes(load, json_member(root, "routes"));
    errors = load->reader.problems->errors;
    load_certs(load);
    load->tls_is_wrong |= load->reader.problems->errors > errors;
    load_tests(load, json_member(root, "tests"));
    load->has_sections = true;
}

/* What every host is read with besides its own text and its backends. */
static uint64_t context(const struct json_node *root, const char *folder)
{
    const struct json_node *defaults = json_member(root, "defaults");
    uint64_t hash = hash_bytes(slice_of(folder)) ^ client_auth_context(json_member(root, "tls"));

    if (json_member(root, "redis")) /* so that its limits may be there */
        hash *= 3;
    return defaults ? hash ^ json_fingerprint(defaults->value) : hash;
}

static void load_text(struct load *load, struct slice text)
{
    struct problems *problems = load->reader.problems;
    struct json_document document;
    struct json_mistake mistake;

    if (!json_document_read(&document, text, &mistake)) {
        problems_add(problems, false, load->reader.file, mistake.line, mistake.column, NULL, NULL,
                     "%s", mistake.message);
        return;
    }
    load->root = document.root;
    reader_prepare(&load->reader, &document);
    load->context = context(document.root, load->reader.folder);
    read_sections(load);
    /* Of the meaning: the order of keys and comments make no difference. */
    load->config->fingerprint =
        json_fingerprint(document.value) ^ hash_bytes(slice_of(load->reader.folder));
    if (problems->errors == 0)
        load->config->source = source_write(&load->config->arena, document.root);
    json_document_clear(&document);
}

/* --- the snapshot -------------------------------------------------------------------------------
 */

/* Certificates have a name in it, too: their file's is what `certs` and the logs call them. */
static uint64_t fingerprint(const struct snapshot *snapshot)
{
    const struct cert_store *store = tls_server_certs(snapshot->tls);
    uint64_t hash = snapshot->config->fingerprint;

    for (size_t i = 0; i < cert_store_count(store); i++) {
        const struct certificate *certificate = cert_store_at(store, i);
        uint64_t parts[3] = {hash, certificate_fingerprint(certificate),
                             hash_bytes(slice_of(certificate_file(certificate)))};
        hash = hash_bytes(slice_make((const char *)parts, sizeof(parts)));
    }
    return hash ^ client_policies_fingerprint(tls_server_clients(snapshot->tls)) ^
           sources_fingerprint(snapshot);
}

static void set_place(struct config *config, const char *file, const struct load_options *options)
{
    struct arena *arena = &config->arena;
    struct slice name = slice_of(file);
    const char *folder = options->folder ? options->folder : folder_of(arena, file);

    name = slice_skip(name, (size_t)(slice_find_last(name, '/') + 1));
    config->file = arena_text(arena, slice_of(file));
    config->folder = arena_text(arena, slice_of(folder));
    config->path = arena_printf(arena, "%s/%.*s", strcmp(folder, "/") != 0 ? folder : "",
                                (int)name.len, name.at)
                       .at;
}

/* The route file without its certificates; has errors or not. */
static struct config *load_config(const char *file, const struct load_options *options,
                                  struct problems *problems, struct tls_build *build)
{
    struct config *config = config_new();
    struct load load = {
        .config = config, .globals = config->globals, .previous = options->previous};
    struct policy_pile policies = {0};
    struct sources *own = options->sources ? NULL : sources_new();
    struct buffer text = {0};

    if (options->sources)
        sources_begin(options->sources);
    set_place(config, file, options);
    load.reader = (struct reader){
        .file = config->file,
        .folder = config->folder,
        .problems = problems,
        .arena = &config->arena,
        .policies = &policies,
        .sources = own ? own : options->sources,
        .cache = options->cache,
    };
    if (options->text) {
        load_text(&load, *options->text);
    } else {
        problems_warn_if_pinned(problems, file, (struct text_place){0}, file);
        if (read_file(&load.reader, options->certs == NULL, &text))
            load_text(&load, buffer_content(&text));
    }
    buffer_clear(&text);
    table_clear(&load.backends);
    table_clear(&load.client_cas);
    arena_clear(&load.scratch);
    policy_pile_clear(&policies);
    sources_free(own);
    *build = (struct tls_build){.config = load.has_sections ? config : NULL,
                                .options = options,
                                .problems = problems,
                                .is_doubtful = load.tls_is_wrong};
    return config;
}

/* Takes the config's reference; NULL when there are more errors than before. */
static struct snapshot *finish(struct config *config, const struct tls_build *build, size_t errors)
{
    struct snapshot *snapshot = snapshot_new(config);
    struct problems *problems = build->problems;

    if (build->config)
        snapshot->tls = build_tls(build, snapshot);
    if (problems->errors == errors)
        route_tests_run(snapshot, build->options->strict_certs, build->is_renewal, problems);
    problems_sort(problems);
    build_sources(snapshot, build->options->strict_certs, problems);
    if (problems->errors == errors) {
        snapshot->fingerprint = fingerprint(snapshot);
        return snapshot;
    }
    snapshot_unref(snapshot);
    return NULL;
}

struct snapshot *snapshot_load(const char *file, const struct load_options *options,
                               struct problems *problems)
{
    size_t errors = problems->errors;
    struct tls_build build;
    struct config *config = load_config(file, options, problems, &build);

    struct snapshot *snapshot = finish(config, &build, errors);

    /* Its hosts are the same ones already; now it is the same altogether. Not before: what was said
     * of it tells places in the file as it is now. */
    if (snapshot && options->previous && options->previous->fingerprint == config->fingerprint)
        snapshot_set_config(snapshot, config_ref(options->previous));
    return snapshot;
}

/* Mistakes elsewhere are for the load to find, as the user that is named here. */
static bool peek_text(struct load *load, struct slice text)
{
    struct json_document document;
    struct json_mistake mistake;
    size_t errors;

    if (!json_document_read(&document, text, &mistake))
        return false;
    reader_prepare(&load->reader, &document);
    load_listen(load, json_member(document.root, "listen"));
    errors = load->reader.problems->errors;
    load_process_user(load, json_member(document.root, "user"),
                      json_member(document.root, "group"));
    json_document_clear(&document);
    return load->reader.problems->errors == errors;
}

struct globals *snapshot_peek(const char *file)
{
    struct problems unsaid; /* a load says them */
    struct config *config = config_new();
    struct load load = {.config = config, .globals = config->globals};
    struct buffer text = {0};
    struct globals *globals = NULL;

    problems_init(&unsaid);
    set_place(config, file, &(struct load_options){0});
    load.reader = (struct reader){.file = config->file,
                                  .folder = config->folder,
                                  .problems = &unsaid,
                                  .arena = &config->globals->arena};
    if (read_file(&load.reader, false, &text) && peek_text(&load, buffer_content(&text)))
        globals = globals_ref(config->globals);
    buffer_clear(&text);
    problems_clear(&unsaid);
    config_unref(config);
    return globals;
}

struct snapshot *snapshot_renew(const struct snapshot *current, const struct load_options *options,
                                struct problems *problems)
{
    if (options->sources)
        sources_begin(options->sources);
    const struct tls_build build = {
        .config = current->config,
        .options = options,
        .problems = problems,
        .is_renewal = true,
        .served = current->tls,
    };

    return finish(config_ref(current->config), &build, problems->errors);
}

const char *snapshot_default_file(void)
{
    static const char *const places[] = {"./routes/routes.json", "/etc/sallyport/routes.json"};
    const char *named = getenv("SALLYPORT_CONFIG");

    if (named && named[0])
        return named;
    for (size_t i = 0; i < 2; i++)
        if (access(places[i], F_OK) == 0)
            return places[i];
    return NULL;
}
