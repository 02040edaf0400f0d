/* The clients people use, as they are installed: curl, openssl, Python, wget, Chromium. */
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

E2E_SUITE(clients);

static struct origin *one, *two, *other;

/* sub1, sub2 and everything else to three backends; xyz.com's names in an ECDSA and an RSA
 * certificate. */
static struct gateway *start_seed_with(const char *auth)
{
    static const char names[] = "sub1.xyz.com, sub2.xyz.com, *.xyz.com, localhost";

    one = origin_start("one");
    two = origin_start("two");
    other = origin_start("other");
    cert_write_bundle(cert_new(names), workplace_path("certs/xyz.pem"));
    cert_write_bundle(cert_make(&(struct cert_options){.names = names, .kind = CERT_RSA}),
                      workplace_path("certs/xyz-rsa.pem"));
    return gateway_start(
        "{ @base, 'routes': { 'sub1.xyz.com': { 'to': '%s' %s }, 'sub2.xyz.com': '%s', '*': '%s' "
        "} }",
        origin_address(one), auth, origin_address(two), origin_address(other));
}

static struct gateway *start_seed(void)
{
    return start_seed_with("");
}

static bool is_missing(const char *program)
{
    if (command_exists(program))
        return false;
    fprintf(stderr, "skipped: %s is not installed\n", program);
    return true;
}

static const struct {
    const char *host, *name;
} seed[] = {{"sub1.xyz.com", "one\n"}, {"sub2.xyz.com", "two\n"}, {"sub3.xyz.com", "other\n"}};

Test(clients, curl)
{
    if (is_missing("curl"))
        return;
    struct gateway *gateway = start_seed();
    int port = gateway_port(gateway, "https");

    for (int i = 0; i < 3; i++) {
        struct command *command =
            COMMAND("curl", "-sS", "--noproxy", "*", "--cacert", workplace_path("ca.pem"),
                    "--resolve", text("%s:%d:127.0.0.1", seed[i].host, port),
                    text("https://%s:%d/", seed[i].host, port));
        command_expect(command, 0);
        cr_assert_eq(strncmp(command->out, seed[i].name, strlen(seed[i].name)), 0);
    }
    struct command *command =
        COMMAND("curl", "-sS", "--noproxy", "*", "--cacert", workplace_path("ca.pem"), "--resolve",
                text("sub1.xyz.com:%d:127.0.0.1", port), "-X", "POST", "--data-binary",
                text("@%s", workplace_path("ca.pem")), "-H", "Expect: 100-continue", "--http2",
                text("https://sub1.xyz.com:%d/", port));
    command_expect(command, 0);
    cr_assert_str_eq(origin_finished_request(one, 1)->body,
                     workplace_read(workplace_path("ca.pem")));
    gateway_stop(gateway);
}

Test(clients, openssl_s_client)
{
    if (is_missing("openssl"))
        return;
    struct gateway *gateway = start_seed();
    static const char request[] =
        "GET / HTTP/1.1\r\nHost: sub1.xyz.com\r\nConnection: close\r\n\r\n";
    const char *const argv[] = {"openssl",
                                "s_client",
                                "-connect",
                                gateway_https(gateway),
                                "-servername",
                                "sub1.xyz.com",
                                "-CAfile",
                                workplace_path("ca.pem"),
                                "-verify_return_error",
                                "-ign_eof",
                                NULL};
    struct command *command = command_run_with(argv, request, NULL);

    command_expect(command, 0);
    command_says(command, "Verify return code: 0 (ok)");
    command_says(command, "CN = sub1.xyz.com");
    command_says(command, "one\n");
    command_says(command, "id-ecPublicKey");

    const char *const rsa_only[] = {"openssl",
                                    "s_client",
                                    "-connect",
                                    gateway_https(gateway),
                                    "-servername",
                                    "sub2.xyz.com",
                                    "-CAfile",
                                    workplace_path("ca.pem"),
                                    "-verify_return_error",
                                    "-sigalgs",
                                    "RSA-PSS+SHA256:RSA+SHA256",
                                    NULL};
    command = command_run_with(rsa_only, "", NULL);
    command_says(command, "CN = sub1.xyz.com");
    command_says(command, "rsaEncryption");

    const char *const unknown[] = {
        "openssl",     "s_client",       "-connect", gateway_https(gateway),
        "-servername", "nobody.example", NULL};
    command = command_run_with(unknown, "", NULL);
    cr_assert_neq(command->exit_code, 0);
    command_says(command, "unrecognized name");
    gateway_stop(gateway);
}

static const char python_program[] =
    "import http.client, socket, ssl, sys\n"
    "port, ca = int(sys.argv[1]), sys.argv[2]\n"
    "context = ssl.create_default_context(cafile=ca)\n"
    "for host, name in (('sub1.xyz.com', 'one'), ('sub2.xyz.com', 'two'), ('sub3.xyz.com', "
    "'other')):\n"
    "    raw = socket.create_connection(('127.0.0.1', port), timeout=30)\n"
    "    connection = http.client.HTTPSConnection(host, port, timeout=30)\n"
    "    connection.sock = context.wrap_socket(raw, server_hostname=host)\n"
    "    for i in range(3):\n"
    "        connection.request('POST', '/%d' % i, body=iter([b'a', b'b' * 1000]), "
    "encode_chunked=True,\n"
    "                           headers={'Transfer-Encoding': 'chunked'})\n"
    "        answer = connection.getresponse()\n"
    "        text = answer.read().decode()\n"
    "        assert answer.status == 200 and text.startswith(name + '\\n'), (answer.status, text)\n"
    "    connection.close()\n"
    "print('all served')\n";

Test(clients, python_http_client)
{
    if (is_missing("python3"))
        return;
    struct gateway *gateway = start_seed();
    struct command *command =
        COMMAND("python3", "-c", python_program, text("%d", gateway_port(gateway, "https")),
                workplace_path("ca.pem"));

    command_expect(command, 0);
    command_says(command, "all served");
    cr_assert_eq(origin_finished_request(one, 2)->body_bytes, 1001);
    gateway_stop(gateway);
}

Test(clients, wget)
{
    if (is_missing("wget"))
        return;
    struct gateway *gateway = start_seed();
    struct command *command = COMMAND(
        "wget", "-q", "-O", "-", "--no-proxy", "--tries=1", "--timeout=30", "--ca-certificate",
        workplace_path("ca.pem"), text("https://localhost:%d/x", gateway_port(gateway, "https")));

    command_expect(command, 0);
    cr_assert_eq(strncmp(command->out, "other\n", 6), 0, "%s", command->out);
    gateway_stop(gateway);
}

static const char page[] = "<!doctype html><title>page</title><p id=a>before</p>"
                           "<script src=/script.js></script>";
static const char script[] = "document.getElementById('a').textContent='the script ran';";

static void serve_page(struct origin *origin)
{
    origin_set_reply(
        origin, "/",
        text("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(page), page));
    origin_set_reply(origin, "/script.js",
                     text("HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n0\r\n\r\n",
                          strlen(script), script));
}

/* The CA in a trust store of the browser's own home, which is the temporary folder. */
static void trust_ca(void)
{
    const char *store = text("sql:%s", workplace_make_folder(".pki/nssdb"));

    command_expect(COMMAND("certutil", "-N", "-d", store, "--empty-password"), 0);
    command_expect(COMMAND("certutil", "-A", "-d", store, "-t", "C,,", "-n", "test", "-i",
                           workplace_path("ca.pem")),
                   0);
}

Test(clients, chromium)
{
    if (is_missing("chromium") || is_missing("certutil"))
        return;
    const char users[] =
        "alice:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"; /* secret */
    workplace_write(workplace_path("users"), users, strlen(users));
    struct gateway *gateway = start_seed_with(
        ", 'auth': { 'basic': { 'users': 'users', 'realm': 'staff', 'copy': 'X-User' } }");
    const char *const argv[] = {
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--no-proxy-server",
        text("--user-data-dir=%s", workplace_path("browser")),
        "--host-resolver-rules=MAP * 127.0.0.1",
        "--dump-dom",
        text("https://alice:secret@sub1.xyz.com:%d/", gateway_port(gateway, "https")),
        NULL};
    const char *const environment[] = {text("HOME=%s", workplace_folder()), NULL};

    workplace_allow_seconds(600);
    serve_page(one);
    trust_ca();
    struct command *command = command_run_with(argv, NULL, environment);
    command_expect(command, 0);
    cr_assert_not_null(strstr(command->out, "the script ran"), "%s\n%s", command->out,
                       command->err);
    expect_string(log_entry_with(gateway, "path", "/script.js"), "proto", "HTTP/2.0");
    expect_field(origin_last_request(one), "X-User", "alice");
    gateway_stop(gateway);
}
