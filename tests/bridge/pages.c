/*
 * The pages of a vIOMMU, which a program maps by the context's own descriptor where VIOMMU_ALLOC says: just those pages, shared, and not to be
 * executed. While they are mapped, in whichever process, the vIOMMU can't be destroyed.
 */
#include "check.h"

#include <sys/mman.h>

#define IOMMU_VIOMMU_ALLOC 0x3B90
#define SELFTEST 0xDEADBEEFu
#define NEST_PARENT 1u
#define MOCK_DOMAIN 2u

struct pages {
    uint32_t in, out;
    uint64_t offset, length;
};

static uint32_t device, parent;

static void expect_no_mapping(int fd, uint64_t length, int protection, int flags, uint64_t offset, int expected, const char *what)
{
    errno = 0;
    EXPECT(mmap(NULL, length, protection, flags, fd, (off_t)offset) == MAP_FAILED, 1, what);
    EXPECT(errno, expected, what);
}

static uint32_t allocate(int fd, uint32_t in, struct pages *pages)
{
    struct {
        uint32_t size, flags, type, device, hwpt, viommu, length, reserved;
        uint64_t data;
    } command = {sizeof command, 0, SELFTEST, device, parent, 0, sizeof *pages, 0, (uintptr_t)pages};
    *pages = (struct pages){.in = in};
    EXPECT(ioctl(fd, IOMMU_VIOMMU_ALLOC, &command), 0, "VIOMMU_ALLOC");
    EXPECT(pages->out, in, "the value that comes back");
    return command.viommu;
}

#ifndef SUPERVISED
static volatile uint32_t *map(int fd, const struct pages *pages, uint64_t length)
{
    void *mapped = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)pages->offset);
    EXPECT(mapped == MAP_FAILED, 0, "mapping the pages");
    return mapped;
}

static void refusals(int fd, const struct pages *pages)
{
    int all = PROT_READ | PROT_WRITE;
    expect_no_mapping(fd, pages->length, all, MAP_SHARED, pages->offset + 4096, ENXIO, "a later offset");
    expect_no_mapping(fd, pages->length, all, MAP_SHARED, 0, ENXIO, "offset 0");
    expect_no_mapping(fd, pages->length / 2, all, MAP_SHARED, pages->offset, ENXIO, "half of the pages");
    expect_no_mapping(fd, pages->length * 2, all, MAP_SHARED, pages->offset, ENXIO, "more pages than there are");
    expect_no_mapping(fd, pages->length, all, MAP_PRIVATE, pages->offset, EINVAL, "a private mapping");
    expect_no_mapping(fd, pages->length, all | PROT_EXEC, MAP_SHARED, pages->offset, EPERM, "a mapping to be executed");
    expect_no_mapping(fd, 0, all, MAP_SHARED, pages->offset, EINVAL, "no bytes");
}
#endif

int main(void)
{
    struct pages first, second;
    int fd = open_iommu(0);
    uint32_t ioas = alloc_ioas(fd), mock[18] = {sizeof mock, MOCK_DOMAIN, ioas};
    EXPECT(ioctl(fd, IOMMU_TEST_CMD, mock), 0, "a device");
    device = mock[6];
    uint32_t hwpt[12] = {48, NEST_PARENT, device, ioas};
    EXPECT(ioctl(fd, IOMMU_HWPT_ALLOC, hwpt), 0, "HWPT_ALLOC");
    parent = hwpt[4];

    uint32_t viommu = allocate(fd, 0x12345678, &first), other = allocate(fd, 7, &second);
    EXPECT(first.length, 8192, "bytes of the pages");
    EXPECT(first.offset == second.offset, 0, "whether two vIOMMUs have the same pages");
#ifdef SUPERVISED
    expect_no_mapping(fd, first.length, PROT_READ | PROT_WRITE, MAP_SHARED, first.offset, ENODEV, "pages under the supervisor");
    EXPECT(destroy(fd, other) | destroy(fd, viommu), 0, "destroying them");
#else
    refusals(fd, &first);
    volatile uint32_t *pages = map(fd, &first, first.length), *again = map(fd, &first, first.length), *others = map(fd, &second, second.length);
    EXPECT(pages[0], 0x12345678, "the value in the pages");
    EXPECT(others[0], 7, "the value in those of the other");
    again[2047] = 99;
    EXPECT(pages[2047], 99, "a store by another mapping of the same pages");
    EXPECT_ERRNO(destroy(fd, viommu), EBUSY, "destroying what is mapped twice");
    EXPECT(munmap((void *)pages, first.length), 0, "munmap");
    EXPECT_ERRNO(destroy(fd, viommu), EBUSY, "destroying what is mapped once");

    /* A child has a copy of the mapping. */
    pid_t child = fork();
    if (child == 0) {
        EXPECT(munmap((void *)again, first.length), 0, "munmap in the child");
        EXPECT_ERRNO(destroy(fd, viommu), EBUSY, "destroying what the parent has mapped");
        _exit(0);
    }
    EXPECT(exit_status(child), 0, "the child's exit status");
    EXPECT(munmap((void *)again, first.length), 0, "munmap");
    EXPECT(destroy(fd, viommu), 0, "destroying what is no longer mapped");
    expect_no_mapping(fd, first.length, PROT_READ | PROT_WRITE, MAP_SHARED, first.offset, ENXIO, "pages of a vIOMMU that is gone");

    /* Held by something else, its pages can be mapped again, and have what was in them. */
    uint32_t nested[12] = {48, 0, device, other, 0, 0, 0xDEAD, 4};
    uint64_t data = (uintptr_t)&first;
    memcpy(nested + 8, &data, sizeof data);
    EXPECT(ioctl(fd, IOMMU_HWPT_ALLOC, nested), 0, "a page table of the guest's");
    others[5] = 55;
    EXPECT(munmap((void *)others, second.length), 0, "munmap");
    EXPECT_ERRNO(destroy(fd, other), EBUSY, "destroying what a page table holds");
    others = map(fd, &second, second.length);
    EXPECT(others[0] + others[5], 62, "the values in pages that are mapped again");
    EXPECT(munmap((void *)others, second.length), 0, "munmap");
    EXPECT(destroy(fd, nested[4]) | destroy(fd, other), 0, "destroying them");
#endif
    EXPECT(close(fd), 0, "closing");
    return 0;
}
