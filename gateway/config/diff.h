/* What is different between two generations, as a list of changes. Equal meanings differ in
 * nothing: the order of keys, comments, and how a duration is spelled are no change. */
#ifndef CONFIG_DIFF_H
#define CONFIG_DIFF_H

#include "config/snapshot.h"

enum change_kind {
    CHANGE_ADDED,
    CHANGE_REMOVED,
    CHANGE_MOVED,   /* a host or path leads elsewhere */
    CHANGE_CHANGED, /* it is there on both sides, with another value */
    CHANGE_MISSING, /* a new host that no certificate covers */
};

enum change_about {
    ABOUT_GATEWAY,     /* listeners, logs, limits …: `key` says which */
    ABOUT_BACKEND,     /* an entry of `backends`, or something of it */
    ABOUT_HOST,        /* an entry of `routes` */
    ABOUT_PATH,        /* an entry of a host's `paths` */
    ABOUT_SETTING,     /* a setting in force for the routes in `reach` */
    ABOUT_CERTIFICATE, /* what the hosts in `reach` are answered with */
    ABOUT_FILE,        /* one that policies take something from holds something else */
};

struct change {
    enum change_kind kind;
    enum change_about about;
    /* Of the backend or host, a path behind its host; ABOUT_CERTIFICATE: the file that holds
     * another one by now, or is gone; ABOUT_FILE: the file; else empty. */
    struct slice name;
    struct slice key;     /* as the route file says it: "timeout.connect"; empty: the whole entry */
    struct slice was, is; /* in words; empty: nothing */
    /* ABOUT_SETTING, ABOUT_CERTIFICATE: routes or hosts, in the order of the newer file. None: what
     * has no route. Of a file that is gone: the hosts that no other certificate answers for. */
    const struct slice *reach;
    size_t reach_count;
};

struct diff {
    struct arena arena; /* holds what the changes are made of */
    struct change *list;
    size_t count, capacity;
};

/* Both stay the caller's, and are not referred to. */
void diff_make(struct diff *diff, const struct snapshot *was, const struct snapshot *is);
/* A certificate that a running gateway serves. */
struct served_certificate {
    struct slice file;
    uint64_t fingerprint;
    int64_t not_after; /* seconds since 1970 */
    const struct slice *names;
    size_t name_count;
    bool is_kept; /* its file is broken by now: a load goes on serving what was read */
};

/* Adds what a load would find in the certificates' files besides: `was` and `is` were made with
 * what the files hold now, and the gateway that runs with what they held then. */
void diff_add_files(struct diff *diff, const struct snapshot *was, const struct snapshot *is,
                    const struct served_certificate *served, size_t count);
void diff_clear(struct diff *diff);

/* A line each, "~ path a.test/: backend a -> backend b"; a list of objects. */
void diff_print_changes(const struct diff *diff, struct buffer *out, bool in_colour);
void diff_print_changes_json(const struct diff *diff, struct buffer *out);

const char *change_kind_name(enum change_kind kind);    /* "added" … */
const char *change_about_name(enum change_about about); /* "gateway" … */

#endif
