/* libcurl as a client: names resolved to the gateway, the test CA trusted, safe in threads. */
#ifndef E2E_CURL_CLIENT_H
#define E2E_CURL_CLIENT_H

#include "gateway_process.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct curl_client;

struct curl_reply {
    int error; /* CURLcode; 0 for a whole response */
    long status;
    uint64_t bytes;  /* of the body */
    bool is_pattern; /* the body is the pattern's beginning */
    char start[512]; /* the body's first bytes, NUL-terminated */
    long new_connections;
};

/* A client for https://HOST/ at an address; connections are kept and reused. Lives until the test
 * ends. */
struct curl_client *curl_client_new(const char *address, const char *host);
/* One request; method NULL is GET. body_bytes of the pattern are sent when it is a POST or PUT. */
struct curl_reply curl_client_do(struct curl_client *client, const char *method, const char *path,
                                 uint64_t body_bytes);
/* Bodies go out chunked instead of with Content-Length. */
void curl_client_send_chunked(struct curl_client *client);
/* Bodies go out without waiting for 100 Continue. */
void curl_client_expect_nothing(struct curl_client *client);
/* Reads no faster than this many bytes a second; 0 as fast as it can. */
void curl_client_read_slowly(struct curl_client *client, long bytes_a_second);

#endif
