/* What breaks while it is served stays served as it was, everyone who is asked says so alike, and
 * it ends by itself. */
#include "harness/await.h"
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

E2E_SUITE(quarantine);

/* What is there in each test: own/a.crt with own/a.key, and own/steady.pem. */
struct scene {
    struct gateway *gateway;
    struct cert *cert, *steady;
    const char *chain, *key;
    size_t heard; /* of stderr */
};

static void write_pair(const struct scene *scene, const struct cert *cert)
{
    cert_write_key(cert, scene->key);
    cert_write_chain(cert, scene->chain);
}

static struct scene begin(const char *more)
{
    workplace_make_folder("own");
    struct scene scene = {.cert = cert_new("a.example"),
                          .steady = cert_new("steady.example"),
                          .chain = workplace_path("own/a.crt"),
                          .key = workplace_path("own/a.key")};

    cert_write_bundle(scene.steady, workplace_path("own/steady.pem"));
    write_pair(&scene, scene.cert);
    scene.gateway =
        gateway_start("{ 'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/admin.sock' },"
                      "  'certs': 'own', 'log': { 'access': 'off' }, %s"
                      "  'routes': { '*': { 'respond': { 'body': 'ok' } } } }",
                      more);
    return scene;
}

static json_t *status_now(void)
{
    struct message *response = ask_admin("GET", "/status");

    expect_status(response, 200);
    return json_from(response->body);
}

static const char *reason_in(json_t *list, const char *file)
{
    json_t *entry = entry_of_file(list, file);

    workplace_require(entry != NULL, "%s is not told", file);
    const char *reason = json_string_value(json_object_get(entry, "reason"));
    workplace_require(reason != NULL && *reason != '\0', "%s has no reason", file);
    return reason;
}

/* The event, /status, `certs` and `reload` name this file, and the same reason for it. */
static void expect_all_to_tell(const struct scene *scene, const char *file)
{
    const char *routes = workplace_path("routes.json");
    struct command *reload = SALLYPORT("reload", "--json", "-c", routes);
    struct command *certs = SALLYPORT("certs", "--json", "-c", routes);

    command_expect(reload, 0);
    command_expect(certs, 0);
    json_t *answer = json_from(reload->out);
    json_t *quarantined = json_member(answer, "quarantined");
    cr_assert(json_is_true(json_member(answer, "unchanged")));
    cr_assert_eq(json_array_size(quarantined), 1);
    const char *why = reason_in(quarantined, file);
    json_t *served = json_member(json_from(certs->out), "certificates");
    cr_assert_str_eq(reason_in(served, file), why);
    expect_string(entry_of_file(served, file), "state", "quarantined");
    json_t *status = status_now();
    json_t *listed = json_member(status, "certificates");
    cr_assert_str_eq(reason_in(listed, file), why);
    expect_string(entry_of_file(listed, file), "state", "quarantined");
    cr_assert(json_is_true(json_member(status, "config.last_reload_successful")));
    cr_assert_not_null(strstr(gateway_stderr(scene->gateway),
                              text("quarantined: %s: %s; what was read before", file, why)));
    reload = SALLYPORT("reload", "-c", routes);
    command_expect(reload, 0);
    command_says(reload, text("quarantined: %s: %s", file, why));
    certs = SALLYPORT("certs", "-c", routes);
    command_expect(certs, 0);
    command_says(certs, why);
    command_says(certs, "served as it was read before");
    cr_assert_eq(count_words(scene->gateway, text("quarantined: %s", file)), 1, "told again");
}

/* Broken by now: waits until the gateway says so, and looks at what is served. */
static void expect_quarantine(struct scene *scene)
{
    gateway_wait_stderr(scene->gateway, text("quarantined: %s", scene->chain), &scene->heard);
    expect_certificate(scene->gateway, "a.example", scene->cert);
    expect_certificate(scene->gateway, "steady.example", scene->steady);
    expect_all_to_tell(scene, scene->chain);
    /* The others are renewed meanwhile. */
    struct cert *renewed = cert_new("steady.example");
    cert_write_bundle(renewed, workplace_path("own/steady.pem"));
    await_certificate(scene->gateway, "steady.example", scene->steady, renewed);
    scene->steady = renewed;
    expect_certificate(scene->gateway, "a.example", scene->cert);
}

/* Right again by now: it ends by itself. */
static void expect_its_end(struct scene *scene, const char *file)
{
    gateway_wait_stderr(scene->gateway, text("quarantine_over: %s", file), &scene->heard);
    json_t *listed = json_member(status_now(), "certificates");
    cr_assert_eq(json_array_size(listed), 2);
    expect_string(entry_of_file(listed, scene->chain), "state", "serving");
    json_t *answer = json_from(ask_admin("POST", "/reload")->body);
    cr_assert_eq(json_array_size(json_member(answer, "quarantined")), 0);
}

static void end(struct scene *scene)
{
    gateway_stop(scene->gateway);
}

Test(quarantine, key_of_another_certificate)
{
    struct scene scene = begin("");

    cert_write_key(cert_new("z.example"), scene.key);
    expect_quarantine(&scene);
    cert_write_key(scene.cert, scene.key);
    expect_its_end(&scene, scene.chain);
    expect_certificate(scene.gateway, "a.example", scene.cert);
    end(&scene);
}

Test(quarantine, chain_that_is_half_written)
{
    struct scene scene = begin("");
    struct cert *next = cert_new("a.example");

    cert_write_chain(next, workplace_path("next.crt"));
    const char *bytes = workplace_read(workplace_path("next.crt"));
    workplace_write(scene.chain, bytes, strlen(bytes) / 3);
    expect_quarantine(&scene);
    write_pair(&scene, next);
    await_certificate(scene.gateway, "a.example", scene.cert, next);
    expect_its_end(&scene, scene.chain);
    end(&scene);
}

/* A link to itself can be read by nobody, whoever runs the tests. */
Test(quarantine, key_that_cannot_be_read)
{
    struct scene scene = begin("");

    cr_assert_eq(symlink("a.key", workplace_path("own/.link")), 0);
    cr_assert_eq(rename(workplace_path("own/.link"), scene.key), 0);
    expect_quarantine(&scene);
    struct cert *next = cert_new("a.example");
    write_pair(&scene, next);
    await_certificate(scene.gateway, "a.example", scene.cert, next);
    expect_its_end(&scene, scene.chain);
    end(&scene);
}

Test(quarantine, pair_of_which_half_is_gone)
{
    struct scene scene = begin("");

    cr_assert_eq(unlink(scene.key), 0);
    expect_quarantine(&scene);
    /* What is wholly gone was deleted. */
    cr_assert_eq(unlink(scene.chain), 0);
    await_certificate(scene.gateway, "a.example", scene.cert, NULL);
    gateway_wait_stderr(scene.gateway, text("quarantine_over: %s", scene.chain), &scene.heard);
    cr_assert_eq(json_array_size(json_member(status_now(), "certificates")), 1);
    end(&scene);
}

Test(quarantine, folder_that_vanishes_and_comes_back)
{
    struct scene scene = begin("");
    const char *folder = workplace_path("own"), *away = workplace_path("away");

    cr_assert_eq(rename(folder, away), 0);
    gateway_wait_stderr(scene.gateway, text("quarantined: %s", folder), &scene.heard);
    expect_certificate(scene.gateway, "a.example", scene.cert);
    expect_certificate(scene.gateway, "steady.example", scene.steady);
    json_t *answer = json_from(ask_admin("POST", "/reload")->body);
    cr_assert(json_is_true(json_member(answer, "unchanged")));
    const char *why = reason_in(json_member(answer, "quarantined"), folder);
    json_t *listed = json_member(status_now(), "certificates");
    cr_assert_eq(json_array_size(listed), 2);
    cr_assert_str_eq(reason_in(listed, scene.chain), why);
    cr_assert_str_eq(reason_in(listed, workplace_path("own/steady.pem")), why);
    /* It comes back with one certificate renewed. */
    struct cert *next = cert_new("a.example");
    cert_write_key(next, text("%s/a.key", away));
    cert_write_chain(next, text("%s/a.crt", away));
    cr_assert_eq(rename(away, folder), 0);
    await_certificate(scene.gateway, "a.example", scene.cert, next);
    expect_certificate(scene.gateway, "steady.example", scene.steady);
    expect_its_end(&scene, folder);
    end(&scene);
}

Test(quarantine, what_was_never_in_order_is_not_served)
{
    struct scene scene = begin("");
    const char *file = workplace_path("own/new.pem");

    workplace_write(file, "-----BEGIN CERTIFICATE-----\nAAAA\n", 33);
    gateway_wait_stderr(scene.gateway, text("quarantined: %s", file), &scene.heard);
    expect_certificate(scene.gateway, "new.example", NULL);
    json_t *row = entry_of_file(json_member(status_now(), "certificates"), file);
    cr_assert_not_null(row);
    expect_string(row, "state", "quarantined");
    struct command *certs = SALLYPORT("certs", "-c", workplace_path("routes.json"));
    command_says(certs, "not served");
    struct cert *cert = cert_new("new.example");
    cert_write_bundle(cert, file);
    await_certificate(scene.gateway, "new.example", NULL, cert);
    gateway_wait_stderr(scene.gateway, text("quarantine_over: %s", file), &scene.heard);
    end(&scene);
}

/* --- certs_strict --------------------------------------------------------------------------------
 */

Test(quarantine, certs_strict_refuses_instead)
{
    struct scene scene = begin("'certs_strict': true,");
    struct cert *renewed = cert_new("steady.example");

    cert_write_key(renewed, scene.key);
    gateway_wait_stderr(scene.gateway, "reload_refused", &scene.heard);
    json_t *status = status_now();
    cr_assert(json_is_false(json_member(status, "config.last_reload_successful")));
    cr_assert_not_null(
        strstr(json_string_value(json_member(status, "config.last_refusal")), scene.chain));
    expect_number(status, "generation", 1);
    cr_assert_eq(json_array_size(json_member(status, "certificates")), 2);
    /* All or nothing: what is in order is not taken either. */
    cert_write_bundle(renewed, workplace_path("own/steady.pem"));
    gateway_wait_stderr(scene.gateway, "reload_refused", &scene.heard);
    expect_certificate(scene.gateway, "steady.example", scene.steady);
    expect_certificate(scene.gateway, "a.example", scene.cert);
    struct command *reload = SALLYPORT("reload", "-c", workplace_path("routes.json"));
    command_expect(reload, 1);
    command_says(reload, scene.chain);
    expect_body(fetch(scene.gateway, "a.example", "/"), "ok");

    struct cert *next = cert_new("a.example");
    write_pair(&scene, next);
    await_certificate(scene.gateway, "a.example", scene.cert, next);
    await_certificate(scene.gateway, "steady.example", scene.steady, renewed);
    cr_assert(json_is_true(json_member(status_now(), "config.last_reload_successful")));
    cr_assert_eq(count_words(scene.gateway, "quarantined: "), 0);
    end(&scene);
}
