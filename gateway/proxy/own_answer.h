/* The gateway's own answers: verdicts, redirects, fixed responses, files. */
#ifndef PROXY_OWN_ANSWER_H
#define PROXY_OWN_ANSWER_H

#include "policy/template.h"
#include "proxy/proxy_env.h"

struct own_answer {
    struct http_head head; /* status, fields, framing: ready for write_head */
    struct slice body;
    /* Written in the body's place, with the values: own_answer_piece. NULL: the body is all. */
    const struct template *page;
    const struct slice *values; /* by enum placeholder */
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
/* What is written next, behind so many pieces; *is_last says whether that is all. */
struct slice own_answer_piece(const struct own_answer *answer, unsigned place, bool *is_last);
/* Another body for an answer that is made already: borrowed, like template and values. */
void own_answer_set_body(struct own_answer *answer, struct slice body);
void own_answer_set_template(struct own_answer *answer, const struct template *page,
                             const struct slice *values);
/* Whether Accept has application/json and no text type; `request` may be NULL. */
bool own_answer_wants_json(const struct http_head *request);
/* What another service has answered for us. The body is borrowed. */
void own_answer_foreign(struct arena *arena, const struct policy_answer *foreign,
                        struct slice request_id, struct own_answer *answer);
/* 200 with a file's content, which is borrowed. */
void own_answer_file(struct proxy_env *env, struct arena *arena, struct slice content,
                     struct slice request_id, struct own_answer *answer);

#endif
