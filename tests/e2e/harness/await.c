#include "await.h"

#include "monitor.h"
#include "tls_client.h"
#include "workplace.h"

#include <string.h>

static bool presents(struct client *client, const struct cert *cert)
{
    if (cert == NULL)
        return !client->is_connected && client->alert == SSL_AD_UNRECOGNIZED_NAME;
    return client->is_connected && cert_is(cert, client_peer(client));
}

static struct client *shake_hands(struct gateway *gateway, const char *sni)
{
    struct client *client =
        client_make(gateway_https(gateway), &(struct client_options){.sni = sni});

    workplace_require(client != NULL, "the connection for %s is refused", sni);
    return client;
}

void await_certificate(struct gateway *gateway, const char *sni, const struct cert *before,
                       const struct cert *after)
{
    long long start = monitor_now_ms();

    for (bool is_there = false; !is_there;) {
        struct client *client = shake_hands(gateway, sni);
        is_there = presents(client, after);
        bool is_allowed = is_there || presents(client, before);
        int connected = client->is_connected, alert = client->alert;
        client_free(client);
        workplace_require(is_allowed,
                          "%s: neither what was nor what comes (connected %d, alert %d)", sni,
                          connected, alert);
        workplace_require(is_there || monitor_may_ask_again(start),
                          "%s: what changed is not picked up", sni);
    }
}

void expect_certificate(struct gateway *gateway, const char *sni, const struct cert *cert)
{
    struct client *client = shake_hands(gateway, sni);

    workplace_require(presents(client, cert), "%s: another certificate (connected %d, alert %d)",
                      sni, client->is_connected, client->alert);
    client_free(client);
}

void await_body(struct gateway *gateway, const char *host, const char *body)
{
    long long start = monitor_now_ms();

    for (;;) {
        struct client *client = client_open(gateway, host);
        struct message *response = client_get(client, host, "/");
        expect_status(response, 200);
        client_close(client);
        if (strcmp(response->body, body) == 0)
            return;
        workplace_require(monitor_may_ask_again(start), "the body stays '%s'", response->body);
    }
}

int count_words(struct gateway *gateway, const char *words)
{
    int count = 0;

    for (const char *at = gateway_stderr(gateway); (at = strstr(at, words)) != NULL; at++)
        count++;
    return count;
}

json_t *entry_of_file(json_t *list, const char *file)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *entry = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(entry, "file"));
        if (name != NULL && strcmp(name, file) == 0)
            return entry;
    }
    return NULL;
}
