/*
 * Which sockets are ours. A descriptor of the program's is known by the cookie of its socket, which all its copies share
 * and which the kernel never gives again; the table leads from the cookie to the ticket.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#define ENTRIES 32768U
#define WINDOW 256U /* an entry lies at most this far behind its place */
#define NAMED_FILES 256U

/* An entry of the table: free (0) or over (1), being written (2), or a cookie. */
#define ENTRY_OVER 1U
#define ENTRY_BUSY 2U

struct entry {
    _Atomic uint64_t cookie;
    struct descriptor leads;
};

/* A file that a mapping named: 'version' is odd while it is written. */
struct remembered {
    _Atomic uint32_t version;
    _Atomic int fd;
    bool memfd;
    uint16_t length;
    char identity[MAX_IDENTITY];
};

/* All that is known. What a forked child must ask about anew lies in one mapping that the kernel empties in the child. */
struct books {
    _Atomic uint32_t next_named;
    struct remembered named[NAMED_FILES];
    struct entry entries[ENTRIES];
};

void *wiped_on_fork(_Atomic(void *) *place, size_t bytes)
{
    void *there = atomic_load_explicit(place, memory_order_acquire);
    if (there != NULL)
        return there;
    void *made = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (made == MAP_FAILED)
        return NULL;
    madvise(made, bytes, MADV_WIPEONFORK);
    if (atomic_compare_exchange_strong(place, &there, made))
        return made;
    munmap(made, bytes);
    return there;
}

static struct books *books(void)
{
    static _Atomic(void *) place;
    return wiped_on_fork(&place, sizeof(struct books));
}

/* ---- the program's descriptors ---- */

bool descriptor_known(uint64_t cookie, struct descriptor *found)
{
    struct books *known = books();
    for (uint32_t i = 0; known != NULL && i < WINDOW; i++) {
        struct entry *entry = &known->entries[(cookie + i) % ENTRIES];
        uint64_t there = atomic_load_explicit(&entry->cookie, memory_order_acquire);
        if (there == 0)
            return false;
        if (there == cookie) {
            *found = entry->leads;
            return atomic_load(&entry->cookie) == cookie;
        }
    }
    return false;
}

void descriptor_note(const struct descriptor *added)
{
    struct books *known = books();
    resumable_note(added);
    for (uint32_t i = 0; known != NULL && i <= WINDOW; i++) { /* where there is no room, the first one is asked about again */
        struct entry *entry = &known->entries[(added->cookie + i % WINDOW) % ENTRIES];
        uint64_t there = atomic_load(&entry->cookie);
        if ((there <= ENTRY_OVER || (i == WINDOW && there != ENTRY_BUSY)) && atomic_compare_exchange_strong(&entry->cookie, &there, ENTRY_BUSY)) {
            entry->leads = *added;
            atomic_store_explicit(&entry->cookie, added->cookie, memory_order_release);
            break;
        }
    }
}

void descriptor_over(const struct descriptor *gone)
{
    struct books *known = books();
    for (uint32_t i = 0; known != NULL && i < WINDOW; i++) {
        struct entry *entry = &known->entries[(gone->cookie + i) % ENTRIES];
        uint64_t cookie = gone->cookie;
        if (atomic_compare_exchange_strong(&entry->cookie, &cookie, ENTRY_OVER))
            return;
    }
}

struct search {
    const uint8_t *ticket;
    struct descriptor *found;
    int fd;
};

static bool leads_there(int fd, void *state)
{
    struct search *search = state;
    uint64_t cookie = fd_cookie(fd);
    if (cookie == 0 || !descriptor_known(cookie, search->found) || memcmp(search->found->ticket, search->ticket, TICKET_BYTES) != 0)
        return false;
    search->fd = fd;
    return true;
}

int descriptor_with(const uint8_t ticket[TICKET_BYTES], struct descriptor *found)
{
    struct search search = {.ticket = ticket, .found = found, .fd = -1};
    numbers_each(leads_there, &search);
    return search.fd;
}

/* Whether a socket is connected to the gateway: to the same path, or to the same socket by another. */
bool leads_to_gateway(int fd)
{
    struct sockaddr_un peer = {0};
    socklen_t size = sizeof peer - 1;
    struct stat one, other;
    if (syscall(SYS_getpeername, fd, &peer, &size) < 0 || peer.sun_family != AF_UNIX || peer.sun_path[0] == '\0')
        return false;
    return strncmp(peer.sun_path, settings()->descriptors, sizeof peer.sun_path) == 0
        || (syscall(SYS_newfstatat, AT_FDCWD, peer.sun_path, &one, 0) == 0
            && syscall(SYS_newfstatat, AT_FDCWD, settings()->descriptors, &other, 0) == 0
            && one.st_dev == other.st_dev && one.st_ino == other.st_ino);
}

/* Asks the gateway about a descriptor that was inherited or received. */
bool descriptor_resolve(int fd, struct descriptor *found)
{
    uint8_t nonce[16];
    struct reader answer;
    bool resolved = false;
    if (syscall(SYS_getrandom, nonce, sizeof nonce, 0) != sizeof nonce)
        return false;
    struct channel *channel = channel_take();
    if (channel == NULL)
        return false;
    struct writer *out = request_begin(channel, RESOLVE);
    put_bytes(out, nonce, sizeof nonce);
    if (descriptor_prove(fd, nonce) == 0 && request_call(channel, &answer) == 0 && get_u32(&answer) == 0) {
        uint8_t kind = get_u8(&answer);
        get_u8(&answer);
        uint16_t number = get_u16(&answer);
        const uint8_t *ticket = get(&answer, TICKET_BYTES), *resumption = get(&answer, RESUMPTION_BYTES);
        if (resumption != NULL) {
            found->kind = kind;
            found->number = number;
            found->instance = channel->instance;
            memcpy(found->ticket, ticket, TICKET_BYTES);
            memcpy(found->resumption, resumption, RESUMPTION_BYTES);
            found->cookie = socket_cookie(fd);
            descriptor_note(found);
            if (kind == FILE_DEVICE)
                gateway_permit(fd);
            resolved = true;
        }
    }
    channel_give(channel);
    return resolved;
}

/* ---- files that mappings name ---- */

uint16_t identity_of(char identity[MAX_IDENTITY], uint32_t major, uint32_t minor, uint64_t inode)
{
    return (uint16_t)snprintf(identity, MAX_IDENTITY, "%x:%x:%llx", major, minor, (unsigned long long)inode);
}

bool file_name(int fd, struct named_file *file)
{
    struct stat status;
    if (fd < 0 || syscall(SYS_fstat, fd, &status) < 0)
        return false;
    uint64_t device = status.st_dev;
    file->memfd = syscall(SYS_fcntl, fd, F_GET_SEALS) >= 0;
    file->length = (uint64_t)status.st_size;
    file->identity_length = identity_of(file->identity, (uint32_t)(device >> 8 & 0xFFF), (uint32_t)((device & 0xFF) | (device >> 12 & 0xFFF00)), status.st_ino);
    return true;
}

int file_find(const void *identity, size_t length, bool *memfd)
{
    struct books *known = books();
    for (uint32_t i = 0; known != NULL && i < NAMED_FILES; i++) {
        struct remembered *named = &known->named[i];
        uint32_t version = atomic_load(&named->version);
        int fd = atomic_load(&named->fd);
        if (version != 0 && version % 2 == 0 && named->length == length && memcmp(named->identity, identity, length) == 0
            && atomic_load(&named->version) == version && fd_is_hidden(fd)) {
            *memfd = named->memfd;
            return fd;
        }
    }
    return -1;
}

/* Keeps a copy, so that the file is there when the service asks about it, as Linux keeps it for the mapping. */
void file_remember(int fd, const struct named_file *file)
{
    struct books *known = books();
    bool memfd;
    if (known == NULL || file_find(file->identity, file->identity_length, &memfd) >= 0)
        return;
    struct remembered *named = &known->named[atomic_fetch_add(&known->next_named, 1) % NAMED_FILES];
    uint32_t version = atomic_load(&named->version);
    if (version % 2 != 0 || !atomic_compare_exchange_strong(&named->version, &version, version + 1))
        return;
    if (version != 0)
        fd_unhide(&named->fd, 0);
    named->memfd = file->memfd;
    named->length = file->identity_length;
    memcpy(named->identity, file->identity, MAX_IDENTITY);
    if (fd_hide_copy(fd, 0, &named->fd) < 0)
        atomic_store(&named->fd, -1);
    atomic_store(&named->version, version + 2);
}
