#include "control/systemd.h"

#include "base/buffer.h"
#include "base/json_text.h"
#include "base/log.h"
#include "control/generations.h"
#include "net/address.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    STATUS_SIZE = 768,
    RETRY_MS = 100,
    EXTEND_EVERY_MS = 5000,
    EXTEND_BY_MS = 15000, /* so that one or two that get lost or late harm nothing */
};

enum systemd_state { SYSTEMD_STARTING, SYSTEMD_READY, SYSTEMD_RELOADING, SYSTEMD_DRAINING };

/* What is still to be said: bits, said in this order. */
enum owed { OWED_RELOADING = 1, OWED_READY = 2, OWED_STOPPING = 4, OWED_STATUS = 8 };

enum sending { SENT, SENDING_FULL, SENDING_FAILED };

struct systemd {
    struct loop *loop;
    int fd;
    struct address manager;
    bool has_failed; /* said once */

    enum systemd_state state;
    unsigned owed;
    char status[STATUS_SIZE]; /* one line of UTF-8 */
    uint64_t reloading_us;
    const char *drains_how;
    uint64_t drain_ends_ms; /* by the loop's clock; 0: no limit */

    struct task task;
    struct deadline retry, extension, watchdog;
    uint64_t watchdog_every_ms; /* 0: nobody watches */
};

/* --- the environment -----------------------------------------------------------------------------
 */

static void ignore_variable(const char *name, const char *value, const char *why)
{
    log_event(LOG_WARN, "systemd", "%s is ignored: \"%s\" %s", name, value, why);
}

/* Where the manager listens: a path, or a name that begins with '@' in the abstract namespace. */
static bool parse_manager(const char *text, struct address *manager)
{
    struct slice name = slice_of(text);
    struct sockaddr_un *local = &manager->as.local;
    const char *why = NULL;
    if (slice_starts_with(name, slice_of("vsock:")))
        why = "is on another machine; only sockets of this one are spoken to";
    else if (name.len < 2 || (text[0] != '/' && text[0] != '@'))
        why = "is neither a path nor an abstract name";
    else if (name.len >= sizeof(local->sun_path))
        why = "is too long for a socket";
    if (why != NULL) {
        ignore_variable("NOTIFY_SOCKET", text, why);
        return false;
    }
    *manager = (struct address){.as.local.sun_family = AF_UNIX};
    memcpy(local->sun_path, name.at, name.len);
    manager->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name.len);
    if (text[0] == '@')
        local->sun_path[0] = '\0';
    else
        manager->length++; /* a path is terminated */
    return true;
}

/* Half the time after which the manager despairs; 0: it does not look. */
static uint64_t read_watchdog(void)
{
    const char *period = getenv("WATCHDOG_USEC"), *whose = getenv("WATCHDOG_PID");
    uint64_t period_us = 0, pid = 0;
    if (period == NULL)
        return 0;
    if (!slice_parse_u64(slice_of(period), &period_us) || period_us == 0) {
        ignore_variable("WATCHDOG_USEC", period, "is no time in microseconds");
        return 0;
    }
    if (whose != NULL && !slice_parse_u64(slice_of(whose), &pid)) {
        ignore_variable("WATCHDOG_PID", whose, "is no process");
        return 0;
    }
    if (whose != NULL && pid != (uint64_t)getpid())
        return 0;
    uint64_t half_ms = period_us / 2000;
    return half_ms > 0 ? half_ms : 1;
}

/* --- what is said --------------------------------------------------------------------------------
 */

/* A status is one line of UTF-8, or the manager refuses it. */
static void set_status(struct systemd *systemd, struct slice text)
{
    size_t length = 0;
    while (text.len > 0) {
        unsigned char byte = (unsigned char)text.at[0];
        size_t taken = json_utf8_length(text);
        bool is_shown = taken > 0 && byte >= 0x20 && byte != 0x7f;
        if (taken == 0)
            taken = 1;
        if (length + taken >= sizeof(systemd->status))
            break;
        if (is_shown)
            memcpy(systemd->status + length, text.at, taken);
        else
            systemd->status[length] = byte < 0x80 ? ' ' : '?';
        length += taken;
        text = slice_skip(text, taken);
    }
    systemd->status[length] = '\0';
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static void describe_outcome(struct systemd *systemd, const struct load_outcome *outcome,
                             const char *refusal)
{
    struct buffer text = {0};
    unsigned long long generation = outcome->generation;
    size_t broken = outcome->broken.count;
    if (load_is_refused(outcome))
        buffer_printf(&text, "reload refused, generation %llu goes on: %s", generation, refusal);
    else if (outcome->result == LOAD_UNCHANGED)
        buffer_printf(&text, "generation %llu goes on, nothing had changed", generation);
    else
        buffer_printf(&text, "generation %llu is served", generation);
    if (!load_is_refused(outcome) && broken > 0)
        buffer_printf(&text, "; %zu certificate%s quarantined", broken, plural(broken));
    set_status(systemd, buffer_content(&text));
    buffer_clear(&text);
}

static bool drain_is_limited(const struct systemd *systemd)
{
    return loop_now_ms(systemd->loop) < systemd->drain_ends_ms;
}

static void describe_drain(struct systemd *systemd)
{
    struct buffer text = {0};
    buffer_printf(&text, "draining: %s", systemd->drains_how);
    if (drain_is_limited(systemd)) {
        uint64_t left_ms = systemd->drain_ends_ms - loop_now_ms(systemd->loop);
        buffer_printf(&text, "; ends within %llu s", (unsigned long long)(left_ms + 999) / 1000);
    }
    set_status(systemd, buffer_content(&text));
    buffer_clear(&text);
}

static void write_message(const struct systemd *systemd, enum owed kind, struct buffer *message)
{
    switch (kind) {
    case OWED_RELOADING:
        buffer_printf(message, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reloading\n",
                      (unsigned long long)systemd->reloading_us);
        return;
    case OWED_READY: buffer_append_text(message, "READY=1\n"); break;
    case OWED_STOPPING: buffer_append_text(message, "STOPPING=1\n"); break;
    case OWED_STATUS: break;
    }
    buffer_printf(message, "STATUS=%s\n", systemd->status);
    if (systemd->state == SYSTEMD_DRAINING && drain_is_limited(systemd))
        buffer_printf(message, "EXTEND_TIMEOUT_USEC=%llu\n", EXTEND_BY_MS * 1000ULL);
}

/* --- saying it -----------------------------------------------------------------------------------
 */

static enum sending send_message(struct systemd *systemd, struct slice message)
{
    const struct address *to = &systemd->manager;
    if (sendto(systemd->fd, message.at, message.len, MSG_NOSIGNAL, &to->as.any, to->length) >= 0) {
        systemd->has_failed = false;
        return SENT;
    }
    if (errno == EAGAIN || errno == ENOBUFS)
        return SENDING_FULL;
    if (!systemd->has_failed)
        log_event(LOG_WARN, "systemd", "the service manager cannot be told anything: %s",
                  strerror(errno));
    systemd->has_failed = true;
    return SENDING_FAILED;
}

static void say_owed(struct systemd *systemd)
{
    deadline_clear(&systemd->retry);
    for (unsigned kind = OWED_RELOADING; kind <= OWED_STATUS; kind <<= 1) {
        if (!(systemd->owed & kind))
            continue;
        struct buffer message = {0};
        write_message(systemd, (enum owed)kind, &message);
        enum sending how = send_message(systemd, buffer_content(&message));
        buffer_clear(&message);
        if (how == SENDING_FULL) {
            deadline_set(systemd->loop, &systemd->retry, RETRY_MS);
            return;
        }
        systemd->owed &= ~kind;
    }
}

/* The one writer of the state. `owed` is all that is still to be said: what an earlier state has
 * left unsaid may not be so any more. */
static void enter(struct systemd *systemd, enum systemd_state state, unsigned owed)
{
    systemd->state = state;
    systemd->owed = owed;
    say_owed(systemd);
}

static void run_systemd(void *owner)
{
    struct systemd *systemd = owner;
    if (deadline_passed(systemd->loop, &systemd->watchdog)) {
        /* One that is not taken is not repeated: what fills the socket shows that there is life. */
        send_message(systemd, slice_of("WATCHDOG=1\n"));
        deadline_set(systemd->loop, &systemd->watchdog, systemd->watchdog_every_ms);
    }
    if (deadline_passed(systemd->loop, &systemd->extension)) {
        deadline_set(systemd->loop, &systemd->extension,
                     drain_is_limited(systemd) ? EXTEND_EVERY_MS : 0);
        describe_drain(systemd);
        systemd->owed |= OWED_STATUS;
        say_owed(systemd);
    } else if (deadline_passed(systemd->loop, &systemd->retry)) {
        say_owed(systemd);
    }
}

/* --- the interface -------------------------------------------------------------------------------
 */

struct systemd *systemd_new(struct loop *loop)
{
    const char *where = getenv("NOTIFY_SOCKET");
    struct address manager;
    struct systemd *systemd = NULL;
    if (where != NULL && where[0] != '\0' && parse_manager(where, &manager)) {
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            log_event(LOG_WARN, "systemd", "the service manager cannot be told anything: %s",
                      strerror(errno));
        } else {
            systemd = memory_new(sizeof(*systemd));
            *systemd = (struct systemd){.loop = loop, .fd = fd, .manager = manager};
            systemd->watchdog_every_ms = read_watchdog();
            task_init(&systemd->task, run_systemd, systemd);
            deadline_init(&systemd->retry, &systemd->task);
            deadline_init(&systemd->extension, &systemd->task);
            deadline_init(&systemd->watchdog, &systemd->task);
            deadline_set(loop, &systemd->watchdog, systemd->watchdog_every_ms);
        }
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return systemd;
}

void systemd_free(struct systemd *systemd)
{
    if (systemd == NULL)
        return;
    deadline_clear(&systemd->retry);
    deadline_clear(&systemd->extension);
    deadline_clear(&systemd->watchdog);
    close(systemd->fd);
    free(systemd);
}

void systemd_started(struct systemd *systemd, const struct load_outcome *outcome)
{
    if (systemd == NULL || systemd->state != SYSTEMD_STARTING)
        return;
    describe_outcome(systemd, outcome, "");
    enter(systemd, SYSTEMD_READY, OWED_READY);
}

void systemd_loading(struct systemd *systemd)
{
    if (systemd == NULL || systemd->state != SYSTEMD_READY)
        return;
    systemd->reloading_us = loop_now_us(systemd->loop);
    enter(systemd, SYSTEMD_RELOADING, OWED_RELOADING);
}

void systemd_loaded(struct systemd *systemd, const struct load_outcome *outcome,
                    const char *refusal)
{
    if (systemd == NULL)
        return;
    unsigned unsaid = systemd->owed;
    switch (systemd->state) {
    case SYSTEMD_RELOADING:
        describe_outcome(systemd, outcome, refusal);
        enter(systemd, SYSTEMD_READY, (unsaid & OWED_RELOADING) | OWED_READY);
        return;
    case SYSTEMD_READY: /* it began before the manager knew that the gateway is ready */
        describe_outcome(systemd, outcome, refusal);
        enter(systemd, SYSTEMD_READY, unsaid | OWED_STATUS);
        return;
    case SYSTEMD_STARTING:
    case SYSTEMD_DRAINING: return;
    }
}

void systemd_draining(struct systemd *systemd, const char *what, uint64_t limit_ms)
{
    if (systemd == NULL)
        return;
    bool is_first = systemd->state != SYSTEMD_DRAINING;
    systemd->drains_how = what;
    systemd->drain_ends_ms = limit_ms > 0 ? loop_now_ms(systemd->loop) + limit_ms : 0;
    deadline_set(systemd->loop, &systemd->extension, limit_ms > 0 ? EXTEND_EVERY_MS : 0);
    describe_drain(systemd);
    enter(systemd, SYSTEMD_DRAINING,
          is_first ? OWED_STOPPING : (systemd->owed & OWED_STOPPING) | OWED_STATUS);
}
