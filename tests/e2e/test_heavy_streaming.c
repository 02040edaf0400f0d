/*
 * Much at once: long bodies both ways in little memory, refusals in the middle of uploads, a log
 * nobody reads. SALLYPORT_TEST_BIG_MIB (64) is the size of the long bodies, 1024 for the full
 * proof; SALLYPORT_TEST_REQUESTS (100000) the number of requests with an unread log.
 */
#include "harness/curl_client.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/pattern.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(heavy_streaming);

#define ROOM_KIB (16 * 1024)

static uint64_t big(void)
{
    return (uint64_t)workplace_number("SALLYPORT_TEST_BIG_MIB", 64) << 20;
}

/* Warms the gateway up and notes its memory; what the long bodies add must stay within 16 MiB. */
static long remember_memory(struct gateway *gateway)
{
    for (int i = 0; i < 20; i++)
        expect_status(fetch(gateway, "a.test", "/"), 200);
    gateway_forget_peak(gateway);
    return gateway_rss_kib(gateway);
}

static void expect_same_memory(struct gateway *gateway, long before)
{
    long peak = gateway_peak_kib(gateway);

    if (!gateway_is_sanitized(gateway))
        workplace_require(peak - before <= ROOM_KIB, "memory went from %ld to %ld KiB", before,
                          peak);
}

/* Reads the body and says how many bytes came and whether they were the pattern. */
static void swallow(struct origin_turn *turn)
{
    origin_read_body(turn);
    const char *verdict = text("%llu %s", (unsigned long long)turn->request->body_bytes,
                               turn->request->body_is_pattern ? "intact" : "damaged");
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(verdict),
               verdict);
}

static void expect_download(const struct curl_reply *reply)
{
    workplace_require(reply->error == 0 && reply->status == 200 && reply->bytes == big() &&
                          reply->is_pattern,
                      "download: error %d, status %ld, %llu bytes, %s", reply->error, reply->status,
                      (unsigned long long)reply->bytes, reply->is_pattern ? "intact" : "damaged");
}

static void expect_upload(const struct curl_reply *reply)
{
    workplace_require(reply->error == 0 && reply->status == 200 &&
                          strcmp(reply->start, text("%llu intact", (unsigned long long)big())) == 0,
                      "upload: error %d, status %ld, '%s'", reply->error, reply->status,
                      reply->start);
}

static struct gateway *start_streaming(struct origin *origin, uint64_t *size)
{
    *size = big();
    workplace_allow_seconds(600);
    origin_set_script(origin, "/down", origin_send_pattern, size);
    origin_set_script(origin, "/up", swallow, NULL);
    return gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(origin));
}

Test(heavy_streaming, down)
{
    struct origin *origin = origin_start("one");
    uint64_t size;
    struct gateway *gateway = start_streaming(origin, &size);
    struct curl_client *client = curl_client_new(gateway_https(gateway), "a.test");
    long before = remember_memory(gateway);

    struct curl_reply reply = curl_client_do(client, NULL, "/down", 0);
    expect_download(&reply);
    expect_same_memory(gateway, before);
    gateway_stop(gateway);
}

Test(heavy_streaming, up)
{
    struct origin *origin = origin_start("one");
    uint64_t size;
    struct gateway *gateway = start_streaming(origin, &size);
    struct curl_client *client = curl_client_new(gateway_https(gateway), "a.test");
    long before = remember_memory(gateway);

    struct curl_reply reply = curl_client_do(client, "PUT", "/up", big());
    expect_upload(&reply);
    expect_same_memory(gateway, before);
    gateway_stop(gateway);
}

Test(heavy_streaming, up_chunked)
{
    struct origin *origin = origin_start("one");
    uint64_t size;
    struct gateway *gateway = start_streaming(origin, &size);
    struct curl_client *client = curl_client_new(gateway_https(gateway), "a.test");

    curl_client_send_chunked(client);
    struct curl_reply reply = curl_client_do(client, "POST", "/up", big());
    expect_upload(&reply);
    gateway_stop(gateway);
}

static void *upload(void *arg)
{
    struct curl_reply reply = curl_client_do(arg, "PUT", "/up", big());

    expect_upload(&reply);
    return NULL;
}

/* Reads a long body through a tiny receive buffer in small pieces: the gateway must wait all the
 * time. */
static void read_slowly(struct gateway *gateway)
{
    struct client *client =
        client_open_with(gateway_https(gateway),
                         &(struct client_options){.sni = "a.test", .has_small_window = true});

    client_send(client, "GET /down HTTP/1.1\r\nHost: a.test\r\n\r\n");
    struct message *response = client_response_head(client);
    message_read_body(&client->wire, response, "GET");
    workplace_require(response->is_complete && response->body_bytes == big() &&
                          response->body_is_pattern,
                      "slow download: %llu bytes, %s, %s", (unsigned long long)response->body_bytes,
                      response->is_complete ? "complete" : "broken off",
                      response->body_is_pattern ? "intact" : "damaged");
}

Test(heavy_streaming, both_at_once_through_a_slow_reader)
{
    struct origin *origin = origin_start("one");
    uint64_t size;
    struct gateway *gateway = start_streaming(origin, &size);
    struct curl_client *client = curl_client_new(gateway_https(gateway), "a.test");
    long before = remember_memory(gateway);
    pthread_t uploader;

    pthread_create(&uploader, NULL, upload, client);
    read_slowly(gateway);
    pthread_join(uploader, NULL);
    expect_same_memory(gateway, before);
    gateway_stop(gateway);
}

Test(heavy_streaming, both_at_once_in_one_request)
{
    struct origin *origin = origin_start("one");
    uint64_t size;
    struct gateway *gateway = start_streaming(origin, &size);
    struct curl_client *client = curl_client_new(gateway_https(gateway), "a.test");
    long before = remember_memory(gateway);
    int asked = origin_requests(origin);

    /* libcurl takes a final answer instead of 100 Continue as leave not to send. */
    curl_client_expect_nothing(client);
    struct curl_reply reply = curl_client_do(client, "PUT", "/down", big());
    expect_download(&reply);
    struct message *seen = origin_finished_request(origin, asked);
    cr_assert(seen->is_complete && seen->body_is_pattern);
    cr_assert_eq(seen->body_bytes, big());
    expect_same_memory(gateway, before);
    gateway_stop(gateway);
}

Test(heavy_streaming, backend_waits_for_a_client_that_does_not_read)
{
    struct origin *origin = origin_start("one");
    uint64_t size;
    struct gateway *gateway = start_streaming(origin, &size);
    long before = remember_memory(gateway);

    /* Nobody reads these; others are served meanwhile, in the same memory. */
    for (int i = 0; i < 8; i++) {
        struct client *client =
            client_open_with(gateway_https(gateway),
                             &(struct client_options){.sni = "a.test", .has_small_window = true});
        client_send(client, "GET /down HTTP/1.1\r\nHost: a.test\r\n\r\n");
        client_response_head(client);
    }
    for (int i = 0; i < 50; i++)
        expect_status(fetch(gateway, "a.test", "/"), 200);
    expect_same_memory(gateway, before);
    gateway_signal(gateway, SIGTERM);
    gateway_wait_stderr(gateway, "draining", NULL); /* signals that wait together are one */
    gateway_signal(gateway, SIGTERM);
    gateway_stop_expecting(gateway, 1);
}

static void refuse_large_upload(bool is_chunked)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'defaults': { 'max_body': '1MiB' }, 'routes': { 'a.test': '%s' } }",
                      origin_address(origin));

    origin_set_script(origin, "/up", swallow, NULL);
    for (int i = 0; i < 5; i++) {
        struct curl_client *client = curl_client_new(gateway_https(gateway), "a.test");
        if (is_chunked)
            curl_client_send_chunked(client);
        struct curl_reply reply = curl_client_do(client, "PUT", "/up", (uint64_t)100 << 20);
        workplace_require(reply.status == 413 && strstr(reply.start, "body_too_large") != NULL,
                          "error %d, status %ld, '%s'", reply.error, reply.status, reply.start);
    }
    gateway_stop(gateway);
}

Test(heavy_streaming, refusal_during_a_large_upload_is_read_whole)
{
    refuse_large_upload(false);
}

Test(heavy_streaming, refusal_during_a_large_chunked_upload_is_read_whole)
{
    refuse_large_upload(true);
}

#define BATCH        100
#define A_CONNECTION 10000

Test(heavy_streaming, log_that_nobody_reads_stops_nobody)
{
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json",
                             "{ @base, 'routes': { '*': { 'respond': { 'body': 'ok' } } } }"),
        .leaves_stdout_unread = true});
    struct client *client = NULL;
    const char *batch = "";
    long requests = workplace_number("SALLYPORT_TEST_REQUESTS", 100000);

    workplace_allow_seconds(600);
    for (int i = 0; i < BATCH; i++)
        batch = text("%sGET /a/rather/long/path/so/that/the/log/is/full/soon HTTP/1.1\r\n"
                     "Host: a.test\r\n\r\n",
                     batch);
    struct message *response = NULL;
    for (long served = 0; served < requests; served += BATCH) {
        if (served % A_CONNECTION == 0) /* which ends with the last request that it may carry */
            client = client_open(gateway, "a.test");
        client_send_bytes(client, batch, strlen(batch));
        for (int i = 0; i < BATCH; i++) {
            response = message_make();
            bool is_whole = message_read_head(&client->wire, response, false) &&
                            message_read_body(&client->wire, response, "GET");
            int status = response->status;
            message_free(response);
            workplace_require(is_whole && status == 200, "request %ld: status %d", served + i,
                              status);
        }
    }
    expect_status(fetch(gateway, "a.test", "/"), 200);
    gateway_stop(gateway);
}
