#include "config/copied_field.h"

#include "http/message.h"

static bool is_told_already(enum field_id id)
{
    switch (id) {
    case FIELD_FORWARDED:
    case FIELD_X_CLIENT_CERT:
    case FIELD_X_FORWARDED_FOR:
    case FIELD_X_FORWARDED_HOST:
    case FIELD_X_FORWARDED_OTHER:
    case FIELD_X_FORWARDED_PORT:
    case FIELD_X_FORWARDED_PROTO:
    case FIELD_X_REAL_IP:
    case FIELD_X_REQUEST_ID: return true;
    default: return false;
    }
}

/* NULL: it may be used. */
static const char *why_not(struct slice name)
{
    enum field_id id = field_id_from(name);

    if (field_id_is_hop_by_hop(id) || id == FIELD_EXPECT || id == FIELD_HOST)
        return "the gateway itself says what a backend gets there";
    if (is_told_already(id))
        return "the gateway tells something else there";
    if (slice_find(name, '_') >= 0)
        return "many backends cannot tell it from the name with dashes; write it with dashes";
    return NULL;
}

bool read_copied_field(struct reader *reader, const struct json_node *node, struct arena *arena,
                       struct slice *name)
{
    const char *why;

    if (!reader_text(reader, node, "the name of a header such as \"X-User\"", name))
        return false;
    if (!http_is_token(*name)) {
        reader_error(reader, node, AT_VALUE, "\"%s\" is no name of a header", name->at);
        return false;
    }
    why = why_not(*name);
    if (why) {
        reader_error(reader, node, AT_VALUE, "\"%s\" cannot stand here: %s", name->at, why);
        return false;
    }
    *name = arena_copy(arena, *name);
    return true;
}
