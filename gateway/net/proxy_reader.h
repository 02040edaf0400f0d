/* Reads a PROXY protocol header off a socket, and nothing of what follows it. */
#ifndef NET_PROXY_READER_H
#define NET_PROXY_READER_H

#include "net/proxy_protocol.h"
#include "net/stream.h"

enum proxy_read {
    PROXY_READ_WAIT, /* the stream's task is woken when there is more */
    PROXY_READ_DONE,
    PROXY_READ_BAD,  /* *problem */
    PROXY_READ_GONE, /* the peer has left, or there is no memory; `held` says if anything had come
                      */
};

/* `tcp` is a tcp_stream; what has come of the header is kept in `held`, empty at first, which the
 * caller clears in the end. It holds no memory while nothing has come. */
enum proxy_read proxy_header_read(struct stream *tcp, struct buffer *held,
                                  struct proxy_header *header, enum proxy_problem *problem);

#endif
