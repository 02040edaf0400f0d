/* What the admin and status endpoints answer: from a path to a status and a body. No I/O. */
#ifndef CONTROL_ENDPOINT_ANSWER_H
#define CONTROL_ENDPOINT_ANSWER_H

#include "control/control.h"
#include "control/generations.h"
#include "control/recent_page.h"
#include "control/status_page.h"
#include "http/message.h"

enum endpoint_action {
    ENDPOINT_ANSWERED, /* the answer is complete */
    ENDPOINT_RELOAD,   /* ask for a load, then endpoint_answer_load */
    ENDPOINT_STATUS,   /* ask the workers, then endpoint_answer_status */
    ENDPOINT_CONFIG,   /* endpoint_answer_config */
    ENDPOINT_RECENT,   /* ask the workers, then endpoint_answer_recent */
    ENDPOINT_METRICS,  /* ask the workers, then endpoint_answer_metrics */
    ENDPOINT_DRAIN,    /* the answer is complete; drain */
    ENDPOINT_PURGE,    /* read what is to be purged, ask, then endpoint_answer_purge */
};

struct endpoint_answer {
    int status;
    const char *content_type;
    const char *allow; /* of a 405, else NULL */
    struct buffer body;
};

/* Decides by method, path and whether the request came over the admin socket. */
enum endpoint_action endpoint_answer_request(const struct control *control, bool is_admin,
                                             const struct http_head *head,
                                             struct endpoint_answer *answer);
/* JSON, or text for those who would rather read (Accept: text/plain). */
bool endpoint_wants_text(const struct http_head *head);
/* With ?changes the JSON has them, as the text always does. */
void endpoint_answer_load(const struct load_outcome *outcome, const struct http_head *head,
                          struct endpoint_answer *answer);
void endpoint_answer_status(const struct status_page *page, bool as_text,
                            struct endpoint_answer *answer);
/* The route file that is served, as it was read, and which certificates are; `snapshot` NULL: none
 * yet. */
void endpoint_answer_config(const struct snapshot *snapshot, struct endpoint_answer *answer);
void endpoint_answer_recent(const struct recent_page *page, struct endpoint_answer *answer);
void endpoint_answer_metrics(const struct status_page *page, struct endpoint_answer *answer);
/* So many responses are gone from the cache. */
void endpoint_answer_purge(uint64_t purged, bool as_text, struct endpoint_answer *answer);
/* 4xx or 5xx, in words, in the form of a refused reload for who asks for JSON. */
void endpoint_answer_mistake(int status, const char *message, bool as_text,
                             struct endpoint_answer *answer);
void endpoint_answer_failure(int status, const char *reason, struct endpoint_answer *answer);

#endif
