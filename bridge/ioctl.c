/*
 * An ioctl as one request. The bridge describes memory and decides nothing: what an argument has beside its bytes is in
 * the gateway's table of commands, and errnos are the service's.
 */
#define _GNU_SOURCE
#include "bridge.h"

__extension__ typedef unsigned __int128 wide;

/* A command's rows in the table. */
/* What an ioctl's third argument is. */
enum { ARGUMENT_SIZED, ARGUMENT_INTEGER, ARGUMENT_FIXED };

struct command {
    uint16_t minimum;
    uint8_t buffers, files;
    struct reader rows;
    uint8_t argument;
};

struct argument {
    uint64_t address;
    uint32_t size; /* as its first u32 says */
    size_t bytes;  /* that could be read, of at most MAX_ARGUMENT */
    uint8_t data[MAX_ARGUMENT + 8];
};

static void find_command(struct channel *channel, uint32_t number, struct command *command)
{
    struct reader table = {.at = channel->table, .end = channel->table + channel->table_bytes};
    uint16_t count = get_u16(&table);
    get(&table, 6);
    for (uint16_t i = 0; i < count && !table.failed; i++) {
        uint32_t there = get_u32(&table);
        command->minimum = get_u16(&table);
        command->buffers = get_u8(&table);
        command->files = get_u8(&table);
        command->argument = get_u8(&table);
        get(&table, 3);
        command->rows = table;
        if (there == number && !table.failed)
            return;
        get(&table, 20U * command->buffers + 8U * command->files);
    }
    *command = (struct command){.argument = ARGUMENT_SIZED};
}

/* A field of the argument. Behind the argument's bytes is zero, as for the kernel. */
static uint64_t field(const struct argument *argument, size_t offset, size_t bytes)
{
    uint64_t value = 0;
    if (offset < argument->bytes && bytes <= sizeof value)
        memcpy(&value, argument->data + offset, bytes < argument->bytes - offset ? bytes : argument->bytes - offset);
    return value;
}

static bool selected(const struct argument *argument, uint16_t selector, uint32_t value)
{
    return selector == 0xFFFF || field(argument, selector, 4) == value;
}

static uint64_t buffer_length(uint8_t rule, uint64_t a, uint64_t b, uint16_t factor)
{
    wide length = 0;
    if (rule == 0)
        length = (wide)a * factor;
    else if (rule == 1)
        length = (wide)a * b;
    else if (rule == 2 && b != 0)
        length = (((wide)a + b - 1) / b + 63) / 64 * 8;
    else if (rule == 3 && b != 0)
        length = ((wide)(a / b) + 7) / 8;
    return length > UINT64_MAX ? UINT64_MAX : (uint64_t)length;
}

/* Reads the argument: mostly one system call, in which its size is found too. */
static void read_argument(struct argument *argument, uint64_t address, const struct command *command)
{
    if (command->argument == ARGUMENT_INTEGER) {
        *argument = (struct argument){.address = 0, .bytes = sizeof address, .size = 0};
        memcpy(argument->data, &address, sizeof address);
        return;
    }
    size_t first = PAGE - address % PAGE;
    first = first > 256 ? 256 : first < 4 ? 4 : first;
    argument->address = address;
    argument->bytes = memory_read(address, argument->data, first);
    if (argument->bytes < sizeof argument->size)
        return;
    memcpy(&argument->size, argument->data, sizeof argument->size);
    if (command->argument == ARGUMENT_FIXED && argument->size < command->minimum)
        argument->size = command->minimum;
    size_t wanted = argument->size < 4 ? 4 : argument->size > MAX_ARGUMENT ? MAX_ARGUMENT : argument->size;
    if (wanted <= argument->bytes)
        argument->bytes = wanted;
    else if (argument->bytes == first)
        argument->bytes += memory_read(address + first, argument->data + first, wanted - first);
}

/* What lies behind the bytes that travel: 0 zeros, 1 a byte that is not zero, 2 one that can't be read. */
static uint8_t scan_tail(const struct argument *argument, struct writer *scratch)
{
    size_t wanted = argument->size > MAX_ARGUMENT ? MAX_ARGUMENT : argument->size;
    if (argument->bytes < sizeof argument->size || argument->bytes < wanted)
        return 2;
    for (uint64_t done = argument->bytes; done < argument->size; done += wanted) {
        wanted = argument->size - done < CHUNK ? (size_t)(argument->size - done) : CHUNK;
        scratch->used = 0;
        uint8_t *chunk = put(scratch, CHUNK);
        size_t got = chunk == NULL ? 0 : memory_read(argument->address + done, chunk, wanted);
        if (got > 0 && (chunk[0] != 0 || memcmp(chunk, chunk + 1, got - 1) != 0))
            return 1;
        if (got < wanted)
            return 2;
    }
    return 0;
}

static void put_buffer(struct writer *out, uint8_t index, uint8_t access, uint64_t address, uint64_t length)
{
    struct range range = {0};
    uint32_t content = 0;
    size_t head = out->used;
    /* A buffer that is only read is known by reading it, if all of it travels. */
    if (access != 0 || length > MAX_BUFFER)
        memory_probe(address, length, &range);
    if (access != 3)
        range.identity_length = 0;
    else
        range_pin(&range);
    put_u8(out, index);
    put_u8(out, range.identity_length > 0);
    put_u16(out, range.identity_length);
    put_u32(out, 0);
    put_u64(out, address);
    put_u64(out, length);
    put_u64(out, 0);
    put_u64(out, access == 0 ? 0 : range.writable);
    put_u64(out, range.identity_length > 0 ? range.file_offset : 0);
    put_u64(out, range.identity_length > 0 ? range.mapped : 0);
    put_bytes(out, range.identity, range.identity_length);
    if (access == 0 || access == 2) {
        size_t wanted = length < MAX_BUFFER ? (size_t)length : MAX_BUFFER;
        void *into = put(out, wanted);
        content = into == NULL ? 0 : (uint32_t)memory_read(address, into, wanted);
        if (into != NULL)
            out->used -= wanted - content;
        if (content < wanted || length <= MAX_BUFFER)
            range.readable = content;
    }
    if (!out->failed) {
        uint64_t readable = access == 1 ? 0 : range.readable;
        memcpy(out->data + head + 4, &content, sizeof content);
        memcpy(out->data + head + 24, &readable, sizeof readable);
    }
}

static uint8_t put_buffers(struct writer *out, struct command *command, const struct argument *argument)
{
    uint8_t count = 0;
    for (uint8_t i = 0; i < command->buffers; i++) {
        uint8_t access = get_u8(&command->rows), rule = get_u8(&command->rows);
        uint16_t pointer = get_u16(&command->rows), offset_a = get_u16(&command->rows), offset_b = get_u16(&command->rows);
        uint8_t bytes_a = get_u8(&command->rows), bytes_b = get_u8(&command->rows);
        uint16_t factor = get_u16(&command->rows), selector = get_u16(&command->rows);
        get_u16(&command->rows);
        uint32_t value = get_u32(&command->rows);
        uint64_t length = buffer_length(rule, field(argument, offset_a, bytes_a), field(argument, offset_b, bytes_b), factor);
        if (argument->bytes >= command->minimum && selected(argument, selector, value) && length > 0) {
            put_buffer(out, i, access, field(argument, pointer, 8), length);
            count++;
        }
    }
    return count;
}

uint8_t put_file(struct writer *out, int fd, bool remember)
{
    struct descriptor ours;
    struct named_file file;
    if (descriptor_find(fd, &ours)) {
        put_bytes(out, ours.ticket, TICKET_BYTES);
        return 2;
    }
    fd = fd_borrow(fd);
    bool named = file_name(fd, &file);
    if (named && remember)
        file_remember(fd, &file);
    fd_return(fd);
    if (!named)
        return 0;
    put_u8(out, file.memfd);
    put_u8(out, 0);
    put_u16(out, file.identity_length);
    put_u32(out, 0);
    put_u64(out, file.length);
    put_bytes(out, file.identity, file.identity_length);
    return 1;
}

/* The first file that the table names and the argument has. */
static uint8_t put_named(struct writer *out, struct command *command, const struct argument *argument)
{
    for (uint8_t i = 0; i < command->files; i++) {
        uint16_t offset = get_u16(&command->rows), selector = get_u16(&command->rows);
        uint32_t value = get_u32(&command->rows);
        if (selected(argument, selector, value) && offset + 4U <= argument->bytes)
            return put_file(out, (int)field(argument, offset, 4), true);
    }
    return 0;
}

static void put_request(struct channel *channel, const struct descriptor *descriptor, uint32_t number, struct command *command,
    const struct argument *argument, const struct fault *fault, bool again)
{
    struct writer *out = request_begin(channel, IOCTL);
    uint32_t writable = 0;
    uint8_t counts[3] = {scan_tail(argument, &channel->in), 0, 0};
    if (argument->bytes >= sizeof argument->size)
        writable = (uint32_t)memory_writable(argument->address, argument->size);
    put_bytes(out, descriptor->ticket, TICKET_BYTES);
    put_name(out, channel);
    put_u32(out, number);
    put_u32(out, writable);
    size_t head = out->used;
    put_u32(out, 0);
    put_u32(out, (uint32_t)argument->bytes);
    if (fault != NULL) {
        put_u32(out, fault->point);
        put_u32(out, fault->errno_);
    }
    put_bytes(out, argument->data, argument->bytes);
    counts[1] = put_buffers(out, command, argument);
    counts[2] = put_named(out, command, argument);
    if (!out->failed) {
        memcpy(out->data + head, counts, sizeof counts);
        out->data[head + 3] = (uint8_t)((settings()->trace[0] != '\0' ? 1 : 0) | (again ? AS_BEFORE : 0) | (fault != NULL ? 4 : 0));
    }
}

int bridge_ioctl(int fd, const struct descriptor *descriptor, uint32_t command, uint64_t address)
{
    struct descriptor current = *descriptor;
    struct argument argument;
    struct command known;
    struct reader answer;
    struct fault fault;
    uint32_t points = 0;
    int result = -1, error = EIO;
    if (descriptor->kind == FILE_DEVICE || descriptor->kind == FILE_GROUP)
        return device_ioctl(fd, descriptor, command, address);
    if (descriptor->kind != FILE_CONTEXT) {
        errno = ENOTTY;
        return -1;
    }
    struct channel *channel = channel_take();
    if (channel == NULL)
        return -1;
    bool fails = fault_of(command, &fault), lost = true;
    channel->sequence++;
    for (bool again = false; lost && descriptor_current(channel, fd, &current); again = true) {
        find_command(channel, command, &known);
        read_argument(&argument, address, &known);
        put_request(channel, &current, command, &known, &argument, fails ? &fault : NULL, again);
        if (request_call(channel, &answer) == 0) {
            result = take_answer(channel, &answer, address, &points);
            error = errno;
        }
        lost = result < 0 && atomic_load(&channel->fd) < 0;
        if (lost && !channel_again(channel))
            break;
    }
    if (lost)
        error = EIO;
    if (fails)
        fault_passed(&fault, points);
    channel_give(channel);
    errno = error;
    return result;
}
