#include "long_lived.h"

#include "monitor.h"
#include "pattern.h"
#include "tls_client.h"
#include "workplace.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct download {
    struct client *client;
    uint64_t got;
};

struct long_lived {
    struct long_lived_options options;
    struct client **tunnels;
    struct download *downloads;
    pthread_t echoer, reader;
    bool is_running, is_over;
    long rounds;      /* of echoes through every tunnel */
    uint64_t allowed; /* bytes that each download may have read */
    uint64_t reached; /* and that each of them has read */
};

static void stop_threads(struct long_lived *company)
{
    if (!company->is_running)
        return;
    company->is_running = false;
    monitor_lock();
    company->is_over = true;
    monitor_changed();
    monitor_unlock();
    pthread_join(company->echoer, NULL);
    pthread_join(company->reader, NULL);
}

static void long_lived_free(void *object)
{
    struct long_lived *company = object;

    stop_threads(company); /* of a test that failed */
    free(company->tunnels);
    free(company->downloads);
    free(company);
}

/* --- tunnels -------------------------------------------------------------------------------------
 */

static struct client *open_tunnel(const struct long_lived_options *options)
{
    struct client *client = client_open(options->gateway, options->sni);

    client_send(client,
                "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\n"
                "Upgrade: websocket\r\n\r\n",
                options->host);
    struct message *response = client_response_head(client);
    workplace_require(response->status == 101, "no tunnel: %s", response->head);
    return client;
}

static void expect_through(struct client *client, const char *bytes, int tunnel)
{
    size_t length = strlen(bytes);

    while (wire_held(&client->wire) < length)
        workplace_require(wire_fill(&client->wire), "tunnel %d was cut before '%s'", tunnel, bytes);
    workplace_require(memcmp(wire_bytes(&client->wire), bytes, length) == 0,
                      "tunnel %d: '%.*s' came, not '%s'", tunnel, (int)length,
                      wire_bytes(&client->wire), bytes);
    wire_take(&client->wire, length);
}

static bool is_over(struct long_lived *company)
{
    monitor_lock();
    bool over = company->is_over;
    monitor_unlock();
    return over;
}

static void *echo_on(void *arg)
{
    struct long_lived *company = arg;
    char words[64];

    for (long round = 0; !is_over(company); round++) {
        for (int i = 0; i < company->options.tunnels; i++)
            client_send(company->tunnels[i], "%08ld through %04d;", round, i);
        for (int i = 0; i < company->options.tunnels; i++) {
            snprintf(words, sizeof words, "%08ld through %04d;", round, i);
            expect_through(company->tunnels[i], words, i);
        }
        monitor_lock();
        company->rounds++;
        monitor_changed();
        monitor_unlock();
    }
    return NULL;
}

/* --- downloads -----------------------------------------------------------------------------------
 */

static struct client *open_download(const struct long_lived_options *options)
{
    struct client *client =
        client_open_with(gateway_https(options->gateway),
                         &(struct client_options){.sni = options->sni, .has_small_window = true});

    client_send(client, "GET /down HTTP/1.1\r\nHost: %s\r\n\r\n", options->host);
    struct message *response = client_response_head(client);
    workplace_require(response->status == 200, "no download: %s", response->head);
    return client;
}

static void read_up_to(struct download *download, uint64_t end)
{
    struct wire *wire = &download->client->wire;

    while (download->got < end) {
        workplace_require(wire_held(wire) > 0 || wire_fill(wire),
                          "a download was cut after %llu bytes", (unsigned long long)download->got);
        size_t piece = wire_held(wire);
        if (piece > end - download->got)
            piece = (size_t)(end - download->got);
        workplace_require(pattern_matches(download->got, wire_bytes(wire), piece),
                          "a download is damaged after %llu bytes",
                          (unsigned long long)download->got);
        wire_take(wire, piece);
        download->got += piece;
    }
}

static bool may_read(void *arg)
{
    struct long_lived *company = arg;
    return company->is_over || company->allowed > company->reached;
}

static void *read_on(void *arg)
{
    struct long_lived *company = arg;

    for (;;) {
        monitor_lock();
        bool is_allowed = monitor_wait_locked(may_read, company);
        bool over = company->is_over;
        uint64_t allowed = company->allowed;
        monitor_unlock();
        if (!is_allowed || over)
            return NULL;
        for (int i = 0; i < company->options.downloads; i++)
            read_up_to(&company->downloads[i], allowed);
        monitor_lock();
        company->reached = allowed;
        monitor_changed();
        monitor_unlock();
    }
}

void long_lived_read_on(struct long_lived *company, uint64_t bytes)
{
    monitor_lock();
    company->allowed += bytes;
    if (company->allowed > company->options.pattern_bytes)
        company->allowed = company->options.pattern_bytes;
    monitor_changed();
    monitor_unlock();
}

/* --- all of them ---------------------------------------------------------------------------------
 */

struct long_lived *long_lived_start(const struct long_lived_options *options)
{
    struct long_lived *company = workplace_own(calloc(1, sizeof *company), long_lived_free);

    company->options = *options;
    company->tunnels = calloc((size_t)options->tunnels + 1, sizeof *company->tunnels);
    company->downloads = calloc((size_t)options->downloads + 1, sizeof *company->downloads);
    if (company->tunnels == NULL || company->downloads == NULL)
        abort();
    for (int i = 0; i < options->tunnels; i++)
        company->tunnels[i] = open_tunnel(options);
    for (int i = 0; i < options->downloads; i++)
        company->downloads[i].client = open_download(options);
    if (pthread_create(&company->echoer, NULL, echo_on, company) != 0 ||
        pthread_create(&company->reader, NULL, read_on, company) != 0)
        abort();
    company->is_running = true;
    return company;
}

struct aim {
    struct long_lived *company;
    long rounds;
};

static bool is_reached(void *arg)
{
    struct aim *aim = arg;
    return aim->company->rounds >= aim->rounds &&
           (aim->company->reached >= aim->company->allowed || aim->company->options.downloads == 0);
}

void long_lived_wait(struct long_lived *company)
{
    monitor_lock();
    /* The round under way may have begun before. */
    struct aim aim = {company, company->rounds + 2};
    bool reached = monitor_wait_locked(is_reached, &aim);
    monitor_unlock();
    workplace_require(reached, "tunnels or downloads stand still");
}

void long_lived_end(struct long_lived *company)
{
    stop_threads(company);
    workplace_settle();
    for (int i = 0; i < company->options.downloads; i++) {
        struct download *download = &company->downloads[i];
        workplace_require(download->got < company->options.pattern_bytes,
                          "download %d did not last until the end", i);
        read_up_to(download, company->options.pattern_bytes);
        client_close(download->client);
    }
    for (int i = 0; i < company->options.tunnels; i++) {
        wire_half_close(&company->tunnels[i]->wire);
        expect_through(company->tunnels[i], "bye", i);
        client_expect_end(company->tunnels[i]);
        client_close(company->tunnels[i]);
    }
}

long long_lived_echoes(struct long_lived *company)
{
    monitor_lock();
    long echoes = company->rounds * company->options.tunnels;
    monitor_unlock();
    return echoes;
}
