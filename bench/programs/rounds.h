/*
 * What the programs share that make the same call over and over: for each line with a number of milliseconds on its standard
 * input a program calls for so long, and prints the calls, the nanoseconds they took, and the median and the 99th percentile
 * of a call's (or a window's) nanoseconds.
 */
#ifndef ROUNDS_H
#define ROUNDS_H

#define _GNU_SOURCE
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_THREADS 64

struct worker {
    pthread_t thread;
    int fd;
    uint64_t calls, *samples;
    size_t taken;
    uint32_t ioas;
    uint64_t iova;
    uint8_t *request; /* the frames of a window, one behind the other */
    size_t request_bytes;
    uint32_t window;
};

extern struct worker workers[MAX_THREADS];
extern unsigned int threads;

/* Makes a call, or a window of calls, and counts them. */
extern void (*call)(struct worker *worker);

void fail(const char *what) __attribute__((noreturn));

/* Runs rounds until the end of the standard input. */
void run_rounds(void);

#endif
