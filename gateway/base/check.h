/* assert in every build, container_of, and memory that is there or ends the process. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#ifdef NDEBUG
#error "Sallyport keeps its assertions: build without NDEBUG"
#endif

#include <assert.h>
#include <stddef.h>

#define container_of(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* For memory that is ours to size, never a peer's: these end the process with a message when there
 * is none. Memory comes zeroed. */
void *memory_new(size_t size);
void *memory_array(size_t count, size_t size);
/* Grows like realloc; new bytes are not zeroed. */
void *memory_resize(void *old, size_t size);

#endif
