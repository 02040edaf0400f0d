/* One thread's event loop: tasks that are woken, run, and buried; deadlines; posts from other
 * threads.
 *
 * The idiom for everything slow: ask; on IO_WAIT the task you named will be woken; ask again.
 * Watchers and deadlines only queue tasks. The loop runs the queue before it sleeps and then frees
 * what was buried during the round, so nothing is called back inside somebody's stack frame and
 * closing is legal anywhere. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct ev_loop;

enum io {
    IO_OK,   /* something was done */
    IO_WAIT, /* nothing now; the task will be woken */
    IO_EOF,  /* orderly end of what is read */
    IO_ERROR /* broken; only closing is left */
};

enum task_state { TASK_IDLE, TASK_QUEUED, TASK_BURIED };

/* What runs when its owner is woken. Embedded in the owner, one per moving object. */
struct task {
    void (*run)(void *owner);
    void *owner;
    struct task *next;
    void (*free_owner)(void *owner); /* set by loop_bury */
    enum task_state state;
    bool is_patient; /* expensive and not yet anybody's who is served: runs behind all others, for
                        no longer than they took before sockets are looked at again */
};

/* NULL when the kernel has no descriptors for it (errno says which limit). */
struct loop *loop_new(void);

/* Runs what is still queued and frees what is buried; no watcher, deadline or job may be left. What
 * jobs have that nobody came to take is freed.
 * Waits for posts that are expected, and for threads that are still inside loop_post. */
void loop_free(struct loop *loop);

/* Returns after loop_stop, which is for the loop's own thread: the current round is finished. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* For net/ alone: watchers. */
struct ev_loop *loop_ev(struct loop *loop);

/* Monotonic milliseconds as of this round: the one clock of deadlines and durations. */
uint64_t loop_now_ms(const struct loop *loop);
/* The same clock in microseconds, read anew for each task: for all of one run of a task it is the
 * time of its first ask. */
uint64_t loop_now_us(struct loop *loop);

void task_init(struct task *task, void (*run)(void *owner), void *owner);

/* Queues the task behind the others of its kind (patient or not, as it is now); nothing if it is
 * queued already or buried. Own thread only. */
void loop_wake(struct loop *loop, struct task *task);

/* Patient tasks are waiting for their turn. */
bool loop_is_crowded(const struct loop *loop);

/* Ends an object: its task never runs again, and free_owner(owner) is called once this round is
 * over. Its deadlines, streams and jobs are cleared or closed by the caller before. Own thread
 * only. */
void loop_bury(struct loop *loop, struct task *task, void (*free_owner)(void *owner));

/* A message from another thread: `run` is called on the loop's thread. The caller keeps it alive
 * until then; posting one that is still on its way is a mistake. Any thread. */
struct post {
    void (*run)(void *owner);
    void *owner;
    struct post *next;
    void (*drop)(void *owner); /* of one that is expected: by loop_free instead of running it */
    struct list_node node;     /* of those that are expected */
};
void loop_post(struct loop *loop, struct post *post);

/* For net/jobs.c: posts that are going to come, until they have run. loop_free waits for those. */
void loop_expect(struct loop *loop, struct post *post); /* own thread */
void loop_forget(struct loop *loop, struct post *post); /* it will not come; own thread */
/* With `is_yielding` by a thread that the kernel may stop anywhere, for long: its posts have a way
 * of their own, on which nobody else's wait behind them. */
void loop_post_expected(struct loop *loop, struct post *post, bool is_yielding);

/* --- deadlines: a stored time and a place in the loop's timer wheel ----------------------------
 */

/* All zeroes is "none". Embedded; wakes its task when the time has come, never earlier. */
struct deadline {
    struct list_node node;
    struct task *task;
    uint64_t due_ms; /* 0: none */
    uint64_t filed_ms;
};

void deadline_init(struct deadline *deadline, struct task *task);

/* Sets it to `after_ms` from now; 0 turns it off. Pushing it later is a store. */
void deadline_set(struct loop *loop, struct deadline *deadline, uint64_t after_ms);
/* Off; must be called before its memory goes. */
void deadline_clear(struct deadline *deadline);
/* Set, and its time has come. */
bool deadline_passed(const struct loop *loop, const struct deadline *deadline);

/* --- the loop's own read buffer, for streams that decrypt out of it ----------------------------
 */

enum { LOOP_SCRATCH_BYTES = 256 * 1024 };

/* Room for LOOP_SCRATCH_BYTES that any stream of this loop may use within one call, never across.
 */
char *loop_read_scratch(struct loop *loop);
char *loop_write_scratch(struct loop *loop);

/* How often the loop has gone to sleep (epoll_wait): for tests that nothing spins. */
uint64_t loop_sleeps(const struct loop *loop);

#endif
