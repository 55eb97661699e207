/*
 * iommufd-supervise -- PROGRAM ARGUMENTS: runs a program that a preloaded library can't serve. Its system calls that may
 * concern the emulated device, and those of all its children, wait in the kernel until a thread here has served them: a
 * filter that they can't take off says which (seccomp's user notification).
 *
 * Ends when no supervised process is left, with the program's exit status, or 128 and the signal that has ended it.
 */
#define _GNU_SOURCE
#include "supervise.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#define CANT_SUPERVISE 125
#define CANT_RUN 126
#define NOT_FOUND 127
#define MOST_THREADS 256
#define STACK_BYTES (512UL << 10)

/* SECCOMP_IOCTL_NOTIF_SET_FLAGS and SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP, of Linux 6.6 */
#define SET_FLAGS SECCOMP_IOW(4, uint64_t)
#define WAKE_UP_HERE (1UL << 0)

/* What epoll says of, beside the numbers of programs. */
enum { SIGNALS, LISTENER, CLOSINGS };

static const int forwarded[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT, SIGWINCH};

int supervise_listener = -1;
static int events = -1, timer = -1;
static _Atomic int waiting, threads;

static int give_up(const char *what)
{
    fprintf(stderr, "iommufd: %s: %s\n", what, strerror(errno));
    return CANT_SUPERVISE;
}

static int watch(int fd, uint32_t what, uint64_t name)
{
    struct epoll_event event = {.events = what, .data.u64 = name};
    return epoll_ctl(events, EPOLL_CTL_ADD, fd, &event);
}

void supervise_settle_later(void)
{
    struct itimerspec later = {.it_value = {.tv_nsec = 20000000}};
    timerfd_settime(timer, 0, &later, NULL);
}

int supervise_watch(int life, uint64_t program)
{
    return watch(life, EPOLLIN, program);
}

/* ---- the threads that serve ---- */

/* The kernel's idea of these may be longer than ours. */
union call {
    struct seccomp_notif call;
    uint8_t room[512];
};

union answer {
    struct seccomp_notif_resp answer;
    uint8_t room[512];
};

static void *serve_calls(void *unused);

/* One thread more, so that there is always one that waits for a call. */
static void add_thread(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    if (atomic_fetch_add(&threads, 1) >= MOST_THREADS) {
        atomic_fetch_sub(&threads, 1);
        return;
    }
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attributes, serve_calls, NULL) != 0)
        atomic_fetch_sub(&threads, 1);
    pthread_attr_destroy(&attributes);
}

static void *serve_calls(void *unused)
{
    for (;;) {
        union call call = {0};
        union answer answer = {0};
        atomic_fetch_add(&waiting, 1);
        int received = ioctl(supervise_listener, SECCOMP_IOCTL_NOTIF_RECV, &call);
        int error = errno;
        if (atomic_fetch_sub(&waiting, 1) == 1 && received == 0)
            add_thread();
        if (received == 0) {
            serve(&call.call, &answer.answer);
            ioctl(supervise_listener, SECCOMP_IOCTL_NOTIF_SEND, &answer); /* fails if the caller was killed meanwhile */
            continue;
        }
        struct pollfd over = {.fd = supervise_listener};
        if ((error != EINTR && error != ENOENT) || (poll(&over, 1, 0) == 1 && (over.revents & POLLHUP) != 0))
            return unused;
    }
}

/* ---- the program ---- */

/* Sends the listener from the child to the supervisor, or receives it. */
static int pass(int socket, int fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } rights = {.header = {.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    char byte = 0;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};
    if (fd >= 0) {
        memcpy(CMSG_DATA(&rights.header), &fd, sizeof fd);
        return sendmsg(socket, &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
    }
    if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) == 1 && message.msg_controllen > 0)
        memcpy(&fd, CMSG_DATA(&rights.header), sizeof fd);
    return fd;
}

static _Noreturn void run(char **program)
{
    execvp(program[0], program);
    fprintf(stderr, "iommufd: can't run %s: %s\n", program[0], strerror(errno));
    _exit(errno == ENOENT ? NOT_FOUND : CANT_RUN);
}

/* The gateway may reach into the program, which stays so when the program is executed. Only a process says so itself. */
static void permit_gateway(void)
{
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    int fd = tree_exists() ? connect_socket(settings()->socket) : -1;
    if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0)
        prctl(PR_SET_PTRACER, peer.pid, 0, 0, 0);
    if (fd >= 0)
        close(fd);
}

static _Noreturn void run_supervised(char **program, int socket, const sigset_t *signals)
{
    permit_gateway();
    int listener = filter_install();
    bool is_served = listener < 0 && errno == EBUSY; /* by a supervisor of this one */
    if (!is_served && (listener < 0 || pass(socket, listener) < 0))
        _exit(give_up("the kernel does not let system calls be supervised"));
    sigprocmask(SIG_SETMASK, signals, NULL);
    run(program);
}

static int exit_status(int ended)
{
    return WIFEXITED(ended) ? WEXITSTATUS(ended) : 128 + WTERMSIG(ended);
}

/*
 * Signals that others send are for the program. Those of the terminal it has got already; if one has stopped it, the
 * supervisor stops too, so that the shell finds the job stopped.
 */
static void take_signal(int signals, pid_t program, int *status)
{
    struct signalfd_siginfo signal;
    if (read(signals, &signal, sizeof signal) != sizeof signal)
        return;
    if (signal.ssi_signo != SIGCHLD) {
        if (signal.ssi_code <= 0 && *status < 0)
            kill(program, (int)signal.ssi_signo);
        return;
    }
    int ended;
    for (pid_t child; (child = waitpid(-1, &ended, WNOHANG | WUNTRACED)) > 0;) {
        if (child == program && !WIFSTOPPED(ended))
            *status = exit_status(ended);
        else if (child == program && WSTOPSIG(ended) != SIGSTOP)
            raise(SIGSTOP);
    }
}

static int supervise(int signals, pid_t program)
{
    struct epoll_event event;
    int status = -1;
    bool over = false;
    while (status < 0 || !over) {
        if (epoll_wait(events, &event, 1, -1) != 1)
            continue;
        if (event.data.u64 == SIGNALS) {
            take_signal(signals, program, &status);
        } else if (event.data.u64 == LISTENER) {
            over = true;
            epoll_ctl(events, EPOLL_CTL_DEL, supervise_listener, NULL);
        } else if (event.data.u64 == CLOSINGS) {
            uint64_t times;
            if (read(timer, &times, sizeof times) > 0)
                settle(false);
        } else {
            target_over(event.data.u64);
        }
    }
    settle(true);
    return status;
}

int main(int count, char **arguments)
{
    char **program = arguments + 1;
    if (count > 1 && strcmp(*program, "--") == 0)
        program++;
    if (*program == NULL) {
        fprintf(stderr, "usage: iommufd-supervise -- PROGRAM ARGUMENTS\n");
        return CANT_SUPERVISE;
    }
    if (!settings()->active)
        run(program);

    sigset_t taken, before;
    sigemptyset(&taken);
    sigaddset(&taken, SIGCHLD);
    for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++)
        sigaddset(&taken, forwarded[i]);
    sigprocmask(SIG_BLOCK, &taken, &before);

    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
        return give_up("socketpair");
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* a process whose parent has ended stays our descendant, whose memory we may reach */
    pid_t child = fork();
    if (child < 0)
        return give_up("fork");
    if (child == 0)
        run_supervised(program, sockets[1], &before);
    close(sockets[1]);
    supervise_listener = pass(sockets[0], -1);
    close(sockets[0]);
    if (supervise_listener < 0) {
        int ended;
        return waitpid(child, &ended, 0) == child ? exit_status(ended) : CANT_SUPERVISE;
    }

    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    ioctl(supervise_listener, SET_FLAGS, WAKE_UP_HERE);
    events = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    int signals = signalfd(-1, &taken, SFD_CLOEXEC);
    if (events < 0 || timer < 0 || signals < 0 || watch(timer, EPOLLIN, CLOSINGS) < 0 || watch(signals, EPOLLIN, SIGNALS) < 0 || watch(supervise_listener, 0, LISTENER) < 0) {
        kill(child, SIGKILL);
        return give_up("starting");
    }
    add_thread();
    return supervise(signals, child);
}
