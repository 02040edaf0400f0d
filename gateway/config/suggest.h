/* The known name that a mistyped one is nearest to. */
#ifndef CONFIG_SUGGEST_H
#define CONFIG_SUGGEST_H

#include "base/slice.h"

enum { SUGGEST_NAME_MAX = 64 }; /* longer names get no suggestion */

struct suggestion {
    struct slice typed;
    size_t distance; /* of `nearest`; at first one more than is taken for a typing mistake */
    char nearest[SUGGEST_NAME_MAX + 1];
};

/* Ready to consider names. `typed` is borrowed. */
void suggestion_init(struct suggestion *suggestion, struct slice typed);
/* Keeps `name` if it is nearer than what was considered before; case does not matter. */
void suggestion_consider(struct suggestion *suggestion, struct slice name);
/* The nearest name, or NULL when none is near: more than a third of the letters differ. */
const char *suggestion_text(const struct suggestion *suggestion);

#endif
