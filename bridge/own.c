/*
 * The program is this process, as the library has it. target.c has the same functions for a program elsewhere.
 *
 * A thread has one calls connection, opened by its first call and kept until it ends. Its number lies high and is the
 * bridge's own; since a program may close or reuse any number, each call first asks the kernel whether the socket is still
 * the one.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* What a forked child does not have of its parent's. */
struct process {
    _Atomic uint64_t program;
    _Atomic pid_t owner; /* the process that chose it */
    _Atomic int chooser; /* the thread that begins this process's books */
    _Atomic int maps;    /* whether the file of mappings is this process's */
};

const bool program_elsewhere = false;

/* ---- the process ---- */

static struct process *process(void)
{
    static _Atomic(void *) place;
    return wiped_on_fork(&place, sizeof(struct process));
}

uint64_t program_number(void)
{
    struct process *self = process();
    if (self == NULL)
        return 1;
    uint64_t program;
    int thread = 0;
    while ((program = atomic_load(&self->program)) == 0) {
        int chooser = 0;
        if (thread == 0)
            thread = (int)syscall(SYS_gettid);
        if (atomic_compare_exchange_strong(&self->chooser, &chooser, thread) || chooser == thread) {
            uint64_t chosen = 0;
            fd_close_inherited();
            while (chosen == 0)
                if (syscall(SYS_getrandom, &chosen, sizeof chosen, 0) < 0)
                    chosen = (uint64_t)thread << 32 | (uint64_t)time(NULL);
            atomic_store(&self->owner, (pid_t)syscall(SYS_getpid));
            atomic_store(&self->program, chosen);
        } else {
            sched_yield();
        }
    }
    return program;
}

bool program_is_own(void)
{
    if (!settings()->active)
        return true;
    program_number();
    struct process *self = process();
    return self != NULL && atomic_load(&self->owner) == (pid_t)syscall(SYS_getpid);
}

/* Before the program can start a child that would be taken for it. */
__attribute__((constructor)) static void begin(void)
{
    if (settings()->active)
        program_number();
}

const char *program_name(void) { return program_invocation_short_name; }

pid_t program_process(void) { return (pid_t)syscall(SYS_getpid); }

pid_t program_thread(void) { return (pid_t)syscall(SYS_gettid); }

/* ---- its connections ---- */

static __thread struct channel *own_channel;
static pthread_key_t at_thread_end;
static pthread_once_t at_thread_end_once = PTHREAD_ONCE_INIT;

static void thread_ended(void *ended)
{
    struct channel *channel = ended;
    own_channel = NULL;
    channel_free(channel);
}

static void make_key(void)
{
    pthread_key_create(&at_thread_end, thread_ended);
}

struct channel *channel_take(void)
{
    struct channel *channel = own_channel;
    if (channel != NULL && channel->busy)
        channel = NULL;
    bool temporary = channel == NULL && own_channel != NULL;
    if (channel == NULL) {
        channel = channel_make();
        if (channel == NULL)
            return NULL;
        channel->temporary = temporary;
        if (!temporary) {
            own_channel = channel;
            pthread_once(&at_thread_end_once, make_key);
            pthread_setspecific(at_thread_end, channel);
        }
    }
    channel->busy = true;
    atomic_signal_fence(memory_order_seq_cst);
    int fd = atomic_load(&channel->fd);
    if (fd >= 0 && (channel->program != program_number() || socket_cookie(fd) != channel->cookie)) {
        channel_disconnect(channel);
        fd = -1;
    }
    if (fd < 0 && channel_connect(channel) < 0) {
        channel_give(channel);
        return NULL;
    }
    return channel;
}

void channel_give(struct channel *channel)
{
    atomic_signal_fence(memory_order_seq_cst);
    channel->busy = false;
    if (channel->temporary)
        channel_free(channel);
}

/* ---- its numbers ---- */

int descriptor_place(int fd, int flags)
{
    fd_note(fd, FD_OURS); /* a hint: it need not be a socket */
    if ((flags & O_CLOEXEC) == 0)
        syscall(SYS_fcntl, fd, F_SETFD, 0);
    return fd;
}

uint64_t fd_cookie(int fd) { return socket_cookie(fd); }

ssize_t fd_link(int fd, char *link, size_t size)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return syscall(SYS_readlinkat, AT_FDCWD, path, link, size);
}

int fd_borrow(int fd)
{
    return fd_is_hidden(fd) ? -1 : fd;
}

bool numbers_each(bool (*visit)(int fd, void *state), void *state)
{
    bool over = false;
    for (int fd = 0; fd < FD_STATES && !over; fd++)
        over = fd_state(fd) == FD_OURS && visit(fd, state);
    return over;
}

void watch_control(int set, int operation, int fd, struct epoll_event *event) { syscall(SYS_epoll_ctl, set, operation, fd, event); }

void number_replace(int fd, uint64_t cookie, int by)
{
    struct watchers watchers;
    uint64_t signals;
    number_lock(fd, &signals);
    if (socket_cookie(fd) == cookie) {
        long flags = syscall(SYS_fcntl, fd, F_GETFD), status = syscall(SYS_fcntl, fd, F_GETFL);
        syscall(SYS_fcntl, by, F_SETFL, status & O_NONBLOCK);
        watchers_take(fd, &watchers);
        syscall(SYS_dup3, by, fd, (flags & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0);
        watchers_give(fd, &watchers);
    }
    number_unlock(fd, signals);
}

bool descriptor_find(int fd, struct descriptor *found)
{
    if (fd < 0 || fd_is_other(fd))
        return false;
    uint8_t before = fd < FD_STATES ? atomic_load(&fd_states[fd]) : 0;
    if (!settings()->active) {
        fd_note_other(fd, before);
        return false;
    }
    uint64_t cookie = socket_cookie(fd);
    if (cookie == 0) {
        if (errno == ENOTSOCK)
            fd_note_other(fd, before);
        return false;
    }
    if (descriptor_known(cookie, found))
        return true;
    if ((before & 3) == FD_HIDDEN && fd_is_hidden(fd))
        return false;
    if (!leads_to_gateway(fd)) {
        if (errno != ENOTCONN)
            fd_note_other(fd, before);
        return false;
    }
    if (!descriptor_resolve(fd, found))
        return false;
    fd_note(fd, FD_OURS);
    return true;
}

/* ---- its memory ---- */

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

long program_copy(bool reading, void *local, uint64_t remote, size_t bytes)
{
    static _Atomic int refused;
    struct iovec here = {.iov_base = local, .iov_len = bytes};
    struct iovec there = {.iov_base = (void *)remote, .iov_len = bytes};
    if (!atomic_load(&refused)) {
        long copied = syscall(reading ? SYS_process_vm_readv : SYS_process_vm_writev, program_process(), &here, 1, &there, 1, 0);
        if (copied >= 0 || (errno != ENOSYS && errno != EPERM))
            return copied;
        atomic_store(&refused, 1);
    }
    size_t rest = PAGE - remote % PAGE < bytes ? PAGE - remote % PAGE : bytes;
    return reading ? pipe_copy((uint64_t)local, remote, rest) : pipe_copy(remote, (uint64_t)local, rest);
}

/* Adds 0 to a word, atomically and in the kernel, which answers EFAULT where it can't be written. */
bool page_writable(uint64_t address)
{
    static uint32_t nobody;
    return syscall(SYS_futex, &nobody, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0UL, address & ~3UL,
                   FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0)) >= 0;
}

int maps_open(void)
{
    return (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
}

/* The kernel's file of our mappings stays open. */
int maps_file(bool again)
{
    static _Atomic int hidden_maps = -1;
    struct process *self = process();
    int fd = atomic_load(&hidden_maps);
    if (self == NULL)
        return -1;
    program_number();
    if (!again && fd >= 0 && atomic_load(&self->maps) == 1 && fd_state(fd) == FD_HIDDEN)
        return fd;
    fd_unhide(&hidden_maps, 0);
    fd = maps_open();
    if (fd >= 0 && fd_hide(fd, 0, &hidden_maps) < 0)
        syscall(SYS_close, fd);
    atomic_store(&self->maps, 1);
    return atomic_load(&hidden_maps);
}
