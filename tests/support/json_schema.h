/* As much of JSON Schema (draft 7) as routes/routes.schema.json uses: checking values, listing
 * keys. */
#ifndef TESTS_SUPPORT_JSON_SCHEMA_H
#define TESTS_SUPPORT_JSON_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>

/* Whether `value` is as the schema says. A keyword that is not known here fails the test. */
bool json_schema_accepts(json_t *schema, json_t *value);

/* Calls `visit` for every key named under "properties" below which no further key is named:
 * "defaults.timeout.connect"; members of maps are "*", lists leave no trace. A key may come twice.
 */
void json_schema_each_leaf(json_t *schema, void (*visit)(void *owner, const char *path),
                           void *owner);

#endif
