/*
 * The answer to an ioctl as changes of the program's memory; and what the gateway asks about memory while an ioctl is
 * under way.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define RETURNS_FILE 0xFFFFU /* for the offset of a descriptor that is what the ioctl returns */

/* Leaves out what can't be accessed, page by page. */
static void or_bits(uint64_t address, const uint8_t *bits, size_t bytes)
{
    uint8_t there[PAGE];
    for (size_t done = 0; done < bytes;) {
        size_t part = PAGE - (address + done) % PAGE < bytes - done ? PAGE - (address + done) % PAGE : bytes - done;
        if (memory_read(address + done, there, part) == part) {
            for (size_t i = 0; i < part; i++)
                there[i] |= bits[done + i];
            memory_write(address + done, there, part);
        }
        done += part;
    }
}

static void take_write(struct reader *answer)
{
    static const uint8_t zeros[PAGE];
    uint64_t address = get_u64(answer);
    uint32_t length = get_u32(answer), behind = get_u32(answer);
    uint8_t flags = get_u8(answer);
    get(answer, 7);
    const uint8_t *content = get(answer, length);
    if (content == NULL)
        return;
    if ((flags & 1) != 0) {
        or_bits(address, content, length);
        return;
    }
    if (memory_write(address, content, length) < length)
        return;
    for (uint64_t at = address + length; behind > 0;) {
        size_t part = behind < sizeof zeros ? behind : sizeof zeros;
        if (memory_write(at, zeros, part) < part)
            return;
        at += part;
        behind -= (uint32_t)part;
    }
}

static uint64_t file_length(int fd)
{
    struct stat status;
    return syscall(SYS_fstat, fd, &status) == 0 ? (uint64_t)status.st_size : 0;
}

/* A place that a copy reads or writes: the program's memory, or a file that a mapping named, which does not grow by it. */
static bool move(int fd, uint64_t at, uint8_t *chunk, size_t bytes, bool reading)
{
    if (fd < 0)
        return (reading ? memory_read(at, chunk, bytes) : memory_write(at, chunk, bytes)) == bytes;
    return (at + bytes >= at && at + bytes <= file_length(fd)
            && syscall(reading ? SYS_pread64 : SYS_pwrite64, fd, chunk, bytes, at) == (long)bytes);
}

static bool take_copy(struct reader *answer, struct writer *scratch)
{
    uint64_t buffer = get_u64(answer);
    bool from_buffer = (get_u8(answer) & 1) != 0, whole = true, memfd;
    get(answer, 3);
    uint32_t pieces = get_u32(answer);
    scratch->used = 0;
    uint8_t *chunk = put(scratch, CHUNK);
    for (uint32_t i = 0; i < pieces && !answer->failed; i++) {
        uint64_t at = get_u64(answer), length = get_u64(answer);
        uint16_t identity_length = get_u16(answer);
        get(answer, 6);
        const uint8_t *identity = get(answer, identity_length);
        int fd = identity_length > 0 && identity != NULL ? file_find(identity, identity_length, &memfd) : -1;
        whole = whole && chunk != NULL && identity != NULL && (fd >= 0 || identity_length == 0);
        for (uint64_t done = 0, part; whole && done < length; done += part) {
            part = length - done < CHUNK ? length - done : CHUNK;
            /* What can be copied of a chunk is copied page by page, as the kernel does. */
            if (part > PAGE - (at + done) % PAGE)
                part = PAGE - (at + done) % PAGE;
            whole = from_buffer ? move(-1, buffer + done, chunk, part, true) && move(fd, at + done, chunk, part, false)
                                : move(fd, at + done, chunk, part, true) && move(-1, buffer + done, chunk, part, false);
        }
        buffer += length;
    }
    return whole;
}

/* Gives the file that an ioctl has opened a number, or has it undone. The number goes into the argument, or is what the ioctl returns. */
static bool take_opened(struct channel *channel, uint64_t address, uint16_t offset, const uint8_t claim[TICKET_BYTES], int *result)
{
    struct reader answer;
    int fd = descriptor_open(CLAIM, claim, TICKET_BYTES, O_CLOEXEC);
    if (fd < 0) {
        put_bytes(request_begin(channel, DISCARD), claim, TICKET_BYTES);
        request_call(channel, &answer);
        return false;
    }
    if (offset == RETURNS_FILE)
        *result = fd;
    else
        memory_write(address + offset, &fd, sizeof fd);
    return true;
}

/* The ioctl has taken the last record of a queue away. */
static void take_mark_of(struct channel *channel, const uint8_t *ticket)
{
    struct descriptor queue;
    int fd = ticket == NULL ? -1 : descriptor_with(ticket, &queue);
    if (fd >= 0)
        take_mark(fd, channel, &queue);
}

int take_answer(struct channel *channel, struct reader *answer, uint64_t address, uint32_t *points)
{
    uint32_t error = get_u32(answer);
    int result = (int)get_u32(answer);
    uint32_t length = get_u32(answer);
    uint16_t writes = get_u16(answer);
    bool copies = get_u8(answer) != 0, opened = get_u8(answer) != 0;
    uint8_t claim[TICKET_BYTES];
    get_u16(answer);
    uint16_t emptied = get_u16(answer);
    uint32_t text_length = get_u32(answer);
    *points = get_u32(answer);
    const uint8_t *argument = get(answer, length);
    if (argument != NULL)
        memory_write(address, argument, length);
    for (uint16_t i = 0; i < writes && !answer->failed; i++)
        take_write(answer);
    if (copies && !take_copy(answer, &channel->out))
        error = EFAULT;
    uint16_t offset = 0;
    if (opened) {
        offset = get_u16(answer);
        get(answer, 6);
        const uint8_t *given = get(answer, TICKET_BYTES);
        if (given != NULL)
            memcpy(claim, given, TICKET_BYTES);
    }
    for (uint16_t i = 0; i < emptied && !answer->failed; i++)
        take_mark_of(channel, get(answer, TICKET_BYTES));
    const uint8_t *text = get(answer, text_length);
    if (text != NULL)
        trace_why(text, text_length);
    if (text != NULL && error == EIO)
        say_unanswered(text, text_length);
    if (answer->failed)
        error = EIO;
    else if (opened && !take_opened(channel, address, offset, claim, &result))
        error = EMFILE;
    if (error != 0) {
        errno = (int)error;
        return -1;
    }
    return result;
}

/* ---- what the gateway asks while an ioctl is under way ---- */

/* How much of a piece is there, from its start. Of files, only a memfd's pages can be pinned, and the one it ends in can't. */
static uint64_t there(uint64_t start, uint64_t length, uint8_t flags, const void *identity, uint16_t identity_length, bool *known)
{
    struct range range;
    if ((flags & 2) != 0) {
        bool memfd = false;
        int fd = file_find(identity, identity_length, &memfd);
        uint64_t end = memfd ? file_length(fd) : 0;
        *known = *known && fd >= 0;
        return end <= start ? 0 : end - start < length ? end - start : length;
    }
    memory_probe(start, length, &range);
    range_pin(&range);
    return (flags & 1) != 0 && range.writable < range.readable ? range.writable : range.readable;
}

void answer_look(struct writer *out, struct reader *question)
{
    uint32_t pieces = get_u32(question), whole = 0;
    uint64_t offset = 0;
    bool known = true;
    get(question, 4);
    for (; whole < pieces && !question->failed; whole++) {
        uint64_t start = get_u64(question), length = get_u64(question);
        uint8_t flags = get_u8(question);
        get(question, 1);
        uint16_t identity_length = get_u16(question);
        get(question, 4);
        const uint8_t *identity = get(question, identity_length);
        if (identity == NULL)
            break;
        offset = there(start, length, flags, identity, identity_length, &known);
        if (!known || offset < length)
            break;
        offset = 0;
    }
    put_u8(out, known);
    put_bytes(out, (const uint8_t[3]){0}, 3);
    put_u32(out, whole);
    put_u64(out, offset);
}
