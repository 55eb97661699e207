/* A selftest's device whose page faults go to a queue: what test programs of queues share. */
#ifndef FAULTING_H
#define FAULTING_H

#include "check.h"

struct fault {
    uint32_t flags, device, pasid, group, permissions, reserved;
    uint64_t address;
    uint32_t length, cookie;
};

static int fd, queue;
static uint32_t device;

/* A selftest's request: an op on an id, with fields from offset 16 on. */
static inline void test(uint32_t op, uint32_t id, uint32_t fields[4])
{
    uint32_t command[18] = {sizeof command, op, id, 0};
    memcpy(command + 4, fields, 16);
    EXPECT(ioctl(fd, IOMMU_TEST_CMD, command), 0, "IOMMU_TEST_CMD");
    memcpy(fields, command + 4, 16);
}

/* Makes the device and its queue. */
static inline void attach(void)
{
    uint32_t ioas = alloc_ioas(fd);
    uint32_t domain[4] = {0, 0, 0, 4};
    struct { uint32_t size, flags, id; int32_t fd; } faults = {sizeof faults, 0, 0, -1};
    test(12, ioas, domain);
    device = domain[2];
    EXPECT(ioctl(fd, IOMMU_FAULT_QUEUE_ALLOC, &faults), 0, "FAULT_QUEUE_ALLOC");
    queue = faults.fd;
    uint32_t table[12] = {sizeof table, 4, device, ioas};
    table[10] = faults.id;
    EXPECT(ioctl(fd, IOMMU_HWPT_ALLOC, table), 0, "HWPT_ALLOC with a fault queue");
    test(10, domain[0], (uint32_t[4]){table[4]});
}

/* Has the device raise a fault. */
static inline void raise_fault(uint32_t group)
{
    test(15, 0, (uint32_t[4]){device, 0, group, 1});
}

#endif
