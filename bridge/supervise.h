/* What the files of iommufd-supervise have of each other. Here the heap, locks and libc are used as in any program. */
#ifndef SUPERVISE_H
#define SUPERVISE_H

#include "bridge.h"

#include <linux/seccomp.h>

/* ---- supervise.c ---- */

/* Where the calls of all supervised processes arrive. */
extern int supervise_listener;
/* Calls target_over when the process of a pidfd has ended. */
int supervise_watch(int life, uint64_t program);

/* ---- served.c ---- */

/* The filter of a supervised program, which the calling process gets. Returns the listener, or -1. */
int filter_install(void);
/* Serves a call: fills in its answer. */
void serve(const struct seccomp_notif *call, struct seccomp_notif_resp *answer);

/* ---- target.c ---- */

/* The call that this thread serves from now on, and its end. */
void serve_begin(const struct seccomp_notif *call);
void serve_end(void);
/* Where the program has called, for traces. */
const void *program_caller(void);
/* A program's memory has ended. */
void target_over(uint64_t program);
/* Visits the numbers that are open, until a visit returns true. */
bool numbers_each(bool (*visit)(int fd, void *state), void *state);

#endif
