#include "config/headers.h"

#include "config/settings.h"
#include "config/templates.h"

/* One of headers.request and headers.response while it is read. */
struct message_reader {
    struct header_layer *layer;
    bool is_request;
};

/* --- one edit -----------------------------------------------------------------------------------
 */

/* Behind those that are not after it. */
static void insert_edit(struct arena *arena, struct header_edits *edits, struct header_edit edit)
{
    unsigned count = edits->count, at = count;
    struct header_edit *list = edits->list;

    if ((count & (count - 1)) == 0) { /* doubles when it is a power of two */
        list = arena_alloc(arena, (count ? 2 * (size_t)count : 1) * sizeof(*list));
        if (count > 0)
            memcpy(list, edits->list, count * sizeof(*list));
    }
    while (at > 0 && header_edit_compare(&list[at - 1], &edit) > 0)
        at--;
    memmove(&list[at + 1], &list[at], (count - at) * sizeof(*list));
    list[at] = edit;
    edits->list = list;
    edits->count++;
}

static const struct header_edit *find_edit(const struct header_edits *edits,
                                           enum header_edit_kind kind, struct slice name)
{
    for (unsigned i = 0; i < edits->count; i++)
        if (edits->list[i].kind == kind && slice_equal_nocase(edits->list[i].name, name))
            return &edits->list[i];
    return NULL;
}

/* Why a request's field of that name is not the route file's to change; NULL: it is. */
static const char *why_kept_of_request(enum field_id id, struct slice name,
                                       enum header_edit_kind kind)
{
    if (id == FIELD_HOST)
        return "the setting \"host\" says what a backend gets as Host";
    if (id == FIELD_EXPECT)
        return "the gateway itself sees to when a body is sent";
    if (id == FIELD_X_CLIENT_CERT && kind != HEADER_REMOVE)
        return "only the gateway says what certificate a client has shown";
    if (slice_find(name, '_') >= 0 && field_id_with_underscores(name) == FIELD_LOOKALIKE)
        return "with dashes it is one that the gateway acts on, and many backends cannot tell them "
               "apart";
    return NULL;
}

static bool check_name(struct reader *reader, const struct json_node *node,
                       enum mistake_place place, struct slice name, enum header_edit_kind kind,
                       const struct message_reader *message)
{
    enum field_id id = field_id_from(name);
    const char *why = NULL;

    if (!http_is_token(name)) {
        reader_error(reader, node, place, "\"%s\" is no name of a header", name.at);
        return false;
    }
    if (field_id_is_hop_by_hop(id))
        why = "it frames the message or belongs to one connection: the gateway sees to it itself";
    else if (message->is_request)
        why = why_kept_of_request(id, name, kind);
    else if (id == FIELD_HOST)
        why = "a response has none";
    if (why)
        reader_error(reader, node, place, "\"%s\" cannot stand here: %s", name.at, why);
    else if (find_edit(&message->layer->edits, kind, name))
        reader_error(reader, node, place, "\"%s\" is there already%s", name.at,
                     kind == HEADER_REMOVE ? "" : " in another case");
    else
        return true;
    return false;
}

static void read_value(struct reader *reader, const struct json_node *node, struct slice name,
                       enum header_edit_kind kind, struct message_reader *message)
{
    struct header_edit edit = {.kind = kind, .id = field_id_from(name), .name = name};
    struct slice value;

    if (!reader_text(reader, node, kind == HEADER_ADD ? "a string, or a list of them" : "a string",
                     &value))
        return;
    if (!http_is_field_value(value))
        reader_error(reader, node, AT_VALUE,
                     "a header's value holds no line breaks or control characters");
    else if (templates_read(reader, node, slice_trim(value), TEMPLATE_OF_HEADER, &edit.value))
        insert_edit(reader->arena, &message->layer->edits, edit);
}

/* --- set, add, remove ---------------------------------------------------------------------------
 */

static void read_set(struct reader *reader, const struct json_node *node, void *into)
{
    if (!reader_is_object(reader, node))
        return;
    for (const struct json_node *member = node->first; member; member = member->next)
        if (check_name(reader, member, AT_KEY, member->key, HEADER_SET, into))
            read_value(reader, member, arena_copy(reader->arena, member->key), HEADER_SET, into);
}

static void read_values(struct reader *reader, const struct json_node *node, struct slice name,
                        struct message_reader *message)
{
    if (!json_is_array(node->value)) {
        read_value(reader, node, name, HEADER_ADD, message);
        return;
    }
    if (!node->first)
        reader_error(reader, node, AT_VALUE, "the list is empty: a value is expected");
    for (const struct json_node *value = node->first; value; value = value->next)
        read_value(reader, value, name, HEADER_ADD, message);
}

static void read_add(struct reader *reader, const struct json_node *node, void *into)
{
    if (!reader_is_object(reader, node))
        return;
    for (const struct json_node *member = node->first; member; member = member->next)
        if (check_name(reader, member, AT_KEY, member->key, HEADER_ADD, into))
            read_values(reader, member, arena_copy(reader->arena, member->key), into);
}

static void read_remove(struct reader *reader, const struct json_node *node, void *into)
{
    struct message_reader *message = into;
    struct header_edit edit = {.kind = HEADER_REMOVE};

    if (!reader_is_list(reader, node, "a list of names of headers"))
        return;
    message->layer->has_remove = true;
    for (const struct json_node *element = node->first; element; element = element->next) {
        if (!reader_text(reader, element, "the name of a header", &edit.name) ||
            !check_name(reader, element, AT_VALUE, edit.name, HEADER_REMOVE, message))
            continue;
        edit.id = field_id_from(edit.name);
        insert_edit(reader->arena, &message->layer->edits, edit);
    }
}

static const struct rule edit_list[] = {
    {"set", 0, read_set},
    {"add", 0, read_add},
    {"remove", 0, read_remove},
};
static const struct rules edit_rules = {edit_list, 3, NULL};

/* --- headers ------------------------------------------------------------------------------------
 */

static void read_request(struct reader *reader, const struct json_node *node, void *into)
{
    struct layer *layer = &((struct settings_reader *)into)->layer;
    struct message_reader message = {.layer = &layer->request_headers, .is_request = true};

    layer->from[SETTING_REQUEST_HEADERS] = node;
    reader_object(reader, node, &edit_rules, 0, &message);
}

static void read_response(struct reader *reader, const struct json_node *node, void *into)
{
    struct layer *layer = &((struct settings_reader *)into)->layer;
    struct message_reader message = {.layer = &layer->response_headers};

    layer->from[SETTING_RESPONSE_HEADERS] = node;
    reader_object(reader, node, &edit_rules, 0, &message);
}

static const struct rule header_list[] = {
    {"request", 0, read_request},
    {"response", 0, read_response},
};
static const struct rules header_rules = {header_list, 2, NULL};

void headers_read(struct reader *reader, const struct json_node *node, void *into)
{
    reader_object(reader, node, &header_rules, 0, into);
}

/* --- merging ------------------------------------------------------------------------------------
 */

static struct header_edit copy_edit(const struct header_edit *edit, struct arena *arena)
{
    struct header_edit copy = *edit;

    copy.name = arena_copy(arena, edit->name);
    copy.value = template_copy(&edit->value, arena);
    return copy;
}

void headers_copy_layer(struct header_layer *layer, struct arena *arena)
{
    struct header_edit *list = arena_alloc(arena, (layer->edits.count + 1) * sizeof(*list));

    for (unsigned i = 0; i < layer->edits.count; i++)
        list[i] = copy_edit(&layer->edits.list[i], arena);
    layer->edits.list = list;
}

/* The nearest place with a `remove`, SETTING_BUILT_IN without one. */
static int place_of_remove(const struct header_layer *const layers[SETTING_PLACES])
{
    int place = SETTING_PLACES - 1;

    while (place > SETTING_BUILT_IN && !(layers[place] && layers[place]->has_remove))
        place--;
    return place;
}

/* Whether a nearer place says otherwise. */
static bool is_overruled(const struct header_layer *const layers[SETTING_PLACES], int place,
                         const struct header_edit *edit)
{
    int removes = place_of_remove(layers);

    if (edit->kind == HEADER_REMOVE)
        return place != removes;
    if (removes > place && find_edit(&layers[removes]->edits, HEADER_REMOVE, edit->name))
        return true;
    for (int nearer = place + 1; nearer < SETTING_PLACES; nearer++)
        if (layers[nearer] && find_edit(&layers[nearer]->edits, edit->kind, edit->name))
            return true;
    return false;
}

void headers_merge(const struct header_layer *const layers[SETTING_PLACES], struct arena *arena,
                   struct header_edits *edits)
{
    *edits = (struct header_edits){.list = NULL};
    for (int place = SETTING_OF_DEFAULTS; place < SETTING_PLACES; place++) {
        for (unsigned i = 0; layers[place] && i < layers[place]->edits.count; i++) {
            const struct header_edit *edit = &layers[place]->edits.list[i];
            if (is_overruled(layers, place, edit))
                continue;
            struct header_edit copy = copy_edit(edit, arena);
            copy.from = (uint8_t)place;
            insert_edit(arena, edits, copy);
        }
    }
}
