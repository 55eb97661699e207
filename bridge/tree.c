/*
 * The gateway's tree of devices: a folder beside its socket, below which files have the paths that Linux gives them in
 * /sys and /dev (docs/protocol.md, "Devices"). Paths of the program that lie in one of the folders below lead into the
 * tree, whatever this machine has there itself, so that a program finds the emulated devices and no others. What is found
 * are files and relative links, so that folders can be read, and files opened relative to them, without more.
 *
 * The files that stand for /dev/vfio/vfio, groups and devices are empty: to open those is to connect to the gateway.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>

#define TREE_ROOT (TREE_PATH - MAX_PATH)

/* The folders that the tree has alone. */
static const char *const hidden_folders[] = {"/sys/bus/pci", "/sys/kernel/iommu_groups", "/sys/class/vfio-dev", "/dev/vfio"};

/* Where the folders of devices are, to which links of the others lead: those of this machine's devices stay beside them. */
static const char bridges[] = "/sys/devices/pci";

enum { UNKNOWN, MISSING, THERE };
static _Atomic int state;
static char root[TREE_ROOT];
static size_t root_length;

/* The folder's path without links, as realpath would find it. Two threads that come first at once write the same bytes. */
static int look(void)
{
    char path[sizeof settings()->socket + 4], link[32];
    if (!settings()->active)
        return MISSING;
    snprintf(path, sizeof path, "%s-sys", settings()->socket);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return MISSING;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, root, sizeof root);
    syscall(SYS_close, fd);
    if (length <= 1 || (size_t)length >= sizeof root || root[0] != '/')
        return MISSING;
    root_length = (size_t)length;
    return THERE;
}

bool tree_exists(void)
{
    int found = atomic_load_explicit(&state, memory_order_acquire);
    if (__builtin_expect(found == UNKNOWN, 0)) {
        int error = errno;
        found = look();
        atomic_store_explicit(&state, found, memory_order_release);
        errno = error;
    }
    return found == THERE;
}

/* Before the program can change its folder. */
__attribute__((constructor)) static void begin(void)
{
    tree_exists();
}

static bool is_there(const char *path)
{
    return syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0;
}

/* Whether a path is that of a folder, or lies in it. */
static bool lies_in(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* Whether the tree has the device in whose folder a path lies. The path has the root in front. */
static bool is_of_device(char *path)
{
    char *end = strchr(path + root_length + sizeof bridges - 1, '/');
    if (end != NULL)
        end = strchr(end + 1, '/');
    if (end != NULL)
        *end = '\0';
    bool found = is_there(path);
    if (end != NULL)
        *end = '/';
    return found;
}

static bool is_in_tree(const char *path, char *in_tree)
{
    for (size_t i = 0; i < sizeof hidden_folders / sizeof *hidden_folders; i++)
        if (lies_in(path, hidden_folders[i]))
            return true;
    return strncmp(path, bridges, sizeof bridges - 1) == 0 && is_of_device(in_tree);
}

/* The number behind the start of a path; -1 for another path. */
static int number_behind(const char *start, const char *path)
{
    const char *at = path + strlen(start);
    int number = 0;
    if (strncmp(path, start, strlen(start)) != 0 || *at == '\0' || (at[0] == '0' && at[1] != '\0'))
        return -1;
    for (; *at >= '0' && *at <= '9' && number <= UINT16_MAX; at++)
        number = number * 10 + (*at - '0');
    return *at == '\0' && number <= UINT16_MAX ? number : -1;
}

void place_find(uint64_t address, struct place *place)
{
    char path[MAX_PATH];
    int error = errno;
    place->kind = PLACE_ELSEWHERE;
    if (!tree_exists())
        return;
    if (path_read(address, path) && (strncmp(path, "/sys/", 5) == 0 || strncmp(path, "/dev/", 5) == 0)) {
        memcpy(mempcpy(place->path, root, root_length), path, strlen(path) + 1);
        if (is_in_tree(path, place->path)) {
            int device = number_behind("/dev/vfio/devices/vfio", path), group = number_behind("/dev/vfio/", path);
            place->kind = PLACE_FILE;
            if ((device >= 0 || group >= 0 || strcmp(path, "/dev/vfio/vfio") == 0) && is_there(place->path)) {
                place->kind = device >= 0 ? PLACE_DEVICE : group >= 0 ? PLACE_GROUP : PLACE_CONTAINER;
                place->number = (uint16_t)(device >= 0 ? device : group >= 0 ? group : 0);
            }
        }
    }
    errno = error;
}

int place_opens(const struct place *place)
{
    return place->kind == PLACE_DEVICE ? place->number : place->kind == PLACE_GROUP ? GROUPS + place->number : NO_DEVICE;
}

bool tree_has_bar(const char *path, size_t length)
{
    static const char bars[] = "/bars/";
    return length > root_length + sizeof bars - 1 && memcmp(path, root, root_length) == 0
        && memcmp(path + root_length, bars, sizeof bars - 1) == 0;
}

void tree_leave(char *path)
{
    if (strncmp(path, root, root_length) == 0 && path[root_length] == '/')
        memmove(path, path + root_length, strlen(path + root_length) + 1);
}
