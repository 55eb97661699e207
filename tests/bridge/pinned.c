/*
 * VmPin of /proc/PROCESS/status, read as Linux's own selftests of iommufd read it: what is pinned of a process's memory counts
 * while it is pinned, and not that of another process.
 */
#include "check.h"

#include <sys/mman.h>

#define PAGE 4096ul
#define PAGES 24ul

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
    return 0;
}
