/* assert in every build, container_of, and memory that is there or ends the process. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#ifdef NDEBUG
#error "Sallyport keeps its assertions: build without NDEBUG"
#endif

#include <assert.h>
#include <stdarg.h>
#include <stddef.h>

/* What would take too long where requests are served: only in builds that tests are for. */
#ifdef SALLYPORT_CHECKS
#define assert_in_tests(expression) assert(expression)
#else
#define assert_in_tests(expression) ((void)(0 && (expression)))
#endif

#define container_of(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* For what peers bring about: NULL when there is no memory, not even in the thread's cache of
 * buffers, which is given up for it. Zeroed; or not. */
void *memory_try(size_t size);
void *memory_try_bytes(size_t size);

/* For what cannot be done without and is ours to size, never a peer's: when there is no memory
 * these wait for some, and end the process with a message if none comes. Memory comes zeroed. */
void *memory_new(size_t size);
void *memory_array(size_t count, size_t size);
/* Grows like realloc; new bytes are not zeroed. */
void *memory_resize(void *old, size_t size);
/* What asprintf does, which fails without memory; the caller frees it. */
char *memory_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *memory_print_list(const char *format, va_list arguments)
    __attribute__((format(printf, 1, 0)));

#endif
