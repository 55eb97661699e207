#include "rounds.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define SAMPLES (1U << 20)

struct worker workers[MAX_THREADS];
unsigned int threads = 1;
void (*call)(struct worker *worker);

static pthread_barrier_t start, end;
static uint64_t deadline;

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void *work(void *of)
{
    struct worker *worker = of;
    for (;;) {
        pthread_barrier_wait(&start);
        worker->calls = worker->taken = 0;
        for (uint64_t before = now(), after; before < deadline; before = after) {
            call(worker);
            after = now();
            if (worker->taken < SAMPLES)
                worker->samples[worker->taken++] = after - before;
        }
        pthread_barrier_wait(&end);
    }
    return NULL;
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

static void run_round(uint64_t milliseconds)
{
    static uint64_t all[SAMPLES * 2];
    size_t count = 0;
    uint64_t calls = 0, began = now();
    deadline = began + milliseconds * 1000000U;
    pthread_barrier_wait(&start);
    pthread_barrier_wait(&end);
    uint64_t took = now() - began;
    for (unsigned int i = 0; i < threads; i++) {
        calls += workers[i].calls;
        for (size_t j = 0; j < workers[i].taken && count < SAMPLES * 2; j++)
            all[count++] = workers[i].samples[j];
    }
    qsort(all, count, sizeof *all, compare);
    printf("%lu %lu %lu %lu\n", calls, took, all[count / 2], all[count - 1 - count / 100]);
    fflush(stdout);
}

void run_rounds(void)
{
    unsigned long milliseconds;
    pthread_barrier_init(&start, NULL, threads + 1);
    pthread_barrier_init(&end, NULL, threads + 1);
    for (unsigned int i = 0; i < threads; i++) {
        workers[i].samples = mmap(NULL, SAMPLES * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (workers[i].samples == MAP_FAILED || pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            fail("a thread");
    }
    while (scanf("%lu", &milliseconds) == 1)
        run_round(milliseconds);
}
