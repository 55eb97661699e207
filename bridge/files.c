/*
 * Calls on descriptors that lead to the gateway, as programs make them: with a trace, and errno only of those that fail.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/*
 * Waits until the service has done what the close of the last copy does, as the program expects of close. Where the gateway
 * has ended, there is nothing to wait for.
 */
bool bridge_closed(const struct descriptor *descriptor)
{
    struct reader answer;
    bool over = false;
    wait_for_none(true);
    struct channel *channel = channel_take();
    if (channel != NULL) {
        put_bytes(request_begin(channel, CLOSED), descriptor->ticket, TICKET_BYTES);
        over = request_call(channel, &answer) == 0 && get_u32(&answer) != 0;
        if (over && descriptor->instance != channel->instance)
            descriptor_closed_dead(descriptor);
        channel_give(channel);
    }
    wait_for_none(false);
    if (over)
        descriptor_over(descriptor);
    return over;
}

void take_mark(int fd, struct channel *channel, const struct descriptor *descriptor)
{
    uint8_t mark;
    fd = fd_borrow(fd);
    long taken = syscall(SYS_recvfrom, fd, &mark, 1, MSG_DONTWAIT, NULL, NULL);
    fd_return(fd);
    struct writer *out = request_begin(channel, TOOK);
    put_bytes(out, descriptor->ticket, TICKET_BYTES);
    put_u32(out, taken == 1);
    put_u32(out, 0);
    request_send(channel);
}

static void put_read(struct writer *out, uint64_t address, size_t count)
{
    put_u32(out, (uint32_t)memory_writable(address, count < UINT32_MAX ? count : UINT32_MAX));
}

static void put_write(struct writer *out, uint64_t address, size_t count)
{
    size_t wanted = count < MAX_BUFFER ? count : MAX_BUFFER, head = out->used;
    put_u32(out, 0);
    void *content = put(out, wanted);
    uint32_t got = content == NULL ? 0 : (uint32_t)memory_read(address, content, wanted);
    if (content != NULL) {
        out->used -= wanted - got;
        memcpy(out->data + head, &got, sizeof got);
    }
}

/* Takes the answer to a read or write. Returns its errno. */
static int take_transfer(int fd, struct channel *channel, const struct descriptor *descriptor, struct reader *answer, uint64_t into, ssize_t *result)
{
    int error = (int)get_u32(answer);
    uint32_t count = get_u32(answer);
    bool empty = (get_u32(answer) & 1) != 0;
    uint32_t data_length = get_u32(answer), text_length = get_u32(answer);
    get_u32(answer);
    const uint8_t *data = get(answer, data_length), *text = get(answer, text_length);
    if (text == NULL)
        error = EIO;
    else
        trace_why(text, text_length);
    if (text != NULL && error == EIO)
        say_unanswered(text, text_length);
    if (error == 0)
        *result = count;
    if (data_length > 0 && data != NULL)
        memory_write(into, data, data_length);
    if (empty)
        take_mark(fd, channel, descriptor);
    return error;
}

static ssize_t transfer(enum kind kind, int fd, const struct descriptor *descriptor, uint64_t address, size_t count)
{
    struct descriptor current = *descriptor;
    struct reader answer;
    ssize_t result = -1;
    int error = EIO;
    if (descriptor->kind == FILE_CONTEXT || descriptor->kind >= FILE_DEVICE) {
        errno = EINVAL;
        return -1;
    }
    struct channel *channel = channel_take();
    if (channel == NULL)
        return -1;
    channel->sequence++;
    for (bool again = false; descriptor_current(channel, fd, &current); again = true) {
        struct writer *out = request_begin(channel, kind);
        put_bytes(out, current.ticket, TICKET_BYTES);
        put_name(out, channel);
        put_u64(out, count);
        put_u32(out, (settings()->trace[0] != '\0' ? 1 : 0) | (again ? AS_BEFORE : 0));
        (kind == READ ? put_read : put_write)(out, address, count);
        if (request_call(channel, &answer) == 0) {
            error = take_transfer(fd, channel, &current, &answer, address, &result);
            break;
        }
        if (!channel_again(channel))
            break;
    }
    channel_give(channel);
    errno = error;
    return result;
}

int call_open(int device, int flags, const void *caller)
{
    struct trace trace;
    uint8_t context[8] = {settings()->mode};
    int error = errno;
    trace_begin(&trace, TRACE_OPEN, -1, (uint32_t)(device + 1), 0, caller);
    int fd = fault_here(0) ? -1 : device == NO_DEVICE ? descriptor_open(OPEN, context, sizeof context, flags) : device_open(device, flags);
    trace.fd = fd;
    trace_end(&trace, fd, fd < 0 ? errno : 0);
    if (fd >= 0)
        errno = error;
    return fd;
}

int call_ioctl(int fd, const struct descriptor *descriptor, uint32_t command, uint64_t argument, const void *caller)
{
    struct trace trace;
    int error = errno;
    trace_begin(&trace, TRACE_IOCTL, fd, command, argument, caller);
    trace.file = descriptor->kind;
    int result = bridge_ioctl(fd, descriptor, command, argument);
    trace_end(&trace, result, result < 0 ? errno : 0);
    if (result >= 0)
        errno = error;
    return result;
}

static ssize_t traced_transfer(enum trace_kind kind, int fd, const struct descriptor *descriptor, uint64_t buffer, size_t count, const int64_t *offset, const void *caller)
{
    struct trace trace;
    int error = errno;
    trace_begin(&trace, kind, fd, count < UINT32_MAX ? (uint32_t)count : UINT32_MAX, buffer, caller);
    ssize_t result = offset != NULL ? device_transfer(kind == TRACE_READ ? DEVICE_READ : DEVICE_WRITE, fd, descriptor, buffer, count, *offset)
                                    : transfer(kind == TRACE_READ ? READ : WRITE, fd, descriptor, buffer, count);
    trace_end(&trace, result, result < 0 ? errno : 0);
    if (result >= 0)
        errno = error;
    return result;
}

ssize_t call_transfer_at(enum trace_kind kind, int fd, const struct descriptor *device, uint64_t buffer, size_t count, int64_t offset, const void *caller)
{
    return traced_transfer(kind, fd, device, buffer, count, &offset, caller);
}

ssize_t call_transfer(enum trace_kind kind, int fd, const struct descriptor *descriptor, uint64_t buffer, size_t count, const void *caller)
{
    return traced_transfer(kind, fd, descriptor, buffer, count, NULL, caller);
}

/* Linux does such a file's vector buffer by buffer, until one is not filled. */
ssize_t call_vector(enum trace_kind kind, int fd, const struct descriptor *descriptor, uint64_t vector, int count, const void *caller)
{
    struct iovec part;
    ssize_t sum = 0;
    if (count < 0 || count > 1024) {
        errno = EINVAL;
        return -1;
    }
    for (int i = 0; i < 2 * count; i++) {
        bool readable = memory_read(vector + (uint64_t)(i % count) * sizeof part, &part, sizeof part) == sizeof part;
        if (!readable || (ssize_t)part.iov_len < 0) {
            errno = readable ? EINVAL : EFAULT;
            return -1;
        }
        if (i < count)
            continue; /* first all are checked */
        ssize_t done = call_transfer(kind, fd, descriptor, (uint64_t)part.iov_base, part.iov_len, caller);
        if (done < 0)
            return sum > 0 ? sum : done;
        sum += done;
        if ((size_t)done < part.iov_len)
            break;
    }
    return sum;
}
