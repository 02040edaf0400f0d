/* `errors`: pages that stand in the place of the gateway's own short answers, and of backends', if
 * that is wished. They lie in files beside the route file. */
#ifndef POLICY_ERROR_PAGES_H
#define POLICY_ERROR_PAGES_H

#include "policy/policy.h"
#include "policy/source.h"
#include "policy/template.h"

enum { PAGE_BYTES_MOST = 1024 * 1024 };

/* What is in a file, cut at its {status}, {reason} and {request_id}. */
struct page_content {
    struct source_content content;
    struct slice bytes; /* as they are */
    struct template template;
};
source_parse page_parse;

/* By the file's extension; what that does not tell is HTML. The first three are filled in. */
enum page_type { PAGE_HTML, PAGE_JSON, PAGE_TEXT, PAGE_XML, PAGE_SVG };

struct error_page {
    int status;            /* 400 to 599; or of a class: 4, 5 */
    struct source *source; /* the policy's; NULL: none is to be put there */
    enum page_type type;
};

/* Whether backends' answers get them, too. */
enum pages_of_backends { OF_BACKENDS_UNSAID, OF_BACKENDS_NOT, OF_BACKENDS_TOO };

struct error_pages {
    struct policy policy;
    enum pages_of_backends of_backends;
    struct error_page *list;
    unsigned count;
};

/* With one reference and no page, but room for so many; whoever adds one gives its source to the
 * policy (policy_add_source). */
struct error_pages *error_pages_new(unsigned room);

/* The page for a status, by itself before its class; NULL: none. */
const struct error_page *error_pages_find(const struct policy *policy, int status);
bool error_pages_are_for_backends(const struct policy *policy);

enum page_type page_type_of(const char *path);
/* "text/html; charset=utf-8" … */
const char *page_content_type(enum page_type type);
/* Whether its placeholders are filled in. */
bool page_is_filled(enum page_type type);
/* A value as it may stand in such a page: borrowed, or in the arena. */
struct slice page_escape(enum page_type type, struct slice value, struct arena *arena);

#endif
