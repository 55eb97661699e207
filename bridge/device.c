/*
 * The emulated devices as files: what stat and access say of them.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#define DEVICE_MODE (S_IFCHR | 0600)
#define MISC_MAJOR 10
#define IOMMU_MINOR 124
#define CONTAINER_MINOR 196
#define VFIO_MAJOR 511 /* as the tree's files say */
#define GROUP_MAJOR 510

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

int status_give(uint64_t status, const void *bytes, size_t size)
{
    if (memory_write(status, bytes, size) == size)
        return 0;
    errno = EFAULT;
    return -1;
}

dev_t device_number(const struct descriptor *descriptor)
{
    switch (descriptor->kind) {
    case FILE_DEVICE:
        return makedev(VFIO_MAJOR, descriptor->number);
    case FILE_GROUP:
        return makedev(GROUP_MAJOR, descriptor->number);
    default:
        return makedev(MISC_MAJOR, IOMMU_MINOR);
    }
}

dev_t place_device(const struct place *place)
{
    switch (place->kind) {
    case PLACE_DEVICE:
        return makedev(VFIO_MAJOR, place->number);
    case PLACE_GROUP:
        return makedev(GROUP_MAJOR, place->number);
    default:
        return makedev(MISC_MAJOR, place->kind == PLACE_CONTAINER ? CONTAINER_MINOR : IOMMU_MINOR);
    }
}

int device_stat(uint64_t status, dev_t device)
{
    struct stat file = {
        .st_mode = DEVICE_MODE, .st_rdev = device, .st_ino = device, .st_nlink = 1,
        .st_uid = geteuid(), .st_gid = getegid(), .st_blksize = PAGE,
    };
    _Static_assert(sizeof(struct stat) == sizeof(struct stat64), "one layout for both");
    return status_give(status, &file, sizeof file);
}

int device_statx(uint64_t status, dev_t device)
{
    struct statx file = {
        .stx_mask = STATX_BASIC_STATS, .stx_mode = DEVICE_MODE, .stx_rdev_major = major(device), .stx_rdev_minor = minor(device),
        .stx_ino = device, .stx_nlink = 1, .stx_uid = geteuid(), .stx_gid = getegid(), .stx_blksize = PAGE,
    };
    return status_give(status, &file, sizeof file);
}

int device_access(int mode)
{
    if ((mode & X_OK) == 0)
        return 0;
    errno = EACCES;
    return -1;
}
