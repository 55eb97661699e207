/*
 * /proc/PROCESS/status as the kernel would write it: VmPin and VmLck also count what the service has pinned of the process's
 * memory. The numbers are those of the moment in which the file is opened.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define STATUS_BYTES 16384
#define PAGE_KILOBYTES 4

/* The process of /proc/PROCESS/status; 0 for another path. */
static uint32_t status_process(const char *path)
{
    if (strncmp(path, "/proc/", 6) != 0)
        return 0;
    path += 6;
    if (strcmp(path, "self/status") == 0 || strcmp(path, "thread-self/status") == 0)
        return (uint32_t)program_process();
    char *end;
    unsigned long process = path[0] < '1' || path[0] > '9' ? 0 : strtoul(path, &end, 10);
    return process > 0 && process <= INT32_MAX && strcmp(end, "/status") == 0 ? (uint32_t)process : 0;
}

static size_t status_read(uint32_t process, char text[STATUS_BYTES])
{
    char path[32];
    size_t used = 0;
    snprintf(path, sizeof path, "/proc/%u/status", process);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    long got = 1;
    while (fd >= 0 && got > 0 && used < STATUS_BYTES - 1) {
        got = syscall(SYS_read, fd, text + used, STATUS_BYTES - 1 - used);
        used += got > 0 ? (size_t)got : 0;
    }
    if (fd >= 0)
        syscall(SYS_close, fd);
    text[used] = '\0';
    return used;
}

/* Pages that the service has pinned of a process's memory, and how many of them count against its own limit. */
static bool status_ask(uint32_t process, uint64_t *pinned, uint64_t *locked)
{
    struct reader answer;
    bool answered = false;
    struct channel *channel = channel_take();
    if (channel == NULL)
        return false;
    struct writer *out = request_begin(channel, PINNED);
    put_u32(out, process == (uint32_t)program_process() ? 0 : process);
    put_u32(out, 0);
    if (request_call(channel, &answer) == 0) {
        *pinned = get_u64(&answer);
        *locked = get_u64(&answer);
        answered = !answer.failed;
    }
    channel_give(channel);
    return answered;
}

/* One line with more kilobytes than the kernel's: where it begins and how long it is does not change for programs. */
static int status_line(char *to, size_t size, const char *line, const char *name, uint64_t pages)
{
    return snprintf(to, size, "%s\t%8llu kB\n", name, (unsigned long long)(strtoull(line + strlen(name), NULL, 10) + pages * PAGE_KILOBYTES));
}

static void status_write(int fd, const char *text, uint64_t pinned, uint64_t locked)
{
    for (const char *line = text; *line != '\0';) {
        char changed[64];
        const char *end = strchrnul(line, '\n');
        size_t length = (size_t)(end - line) + (*end == '\n');
        int other = strncmp(line, "VmLck:", 6) == 0 ? status_line(changed, sizeof changed, line, "VmLck:", locked)
            : strncmp(line, "VmPin:", 6) == 0 ? status_line(changed, sizeof changed, line, "VmPin:", pinned) : 0;
        if (syscall(SYS_write, fd, other > 0 ? changed : line, other > 0 ? (size_t)other : length) < 0)
            return;
        line += length;
    }
}

int status_file(const char *path)
{
    char text[STATUS_BYTES];
    uint64_t pinned, locked;
    uint32_t process = settings()->active ? status_process(path) : 0;
    int error = errno, fd = -1;
    if (process > 0 && gateway_is_found() && status_read(process, text) > 0 && status_ask(process, &pinned, &locked) && pinned > 0
        && (fd = (int)syscall(SYS_memfd_create, "status", MFD_CLOEXEC)) >= 0) {
        status_write(fd, text, pinned, locked);
        syscall(SYS_lseek, fd, 0, SEEK_SET);
    }
    errno = error;
    return fd;
}
