/* How functions of libc are replaced. What is not ours is passed on to them, with errno as it was. */
#ifndef HOOKS_H
#define HOOKS_H

#include "bridge.h"

#include <dlfcn.h>

#define EXPORT __attribute__((visibility("default")))

static inline void *libc_find(_Atomic(void *) *slot, const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    atomic_store_explicit(slot, function, memory_order_relaxed);
    return function;
}

static inline void *libc_function(_Atomic(void *) *slot, const char *name)
{
    void *function = atomic_load_explicit(slot, memory_order_relaxed);
    return __builtin_expect(function != NULL, 1) ? function : libc_find(slot, name);
}

/* libc's functions of a list: found when the library is loaded, or by a call that comes before. */
#define LIBC_SLOT(name) static _Atomic(void *) libc_##name;
#define LIBC_FIND(name) libc_find(&libc_##name, #name);
#define REPLACED(list) \
    list(LIBC_SLOT) \
    __attribute__((constructor)) static void find_libc(void) \
    { \
        int error = errno; \
        list(LIBC_FIND) \
        errno = error; \
    }

#define LIBC_AS(type, name) ((__typeof__(&(type)))libc_function(&libc_##name, #name))
#define LIBC(name) LIBC_AS(name, name)

/* Looks for what a number leads to; errno stays. */
static inline bool find_quietly(int fd, struct descriptor *descriptor)
{
    int error = errno;
    bool found = descriptor_find(fd, descriptor);
    errno = error;
    return found;
}

/* Finds where a path leads. Returns the path that libc is to have in its place. */
static inline const char *find_place(const char *path, struct place *place)
{
    place->kind = PLACE_ELSEWHERE;
    if (__builtin_expect(!tree_exists(), 1))
        return path;
    place_find((uint64_t)path, place);
    return place->kind == PLACE_ELSEWHERE ? path : place->path;
}

#endif
