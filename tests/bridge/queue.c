/* poll, select and epoll on a fault queue's file, as an emulated device raises faults. */
#include "faulting.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

static int polled(int timeout)
{
    struct pollfd events = {.fd = queue, .events = POLLIN | POLLOUT};
    poll(&events, 1, timeout);
    return events.revents;
}

static int selected(void)
{
    fd_set readable;
    FD_ZERO(&readable);
    FD_SET(queue, &readable);
    return select(queue + 1, &readable, NULL, NULL, &(struct timeval){0});
}

int main(void)
{
    struct fault faults[4];
    struct epoll_event event = {.events = EPOLLIN};
    fd = open_iommu(0);
    attach();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    EXPECT(epoll_ctl(epoll, EPOLL_CTL_ADD, queue, &event), 0, "epoll_ctl");
    for (uint32_t round = 1; round <= 20; round++) {
        EXPECT(polled(0), POLLOUT, "poll of an empty queue");
        EXPECT(selected(), 0, "select of an empty queue");
        EXPECT(epoll_wait(epoll, &event, 1, 0), 0, "epoll_wait of an empty queue");
        EXPECT(read(queue, faults, sizeof faults), 0, "read of an empty queue");
        raise_fault(round);
        EXPECT(polled(10000), POLLIN | POLLOUT, "poll of a queue with a fault");
        EXPECT(selected(), 1, "select of a queue with a fault");
        EXPECT(epoll_wait(epoll, &event, 1, 0), 1, "epoll_wait of a queue with a fault");
        raise_fault(round + 100);
        EXPECT(read(queue, faults, sizeof *faults), sizeof *faults, "read of one fault");
        EXPECT(faults[0].group, round, "the fault's group");
        EXPECT(polled(0), POLLIN | POLLOUT, "poll of a queue with one fault left");
        EXPECT(read(queue, faults + 1, sizeof *faults * 3), sizeof *faults, "read of the fault that is left");
        for (int i = 0; i < 2; i++) {
            uint32_t response[2] = {faults[i].cookie, 0};
            EXPECT(write(queue, response, sizeof response), sizeof response, "a response");
        }
    }
    pid_t child = fork();
    if (child == 0) {
        raise_fault(1000);
        EXPECT(read(queue, faults, sizeof faults), sizeof *faults, "read in a forked child");
        EXPECT(write(queue, &(uint32_t[2]){faults[0].cookie, 0}, 8), 8, "a response by a forked child");
        _exit(0);
    }
    EXPECT(exit_status(child), 0, "the child's exit status");
    EXPECT(polled(0), POLLOUT, "poll of a queue that a child has emptied");
    EXPECT(close(queue), 0, "close of the queue's file");
    EXPECT(close(fd), 0, "close");
    return 0;
}
