/*
 * Calls with a path that open nothing of ours, but find files of the gateway's tree: links, folders, and streams, which
 * libc opens without its own open.
 */
#define _GNU_SOURCE
#include "hooks.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/xattr.h>

ssize_t __readlink_chk(const char *path, char *buffer, size_t count, size_t size);
ssize_t __readlinkat_chk(int at, const char *path, char *buffer, size_t count, size_t size);
char *__realpath_chk(const char *path, char *resolved, size_t size);

#define FUNCTIONS(X) \
    X(readlink) X(readlinkat) X(__readlink_chk) X(__readlinkat_chk) X(realpath) X(__realpath_chk) X(canonicalize_file_name) \
    X(opendir) X(scandir) X(scandir64) X(fopen) X(fopen64) \
    X(getxattr) X(lgetxattr) X(listxattr) X(llistxattr)

REPLACED(FUNCTIONS)

#define PASSED(type, name, parameters, arguments) \
    EXPORT type name parameters \
    { \
        struct place place; \
        path = find_place(path, &place); \
        return LIBC(name) arguments; \
    }

PASSED(ssize_t, readlink, (const char *path, char *buffer, size_t count), (path, buffer, count))
PASSED(ssize_t, readlinkat, (int at, const char *path, char *buffer, size_t count), (at, path, buffer, count))
PASSED(ssize_t, __readlink_chk, (const char *path, char *buffer, size_t count, size_t size), (path, buffer, count, size))
PASSED(ssize_t, __readlinkat_chk, (int at, const char *path, char *buffer, size_t count, size_t size), (at, path, buffer, count, size))
PASSED(DIR *, opendir, (const char *path), (path))
PASSED(int, scandir, (const char *path, struct dirent ***found, int (*select)(const struct dirent *), int (*compare)(const struct dirent **, const struct dirent **)),
       (path, found, select, compare))
PASSED(int, scandir64, (const char *path, struct dirent64 ***found, int (*select)(const struct dirent64 *), int (*compare)(const struct dirent64 **, const struct dirent64 **)),
       (path, found, select, compare))

/* libc opens a stream's file itself. */
#define STREAMS(name) \
    EXPORT FILE *name(const char *path, const char *mode) \
    { \
        struct place place; \
        path = find_place(path, &place); \
        int status = mode[0] == 'r' && strchr(mode, '+') == NULL ? status_file(path) : -1; \
        return status < 0 ? LIBC(name)(path, mode) : fdopen(file_give(status, 0), mode); \
    }

STREAMS(fopen)
STREAMS(fopen64)

/* As ls asks. */
PASSED(ssize_t, getxattr, (const char *path, const char *name, void *value, size_t size), (path, name, value, size))
PASSED(ssize_t, lgetxattr, (const char *path, const char *name, void *value, size_t size), (path, name, value, size))
PASSED(ssize_t, listxattr, (const char *path, char *list, size_t size), (path, list, size))
PASSED(ssize_t, llistxattr, (const char *path, char *list, size_t size), (path, list, size))

/* What is found in the tree is the program's path again. */
#define RESOLVES(name, parameters, arguments) \
    EXPORT char *name parameters \
    { \
        struct place place; \
        path = find_place(path, &place); \
        char *found = LIBC(name) arguments; \
        if (found != NULL && place.kind != PLACE_ELSEWHERE) \
            tree_leave(found); \
        return found; \
    }

RESOLVES(realpath, (const char *path, char *resolved), (path, resolved))
RESOLVES(__realpath_chk, (const char *path, char *resolved, size_t size), (path, resolved, size))
RESOLVES(canonicalize_file_name, (const char *path), (path))
