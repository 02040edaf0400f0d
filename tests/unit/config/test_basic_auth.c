/* `auth.basic` and `auth.client_cert` as the route file says them. */
#include "config/diff.h"
#include "config/policies.h"
#include "policy/basic_auth.h"
#include "policy/cert_auth.h"
#include "support/route_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HASH        "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
#define USERS(rest) "'routes': { 'a.test': { 'to': 'x:1', 'auth': { 'basic': { " rest " } } } }"
#define CERTS(rest)                         \
    "'tls': { 'client_ca': 'ca.pem' }, "    \
    "'routes': { 'a.test': { 'to': 'x:1', " \
    "'auth': { 'client_cert': { " rest " } } } }"

static struct route_folder folder;

static void begin(void)
{
    route_folder_init(&folder);
    route_folder_authority(&folder, "ca.pem");
    route_folder_write(&folder, "users", "alice:" HASH "\n");
}

static void end(void)
{
    route_folder_clear(&folder);
}

TestSuite(auth_keys, .init = begin, .fini = end);

static const struct policy *auth_of(const char *host, const char *path)
{
    return policies_of(route_folder_find(&folder, host, path)->settings.policies, POLICY_AUTH);
}

static void expect_words(const struct policy *policy, const char *words)
{
    struct arena arena = {0};
    struct slice said = policies_words(policy, &arena);

    cr_expect(slice_equal(said, slice_of(words)), "%.*s, not %s", (int)said.len, said.at, words);
    arena_clear(&arena);
}

Test(auth_keys, of_passwords)
{
    route_folder_good(&folder, USERS("'users': 'users'"));
    expect_words(auth_of("a.test", "/"), "basic users, realm \"restricted\"");
    cr_expect_eq(folder.problems.count, 0, "%s", folder.printed);
    route_folder_good(&folder, USERS("'users': 'users', 'realm': 'staff', 'copy': 'X-User'"));
    expect_words(auth_of("a.test", "/"), "basic users, realm \"staff\", name in X-User");
}

Test(auth_keys, of_certificates)
{
    route_folder_good(&folder, CERTS("'subjects': ['CN=alice,O=Example', '*']"));
    expect_words(auth_of("a.test", "/"), "client_cert \"CN=alice,O=Example\" or \"*\"");
    cr_expect(((const struct cert_auth *)auth_of("a.test", "/"))->takes_any);
    route_folder_good(&folder, CERTS("'subjects': ['CN=a'], 'copy': 'X-User'"));
    expect_words(auth_of("a.test", "/"), "client_cert \"CN=a\", subject in X-User");
}

Test(auth_keys, the_nearest_place_has_it_whole)
{
    route_folder_good(&folder,
                      "'defaults': { 'auth': { 'basic': { 'users': 'users', 'realm': 'all' } } },"
                      "'routes': { 'a.test': { 'paths': {"
                      "  '/': 'x:1',"
                      "  '/open': { 'to': 'x:1', 'auth': null },"
                      "  '/own': { 'to': 'x:1', 'auth': { 'basic': { 'users': 'users' } } } } } }");
    expect_words(auth_of("a.test", "/"), "basic users, realm \"all\"");
    cr_expect_null(auth_of("a.test", "/open"));
    expect_words(auth_of("a.test", "/own"), "basic users, realm \"restricted\"");
}

static const struct {
    const char *text, *path, *message;
} mistakes[] = {
    {USERS(""), "basic", "\"users\" is missing"},
    {USERS("'user': 'users'"), "basic.user", "unknown key"},
    {USERS("'users': 1"), "basic.users", "path"},
    {USERS("'users': 'users', 'realm': 'a\\n'"), "basic.realm", "control characters"},
    {USERS("'users': 'users', 'realm': 1"), "basic.realm", "a text"},
    {USERS("'users': 'users', 'copy': 'X User'"), "basic.copy", "no name of a header"},
    {USERS("'users': 'users', 'copy': 'X_User'"), "basic.copy", "with dashes"},
    {USERS("'users': 'users', 'copy': 'Host'"), "basic.copy", "cannot stand here"},
    {USERS("'users': 'users', 'copy': 'Connection'"), "basic.copy", "cannot stand here"},
    {USERS("'users': 'users', 'copy': 'x-forwarded-for'"), "basic.copy", "cannot stand here"},
    {USERS("'users': 'users', 'copy': 'X-Client-Cert-Subject'"), "basic.copy", "cannot stand here"},
    {CERTS(""), "client_cert", "\"subjects\" is missing"},
    {CERTS("'subjects': []"), "client_cert.subjects", "is empty"},
    {CERTS("'subjects': 'CN=a'"), "client_cert.subjects", "list"},
    {CERTS("'subjects': ['']"), "client_cert.subjects[0]", "is empty"},
    {CERTS("'subjects': ['*'], 'copy': 'Upgrade'"), "client_cert.copy", "cannot stand here"},
};

Test(auth_keys, mistakes)
{
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        char path[128];
        route_folder_load_with_certs(&folder, mistakes[i].text);
        cr_expect_null(folder.snapshot, "%s", mistakes[i].text);
        cr_expect_eq(folder.problems.errors, 1, "%s: %s", mistakes[i].text, folder.printed);
        snprintf(path, sizeof(path), "routes[\"a.test\"].auth.%s", mistakes[i].path);
        route_folder_expect(&folder, 1, 0, path, mistakes[i].message, NULL);
    }
}

Test(auth_keys, of_certificates_that_nobody_is_asked_for)
{
    static const char *const asking_nobody[] = {
        "'routes': { 'a.test': { 'to': 'x:1', 'auth': { 'client_cert': { 'subjects': ['*'] } } } }",
        "'defaults': { 'auth': { 'client_cert': { 'subjects': ['*'] } } },"
        "'routes': { 'a.test': 'x:1' }",
        "'backends': { 'b': { 'servers': ['x:1'], 'auth': { 'client_cert': { 'subjects': ['*'] } } "
        "} }, 'routes': { 'a.test': 'b' }",
        "'tls': { 'client_ca': 'ca.pem' }, 'routes': { 'a.test': { 'to': 'x:1', 'tls': { "
        "'client_auth': 'off' }, 'auth': { 'client_cert': { 'subjects': ['*'] } } } }",
    };

    for (size_t i = 0; i < sizeof(asking_nobody) / sizeof(asking_nobody[0]); i++) {
        route_folder_load_with_certs(&folder, asking_nobody[i]);
        cr_expect_null(folder.snapshot, "%s", asking_nobody[i]);
        route_folder_expect(&folder, 1, 0, "routes[\"a.test\"]", "asks for no client certificate",
                            NULL);
    }
    route_folder_good(&folder, "'defaults': { 'auth': { 'client_cert': { 'subjects': ['*'] } } },"
                               "'routes': { 'a.test': { 'to': 'x:1', 'auth': null },"
                               "  'b.test': { 'to': 'x:1', 'tls': { 'client_ca': 'ca.pem' } } }");
}

/* --- files -------------------------------------------------------------------------------------
 */

Test(auth_keys, lines_that_are_wrong_are_warnings_of_that_file)
{
    route_folder_write(&folder, "users", "alice:" HASH "\nbob\n");
    folder.strict_certs = true;
    route_folder_good(&folder, USERS("'users': 'users'"));
    cr_assert_eq(folder.problems.count, 1, "%s", folder.printed);
    cr_expect(strstr(folder.printed, "/users:2: warning: there is no \":\""), "%s", folder.printed);
}

Test(auth_keys, a_file_that_cannot_be_used_is_an_error_for_check_alone)
{
    static const char *const contents[] = {NULL, "", "bob:plain\n"};

    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/users", folder.path);
        unlink(path);
        if (contents[i])
            route_folder_write(&folder, "users", contents[i]);
        folder.strict_certs = false;
        route_folder_good(&folder, USERS("'users': 'users'"));
        cr_expect_gt(folder.problems.count, 0);
        cr_expect(strstr(folder.printed, "refused with 503"), "%s", folder.printed);
        folder.strict_certs = true;
        route_folder_load_with_certs(&folder, USERS("'users': 'users'"));
        cr_expect_null(folder.snapshot);
        cr_expect_eq(folder.problems.errors, 1, "%s", folder.printed);
    }
}

/* --- loads -------------------------------------------------------------------------------------
 */

static struct snapshot *load_again(struct sources *sources, const struct snapshot *before,
                                   bool renews)
{
    const struct load_options options = {
        .keys = folder.keys, .sources = sources, .previous = before ? before->config : NULL};
    struct problems problems;
    struct snapshot *snapshot;

    problems_init(&problems);
    snapshot = renews ? snapshot_renew(before, &options, &problems)
                      : snapshot_load(folder.file, &options, &problems);
    cr_assert(snapshot);
    problems_clear(&problems);
    return snapshot;
}

static void expect_diff(const struct snapshot *was, const struct snapshot *is, const char *words)
{
    struct buffer out = {0};
    struct diff diff;

    diff_make(&diff, was, is);
    diff_print_changes(&diff, &out, false);
    buffer_append(&out, slice_make("", 1));
    cr_expect(strstr(buffer_content(&out).at, words), "%s, not %s", buffer_content(&out).at, words);
    cr_expect_eq(diff.count, 1);
    diff_clear(&diff);
    buffer_clear(&out);
}

/* Whether the route file is read again or not. */
static void change_users(bool renews)
{
    struct sources *sources = sources_new();
    route_folder_write(&folder, "users", "alice:" HASH "\n");
    route_folder_good(&folder, USERS("'users': 'users'"));
    struct snapshot *one = load_again(sources, NULL, false);
    struct snapshot *same = load_again(sources, one, renews);
    cr_expect_eq(one->fingerprint, same->fingerprint);
    route_folder_write(&folder, "users", "alice:" HASH "\nbob:" HASH "\n");
    struct snapshot *other = load_again(sources, one, renews);
    cr_expect_neq(one->fingerprint, other->fingerprint);
    cr_expect_eq(one->config->hosts[0], other->config->hosts[0], "nothing else has changed");
    cr_expect_eq(one->source_count, 1);
    expect_diff(one, other, "/users: 1 user -> 2 users");
    route_folder_write(&folder, "users", "alice:" HASH "\ncarol:" HASH "\n");
    struct snapshot *third = load_again(sources, one, renews);
    expect_diff(other, third, "/users: has other content");
    snapshot_unref(one);
    snapshot_unref(same);
    snapshot_unref(other);
    snapshot_unref(third);
    sources_free(sources);
}

Test(auth_keys, a_changed_file_is_another_generation)
{
    change_users(false);
    change_users(true);
}
