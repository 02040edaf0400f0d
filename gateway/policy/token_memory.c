#include "policy/token_memory.h"

#include "base/check.h"
#include "base/list.h"
#include "base/table.h"

#include <stdlib.h>

struct known_token {
    struct list_node node;
    struct token_name name;
    uint64_t until_s;
    unsigned count;
    struct slice values[]; /* their bytes are behind them */
};

struct token_memory {
    uint8_t key[MAC_KEY_BYTES];
    struct table by_name;
    struct list by_age; /* the oldest first */
};

struct token_memory *token_memory_new(void)
{
    struct token_memory *memory = memory_new(sizeof(*memory));

    mac_make_key(memory->key);
    table_init(&memory->by_name);
    list_init(&memory->by_age);
    return memory;
}

static struct slice name_bytes(const struct token_name *name)
{
    return slice_make((const char *)name->mac, sizeof(name->mac));
}

static void forget(struct token_memory *memory, struct known_token *known)
{
    table_remove(&memory->by_name, name_bytes(&known->name));
    list_remove(&known->node);
    free(known);
}

void token_memory_free(struct token_memory *memory)
{
    if (memory == NULL)
        return;
    list_each (&memory->by_age, node)
        forget(memory, container_of(node, struct known_token, node));
    table_clear(&memory->by_name);
    free(memory);
}

struct token_name token_memory_name(const struct token_memory *memory, uint64_t rules,
                                    uint64_t keys, struct slice token)
{
    const struct slice parts[] = {
        slice_make((const char *)&rules, sizeof(rules)),
        slice_make((const char *)&keys, sizeof(keys)),
        token,
    };
    struct token_name name;

    mac_sign(slice_make((const char *)memory->key, sizeof(memory->key)), parts, 3, name.mac);
    return name;
}

bool token_memory_find(struct token_memory *memory, const struct token_name *name, uint64_t now_s,
                       struct arena *arena, struct slice *values)
{
    struct known_token *known = table_get(&memory->by_name, name_bytes(name));

    if (known == NULL)
        return false;
    if (now_s >= known->until_s) {
        forget(memory, known);
        return false;
    }
    for (unsigned i = 0; i < known->count; i++)
        values[i] = arena_copy(arena, known->values[i]);
    return true;
}

void token_memory_keep(struct token_memory *memory, const struct token_name *name, uint64_t until_s,
                       const struct slice *values, unsigned count)
{
    struct known_token *known = table_get(&memory->by_name, name_bytes(name));
    struct list_node *oldest;
    size_t bytes = 0;
    char *at;

    for (unsigned i = 0; i < count; i++)
        bytes += values[i].len;
    if (known != NULL)
        forget(memory, known);
    if (bytes > TOKEN_MEMORY_VALUES_MOST)
        return;
    known = memory_try(sizeof(*known) + count * sizeof(struct slice) + bytes);
    if (known == NULL)
        return;
    known->name = *name;
    known->until_s = until_s;
    known->count = count;
    at = (char *)(known->values + count);
    for (unsigned i = 0; i < count; at += values[i++].len) {
        if (values[i].len > 0)
            memcpy(at, values[i].at, values[i].len);
        known->values[i] = slice_make(at, values[i].len);
    }
    oldest = list_first(&memory->by_age); /* `known` may have been it */
    if (oldest != NULL && memory->by_name.count == TOKEN_MEMORY_MOST)
        forget(memory, container_of(oldest, struct known_token, node));
    list_push_back(&memory->by_age, &known->node);
    table_put(&memory->by_name, name_bytes(&known->name), known);
}
