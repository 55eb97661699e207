/*
 * Attaches an emulated device to an IOAS and looks at the device, by the ioctl that the kernel's own tests of iommufd use.
 * The structs are those of <linux/iommufd.h> and of the kernel's iommufd_test.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define IOMMU_DESTROY _IO(';', 0x80)
#define IOMMU_IOAS_ALLOC _IO(';', 0x81)
#define IOMMU_GET_HW_INFO _IO(';', 0x8A)
#define IOMMU_TEST_CMD _IO(';', 0xA0)

#define IOMMU_TEST_OP_MOCK_DOMAIN 2

struct iommu_destroy { uint32_t size, id; };
struct iommu_ioas_alloc { uint32_t size, flags, out_ioas_id; };
struct iommu_hw_info {
    uint32_t size, flags, dev_id, data_len;
    uint64_t data_uptr;
    uint32_t out_data_type;
    uint8_t out_max_pasid_log2, reserved[3];
    uint64_t out_capabilities;
};
struct iommu_test_cmd {
    uint32_t size, op, id, reserved;
    struct { uint32_t out_stdev_id, out_hwpt_id, out_idev_id; } mock_domain;
    uint8_t other_ops[44];
};

static void command(int fd, unsigned long number, void *argument, const char *name)
{
    if (ioctl(fd, number, argument) < 0) {
        fprintf(stderr, "%s: %s\n", name, strerror(errno));
        exit(1);
    }
}

int main(void)
{
    int fd = open("/dev/iommu", O_RDWR);
    if (fd < 0) {
        perror("/dev/iommu");
        return 1;
    }

    struct iommu_ioas_alloc ioas = {.size = sizeof ioas};
    command(fd, IOMMU_IOAS_ALLOC, &ioas, "IOMMU_IOAS_ALLOC");

    struct iommu_test_cmd attach = {.size = sizeof attach, .op = IOMMU_TEST_OP_MOCK_DOMAIN, .id = ioas.out_ioas_id};
    command(fd, IOMMU_TEST_CMD, &attach, "IOMMU_TEST_CMD");
    printf("device %u translates by HWPT %u, which mirrors IOAS %u\n", attach.mock_domain.out_idev_id, attach.mock_domain.out_hwpt_id,
           ioas.out_ioas_id);

    uint32_t data[2] = {0, 0};
    struct iommu_hw_info info = {
        .size = sizeof info, .dev_id = attach.mock_domain.out_idev_id, .data_len = sizeof data, .data_uptr = (uintptr_t)data,
    };
    command(fd, IOMMU_GET_HW_INFO, &info, "IOMMU_GET_HW_INFO");
    printf("its IOMMU is of type 0x%x: %u bytes of data, capabilities 0x%llx\n", info.out_data_type, info.data_len,
           (unsigned long long)info.out_capabilities);

    /* Destroying the selftest's device detaches it, and its HWPT goes with it. */
    struct iommu_destroy destroy = {.size = sizeof destroy, .id = attach.mock_domain.out_stdev_id};
    command(fd, IOMMU_DESTROY, &destroy, "IOMMU_DESTROY of the device");
    destroy.id = ioas.out_ioas_id;
    command(fd, IOMMU_DESTROY, &destroy, "IOMMU_DESTROY of the IOAS");
    return close(fd);
}
