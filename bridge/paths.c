/*
 * Calls with a path: open, stat, access. A path is compared after libc's own call: then the kernel has read it, so that a
 * bad pointer was its answer, not a crash here. Only a call that could create the file is decided before, and one that
 * may lie in the gateway's tree, where there is one: libc gets the tree's path then.
 */
#define _GNU_SOURCE
#include "hooks.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int at, const char *path, int flags);
int __openat64_2(int at, const char *path, int flags);
int __xstat(int version, const char *path, struct stat *status);
int __xstat64(int version, const char *path, struct stat64 *status);
int __lxstat(int version, const char *path, struct stat *status);
int __lxstat64(int version, const char *path, struct stat64 *status);
int __fxstat(int version, int fd, struct stat *status);
int __fxstat64(int version, int fd, struct stat64 *status);
int __fxstatat(int version, int at, const char *path, struct stat *status, int flags);
int __fxstatat64(int version, int at, const char *path, struct stat64 *status, int flags);

#define FUNCTIONS(X) \
    X(open) X(open64) X(openat) X(openat64) X(__open_2) X(__open64_2) X(__openat_2) X(__openat64_2) \
    X(stat) X(stat64) X(lstat) X(lstat64) X(fstat) X(fstat64) X(fstatat) X(fstatat64) X(statx) \
    X(__xstat) X(__xstat64) X(__lxstat) X(__lxstat64) X(__fxstat) X(__fxstat64) X(__fxstatat) X(__fxstatat64) \
    X(access) X(faccessat) X(euidaccess) X(eaccess)

REPLACED(FUNCTIONS)

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

static int opened(int fd, int at, const char *path, int flags, int error, const void *caller)
{
    if (was_device(path, fd)) {
        if (fd >= 0)
            syscall(SYS_close, fd);
        errno = error;
        return call_open(NO_DEVICE, flags, caller);
    }
    int instead = settings()->active && (fd >= 0 || errno == ENOENT) ? fault_open(at, path, flags, fd < 0) : -2;
    if (instead != -2) {
        if (fd >= 0)
            syscall(SYS_close, fd);
        fd = instead;
        if (fd >= 0)
            errno = error;
    }
    if (fd >= 0 && fd < FD_STATES && !fd_is_other(fd))
        fd_note_other(fd, atomic_load(&fd_states[fd]));
    return fd;
}

#define CREATES(flags) (((flags) & O_CREAT) != 0 || ((flags) & O_TMPFILE) == O_TMPFILE)

#define OPENS_PLACE \
    path = find_place(path, &place); \
    if (place.kind >= PLACE_CONTAINER) \
        return call_open(place_opens(&place), flags, __builtin_return_address(0));

/* Four functions with a mode, and the four that programs built with _FORTIFY_SOURCE call without one. */
#define OPENS(name, where, parameters, arguments) \
    EXPORT int name parameters \
    { \
        struct place place; \
        int error = errno; \
        mode_t mode = 0; \
        if (CREATES(flags)) { \
            va_list more; \
            va_start(more, flags); \
            mode = va_arg(more, mode_t); \
            va_end(more); \
            bool ours = device_is((uint64_t)path); \
            errno = error; \
            if (ours) \
                return call_open(NO_DEVICE, flags, __builtin_return_address(0)); \
        } \
        OPENS_PLACE \
        return opened(LIBC(name) arguments, where, path, flags, error, __builtin_return_address(0)); \
    }

#define OPENS_2(name, where, parameters, arguments) \
    EXPORT int name parameters \
    { \
        struct place place; \
        int error = errno; \
        OPENS_PLACE \
        return opened(LIBC(name) arguments, where, path, flags, error, __builtin_return_address(0)); \
    }

OPENS(open, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode))
OPENS(open64, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode))
OPENS(openat, at, (int at, const char *path, int flags, ...), (at, path, flags, mode))
OPENS(openat64, at, (int at, const char *path, int flags, ...), (at, path, flags, mode))
OPENS_2(__open_2, AT_FDCWD, (const char *path, int flags), (path, flags))
OPENS_2(__open64_2, AT_FDCWD, (const char *path, int flags), (path, flags))
OPENS_2(__openat_2, at, (int at, const char *path, int flags), (at, path, flags))
OPENS_2(__openat64_2, at, (int at, const char *path, int flags), (at, path, flags))

/* ---- stat and access ---- */

/* The result of a call that is done here; errno stays if it succeeds. */
static int given(int result, int error)
{
    if (result == 0)
        errno = error;
    return result;
}

static bool is_ours(int fd, dev_t *device)
{
    struct descriptor descriptor;
    bool found = find_quietly(fd, &descriptor);
    if (found)
        *device = device_number(&descriptor);
    return found;
}

/* Whether a call by path, of this result, was about an emulated path or one of our descriptors; and which device that is. */
static bool was_ours(const struct place *place, int at, const char *path, int flags, int result, dev_t *device)
{
    *device = place_device(place);
    if (place->kind >= PLACE_CONTAINER)
        return true;
    if (was_device(path, result))
        return device_exists();
    return result == 0 && (flags & AT_EMPTY_PATH) != 0 && path[0] == '\0' && is_ours(at, device);
}

#define STATS(name, parameters, arguments, at, flags) \
    EXPORT int name parameters \
    { \
        struct place place; \
        dev_t device; \
        int error = errno; \
        path = find_place(path, &place); \
        int result = LIBC(name) arguments, failure = errno; \
        if (was_ours(&place, at, path, flags, result, &device)) \
            return given(device_stat((uint64_t)status, device), error); \
        errno = failure; \
        return result; \
    }

#define FSTATS(name, parameters, arguments) \
    EXPORT int name parameters \
    { \
        dev_t device; \
        int error = errno, result = LIBC(name) arguments; \
        return result == 0 && !fd_is_other(fd) && is_ours(fd, &device) ? given(device_stat((uint64_t)status, device), error) : result; \
    }

STATS(stat, (const char *path, struct stat *status), (path, status), AT_FDCWD, 0)
STATS(stat64, (const char *path, struct stat64 *status), (path, status), AT_FDCWD, 0)
STATS(lstat, (const char *path, struct stat *status), (path, status), AT_FDCWD, 0)
STATS(lstat64, (const char *path, struct stat64 *status), (path, status), AT_FDCWD, 0)
STATS(fstatat, (int at, const char *path, struct stat *status, int flags), (at, path, status, flags), at, flags)
STATS(fstatat64, (int at, const char *path, struct stat64 *status, int flags), (at, path, status, flags), at, flags)
STATS(__xstat, (int version, const char *path, struct stat *status), (version, path, status), AT_FDCWD, 0)
STATS(__xstat64, (int version, const char *path, struct stat64 *status), (version, path, status), AT_FDCWD, 0)
STATS(__lxstat, (int version, const char *path, struct stat *status), (version, path, status), AT_FDCWD, 0)
STATS(__lxstat64, (int version, const char *path, struct stat64 *status), (version, path, status), AT_FDCWD, 0)
STATS(__fxstatat, (int version, int at, const char *path, struct stat *status, int flags), (version, at, path, status, flags), at, flags)
STATS(__fxstatat64, (int version, int at, const char *path, struct stat64 *status, int flags), (version, at, path, status, flags), at, flags)
FSTATS(fstat, (int fd, struct stat *status), (fd, status))
FSTATS(fstat64, (int fd, struct stat64 *status), (fd, status))
FSTATS(__fxstat, (int version, int fd, struct stat *status), (version, fd, status))
FSTATS(__fxstat64, (int version, int fd, struct stat64 *status), (version, fd, status))

EXPORT int statx(int at, const char *path, int flags, unsigned int mask, struct statx *status)
{
    struct place place;
    dev_t device;
    int error = errno;
    path = find_place(path, &place);
    int result = LIBC(statx)(at, path, flags, mask, status), failure = errno;
    if (was_ours(&place, at, path, flags, result, &device))
        return given(device_statx((uint64_t)status, device), error);
    errno = failure;
    return result;
}

static int accessed(const struct place *place, const char *path, int mode, int result, int error)
{
    int failure = errno;
    if (place->kind >= PLACE_CONTAINER || (was_device(path, result) && device_exists()))
        return given(device_access(mode), error);
    errno = failure;
    return result;
}

#define ACCESSES(name, parameters, arguments) \
    EXPORT int name parameters \
    { \
        struct place place; \
        int error = errno; \
        path = find_place(path, &place); \
        return accessed(&place, path, mode, LIBC(name) arguments, error); \
    }

ACCESSES(access, (const char *path, int mode), (path, mode))
ACCESSES(euidaccess, (const char *path, int mode), (path, mode))
ACCESSES(eaccess, (const char *path, int mode), (path, mode))
ACCESSES(faccessat, (int at, const char *path, int mode, int flags), (at, path, mode, flags))
