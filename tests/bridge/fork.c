/* Two processes on one context: both issue ioctls, and it lives until the last of them has closed it. */
#include "check.h"

int main(void)
{
    int to_child[2], to_parent[2], fd = open_iommu(0);
    EXPECT(pipe(to_child) | pipe(to_parent), 0, "pipe");
    uint32_t first = alloc_ioas(fd);
    EXPECT(first, 1, "the parent's first IOAS");
    pid_t child = fork();
    if (child == 0) {
        uint32_t second = alloc_ioas(fd);
        EXPECT(second, 2, "the child's IOAS");
        signal_to(to_parent[1]);
        await(to_child[0], "that the parent has closed its descriptor");
        EXPECT(alloc_ioas(fd), 1, "the id that the parent has freed");
        EXPECT(destroy(fd, 1), 0, "destroy of it");
        EXPECT(close(fd), 0, "close of the last descriptor");
        EXPECT_ERRNO(close(fd), EBADF, "close of a closed descriptor");
        _exit(0);
    }
    await(to_parent[0], "that the child has allocated");
    EXPECT(destroy(fd, 2), 0, "the parent's destroy of the child's IOAS");
    EXPECT(destroy(fd, first), 0, "destroy of the parent's IOAS");
    EXPECT(close(fd), 0, "close in the parent");
    EXPECT_ERRNO(alloc_ioas(fd) == 0 ? -1 : 0, EBADF, "an ioctl on the closed number");
    signal_to(to_child[1]);
    EXPECT(exit_status(child), 0, "the child's exit status");
    return 0;
}
