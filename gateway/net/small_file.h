/* One small regular file read off the loop: ask, IO_WAIT, ask again. */
#ifndef NET_SMALL_FILE_H
#define NET_SMALL_FILE_H

#include "base/slice.h"
#include "net/jobs.h"

enum { SMALL_FILE_MAX = 64 * 1024 };

struct small_file; /* one reading */

/* Starts it; `task` is woken on `loop` when there is an answer. The path is copied. Links in its
 * folders are followed, a link in the file's own place is not. NULL when there is no
 * memory. */
struct small_file *small_file_start(struct jobs *jobs, struct loop *loop, struct slice path,
                                    struct task *task);
/* IO_WAIT; IO_OK with the content, which lives until the end; IO_EOF when there is no such regular
 * file of at most SMALL_FILE_MAX bytes that may be read; IO_ERROR when too many are being read or
 * there is no memory. */
enum io small_file_answer(struct small_file *file, struct slice *content);
/* Takes it, answered or not. */
void small_file_end(struct small_file *file);

#endif
