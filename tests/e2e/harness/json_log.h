/* The gateway's access log, one JSON object a line of its stdout, and the JSON its endpoints
 * answer. */
#ifndef E2E_JSON_LOG_H
#define E2E_JSON_LOG_H

#include "gateway_process.h"
#include "http_message.h"

/* The n-th access-log line from 0, waited for; fails the test when it does not come or is no JSON
 * object. */
json_t *log_entry(struct gateway *gateway, int n);
/* The first entry whose string member has this value; waited for. */
json_t *log_entry_with(struct gateway *gateway, const char *member, const char *value);

/* Fails the test unless the member (a.b goes inside) is this string, number, or null. */
void expect_string(json_t *object, const char *member, const char *value);
void expect_number(json_t *object, const char *member, long long value);
void expect_null(json_t *object, const char *member);
/* The member, a.b goes inside; fails the test when it is absent. */
json_t *json_member(json_t *object, const char *member);

/* Parses; lives until the test ends; fails the test when it is no JSON. */
json_t *json_from(const char *source);

/* One request to the admin socket (a new connection): method, path, response. */
struct message *ask_admin(const char *method, const char *path);
/* One request to any plain address: "127.0.0.1:1234" or "unix:/path". */
struct message *ask_plain(const char *address, const char *method, const char *path);

#endif
