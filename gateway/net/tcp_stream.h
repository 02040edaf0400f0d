/* A stream over a connected, non-blocking socket (TCP or Unix).
 *
 * It keeps may_read and may_write: set by the watcher, cleared by a short read or EAGAIN. Asking
 * without the flag makes no system call. The one watcher always looks for what is to be read, and
 * for room once some is wanting; an event that finds its flag already set has its direction rest
 * until the next ask, so that a level-triggered watcher never spins.
 */
#ifndef NET_TCP_STREAM_H
#define NET_TCP_STREAM_H

#include "net/stream.h"

/* Takes `fd` (also on failure, when it is closed). `task` is woken on events. */
struct stream *tcp_stream_new(struct loop *loop, int fd, struct task *task);

/* recv straight into memory, for streams stacked on this one. *got > 0 with IO_OK. */
enum io tcp_stream_recv(struct stream *stream, char *into, size_t room, size_t *got);

/* The same without taking the bytes. Who was answered IO_OK takes, by tcp_stream_recv, all that has
 * come, or asks for nothing more: what is left in the kernel wakes nobody. */
enum io tcp_stream_peek(struct stream *stream, char *into, size_t room, size_t *got);

/* One send of it all. IO_OK: *sent > 0 of them left. */
enum io tcp_stream_send(struct stream *stream, struct slice bytes, size_t *sent);

/* The peer has ended its direction or broken the connection, whatever is still to be read before.
 * Costs a system call. */
bool tcp_stream_peer_has_left(const struct stream *stream);

/* The next read asks the kernel, whatever was reported so far. */
void tcp_stream_doubt(struct stream *stream);
/* The same of one that nobody has read from, and nothing is reported until then: for an accepted
 * connection, on which something has mostly come by its turn. Whoever owns it has to read. */
void tcp_stream_ask_first(struct stream *stream);

/* Closing it will be a reset, which also takes what is still on its way. */
void tcp_stream_close_with_reset(struct stream *stream);

/* The kernel takes no more than so much that has not left: what is written later, and is more
 * urgent, need not wait for it. */
void tcp_stream_keep_little_unsent(struct stream *stream);

/* Tells the peer now that all it sent has come, where nothing is about to be sent that would. A
 * peer that gathers small pieces (RFC 896) sends the next one only then, and the kernel takes its
 * time. */
void tcp_stream_acknowledge(struct stream *stream);

int tcp_stream_fd(const struct stream *stream);
struct loop *tcp_stream_loop(const struct stream *stream);

/* errno of the last IO_ERROR, 0 without one. */
int tcp_stream_errno(const struct stream *stream);

#endif
