/*
 * A small driver of an NVMe controller, by its VFIO device file: the admin queue, one pair of I/O queues, data by lists of
 * pages, an interrupt of each queue, and resets while commands are running. Needs a gateway with nvme at 0000:02:00.0.
 */
#include "vfio.h"

#include <sched.h>
#include <stdbool.h>
#include <time.h>

enum { CAP = 0x00, VS = 0x08, CC = 0x14, CSTS = 0x1C, AQA = 0x24, ASQ = 0x28, ACQ = 0x30, DOORBELLS = 0x1000, BAR_BYTES = 0x2000 };
enum { CREATE_SUBMISSION = 0x01, CREATE_COMPLETION = 0x05, IDENTIFY = 0x06, WRITE = 0x01, READ = 0x02 };

#define PAGE 4096UL
#define BLOCK 512UL
#define ENTRIES 32U
#define DATA_PAGES 16UL
#define DATA (DATA_PAGES * PAGE)
#define IOVA 0x10000000UL

/* Pages of the memory that the controller reaches. */
enum { ADMIN_SUBMISSION, ADMIN_COMPLETION, IO_SUBMISSION, IO_COMPLETION, ANSWER, LIST, OUT, IN = OUT + DATA_PAGES, PAGES = IN + DATA_PAGES };

struct command {
    uint8_t opcode, flags;
    uint16_t id;
    uint32_t space, words2[2];
    uint64_t metadata, pages[2];
    uint32_t words10[6];
};

struct completion {
    uint32_t result, reserved;
    uint16_t head, queue, id, status; /* whose bit 0 is the phase */
};

struct queue {
    unsigned int number, tail, head, phase;
    struct command *commands;
    volatile struct completion *completions;
    int interrupt;
};

static int device;
static uint8_t *memory;
static volatile uint8_t *bar;
static struct queue admin, io;

/* ---- registers: by the mapped BAR, where it can be mapped ---- */

static uint32_t get_register(unsigned int offset)
{
    return bar != NULL ? *(volatile uint32_t *)(bar + offset) : read32(device, REGION(BAR0, offset));
}

static void set_register(unsigned int offset, uint32_t value)
{
    if (bar != NULL)
        *(volatile uint32_t *)(bar + offset) = value;
    else
        write32(device, REGION(BAR0, offset), value);
}

static void set_address(unsigned int offset, uint64_t value)
{
    set_register(offset, (uint32_t)value);
    set_register(offset + 4, (uint32_t)(value >> 32));
}

/* As drivers do: CSTS has no interrupt. */
static void await_ready(uint32_t ready)
{
    time_t until = time(NULL) + 30;
    uint32_t status;
    while (((status = get_register(CSTS)) & 3) != ready && time(NULL) < until)
        sched_yield();
    EXPECT(status & 3, ready, "CSTS: ready, not fatal");
}

/* ---- queues ---- */

static uint64_t page(unsigned int number) { return IOVA + number * PAGE; }

static void queue_begin(struct queue *queue, unsigned int number, unsigned int submission, unsigned int completion)
{
    memset(memory + submission * PAGE, 0, PAGE);
    memset(memory + completion * PAGE, 0, PAGE);
    *queue = (struct queue){
        .number = number, .phase = 1, .interrupt = queue->interrupt,
        .commands = (struct command *)(memory + submission * PAGE), .completions = (struct completion *)(memory + completion * PAGE),
    };
}

static void submit(struct queue *queue, const struct command *command)
{
    queue->commands[queue->tail] = *command;
    queue->commands[queue->tail].id = (uint16_t)queue->tail;
    queue->tail = (queue->tail + 1) % ENTRIES;
}

static void ring(const struct queue *queue)
{
    __sync_synchronize();
    set_register(DOORBELLS + 8 * queue->number, queue->tail);
}

/* Takes the next completion. Returns its status. */
static unsigned int complete(struct queue *queue, const char *what)
{
    volatile struct completion *next = &queue->completions[queue->head];
    while ((next->status & 1) != queue->phase)
        await_interrupt(queue->interrupt, what);
    __sync_synchronize();
    unsigned int status = next->status >> 1;
    queue->head = (queue->head + 1) % ENTRIES;
    queue->phase ^= queue->head == 0;
    set_register(DOORBELLS + 8 * queue->number + 4, queue->head);
    return status;
}

static void execute(struct queue *queue, const struct command *command, const char *what)
{
    submit(queue, command);
    ring(queue);
    EXPECT(complete(queue, what), 0, what);
}

/* ---- the controller ---- */

static void stop(void)
{
    set_register(CC, 0);
    await_ready(0);
}

static void start(void)
{
    stop();
    queue_begin(&admin, 0, ADMIN_SUBMISSION, ADMIN_COMPLETION);
    set_register(AQA, (ENTRIES - 1) << 16 | (ENTRIES - 1));
    set_address(ASQ, page(ADMIN_SUBMISSION));
    set_address(ACQ, page(ADMIN_COMPLETION));
    set_register(CC, 4 << 20 | 6 << 16 | 1);
    await_ready(1);
}

static void create_queues(void)
{
    queue_begin(&io, 1, IO_SUBMISSION, IO_COMPLETION);
    execute(&admin, &(struct command){.opcode = CREATE_COMPLETION, .pages = {page(IO_COMPLETION)}, .words10 = {(ENTRIES - 1) << 16 | 1, 1 << 16 | 3}},
            "the creation of a completion queue");
    execute(&admin, &(struct command){.opcode = CREATE_SUBMISSION, .pages = {page(IO_SUBMISSION)}, .words10 = {(ENTRIES - 1) << 16 | 1, 1 << 16 | 1}},
            "the creation of a submission queue");
}

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
    device = open_device(&found);
    EXPECT(bind_device(device, iommu), 0, "BIND");
    uint32_t ioas = alloc_ioas(iommu);
    attach_device(device, ioas);
    memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    map_memory(iommu, ioas, memory, PAGES * PAGE, IOVA);
    set_master(device, 1);
    admin.interrupt = eventfd(0, EFD_CLOEXEC);
    io.interrupt = eventfd(0, EFD_CLOEXEC);
    set_vectors(device, 0, 2, (int[2]){admin.interrupt, io.interrupt});
#ifndef SUPERVISED
    bar = map_bar(device, BAR_BYTES, REGION(BAR0, 0));
#endif
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
