/*
 * Open, read, write and close of descriptors that lead to the gateway.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

int bridge_open(int flags)
{
    struct descriptor opened;
    if (fault_here(0))
        return -1;
    int fd = descriptor_connect(NULL, &opened);
    if (fd < 0)
        return -1;
    descriptor_add(fd, &opened);
    if ((flags & O_NONBLOCK) != 0)
        syscall(SYS_fcntl, fd, F_SETFL, O_NONBLOCK);
    if ((flags & O_CLOEXEC) == 0)
        syscall(SYS_fcntl, fd, F_SETFD, 0);
    return fd;
}

/* Waits until the service has done what the close of the last copy does, as the program expects of close. */
bool bridge_closed(const struct descriptor *descriptor)
{
    struct reader answer;
    struct channel *channel = channel_take();
    if (channel == NULL)
        return false;
    put_bytes(request_begin(channel, CLOSED), descriptor->ticket, TICKET_BYTES);
    bool over = request_call(channel, &answer) == 0 && get_u32(&answer) != 0;
    if (over)
        descriptor_over(descriptor);
    channel_give(channel);
    return over;
}

/* A channel with the beginning of a read or write; null and errno for a file that has neither. */
static struct channel *begin_transfer(enum kind kind, const struct descriptor *descriptor, size_t count)
{
    struct channel *channel = NULL;
    if (descriptor->kind == FILE_CONTEXT)
        errno = EINVAL;
    else
        channel = channel_take();
    if (channel != NULL) {
        struct writer *out = request_begin(channel, kind);
        put_bytes(out, descriptor->ticket, TICKET_BYTES);
        put_bytes(out, (const uint8_t[24]){0}, 24); /* sent once */
        put_u64(out, count);
        put_u32(out, settings()->trace[0] != '\0');
    }
    return channel;
}

void take_mark(int fd, struct channel *channel, const struct descriptor *descriptor)
{
    uint8_t mark;
    long taken = syscall(SYS_recvfrom, fd, &mark, 1, MSG_DONTWAIT, NULL, NULL);
    struct writer *out = request_begin(channel, TOOK);
    put_bytes(out, descriptor->ticket, TICKET_BYTES);
    put_u32(out, taken == 1);
    put_u32(out, 0);
    request_send(channel);
}

static ssize_t transfer(int fd, struct channel *channel, const struct descriptor *descriptor, uint64_t into)
{
    struct reader answer;
    ssize_t result = -1;
    int error = EIO;
    if (request_call(channel, &answer) == 0) {
        error = (int)get_u32(&answer);
        uint32_t count = get_u32(&answer);
        bool empty = (get_u32(&answer) & 1) != 0;
        uint32_t data_length = get_u32(&answer), text_length = get_u32(&answer);
        get_u32(&answer);
        const uint8_t *data = get(&answer, data_length), *text = get(&answer, text_length);
        if (text == NULL)
            error = EIO;
        else
            trace_why(text, text_length);
        if (error == 0)
            result = count;
        if (data_length > 0 && data != NULL)
            memory_write(into, data, data_length);
        if (empty)
            take_mark(fd, channel, descriptor);
    }
    channel_give(channel);
    errno = error;
    return result;
}

ssize_t bridge_read(int fd, const struct descriptor *descriptor, uint64_t address, size_t count)
{
    struct channel *channel = begin_transfer(READ, descriptor, count);
    if (channel == NULL)
        return -1;
    put_u32(&channel->out, (uint32_t)memory_writable(address, count < UINT32_MAX ? count : UINT32_MAX));
    return transfer(fd, channel, descriptor, address);
}

ssize_t bridge_write(int fd, const struct descriptor *descriptor, uint64_t address, size_t count)
{
    struct channel *channel = begin_transfer(WRITE, descriptor, count);
    if (channel == NULL)
        return -1;
    struct writer *out = &channel->out;
    size_t wanted = count < MAX_BUFFER ? count : MAX_BUFFER, head = out->used;
    put_u32(out, 0);
    void *content = put(out, wanted);
    uint32_t got = content == NULL ? 0 : (uint32_t)memory_read(address, content, wanted);
    if (content != NULL) {
        out->used -= wanted - got;
        memcpy(out->data + head, &got, sizeof got);
    }
    return transfer(fd, channel, descriptor, 0);
}
