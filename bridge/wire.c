/*
 * Frames, and how a connection begins. A descriptor of the program's is a connection, on which the bridge sends nothing
 * after that but proofs.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>

#define HANDSHAKE_BODY 32768U
#define HANDSHAKE_SECONDS 30
#define PAD_BYTES 61440

/* ---- bodies ---- */

/* Room for 'bytes' more, or null. */
void *put(struct writer *w, size_t bytes)
{
    if (w->failed)
        return NULL;
    if (w->size - w->used < bytes) {
        size_t size = w->size == 0 ? 65536 : w->size;
        while (size - w->used < bytes)
            size *= 2;
        void *data = w->data == NULL ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                                     : mremap(w->data, w->size, size, MREMAP_MAYMOVE);
        if (data == MAP_FAILED) {
            w->failed = true;
            return NULL;
        }
        w->data = data;
        w->size = size;
    }
    void *at = w->data + w->used;
    w->used += bytes;
    return at;
}

void writer_free(struct writer *w)
{
    if (w->data != NULL)
        munmap(w->data, w->size);
}

void put_bytes(struct writer *w, const void *bytes, size_t count)
{
    void *at = put(w, count);
    if (at != NULL && count > 0)
        memcpy(at, bytes, count);
}

void put_u8(struct writer *w, uint8_t value) { put_bytes(w, &value, sizeof value); }
void put_u16(struct writer *w, uint16_t value) { put_bytes(w, &value, sizeof value); }
void put_u32(struct writer *w, uint32_t value) { put_bytes(w, &value, sizeof value); }
void put_u64(struct writer *w, uint64_t value) { put_bytes(w, &value, sizeof value); }

const uint8_t *get(struct reader *r, size_t bytes)
{
    if (r->failed || (size_t)(r->end - r->at) < bytes) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *at = r->at;
    r->at += bytes;
    return at;
}

#define GET(name, type) \
    type name(struct reader *r) \
    { \
        type value = 0; \
        const uint8_t *at = get(r, sizeof value); \
        if (at != NULL) \
            memcpy(&value, at, sizeof value); \
        return value; \
    }

GET(get_u8, uint8_t)
GET(get_u16, uint16_t)
GET(get_u32, uint32_t)
GET(get_u64, uint64_t)

size_t frame_begin(struct writer *w, enum kind kind, uint32_t tag)
{
    size_t start = w->used;
    put_u32(w, 0);
    put_u8(w, (uint8_t)kind);
    put_u8(w, 0);
    put_u16(w, 0);
    put_u32(w, tag);
    return start;
}

void frame_end(struct writer *w, size_t start)
{
    uint32_t length = (uint32_t)(w->used - start - HEADER_BYTES);
    if (!w->failed)
        memcpy(w->data + start, &length, sizeof length);
}

/* ---- sockets ---- */

/* How long a socket's calls wait: without a limit for 0. */
void set_patience(int fd, int seconds)
{
    struct timeval limit = {.tv_sec = seconds};
    syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

int send_all(int fd, const struct writer *frames)
{
    for (size_t done = 0; done < frames->used;) {
        ssize_t sent = syscall(SYS_sendto, fd, frames->data + done, frames->used - done, MSG_NOSIGNAL, NULL, 0);
        if (sent < 0 && errno != EINTR)
            return -1;
        done += sent > 0 ? (size_t)sent : 0;
    }
    return frames->failed ? -1 : 0;
}

/* Receives at least 'least' and at most 'most' bytes. */
ssize_t receive(int fd, uint8_t *into, size_t least, size_t most)
{
    size_t done = 0;
    while (done < least) {
        ssize_t got = syscall(SYS_recvfrom, fd, into + done, most - done, 0, NULL, NULL);
        if (got == 0)
            errno = ECONNRESET;
        if (got == 0 || (got < 0 && errno != EINTR))
            return -1;
        done += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)done;
}

/* Says what the gateway has sent for people. */
static void say_text(struct reader *body, size_t length)
{
    char text[256] = "";
    const uint8_t *from = get(body, length);
    if (from != NULL)
        memcpy(text, from, length < sizeof text ? length : sizeof text - 1);
    say_unreachable(text);
}

void say_bye(struct reader *body)
{
    get_u16(body);
    say_text(body, get_u16(body));
}

/* Receives exactly one frame of a handshake, and not the byte behind it. */
bool receive_frame(int fd, struct writer *in, uint8_t expected, struct reader *body)
{
    uint32_t length;
    in->used = 0;
    uint8_t *header = put(in, HEADER_BYTES);
    if (header == NULL || receive(fd, header, HEADER_BYTES, HEADER_BYTES) < 0)
        return false;
    memcpy(&length, header, sizeof length);
    uint8_t kind = header[4];
    uint8_t *data = length > HANDSHAKE_BODY ? NULL : put(in, length);
    if (data == NULL || receive(fd, data, length, length) < 0)
        return false;
    *body = (struct reader){.at = data, .end = data + length};
    if (kind == BYE)
        say_bye(body);
    return kind == expected;
}

int connect_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, sizeof address.sun_path);
    int fd = (int)syscall(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    set_patience(fd, HANDSHAKE_SECONDS);
    long connected;
    do
        connected = syscall(SYS_connect, fd, &address, sizeof address);
    while (connected < 0 && errno == EINTR);
    if (connected == 0)
        return fd;
    int why = errno;
    syscall(SYS_close, fd);
    errno = why;
    return -1;
}

void put_hello(struct writer *w, uint8_t role)
{
    const char *name = program_name();
    uint16_t length = (uint16_t)(name == NULL ? 0 : strnlen(name, 128));
    size_t start = frame_begin(w, HELLO, 1);
    put_u32(w, 0x464D4F49);
    put_u16(w, 1);
    put_u16(w, 1);
    put_u32(w, role);
    put_u32(w, program_elsewhere ? (uint32_t)program_process() : 0);
    put_u64(w, program_number());
    put_u16(w, length);
    put_u16(w, 0);
    put_u32(w, 0);
    put_bytes(w, name, length);
    frame_end(w, start);
}

/* ---- descriptors ---- */

/* Bytes that the gateway leaves unread: with more than a quarter of the room taken, a socket is not writable for poll. */
static void pad(int fd, struct writer *out)
{
    int room = PAD_BYTES * 7 / 4; /* which the kernel doubles */
    syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    out->used = 0;
    size_t start = frame_begin(out, PAD, 0);
    void *zeros = put(out, PAD_BYTES);
    if (zeros != NULL)
        memset(zeros, 0, PAD_BYTES);
    frame_end(out, start);
    send_all(fd, out);
}

/* The first frame on a new connection. Returns its errno. */
static uint32_t descriptor_begin(int fd, enum kind first, const void *bytes, size_t count, struct descriptor *opened)
{
    struct writer out = {0}, in = {0};
    struct reader body = {0};
    uint32_t error = EIO;
    put_hello(&out, 2);
    size_t start = frame_begin(&out, first, 2);
    put_bytes(&out, bytes, count);
    frame_end(&out, start);
    if (send_all(fd, &out) == 0 && receive_frame(fd, &in, HELLO + ANSWER, &body)) {
        get(&body, 16);
        opened->instance = get_u64(&body);
        if (receive_frame(fd, &in, (uint8_t)(first + ANSWER), &body)) {
            error = get_u32(&body);
            uint32_t length = get_u32(&body);
            const uint8_t *ticket = get(&body, TICKET_BYTES);
            opened->kind = get_u8(&body);
            get_u8(&body);
            opened->number = get_u16(&body);
            get_u32(&body);
            const uint8_t *resumption = get(&body, RESUMPTION_BYTES);
            if (body.failed) {
                error = EIO;
            } else {
                memcpy(opened->ticket, ticket, TICKET_BYTES);
                memcpy(opened->resumption, resumption, RESUMPTION_BYTES);
            }
            if (error != 0 && first != OPEN_DEVICE && first != OPEN_GROUP_DEVICE)
                say_text(&body, length);
            if (error == 0 && opened->kind == FILE_EVENT_QUEUE)
                pad(fd, &out);
        }
    } else if (first != RESUME) {
        say_unreachable(strerrordesc_np(errno));
    }
    if (error == 0) {
        set_patience(fd, 0);
        opened->cookie = socket_cookie(fd);
    }
    writer_free(&out);
    writer_free(&in);
    return error;
}

int descriptor_open(enum kind first, const void *body, size_t bytes, int flags)
{
    struct descriptor opened;
    uint32_t error = 0;
    int number = 0, fd = connect_socket(settings()->descriptors);
    if (fd < 0) {
        if (errno != EMFILE && errno != ENFILE && errno != ENOENT) {
            say_unreachable(strerrordesc_np(errno));
            errno = EIO;
        }
        return -1;
    }
    /* What an ioctl has opened is undone if it gets no number, which must be known before it is claimed. */
    if (first == CLAIM && (number = descriptor_place(fd, flags)) < 0)
        error = (uint32_t)errno;
    if (error == 0)
        error = descriptor_begin(fd, first, body, bytes, &opened);
    if (error == 0) {
        descriptor_note(&opened);
        if (opened.kind == FILE_DEVICE)
            gateway_permit(fd);
        if ((flags & O_NONBLOCK) != 0)
            syscall(SYS_fcntl, fd, F_SETFL, O_NONBLOCK);
        if (first != CLAIM && (number = descriptor_place(fd, flags)) < 0)
            error = (uint32_t)errno;
    }
    if (error != 0)
        syscall(SYS_close, fd);
    else
        fd_return(fd);
    errno = (int)error;
    return error != 0 ? -1 : number;
}

int descriptor_resume(const struct descriptor *dead, struct descriptor *successor)
{
    int fd = connect_socket(settings()->descriptors);
    uint32_t error = fd < 0 ? EIO : descriptor_begin(fd, RESUME, dead->resumption, RESUMPTION_BYTES, successor);
    if (error == 0)
        return fd;
    if (fd >= 0)
        syscall(SYS_close, fd);
    return error == EIO ? -1 : RESUME_REFUSED;
}

/* The whole frame in one send: others may send on the same socket. What does not fit behind a pad at once never will. */
int descriptor_prove(int fd, const uint8_t nonce[16])
{
    uint8_t frame[HEADER_BYTES + 16] = {16, 0, 0, 0, PROVE};
    memcpy(frame + HEADER_BYTES, nonce, 16);
    return syscall(SYS_sendto, fd, frame, sizeof frame, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0) == sizeof frame ? 0 : -1;
}
