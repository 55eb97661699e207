/* What the test programs of the bridge share. They are C programs like any other: plain ioctls on /dev/iommu. */
#ifndef CHECK_H
#define CHECK_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define IOMMU_DESTROY 0x3B80
#define IOMMU_IOAS_ALLOC 0x3B81
#define IOMMU_IOAS_ALLOW_IOVAS 0x3B82
#define IOMMU_IOAS_IOVA_RANGES 0x3B84
#define IOMMU_IOAS_MAP 0x3B85
#define IOMMU_HWPT_ALLOC 0x3B89
#define IOMMU_FAULT_QUEUE_ALLOC 0x3B8E
#define IOMMU_IOAS_MAP_FILE 0x3B8F
#define IOMMU_TEST_CMD 0x3BA0

/* Ends the program unless 'got', which 'what' describes, is 'expected'. */
#define EXPECT(got, expected, what) \
    do { \
        long got_ = (long)(got), expected_ = (long)(expected); \
        if (got_ != expected_) { \
            fprintf(stderr, "%s:%d: %s: expected %ld, got %ld (errno %d, %s)\n", __FILE__, __LINE__, what, expected_, got_, errno, strerror(errno)); \
            _exit(1); \
        } \
    } while (0)

/* The same for a call that must fail. */
#define EXPECT_ERRNO(call, expected, what) \
    do { \
        errno = 0; \
        EXPECT(call, -1, what); \
        EXPECT(errno, expected, "errno of " what); \
    } while (0)

static inline int open_iommu(int flags)
{
    int fd = open("/dev/iommu", O_RDWR | flags);
    if (fd < 0) {
        perror("open /dev/iommu");
        exit(1);
    }
    return fd;
}

/* An IOAS's id; 0 and errno on failure. */
static inline uint32_t alloc_ioas(int fd)
{
    uint32_t command[3] = {sizeof command};
    return ioctl(fd, IOMMU_IOAS_ALLOC, command) == 0 ? command[2] : 0;
}

static inline int destroy(int fd, uint32_t id)
{
    uint32_t command[2] = {sizeof command, id};
    return ioctl(fd, IOMMU_DESTROY, command);
}

/* The exit status of a child. */
static inline int exit_status(pid_t child)
{
    int status;
    EXPECT(waitpid(child, &status, 0), child, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* One byte from another process: that it has come this far. */
static inline void await(int fd, const char *what)
{
    char byte;
    EXPECT(read(fd, &byte, 1), 1, what);
}

static inline void signal_to(int fd)
{
    EXPECT(write(fd, "x", 1), 1, "write to a pipe");
}

#endif
