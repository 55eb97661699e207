/*
 * Frames, and the two kinds of connections that carry them. A thread has one calls connection, opened by its first call
 * and kept until it ends. Its number lies high and is the bridge's own; since a program may close or reuse any number,
 * each call first asks the kernel whether the socket is still the one.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#define HEADER_BYTES 12
#define HANDSHAKE_BODY 32768U
#define HANDSHAKE_SECONDS 30
#define PAD_BYTES 61440

static struct settings the_settings;
static _Atomic int settings_ready;

static void copy_setting(char *to, size_t size, const char *name, const char *missing)
{
    const char *value = getenv(name);
    if (value == NULL || value[0] == '\0')
        value = missing;
    size_t length = strnlen(value, size);
    if (length < size)
        memcpy(to, value, length + 1);
}

/* Two threads that come first at once write the same bytes. */
const struct settings *settings(void)
{
    if (!atomic_load_explicit(&settings_ready, memory_order_acquire)) {
        const char *mode = getenv("IOMMUFD_MODE");
        copy_setting(the_settings.socket, sizeof the_settings.socket, "IOMMUFD_SOCKET", "");
        copy_setting(the_settings.device, sizeof the_settings.device, "IOMMUFD_DEVICE", "/dev/iommu");
        copy_setting(the_settings.trace, sizeof the_settings.trace, "IOMMUFD_TRACE", "");
        the_settings.mode = mode == NULL ? 0 : strcmp(mode, "volatile") == 0 ? 1 : strcmp(mode, "durable") == 0 ? 2 : 0;
        size_t length = strlen(the_settings.socket);
        the_settings.active = length > 0 && length + 3 < sizeof the_settings.descriptors;
        if (the_settings.active)
            memcpy(mempcpy(the_settings.descriptors, the_settings.socket, length), "-fd", 4);
        atomic_store_explicit(&settings_ready, 1, memory_order_release);
    }
    return &the_settings;
}

/* ---- words, on standard error ---- */

void say(const char *const words[])
{
    char line[512] = "iommufd: ";
    size_t used = strlen(line);
    for (; *words != NULL; words++) {
        size_t length = strnlen(*words, sizeof line - 1 - used);
        memcpy(line + used, *words, length);
        used += length;
    }
    line[used++] = '\n';
    syscall(SYS_write, STDERR_FILENO, line, used);
}

void say_gone(void)
{
    static _Atomic int said;
    if (atomic_exchange(&said, 1) == 0)
        say((const char *[]){"the gateway at ", settings()->socket, " is gone: calls on its descriptors fail (EIO)", NULL});
}

static void say_unreachable(const char *why)
{
    static _Atomic int said;
    if (atomic_exchange(&said, 1) == 0)
        say((const char *[]){"can't open ", settings()->device, " at the gateway ", settings()->socket, ": ", why, NULL});
}

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

static void writer_free(struct writer *w)
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

/* A frame's header in front of a body that follows; frame_end fills in the body's length. */
static size_t frame_begin(struct writer *w, enum kind kind, uint32_t tag)
{
    size_t start = w->used;
    put_u32(w, 0);
    put_u8(w, (uint8_t)kind);
    put_u8(w, 0);
    put_u16(w, 0);
    put_u32(w, tag);
    return start;
}

static void frame_end(struct writer *w, size_t start)
{
    uint32_t length = (uint32_t)(w->used - start - HEADER_BYTES);
    if (!w->failed)
        memcpy(w->data + start, &length, sizeof length);
}

/* ---- sockets ---- */

/* How long a socket's calls wait: without a limit for 0. */
static void set_patience(int fd, int seconds)
{
    struct timeval limit = {.tv_sec = seconds};
    syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

static int send_all(int fd, const struct writer *frames)
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
static ssize_t receive(int fd, uint8_t *into, size_t least, size_t most)
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

static void say_bye(struct reader *body)
{
    get_u16(body);
    say_text(body, get_u16(body));
}

/* Receives exactly one frame of a handshake, and not the byte behind it. */
static bool receive_frame(int fd, struct writer *in, uint8_t expected, struct reader *body)
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

static int connect_socket(const char *path)
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

static void put_hello(struct writer *w, uint8_t role)
{
    const char *name = program_invocation_short_name != NULL ? program_invocation_short_name : "";
    uint16_t length = (uint16_t)strnlen(name, 128);
    size_t start = frame_begin(w, HELLO, 1);
    put_u32(w, 0x464D4F49);
    put_u16(w, 1);
    put_u16(w, 1);
    put_u8(w, role);
    put_bytes(w, (const uint8_t[7]){0}, 7);
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

int descriptor_connect(const uint8_t *claim, struct descriptor *opened)
{
    struct writer out = {0}, in = {0};
    struct reader body = {0};
    enum kind first = claim == NULL ? OPEN : CLAIM;
    uint32_t error = EIO;
    int fd = connect_socket(settings()->descriptors);
    if (fd < 0) {
        if (errno != EMFILE && errno != ENFILE && errno != ENOENT) {
            say_unreachable(strerrordesc_np(errno));
            errno = EIO;
        }
        return -1;
    }
    put_hello(&out, 2);
    size_t start = frame_begin(&out, first, 2);
    put_bytes(&out, claim == NULL ? (const uint8_t[8]){settings()->mode} : claim, claim == NULL ? 8 : TICKET_BYTES);
    frame_end(&out, start);
    if (send_all(fd, &out) == 0 && receive_frame(fd, &in, HELLO + ANSWER, &body) && receive_frame(fd, &in, (uint8_t)(first + ANSWER), &body)) {
        error = get_u32(&body);
        uint32_t length = get_u32(&body);
        const uint8_t *ticket = get(&body, TICKET_BYTES);
        opened->kind = FILE_CONTEXT;
        if (claim != NULL) {
            opened->kind = get_u8(&body);
            get(&body, 7);
        }
        if (body.failed)
            error = EIO;
        else
            memcpy(opened->ticket, ticket, TICKET_BYTES);
        if (error != 0)
            say_text(&body, length);
        if (error == 0 && opened->kind == FILE_EVENT_QUEUE)
            pad(fd, &out);
    } else {
        say_unreachable(strerrordesc_np(errno));
    }
    writer_free(&out);
    writer_free(&in);
    if (error != 0) {
        syscall(SYS_close, fd);
        errno = (int)error;
        return -1;
    }
    set_patience(fd, 0);
    opened->cookie = socket_cookie(fd);
    return fd;
}

/* The whole frame in one send: others may send on the same socket. What does not fit behind a pad at once never will. */
int descriptor_prove(int fd, const uint8_t nonce[16])
{
    uint8_t frame[HEADER_BYTES + 16] = {16, 0, 0, 0, PROVE};
    memcpy(frame + HEADER_BYTES, nonce, 16);
    return syscall(SYS_sendto, fd, frame, sizeof frame, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0) == sizeof frame ? 0 : -1;
}

/* ---- calls ---- */

static __thread struct channel *own_channel;
static pthread_key_t at_thread_end;
static pthread_once_t at_thread_end_once = PTHREAD_ONCE_INIT;

static void channel_free(struct channel *channel)
{
    writer_free(&channel->out);
    writer_free(&channel->in);
    munmap(channel, sizeof *channel);
}

static void channel_disconnect(struct channel *channel)
{
    fd_unhide(&channel->fd, channel->cookie);
    channel->received = channel->frame = 0;
}

static void thread_ended(void *ended)
{
    struct channel *channel = ended;
    own_channel = NULL;
    channel_disconnect(channel);
    channel_free(channel);
}

static void make_key(void)
{
    pthread_key_create(&at_thread_end, thread_ended);
}

static struct channel *channel_make(void)
{
    struct channel *channel = mmap(NULL, sizeof *channel, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (channel == MAP_FAILED)
        return NULL;
    atomic_store(&channel->fd, -1);
    return channel;
}

static int channel_connect(struct channel *channel)
{
    struct reader body = {0};
    int fd = connect_socket(settings()->socket);
    if (fd < 0)
        return -1;
    channel->program = program_number();
    channel->out.used = 0;
    channel->out.failed = channel->in.failed = false;
    put_hello(&channel->out, 1);
    if (send_all(fd, &channel->out) == 0 && receive_frame(fd, &channel->in, HELLO + ANSWER, &body)) {
        get_u32(&body);
        channel->max_body = get_u32(&body);
        get_u32(&body);
        channel->table_bytes = get_u32(&body);
        get_u64(&body);
        const uint8_t *table = get(&body, channel->table_bytes);
        channel->received = channel->frame = 0;
        channel->cookie = socket_cookie(fd);
        set_patience(fd, 0);
        if (table != NULL && channel->table_bytes <= sizeof channel->table && fd_hide(fd, channel->cookie, &channel->fd) >= 0) {
            memcpy(channel->table, table, channel->table_bytes);
            return 0;
        }
    }
    syscall(SYS_close, fd);
    return -1;
}

struct channel *channel_take(void)
{
    struct channel *channel = own_channel;
    if (channel != NULL && channel->busy)
        channel = NULL;
    bool temporary = channel == NULL && own_channel != NULL;
    if (channel == NULL) {
        channel = channel_make();
        if (channel == NULL) {
            errno = ENOMEM;
            return NULL;
        }
        channel->temporary = temporary;
        if (!temporary) {
            own_channel = channel;
            pthread_once(&at_thread_end_once, make_key);
            pthread_setspecific(at_thread_end, channel);
        }
    }
    channel->busy = true;
    atomic_signal_fence(memory_order_seq_cst);
    int fd = atomic_load(&channel->fd);
    if (fd >= 0 && (channel->program != program_number() || socket_cookie(fd) != channel->cookie)) {
        channel_disconnect(channel);
        fd = -1;
    }
    if (fd < 0 && channel_connect(channel) < 0) {
        channel_give(channel);
        say_gone();
        errno = EIO;
        return NULL;
    }
    return channel;
}

void channel_give(struct channel *channel)
{
    atomic_signal_fence(memory_order_seq_cst);
    channel->busy = false;
    if (channel->temporary) {
        channel_disconnect(channel);
        channel_free(channel);
    }
}

struct writer *request_begin(struct channel *channel, enum kind kind)
{
    channel->out.used = 0;
    channel->out.failed = false;
    frame_begin(&channel->out, kind, ++channel->tag);
    return &channel->out;
}

int request_send(struct channel *channel)
{
    frame_end(&channel->out, 0);
    if (channel->out.used - HEADER_BYTES <= channel->max_body && send_all(atomic_load(&channel->fd), &channel->out) == 0)
        return 0;
    errno = EIO;
    return -1;
}

/* Receives the next frame of a calls connection: often with one system call. */
static int next_frame(struct channel *channel, uint8_t header[HEADER_BYTES], struct reader *body)
{
    struct writer *in = &channel->in;
    uint32_t length = 0;
    if (channel->frame > 0) {
        channel->received -= channel->frame;
        memmove(in->data, in->data + channel->frame, channel->received);
        channel->frame = 0;
    }
    for (;;) {
        size_t whole = HEADER_BYTES;
        if (channel->received >= HEADER_BYTES) {
            memcpy(&length, in->data, sizeof length);
            if (length > channel->max_body)
                return -1;
            whole += length;
            if (channel->received >= whole)
                break;
        }
        in->used = channel->received;
        if (put(in, whole - channel->received) == NULL)
            return -1;
        ssize_t got = receive(atomic_load(&channel->fd), in->data + channel->received, 1, in->size - channel->received);
        if (got < 0)
            return -1;
        channel->received += (size_t)got;
    }
    memcpy(header, in->data, HEADER_BYTES);
    channel->frame = HEADER_BYTES + length;
    *body = (struct reader){.at = in->data + HEADER_BYTES, .end = in->data + channel->frame};
    return 0;
}

int request_call(struct channel *channel, struct reader *answer)
{
    uint8_t header[HEADER_BYTES], expected = (uint8_t)(channel->out.data == NULL ? 0 : channel->out.data[4] + ANSWER);
    uint32_t tag = channel->tag;
    if (request_send(channel) == 0) {
        while (next_frame(channel, header, answer) == 0) {
            uint32_t answered;
            memcpy(&answered, header + 8, sizeof answered);
            if (header[4] == LOOK && answered == tag) {
                channel->out.used = 0;
                frame_begin(&channel->out, LOOK + ANSWER, tag);
                answer_look(channel, answer);
                if (request_send(channel) < 0)
                    break;
            } else if (header[4] == expected && answered == tag) {
                return 0;
            } else {
                if (header[4] == BYE)
                    say_bye(answer);
                break;
            }
        }
    }
    channel_disconnect(channel);
    say_gone();
    errno = EIO;
    return -1;
}
