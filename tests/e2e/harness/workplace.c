#include "workplace.h"

#include "gateway_process.h"
#include "monitor.h"
#include "origin.h"
#include "test_certs.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <ftw.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct owned {
    void *object;
    void (*free_it)(void *);
    struct owned *next;
};

static struct {
    char folder[64];
    struct owned *owned;
    pthread_mutex_t owned_lock;
    pthread_t main_thread;
    char note[4096];
    bool has_note;
    unsigned limit_seconds;
} here = {.owned_lock = PTHREAD_MUTEX_INITIALIZER};

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about;
    (void)kind;
    (void)where;
    remove(path);
    return 0;
}

static void remove_folder(void)
{
    if (here.folder[0] != '\0')
        nftw(here.folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    here.folder[0] = '\0';
}

/* The process is lost anyway: what is unsafe in a handler is worth the report it may give. */
static void watchdog(int signal_number)
{
    signal(signal_number, SIG_DFL);
    alarm(10);
    fprintf(stderr, "watchdog: the test took longer than %u seconds\n", here.limit_seconds);
    gateway_report_all();
    remove_folder();
    abort();
}

void workplace_begin(void)
{
    signal(SIGPIPE, SIG_IGN);
    here.main_thread = pthread_self();
    strcpy(here.folder, "/tmp/sallyport-e2e-XXXXXX");
    if (mkdtemp(here.folder) == NULL) {
        here.folder[0] = '\0';
        workplace_fail("no temporary folder could be made");
    }
    signal(SIGALRM, watchdog);
    workplace_allow_seconds((unsigned)workplace_number("E2E_LIMIT", 240));
    workplace_make_folder("certs");
    cert_write_bundle(cert_new("a.test, b.test, c.test, *.test, localhost, 127.0.0.1"),
                      workplace_path("certs/site.pem"));
    cert_write_ca(workplace_path("ca.pem"));
}

void workplace_end(void)
{
    gateway_kill_all();
    monitor_end();
    origin_stop_all();
    pthread_mutex_lock(&here.owned_lock);
    while (here.owned != NULL) {
        struct owned *owned = here.owned;
        here.owned = owned->next;
        pthread_mutex_unlock(&here.owned_lock);
        owned->free_it(owned->object);
        free(owned);
        pthread_mutex_lock(&here.owned_lock);
    }
    pthread_mutex_unlock(&here.owned_lock);
    remove_folder();
    alarm(0);
    if (here.has_note) {
        fprintf(stderr, "a thread of this test failed: %s\n", here.note);
        abort();
    }
}

void workplace_allow_seconds(unsigned seconds)
{
    here.limit_seconds = seconds;
    alarm(seconds);
}

const char *workplace_folder(void)
{
    return here.folder;
}

void workplace_fail(const char *format, ...)
{
    char message[4096];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (!pthread_equal(pthread_self(), here.main_thread)) {
        workplace_note("%s", message);
        pthread_exit(NULL);
    }
    cr_assert_fail("%s", message);
    abort();
}

void workplace_note(const char *format, ...)
{
    va_list arguments;

    pthread_mutex_lock(&here.owned_lock);
    if (!here.has_note) {
        va_start(arguments, format);
        vsnprintf(here.note, sizeof here.note, format, arguments);
        va_end(arguments);
        here.has_note = true;
    }
    pthread_mutex_unlock(&here.owned_lock);
}

void workplace_settle(void)
{
    if (here.has_note) {
        here.has_note = false;
        workplace_fail("in a thread: %s", here.note);
    }
}

char *workplace_forgive(void)
{
    char *note;

    pthread_mutex_lock(&here.owned_lock);
    note = here.has_note ? strdup(here.note) : NULL;
    here.has_note = false;
    pthread_mutex_unlock(&here.owned_lock);
    return note != NULL ? workplace_own(note, free) : NULL;
}

void *workplace_own(void *object, void (*free_it)(void *))
{
    struct owned *owned = malloc(sizeof *owned);

    if (object == NULL || owned == NULL)
        abort();
    owned->object = object;
    owned->free_it = free_it;
    pthread_mutex_lock(&here.owned_lock);
    owned->next = here.owned;
    here.owned = owned;
    pthread_mutex_unlock(&here.owned_lock);
    return object;
}

void workplace_each(void (*free_it)(void *), void (*visit)(void *object))
{
    pthread_mutex_lock(&here.owned_lock);
    for (struct owned *owned = here.owned; owned != NULL; owned = owned->next)
        if (owned->free_it == free_it)
            visit(owned->object);
    pthread_mutex_unlock(&here.owned_lock);
}

static __attribute__((format(printf, 1, 0))) char *format_text(const char *format,
                                                               va_list arguments)
{
    char *made = NULL;

    if (vasprintf(&made, format, arguments) < 0)
        abort();
    return workplace_own(made, free);
}

char *text(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    char *made = format_text(format, arguments);
    va_end(arguments);
    return made;
}

char *workplace_path(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    char *name = format_text(format, arguments);
    va_end(arguments);
    return text("%s/%s", here.folder, name);
}

char *workplace_make_folder(const char *name)
{
    char *path = workplace_path("%s", name);

    for (char *slash = path + strlen(here.folder) + 1; (slash = strchr(slash, '/')) != NULL;
         slash++) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
    mkdir(path, 0755);
    return path;
}

void workplace_write(const char *path, const char *bytes, size_t length)
{
    char *beside = text("%s.new", path);
    FILE *file = fopen(beside, "w");

    workplace_require(file != NULL, "cannot write %s", beside);
    size_t written = fwrite(bytes, 1, length, file);
    workplace_require(fclose(file) == 0 && written == length, "cannot write %s", beside);
    workplace_require(rename(beside, path) == 0, "cannot rename to %s", path);
}

char *workplace_read(const char *path)
{
    FILE *file = fopen(path, "r");
    char *bytes = NULL;
    size_t length = 0;
    size_t room = 0;

    if (file == NULL)
        return NULL;
    for (;;) {
        if (room - length < 4096) {
            room = room * 2 + 8192;
            bytes = realloc(bytes, room);
            if (bytes == NULL)
                abort();
        }
        size_t got = fread(bytes + length, 1, room - length - 1, file);
        if (got == 0)
            break;
        length += got;
    }
    fclose(file);
    bytes[length] = '\0';
    return workplace_own(bytes, free);
}

static void append(char **to, const char *bytes, size_t length)
{
    memcpy(*to, bytes, length);
    *to += length;
}

char *route_file(const char *name, const char *format, ...)
{
    va_list arguments;
    const char *base =
        text("\"listen\":{\"https\":\"127.0.0.1:0\",\"status\":\"127.0.0.1:0\","
             "\"admin\":\"unix:%s/admin.sock\"},\"certs\":\"certs\",\"log\":{\"format\":\"json\"}",
             here.folder);

    va_start(arguments, format);
    const char *source = format_text(format, arguments);
    va_end(arguments);
    char *made = workplace_own(malloc(strlen(source) * 16 + strlen(base) * 4 + 1), free);
    char *to = made;
    while (*source != '\0') {
        if (strncmp(source, "@tmp", 4) == 0) {
            append(&to, here.folder, strlen(here.folder));
            source += 4;
        } else if (strncmp(source, "@base", 5) == 0) {
            append(&to, base, strlen(base));
            source += 5;
        } else {
            *to++ = *source == '\'' ? '"' : *source;
            source++;
        }
    }
    char *path = workplace_path("%s", name);
    workplace_write(path, made, (size_t)(to - made));
    return path;
}

static uint16_t free_port(struct sockaddr_in *address)
{
    socklen_t length = sizeof(*address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address->sin_port = 0;
    workplace_require(fd >= 0 && bind(fd, (struct sockaddr *)address, length) == 0 &&
                          getsockname(fd, (struct sockaddr *)address, &length) == 0,
                      "no free port on loopback");
    close(fd);
    return ntohs(address->sin_port);
}

/* 127.x.y.z with x never below 128: not what anybody else would bind. A process has two, 0 and 1.
 */
static struct in_addr own_host(unsigned number)
{
    unsigned process = (unsigned)getpid();

    return (struct in_addr){htonl(0x7f800000U | ((process & 0x3fffffU) << 1) | number)};
}

char *workplace_own_host(unsigned number)
{
    struct in_addr host = own_host(number);
    char name[INET_ADDRSTRLEN];

    inet_ntop(AF_INET, &host, name, sizeof name);
    return text("%s", name);
}

char *workplace_free_address(void)
{
    static bool was_given[UINT16_MAX + 1]; /* the kernel may choose a port again */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = own_host(0)};
    uint16_t port;

    do
        port = free_port(&address);
    while (was_given[port]);
    was_given[port] = true;
    return text("%s:%d", workplace_own_host(0), port);
}

long workplace_number(const char *variable, long otherwise)
{
    const char *value = getenv(variable);
    return value != NULL && *value != '\0' ? atol(value) : otherwise;
}
