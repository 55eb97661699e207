/*
 * What supervised programs close. The kernel closes a number after the call has continued, so the gateway can't be waited
 * for then. It is at the next call that concerns it: that finds all done which the close does.
 */
#define _GNU_SOURCE
#include "supervise.h"

#include <pthread.h>

#define CLOSINGS 64
#define CLOSED_BY_THEN 10000000 /* ns, after which a call that has continued is over */

struct closing {
    struct seccomp_notif call;
    struct target *target;
    struct descriptor descriptor;
    struct trace trace;
};

static pthread_mutex_t closings_lock = PTHREAD_MUTEX_INITIALIZER;
static struct closing closings[CLOSINGS];
static _Atomic size_t closings_count;

static void end_closing(size_t at, bool over)
{
    struct closing *closing = &closings[at];
    bool last = over; /* of some that were closed, the latest was the last copy */
    for (size_t later = at + 1; later < atomic_load(&closings_count); later++)
        last = last && closings[later].descriptor.cookie != closing->descriptor.cookie;
    struct turn before = serve_turn((struct turn){&closing->call, closing->target});
    trace_end(&closing->trace, last, 0);
    turn_over(serve_turn(before));
    size_t count = atomic_load(&closings_count) - 1;
    memmove(closing, closing + 1, (count - at) * sizeof *closing);
    atomic_store(&closings_count, count);
}

void closes(const struct seccomp_notif *call, int fd)
{
    struct descriptor ours;
    if (!descriptor_find(fd, &ours))
        return;
    pthread_mutex_lock(&closings_lock);
    if (atomic_load(&closings_count) == CLOSINGS)
        end_closing(0, false);
    struct closing *closing = &closings[atomic_load(&closings_count)];
    closing->call = *call;
    closing->descriptor = ours;
    closing->target = target_keep();
    trace_begin(&closing->trace, TRACE_CLOSE, fd, 0, 0, program_caller());
    closing->trace.start = now_ns();
    atomic_fetch_add(&closings_count, 1);
    pthread_mutex_unlock(&closings_lock);
    supervise_settle_later();
}

/* Of another thread's call it is not known whether the kernel has come to it. */
void settle(bool all)
{
    if (atomic_load(&closings_count) == 0)
        return;
    pthread_mutex_lock(&closings_lock);
    for (size_t at = 0; at < atomic_load(&closings_count);) {
        struct closing *closing = &closings[at];
        bool is_past = all || now_ns() - closing->trace.start > CLOSED_BY_THEN;
        struct turn before = serve_turn((struct turn){&closing->call, closing->target});
        is_past = is_past || (before.call != NULL && before.call->pid == closing->call.pid);
        bool over = bridge_closed(&closing->descriptor);
        closing->target = serve_turn(before).target;
        if (over || is_past)
            end_closing(at, over);
        else
            at++;
    }
    pthread_mutex_unlock(&closings_lock);
}
