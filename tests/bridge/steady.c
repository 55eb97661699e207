/*
 * Threads, a forked child and a queue's reader that work until standard input ends, and say each 20 rounds that they do, and
 * when a round that took long began and ended, in nanoseconds of the monotonic clock.
 * Silos are killed and started meanwhile: every call is done once, and has its answer.
 */
#include "faulting.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

enum { THREADS = 3, PAGE = 4096, LONG_MS = 3000 };

/* Shared with the child. */
struct board {
    _Atomic bool over;
    _Atomic long rounds, longest;
};

static struct board *board;
static void *memory;

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void round_over(long begun)
{
    long took = now_ms() - begun, longest = atomic_load(&board->longest);
    while (took > longest && !atomic_compare_exchange_weak(&board->longest, &longest, took))
        ;
    if (took > LONG_MS)
        dprintf(STDOUT_FILENO, "outage %ld000000 %ld000000\n", begun, begun + took);
    long rounds = atomic_fetch_add(&board->rounds, 1) + 1;
    if (rounds % 20 == 0)
        dprintf(STDOUT_FILENO, "rounds %ld\n", rounds);
}

static int map(uint32_t ioas, uint64_t iova)
{
    struct { uint32_t size, flags, ioas, reserved; uint64_t address, length, iova; } command = {
        sizeof command, 7, ioas, 0, (uint64_t)memory, PAGE, iova,
    };
    return ioctl(fd, IOMMU_IOAS_MAP, &command);
}

static int unmap(uint32_t ioas, uint64_t iova, uint64_t *unmapped)
{
    struct { uint32_t size, ioas; uint64_t iova, length; } command = {sizeof command, ioas, iova, PAGE};
    int result = ioctl(fd, 0x3B86, &command);
    *unmapped = command.length;
    return result;
}

/* What is done twice fails the second time; what is lost, the next call. */
static void use_ioas(void)
{
    uint64_t unmapped = 0;
    uint32_t ioas = alloc_ioas(fd);
    EXPECT(ioas != 0, 1, "IOAS_ALLOC succeeds");
    EXPECT(map(ioas, PAGE), 0, "IOAS_MAP of a free IOVA");
    EXPECT_ERRNO(map(ioas, PAGE), EEXIST, "IOAS_MAP of a mapped IOVA");
    EXPECT(map(ioas, 2 * PAGE), 0, "IOAS_MAP of another free IOVA");
    EXPECT(unmap(ioas, PAGE, &unmapped), 0, "IOAS_UNMAP of a mapped IOVA");
    EXPECT(unmapped, PAGE, "bytes unmapped");
    EXPECT_ERRNO(unmap(ioas, PAGE, &unmapped), ENOENT, "IOAS_UNMAP of a free IOVA");
    EXPECT(destroy(fd, ioas), 0, "DESTROY of an IOAS");
}

static void *work(void *unused)
{
    (void)unused;
    do {
        long begun = now_ms();
        use_ioas();
        round_over(begun);
    } while (!atomic_load(&board->over));
    return NULL;
}

static void await_queue(int epoll)
{
    struct epoll_event event;
    EXPECT(epoll_wait(epoll, &event, 1, 120000), 1, "epoll_wait for a fault");
}

/* One fault is read for each that is raised. */
static void use_queue(int epoll, uint32_t group)
{
    struct fault faults[2];
    ssize_t got;
    raise_fault(group);
    do {
        await_queue(epoll);
        got = read(queue, faults, sizeof faults);
    } while (got == 0);
    EXPECT(got, sizeof *faults, "bytes of one fault");
    EXPECT(faults[0].group, group, "the fault's group");
    EXPECT(write(queue, (uint32_t[2]){faults[0].cookie, 0}, 8), 8, "a response");
    EXPECT(read(queue, faults, sizeof faults), 0, "read of an empty queue");
}

static bool input_ends(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;
    return poll(&input, 1, 0) == 1 && read(STDIN_FILENO, &byte, 1) == 0;
}

int main(void)
{
    pthread_t threads[THREADS];
    struct epoll_event event = {.events = EPOLLIN};
    board = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fd = open_iommu(O_CLOEXEC);
    attach();
    uint32_t free_id = alloc_ioas(fd);
    EXPECT(destroy(fd, free_id), 0, "DESTROY of an IOAS");
    int copy = dup(fd);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* what the parent finds ends both */
        work(NULL);
        _exit(0);
    }
    for (int i = 0; i < THREADS; i++)
        EXPECT(pthread_create(&threads[i], NULL, work, NULL), 0, "pthread_create");
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    EXPECT(epoll_ctl(epoll, EPOLL_CTL_ADD, queue, &event), 0, "epoll_ctl");
    for (uint32_t group = 1; !atomic_load(&board->over); group++) {
        long begun = now_ms();
        use_queue(epoll, group);
        round_over(begun);
        atomic_store(&board->over, input_ends());
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    EXPECT(exit_status(child), 0, "the child's exit status");
    EXPECT(fcntl(fd, F_GETFD), FD_CLOEXEC, "the descriptor's flags");
    EXPECT(fcntl(copy, F_GETFD), 0, "the flags of its copy");
    EXPECT(close(fd), 0, "close of a copy");
    fd = copy;
    EXPECT(alloc_ioas(fd), free_id, "the lowest free id, where nothing is left behind");
    printf("over: %ld rounds, the longest %ld ms\n", atomic_load(&board->rounds), atomic_load(&board->longest));
    return 0;
}
