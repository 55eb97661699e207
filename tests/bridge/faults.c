/* The kernel's own fault injection: fail-nth of a thread makes the nth failure point of what it does next fail. */
#include "check.h"

#include <sys/syscall.h>

static int nth_file(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%ld/fail-nth", syscall(SYS_gettid));
    int fd = open(path, O_RDWR);
    EXPECT(fd >= 0, 1, path);
    return fd;
}

static void set(int fd, unsigned int nth)
{
    char text[16];
    int length = snprintf(text, sizeof text, "%u", nth);
    EXPECT(pwrite(fd, text, (size_t)length, 0), length, "write to fail-nth");
}

static unsigned int left(int fd)
{
    char text[16] = "";
    EXPECT(pread(fd, text, sizeof text - 1, 0) >= 2, 1, "read of fail-nth");
    return (unsigned int)strtoul(text, NULL, 10);
}

/* What a program does: 0, or the errno of what fails. */
static int run(void)
{
    int fd = open("/dev/iommu", O_RDWR), error = 0;
    if (fd < 0)
        return errno;
    uint32_t ioas = alloc_ioas(fd);
    if (ioas == 0 || destroy(fd, ioas) != 0)
        error = errno;
    close(fd);
    return error;
}

int main(void)
{
    int nth = nth_file();
    unsigned int points = 0;
    for (unsigned int n = 1;; n++) {
        set(nth, n);
        int error = run();
        unsigned int rest = left(nth);
        set(nth, 0);
        if (rest > 0) {
            EXPECT(error, 0, "what was done, which has fewer failure points than the one that was to fail");
            break;
        }
        EXPECT(error, ENOMEM, "errno of what was made to fail");
        points = n;
    }
    /* The open, the beginning of IOAS_ALLOC, and its id; DESTROY has none. */
    EXPECT(points, 3, "failure points");
    EXPECT(run(), 0, "what is done without a fault");
    return 0;
}
