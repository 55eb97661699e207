/* Numbers: the lowest free one, copies of every kind, and a program that closes everything, also what it did not open. */
#include "check.h"

#include <sys/resource.h>
#include <sys/socket.h>

static void copies(void)
{
    int fd = open_iommu(0);
    EXPECT(fd, 3, "the lowest free number");
    EXPECT(alloc_ioas(fd), 1, "an IOAS");
    int duplicate = dup(fd), other = fcntl(fd, F_DUPFD_CLOEXEC, 20);
    EXPECT(duplicate, 4, "dup, after a call has made a connection");
    EXPECT(other, 20, "F_DUPFD_CLOEXEC from 20 on");
    EXPECT(dup2(fd, 30), 30, "dup2");
    EXPECT(dup3(fd, 31, O_CLOEXEC), 31, "dup3");
    for (int i = 0; i < 4; i++) {
        EXPECT(alloc_ioas((int[]){duplicate, other, 30, 31}[i]), 2, "an IOAS by a copy");
        EXPECT(destroy(fd, 2), 0, "destroy by the original");
    }
    EXPECT(close(fd), 0, "close of the original");
    EXPECT(dup2(30, duplicate), duplicate, "dup2 over a copy");
    EXPECT(alloc_ioas(duplicate), 2, "an IOAS by a copy of a copy");
    int pipes[2];
    EXPECT(pipe(pipes), 0, "pipe");
    EXPECT(dup2(pipes[0], 30), 30, "dup2 of a pipe over a copy");
    EXPECT_ERRNO(ioctl(30, IOMMU_IOAS_ALLOC, NULL), ENOTTY, "an iommufd ioctl on a pipe");
    EXPECT(close_range(3, ~0U, 0), 0, "close_range");
    EXPECT_ERRNO(alloc_ioas(duplicate) == 0 ? -1 : 0, EBADF, "an ioctl on a closed copy");
}

static void everything_closed(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    int fd = open_iommu(0);
    EXPECT(alloc_ioas(fd), 1, "a first IOAS");
    for (int i = 3; i < (int)limit.rlim_cur && i < 65536; i++)
        if (i != fd)
            close(i);
    EXPECT(alloc_ioas(fd), 2, "an IOAS after the program has closed every other number");
    int sockets[2];
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0, "socketpair");
    for (int i = 100; i < (int)limit.rlim_cur && i < 65536; i++)
        EXPECT(dup2(sockets[0], i), i, "dup2 onto any number");
    EXPECT(alloc_ioas(fd) != 0 || errno == EIO, 1, "an ioctl where no number is left for the bridge's own");
    for (int i = 100; i < (int)limit.rlim_cur && i < 65536; i++)
        EXPECT(close(i), 0, "close of a number of the program's");
    char byte;
    EXPECT(recv(sockets[1], &byte, 1, MSG_DONTWAIT), -1, "what was sent on the program's sockets");
    EXPECT(alloc_ioas(fd) != 0, 1, "an IOAS when numbers are free again");
    closefrom(3);
    EXPECT_ERRNO(alloc_ioas(fd) == 0 ? -1 : 0, EBADF, "an ioctl after closefrom");
}

static void released_at_close(void)
{
    uint32_t ioas;
    for (int i = 0; i < 100; i++) {
        int fd = open_iommu(0);
        EXPECT(fd, 3, "the lowest free number, again");
        EXPECT(ioas = alloc_ioas(fd), 1, "the first IOAS of a new context");
        EXPECT(close(fd), 0, "close");
    }
}

int main(void)
{
    closefrom(3);
    copies();
    everything_closed();
    released_at_close();
    return 0;
}
