/*
 * Tells who watches what the program did. See bridge.h for the records.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

__thread char trace_text[TRACE_TEXT];
__thread uint16_t trace_text_length;

/* The process's socket: without a name, so that sending needs no connection. */
static _Atomic int trace_fd = -1;
static _Atomic uint64_t trace_cookie;

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Keeps the service's words for the record that follows. */
void trace_why(const uint8_t *text, size_t length)
{
    trace_text_length = (uint16_t)(length < sizeof trace_text ? length : sizeof trace_text);
    memcpy(trace_text, text, trace_text_length);
}

/* The argument's bytes, as many as its first u32 says. */
static uint32_t argument_bytes(uint64_t address, uint8_t bytes[TRACE_BYTES])
{
    uint32_t size = 0;
    size_t there = memory_read(address, bytes, TRACE_BYTES);
    memcpy(&size, bytes, there >= sizeof size ? sizeof size : 0);
    return size < there ? size : (uint32_t)there;
}

void trace_begin(struct trace *trace, enum trace_kind kind, int fd, uint32_t command, uint64_t argument, const void *caller)
{
    trace->on = settings()->trace[0] != '\0';
    if (!trace->on)
        return;
    trace->kind = kind;
    trace->fd = fd;
    trace->cookie = fd < 0 ? 0 : fd_cookie(fd);
    trace->command = command;
    trace->file = 0;
    trace->caller = (uint64_t)caller;
    trace->argument = argument;
    trace->in_bytes = kind == TRACE_IOCTL ? argument_bytes(argument, trace->in) : 0;
    trace_text_length = 0;
    trace->start = now_ns();
}

static int trace_socket(void)
{
    int fd = atomic_load(&trace_fd);
    if (fd >= 0 && socket_cookie(fd) == atomic_load(&trace_cookie))
        return fd;
    fd_unhide(&trace_fd, atomic_load(&trace_cookie));
    fd = (int)syscall(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    uint64_t cookie = socket_cookie(fd);
    atomic_store(&trace_cookie, cookie);
    if (fd_hide(fd, cookie, &trace_fd) < 0)
        syscall(SYS_close, fd);
    return atomic_load(&trace_fd);
}

void trace_end(struct trace *trace, long result, int error)
{
    if (!trace->on)
        return;
    struct {
        uint32_t kind, process, thread;
        int32_t error;
        uint64_t start, duration;
        int32_t fd;
        uint32_t command;
        int32_t result;
        uint32_t module_bytes;
        uint64_t cookie, caller;
        uint32_t in_bytes, out_bytes, text_bytes, file;
        uint64_t argument;
    } record = {
        .kind = trace->kind, .process = (uint32_t)program_process(), .thread = (uint32_t)program_thread(), .error = error,
        .start = trace->start, .duration = now_ns() - trace->start, .fd = trace->fd, .command = trace->command,
        .result = (int32_t)result, .cookie = trace->cookie, .caller = trace->caller,
        .in_bytes = trace->in_bytes, .text_bytes = trace_text_length, .argument = trace->kind == TRACE_IOCTL ? trace->argument : 0,
        .file = trace->file,
    };
    uint8_t out[TRACE_BYTES];
    char module[PAGE];
    int before = errno, fd = trace_socket();
    if (trace->kind == TRACE_IOCTL)
        record.out_bytes = argument_bytes(trace->argument, out);
    if (trace->kind == TRACE_OPEN && trace->fd >= 0)
        record.cookie = fd_cookie(trace->fd);
    record.module_bytes = (uint32_t)memory_file(&record.caller, module, sizeof module);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    memcpy(to.sun_path, settings()->trace, sizeof to.sun_path);
    struct iovec parts[] = {
        {&record, sizeof record}, {trace->in, record.in_bytes}, {out, record.out_bytes}, {trace_text, record.text_bytes},
        {module, record.module_bytes},
    };
    struct msghdr message = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = parts, .msg_iovlen = 5};
    while (fd >= 0 && syscall(SYS_sendmsg, fd, &message, MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
    errno = before;
}
