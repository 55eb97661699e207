/*
 * The program's memory. The kernel does every access, so that a bad pointer is a short count and never a signal.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* ---- copies ---- */

static long vm_copy(long call, void *local, uint64_t remote, size_t bytes)
{
    struct iovec here = {.iov_base = local, .iov_len = bytes};
    struct iovec there = {.iov_base = (void *)remote, .iov_len = bytes};
    return syscall(call, syscall(SYS_getpid), &here, 1, &there, 1, 0);
}

/* Where process_vm_readv is not permitted: a pipe also takes bytes from anywhere, and gives them. */
static long pipe_copy(uint64_t to, uint64_t from, size_t bytes)
{
    int ends[2];
    long done = -1;
    if (syscall(SYS_pipe2, ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -1;
    long wrote = syscall(SYS_write, ends[1], from, bytes);
    if (wrote > 0)
        done = syscall(SYS_read, ends[0], to, wrote);
    syscall(SYS_close, ends[0]);
    syscall(SYS_close, ends[1]);
    return done;
}

/* Copies until a page can't be accessed. 'reading' says on which side the program's memory is. */
static size_t copy(uint64_t program, void *own, size_t bytes, bool reading)
{
    static _Atomic int refused;
    size_t done = 0;
    while (done < bytes) {
        uint64_t at = program + done;
        char *local = (char *)own + done;
        long copied = -1;
        if (at < program)
            break;
        if (!atomic_load(&refused)) {
            copied = vm_copy(reading ? SYS_process_vm_readv : SYS_process_vm_writev, local, at, bytes - done);
            if (copied < 0 && (errno == ENOSYS || errno == EPERM))
                atomic_store(&refused, 1);
        }
        if (atomic_load(&refused)) {
            size_t rest = PAGE - at % PAGE < bytes - done ? PAGE - at % PAGE : bytes - done;
            copied = reading ? pipe_copy((uint64_t)local, at, rest) : pipe_copy(at, (uint64_t)local, rest);
        }
        if (copied <= 0)
            break;
        done += (size_t)copied;
    }
    return done;
}

size_t memory_read(uint64_t address, void *into, size_t bytes) { return copy(address, into, bytes, true); }

size_t memory_write(uint64_t address, const void *from, size_t bytes) { return copy(address, (void *)(uintptr_t)from, bytes, false); }

/* Adds 0 to a word, atomically and in the kernel, which answers EFAULT where it can't be written. */
static bool page_writable(uint64_t address)
{
    static uint32_t nobody;
    return syscall(SYS_futex, &nobody, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0UL, address & ~3UL,
                   FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0)) >= 0;
}

uint64_t memory_writable(uint64_t address, uint64_t bytes)
{
    uint64_t last = address + bytes - 1;
    if (bytes == 0)
        return 0;
    if (last < address || last / PAGE - address / PAGE > 1) {
        struct range range;
        memory_probe(address, bytes, &range);
        return range.writable;
    }
    if (!page_writable(address))
        return 0;
    if (last / PAGE == address / PAGE || page_writable(last & ~(PAGE - 1)))
        return bytes;
    return PAGE - address % PAGE;
}

/* ---- mappings ---- */

/* The layout of Linux's procmap_query; its headers here may be older than it. */
struct map_query {
    uint64_t size, flags, address, start, end, permissions, page_size, offset, inode;
    uint32_t major, minor, name_size, build_id_size;
    uint64_t name_address, build_id_address;
};

#define MAP_QUERY _IOWR('f', 17, struct map_query)
#define MAP_READABLE 1U
#define MAP_WRITABLE 2U
#define MAP_SHARED_FILE 8U

static uint64_t number(const char **at, unsigned int base)
{
    uint64_t value = 0;
    for (;; (*at)++) {
        unsigned int digit = **at >= '0' && **at <= '9' ? (unsigned int)(**at - '0')
            : **at >= 'a' && **at <= 'f' ? (unsigned int)(**at - 'a') + 10 : 16;
        if (digit >= base)
            return value;
        value = value * base + digit;
    }
}

/* "start-end rwxs offset major:minor inode ..." */
static bool parse_line(const char *line, uint64_t address, struct map_query *map)
{
    map->start = number(&line, 16);
    line++;
    map->end = number(&line, 16);
    if (address < map->start || address >= map->end)
        return false;
    map->permissions = (line[1] == 'r' ? MAP_READABLE : 0) | (line[2] == 'w' ? MAP_WRITABLE : 0) | (line[4] == 's' ? MAP_SHARED_FILE : 0);
    line += 6;
    map->offset = number(&line, 16);
    line++;
    map->major = (uint32_t)number(&line, 16);
    line++;
    map->minor = (uint32_t)number(&line, 16);
    line++;
    map->inode = number(&line, 10);
    while (*line == ' ')
        line++;
    size_t length = strlen(line) + 1;
    map->name_size = length > 1 && length <= map->name_size ? (uint32_t)length : 0;
    memory_write(map->name_address, line, map->name_size);
    return true;
}

/* For kernels before 6.11: reads the text. */
static bool find_in_text(uint64_t address, struct map_query *map)
{
    char text[4608];
    size_t used = 0;
    bool found = false, skipping = false;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && !found) {
        ssize_t got = syscall(SYS_read, fd, text + used, sizeof text - used);
        if (got <= 0)
            break;
        used += (size_t)got;
        char *line = text, *end;
        while (!found && (end = memchr(line, '\n', used - (size_t)(line - text))) != NULL) {
            *end = '\0';
            found = !skipping && parse_line(line, address, map);
            skipping = false;
            line = end + 1;
        }
        used -= (size_t)(line - text);
        memmove(text, line, used);
        if (used == sizeof text) { /* a name longer than any path */
            used = 0;
            skipping = true;
        }
    }
    if (fd >= 0)
        syscall(SYS_close, fd);
    return found;
}

/* The kernel's file of our mappings, which stays open; its number plus 1 is kept where a forked child does not see it. */
static int maps_file(bool again)
{
    static _Atomic int hidden_maps = -1;
    _Atomic int *known = maps_slot();
    int fd = atomic_load(&hidden_maps);
    if (known == NULL)
        return -1;
    program_number();
    if (!again && fd >= 0 && atomic_load(known) == 1 && fd_state(fd) == FD_HIDDEN)
        return fd;
    fd_unhide(&hidden_maps, 0);
    fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fd_hide(fd, 0, &hidden_maps) < 0)
        syscall(SYS_close, fd);
    atomic_store(known, 1);
    return atomic_load(&hidden_maps);
}

/* The caller sets where the name goes, and nothing else. */
static bool find_map(uint64_t address, struct map_query *map)
{
    static _Atomic int unknown;
    for (int try = 0; try < 2 && !atomic_load(&unknown); try++) {
        int fd = maps_file(try > 0);
        struct map_query query = *map;
        query.size = sizeof query;
        query.address = address;
        if (fd < 0)
            break;
        if (syscall(SYS_ioctl, fd, MAP_QUERY, &query) == 0) {
            *map = query;
            return true;
        }
        if (errno == ENOENT)
            return false;
        if (try > 0 && errno == ENOTTY)
            atomic_store(&unknown, 1);
    }
    return find_in_text(address, map);
}

static bool is_there(uint64_t address)
{
    uint8_t byte;
    return memory_read(address, &byte, 1) == 1;
}

/* The first page of a mapped file's range that lies behind the file's end. Pages are there up to it, so halving finds it. */
static uint64_t end_of_file(uint64_t start, uint64_t end)
{
    if (is_there(end - 1))
        return end;
    uint64_t low = start / PAGE, high = (end - 1) / PAGE;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (is_there(middle * PAGE < start ? start : middle * PAGE))
            low = middle + 1;
        else
            high = middle;
    }
    return low * PAGE < start ? start : low * PAGE;
}

void memory_probe(uint64_t address, uint64_t bytes, struct range *range)
{
    uint64_t last = address + bytes - 1, at = address;
    bool readable = true, writable = true, mapped = true;
    struct map_query map, first = {0};
    memset(range, 0, sizeof *range);
    if (bytes == 0)
        return;
    if (last < address)
        last = UINT64_MAX;
    while ((readable || writable) && (map = (struct map_query){0}, find_map(at, &map))) {
        uint64_t end = map.end - 1 < last ? map.end : last + 1, there = end;
        readable = readable && (map.permissions & MAP_READABLE) != 0;
        writable = writable && (map.permissions & MAP_WRITABLE) != 0;
        if (map.inode != 0 && (map.permissions & MAP_READABLE) != 0)
            there = end_of_file(at, end);
        if (readable)
            range->readable = there - address;
        if (writable)
            range->writable = there - address;
        if (at == address && (map.permissions & MAP_SHARED_FILE) != 0 && map.inode != 0) {
            range->file_offset = map.offset + (at - map.start);
            range->identity_length = identity_of(range->identity, map.major, map.minor, map.inode);
            first = map;
        }
        mapped = mapped && range->identity_length > 0 && map.inode == first.inode && map.major == first.major
            && map.minor == first.minor && (map.permissions & MAP_SHARED_FILE) != 0
            && map.offset + (at - map.start) == range->file_offset + (at - address);
        if (mapped)
            range->mapped = end - address;
        if (there < end || end - 1 >= last)
            break;
        at = end;
    }
}

size_t memory_file(uint64_t *address, char *path, size_t size)
{
    struct map_query map = {.name_address = (uint64_t)path, .name_size = (uint32_t)size};
    if (!find_map(*address, &map) || map.inode == 0 || map.name_size == 0)
        return 0;
    *address = *address - map.start + map.offset;
    return map.name_size - 1;
}
