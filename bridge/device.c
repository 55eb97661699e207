/*
 * The emulated device as a file: what stat and access say of it.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#define DEVICE_MODE (S_IFCHR | 0600)
#define DEVICE_MAJOR 10
#define DEVICE_MINOR 124

bool path_read(uint64_t address, char path[MAX_PATH])
{
    size_t length = memory_read(address, path, MAX_PATH);
    return memchr(path, '\0', length) != NULL;
}

bool device_is(uint64_t path)
{
    char there[MAX_PATH];
    return settings()->active && path_read(path, there) && strcmp(there, settings()->device) == 0;
}

bool device_exists(void)
{
    return settings()->active && syscall(SYS_faccessat, AT_FDCWD, settings()->socket, F_OK) == 0;
}

static int give(uint64_t status, const void *bytes, size_t size)
{
    if (memory_write(status, bytes, size) == size)
        return 0;
    errno = EFAULT;
    return -1;
}

int device_stat(uint64_t status)
{
    struct stat device = {
        .st_mode = DEVICE_MODE, .st_rdev = makedev(DEVICE_MAJOR, DEVICE_MINOR), .st_ino = 1, .st_nlink = 1,
        .st_uid = geteuid(), .st_gid = getegid(), .st_blksize = PAGE,
    };
    _Static_assert(sizeof(struct stat) == sizeof(struct stat64), "one layout for both");
    return give(status, &device, sizeof device);
}

int device_statx(uint64_t status)
{
    struct statx device = {
        .stx_mask = STATX_BASIC_STATS, .stx_mode = DEVICE_MODE, .stx_rdev_major = DEVICE_MAJOR, .stx_rdev_minor = DEVICE_MINOR,
        .stx_ino = 1, .stx_nlink = 1, .stx_uid = geteuid(), .stx_gid = getegid(), .stx_blksize = PAGE,
    };
    return give(status, &device, sizeof device);
}

int device_access(int mode)
{
    if ((mode & X_OK) == 0)
        return 0;
    errno = EACCES;
    return -1;
}
