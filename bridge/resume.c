/*
 * The gateway has ended, and another one is there: a silo was restarted. What the program had open of a durable context is
 * still there, and is resumed: each dead descriptor gets a connection to the new gateway in its place. A call that had no
 * answer is sent again under its name, so that the program sees a pause.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <fcntl.h>
#include <sys/syscall.h>

#define PAUSE 20000000 /* ns, between attempts to connect */

/* Whether the program has something that outlives a gateway; and whether it has waited for another one in vain. */
static _Atomic bool outlives, gave_up;
static _Atomic bool was_found;
static __thread bool impatient;

void wait_for_none(bool none) { impatient = none; }

bool descriptor_outlives(const struct descriptor *descriptor)
{
    static const uint8_t none[RESUMPTION_BYTES];
    return memcmp(descriptor->resumption, none, sizeof none) != 0;
}

void resumable_note(const struct descriptor *descriptor)
{
    if (descriptor_outlives(descriptor))
        atomic_store(&outlives, true);
}

bool gateway_await(uint64_t *until)
{
    struct timespec pause = {.tv_nsec = PAUSE};
    if (impatient || !atomic_load(&outlives) || atomic_load(&gave_up) || errno == EMFILE || errno == ENFILE)
        return false;
    if (*until == 0) {
        *until = now_ns() + settings()->patience;
        say_waiting();
    }
    if (now_ns() >= *until) {
        atomic_store(&gave_up, true);
        return false;
    }
    syscall(SYS_nanosleep, &pause, NULL);
    return true;
}

void gateway_found(void)
{
    atomic_store(&gave_up, false);
    atomic_store(&was_found, true);
}

bool gateway_is_found(void) { return atomic_load(&was_found) && !atomic_load(&gave_up); }

bool channel_again(struct channel *channel)
{
    uint64_t before = channel->instance, until = 0;
    while (!channel->refused && channel_connect(channel) == 0) {
        if (channel->instance != before)
            return true;
        /* The same one still, which stops, and takes connections until it has. */
        channel_disconnect(channel);
        errno = ECONNREFUSED;
        if (!gateway_await(&until))
            break;
    }
    say_gone();
    errno = EIO;
    return false;
}

/* ---- descriptors ---- */

/* A number of the program's that leads to a socket which has a successor. */
struct succession {
    uint64_t dead;
    int by;
};

static bool replace(int fd, void *state)
{
    const struct succession *succession = state;
    number_replace(fd, succession->dead, succession->by);
    return false;
}

/* A walk over the program's numbers, and what the gateway has answered about the one that a call is for. */
struct walk {
    const struct channel *channel;
    uint64_t wanted;
    bool refused;
};

static bool resume_one(int fd, void *state)
{
    struct walk *walk = state;
    struct descriptor dead, successor;
    uint64_t cookie = fd_cookie(fd);
    if (cookie == 0 || !descriptor_known(cookie, &dead) || dead.instance == walk->channel->instance)
        return false;
    int by = descriptor_outlives(&dead) ? descriptor_resume(&dead, &successor) : RESUME_REFUSED;
    if (cookie == walk->wanted)
        walk->refused = by == RESUME_REFUSED;
    if (by < 0)
        return false;
    descriptor_note(&successor);
    numbers_each(replace, &(struct succession){.dead = cookie, .by = by});
    syscall(SYS_close, by);
    descriptor_over(&dead);
    return false;
}

bool descriptor_current(struct channel *channel, int fd, struct descriptor *descriptor)
{
    struct descriptor there;
    uint64_t until = 0;
    while (descriptor->instance != channel->instance) {
        /* All that the program has: a lease ends what it does not use. */
        struct walk walk = {.channel = channel, .wanted = descriptor->cookie};
        numbers_each(resume_one, &walk);
        uint64_t cookie = fd_cookie(fd);
        if (cookie != 0 && descriptor_known(cookie, &there) && there.instance == channel->instance) {
            *descriptor = there;
        } else if (walk.refused || cookie != descriptor->cookie) {
            if (descriptor_outlives(descriptor))
                say_lost();
            else
                say_gone();
            errno = EIO;
            return false;
        } else {
            /* No answer: the gateway has ended too, or could not reach the context in time. */
            channel_disconnect(channel);
            errno = ECONNREFUSED;
            if (!gateway_await(&until)) {
                say_gone();
                errno = EIO;
                return false;
            }
            if (channel_connect(channel) < 0)
                return false;
        }
    }
    return true;
}

void descriptor_closed_dead(const struct descriptor *dead)
{
    struct descriptor successor;
    int fd = descriptor_outlives(dead) ? descriptor_resume(dead, &successor) : -1;
    if (fd >= 0)
        syscall(SYS_close, fd);
}
