/*
 * A program that drives dma-test by its VFIO device file, as it would drive a device of Linux's: found by sysfs, bound to a
 * context, attached to an IOAS, told what to do by its registers. Needs a gateway with dma-test at 0000:01:00.0, and two in
 * one group at 0000:03:00.0 and 0000:03:00.1.
 */
#include "vfio.h"

enum { ID = 0x00, STATUS = 0x08, RESULT = 0x0C, ERRNO = 0x10, SOURCE = 0x18, DESTINATION = 0x20, LENGTH = 0x28, PATTERN = 0x2C,
       VECTOR = 0x30, OFFSET = 0x38, DONE = 0x3C, REFUSED = 0x40, COMMAND = 0x48, DOORBELL = 0x1000 };
enum { COPY = 1, FILL, CHECK };
enum { WELL, REFUSED_BY_IOMMU, NO_MASTER, UNBOUND, STOPPED, OTHER_BYTES };

#define IOVA 0x40000000UL
#define BYTES 0x10000UL

static int iommu, device, interrupt;
static uint8_t *memory;

/* ---- what is found before anything is opened ---- */

static void find(const struct device *found)
{
    char text[256], path[PATH_MAX], resolved[PATH_MAX];
    uint8_t config[64];
    struct stat status;
    read_text(found->folder, "vendor", text, sizeof text);
    EXPECT(strcmp(text, "0x1234"), 0, "the vendor");
    read_text(found->folder, "device", text, sizeof text);
    EXPECT(strcmp(text, "0x10d0"), 0, "the device id");
    read_text(found->folder, "class", text, sizeof text);
    EXPECT(strcmp(text, "0x088000"), 0, "the class");

    int folder = open(found->folder, O_RDONLY | O_DIRECTORY);
    EXPECT(folder >= 0, 1, "open of the device's folder");
    int file = openat(folder, "config", O_RDONLY);
    EXPECT(file >= 0, 1, "openat of the config space");
    EXPECT(pread(file, config, sizeof config, 0), sizeof config, "pread of the config space");
    EXPECT(config[0] | config[1] << 8, 0x1234, "the vendor in the config space");
    close(file);
    close(folder);

    EXPECT(realpath(found->folder, resolved) != NULL, 1, "realpath of the device's folder");
    EXPECT(strncmp(resolved, "/sys/devices/pci", 16), 0, "where the device's folder is");
    EXPECT(stat(resolved, &status), 0, "stat of the folder that realpath has found");
    snprintf(path, sizeof path, "/sys/class/vfio-dev/vfio%u", found->number);
    EXPECT(lstat(path, &status), 0, "lstat of the class's link");
    EXPECT(S_ISLNK(status.st_mode), 1, "the class's entry is a link");
    char *device_folder = realpath(path, NULL);
    EXPECT(device_folder != NULL && strncmp(device_folder, resolved, strlen(resolved)) == 0, 1, "realpath of the class's link");
    free(device_folder);
    snprintf(path, sizeof path, "/sys/kernel/iommu_groups/%u/devices/0000:01:00.0/class", found->group);
    EXPECT(access(path, R_OK), 0, "access by the group");
    EXPECT_ERRNO(access("/sys/bus/pci/devices/0000:01:00.0/none", F_OK), ENOENT, "access of a file that is not there");
    EXPECT_ERRNO(open("/sys/kernel/iommu_groups/4711/type", O_RDONLY), ENOENT, "open of a file that is not there");
    EXPECT_ERRNO(open("/dev/vfio/devices/vfio4711", O_RDWR), ENOENT, "open of a device file that is not there");
    EXPECT_ERRNO(stat("/dev/vfio/devices/vfio00", &status), ENOENT, "stat of a device file that is not there");
    EXPECT_ERRNO(readlink(found->path, text, sizeof text), EINVAL, "readlink of a device file");
    EXPECT(access(found->path, R_OK | W_OK), 0, "access of a device file");
    EXPECT_ERRNO(access(found->path, X_OK), EACCES, "access of a device file for execution");
}

static void container(void)
{
    struct stat status;
    EXPECT(stat("/dev/vfio/vfio", &status), 0, "stat of /dev/vfio/vfio");
    EXPECT(status.st_rdev, makedev(10, 196), "the numbers of /dev/vfio/vfio");
    int fd = open("/dev/vfio/vfio", O_RDWR);
    EXPECT(fd >= 0, 1, "open of /dev/vfio/vfio");
    EXPECT(ioctl(fd, 0x3B64), 0, "VFIO_GET_API_VERSION");
    EXPECT(close(fd), 0, "close of /dev/vfio/vfio");
}

/* ---- binding ---- */

static void before_bind(void)
{
    struct device_info info = {.argsz = sizeof info};
    struct attach attach = {sizeof attach, 0, 1};
    uint32_t word = 0;
    EXPECT_ERRNO(ioctl(device, VFIO_DEVICE_GET_INFO, &info), EINVAL, "GET_INFO before BIND");
    EXPECT_ERRNO(ioctl(device, VFIO_DEVICE_ATTACH, &attach), EINVAL, "ATTACH before BIND");
    EXPECT_ERRNO(ioctl(device, VFIO_DEVICE_RESET), EINVAL, "RESET before BIND");
    EXPECT_ERRNO(pread(device, &word, sizeof word, REGION(CONFIG, 0)), EINVAL, "pread before BIND");
    EXPECT_ERRNO(pwrite(device, &word, sizeof word, REGION(CONFIG, 4)), EINVAL, "pwrite before BIND");
#ifndef SUPERVISED
    EXPECT_ERRNO(mmap(NULL, 4096, PROT_READ, MAP_SHARED, device, REGION(BAR0, DOORBELL)) == MAP_FAILED ? -1 : 0, EINVAL, "mmap before BIND");
#endif
}

static void bind_to(const struct device *found)
{
    int ends[2];
    EXPECT(pipe(ends), 0, "pipe");
    EXPECT_ERRNO(bind_device(device, ends[0]), EBADFD, "BIND to a pipe");
    EXPECT_ERRNO(bind_device(device, device), EBADFD, "BIND to a device");
    EXPECT_ERRNO(bind_device(device, -1), EINVAL, "BIND to -1");
    close(ends[0]);
    close(ends[1]);
    EXPECT_ERRNO(bind_device(device, ends[0]), EBADF, "BIND to a closed number");
    EXPECT_ERRNO(ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, (void *)8), EFAULT, "BIND with a bad pointer");
    EXPECT_ERRNO(ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, (&(struct bind){12, 0, iommu, 0})), EINVAL, "BIND with a short argument");

    struct bind bind = {sizeof bind, 0, iommu, 0};
    EXPECT(ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind), 0, "BIND");
    EXPECT(bind.devid != 0, 1, "the device's id");
    EXPECT_ERRNO(bind_device(device, iommu), EINVAL, "the second BIND");
    int other = open_device(found);
    EXPECT_ERRNO(bind_device(other, iommu), EINVAL, "BIND by another file");
    EXPECT(close(other), 0, "close of the other file");
    EXPECT_ERRNO(destroy(iommu, bind.devid), EBUSY, "destroy of a bound device");
}

/* ---- what the device says of itself ---- */

static void describe(void)
{
    struct device_info info = {.argsz = sizeof info};
    EXPECT(ioctl(device, VFIO_DEVICE_GET_INFO, &info), 0, "GET_INFO");
    EXPECT(info.flags & 3, 3, "flags: it is a PCI device that can be reset");
    EXPECT(info.regions, 9, "regions");
    EXPECT(info.irqs, 5, "kinds of interrupts");
    EXPECT_ERRNO(ioctl(device, VFIO_DEVICE_GET_INFO, (&(struct device_info){.argsz = 8})), EINVAL, "GET_INFO with a short argument");

    struct region_info region = {.argsz = sizeof region, .index = BAR0};
    EXPECT(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region), 0, "GET_REGION_INFO of BAR 0");
    EXPECT(region.size, 16384, "the size of BAR 0");
    EXPECT(region.offset, REGION(BAR0, 0), "the offset of BAR 0");
    EXPECT(region.argsz, sizeof(struct sparse), "what is needed to say which parts can be mapped");
#ifdef SUPERVISED
    EXPECT(region.flags & 7, 3, "flags of BAR 0, which can't be mapped under a supervisor");
#else
    EXPECT(region.flags & 7, 7, "flags of BAR 0, which can be mapped");
    struct sparse sparse = {.info = {.argsz = sizeof sparse, .index = BAR0}};
    EXPECT(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &sparse), 0, "GET_REGION_INFO with the parts that can be mapped");
    EXPECT(sparse.info.cap_offset, sizeof sparse.info, "where the parts are said");
    EXPECT(sparse.id, 1, "the capability of sparse mappings");
    EXPECT(sparse.areas, 1, "parts that can be mapped");
    EXPECT(sparse.offset, 0x1000, "the first byte that can be mapped");
    EXPECT(sparse.size, 0x3000, "the bytes that can be mapped");
#endif
    EXPECT_ERRNO(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, (&(struct region_info){.argsz = sizeof region, .index = 9})), EINVAL, "GET_REGION_INFO beyond the last");

    struct irq_info irq = {sizeof irq, 0, MSIX, 0};
    EXPECT(ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &irq), 0, "GET_IRQ_INFO of MSI-X");
    EXPECT(irq.count, 4, "vectors");
    EXPECT(irq.flags & 1, 1, "flags: vectors tell by eventfds");
}

static void config_space(void)
{
    uint8_t all[4096];
    void *volatile nowhere = (void *)8;
    EXPECT(read32(device, REGION(CONFIG, 0)), 0x10D01234, "vendor and device in the config space");
    EXPECT(pread(device, all, 256, REGION(CONFIG, 0)), 256, "pread of the config space");
    EXPECT(all[0x0B], 0x08, "the base class in the config space");
    EXPECT_ERRNO(pread(device, nowhere, 4, REGION(CONFIG, 0)), EFAULT, "pread to a bad pointer");
    EXPECT_ERRNO(pwrite(device, nowhere, 4, REGION(CONFIG, 4)), EFAULT, "pwrite from a bad pointer");
    EXPECT_ERRNO(pread(device, all, 4, -1), EINVAL, "pread at a negative offset");
    EXPECT_ERRNO(read(device, all, 4), EINVAL, "read, which has no place");
    EXPECT_ERRNO(write(device, all, 4), EINVAL, "write, which has no place");
    EXPECT(read32(device, REGION(BAR0, ID)), 0x54414D44, "the register ID");
    EXPECT_ERRNO(pread(device, all, 4, REGION(BAR0, 0x4000)), EINVAL, "pread beyond the end of BAR 0");
}

/* ---- DMA ---- */

static void prepare(uint64_t source, uint64_t destination, uint32_t length, uint32_t pattern)
{
    write64(device, REGION(BAR0, SOURCE), source);
    write64(device, REGION(BAR0, DESTINATION), destination);
    write32(device, REGION(BAR0, LENGTH), length);
    write32(device, REGION(BAR0, PATTERN), pattern);
    write32(device, REGION(BAR0, VECTOR), 1);
}

static void ended(uint32_t result, const char *what)
{
    EXPECT(await_interrupt(interrupt, what), 1, what);
    EXPECT(read32(device, REGION(BAR0, STATUS)), 0, what);
    EXPECT(read32(device, REGION(BAR0, RESULT)), result, what);
}

static void run(uint32_t command, uint32_t result, const char *what)
{
    write32(device, REGION(BAR0, COMMAND), command);
    ended(result, what);
}

static void expect_bytes(const uint8_t *bytes, size_t count, uint32_t pattern, const char *what)
{
    for (size_t i = 0; i < count; i++)
        EXPECT(bytes[i], (uint8_t)(pattern >> i % 4 * 8), what);
}

static void move_bytes(void)
{
    prepare(IOVA, IOVA + 0x8000, 10000, 0x04030201);
    run(FILL, NO_MASTER, "FILL without bus mastering");
    expect_bytes(memory, BYTES, 0, "memory that was not filled");
    set_master(device, 1);
    run(FILL, WELL, "FILL");
    expect_bytes(memory + 0x8000, 10000, 0x04030201, "memory that was filled");
    expect_bytes(memory + 0x8000 + 10000, 6000, 0, "memory behind it");
    prepare(IOVA + 0x8000, IOVA + 0x123, 4099, 0x04030201);
    run(COPY, WELL, "COPY");
    expect_bytes(memory + 0x123, 4099, 0x04030201, "memory that was copied");
    prepare(IOVA + 0x123, 0, 4099, 0x04030201);
    run(CHECK, WELL, "CHECK");
    memory[0x123 + 4000] ^= 0xFF;
    run(CHECK, OTHER_BYTES, "CHECK of memory that the program has changed");
    EXPECT(read32(device, REGION(BAR0, OFFSET)), 4000, "where CHECK has found another byte");
}

#ifndef SUPERVISED
/* A BAR has no pages that could be pinned: it is mapped as long as nothing needs them. */
static void pin_bar(uint32_t ioas, volatile uint32_t *doorbell)
{
    struct map_ioas map = {sizeof map, 7, ioas, 0, (uint64_t)doorbell, 4096, IOVA + 0x100000};
    EXPECT_ERRNO(ioctl(iommu, IOMMU_IOAS_MAP, &map), EFAULT, "IOAS_MAP of a BAR to an attached device");
    struct attach attach = {12, 0, map.ioas = alloc_ioas(iommu)};
    EXPECT(ioctl(iommu, IOMMU_IOAS_MAP, &map), 0, "IOAS_MAP of a BAR that no device reaches");
    EXPECT_ERRNO(ioctl(device, VFIO_DEVICE_ATTACH, &attach), EFAULT, "ATTACH to an IOAS with a BAR");
    EXPECT(destroy(iommu, map.ioas), 0, "destroy of the IOAS with a BAR");
}
#endif

/* A store to a mapped page tells nobody: the device looks for it. */
static void by_doorbell(uint32_t ioas)
{
    (void)ioas;
#ifndef SUPERVISED
    volatile uint32_t *doorbell = map_bar(device, 4096, REGION(BAR0, DOORBELL));
    EXPECT_ERRNO(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, device, REGION(BAR0, DOORBELL)) == MAP_FAILED ? -1 : 0, EINVAL, "a private mapping");
    EXPECT_ERRNO(mmap(NULL, 4096, PROT_READ, MAP_SHARED, device, REGION(BAR0, 0)) == MAP_FAILED ? -1 : 0, EINVAL, "a mapping of the registers");
    EXPECT_ERRNO(mmap(NULL, 0x4000, PROT_READ, MAP_SHARED, device, REGION(BAR0, DOORBELL)) == MAP_FAILED ? -1 : 0, EINVAL, "a mapping beyond the BAR's end");
    EXPECT_ERRNO(mmap(NULL, 4096, PROT_READ, MAP_SHARED, device, REGION(CONFIG, 0)) == MAP_FAILED ? -1 : 0, EINVAL, "a mapping of the config space");
    prepare(0, IOVA + 0x4000, 4096, 0xA5A5A5A5);
    *doorbell = FILL;
    ended(WELL, "FILL by a store");
    EXPECT(*doorbell, 0, "the doorbell once it was taken");
    expect_bytes(memory + 0x4000, 4096, 0xA5A5A5A5, "memory that was filled by a store");
    pin_bar(ioas, doorbell);
    EXPECT(munmap((void *)doorbell, 4096), 0, "munmap");
#endif
}

/* What is mapped in the IOAS, and not there in the program any more. */
static void after_munmap(uint32_t ioas)
{
    struct { uint32_t size, ioas; uint64_t iova, length; } unmap = {sizeof unmap, ioas, IOVA + BYTES, 8192};
    uint8_t *gone = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    map_memory(iommu, ioas, gone, 8192, IOVA + BYTES);
    EXPECT(munmap(gone, 8192), 0, "munmap of memory that is mapped");
    prepare(0, IOVA + BYTES + 4000, 200, 0);
    run(FILL, REFUSED_BY_IOMMU, "FILL of memory that is gone");
    EXPECT(read32(device, REGION(BAR0, ERRNO)), EFAULT, "why the access of memory that is gone was refused");
    EXPECT(ioctl(iommu, IOMMU_IOAS_UNMAP, &unmap), 0, "IOAS_UNMAP of memory that is gone");
}

static void after_unmap(uint32_t ioas)
{
    struct { uint32_t size, ioas; uint64_t iova, length; } unmap = {sizeof unmap, ioas, IOVA, BYTES};
    EXPECT(ioctl(iommu, IOMMU_IOAS_UNMAP, &unmap), 0, "IOAS_UNMAP");
    memset(memory, 0x11, BYTES);
    uint32_t refused = read32(device, REGION(BAR0, REFUSED));
    prepare(IOVA, IOVA, 4096, 0);
    run(FILL, REFUSED_BY_IOMMU, "FILL of what is unmapped");
    EXPECT(read32(device, REGION(BAR0, ERRNO)), ENOENT, "why the access was refused");
    EXPECT(read32(device, REGION(BAR0, REFUSED)), refused + 1, "accesses that were refused");
    expect_bytes(memory, BYTES, 0x11111111, "memory that is unmapped");
}

static void detach(void)
{
    EXPECT(ioctl(device, VFIO_DEVICE_DETACH, (&(struct detach){8, 0})), 0, "DETACH");
    run(FILL, REFUSED_BY_IOMMU, "FILL of a detached device");
    EXPECT(read32(device, REGION(BAR0, ERRNO)), EINVAL, "why the access of a detached device was refused");
    EXPECT(ioctl(device, VFIO_DEVICE_RESET), 0, "RESET");
    EXPECT(read32(device, REGION(BAR0, LENGTH)), 0, "a register after RESET");
}

/* A child's copy is the same file. */
static void inherit(void)
{
    pid_t child = fork();
    if (child == 0) {
        struct stat status;
        EXPECT(fstat(device, &status), 0, "fstat in a forked child");
        EXPECT(S_ISCHR(status.st_mode) && major(status.st_rdev) != 10, 1, "what a child's copy is");
        EXPECT(read32(device, REGION(CONFIG, 0)), 0x10D01234, "pread in a forked child");
        _exit(0);
    }
    EXPECT(exit_status(child), 0, "the child's exit status");
}

/* ---- a group of two ---- */

static void share_a_group(void)
{
    struct device one, other;
    find_device(&one, "0000:03:00.0");
    find_device(&other, "0000:03:00.1");
    EXPECT(one.group, 7, "the group of one function");
    EXPECT(other.group, 7, "the group of the other");
    int first = open_device(&one), second = open_device(&other), foreign = open_iommu(O_CLOEXEC);
    EXPECT(bind_device(first, iommu), 0, "BIND of one function");
    EXPECT_ERRNO(bind_device(second, foreign), EPERM, "BIND of the other to another context");
    EXPECT(bind_device(second, iommu), 0, "BIND of the other to the same context");
    EXPECT(close(first), 0, "close of one function");
    EXPECT(close(second), 0, "close of the other");
    second = open_device(&other);
    EXPECT(bind_device(second, foreign), 0, "BIND to another context once nobody has the group");
    EXPECT(close(second), 0, "close of the other, again");
    EXPECT(close(foreign), 0, "close of the other context");
}

int main(void)
{
    struct device found;
    find_device(&found, "0000:01:00.0");
    find(&found);
    container();
    iommu = open_iommu(O_CLOEXEC);
    device = open_device(&found);
    before_bind();
    bind_to(&found);
    describe();
    config_space();

    memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    interrupt = eventfd(0, EFD_CLOEXEC);
    uint32_t ioas = alloc_ioas(iommu);
    attach_device(device, ioas);
    map_memory(iommu, ioas, memory, BYTES, IOVA);
    EXPECT_ERRNO(ioctl(device, VFIO_DEVICE_SET_IRQS, (&(struct irqs){24, 4 | 32, MSIX, 0, 1, {device}})), EINVAL, "SET_IRQS with what is no eventfd");
    EXPECT_ERRNO(ioctl(device, VFIO_DEVICE_SET_IRQS, (&(struct irqs){24, 4 | 32, MSIX, 0, 1, {1000}})), EBADF, "SET_IRQS with a closed number");
    set_vectors(device, 1, 1, &interrupt);
    move_bytes();
    by_doorbell(ioas);
    inherit();
    after_munmap(ioas);
    after_unmap(ioas);
    detach();
    EXPECT(close(device), 0, "close of the device");
    EXPECT_ERRNO(ioctl(device, VFIO_DEVICE_RESET), EBADF, "an ioctl after close");
    EXPECT(destroy(iommu, ioas), 0, "destroy of the IOAS");
    share_a_group();
    EXPECT(close(iommu), 0, "close of the context");
    return 0;
}
