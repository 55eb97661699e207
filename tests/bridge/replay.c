/*
 * Replays conformance traces as a C program: with the memory of the traces mapped where they say, and plain ioctl, read,
 * write, poll and close. Reads sequences from standard input, one a line, in the format of
 * tests/conformance/traces/README.md, and compares errno, return value and every byte of memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARGS 0x200000000000UL
#define ARGS_BYTES 65536
#define ARRAYS 0x1000
#define DATA 0x100000000000UL
#define DATA_BYTES (4UL << 20)
#define RODATA 0x100001000000UL
#define RODATA_BYTES 65536
#define HOLE 0x300000000000UL
#define MOST 4096
#define FIRST_OPENED 1000
#define MEMFD 900
#define REGULAR 901

struct step {
    bool is_open, is_ioctl, badptr, has_arg;
    char file; /* 'r'ead, 'w'rite, 'p'oll or 'c'lose */
    long open, fd, cmd, argument, error, rc, target, length, revents, memout_at;
    const char *in, *mem, *out, *memout, *data; /* hex, up to the quote */
};

static uint8_t *const args = (uint8_t *)ARGS;
static uint8_t expected[ARGS_BYTES];
static int contexts[MOST], opened[MOST], opened_count, memfd, regular;
static const char *group = "?";
static int group_length;
static long seed, step_number, mismatches, sequence_mismatches;

/* ---- the trace's JSON: objects of numbers, strings and one array, without spaces or escapes ---- */

static void broken(const char *at)
{
    fprintf(stderr, "replay: the trace is not understood at '%.40s'\n", at);
    exit(2);
}

static const char *expect(const char *at, char c)
{
    if (*at != c)
        broken(at);
    return at + 1;
}

static const char *text(const char *at, const char **value)
{
    *value = expect(at, '"');
    const char *end = strchr(*value, '"');
    if (end == NULL)
        broken(at);
    return end + 1;
}

static const char *number(const char *at, long *value)
{
    char *end;
    *value = (long)strtoul(at, &end, 10);
    if (*at == '-')
        *value = strtol(at, &end, 10);
    if (end == at)
        broken(at);
    return end;
}

static bool is(const char *key, const char *name)
{
    size_t length = strlen(name);
    return strncmp(key, name, length) == 0 && key[length] == '"';
}

static const char *read_step(const char *at, struct step *step)
{
    *step = (struct step){.in = "\"", .mem = "\"", .out = "\"", .memout = "\"", .data = "\""};
    at = expect(at, '{');
    for (;;) {
        const char *key;
        long ignored;
        at = expect(text(at, &key), ':');
        if (is(key, "open")) {
            at = number(at, &step->open);
            step->is_open = true;
        } else if (is(key, "fd")) {
            at = number(at, &step->fd);
            step->is_ioctl = true;
        } else if (is(key, "cmd")) {
            at = number(at, &step->cmd);
        } else if (is(key, "in")) {
            at = text(at, &step->in);
        } else if (is(key, "arg")) {
            at = number(at, &step->argument);
            step->has_arg = true;
        } else if (is(key, "badptr")) {
            at = number(at, &ignored);
            step->badptr = true;
        } else if (is(key, "mem")) {
            at = text(at, &step->mem);
        } else if (is(key, "errno")) {
            at = number(at, &step->error);
        } else if (is(key, "rc")) {
            at = number(at, &step->rc);
        } else if (is(key, "out")) {
            at = text(at, &step->out);
        } else if (is(key, "memout")) {
            at = number(expect(at, '['), &step->memout_at);
            at = expect(text(expect(at, ','), &step->memout), ']');
        } else if (is(key, "read") || is(key, "write") || is(key, "poll") || is(key, "close")) {
            at = number(at, &step->target);
            step->file = *key;
        } else if (is(key, "len")) {
            at = number(at, &step->length);
        } else if (is(key, "data")) {
            at = text(at, &step->data);
        } else if (is(key, "revents")) {
            at = number(at, &step->revents);
        } else {
            broken(key);
        }
        if (*at == '}')
            return at + 1;
        at = expect(at, ',');
    }
}

static size_t put_hex(uint8_t *into, size_t room, const char *hex)
{
    size_t bytes = 0;
    for (; *hex != '"'; hex += 2, bytes++) {
        unsigned int value;
        if (bytes == room || sscanf(hex, "%2x", &value) != 1)
            broken(hex);
        into[bytes] = (uint8_t)value;
    }
    return bytes;
}

/* ---- numbers of descriptors ---- */

/* Where the argument of an ioctl names a descriptor, or -1. */
static int named_at(const struct step *step)
{
    uint32_t op = *(uint32_t *)(args + 4);
    if (step->cmd == 0x3B8F)
        return 12;
    return step->cmd == 0x3BA0 && (op == 6 || op == 7 || op == 8 || op == 11) ? 8 : -1;
}

/* Where it returns one. */
static int returned_at(const struct step *step)
{
    if (step->cmd == 0x3B8E)
        return 12;
    if (step->cmd == 0x3B93)
        return 24;
    return step->cmd == 0x3BA0 && *(uint32_t *)(args + 4) == 5 ? 16 : -1;
}

static int real_of(long number)
{
    if (number >= FIRST_OPENED && number < FIRST_OPENED + opened_count && opened[number - FIRST_OPENED] >= 0)
        return opened[number - FIRST_OPENED];
    return number == MEMFD ? memfd : number == REGULAR ? regular : (int)number;
}

/* ---- steps ---- */

__attribute__((format(printf, 1, 2))) static void mismatch(const char *format, ...)
{
    va_list values;
    mismatches++;
    if (sequence_mismatches++ > 0)
        return; /* what follows a difference may differ because of it */
    printf("%.*s seed %ld, step %ld: ", group_length, group, seed, step_number);
    va_start(values, format);
    vprintf(format, values);
    va_end(values);
    putchar('\n');
}

static void compare_memory(const struct step *step, const char *what)
{
    if (memcmp(expected, args, ARGS_BYTES) == 0)
        return;
    size_t at = 0;
    while (expected[at] == args[at])
        at++;
    char ours[40] = "", linux_left[40] = "";
    for (size_t i = at & ~7UL, n = 0; n < 16 && i < ARGS_BYTES; i++, n++) {
        sprintf(ours + 2 * n, "%02x", args[i]);
        sprintf(linux_left + 2 * n, "%02x", expected[i]);
    }
    mismatch("%s 0x%lx: at ARGS+0x%zx memory has %s, Linux left %s", what, step->cmd, at, ours, linux_left);
}

static void ioctl_step(const struct step *step)
{
    memset(args, 0, ARGS_BYTES);
    put_hex(args, ARGS_BYTES, step->in);
    put_hex(args + ARRAYS, ARGS_BYTES - ARRAYS, step->mem);
    memcpy(expected, args, ARGS_BYTES);
    int named = step->badptr || step->has_arg ? -1 : named_at(step), real = 0;
    if (named >= 0) {
        real = real_of(*(int32_t *)(args + named));
        *(int32_t *)(args + named) = real;
    }
    uint64_t argument = step->has_arg ? (uint64_t)step->argument : step->badptr ? HOLE : ARGS;
    errno = 0;
    int rc = ioctl(contexts[step->fd], (unsigned long)step->cmd, argument), error = rc < 0 ? errno : 0;
    if (error != step->error) {
        mismatch("ioctl 0x%lx: errno %d (%s), Linux %ld (%s)", step->cmd, error, strerror(error), step->error, strerror((int)step->error));
        return;
    }
    if (rc > 0 ? rc != step->rc : step->rc != 0) {
        mismatch("ioctl 0x%lx: returned %d, Linux %ld", step->cmd, rc, step->rc);
        return;
    }
    if (named >= 0 && *(int32_t *)(args + named) == real)
        memcpy(args + named, expected + named, sizeof real);
    int returned = error == 0 ? returned_at(step) : -1;
    if (returned >= 0 && opened_count < MOST) {
        int32_t number = FIRST_OPENED + opened_count;
        memcpy(&opened[opened_count++], args + returned, sizeof number);
        memcpy(args + returned, &number, sizeof number);
    }
    put_hex(expected, ARGS_BYTES, step->out);
    put_hex(expected + step->memout_at, (size_t)(ARGS_BYTES - step->memout_at), step->memout);
    compare_memory(step, "ioctl");
}

static void file_step(const struct step *step)
{
    int fd = real_of(step->target);
    uint8_t data[ARGS_BYTES], linux_data[ARGS_BYTES];
    if (step->target < FIRST_OPENED || fd == step->target) {
        mismatch("%c of %ld, which was not opened", step->file, step->target);
        return;
    }
    if (step->file == 'c') {
        opened[step->target - FIRST_OPENED] = -1;
        if (close(fd) < 0)
            mismatch("close(%ld): %s", step->target, strerror(errno));
        return;
    }
    if (step->file == 'p') {
        struct pollfd events = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI};
        if (poll(&events, 1, 0) < 0 || events.revents != step->revents)
            mismatch("poll(%ld): events %d, Linux %ld", step->target, events.revents, step->revents);
        return;
    }
    size_t bytes = put_hex(linux_data, sizeof linux_data, step->data);
    errno = 0;
    ssize_t rc = step->file == 'r' ? read(fd, data, (size_t)step->length) : write(fd, linux_data, bytes);
    int error = rc < 0 ? errno : 0;
    if (error != step->error || (rc > 0 ? rc : 0) != step->rc)
        mismatch("%s(%ld): %zd (%s), Linux %ld (%s)", step->file == 'r' ? "read" : "write", step->target, rc, strerror(error), step->rc,
                 strerror((int)step->error));
    else if (step->file == 'r' && rc > 0 && memcmp(data, linux_data, (size_t)rc) != 0)
        mismatch("read(%ld): other bytes than Linux's", step->target);
}

static int open_context(void)
{
    int fd = open("/dev/iommu", O_RDWR);
    if (fd < 0) {
        fprintf(stderr, "replay: open(/dev/iommu): %s\n", strerror(errno));
        exit(2);
    }
    return fd;
}

static void map_at(uint64_t address, size_t bytes, int protection, int flags, int fd)
{
    if (mmap((void *)address, bytes, protection, flags | MAP_FIXED_NOREPLACE, fd, 0) != (void *)address) {
        fprintf(stderr, "replay: 0x%lx can't be mapped: %s\n", address, strerror(errno));
        exit(2);
    }
}

int main(int count, char **values)
{
    char name[4096], *line = NULL;
    size_t size = 0;
    long sequences = 0, ioctls = 0, file_steps = 0;
    (void)count;
    snprintf(name, sizeof name, "%s.%d.regular", values[0], getpid());
    memfd = memfd_create("DATA", 0);
    regular = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    unlink(name);
    if (memfd < 0 || regular < 0 || ftruncate(memfd, DATA_BYTES) < 0 || ftruncate(regular, DATA_BYTES) < 0) {
        perror("replay: the files of the traces");
        return 2;
    }
    map_at(ARGS, ARGS_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    map_at(RODATA, RODATA_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    map_at(DATA, DATA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memfd);
    while (getline(&line, &size, stdin) > 0) {
        const char *at = line;
        int highest = 0;
        at = strstr(at, "\"group\":");
        if (at == NULL)
            broken(line);
        at = text(at + 8, &group);
        group_length = (int)(at - group - 1);
        at = strstr(at, "\"seed\":");
        if (at == NULL)
            broken(line);
        at = number(at + 7, &seed);
        at = strstr(at, "\"steps\":[");
        if (at == NULL)
            broken(line);
        at += 9;
        memset((void *)DATA, 0, DATA_BYTES);
        sequence_mismatches = 0;
        opened_count = 0;
        contexts[0] = open_context();
        for (step_number = 0; *at == '{'; step_number++) {
            struct step step;
            at = read_step(at, &step);
            if (*at == ',')
                at++;
            if (step.is_open) {
                contexts[step.open] = open_context();
                highest = step.open > highest ? (int)step.open : highest;
            } else if (step.file != 0) {
                file_step(&step);
                file_steps++;
            } else {
                ioctl_step(&step);
                ioctls++;
            }
        }
        for (int i = 0; i < opened_count; i++)
            if (opened[i] >= 0)
                close(opened[i]);
        for (int i = 0; i <= highest; i++)
            close(contexts[i]);
        sequences++;
    }
    printf("sequences %ld ioctls %ld file-steps %ld mismatches %ld\n", sequences, ioctls, file_steps, mismatches);
    free(line);
    return mismatches > 0;
}
