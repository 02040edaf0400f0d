/* `sallyport certs` and GET /certs: every certificate, its state, and who goes dark with it. */
#include "harness/await.h"
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <string.h>

E2E_SUITE(certs_command);

static const char *write_cert(const char *file, const struct cert_options *options)
{
    const char *path = workplace_path("own/%s", file);

    workplace_make_folder("own");
    cert_write_bundle(cert_make(options), path);
    return path;
}

static struct gateway *start(void)
{
    return gateway_start("{ 'listen': { 'https': '127.0.0.1:0', 'status': '127.0.0.1:0',"
                         "              'admin': 'unix:@tmp/admin.sock' },"
                         "  'certs': 'own', 'routes': { 'a.example': '127.0.0.1:1',"
                         "  'b.example': '127.0.0.1:1', 'c.example': '127.0.0.1:1' } }");
}

static const char *routes(void)
{
    return workplace_path("routes.json");
}

static json_t *list_certs(const char *within)
{
    struct command *command =
        within == NULL ? SALLYPORT("certs", "--json", "-c", routes())
                       : SALLYPORT("certs", "--json", "--within", within, "-c", routes());

    command_expect(command, 0);
    json_t *answer = json_from(command->out);
    expect_number(answer, "generation", 1);
    return json_member(answer, "certificates");
}

/* The text says so behind the words that come before it. */
static void expect_in_order(const char *said, const char *first, const char *second)
{
    const char *at = strstr(said, first);

    workplace_require(at != NULL && strstr(at, second) != NULL, "not '%s' and then '%s' in\n%s",
                      first, second, said);
}

Test(certs_command, every_certificate_with_what_matters)
{
    const char *a = write_cert(
        "a.pem",
        &(struct cert_options){.names = "a.example, *.a.example", .from_days = -10, .to_days = 20});
    const char *b = write_cert(
        "b.pem", &(struct cert_options){
                     .names = "b.example", .kind = CERT_RSA, .from_days = -30, .to_days = -2});
    struct gateway *gateway = start();
    json_t *list = list_certs(NULL);
    json_t *row = entry_of_file(list, a);

    cr_assert_eq(json_array_size(list), 2);
    cr_assert_not_null(row);
    cr_assert_eq(json_array_size(json_member(row, "names")), 2);
    cr_assert_str_eq(json_string_value(json_array_get(json_member(row, "names"), 1)),
                     "*.a.example");
    expect_string(row, "key", "ECDSA P-256");
    expect_string(row, "state", "serving");
    expect_null(row, "reason");
    expect_null(row, "since");
    /* Its twentieth day is whole only within the second in which it was made. */
    int days = (int)json_integer_value(json_member(row, "days_left"));
    cr_assert(days == 19 || days == 20);
    cr_assert_eq(strlen(json_string_value(json_member(row, "not_after"))),
                 strlen("2026-01-01T00:00:00.000Z"));
    row = entry_of_file(list, b);
    cr_assert_not_null(row);
    expect_string(row, "state", "expired");
    struct command *command = SALLYPORT("certs", "-c", routes());
    command_expect(command, 0);
    expect_in_order(command->out, "a.example, *.a.example\n", text("%s: serving, ECDSA P-256", a));
    expect_in_order(command->out, text("%s: serving", a), " days)");
    command_says(command, text("%s: expired, RSA", b));
    gateway_stop(gateway);
}

Test(certs_command, hosts_that_go_dark_and_those_that_do_not)
{
    const char *soon = write_cert(
        "soon.pem",
        &(struct cert_options){.names = "a.example, b.example", .from_days = -10, .to_days = 20});
    const char *later = write_cert(
        "later.pem", &(struct cert_options){.names = "b.example", .from_days = -20, .to_days = 60});
    struct gateway *gateway = start();
    json_t *list = list_certs(NULL);
    json_t *hosts = json_member(entry_of_file(list, soon), "hosts");

    cr_assert_eq(json_array_size(hosts), 2);
    expect_string(json_array_get(hosts, 0), "host", "a.example");
    expect_null(json_array_get(hosts, 0), "covered_by");
    expect_string(json_array_get(hosts, 1), "host", "b.example");
    expect_string(json_array_get(hosts, 1), "covered_by", later);
    cr_assert_eq(json_array_size(json_member(entry_of_file(list, later), "hosts")), 0);
    struct command *command = SALLYPORT("certs", "-c", routes());
    command_expect(command, 0);
    expect_in_order(command->out, text("%s: serving", soon), "a.example: goes dark with it");
    expect_in_order(command->out, text("%s: serving", soon),
                    text("b.example: %s goes on after it", later));
    cr_assert_null(strstr(command->out, "c.example"), "no certificate answers for it");
    gateway_stop(gateway);
}

Test(certs_command, within_a_time)
{
    const char *soon = write_cert(
        "soon.pem", &(struct cert_options){.names = "a.example", .from_days = -10, .to_days = 20});
    const char *later = write_cert(
        "later.pem", &(struct cert_options){.names = "b.example", .from_days = -10, .to_days = 60});
    struct gateway *gateway = start();

    json_t *list = list_certs("30d");
    cr_assert_eq(json_array_size(list), 1);
    cr_assert_not_null(entry_of_file(list, soon));
    cr_assert_eq(json_array_size(list_certs("10d")), 0);
    cr_assert_eq(json_array_size(list_certs("1442h")), 2);
    struct command *command = SALLYPORT("certs", "--within", "30d", "-c", routes());
    command_expect(command, 0);
    command_says(command, soon);
    cr_assert_null(strstr(command->out, later));
    gateway_stop(gateway);
}

Test(certs_command, quarantined_ones_are_always_told)
{
    const char *good = write_cert("a.pem", &(struct cert_options){.names = "a.example"});
    const char *broken = workplace_path("own/b.pem");
    workplace_write(broken, "no certificate\n", 15);
    workplace_write(text("%s", workplace_path("own/c.crt")), "-----BEGIN CERT", 15);
    cert_write_key(cert_new("c.example"), workplace_path("own/c.key"));
    struct gateway *gateway = start();
    json_t *list = list_certs("1d");

    cr_assert_null(entry_of_file(list, good));
    json_t *row = entry_of_file(list, workplace_path("own/c.crt"));
    cr_assert_not_null(row, "%s", json_dumps(list, 0));
    expect_string(row, "state", "quarantined");
    const char *why = json_string_value(json_member(row, "reason"));
    cr_assert(why != NULL && *why != '\0');
    cr_assert(json_is_string(json_member(row, "since")));
    struct command *command = SALLYPORT("certs", "-c", routes());
    command_expect(command, 0);
    command_says(command, text("%s: quarantined", workplace_path("own/c.crt")));
    command_says(command, text("%s; not served", why));
    gateway_stop(gateway);
}

Test(certs_command, exit_codes)
{
    const char *path =
        route_file("routes.json", "{ @base, 'routes': { 'a.test': '127.0.0.1:1' } }");
    struct command *command = SALLYPORT("certs", "-c", path);

    command_expect(command, 1);
    command_says(command, "admin.sock");
    command_expect(SALLYPORT("certs", "--within", "soon", "-c", path), 2);
    command_expect(SALLYPORT("certs", "--within", "-c", path), 2);
    command_expect(SALLYPORT("certs", "--within", "0", "-c", path), 2);
    command_expect(SALLYPORT("certs", "a.test", "-c", path), 2);
    command_expect(SALLYPORT("status", "--within", "30d", "-c", path), 2);
}

Test(certs_command, endpoint_is_of_the_admin_socket_alone)
{
    write_cert("a.pem", &(struct cert_options){.names = "a.example"});
    struct gateway *gateway = start();
    struct message *response = ask_admin("GET", "/certs");

    expect_status(response, 200);
    expect_field(response, "content-type", "application/json");
    cr_assert_eq(json_array_size(json_member(json_from(response->body), "certificates")), 1);
    response = ask_admin("GET", "/certs?within=86400");
    expect_status(response, 200);
    cr_assert_eq(json_array_size(json_member(json_from(response->body), "certificates")), 0);
    expect_status(ask_admin("GET", "/certs?within=soon"), 400);
    expect_status(ask_admin("HEAD", "/certs"), 200);
    expect_status(ask_admin("POST", "/certs"), 405);
    const char *status = gateway_address(gateway, "status", 0);
    expect_status(ask_plain(status, "GET", "/certs"), 404);
    gateway_stop(gateway);
}
