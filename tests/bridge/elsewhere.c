/* Memory that one process has mapped and another one copies: the bytes are those of the process that mapped, as long as it lives. */
#include "check.h"

#include <sys/mman.h>

#define CREATE_ACCESS 5
#define ACCESS_RW 8
#define RW_WRITE 1

struct test_cmd {
    uint32_t size, op, id, reserved;
    uint64_t fields[6];
    uint32_t last;
};

static int map(int fd, uint32_t ioas, void *memory, uint64_t length, uint64_t iova)
{
    struct {
        uint32_t size, flags, ioas, reserved;
        uint64_t memory, length, iova;
    } command = {sizeof command, 7, ioas, 0, (uintptr_t)memory, length, iova}; /* fixed, writeable, readable */
    return ioctl(fd, IOMMU_IOAS_MAP, &command);
}

static int access_rw(int fd, int access, uint64_t iova, void *buffer, uint64_t length, uint32_t flags)
{
    struct test_cmd command = {sizeof command, ACCESS_RW, (uint32_t)access, 0, {iova, length, (uintptr_t)buffer, flags}, 0};
    return ioctl(fd, IOMMU_TEST_CMD, &command);
}

int main(void)
{
    int to_child[2], to_parent[2], fd = open_iommu(0);
    EXPECT(pipe(to_child) | pipe(to_parent), 0, "pipe");
    uint32_t ioas = alloc_ioas(fd);
    struct test_cmd create = {sizeof create, CREATE_ACCESS, ioas, 0, {0}, 0};
    EXPECT(ioctl(fd, IOMMU_TEST_CMD, &create), 0, "CREATE_ACCESS");
    int access = (int)(uint32_t)create.fields[0];
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    strcpy(page, "the parent's");
    pid_t child = fork();
    if (child == 0) {
        /* So that the child ends where the parent does. */
        close(to_child[1]);
        strcpy(page, "the child's");
        EXPECT(map(fd, ioas, page, 4096, 0x1000000), 0, "the child's map of its page");
        signal_to(to_parent[1]);
        await(to_child[0], "that the parent has written");
        EXPECT(strcmp(page, "from the parent"), 0, "what the parent has written to the child's page");
        _exit(0);
    }
    await(to_parent[0], "that the child has mapped");
    char buffer[16] = "";
    EXPECT(access_rw(fd, access, 0x1000000, buffer, 12, 0), 0, "the parent's read of the child's page");
    EXPECT(strcmp(buffer, "the child's"), 0, "what the parent has read");
    EXPECT(access_rw(fd, access, 0x1000000, "from the parent", 16, RW_WRITE), 0, "the parent's write to the child's page");
    EXPECT(strcmp(page, "the parent's"), 0, "the parent's own page");
    signal_to(to_child[1]);
    EXPECT(exit_status(child), 0, "the child's exit status");
    EXPECT_ERRNO(access_rw(fd, access, 0x1000000, buffer, 12, 0), EFAULT, "a read of the page of a process that has ended");
    return 0;
}
