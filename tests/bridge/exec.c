/* A descriptor that a program inherits by exec, by posix_spawn, and as a child of vfork. */
#include "check.h"

#include <spawn.h>
#include <sys/stat.h>

extern char **environ;

static int inherited(const char *number)
{
    int fd = atoi(number);
    struct stat status;
    EXPECT(fstat(fd, &status), 0, "fstat of an inherited descriptor");
    EXPECT(S_ISCHR(status.st_mode), 1, "an inherited descriptor is a character device");
    EXPECT(destroy(fd, 1), 0, "destroy of the IOAS that the program before has allocated");
    EXPECT_ERRNO(destroy(fd, 1), ENOENT, "destroy of an IOAS that is gone");
    EXPECT(alloc_ioas(fd), 1, "an IOAS for the next program");
    return 0;
}

int main(int count, char **arguments)
{
    if (count > 1)
        return inherited(arguments[1]);
    char number[16];
    int fd = open_iommu(0), private = open_iommu(O_CLOEXEC);
    EXPECT(fcntl(fd, F_GETFD), 0, "descriptor flags without O_CLOEXEC");
    EXPECT(fcntl(private, F_GETFD), FD_CLOEXEC, "descriptor flags with O_CLOEXEC");
    EXPECT(alloc_ioas(fd), 1, "the first IOAS");
    snprintf(number, sizeof number, "%d", fd);
    char *again[] = {arguments[0], number, NULL};

    pid_t child = vfork();
    if (child == 0) {
        execv(arguments[0], again);
        _exit(127);
    }
    EXPECT(exit_status(child), 0, "exit status of a program started by vfork and exec");

    child = vfork();
    if (child == 0)
        _exit(close(fd) != 0 || alloc_ioas(private) != 1 || destroy(private, 1) != 0);
    EXPECT(exit_status(child), 0, "exit status of a child of vfork that closes its copy");
    EXPECT(destroy(fd, 1), 0, "destroy after a child of vfork has closed its copy");
    EXPECT(alloc_ioas(fd), 1, "an IOAS for the next program");

    /* A child of vfork shares the parent's memory, but not its numbers. */
    child = vfork();
    if (child == 0) {
        close(fd);
        int other = open("/dev/null", O_RDONLY);
        _exit(other != fd || ioctl(other, IOMMU_IOAS_ALLOC, NULL) == 0 || dup2(other, private) != private || ioctl(private, 0, NULL) == 0);
    }
    EXPECT(exit_status(child), 0, "exit status of a child of vfork that uses its parent's numbers for other files");
    EXPECT(alloc_ioas(private), 1, "an IOAS by a number that a child of vfork has used for another file");
    EXPECT(alloc_ioas(fd), 2, "an IOAS by the other such number");
    EXPECT(destroy(fd, 2), 0, "destroy by it");

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, 100);
    posix_spawn_file_actions_addclose(&actions, fd);
    again[1] = "100";
    EXPECT(posix_spawn(&child, arguments[0], &actions, NULL, again, environ), 0, "posix_spawn");
    EXPECT(exit_status(child), 0, "exit status of a program started by posix_spawn with dup2");
    posix_spawn_file_actions_destroy(&actions);

    close(private);
    again[1] = number;
    execv(arguments[0], again);
    perror("execv");
    return 1;
}
