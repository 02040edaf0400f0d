/* Whose turn it is among workers that hold requests. The workers' loops turn in this thread. */
#include "upstream/turns.h"

#include <criterion/criterion.h>

enum { WORKERS = 3, QUEUE = 10 };

struct worker {
    struct turns *turns;
    struct loop *loop;
    struct bell bell;
    struct worker_turn turn;
    struct task task;
    struct task end; /* of a round of its loop */
    struct deadline tick;
    unsigned rounds, calls;
    unsigned *left;   /* of what is free */
    bool can_do_none; /* whatever is free is of no use for it */
    unsigned served;
};

struct fixture {
    struct turns turns;
    struct worker workers[WORKERS];
    unsigned left;
};

/* As a pool does it: serves one, and passes the turn. */
static void serve(void *owner)
{
    struct worker *worker = owner;
    uint64_t event = turn_event(&worker->turn);

    worker->calls++;
    if (worker->turn.waiting == 0 || *worker->left == 0 || worker->can_do_none) {
        turn_fail(&worker->turn, event);
        return;
    }
    (*worker->left)--;
    worker->served++;
    turn_end_wait(&worker->turn);
    turn_give_place(&worker->turn);
    turn_pass(&worker->turn, *worker->left > 0);
}

/* The loop has slept in between: bells were heard. */
static void end_round(void *owner)
{
    struct worker *worker = owner;

    if (++worker->rounds % 3 == 0)
        loop_stop(worker->loop);
    else
        deadline_set(worker->loop, &worker->tick, 1);
}

static void set_up(struct fixture *f)
{
    *f = (struct fixture){0};
    turns_init(&f->turns);
    for (int i = 0; i < WORKERS; i++) {
        struct worker *worker = &f->workers[i];
        worker->left = &f->left;
        worker->loop = loop_new();
        bell_init(&worker->bell, worker->loop);
        task_init(&worker->task, serve, worker);
        task_init(&worker->end, end_round, worker);
        deadline_init(&worker->tick, &worker->end);
        turn_init(&worker->turn, &f->turns, &worker->bell, worker->loop, &worker->task);
    }
}

/* Until nobody is called any more. */
static void run_all(struct fixture *f)
{
    for (int round = 0; round < 4 * QUEUE; round++) {
        struct worker *worker = &f->workers[round % WORKERS];
        deadline_set(worker->loop, &worker->tick, 1);
        loop_run(worker->loop);
    }
}

static void hold(struct worker *worker, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        cr_assert(turn_take_place(&worker->turn, QUEUE));
        turn_begin_wait(&worker->turn);
    }
}

static void tear_down(struct fixture *f)
{
    for (int i = 0; i < WORKERS; i++) {
        struct worker *worker = &f->workers[i];
        while (worker->turn.waiting > 0)
            turn_end_wait(&worker->turn);
        while (worker->turn.places > 0)
            turn_give_place(&worker->turn);
        deadline_clear(&worker->tick);
        turn_clear(&worker->turn);
        bell_clear(&worker->bell);
        loop_free(worker->loop);
    }
    turns_clear(&f->turns);
}

static void set_free(struct fixture *f, int worker, unsigned count)
{
    f->left += count;
    for (unsigned i = 0; i < count; i++)
        turn_note_free(&f->workers[worker].turn);
}

Test(turns, places_are_exact_for_all_workers)
{
    struct fixture f;

    set_up(&f);
    hold(&f.workers[0], 6);
    hold(&f.workers[1], QUEUE - 6);
    cr_assert_not(turn_take_place(&f.workers[2].turn, QUEUE));
    turn_end_wait(&f.workers[0].turn);
    turn_give_place(&f.workers[0].turn);
    cr_assert(turn_take_place(&f.workers[2].turn, QUEUE));
    cr_assert_not(turn_take_place(&f.workers[1].turn, QUEUE));
    tear_down(&f);
}

Test(turns, workers_take_turns_however_many_each_holds)
{
    struct fixture f;

    set_up(&f);
    hold(&f.workers[0], 6);
    hold(&f.workers[1], 2);
    hold(&f.workers[2], 2);
    for (int i = 0; i < 6; i++) {
        set_free(&f, 0, 1);
        run_all(&f);
    }
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(f.workers[i].served, 2);
    set_free(&f, 1, 4);
    run_all(&f);
    cr_assert_eq(f.workers[0].served, 6);
    tear_down(&f);
}

Test(turns, one_call_serves_all_if_there_is_enough_for_all)
{
    struct fixture f;

    set_up(&f);
    hold(&f.workers[0], 2);
    hold(&f.workers[1], 5);
    hold(&f.workers[2], 3);
    f.left = QUEUE;
    turn_note_free(&f.workers[1].turn);
    run_all(&f);
    cr_assert_eq(f.left, 0);
    cr_assert_eq(f.workers[0].served + f.workers[1].served + f.workers[2].served, QUEUE);
    tear_down(&f);
}

Test(turns, who_can_do_nothing_has_the_next_one_called)
{
    struct fixture f;

    set_up(&f);
    hold(&f.workers[0], 2);
    hold(&f.workers[1], 2);
    hold(&f.workers[2], 2);
    f.workers[0].can_do_none = f.workers[1].can_do_none = true;
    set_free(&f, 0, 2);
    run_all(&f);
    cr_assert_eq(f.workers[2].served, 2);
    tear_down(&f);
}

/* Nobody is called over and over for what nobody can use. */
Test(turns, each_is_asked_once_for_what_nobody_can_use)
{
    struct fixture f;

    set_up(&f);
    for (int i = 0; i < WORKERS; i++) {
        hold(&f.workers[i], 1);
        f.workers[i].can_do_none = true;
    }
    set_free(&f, 0, 1);
    run_all(&f);
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(f.workers[i].calls, 1);
    turn_note_free(&f.workers[0].turn);
    run_all(&f);
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(f.workers[i].calls, 2);
    tear_down(&f);
}

Test(turns, nobody_is_called_where_nobody_waits)
{
    struct fixture f;

    set_up(&f);
    set_free(&f, 0, 3);
    run_all(&f);
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(f.workers[i].calls, 0);
    tear_down(&f);
}

/* One that was called and goes before it answers loses nothing. */
Test(turns, who_goes_passes_its_turn_on)
{
    struct fixture f;

    set_up(&f);
    hold(&f.workers[0], 1);
    hold(&f.workers[1], 1);
    set_free(&f, 2, 1); /* calls the first */
    turn_end_wait(&f.workers[0].turn);
    turn_give_place(&f.workers[0].turn);
    turn_clear(&f.workers[0].turn);
    run_all(&f);
    cr_assert_eq(f.workers[1].served, 1);
    turn_init(&f.workers[0].turn, &f.turns, &f.workers[0].bell, f.workers[0].loop,
              &f.workers[0].task);
    tear_down(&f);
}

Test(turns, others_are_those_of_other_workers)
{
    struct fixture f;

    set_up(&f);
    cr_assert_not(turn_somebody_waits(&f.workers[0].turn));
    hold(&f.workers[0], 2);
    cr_assert(turn_somebody_waits(&f.workers[1].turn));
    cr_assert_not(turn_others_wait(&f.workers[0].turn));
    cr_assert(turn_others_wait(&f.workers[1].turn));
    turn_call_others(&f.workers[0].turn);
    run_all(&f);
    cr_assert_eq(f.workers[1].calls, 1);
    cr_assert_eq(f.workers[2].calls, 1);
    tear_down(&f);
}
