#include "config/acme.h"

enum { TOKEN_MAX = 255 }; /* as long as a file's name can be */

/* The alphabet of base64url, RFC 8555 section 8.3. */
static bool is_token(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_'))
            return false;
    }
    return name.len > 0 && name.len <= TOKEN_MAX;
}

bool acme_is_challenge(struct slice path, struct slice *token)
{
    struct slice folder = slice_of(ACME_FOLDER);

    *token = slice_make(NULL, 0);
    if (!slice_starts_with(path, folder))
        return false;
    if (is_token(slice_skip(path, folder.len)))
        *token = slice_skip(path, folder.len);
    return true;
}
