#include "config/retry_on.h"

/* In the order of the bits. */
static const char *const words[] = {"connect", "stale", "reset", "timeout", "5xx"};
enum { WORDS = sizeof(words) / sizeof(words[0]), STATUS_LEAST = 400, STATUS_MOST = 599 };

/* A number, or one in quotes, as a variable has it. */
static bool is_number(const struct json_node *node, uint64_t *number)
{
    if (json_is_integer(node->value) && json_integer_value(node->value) >= 0) {
        *number = (uint64_t)json_integer_value(node->value);
        return true;
    }
    return slice_parse_u64(reader_node_text(node), number);
}

static bool fail_repeated(struct reader *reader, const struct json_node *node)
{
    reader_error(reader, node, AT_VALUE, "this is in the list already");
    return false;
}

/* In order, so that lists that mean the same are the same. */
static bool add_status(struct reader *reader, const struct json_node *node, uint64_t status,
                       struct settings *settings)
{
    uint16_t *list = settings->retry_statuses;
    unsigned at = settings->retry_status_count;

    if (status < STATUS_LEAST || status > STATUS_MOST) {
        reader_error(reader, node, AT_VALUE, "a status from %d to %d is expected", STATUS_LEAST,
                     STATUS_MOST);
        return false;
    }
    for (unsigned i = 0; i < settings->retry_status_count; i++)
        if (list[i] == status)
            return fail_repeated(reader, node);
    if (at == RETRY_STATUSES_MAX) {
        reader_error(reader, node, AT_VALUE, "%d statuses at most; \"5xx\" is all of those",
                     RETRY_STATUSES_MAX);
        return false;
    }
    for (; at > 0 && list[at - 1] > status; at--)
        list[at] = list[at - 1];
    list[at] = (uint16_t)status;
    settings->retry_status_count++;
    return true;
}

static bool add_reason(struct reader *reader, const struct json_node *node,
                       struct settings *settings)
{
    uint64_t status;
    unsigned word;

    if (is_number(node, &status))
        return add_status(reader, node, status, settings);
    if (!reader_word(reader, node, words, WORDS, &word))
        return false;
    if (settings->retry_on & (1 << word))
        return fail_repeated(reader, node);
    settings->retry_on |= (uint8_t)(1 << word);
    return true;
}

bool retry_on_read(struct reader *reader, const struct json_node *node, struct settings *settings)
{
    bool is_good = true;

    settings->retry_on = 0;
    settings->retry_status_count = 0;
    if (!reader_is_list(reader, node, "a list such as [\"connect\", \"stale\", 503]"))
        return false;
    for (const struct json_node *element = node->first; element; element = element->next)
        is_good &= add_reason(reader, element, settings);
    return is_good;
}

struct slice retry_on_words(struct arena *arena, const struct settings *settings)
{
    struct buffer out = {0};
    const char *between = "";

    for (unsigned i = 0; i < WORDS; i++)
        if (settings->retry_on & (1 << i)) {
            buffer_printf(&out, "%s%s", between, words[i]);
            between = ", ";
        }
    for (unsigned i = 0; i < settings->retry_status_count; i++) {
        buffer_printf(&out, "%s%u", between, settings->retry_statuses[i]);
        between = ", ";
    }
    if (!*between)
        return slice_of("off");
    struct slice text = arena_copy(arena, buffer_content(&out));
    buffer_clear(&out);
    return text;
}
