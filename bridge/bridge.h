/*
 * /dev/iommu and VFIO's device files for unmodified programs, served by a gateway (docs/protocol.md): by a library that is
 * preloaded, or by a supervisor that serves another process's system calls.
 *
 * libiommufd-bridge:
 *   hooks.c        calls with a number: close, dup, ioctl, read, write, pread, pwrite, mmap
 *   paths.c        calls with a path that open or look at a file: open, stat, access
 *   links.c        the other calls with a path: readlink, realpath, opendir, scandir, fopen
 *   own.c          the program is this process
 *   numbers.c      what is known about numbers of descriptors, and our own hidden ones
 *
 * iommufd-supervise:
 *   supervise.c    the program's start and end, and the threads that take its calls
 *   served.c       the system calls that matter, served
 *   closings.c     what closes do, which the kernel does later
 *   target.c       the program is another process
 *   remote.c       its numbers and its memory
 *
 * Both:
 *   files.c        calls on our descriptors, with their traces
 *   device.c       what stat and access say
 *   tree.c         paths that lie in the gateway's tree of devices
 *   vfio.c         calls on device files
 *   ioctl.c        an ioctl as a request
 *   answer.c       its answer as changes of memory
 *   memory.c       access to the program's memory that can't crash, and what is mapped where
 *   descriptors.c  which sockets are ours; files that mappings name
 *   calls.c        requests and answers
 *   wire.c         frames, and how a connection begins
 *   resume.c       another gateway in place of one that has ended
 *   epoll.c        numbers that epoll sets have, which are replaced then
 *   trace.c        what the program did, for who watches it
 *   faults.c       calls that are to fail
 *   settings.c     the environment; words on standard error
 *
 * Rules of all but the supervisor's own files: nothing allocates from the heap, takes a lock that a fork could leave taken,
 * is a point of cancellation, or follows a pointer of the program's. So each function works in signal handlers, after fork
 * and vfork, and wherever libc's own would.
 */
#ifndef BRIDGE_H
#define BRIDGE_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && sizeof(void *) == 8, "frames are written as memory has them");

#define PAGE 4096UL
#define TICKET_BYTES 16
#define RESUMPTION_BYTES 64
#define MAX_ARGUMENT 4096U
#define MAX_BUFFER (1U << 20)
#define MAX_IDENTITY 64
#define MAX_PATH 256
#define AS_BEFORE 2U /* a request's flag: it was sent before */

/* ---- settings: the environment at the program's start ---- */

struct settings {
    bool active;      /* IOMMUFD_SOCKET is set: else everything goes to libc */
    uint8_t mode;     /* IOMMUFD_MODE */
    uint64_t patience; /* IOMMUFD_PATIENCE, in ns: how long a call waits for a gateway that has ended */
    char socket[108]; /* IOMMUFD_SOCKET */
    char descriptors[108]; /* the same for descriptors: with '-fd' behind it */
    char device[MAX_PATH]; /* IOMMUFD_DEVICE */
    char trace[108];  /* IOMMUFD_TRACE */
};

const struct settings *settings(void);
void say_gone(void);
/* Why the service, which is there, answers EIO. */
void say_unanswered(const uint8_t *why, size_t length);
void say_waiting(void);
void say_lost(void);
void say_unreachable(const char *why);

/* ---- wire.c ---- */

#define HEADER_BYTES 12

enum kind {
    HELLO = 0x01, OPEN = 0x02, CLAIM = 0x03, PROVE = 0x04, PAD = 0x05, RESUME = 0x06, OPEN_DEVICE = 0x07, OPEN_GROUP_DEVICE = 0x08,
    IOCTL = 0x10, READ = 0x11, WRITE = 0x12, TOOK = 0x13, RESOLVE = 0x14, CLOSED = 0x15, DISCARD = 0x16, PINNED = 0x17,
    DEVICE_READ = 0x18, DEVICE_WRITE = 0x19, DEVICE_MAP = 0x1A,
    LOOK = 0x20, ANSWER = 0x80, BYE = 0xFF,
};

/* A body being written. It grows; 'failed' if memory was short or the body is too long. */
struct writer {
    uint8_t *data;
    size_t used, size;
    bool failed;
};

/* A body being read. 'failed' once it was shorter than asked for. */
struct reader {
    const uint8_t *at, *end;
    bool failed;
};

/* A calls connection. One thread uses it at a time. */
struct channel {
    _Atomic int fd;
    bool busy;         /* a call is under way: a signal handler that finds this takes another channel */
    bool temporary;
    struct channel *spare; /* the next one that nobody uses, where a program has a list of them */
    uint64_t cookie;   /* of our socket, by which it is known whatever the program does with its number */
    uint64_t program;  /* whose it is: another one than the process's after a fork */
    uint64_t instance; /* the gateway's life */
    uint64_t lane, sequence; /* the name of its last call, in the session of the descriptor */
    bool refused;      /* the gateway has ended it, and does not stop */
    uint32_t tag, max_body;
    size_t received;   /* bytes in 'in', from the frame that is read now on */
    size_t frame;      /* bytes of that frame */
    struct writer out, in, look;
    uint32_t table_bytes;
    uint8_t table[16384];
};

enum file_kind { FILE_CONTEXT = 1, FILE_FAULT_QUEUE, FILE_ACCESS, FILE_EVENT_QUEUE, FILE_DEVICE, FILE_GROUP, FILE_DMA_BUF };

/* One of the program's descriptors that lead to the gateway. */
struct descriptor {
    uint64_t cookie;
    uint64_t instance; /* the gateway's that has given the ticket */
    uint8_t ticket[TICKET_BYTES];
    uint8_t kind;
    uint16_t number; /* of a device: the N of vfioN; of a group: its own; of a dma-buf: its pages */
    uint8_t resumption[RESUMPTION_BYTES]; /* by which another gateway gives one; zeros for none */
};

void *put(struct writer *w, size_t bytes);
void put_bytes(struct writer *w, const void *bytes, size_t count);
void put_u8(struct writer *w, uint8_t value);
void put_u16(struct writer *w, uint16_t value);
void put_u32(struct writer *w, uint32_t value);
void put_u64(struct writer *w, uint64_t value);
const uint8_t *get(struct reader *r, size_t bytes);
uint8_t get_u8(struct reader *r);
uint16_t get_u16(struct reader *r);
uint32_t get_u32(struct reader *r);
uint64_t get_u64(struct reader *r);

/* A frame's header in front of a body that follows; frame_end fills in the body's length. */
size_t frame_begin(struct writer *w, enum kind kind, uint32_t tag);
void frame_end(struct writer *w, size_t start);
void writer_free(struct writer *w);
int send_all(int fd, const struct writer *frames);
ssize_t receive(int fd, uint8_t *into, size_t least, size_t most);
int connect_socket(const char *path);
void set_patience(int fd, int seconds);
void put_hello(struct writer *w, uint8_t role);
bool receive_frame(int fd, struct writer *in, uint8_t expected, struct reader *body);
void say_bye(struct reader *body);

/* ---- calls.c ---- */

struct channel *channel_make(void);
/* A channel that can't be connected fails with EIO, and says so. */
int channel_connect(struct channel *channel);
void channel_disconnect(struct channel *channel);
void channel_free(struct channel *channel);
/* Begins a request, sends it, and waits for its answer. A call that fails (-1) is EIO: the gateway is gone. */
struct writer *request_begin(struct channel *channel, enum kind kind);
int request_send(struct channel *channel);
int request_call(struct channel *channel, struct reader *answer);
/* The name of a call in the descriptor's session, which it keeps if it is sent again. */
void put_name(struct writer *w, const struct channel *channel);
/* Opens a descriptor of the program's, at the lowest free number, by a first frame: OPEN, CLAIM or OPEN DEVICE. */
int descriptor_open(enum kind first, const void *body, size_t bytes, int flags);
/* Connects to what a dead descriptor leads to. Returns a number of this process, RESUME_REFUSED, or -1 without an answer. */
#define RESUME_REFUSED (-2)
int descriptor_resume(const struct descriptor *dead, struct descriptor *successor);
/* Sends a nonce on a descriptor. */
int descriptor_prove(int fd, const uint8_t nonce[16]);

/* ---- resume.c ---- */

/* Whether to connect once more: after a pause, and not for longer than the program has patience. */
bool gateway_await(uint64_t *until);
void gateway_found(void);
/* Whether this process, or one that it is a fork of, has reached the gateway, which is not known to be gone. */
bool gateway_is_found(void);
/* Calls of this thread wait for no gateway, or do again. */
void wait_for_none(bool none);
bool descriptor_outlives(const struct descriptor *descriptor);
void resumable_note(const struct descriptor *descriptor);
/* Connects a channel again whose call had no answer. False (EIO) where that can't be sent again. */
bool channel_again(struct channel *channel);
/* The descriptor of a number as the channel's gateway knows it: resumed there if it was another's. False (EIO) for none. */
bool descriptor_current(struct channel *channel, int fd, struct descriptor *descriptor);
/* The last copy of a dead descriptor that was not resumed is closed. */
void descriptor_closed_dead(const struct descriptor *dead);

/* ---- the program: own.c, where it is this process; target.c, where it is another one ---- */

extern const bool program_elsewhere;

/* This address space's number: another one after a fork. */
uint64_t program_number(void);
const char *program_name(void);
pid_t program_process(void);
pid_t program_thread(void);
/* A channel for a call, connected; null if the gateway can't be reached. It is given back by channel_give. */
struct channel *channel_take(void);
void channel_give(struct channel *channel);
/* Copies up to the first byte that can't be accessed, or less. */
long program_copy(bool reading, void *local, uint64_t remote, size_t bytes);
/* Whether the byte at an address can be written. Changes nothing. */
bool page_writable(uint64_t address);
/* The kernel's file of its mappings: one that stays open, and a new one. */
int maps_file(bool again);
int maps_open(void);
/* Finds what a number of the program's leads to; false if it is none of ours. */
bool descriptor_find(int fd, struct descriptor *found);
/* Visits the numbers that may be ours, until a visit returns true. */
bool numbers_each(bool (*visit)(int fd, void *state), void *state);
/* Makes a number that leads to the socket of a cookie lead where one of this process does. */
void number_replace(int fd, uint64_t cookie, int by);
/* Gives the program a file of ours, with O_CLOEXEC of the flags, at the lowest free number. Returns it. */
int descriptor_place(int fd, int flags);
/* Where a number of the program's leads, as the kernel says it: without an end. Returns its length, or -1. */
ssize_t fd_link(int fd, char *link, size_t size);
/* The cookie of the socket that a number of the program's leads to; 0 for none. */
uint64_t fd_cookie(int fd);
/* A descriptor of the program's as one of this process, and the end of its use. */
int fd_borrow(int fd);

static inline void fd_return(int fd)
{
    if (program_elsewhere && fd >= 0)
        close(fd);
}

/* ---- numbers.c ---- */

/*
 * What is known about a number. Only a hint: our descriptors are known by the cookies of their sockets. A number that was
 * closed keeps its state: whatever makes one of ours from it, notes that.
 */
enum fd_state { FD_UNKNOWN, FD_OTHER, FD_OURS, FD_HIDDEN };

#define FD_STATES 65536
extern _Atomic uint8_t fd_states[FD_STATES];

static inline bool fd_is_other(int fd)
{
    return (unsigned int)fd < FD_STATES && (atomic_load_explicit(&fd_states[fd], memory_order_relaxed) & 3) == FD_OTHER;
}

enum fd_state fd_state(int fd);
void fd_note(int fd, enum fd_state state);
/* Notes a finding, unless the number has changed since it was 'before'. */
void fd_note_other(int fd, uint8_t before);
/* Whether a number is one of our own. */
bool fd_is_hidden(int fd);
/* One thread at a time closes or replaces a number of ours. */
void number_lock(int fd, uint64_t *signals);
void number_unlock(int fd, uint64_t signals);

/* ---- epoll.c ---- */

struct epoll_event;

#define MAX_WATCHERS 16

/* The epoll sets that have a number, with what they have of it. */
struct watchers {
    int count;
    struct watcher {
        int set;
        uint32_t events;
        uint64_t data;
    } all[MAX_WATCHERS];
};

/* epoll_ctl of the program's numbers. */
void watch_control(int set, int operation, int fd, struct epoll_event *event);
/* Takes a number out of the sets that have it; puts it into them again. */
void watchers_take(int fd, struct watchers *watchers);
void watchers_give(int fd, const struct watchers *watchers);

/* ---- numbers of our own ---- */

/* Moves a descriptor of our own out of the program's way. 'slot' has its number, wherever it moves. */
int fd_hide(int fd, uint64_t mark, _Atomic int *slot);
int fd_hide_copy(int fd, uint64_t mark, _Atomic int *slot);
void fd_unhide(_Atomic int *slot, uint64_t mark);
void fd_evict(int fd);
/* Closes what a forked child has of its parent's. */
void fd_close_inherited(void);
/* Whether the calling process is the one whose address space it is: a child of vfork is not. */
bool program_is_own(void);
uint64_t socket_cookie(int fd);

/* ---- descriptors.c ---- */

/* What a socket with this cookie leads to, if that is known already. */
bool descriptor_known(uint64_t cookie, struct descriptor *found);
void descriptor_note(const struct descriptor *added);
void descriptor_over(const struct descriptor *gone);
/* A number of the program's that leads where a ticket does; -1 for none. */
int descriptor_with(const uint8_t ticket[TICKET_BYTES], struct descriptor *found);
/* Whether a socket is connected to the gateway; and the gateway's word about one that was inherited or received. */
bool leads_to_gateway(int fd);
bool descriptor_resolve(int fd, struct descriptor *found);
/* Memory at a place that a forked child finds empty. Null if there is none. */
void *wiped_on_fork(_Atomic(void *) *place, size_t bytes);

/* A file that the program named for a mapping. */
struct named_file {
    bool memfd;
    uint64_t length;
    uint16_t identity_length;
    char identity[MAX_IDENTITY];
};

bool file_name(int fd, struct named_file *file);
void file_remember(int fd, const struct named_file *file);
/* The number under which a file is remembered, or -1. */
int file_find(const void *identity, size_t length, bool *memfd);
uint16_t identity_of(char identity[MAX_IDENTITY], uint32_t major, uint32_t minor, uint64_t inode);

/* ---- memory.c ---- */

/* Both return how many leading bytes they could copy. */
size_t memory_read(uint64_t address, void *into, size_t bytes);
size_t memory_write(uint64_t address, const void *from, size_t bytes);
/* Leading bytes of an argument that can be written. Changes nothing. */
uint64_t memory_writable(uint64_t address, uint64_t bytes);

/* The layout of Linux's procmap_query; its headers here may be older than it. */
struct map_query {
    uint64_t size, flags, address, start, end, permissions, page_size, offset, inode;
    uint32_t major, minor, name_size, build_id_size;
    uint64_t name_address, build_id_address;
};

#define MAP_QUERY _IOWR('f', 17, struct map_query)
#define MAP_QUERY_THIS_OR_NEXT 0x10U

/* What is known about a range: leading bytes that can be read, written and pinned, and the file that is mapped there. */
struct range {
    uint64_t readable, writable, pinnable, mapped, file_offset;
    uint16_t identity_length;
    char identity[MAX_IDENTITY];
};

void memory_probe(uint64_t address, uint64_t bytes, struct range *range);

/* What can't be pinned is not there for an ioctl that pins. */
static inline void range_pin(struct range *range)
{
    range->readable = range->readable < range->pinnable ? range->readable : range->pinnable;
    range->writable = range->writable < range->pinnable ? range->writable : range->pinnable;
}
/* The path of the file that is mapped at an address, without its end; 0 for none. The address becomes an offset in it. */
size_t memory_file(uint64_t *address, char *path, size_t size);

/* ---- trace.c ---- */

/*
 * With IOMMUFD_TRACE, each call on our descriptors sends one datagram to that Unix socket, and waits while the socket has
 * no room: no record is lost while somebody listens. All integers are little-endian:
 *
 *   u32 kind (1 ioctl, 2 open, 3 close, 4 read, 5 write)   u32 process   u32 thread   i32 errno
 *   u64 start (CLOCK_MONOTONIC, ns)   u64 duration (ns)   i32 descriptor
 *   u32 command (read and write: the bytes asked for; open: 0, 1 + N for vfioN, or 0x10001 + N for group N)   i32 result (close: 1 if it was the descriptor's last copy)
 *   u32 bytes of the module   u64 the descriptor's socket cookie, which all of its copies share
 *   u64 the caller's return address: its offset in the module's file, or the address itself without a module
 *   u32 bytes in   u32 bytes out   u32 bytes of text   u32 the descriptor's kind, of an ioctl   u64 the ioctl's third argument, as it was passed
 *   in: the argument before the call (at most 512 bytes)   out: the same after it   text: why it failed (at most 1024)
 *   module: the path of the file that the caller's code is mapped from
 */
enum trace_kind { TRACE_IOCTL = 1, TRACE_OPEN, TRACE_CLOSE, TRACE_READ, TRACE_WRITE };

#define TRACE_BYTES 512
#define TRACE_TEXT 1024

struct trace {
    bool on;
    enum trace_kind kind;
    int fd;
    uint32_t command, file;
    uint64_t start, cookie, caller, argument;
    uint32_t in_bytes;
    uint8_t in[TRACE_BYTES];
};

extern __thread char trace_text[TRACE_TEXT];
extern __thread uint16_t trace_text_length;

void trace_begin(struct trace *trace, enum trace_kind kind, int fd, uint32_t command, uint64_t argument, const void *caller);
void trace_end(struct trace *trace, long result, int error);
uint64_t now_ns(void);
void trace_why(const uint8_t *text, size_t length);

/* ---- ioctl.c, answer.c, files.c ---- */

#define CHUNK 65536UL

/* The file that an argument names by a number. Returns what it is: 0 none, 1 the program's, 2 a descriptor of the gateway's. */
uint8_t put_file(struct writer *out, int fd, bool remember);
int bridge_ioctl(int fd, const struct descriptor *descriptor, uint32_t command, uint64_t argument);
int take_answer(struct channel *channel, struct reader *answer, uint64_t address, uint32_t *points);
void answer_look(struct writer *out, struct reader *question);
/* Whether the copy that was closed was the last. */
bool bridge_closed(const struct descriptor *descriptor);
/* The queue is empty: its descriptor is not readable any more. */
void take_mark(int fd, struct channel *channel, const struct descriptor *descriptor);
/* Calls of the program's, with their traces. errno stays where they succeed. */
#define NO_DEVICE (-1)
#define GROUPS 0x10000 /* and a group's number: opens the group */
int call_open(int device, int flags, const void *caller);
int call_ioctl(int fd, const struct descriptor *descriptor, uint32_t command, uint64_t argument, const void *caller);
ssize_t call_transfer_at(enum trace_kind kind, int fd, const struct descriptor *device, uint64_t buffer, size_t count, int64_t offset, const void *caller);
ssize_t call_transfer(enum trace_kind kind, int fd, const struct descriptor *descriptor, uint64_t buffer, size_t count, const void *caller);
ssize_t call_vector(enum trace_kind kind, int fd, const struct descriptor *descriptor, uint64_t vector, int count, const void *caller);

/* ---- device.c ---- */

/* Reads a path of the program's, which may lie anywhere. */
bool path_read(uint64_t address, char path[MAX_PATH]);
/* Whether it is the emulated one; and whether there is a gateway to it. */
bool device_is(uint64_t path);
bool device_exists(void);
int device_stat(uint64_t status, dev_t device);
int device_statx(uint64_t status, dev_t device);
int device_access(int mode);
/* The numbers of a device file, by which programs compare it with what /sys says. */
dev_t device_number(const struct descriptor *descriptor);
/* Writes what stat or statx has found. */
int status_give(uint64_t status, const void *bytes, size_t size);

/* ---- tree.c ---- */

#define TREE_PATH 512

enum place_kind { PLACE_ELSEWHERE, PLACE_FILE, PLACE_CONTAINER, PLACE_DEVICE, PLACE_GROUP };

/* Where a path of the program's leads: elsewhere, to a file of the tree, to /dev/vfio/vfio, or to a device or a group of the tree. */
struct place {
    enum place_kind kind;
    uint16_t number; /* of a device: the N of vfioN; of a group: its own */
    char path[TREE_PATH]; /* but for elsewhere */
};

/* Whether the gateway had a tree when the program was started. */
bool tree_exists(void);
/* Finds where a path leads, which may lie at any address. errno stays. */
void place_find(uint64_t path, struct place *place);
dev_t place_device(const struct place *place);
/* What open is told of a place that is no file: a device's number, that of a group and GROUPS, or NO_DEVICE. */
int place_opens(const struct place *place);
/* Whether a path, as the kernel has it, is that of the memory of a BAR. */
bool tree_has_bar(const char *path, size_t length);
/* A path in the tree becomes the program's. */
void tree_leave(char *path);

/* ---- vfio.c ---- */

/* The gateway may reach into this process, as far as the kernel asks the process: its eventfds, its memory. */
void gateway_permit(int socket);
int device_open(int number, int flags);
int device_ioctl(int fd, const struct descriptor *device, uint32_t command, uint64_t argument);
ssize_t device_transfer(enum kind kind, int fd, const struct descriptor *device, uint64_t buffer, size_t count, int64_t offset);
/* A place in a dma-buf: its start or its end, by which programs find its size. */
int64_t dma_buf_seek(const struct descriptor *descriptor, int64_t offset, int whence);
/* Opens what is to be mapped for a part of a BAR, or for the pages of a context's vIOMMU. The offset becomes one in that file. */
int device_map(int fd, const struct descriptor *device, size_t length, int protection, int flags, int64_t *offset);

/* ---- faults.c ---- */

/* Where a call is to fail. */
struct fault {
    uint32_t point, errno_;
    int nth; /* the file that counts the points; -1 for none, -2 for the process's count */
};

void faults_read(const char *fail, const char *nth);
/* Whether a call is to fail, at a point that it may not reach; then the service's count of points comes to fault_passed. */
bool fault_of(uint32_t command, struct fault *fault);
void fault_passed(const struct fault *fault, uint32_t points);
bool fault_here(uint32_t command);
int fault_open(int at, const char *path, int flags, bool failed);
/* Gives the program a file that was opened for it. */
int file_give(int fd, int flags);

/* ---- status.c ---- */

/* A file with what a path says, if that is a /proc/PROCESS/status and the service has memory of the process pinned; -1 otherwise. */
int status_file(const char *path);

#endif
