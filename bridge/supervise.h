/* What the files of iommufd-supervise have of each other. Here the heap, locks and libc are used as in any program. */
#ifndef SUPERVISE_H
#define SUPERVISE_H

#include "bridge.h"

#include <linux/seccomp.h>

/* ---- supervise.c ---- */

/* Where the calls of all supervised processes arrive. */
extern int supervise_listener;
/* Calls settle some time later. */
void supervise_settle_later(void);
/* Calls target_over when the process of a pidfd has ended. */
int supervise_watch(int life, uint64_t program);

/* ---- served.c ---- */

/* The filter of a supervised program, which the calling process gets. Returns the listener, or -1. */
int filter_install(void);
/* Serves a call: fills in its answer. */
void serve(const struct seccomp_notif *call, struct seccomp_notif_resp *answer);

/* ---- closings.c ---- */

/* The thread will close a number. */
void closes(const struct seccomp_notif *call, int fd);
/* Waits until the service has done what closes do that the kernel has come to: all of them where no program is left. */
void settle(bool all);

/* ---- target.c ---- */

struct target;

/* Whom a thread serves: its call, and its target, once that is asked for. */
struct turn {
    const struct seccomp_notif *call;
    struct target *target;
};

/* Serves another one from now on. Returns whom it served before. */
struct turn serve_turn(struct turn next);
/* Gives up what a turn holds. */
void turn_over(struct turn turn);
/* The target of the call, for a turn of its own. */
struct target *target_keep(void);
/* The call that the thread serves. */
extern __thread const struct seccomp_notif *serving;
/* Whether its caller still waits: what has the caller's number otherwise may be another thread. */
bool caller_waits(void);
/* /proc/PID of the call's target, and its maps; -1 for none. */
int target_folder(void);
int target_maps(void);
int open_at(int folder, const char *path, int flags);
/* Reads /proc/THREAD/NAME, as far as it fits. */
void read_text(pid_t thread, const char *name, char *text, size_t size);
/* Where the program has called, for traces. */
const void *program_caller(void);
/* A program's memory has ended. */
void target_over(uint64_t program);

#endif
