/*
 * Calls with a number: those that copy and close descriptors, and those that use one. What is not ours goes to libc after
 * one look at what the number is known to be.
 */
#define _GNU_SOURCE
#include "hooks.h"

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

ssize_t __read_chk(int fd, void *buffer, size_t count, size_t size);
ssize_t __pread_chk(int fd, void *buffer, size_t count, off_t offset, size_t size);
ssize_t __pread64_chk(int fd, void *buffer, size_t count, off64_t offset, size_t size);

#define FUNCTIONS(X) \
    X(close) X(close_range) X(dup) X(dup2) X(dup3) X(fcntl) X(fcntl64) X(ioctl) \
    X(read) X(__read_chk) X(write) X(readv) X(writev) \
    X(pread) X(pread64) X(__pread_chk) X(__pread64_chk) X(pwrite) X(pwrite64) X(lseek) X(lseek64) X(mmap) X(mmap64) X(recvmsg) X(recvmmsg)

REPLACED(FUNCTIONS)

/* ---- numbers come and go ---- */

static int bad_number(void)
{
    errno = EBADF;
    return -1;
}

static void closed(const struct descriptor *descriptor, struct trace *trace)
{
    int error = errno;
    trace_end(trace, bridge_closed(descriptor), 0);
    errno = error;
}

EXPORT int close(int fd)
{
    struct descriptor descriptor;
    struct trace trace;
    if (fd_is_hidden(fd))
        return bad_number();
    bool ours = !fd_is_other(fd) && find_quietly(fd, &descriptor);
    if (ours)
        trace_begin(&trace, TRACE_CLOSE, fd, 0, 0, __builtin_return_address(0));
    uint64_t signals = 0;
    if (ours)
        number_lock(fd, &signals);
    int result = LIBC(close)(fd);
    if (ours) {
        number_unlock(fd, signals);
        closed(&descriptor, &trace);
    }
    return result;
}

/* A copy of a number may be what the number may be. */
static int copied(int from, int to)
{
    if (to >= 0 && !fd_is_other(from))
        fd_note(to, fd_state(from));
    return to;
}

EXPORT int dup(int fd)
{
    return fd_is_hidden(fd) ? bad_number() : copied(fd, LIBC(dup)(fd));
}

/* A call that replaces what a number was: ours moves out of the way, and a descriptor of the program's is closed by it. */
#define REPLACES(name, parameters, arguments) \
    EXPORT int name parameters \
    { \
        struct descriptor descriptor; \
        struct trace trace; \
        uint64_t signals = 0; \
        if (fd_is_hidden(from)) \
            return bad_number(); \
        bool ours = from != to && !fd_is_other(to) && find_quietly(to, &descriptor); \
        if (ours) \
            trace_begin(&trace, TRACE_CLOSE, to, 0, 0, __builtin_return_address(0)); \
        if (from != to) \
            fd_evict(to); \
        if (ours) \
            number_lock(to, &signals); \
        int result = LIBC(name) arguments; \
        if (ours) \
            number_unlock(to, signals); \
        if (from != to) \
            copied(from, result); \
        if (ours && result >= 0) \
            closed(&descriptor, &trace); \
        return result; \
    }

REPLACES(dup2, (int from, int to), (from, to))
REPLACES(dup3, (int from, int to, int flags), (from, to, flags))

#define CONTROLS(name) \
    EXPORT int name(int fd, int command, ...) \
    { \
        va_list more; \
        va_start(more, command); \
        void *argument = va_arg(more, void *); \
        va_end(more); \
        if (fd_is_hidden(fd)) \
            return bad_number(); \
        int result = LIBC(name)(fd, command, argument); \
        return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? copied(fd, result) : result; \
    }

CONTROLS(fcntl)
CONTROLS(fcntl64)

EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
    struct descriptor descriptor;
    unsigned int from = first, end = last < FD_STATES ? last : FD_STATES - 1;
    int error = errno;
    if (!settings()->active || first > last || (flags & ~(int)CLOSE_RANGE_UNSHARE) != 0)
        return LIBC(close_range)(first, last, flags);
    if ((flags & (int)CLOSE_RANGE_UNSHARE) != 0 && unshare(CLONE_FILES) < 0)
        return -1;
    for (unsigned int fd = first; fd <= end; fd++) {
        if (fd_state((int)fd) == FD_OURS && find_quietly((int)fd, &descriptor)) {
            close((int)fd);
        } else if (fd_is_hidden((int)fd)) {
            if (from < fd && LIBC(close_range)(from, fd - 1, 0) < 0)
                return -1;
            from = fd + 1;
        }
    }
    if (from <= last && LIBC(close_range)(from, last, 0) < 0)
        return -1;
    errno = error;
    return 0;
}

EXPORT void closefrom(int first)
{
    close_range(first < 0 ? 0 : (unsigned int)first, ~0U, 0);
}

/* Numbers that a message has brought may be ours. */
static void received(const struct msghdr *message)
{
    struct msghdr copy = *message;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&copy); part != NULL; part = CMSG_NXTHDR(&copy, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= part->cmsg_len; at += sizeof(int)) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + at, sizeof fd);
            fd_note(fd, FD_UNKNOWN);
        }
    }
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    ssize_t result = LIBC(recvmsg)(fd, message, flags);
    if (result >= 0)
        received(message);
    return result;
}

EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *timeout)
{
    int result = LIBC(recvmmsg)(fd, messages, count, flags, timeout);
    for (int i = 0; i < result; i++)
        received(&messages[i].msg_hdr);
    return result;
}

/* ---- calls on a number ---- */

/* FIONCLEX, FIOCLEX, FIONBIO and FIOASYNC: the kernel does them itself, for every file. */
static bool is_for_any_file(unsigned long command)
{
    return command == 0x5450 || command == 0x5451 || command == 0x5421 || command == 0x5452;
}

/* Declared without '...', so that a call that is not ours is passed on with its registers as they are. */
int hook_ioctl(int fd, unsigned long command, void *argument) __asm__("ioctl");

static __attribute__((noinline)) int slow_ioctl(int fd, unsigned long command, void *argument, const void *caller)
{
    struct descriptor descriptor;
    if (is_for_any_file(command) || !find_quietly(fd, &descriptor))
        return LIBC_AS(hook_ioctl, ioctl)(fd, command, argument);
    return call_ioctl(fd, &descriptor, (uint32_t)command, (uint64_t)argument, caller);
}

EXPORT int hook_ioctl(int fd, unsigned long command, void *argument)
{
    if (__builtin_expect(fd_is_other(fd), 1))
        return LIBC_AS(hook_ioctl, ioctl)(fd, command, argument);
    return slow_ioctl(fd, command, argument, __builtin_return_address(0));
}

#define TRANSFERS(name, parameters, arguments, is_any_file, ours) \
    EXPORT ssize_t name parameters \
    { \
        struct descriptor descriptor; \
        if (fd_is_other(fd) || (is_any_file) || !find_quietly(fd, &descriptor)) \
            return LIBC(name) arguments; \
        return ours; \
    }

#define CALLER __builtin_return_address(0)

TRANSFERS(read, (int fd, void *buffer, size_t count), (fd, buffer, count), false,
          call_transfer(TRACE_READ, fd, &descriptor, (uint64_t)buffer, count, CALLER))
TRANSFERS(__read_chk, (int fd, void *buffer, size_t count, size_t size), (fd, buffer, count, size), count > size,
          call_transfer(TRACE_READ, fd, &descriptor, (uint64_t)buffer, count, CALLER))
TRANSFERS(write, (int fd, const void *buffer, size_t count), (fd, buffer, count), false,
          call_transfer(TRACE_WRITE, fd, &descriptor, (uint64_t)buffer, count, CALLER))
TRANSFERS(readv, (int fd, const struct iovec *parts, int count), (fd, parts, count), false,
          call_vector(TRACE_READ, fd, &descriptor, (uint64_t)parts, count, CALLER))
TRANSFERS(writev, (int fd, const struct iovec *parts, int count), (fd, parts, count), false,
          call_vector(TRACE_WRITE, fd, &descriptor, (uint64_t)parts, count, CALLER))

/* At a place of a device file. Others have none. */
#define TRANSFERS_AT(call, name, parameters, arguments, is_any_file) \
    EXPORT ssize_t name parameters \
    { \
        struct descriptor descriptor; \
        if (fd_is_other(fd) || (is_any_file) || !find_quietly(fd, &descriptor) || descriptor.kind != FILE_DEVICE) \
            return LIBC(name) arguments; \
        return call_transfer_at(call, fd, &descriptor, (uint64_t)buffer, count, offset, CALLER); \
    }

TRANSFERS_AT(TRACE_READ, pread, (int fd, void *buffer, size_t count, off_t offset), (fd, buffer, count, offset), false)
TRANSFERS_AT(TRACE_READ, pread64, (int fd, void *buffer, size_t count, off64_t offset), (fd, buffer, count, offset), false)
TRANSFERS_AT(TRACE_READ, __pread_chk, (int fd, void *buffer, size_t count, off_t offset, size_t size), (fd, buffer, count, offset, size), count > size)
TRANSFERS_AT(TRACE_READ, __pread64_chk, (int fd, void *buffer, size_t count, off64_t offset, size_t size), (fd, buffer, count, offset, size), count > size)
TRANSFERS_AT(TRACE_WRITE, pwrite, (int fd, const void *buffer, size_t count, off_t offset), (fd, buffer, count, offset), false)
TRANSFERS_AT(TRACE_WRITE, pwrite64, (int fd, const void *buffer, size_t count, off64_t offset), (fd, buffer, count, offset), false)

/* Only a dma-buf has an end. Others of ours have no places, to libc too. */
#define SEEKS(name, type) \
    EXPORT type name(int fd, type offset, int whence) \
    { \
        struct descriptor descriptor; \
        if (fd_is_other(fd) || !find_quietly(fd, &descriptor) || descriptor.kind != FILE_DMA_BUF) \
            return LIBC(name)(fd, offset, whence); \
        return dma_buf_seek(&descriptor, offset, whence); \
    }

SEEKS(lseek, off_t)
SEEKS(lseek64, off64_t)

#define MAPS(name, offset_type) \
    EXPORT void *name(void *address, size_t length, int protection, int flags, int fd, offset_type offset) \
    { \
        struct descriptor descriptor; \
        if ((flags & MAP_ANONYMOUS) != 0 || fd_is_other(fd) || !find_quietly(fd, &descriptor)) \
            return LIBC(name)(address, length, protection, flags, fd, offset); \
        int error = errno, file = device_map(fd, &descriptor, length, protection, flags, &offset); \
        if (file < 0) \
            return MAP_FAILED; \
        void *mapped = LIBC(name)(address, length, protection, flags, file, offset); \
        if (mapped != MAP_FAILED) \
            errno = error; \
        syscall(SYS_close, file); \
        return mapped; \
    }

MAPS(mmap, off_t)
MAPS(mmap64, off64_t)
