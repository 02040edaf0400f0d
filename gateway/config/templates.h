/* Texts with {placeholders} in the route file. */
#ifndef CONFIG_TEMPLATES_H
#define CONFIG_TEMPLATES_H

#include "config/reader.h"
#include "policy/template.h"

/* Which placeholders may stand in a text. */
enum template_of {
    TEMPLATE_OF_REDIRECT = 1 << PLACEHOLDER_SCHEME | 1 << PLACEHOLDER_HOST | 1 << PLACEHOLDER_PATH |
                           1 << PLACEHOLDER_QUERY | 1 << PLACEHOLDER_URI,
    TEMPLATE_OF_HEADER = 1 << PLACEHOLDER_REQUEST_ID | 1 << PLACEHOLDER_CLIENT_IP |
                         1 << PLACEHOLDER_SNI | 1 << PLACEHOLDER_HOST | 1 << PLACEHOLDER_ROUTE,
};

/* Cuts the text at its placeholders; "{{" is one literal brace. Its parts borrow from it and live
 * in the arena. False, with a problem at `node`, when there is another {name}. */
bool templates_read(struct reader *reader, const struct json_node *node, struct slice text,
                    enum template_of of, struct template *template);

#endif
