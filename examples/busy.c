/*
 * Goes wrong on purpose: destroys an IOAS that a device still uses (EBUSY), and exits without destroying anything, so
 * that close has to clean up.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define IOMMU_DESTROY _IO(';', 0x80)
#define IOMMU_IOAS_ALLOC _IO(';', 0x81)
#define IOMMU_TEST_CMD _IO(';', 0xA0)

#define IOMMU_TEST_OP_MOCK_DOMAIN 2

struct iommu_destroy { uint32_t size, id; };
struct iommu_ioas_alloc { uint32_t size, flags, out_ioas_id; };
struct iommu_test_cmd {
    uint32_t size, op, id, reserved;
    struct { uint32_t out_stdev_id, out_hwpt_id, out_idev_id; } mock_domain;
    uint8_t other_ops[44];
};

static uint32_t leak_an_ioas(int fd)
{
    struct iommu_ioas_alloc alloc = {.size = sizeof alloc};
    return ioctl(fd, IOMMU_IOAS_ALLOC, &alloc) < 0 ? 0 : alloc.out_ioas_id;
}

int main(void)
{
    int fd = open("/dev/iommu", O_RDWR);
    if (fd < 0) {
        perror("/dev/iommu");
        return 1;
    }

    uint32_t used = leak_an_ioas(fd), unused = leak_an_ioas(fd);
    struct iommu_test_cmd attach = {.size = sizeof attach, .op = IOMMU_TEST_OP_MOCK_DOMAIN, .id = used};
    if (ioctl(fd, IOMMU_TEST_CMD, &attach) < 0) {
        perror("IOMMU_TEST_CMD");
        return 1;
    }

    struct iommu_destroy destroy = {.size = sizeof destroy, .id = used};
    if (ioctl(fd, IOMMU_DESTROY, &destroy) == 0 || errno != EBUSY) {
        fprintf(stderr, "IOAS %u, which device %u uses, could be destroyed\n", used, attach.mock_domain.out_idev_id);
        return 1;
    }
    printf("IOAS %u is busy: %s\n", used, strerror(errno));
    printf("IOAS %u is left behind\n", unused);
    return 0;
}
