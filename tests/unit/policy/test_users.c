/* Users files: which lines count, and what is said of the others. */
#include "policy/users.h"

#include "base/buffer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define BCRYPT "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
#define SHA512                                                                              \
    "$6$rounds=1000$saltsalt$gqUcWLKt3d1wsoaFq/ZlFXJndu400B3QqT3noJu6R/eEGKKt5.bf/H7jRZdxj" \
    "ThW3JpMB1IX.1Z2f5cgwsF710"
#define HASH_86                                                                      \
    "8iYtNHxjWRl.NF6oNZ5tF.iKFlQREaXBLlSmZKP6dy9l5z3vsooWNW0/GZ6Nej73/TFug6pIPSqbJo" \
    "CT6dfnj."

static struct arena arena;
static struct source_complaint *complaints;
static struct users *users;

static void end(void)
{
    source_content_unref((struct source_content *)users);
    arena_clear(&arena);
}

TestSuite(users, .fini = end);

static void parse(const char *text)
{
    end();
    complaints = NULL;
    users = (struct users *)users_parse(slice_of(text), &arena, &complaints);
}

static void expect_hash(const char *name, const char *hash)
{
    const char *found = users != NULL ? users_hash(users, slice_of(name)) : NULL;

    if (hash == NULL)
        cr_expect_null(found, "%s", name);
    else
        cr_expect(found != NULL && strcmp(found, hash) == 0, "%s: %s", name, found ? found : "");
}

/* The only complaint. */
static void expect_complaint(unsigned line, const char *words)
{
    cr_assert_not_null(complaints, "%s", words);
    cr_expect_null(complaints->next);
    cr_expect_eq(complaints->line, line, "%u, not %u", complaints->line, line);
    char *said = slice_duplicate(complaints->text);
    cr_expect(strstr(said, words), "%s", said);
    free(said);
}

Test(users, lines_comments_and_blanks)
{
    parse("# who may come\n\nalice:" BCRYPT "\r\n  \nbob:" SHA512
          "  \n#bob:x\ncarol d:$6$salt$" HASH_86);
    cr_assert_not_null(users);
    cr_expect_null(complaints);
    cr_expect_eq(users_count(users), 3);
    expect_hash("alice", "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW");
    expect_hash("bob", SHA512);
    expect_hash("carol d", "$6$salt$" HASH_86);
    expect_hash("carol", NULL);
    expect_hash("Alice", NULL);
    expect_hash("", NULL);
    cr_expect_str_eq(((struct source_content *)users)->summary, "3 users");
}

static const struct {
    const char *line, *words;
} wrong_lines[] = {
    {"alice", "there is no \":\""},
    {":" BCRYPT, "the name"},
    {" bob:" BCRYPT, "the name"},
    {"b\001b:" BCRYPT, "the name"},
    {"bob:", "neither a bcrypt"},
    {"bob:secret", "neither a bcrypt"},
    {"bob:$y$j9T$abc$def", "neither a bcrypt"},
    {"bob:$5$salt$abc", "neither a bcrypt"},
    {"bob:$apr1$abc$def", "MD5"},
    {"bob:$1$abc$def", "MD5"},
    {"bob:{SHA}fDYHuOYbzxlE6ehQOmYPIfS28/E=", "SHA-1"},
    {"bob:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIr", "cut"},
    {"bob:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrWW", "cut"},
    {"bob:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WI:W", "cut"},
    {"bob:$2y$04", "cut"},
    {"bob:$2y$03$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "from 4 to 15"},
    {"bob:$2y$16$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "from 4 to 15"},
    {"bob:$2x$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "neither a bcrypt"},
    {"bob:$6$salt$abc", "cut"},
    {"bob:$6$" HASH_86, "cut"},
    {"bob:$6$12345678901234567$" HASH_86, "cut"},
    {"bob:$6$rounds=$salt$" HASH_86, "cut"},
    {"bob:$6$rounds=01000$salt$" HASH_86, "cut"},
    {"bob:$6$rounds=999$salt$" HASH_86, "1000 to 1000000"},
    {"bob:$6$rounds=1000001$salt$" HASH_86, "1000 to 1000000"},
    {"bob:$6$rounds=99999999999999999999$salt$" HASH_86, "cut"},
};

Test(users, a_line_that_is_wrong_is_left_out_and_said)
{
    for (size_t i = 0; i < sizeof(wrong_lines) / sizeof(wrong_lines[0]); i++) {
        char text[512];
        snprintf(text, sizeof(text), "good:" BCRYPT "\n%s\nlast:" SHA512 "\n", wrong_lines[i].line);
        parse(text);
        cr_assert_not_null(users, "%s", wrong_lines[i].line);
        cr_expect_eq(users_count(users), 2, "%s", wrong_lines[i].line);
        expect_complaint(2, wrong_lines[i].words);
    }
}

/* It may be a password that somebody has put there as it is. */
Test(users, what_stands_behind_a_name_is_not_repeated)
{
    parse("alice:" BCRYPT "\nbob:TopSecret\nTopSecret\n");
    for (const struct source_complaint *said = complaints; said != NULL; said = said->next) {
        char *text = slice_duplicate(said->text);
        cr_expect_null(strstr(text, "TopSecret"), "%s", text);
        free(text);
    }
}

Test(users, the_first_of_two_of_a_name_counts)
{
    parse("alice:" BCRYPT "\nalice:" SHA512 "\n");
    expect_hash("alice", "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW");
    expect_complaint(2, "stands on line 1 already");
}

Test(users, nobody_in_it_is_no_users_file)
{
    static const char *const empty[] = {"", "\n\n", "# alice:x\n"};

    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
        parse(empty[i]);
        cr_expect_null(users);
        expect_complaint(0, "no user in it");
    }
    parse("bob:secret\n");
    cr_expect_null(users);
    cr_assert(complaints != NULL && complaints->next != NULL);
}

Test(users, complaints_are_bounded)
{
    struct buffer text = {0};
    unsigned said = 0;

    buffer_append_text(&text, "alice:" BCRYPT "\n");
    for (int i = 0; i < 1000; i++)
        buffer_append_text(&text, "x\n");
    buffer_append(&text, slice_make("", 1));
    parse(buffer_content(&text).at);
    buffer_clear(&text);
    buffer_cache_clear();
    const struct source_complaint *last = NULL;
    for (const struct source_complaint *at = complaints; at != NULL; at = at->next) {
        last = at;
        said++;
    }
    cr_assert_eq(said, 21);
    cr_expect_eq(last->line, 1001);
    cr_expect(slice_starts_with(last->text, slice_of("1000 lines are wrong in all")));
}

/* Else names could be told from strangers by how long an answer takes. */
Test(users, the_dummy_costs_what_most_cost)
{
    parse("a:" SHA512 "\nb:" BCRYPT "\nc:" BCRYPT "\n");
    cr_expect(slice_starts_with(slice_of(users_dummy(users)), slice_of("$2b$04$")));
    cr_expect_eq(strlen(users_dummy(users)), 60);
    parse("a:" SHA512 "\nb:" BCRYPT "\nc:" SHA512 "\n");
    cr_expect(slice_starts_with(slice_of(users_dummy(users)), slice_of("$6$rounds=1000$")));
    cr_expect_eq(strlen(users_dummy(users)), strlen("$6$rounds=1000$nobody$") + 86);
}
