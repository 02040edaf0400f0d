#include "policy/password_checks.h"

#include "base/clock.h"
#include "base/refcount.h"
#include "net/address.h"

#include <crypt.h>
#include <pthread.h>
#include <stdlib.h>

/* Whom a check is charged to: an address, or of IPv6 the network that its owner has. */
struct payer {
    uint8_t bytes[17]; /* the family, and what is left is 0 */
};

struct password_checks {
    struct refcount references; /* the owner's, and each check's */
    struct jobs *jobs;
    struct password_memory *memory;
    pthread_mutex_t lock;
    struct list under_way; /* struct password_check */
    unsigned count;
};

/* On its way to a helper, or there. */
struct password_check {
    struct job job;
    struct password_checks *checks; /* a reference */
    struct list_node node;          /* the lock's, as the waits */
    struct list waits;              /* struct password_wait */
    uint8_t signature[MAC_BYTES];
    struct payer payer;
    bool is_known;
    char *password, *hash; /* the check's own; the first is wiped */
    size_t password_length;
};

/* --- hashes ------------------------------------------------------------------------------------
 */

bool password_fits(struct slice password, const char *hash)
{
    struct crypt_data *scratch = memory_new(sizeof(*scratch));
    char phrase[CRYPT_MAX_PASSPHRASE_SIZE];
    bool fits = false;

    if (password.len < sizeof(phrase)) {
        memcpy(phrase, password.at, password.len);
        phrase[password.len] = '\0';
        const char *hashed = crypt_rn(phrase, hash, scratch, sizeof(*scratch));
        fits = hashed != NULL && mac_same_bytes(slice_of(hashed), slice_of(hash));
    }
    explicit_bzero(phrase, sizeof(phrase));
    explicit_bzero(scratch, sizeof(*scratch));
    free(scratch);
    return fits;
}

/* --- the helpers' part -------------------------------------------------------------------------
 */

/* With the lock: nobody comes to wait for it any more. */
static void leave(struct password_check *check)
{
    list_remove(&check->node);
    check->checks->count--;
}

/* False: whoever waited for it has gone. */
static bool is_wanted(struct password_check *check)
{
    pthread_mutex_lock(&check->checks->lock);
    bool is_wanted = !list_is_empty(&check->waits);
    if (!is_wanted)
        leave(check);
    pthread_mutex_unlock(&check->checks->lock);
    return is_wanted;
}

static void work(struct job *job)
{
    struct password_check *check = container_of(job, struct password_check, job);
    struct password_checks *checks = check->checks;

    if (!is_wanted(check))
        return;
    bool fits = password_fits(slice_make(check->password, check->password_length), check->hash);
    bool is_good = fits && check->is_known;
    if (is_good)
        password_memory_add(checks->memory, check->signature, clock_monotonic_ms());
    pthread_mutex_lock(&checks->lock);
    leave(check);
    list_each (&check->waits, node) {
        struct password_wait *wait = container_of(node, struct password_wait, node);
        list_remove(node);
        wait->is_over = true;
        wait->is_good = is_good;
        bell_ring(&wait->pull);
    }
    pthread_mutex_unlock(&checks->lock);
}

static void checks_unref(struct password_checks *checks)
{
    if (!refcount_drop(&checks->references))
        return;
    password_memory_free(checks->memory);
    pthread_mutex_destroy(&checks->lock);
    free(checks);
}

static void check_free(struct password_check *check)
{
    if (check->password != NULL)
        explicit_bzero(check->password, check->password_length);
    free(check->password);
    free(check->hash);
    checks_unref(check->checks);
    free(check);
}

/* One that no helper came to take is still among the others. */
static void free_check(struct job *job)
{
    struct password_check *check = container_of(job, struct password_check, job);

    pthread_mutex_lock(&check->checks->lock);
    if (list_has(&check->node))
        leave(check);
    pthread_mutex_unlock(&check->checks->lock);
    check_free(check);
}

/* --- asking ------------------------------------------------------------------------------------
 */

static struct payer payer_of(struct slice client_ip)
{
    struct payer payer = {{0}};
    struct address address;

    if (!address_parse_ip(client_ip, 0, &address))
        return payer;
    payer.bytes[0] = address.as.any.sa_family == AF_INET ? 4 : 6;
    if (payer.bytes[0] == 4)
        memcpy(payer.bytes + 1, &address.as.v4.sin_addr, 4);
    else
        memcpy(payer.bytes + 1, &address.as.v6.sin6_addr, 8);
    return payer;
}

/* The one of that signature, or NULL; *of_payer is how many that client has. */
static struct password_check *find(struct password_checks *checks, const uint8_t *signature,
                                   const struct payer *payer, unsigned *of_payer)
{
    *of_payer = 0;
    list_each (&checks->under_way, node) {
        struct password_check *check = container_of(node, struct password_check, node);
        if (memcmp(check->signature, signature, MAC_BYTES) == 0)
            return check;
        *of_payer += memcmp(&check->payer, payer, sizeof(*payer)) == 0;
    }
    return NULL;
}

static char *copy_try(const char *bytes, size_t count)
{
    char *copy = memory_try(count + 1);

    if (copy != NULL)
        memcpy(copy, bytes, count);
    return copy;
}

/* NULL: there is no memory, or no helper. */
static struct password_check *start(struct password_checks *checks,
                                    const struct password_claim *claim, bool is_known,
                                    const uint8_t *signature, const struct payer *payer)
{
    struct password_check *check = memory_try(sizeof(*check));

    if (check == NULL)
        return NULL;
    refcount_take(&checks->references);
    *check = (struct password_check){
        .job = {.work = work, .free_job = free_check},
        .checks = checks,
        .payer = *payer,
        .is_known = is_known,
        .password = copy_try(claim->password.at, claim->password.len),
        .password_length = claim->password.len,
        .hash = copy_try(claim->hash, strlen(claim->hash)),
    };
    memcpy(check->signature, signature, MAC_BYTES);
    list_init(&check->waits);
    if (check->password == NULL || check->hash == NULL || !job_give(checks->jobs, &check->job)) {
        check_free(check);
        return NULL;
    }
    list_push_back(&checks->under_way, &check->node);
    checks->count++;
    return check;
}

static void wake(void *owner)
{
    struct password_wait *wait = owner;

    loop_wake(wait->pull.bell->loop, wait->task);
}

enum password_verdict password_check(struct password_checks *checks,
                                     const struct password_claim *claim, bool is_known,
                                     const struct password_asker *asker, struct password_wait *wait)
{
    struct payer payer = payer_of(asker->client_ip);
    uint8_t signature[MAC_BYTES];
    unsigned of_payer;

    password_memory_sign(checks->memory, claim, signature);
    if (is_known && password_memory_has(checks->memory, signature, asker->now_ms))
        return PASSWORD_GOOD;
    *wait = (struct password_wait){.task = asker->task};
    bell_pull_init(&wait->pull, asker->bell, wake, wait);
    pthread_mutex_lock(&checks->lock);
    struct password_check *check = find(checks, signature, &payer, &of_payer);
    if (check == NULL && of_payer < PASSWORD_CHECKS_OF_ONE && checks->count < PASSWORD_CHECKS_MOST)
        check = start(checks, claim, is_known, signature, &payer);
    if (check != NULL) {
        list_push_back(&check->waits, &wait->node);
        wait->checks = checks;
    }
    pthread_mutex_unlock(&checks->lock);
    return check != NULL ? PASSWORD_WAITS : PASSWORD_BUSY;
}

enum password_verdict password_wait_verdict(struct password_wait *wait)
{
    pthread_mutex_lock(&wait->checks->lock);
    enum password_verdict verdict = !wait->is_over  ? PASSWORD_WAITS
                                    : wait->is_good ? PASSWORD_GOOD
                                                    : PASSWORD_BAD;
    pthread_mutex_unlock(&wait->checks->lock);
    return verdict;
}

void password_wait_end(struct password_wait *wait)
{
    if (wait->checks == NULL)
        return;
    pthread_mutex_lock(&wait->checks->lock);
    list_remove(&wait->node);
    pthread_mutex_unlock(&wait->checks->lock);
    bell_pull_clear(&wait->pull);
    wait->checks = NULL;
}

/* --- the process's -----------------------------------------------------------------------------
 */

struct password_checks *password_checks_new(struct jobs *jobs)
{
    struct password_checks *checks = memory_new(sizeof(*checks));

    refcount_init(&checks->references);
    checks->jobs = jobs;
    checks->memory = password_memory_new();
    pthread_mutex_init(&checks->lock, NULL);
    list_init(&checks->under_way);
    return checks;
}

void password_checks_free(struct password_checks *checks)
{
    if (checks != NULL)
        checks_unref(checks);
}
