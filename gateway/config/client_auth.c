#include "config/client_auth.h"

void client_auth_read_ca(struct reader *reader, const struct json_node *node,
                         struct client_auth_reader *into)
{
    into->ca_node = node;
    reader_path(reader, node, &into->ca);
}

void client_auth_read_auth(struct reader *reader, const struct json_node *node, bool at_top,
                           struct client_auth_reader *into)
{
    static const char *const words[] = {"request", "require", "off"};
    static const enum client_auth values[] = {CLIENT_AUTH_REQUEST, CLIENT_AUTH_REQUIRE,
                                              CLIENT_AUTH_OFF};
    unsigned index = 1;

    into->auth_node = node;
    reader_word(reader, node, words, at_top ? 2 : 3, &index);
    into->auth = values[index];
}

/* --- merging -----------------------------------------------------------------------------------
 */

static void fail_without_ca(struct reader *reader, const struct client_auth_reader *read)
{
    reader_error(reader, read->auth_node, AT_KEY,
                 "\"client_auth\" needs \"client_ca\": the PEM file of the authorities that sign "
                 "clients' certificates");
}

static void keep_file(struct load *load, const char *path, struct text_place place)
{
    struct arena *arena = &load->config->arena;
    struct client_ca_file *file;

    if (table_get(&load->client_cas, slice_of(path)))
        return;
    file = arena_alloc(arena, sizeof(*file));
    file->path = arena_text(arena, slice_of(path));
    file->place = place;
    file->next = load->config->client_cas;
    load->config->client_cas = file;
    table_put(&load->client_cas, slice_of(file->path), file);
}

void client_auth_end_top(struct load *load, const struct client_auth_reader *read)
{
    struct client_rule *rule = &load->config->clients;

    if (read->auth_node && !read->ca_node)
        fail_without_ca(&load->reader, read);
    if (!read->ca)
        return;
    *rule = (struct client_rule){
        .auth = read->auth_node ? read->auth : CLIENT_AUTH_REQUIRE,
        .ca = read->ca,
    };
    keep_file(load, read->ca, reader_place(&load->reader, read->ca_node, AT_VALUE));
}

void client_auth_end_host(struct load *load, const struct client_auth_reader *read)
{
    const struct client_rule *top = &load->config->clients;
    struct client_rule *rule = arena_alloc(load->reader.arena, sizeof(*rule));
    const char *ca = read->ca_node ? read->ca : top->ca;
    bool is_inherited = !read->auth_node && top->auth != CLIENT_AUTH_OFF;

    if (!read->ca_node && !read->auth_node)
        return;
    load->host->clients = rule;
    *rule = (struct client_rule){.auth = CLIENT_AUTH_OFF};
    if (read->auth_node && read->auth == CLIENT_AUTH_OFF) {
        if (read->ca_node)
            reader_error(&load->reader, read->ca_node, AT_KEY,
                         "\"client_ca\" has no effect here: \"client_auth\" is \"off\"");
        else if (!top->ca)
            reader_error(&load->reader, read->auth_node, AT_KEY,
                         "\"client_auth\" has no effect here: the file's own \"tls\" names no "
                         "\"client_ca\", so that no client is asked");
        return;
    }
    if (!ca) {
        if (!read->ca_node)
            fail_without_ca(&load->reader, read);
        return;
    }
    rule->auth = read->auth_node ? read->auth : is_inherited ? top->auth : CLIENT_AUTH_REQUIRE;
    rule->ca = arena_text(load->reader.arena, slice_of(ca));
}

/* --- files -------------------------------------------------------------------------------------
 */

void client_auth_note(struct load *load, const struct json_node *node, const struct host *host)
{
    const struct json_node *tls, *ca;

    if (!host->clients || !host->clients->ca)
        return;
    tls = json_member(node, "tls");
    ca = tls ? json_member(tls, "client_ca") : NULL;
    if (ca) /* else it is the top's */
        keep_file(load, host->clients->ca, reader_place(&load->reader, ca, AT_VALUE));
}

uint64_t client_auth_context(const struct json_node *tls)
{
    static const char *const keys[] = {"client_ca", "client_auth"};
    uint64_t parts[2] = {0, 0};

    for (size_t i = 0; tls && i < 2; i++) {
        const struct json_node *node = json_member(tls, keys[i]);
        if (node)
            parts[i] = json_fingerprint(node->value);
    }
    if (parts[0] == 0 && parts[1] == 0)
        return 0;
    return hash_bytes(slice_make((const char *)parts, sizeof(parts)));
}
