#include "h2_wire.h"

#include "h2_pump.h"
#include "h2_session.h"
#include "monitor.h"
#include "workplace.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

/* As much of a body as may wait to be sent before its writer waits, too. */
#define SEND_ROOM  ((size_t)64 * 1024)
#define READ_PIECE ((size_t)16384)

/* What one response may send before it is read; all of them together are not limited. */
enum { WINDOW = 256 * 1024, SMALL_WINDOW = 4096, ALL_WINDOWS = INT32_MAX };

/* --- bytes ---------------------------------------------------------------------------------------
 */

static void end_reading(struct h2_wire *h2, enum wire_end end)
{
    h2->end = end;
    if (end != WIRE_CLOSED || h2->is_deaf)
        return;
    h2->is_deaf = true; /* answered in kind, so that the gateway need not wait for it */
    SSL_shutdown(h2->ssl);
    shutdown(h2->fd, SHUT_WR);
}

/* Whether there is anything new. */
static bool receive(struct h2_wire *h2)
{
    uint8_t bytes[READ_PIECE];
    bool is_news = false;

    while (h2->end == WIRE_OPEN) {
        ERR_clear_error();
        int got = SSL_read(h2->ssl, bytes, (int)sizeof bytes);
        if (got <= 0) {
            enum wire_end end = wire_tls_end(h2->ssl, got, &h2->alert);
            if (end == WIRE_TIMED_OUT)
                return is_news;
            end_reading(h2, end);
            return true;
        }
        is_news = true;
        ssize_t taken = nghttp2_session_mem_recv(h2->session, bytes, (size_t)got);
        if (taken != got) {
            workplace_note("the gateway does not speak HTTP/2: %s", nghttp2_strerror((int)taken));
            h2->end = WIRE_RESET;
        }
    }
    return is_news;
}

static void send_frames(struct h2_wire *h2)
{
    const uint8_t *frame;
    ssize_t length;

    while (!h2->is_deaf) {
        while (wire_held(&h2->out) < READ_PIECE &&
               (length = nghttp2_session_mem_send(h2->session, &frame)) > 0)
            wire_put(&h2->out, frame, (size_t)length);
        if (wire_held(&h2->out) == 0)
            return;
        ERR_clear_error();
        int sent = SSL_write(h2->ssl, wire_bytes(&h2->out), (int)wire_held(&h2->out));
        if (sent > 0) {
            wire_take(&h2->out, (size_t)sent);
            continue;
        }
        h2->is_deaf = wire_tls_end(h2->ssl, sent, &h2->alert) != WIRE_TIMED_OUT;
        return;
    }
}

static bool run(void *arg)
{
    struct h2_wire *h2 = arg;
    size_t waiting = wire_held(&h2->out);
    bool is_news = receive(h2);

    send_frames(h2);
    return is_news || wire_held(&h2->out) != waiting || h2->is_deaf;
}

struct h2_wire *h2_wire_new(int fd, SSL *ssl, bool small_window)
{
    struct h2_wire *h2 = calloc(1, sizeof *h2);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, small_window ? SMALL_WINDOW : WINDOW},
    };

    if (h2 == NULL)
        abort();
    h2->fd = fd;
    h2->ssl = ssl;
    h2->session = h2_session_new(h2);
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0, ALL_WINDOWS);
    send_frames(h2);
    h2->pumped = h2_pump_add(fd, run, h2);
    return h2;
}

void h2_wire_free(struct h2_wire *h2)
{
    monitor_lock();
    h2_pump_remove(h2->pumped);
    monitor_unlock();
    nghttp2_session_del(h2->session);
    while (h2->exchanges != NULL) {
        struct h2_exchange *exchange = h2->exchanges;
        h2->exchanges = exchange->next;
        h2_exchange_free(exchange);
    }
    request_text_clear(&h2->text);
    free(h2->out.in);
    free(h2);
}

/* --- reading -------------------------------------------------------------------------------------
 */

static bool has_news(void *arg)
{
    struct h2_wire *h2 = arg;
    struct h2_exchange *exchange;

    while ((exchange = h2_next_to_read(h2)) != NULL && h2_is_done(h2, exchange)) {
        exchange->is_read = true;
        h2_forget_done(h2);
    }
    return h2->end != WIRE_OPEN ||
           (exchange != NULL &&
            (wire_held(&exchange->in) > 0 || exchange->is_answered || exchange->is_closed));
}

static enum wire_end why_no_more(const struct h2_wire *h2, const struct h2_exchange *exchange)
{
    if (exchange != NULL && exchange->is_answered)
        return WIRE_CLOSED;
    if (exchange != NULL && exchange->is_closed)
        return WIRE_RESET;
    /* In order, but amid an answer. */
    return h2->end == WIRE_CLOSED && exchange != NULL ? WIRE_CUT : h2->end;
}

static size_t take(struct h2_wire *h2, struct h2_exchange *exchange, char *to, size_t room)
{
    size_t piece = wire_held(&exchange->in);

    if (piece > room)
        piece = room;
    memcpy(to, wire_bytes(&exchange->in), piece);
    wire_take(&exchange->in, piece);
    size_t paid = piece < exchange->owed ? piece : exchange->owed;
    if (wire_held(&exchange->in) == 0)
        paid = exchange->owed;
    exchange->owed -= paid;
    nghttp2_session_consume(h2->session, exchange->stream, paid);
    send_frames(h2);
    return piece;
}

size_t h2_wire_read(struct h2_wire *h2, char *to, size_t room, enum wire_end *end)
{
    size_t got = 0;

    monitor_lock();
    bool came = monitor_wait_locked(has_news, h2);
    struct h2_exchange *exchange = h2_next_to_read(h2);
    if (exchange != NULL && wire_held(&exchange->in) > 0)
        got = take(h2, exchange, to, room);
    else
        *end = came ? why_no_more(h2, exchange) : WIRE_TIMED_OUT;
    monitor_unlock();
    return got;
}

bool h2_wire_is_readable(struct h2_wire *h2)
{
    monitor_lock();
    bool is = has_news(h2);
    monitor_unlock();
    return is;
}

int h2_wire_alert(struct h2_wire *h2)
{
    monitor_lock();
    int alert = h2->alert;
    monitor_unlock();
    return alert;
}

/* --- writing -------------------------------------------------------------------------------------
 */

static bool has_settings(void *arg)
{
    struct h2_wire *h2 = arg;
    return h2->has_settings || h2->end != WIRE_OPEN;
}

static bool may_open_tunnel(struct h2_wire *h2)
{
    send_frames(h2);
    return monitor_wait_locked(has_settings, h2) &&
           (h2->end != WIRE_OPEN ||
            nghttp2_session_get_remote_settings(h2->session,
                                                NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1);
}

static bool begin_request(struct h2_wire *h2)
{
    struct h2_exchange *exchange = h2_exchange_new(&h2->text), **link = &h2->exchanges;
    const char *connection = message_field(h2->text.head, "connection");

    while (*link != NULL)
        link = &(*link)->next;
    *link = exchange;
    h2->current = exchange;
    exchange->is_over = h2->text.is_over;
    if ((exchange->is_tunnel && !may_open_tunnel(h2)) ||
        !h2_exchange_submit(exchange, h2->session, &h2->text, h2->text.is_over))
        return false;
    if (connection != NULL && strcasestr(connection, "close") != NULL)
        nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
    return true;
}

static void end_request(struct h2_wire *h2)
{
    struct h2_exchange *exchange = h2->current;

    h2->current = NULL;
    if (!exchange->is_over) {
        exchange->is_over = true;
        exchange->trailers = h2->text.trailers;
        h2->text.trailers = (struct fields){0};
        nghttp2_session_resume_data(h2->session, exchange->stream);
    }
    h2_forget_done(h2);
}

/* False: HTTP/2 cannot say what was written. */
static bool translate(struct h2_wire *h2)
{
    for (;;) {
        switch (request_text_next(&h2->text)) {
        case PART_NONE: return true;
        case PART_UNSAYABLE: return false;
        case PART_HEAD:
            if (!begin_request(h2))
                return false;
            break;
        case PART_PIECE:
            if (h2->current != NULL && !h2->current->is_closed) {
                wire_put(&h2->current->out, h2->text.piece, h2->text.piece_bytes);
                nghttp2_session_resume_data(h2->session, h2->current->stream);
            }
            break;
        case PART_END: end_request(h2); break;
        }
    }
}

static bool has_room(void *arg)
{
    struct h2_wire *h2 = arg;
    return h2->is_deaf || h2->end != WIRE_OPEN || h2->current == NULL || h2->current->is_closed ||
           wire_held(&h2->current->out) <= SEND_ROOM;
}

bool h2_wire_write(struct h2_wire *h2, const char *bytes, size_t length)
{
    monitor_lock();
    request_text_put(&h2->text, bytes, length);
    bool can_be_said = translate(h2);
    run(h2);
    bool taken = monitor_wait_locked(has_room, h2) && !h2->is_deaf && h2->end == WIRE_OPEN &&
                 (h2->current == NULL || !h2->current->is_closed || h2->current->is_answered);
    monitor_changed();
    monitor_unlock();
    workplace_require(can_be_said, "HTTP/2 cannot say '%.*s': this test needs HTTP/1.1",
                      (int)(length < 200 ? length : 200), bytes);
    return taken;
}

void h2_wire_half_close(struct h2_wire *h2)
{
    monitor_lock();
    if (h2->current != NULL && h2->current->is_tunnel) {
        h2->current->is_over = true;
        nghttp2_session_resume_data(h2->session, h2->current->stream);
        run(h2);
    } else {
        run(h2);
        SSL_shutdown(h2->ssl);
        h2->is_deaf = true;
    }
    monitor_changed();
    monitor_unlock();
}

struct pong {
    struct h2_wire *h2;
    unsigned number;
};

static bool has_come(void *arg)
{
    struct pong *pong = arg;
    return pong->h2->pongs >= pong->number || pong->h2->end != WIRE_OPEN;
}

static bool ping(struct h2_wire *h2)
{
    struct pong pong = {h2, ++h2->pings};

    nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL);
    run(h2);
    monitor_changed();
    return monitor_wait_locked(has_come, &pong) && h2->pongs >= pong.number;
}

bool h2_wire_ping(struct h2_wire *h2)
{
    monitor_lock();
    bool answered = ping(h2);
    monitor_unlock();
    return answered;
}

bool h2_wire_cancel(struct h2_wire *h2)
{
    monitor_lock();
    struct h2_exchange *exchange = h2_next_to_read(h2);
    if (exchange != NULL) {
        exchange->is_read = true;
        nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, exchange->stream, NGHTTP2_CANCEL);
    }
    bool answered = ping(h2);
    monitor_unlock();
    return answered;
}

bool h2_wire_was_malformed(struct h2_wire *h2)
{
    monitor_lock();
    struct h2_exchange *exchange = h2_next_to_read(h2);
    bool was = exchange != NULL && exchange->is_closed && exchange->error == NGHTTP2_PROTOCOL_ERROR;
    if (was) {
        exchange->is_read = true;
        h2_forget_done(h2);
    }
    monitor_unlock();
    return was;
}
