/* What the test programs of device files share: VFIO's structs, and a device that is found, bound and attached. */
#ifndef VFIO_H
#define VFIO_H

#include "check.h"

#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define IOMMU_IOAS_UNMAP 0x3B86
#define VFIO_DEVICE_GET_INFO 0x3B6B
#define VFIO_DEVICE_GET_REGION_INFO 0x3B6C
#define VFIO_DEVICE_GET_IRQ_INFO 0x3B6D
#define VFIO_DEVICE_SET_IRQS 0x3B6E
#define VFIO_DEVICE_RESET 0x3B6F
#define VFIO_DEVICE_BIND_IOMMUFD 0x3B76
#define VFIO_DEVICE_ATTACH 0x3B77
#define VFIO_DEVICE_DETACH 0x3B78

#define BAR0 0
#define CONFIG 7
#define MSIX 2
#define REGION(index, offset) ((off_t)(index) << 40 | (offset))

struct bind { uint32_t argsz, flags; int32_t iommufd; uint32_t devid; };
struct attach { uint32_t argsz, flags, pt_id; };
struct detach { uint32_t argsz, flags; };
struct map_ioas { uint32_t size, flags, ioas, reserved; uint64_t address, length, iova; };
struct device_info { uint32_t argsz, flags, regions, irqs, cap_offset; };
struct region_info { uint32_t argsz, flags, index, cap_offset; uint64_t size, offset; };
struct sparse { struct region_info info; uint16_t id, version; uint32_t next, areas, reserved; uint64_t offset, size; };
struct irq_info { uint32_t argsz, flags, index, count; };
struct irqs { uint32_t argsz, flags, index, start, count; int32_t eventfds[4]; };

/* A device of the machine, as a program finds it. */
struct device {
    char folder[64];  /* in /sys/bus/pci/devices */
    char path[64];    /* the device file */
    unsigned int group, number;
};

static inline void read_text(const char *folder, const char *name, char *text, size_t size)
{
    char path[2 * PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    EXPECT(file != NULL, 1, path);
    EXPECT(fgets(text, (int)size, file) != NULL, 1, path);
    fclose(file);
    text[strcspn(text, "\n")] = '\0';
}

/* By sysfs: the folder of its address, the group that it is in, and the one entry of vfio-dev. */
static inline void find_device(struct device *device, const char *address)
{
    char path[PATH_MAX], text[PATH_MAX] = "";
    struct dirent *entry;
    unsigned int major_number, minor_number, entries = 0;
    snprintf(device->folder, sizeof device->folder, "/sys/bus/pci/devices/%s", address);
    snprintf(path, sizeof path, "%s/iommu_group", device->folder);
    EXPECT(readlink(path, text, sizeof text - 1) > 0, 1, "readlink of the group's link");
    EXPECT(sscanf(strrchr(text, '/'), "/%u", &device->group), 1, "the group's number");
    snprintf(path, sizeof path, "%s/vfio-dev", device->folder);
    DIR *folder = opendir(path);
    EXPECT(folder != NULL, 1, "opendir of vfio-dev");
    while ((entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.' && sscanf(entry->d_name, "vfio%u", &device->number) == 1)
            entries++;
    closedir(folder);
    EXPECT(entries, 1, "entries of vfio-dev");
    snprintf(path, sizeof path, "vfio-dev/vfio%u/dev", device->number);
    read_text(device->folder, path, text, sizeof text);
    EXPECT(sscanf(text, "%u:%u", &major_number, &minor_number), 2, "the numbers of the device file");
    EXPECT(minor_number, device->number, "the minor number");
    snprintf(device->path, sizeof device->path, "/dev/vfio/devices/vfio%u", device->number);
    struct stat status;
    EXPECT(stat(device->path, &status), 0, "stat of the device file");
    EXPECT(status.st_rdev, makedev(major_number, minor_number), "the device file's numbers");
}

static inline int open_device(const struct device *device)
{
    struct stat by_path, by_number;
    int fd = open(device->path, O_RDWR | O_CLOEXEC);
    EXPECT(fd >= 0, 1, "open of a device file");
    EXPECT(stat(device->path, &by_path), 0, "stat of a device file");
    EXPECT(fstat(fd, &by_number), 0, "fstat of a device file");
    EXPECT(S_ISCHR(by_number.st_mode), 1, "a device file is a character device");
    EXPECT(by_number.st_rdev, by_path.st_rdev, "the numbers that fstat and stat say");
    return fd;
}

static inline int bind_device(int fd, int iommu)
{
    struct bind bind = {sizeof bind, 0, iommu, 0};
    return ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind);
}

static inline void attach_device(int fd, uint32_t ioas)
{
    struct attach attach = {sizeof attach, 0, ioas};
    EXPECT(ioctl(fd, VFIO_DEVICE_ATTACH, &attach), 0, "ATTACH");
}

static inline void map_memory(int iommu, uint32_t ioas, void *memory, uint64_t length, uint64_t iova)
{
    struct map_ioas map = {sizeof map, 7, ioas, 0, (uint64_t)memory, length, iova};
    EXPECT(ioctl(iommu, IOMMU_IOAS_MAP, &map), 0, "IOAS_MAP");
}

static inline uint32_t read32(int fd, off_t offset)
{
    uint32_t value = 0;
    EXPECT(pread(fd, &value, sizeof value, offset), sizeof value, "pread of a register");
    return value;
}

static inline void write32(int fd, off_t offset, uint32_t value)
{
    EXPECT(pwrite(fd, &value, sizeof value, offset), sizeof value, "pwrite of a register");
}

static inline void write64(int fd, off_t offset, uint64_t value)
{
    write32(fd, offset, (uint32_t)value);
    write32(fd, offset + 4, (uint32_t)(value >> 32));
}

/* Memory decode and bus mastering: the command register of the config space. */
static inline void set_master(int fd, int on)
{
    uint16_t command = 0;
    EXPECT(pread(fd, &command, sizeof command, REGION(CONFIG, 4)), sizeof command, "pread of the command register");
    command = (uint16_t)(on ? command | 6 : (command & ~4) | 2);
    EXPECT(pwrite(fd, &command, sizeof command, REGION(CONFIG, 4)), sizeof command, "pwrite of the command register");
}

/* An eventfd for a vector of MSI-X, from 'first' on. */
static inline void set_vectors(int fd, int first, int count, const int *eventfds)
{
    struct irqs irqs = {20 + 4 * (uint32_t)count, 4 | 32, MSIX, (uint32_t)first, (uint32_t)count, {0}};
    memcpy(irqs.eventfds, eventfds, sizeof *eventfds * (size_t)count);
    EXPECT(ioctl(fd, VFIO_DEVICE_SET_IRQS, &irqs), 0, "SET_IRQS");
}

/* Waits for an interrupt. Returns how many have come. */
static inline uint64_t await_interrupt(int eventfd, const char *what)
{
    uint64_t count = 0;
    struct pollfd events = {.fd = eventfd, .events = POLLIN};
    EXPECT(poll(&events, 1, 30000), 1, what);
    EXPECT(read(eventfd, &count, sizeof count), sizeof count, what);
    return count;
}

static inline void *map_bar(int fd, size_t length, off_t offset)
{
    void *bar = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
    EXPECT(bar != MAP_FAILED, 1, "mmap of a BAR");
    return bar;
}

#endif
