/*
 * What is known about numbers of descriptors: a hint, by which calls on other files pass at once. And the numbers of the
 * bridge's own connections and files, which the program must not hit, whatever it closes or replaces.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define HIDDEN_LIMIT 16384

/* Who owns a hidden number, and by what it is recognized. */
struct hidden {
    _Atomic uint64_t mark;
    _Atomic(_Atomic int *) slot;
};

_Atomic uint8_t fd_states[FD_STATES];
static struct hidden hidden[HIDDEN_LIMIT];

enum fd_state fd_state(int fd)
{
    return (unsigned int)fd < FD_STATES ? (enum fd_state)(atomic_load(&fd_states[fd]) & 3) : FD_UNKNOWN;
}

/* The upper bits count changes, so that a late finding about what the number was before is not noted. */
void fd_note(int fd, enum fd_state state)
{
    if ((unsigned int)fd >= FD_STATES)
        return;
    uint8_t before = atomic_load(&fd_states[fd]);
    while (!atomic_compare_exchange_weak(&fd_states[fd], &before, (uint8_t)(((before & ~3U) + 4U) | state)))
        ;
}

/* A child of vfork has this memory, but numbers of its own: what it finds is not said of its parent's. */
void fd_note_other(int fd, uint8_t before)
{
    if ((unsigned int)fd < FD_STATES && (before & 3) != FD_HIDDEN && program_is_own())
        atomic_compare_exchange_strong(&fd_states[fd], &before, (uint8_t)((before & ~3U) | FD_OTHER));
}

uint64_t socket_cookie(int fd)
{
    uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    return syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

/*
 * A number that another thread has closed meanwhile, and used for another file, must not be replaced. Signals wait, so that
 * no handler waits for what its own thread holds; a forked child finds all free.
 */
static _Atomic uint8_t *lock_of(int fd)
{
    static _Atomic(void *) place;
    _Atomic uint8_t *locks = wiped_on_fork(&place, FD_STATES);
    return locks == NULL ? NULL : &locks[(unsigned int)fd % FD_STATES];
}

void number_lock(int fd, uint64_t *signals)
{
    uint64_t all = ~0ULL;
    _Atomic uint8_t *number = lock_of(fd);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, signals, sizeof all);
    while (number != NULL && atomic_exchange(number, 1) != 0)
        sched_yield();
}

void number_unlock(int fd, uint64_t signals)
{
    _Atomic uint8_t *number = lock_of(fd);
    if (number != NULL)
        atomic_store(number, 0);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &signals, NULL, sizeof signals);
}

/* ---- numbers of our own ---- */

/* A socket is recognized by its cookie, another file by its device and inode. */
static uint64_t mark_of(int fd)
{
    uint64_t cookie = socket_cookie(fd);
    struct stat status;
    if (cookie == 0 && syscall(SYS_fstat, fd, &status) == 0)
        cookie = ((uint64_t)status.st_dev << 40 ^ (uint64_t)status.st_ino) | 1ULL << 63;
    return cookie;
}

bool fd_is_hidden(int fd)
{
    if (fd_state(fd) != FD_HIDDEN)
        return false;
    if (mark_of(fd) == atomic_load(&hidden[fd].mark))
        return true;
    fd_note(fd, FD_UNKNOWN); /* closed or replaced behind our back */
    return false;
}

/* A copy at a high number, below which the program's own come and go. */
static int dup_high(int fd)
{
    struct rlimit limit = {.rlim_cur = 1024};
    getrlimit(RLIMIT_NOFILE, &limit);
    int top = limit.rlim_cur > HIDDEN_LIMIT ? HIDDEN_LIMIT : (int)limit.rlim_cur;
    for (int least = top > 512 ? top - 256 : top / 2;; least /= 2) {
        long high = syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, least);
        if (high >= 0 && high < HIDDEN_LIMIT)
            return (int)high;
        if (high >= 0)
            syscall(SYS_close, high);
        if (least == 0)
            return -1;
    }
}

int fd_hide_copy(int fd, uint64_t mark, _Atomic int *slot)
{
    int high = dup_high(fd);
    if (high < 0)
        return -1;
    atomic_store(&hidden[high].mark, mark != 0 ? mark : mark_of(high));
    atomic_store(&hidden[high].slot, slot);
    atomic_store(slot, high);
    fd_note(high, FD_HIDDEN);
    return high;
}

int fd_hide(int fd, uint64_t mark, _Atomic int *slot)
{
    int high = fd_hide_copy(fd, mark, slot);
    if (high >= 0)
        syscall(SYS_close, fd);
    return high;
}

void fd_unhide(_Atomic int *slot, uint64_t mark)
{
    int fd = atomic_exchange(slot, -1);
    if (fd >= 0 && fd_is_hidden(fd) && (mark == 0 || atomic_load(&hidden[fd].mark) == mark)) {
        fd_note(fd, FD_UNKNOWN);
        syscall(SYS_close, fd);
    }
}

/* The program takes a number of ours for its own: ours moves on. */
void fd_evict(int fd)
{
    if (!fd_is_hidden(fd))
        return;
    _Atomic int *slot = atomic_load(&hidden[fd].slot);
    int moved = dup_high(fd);
    if (moved >= 0) {
        atomic_store(&hidden[moved].mark, atomic_load(&hidden[fd].mark));
        atomic_store(&hidden[moved].slot, slot);
        fd_note(moved, FD_HIDDEN);
    }
    atomic_store(slot, moved);
    fd_note(fd, FD_UNKNOWN);
}

/* Numbers that the parent hid are copies of its connections: while they are open, the gateway would not see it end. */
void fd_close_inherited(void)
{
    for (int fd = 0; fd < HIDDEN_LIMIT; fd++) {
        if (fd_is_hidden(fd)) {
            fd_note(fd, FD_UNKNOWN);
            syscall(SYS_close, fd);
        }
    }
}
