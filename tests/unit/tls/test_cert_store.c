/* Folders of certificates in every layout, and the choice among what was found. */
#include "tls/cert_store.h"

#include "support/test_certs.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct cert_problems problems;

static void set_up(void)
{
    test_folder_make();
    problems = (struct cert_problems){.count = 0};
}

static void tear_down(void)
{
    cert_problems_clear(&problems);
    test_folder_remove();
}

TestSuite(cert_store, .init = set_up, .fini = tear_down);

/* A certificate for NAME, its chain and key under names of the caller's choice; made once, since
 * the layouts do not care what is inside. */
static char *chain_text, *key_text;

static void make_texts(void)
{
    struct test_cert cert = test_cert_make(&(struct test_cert_spec){.names = "a.test"});

    free(chain_text);
    free(key_text);
    chain_text = test_cert_pem(&cert);
    key_text = test_key_pem(&cert);
    test_cert_clear(&cert);
}

static void write_pair(const char *chain, const char *key)
{
    if (!chain_text)
        make_texts();
    test_file_write(chain, chain_text);
    if (key)
        test_file_write(key, key_text);
}

static void write_bundle(const char *name)
{
    char text[8192];

    if (!chain_text)
        make_texts();
    snprintf(text, sizeof(text), "%s%s", chain_text, key_text);
    test_file_write(name, text);
}

static struct cert_store *load_path(const char *name)
{
    struct cert_source source = {
        .kind = CERT_SOURCE_PATH, .path = (char *)test_path(name), .position = 7};

    return cert_store_load(&source, 1, &problems);
}

/* The files that were loaded, in order, each relative to the folder. */
static void expect_files(const char *source, const char *const *files)
{
    struct cert_store *store = load_path(source);
    size_t count = 0;

    for (; files[count]; count++) {
        cr_assert_lt(count, cert_store_count(store), "%s is missing", files[count]);
        cr_assert_str_eq(certificate_file(cert_store_at(store, count)), test_path(files[count]));
    }
    cr_assert_eq(cert_store_count(store), count);
    cert_store_free(store);
}

static void expect_problem(size_t index, const char *file, const char *text)
{
    cr_assert_lt(index, problems.count, "no problem %zu", index);
    cr_assert_str_eq(problems.list[index].file, test_path(file));
    cr_assert(strstr(problems.list[index].message, text), "no \"%s\" in: %s", text,
              problems.list[index].message);
    cr_assert_eq(problems.list[index].position, 7);
}

/* --- layouts ---------------------------------------------------------------------------------- */

Test(cert_store, reads_pairs_and_bundles_in_the_order_of_their_names)
{
    write_pair("c/b.crt", "c/b.key");
    write_pair("c/a.pem", "c/a.key");
    write_bundle("c/z.pem");
    write_bundle("c/y.crt");
    test_file_write("c/README", "not a certificate");
    test_file_write("c/notes.txt", "neither");
    expect_files("c", (const char *const[]){"c/a.pem", "c/b.crt", "c/y.crt", "c/z.pem", NULL});
    cr_assert_eq(problems.count, 0);
}

Test(cert_store, reads_certbots_folders)
{
    static const char *const names[] = {"x.test", "y.test"};

    for (size_t i = 0; i < 2; i++) {
        char path[100];

        snprintf(path, sizeof(path), "le/live/%s/fullchain.pem", names[i]);
        write_pair(path, NULL);
        snprintf(path, sizeof(path), "le/live/%s/privkey.pem", names[i]);
        test_file_write(path, key_text);
        snprintf(path, sizeof(path), "le/live/%s/cert.pem", names[i]);
        test_file_write(path, chain_text);
        snprintf(path, sizeof(path), "le/live/%s/chain.pem", names[i]);
        test_file_write(path, chain_text);
        snprintf(path, sizeof(path), "le/live/%s/README", names[i]);
        test_file_write(path, "do not touch");
    }
    test_file_write("le/live/README", "do not touch");
    test_file_write("le/keys/0000_key-certbot.pem", key_text);
    test_file_write("le/csr/0000_csr-certbot.pem", "");
    test_file_write("le/archive/x.test/cert1.pem", chain_text);
    const char *const found[] = {"le/live/x.test/fullchain.pem", "le/live/y.test/fullchain.pem",
                                 NULL};
    /* Whichever level is named. */
    expect_files("le", found);
    expect_files("le/live", found);
    expect_files("le/live/x.test", (const char *const[]){"le/live/x.test/fullchain.pem", NULL});
    cr_assert_eq(problems.count, 0, "%s", problems.count ? problems.list[0].message : "");
}

/* tls.crt -> ..data/tls.crt, ..data -> ..2024_05_01, as mounted secrets look. */
Test(cert_store, reads_kubernetes_secrets)
{
    write_pair("k/..2024_05_01/tls.crt", "k/..2024_05_01/tls.key");
    test_file_write("k/..2024_05_01/ca.crt", chain_text);
    cr_assert_eq(symlink("..2024_05_01", test_path("k/..data")), 0);
    cr_assert_eq(symlink("..data/tls.crt", test_path("k/tls.crt")), 0);
    cr_assert_eq(symlink("..data/tls.key", test_path("k/tls.key")), 0);
    cr_assert_eq(symlink("..data/ca.crt", test_path("k/ca.crt")), 0);
    expect_files("k", (const char *const[]){"k/tls.crt", NULL});
    cr_assert_eq(problems.count, 0, "%s", problems.count ? problems.list[0].message : "");
}

Test(cert_store, other_folders_beside_live_are_read)
{
    write_pair("b/live/x/fullchain.pem", "b/live/x/privkey.pem");
    write_pair("b/own/a.crt", "b/own/a.key");
    expect_files("b", (const char *const[]){"b/live/x/fullchain.pem", "b/own/a.crt", NULL});
    cr_assert_eq(problems.count, 0);
}

Test(cert_store, looks_one_level_deep_and_passes_over_hidden_names)
{
    write_pair("f/top.crt", "f/top.key");
    write_pair("f/sub/a.crt", "f/sub/a.key");
    write_pair("f/sub/deeper/b.crt", "f/sub/deeper/b.key");
    write_pair("f/.hidden/c.crt", "f/.hidden/c.key");
    write_pair("f/.d.crt", "f/.d.key");
    expect_files("f", (const char *const[]){"f/sub/a.crt", "f/top.crt", NULL});
    cr_assert_eq(problems.count, 0);
}

Test(cert_store, reads_single_files_and_pairs)
{
    struct cert_source sources[] = {
        {.kind = CERT_SOURCE_PATH, .path = (char *)test_path("bundle.pem")},
        {.kind = CERT_SOURCE_PATH, .path = (char *)test_path("beside.crt")},
        {.kind = CERT_SOURCE_PAIR,
         .path = (char *)test_path("x/chain"),
         .key = (char *)test_path("y/secret")},
        {.kind = CERT_SOURCE_PATH, .path = (char *)test_path("bundle.pem"), .position = 1},
    };

    write_bundle("bundle.pem");
    write_pair("beside.crt", "beside.key");
    write_pair("x/chain", "y/secret");
    struct cert_store *store = cert_store_load(sources, 4, &problems);
    cr_assert_eq(problems.count, 0, "%s", problems.count ? problems.list[0].message : "");
    cr_assert_eq(cert_store_count(store), 3, "the same one twice is one");
    cr_assert_str_eq(certificate_file(cert_store_at(store, 2)), test_path("x/chain"));
    cert_store_free(store);
}

Test(cert_store, reads_many_on_several_threads_in_the_same_order)
{
    enum { COUNT = 200 };

    for (int i = 0; i < COUNT; i++) {
        char chain[32], key[32];

        snprintf(chain, sizeof(chain), "m/%04d.crt", i);
        snprintf(key, sizeof(key), "m/%04d.key", i);
        write_pair(chain, key);
    }
    test_file_write("m/0100.crt", "broken");
    struct cert_store *store = load_path("m");
    cr_assert_eq(cert_store_count(store), COUNT - 1);
    for (size_t i = 0; i + 1 < cert_store_count(store); i++)
        cr_assert_lt(strcmp(certificate_file(cert_store_at(store, i)),
                            certificate_file(cert_store_at(store, i + 1))),
                     0);
    cr_assert_eq(problems.count, 1);
    expect_problem(0, "m/0100.crt", "holds no certificate");
    cert_store_free(store);
}

/* --- what is wrong ---------------------------------------------------------------------------- */

Test(cert_store, what_is_broken_does_not_stop_the_rest)
{
    write_pair("p/good.crt", "p/good.key");
    test_file_write("p/alone.key", key_text);
    test_file_write("p/ca.crt", chain_text);
    test_file_write("p/half.crt", "-----BEGIN CERTIFICATE-----\nMII");
    test_file_write("p/half.key", key_text);
    cr_assert_eq(symlink("gone", test_path("p/dangling.pem")), 0);
    expect_files("p", (const char *const[]){"p/good.crt", NULL});
    cr_assert_eq(problems.count, 4);
    expect_problem(0, "p/alone.key", "is a key alone");
    expect_problem(1, "p/ca.crt", "ca.crt holds no private key");
    expect_problem(2, "p/dangling.pem", "dangling.pem cannot be read: No such file");
    expect_problem(3, "p/half.crt", "half.crt: PEM block 1 is broken");
}

Test(cert_store, half_of_certbots_pair_is_a_problem)
{
    write_pair("h/fullchain.pem", NULL);
    expect_files("h", (const char *const[]){NULL});
    cr_assert_eq(problems.count, 1);
    expect_problem(0, "h/fullchain.pem", "holds no private key");
    test_file_write("i/privkey.pem", key_text);
    expect_files("i", (const char *const[]){NULL});
    expect_problem(1, "i/privkey.pem", "holds no certificate");
}

Test(cert_store, a_source_that_gives_nothing_is_a_problem)
{
    mkdir(test_path("empty"), 0700);
    expect_files("none", (const char *const[]){NULL});
    expect_problem(0, "none", "No such file");
    expect_files("empty", (const char *const[]){NULL});
    expect_problem(1, "empty", "holds no certificate");
    struct cert_source pair = {.kind = CERT_SOURCE_PAIR,
                               .path = (char *)test_path("no.crt"),
                               .key = (char *)test_path("no.key"),
                               .position = 7};
    cert_store_free(cert_store_load(&pair, 1, &problems));
    expect_problem(2, "no.crt", "no.crt cannot be read");
}

/* --- choice ----------------------------------------------------------------------------------- */

static struct cert_wish wish_for(const char *name)
{
    return (struct cert_wish){.name = slice_of(name),
                              .has_ecdsa_p256 = true,
                              .has_ecdsa_p384 = true,
                              .has_ecdsa_p521 = true,
                              .has_rsa = true,
                              .has_ed25519 = true,
                              .now = time(NULL)};
}

/* `file` NULL: none; `covered` as cert_store_choose says then. */
static void expect_choice(const struct cert_store *store, const struct cert_wish *wish,
                          const char *file, bool covered)
{
    bool is_covered = !covered;
    const struct certificate *chosen = cert_store_choose(store, wish, &is_covered);

    cr_assert_eq(is_covered, covered, "%.*s", (int)wish->name.len, wish->name.at);
    if (!file) {
        cr_assert_null(chosen);
        return;
    }
    cr_assert(chosen, "nothing for %.*s", (int)wish->name.len, wish->name.at);
    cr_assert_str_eq(certificate_file(chosen), test_path(file));
}

static void expect_file(const struct cert_store *store, const char *name, const char *file)
{
    struct cert_wish wish = wish_for(name);

    expect_choice(store, &wish, file, file != NULL);
}

Test(cert_store, exact_names_go_before_wildcards_of_one_label)
{
    test_pair_write("wild", &(struct test_cert_spec){.names = "*.x.test"});
    test_pair_write("exact", &(struct test_cert_spec){.names = "www.x.test", .begins_s = -99999});
    test_pair_write("apex", &(struct test_cert_spec){.names = "x.test,10.1.2.3,::1"});
    struct cert_store *store = load_path("");
    expect_file(store, "www.x.test", "exact.crt");
    expect_file(store, "other.x.test", "wild.crt");
    expect_file(store, "x.test", "apex.crt");
    expect_file(store, "a.b.x.test", NULL);
    expect_file(store, "*.x.test", "wild.crt");
    expect_file(store, "test", NULL);
    expect_file(store, "", NULL);
    expect_file(store, "10.1.2.3", "apex.crt");
    expect_file(store, "0:0::1", "apex.crt");
    expect_file(store, "10.1.2.4", NULL);
    cr_assert(cert_store_covers(store, slice_of("other.x.test")));
    cr_assert(cert_store_covers(store, slice_of("10.1.2.3")));
    cr_assert(!cert_store_covers(store, slice_of("y.test")));
    cert_store_free(store);
}

Test(cert_store, one_in_date_goes_before_an_expired_or_future_one)
{
    test_pair_write(
        "expired", &(struct test_cert_spec){.names = "a.x.test", .begins_s = -7200, .ends_s = -60});
    test_pair_write("future", &(struct test_cert_spec){.names = "a.x.test", .begins_s = 3600});
    test_pair_write("wild", &(struct test_cert_spec){.names = "*.x.test", .key = CERT_KEY_RSA});
    struct cert_store *store = load_path("");
    struct cert_wish wish = wish_for("a.x.test");
    expect_choice(store, &wish, "wild.crt", true);
    /* Who cannot use that gets what there is. */
    wish.has_rsa = false;
    expect_choice(store, &wish, "future.crt", true);
    wish.now += 4000;
    wish.has_rsa = true;
    expect_choice(store, &wish, "future.crt", true);
    cert_store_free(store);
}

Test(cert_store, newest_then_file_name)
{
    test_pair_write("b", &(struct test_cert_spec){.names = "a.test", .begins_s = -1000});
    test_pair_write("c", &(struct test_cert_spec){.names = "a.test", .begins_s = -500});
    test_pair_write("d", &(struct test_cert_spec){.names = "a.test", .begins_s = -2000});
    struct cert_store *store = load_path("");
    expect_file(store, "a.test", "c.crt");
    cert_store_free(store);

    /* RSA is for those who know nothing else, however new it is. */
    test_pair_write("e", &(struct test_cert_spec){.names = "a.test", .key = CERT_KEY_RSA});
    test_pair_write("f", &(struct test_cert_spec){
                             .names = "a.test", .begins_s = -400, .key = CERT_KEY_ECDSA_P384});
    store = load_path("");
    expect_file(store, "a.test", "f.crt");
    cert_store_free(store);

    write_pair("same/2.crt", "same/2.key");
    write_pair("same/1.crt", "same/1.key");
    store = load_path("same");
    expect_file(store, "a.test", "same/1.crt");
    cert_store_free(store);
}

Test(cert_store, only_what_the_client_can_use_is_chosen)
{
    static const enum cert_key kinds[] = {CERT_KEY_ECDSA_P256, CERT_KEY_ECDSA_P384,
                                          CERT_KEY_ECDSA_P521, CERT_KEY_RSA, CERT_KEY_ED25519};

    for (size_t i = 0; i < 5; i++) {
        char name[8] = {(char)('0' + kinds[i])};

        /* P-256 is the newest by a little: the clock may move on while they are made. */
        test_pair_write(name, &(struct test_cert_spec){.names = "a.test",
                                                       .key = kinds[i],
                                                       .begins_s = -900 - 60 * (int)i});
    }
    struct cert_store *store = load_path("");
    for (size_t i = 0; i < 5; i++) {
        char file[16];
        struct cert_wish wish = {
            .name = slice_of("a.test"),
            .now = time(NULL),
            .has_ecdsa_p256 = kinds[i] == CERT_KEY_ECDSA_P256,
            .has_ecdsa_p384 = kinds[i] == CERT_KEY_ECDSA_P384,
            .has_ecdsa_p521 = kinds[i] == CERT_KEY_ECDSA_P521,
            .has_rsa = kinds[i] == CERT_KEY_RSA,
            .has_ed25519 = kinds[i] == CERT_KEY_ED25519,
        };

        snprintf(file, sizeof(file), "%d.crt", kinds[i]);
        expect_choice(store, &wish, file, true);
    }
    struct cert_wish nothing = {.name = slice_of("a.test"), .now = time(NULL)};
    expect_choice(store, &nothing, NULL, true);
    expect_file(store, "a.test", "0.crt");
    cert_store_free(store);
}
