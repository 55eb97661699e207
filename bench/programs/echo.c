/* The bare server: answers each frame with as many bytes as the frame's tag says. A thread for each connection. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HEADER 12U
#define ROOM 65536U

static void *serve(void *connection)
{
    int fd = (int)(intptr_t)connection;
    uint8_t *in = malloc(ROOM), *out = calloc(1, ROOM);
    size_t have = 0;
    for (ssize_t got; in != NULL && out != NULL && (got = recv(fd, in + have, ROOM - have, 0)) > 0;) {
        size_t at = 0, answer = 0;
        have += (size_t)got;
        while (have - at >= HEADER) {
            uint32_t length, tag;
            memcpy(&length, in + at, sizeof length);
            memcpy(&tag, in + at + 8, sizeof tag);
            if (have - at < HEADER + length || answer + tag > ROOM)
                break;
            length += HEADER;
            uint32_t body = tag - HEADER;
            memcpy(out + answer, &body, sizeof body);
            answer += tag;
            at += length;
        }
        have -= at;
        memmove(in, in + at, have);
        if (send(fd, out, answer, MSG_NOSIGNAL) < 0)
            break;
    }
    free(in);
    free(out);
    close(fd);
    return NULL;
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path)
        return 2;
    strcpy(address.sun_path, argv[1]);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 512) < 0) {
        perror(argv[1]);
        return 1;
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        pthread_t thread;
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0 && pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0)
            pthread_detach(thread);
    }
}
