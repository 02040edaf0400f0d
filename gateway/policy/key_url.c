#include "policy/key_url.h"

static const struct slice scheme = {"http://", 7};

bool key_url_is_meant(struct slice text)
{
    size_t at = 0;

    while (at < text.len && ((text.at[at] >= 'a' && text.at[at] <= 'z') ||
                             (text.at[at] >= 'A' && text.at[at] <= 'Z')))
        at++;
    return at > 0 && slice_starts_with(slice_skip(text, at), slice_of("://"));
}

static bool is_of_urls(char c)
{
    return c > ' ' && c < 0x7f && strchr("#\"<>\\^`{|}", c) == NULL;
}

/* Splits what is behind the host into path and query. */
static bool take_path(struct slice rest, struct key_url *url)
{
    ptrdiff_t mark = slice_find(rest, '?');

    for (size_t i = 0; i < rest.len; i++)
        if (!is_of_urls(rest.at[i]))
            return false;
    url->path = mark < 0 ? rest : slice_make(rest.at, (size_t)mark);
    url->query = mark < 0 ? slice_make("", 0) : slice_skip(rest, (size_t)mark);
    if (url->path.len == 0)
        url->path = slice_of("/");
    return true;
}

bool key_url_parse(struct slice text, struct key_url *url, struct error *error)
{
    size_t end = scheme.len;

    if (!slice_starts_with(text, scheme)) {
        error_set(error, "keys are fetched in plaintext, from http://host[:port]/path inside the "
                         "private network");
        return false;
    }
    while (end < text.len && text.at[end] != '/' && text.at[end] != '?')
        end++;
    if (!endpoint_parse(slice_make(text.at, end), &url->endpoint, error))
        return false;
    if (url->endpoint.kind != ENDPOINT_IP && url->endpoint.kind != ENDPOINT_NAME) {
        error_set(error, "http://host[:port]/path is expected");
        return false;
    }
    if (!take_path(slice_skip(text, end), url)) {
        error_set(error, "a byte in it cannot stand in a URL");
        return false;
    }
    return true;
}

struct slice key_url_told(struct slice text)
{
    ptrdiff_t mark = key_url_is_meant(text) ? slice_find(text, '?') : -1;

    return mark < 0 ? text : slice_make(text.at, (size_t)mark);
}
