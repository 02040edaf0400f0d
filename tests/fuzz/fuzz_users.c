/* Users files: whatever is in them, what counts are whole hashes within their bounds, complaints
 * are few, in order and never quote what may be a password. And what clients say of themselves:
 * what is read as a name and a password is, encoded anew, the very letters that were sent. */
#include "base/check.h"
#include "policy/basic_auth.h"
#include "policy/users.h"

#include <openssl/base64.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* --- files -------------------------------------------------------------------------------------
 */

/* A second reading of what hashes may be stored. */
static void expect_hash(const char *hash)
{
    struct slice text = slice_of(hash);

    if (slice_starts_with(text, slice_of("$2b$"))) {
        assert(text.len == 60 && hash[6] == '$');
        assert(atoi(hash + 4) >= 4 && atoi(hash + 4) <= 15);
    } else {
        assert(slice_starts_with(text, slice_of("$6$")));
        ptrdiff_t last = slice_find_last(text, '$');
        assert(text.len - (size_t)last == 87);
        if (slice_starts_with(text, slice_of("$6$rounds=")))
            assert(atol(hash + 10) >= 1000 && atol(hash + 10) <= 1000000);
    }
    for (size_t i = 0; i < text.len; i++)
        assert(hash[i] > ' ' && hash[i] < 0x7f && hash[i] != ':');
}

/* "name:$…" of the text itself, by hand. */
static void look_up_each_line(const struct users *users, struct slice text)
{
    size_t found = 0;

    while (text.len > 0) {
        ptrdiff_t end = slice_find(text, '\n'), colon;
        struct slice line = slice_make(text.at, end < 0 ? text.len : (size_t)end);

        text = slice_skip(text, end < 0 ? text.len : (size_t)end + 1);
        colon = slice_find(line, ':');
        const char *hash = colon < 0 ? NULL : users_hash(users, slice_make(line.at, (size_t)colon));
        if (hash != NULL)
            expect_hash(hash);
        found += hash != NULL;
    }
    assert(found + 1 >= users_count(users)); /* one may stand behind a BOM */
}

static void read_file(struct slice text)
{
    struct source_complaint *complaints = NULL;
    struct arena arena = {0};
    struct users *users = (struct users *)users_parse(text, &arena, &complaints);
    unsigned count = 0, line = 0;

    for (const struct source_complaint *said = complaints; said != NULL; said = said->next) {
        assert(said->line >= line || said->line == 0);
        assert(said->text.len < 1024);
        line = said->line;
        count++;
    }
    assert(count <= 22 && (users != NULL || count > 0));
    if (users != NULL) {
        assert(users_count(users) > 0);
        expect_hash(users_dummy(users));
        assert(users_hash(users, slice_of("")) == NULL);
        look_up_each_line(users, text);
    }
    source_content_unref((struct source_content *)users);
    arena_clear(&arena);
}

/* --- clients -----------------------------------------------------------------------------------
 */

static void read_client(struct slice value)
{
    uint8_t room[BASIC_ROOM], letters[2 * BASIC_ROOM];
    struct slice name, password;

    if (!basic_auth_parse(value, room, &name, &password))
        return;
    assert(slice_find(name, ':') < 0 && name.at + name.len + 1 == password.at);
    size_t written = EVP_EncodeBlock(letters, room, name.len + 1 + password.len);
    assert(slice_ends_with(value, slice_make((const char *)letters, written)));
    for (size_t i = 0; i < name.len + 1 + password.len; i++)
        assert(room[i] >= 0x20 && room[i] != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct slice text = slice_make((const char *)bytes, length);

    read_file(text);
    read_client(text);
    return 0;
}
