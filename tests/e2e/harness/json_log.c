#include "json_log.h"

#include "tls_client.h"
#include "workplace.h"

#include <stdlib.h>
#include <string.h>

static void json_free(void *object)
{
    json_decref(object);
}

json_t *json_from(const char *source)
{
    json_error_t error;
    json_t *value = json_loads(source, JSON_DECODE_ANY, &error);

    workplace_require(value != NULL, "no JSON (%s): %s", error.text, source);
    return workplace_own(value, json_free);
}

json_t *log_entry(struct gateway *gateway, int n)
{
    const char *line = gateway_stdout_line(gateway, n);

    workplace_require(line != NULL, "no access-log line %d; stdout has:\n%s", n,
                      gateway_stdout(gateway));
    json_t *entry = json_from(line);
    workplace_require(json_is_object(entry), "not an object: %s", line);
    return entry;
}

json_t *log_entry_with(struct gateway *gateway, const char *member, const char *value)
{
    for (int n = 0;; n++) {
        const char *line = gateway_stdout_line(gateway, n);
        workplace_require(line != NULL, "no access-log line with %s '%s'; stdout has:\n%s", member,
                          value, gateway_stdout(gateway));
        json_t *entry = json_from(line);
        const char *is = json_string_value(json_object_get(entry, member));
        if (is != NULL && strcmp(is, value) == 0)
            return entry;
    }
}

json_t *json_member(json_t *object, const char *member)
{
    json_t *value = object;
    char name[64];

    for (const char *rest = member; *rest != '\0';) {
        size_t length = strcspn(rest, ".");
        memcpy(name, rest, length);
        name[length] = '\0';
        value = json_object_get(value, name);
        rest += length + (rest[length] == '.');
    }
    workplace_require(value != NULL, "no member %s in %s", member,
                      (char *)workplace_own(json_dumps(object, JSON_ENCODE_ANY), free));
    return value;
}

static const char *shown(json_t *value)
{
    return workplace_own(json_dumps(value, JSON_ENCODE_ANY), free);
}

void expect_string(json_t *object, const char *member, const char *value)
{
    json_t *is = json_member(object, member);

    workplace_require(json_is_string(is) && strcmp(json_string_value(is), value) == 0,
                      "%s is not \"%s\" in %s", member, value, shown(object));
}

void expect_number(json_t *object, const char *member, long long value)
{
    json_t *is = json_member(object, member);

    workplace_require(json_is_integer(is) && json_integer_value(is) == value,
                      "%s is not %lld in %s", member, value, shown(object));
}

void expect_null(json_t *object, const char *member)
{
    workplace_require(json_is_null(json_member(object, member)), "%s is not null in %s", member,
                      shown(object));
}

struct message *ask_plain(const char *address, const char *method, const char *path)
{
    struct client *client = client_open_plain(address);

    client_send(client, "%s %s HTTP/1.1\r\nHost: gateway\r\n%sConnection: close\r\n\r\n", method,
                path, strcmp(method, "POST") == 0 ? "Content-Length: 0\r\n" : "");
    struct message *response = client_response_to(client, method);
    client_close(client);
    return response;
}

struct message *ask_admin(const char *method, const char *path)
{
    return ask_plain(text("unix:%s/admin.sock", workplace_folder()), method, path);
}
