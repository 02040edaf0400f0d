/* `user` and `group`: whom the gateway becomes when it is started as root. */
#include "base/check.h"
#include "config/load.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

enum { ENTRY_BYTES = 1024, ENTRY_MOST = 1024 * 1024 };

/* An id in digits; false for everything else, and for the one that means "leave it" to the kernel.
 */
static bool parse_id(struct slice text, uint32_t *id)
{
    uint64_t value = 0;

    if (text.len == 0 || text.len > 10)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        value = 10 * value + (uint64_t)(text.at[i] - '0');
    }
    *id = (uint32_t)value;
    return value < UINT32_MAX;
}

/* Asks by name, or by `id` where that is not NULL. 0: there is no such user; -1: who knows them
 * does not answer. */
static int find_user(struct arena *arena, const char *name, const uint32_t *id,
                     struct process_user *found)
{
    struct passwd entry, *there = NULL;
    char *bytes = NULL;
    int problem = ERANGE;

    for (size_t room = ENTRY_BYTES; problem == ERANGE && room <= ENTRY_MOST; room *= 2) {
        bytes = memory_resize(bytes, room);
        problem = id ? getpwuid_r(*id, &entry, bytes, room, &there)
                     : getpwnam_r(name, &entry, bytes, room, &there);
    }
    if (there) {
        found->uid = entry.pw_uid;
        found->gid = entry.pw_gid;
        found->login = arena_text(arena, slice_of(entry.pw_name));
    }
    free(bytes);
    return there ? 1 : problem == 0 || problem == ENOENT || problem == ESRCH ? 0 : -1;
}

static int find_group(const char *name, uint32_t *gid)
{
    struct group entry, *there = NULL;
    char *bytes = NULL;
    int problem = ERANGE;

    for (size_t room = ENTRY_BYTES; problem == ERANGE && room <= ENTRY_MOST; room *= 2) {
        bytes = memory_resize(bytes, room);
        problem = getgrnam_r(name, &entry, bytes, room, &there);
    }
    if (there)
        *gid = entry.gr_gid;
    free(bytes);
    return there ? 1 : problem == 0 || problem == ENOENT || problem == ESRCH ? 0 : -1;
}

static void say_unknown(struct reader *reader, const struct json_node *node, const char *what,
                        const char *name, int found)
{
    if (found < 0)
        reader_error(reader, node, AT_VALUE, "the %s \"%s\" cannot be looked up", what, name);
    else
        reader_error(reader, node, AT_VALUE, "this machine has no %s \"%s\"", what, name);
}

/* True unless there is a problem, which has been added. */
static bool read_user(struct reader *reader, const struct json_node *node, bool has_group,
                      struct process_user *into)
{
    struct slice text;
    uint32_t id;

    if (!reader_text(reader, node, "the name of a user", &text))
        return false;
    int found = find_user(reader->arena, text.at, NULL, into);
    if (found == 0 && parse_id(text, &id)) {
        found = find_user(reader->arena, NULL, &id, into);
        if (found == 0 && !has_group) {
            reader_error(reader, node, AT_VALUE,
                         "this machine has no user with the number %s: \"group\" is needed as well",
                         text.at);
            return false;
        }
        into->uid = id;
        found = 1;
    }
    if (found <= 0)
        say_unknown(reader, node, "user", text.at, found);
    into->user = text.at;
    return found > 0;
}

static bool read_group(struct reader *reader, const struct json_node *node,
                       struct process_user *into)
{
    struct slice text;

    if (!reader_text(reader, node, "the name of a group", &text))
        return false;
    int found = find_group(text.at, &into->gid);
    if (found == 0 && parse_id(text, &into->gid))
        found = 1;
    if (found <= 0)
        say_unknown(reader, node, "group", text.at, found);
    into->group = text.at;
    return found > 0;
}

void load_process_user(struct load *load, const struct json_node *user,
                       const struct json_node *group)
{
    struct reader *reader = &load->reader;
    struct process_user into = {0};

    if (!user && group)
        reader_error(reader, group, AT_KEY,
                     "\"group\" has no effect without \"user\": name the user as well");
    if (!user || !read_user(reader, user, group != NULL, &into) ||
        (group && !read_group(reader, group, &into)))
        return;
    load->globals->process_user = into;
}
