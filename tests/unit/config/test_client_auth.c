/* `tls.client_ca` and `tls.client_auth`: what is read of them, what holds where, and what is said
 * of it. */
#include "config/config.h"
#include "config/diff.h"
#include "config/explain.h"
#include "support/route_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct route_folder folder;
static struct arena arena;

static void begin(void)
{
    route_folder_init(&folder);
    route_folder_authority(&folder, "ca.pem");
    route_folder_authority(&folder, "other.pem");
}

static void end(void)
{
    arena_clear(&arena);
    config_unref(folder.previous);
    route_folder_clear(&folder);
    buffer_cache_clear();
}

TestSuite(client_auth, .init = begin, .fini = end);

#define EVERYWHERE "'tls': { 'client_ca': 'ca.pem' }, "

static void expect_policy(const char *sni, enum client_auth auth, const char *file)
{
    const struct client_policy *policy =
        tls_server_policy_of_sni(folder.snapshot->tls, slice_of(sni));
    char path[200];

    cr_expect_eq(policy->auth, auth, "%s: %s", sni, client_auth_name(policy->auth));
    if (!file)
        return;
    snprintf(path, sizeof(path), "%s/%s", folder.path, file);
    cr_expect_eq(policy->ca, client_policies_ca(tls_server_clients(folder.snapshot->tls), path),
                 "%s", sni);
}

/* --- what holds where --------------------------------------------------------------------------
 */

Test(client_auth, hosts_have_their_own_on_top_of_the_file_s)
{
    route_folder_good(&folder, EVERYWHERE
                      "'routes': { '*': 'x:1', 'a.test': 'x:1',"
                      "  'b.test': { 'to': 'x:1', 'tls': { 'client_auth': 'request' } },"
                      "  'c.test': { 'to': 'x:1', 'tls': { 'client_auth': 'off' } },"
                      "  '*.d.test': { 'to': 'x:1', 'tls': { 'client_ca': 'other.pem' } },"
                      "  'own.d.test': { 'paths': { '/only': 'x:1' } } }");
    expect_policy("a.test", CLIENT_AUTH_REQUIRE, "ca.pem");
    expect_policy("", CLIENT_AUTH_REQUIRE, "ca.pem");
    expect_policy("b.test", CLIENT_AUTH_REQUEST, "ca.pem");
    expect_policy("c.test", CLIENT_AUTH_OFF, NULL);
    expect_policy("x.y.d.test", CLIENT_AUTH_REQUIRE, "other.pem");
    expect_policy("own.d.test", CLIENT_AUTH_REQUIRE, "ca.pem");
    expect_policy("unknown.example", CLIENT_AUTH_REQUIRE, "ca.pem");
}

Test(client_auth, a_host_inherits_the_mode_with_another_file)
{
    route_folder_good(&folder, "'tls': { 'client_ca': 'ca.pem', 'client_auth': 'request' }, "
                               "'routes': { 'a.test': { 'to': 'x:1', 'tls': "
                               "{ 'client_ca': 'other.pem' } } }");
    expect_policy("a.test", CLIENT_AUTH_REQUEST, "other.pem");
    expect_policy("b.test", CLIENT_AUTH_REQUEST, "ca.pem");
}

Test(client_auth, hosts_follow_the_file_s_when_that_changes)
{
    static const char routes[] =
        "'routes': { 'a.test': { 'to': 'x:1', 'tls': { 'client_auth': 'request' } } }";
    char text[256];

    snprintf(text, sizeof(text), EVERYWHERE "%s", routes);
    route_folder_good(&folder, text);
    folder.previous = config_ref(folder.snapshot->config);
    snprintf(text, sizeof(text), "'tls': { 'client_ca': 'other.pem' }, %s", routes);
    route_folder_good(&folder, text);
    expect_policy("a.test", CLIENT_AUTH_REQUEST, "other.pem");
    route_folder_load_with_certs(&folder, routes);
    cr_expect_null(folder.snapshot, "an unchanged host is held against what it inherits now");
    route_folder_expect(&folder, 1, 0, "routes[\"a.test\"].tls.client_auth", "needs \"client_ca\"",
                        NULL);
}

/* --- mistakes ----------------------------------------------------------------------------------
 */

static void refuses(const char *text, const char *path, const char *message)
{
    route_folder_load_with_certs(&folder, text);
    cr_expect_null(folder.snapshot, "%s", text);
    cr_expect_eq(folder.problems.errors, 1, "%s: %s", text, folder.printed);
    route_folder_expect(&folder, 1, 0, path, message, NULL);
}

#define ON(place, tls) "'routes': { 'a.test': { 'to': 'x:1'" place ", 'tls': " tls " } }"

Test(client_auth, mistakes)
{
    refuses("'routes': {}, 'tls': { 'client_auth': 'require' }", "tls.client_auth",
            "needs \"client_ca\"");
    refuses(ON("", "{ 'client_auth': 'off' }"), "routes[\"a.test\"].tls.client_auth",
            "has no effect here");
    refuses(ON("", "{ 'client_auth': 'require' }"), "routes[\"a.test\"].tls.client_auth",
            "needs \"client_ca\"");
    refuses("'routes': {}, 'tls': { 'client_ca': 'ca.pem', 'client_auth': 'off' }",
            "tls.client_auth", "\"request\" or \"require\" is expected");
    refuses(ON("", "{ 'client_ca': 'ca.pem', 'client_auth': 'off' }"),
            "routes[\"a.test\"].tls.client_ca", "no effect here");
    refuses(ON("", "{ 'client_ca': 'ca.pem', 'client_auth': 'optional' }"),
            "routes[\"a.test\"].tls.client_auth", "is expected, not \"optional\"");
    refuses(ON("", "{ 'client_ca': 7 }"), "routes[\"a.test\"].tls.client_ca", "is expected");
    refuses(ON("", "'ca.pem'"), "routes[\"a.test\"].tls", "an object is expected");
    refuses(ON("", "{ 'min_version': '1.3' }"), "routes[\"a.test\"].tls.min_version",
            "it belongs in the file's own \"tls\"");
    refuses("'routes': { 'a.test': { 'paths': { '/': { 'to': 'x:1', 'tls': {} } } } }",
            "routes[\"a.test\"].paths[\"/\"].tls", "it belongs in a host of \"routes\"");
    refuses("'routes': {}, 'defaults': { 'tls': {} }", "defaults.tls",
            "it belongs in a host of \"routes\"");
    refuses("'routes': {}, 'backends': { 'b': { 'servers': ['x:1'], 'tls': {} } }",
            "backends.b.tls", "it belongs in a host of \"routes\"");
    refuses("'routes': {}, 'tls': { 'client_ca': 'none.pem' }", "tls.client_ca", "cannot be read");
    refuses("'routes': {}, 'tls': { 'client_ca': 'routes.json' }", "tls.client_ca",
            "holds no certificate");
    refuses(ON("", "{ 'client_ca': 'none.pem' }"), "routes[\"a.test\"].tls.client_ca",
            "cannot be read");
}

Test(client_auth, plaintext_that_goes_around_it_is_warned_of)
{
    route_folder_good(&folder, "'listen': { 'http': { 'bind': ':1', 'serve': 'routes' } }, "
                               "'routes': { 'b.test': 'x:1', 'a.test': { 'to': 'x:1', 'tls': "
                               "{ 'client_ca': 'ca.pem' } } }");
    route_folder_expect(&folder, 1, 0, "routes", "\"a.test\"", NULL);
    route_folder_good(&folder,
                      "'listen': { 'http': ':1' }, " EVERYWHERE "'routes': { 'a.test': 'x:1' }");
    cr_expect(!folder.printed || !strstr(folder.printed, "plaintext"), "%s", folder.printed);
}

/* --- renewals ----------------------------------------------------------------------------------
 */

static struct snapshot *renew(struct cert_problems *broken, struct problems *problems)
{
    const struct load_options options = {.keys = folder.keys, .broken = broken};

    problems_init(problems);
    return snapshot_renew(folder.snapshot, &options, problems);
}

Test(client_auth, a_renewal_takes_what_the_file_holds_now)
{
    struct cert_problems broken = {0};
    struct problems problems;

    route_folder_good(&folder, EVERYWHERE "'routes': { 'a.test': 'x:1' }");
    struct snapshot *same = renew(&broken, &problems);
    cr_expect_eq(same->fingerprint, folder.snapshot->fingerprint);
    problems_clear(&problems);
    route_folder_authority(&folder, "ca.pem");
    struct snapshot *other = renew(&broken, &problems);
    cr_expect_neq(other->fingerprint, folder.snapshot->fingerprint);
    cr_expect_eq(broken.count, 0);
    problems_clear(&problems);
    snapshot_unref(same);
    snapshot_unref(other);
    cert_problems_clear(&broken);
}

Test(client_auth, a_renewal_keeps_what_it_cannot_read_unless_it_is_told_to_be_strict)
{
    struct cert_problems broken = {0};
    struct problems problems;

    route_folder_good(&folder, EVERYWHERE "'routes': { 'a.test': 'x:1' }");
    route_folder_write(&folder, "ca.pem", "-----BEGIN CERT");
    struct snapshot *kept = renew(&broken, &problems);
    cr_assert(kept);
    cr_expect_eq(kept->fingerprint, folder.snapshot->fingerprint);
    cr_expect_eq(tls_server_policy_of_sni(kept->tls, slice_of("a.test"))->ca,
                 tls_server_policy_of_sni(folder.snapshot->tls, slice_of("a.test"))->ca);
    cr_expect_eq(broken.count, 1);
    cr_expect(broken.list[0].is_client_ca);
    problems_clear(&problems);
    snapshot_unref(kept);
    route_folder_authority(&folder, "ca.pem");
    route_folder_good(&folder, EVERYWHERE "'certs_strict': true, 'routes': { 'a.test': 'x:1' }");
    unlink(folder.snapshot->config->client_cas->path);
    cr_expect_null(renew(&broken, &problems));
    cr_expect_eq(problems.errors, 1);
    problems_clear(&problems);
    cert_problems_clear(&broken);
}

/* --- what is said of it ------------------------------------------------------------------------
 */

static char *explained(const char *url, const char *sni, bool as_json)
{
    struct explain_question question = {.url = url, .sni = sni};
    struct followed_request request;
    struct explanation explanation;
    struct buffer out = {0};
    struct error error;

    cr_assert(explain_question_read(&question, &arena, &request, &error), "%s", error.message);
    explain(folder.snapshot, &request, &arena, &explanation);
    if (as_json)
        explain_print_json(&explanation, false, &out);
    else
        explain_print_text(&explanation, false, false, &out);
    char *text = arena_text(&arena, buffer_content(&out));
    buffer_clear(&out);
    return text;
}

static void says(const char *text, const char *words)
{
    cr_expect(strstr(text, words), "no \"%s\" in\n%s", words, text);
}

Test(client_auth, explain_tells_who_has_to_show_what_and_who_says_so)
{
    route_folder_good(&folder, EVERYWHERE
                      "'routes': { 'a.test': 'x:1', 'b.test': { 'to': 'x:1', 'tls': "
                      "{ 'client_ca': 'other.pem', 'client_auth': 'request' } }, 'c.test': "
                      "{ 'to': 'x:1', 'tls': { 'client_auth': 'off' } } }");
    says(explained("https://a.test/", NULL, false), "required by tls; an authority in ");
    says(explained("https://a.test/", NULL, false), "certificate_required");
    says(explained("https://b.test/", NULL, false), "requested by routes[\"b.test\"].tls; ");
    says(explained("https://b.test/", NULL, true), "\"client_auth\":\"request\"");
    says(explained("https://b.test/", NULL, true), "/other.pem\"");
    says(explained("https://c.test/", NULL, true),
         "\"client_auth\":\"off\",\"client_ca\":null,"
         "\"client_auth_from\":\"routes[\\\"c.test\\\"].tls\"");
    cr_expect(!strstr(explained("https://c.test/", NULL, false), "client cert"));
}

Test(client_auth, explain_finds_the_way_around_shut)
{
    route_folder_good(&folder, "'routes': { 'a.test': { 'to': 'x:1', 'tls': { 'client_ca': "
                               "'ca.pem' } }, 'b.test': { 'to': 'x:1', 'tls': { 'client_ca': "
                               "'ca.pem', 'client_auth': 'request' } }, 'c.test': 'x:1' }");
    says(explained("https://a.test/", "c.test", false), "421 misdirected: the host asks");
    says(explained("https://b.test/", "c.test", true), "\"status\":421");
    says(explained("https://a.test/", "b.test", true), "\"by\":\"backend\"");
    says(explained("https://c.test/", "a.test", true), "\"by\":\"backend\"");
}

Test(client_auth, route_tests_come_with_a_certificate)
{
    route_folder_good(&folder, "'routes': { 'a.test': { 'to': 'x:1', 'tls': { 'client_ca': "
                               "'ca.pem' } }, 'c.test': 'x:1' }, 'tests': ["
                               "{ 'request': 'GET https://a.test/', 'expect': "
                               "  { 'route': 'a.test' } },"
                               "{ 'request': 'GET https://a.test/', 'sni': 'c.test', 'expect': "
                               "  { 'status': 421, 'route': 'none' } }]");
}

static char *differences(const char *before, const char *after)
{
    struct buffer out = {0};
    struct diff diff;

    route_folder_good(&folder, before);
    struct snapshot *was = snapshot_ref(folder.snapshot);
    route_folder_good(&folder, after);
    diff_make(&diff, was, folder.snapshot);
    diff_print_changes(&diff, &out, false);
    char *text = arena_text(&arena, buffer_content(&out));
    buffer_clear(&out);
    diff_clear(&diff);
    snapshot_unref(was);
    return text;
}

Test(client_auth, diff_tells_the_file_s_and_the_hosts_changes)
{
    char *text = differences(EVERYWHERE "'routes': { 'a.test': 'x:1', 'b.test': 'x:1' }",
                             "'tls': { 'client_ca': 'other.pem', 'client_auth': 'request' }, "
                             "'routes': { 'a.test': 'x:1', 'b.test': { 'to': 'x:1', 'tls': "
                             "{ 'client_auth': 'off' } } }");

    says(text, "tls.client_auth: require -> request");
    says(text, "tls.client_ca: ");
    says(text, "tls.client_auth of b.test: require -> off");
    cr_expect(!strstr(text, "a.test"), "%s", text);
    text = differences(EVERYWHERE "'routes': { 'a.test': 'x:1' }",
                       EVERYWHERE "'routes': {   'a.test': 'x:1' }");
    cr_expect_str_empty(text);
}

Test(client_auth, diff_tells_another_content)
{
    struct snapshot *was;
    struct diff diff;

    route_folder_good(&folder, EVERYWHERE "'routes': { 'a.test': 'x:1' }");
    was = snapshot_ref(folder.snapshot);
    route_folder_authority(&folder, "ca.pem");
    route_folder_good(&folder, EVERYWHERE "'routes': { 'a.test': 'x:1' }");
    diff_make(&diff, was, folder.snapshot);
    cr_assert_eq(diff.count, 1);
    cr_expect(slice_equal(diff.list[0].key, slice_of("tls.client_ca")));
    cr_expect(slice_ends_with(diff.list[0].is, slice_of("with other authorities in it")));
    diff_clear(&diff);
    snapshot_unref(was);
}
