#include "support/fake_stream.h"

#include "base/check.h"

#include <stdlib.h>

static struct fake_stream *fake_of(struct stream *stream)
{
    return container_of(stream, struct fake_stream, stream);
}

static void wake(struct fake_stream *fake)
{
    if (fake->loop && fake->stream.task)
        loop_wake(fake->loop, fake->stream.task);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t step_or_all(size_t step)
{
    return step > 0 ? step : SIZE_MAX;
}

/* Every other ask is refused where the script says so; the task is awake again at once. */
static bool refuses_now(struct fake_stream *fake, bool waits, bool *was_refused)
{
    if (!waits)
        return false;
    *was_refused = !*was_refused;
    if (*was_refused)
        wake(fake);
    return *was_refused;
}

static enum io fake_read(struct stream *stream, struct buffer *into)
{
    struct fake_stream *fake = fake_of(stream);
    size_t there = buffer_length(&fake->arriving);
    size_t bytes = least(least(there, buffer_room(into)), step_or_all(fake->read_step));

    assert(!fake->is_closed);
    assert(into->base && buffer_room(into) > 0);
    if (there == 0)
        return fake->ending;
    if (refuses_now(fake, fake->read_waits, &fake->read_was_refused))
        return IO_WAIT;
    memcpy(buffer_tail(into), buffer_content(&fake->arriving).at, bytes);
    buffer_added(into, bytes);
    buffer_consume(&fake->arriving, bytes);
    fake->reads++;
    return IO_OK;
}

static enum io fake_write(struct stream *stream, struct slice bytes, size_t *taken)
{
    struct fake_stream *fake = fake_of(stream);

    assert(!fake->is_closed && !fake->is_shut);
    *taken = 0;
    if (fake->write_fails)
        return IO_ERROR;
    if (fake->room == 0 || refuses_now(fake, fake->write_waits, &fake->write_was_refused))
        return IO_WAIT;
    *taken = least(least(bytes.len, fake->room), step_or_all(fake->write_step));
    if (fake->room != SIZE_MAX)
        fake->room -= *taken;
    buffer_append(fake->holds_back ? &fake->held : &fake->written, slice_make(bytes.at, *taken));
    fake->writes++;
    return IO_OK;
}

static enum io fake_flush(struct stream *stream)
{
    struct fake_stream *fake = fake_of(stream);

    assert(!fake->is_closed);
    fake->flushes++;
    if (fake->write_fails)
        return IO_ERROR;
    buffer_append(&fake->written, buffer_content(&fake->held));
    buffer_clear(&fake->held);
    return IO_OK;
}

static enum io fake_shut(struct stream *stream)
{
    struct fake_stream *fake = fake_of(stream);

    if (fake->write_fails)
        return IO_ERROR;
    fake->is_shut = true;
    return IO_OK;
}

static struct stream_traffic fake_traffic(const struct stream *stream)
{
    (void)stream;
    return (struct stream_traffic){UINT64_MAX, UINT64_MAX};
}

static void fake_close(struct stream *stream)
{
    fake_of(stream)->is_closed = true;
}

static const struct stream_ops fake_ops = {
    .read = fake_read,
    .write = fake_write,
    .flush = fake_flush,
    .shut = fake_shut,
    .traffic = fake_traffic,
    .close = fake_close,
};

struct fake_stream *fake_stream_new(struct loop *loop, struct task *task)
{
    struct fake_stream *fake = memory_new(sizeof(*fake));

    fake->stream = (struct stream){.ops = &fake_ops, .task = task};
    fake->loop = loop;
    fake->room = SIZE_MAX;
    fake->ending = IO_WAIT;
    return fake;
}

void fake_stream_free(struct fake_stream *fake)
{
    buffer_clear(&fake->arriving);
    buffer_clear(&fake->held);
    buffer_clear(&fake->written);
    free(fake);
}

void fake_stream_send(struct fake_stream *fake, struct slice bytes)
{
    assert(fake->ending == IO_WAIT);
    buffer_append(&fake->arriving, bytes);
    wake(fake);
}

void fake_stream_send_text(struct fake_stream *fake, const char *text)
{
    fake_stream_send(fake, slice_of(text));
}

void fake_stream_end(struct fake_stream *fake, enum io how)
{
    fake->ending = how;
    wake(fake);
}

bool fake_stream_is_quiet(const struct fake_stream *fake)
{
    return buffer_length(&fake->arriving) == 0 && fake->ending == IO_WAIT;
}

void fake_stream_take(struct fake_stream *fake, size_t bytes)
{
    fake->room += bytes;
    wake(fake);
}

struct slice fake_stream_written(const struct fake_stream *fake)
{
    return buffer_content(&fake->written);
}

void fake_stream_forget(struct fake_stream *fake)
{
    buffer_clear(&fake->written);
}
