/* A descriptor that another program gets by a message over a Unix socket, and uses after its sender has closed it. */
#include "check.h"

#include <sys/socket.h>

union rights {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
};

static int receive_fd(int from)
{
    union rights rights;
    char byte;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};
    EXPECT(recvmsg(from, &message, 0), 1, "recvmsg");
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

static void send_fd(int to, int fd)
{
    union rights rights = {0};
    char byte = 'x';
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    EXPECT(sendmsg(to, &message, 0), 1, "sendmsg");
}

int main(int count, char **arguments)
{
    if (count > 1) {
        int from = atoi(arguments[1]), fd = receive_fd(from);
        await(from, "that the sender has closed its copy");
        EXPECT(destroy(fd, 1), 0, "destroy of the sender's IOAS");
        EXPECT(alloc_ioas(fd), 1, "an IOAS of the receiver's");
        EXPECT(close(fd), 0, "close of the last copy");
        return 0;
    }
    int ends[2];
    char number[16];
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0, "socketpair");
    snprintf(number, sizeof number, "%d", ends[1]);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        execl(arguments[0], arguments[0], number, NULL);
        _exit(127);
    }
    close(ends[1]);
    int fd = open_iommu(O_CLOEXEC);
    EXPECT(alloc_ioas(fd), 1, "the sender's IOAS");
    send_fd(ends[0], fd);
    EXPECT(close(fd), 0, "the sender's close");
    signal_to(ends[0]);
    EXPECT(exit_status(child), 0, "the receiver's exit status");
    return 0;
}
