#include "curl_client.h"

#include "monitor.h"
#include "pattern.h"
#include "protocol.h"
#include "workplace.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct curl_client {
    CURL *handle;
    struct curl_slist *names;
    struct curl_slist *headers;
    char *base;
    struct curl_reply reply;
    size_t start_length;
    uint64_t to_send, sent;
    bool is_chunked;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    curl_global_init(CURL_GLOBAL_ALL);
}

static void client_free(void *object)
{
    struct curl_client *client = object;

    curl_easy_cleanup(client->handle);
    curl_slist_free_all(client->names);
    curl_slist_free_all(client->headers);
    free(client->base);
    free(client);
}

static size_t take_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct curl_client *client = arg;
    size_t length = size * count;
    size_t room = sizeof client->reply.start - 1 - client->start_length;

    if (!pattern_matches(client->reply.bytes, bytes, length))
        client->reply.is_pattern = false;
    memcpy(client->reply.start + client->start_length, bytes, length < room ? length : room);
    client->start_length += length < room ? length : room;
    client->reply.bytes += length;
    return length;
}

static size_t give_body(char *to, size_t size, size_t count, void *arg)
{
    struct curl_client *client = arg;
    uint64_t left = client->to_send - client->sent;
    size_t piece = size * count < PATTERN_PIECE ? size * count : PATTERN_PIECE;

    if (piece > left)
        piece = (size_t)left;
    memcpy(to, pattern_at(client->sent), piece);
    client->sent += piece;
    return piece;
}

struct curl_client *curl_client_new(const char *address, const char *host)
{
    struct curl_client *client = workplace_own(calloc(1, sizeof *client), client_free);
    const char *port = strrchr(address, ':') + 1;

    pthread_once(&once, prepare);
    client->handle = curl_easy_init();
    workplace_require(client->handle != NULL, "no curl");
    client->names =
        curl_slist_append(NULL, text("%s:%s:%.*s", host, port, (int)(port - 1 - address), address));
    client->base = strdup(text("https://%s:%s", host, port));
    curl_easy_setopt(client->handle, CURLOPT_RESOLVE, client->names);
    curl_easy_setopt(client->handle, CURLOPT_CAINFO, workplace_path("ca.pem"));
    curl_easy_setopt(client->handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(client->handle, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(client->handle, CURLOPT_LOW_SPEED_TIME, (long)monitor_patience_ms() / 1000);
    curl_easy_setopt(client->handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(client->handle, CURLOPT_HTTP_VERSION,
                     (long)(speaks_h2() ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
    curl_easy_setopt(client->handle, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(client->handle, CURLOPT_WRITEDATA, client);
    curl_easy_setopt(client->handle, CURLOPT_READFUNCTION, give_body);
    curl_easy_setopt(client->handle, CURLOPT_READDATA, client);
    return client;
}

void curl_client_expect_nothing(struct curl_client *client)
{
    client->headers = curl_slist_append(client->headers, "Expect:");
    curl_easy_setopt(client->handle, CURLOPT_HTTPHEADER, client->headers);
}

void curl_client_send_chunked(struct curl_client *client)
{
    client->is_chunked = true;
}

void curl_client_read_slowly(struct curl_client *client, long bytes_a_second)
{
    curl_easy_setopt(client->handle, CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)bytes_a_second);
}

struct curl_reply curl_client_do(struct curl_client *client, const char *method, const char *path,
                                 uint64_t body_bytes)
{
    bool sends = body_bytes > 0;
    long version = 0;
    char *url = malloc(strlen(client->base) + strlen(path) + 1);

    strcpy(url, client->base);
    strcat(url, path);
    memset(&client->reply, 0, sizeof client->reply);
    client->reply.is_pattern = true;
    client->start_length = 0;
    client->to_send = body_bytes;
    client->sent = 0;
    curl_easy_setopt(client->handle, CURLOPT_URL, url);
    curl_easy_setopt(client->handle, CURLOPT_UPLOAD, sends ? 1L : 0L);
    if (sends)
        curl_easy_setopt(client->handle, CURLOPT_INFILESIZE_LARGE,
                         client->is_chunked ? (curl_off_t)-1 : (curl_off_t)body_bytes);
    else
        curl_easy_setopt(client->handle, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(client->handle, CURLOPT_CUSTOMREQUEST, method);
    client->reply.error = (int)curl_easy_perform(client->handle);
    free(url);
    curl_easy_getinfo(client->handle, CURLINFO_RESPONSE_CODE, &client->reply.status);
    curl_easy_getinfo(client->handle, CURLINFO_NUM_CONNECTS, &client->reply.new_connections);
    curl_easy_getinfo(client->handle, CURLINFO_HTTP_VERSION, &version);
    workplace_require(client->reply.status == 0 ||
                          version == (speaks_h2() ? CURL_HTTP_VERSION_2_0 : CURL_HTTP_VERSION_1_1),
                      "libcurl fell back to another version of HTTP, %ld", version);
    return client->reply;
}
