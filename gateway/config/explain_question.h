/* What `explain` is asked: a request in words, on a command line or in the query of an endpoint. */
#ifndef CONFIG_EXPLAIN_QUESTION_H
#define CONFIG_EXPLAIN_QUESTION_H

#include "base/buffer.h"
#include "config/follow.h"

enum { EXPLAIN_HEADERS_MAX = 32 };

/* As written; all borrowed. */
struct explain_question {
    const char *url, *method; /* method NULL: GET */
    const char *sni;          /* NULL: the URL's host */
    bool has_no_sni;
    const char *ip;                           /* of the peer; NULL: not said */
    const char *headers[EXPLAIN_HEADERS_MAX]; /* "Name: value" */
    unsigned header_count;
};

/* False, with what is wrong in it. What is read is borrowed from the question or in the arena. */
bool explain_question_read(const struct explain_question *question, struct arena *arena,
                           struct followed_request *request, struct error *error);

/* As the query of a URL: "?url=…&method=…". */
void explain_question_print(const struct explain_question *question, struct buffer *query);
/* The way back, into the arena. False, with what is wrong. */
bool explain_question_parse(struct slice query, struct arena *arena,
                            struct explain_question *question, struct error *error);

#endif
