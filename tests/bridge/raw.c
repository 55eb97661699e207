/* A program that calls nothing of libc's that a library could replace: raw system calls, as static and Go programs have. */
#include "check.h"

#include <linux/stat.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

struct fault_queue {
    uint32_t size, flags, id;
    int32_t fd;
};

static int raw_open(const char *path, int flags)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
}

static void paths(void)
{
    struct stat status;
    struct statx more;
    EXPECT(syscall(SYS_newfstatat, AT_FDCWD, "/dev/iommu", &status, 0), 0, "newfstatat");
    EXPECT(S_ISCHR(status.st_mode), 1, "the device is a character device");
    EXPECT(syscall(SYS_statx, AT_FDCWD, "/dev/iommu", 0, STATX_BASIC_STATS, &more), 0, "statx");
    EXPECT(S_ISCHR(more.stx_mode), 1, "the device is a character device for statx");
    EXPECT(syscall(SYS_faccessat, AT_FDCWD, "/dev/iommu", R_OK | W_OK), 0, "faccessat");
    EXPECT_ERRNO(syscall(SYS_faccessat, AT_FDCWD, "/dev/iommu", X_OK), EACCES, "faccessat for execution");
    EXPECT_ERRNO(raw_open("/dev/iommu/none", O_RDWR), ENOENT, "open of a path that is not the device's");
    EXPECT_ERRNO(raw_open((const char *)8, O_RDWR), EFAULT, "open of a path at a bad address");
    int fd = raw_open("/dev/iommu", O_RDWR | O_CLOEXEC);
    EXPECT(fd, 3, "the lowest free number");
    EXPECT(syscall(SYS_fcntl, fd, F_GETFD), FD_CLOEXEC, "flags of a descriptor opened with O_CLOEXEC");
    EXPECT(syscall(SYS_fstat, fd, &status), 0, "fstat");
    EXPECT(S_ISCHR(status.st_mode), 1, "a descriptor is a character device");
    EXPECT(syscall(SYS_close, fd), 0, "close");
    EXPECT_ERRNO(syscall(SYS_ioctl, fd, IOMMU_IOAS_ALLOC, NULL), EBADF, "an ioctl after close");
}

static void other_files(void)
{
    char buffer[8];
    int ends[2];
    EXPECT(syscall(SYS_pipe2, ends, 0), 0, "pipe2");
    EXPECT_ERRNO(syscall(SYS_ioctl, ends[0], IOMMU_IOAS_ALLOC, NULL), ENOTTY, "an iommufd ioctl on a pipe");
    EXPECT(syscall(SYS_write, ends[1], "abc", 3), 3, "write to a pipe");
    EXPECT(syscall(SYS_readv, ends[0], &(struct iovec){buffer, 8}, 1), 3, "readv from a pipe");
    EXPECT(memcmp(buffer, "abc", 3), 0, "what was written to the pipe");
    EXPECT(syscall(SYS_close_range, ends[0], ends[1], 0), 0, "close_range");
}

/* What a close of a queue's file does is done when the next call comes. */
static void queues(int fd)
{
    for (int i = 0; i < 100; i++) {
        struct fault_queue queue = {.size = sizeof queue, .fd = -1};
        char buffer[40];
        EXPECT(syscall(SYS_ioctl, fd, IOMMU_FAULT_QUEUE_ALLOC, &queue), 0, "FAULT_QUEUE_ALLOC");
        EXPECT(queue.fd, fd + 1, "the lowest free number for a queue's file");
        EXPECT(syscall(SYS_read, queue.fd, buffer, sizeof buffer), 0, "read of an empty queue");
        EXPECT(destroy(fd, queue.id), -1, "destroy of a queue whose file is open");
        switch (i % 4) {
        case 0:
            EXPECT(syscall(SYS_close, queue.fd), 0, "close of a queue's file");
            break;
        case 1:
            EXPECT(syscall(SYS_close_range, queue.fd, queue.fd, 0), 0, "close_range of a queue's file");
            break;
        case 2:
            EXPECT(syscall(SYS_dup3, 2, queue.fd, 0), queue.fd, "dup3 over a queue's file");
            EXPECT(syscall(SYS_close, queue.fd), 0, "close of the copy that took its number");
            break;
        default:
            EXPECT(syscall(SYS_dup3, queue.fd, 50, 0), 50, "dup3 of a queue's file");
            EXPECT(syscall(SYS_close, queue.fd), 0, "close of a queue's file that has a copy");
            EXPECT(destroy(fd, queue.id), -1, "destroy of a queue whose file has a copy");
            EXPECT(syscall(SYS_close, 50), 0, "close of the copy");
        }
        EXPECT(syscall(SYS_ioctl, fd, IOMMU_DESTROY, (uint32_t[2]){8, queue.id}), 0, "destroy of a queue whose file is closed");
    }
}

static void numbers(int fd)
{
    struct fault_queue queue = {.size = sizeof queue, .fd = -1};
    int last = fd, next;
    while ((next = (int)syscall(SYS_dup, 2)) >= 0)
        last = next;
    EXPECT(errno, EMFILE, "dup until no number is left");
    EXPECT_ERRNO(raw_open("/dev/iommu", O_RDWR), EMFILE, "open of the device without a free number");
    EXPECT_ERRNO(syscall(SYS_ioctl, fd, IOMMU_FAULT_QUEUE_ALLOC, &queue), EMFILE, "FAULT_QUEUE_ALLOC without a free number");
    EXPECT(syscall(SYS_close, last), 0, "close of one number");
    EXPECT(syscall(SYS_ioctl, fd, IOMMU_FAULT_QUEUE_ALLOC, &queue), 0, "FAULT_QUEUE_ALLOC with a free number");
    EXPECT(queue.id, 1, "the id that a queue without a number did not keep");
    EXPECT(queue.fd, last, "the free number");
    EXPECT(syscall(SYS_close_range, fd + 1, ~0U, 0), 0, "close_range of all others");
}

int main(void)
{
    EXPECT(syscall(SYS_close_range, 3, ~0U, 0), 0, "close_range");
    paths();
    other_files();
    int fd = raw_open("/dev/iommu", O_RDWR);
    EXPECT(fd, 3, "the lowest free number, again");
    queues(fd);
    numbers(fd);
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        EXPECT(alloc_ioas(fd) != 0, 1, "an IOAS in a forked child");
        syscall(SYS_exit_group, 0);
    }
    EXPECT(exit_status(child), 0, "the child's exit status");
    EXPECT(syscall(SYS_close, fd), 0, "close");
    return 0;
}
