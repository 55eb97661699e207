/*
 * The functions of libc that are replaced. What is not ours goes to libc after one look at what the number is known to
 * be, with errno as it was.
 *
 * A path is compared after libc's own call: then the kernel has read it, so that a bad pointer was its answer, not a
 * crash here. Only a call that could create the file is decided before.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#define EXPORT __attribute__((visibility("default")))

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int at, const char *path, int flags);
int __openat64_2(int at, const char *path, int flags);
ssize_t __read_chk(int fd, void *buffer, size_t count, size_t size);
int __xstat(int version, const char *path, struct stat *status);
int __xstat64(int version, const char *path, struct stat64 *status);
int __lxstat(int version, const char *path, struct stat *status);
int __lxstat64(int version, const char *path, struct stat64 *status);
int __fxstat(int version, int fd, struct stat *status);
int __fxstat64(int version, int fd, struct stat64 *status);
int __fxstatat(int version, int at, const char *path, struct stat *status, int flags);
int __fxstatat64(int version, int at, const char *path, struct stat64 *status, int flags);

/* libc's functions: found when the library is loaded, or by a call that comes before. */
#define FUNCTIONS(X) \
    X(open) X(open64) X(openat) X(openat64) X(__open_2) X(__open64_2) X(__openat_2) X(__openat64_2) \
    X(close) X(close_range) X(dup) X(dup2) X(dup3) X(fcntl) X(fcntl64) X(ioctl) \
    X(read) X(__read_chk) X(write) X(readv) X(writev) X(mmap) X(mmap64) X(recvmsg) X(recvmmsg) \
    X(stat) X(stat64) X(lstat) X(lstat64) X(fstat) X(fstat64) X(fstatat) X(fstatat64) X(statx) \
    X(__xstat) X(__xstat64) X(__lxstat) X(__lxstat64) X(__fxstat) X(__fxstat64) X(__fxstatat) X(__fxstatat64) \
    X(access) X(faccessat) X(euidaccess) X(eaccess)

#define DECLARE(name) static _Atomic(void *) libc_##name;
FUNCTIONS(DECLARE)

static void *find_libc(_Atomic(void *) *slot, const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    atomic_store_explicit(slot, function, memory_order_relaxed);
    return function;
}

static inline void *libc(_Atomic(void *) *slot, const char *name)
{
    void *function = atomic_load_explicit(slot, memory_order_relaxed);
    return __builtin_expect(function != NULL, 1) ? function : find_libc(slot, name);
}

#define LIBC_AS(type, name) ((__typeof__(&(type)))libc(&libc_##name, #name))
#define LIBC(name) LIBC_AS(name, name)

__attribute__((constructor)) static void find_all(void)
{
    int error = errno;
#define FIND(name) find_libc(&libc_##name, #name);
    FUNCTIONS(FIND)
    settings();
    errno = error;
}

/* ---- paths ---- */

static bool gateway_exists(void)
{
    return settings()->active && syscall(SYS_faccessat, AT_FDCWD, settings()->socket, F_OK) == 0;
}

/* Whether a path that the kernel has just read, with this result, is the emulated one. */
static bool was_device(const char *path, long result)
{
    if (!settings()->active)
        return false;
    if (result < 0 && errno != ENOENT && errno != EACCES && errno != EPERM && errno != ENOTDIR && errno != ENXIO && errno != ENODEV
        && errno != EMFILE && errno != ENFILE)
        return false;
    return strcmp(path, settings()->device) == 0;
}

/* The same for a path that may lie anywhere. */
static bool is_device(const char *path)
{
    char there[sizeof ((struct settings *)0)->device];
    size_t length = strlen(settings()->device) + 1;
    return settings()->active && memory_read((uint64_t)path, there, length) == length && memcmp(there, settings()->device, length) == 0;
}

static int open_device(int flags, int error, const void *caller)
{
    struct trace trace;
    trace_begin(&trace, TRACE_OPEN, -1, 0, 0, caller);
    int fd = bridge_open(flags);
    trace.fd = fd;
    trace_end(&trace, fd < 0 ? errno : 0);
    if (fd >= 0)
        errno = error;
    return fd;
}

static int opened(int fd, const char *path, int flags, int error, const void *caller)
{
    if (was_device(path, fd)) {
        if (fd >= 0)
            syscall(SYS_close, fd);
        return open_device(flags, error, caller);
    }
    if (fd >= 0)
        fd_note(fd, FD_OTHER);
    return fd;
}

#define CREATES(flags) (((flags) & O_CREAT) != 0 || ((flags) & O_TMPFILE) == O_TMPFILE)

/* Four functions with a mode, and the four that programs built with _FORTIFY_SOURCE call without one. */
#define OPENS(name, parameters, arguments) \
    EXPORT int name parameters \
    { \
        int error = errno; \
        mode_t mode = 0; \
        if (CREATES(flags)) { \
            va_list more; \
            va_start(more, flags); \
            mode = va_arg(more, mode_t); \
            va_end(more); \
            if (is_device(path)) \
                return open_device(flags, error, __builtin_return_address(0)); \
            errno = error; \
        } \
        return opened(LIBC(name) arguments, path, flags, error, __builtin_return_address(0)); \
    }

#define OPENS_2(name, parameters, arguments) \
    EXPORT int name parameters \
    { \
        int error = errno; \
        return opened(LIBC(name) arguments, path, flags, error, __builtin_return_address(0)); \
    }

OPENS(open, (const char *path, int flags, ...), (path, flags, mode))
OPENS(open64, (const char *path, int flags, ...), (path, flags, mode))
OPENS(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode))
OPENS(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode))
OPENS_2(__open_2, (const char *path, int flags), (path, flags))
OPENS_2(__open64_2, (const char *path, int flags), (path, flags))
OPENS_2(__openat_2, (int at, const char *path, int flags), (at, path, flags))
OPENS_2(__openat64_2, (int at, const char *path, int flags), (at, path, flags))

/* ---- stat and access ---- */

#define DEVICE_MODE (S_IFCHR | 0600)
#define DEVICE_MAJOR 10
#define DEVICE_MINOR 124

static int give(void *status, const void *bytes, size_t size, int error)
{
    bool given = memory_write((uint64_t)status, bytes, size) == size;
    errno = given ? error : EFAULT;
    return given ? 0 : -1;
}

static int device_stat(void *status, int error)
{
    struct stat device = {
        .st_mode = DEVICE_MODE, .st_rdev = makedev(DEVICE_MAJOR, DEVICE_MINOR), .st_ino = 1, .st_nlink = 1,
        .st_uid = geteuid(), .st_gid = getegid(), .st_blksize = PAGE,
    };
    _Static_assert(sizeof(struct stat) == sizeof(struct stat64), "one layout for both");
    return give(status, &device, sizeof device, error);
}

static bool is_ours(int fd)
{
    struct descriptor descriptor;
    int error = errno;
    bool ours = descriptor_find(fd, &descriptor);
    errno = error;
    return ours;
}

/* Whether a call by path, of this result, was about the emulated path or one of our descriptors. */
static bool was_ours(int at, const char *path, int flags, int result)
{
    if (was_device(path, result))
        return gateway_exists();
    return result == 0 && (flags & AT_EMPTY_PATH) != 0 && path[0] == '\0' && is_ours(at);
}

#define STATS(name, parameters, arguments, at, path, flags) \
    EXPORT int name parameters \
    { \
        int error = errno, result = LIBC(name) arguments, failure = errno; \
        if (was_ours(at, path, flags, result)) \
            return device_stat(status, error); \
        errno = failure; \
        return result; \
    }

#define FSTATS(name, parameters, arguments) \
    EXPORT int name parameters \
    { \
        int error = errno, result = LIBC(name) arguments; \
        return result == 0 && !fd_is_other(fd) && is_ours(fd) ? device_stat(status, error) : result; \
    }

STATS(stat, (const char *path, struct stat *status), (path, status), AT_FDCWD, path, 0)
STATS(stat64, (const char *path, struct stat64 *status), (path, status), AT_FDCWD, path, 0)
STATS(lstat, (const char *path, struct stat *status), (path, status), AT_FDCWD, path, 0)
STATS(lstat64, (const char *path, struct stat64 *status), (path, status), AT_FDCWD, path, 0)
STATS(fstatat, (int at, const char *path, struct stat *status, int flags), (at, path, status, flags), at, path, flags)
STATS(fstatat64, (int at, const char *path, struct stat64 *status, int flags), (at, path, status, flags), at, path, flags)
STATS(__xstat, (int version, const char *path, struct stat *status), (version, path, status), AT_FDCWD, path, 0)
STATS(__xstat64, (int version, const char *path, struct stat64 *status), (version, path, status), AT_FDCWD, path, 0)
STATS(__lxstat, (int version, const char *path, struct stat *status), (version, path, status), AT_FDCWD, path, 0)
STATS(__lxstat64, (int version, const char *path, struct stat64 *status), (version, path, status), AT_FDCWD, path, 0)
STATS(__fxstatat, (int version, int at, const char *path, struct stat *status, int flags), (version, at, path, status, flags), at, path, flags)
STATS(__fxstatat64, (int version, int at, const char *path, struct stat64 *status, int flags), (version, at, path, status, flags), at, path, flags)
FSTATS(fstat, (int fd, struct stat *status), (fd, status))
FSTATS(fstat64, (int fd, struct stat64 *status), (fd, status))
FSTATS(__fxstat, (int version, int fd, struct stat *status), (version, fd, status))
FSTATS(__fxstat64, (int version, int fd, struct stat64 *status), (version, fd, status))

EXPORT int statx(int at, const char *path, int flags, unsigned int mask, struct statx *status)
{
    int error = errno, result = LIBC(statx)(at, path, flags, mask, status), failure = errno;
    if (was_ours(at, path, flags, result)) {
        struct statx device = {
            .stx_mask = STATX_BASIC_STATS, .stx_mode = DEVICE_MODE, .stx_rdev_major = DEVICE_MAJOR, .stx_rdev_minor = DEVICE_MINOR,
            .stx_ino = 1, .stx_nlink = 1, .stx_uid = geteuid(), .stx_gid = getegid(), .stx_blksize = PAGE,
        };
        return give(status, &device, sizeof device, error);
    }
    errno = failure;
    return result;
}

static int accessed(const char *path, int mode, int result, int error)
{
    int failure = errno;
    if (was_device(path, result) && gateway_exists()) {
        result = (mode & X_OK) != 0 ? -1 : 0;
        failure = result < 0 ? EACCES : error;
    }
    errno = failure;
    return result;
}

#define ACCESSES(name, parameters, arguments) \
    EXPORT int name parameters \
    { \
        int error = errno; \
        return accessed(path, mode, LIBC(name) arguments, error); \
    }

ACCESSES(access, (const char *path, int mode), (path, mode))
ACCESSES(euidaccess, (const char *path, int mode), (path, mode))
ACCESSES(eaccess, (const char *path, int mode), (path, mode))
ACCESSES(faccessat, (int at, const char *path, int mode, int flags), (at, path, mode, flags))

/* ---- numbers come and go ---- */

static int bad_number(void)
{
    errno = EBADF;
    return -1;
}

static void closed(const struct descriptor *descriptor, struct trace *trace)
{
    int error = errno;
    bridge_closed(descriptor);
    if (trace != NULL)
        trace_end(trace, 0);
    errno = error;
}

/* Looks for what a number leads to before the call that ends it; errno stays. */
static bool find_quietly(int fd, struct descriptor *descriptor)
{
    int error = errno;
    bool found = descriptor_find(fd, descriptor);
    errno = error;
    return found;
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
    int result = LIBC(close)(fd);
    fd_note(fd, FD_UNKNOWN);
    if (ours)
        closed(&descriptor, &trace);
    return result;
}

/* A copy of a number is what the number is. */
static int copied(int from, int to)
{
    if (to >= 0)
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
        if (fd_is_hidden(from)) \
            return bad_number(); \
        bool ours = from != to && !fd_is_other(to) && find_quietly(to, &descriptor); \
        if (from != to) \
            fd_evict(to); \
        int result = LIBC(name) arguments; \
        if (from != to) \
            copied(from, result); \
        if (ours && result >= 0) \
            closed(&descriptor, NULL); \
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
    unsigned int from = first, end = last < FD_STATES ? last : FD_STATES - 1;
    int error = errno;
    if (!settings()->active || first > last || (flags & ~(int)CLOSE_RANGE_UNSHARE) != 0)
        return LIBC(close_range)(first, last, flags);
    if ((flags & (int)CLOSE_RANGE_UNSHARE) != 0 && unshare(CLONE_FILES) < 0)
        return -1;
    for (unsigned int fd = first; fd <= end; fd++) {
        if (fd_state((int)fd) == FD_OURS && is_ours((int)fd)) {
            close((int)fd);
        } else if (fd_is_hidden((int)fd)) {
            if (from < fd && LIBC(close_range)(from, fd - 1, 0) < 0)
                return -1;
            from = fd + 1;
        }
    }
    if (from <= last && LIBC(close_range)(from, last, 0) < 0)
        return -1;
    for (unsigned int fd = first; fd <= end; fd++)
        if (fd_state((int)fd) != FD_HIDDEN)
            fd_note((int)fd, FD_UNKNOWN);
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
    struct trace trace;
    if (is_for_any_file(command) || !find_quietly(fd, &descriptor))
        return LIBC_AS(hook_ioctl, ioctl)(fd, command, argument);
    int error = errno;
    trace_begin(&trace, TRACE_IOCTL, fd, (uint32_t)command, (uint64_t)argument, caller);
    int result = bridge_ioctl(fd, &descriptor, (uint32_t)command, (uint64_t)argument);
    trace_end(&trace, result < 0 ? errno : 0);
    if (result >= 0)
        errno = error;
    return result;
}

EXPORT int hook_ioctl(int fd, unsigned long command, void *argument)
{
    if (__builtin_expect(fd_is_other(fd), 1))
        return LIBC_AS(hook_ioctl, ioctl)(fd, command, argument);
    return slow_ioctl(fd, command, argument, __builtin_return_address(0));
}

typedef ssize_t transfer(int fd, const struct descriptor *descriptor, uint64_t address, size_t count);

static ssize_t one(transfer *call, int fd, const struct descriptor *descriptor, const void *buffer, size_t count, const void *caller)
{
    struct trace trace;
    int error = errno;
    trace_begin(&trace, call == bridge_read ? TRACE_READ : TRACE_WRITE, fd, 0, (uint64_t)buffer, caller);
    ssize_t result = call(fd, descriptor, (uint64_t)buffer, count);
    trace_end(&trace, result < 0 ? errno : 0);
    if (result >= 0)
        errno = error;
    return result;
}

/* Linux does such a file's vector buffer by buffer, until one is not filled. */
static ssize_t vector(transfer *call, int fd, const struct descriptor *descriptor, const struct iovec *vector, int count, const void *caller)
{
    struct iovec part;
    ssize_t sum = 0;
    if (count < 0 || count > 1024) {
        errno = EINVAL;
        return -1;
    }
    for (int i = 0; i < 2 * count; i++) {
        bool readable = memory_read((uint64_t)(vector + i % count), &part, sizeof part) == sizeof part;
        if (!readable || (ssize_t)part.iov_len < 0) {
            errno = readable ? EINVAL : EFAULT;
            return -1;
        }
        if (i < count)
            continue; /* first all are checked */
        ssize_t done = one(call, fd, descriptor, part.iov_base, part.iov_len, caller);
        if (done < 0)
            return sum > 0 ? sum : done;
        sum += done;
        if ((size_t)done < part.iov_len)
            break;
    }
    return sum;
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
          one(bridge_read, fd, &descriptor, buffer, count, CALLER))
TRANSFERS(__read_chk, (int fd, void *buffer, size_t count, size_t size), (fd, buffer, count, size), count > size,
          one(bridge_read, fd, &descriptor, buffer, count, CALLER))
TRANSFERS(write, (int fd, const void *buffer, size_t count), (fd, buffer, count), false,
          one(bridge_write, fd, &descriptor, buffer, count, CALLER))
TRANSFERS(readv, (int fd, const struct iovec *parts, int count), (fd, parts, count), false,
          vector(bridge_read, fd, &descriptor, parts, count, CALLER))
TRANSFERS(writev, (int fd, const struct iovec *parts, int count), (fd, parts, count), false,
          vector(bridge_write, fd, &descriptor, parts, count, CALLER))

/* The pages of vIOMMUs are not served; what Linux answers where there are none. */
static void *no_pages(const struct descriptor *descriptor, size_t length, int flags)
{
    int type = flags & MAP_TYPE;
    errno = length == 0 ? EINVAL : descriptor->kind != FILE_CONTEXT ? ENODEV
        : type != MAP_SHARED && type != MAP_SHARED_VALIDATE ? EINVAL : ENXIO;
    return MAP_FAILED;
}

#define MAPS(name, offset_type) \
    EXPORT void *name(void *address, size_t length, int protection, int flags, int fd, offset_type offset) \
    { \
        struct descriptor descriptor; \
        if ((flags & MAP_ANONYMOUS) != 0 || fd_is_other(fd) || !find_quietly(fd, &descriptor)) \
            return LIBC(name)(address, length, protection, flags, fd, offset); \
        return no_pages(&descriptor, length, flags); \
    }

MAPS(mmap, off_t)
MAPS(mmap64, off64_t)
