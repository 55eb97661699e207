/*
 * Two processes that have descriptors of one context, for as long as standard input lasts: each line of it, or its
 * end, is one step further. Each step is told on standard output.
 */
#include "check.h"

#include <sys/prctl.h>

static void step(const char *what)
{
    char line[64];
    printf("%s\n", what);
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL)
        return;
}

int main(void)
{
    int to_child[2], to_parent[2], fd = open_iommu(0);
    EXPECT(pipe(to_child) | pipe(to_parent), 0, "pipe");
    pid_t child = fork();
    if (child == 0) {
        EXPECT(prctl(PR_SET_NAME, "child\033[1m\n"), 0, "a name with control characters");
        EXPECT(alloc_ioas(fd), 1, "the child's IOAS");
        signal_to(to_parent[1]);
        await(to_child[0], "that the child is to close its descriptor");
        EXPECT(close(fd), 0, "close in the child");
        signal_to(to_parent[1]);
        await(to_child[0], "that the child is to end");
        _exit(0);
    }
    await(to_parent[0], "that the child has used its descriptor");
    uint32_t queue[4] = {sizeof queue};
    EXPECT(ioctl(fd, IOMMU_FAULT_QUEUE_ALLOC, queue), 0, "FAULT_QUEUE_ALLOC in the parent");
    char both[64];
    snprintf(both, sizeof both, "both %d %d", getpid(), child);
    step(both);
    signal_to(to_child[1]);
    await(to_parent[0], "that the child has closed its descriptor");
    step("parent");
    signal_to(to_child[1]);
    EXPECT(exit_status(child), 0, "the child's exit status");
    return 0;
}
