/*
 * Locked memory, as iommufd accounts it: run with a limit of 64 KiB (--memlock 64K). Pages count when they are pinned, once however many page tables
 * have them; past the limit an attach, a map or a pin is ENOMEM and changes nothing; what is unpinned is free again; a user's processes share
 * a limit, and with RLIMIT_MODE 1 each has its own.
 */
#include "check.h"

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define PAGE 4096ul
#define LIMIT 16ul /* pages */

#define IOMMU_IOAS_COPY 0x3B83
#define IOMMU_IOAS_UNMAP 0x3B86
#define IOMMU_OPTION 0x3B87
#define OP_MOCK_DOMAIN 2u
#define OP_CREATE_ACCESS 5u
#define OP_ACCESS_PAGES 7u

static char *memory;

static int map(int fd, uint32_t ioas, uint64_t iova, unsigned long pages, char *from)
{
    struct {
        uint32_t size, flags, ioas, reserved;
        uint64_t address, length, iova;
    } cmd = {sizeof cmd, 7, ioas, 0, (uintptr_t)from, pages * PAGE, iova};
    return ioctl(fd, IOMMU_IOAS_MAP, &cmd);
}

static int unmap(int fd, uint32_t ioas, uint64_t iova, unsigned long pages)
{
    struct {
        uint32_t size, ioas;
        uint64_t iova, length;
    } cmd = {sizeof cmd, ioas, iova, pages * PAGE};
    return ioctl(fd, IOMMU_IOAS_UNMAP, &cmd);
}

static int copy(int fd, uint32_t from, uint32_t to, uint64_t iova, unsigned long pages)
{
    struct {
        uint32_t size, flags, to, from;
        uint64_t length, to_iova, from_iova;
    } cmd = {sizeof cmd, 7, to, from, pages * PAGE, iova, iova};
    return ioctl(fd, IOMMU_IOAS_COPY, &cmd);
}

struct test_command {
    uint32_t size, op, id, reserved;
    union {
        struct {
            uint32_t device, hwpt, idev;
        } domain;
        struct {
            uint32_t fd, flags;
        } access;
        struct {
            uint32_t flags, pin;
            uint64_t iova, length, address;
        } pages;
        uint64_t space[7];
    };
};

/* Attaches a mock device; its id, or 0 and errno. */
static uint32_t attach(int fd, uint32_t ioas)
{
    struct test_command cmd = {.size = sizeof cmd, .op = OP_MOCK_DOMAIN, .id = ioas};
    return ioctl(fd, IOMMU_TEST_CMD, &cmd) == 0 ? cmd.domain.device : 0;
}

static int option(int fd, uint16_t op, uint64_t value)
{
    struct {
        uint32_t size, option;
        uint16_t op, reserved;
        uint32_t object;
        uint64_t value;
    } cmd = {sizeof cmd, 0, op, 0, 0, value};
    return ioctl(fd, IOMMU_OPTION, &cmd);
}

/* Gives up one capability, so that it is known whether the process has it, no matter who runs the test. */
static int drop(unsigned capability)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &head, data) != 0)
        return -1;
    data[0].effective &= ~(1u << capability);
    return (int)syscall(SYS_capset, &head, data);
}

static int can(unsigned capability)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    return syscall(SYS_capget, &head, data) == 0 && (data[0].effective & 1u << capability) != 0;
}

static void attach_past_the_limit(void)
{
    int fd = open_iommu(0);
    uint32_t ioas = alloc_ioas(fd), device;
    EXPECT(map(fd, ioas, 16 << 20, LIMIT + 1, memory), 0, "mapping past the limit without a page table");
    EXPECT(attach(fd, ioas), 0, "attaching to more than the limit");
    EXPECT(errno, ENOMEM, "errno of attaching to more than the limit");
    EXPECT(unmap(fd, ioas, 16 << 20, LIMIT + 1), 0, "unmapping what could not be pinned");
    EXPECT(map(fd, ioas, 16 << 20, LIMIT, memory), 0, "mapping the limit");
    EXPECT((device = attach(fd, ioas)) != 0, 1, "attaching to the limit");
    EXPECT_ERRNO(map(fd, ioas, 32 << 20, 1, memory + LIMIT * PAGE), ENOMEM, "mapping one page more");
    EXPECT(unmap(fd, ioas, 16 << 20, LIMIT), 0, "unmapping all");
    EXPECT(map(fd, ioas, 32 << 20, 1, memory), 0, "mapping one page when all is unmapped");
    EXPECT(destroy(fd, device), 0, "detaching");
    EXPECT(map(fd, ioas, 16 << 20, LIMIT, memory), 0, "mapping 16 pages besides, without a page table");
    EXPECT(attach(fd, ioas), 0, "attaching to 17 pages");
    EXPECT(errno, ENOMEM, "errno of attaching to 17 pages");
    EXPECT(destroy(fd, ioas), 0, "destroying an IOAS that an attach has failed on");
    EXPECT(close(fd), 0, "closing");
}

static void pages_that_two_page_tables_have_count_once(void)
{
    int fd = open_iommu(0);
    uint32_t one = alloc_ioas(fd), two = alloc_ioas(fd), first, second;
    EXPECT(map(fd, one, 16 << 20, LIMIT, memory), 0, "mapping the limit");
    EXPECT(copy(fd, one, two, 16 << 20, LIMIT), 0, "copying it");
    EXPECT((first = attach(fd, one)) != 0, 1, "attaching to the first IOAS");
    EXPECT((second = attach(fd, two)) != 0, 1, "attaching to the copy");
    EXPECT(destroy(fd, first), 0, "detaching from the first");
    EXPECT_ERRNO(map(fd, two, 32 << 20, 1, memory), ENOMEM, "one page more, as the copy has all pinned");
    EXPECT(destroy(fd, second), 0, "detaching from the copy");
    uint32_t third = alloc_ioas(fd);
    EXPECT(map(fd, third, 16 << 20, LIMIT, memory), 0, "mapping the limit elsewhere");
    EXPECT(attach(fd, third) != 0, 1, "attaching when all was free again");
    EXPECT(close(fd), 0, "closing what has pinned the limit");
}

static void an_access_pins_too(void)
{
    int fd = open_iommu(0);
    uint32_t ioas = alloc_ioas(fd);
    struct test_command access = {.size = sizeof access, .op = OP_CREATE_ACCESS, .id = ioas, .access.flags = 1};
    EXPECT(ioctl(fd, IOMMU_TEST_CMD, &access), 0, "creating an access");
    EXPECT(map(fd, ioas, 16 << 20, LIMIT + 1, memory), 0, "mapping past the limit");
    struct test_command pin = {.size = sizeof pin, .op = OP_ACCESS_PAGES, .id = access.access.fd,
        .pages = {.iova = 16 << 20, .length = (LIMIT + 1) * PAGE, .address = (uintptr_t)memory}};
    EXPECT_ERRNO(ioctl(fd, IOMMU_TEST_CMD, &pin), ENOMEM, "pinning past the limit");
    pin.pages.length = LIMIT * PAGE;
    EXPECT(ioctl(fd, IOMMU_TEST_CMD, &pin), 0, "pinning the limit");
    EXPECT(ioctl(fd, IOMMU_TEST_CMD, &pin), 0, "pinning the same pages again");
    EXPECT(close((int)access.access.fd), 0, "closing the access");
    EXPECT(close(fd), 0, "closing");
}

/* What a process has pinned while another, which has pinned 'first' pages, waits. */
static void two_processes(uint64_t mode, unsigned long first, unsigned long second, int expected)
{
    int ready[2], done[2];
    char byte = 0;
    EXPECT(pipe(ready), 0, "pipe");
    EXPECT(pipe(done), 0, "pipe");
    pid_t child = fork();
    if (child == 0) {
        int fd = open_iommu(0);
        if (mode == 1)
            EXPECT(option(fd, 0, 1), 0, "RLIMIT_MODE 1 in the child");
        uint32_t ioas = alloc_ioas(fd);
        EXPECT(map(fd, ioas, 16 << 20, first, memory), 0, "mapping in the child");
        EXPECT(attach(fd, ioas) != 0, 1, "attaching in the child");
        EXPECT(write(ready[1], &byte, 1), 1, "write");
        EXPECT(read(done[0], &byte, 1), 1, "read");
        _exit(0);
    }
    EXPECT(read(ready[0], &byte, 1), 1, "read");
    int fd = open_iommu(0);
    if (mode == 1)
        EXPECT(option(fd, 0, 1), 0, "RLIMIT_MODE 1");
    uint32_t ioas = alloc_ioas(fd);
    EXPECT(map(fd, ioas, 16 << 20, second, memory), 0, "mapping");
    EXPECT(attach(fd, ioas) != 0, expected == 0, "whether a second process may pin");
    EXPECT(expected == 0 ? 0 : errno, expected, "errno of the second process's attach");
    EXPECT(write(done[1], &byte, 1), 1, "write");
    int status;
    EXPECT(waitpid(child, &status, 0), child, "waiting for the child");
    EXPECT(status, 0, "the child's status");
    if (expected != 0)
        EXPECT(attach(fd, ioas) != 0, 1, "attaching when the child has ended, and with it what it had pinned");
    EXPECT(close(fd), 0, "closing");
    EXPECT(close(ready[0]) + close(ready[1]) + close(done[0]) + close(done[1]), 0, "closing the pipes");
}

int main(int count, char **words)
{
    /* With --memlock caller, CAP_IPC_LOCK would free the process from its limit. */
    if (count > 1 && strcmp(words[1], "caller") == 0)
        EXPECT(drop(CAP_IPC_LOCK), 0, "dropping CAP_IPC_LOCK");
    memory = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(memory == MAP_FAILED, 0, "memory");
    memset(memory, 1, 64 * PAGE);

    attach_past_the_limit();
    pages_that_two_page_tables_have_count_once();
    an_access_pins_too();
    two_processes(0, LIMIT / 2, LIMIT / 2, 0);
    two_processes(0, LIMIT / 2, LIMIT / 2 + 1, ENOMEM);
    if (can(CAP_SYS_RESOURCE))
        two_processes(1, LIMIT, LIMIT, 0);
    EXPECT(drop(CAP_SYS_RESOURCE), 0, "dropping CAP_SYS_RESOURCE");
    int fd = open_iommu(0);
    EXPECT_ERRNO(option(fd, 0, 1), EPERM, "setting RLIMIT_MODE without CAP_SYS_RESOURCE");
    EXPECT(option(fd, 1, 0), 0, "getting RLIMIT_MODE without it");
    return 0;
}
