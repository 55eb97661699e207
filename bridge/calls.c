/*
 * Requests and their answers, on calls connections.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>

#define BYE_STOPPING 6

void channel_disconnect(struct channel *channel)
{
    fd_unhide(&channel->fd, channel->cookie);
    channel->received = channel->frame = 0;
}

void channel_free(struct channel *channel)
{
    channel_disconnect(channel);
    writer_free(&channel->out);
    writer_free(&channel->in);
    writer_free(&channel->look);
    munmap(channel, sizeof *channel);
}

struct channel *channel_make(void)
{
    struct channel *channel = mmap(NULL, sizeof *channel, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (channel == MAP_FAILED)
        return NULL;
    atomic_store(&channel->fd, -1);
    return channel;
}

/* A process has lanes of its own. */
static void choose_lane(struct channel *channel)
{
    uint64_t program = program_number();
    while (channel->lane == 0 || channel->program != program) {
        channel->program = program;
        channel->sequence = 0;
        if (syscall(SYS_getrandom, &channel->lane, sizeof channel->lane, 0) < 0)
            channel->lane = program ^ (uint64_t)program_thread();
    }
}

static int connect_once(struct channel *channel)
{
    struct reader body = {0};
    int fd = connect_socket(settings()->socket);
    if (fd < 0)
        return -1;
    choose_lane(channel);
    channel->refused = false;
    channel->out.used = 0;
    channel->out.failed = channel->in.failed = false;
    put_hello(&channel->out, 1);
    if (send_all(fd, &channel->out) == 0 && receive_frame(fd, &channel->in, HELLO + ANSWER, &body)) {
        get_u32(&body);
        channel->max_body = get_u32(&body);
        get_u32(&body);
        channel->table_bytes = get_u32(&body);
        channel->instance = get_u64(&body);
        const uint8_t *table = get(&body, channel->table_bytes);
        channel->received = channel->frame = 0;
        channel->cookie = socket_cookie(fd);
        set_patience(fd, 0);
        if (table != NULL && channel->table_bytes <= sizeof channel->table && fd_hide(fd, channel->cookie, &channel->fd) >= 0) {
            memcpy(channel->table, table, channel->table_bytes);
            gateway_found();
            return 0;
        }
    }
    syscall(SYS_close, fd);
    return -1;
}

int channel_connect(struct channel *channel)
{
    uint64_t until = 0;
    while (connect_once(channel) < 0) {
        if (gateway_await(&until))
            continue;
        if (errno == EMFILE || errno == ENFILE)
            say_unreachable(strerrordesc_np(errno));
        else
            say_gone();
        errno = EIO;
        return -1;
    }
    return 0;
}

void put_name(struct writer *w, const struct channel *channel)
{
    put_u64(w, channel->lane);
    put_u64(w, channel->sequence);
    put_u64(w, channel->sequence - 1); /* one call at a time */
}

struct writer *request_begin(struct channel *channel, enum kind kind)
{
    channel->out.used = 0;
    channel->out.failed = false;
    frame_begin(&channel->out, kind, ++channel->tag);
    return &channel->out;
}

static int send_frame(struct channel *channel, struct writer *frame)
{
    frame_end(frame, 0);
    if (frame->used - HEADER_BYTES <= channel->max_body && send_all(atomic_load(&channel->fd), frame) == 0)
        return 0;
    errno = EIO;
    return -1;
}

int request_send(struct channel *channel) { return send_frame(channel, &channel->out); }

/* The gateway ends the connection. A silo that stops may come back. */
static void end(struct channel *channel, struct reader *bye)
{
    uint16_t reason = 0;
    if (bye->end - bye->at >= (ptrdiff_t)sizeof reason)
        memcpy(&reason, bye->at, sizeof reason);
    channel->refused = reason != BYE_STOPPING;
    if (channel->refused)
        say_bye(bye);
}

/* Receives the next frame of a calls connection: often with one system call. */
static int next_frame(struct channel *channel, uint8_t header[HEADER_BYTES], struct reader *body)
{
    struct writer *in = &channel->in;
    uint32_t length = 0;
    if (channel->frame > 0) {
        channel->received -= channel->frame;
        memmove(in->data, in->data + channel->frame, channel->received);
        channel->frame = 0;
    }
    for (;;) {
        size_t whole = HEADER_BYTES;
        if (channel->received >= HEADER_BYTES) {
            memcpy(&length, in->data, sizeof length);
            if (length > channel->max_body)
                return -1;
            whole += length;
            if (channel->received >= whole)
                break;
        }
        in->used = channel->received;
        if (put(in, whole - channel->received) == NULL)
            return -1;
        ssize_t got = receive(atomic_load(&channel->fd), in->data + channel->received, 1, in->size - channel->received);
        if (got < 0)
            return -1;
        channel->received += (size_t)got;
    }
    memcpy(header, in->data, HEADER_BYTES);
    channel->frame = HEADER_BYTES + length;
    *body = (struct reader){.at = in->data + HEADER_BYTES, .end = in->data + channel->frame};
    return 0;
}

int request_call(struct channel *channel, struct reader *answer)
{
    uint8_t header[HEADER_BYTES], expected = (uint8_t)(channel->out.data == NULL ? 0 : channel->out.data[4] + ANSWER);
    uint32_t tag = channel->tag;
    if (request_send(channel) == 0) {
        while (next_frame(channel, header, answer) == 0) {
            uint32_t answered;
            memcpy(&answered, header + 8, sizeof answered);
            if (header[4] == LOOK && answered == tag) {
                channel->look.used = 0;
                frame_begin(&channel->look, LOOK + ANSWER, tag);
                answer_look(&channel->look, answer);
                if (send_frame(channel, &channel->look) < 0)
                    break;
            } else if (header[4] == expected && answered == tag) {
                return 0;
            } else {
                if (header[4] == BYE)
                    end(channel, answer);
                else
                    channel->refused = true;
                break;
            }
        }
    }
    channel_disconnect(channel);
    errno = EIO;
    return -1;
}
