/* Small files, read whole, by threads that may block for as long as a disk does. */
#ifndef BASE_FILE_BYTES_H
#define BASE_FILE_BYTES_H

#include "base/error.h"
#include "base/slice.h"

/* The whole file, to be given back by file_bytes_free. False with an error that names it:
 * unreadable, not a regular file (a pipe is never waited for), or larger than `most` bytes, which
 * are whole MiB. `missing`, if not NULL, tells "there is no such file" from the rest. */
bool file_bytes_read(const char *path, size_t most, struct slice *bytes, bool *missing,
                     struct error *error);
void file_bytes_free(struct slice bytes); /* wiped: it may have been a key */

#endif
