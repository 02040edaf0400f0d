/* What HTTP says of a shared cache (RFC 9111), as pure functions: heads and times in, values out.
 * No memory of its own, no I/O: who keeps responses and who asks backends is elsewhere.
 *
 * The way of one request through it:
 *   caching_read_request      may it be answered from what is kept, may its answer be kept?
 *   caching_key               where to look; caching_variant: which of those found there
 *   caching_judge             fresh; stale, but to be given all the same; stale
 *   caching_condition         the same request, asking whether what is kept is still good
 *   caching_may_store         what came: may it be kept, and for how long is it good?
 *   caching_select, _refresh  what came was a 304: whose, and what is kept from then on
 *   caching_answer            what this client gets of it: whole, 304, a range
 * Times are seconds of the wall clock. All slices borrow from what is given, or are in the arena.
 */
#ifndef HTTP_CACHING_H
#define HTTP_CACHING_H

#include "http/cache_control.h"
#include "http/semantics.h"

/* --- the request (section 4, 5.2.1) --------------------------------------------------------- */

struct caching_request {
    struct cache_control control;
    bool may_look_up; /* what is kept may answer it: GET and HEAD, no body, no Upgrade, no If-Match
                         or If-Unmodified-Since (for the origin alone, section 4.3.2) */
    bool may_store; /* its answer may be kept, as far as the request goes: GET, as above; not under
                       another spelling of the authority than the key's, not with no-store */
    bool is_head;
    bool has_authorization;
    bool has_range;     /* a Range in bytes that means something, in a GET */
    bool has_condition; /* If-None-Match or If-Modified-Since */
    const char *bypass; /* why it may not look up; NULL: it may. For Cache-Status' detail */
};

/* `control` may borrow from the arena. */
void caching_read_request(const struct http_head *request, struct arena *arena,
                          struct caching_request *caching);
/* What it is asked for is not what its key says: neither looked up nor kept. `why` is a literal. */
void caching_bypass(struct caching_request *caching, const char *why);

/* Where responses to this are kept: "https://host[:port]/path?query", the port only where it is not
 * the scheme's; host and path normalised, query as sent. Equal for equal resources, and different
 * where a backend could tell a difference, but for the spelling of the host, which may_store sees
 * to. */
struct slice caching_key(const struct http_head *request, bool is_tls, struct arena *arena);

/* --- the response (section 3, 4.2) ---------------------------------------------------------- */

/* What the operator says beside the responses. */
struct caching_rules {
    int32_t stale_if_error_s; /* for responses that do not say; 0: never */
    bool stores_set_cookie;
};

/* How long a response is good, and good for what. Plain values, to be kept with it. */
struct caching_life {
    int64_t born_s;  /* answered_s minus its age at that time (section 4.2.3) */
    int32_t fresh_s; /* freshness lifetime (section 4.2.1), saturated */
    int32_t while_revalidate_s, if_error_s; /* beyond that; 0: not */
    bool never_stale;   /* must-revalidate, proxy-revalidate, s-maxage: whatever the client would
                           take; what the response itself says of stale ones is in the two above */
    bool must_validate; /* no-cache: never without asking */
    bool is_heuristic;  /* fresh_s is a guess (section 4.2.2) */
    bool is_immutable;  /* RFC 8246 */
    bool has_validator; /* ETag or Last-Modified: worth asking for */
};

/* When the request was handed to the backend and when the response's head came. */
struct caching_times {
    int64_t asked_s, answered_s;
};

/* May the final response to `request` be kept by a shared cache (section 3)? If so, *life says for
 * how long. Else *why_not is a word or two for Cache-Status' detail. `is_authorized`: the gateway
 * itself checked who asks, which counts like an Authorization field (section 3.5).
 * A 304 is judged by caching_refresh. What is kept of the fields says caching_store_fields. */
bool caching_may_store(const struct caching_request *request, bool is_authorized,
                       const struct http_head *response, const struct caching_rules *rules,
                       struct caching_times times, struct arena *arena, struct caching_life *life,
                       const char **why_not);

/* The fields that may be kept (section 3.1): without hop-by-hop ones and those that Connection
 * names, Proxy-*, those that private="…" and no-cache="…" name, Set-Cookie unless the rules say so,
 * Age (it is in life.born_s), Cache-Status stays (RFC 9211: it grows). Content-Length goes as well:
 * the stored body has its length. One without Date gets one (RFC 9110 section 6.6.1). Names and
 * values are borrowed. */
void caching_store_fields(const struct http_fields *response, const struct caching_rules *rules,
                          struct caching_times times, struct arena *arena,
                          struct http_fields *stored);

/* --- Vary (section 4.1) --------------------------------------------------------------------- */

/* The names in Vary, lower-case, sorted, without doubles, separated by ","; empty without Vary.
 * False: it holds "*", no request selects this response (never kept). */
bool caching_vary(const struct http_fields *response, struct arena *arena, struct slice *names);

/* The selecting fields of a request, as canonical text: the same text, the same variant. `names` as
 * caching_vary has it. Values of several lines are one list, blanks around commas do not count;
 * Accept-Encoding counts as the set of those codings of zstd, br and gzip that it accepts.
 * Also Accept-Language, Accept in lower case (they compare so). Fields that are missing differ from
 * empty ones. Empty for no names. */
struct slice caching_variant(struct slice names, const struct http_fields *request,
                             struct arena *arena);

/* --- freshness of what is kept (section 4.2) ------------------------------------------------ */

/* current_age (section 4.2.3), never negative, at most CACHE_SECONDS_MOST. */
int32_t caching_age(const struct caching_life *life, int64_t now_s);
/* freshness_lifetime - current_age: 0 and below once it is stale. For Cache-Status' ttl. */
int32_t caching_ttl(const struct caching_life *life, int64_t now_s);

enum caching_verdict {
    CACHING_FRESH,
    CACHING_STALE_OK, /* stale, and the client says that it does not mind: max-stale */
    CACHING_STALE_WHILE_REVALIDATE, /* give it, and ask in the background (RFC 5861 section 3) */
    CACHING_STALE,                  /* ask first */
};

/* May what is kept be given to this request now, without asking? (sections 4.2, 4.2.4, 5.2.1) */
enum caching_verdict caching_judge(const struct caching_life *life,
                                   const struct caching_request *request, int64_t now_s);
/* The backend could not be asked, or answered 500, 502, 503 or 504 (RFC 5861 section 4): may it be
 * given although it is stale? The request's stale-if-error counts too; the larger one. */
bool caching_may_serve_on_error(const struct caching_life *life,
                                const struct caching_request *request, int64_t now_s);
bool caching_is_error(int status); /* one of these four */

/* --- asking whether it is still good (section 4.3) ------------------------------------------ */

/* In place of the client's own conditions and its Range and If-Range: those of what is kept, with
 * all its validators. `stored` NULL: only takes the client's away, for a whole response to be kept.
 * `request` are the fields for the backend; changed in place. */
void caching_condition(const struct http_fields *stored, struct arena *arena,
                       struct http_fields *request);

/* Does a 304 speak of this one (section 4.3.4)? `is_only`: nothing else is kept under the key. */
bool caching_selects(const struct http_fields *stored, const struct http_fields *not_modified,
                     bool is_only);

/* What a 304 makes of what is kept (sections 3.2, 4.3.4): each field of the 304 in place of all of
 * that name, but for those that must not be (hop-by-hop, Content-Length, -Encoding, -MD5, -Range;
 * ETag stays). In *fields, borrowed from both, and a life anew in *life. False: it must not be kept
 * any longer (it says no-store, private …); *fields may still be given this once. For requests that
 * may_store, and a HEAD; others go to the backend as they are, and change nothing that is kept. */
bool caching_refresh(const struct caching_request *request, bool is_authorized, int status,
                     const struct http_fields *stored, const struct http_head *not_modified,
                     const struct caching_rules *rules, struct caching_times times,
                     struct arena *arena, struct http_fields *fields, struct caching_life *life);

/* A 200 to a HEAD (section 4.3.5): does what is kept agree with it, by its validators and length?
 * Then caching_refresh may take its fields, as of a 304; else what is kept is to be dropped. */
bool caching_agrees_with_head(const struct http_fields *stored, uint64_t length,
                              const struct http_head *response);

/* --- the answer (RFC 9110 sections 13, 14) -------------------------------------------------- */

enum caching_form {
    CACHING_WHOLE,           /* the stored status, all of the body */
    CACHING_NOT_MODIFIED,    /* 304, no body */
    CACHING_PART,            /* 206: first to last */
    CACHING_NOT_SATISFIABLE, /* 416, no body */
};

struct caching_answer {
    enum caching_form form;
    int status;
    uint64_t first, last;    /* of the body, both included; CACHING_PART and, not empty, WHOLE */
    uint64_t body_bytes;     /* to be sent; 0 also for HEAD */
    uint64_t content_length; /* to be announced; of HEAD what GET would have. 304: not announced */
    bool announces_length;
};

/* What a client gets of a complete stored response of `length` bytes of body: If-None-Match (weak
 * comparison) before If-Modified-Since (section 13.2.2), then one Range in bytes, under If-Range
 * (strong). Several ranges, and what is not understood, mean the whole. Stored statuses other than
 * 200 are given whole. */
void caching_answer(const struct http_head *request, int stored_status,
                    const struct http_fields *stored, uint64_t length, int64_t now_s,
                    struct caching_answer *answer);

/* Its fields: all that is stored for a whole one and a part (with Content-Range); for a 304 those
 * of RFC 9110 section 15.4.5; for a 416 Content-Range alone. With Age in place of any other (not
 * for a 416, and without for an age below 0: nothing but the backend's own word is passed on,
 * section 5.1). Content-Length is the codec's. */
void caching_answer_fields(const struct caching_answer *answer, const struct http_fields *stored,
                           uint64_t length, int32_t age_s, struct arena *arena,
                           struct http_fields *fields);

/* --- invalidation (section 4.4) ------------------------------------------------------------- */

/* The response to an unsafe method, or one that is not known, and no error: 2xx and 3xx. */
bool caching_invalidates(enum http_method method, int status);

enum { CACHING_INVALIDATED_MOST = 3 };
/* The keys that are to go: the request's own, and those of Location and Content-Location, where
 * they are of the same origin. Their number. */
unsigned caching_invalidated_keys(const struct http_head *request, bool is_tls,
                                  const struct http_fields *response, struct arena *arena,
                                  struct slice keys[CACHING_INVALIDATED_MOST]);

/* --- saying what came of it (RFC 9211) ------------------------------------------------------ */

enum caching_forward {                   /* why the backend was asked */
                       CACHING_FWD_NONE, /* it was not: a hit */
                       CACHING_FWD_BYPASS,
                       CACHING_FWD_METHOD,
                       CACHING_FWD_URI_MISS,
                       CACHING_FWD_VARY_MISS,
                       CACHING_FWD_MISS,    /* one of both */
                       CACHING_FWD_REQUEST, /* its directives want it */
                       CACHING_FWD_STALE,
};

struct caching_status {
    enum caching_forward forward;
    bool is_stored, is_collapsed;
    bool has_ttl;
    int32_t ttl_s;
    int forward_status; /* 0: not said */
    const char *detail; /* a token or words; NULL: none */
};

/* "sallyport; hit; ttl=376", "sallyport; fwd=stale; fwd-status=304; stored; collapsed;
 * detail=…" */
struct slice caching_status_text(const struct caching_status *status, struct arena *arena);
/* Adds it behind what caches nearer to the origin said, in one field of its own. */
void caching_add_status(struct http_fields *fields, struct slice text, struct arena *arena);

/* --- tags ----------------------------------------------------------------------------------- */

/* Takes the next tag of a response off: of all Surrogate-Key fields (blanks separate) and Cache-Tag
 * fields (commas). Begin with *cursor 0; false at the end. */
struct caching_tags {
    const struct http_fields *fields;
    uint32_t next;
    struct slice rest;
};
bool caching_next_tag(struct caching_tags *tags, struct slice *tag);

#endif
