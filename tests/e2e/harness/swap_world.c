#include "swap_world.h"

#include "monitor.h"
#include "workplace.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const names[SITES] = {
    [RENAMED] = "renamed.example", [KUBE] = "kube.example",     [IN_PLACE] = "in-place.example",
    [BROKEN] = "broken.example",   [STEADY] = "steady.example", [GUEST] = "guest.example",
    [COMES] = "comes.example",
};

/* --- what should be ------------------------------------------------------------------------------
 */

/* The next certificate for a site, from here on expected; the caller writes it. */
static struct cert *renew(struct swap_world *world, int site)
{
    const char *covers = site == STEADY ? text("%s, %s", names[STEADY], names[GUEST]) : names[site];
    struct cert *cert = cert_new(covers);

    monitor_lock();
    workplace_require(world->cert_count < world->cert_room, "more certificates than swaps");
    int number = world->cert_count++;
    world->certs[number] = cert;
    monitor_unlock();
    if (world->certificates[site] == NULL)
        world->certificates[site] = history_new(number);
    else
        history_begin(world->certificates[site], number);
    return cert;
}

/* The number of a certificate that a peer presented; SWAP_FAILED for none of ours. */
static int number_of(struct swap_world *world, X509 *presented)
{
    monitor_lock();
    int number = world->cert_count - 1;
    while (number >= 0 && ASN1_INTEGER_cmp(X509_get0_serialNumber(cert_x509(world->certs[number])),
                                           X509_get0_serialNumber(presented)) != 0)
        number--;
    monitor_unlock();
    return number >= 0 ? number : SWAP_FAILED;
}

static const char *routes_text(struct swap_world *world)
{
    const char *routes = "";

    for (int i = 0; i < SITES; i++) {
        int origin = history_newest(world->hosts[i].answerer);
        if (origin != HISTORY_ABSENT)
            routes = text("%s%s '%s': '%s'", routes, *routes != '\0' ? "," : "", names[i],
                          origin_address(world->origins[origin]));
    }
    return routes;
}

/* The route file as it should be, or with something in its place that makes it wrong. */
static void write_routes(struct swap_world *world, const char *wrong)
{
    bool odd = world->settings % 2 == 1;
    const char *watch = world->options.watch;

    watch = watch != NULL ? text("'watch': '%s',", watch) : "";
    gateway_rewrite("{ 'listen': { 'https': '127.0.0.1:0', %s 'admin': 'unix:@tmp/admin.sock' },"
                    "  'certs': 'certs', %s 'tls': { 'tickets': %s },"
                    "  'log': { 'access': 'off', 'level': '%s' }, 'drain_timeout': '%s',"
                    "  'defaults': { 'max_body': '%s', 'timeout': { 'keepalive': '%s' } },"
                    "  'routes': { %s } %s }",
                    odd ? "'http': '127.0.0.1:0'," : "", watch, odd ? "false" : "true",
                    odd ? "warn" : "info", odd ? "20s" : "30s", odd ? "1MiB" : "2MiB",
                    odd ? "70s" : "75s", routes_text(world), wrong);
    world->has_broken_routes = *wrong != '\0';
}

/* Over what is there, without a rename. */
static void overwrite(const char *path, const char *bytes, size_t length)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

    workplace_require(fd >= 0, "cannot open %s", path);
    workplace_require(write(fd, bytes, length / 2) == (ssize_t)(length / 2) &&
                          write(fd, bytes + length / 2, length - length / 2) ==
                              (ssize_t)(length - length / 2) &&
                          close(fd) == 0,
                      "cannot write %s", path);
}

static void copy_over(const char *from, const char *to)
{
    const char *bytes = workplace_read(from);
    overwrite(to, bytes, strlen(bytes));
}

/* --- swaps ---------------------------------------------------------------------------------------
 */

static void write_pair(const struct cert *cert, const char *name)
{
    cert_write_key(cert, workplace_path("certs/%s.key", name));
    cert_write_chain(cert, workplace_path("certs/%s.crt", name));
}

static enum swap_outcome renew_by_renames(struct swap_world *world)
{
    write_pair(renew(world, RENAMED), "renamed");
    return SWAP_TAKEN;
}

/* As the kubelet does: a new folder, and one rename of the link that all names lead through. */
static enum swap_outcome flip_data(struct swap_world *world)
{
    struct cert *cert = renew(world, KUBE);
    const char *folder = workplace_make_folder(text("certs/kube/..%d", ++world->flips));
    const char *link = workplace_path("certs/kube/..data");
    const char *next = workplace_path("certs/kube/..data_tmp");

    cert_write_chain(cert, text("%s/tls.crt", folder));
    cert_write_key(cert, text("%s/tls.key", folder));
    workplace_require(symlink(text("..%d", world->flips), next) == 0 && rename(next, link) == 0,
                      "no flip of ..data");
    if (world->flips == 1) {
        workplace_require(symlink("..data/tls.crt", workplace_path("certs/kube/tls.crt")) == 0 &&
                              symlink("..data/tls.key", workplace_path("certs/kube/tls.key")) == 0,
                          "no links through ..data");
        return SWAP_TAKEN;
    }
    const char *old = workplace_path("certs/kube/..%d", world->flips - 1);
    unlink(text("%s/tls.crt", old));
    unlink(text("%s/tls.key", old));
    workplace_require(rmdir(old) == 0, "cannot remove %s", old);
    return SWAP_TAKEN;
}

static enum swap_outcome rewrite_in_place(struct swap_world *world)
{
    const char *beside = workplace_path("in-place.pem");

    cert_write_bundle(renew(world, IN_PLACE), beside);
    copy_over(beside, workplace_path("certs/in-place.pem"));
    return SWAP_TAKEN;
}

/* Another backend for the next site: also for the one whose tunnels and downloads are open. */
static enum swap_outcome move_route(struct swap_world *world)
{
    struct history *answerer = world->hosts[world->moves++ % (GUEST + 1)].answerer;
    int origin = history_newest(answerer);

    history_begin(answerer, (origin + 1) % SWAP_ORIGINS);
    write_routes(world, "");
    return SWAP_TAKEN;
}

static enum swap_outcome site_comes_or_goes(struct swap_world *world)
{
    struct history *answerer = world->hosts[COMES].answerer;
    const char *path = workplace_path("certs/comes.pem");

    if (history_newest(answerer) == HISTORY_ABSENT) {
        history_begin(answerer, 0);
        cert_write_bundle(renew(world, COMES), path);
    } else {
        history_begin(answerer, HISTORY_ABSENT);
        history_begin(world->certificates[COMES], HISTORY_ABSENT);
        workplace_require(unlink(path) == 0, "cannot remove %s", path);
    }
    write_routes(world, "");
    return SWAP_TAKEN;
}

static enum swap_outcome guest_comes_or_goes(struct swap_world *world)
{
    struct history *answerer = world->hosts[GUEST].answerer;
    bool is_absent = history_newest(answerer) == HISTORY_ABSENT;

    history_begin(answerer, is_absent ? 0 : HISTORY_ABSENT);
    write_routes(world, "");
    return SWAP_TAKEN;
}

static enum swap_outcome change_settings(struct swap_world *world)
{
    world->settings++;
    write_routes(world, "");
    return SWAP_TAKEN;
}

static enum swap_outcome break_cert(struct swap_world *world)
{
    world->has_broken_cert = true;
    return SWAP_QUARANTINED;
}

static enum swap_outcome write_half_a_chain(struct swap_world *world)
{
    const char *path = workplace_path("certs/broken.crt");
    const char *bytes = workplace_read(path);

    workplace_write(path, bytes, strlen(bytes) / 2);
    return break_cert(world);
}

static enum swap_outcome write_the_wrong_key(struct swap_world *world)
{
    cert_write_key(world->certs[0], workplace_path("certs/broken.key"));
    return break_cert(world);
}

static enum swap_outcome mend_cert(struct swap_world *world)
{
    write_pair(renew(world, BROKEN), "broken");
    world->has_broken_cert = false;
    return SWAP_TAKEN;
}

static enum swap_outcome misspell_a_key(struct swap_world *world)
{
    write_routes(world, ", 'rutes': {}");
    return SWAP_REFUSED;
}

static enum swap_outcome write_half_a_route_file(struct swap_world *world)
{
    const char *path = workplace_path("routes.json");
    const char *bytes = workplace_read(path);

    workplace_write(path, bytes, strlen(bytes) / 2);
    world->has_broken_routes = true;
    return SWAP_REFUSED;
}

static enum swap_outcome fail_a_route_test(struct swap_world *world)
{
    write_routes(world, ", 'tests': [ { 'request': 'GET https://steady.example/',"
                        "               'expect': { 'status': 418 } } ]");
    return SWAP_REFUSED;
}

/* One after the other, over and over. A broken certificate is there while other things change. */
static enum swap_outcome (*const kinds[])(struct swap_world *world) = {
    renew_by_renames,  move_route,          flip_data,           site_comes_or_goes,
    rewrite_in_place,  write_half_a_chain,  move_route,          misspell_a_key,
    renew_by_renames,  mend_cert,           change_settings,     write_half_a_route_file,
    flip_data,         guest_comes_or_goes, write_the_wrong_key, rewrite_in_place,
    fail_a_route_test, mend_cert,           site_comes_or_goes,  move_route,
};

enum swap_outcome swap_make(struct swap_world *world, int n)
{
    return kinds[(size_t)n % (sizeof kinds / sizeof *kinds)](world);
}

void swap_settle(struct swap_world *world)
{
    for (int i = 0; i < SITES; i++) {
        history_settle(world->hosts[i].answerer);
        if (world->certificates[i] != NULL)
            history_settle(world->certificates[i]);
    }
}

void swap_mend_routes(struct swap_world *world)
{
    write_routes(world, "");
}

/* --- from the beginning --------------------------------------------------------------------------
 */

static void world_free(void *object)
{
    struct swap_world *world = object;

    free(world->certs);
    free(world);
}

struct swap_world *swap_world_new(const struct swap_options *options)
{
    struct swap_world *world = workplace_own(calloc(1, sizeof *world), world_free);

    world->options = *options;
    world->cert_room = options->swaps + SITES;
    world->certs = calloc((size_t)world->cert_room, sizeof *world->certs);
    if (world->certs == NULL)
        abort();
    for (int i = 0; i < SWAP_ORIGINS; i++)
        world->origins[i] = origin_start(text("%d", i));
    for (int i = 0; i < SITES; i++) {
        const char *sni = names[i == GUEST ? STEADY : i];
        int origin = i == COMES ? HISTORY_ABSENT : i % SWAP_ORIGINS;
        world->hosts[i] = (struct load_host){names[i], sni, history_new(origin)};
    }
    workplace_make_folder("certs/kube");
    world->certificates[COMES] = history_new(HISTORY_ABSENT);
    write_pair(renew(world, RENAMED), "renamed");
    flip_data(world);
    cert_write_bundle(renew(world, IN_PLACE), workplace_path("certs/in-place.pem"));
    mend_cert(world);
    cert_write_bundle(renew(world, STEADY), workplace_path("certs/steady.pem"));
    write_routes(world, "");
    return world;
}

int swap_shake_hands(struct swap_world *world, struct gateway *gateway, const char *sni,
                     struct client **client)
{
    *client = client_make(gateway_https(gateway), &(struct client_options){.sni = sni});
    if (*client != NULL && (*client)->is_connected)
        return number_of(world, client_peer(*client));
    bool is_unknown = *client != NULL && (*client)->alert == SSL_AD_UNRECOGNIZED_NAME;
    return is_unknown ? HISTORY_ABSENT : SWAP_FAILED;
}
