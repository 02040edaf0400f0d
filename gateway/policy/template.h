/* Texts with {placeholders}: cut once when they are read, filled in for each request. */
#ifndef POLICY_TEMPLATE_H
#define POLICY_TEMPLATE_H

#include "base/arena.h"
#include "base/buffer.h"

/* What a text may have of its request; each place of the route file knows some of them. */
enum placeholder {
    PLACEHOLDER_NONE, /* a literal text */
    PLACEHOLDER_SCHEME,
    PLACEHOLDER_HOST,
    PLACEHOLDER_PATH,
    PLACEHOLDER_QUERY, /* without "?" */
    PLACEHOLDER_URI,   /* path and any ?query */
    PLACEHOLDER_REQUEST_ID,
    PLACEHOLDER_CLIENT_IP,
    PLACEHOLDER_SNI,
    PLACEHOLDER_ROUTE,
    PLACEHOLDER_STATUS,
    PLACEHOLDER_REASON,
    PLACEHOLDER_COUNT
};

struct template_part {
    enum placeholder placeholder;
    struct slice text; /* PLACEHOLDER_NONE */
};

struct template
{
    struct template_part *parts;
    unsigned part_count;
};

/* Without braces; "" for NONE. */
const char *placeholder_name(enum placeholder placeholder);

/* `values` by enum placeholder. What it returns is in the arena, or borrowed where the template is
 * one part alone. */
struct slice template_fill(const struct template *template,
                           const struct slice values[PLACEHOLDER_COUNT], struct arena *arena);
/* All of it in the arena. */
struct template template_copy(const struct template *template, struct arena *arena);
bool template_equal(const struct template *a, const struct template *b);
/* As it stands in the route file: "{{" is a literal brace. */
void template_print(const struct template *template, struct buffer *out);

#endif
