/* Sources: what a load finds, what is in force, and what stands in for what broke. */
#include "policy/source.h"

#include "policy/users.h"
#include "support/test_certs.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"

static struct sources *sources;

static void set_up(void)
{
    test_folder_make();
    sources = sources_new();
}

static void tear_down(void)
{
    sources_free(sources);
    test_folder_remove();
}

TestSuite(source, .init = set_up, .fini = tear_down);

static struct source *get(const char *name)
{
    return sources_get(sources, SOURCE_USERS, test_path(name));
}

/* Each load of the file alone. */
static void load(struct source *source)
{
    sources_begin(sources);
    source_look(source);
}

static void load_and_commit(struct source *source)
{
    load(source);
    sources_commit(sources);
}

static bool knows(struct source *source, const char *name)
{
    struct source_content *content = source_take(source);
    bool is_known =
        content != NULL && users_hash((const struct users *)content, slice_of(name)) != NULL;

    source_content_unref(content);
    return is_known;
}

static void write_users(const char *file, const char *name)
{
    char text[128];

    snprintf(text, sizeof(text), "%s:" HASH "\n", name);
    test_file_write(file, text);
}

static void replace_users(const char *file, const char *name)
{
    write_users("new", name);
    cr_assert_eq(rename(test_path("new"), test_path(file)), 0);
}

Test(source, a_new_one_has_its_content_at_once)
{
    write_users("u", "alice");
    struct source *source = get("u");
    cr_expect(knows(source, "alice"));
    cr_expect(!source_is_url(source));
    cr_expect_eq(source_kind(source), SOURCE_USERS);
    cr_expect_str_eq(source_location(source), test_path("u"));
    source_unref(source);
}

Test(source, there_is_one_of_each_kind_and_place)
{
    write_users("u", "alice");
    struct source *one = get("u"), *same = get("u"), *other = get("v");
    cr_expect_eq(one, same);
    cr_expect_neq(one, other);
    source_unref(one);
    source_unref(same);
    source_unref(other);
}

Test(source, what_a_load_finds_is_in_force_once_it_is_accepted)
{
    write_users("u", "alice");
    struct source *source = get("u");
    replace_users("u", "bob");
    load(source);
    cr_expect(knows(source, "alice"), "the load may be refused yet");
    uint64_t found = source_fingerprint(source);
    /* It is refused; the next one sees the same. */
    load(source);
    cr_expect(knows(source, "alice"));
    cr_expect_eq(source_fingerprint(source), found);
    sources_commit(sources);
    cr_expect(knows(source, "bob"));
    cr_expect_eq(source_fingerprint(source), found);
    source_unref(source);
}

Test(source, the_same_content_again_is_no_change)
{
    write_users("u", "alice");
    struct source *source = get("u");
    struct source_content *before = source_take(source), *after;
    uint64_t fingerprint = source_fingerprint(source);
    replace_users("u", "alice");
    load_and_commit(source);
    after = source_take(source);
    cr_expect_eq(before, after);
    cr_expect_eq(source_fingerprint(source), fingerprint);
    replace_users("u", "bob");
    load(source);
    replace_users("u", "alice"); /* back before anything came of it */
    load_and_commit(source);
    cr_expect(knows(source, "alice"));
    source_content_unref(before);
    source_content_unref(after);
    source_unref(source);
}

static void expect_kept(struct source *source, const char *what)
{
    load_and_commit(source);
    cr_expect(source_is_broken(source), "%s", what);
    cr_expect(source_has_stand_in(source), "%s", what);
    cr_expect(sources_are_broken(sources), "%s", what);
    cr_expect_not_null(source_complaints(source), "%s", what);
    cr_expect(knows(source, "alice"), "%s", what);
}

Test(source, what_breaks_leaves_the_last_good_one)
{
    write_users("u", "alice");
    struct source *source = get("u");
    test_file_write("u", "");
    expect_kept(source, "empty");
    unlink(test_path("u"));
    expect_kept(source, "gone");
    cr_assert_eq(mkfifo(test_path("u"), 0600), 0);
    expect_kept(source, "a pipe that nobody writes to");
    unlink(test_path("u"));
    cr_assert_eq(mkdir(test_path("u"), 0700), 0);
    expect_kept(source, "a folder");
    rmdir(test_path("u"));
    write_users("u", "bob");
    load_and_commit(source);
    cr_expect(!source_is_broken(source) && !sources_are_broken(sources));
    cr_expect_null(source_complaints(source));
    cr_expect(knows(source, "bob") && !knows(source, "alice"));
    source_unref(source);
}

Test(source, one_that_never_was_good_has_nothing)
{
    struct source *source = get("u");
    cr_expect(source_is_broken(source) && !source_has_stand_in(source));
    cr_expect_null(source_take(source));
    cr_expect_eq(source_fingerprint(source), 0);
    char *said = slice_duplicate(source_complaints(source)->text);
    cr_expect(strstr(said, strerror(ENOENT)) && !strstr(said, test_path("u")), "%s", said);
    free(said);
    write_users("u", "alice");
    load_and_commit(source);
    cr_expect(knows(source, "alice"));
    source_unref(source);
}

Test(source, one_that_is_too_large_is_not_read)
{
    write_users("u", "alice");
    struct source *source = get("u");
    cr_assert_eq(truncate(test_path("u"), 16 * 1024 * 1024 + 1), 0);
    expect_kept(source, "more than 16 MiB");
    source_unref(source);
}

/* The write and the one before it may have left the same stamp. */
Test(source, writes_in_place_are_seen_however_close_they_are)
{
    char name[16];

    write_users("u", "n00");
    struct source *source = get("u");
    for (int i = 1; i < 50; i++) {
        snprintf(name, sizeof(name), "n%02d", i);
        write_users("u", name);
        load_and_commit(source);
        cr_assert(knows(source, name), "%s", name);
    }
    source_unref(source);
}

Test(source, the_content_taken_outlives_everything)
{
    write_users("u", "alice");
    struct source *source = get("u");
    struct source_content *content = source_take(source);
    source_unref(source);
    cr_expect_not_null(users_hash((const struct users *)content, slice_of("alice")));
    source_content_unref(content);
}

/* A snapshot may be freed after whoever made it. */
Test(source, one_outlives_the_others_owner)
{
    struct sources *own = sources_new();
    write_users("u", "alice");
    struct source *source = sources_get(own, SOURCE_USERS, test_path("u"));
    sources_free(own);
    cr_expect(knows(source, "alice"));
    source_unref(source);
}

/* --- URLs --------------------------------------------------------------------------------------
 */

static void free_nothing(struct source_content *content)
{
    (void)content;
}

Test(source, what_urls_lead_to_is_put_there)
{
    struct source *source = sources_get(sources, SOURCE_KEYS, "http://keys.test/jwks");
    struct source_content one, two, *taken;
    size_t count;

    source_content_init(&one, free_nothing);
    source_content_init(&two, free_nothing);
    cr_expect(source_is_url(source));
    cr_expect_null(source_take(source));
    source_put(source, &one);
    load_and_commit(source);
    taken = source_take(source);
    cr_expect_eq(taken, &one);
    source_put(source, &two);
    source_content_unref(taken);
    taken = source_take(source);
    cr_expect_eq(taken, &two);
    source_content_unref(taken);
    cr_expect_eq(source_fingerprint(source), 0, "it changes without a load");
    struct source **list = sources_list_urls(sources, &count);
    cr_assert_eq(count, 1);
    cr_expect_eq(list[0], source);
    source_unref(list[0]);
    free(list);
    source_unref(source);
    list = sources_list_urls(sources, &count);
    cr_expect_eq(count, 0);
    free(list);
}
