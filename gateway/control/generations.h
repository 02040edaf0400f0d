/* Loading, publishing and retiring generations, one after the other.
 *
 * A load reads files on a helper thread. What it built is published to every worker and is the
 * current generation once the last one has acknowledged; a refused one changes nothing. Whoever
 * asks while a load is under way waits for the next, which sees the files as they were when it was
 * asked. A renewal is a load that leaves the route file alone: files of certificates have changed.
 */
#ifndef CONTROL_GENERATIONS_H
#define CONTROL_GENERATIONS_H

#include "control/control.h"
#include "control/load_outcome.h"

/* What became of all loads so far: for /status and the metrics. */
struct load_record {
    uint64_t counts[LOAD_RESULTS];
    bool last_is_fine;      /* the last one was not refused; true before any */
    int64_t last_fine_s;    /* when one last was not, in seconds since 1970; 0: never */
    char last_refusal[512]; /* why the last one was; empty: it was not */
};

struct load_ask;

struct generations *generations_new(struct control *control);
/* Not while anything is under way. */
void generations_free(struct generations *generations);

/* Asks for a whole load; `task` (NULL: nobody waits) is woken when it has ended. */
struct load_ask *generations_ask(struct generations *generations, struct task *task);
/* IO_WAIT; IO_OK: *outcome is the ask's. */
enum io load_ask_answer(struct load_ask *ask, const struct load_outcome **outcome);
/* Takes it, answered or not; the load goes on. */
void load_ask_end(struct load_ask *ask);

/* A load without anybody who waits; the log says what became of it. */
void generations_load(struct generations *generations, enum load_kind kind);

/* From now on loads are refused as too late, and files are not watched any more; what is under way
 * goes on. */
void generations_close(struct generations *generations);
bool generations_are_busy(const struct generations *generations);
/* A generation is on its way to the workers. */
bool generations_are_publishing(const struct generations *generations);
/* After generations_close: does not wait for a load's thread any longer, which may hang in a file
 * system; whoever asked is told that it is too late. While the thread may still come back,
 * generations_free is not allowed. */
void generations_abandon(struct generations *generations);
bool generations_have_abandoned(const struct generations *generations);

/* Borrowed; NULL before the first. */
struct snapshot *generations_current(const struct generations *generations);
/* What is broken now, and what is served in its place. */
const struct cert_problems *generations_broken(const struct generations *generations);
/* What the last load that was not refused had to read. */
struct cert_load_counts generations_last_read(const struct generations *generations);
const struct load_record *generations_record(const struct generations *generations);

#endif
