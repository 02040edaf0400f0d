/* Counts the system calls that streams and the loop make: for tests that there are not too many.
 *
 * A program that uses this replaces the C library's functions by ones that count and go on. */
#ifndef TESTS_SUPPORT_SYSCALLS_H
#define TESTS_SUPPORT_SYSCALLS_H

struct syscall_counts {
    unsigned epoll_ctl, recv, send, accept4, getsockname;
};

/* Of the whole process since it started; read it when no other thread makes such calls. */
extern struct syscall_counts syscall_counts;

#endif
