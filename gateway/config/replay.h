/* One request as two generations would answer it. */
#ifndef CONFIG_REPLAY_H
#define CONFIG_REPLAY_H

#include "config/follow.h"

struct replayed {
    /* Another status, location or own response; another backend, or the same with none of its
     * servers; refused, or no longer, at the handshake or for want of a listener. */
    bool answer_differs;
    bool certificate_differs; /* the answer may be the same */
    struct slice was, is;     /* who answers, in words, when the answer differs; in the arena */
};

void replay_request(const struct snapshot *was, const struct snapshot *is,
                    const struct followed_request *request, struct arena *arena,
                    struct replayed *replayed);

#endif
