/*
 * What a driver of an NVMe controller does: data by lists of pages, queues that begin again, and resets while commands are
 * running. Needs a gateway with nvme at 0000:02:00.0.
 */
#include "nvme.h"

#include <stdbool.h>

static void identify(void)
{
    uint8_t *answer = memory + ANSWER * PAGE;
    execute(&admin, &(struct command){.opcode = IDENTIFY, .pages = {page(ANSWER)}, .words10 = {1}}, "IDENTIFY of the controller");
    EXPECT(answer[0] | answer[1] << 8, 0x1234, "the vendor that the controller says");
    EXPECT(answer[516], 1, "namespaces");
    execute(&admin, &(struct command){.opcode = IDENTIFY, .space = 1, .pages = {page(ANSWER)}}, "IDENTIFY of the namespace");
    EXPECT(*(uint64_t *)answer >= 3 * DATA / BLOCK, 1, "the namespace has room");
    submit(&admin, &(struct command){.opcode = IDENTIFY, .space = 4711, .pages = {page(ANSWER)}});
    ring(&admin);
    EXPECT(complete(&admin, "IDENTIFY of no namespace") & 0x7FF, 0x0B, "the status of a namespace that is not there");
}

/* A transfer of all data pages, of which a list names those behind the first. */
static struct command transfer(uint8_t opcode, unsigned int data, uint64_t block)
{
    uint64_t *list = (uint64_t *)(memory + LIST * PAGE) + (opcode == READ ? 32 : 0);
    for (unsigned int i = 1; i < DATA_PAGES; i++)
        list[i - 1] = page(data + i);
    return (struct command){
        .opcode = opcode, .space = 1, .pages = {page(data), page(LIST) + (opcode == READ ? 256 : 0)},
        .words10 = {(uint32_t)block, (uint32_t)(block >> 32), DATA / BLOCK - 1},
    };
}

static void fill(uint32_t seed)
{
    uint32_t *words = (uint32_t *)(memory + OUT * PAGE);
    for (size_t i = 0; i < DATA / sizeof *words; i++)
        words[i] = seed = seed * 1664525 + 1013904223;
}

static void expect_read(uint64_t block)
{
    memset(memory + IN * PAGE, 0, DATA);
    struct command command = transfer(READ, IN, block);
    execute(&io, &command, "READ");
    EXPECT(memcmp(memory + IN * PAGE, memory + OUT * PAGE, DATA), 0, "what was read of what was written");
}

static void write_and_read(void)
{
    for (uint32_t round = 0; round < 3 * ENTRIES; round++) { /* the queues begin again meanwhile */
        uint64_t block = round % 3 * DATA / BLOCK;
        fill(round);
        struct command command = transfer(WRITE, OUT, block);
        execute(&io, &command, "WRITE");
        expect_read(block);
    }
    struct command beyond = transfer(READ, IN, 1UL << 40);
    submit(&io, &beyond);
    ring(&io);
    EXPECT(complete(&io, "READ beyond the end") & 0x7FF, 0x80, "the status of a block beyond the end");
}

static void expect_no_completion(void)
{
    for (unsigned int i = 0; i < ENTRIES; i++)
        EXPECT(io.completions[i].status, 0, "a completion of a command that a reset has given up");
}

/* Commands that are running are given up. What was written before is there. */
static void reset(bool by_vfio)
{
    fill(4711 + by_vfio);
    struct command write = transfer(WRITE, OUT, 0), read = transfer(READ, IN, 0);
    execute(&io, &write, "WRITE before a reset");
    for (unsigned int i = 0; i < 16; i++)
        submit(&io, &read);
    ring(&io);
    if (by_vfio)
        EXPECT(ioctl(device, VFIO_DEVICE_RESET), 0, "RESET");
    else
        stop();
    EXPECT(get_register(CSTS) & 1, 0, "CSTS after a reset");
    memset((void *)io.completions, 0, PAGE);
    if (by_vfio)
        set_master(device, 1);
    start();
    identify();
    expect_no_completion();
    create_queues();
    expect_read(0);
}

int main(void)
{
    struct device found;
    char text[64];
    find_device(&found, "0000:02:00.0");
    read_text(found.folder, "class", text, sizeof text);
    EXPECT(strcmp(text, "0x010802"), 0, "the class of an NVMe controller");
    int iommu = open_iommu(O_CLOEXEC);
    uint32_t ioas = open_controller(&found, iommu);
    EXPECT(get_register(CAP) & 0xFFFF, 1023, "CAP: entries of the longest queue, less 1");
    EXPECT(get_register(VS), 0x10400, "the version");
    start();
    identify();
    create_queues();
    write_and_read();
    reset(false);
    reset(true);
    stop();
    EXPECT(close(device), 0, "close of the device");
    EXPECT(destroy(iommu, ioas), 0, "destroy of the IOAS");
    EXPECT(close(iommu), 0, "close of the context");
    return 0;
}
