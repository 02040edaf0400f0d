/* The gateway's own answers: verdicts, redirects, fixed responses, files. */
#ifndef PROXY_OWN_ANSWER_H
#define PROXY_OWN_ANSWER_H

#include "proxy/proxy_env.h"

struct own_answer {
    struct http_head head; /* status, fields, framing: ready for write_head */
    struct slice body;
};

/* A verdict: short text, or JSON when Accept has application/json and no text type. `request` may
 * be NULL (no head was read). */
void own_answer_verdict(struct proxy_env *env, struct arena *arena, const struct http_head *request,
                        enum http_reason reason, struct slice request_id,
                        struct own_answer *answer);
void own_answer_redirect(struct proxy_env *env, struct arena *arena, int status,
                         struct slice location, struct slice request_id, struct own_answer *answer);
void own_answer_respond(struct proxy_env *env, struct arena *arena, const struct route *route,
                        struct slice request_id, struct own_answer *answer);
/* 200 with a file's content, which is borrowed. */
void own_answer_file(struct proxy_env *env, struct arena *arena, struct slice content,
                     struct slice request_id, struct own_answer *answer);

#endif
