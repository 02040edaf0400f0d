/* A load that is offered by the clock: so many requests a second, whatever comes of them, and how
 * many of them a limit should have let pass. */
#ifndef E2E_OFFERED_H
#define E2E_OFFERED_H

struct offered_options {
    const char *const *addresses; /* of plain listeners, asked in turn */
    int address_count;
    const char *fields; /* of each request, CRLF behind each; "" for none */
    int count;          /* of all requests */
    double rate;        /* of them a second */
    double limit;       /* that should pass a second … */
    double burst;       /* … and at once */
    /* Called once while they are sent; may be NULL. */
    void (*meanwhile)(void *arg);
    void *arg;
};

struct offered {
    int passed;       /* 200 */
    int refused;      /* 429 */
    int other;        /* any other answer */
    double seconds;   /* from before the first was sent until the last was answered */
    double expected;  /* to pass, by when they were sent */
    double slowest_s; /* answer to requests sent together */
};

/* Sends them all and reads what comes; fails the test when an answer does not come. */
struct offered offer(const struct offered_options *options);

/* What came out, on stderr. */
void offered_tell(const struct offered_options *options, const struct offered *offered);
/* Fails the test unless what passed is within 1% of the limit, and never more than it. Tells what
 * came out on stderr. */
void offered_expect_limit(const struct offered_options *options, const struct offered *offered);

#endif
