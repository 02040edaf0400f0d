#include "gateway_process.h"

#include "command.h"
#include "fault_board.h"
#include "monitor.h"
#include "tls_client.h"
#include "workplace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct heard {
    int fd;
    char *bytes; /* NUL-terminated */
    size_t length, room;
    bool has_ended;
    pthread_t reader;
    bool is_read;
};

struct gateway {
    pid_t pid;
    bool has_exited;
    int exit_code;
    pthread_t waiter;
    struct heard out, err;
    json_t *ready;
    struct gateway *next;
    bool is_stopped;
};

static struct gateway *all_gateways;

static void *read_pipe(void *arg)
{
    struct heard *heard = arg;
    char piece[65536];
    ssize_t got;

    while ((got = read(heard->fd, piece, sizeof piece)) > 0 || (got < 0 && errno == EINTR)) {
        if (got < 0)
            continue;
        monitor_lock();
        if (heard->length + (size_t)got + 1 > heard->room) {
            heard->room = (heard->length + (size_t)got + 1) * 2;
            heard->bytes = realloc(heard->bytes, heard->room);
            if (heard->bytes == NULL)
                abort();
        }
        memcpy(heard->bytes + heard->length, piece, (size_t)got);
        heard->length += (size_t)got;
        heard->bytes[heard->length] = '\0';
        monitor_changed();
        monitor_unlock();
    }
    monitor_lock();
    heard->has_ended = true;
    monitor_changed();
    monitor_unlock();
    return NULL;
}

static void listen_to(struct heard *heard, int fd, bool is_read)
{
    heard->fd = fd;
    heard->is_read = is_read;
    heard->bytes = calloc(1, 1);
    heard->room = 1;
    if (is_read && pthread_create(&heard->reader, NULL, read_pipe, heard) != 0)
        abort();
}

static void stop_listening(struct heard *heard)
{
    if (heard->is_read)
        pthread_join(heard->reader, NULL);
    heard->is_read = false;
    if (heard->fd >= 0)
        close(heard->fd);
    heard->fd = -1;
}

static void *wait_for_exit(void *arg)
{
    struct gateway *gateway = arg;
    int status = 0;

    while (waitpid(gateway->pid, &status, 0) < 0 && errno == EINTR) {
    }
    monitor_lock();
    gateway->exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    gateway->has_exited = true;
    monitor_changed();
    monitor_unlock();
    return NULL;
}

/* Puts the sockets where sd_listen_fds(3) looks for them, and says so. */
static void hand_over(const struct gateway_options *options)
{
    enum { FIRST = 3, ASIDE = 100 };
    int count = options->handed_over_count;
    int aside[16];
    char number[16];

    for (int i = 0; i < count; i++)
        aside[i] = fcntl(options->handed_over[i], F_DUPFD_CLOEXEC, ASIDE);
    for (int i = 0; i < count; i++)
        dup2(aside[i], FIRST + i);
    snprintf(number, sizeof number, "%d", count);
    setenv("LISTEN_FDS", number, 1);
    snprintf(number, sizeof number, "%d", (int)getpid());
    setenv("LISTEN_PID", number, 1);
    if (options->handed_over_names != NULL)
        setenv("LISTEN_FDNAMES", options->handed_over_names, 1);
}

/* A sanitizer's library wants to be the first one that is loaded, but it does not have to be. */
static void preload_faults(void)
{
    const char *options = getenv("ASAN_OPTIONS");

    setenv("ASAN_OPTIONS",
           text("%s%sverify_asan_link_order=0", options != NULL ? options : "",
                options != NULL ? ":" : ""),
           1);
    setenv(FAULTS_VARIABLE, fault_board_path(), 1);
    setenv("LD_PRELOAD", fault_library(), 1);
}

static void run_child(const struct gateway_options *options, int out, int err)
{
    char workers[16];
    const char *arguments[32] = {sallyport_path(), "run",       "-c",
                                 options->routes,  "--workers", workers};
    int count = 6;
    int nowhere = open("/dev/null", O_RDONLY);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (options->open_files != 0) {
        struct rlimit limit = {options->open_files, options->open_files};
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    signal(SIGPIPE, SIG_DFL);
    dup2(nowhere, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    if (options->handed_over_count > 0)
        hand_over(options);
    snprintf(workers, sizeof workers, "%d", options->workers > 0 ? options->workers : 1);
    for (int i = 0; options->arguments != NULL && options->arguments[i] != NULL && count < 31; i++)
        arguments[count++] = options->arguments[i];
    for (int i = 0; options->environment != NULL && options->environment[i] != NULL; i++)
        putenv((char *)(size_t)options->environment[i]);
    if (options->faults != NULL)
        preload_faults();
    execv(arguments[0], (char *const *)(size_t)arguments);
    _exit(127);
}

static void gateway_free(void *object)
{
    struct gateway *gateway = object;

    json_decref(gateway->ready);
    free(gateway->out.bytes);
    free(gateway->err.bytes);
    free(gateway);
}

static json_t *find_ready_line(struct gateway *gateway)
{
    const char *line = gateway->err.bytes;
    const char *end;

    for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        if (*line != '{' || memmem(line, (size_t)(end - line), "\"ready\"", 7) == NULL)
            continue;
        json_t *parsed = json_loadb(line, (size_t)(end - line), 0, NULL);
        const char *event = json_string_value(json_object_get(parsed, "event"));
        if (event != NULL && strcmp(event, "ready") == 0)
            return parsed;
        json_decref(parsed);
    }
    return NULL;
}

static bool is_ready_or_over(void *arg)
{
    struct gateway *gateway = arg;

    if (gateway->ready == NULL)
        gateway->ready = find_ready_line(gateway);
    return gateway->ready != NULL || gateway->err.has_ended;
}

struct gateway *gateway_start_with(const struct gateway_options *options)
{
    struct gateway *gateway = workplace_own(calloc(1, sizeof *gateway), gateway_free);
    int out[2];
    int err[2];

    sallyport_path();
    workplace_require(pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0, "no pipe");
    gateway->pid = fork();
    workplace_require(gateway->pid >= 0, "no process");
    if (gateway->pid == 0)
        run_child(options, out[1], err[1]);
    close(out[1]);
    close(err[1]);
    listen_to(&gateway->out, out[0], !options->leaves_stdout_unread);
    listen_to(&gateway->err, err[0], true);
    if (pthread_create(&gateway->waiter, NULL, wait_for_exit, gateway) != 0)
        abort();
    gateway->next = all_gateways;
    all_gateways = gateway;
    monitor_wait(is_ready_or_over, gateway);
    workplace_require(gateway->ready != NULL, "the gateway did not become ready");
    return gateway;
}

struct gateway *gateway_start(const char *format, ...)
{
    va_list arguments;
    char *source = NULL;

    va_start(arguments, format);
    if (vasprintf(&source, format, arguments) < 0)
        abort();
    va_end(arguments);
    workplace_own(source, free);
    return gateway_start_with(
        &(struct gateway_options){.routes = route_file("routes.json", "%s", source)});
}

const char *gateway_address(struct gateway *gateway, const char *kind, int place)
{
    json_t *addresses = json_object_get(gateway->ready, kind);
    const char *address = json_string_value(json_array_get(addresses, (size_t)place));

    workplace_require(address != NULL, "the ready line has no %s listener %d", kind, place);
    return address;
}

int gateway_port(struct gateway *gateway, const char *kind)
{
    return atoi(strrchr(gateway_address(gateway, kind, 0), ':') + 1);
}

const char *gateway_https(struct gateway *gateway)
{
    return gateway_address(gateway, "https", 0);
}

json_t *gateway_ready(struct gateway *gateway)
{
    return gateway->ready;
}

void gateway_signal(struct gateway *gateway, int signal_number)
{
    workplace_require(kill(gateway->pid, signal_number) == 0, "the gateway is gone");
}

static bool has_exited(void *arg)
{
    return ((struct gateway *)arg)->has_exited;
}

int gateway_wait_exit(struct gateway *gateway)
{
    /* Twice the patience: a drain may take its whole default time. */
    workplace_require(monitor_wait(has_exited, gateway) || monitor_wait(has_exited, gateway),
                      "the gateway did not end");
    return gateway->exit_code;
}

static void leave(struct gateway *gateway)
{
    pthread_join(gateway->waiter, NULL);
    stop_listening(&gateway->err);
    stop_listening(&gateway->out);
    gateway->is_stopped = true;
}

void gateway_stop_expecting(struct gateway *gateway, int exit_code)
{
    int code = gateway_wait_exit(gateway);

    /* Said while it can still be shown: gateway_kill_all prints stderr of a gateway that was not
     * left. */
    workplace_require(code == exit_code, "the gateway ended with %d, not %d", code, exit_code);
    leave(gateway);
    refuse_sanitizer_reports(gateway->err.bytes);
    workplace_settle();
}

void gateway_stop(struct gateway *gateway)
{
    if (!monitor_has_ended())
        kill(gateway->pid, SIGTERM);
    /* Else it would wait a moment for each of them. */
    clients_say_goodbye();
    gateway_stop_expecting(gateway, 0);
}

void gateway_kill_all(void)
{
    for (struct gateway *gateway = all_gateways; gateway != NULL; gateway = gateway->next) {
        if (gateway->is_stopped)
            continue;
        monitor_lock();
        bool is_running = !gateway->has_exited;
        monitor_unlock();
        if (is_running)
            kill(gateway->pid, SIGKILL);
        leave(gateway);
        size_t skipped = gateway->err.length > 8000 ? gateway->err.length - 8000 : 0;
        fprintf(stderr, "--- stderr of the gateway%s ---\n%s--- end ---\n",
                is_running ? "" : " (it had ended)", gateway->err.bytes + skipped);
    }
    all_gateways = NULL;
}

void gateway_report_all(void)
{
    for (struct gateway *gateway = all_gateways; gateway != NULL; gateway = gateway->next) {
        if (!gateway->is_stopped)
            fprintf(stderr, "--- stderr of the gateway ---\n%s--- end ---\n", gateway->err.bytes);
    }
}

static char *copy_heard(struct heard *heard)
{
    monitor_lock();
    char *copy = strdup(heard->bytes);
    monitor_unlock();
    return workplace_own(copy, free);
}

char *gateway_stderr(struct gateway *gateway)
{
    return copy_heard(&gateway->err);
}

char *gateway_stdout(struct gateway *gateway)
{
    return copy_heard(&gateway->out);
}

struct search {
    struct heard *heard;
    const char *words;
    size_t from;
    size_t found_end;
};

static bool is_found(void *arg)
{
    struct search *search = arg;
    const char *found = strstr(search->heard->bytes + search->from, search->words);

    if (found != NULL)
        search->found_end = (size_t)(found - search->heard->bytes) + strlen(search->words);
    return found != NULL;
}

void gateway_wait_stderr(struct gateway *gateway, const char *words, size_t *position)
{
    struct search search = {
        .heard = &gateway->err, .words = words, .from = position != NULL ? *position : 0};

    workplace_require(monitor_wait(is_found, &search), "the gateway did not say '%s'", words);
    if (position != NULL)
        *position = search.found_end;
}

struct line_search {
    struct heard *heard;
    int n;
    const char *start, *end;
};

static bool has_line(void *arg)
{
    struct line_search *search = arg;
    const char *start = search->heard->bytes;

    for (int i = 0;; i++) {
        const char *end = strchr(start, '\n');
        if (end == NULL)
            return false;
        if (i == search->n) {
            search->start = start;
            search->end = end;
            return true;
        }
        start = end + 1;
    }
}

char *gateway_stdout_line(struct gateway *gateway, int n)
{
    struct line_search search = {.heard = &gateway->out, .n = n};
    char *line = NULL;

    monitor_lock();
    if (monitor_wait_locked(has_line, &search))
        line = strndup(search.start, (size_t)(search.end - search.start));
    monitor_unlock();
    return line != NULL ? workplace_own(line, free) : NULL;
}

int gateway_pid(struct gateway *gateway)
{
    return gateway->pid;
}

static long status_number(struct gateway *gateway, const char *name)
{
    const char *status = workplace_read(text("/proc/%d/status", gateway->pid));
    const char *line = status != NULL ? strstr(status, name) : NULL;

    workplace_require(line != NULL, "no %s in /proc", name);
    return atol(line + strlen(name));
}

long gateway_rss_kib(struct gateway *gateway)
{
    return status_number(gateway, "VmRSS:");
}

long gateway_peak_kib(struct gateway *gateway)
{
    return status_number(gateway, "VmHWM:");
}

void gateway_forget_peak(struct gateway *gateway)
{
    FILE *file = fopen(text("/proc/%d/clear_refs", gateway->pid), "w");

    workplace_require(file != NULL && fputs("5", file) >= 0 && fclose(file) == 0,
                      "no /proc/PID/clear_refs");
}

int gateway_open_files(struct gateway *gateway)
{
    DIR *folder = opendir(text("/proc/%d/fd", gateway->pid));
    int count = -2;

    workplace_require(folder != NULL, "no /proc/PID/fd");
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

bool gateway_is_sanitized(struct gateway *gateway)
{
    /* Address and thread sanitizers reserve terabytes of address space for their shadow. */
    return status_number(gateway, "VmSize:") > (1L << 30);
}
