/* A small driver of an NVMe controller, by its VFIO device file: the admin queue and one pair of I/O queues, with an interrupt of each. */
#ifndef NVME_H
#define NVME_H

#include "vfio.h"

#include <sched.h>
#include <time.h>

enum { CAP = 0x00, VS = 0x08, CC = 0x14, CSTS = 0x1C, AQA = 0x24, ASQ = 0x28, ACQ = 0x30, DOORBELLS = 0x1000, BAR_BYTES = 0x2000 };
enum { CREATE_SUBMISSION = 0x01, CREATE_COMPLETION = 0x05, IDENTIFY = 0x06, WRITE = 0x01, READ = 0x02 };

#define PAGE 4096UL
#define BLOCK 512UL
#define ENTRIES 64U
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

static inline uint32_t get_register(unsigned int offset)
{
    return bar != NULL ? *(volatile uint32_t *)(bar + offset) : read32(device, REGION(BAR0, offset));
}

static inline void set_register(unsigned int offset, uint32_t value)
{
    if (bar != NULL)
        *(volatile uint32_t *)(bar + offset) = value;
    else
        write32(device, REGION(BAR0, offset), value);
}

static inline void set_address(unsigned int offset, uint64_t value)
{
    set_register(offset, (uint32_t)value);
    set_register(offset + 4, (uint32_t)(value >> 32));
}

/* As drivers do: CSTS has no interrupt. */
static inline void await_ready(uint32_t ready)
{
    time_t until = time(NULL) + 30;
    uint32_t status;
    while (((status = get_register(CSTS)) & 3) != ready && time(NULL) < until)
        sched_yield();
    EXPECT(status & 3, ready, "CSTS: ready, not fatal");
}

/* ---- queues ---- */

static inline uint64_t page(unsigned int number) { return IOVA + number * PAGE; }

static inline void queue_begin(struct queue *queue, unsigned int number, unsigned int submission, unsigned int completion)
{
    memset(memory + submission * PAGE, 0, PAGE);
    memset(memory + completion * PAGE, 0, PAGE);
    *queue = (struct queue){
        .number = number, .phase = 1, .interrupt = queue->interrupt,
        .commands = (struct command *)(memory + submission * PAGE), .completions = (struct completion *)(memory + completion * PAGE),
    };
}

static inline void submit(struct queue *queue, const struct command *command)
{
    queue->commands[queue->tail] = *command;
    queue->commands[queue->tail].id = (uint16_t)queue->tail;
    queue->tail = (queue->tail + 1) % ENTRIES;
}

static inline void ring(const struct queue *queue)
{
    __sync_synchronize();
    set_register(DOORBELLS + 8 * queue->number, queue->tail);
}

/* Takes the next completion. Returns its status. */
static inline unsigned int complete(struct queue *queue, const char *what)
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

static inline void execute(struct queue *queue, const struct command *command, const char *what)
{
    submit(queue, command);
    ring(queue);
    EXPECT(complete(queue, what), 0, what);
}

/* ---- the controller ---- */

static inline void stop(void)
{
    set_register(CC, 0);
    await_ready(0);
}

static inline void start(void)
{
    stop();
    queue_begin(&admin, 0, ADMIN_SUBMISSION, ADMIN_COMPLETION);
    set_register(AQA, (ENTRIES - 1) << 16 | (ENTRIES - 1));
    set_address(ASQ, page(ADMIN_SUBMISSION));
    set_address(ACQ, page(ADMIN_COMPLETION));
    set_register(CC, 4 << 20 | 6 << 16 | 1);
    await_ready(1);
}

static inline void create_queues(void)
{
    queue_begin(&io, 1, IO_SUBMISSION, IO_COMPLETION);
    execute(&admin, &(struct command){.opcode = CREATE_COMPLETION, .pages = {page(IO_COMPLETION)}, .words10 = {(ENTRIES - 1) << 16 | 1, 1 << 16 | 3}},
            "the creation of a completion queue");
    execute(&admin, &(struct command){.opcode = CREATE_SUBMISSION, .pages = {page(IO_SUBMISSION)}, .words10 = {(ENTRIES - 1) << 16 | 1, 1 << 16 | 1}},
            "the creation of a submission queue");
}

/* Opens the controller of an address, binds it and attaches it to a new IOAS that maps the driver's memory. Returns the IOAS. */
static inline uint32_t open_controller(const struct device *found, int iommu)
{
    device = open_device(found);
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
    return ioas;
}

#endif
