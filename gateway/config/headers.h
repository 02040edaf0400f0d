/* `headers`: what is changed of a message's fields on its way, as one place of the route file says
 * it, and how places are merged. */
#ifndef CONFIG_HEADERS_H
#define CONFIG_HEADERS_H

#include "config/reader.h"
#include "policy/header_edits.h"
#include "routing/settings.h"

/* headers.request or headers.response of one place. */
struct header_layer {
    struct header_edits edits;
    bool has_remove; /* a list, even an empty one */
};

/* The rule for `headers`; `into` is a struct settings_reader. */
void headers_read(struct reader *reader, const struct json_node *node, void *into);

/* Name by name the nearest of `set` and of `add`, and the nearest `remove` as a whole, which also
 * ends what farther places set and add. `layers` by enum setting_place, or NULL. All of it is
 * copied to the arena. */
void headers_merge(const struct header_layer *const layers[SETTING_PLACES], struct arena *arena,
                   struct header_edits *edits);
/* Copies what the layer borrows. */
void headers_copy_layer(struct header_layer *layer, struct arena *arena);

#endif
