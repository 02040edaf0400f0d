/* Loads one after the other: what is read again, what is served while files are broken. */
#include "tls/cert_library.h"

#include "support/test_certs.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <openssl/mem.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct cert_library *library;
static struct cert_problems problems;
static struct cert_store *store;
static struct cert_source sources[2];
static size_t source_count;

static void set_up(void)
{
    test_folder_make();
    library = cert_library_new();
    problems = (struct cert_problems){.count = 0};
    sources[0] = (struct cert_source){.path = strdup(test_path("c"))};
    source_count = 1;
    mkdir(test_path("c"), 0700);
}

static void tear_down(void)
{
    chmod(test_path("c"), 0700);
    cert_store_free(store);
    cert_problems_clear(&problems);
    cert_library_free(library);
    for (size_t i = 0; i < 2; i++) {
        free(sources[i].path);
        free(sources[i].key);
    }
    test_folder_remove();
}

TestSuite(cert_library, .init = set_up, .fini = tear_down);

/* --- files ------------------------------------------------------------------------------------ */

static void write_pair(const char *name, const char *names)
{
    test_pair_write(name, &(struct test_cert_spec){.names = names});
}

static void write_bundle(const char *name, const char *names)
{
    struct test_cert cert = test_cert_make(&(struct test_cert_spec){.names = names});
    char *chain = test_cert_pem(&cert), *key = test_key_pem(&cert), *text;

    cr_assert_gt(asprintf(&text, "%s%s", chain, key), 0);
    test_file_write(name, text);
    free(text);
    free(chain);
    free(key);
    test_cert_clear(&cert);
}

static void move(const char *from, const char *to)
{
    cr_assert_eq(rename(test_path(from), test_path(to)), 0, "%s", from);
}

static void drop(const char *name)
{
    cr_assert_eq(unlink(test_path(name)), 0, "%s", name);
}

/* --- loads ------------------------------------------------------------------------------------ */

static void load(void)
{
    cert_store_free(store);
    cert_problems_clear(&problems);
    store = cert_library_load(library, sources, source_count, &problems);
}

static void load_and_commit(void)
{
    load();
    cert_library_commit(library);
}

static struct cert_load_counts counts(void)
{
    return cert_library_counts(library);
}

/* Until nothing was changed so recently that it must be read again. */
static void settle(void)
{
    do
        load_and_commit();
    while (counts().read > 0);
}

/* Names of served certificates in order, such as "a.test b.test". */
static void expect_served(const char *expected)
{
    char served[400] = "";

    for (size_t i = 0; i < cert_store_count(store); i++) {
        const struct slice *names;

        cr_assert_gt(certificate_names(cert_store_at(store, i), &names), 0);
        snprintf(served + strlen(served), sizeof(served) - strlen(served), "%s%s", i ? " " : "",
                 names[0].at);
    }
    cr_assert_str_eq(served, expected);
}

static void expect_sound(const char *served)
{
    load_and_commit();
    cr_assert_eq(problems.count, 0, "%s", problems.count ? problems.list[0].message : "");
    expect_served(served);
}

/* The only problem, and how many certificates are quarantined by it. */
static void expect_problem(const char *file, const char *text, size_t served_count)
{
    const struct cert_problem *problem = &problems.list[0];

    cr_assert_eq(problems.count, 1);
    cr_assert_str_eq(problem->file, test_path(file));
    cr_assert(strstr(problem->message, text), "no \"%s\" in: %s", text, problem->message);
    cr_assert_eq(problem->served_count, served_count);
    cr_assert_leq(llabs(problem->since - time(NULL)), 60);
    for (size_t i = 0; i < served_count; i++)
        cr_assert(problem->served[i]);
}

/* Broken now, and the same the next time. */
static void expect_quarantine(const char *file, const char *text, const char *served, size_t count)
{
    for (int i = 0; i < 2; i++) {
        load_and_commit();
        expect_problem(file, text, count);
        expect_served(served);
    }
}

/* --- what is read again ----------------------------------------------------------------------- */

Test(cert_library, one_swap_of_many_reads_and_parses_one)
{
    enum { COUNT = 100 };

    for (int i = 0; i < COUNT; i++) {
        char name[16], host[16];

        snprintf(name, sizeof(name), "c/%03d", i);
        snprintf(host, sizeof(host), "h%d.test", i);
        write_pair(name, host);
    }
    load_and_commit();
    cr_assert_eq(cert_store_count(store), COUNT);
    cr_assert_eq(counts().parsed, COUNT);
    settle();
    cr_assert_eq(counts().pairs, COUNT);
    cr_assert_eq(counts().parsed, 0);

    const struct certificate *before = cert_store_at(store, 41),
                             *swapped = cert_store_at(store, 42);
    write_pair("fresh", "other.test");
    move("fresh.key", "c/042.key");
    move("fresh.crt", "c/042.crt");
    load_and_commit();
    cr_assert_eq(counts().read, 1);
    cr_assert_eq(counts().parsed, 1);
    cr_assert_eq(cert_store_at(store, 41), before, "the others are shared");
    cr_assert_neq(cert_store_at(store, 42), swapped);
    cr_assert(cert_store_covers(store, slice_of("other.test")));
    cr_assert(!cert_store_covers(store, slice_of("h42.test")));
}

/* Written again within the same tick of the clock, the times may be the same: it is looked into.
 * On a machine that is slow at this moment the files may have aged meanwhile: then once more. */
Test(cert_library, fresh_files_are_read_again_but_not_parsed)
{
    size_t read = 0;

    for (int i = 0; i < 100 && read == 0; i++) {
        write_pair("c/a", "a.test");
        load_and_commit();
        cr_assert_eq(counts().parsed, 1);
        load_and_commit();
        cr_assert_eq(counts().parsed, 0);
        read = counts().read;
    }
    cr_assert_eq(read, 1);
    settle();
    load_and_commit();
    cr_assert_eq(counts().read, 0);
}

Test(cert_library, rewrites_in_place_are_found_however_fast_they_follow)
{
    char *texts[2];

    for (int i = 0; i < 2; i++) {
        struct test_cert cert =
            test_cert_make(&(struct test_cert_spec){.names = i ? "b.test" : "a.test"});
        char *chain = test_cert_pem(&cert), *key = test_key_pem(&cert);
        cr_assert_gt(asprintf(&texts[i], "%s%s", chain, key), 0);
        free(chain);
        free(key);
        test_cert_clear(&cert);
    }
    /* The same length, the same inode: nothing tells them apart but their times and content. */
    for (int i = 0; i < 200; i++) {
        int fd = open(test_path("c/a.pem"), O_WRONLY | O_CREAT, 0600);
        char text[4096];

        memset(text, '\n', sizeof(text));
        memcpy(text, texts[i % 2], strlen(texts[i % 2]));
        cr_assert_eq(write(fd, text, sizeof(text)), (ssize_t)sizeof(text));
        close(fd);
        expect_sound(i % 2 ? "b.test" : "a.test");
    }
    free(texts[0]);
    free(texts[1]);
}

Test(cert_library, same_content_in_new_files_is_shared)
{
    write_pair("c/a", "a.test");
    settle();
    const struct certificate *before = cert_store_at(store, 0);
    move("c/a.crt", "c/kept");
    int from = open(test_path("c/kept"), O_RDONLY);
    char text[8192];
    ssize_t length = read(from, text, sizeof(text));
    close(from);
    test_file_write_bytes("c/a.crt", text, (size_t)length);
    load_and_commit();
    cr_assert_eq(counts().read, 1);
    cr_assert_eq(counts().parsed, 0);
    cr_assert_eq(cert_store_at(store, 0), before);
}

Test(cert_library, links_that_turn_elsewhere_are_followed)
{
    write_pair("c/..1/tls", "old.test");
    write_pair("c/..2/tls", "new.test");
    cr_assert_eq(symlink("..1", test_path("c/..data")), 0);
    cr_assert_eq(symlink("..data/tls.crt", test_path("c/tls.crt")), 0);
    cr_assert_eq(symlink("..data/tls.key", test_path("c/tls.key")), 0);
    settle();
    expect_served("old.test");
    cr_assert_eq(symlink("..2", test_path("c/..data_tmp")), 0);
    move("c/..data_tmp", "c/..data");
    expect_sound("new.test");
    cr_assert_eq(counts().parsed, 1);
}

Test(cert_library, ocsp_responses_come_and_go)
{
    struct test_cert cert = test_cert_make(&(struct test_cert_spec){.names = "a.test"});
    char *chain = test_cert_pem(&cert), *key = test_key_pem(&cert);
    uint8_t *der;
    size_t length = test_ocsp_make(&cert, 0, 3600, &der);
    int64_t expires;

    test_file_write("c/a.crt", chain);
    test_file_write("c/a.key", key);
    settle();
    cr_assert(!certificate_staples(cert_store_at(store, 0), &expires));
    test_file_write_bytes("c/a.ocsp", der, length);
    load_and_commit();
    cr_assert(certificate_staples(cert_store_at(store, 0), &expires));
    drop("c/a.ocsp");
    load_and_commit();
    cr_assert(!certificate_staples(cert_store_at(store, 0), &expires));
    OPENSSL_free(der);
    free(chain);
    free(key);
    test_cert_clear(&cert);
}

/* --- quarantine ------------------------------------------------------------------------------- */

/* Two certificates, settled: a, which is going to break, and b, which goes on. */
static void start_with_two(void)
{
    write_pair("c/a", "a.test");
    write_pair("c/b", "b.test");
    settle();
    expect_served("a.test b.test");
}

Test(cert_library, a_half_written_chain_is_quarantined_until_it_is_whole)
{
    start_with_two();
    test_file_write("c/a.crt", "-----BEGIN CERTIFICATE-----\nMII");
    expect_quarantine("c/a.crt", "half written", "a.test b.test", 1);
    cr_assert_eq(problems.list[0].served[0], cert_store_at(store, 0));
    write_pair("c/a", "new.test");
    expect_sound("new.test b.test");
}

Test(cert_library, a_key_that_does_not_fit_is_quarantined)
{
    start_with_two();
    write_pair("other", "x.test");
    move("other.key", "c/a.key");
    expect_quarantine("c/a.crt", "does not belong", "a.test b.test", 1);
    settle();
    load_and_commit();
    expect_problem("c/a.crt", "does not belong", 1);
    cr_assert_eq(counts().read, 0, "what is known to be broken is not read again either");
    move("other.crt", "c/a.crt");
    expect_sound("x.test b.test");
}

Test(cert_library, certificates_go_on_past_the_quarantined_one)
{
    start_with_two();
    test_file_write("c/a.key", "nothing");
    write_pair("c/b", "new.test");
    load_and_commit();
    expect_problem("c/a.crt", "holds no private key", 1);
    expect_served("a.test new.test");
}

Test(cert_library, half_a_pair_is_quarantined)
{
    start_with_two();
    move("c/a.key", "kept.key");
    expect_quarantine("c/a.crt", "holds no private key", "a.test b.test", 1);
    move("kept.key", "c/a.key");
    expect_sound("a.test b.test");
    cr_assert_eq(counts().parsed, 0, "it is the same one");
    move("c/a.crt", "kept.crt");
    expect_quarantine("c/a.key", "is a key alone", "a.test b.test", 1);
    move("kept.crt", "c/a.crt");
    expect_sound("a.test b.test");
    move("c/a.crt", "kept.crt");
    load_and_commit();
    drop("c/a.key");
    expect_sound("b.test");
}

Test(cert_library, half_of_certbots_pair_is_quarantined)
{
    write_pair("made", "a.test");
    mkdir(test_path("c/live"), 0700);
    mkdir(test_path("c/live/a.test"), 0700);
    move("made.crt", "c/live/a.test/fullchain.pem");
    move("made.key", "c/live/a.test/privkey.pem");
    settle();
    expect_served("a.test");
    move("c/live/a.test/fullchain.pem", "kept");
    expect_quarantine("c/live/a.test/privkey.pem", "holds no certificate", "a.test", 1);
    move("kept", "c/live/a.test/fullchain.pem");
    expect_sound("a.test");
    move("c/live/a.test/privkey.pem", "kept");
    expect_quarantine("c/live/a.test/fullchain.pem", "holds no private key", "a.test", 1);
    move("kept", "c/live/a.test/privkey.pem");
    expect_sound("a.test");
}

Test(cert_library, a_link_that_leads_nowhere_is_quarantined)
{
    write_pair("archive/a1", "a.test");
    cr_assert_eq(symlink("../archive/a1.crt", test_path("c/a.crt")), 0);
    cr_assert_eq(symlink("../archive/a1.key", test_path("c/a.key")), 0);
    settle();
    expect_served("a.test");
    drop("archive/a1.key");
    drop("archive/a1.crt");
    expect_quarantine("c/a.crt", "No such file", "a.test", 1);
    write_pair("archive/a1", "b.test");
    expect_sound("b.test");
}

Test(cert_library, pairs_and_bundles_that_are_deleted_are_gone)
{
    start_with_two();
    write_bundle("c/d.pem", "d.test");
    expect_sound("a.test b.test d.test");
    drop("c/a.crt");
    drop("c/a.key");
    expect_sound("b.test d.test");
    drop("c/d.pem");
    expect_sound("b.test");
}

Test(cert_library, what_certs_names_by_itself_is_not_deleted)
{
    write_pair("x/pair", "pair.test");
    write_bundle("x/single.pem", "single.test");
    free(sources[0].path);
    sources[0] = (struct cert_source){.path = strdup(test_path("x/single.pem"))};
    sources[1] = (struct cert_source){.kind = CERT_SOURCE_PAIR,
                                      .path = strdup(test_path("x/pair.crt")),
                                      .key = strdup(test_path("x/pair.key")),
                                      .position = 1};
    source_count = 2;
    settle();
    expect_served("single.test pair.test");
    drop("x/single.pem");
    expect_quarantine("x/single.pem", "cannot be read", "single.test pair.test", 1);
    write_bundle("x/single.pem", "new.test");
    drop("x/pair.crt");
    drop("x/pair.key");
    expect_quarantine("x/pair.crt", "cannot be read", "new.test pair.test", 1);
    source_count = 1;
    expect_sound("new.test");
}

Test(cert_library, a_source_that_vanishes_or_empties_keeps_everything)
{
    start_with_two();
    mkdir(test_path("c/sub"), 0700);
    write_pair("c/sub/s", "s.test");
    expect_sound("a.test b.test s.test");
    move("c", "away");
    expect_quarantine("c", "cannot be read", "a.test b.test s.test", 3);
    mkdir(test_path("c"), 0700);
    expect_quarantine("c", "holds no certificate", "a.test b.test s.test", 3);
    write_pair("c/b", "new.test");
    expect_sound("new.test");
}

Test(cert_library, a_source_that_comes_back_ends_its_quarantine)
{
    start_with_two();
    move("c", "away");
    load_and_commit();
    expect_problem("c", "cannot be read", 2);
    move("away", "c");
    expect_sound("a.test b.test");
    cr_assert_eq(counts().parsed, 0);
}

Test(cert_library, a_folder_that_cannot_be_read_keeps_everything)
{
    if (geteuid() == 0)
        cr_skip_test("root reads everything");
    start_with_two();
    mkdir(test_path("c/sub"), 0700);
    write_pair("c/sub/s", "s.test");
    expect_sound("a.test b.test s.test");
    chmod(test_path("c/sub"), 0);
    expect_quarantine("c/sub", "cannot be read", "a.test b.test s.test", 1);
    chmod(test_path("c/sub"), 0700);
    expect_sound("a.test b.test s.test");
    chmod(test_path("c"), 0);
    expect_quarantine("c", "cannot be read", "a.test b.test s.test", 3);
    chmod(test_path("c"), 0700);
    expect_sound("a.test b.test s.test");
}

/* Also for root: a link in a circle cannot be read by anybody. */
Test(cert_library, a_sub_folder_that_turns_unreadable_keeps_what_was_in_it)
{
    start_with_two();
    cr_assert_eq(symlink("nowhere", test_path("c/notes")), 0);
    mkdir(test_path("c/sub"), 0700);
    write_pair("c/sub/s", "s.test");
    expect_sound("a.test b.test s.test");
    move("c/sub", "away");
    cr_assert_eq(symlink("sub", test_path("c/sub")), 0);
    expect_quarantine("c/sub", "cannot be read", "a.test b.test s.test", 1);
    drop("c/sub");
    expect_sound("a.test b.test");
}

Test(cert_library, what_was_never_whole_is_a_problem_without_a_certificate)
{
    write_pair("c/b", "b.test");
    write_pair("c/a", "a.test");
    drop("c/a.key");
    load_and_commit();
    expect_problem("c/a.crt", "holds no private key", 0);
    expect_served("b.test");
    int64_t since = problems.list[0].since;
    load_and_commit();
    expect_problem("c/a.crt", "holds no private key", 0);
    cr_assert_eq(problems.list[0].since, since);
}

/* --- roles ------------------------------------------------------------------------------------ */

Test(cert_library, a_bundle_that_becomes_half_of_a_pair_leaves_nothing_behind)
{
    write_bundle("c/a.pem", "bundle.test");
    settle();
    expect_served("bundle.test");
    test_file_write("c/a.key", "not yet");
    expect_quarantine("c/a.pem", "holds no private key", "bundle.test", 1);
    write_pair("made", "pair.test");
    move("made.crt", "c/a.pem");
    move("made.key", "c/a.key");
    expect_sound("pair.test");
    drop("c/a.key");
    write_bundle("c/a.pem", "again.test");
    expect_sound("again.test");
    drop("c/a.pem");
    write_pair("c/z", "z.test");
    expect_sound("z.test");
}

/* --- committing ------------------------------------------------------------------------------- */

Test(cert_library, only_a_commit_forgets)
{
    start_with_two();
    move("c/a.crt", "kept.crt");
    move("c/a.key", "kept.key");
    load(); /* refused: the old generation, with a, goes on */
    expect_served("b.test");
    test_file_write("c/a.key", "half");
    load();
    expect_problem("c/a.key", "is a key alone", 1);
    expect_served("a.test b.test");
    drop("c/a.key");
    load_and_commit();
    expect_served("b.test");
    test_file_write("c/a.key", "half");
    load();
    expect_problem("c/a.key", "is a key alone", 0);
    expect_served("b.test");
}

Test(cert_library, certificates_outlive_it)
{
    write_pair("c/a", "a.test");
    load();
    cert_library_free(library);
    library = NULL;
    expect_served("a.test");
}

/* --- several threads -------------------------------------------------------------------------- */

Test(cert_library, many_broken_ones_are_told_in_order)
{
    enum { COUNT = 150 };

    for (int i = 0; i < COUNT; i++) {
        char name[32];

        snprintf(name, sizeof(name), "c/%03d.key", i);
        test_file_write(name, "x");
        snprintf(name, sizeof(name), "c/%03d.crt", i);
        test_file_write(name, "x");
    }
    load();
    cr_assert_eq(problems.count, COUNT);
    for (size_t i = 1; i < COUNT; i++)
        cr_assert_lt(strcmp(problems.list[i - 1].file, problems.list[i].file), 0);
}
