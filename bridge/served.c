/*
 * The system calls that matter, and how they are served: as hooks.c and paths.c do it for the library. A call that is not
 * ours continues in the kernel; it can't be changed by what another thread makes of its arguments meanwhile, because
 * nothing was permitted or forbidden.
 */
#define _GNU_SOURCE
#include "supervise.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "The numbers of system calls are known for x86-64 and arm64."
#endif

#define ARGUMENT(n) offsetof(struct seccomp_data, args[n])
#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offset))
#define IF(value, then, otherwise) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, then, otherwise)
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)

typedef long server(const struct seccomp_notif *call);

struct served {
    int number;
    server *serve;
};

/* What a server returns beside a result and -1. */
#define CONTINUE (-2L)

/* ---- calls with a path ---- */

#define ARG(n) (call->data.args[n])
#define FD(n) ((int)ARG(n))

/* A file of the tree is opened here, for the program. */
static long open_in_tree(const struct place *place, int flags, mode_t mode)
{
    int fd = open(place->path, flags | O_CLOEXEC, mode);
    return fd < 0 ? -1 : file_give(fd, flags);
}

static long open_with(int at, uint64_t address, uint64_t flags, uint64_t mode)
{
    char path[MAX_PATH];
    struct place place;
    place_find(address, &place);
    if (place.kind == PLACE_FILE)
        return open_in_tree(&place, (int)flags, (mode_t)mode);
    if (place.kind == PLACE_ELSEWHERE && !path_read(address, path))
        return CONTINUE;
    if (place.kind != PLACE_ELSEWHERE || strcmp(path, settings()->device) == 0) {
        settle(false);
        return call_open(place_opens(&place), (int)flags, program_caller());
    }
    errno = ENOENT;
    int instead = fault_open(at, path, (int)flags, true);
    return instead == -2 ? CONTINUE : instead;
}

static bool is_ours(int fd, dev_t *device)
{
    struct descriptor descriptor;
    bool found = descriptor_find(fd, &descriptor);
    if (found)
        *device = device_number(&descriptor);
    return found;
}

/* Whether a call is about an emulated path, or by an empty one about a descriptor of ours; and which device that is. */
static bool is_about_ours(int at, uint64_t path, uint64_t flags, struct place *place, dev_t *device)
{
    char first = '\0';
    place->kind = PLACE_ELSEWHERE;
    if ((flags & AT_EMPTY_PATH) != 0 && (path == 0 || (memory_read(path, &first, 1) == 1 && first == '\0')))
        return is_ours(at, device);
    place_find(path, place);
    *device = place_device(place);
    return place->kind >= PLACE_CONTAINER || (place->kind == PLACE_ELSEWHERE && device_is(path) && device_exists());
}

static long stat_of(int at, uint64_t path, uint64_t flags, uint64_t status)
{
    struct place place;
    struct stat found;
    dev_t device;
    if (is_about_ours(at, path, flags, &place, &device))
        return device_stat(status, device);
    if (place.kind == PLACE_ELSEWHERE)
        return CONTINUE;
    return fstatat(AT_FDCWD, place.path, &found, (int)flags) < 0 ? -1 : status_give(status, &found, sizeof found);
}

static long statx_of(int at, uint64_t path, uint64_t flags, uint64_t mask, uint64_t status)
{
    struct place place;
    struct statx found;
    dev_t device;
    if (is_about_ours(at, path, flags, &place, &device))
        return device_statx(status, device);
    if (place.kind == PLACE_ELSEWHERE)
        return CONTINUE;
    return statx(AT_FDCWD, place.path, (int)flags, (unsigned int)mask, &found) < 0 ? -1 : status_give(status, &found, sizeof found);
}

static long access_of(uint64_t path, uint64_t mode, uint64_t flags)
{
    struct place place;
    dev_t device;
    if (is_about_ours(-1, path, flags & ~(uint64_t)AT_EMPTY_PATH, &place, &device))
        return device_access((int)mode);
    return place.kind == PLACE_ELSEWHERE ? CONTINUE : faccessat(AT_FDCWD, place.path, (int)mode, (int)flags);
}

static long link_of(uint64_t path, uint64_t buffer, uint64_t size)
{
    struct place place;
    char link[PATH_MAX];
    place_find(path, &place);
    if (place.kind == PLACE_ELSEWHERE)
        return CONTINUE;
    if ((int)size <= 0) {
        errno = EINVAL;
        return -1;
    }
    ssize_t length = readlink(place.path, link, size < sizeof link ? size : sizeof link);
    if (length < 0 || memory_write(buffer, link, (size_t)length) == (size_t)length)
        return length;
    errno = EFAULT;
    return -1;
}

static long serve_openat(const struct seccomp_notif *call) { return open_with(FD(0), ARG(1), ARG(2), ARG(3)); }

static long serve_openat2(const struct seccomp_notif *call)
{
    struct open_how how = {0};
    size_t known = offsetof(struct open_how, resolve);
    return memory_read(ARG(2), &how, known) == known ? open_with(FD(0), ARG(1), how.flags, how.mode) : CONTINUE;
}

static long serve_newfstatat(const struct seccomp_notif *call) { return stat_of(FD(0), ARG(1), ARG(3), ARG(2)); }
static long serve_fstat(const struct seccomp_notif *call) { return stat_of(FD(0), 0, AT_EMPTY_PATH, ARG(1)); }
static long serve_statx(const struct seccomp_notif *call) { return statx_of(FD(0), ARG(1), ARG(2), ARG(3), ARG(4)); }
static long serve_faccessat(const struct seccomp_notif *call) { return access_of(ARG(1), ARG(2), 0); }
static long serve_faccessat2(const struct seccomp_notif *call) { return access_of(ARG(1), ARG(2), ARG(3)); }
static long serve_readlinkat(const struct seccomp_notif *call) { return link_of(ARG(1), ARG(2), ARG(3)); }

#ifdef SYS_open
static long serve_open(const struct seccomp_notif *call) { return open_with(AT_FDCWD, ARG(0), ARG(1), ARG(2)); }
static long serve_creat(const struct seccomp_notif *call) { return open_with(AT_FDCWD, ARG(0), O_CREAT | O_WRONLY | O_TRUNC, ARG(1)); }
static long serve_stat(const struct seccomp_notif *call) { return stat_of(-1, ARG(0), 0, ARG(1)); }
static long serve_lstat(const struct seccomp_notif *call) { return stat_of(-1, ARG(0), AT_SYMLINK_NOFOLLOW, ARG(1)); }
static long serve_access(const struct seccomp_notif *call) { return access_of(ARG(0), ARG(1), 0); }
static long serve_readlink(const struct seccomp_notif *call) { return link_of(ARG(0), ARG(1), ARG(2)); }
#endif

/* ---- calls on a number ---- */

/* Finds a descriptor of ours, for a call that uses it. */
static bool find(const struct seccomp_notif *call, struct descriptor *ours)
{
    bool found = descriptor_find(FD(0), ours);
    if (found)
        settle(false);
    return found;
}

static long serve_ioctl(const struct seccomp_notif *call)
{
    struct descriptor ours;
    return find(call, &ours) ? call_ioctl(FD(0), &ours, (uint32_t)ARG(1), ARG(2), program_caller()) : CONTINUE;
}

static long transfer(const struct seccomp_notif *call, enum trace_kind kind)
{
    struct descriptor ours;
    return find(call, &ours) ? call_transfer(kind, FD(0), &ours, ARG(1), ARG(2), program_caller()) : CONTINUE;
}

static long vector(const struct seccomp_notif *call, enum trace_kind kind)
{
    struct descriptor ours;
    return find(call, &ours) ? call_vector(kind, FD(0), &ours, ARG(1), FD(2), program_caller()) : CONTINUE;
}

/* Only device files have places. */
static long transfer_at(const struct seccomp_notif *call, enum trace_kind kind)
{
    struct descriptor ours;
    if (!find(call, &ours) || ours.kind != FILE_DEVICE)
        return CONTINUE;
    return call_transfer_at(kind, FD(0), &ours, ARG(1), ARG(2), (int64_t)ARG(3), program_caller());
}

/* Only a dma-buf has an end. */
static long serve_lseek(const struct seccomp_notif *call)
{
    struct descriptor ours;
    return find(call, &ours) && ours.kind == FILE_DMA_BUF ? dma_buf_seek(&ours, (int64_t)ARG(1), FD(2)) : CONTINUE;
}

static long serve_pread(const struct seccomp_notif *call) { return transfer_at(call, TRACE_READ); }
static long serve_pwrite(const struct seccomp_notif *call) { return transfer_at(call, TRACE_WRITE); }
static long serve_read(const struct seccomp_notif *call) { return transfer(call, TRACE_READ); }
static long serve_write(const struct seccomp_notif *call) { return transfer(call, TRACE_WRITE); }
static long serve_readv(const struct seccomp_notif *call) { return vector(call, TRACE_READ); }
static long serve_writev(const struct seccomp_notif *call) { return vector(call, TRACE_WRITE); }

static long serve_close(const struct seccomp_notif *call)
{
    closes(call, FD(0));
    return CONTINUE;
}

static bool close_within(int fd, void *state)
{
    const struct seccomp_notif *call = state;
    if ((uint32_t)fd >= (uint32_t)ARG(0) && (uint32_t)fd <= (uint32_t)ARG(1))
        closes(call, fd);
    return false;
}

static long serve_close_range(const struct seccomp_notif *call)
{
    struct seccomp_notif copy = *call;
    if ((ARG(2) & CLOSE_RANGE_CLOEXEC) == 0)
        numbers_each(close_within, &copy);
    return CONTINUE;
}

static long serve_dup3(const struct seccomp_notif *call)
{
    char link[1];
    if (FD(0) != FD(1) && fd_link(FD(0), link, sizeof link) > 0)
        closes(call, FD(1));
    return CONTINUE;
}

/* ---- which calls arrive ---- */

static const struct served all_served[] = {
    {SYS_ioctl, serve_ioctl},
    {SYS_read, serve_read}, {SYS_write, serve_write}, {SYS_readv, serve_readv}, {SYS_writev, serve_writev},
    {SYS_close, serve_close}, {SYS_close_range, serve_close_range}, {SYS_dup3, serve_dup3},
    {SYS_openat, serve_openat}, {SYS_openat2, serve_openat2},
    {SYS_newfstatat, serve_newfstatat}, {SYS_fstat, serve_fstat}, {SYS_statx, serve_statx},
    {SYS_faccessat, serve_faccessat}, {SYS_faccessat2, serve_faccessat2},
#ifdef SYS_open
    {SYS_dup2, serve_dup3}, {SYS_open, serve_open}, {SYS_creat, serve_creat},
    {SYS_stat, serve_stat}, {SYS_lstat, serve_lstat}, {SYS_access, serve_access},
#endif
    /* From here on only where there is a tree. */
    {SYS_pread64, serve_pread}, {SYS_lseek, serve_lseek}, {SYS_pwrite64, serve_pwrite}, {SYS_readlinkat, serve_readlinkat},
#ifdef SYS_open
    {SYS_readlink, serve_readlink},
#endif
};

#define SERVED (sizeof all_served / sizeof *all_served)

/*
 * Of ioctls, those of iommufd's type; and since Linux looks at a command's number first, those of other types with its
 * numbers, but for KVM and DRM, whose programs issue theirs often. All others a socket answers as iommufd does: ENOTTY.
 */
static const struct sock_filter ioctls[] = {
    IF(SYS_ioctl, 0, 10),
    LOAD(ARGUMENT(1)),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xFF00),
    IF(0x3B00, 5, 0),
    IF(0xAE00, 5, 0),
    IF(0x6400, 4, 0),
    LOAD(ARGUMENT(1)),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xFF),
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x80, 0, 1),
    RETURN(SECCOMP_RET_USER_NOTIF),
    RETURN(SECCOMP_RET_ALLOW),
};

int filter_install(void)
{
    struct sock_filter filter[2 * SERVED + sizeof ioctls / sizeof *ioctls + 5];
    unsigned short count = 0;
    filter[count++] = (struct sock_filter)LOAD(offsetof(struct seccomp_data, arch));
    filter[count++] = (struct sock_filter)IF(ARCHITECTURE, 1, 0);
    filter[count++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
    filter[count++] = (struct sock_filter)LOAD(offsetof(struct seccomp_data, nr));
    memcpy(filter + count, ioctls, sizeof ioctls);
    count += sizeof ioctls / sizeof *ioctls;
    for (size_t i = 0; i < SERVED && (tree_exists() || all_served[i].number != SYS_pread64); i++) {
        filter[count++] = (struct sock_filter)IF((uint32_t)all_served[i].number, 0, 1);
        filter[count++] = (struct sock_filter)RETURN(SECCOMP_RET_USER_NOTIF);
    }
    filter[count++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = count, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    /* A signal must not make the kernel repeat a call that is being served: before Linux 5.19 it may. */
    unsigned int flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
    int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
    return listener >= 0 || errno != EINVAL ? listener : (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

void serve(const struct seccomp_notif *call, struct seccomp_notif_resp *answer)
{
    const struct served *served = all_served;
    while (served->number != call->data.nr)
        served++;
    serve_turn((struct turn){.call = call});
    long result = served->serve(call);
    int error = errno;
    turn_over(serve_turn((struct turn){0}));
    *answer = (struct seccomp_notif_resp){
        .id = call->id,
        .val = result >= 0 ? result : 0,
        .error = result == -1 ? -error : 0,
        .flags = result == CONTINUE ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0,
    };
}
