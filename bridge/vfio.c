/*
 * Calls on device files of VFIO and on groups: each is a request, and what it does is the gateway's matter. A device is the gateway's
 * own, so that a call whose gateway has ended is EIO, and not sent again.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define LEAST_ARGUMENT 64U
#define MAX_PART 65536U
#define MAX_COUNT 0x7FFFF000U /* of a system call that reads or writes */

#define DEVICE_GET_REGION_INFO 0x3B6CU
#define REGION_INFO_FLAGS 4U
#define REGION_INFO_FLAG_MMAP 4U
#define DEVICE_BIND_IOMMUFD 0x3B76U
#define BIND_FILE 8U /* the offset of its descriptor */
#define GROUP_SET_CONTAINER 0x3B68U
#define GROUP_GET_DEVICE_FD 0x3B6AU
#define MAX_NAME 64U

/* Yama lets no process of the same user look into this one, but one that it has named. */
void gateway_permit(int socket)
{
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    if (!program_elsewhere && syscall(SYS_getsockopt, socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0)
        syscall(SYS_prctl, PR_SET_PTRACER, peer.pid, 0, 0, 0);
}

int device_open(int number, int flags)
{
    uint8_t body[8 + 16] = {0};
    uint16_t length = (uint16_t)(number < GROUPS ? snprintf((char *)body + 8, 16, "vfio%d", number) : snprintf((char *)body + 8, 16, "%d", number - GROUPS));
    memcpy(body, &length, sizeof length);
    return descriptor_open(OPEN_DEVICE, body, 8U + length, flags);
}

/* A channel to the gateway that the device is of. Null (EIO) if that has ended. */
static struct channel *take_channel(int fd, const struct descriptor *device)
{
    struct descriptor current = *device;
    struct channel *channel = channel_take();
    if (channel == NULL || descriptor_current(channel, fd, &current))
        return channel;
    channel_give(channel);
    errno = EIO;
    return NULL;
}

static void give_channel(struct channel *channel, int error)
{
    channel_give(channel);
    errno = error;
}

static struct writer *begin(struct channel *channel, enum kind kind, const struct descriptor *device)
{
    struct writer *out = request_begin(channel, kind);
    put_bytes(out, device->ticket, TICKET_BYTES);
    return out;
}

/* ---- ioctls ---- */

/* The leading bytes that can be read: as many as the first u32 says, but not fewer than the structs of VFIO have. */
static size_t read_argument(uint64_t address, uint8_t argument[MAX_ARGUMENT])
{
    uint32_t size;
    size_t there = memory_read(address, argument, LEAST_ARGUMENT);
    if (there < LEAST_ARGUMENT)
        return there;
    memcpy(&size, argument, sizeof size);
    size = size > MAX_ARGUMENT ? MAX_ARGUMENT : size;
    return size <= there ? there : there + memory_read(address + there, argument + there, size - there);
}

static void put_ioctl(struct channel *channel, const struct descriptor *device, uint32_t command, uint64_t address)
{
    uint8_t argument[MAX_ARGUMENT];
    int32_t file;
    size_t bytes = read_argument(address, argument);
    struct writer *out = begin(channel, IOCTL, device);
    put_name(out, channel);
    put_u32(out, command);
    put_u32(out, (uint32_t)memory_writable(address, bytes));
    size_t head = out->used;
    put_u32(out, 0);
    put_u32(out, (uint32_t)bytes);
    put_bytes(out, argument, bytes);
    size_t named = command == DEVICE_BIND_IOMMUFD ? BIND_FILE : 0;
    if ((named == 0 && command != GROUP_SET_CONTAINER) || bytes < named + sizeof file)
        file = -1;
    else
        memcpy(&file, argument + named, sizeof file);
    uint8_t kind = file < 0 ? 0 : put_file(out, file, false);
    if (!out->failed) {
        out->data[head + 2] = kind;
        out->data[head + 3] = settings()->trace[0] != '\0';
    }
}

/* Nobody can place a mapping in another process: a program that is told so reads and writes. */
static void hide_mapping(uint64_t address)
{
    uint32_t flags;
    if (memory_read(address + REGION_INFO_FLAGS, &flags, sizeof flags) == sizeof flags) {
        flags &= ~REGION_INFO_FLAG_MMAP;
        memory_write(address + REGION_INFO_FLAGS, &flags, sizeof flags);
    }
}

/* VFIO_GROUP_GET_DEVICE_FD, whose argument is a name, and whose answer is a number. */
static int open_device_of(const struct descriptor *group, uint64_t name)
{
    uint8_t body[TICKET_BYTES + 8 + MAX_NAME] = {0}, *text = body + TICKET_BYTES + 8;
    size_t there = memory_read(name, text, MAX_NAME);
    const uint8_t *end = memchr(text, '\0', there);
    if (end == NULL) {
        errno = there < MAX_NAME ? EFAULT : ENODEV;
        return -1;
    }
    uint16_t length = (uint16_t)(end - text);
    memcpy(body, group->ticket, TICKET_BYTES);
    memcpy(body + TICKET_BYTES, &length, sizeof length);
    return descriptor_open(OPEN_GROUP_DEVICE, body, TICKET_BYTES + 8U + length, O_CLOEXEC);
}

int device_ioctl(int fd, const struct descriptor *device, uint32_t command, uint64_t argument)
{
    struct reader answer;
    uint32_t points = 0;
    int result = -1;
    if (fault_here(command))
        return -1;
    if (device->kind == FILE_GROUP && command == GROUP_GET_DEVICE_FD)
        return open_device_of(device, argument);
    struct channel *channel = take_channel(fd, device);
    if (channel == NULL)
        return -1;
    channel->sequence++;
    put_ioctl(channel, device, command, argument);
    if (request_call(channel, &answer) == 0)
        result = take_answer(channel, &answer, argument, &points);
    give_channel(channel, errno);
    if (program_elsewhere && result >= 0 && command == DEVICE_GET_REGION_INFO)
        hide_mapping(argument);
    return result;
}

/* ---- reads, writes and mappings ---- */

/* The part that one request carries. Returns its count, or -1. */
static ssize_t read_part(struct channel *channel, const struct descriptor *device, uint64_t buffer, uint32_t count, uint64_t offset)
{
    struct reader answer;
    struct writer *out = begin(channel, DEVICE_READ, device);
    put_u64(out, offset);
    put_u32(out, count);
    put_u32(out, 0);
    if (request_call(channel, &answer) < 0)
        return -1;
    int error = (int)get_u32(&answer);
    uint32_t got = get_u32(&answer);
    const uint8_t *bytes = get(&answer, error == 0 ? got : 0);
    if (error == 0 && (bytes == NULL || got > count))
        error = EIO;
    else if (error == 0 && memory_write(buffer, bytes, got) < got)
        error = EFAULT;
    errno = error;
    return error == 0 ? (ssize_t)got : -1;
}

static ssize_t write_part(struct channel *channel, const struct descriptor *device, uint64_t buffer, uint32_t count, uint64_t offset)
{
    struct reader answer;
    struct writer *out = begin(channel, DEVICE_WRITE, device);
    put_u64(out, offset);
    put_u32(out, count);
    put_u32(out, 0);
    void *bytes = put(out, count);
    if (bytes != NULL && memory_read(buffer, bytes, count) < count) {
        errno = EFAULT;
        return -1;
    }
    if (request_call(channel, &answer) < 0)
        return -1;
    int error = (int)get_u32(&answer);
    uint32_t written = get_u32(&answer);
    if (error == 0 && (answer.failed || written > count))
        error = EIO;
    errno = error;
    return error == 0 ? (ssize_t)written : -1;
}

ssize_t device_transfer(enum kind kind, int fd, const struct descriptor *device, uint64_t buffer, size_t count, int64_t offset)
{
    size_t done = 0;
    ssize_t part;
    if (offset < 0 || (ssize_t)count < 0) {
        errno = EINVAL;
        return -1;
    }
    count = count > MAX_COUNT ? MAX_COUNT : count;
    struct channel *channel = take_channel(fd, device);
    if (channel == NULL)
        return -1;
    do {
        uint32_t wanted = count - done < MAX_PART ? (uint32_t)(count - done) : MAX_PART;
        part = (kind == DEVICE_READ ? read_part : write_part)(channel, device, buffer + done, wanted, (uint64_t)offset + done);
        done += part > 0 ? (size_t)part : 0;
    } while (part == MAX_PART && done < count);
    give_channel(channel, errno);
    return part < 0 && (done == 0 || errno == EFAULT) ? -1 : (ssize_t)done;
}

static int open_answered(struct reader *answer, int64_t *offset)
{
    char path[PAGE];
    int error = (int)get_u32(answer);
    uint32_t length = get_u32(answer);
    uint64_t at = get_u64(answer);
    const uint8_t *text = get(answer, length);
    if (error == 0 && (text == NULL || length == 0 || length >= sizeof path))
        error = EIO;
    if (error != 0) {
        errno = error;
        return -1;
    }
    memcpy(path, text, length);
    path[length] = '\0';
    *offset = (int64_t)at;
    return (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
}

int64_t dma_buf_seek(const struct descriptor *descriptor, int64_t offset, int whence)
{
    if (offset == 0 && (whence == SEEK_SET || whence == SEEK_END))
        return whence == SEEK_SET ? 0 : (int64_t)(descriptor->number * PAGE);
    errno = EINVAL;
    return -1;
}

int device_map(int fd, const struct descriptor *device, size_t length, int protection, int flags, int64_t *offset)
{
    struct reader answer;
    int type = flags & MAP_TYPE, file = -1;
    size_t whole = (length + PAGE - 1) & ~(PAGE - 1);
    if (device->kind != FILE_DEVICE && device->kind != FILE_CONTEXT) {
        errno = length == 0 || device->kind == FILE_DMA_BUF ? EINVAL : ENODEV;
        return -1;
    }
    if (length == 0 || *offset % (int64_t)PAGE != 0 || *offset < 0 || (type != MAP_SHARED && type != MAP_SHARED_VALIDATE)) {
        errno = EINVAL;
        return -1;
    }
    if (whole == 0) {
        errno = ENOMEM;
        return -1;
    }
    if (device->kind == FILE_CONTEXT && (protection & PROT_EXEC) != 0) {
        errno = EPERM;
        return -1;
    }
    struct channel *channel = take_channel(fd, device);
    if (channel == NULL)
        return -1;
    struct writer *out = begin(channel, DEVICE_MAP, device);
    put_u64(out, (uint64_t)*offset);
    put_u64(out, whole);
    if (request_call(channel, &answer) == 0)
        file = open_answered(&answer, offset);
    give_channel(channel, errno);
    return file;
}
