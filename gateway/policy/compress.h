/* `compress`: which answers are compressed for whom, and what their heads say then. Pure: heads in,
 * heads out; the bodies are policy/encoder.h's. */
#ifndef POLICY_COMPRESS_H
#define POLICY_COMPRESS_H

#include "base/thread_load.h"
#include "policy/encoder.h"
#include "policy/policy.h"

struct compress_policy {
    struct policy policy;
    enum coding codings[CODINGS - 1]; /* the one that is liked best first */
    unsigned coding_count;
    uint8_t levels[CODINGS];
    uint64_t min_size;
    const struct slice *types; /* "text/html", or "text/" followed by anything: "text/" and "*" … */
    unsigned type_count;
    bool says_codings, says_min_size, says_types; /* and not only by being left out */
    bool says_level[CODINGS];
    bool is_whole; /* written as a list: nothing farther shows through */
};

/* With one reference; everything as where nothing is said. */
struct compress_policy *compress_new(void);

/* "type/subtype", "type/" and "*", "type/" and "*+suffix", or twice "*". In lower case. */
bool compress_is_type(struct slice pattern);

/* What is to become of a response. */
struct compress_choice {
    bool varies;        /* what Accept-Encoding says decides: others may get it otherwise */
    enum coding coding; /* identity: it stays as it is */
};

/* Both heads as they are to leave: of a response its framing and content_length still say what came
 * from the source. To HEAD as to GET. */
struct compress_choice compress_choose(const struct compress_policy *policy,
                                       const struct http_head *request,
                                       const struct http_head *response);

/* Of the codings that a policy has, and identity: the one that Accept-Encoding likes best (RFC 9110
 * section 12.5.3), the policy among those that are as good. */
enum coding compress_negotiate(const struct compress_policy *policy,
                               const struct http_fields *request);

/* The head of what `choice` says. What is new is in the arena. */
void compress_edit_head(const struct compress_choice *choice, struct arena *arena,
                        struct http_head *response);
/* A 304: its validator as the client knows it, if that has one that was weakened here. */
void compress_edit_unchanged(struct arena *arena, const struct http_fields *request,
                             struct http_fields *response);
/* Drops the digests of what was compressed (Repr-Digest …), which may be in trailers as well. */
void compress_drop_digests(struct http_fields *fields);

/* What a worker has for it. */
struct compression {
    struct encoders encoders;
    struct thread_load load;
};

#endif
