/*
 * dma-bufs: those of the kernel's selftest, and BARs that a device exports for another device. Needs a gateway with dma-test at 0000:01:00.0 and at
 * 0000:03:00.0.
 */
#include "vfio.h"

#define VFIO_DEVICE_FEATURE 0x3B75
#define FEATURE_LOW_POWER_ENTRY 3
#define FEATURE_LOW_POWER_EXIT 5
#define FEATURE_DMA_BUF 11
#define FEATURE_GET (1 << 16)
#define FEATURE_SET (1 << 17)
#define FEATURE_PROBE (1 << 18)
#define OP_DMABUF_GET 22
#define OP_DMABUF_REVOKE 23
#define OP_MOCK_DOMAIN 2

enum { RESULT = 0x0C, ERRNO = 0x10, DESTINATION = 0x20, LENGTH = 0x28, PATTERN = 0x2C, VECTOR = 0x30, COMMAND = 0x48, WINDOW = 0x2000 };
enum { FILL = 2, WELL = 0, REFUSED_BY_IOMMU = 1 };

#define PAGE 4096UL
#define IOVA 0x40000000UL
#define APERTURE 0x1000000UL

struct map_file { uint32_t size, flags, ioas; int32_t fd; uint64_t start, length, iova; };
struct unmap { uint32_t size, ioas; uint64_t iova, length; };
struct feature { uint32_t argsz, flags, region, open_flags, reserved, ranges; struct { uint64_t offset, length; } range[2]; };
struct test { uint32_t size, op, id, reserved; uint32_t fields[14]; };

static int iommu;

static int test(uint32_t op, uint32_t id, uint32_t first, uint32_t second)
{
    struct test command = {sizeof command, op, id, 0, {first, second}};
    return ioctl(iommu, IOMMU_TEST_CMD, &command);
}

static int map_file(uint32_t ioas, int fd, uint64_t start, uint64_t length, uint64_t iova)
{
    struct map_file map = {sizeof map, 7, ioas, fd, start, length, iova};
    return ioctl(iommu, IOMMU_IOAS_MAP_FILE, &map);
}

static void unmap(uint32_t ioas, uint64_t iova, uint64_t length)
{
    struct unmap command = {sizeof command, ioas, iova, length};
    EXPECT(ioctl(iommu, IOMMU_IOAS_UNMAP, &command), 0, "IOAS_UNMAP");
}

/* ---- the selftest's ---- */

static void of_selftest(void)
{
    uint32_t ioas = alloc_ioas(iommu), other = alloc_ioas(iommu);
    EXPECT_ERRNO(test(OP_DMABUF_GET, 0, 0, O_CLOEXEC), EINVAL, "DMABUF_GET of nothing");
    EXPECT_ERRNO(test(OP_DMABUF_GET, 0, 512 * PAGE + 1, O_CLOEXEC), EINVAL, "DMABUF_GET of too much");
    int fd = test(OP_DMABUF_GET, 0, 3 * PAGE + 1, O_CLOEXEC);
    EXPECT(fd > iommu, 1, "DMABUF_GET, which returns a descriptor");
    EXPECT_ERRNO(map_file(ioas, fd, 0, 0, IOVA), EINVAL, "MAP_FILE of nothing");
    EXPECT_ERRNO(map_file(ioas, fd, 4 * PAGE, PAGE, IOVA), EINVAL, "MAP_FILE behind the end");
    EXPECT_ERRNO(map_file(ioas, fd, 0, 4 * PAGE + 1, IOVA), EINVAL, "MAP_FILE beyond the end");
    EXPECT(map_file(ioas, fd, 0, 4 * PAGE, APERTURE), 0, "MAP_FILE");
    EXPECT_ERRNO(read(fd, &other, sizeof other), EINVAL, "read of a dma-buf");
    EXPECT_ERRNO(ioctl(fd, 0x3B80, &other), ENOTTY, "an ioctl of another file on a dma-buf");

    EXPECT(lseek(fd, 0, SEEK_END), 4 * PAGE, "the end of a dma-buf, which is its size");
    EXPECT(lseek(fd, 0, SEEK_SET), 0, "the start of a dma-buf");
    EXPECT_ERRNO(lseek(fd, -1, SEEK_END), EINVAL, "another place in a dma-buf");
    EXPECT_ERRNO(lseek(fd, 0, SEEK_CUR), EINVAL, "where one is in a dma-buf");
    EXPECT_ERRNO(lseek(iommu, 0, SEEK_END), ESPIPE, "the end of a context");

    EXPECT_ERRNO(test(OP_DMABUF_REVOKE, 0, (uint32_t)iommu, 1), EINVAL, "DMABUF_REVOKE of a context");
    EXPECT_ERRNO(test(OP_DMABUF_REVOKE, 0, 1000, 1), EBADF, "DMABUF_REVOKE of a closed number");
    EXPECT(test(OP_DMABUF_REVOKE, 0, (uint32_t)fd, 1), 0, "DMABUF_REVOKE");
    EXPECT(test(OP_MOCK_DOMAIN, ioas, 0, 0), 0, "a domain where a revoked dma-buf is mapped");
    EXPECT_ERRNO(map_file(other, fd, 0, 4 * PAGE, IOVA), ENODEV, "MAP_FILE of a revoked dma-buf");
    EXPECT(test(OP_DMABUF_REVOKE, 0, (uint32_t)fd, 0), 0, "DMABUF_REVOKE, which restores");
    EXPECT(map_file(other, fd, 0, 4 * PAGE, IOVA), 0, "MAP_FILE of a restored dma-buf");
    unmap(ioas, APERTURE, 4 * PAGE);
    EXPECT(map_file(ioas, fd, 0, 4 * PAGE, APERTURE), 0, "MAP_FILE where the revoked mapping was");
    EXPECT(close(fd), 0, "close of a dma-buf that is mapped");
    unmap(ioas, APERTURE, 4 * PAGE);
    unmap(other, IOVA, 4 * PAGE);
}

/* ---- a BAR ---- */

static int export(int device, uint32_t region, uint64_t offset, uint64_t length)
{
    struct feature feature = {24 + 16, FEATURE_GET | FEATURE_DMA_BUF, region, O_CLOEXEC, 0, 1, {{offset, length}}};
    return ioctl(device, VFIO_DEVICE_FEATURE, &feature);
}

static void refuse(int device, uint32_t ioas)
{
    struct feature feature = {sizeof feature, FEATURE_PROBE | FEATURE_GET | FEATURE_DMA_BUF, 0, 0, 0, 0, {{0}}};
    EXPECT(ioctl(device, VFIO_DEVICE_FEATURE, &feature), 0, "PROBE of DMA_BUF");
    feature.flags = FEATURE_SET | FEATURE_DMA_BUF;
    EXPECT_ERRNO(ioctl(device, VFIO_DEVICE_FEATURE, &feature), EINVAL, "SET of DMA_BUF");
    feature.flags = FEATURE_PROBE | 1;
    EXPECT_ERRNO(ioctl(device, VFIO_DEVICE_FEATURE, &feature), ENOTTY, "PROBE of a feature that is not there");
    feature.flags = FEATURE_GET | FEATURE_DMA_BUF;
    EXPECT_ERRNO(ioctl(device, VFIO_DEVICE_FEATURE, &feature), EINVAL, "DMA_BUF without ranges");
    feature.ranges = 1;
    feature.argsz = 20;
    EXPECT_ERRNO(ioctl(device, VFIO_DEVICE_FEATURE, &feature), EINVAL, "DMA_BUF with a short argument");
    EXPECT_ERRNO(export(device, 6, 0, PAGE), ENODEV, "DMA_BUF of the ROM");
    EXPECT_ERRNO(export(device, 1, 0, PAGE), EINVAL, "DMA_BUF of a BAR that is not there");
    EXPECT_ERRNO(export(device, 0, 0, 0), EINVAL, "DMA_BUF of nothing");
    EXPECT_ERRNO(export(device, 0, 512, PAGE), EINVAL, "DMA_BUF of no whole page");
    EXPECT_ERRNO(export(device, 0, 0x3000, 2 * PAGE), EINVAL, "DMA_BUF beyond the BAR's end");

    feature = (struct feature){sizeof feature, FEATURE_GET | FEATURE_DMA_BUF, 0, O_CLOEXEC, 0, 2, {{0x2000, PAGE}, {0x3000, PAGE}}};
    int scattered = ioctl(device, VFIO_DEVICE_FEATURE, &feature);
    EXPECT(scattered >= 0, 1, "DMA_BUF of two ranges");
    EXPECT(lseek(scattered, 0, SEEK_END), 2 * PAGE, "the size of two ranges");
    EXPECT_ERRNO(map_file(ioas, scattered, 0, PAGE, IOVA), EOPNOTSUPP, "MAP_FILE of two ranges");
    EXPECT_ERRNO(test(OP_DMABUF_REVOKE, 0, (uint32_t)scattered, 1), EOPNOTSUPP, "DMABUF_REVOKE of a device's dma-buf");
    EXPECT(close(scattered), 0, "close of two ranges");
}

static void fill(int device, int interrupt, uint64_t iova, uint32_t pattern, uint32_t result, const char *what)
{
    write64(device, REGION(BAR0, DESTINATION), iova);
    write32(device, REGION(BAR0, LENGTH), 64);
    write32(device, REGION(BAR0, PATTERN), pattern);
    write32(device, REGION(BAR0, VECTOR), 0);
    write32(device, REGION(BAR0, COMMAND), FILL);
    EXPECT(await_interrupt(interrupt, what), 1, what);
    EXPECT(read32(device, REGION(BAR0, RESULT)), result, what);
}

static void decode(int device, int on)
{
    uint16_t command = on ? 2 : 0;
    EXPECT(pwrite(device, &command, sizeof command, REGION(CONFIG, 4)), sizeof command, "pwrite of the command register");
}

static void let_sleep(int device, int on)
{
    uint32_t feature[2] = {sizeof feature, FEATURE_SET | (on ? FEATURE_LOW_POWER_ENTRY : FEATURE_LOW_POWER_EXIT)};
    EXPECT(ioctl(device, VFIO_DEVICE_FEATURE, feature), 0, "LOW_POWER");
}

static void of_device(void)
{
    struct device there, other;
    find_device(&there, "0000:01:00.0");
    find_device(&other, "0000:03:00.0");
    int exporter = open_device(&there), device = open_device(&other), interrupt = eventfd(0, EFD_CLOEXEC);
    uint32_t ioas = alloc_ioas(iommu);
    EXPECT(bind_device(exporter, iommu), 0, "BIND of the exporter");
    EXPECT(bind_device(device, iommu), 0, "BIND of the other device");
    attach_device(device, ioas);
    set_vectors(device, 0, 1, &interrupt);
    set_master(device, 1);
    refuse(exporter, ioas);

    int fd = export(exporter, 0, WINDOW, 2 * PAGE);
    EXPECT(fd >= 0, 1, "DMA_BUF, which returns a descriptor");
    EXPECT(map_file(ioas, fd, PAGE, PAGE, IOVA), 0, "MAP_FILE of a BAR");
    fill(device, interrupt, IOVA + 128, 0x01020304, WELL, "a device's write to another's BAR");
    EXPECT(read32(exporter, REGION(BAR0, WINDOW + PAGE + 128)), 0x01020304, "what the device has written");
    EXPECT(read32(exporter, REGION(BAR0, WINDOW + PAGE + 192)), 0, "what is behind it");

    decode(exporter, 0);
    fill(device, interrupt, IOVA, 1, REFUSED_BY_IOMMU, "a write to a revoked BAR");
    EXPECT(read32(device, REGION(BAR0, ERRNO)), ENOENT, "why it was refused");
    EXPECT_ERRNO(map_file(ioas, fd, 0, PAGE, IOVA + PAGE), ENODEV, "MAP_FILE without memory decode");
    decode(exporter, 1);
    fill(device, interrupt, IOVA, 1, REFUSED_BY_IOMMU, "a write to a BAR that was revoked");
    unmap(ioas, IOVA, PAGE);
    EXPECT(map_file(ioas, fd, 0, PAGE, IOVA), 0, "MAP_FILE once memory is decoded");
    fill(device, interrupt, IOVA, 0x0A0B0C0D, WELL, "a write to a BAR that is back");
    EXPECT(read32(exporter, REGION(BAR0, WINDOW)), 0x0A0B0C0D, "what the device has written now");

    let_sleep(exporter, 1);
    fill(device, interrupt, IOVA, 1, REFUSED_BY_IOMMU, "a write to a device that may sleep");
    EXPECT_ERRNO(map_file(ioas, fd, 0, PAGE, IOVA + PAGE), ENODEV, "MAP_FILE while it may");
    let_sleep(exporter, 0);
    unmap(ioas, IOVA, PAGE);
    EXPECT(map_file(ioas, fd, 0, PAGE, IOVA), 0, "MAP_FILE when it may not");
    fill(device, interrupt, IOVA, 0x55667788, WELL, "a write to a device that may not sleep");

    EXPECT(ioctl(exporter, VFIO_DEVICE_RESET), 0, "RESET");
    fill(device, interrupt, IOVA, 1, REFUSED_BY_IOMMU, "a write after the exporter's reset");
    unmap(ioas, IOVA, PAGE);
    EXPECT(map_file(ioas, fd, 0, PAGE, IOVA), 0, "MAP_FILE after the reset");
    EXPECT(close(fd), 0, "close of a dma-buf that is mapped");
    fill(device, interrupt, IOVA, 0x11223344, WELL, "a write to a BAR whose descriptor is closed");

    fd = export(exporter, 0, WINDOW, PAGE);
    EXPECT(close(exporter), 0, "close of the exporter");
    fill(device, interrupt, IOVA, 1, REFUSED_BY_IOMMU, "a write once the exporter is closed");
    EXPECT_ERRNO(map_file(ioas, fd, 0, PAGE, IOVA + PAGE), ENODEV, "MAP_FILE once the exporter is closed");
    EXPECT(close(fd), 0, "close of its dma-buf");
    EXPECT(close(device), 0, "close of the other device");
}

int main(void)
{
    iommu = open_iommu(O_CLOEXEC);
    of_selftest();
    of_device();
    return 0;
}
