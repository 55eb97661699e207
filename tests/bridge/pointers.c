/* Bad pointers of every kind are EFAULT: no signal, and nothing of the program's memory changes. */
#include "check.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

static void *const anywhere_bad[] = {
    NULL, (void *)1, (void *)0xFFF, (void *)0x300000000000, (void *)0x800000000000, (void *)0xDEAD000000000000, (void *)-4096L, (void *)-8L, (void *)-1L,
};

static void crashed(int number)
{
    (void)number;
    static const char words[] = "a bad pointer was followed\n";
    if (write(STDERR_FILENO, words, sizeof words - 1) > 0)
        _exit(3);
}

/* A page behind which nothing can be accessed. (Where nothing is mapped, somebody may map something.) */
static char *last_page(int protection)
{
    char *pages = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(pages, 4096, protection);
    return pages;
}

static void arguments(int fd)
{
    char *page = last_page(PROT_READ | PROT_WRITE), *read_only = last_page(PROT_READ | PROT_WRITE);
    for (size_t i = 0; i < sizeof anywhere_bad / sizeof *anywhere_bad; i++)
        EXPECT_ERRNO(ioctl(fd, IOMMU_IOAS_ALLOC, anywhere_bad[i]), EFAULT, "IOAS_ALLOC at a bad address");
    EXPECT_ERRNO(ioctl(fd, IOMMU_IOAS_ALLOC, last_page(PROT_NONE)), EFAULT, "IOAS_ALLOC in a page without permissions");
    for (size_t before = 1; before < 12; before++) {
        uint32_t size = 12;
        memset(page, 0, 4096);
        memcpy(page + 4096 - before, &size, before < sizeof size ? before : sizeof size);
        EXPECT_ERRNO(ioctl(fd, IOMMU_IOAS_ALLOC, page + 4096 - before), EFAULT, "IOAS_ALLOC across the end of memory");
    }
    memcpy(page + 4096 - 12, (uint32_t[3]){12}, 12);
    EXPECT(ioctl(fd, IOMMU_IOAS_ALLOC, page + 4096 - 12), 0, "IOAS_ALLOC up to the end of memory");
    uint32_t id;
    memcpy(&id, page + 4096 - 4, sizeof id);
    EXPECT(destroy(fd, id), 0, "destroy of the id that was written at the end of memory");

    memcpy(read_only, (uint32_t[3]){12}, 12);
    mprotect(read_only, 4096, PROT_READ);
    EXPECT_ERRNO(ioctl(fd, IOMMU_IOAS_ALLOC, read_only), EFAULT, "IOAS_ALLOC in memory that can't be written");
    EXPECT(((uint32_t *)read_only)[2], 0, "what memory has that can't be written");
}

static void sizes(int fd)
{
    uint32_t *large = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    large[0] = 16 << 20;
    EXPECT(ioctl(fd, IOMMU_IOAS_ALLOC, large), 0, "IOAS_ALLOC of 16 MiB of zeros");
    EXPECT(destroy(fd, large[2]), 0, "destroy of it");
    large[2] = 0;
    large[(16 << 18) - 1] = 1;
    EXPECT_ERRNO(ioctl(fd, IOMMU_IOAS_ALLOC, large), E2BIG, "IOAS_ALLOC with a byte at its end");
    large[(16 << 18) - 1] = 0;
    mprotect((char *)large + (8 << 20), 4096, PROT_NONE);
    EXPECT_ERRNO(ioctl(fd, IOMMU_IOAS_ALLOC, large), EFAULT, "IOAS_ALLOC with a hole");
    large[0] = UINT32_MAX;
    EXPECT_ERRNO(ioctl(fd, IOMMU_IOAS_ALLOC, large), EFAULT, "IOAS_ALLOC of 4 GiB");
}

static void buffers(int fd)
{
    uint32_t ioas = alloc_ioas(fd);
    char *page = last_page(PROT_READ | PROT_WRITE), *read_only = last_page(PROT_READ);
    struct { uint32_t size, ioas, count, reserved; uint64_t ranges, alignment; } ranges = {sizeof ranges, ioas, 4, 0, 0, 0};
    struct { uint32_t size, ioas, count, reserved; uint64_t ranges; } allow = {sizeof allow, ioas, 1, 0, 0};
    for (size_t i = 0; i < sizeof anywhere_bad / sizeof *anywhere_bad; i++) {
        ranges.count = 4;
        ranges.ranges = allow.ranges = (uint64_t)anywhere_bad[i];
        EXPECT_ERRNO(ioctl(fd, IOMMU_IOAS_IOVA_RANGES, &ranges), EFAULT, "IOVA_RANGES into a bad address");
        EXPECT_ERRNO(ioctl(fd, IOMMU_IOAS_ALLOW_IOVAS, &allow), EFAULT, "ALLOW_IOVAS from a bad address");
    }
    ranges.count = 4;
    ranges.ranges = (uint64_t)read_only;
    EXPECT_ERRNO(ioctl(fd, IOMMU_IOAS_IOVA_RANGES, &ranges), EFAULT, "IOVA_RANGES into memory that can't be written");
    ranges.count = 1;
    ranges.ranges = (uint64_t)page + 4096 - 16;
    EXPECT(ioctl(fd, IOMMU_IOAS_IOVA_RANGES, &ranges), 0, "IOVA_RANGES up to the end of memory");
    allow.ranges = (uint64_t)page + 4096 - 8;
    EXPECT_ERRNO(ioctl(fd, IOMMU_IOAS_ALLOW_IOVAS, &allow), EFAULT, "ALLOW_IOVAS across the end of memory");
    allow.count = UINT32_MAX;
    EXPECT_ERRNO(ioctl(fd, IOMMU_IOAS_ALLOW_IOVAS, &allow), EFAULT, "ALLOW_IOVAS of 64 GiB");
    EXPECT(destroy(fd, ioas), 0, "destroy");
}

static void files(int fd)
{
    struct { uint32_t size, flags, id; int32_t fd; } queue = {sizeof queue, 0, 0, -1};
    char *read_only = last_page(PROT_READ), data[64] = {0};
    EXPECT(ioctl(fd, IOMMU_FAULT_QUEUE_ALLOC, &queue), 0, "FAULT_QUEUE_ALLOC");
    EXPECT(fcntl(queue.fd, F_GETFD), FD_CLOEXEC, "flags of a queue's descriptor");
    EXPECT(read(queue.fd, anywhere_bad[3], 40), 0, "read of an empty queue into a bad address");
    EXPECT(read(queue.fd, read_only, 40), 0, "read of an empty queue");
    for (size_t i = 0; i < sizeof anywhere_bad / sizeof *anywhere_bad; i++) {
        EXPECT_ERRNO(write(queue.fd, anywhere_bad[i], 8), EFAULT, "write from a bad address");
        EXPECT_ERRNO(readv(queue.fd, anywhere_bad[i], 1), EFAULT, "readv of a vector at a bad address");
    }
    EXPECT_ERRNO(readv(queue.fd, &(struct iovec){data, (size_t)-1}, 1), EINVAL, "readv of a negative length");
    EXPECT_ERRNO(read(fd, data, 8), EINVAL, "read of a context");
    EXPECT_ERRNO(ioctl(queue.fd, IOMMU_IOAS_ALLOC, data), ENOTTY, "an ioctl on a queue's file");
    EXPECT(close(queue.fd), 0, "close of a queue's file");
}

static void paths(void)
{
    struct stat status;
    for (size_t i = 1; i < sizeof anywhere_bad / sizeof *anywhere_bad; i++) {
        EXPECT_ERRNO(open(anywhere_bad[i], O_RDWR), EFAULT, "open of a path at a bad address");
        EXPECT_ERRNO(open(anywhere_bad[i], O_RDWR | O_CREAT, 0600), EFAULT, "creation of a path at a bad address");
        EXPECT_ERRNO(stat(anywhere_bad[i], &status), EFAULT, "stat of a path at a bad address");
        EXPECT_ERRNO(stat("/dev/iommu", anywhere_bad[i]), EFAULT, "stat into a bad address");
        EXPECT_ERRNO(access(anywhere_bad[i], R_OK), EFAULT, "access of a path at a bad address");
    }
    EXPECT(stat("/dev/iommu", &status), 0, "stat");
    EXPECT(S_ISCHR(status.st_mode), 1, "the device is a character device");
    EXPECT(access("/dev/iommu", R_OK | W_OK), 0, "access");
}

int main(void)
{
    signal(SIGSEGV, crashed);
    signal(SIGBUS, crashed);
    int fd = open_iommu(0);
    arguments(fd);
    sizes(fd);
    buffers(fd);
    files(fd);
    paths();
    return close(fd) == 0 ? 0 : 1;
}
