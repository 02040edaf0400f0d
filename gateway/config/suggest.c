#include "config/suggest.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Insertions, deletions, replacements, and swaps of neighbours that make `a` into `b`. */
static size_t edit_distance(struct slice a, struct slice b)
{
    size_t rows[3][SUGGEST_NAME_MAX + 1];
    size_t *two_up = rows[0], *up = rows[1], *row = rows[2];

    for (size_t j = 0; j <= b.len; j++)
        up[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            char x = lower(a.at[i - 1]), y = lower(b.at[j - 1]);
            row[j] = least(up[j] + 1, row[j - 1] + 1, up[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == lower(b.at[j - 2]) && y == lower(a.at[i - 2]) &&
                two_up[j - 2] + 1 < row[j])
                row[j] = two_up[j - 2] + 1;
        }
        size_t *oldest = two_up;
        two_up = up;
        up = row;
        row = oldest;
    }
    return up[b.len];
}

void suggestion_init(struct suggestion *suggestion, struct slice typed)
{
    size_t allowed = typed.len / 3;

    suggestion->typed = typed;
    suggestion->nearest[0] = '\0';
    suggestion->distance = (allowed > 1 ? allowed : typed.len > 1 ? 1 : 0) + 1;
}

void suggestion_consider(struct suggestion *suggestion, struct slice name)
{
    struct slice typed = suggestion->typed;
    size_t longer = typed.len > name.len ? typed.len - name.len : name.len - typed.len;

    if (typed.len > SUGGEST_NAME_MAX || name.len > SUGGEST_NAME_MAX ||
        longer >= suggestion->distance)
        return;
    size_t distance = edit_distance(typed, name);
    if (distance >= suggestion->distance)
        return;
    suggestion->distance = distance;
    slice_copy_text(name, suggestion->nearest, sizeof(suggestion->nearest));
}

const char *suggestion_text(const struct suggestion *suggestion)
{
    return suggestion->nearest[0] ? suggestion->nearest : NULL;
}
