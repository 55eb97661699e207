/*
 * The numbers and the memory of a program that is another process: own.c has the same functions for this one. Numbers are
 * read in /proc, and copied or given by the kernel's calls for supervisors.
 */
#define _GNU_SOURCE
#include "supervise.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define THREAD_PIDFD O_EXCL /* PIDFD_THREAD */

/* ---- numbers ---- */

/* A socket's inode stands for its cookie: a link in /proc says it without a copy of the descriptor. */
uint64_t socket_cookie(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
}

ssize_t fd_link(int fd, char *link, size_t size)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", program_thread(), fd);
    return readlink(path, link, size);
}

uint64_t fd_cookie(int fd)
{
    char link[64];
    unsigned long long inode;
    ssize_t length = fd_link(fd, link, sizeof link - 1);
    link[length < 0 ? 0 : length] = '\0';
    return sscanf(link, "socket:[%llu]", &inode) == 1 ? inode : 0;
}

bool descriptor_find(int fd, struct descriptor *found)
{
    uint64_t socket = fd_cookie(fd);
    if (socket == 0)
        return false;
    if (descriptor_known(socket, found))
        return true;
    int copy = fd_borrow(fd);
    bool ours = copy >= 0 && leads_to_gateway(copy) && descriptor_resolve(copy, found);
    fd_return(copy);
    return ours;
}

bool numbers_each(bool (*visit)(int fd, void *state), void *state)
{
    char path[32];
    bool over = false;
    snprintf(path, sizeof path, "/proc/%d/fd", program_thread());
    DIR *folder = opendir(path);
    struct dirent *entry;
    while (folder != NULL && !over && (entry = readdir(folder)) != NULL)
        over = entry->d_name[0] != '.' && visit(atoi(entry->d_name), state);
    if (folder != NULL)
        closedir(folder);
    return over;
}

int descriptor_place(int fd, int flags)
{
    struct seccomp_notif_addfd added = {.id = serving->id, .srcfd = (uint32_t)fd, .newfd_flags = (uint32_t)flags & O_CLOEXEC};
    return ioctl(supervise_listener, SECCOMP_IOCTL_NOTIF_ADDFD, &added);
}

struct control {
    int set, file, fd, operation;
    struct epoll_event *event;
};

/* A set knows what is in it by its file and its number: this thread gets numbers of its own, among which the file has the program's. */
static void *control_as_program(void *state)
{
    const struct control *control = state;
    if (control->set < 0 || control->file < 0 || unshare(CLONE_FILES) < 0)
        return NULL;
    int set = fcntl(control->set, F_DUPFD_CLOEXEC, control->fd + 1);
    if (set >= 0 && dup2(control->file, control->fd) == control->fd)
        epoll_ctl(set, control->operation, control->fd, control->event);
    return NULL;
}

void watch_control(int set, int operation, int fd, struct epoll_event *event)
{
    struct control control = {fd_borrow(set), fd_borrow(fd), fd, operation, event};
    pthread_t thread;
    if (pthread_create(&thread, NULL, control_as_program, &control) == 0)
        pthread_join(thread, NULL);
    fd_return(control.set);
    fd_return(control.file);
}

static void replace(int fd, uint64_t cookie, int by)
{
    char path[40], text[256] = "";
    struct watchers watchers;
    unsigned int flags = 0;
    if (fd_cookie(fd) != cookie)
        return;
    snprintf(path, sizeof path, "fdinfo/%d", fd);
    read_text(program_thread(), path, text, sizeof text);
    const char *at = strstr(text, "flags:");
    if (at != NULL)
        flags = (unsigned int)strtoul(at + strlen("flags:"), NULL, 8);
    fcntl(by, F_SETFL, flags & O_NONBLOCK);
    struct seccomp_notif_addfd added = {
        .id = serving->id, .flags = SECCOMP_ADDFD_FLAG_SETFD, .srcfd = (uint32_t)by, .newfd = (uint32_t)fd, .newfd_flags = flags & O_CLOEXEC,
    };
    watchers_take(fd, &watchers);
    ioctl(supervise_listener, SECCOMP_IOCTL_NOTIF_ADDFD, &added);
    watchers_give(fd, &watchers);
}

/* Two threads of a program may find the same number dead. */
void number_replace(int fd, uint64_t cookie, int by)
{
    static pthread_mutex_t replacing = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&replacing);
    replace(fd, cookie, by);
    pthread_mutex_unlock(&replacing);
}

int fd_borrow(int fd)
{
    int life = (int)syscall(SYS_pidfd_open, program_thread(), THREAD_PIDFD);
    if (life < 0) /* Linux before 6.9 */
        life = (int)syscall(SYS_pidfd_open, program_process(), 0);
    int copy = life < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, life, fd, 0);
    if (life >= 0)
        close(life);
    return copy;
}

/* Numbers of this process are all our own, and nobody takes them. */
bool fd_is_hidden(int fd) { return fd >= 0; }

int fd_hide(int fd, uint64_t mark, _Atomic int *slot)
{
    (void)mark;
    atomic_store(slot, fd);
    return fd;
}

int fd_hide_copy(int fd, uint64_t mark, _Atomic int *slot)
{
    return fd_hide(fcntl(fd, F_DUPFD_CLOEXEC, 0), mark, slot);
}

void fd_unhide(_Atomic int *slot, uint64_t mark)
{
    (void)mark;
    int fd = atomic_exchange(slot, -1);
    if (fd >= 0)
        close(fd);
}

/* ---- memory ---- */

long program_copy(bool reading, void *local, uint64_t remote, size_t bytes)
{
    struct iovec here = {.iov_base = local, .iov_len = bytes};
    struct iovec there = {.iov_base = (void *)remote, .iov_len = bytes};
    if (reading) {
        ssize_t copied = process_vm_readv(program_thread(), &here, 1, &there, 1, 0);
        return copied > 0 && !caller_waits() ? -1 : copied;
    }
    return caller_waits() ? process_vm_writev(program_thread(), &here, 1, &there, 1, 0) : -1;
}

bool page_writable(uint64_t address)
{
    struct range range;
    memory_probe(address, 1, &range);
    return range.writable > 0;
}

int maps_open(void)
{
    return open_at(target_folder(), "maps", O_RDONLY);
}

int maps_file(bool again)
{
    return again ? -1 : target_maps();
}
