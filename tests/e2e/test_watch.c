/* Nobody tells the gateway anything: what changes in the places of certificates, and in the route
 * file where it is to be watched too, is served by itself. */
#include "harness/await.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

E2E_SUITE(watch);

#define ROUTES                                                              \
    "{ 'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/%s.sock' }," \
    "  'certs': %s, 'log': { 'access': 'off' }, %s"                         \
    "  'routes': { '*': { 'respond': { 'body': '%s' } } } }"

static const char *routes(const char *certs, const char *more, const char *body)
{
    return route_file("routes.json", ROUTES, "admin", certs, more, body);
}

static struct gateway *start(const char *certs, const char *more)
{
    return gateway_start_with(&(struct gateway_options){.routes = routes(certs, more, "one")});
}

/* One that watches the same certificates: once it serves what changed, whoever does not was told
 * not to. */
static struct gateway *start_witness(const char *certs)
{
    return gateway_start_with(&(struct gateway_options){
        .routes = route_file("witness.json", ROUTES, "witness", certs, "", "witness")});
}

static void move_to(const char *from, const char *to)
{
    workplace_require(rename(workplace_path("%s", from), workplace_path("%s", to)) == 0,
                      "cannot move %s to %s", from, to);
}

static void link_to(const char *target, const char *name)
{
    const char *path = workplace_path("%s", name);
    const char *beside = text("%s.new", path);

    workplace_require(symlink(target, beside) == 0 && rename(beside, path) == 0, "no link %s",
                      name);
}

static void remove_file(const char *name)
{
    workplace_require(unlink(workplace_path("%s", name)) == 0, "cannot remove %s", name);
}

/* Over what is there, in two pieces, without a rename. */
static void overwrite(const char *name, const char *bytes)
{
    size_t length = strlen(bytes), half = length / 2;
    int fd = open(workplace_path("%s", name), O_WRONLY | O_TRUNC | O_CLOEXEC);

    workplace_require(fd >= 0 && write(fd, bytes, half) == (ssize_t)half &&
                          write(fd, bytes + half, length - half) == (ssize_t)(length - half) &&
                          close(fd) == 0,
                      "cannot write %s", name);
}

static struct cert *bundle(const char *name, const char *names)
{
    struct cert *cert = cert_new(names);

    cert_write_bundle(cert, workplace_path("%s", name));
    return cert;
}

static struct cert *pair(const char *chain, const char *key, const char *names)
{
    struct cert *cert = cert_new(names);

    cert_write_key(cert, workplace_path("%s", key));
    cert_write_chain(cert, workplace_path("%s", chain));
    return cert;
}

/* --- certificates --------------------------------------------------------------------------------
 */

Test(watch, key_and_chain_are_renamed_one_after_the_other)
{
    workplace_make_folder("own");
    struct cert *old = pair("own/a.crt", "own/a.key", "a.example");
    struct gateway *gateway = start("'own'", "");

    for (int i = 0; i < 3; i++) {
        struct cert *new = pair("next.crt", "next.key", "a.example");
        long long moment = monitor_now_ms();
        move_to("next.key", "own/a.key");
        move_to("next.crt", "own/a.crt");
        bool is_at_once = monitor_now_ms() - moment < 100;
        await_certificate(gateway, "a.example", old, new);
        cr_assert(!is_at_once || count_words(gateway, "quarantined: ") == 0, "taken by halves");
        old = new;
    }
    gateway_stop(gateway);
}

Test(watch, file_is_rewritten_in_place)
{
    workplace_make_folder("own");
    struct cert *old = bundle("own/a.pem", "a.example");
    struct gateway *gateway = start("'own'", "");
    struct cert *new = bundle("next.pem", "a.example");

    overwrite("own/a.pem", workplace_read(workplace_path("next.pem")));
    await_certificate(gateway, "a.example", old, new);
    gateway_stop(gateway);
}

Test(watch, kubernetes_turns_its_link)
{
    workplace_make_folder("own/..1");
    struct cert *old = pair("own/..1/tls.crt", "own/..1/tls.key", "a.example");
    link_to("..1", "own/..data");
    link_to("..data/tls.crt", "own/tls.crt");
    link_to("..data/tls.key", "own/tls.key");
    struct gateway *gateway = start("'own'", "");

    for (int i = 2; i < 5; i++) {
        workplace_make_folder(text("own/..%d", i));
        struct cert *new =
            pair(text("own/..%d/tls.crt", i), text("own/..%d/tls.key", i), "a.example");
        link_to(text("..%d", i), "own/..data");
        remove_file(text("own/..%d/tls.crt", i - 1));
        remove_file(text("own/..%d/tls.key", i - 1));
        cr_assert_eq(rmdir(workplace_path("own/..%d", i - 1)), 0);
        await_certificate(gateway, "a.example", old, new);
        old = new;
    }
    cr_assert_eq(count_words(gateway, "quarantined: "), 0);
    gateway_stop(gateway);
}

Test(watch, certbot_turns_its_links_to_the_archive)
{
    workplace_make_folder("le/live/a.example");
    workplace_make_folder("le/archive/a.example");
    struct cert *old = pair("le/archive/a.example/fullchain1.pem",
                            "le/archive/a.example/privkey1.pem", "a.example");
    link_to("../../archive/a.example/fullchain1.pem", "le/live/a.example/fullchain.pem");
    link_to("../../archive/a.example/privkey1.pem", "le/live/a.example/privkey.pem");
    struct gateway *gateway = start("'le/live'", "");

    for (int i = 2; i < 4; i++) {
        struct cert *new = pair(text("le/archive/a.example/fullchain%d.pem", i),
                                text("le/archive/a.example/privkey%d.pem", i), "a.example");
        link_to(text("../../archive/a.example/privkey%d.pem", i), "le/live/a.example/privkey.pem");
        link_to(text("../../archive/a.example/fullchain%d.pem", i),
                "le/live/a.example/fullchain.pem");
        await_certificate(gateway, "a.example", old, new);
        old = new;
    }
    gateway_stop(gateway);
}

Test(watch, certificates_come_and_go)
{
    workplace_make_folder("own");
    struct cert *stays = bundle("own/stays.pem", "stays.example");
    struct gateway *gateway = start("'own'", "");

    expect_certificate(gateway, "a.example", NULL);
    struct cert *added = pair("own/a.crt", "own/a.key", "a.example");
    await_certificate(gateway, "a.example", NULL, added);
    workplace_make_folder("own/sub");
    struct cert *below = pair("own/sub/tls.crt", "own/sub/tls.key", "b.example");
    await_certificate(gateway, "b.example", NULL, below);
    struct cert *renewed = pair("own/sub/tls.crt", "own/sub/tls.key", "b.example");
    await_certificate(gateway, "b.example", below, renewed);

    remove_file("own/a.crt");
    remove_file("own/a.key");
    await_certificate(gateway, "a.example", added, NULL);
    remove_file("own/sub/tls.key");
    remove_file("own/sub/tls.crt");
    cr_assert_eq(rmdir(workplace_path("own/sub")), 0);
    await_certificate(gateway, "b.example", renewed, NULL);
    expect_certificate(gateway, "stays.example", stays);
    gateway_stop(gateway);
}

Test(watch, files_and_pairs_that_certs_names_by_themselves)
{
    workplace_make_folder("apart");
    struct cert *file = bundle("apart/file.pem", "file.example");
    struct cert *both = pair("apart/chain", "apart/key", "pair.example");
    struct gateway *gateway =
        start("['@tmp/apart/file.pem', { 'chain': 'apart/chain', 'key': 'apart/key' }]", "");
    struct cert *new = bundle("apart/file.pem", "file.example");

    await_certificate(gateway, "file.example", file, new);
    struct cert *renewed = pair("apart/chain", "apart/key", "pair.example");
    await_certificate(gateway, "pair.example", both, renewed);
    struct cert *again = bundle("next.pem", "file.example");
    overwrite("apart/file.pem", workplace_read(workplace_path("next.pem")));
    await_certificate(gateway, "file.example", new, again);
    gateway_stop(gateway);
}

static bool is_stapled(struct gateway *gateway, const char *sni)
{
    struct client *client = client_make(gateway_https(gateway),
                                        &(struct client_options){.sni = sni, .wants_ocsp = true});
    const unsigned char *staple = NULL;

    workplace_require(client != NULL && client->is_connected, "%s is not served", sni);
    bool is = SSL_get_tlsext_status_ocsp_resp(client->wire.ssl, &staple) > 0;
    client_free(client);
    return is;
}

static void await_staple(struct gateway *gateway, bool is_wanted)
{
    long long start = monitor_now_ms();

    while (is_stapled(gateway, "a.example") != is_wanted)
        workplace_require(monitor_may_ask_again(start), "the OCSP response does not %s",
                          is_wanted ? "come" : "go");
}

Test(watch, ocsp_response_comes_and_goes)
{
    workplace_make_folder("own");
    struct cert *cert = bundle("own/a.pem", "a.example");
    struct gateway *gateway = start("'own'", "");

    cr_assert(!is_stapled(gateway, "a.example"));
    cert_write_ocsp(cert, workplace_path("own/a.ocsp"));
    await_staple(gateway, true);
    remove_file("own/a.ocsp");
    await_staple(gateway, false);
    gateway_stop(gateway);
}

/* --- what is watched, and what is not ------------------------------------------------------------
 */

Test(watch, all_takes_the_route_file_too)
{
    struct gateway *gateway = start("'certs'", "'watch': 'all',");

    routes("'certs'", "'watch': 'all',", "two");
    await_body(gateway, "a.test", "two");
    const char *beside =
        route_file("next.json", ROUTES, "admin", "'certs'", "'watch': 'all',", "three");
    overwrite("routes.json", workplace_read(beside));
    await_body(gateway, "a.test", "three");
    gateway_stop(gateway);
}

Test(watch, all_refuses_a_broken_route_file_once)
{
    workplace_make_folder("own");
    struct cert *old = bundle("own/a.pem", "a.example");
    struct gateway *gateway = start("'own'", "'watch': 'all',");

    routes("'own'", "'watch': 'all', 'oops': 1,", "two");
    gateway_wait_stderr(gateway, "reload_refused", NULL);
    gateway_wait_stderr(gateway, "oops", NULL);
    expect_body(fetch(gateway, "a.example", "/"), "one");
    /* The certificates go on meanwhile. */
    struct cert *new = bundle("own/a.pem", "a.example");
    await_certificate(gateway, "a.example", old, new);
    expect_body(fetch(gateway, "a.example", "/"), "one");
    cr_assert_eq(count_words(gateway, "reload_refused"), 1);
    routes("'own'", "'watch': 'all',", "two");
    await_body(gateway, "a.example", "two");
    cr_assert_eq(count_words(gateway, "reload_refused"), 1);
    gateway_stop(gateway);
}

Test(watch, renewal_leaves_an_edited_route_file_alone)
{
    workplace_make_folder("own");
    struct cert *first = bundle("own/a.pem", "a.example");
    struct gateway *gateway = start("'own'", "");

    routes("'own'", "", "two");
    struct cert *second = bundle("own/a.pem", "a.example");
    await_certificate(gateway, "a.example", first, second);
    expect_body(fetch(gateway, "a.example", "/"), "one");
    workplace_write(workplace_path("routes.json"), "{ \"certs\": \"own\", \"rou", 22);
    struct cert *third = bundle("own/a.pem", "a.example");
    await_certificate(gateway, "a.example", second, third);
    expect_body(fetch(gateway, "a.example", "/"), "one");
    cr_assert_eq(count_words(gateway, "reload_refused"), 0);
    cr_assert_eq(unlink(workplace_path("routes.json")), 0);
    struct cert *fourth = bundle("own/a.pem", "a.example");
    await_certificate(gateway, "a.example", third, fourth);
    routes("'own'", "", "five");
    expect_status(ask_admin("POST", "/reload"), 200);
    expect_body(fetch(gateway, "a.example", "/"), "five");
    gateway_stop(gateway);
}

Test(watch, off_takes_nothing_by_itself)
{
    workplace_make_folder("own");
    struct cert *old = bundle("own/a.pem", "a.example");
    struct gateway *gateway = start("'own'", "'watch': 'off',");
    struct gateway *witness = start_witness("'own'");
    struct cert *new = bundle("own/a.pem", "a.example");

    await_certificate(witness, "a.example", old, new);
    expect_certificate(gateway, "a.example", old);
    expect_number(json_from(ask_admin("GET", "/status")->body), "generation", 1);
    expect_status(ask_admin("POST", "/reload"), 200);
    expect_certificate(gateway, "a.example", new);
    gateway_stop(witness);
    gateway_stop(gateway);
}

static void reload_to(const char *certs, const char *more, const char *body)
{
    routes(certs, more, body);
    struct message *response = ask_admin("POST", "/reload");
    expect_status(response, 200);
    cr_assert(json_is_false(json_member(json_from(response->body), "unchanged")), "not a swap");
}

Test(watch, swap_turns_to_other_folders)
{
    workplace_make_folder("own");
    workplace_make_folder("other");
    struct cert *own = bundle("own/a.pem", "a.example");
    struct cert *other = bundle("other/b.pem", "b.example");
    struct gateway *gateway = start("'own'", "'watch': 'off',");
    struct gateway *witness = start_witness("['own', 'other']");

    reload_to("'other'", "", "one");
    expect_certificate(gateway, "a.example", NULL);
    struct cert *renewed = bundle("other/b.pem", "b.example");
    await_certificate(gateway, "b.example", other, renewed);
    /* Where it looked before is nothing to it any more. */
    struct cert *newer = bundle("own/a.pem", "a.example");
    await_certificate(witness, "a.example", own, newer);
    expect_certificate(gateway, "a.example", NULL);
    expect_number(json_from(ask_admin("GET", "/status")->body), "generation", 3);
    gateway_stop(witness);
    gateway_stop(gateway);
}

Test(watch, swap_changes_watch_alone)
{
    workplace_make_folder("own");
    struct cert *old = bundle("own/a.pem", "a.example");
    struct gateway *gateway = start("'own'", "'watch': 'off',");
    struct gateway *witness = start_witness("'own'");

    reload_to("'own'", "", "one");
    struct cert *new = bundle("own/a.pem", "a.example");
    await_certificate(gateway, "a.example", old, new);
    reload_to("'own'", "'watch': 'all',", "one");
    routes("'own'", "'watch': 'all',", "two");
    await_body(gateway, "a.example", "two");
    reload_to("'own'", "'watch': 'off',", "two");
    /* The file was watched until then: a load that its change has asked for may come behind ours.
     */
    expect_status(ask_admin("POST", "/reload"), 200);
    await_certificate(witness, "a.example", old, new);
    struct cert *last = bundle("own/a.pem", "a.example");
    await_certificate(witness, "a.example", new, last);
    expect_certificate(gateway, "a.example", new);
    gateway_stop(witness);
    gateway_stop(gateway);
}
