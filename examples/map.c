/*
 * Maps a page of this program's memory to an IOVA, asks where IOVAs may lie, and unmaps.
 * The structs are those of <linux/iommufd.h>, which Linux has since 6.2.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define IOMMU_DESTROY _IO(';', 0x80)
#define IOMMU_IOAS_ALLOC _IO(';', 0x81)
#define IOMMU_IOAS_IOVA_RANGES _IO(';', 0x84)
#define IOMMU_IOAS_MAP _IO(';', 0x85)
#define IOMMU_IOAS_UNMAP _IO(';', 0x86)

#define IOMMU_IOAS_MAP_WRITEABLE 2
#define IOMMU_IOAS_MAP_READABLE 4

struct iommu_destroy { uint32_t size, id; };
struct iommu_ioas_alloc { uint32_t size, flags, out_ioas_id; };
struct iommu_iova_range { uint64_t start, last; };
struct iommu_ioas_iova_ranges { uint32_t size, ioas_id, num_iovas, reserved; uint64_t allowed_iovas, out_iova_alignment; };
struct iommu_ioas_map { uint32_t size, flags, ioas_id, reserved; uint64_t user_va, length, iova; };
struct iommu_ioas_unmap { uint32_t size, ioas_id; uint64_t iova, length; };

static void command(int fd, unsigned long number, void *argument, const char *name)
{
    if (ioctl(fd, number, argument) < 0) {
        fprintf(stderr, "%s: %s\n", name, strerror(errno));
        exit(1);
    }
}

int main(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int fd = open("/dev/iommu", O_RDWR);
    if (fd < 0) {
        perror("/dev/iommu");
        return 1;
    }

    struct iommu_ioas_alloc alloc = {.size = sizeof alloc};
    command(fd, IOMMU_IOAS_ALLOC, &alloc, "IOMMU_IOAS_ALLOC");
    printf("IOAS %u\n", alloc.out_ioas_id);

    struct iommu_iova_range ranges[8];
    struct iommu_ioas_iova_ranges query = {
        .size = sizeof query, .ioas_id = alloc.out_ioas_id, .num_iovas = 8, .allowed_iovas = (uintptr_t)ranges,
    };
    command(fd, IOMMU_IOAS_IOVA_RANGES, &query, "IOMMU_IOAS_IOVA_RANGES");
    for (uint32_t i = 0; i < query.num_iovas && i < 8; i++)
        printf("IOVAs 0x%llx to 0x%llx\n", (unsigned long long)ranges[i].start, (unsigned long long)ranges[i].last);

    void *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iommu_ioas_map map = {
        .size = sizeof map, .flags = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE, .ioas_id = alloc.out_ioas_id,
        .user_va = (uintptr_t)memory, .length = page,
    };
    command(fd, IOMMU_IOAS_MAP, &map, "IOMMU_IOAS_MAP");
    printf("a page is mapped at IOVA 0x%llx\n", (unsigned long long)map.iova);

    struct iommu_ioas_unmap unmap = {.size = sizeof unmap, .ioas_id = alloc.out_ioas_id, .iova = map.iova, .length = page};
    command(fd, IOMMU_IOAS_UNMAP, &unmap, "IOMMU_IOAS_UNMAP");
    printf("%llu bytes are unmapped\n", (unsigned long long)unmap.length);

    struct iommu_destroy destroy = {.size = sizeof destroy, .id = alloc.out_ioas_id};
    command(fd, IOMMU_DESTROY, &destroy, "IOMMU_DESTROY");
    return close(fd);
}
