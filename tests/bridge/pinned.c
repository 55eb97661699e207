/*
 * VmPin of /proc/PROCESS/status, read as Linux's own selftests of iommufd read it: what is pinned of a process's memory counts
 * while it is pinned, and not that of another process.
 */
#include "check.h"

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define PAGE 4096ul
#define PAGES 24ul

#define IOMMU_OPTION 0x3B87
#define IOMMU_IOAS_MAP_FILE 0x3B8F
#define IOMMU_IOAS_CHANGE_PROCESS 0x3B92

/* Kilobytes of a line of a status file, by a stream. */
static long value_of(const char *path, const char *name)
{
    char line[256], tag[64];
    long value, found = -1;
    FILE *file = fopen(path, "r");
    EXPECT(file == NULL, 0, path);
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "%63s %ld", tag, &value) == 2 && strcmp(tag, name) == 0)
            found = value;
    EXPECT(fclose(file), 0, "fclose");
    return found;
}

/* The same, by a descriptor. */
static long value_by_descriptor(const char *path, const char *name)
{
    char text[16384] = "";
    int fd = open(path, O_RDONLY);
    EXPECT(fd >= 0, 1, path);
    size_t used = 0;
    for (ssize_t got; (got = read(fd, text + used, sizeof text - 1 - used)) > 0;)
        used += (size_t)got;
    EXPECT(close(fd), 0, "close");
    const char *line = strstr(text, name);
    return line == NULL ? -1 : strtol(line + strlen(name), NULL, 10);
}

/* Gives up a capability, so that it is known whether the process has it, no matter who runs the test. */
static void drop(unsigned capability)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    EXPECT(syscall(SYS_capget, &head, data), 0, "capget");
    data[0].effective &= ~(1u << capability);
    EXPECT(syscall(SYS_capset, &head, data), 0, "capset");
}

/* What is pinned of a file counts for the process that has mapped it, until another one takes it over. */
static void change_process(uint64_t mode)
{
    long own = (long)(2 * PAGE / 1024), locked = mode == 1 ? own : 0;
    char parent[64];
    snprintf(parent, sizeof parent, "/proc/%d/status", (int)getpid());
    long pinned_before = value_of(parent, "VmPin:"), locked_before = value_of(parent, "VmLck:");
    int fd = open_iommu(0), file = memfd_create("file", 0);
    EXPECT(ftruncate(file, 4 * PAGE), 0, "ftruncate");
    struct {
        uint32_t size, option;
        uint16_t op, reserved;
        uint32_t object;
        uint64_t value;
    } limit = {sizeof limit, 0, 0, 0, 0, mode};
    EXPECT(ioctl(fd, IOMMU_OPTION, &limit), 0, "setting RLIMIT_MODE");
    struct {
        uint32_t size, flags, ioas;
        int32_t fd;
        uint64_t start, length, iova;
    } map = {sizeof map, 7, alloc_ioas(fd), file, PAGE, 2 * PAGE, 16 << 20};
    uint32_t mock[18] = {sizeof mock, 2, map.ioas}, change[2] = {sizeof change, 0};
    EXPECT(ioctl(fd, IOMMU_IOAS_MAP_FILE, &map), 0, "mapping a file");
    EXPECT(ioctl(fd, IOMMU_TEST_CMD, mock), 0, "attaching");
    EXPECT(ioctl(fd, IOMMU_IOAS_CHANGE_PROCESS, change), 0, "taking over what is one's own");
    pid_t child = fork();
    if (child == 0) {
        EXPECT(value_of(parent, "VmPin:"), pinned_before + own, "VmPin of the parent, which has mapped it");
        EXPECT(value_of(parent, "VmLck:"), locked_before + locked, "VmLck of the parent");
        EXPECT(value_of("/proc/self/status", "VmPin:") + value_of("/proc/self/status", "VmLck:"), 0, "VmPin and VmLck of the child");
        EXPECT(ioctl(fd, IOMMU_IOAS_CHANGE_PROCESS, change), 0, "the child taking it over");
        EXPECT(value_of("/proc/self/status", "VmPin:"), own, "VmPin of the child, which has taken it over");
        EXPECT(value_of("/proc/self/status", "VmLck:"), locked, "VmLck of the child");
        EXPECT(value_of(parent, "VmPin:"), pinned_before, "VmPin of the parent when the child has it");
        EXPECT(value_of(parent, "VmLck:"), locked_before, "VmLck of the parent when the child has it");
        EXPECT(destroy(fd, mock[4]), 0, "detaching");
        EXPECT(value_of("/proc/self/status", "VmPin:") + value_of("/proc/self/status", "VmLck:"), 0, "VmPin and VmLck of the child when it is unpinned");
        _exit(0);
    }
    EXPECT(exit_status(child), 0, "the child's status");
    EXPECT(close(fd), 0, "closing");
    EXPECT(close(file), 0, "closing the file");
}

int main(void)
{
    struct {
        uint32_t size, flags, ioas, reserved;
        uint64_t address, length, iova;
    } map = {sizeof map, 7, 0, 0, 0, PAGES * PAGE, 16 << 20};
    uint32_t mock[18] = {sizeof mock, 2};
    char parent[64];
    snprintf(parent, sizeof parent, "/proc/%d/status", (int)getpid());
    long before = value_of("/proc/self/status", "VmPin:"), locked = value_of("/proc/self/status", "VmLck:");
    EXPECT(before >= 0 && locked >= 0, 1, "VmPin and VmLck without an IOMMU");

    int fd = open_iommu(0);
    map.ioas = mock[2] = alloc_ioas(fd);
    map.address = (uintptr_t)mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(ioctl(fd, IOMMU_IOAS_MAP, &map), 0, "mapping");
    EXPECT(value_of("/proc/self/status", "VmPin:"), before, "VmPin with nothing pinned");
    EXPECT(ioctl(fd, IOMMU_TEST_CMD, mock), 0, "attaching");
    long pinned = before + (long)(PAGES * PAGE / 1024);
    EXPECT(value_of("/proc/self/status", "VmPin:"), pinned, "VmPin by a stream");
    EXPECT(value_of(parent, "VmPin:"), pinned, "VmPin by the process's number");
    EXPECT(value_by_descriptor("/proc/self/status", "\nVmPin:"), pinned, "VmPin by a descriptor");
    EXPECT(value_by_descriptor("/proc/thread-self/status", "\nVmPin:"), pinned, "VmPin of the thread's process");
    EXPECT(value_of("/proc/self/status", "VmLck:"), locked, "VmLck, as no memory counts against the process's own limit");
    EXPECT(value_of("/proc/self/status", "Pid:"), getpid(), "the rest of the file");

    pid_t child = fork();
    if (child == 0) {
        EXPECT(value_of("/proc/self/status", "VmPin:"), before, "VmPin of a child, which has mapped nothing");
        EXPECT(value_of(parent, "VmPin:"), pinned, "VmPin of the parent, read by the child");
        _exit(0);
    }
    EXPECT(exit_status(child), 0, "the child's status");
    EXPECT(destroy(fd, mock[4]), 0, "detaching");
    EXPECT(value_of("/proc/self/status", "VmPin:"), before, "VmPin when it is unpinned");
    EXPECT(close(fd), 0, "closing");

    drop(CAP_IPC_LOCK);
    change_process(0);
    change_process(1);
    return 0;
}
