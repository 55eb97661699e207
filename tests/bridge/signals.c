/* Signal handlers that issue ioctls while their thread is in one, and forks while other threads are in ioctls. */
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>

/* A signal that comes before the supervisor has received a call ends it with EINTR, but for handlers that say otherwise. */
#ifdef SUPERVISED
#define HANDLER_FLAGS SA_RESTART
#else
#define HANDLER_FLAGS 0
#endif

enum { HANDLED = 200, FORKS = 20 };

static int shared;
static _Atomic int handled, over;

static void handler(int number)
{
    (void)number;
    int error = errno;
    uint32_t id = alloc_ioas(shared);
    EXPECT(id != 0, 1, "an IOAS in a signal handler");
    EXPECT(destroy(shared, id), 0, "destroy in a signal handler");
    handled++;
    errno = error;
}

static void *work(void *unused)
{
    (void)unused;
    while (!over) {
        uint32_t id = alloc_ioas(shared);
        EXPECT(id != 0, 1, "an IOAS in a thread");
        EXPECT(destroy(shared, id), 0, "destroy in a thread");
    }
    return NULL;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = HANDLER_FLAGS};
    struct itimerval often = {.it_interval.tv_usec = 1000, .it_value.tv_usec = 1000}, never = {0};
    shared = open_iommu(0);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    while (handled < HANDLED) {
        uint32_t id = alloc_ioas(shared);
        EXPECT(id != 0, 1, "an IOAS while signals arrive");
        EXPECT(destroy(shared, id), 0, "destroy while signals arrive");
        int other = open_iommu(0);
        EXPECT(alloc_ioas(other), 1, "the first IOAS of a context, while signals arrive");
        EXPECT(close(other), 0, "close while signals arrive");
    }
    setitimer(ITIMER_REAL, &never, NULL);

    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        EXPECT(pthread_create(&threads[i], NULL, work, NULL), 0, "pthread_create");
    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork();
        if (child == 0) {
            uint32_t id = alloc_ioas(shared);
            EXPECT(id != 0, 1, "an IOAS in a child of many threads");
            EXPECT(destroy(shared, id), 0, "destroy in a child of many threads");
            EXPECT(close(shared), 0, "close in a child of many threads");
            _exit(0);
        }
        EXPECT(exit_status(child), 0, "exit status of a child of many threads");
    }
    over = 1;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    EXPECT(alloc_ioas(shared), 1, "the first id, after all were destroyed");
    return 0;
}
