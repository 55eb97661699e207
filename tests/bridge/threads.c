/* 16 threads on one descriptor, and a descriptor that is closed under a thread's ioctls. */
#include "check.h"

#include <pthread.h>

enum { THREADS = 16, ROUNDS = 100, CLOSES = 50 };

static int shared;
static pthread_barrier_t barrier;

static void *work(void *unused)
{
    (void)unused;
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t one = alloc_ioas(shared), other = alloc_ioas(shared);
        EXPECT(one != 0 && other != 0 && one != other, 1, "two IOASes have two ids");
        EXPECT(destroy(shared, one), 0, "destroy of a thread's first IOAS");
        EXPECT(destroy(shared, other), 0, "destroy of a thread's second IOAS");
    }
    return NULL;
}

static void *until_closed(void *unused)
{
    (void)unused;
    pthread_barrier_wait(&barrier);
    uint32_t id;
    while ((id = alloc_ioas(shared)) != 0)
        ;
    EXPECT(errno, EBADF, "errno of the ioctl after close");
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    shared = open_iommu(0);
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        EXPECT(pthread_create(&threads[i], NULL, work, NULL), 0, "pthread_create");
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    EXPECT(alloc_ioas(shared), 1, "the first id, after all were destroyed");
    EXPECT(close(shared), 0, "close");
    pthread_barrier_destroy(&barrier);

    pthread_barrier_init(&barrier, NULL, 2);
    for (int i = 0; i < CLOSES; i++) {
        shared = open_iommu(0);
        EXPECT(pthread_create(&threads[0], NULL, until_closed, NULL), 0, "pthread_create");
        pthread_barrier_wait(&barrier);
        EXPECT(close(shared), 0, "close while another thread is in an ioctl");
        pthread_join(threads[0], NULL);
    }
    return 0;
}
