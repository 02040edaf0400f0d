#include "policy/users.h"

#include "base/table.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    NAME_MOST = 255,
    COMPLAINTS_MOST = 20, /* one by one */
    BCRYPT_LENGTH = 60,   /* "$2b$12$", 22 of salt, 31 of hash */
    BCRYPT_HEAD = 7,
    BCRYPT_LEAST = 4,
    BCRYPT_MOST = 15, /* 2^15 rounds: a second or two */
    SHA512_LENGTH = 86,
    SHA512_SALT_MOST = 16,
    SHA512_ROUNDS_LEAST = 1000,
    SHA512_ROUNDS_MOST = 1000 * 1000, /* about a second */
};

struct users {
    struct source_content content;
    struct arena arena;
    struct table by_name; /* the hash, terminated */
    const char *dummy;
};

/* A reading under way. */
struct reading {
    struct users *users;
    struct arena *arena; /* of the complaints */
    struct source_complaint **complaints;
    unsigned line, wrong, last_wrong;
    struct table lines; /* name -> where it stands, of the good ones */
    struct table costs; /* what is in front of a salt -> how often */
    struct arena scratch;
};

/* What a line's hash is, and what is in front of its salt. */
struct hash {
    struct slice text, head;
    const char *fault; /* NULL: it is good */
};

/* --- hashes ------------------------------------------------------------------------------------
 */

/* The alphabet of crypt. */
static bool is_code(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!isalnum((unsigned char)text.at[i]) && text.at[i] != '.' && text.at[i] != '/')
            return false;
    return true;
}

static const char *judge_bcrypt(struct hash *hash)
{
    struct slice text = hash->text, digits = slice_make(text.at + 4, 2);
    uint64_t cost;

    if (text.len != BCRYPT_LENGTH || text.at[6] != '$' || !slice_parse_u64(digits, &cost) ||
        !is_code(slice_skip(text, BCRYPT_HEAD)))
        return "is no whole bcrypt hash, is the line cut?";
    if (cost < BCRYPT_LEAST || cost > BCRYPT_MOST)
        return "has a bcrypt cost that is not from 4 to 15";
    hash->head = slice_make(text.at, BCRYPT_HEAD);
    return NULL;
}

static const char *judge_sha512(struct hash *hash)
{
    struct slice rest = slice_skip(hash->text, 3), rounds = slice_of("rounds=");
    uint64_t count = SHA512_ROUNDS_LEAST;
    ptrdiff_t end;

    hash->head = slice_make(hash->text.at, 3);
    if (slice_starts_with(rest, rounds)) {
        rest = slice_skip(rest, rounds.len);
        end = slice_find(rest, '$');
        if (end < 0 || rest.at[0] == '0' ||
            !slice_parse_u64(slice_make(rest.at, (size_t)end), &count))
            return "is no whole SHA-512 hash, is the line cut?";
        rest = slice_skip(rest, (size_t)end + 1);
        hash->head.len = hash->text.len - rest.len;
    }
    if (count < SHA512_ROUNDS_LEAST || count > SHA512_ROUNDS_MOST)
        return "has SHA-512 rounds that are not from 1000 to 1000000";
    end = slice_find(rest, '$');
    if (end < 0 || end > SHA512_SALT_MOST || !is_code(slice_make(rest.at, (size_t)end)) ||
        rest.len - (size_t)end - 1 != SHA512_LENGTH || !is_code(slice_skip(rest, (size_t)end + 1)))
        return "is no whole SHA-512 hash, is the line cut?";
    return NULL;
}

static bool is_one_of(struct slice text, const char *const *starts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slice_starts_with(text, slice_of(starts[i])))
            return true;
    return false;
}

static void judge(struct hash *hash)
{
    static const char *const bcrypt[] = {"$2a$", "$2b$", "$2y$"};
    static const char *const weak[] = {"$apr1$", "$1$", "{SHA}"};

    if (is_one_of(hash->text, bcrypt, 3))
        hash->fault = judge_bcrypt(hash);
    else if (slice_starts_with(hash->text, slice_of("$6$")))
        hash->fault = judge_sha512(hash);
    else if (is_one_of(hash->text, weak, 3))
        hash->fault = "is hashed with MD5 or SHA-1, which is guessed too fast";
    else
        hash->fault = "is neither a bcrypt ($2y$) nor a SHA-512 ($6$) hash";
}

/* --- lines -------------------------------------------------------------------------------------
 */

static bool may_complain(struct reading *r)
{
    r->last_wrong = r->line;
    return ++r->wrong <= COMPLAINTS_MOST;
}

/* What stands in a line is never quoted beyond a name: it may be a password. */
static void complain(struct reading *r, const char *text)
{
    if (may_complain(r))
        source_complain(r->complaints, r->arena, r->line, "%s", text);
}

static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.at[i] < 0x20 || name.at[i] == 0x7f)
            return false;
    return name.len > 0 && name.len <= NAME_MOST && slice_trim(name).len == name.len;
}

static bool is_twice(struct reading *r, struct slice name)
{
    const unsigned *earlier = table_get(&r->lines, name);

    if (earlier != NULL && may_complain(r))
        source_complain(r->complaints, r->arena, r->line,
                        "\"%.*s\" stands on line %u already, and that line counts; remove one",
                        (int)name.len, name.at, *earlier);
    return earlier != NULL;
}

static void count_cost(struct reading *r, struct slice head)
{
    size_t *count = table_get(&r->costs, head);

    if (count == NULL) {
        count = arena_alloc(&r->scratch, sizeof(*count));
        table_put(&r->costs, head, count);
    }
    ++*count;
}

static void add_user(struct reading *r, struct slice name, struct hash *hash)
{
    struct arena *arena = &r->users->arena;
    unsigned *line = arena_alloc(&r->scratch, sizeof(*line));
    char *text = arena_text(arena, hash->text);

    if (text[1] == '2')
        text[2] = 'b'; /* all of them mean the same since 2011 */
    name = arena_copy(arena, name);
    *line = r->line;
    table_put(&r->lines, name, line);
    table_put(&r->users->by_name, name, text);
    count_cost(r, slice_make(text, hash->head.len));
}

static void read_line(struct reading *r, struct slice line)
{
    ptrdiff_t colon = slice_find(line, ':');
    struct slice name;
    struct hash hash = {0};

    if (line.len == 0 || line.at[0] == '#')
        return;
    if (colon < 0) {
        complain(r, "there is no \":\" in this line; write NAME:HASH, as \"htpasswd -B\" does");
        return;
    }
    name = slice_make(line.at, (size_t)colon);
    hash.text = slice_skip(line, (size_t)colon + 1);
    if (!is_name(name)) {
        complain(r, "the name in this line is empty, longer than 255 bytes, or has blanks around "
                    "it or control characters in it");
        return;
    }
    judge(&hash);
    if (hash.fault != NULL) {
        if (may_complain(r))
            source_complain(r->complaints, r->arena, r->line,
                            "what stands for the password of \"%.*s\" %s; make the line anew with "
                            "\"htpasswd -B\"",
                            (int)name.len, name.at, hash.fault);
        return;
    }
    if (!is_twice(r, name))
        add_user(r, name, &hash);
}

static struct slice without_blanks(struct slice line)
{
    while (line.len > 0 && isspace((unsigned char)line.at[line.len - 1]))
        line.len--;
    return line;
}

static void read_lines(struct reading *r, struct slice bytes)
{
    if (slice_starts_with(bytes, slice_of("\xef\xbb\xbf")))
        bytes = slice_skip(bytes, 3); /* some editors' mark */
    while (bytes.len > 0) {
        ptrdiff_t end = slice_find(bytes, '\n');
        struct slice line = slice_make(bytes.at, end < 0 ? bytes.len : (size_t)end);

        bytes = slice_skip(bytes, end < 0 ? bytes.len : (size_t)end + 1);
        r->line++;
        read_line(r, without_blanks(line));
    }
}

/* --- the whole ---------------------------------------------------------------------------------
 */

/* So that a name that is unknown takes as long as one that is not. */
static void make_dummy(struct reading *r)
{
    struct table_entry *entry;
    struct slice head = {0};
    size_t most = 0;

    for (size_t at = 0; (entry = table_next(&r->costs, &at)) != NULL;) {
        size_t count = *(const size_t *)entry->value;
        if (count > most) {
            most = count;
            head = entry->key;
        }
    }
    bool is_bcrypt = head.at[1] == '2';
    r->users->dummy = arena_printf(&r->users->arena, "%.*s%s%0*d", (int)head.len, head.at,
                                   is_bcrypt ? "......................" : "nobody$",
                                   is_bcrypt ? 31 : SHA512_LENGTH, 0)
                          .at;
}

static void free_users(struct source_content *content)
{
    struct users *users = (struct users *)content;

    table_clear(&users->by_name);
    arena_clear(&users->arena);
    free(users);
}

static void say_rest(struct reading *r)
{
    if (r->wrong > COMPLAINTS_MOST)
        source_complain(r->complaints, r->arena, r->last_wrong,
                        "%u lines are wrong in all, this one is the last; put the others right "
                        "first",
                        r->wrong);
    if (r->users->by_name.count == 0)
        source_complain(r->complaints, r->arena, 0,
                        "there is no user in it; add one with \"htpasswd -B\"");
}

struct source_content *users_parse(struct slice bytes, struct arena *arena,
                                   struct source_complaint **complaints)
{
    struct users *users = memory_new(sizeof(*users));
    struct reading r = {.users = users, .arena = arena, .complaints = complaints};

    source_content_init(&users->content, free_users);
    read_lines(&r, bytes);
    say_rest(&r);
    if (users->by_name.count > 0)
        make_dummy(&r);
    snprintf(users->content.summary, SOURCE_SUMMARY_SIZE, "%zu user%s", users->by_name.count,
             users->by_name.count == 1 ? "" : "s");
    table_clear(&r.lines);
    table_clear(&r.costs);
    arena_clear(&r.scratch);
    if (users->by_name.count > 0)
        return &users->content;
    source_content_unref(&users->content);
    return NULL;
}

const char *users_hash(const struct users *users, struct slice name)
{
    return table_get(&users->by_name, name);
}

const char *users_dummy(const struct users *users)
{
    return users->dummy;
}

size_t users_count(const struct users *users)
{
    return users->by_name.count;
}
