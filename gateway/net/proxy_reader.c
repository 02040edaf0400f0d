#include "net/proxy_reader.h"

#include "net/tcp_stream.h"

/* A piece of a header is taken as well as a whole one: nothing stays in the kernel for the watcher
 * to tell again and again. */
static enum io take_more(struct stream *tcp, struct buffer *held, struct proxy_header *header,
                         enum proxy_parse *parse, enum proxy_problem *problem)
{
    size_t before = buffer_length(held), got = 0, length = 0;
    char *tail = buffer_tail(held);
    enum io io = tcp_stream_peek(tcp, tail, PROXY_HEADER_BYTES_MAX - before, &got);
    if (io != IO_OK)
        return io;
    *parse = proxy_header_parse(slice_make(buffer_content(held).at, before + got), header, &length,
                                problem);
    if (*parse == PROXY_BAD)
        return IO_OK;
    size_t due = *parse == PROXY_DONE ? length - before : got;
    io = tcp_stream_recv(tcp, tail, due, &got);
    if (io != IO_OK)
        return io;
    buffer_added(held, got);
    if (got < due)
        *parse = PROXY_MORE;
    return IO_OK;
}

enum proxy_read proxy_header_read(struct stream *tcp, struct buffer *held,
                                  struct proxy_header *header, enum proxy_problem *problem)
{
    enum proxy_parse parse = PROXY_MORE;
    enum io io = IO_OK;
    while (io == IO_OK && parse == PROXY_MORE) {
        io = IO_ERROR;
        if (buffer_reserve(held, PROXY_HEADER_BYTES_MAX))
            io = take_more(tcp, held, header, &parse, problem);
    }
    buffer_rest(held);
    if (io == IO_WAIT)
        return PROXY_READ_WAIT;
    if (io != IO_OK)
        return PROXY_READ_GONE;
    return parse == PROXY_DONE ? PROXY_READ_DONE : PROXY_READ_BAD;
}
