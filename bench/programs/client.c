/*
 * A program that makes the same call over and over.
 *
 *   client ioctl destroy|map|other THREADS    plain ioctls, as any program's
 *   client frames PATH destroy WINDOW         frames of its own to a gateway, as many under way
 *   client bare PATH destroy|map WINDOW|THREADSt   the same bytes to the bare server
 */
#include "rounds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HEADER 12U

/* ---- ioctls ---- */

static void destroy(struct worker *worker)
{
    uint32_t command[2] = {sizeof command, 1000000000};
    if (ioctl(worker->fd, 0x3B80, command) != -1 || errno != ENOENT)
        fail("DESTROY of a missing id");
    worker->calls++;
}

static uint8_t page[4096] __attribute__((aligned(4096)));

static void map(struct worker *worker)
{
    struct { uint32_t size, flags, ioas, reserved; uint64_t address, length, iova; } map = {40, 7, worker->ioas, 0, (uint64_t)page, sizeof page, worker->iova};
    struct { uint32_t size, ioas; uint64_t iova, length; } unmap = {24, worker->ioas, worker->iova, sizeof page};
    if (ioctl(worker->fd, 0x3B85, &map) != 0 || ioctl(worker->fd, 0x3B86, &unmap) != 0)
        fail("IOAS_MAP, IOAS_UNMAP");
    worker->calls += 2;
}

/* So many that looking at the clock costs nothing beside them. */
static void other(struct worker *worker)
{
    for (int i = 0; i < 1000; i++) {
        int bytes;
        if (ioctl(worker->fd, FIONREAD, &bytes) != 0)
            fail("FIONREAD");
    }
    worker->calls += 1000;
}

static void open_context(const char *what)
{
    int fd, pipe_ends[2];
    if (strcmp(what, "other") == 0) {
        if (pipe2(pipe_ends, O_CLOEXEC) < 0)
            fail("pipe");
        fd = pipe_ends[0];
        call = other;
    } else {
        fd = open("/dev/iommu", O_RDWR);
        if (fd < 0)
            fail("/dev/iommu");
        call = strcmp(what, "map") == 0 ? map : destroy;
    }
    uint32_t alloc[3] = {sizeof alloc};
    if (call == map && ioctl(fd, 0x3B81, alloc) != 0)
        fail("IOAS_ALLOC");
    for (unsigned int i = 0; i < threads; i++) {
        workers[i].fd = fd;
        workers[i].ioas = alloc[2];
        workers[i].iova = 4096U * (1 + i);
    }
}

/* ---- frames ---- */

static void send_all(int fd, const uint8_t *bytes, size_t count)
{
    for (ssize_t sent; count > 0; bytes += sent, count -= (size_t)sent)
        if ((sent = send(fd, bytes, count, MSG_NOSIGNAL)) < 0)
            fail("send");
}

static void receive_frames(int fd, uint32_t count, uint8_t *first, size_t most)
{
    static __thread uint8_t in[65536];
    size_t have = 0;
    while (count > 0) {
        ssize_t got = recv(fd, in + have, sizeof in - have, 0);
        size_t at = 0;
        if (got <= 0)
            fail("recv");
        have += (size_t)got;
        for (uint32_t length; count > 0 && have - at >= HEADER; count--) {
            memcpy(&length, in + at, sizeof length);
            if (have - at < HEADER + length)
                break;
            if (first != NULL)
                memcpy(first, in + at, HEADER + length < most ? HEADER + length : most);
            at += HEADER + length;
        }
        have -= at;
        memmove(in, in + at, have);
    }
}

static void exchange(struct worker *worker)
{
    send_all(worker->fd, worker->request, worker->request_bytes);
    receive_frames(worker->fd, worker->window, NULL, 0);
    worker->calls += worker->window;
}

/* One request after the other, as a program with ioctls. */
static void exchange_each(struct worker *worker)
{
    const uint8_t *end = worker->request + worker->request_bytes;
    for (uint32_t length, i = 0; i < worker->window && worker->request < end; i++) {
        size_t at = 0;
        for (uint32_t skip = 0; skip < i; skip++) {
            memcpy(&length, worker->request + at, sizeof length);
            at += HEADER + length;
        }
        memcpy(&length, worker->request + at, sizeof length);
        send_all(worker->fd, worker->request + at, HEADER + length);
        receive_frames(worker->fd, 1, NULL, 0);
        worker->calls++;
    }
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (strlen(path) >= sizeof address.sun_path)
        exit(2);
    strcpy(address.sun_path, path);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail(path);
    return fd;
}

/* A frame of so many bytes in all, behind those that are there. */
static uint8_t *add_frame(struct worker *worker, uint32_t bytes, uint8_t kind, uint32_t tag)
{
    uint8_t *all = realloc(worker->request, worker->request_bytes + bytes);
    if (all == NULL)
        fail("realloc");
    uint8_t *frame = all + worker->request_bytes;
    uint32_t length = bytes - HEADER;
    memset(frame, 0, bytes);
    memcpy(frame, &length, sizeof length);
    frame[4] = kind;
    memcpy(frame + 8, &tag, sizeof tag);
    worker->request = all;
    worker->request_bytes += bytes;
    return frame + HEADER;
}

static void put32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

static void greet(int fd, uint8_t role)
{
    uint8_t hello[HEADER + 32] = {32, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 'I', 'O', 'M', 'F', 1, 0, 1, 0, role};
    hello[HEADER + 16] = 1;
    send_all(fd, hello, sizeof hello);
    receive_frames(fd, 1, NULL, 0);
}

static void open_gateway(const char *path, uint32_t window)
{
    static uint8_t answer[64];
    char descriptors[108];
    snprintf(descriptors, sizeof descriptors, "%s-fd", path);
    int context = connect_to(descriptors);
    greet(context, 2);
    send_all(context, (const uint8_t[HEADER + 8]){8, 0, 0, 0, 2}, HEADER + 8);
    receive_frames(context, 1, answer, sizeof answer);
    workers[0].fd = connect_to(path);
    greet(workers[0].fd, 1);
    for (uint32_t i = 0; i < window; i++) {
        uint8_t *body = add_frame(&workers[0], HEADER + 64, 0x10, i);
        memcpy(body, answer + HEADER + 8, 16);
        put32(body + 40, 0x3B80);
        put32(body + 44, 8);
        put32(body + 52, 8);
        put32(body + 56, 8);
        put32(body + 60, 1000000000);
    }
    workers[0].window = window;
    call = exchange;
}

/* The bytes that the same ioctls have on a calls connection. */
static void open_bare(const char *path, const char *what, uint32_t window)
{
    for (unsigned int i = 0; i < threads; i++) {
        workers[i].fd = connect_to(path);
        workers[i].window = window;
        if (strcmp(what, "map") == 0) {
            add_frame(&workers[i], HEADER + 152, 0x10, HEADER + 24 + 40);
            add_frame(&workers[i], HEADER + 80, 0x10, HEADER + 24 + 24);
            workers[i].window = 2;
        } else {
            for (uint32_t j = 0; j < window; j++)
                add_frame(&workers[i], HEADER + 64, 0x10, HEADER + 24);
        }
    }
    call = strcmp(what, "map") == 0 ? exchange_each : exchange;
}

int main(int argc, char **argv)
{
    bool ioctls = argc == 4 && strcmp(argv[1], "ioctl") == 0;
    if (!ioctls && argc != 5)
        return 2;
    const char *many = argv[argc - 1];
    unsigned long count = strtoul(many, NULL, 10);
    if (count == 0 || count > MAX_THREADS)
        return 2;
    if (ioctls || strchr(many, 't') != NULL)
        threads = (unsigned int)count;
    if (ioctls)
        open_context(argv[2]);
    else if (strcmp(argv[1], "frames") == 0)
        open_gateway(argv[2], (uint32_t)count);
    else
        open_bare(argv[2], argv[3], threads > 1 ? 1 : (uint32_t)count);
    run_rounds();
    return 0;
}
