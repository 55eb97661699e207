/* Groups: a program opens /dev/vfio/N, gives it a container, and gets devices that are bound and attached. */
#include "vfio.h"

#define VFIO_CHECK_EXTENSION 0x3B65
#define VFIO_SET_IOMMU 0x3B66
#define VFIO_GROUP_GET_STATUS 0x3B67
#define VFIO_GROUP_SET_CONTAINER 0x3B68
#define VFIO_GROUP_UNSET_CONTAINER 0x3B69
#define VFIO_GROUP_GET_DEVICE_FD 0x3B6A
#define VFIO_IOMMU_MAP_DMA 0x3B71
#define TYPE1V2 3

#define BYTES 0x2000
#define IOVA 0x40000000UL
#define DESTINATION 0x20
#define LENGTH 0x28
#define PATTERN 0x2C
#define VECTOR 0x30
#define COMMAND 0x48
#define FILL 2

struct status { uint32_t argsz, flags; };
struct map_dma { uint32_t argsz, flags; uint64_t address, iova, size; };

static char one_path[32], other_path[32];

static int open_group(const char *path)
{
    return open(path, O_RDWR | O_CLOEXEC);
}

static uint32_t flags_of(int group)
{
    struct status status = {sizeof status, 0xFFFF};
    EXPECT(ioctl(group, VFIO_GROUP_GET_STATUS, &status), 0, "GET_STATUS");
    return status.flags;
}

static int set_container(int group, int container)
{
    return ioctl(group, VFIO_GROUP_SET_CONTAINER, &container);
}

static int device_of(int group, const char *name)
{
    return ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
}

static void without_container(int group)
{
    uint32_t word;
    struct stat by_path, by_number;
    int ends[2];
    EXPECT(stat(one_path, &by_path), 0, "stat of a group");
    EXPECT(fstat(group, &by_number), 0, "fstat of a group");
    EXPECT(S_ISCHR(by_path.st_mode) && by_path.st_rdev == by_number.st_rdev, 1, "a group is one character device");
    EXPECT_ERRNO(open_group("/dev/vfio/77"), ENOENT, "open of a group that is not there");
    EXPECT_ERRNO(open_group(one_path), EBUSY, "the second open of a group");
    EXPECT(flags_of(group), 1, "flags of a group without a container");
    EXPECT_ERRNO(ioctl(group, VFIO_GROUP_GET_STATUS, (&(struct status){4, 0})), EINVAL, "GET_STATUS with a short argument");
    EXPECT_ERRNO(ioctl(group, VFIO_GROUP_GET_STATUS, (void *)8), EFAULT, "GET_STATUS with a bad pointer");
    EXPECT_ERRNO(ioctl(group, VFIO_GROUP_SET_CONTAINER, (void *)8), EFAULT, "SET_CONTAINER with a bad pointer");
    EXPECT_ERRNO(ioctl(group, VFIO_DEVICE_RESET), ENOTTY, "a device's ioctl on a group");
    EXPECT_ERRNO(read(group, &word, sizeof word), EINVAL, "read of a group");
    EXPECT_ERRNO(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), EINVAL, "UNSET_CONTAINER without one");
    EXPECT_ERRNO(device_of(group, "0000:01:00.0"), EINVAL, "GET_DEVICE_FD without a container");
    EXPECT_ERRNO(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, (void *)8), EFAULT, "GET_DEVICE_FD with a bad pointer");
    EXPECT(pipe(ends), 0, "pipe");
    EXPECT_ERRNO(set_container(group, ends[0]), EBADFD, "SET_CONTAINER to a pipe");
    EXPECT_ERRNO(set_container(group, group), EBADFD, "SET_CONTAINER to a group");
    close(ends[0]);
    close(ends[1]);
    EXPECT_ERRNO(set_container(group, ends[0]), EBADF, "SET_CONTAINER to a closed number");
}

static void fill(int device, int container)
{
    uint8_t *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct map_dma map = {sizeof map, 3, (uint64_t)memory, IOVA, BYTES};
    int interrupt = eventfd(0, EFD_CLOEXEC);
    EXPECT(ioctl(container, VFIO_IOMMU_MAP_DMA, &map), 0, "MAP_DMA");
    set_vectors(device, 1, 1, &interrupt);
    set_master(device, 1);
    write64(device, REGION(BAR0, DESTINATION), IOVA + 0x800);
    write32(device, REGION(BAR0, LENGTH), 0x1000);
    write32(device, REGION(BAR0, PATTERN), 0x5A5A5A5A);
    write32(device, REGION(BAR0, VECTOR), 1);
    write32(device, REGION(BAR0, COMMAND), FILL);
    EXPECT(await_interrupt(interrupt, "the end of FILL"), 1, "interrupts");
    EXPECT(memory[0x7FF], 0, "the byte before what was filled");
    EXPECT(memory[0x800], 0x5A, "the first byte that was filled");
    EXPECT(memory[0x17FF], 0x5A, "the last byte that was filled");
    EXPECT(memory[0x1800], 0, "the byte behind it");
    close(interrupt);
}

static void with_container(int group, const struct device *found)
{
    struct device_info info = {.argsz = sizeof info};
    int container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC), foreign = open_iommu(O_CLOEXEC);
    EXPECT(container >= 0, 1, "open of /dev/vfio/vfio");
    EXPECT(set_container(group, container), 0, "SET_CONTAINER");
    EXPECT_ERRNO(set_container(group, container), EINVAL, "the second SET_CONTAINER");
    EXPECT(flags_of(group), 3, "flags of a group with a container");
    EXPECT(ioctl(container, VFIO_CHECK_EXTENSION, TYPE1V2), 1, "CHECK_EXTENSION");
    EXPECT(ioctl(container, VFIO_SET_IOMMU, TYPE1V2), 0, "SET_IOMMU");
    EXPECT_ERRNO(device_of(group, "0000:02:00.0"), ENODEV, "GET_DEVICE_FD of another group's device");
    EXPECT_ERRNO(device_of(group, "0000:01:00.0 teapot"), EINVAL, "GET_DEVICE_FD with what is no token");
    int device = device_of(group, "0000:01:00.0");
    EXPECT(device >= 0, 1, "GET_DEVICE_FD");
    EXPECT(fcntl(device, F_GETFD), FD_CLOEXEC, "the device's descriptor is closed on exec");
    EXPECT(ioctl(device, VFIO_DEVICE_GET_INFO, &info), 0, "GET_INFO");
    EXPECT_ERRNO(ioctl(device, VFIO_DEVICE_DETACH, (&(struct detach){8, 0})), ENOTTY, "DETACH of a group's device");
    EXPECT_ERRNO(bind_device(device, foreign), EINVAL, "BIND of a group's device");
    int other = open_device(found);
    EXPECT_ERRNO(bind_device(other, container), EBUSY, "BIND while the group is open");
    fill(device, container);
    EXPECT(close(group), 0, "close of the group");
    EXPECT_ERRNO(open_group(one_path), EBUSY, "open of a group one of whose devices is open");
    EXPECT(close(device), 0, "close of the device");
    EXPECT(bind_device(other, foreign), 0, "BIND once the group is closed");
    EXPECT_ERRNO(open_group(one_path), EBUSY, "open of a group one of whose devices is bound");
    EXPECT(close(other), 0, "close of the bound device");
    EXPECT(close(container), 0, "close of the container");
    EXPECT(close(foreign), 0, "close of the other context");
}

/* Two groups share a container, which is /dev/iommu: what one device reaches, the other does too. */
static void share_a_container(void)
{
    int container = open_iommu(O_CLOEXEC), one = open_group(one_path), other = open_group(other_path);
    EXPECT(set_container(one, container), 0, "SET_CONTAINER of one group");
    EXPECT(set_container(other, container), 0, "SET_CONTAINER of the other");
    EXPECT(ioctl(container, VFIO_SET_IOMMU, TYPE1V2), 0, "SET_IOMMU");
    int first = device_of(one, "0000:01:00.0"), second = device_of(other, "0000:03:00.1");
    EXPECT(first >= 0 && second >= 0, 1, "GET_DEVICE_FD of both groups");
    fill(second, container);
    EXPECT(close(first), 0, "close of the first device");
    EXPECT(ioctl(one, VFIO_GROUP_UNSET_CONTAINER), 0, "UNSET_CONTAINER");
    EXPECT(flags_of(one), 1, "flags of a group whose container was unset");
    EXPECT(close(second), 0, "close of the second device");
    EXPECT(close(one), 0, "close of one group");
    EXPECT(close(other), 0, "close of the other group");
    EXPECT(close(container), 0, "close of the container");
}

int main(void)
{
    struct device one, other;
    find_device(&one, "0000:01:00.0");
    find_device(&other, "0000:03:00.1");
    snprintf(one_path, sizeof one_path, "/dev/vfio/%u", one.group);
    snprintf(other_path, sizeof other_path, "/dev/vfio/%u", other.group);
    int group = open_group(one_path);
    EXPECT(group >= 0, 1, "open of a group");
    without_container(group);
    with_container(group, &one);
    share_a_container();
    return 0;
}
