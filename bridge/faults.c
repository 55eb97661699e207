/*
 * Calls that are to fail: as `iommufd run --fail` and --fail-nth say, and as a program says that was written for the
 * kernel's own fault injection, by /proc/self/task/TID/fail-nth. The service fails at its own failure points; of what is
 * left to count, this keeps the books.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define NTH_FILES 64
#define RULES 16
#define FAILED (1U << 31)

/* A thread's fail-nth: the number is the content of a file that the program has open. */
struct nth_file {
    _Atomic pid_t thread;
    _Atomic int fd;
};

/* CMD:OCCURRENCE:ERRNO of IOMMUFD_FAIL. */
struct rule {
    uint32_t command, errno_;
    _Atomic uint32_t left;
};

static struct nth_file nth_files[NTH_FILES];
static struct rule rules[RULES];
static _Atomic uint32_t nth_left;
static _Atomic int any;

static uint32_t number(const char **at)
{
    uint64_t value = 0;
    while (**at >= '0' && **at <= '9' && value < UINT32_MAX)
        value = value * 10 + (uint64_t)(*(*at)++ - '0');
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

void faults_read(const char *fail, const char *nth)
{
    for (int i = 0; fail != NULL && *fail != '\0' && i < RULES; i++) {
        rules[i].command = number(&fail);
        fail += *fail == ':';
        uint32_t left = number(&fail);
        fail += *fail == ':';
        rules[i].errno_ = number(&fail);
        atomic_store(&rules[i].left, left);
        fail += *fail == ',';
        atomic_store(&any, 1);
    }
    if (nth != NULL) {
        atomic_store(&nth_left, number(&nth));
        atomic_store(&any, 1);
    }
}

/* ---- fail-nth ---- */

static struct nth_file *nth_of(pid_t thread)
{
    for (int i = 0; i < NTH_FILES; i++)
        if (atomic_load(&nth_files[i].thread) == thread)
            return &nth_files[i];
    return NULL;
}

static uint32_t nth_read(int fd)
{
    char text[16] = "";
    const char *at = text;
    return syscall(SYS_pread64, fd, text, sizeof text - 1, 0) > 0 ? number(&at) : 0;
}

static void nth_write(int fd, uint32_t value)
{
    char text[16];
    size_t length = sizeof text;
    text[--length] = '\n';
    do
        text[--length] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    if (syscall(SYS_pwrite64, fd, text + length, sizeof text - length, 0) > 0)
        syscall(SYS_ftruncate, fd, sizeof text - length);
}

/* The thread of /proc/PROCESS/task/THREAD/fail-nth and of its shorter forms; 0 for another path. */
static pid_t nth_thread(const char *path)
{
    size_t length = strlen(path);
    const char *end = path + length - sizeof "/fail-nth" + 1, *at = end;
    if (length < sizeof "/proc/" + sizeof "/fail-nth" || strncmp(path, "/proc/", 6) != 0 || strcmp(end, "/fail-nth") != 0)
        return 0;
    while (at > path && at[-1] >= '0' && at[-1] <= '9')
        at--;
    return at < end ? (pid_t)number(&at) : program_thread();
}

int file_give(int fd, int flags)
{
    int number = fd < 0 ? -1 : descriptor_place(fd, flags);
    fd_return(fd);
    return number;
}

static int open_nth(pid_t thread, int flags)
{
    struct nth_file *file = nth_of(thread);
    for (int i = 0; file == NULL && i < NTH_FILES; i++) {
        pid_t nobody = 0;
        if (atomic_compare_exchange_strong(&nth_files[i].thread, &nobody, thread)) {
            atomic_store(&nth_files[i].fd, -1);
            file = &nth_files[i];
        }
    }
    if (file == NULL) {
        errno = ENOSPC;
        return -1;
    }
    int fd = (int)syscall(SYS_memfd_create, "fail-nth", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    nth_write(fd, 0);
    fd_unhide(&file->fd, 0);
    fd_hide_copy(fd, 0, &file->fd);
    atomic_store(&any, 1);
    return file_give(fd, flags);
}

/* ---- the switches in debugfs, which say which allocations may fail: here, all ---- */

static bool is_switch(int at, const char *path)
{
    static const char debugfs[] = "/sys/kernel/debug";
    char folder[64] = "";
    if (strncmp(path, debugfs, sizeof debugfs - 1) == 0)
        return strncmp(path + sizeof debugfs - 1, "/fail", 5) == 0;
    if (strncmp(path, "fail", 4) != 0 || at < 0)
        return false;
    return fd_link(at, folder, sizeof folder - 1) > 0 && strcmp(folder, debugfs) == 0;
}

/* A file of fault injection, or a process's status, that a program opens by a path that the kernel has just read; -2 for any other path. */
int fault_open(int at, const char *path, int flags, bool failed)
{
    pid_t thread = nth_thread(path);
    if (thread != 0)
        return open_nth(thread, flags);
    int status = status_file(path);
    if (status >= 0)
        return file_give(status, flags);
    return failed && errno == ENOENT && is_switch(at, path) ? file_give((int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC), flags) : -2;
}

/* ---- calls ---- */

bool fault_of(uint32_t command, struct fault *fault)
{
    *fault = (struct fault){0};
    if (atomic_load_explicit(&any, memory_order_relaxed) == 0)
        return false;
    struct nth_file *file = nth_of(program_thread());
    int fd = file == NULL ? -1 : atomic_load(&file->fd);
    uint32_t nth = fd < 0 || !fd_is_hidden(fd) ? 0 : nth_read(fd);
    if (nth > 0) {
        *fault = (struct fault){.point = nth, .errno_ = ENOMEM, .nth = fd};
        return true;
    }
    for (int i = 0; i < RULES; i++) {
        uint32_t left = atomic_load(&rules[i].left);
        if (rules[i].command != command || left == 0)
            continue;
        while (left > 0 && !atomic_compare_exchange_weak(&rules[i].left, &left, left - 1))
            ;
        if (left == 1) {
            *fault = (struct fault){.point = 1, .errno_ = rules[i].errno_, .nth = -1};
            return true;
        }
    }
    nth = atomic_load(&nth_left);
    *fault = (struct fault){.point = nth, .errno_ = ENOMEM, .nth = -2};
    return nth > 0;
}

void fault_passed(const struct fault *fault, uint32_t points)
{
    uint32_t passed = points & ~FAILED, left = (points & FAILED) != 0 || passed >= fault->point ? 0 : fault->point - passed;
    if (fault->nth >= 0)
        nth_write(fault->nth, left);
    else if (fault->nth == -2)
        atomic_store(&nth_left, left);
}

/* A call that the service does not fail: it has one point. */
bool fault_here(uint32_t command)
{
    struct fault fault;
    if (!fault_of(command, &fault))
        return false;
    fault_passed(&fault, fault.point == 1 ? 1 | FAILED : 1);
    if (fault.point != 1)
        return false;
    errno = (int)fault.errno_;
    return true;
}
