/*
 * The program's memory. The kernel does every access, so that a bad pointer is a short count and never a signal.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <sys/ioctl.h>
#include <sys/syscall.h>

/* ---- copies ---- */

/* Copies until a page can't be accessed. 'reading' says on which side the program's memory is. */
static size_t copy(uint64_t program, void *own, size_t bytes, bool reading)
{
    size_t done = 0;
    while (done < bytes) {
        if (program + done < program)
            break;
        long copied = program_copy(reading, (char *)own + done, program + done, bytes - done);
        if (copied <= 0)
            break;
        done += (size_t)copied;
    }
    return done;
}

size_t memory_read(uint64_t address, void *into, size_t bytes) { return copy(address, into, bytes, true); }

size_t memory_write(uint64_t address, const void *from, size_t bytes) { return copy(address, (void *)(uintptr_t)from, bytes, false); }

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
    int fd = maps_open();
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

/* Of a BAR the kernel has no pages that it could pin. */
static bool is_bar(uint64_t address)
{
    char path[PAGE];
    size_t length = tree_exists() ? memory_file(&address, path, sizeof path) : 0;
    return length > 0 && tree_has_bar(path, length);
}

void memory_probe(uint64_t address, uint64_t bytes, struct range *range)
{
    uint64_t last = address + bytes - 1, at = address;
    bool readable = true, writable = true, pinnable = true, mapped = true;
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
        pinnable = pinnable && ((map.permissions & MAP_SHARED_FILE) == 0 || map.inode == 0 || !is_bar(at));
        if (pinnable)
            range->pinnable = there - address;
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
