#include "control/privileges.h"

#include "base/log.h"
#include "control/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOW_PORTS = 1024, CAPABILITIES_MOST = 64 };

/* Sets of capabilities, one bit each. */
struct rights {
    uint64_t effective, permitted, inheritable;
};

#define RIGHT(capability) (UINT64_C(1) << (capability))

/* --- capabilities, as the kernel takes them: two words of 32 bits each ---------------------------
 */

static bool get_rights(struct rights *rights)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct words[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (syscall(SYS_capget, &header, words) != 0)
        return false;
    rights->effective = words[0].effective | (uint64_t)words[1].effective << 32;
    rights->permitted = words[0].permitted | (uint64_t)words[1].permitted << 32;
    rights->inheritable = words[0].inheritable | (uint64_t)words[1].inheritable << 32;
    return true;
}

/* Permitted and effective; nothing is inheritable. */
static bool set_rights(uint64_t kept)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct words[_LINUX_CAPABILITY_U32S_3] = {
        {.effective = (uint32_t)kept, .permitted = (uint32_t)kept},
        {.effective = (uint32_t)(kept >> 32), .permitted = (uint32_t)(kept >> 32)}};

    return syscall(SYS_capset, &header, words) == 0;
}

bool privileges_are_held(void)
{
    struct rights rights;
    return geteuid() == 0 || !get_rights(&rights) || rights.permitted != 0;
}

/* What a program started from here could get: nothing. The bounding set belongs to who holds
 * CAP_SETPCAP; without that, no_new_privs alone sees to it. */
static bool close_ways_up(struct error *error)
{
    for (unsigned long i = 0; i < CAPABILITIES_MOST; i++)
        if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0)
            break; /* the last one, or not ours to drop */
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        return true;
    error_set(error, "new privileges cannot be ruled out: %s", strerror(errno));
    return false;
}

static bool keep_rights(uint64_t wanted, struct error *error)
{
    struct rights rights;

    if (get_rights(&rights) && set_rights(rights.permitted & wanted) && get_rights(&rights) &&
        (rights.permitted & ~wanted) == 0 && rights.inheritable == 0)
        return true;
    error_set(error, "capabilities cannot be given up: %s", strerror(errno));
    return false;
}

/* --- the user ------------------------------------------------------------------------------------
 */

static bool set_groups(const struct process_user *user)
{
    gid_t gid = user->gid;
    return user->login != NULL ? initgroups(user->login, gid) == 0 : setgroups(1, &gid) == 0;
}

static bool is_for_good(const struct process_user *user)
{
    uid_t real, effective, saved;
    gid_t real_group, effective_group, saved_group;

    if (getresuid(&real, &effective, &saved) != 0 || real != user->uid || effective != user->uid ||
        saved != user->uid)
        return false;
    if (getresgid(&real_group, &effective_group, &saved_group) != 0 || real_group != user->gid ||
        effective_group != user->gid || saved_group != user->gid)
        return false;
    return user->uid == 0 || (setresuid((uid_t)-1, 0, (uid_t)-1) != 0 && seteuid(0) != 0);
}

static bool change_user(const struct process_user *user, struct error *error)
{
    if (set_groups(user) && setresgid(user->gid, user->gid, user->gid) == 0 &&
        setresuid(user->uid, user->uid, user->uid) == 0) {
        sandbox_allow_leak_check();
        return true;
    }
    error_set(error,
              "cannot become the user %s: %s; that needs CAP_SETUID and CAP_SETGID, or start the "
              "gateway as that user",
              user->user, strerror(errno));
    return false;
}

static bool prove_change(const struct process_user *user, struct error *error)
{
    if (is_for_good(user))
        return true;
    error_set(error, "the user %s could become root again", user->user);
    return false;
}

bool privileges_become(const struct process_user *user, struct error *error)
{
    return change_user(user, error) && prove_change(user, error);
}

/* --- the whole -----------------------------------------------------------------------------------
 */

static bool listens_low(const struct globals *globals)
{
    for (unsigned i = 0; i < globals->listen_count; i++) {
        const struct listen_spec *spec = &globals->listens[i];
        for (int k = 0; k < spec->address_count; k++) {
            const struct address *address = &spec->addresses[k];
            if (address->as.any.sa_family != AF_UNIX && address_port(address) > 0 &&
                address_port(address) < LOW_PORTS)
                return true;
        }
    }
    return false;
}

static void say_who(const struct process_user *user, bool is_switched)
{
    if (is_switched)
        log_event(LOG_INFO, "user",
                  "serves as %s (uid %u, gid %u): route file, certificates and logs are opened as "
                  "that user",
                  user->user, (unsigned)geteuid(), (unsigned)getegid());
    else if (geteuid() == 0)
        log_event(LOG_WARN, "user",
                  "serves as root, though without root's right to others' files: name a \"user\" "
                  "in the route file");
    else if (user != NULL && user->user != NULL && user->uid != geteuid())
        log_event(LOG_WARN, "user",
                  "\"user\" is %s, but only root can become another user: serves as uid %u",
                  user->user, (unsigned)geteuid());
}

static void say_rights(void)
{
    struct rights rights = {0};
    bool is_bind = get_rights(&rights) && (rights.effective & RIGHT(CAP_NET_BIND_SERVICE)) != 0;
    log_event(LOG_INFO, "privileges", "no new privileges; capabilities: %s",
              is_bind ? "cap_net_bind_service, for ports below 1024" : "none");
}

bool privileges_drop(const struct globals *wanted, struct error *error)
{
    const struct process_user *user = wanted != NULL ? &wanted->process_user : NULL;
    bool is_switched = user != NULL && user->user != NULL && geteuid() == 0;
    uint64_t kept = wanted != NULL && listens_low(wanted) ? RIGHT(CAP_NET_BIND_SERVICE) : 0;

    if (!close_ways_up(error))
        return false;
    /* Permitted capabilities outlive the change of user; keep_rights ends that. */
    if (is_switched && (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || !change_user(user, error)))
        return false;
    if (!keep_rights(kept, error) || (is_switched && !prove_change(user, error)))
        return false;
    prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    say_who(user, is_switched);
    say_rights();
    return true;
}

/* --- later generations ---------------------------------------------------------------------------
 */

bool privileges_fit(const struct globals *globals, struct error *error)
{
    const struct process_user *user = &globals->process_user;

    if (user->user == NULL || geteuid() != 0 || user->uid == 0)
        return true;
    error_set(error, "the route file has changed while the gateway started: start it again");
    return false;
}

static bool is_same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

void privileges_warn_if_changed(const struct globals *was, const struct globals *is)
{
    if (!is_same(was->process_user.user, is->process_user.user) ||
        !is_same(was->process_user.group, is->process_user.group))
        log_event(LOG_WARN, "user_changed",
                  "\"user\" or \"group\" has changed; that takes effect at the next restart");
}
