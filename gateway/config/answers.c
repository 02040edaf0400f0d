#include "config/answers.h"

#include "config/templates.h"

/* --- redirect -----------------------------------------------------------------------------------
 */

static bool starts_like_url(struct slice text)
{
    static const char *const starts[] = {"https://",    "http://", "/",
                                         "{scheme}://", "{path}",  "{uri}"};

    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
        if (slice_starts_with(text, slice_of(starts[i])))
            return text.len > slice_of(starts[i]).len || i == 2 || i > 3;
    return false;
}

static void read_redirect_url(struct reader *reader, const struct json_node *node, void *into)
{
    struct slice text;

    if (!reader_text(reader, node, "a URL such as \"https://example.com{uri}\"", &text))
        return;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] > ' ' && text.at[i] < 0x7f)
            continue;
        reader_error(reader, node, AT_VALUE,
                     "a URL holds no spaces, controls or non-ASCII characters: write them as %%XX");
        return;
    }
    if (!starts_like_url(text)) {
        reader_error(reader, node, AT_VALUE,
                     "a URL that starts with https://, http:// or / is expected");
        return;
    }
    templates_read(reader, node, text, TEMPLATE_OF_REDIRECT, &((struct route *)into)->redirect);
}

static void read_redirect_status(struct reader *reader, const struct json_node *node, void *into)
{
    json_int_t status = json_integer_value(node->value);

    if (status == 301 || status == 302 || status == 303 || status == 307 || status == 308)
        ((struct route *)into)->status = (int)status;
    else
        reader_error(reader, node, AT_VALUE, "a redirect's status is 301, 302, 303, 307 or 308");
}

static const struct rule redirect_list[] = {
    {"to", 0, read_redirect_url},
    {"status", 0, read_redirect_status},
};
static const struct rules redirect_rules = {redirect_list, 2, NULL};

void answers_read_redirect(struct reader *reader, const struct json_node *node, struct route *route)
{
    route->kind = ROUTE_REDIRECT;
    route->status = 308;
    if (!json_is_object(node->value)) {
        read_redirect_url(reader, node, route);
        return;
    }
    reader_object(reader, node, &redirect_rules, 0, route);
    if (!json_member(node, "to"))
        reader_missing(reader, node, "to", "the URL to redirect to");
}

/* --- respond ------------------------------------------------------------------------------------
 */

struct respond_reader {
    struct route *route;
    const struct json_node *body;
};

static void read_respond_status(struct reader *reader, const struct json_node *node, void *into)
{
    uint64_t status;

    if (reader_count(reader, node, 200, 599, &status))
        ((struct respond_reader *)into)->route->status = (int)status;
}

static void read_respond_body(struct reader *reader, const struct json_node *node, void *into)
{
    struct respond_reader *respond = into;

    respond->body = node;
    reader_text(reader, node, "a string", &respond->route->respond_body);
}

/* RFC 9110 section 5.6.2: what a field name is made of. */
static bool is_token(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_letter && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return text.len > 0;
}

static bool is_field_value(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (((unsigned char)text.at[i] < 0x20 && text.at[i] != '\t') || text.at[i] == 0x7f)
            return false;
    return true;
}

static void read_respond_value(struct reader *reader, const struct json_node *node,
                               struct slice name, struct route *route)
{
    struct slice value;

    if (!reader_text(reader, node, "a string, or a list of strings", &value))
        return;
    if (is_field_value(value))
        http_fields_add(&route->respond_fields, reader->arena, name, slice_trim(value));
    else
        reader_error(reader, node, AT_VALUE,
                     "a header's value holds no line breaks or control characters");
}

static void read_respond_field(struct reader *reader, const struct json_node *member,
                               struct route *route)
{
    struct slice name = arena_copy(reader->arena, member->key);

    if (!is_token(name)) {
        reader_error(reader, member, AT_KEY, "\"%s\" is no name of a header", member->key.at);
    } else if (field_id_is_hop_by_hop(field_id_from(name))) {
        reader_error(reader, member, AT_KEY, "\"%s\" is set by the gateway itself", member->key.at);
    } else if (http_fields_find(&route->respond_fields, name)) {
        reader_error(reader, member, AT_KEY,
                     "\"%s\" is there already in another case: several values are a list",
                     member->key.at);
    } else if (json_is_array(member->value)) {
        for (const struct json_node *value = member->first; value; value = value->next)
            read_respond_value(reader, value, name, route);
    } else {
        read_respond_value(reader, member, name, route);
    }
}

static void read_respond_headers(struct reader *reader, const struct json_node *node, void *into)
{
    if (!reader_is_object(reader, node))
        return;
    for (const struct json_node *member = node->first; member; member = member->next)
        read_respond_field(reader, member, ((struct respond_reader *)into)->route);
}

static const struct rule respond_list[] = {
    {"status", 0, read_respond_status},
    {"headers", 0, read_respond_headers},
    {"body", 0, read_respond_body},
};
static const struct rules respond_rules = {respond_list, 3, NULL};

void answers_read_respond(struct reader *reader, const struct json_node *node, struct route *route)
{
    struct respond_reader respond = {.route = route};
    bool has_no_body;

    route->kind = ROUTE_RESPOND;
    route->status = 200;
    reader_object(reader, node, &respond_rules, 0, &respond);
    has_no_body = route->status == 204 || route->status == 304;
    if (respond.body && has_no_body && route->respond_body.len > 0)
        reader_error(reader, respond.body, AT_KEY,
                     "\"body\" has no effect here: an answer with status %d has none",
                     route->status);
    if (route->respond_body.len > 0 &&
        !http_fields_find(&route->respond_fields, slice_of("content-type")))
        http_fields_add(&route->respond_fields, reader->arena, slice_of("content-type"),
                        slice_of("text/plain; charset=utf-8"));
}
