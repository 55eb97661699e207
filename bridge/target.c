/*
 * The program is another process, as the supervisor has it: who it is, and its connections, as own.c has them for this
 * one; remote.c has its numbers and its memory. A call is served for a thread that waits in it. Each address space is a
 * target with a program's number and calls connections of its own; it ends with its process, or with an exec. A child of
 * vfork has its parent's.
 *
 * Threads are told from later ones with their numbers by the target's folder in /proc, which stays that of its process.
 */
#define _GNU_SOURCE
#include "supervise.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/syscall.h>

#define RECENT 4096
#define WRAPPER_BYTES 256U /* from the beginning of a function of libc to its system call */

struct target {
    struct target *next;
    int users; /* turns, and 1 for being listed */
    pid_t process;
    uint64_t program;
    int folder, maps, life; /* /proc/PID, its maps, and a pidfd */
    char name[17];
    struct channel *channels; /* those that no call uses, by 'spare' */
};

const bool program_elsewhere = true;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct target *targets;
static struct target *recent[RECENT]; /* by thread */
__thread const struct seccomp_notif *serving;
static __thread struct target *served;

/* ---- targets ---- */

static void target_free(struct target *target)
{
    while (target->channels != NULL) {
        struct channel *channel = target->channels;
        target->channels = channel->spare;
        channel_free(channel);
    }
    close(target->folder);
    close(target->maps);
    close(target->life);
    free(target);
}

static void drop(struct target *target)
{
    if (--target->users == 0)
        target_free(target);
}

static void unlist(struct target *target)
{
    struct target **at = &targets;
    while (*at != NULL && *at != target)
        at = &(*at)->next;
    if (*at == NULL)
        return;
    *at = target->next;
    for (int i = 0; i < RECENT; i++)
        if (recent[i] == target)
            recent[i] = NULL;
    drop(target);
}

void target_over(uint64_t program)
{
    pthread_mutex_lock(&lock);
    struct target *target = targets;
    while (target != NULL && target->program != program)
        target = target->next;
    if (target != NULL)
        unlist(target);
    pthread_mutex_unlock(&lock);
}

static bool has_thread(const struct target *target, pid_t thread)
{
    char path[32];
    snprintf(path, sizeof path, "task/%d", thread);
    return faccessat(target->folder, path, F_OK, 0) == 0;
}

/* Whether the memory is still its process's: the kernel knows the file of mappings of one that was replaced by exec. */
static bool has_memory(const struct target *target)
{
    struct map_query any = {.size = sizeof any, .flags = MAP_QUERY_THIS_OR_NEXT};
    char byte;
    if (ioctl(target->maps, MAP_QUERY, &any) == 0)
        return true;
    return errno == ENOTTY && pread(target->maps, &byte, 1, 0) == 1;
}

void read_text(pid_t thread, const char *name, char *text, size_t size)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/%s", thread, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[got < 0 ? 0 : got] = '\0';
}

/* A number of /proc/PID/status. */
static pid_t status_of(pid_t thread, const char *field)
{
    char text[2048];
    read_text(thread, "status", text, sizeof text);
    const char *at = strstr(text, field);
    return at == NULL ? -1 : atoi(at + strlen(field));
}

int open_at(int folder, const char *path, int flags)
{
    return openat(folder, path, flags | O_CLOEXEC);
}

static struct target *make(pid_t process)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d", process);
    struct target *made = calloc(1, sizeof *made);
    if (made == NULL)
        return NULL;
    made->users = 1;
    made->process = process;
    made->folder = open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
    made->maps = open_at(made->folder, "maps", O_RDONLY);
    made->life = (int)syscall(SYS_pidfd_open, process, 0);
    read_text(process, "comm", made->name, sizeof made->name);
    made->name[strcspn(made->name, "\n")] = '\0';
    while (made->program == 0)
        if (getrandom(&made->program, sizeof made->program, 0) < 0)
            made->program = (uint64_t)process;
    if (made->maps < 0 || made->life < 0 || supervise_watch(made->life, made->program) < 0) {
        target_free(made);
        return NULL;
    }
    made->next = targets;
    targets = made;
    return made;
}

/* The target that a thread belongs to. */
static struct target *target_of(pid_t thread)
{
    struct target **hint = &recent[(unsigned int)thread % RECENT], *target = *hint;
    if (target == NULL || !has_thread(target, thread)) {
        pid_t process = status_of(thread, "\nTgid:"), parent = status_of(thread, "\nPPid:");
        if (process > 0 && parent > 0 && syscall(SYS_kcmp, process, parent, KCMP_VM, 0, 0) == 0)
            return target_of(parent);
        target = targets;
        while (target != NULL && !(target->process == process && has_thread(target, thread)))
            target = target->next;
        if (target == NULL && process > 0)
            target = make(process);
    }
    if (target != NULL && !has_memory(target)) {
        pid_t process = target->process;
        unlist(target);
        target = make(process);
    }
    return *hint = target;
}

/* ---- the call that is served ---- */

struct turn serve_turn(struct turn next)
{
    struct turn before = {serving, served};
    serving = next.call;
    served = next.target;
    return before;
}

void turn_over(struct turn turn)
{
    if (turn.target == NULL)
        return;
    pthread_mutex_lock(&lock);
    drop(turn.target);
    pthread_mutex_unlock(&lock);
}

/* The target of the call, which most calls do not need. */
static struct target *target(void)
{
    if (served == NULL) {
        pthread_mutex_lock(&lock);
        served = target_of(program_thread());
        if (served != NULL)
            served->users++;
        pthread_mutex_unlock(&lock);
    }
    return served;
}

int target_folder(void) { return target() == NULL ? -1 : target()->folder; }

int target_maps(void) { return target() == NULL ? -1 : target()->maps; }

struct target *target_keep(void)
{
    struct target *kept = target();
    pthread_mutex_lock(&lock);
    if (kept != NULL)
        kept->users++;
    pthread_mutex_unlock(&lock);
    return kept;
}

bool caller_waits(void)
{
    uint64_t id = serving->id;
    return ioctl(supervise_listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

pid_t program_thread(void) { return (pid_t)serving->pid; }

pid_t program_process(void) { return target() == NULL ? 0 : target()->process; }

uint64_t program_number(void) { return target() == NULL ? 1 : target()->program; }

/*
 * A system call's own address lies in libc's function mostly. The one that has called it is known by a return address on
 * the stack behind a call of just that function; else the address stays.
 */
const void *program_caller(void)
{
    uint64_t address = serving->data.instruction_pointer;
#ifdef __x86_64__
    char text[256];
    uint64_t words[32];
    unsigned long long stack = 0;
    if (settings()->trace[0] == '\0')
        return (const void *)address;
    read_text(program_thread(), "syscall", text, sizeof text);
    sscanf(text, "%*d %*x %*x %*x %*x %*x %*x %llx", &stack);
    size_t count = memory_read(stack, words, sizeof words) / sizeof *words;
    for (size_t i = 0; i < count; i++) {
        struct __attribute__((packed)) { uint8_t call; int32_t distance; } code;
        if (memory_read(words[i] - sizeof code, &code, sizeof code) < sizeof code || code.call != 0xE8)
            continue;
        if (address - (words[i] + (uint64_t)(int64_t)code.distance) < WRAPPER_BYTES)
            return (const void *)words[i];
    }
#endif
    return (const void *)address;
}

const char *program_name(void) { return target() == NULL ? NULL : target()->name; }

/* ---- connections ---- */

struct channel *channel_take(void)
{
    struct target *of = target();
    if (of == NULL) {
        errno = EIO;
        return NULL;
    }
    pthread_mutex_lock(&lock);
    struct channel *channel = of->channels;
    if (channel != NULL)
        of->channels = channel->spare;
    pthread_mutex_unlock(&lock);
    if (channel == NULL && (channel = channel_make()) != NULL && channel_connect(channel) < 0) {
        channel_free(channel);
        channel = NULL;
        errno = EIO;
    }
    return channel;
}

void channel_give(struct channel *channel)
{
    int error = errno;
    if (atomic_load(&channel->fd) < 0) {
        channel_free(channel);
    } else {
        pthread_mutex_lock(&lock);
        channel->spare = served->channels;
        served->channels = channel;
        pthread_mutex_unlock(&lock);
    }
    errno = error;
}
