/*
 * A number that the program has in an epoll set, and that leads to another file from now on: the set forgets a file, and
 * keeps the number's events and data here meanwhile. What a set has is in the kernel's words about its descriptor.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

/* "tfd: NUMBER events: HEX data: HEX ..." */
static void take(int set, int fd, const char *line, struct watchers *watchers)
{
    const char *number = strstr(line, "tfd:"), *events = strstr(line, "events:"), *data = strstr(line, "data:");
    if (number == NULL || events == NULL || data == NULL || strtol(number + 4, NULL, 10) != fd || watchers->count == MAX_WATCHERS)
        return;
    watchers->all[watchers->count++] = (struct watcher){
        .set = set, .events = (uint32_t)strtoul(events + 7, NULL, 16), .data = strtoull(data + 5, NULL, 16),
    };
    watch_control(set, EPOLL_CTL_DEL, fd, NULL);
}

/* What the kernel says of a set, in lines; a line that does not fit is none of a number's. */
static void take_all(int set, int fd, struct watchers *watchers)
{
    char path[40], text[1024];
    size_t have = 0;
    snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", program_thread(), set);
    int info = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    for (long got = 1; info >= 0 && got > 0;) {
        got = syscall(SYS_read, info, text + have, sizeof text - 1 - have);
        have += got > 0 ? (size_t)got : 0;
        text[have] = '\0';
        char *line = text;
        for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
            *end = '\0';
            take(set, fd, line, watchers);
        }
        have -= (size_t)(line - text);
        have = have == sizeof text - 1 ? 0 : have;
        memmove(text, line, have);
    }
    if (info >= 0)
        syscall(SYS_close, info);
}

static bool is_set(int fd)
{
    static const char is[] = "anon_inode:[eventpoll]";
    char link[sizeof is];
    return fd_link(fd, link, sizeof link) == sizeof is - 1 && memcmp(link, is, sizeof is - 1) == 0;
}

void watchers_take(int fd, struct watchers *watchers)
{
    struct entry {
        uint64_t inode, offset;
        uint16_t length;
        uint8_t type;
        char name[];
    };
    _Alignas(struct entry) char entries[2048];
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/fd", program_thread());
    int folder = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    watchers->count = 0;
    for (long got; folder >= 0 && (got = syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0;) {
        for (long at = 0; at < got;) {
            const struct entry *entry = (const struct entry *)(entries + at);
            int set = atoi(entry->name);
            if (is_set(set))
                take_all(set, fd, watchers);
            at += entry->length;
        }
    }
    if (folder >= 0)
        syscall(SYS_close, folder);
}

void watchers_give(int fd, const struct watchers *watchers)
{
    for (int i = 0; i < watchers->count; i++) {
        struct epoll_event event = {.events = watchers->all[i].events, .data.u64 = watchers->all[i].data};
        watch_control(watchers->all[i].set, EPOLL_CTL_ADD, fd, &event);
    }
}
