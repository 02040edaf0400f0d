#include "config/redis.h"

#include "base/table.h"
#include "config/diff_words.h"

enum {
    TIMEOUT_MS = 20,
    TIMEOUT_MOST_MS = 60 * 1000,
    DATABASE_MOST = 1000 * 1000,
    SERVERS_MOST = 16
};

static const char *const failures[] = {
    [REDIS_FAIL_LOCAL] = "local", [REDIS_FAIL_ALLOW] = "allow", [REDIS_FAIL_DENY] = "deny"};

/* --- servers ------------------------------------------------------------------------------------
 */

#define SERVER_EXPECTED "an address such as \"10.0.3.5:6379\""

/* Without a port: the one that Redis has. */
static struct slice with_port(struct arena *arena, struct slice text)
{
    bool is_literal = text.len > 0 && text.at[0] == '[';
    bool has_port = is_literal ? !slice_ends_with(text, slice_of("]")) : slice_find(text, ':') >= 0;

    return has_port ? text : arena_printf(arena, "%.*s:6379", (int)text.len, text.at);
}

static bool read_server(struct reader *reader, const struct json_node *node,
                        struct redis_server *server)
{
    struct error error = {""};
    struct slice text;

    if (!reader_text(reader, node, SERVER_EXPECTED, &text))
        return false;
    server->name = with_port(reader->arena, text);
    if (slice_starts_with(text, slice_of("http:")) || slice_starts_with(text, slice_of("srv:")) ||
        slice_starts_with(text, slice_of("redis:")) || slice_starts_with(text, slice_of("rediss:")))
        error_set(&error, "\"host:port\" or \"unix:/path\" is expected");
    else if (text.len > 0 && endpoint_parse(server->name, &server->endpoint, &error))
        return true;
    reader_error(reader, node, AT_VALUE, "%s", text.len > 0 ? error.message : SERVER_EXPECTED);
    return false;
}

static void read_servers(struct reader *reader, const struct json_node *node, void *into)
{
    struct redis_spec *spec = into;
    unsigned most = 0;

    if (!reader_is_list(reader, node, "a list of addresses such as \"10.0.3.5:6379\""))
        return;
    for (const struct json_node *element = node->first; element; element = element->next)
        most++;
    if (most == 0 || most > SERVERS_MOST) {
        reader_error(reader, node, AT_VALUE, "1 to %d servers are expected", SERVERS_MOST);
        return;
    }
    spec->servers = arena_alloc(reader->arena, most * sizeof(*spec->servers));
    for (const struct json_node *element = node->first; element; element = element->next)
        if (read_server(reader, element, &spec->servers[spec->server_count]))
            spec->server_count++;
}

/* --- the rest -----------------------------------------------------------------------------------
 */

static void read_timeout(struct reader *reader, const struct json_node *node, void *into)
{
    struct redis_spec *spec = into;

    if (reader_duration(reader, node, &spec->timeout_ms) &&
        (spec->timeout_ms == 0 || spec->timeout_ms > TIMEOUT_MOST_MS))
        reader_error(reader, node, AT_VALUE,
                     "a time from 1ms to 60s is expected: every request waits for it");
}

static void read_on_failure(struct reader *reader, const struct json_node *node, void *into)
{
    unsigned index;

    if (reader_word(reader, node, failures, 3, &index))
        ((struct redis_spec *)into)->on_failure = (enum redis_failure)index;
}

static void read_user(struct reader *reader, const struct json_node *node, void *into)
{
    reader_text(reader, node, "the name of a user", &((struct redis_spec *)into)->user);
}

static void read_password(struct reader *reader, const struct json_node *node, void *into)
{
    reader_text(reader, node, "a password, such as \"${REDIS_PASSWORD}\"",
                &((struct redis_spec *)into)->password);
}

static void read_database(struct reader *reader, const struct json_node *node, void *into)
{
    uint64_t database;

    if (reader_count(reader, node, 0, DATABASE_MOST, &database))
        ((struct redis_spec *)into)->database = (unsigned)database;
}

static const struct rule redis_list[] = {
    {"servers", 0, read_servers},       {"timeout", 0, read_timeout},
    {"on_failure", 0, read_on_failure}, {"user", 0, read_user},
    {"password", 0, read_password},     {"database", 0, read_database},
};
static const struct rules redis_rules = {redis_list, sizeof(redis_list) / sizeof(redis_list[0]),
                                         NULL};

void redis_read(struct reader *reader, const struct json_node *node, struct redis_spec **spec)
{
    struct redis_spec *read = arena_alloc(reader->arena, sizeof(*read));
    size_t errors = reader->problems->errors;

    read->timeout_ms = TIMEOUT_MS;
    read->on_failure = REDIS_FAIL_LOCAL;
    if (!reader_object(reader, node, &redis_rules, 0, read))
        return;
    if (!json_member(node, "servers"))
        reader_missing(reader, node, "servers", "a list of addresses such as \"10.0.3.5:6379\"");
    if (read->user.len > 0 && read->password.len == 0)
        reader_error(reader, json_member(node, "user"), AT_KEY,
                     "\"user\" has no effect without \"password\"");
    if (reader->problems->errors > errors)
        return;
    read->fingerprint = json_fingerprint(node->value);
    *spec = read;
}

struct slice redis_in_words(const struct redis_spec *spec, struct arena *arena)
{
    struct slice text = {"", 0}, timeout = words_duration(arena, spec->timeout_ms);

    for (unsigned i = 0; i < spec->server_count; i++)
        text = arena_printf(arena, "%.*s%s%.*s", (int)text.len, text.at, i > 0 ? ", " : "",
                            (int)spec->servers[i].name.len, spec->servers[i].name.at);
    return arena_printf(arena, "%.*s, timeout %.*s, on_failure %s%s, database %u", (int)text.len,
                        text.at, (int)timeout.len, timeout.at, failures[spec->on_failure],
                        spec->user.len > 0       ? ", as a user"
                        : spec->password.len > 0 ? ", with a password"
                                                 : "",
                        spec->database);
}
