/*
 * A program that drives an emulated device by its VFIO device file, or does without one what that is measured against.
 *
 *   device copy BYTES      dma-test copies so many bytes: a store to the command register, the DMA, an interrupt
 *   device memcpy BYTES    the same by memcpy
 *   device tell pwrite|store   dma-test only tells: from the doorbell, a pwrite or a store to the mapped BAR, to its interrupt
 *   device read DEPTH      nvme reads 4 KiB, so many commands at once, by stores to the mapped doorbells and interrupts
 *
 * Needs a gateway with dma-test at 0000:01:00.0 and nvme at 0000:02:00.0.
 */
#include "nvme.h"
#include "rounds.h"

enum { RESULT = 0x0C, SOURCE = 0x18, DESTINATION = 0x20, LENGTH = 0x28, VECTOR = 0x30, COMMAND = 0x48, DOORBELL = 0x1000 };
enum { COPY = 1, INTERRUPT = 6 };

#define MOST_BYTES (1UL << 20)

static size_t bytes;
static int ended;
static unsigned int depth;

/* ---- dma-test ---- */

static void await_end(void)
{
    uint64_t count;
    if (read(ended, &count, sizeof count) != sizeof count)
        fail("read of the interrupt");
}

static void by_pwrite(struct worker *worker)
{
    write32(device, REGION(BAR0, COMMAND), bytes == 0 ? INTERRUPT : COPY);
    await_end();
    worker->calls++;
}

static void by_store(struct worker *worker)
{
    *(volatile uint32_t *)bar = INTERRUPT;
    await_end();
    worker->calls++;
}

static void copy_by_memcpy(struct worker *worker)
{
    memcpy(memory + MOST_BYTES, memory, bytes);
    __asm__ volatile("" : : "r"(memory) : "memory");
    worker->calls++;
}

static void make_memory(void)
{
    memory = mmap(NULL, 2 * MOST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        fail("mmap");
    memset(memory, 0x5A, MOST_BYTES);
    memset(memory + MOST_BYTES, 0, MOST_BYTES);
}

static void open_dma_test(void)
{
    struct device found;
    find_device(&found, "0000:01:00.0");
    int iommu = open_iommu(O_CLOEXEC);
    device = open_device(&found);
    EXPECT(bind_device(device, iommu), 0, "BIND");
    uint32_t ioas = alloc_ioas(iommu);
    attach_device(device, ioas);
    make_memory();
    map_memory(iommu, ioas, memory, 2 * MOST_BYTES, IOVA);
    set_master(device, 1);
    ended = eventfd(0, EFD_CLOEXEC);
    set_vectors(device, 0, 1, &ended);
    write32(device, REGION(BAR0, VECTOR), 0);
    write64(device, REGION(BAR0, SOURCE), IOVA);
    write64(device, REGION(BAR0, DESTINATION), IOVA + MOST_BYTES);
    write32(device, REGION(BAR0, LENGTH), (uint32_t)bytes);
}

/* ---- nvme ---- */

static void read_blocks(struct worker *worker)
{
    for (unsigned int i = 0; i < depth; i++)
        submit(&io, &(struct command){.opcode = READ, .space = 1, .pages = {page(OUT + i)}, .words10 = {i * 8, 0, PAGE / BLOCK - 1}});
    ring(&io);
    for (unsigned int i = 0; i < depth; i++)
        EXPECT(complete(&io, "READ"), 0, "READ");
    worker->calls += depth;
}

static void open_nvme(void)
{
    struct device found;
    find_device(&found, "0000:02:00.0");
    open_controller(&found, open_iommu(O_CLOEXEC));
    start();
    create_queues();
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    if (strcmp(argv[1], "read") == 0) {
        depth = (unsigned int)strtoul(argv[2], NULL, 10);
        if (depth == 0 || depth > 2 * DATA_PAGES)
            return 2;
        open_nvme();
        call = read_blocks;
    } else if (strcmp(argv[1], "tell") == 0) {
        open_dma_test();
        bar = map_bar(device, 4096, REGION(BAR0, DOORBELL));
        call = strcmp(argv[2], "store") == 0 ? by_store : by_pwrite;
    } else {
        bytes = strtoul(argv[2], NULL, 10);
        if (bytes == 0 || bytes > MOST_BYTES)
            return 2;
        if (strcmp(argv[1], "memcpy") == 0) {
            make_memory();
            call = copy_by_memcpy;
        } else {
            open_dma_test();
            call = by_pwrite;
            call(&workers[0]);
            EXPECT(read32(device, REGION(BAR0, RESULT)), 0, "the result of a COPY");
            EXPECT(memcmp(memory, memory + MOST_BYTES, bytes), 0, "what was copied");
        }
    }
    run_rounds();
    return 0;
}
