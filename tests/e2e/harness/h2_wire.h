/* HTTP/2 below a wire whose owner speaks HTTP/1.1: requests that are written become streams,
 * answers are read one after the other in the order of the requests.
 *
 * What is translated, and how:
 *   pipelined requests              concurrent streams
 *   Host, the target                :authority, :path
 *   Upgrade: websocket, 101         extended CONNECT (RFC 8441), 200
 *   a body's framing                DATA, Content-Length as it is, trailers
 *   Connection: close of a client   GOAWAY
 *   Connection: close of an answer  GOAWAY came before it
 *   a response that is cut          RST_STREAM: the wire ends as WIRE_RESET, the connection stays
 *   the end of a tunnel's way       END_STREAM
 * The gateway's windows grow by what was read off the wire, like a socket's. Pings are answered,
 * and what was written goes on, whatever the owner does: a thread of the process sees to that, as a
 * kernel does to sockets. */
#ifndef E2E_H2_WIRE_H
#define E2E_H2_WIRE_H

#include "wire.h"

struct h2_wire;

/* On a connection for which `h2` was negotiated; borrows both. small_window: few bytes of a
 * response come before they are read. */
struct h2_wire *h2_wire_new(int fd, SSL *ssl, bool small_window);
void h2_wire_free(struct h2_wire *h2);

/* As wire_fill, wire_write and wire_half_close have it: how many bytes, 0 when there are no more
 * and *end says why. */
size_t h2_wire_read(struct h2_wire *h2, char *to, size_t room, enum wire_end *end);
bool h2_wire_write(struct h2_wire *h2, const char *bytes, size_t length);
void h2_wire_half_close(struct h2_wire *h2);

/* Whether a read would not wait. */
bool h2_wire_is_readable(struct h2_wire *h2);
/* The alert that ended it, 0 for none. */
int h2_wire_alert(struct h2_wire *h2);
/* Calls off the request whose answer is next (RST_STREAM, CANCEL), and waits until the gateway has
 * had it; the connection goes on. */
bool h2_wire_cancel(struct h2_wire *h2);
/* The request whose answer is next ended in a PROTOCOL_ERROR; it is done with then. */
bool h2_wire_was_malformed(struct h2_wire *h2);
/* Has a PING answered: what the gateway had to say before has come. False: the connection ended. */
bool h2_wire_ping(struct h2_wire *h2);

#endif
