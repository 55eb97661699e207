/*
 * iommufd-run: starts a program with the bridge. It sets the environment and becomes the program, so that its signals,
 * status and terminal are the program's own.
 *
 *   iommufd-run [--socket PATH] [--bridge PATH] [--durable] [--supervise] [--] PROGRAM ARGS...
 *
 * 'iommufd run' becomes this. What needs a process beside the program (a silo, a trace, a report of leaks), this hands
 * back to the command line, which then starts the program by this again, and names the socket.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define OWN_FAILURE 125 /* as env, timeout and nohup end when they themselves fail */
#define NOT_EXECUTABLE 126
#define NOT_FOUND 127

extern char **environ;

__attribute__((noreturn, format(printf, 2, 3))) static void fail(int status, const char *format, ...)
{
    va_list more;
    va_start(more, format);
    fputs("iommufd run: ", stderr);
    vfprintf(stderr, format, more);
    fputc('\n', stderr);
    exit(status);
}

/* A path beside this program. */
static const char *beside(char path[PATH_MAX], const char *name)
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 64);
    path[length < 0 ? 0 : length] = '\0';
    char *slash = strrchr(path, '/');
    strcpy(slash == NULL ? path : slash + 1, name);
    return path;
}

static bool answers(const char *socket_path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (strlen(socket_path) >= sizeof to.sun_path || fd < 0)
        return errno = ENAMETOOLONG, false;
    strcpy(to.sun_path, socket_path);
    bool connected = connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
    int error = errno;
    close(fd);
    errno = error;
    return connected;
}

/* What only 'iommufd run' can do. */
static void hand_over(char **arguments)
{
    static const char *const places[] = {"iommufd", "../bin/iommufd/release/iommufd", "../bin/iommufd/debug/iommufd"};
    char path[PATH_MAX];
    size_t count = 0;
    while (arguments[count] != NULL)
        count++;
    char **command = calloc(count + 2, sizeof *command);
    if (command == NULL)
        fail(OWN_FAILURE, "no memory");
    command[0] = path;
    command[1] = "run-supervised";
    memcpy(command + 2, arguments + 1, (count - 1) * sizeof *command);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        beside(path, places[i]);
        execv(path, command);
    }
    fail(OWN_FAILURE, "no silo is up, or an option needs the command line 'iommufd', which is not built: 'make build' builds it");
}

/* The file that a name leads to, as execvp finds it. */
static const char *find(const char *name, char path[PATH_MAX])
{
    const char *folders = getenv("PATH");
    struct stat status;
    bool denied = false;
    if (strchr(name, '/') != NULL)
        return name;
    for (const char *at = folders == NULL ? "/bin:/usr/bin" : folders, *end; *name != '\0'; at = end + 1) {
        end = strchrnul(at, ':');
        int length = snprintf(path, PATH_MAX, "%.*s%s%s", (int)(end - at), at, end == at ? "" : "/", name);
        if (length < PATH_MAX && stat(path, &status) == 0 && S_ISREG(status.st_mode)) {
            if (access(path, X_OK) == 0)
                return path;
            denied = true;
        }
        if (*end == '\0')
            break;
    }
    fail(denied ? NOT_EXECUTABLE : NOT_FOUND, "'%s' %s", name, denied ? "is not executable" : "is not found in PATH");
}

/* Preloading needs a dynamic linker, and one that heeds LD_PRELOAD. Of a script, its interpreter decides that. Says whether it is there. */
static bool has_dynamic_linker(const char *path)
{
    bool interpreted = true;
    Elf64_Ehdr header;
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) /* a program may be executable and not readable: then the kernel's answer counts */
        return true;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)
        && (((status.st_mode & S_ISUID) != 0 && status.st_uid != getuid())
            || ((status.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && status.st_gid != getgid())))
        fail(NOT_EXECUTABLE, "'%s' is setuid or setgid: the dynamic linker preloads nothing into it, so its ioctls can't be intercepted", path);
    if (read(fd, &header, sizeof header) == (ssize_t)sizeof header && memcmp(header.e_ident, ELFMAG, SELFMAG) == 0) {
        if (header.e_ident[EI_CLASS] != ELFCLASS64)
            fail(NOT_EXECUTABLE, "'%s' is a 32-bit program, into which the bridge can't be loaded", path);
        interpreted = false;
        for (unsigned int i = 0; i < header.e_phnum && !interpreted; i++) {
            Elf64_Phdr segment;
            off_t at = (off_t)(header.e_phoff + (Elf64_Off)i * header.e_phentsize);
            interpreted = pread(fd, &segment, sizeof segment, at) != (ssize_t)sizeof segment || segment.p_type == PT_INTERP;
        }
    }
    close(fd);
    return interpreted;
}

/* What preloading can't see: its system calls are held for a supervisor. */
static void supervise(const char *program, char **arguments, size_t count)
{
    char path[PATH_MAX];
    char **command = calloc(count + 3, sizeof *command);
    if (command == NULL)
        fail(OWN_FAILURE, "no memory");
    command[0] = (char *)(unsigned long)beside(path, "iommufd-supervise");
    command[1] = "--";
    command[2] = (char *)(unsigned long)program;
    memcpy(command + 3, arguments + 1, (count - 1) * sizeof *command);
    unsetenv("LD_PRELOAD");
    execv(command[0], command);
    fail(OWN_FAILURE, "'%s' can't be run: %s. 'make bridge' builds it", command[0], strerror(errno));
}

static void set(const char *name, const char *value)
{
    if (setenv(name, value, 1) != 0)
        fail(OWN_FAILURE, "no memory");
}

/* Ours first; what was preloaded before stays. */
static void preload(const char *bridge)
{
    const char *before = getenv("LD_PRELOAD");
    char *all;
    if (strpbrk(bridge, ": ") != NULL)
        fail(OWN_FAILURE, "the bridge is '%s': LD_PRELOAD can't name a path with a space or a colon", bridge);
    if (asprintf(&all, "%s%s%s", bridge, before == NULL || *before == '\0' ? "" : ":", before == NULL ? "" : before) < 0)
        fail(OWN_FAILURE, "no memory");
    set("LD_PRELOAD", all);
}

int main(int count, char **arguments)
{
    char program[PATH_MAX], bridge[PATH_MAX], path[PATH_MAX];
    const char *socket_path = getenv("IOMMUFD_SOCKET"), *library = beside(path, "libiommufd-bridge.so");
    bool named = false, supervised = false;
    int at = 1;
    for (; at < count && arguments[at][0] == '-'; at++) {
        const char *option = arguments[at];
        if (strcmp(option, "--") == 0) {
            at++;
            break;
        }
        if (strcmp(option, "--durable") == 0)
            set("IOMMUFD_MODE", "durable");
        else if (strcmp(option, "--supervise") == 0)
            supervised = true;
        else if (strcmp(option, "--socket") == 0 && at + 1 < count) {
            socket_path = arguments[++at];
            named = true;
        } else if (strcmp(option, "--bridge") == 0 && at + 1 < count)
            library = arguments[++at];
        else
            hand_over(arguments);
    }
    if (at >= count)
        hand_over(arguments);
    if (socket_path == NULL || *socket_path == '\0')
        socket_path = ".state/iommufd.sock";
    else
        named = true;
    if (!answers(socket_path)) {
        if (named)
            fail(OWN_FAILURE, "no silo answers at '%s': %s. 'make run' starts one; without --socket and IOMMUFD_SOCKET, one is started for the program", socket_path,
                 strerror(errno));
        hand_over(arguments);
    }
    if (realpath(library, bridge) == NULL)
        fail(OWN_FAILURE, "the bridge '%s' is missing: 'make bridge' builds it", library);
    const char *found = find(arguments[at], program);
    supervised = !has_dynamic_linker(found) || supervised;
    if (realpath(socket_path, path) != NULL)
        set("IOMMUFD_SOCKET", path);
    if (supervised)
        supervise(found, arguments + at, (size_t)(count - at));
    preload(bridge);
    execve(found, arguments + at, environ);
    int error = errno;
    if (error == ENOEXEC) { /* a script without its first line, which execvp gives to the shell */
        arguments[at - 1] = "sh";
        arguments[at] = (char *)(unsigned long)found;
        execv("/bin/sh", arguments + at - 1);
    }
    fail(error == ENOENT ? NOT_FOUND : NOT_EXECUTABLE, "'%s' can't be run: %s", found, strerror(error));
}
