/* Settings as written in one place of the route file, and how places are merged. */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include "config/headers.h"
#include "config/snapshot.h"

/* What one place sets; the rest is for the places behind it. */
struct layer {
    const struct json_node *from[SETTING_COUNT]; /* NULL: not set here */
    struct settings values;
    struct header_layer request_headers, response_headers;
    struct policy *policies[POLICY_KINDS]; /* NULL with `from`: off. Borrowed of reader->policies */
};

/* The one that rules read into; embedded in what holds more than settings. */
struct settings_reader {
    unsigned here; /* enum place */
    struct layer layer;
    struct globals *globals;               /* IN_DEFAULTS: limits that no route can change */
    struct backend_entry *backend;         /* IN_BACKEND: config/backend_keys.h */
    const struct json_node *tls;           /* IN_HOST: read by its owner */
    const struct json_node *split_on_node; /* IN_ROUTE; `split_on` is NONE where it is wrong */
    struct affinity split_on;
};

/* Rules for every setting there is; `into` is a struct settings_reader. */
extern const struct rules setting_rules;

/* `defaults`, or nothing when node is NULL: what is built in, into the globals. */
void settings_read_defaults(struct reader *reader, const struct json_node *node,
                            struct layer *defaults, struct globals *globals);

/* The nearest place that sets it wins; `layers` by enum setting_place, NULL: nothing was written
 * there. Texts are copied to `arena`; policies are borrowed of `pile`. */
void settings_merge(const struct layer *const layers[SETTING_PLACES], struct arena *arena,
                    struct policy_pile *pile, struct settings *settings);

/* Copies what the layer borrows of the arena that it was read to. */
void settings_copy_layer(struct layer *layer, struct arena *arena);

/* Whether the setting acts where no backend is asked, too. */
bool settings_act_without_backend(enum setting setting);
/* A setting that only a backend's requests obey, written where no backend is asked, is a mistake;
 * `what` says what is there instead: "a redirect". */
void settings_refuse_for_backends(struct reader *reader, const struct layer *layer,
                                  const char *what);

#endif
